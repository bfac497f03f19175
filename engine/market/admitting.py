"""The slot of an order with terms: taken on arrival, with all that the order says."""

from engine.book import Books
from engine.market.calendar import schedule
from engine.market.rows import join_season
from engine.market.state import Season
from engine.messages import (
    CommandFlag,
    Decision,
    Instruction,
    OrderType,
    Peg,
    Prevention,
    TimeInForce,
)
from engine.orders import OrderFlag, take_slot
from ipc.jit import kernel


@kernel
def admit(books: Books, decision: Decision) -> int:
    """Give an order with terms its slot and keep all that it says; it is nowhere yet."""
    slot = take_slot(books.pool, decision.order_id)
    order, detail, terms = books.pool.orders[slot], books.details[slot], decision.terms
    order.account, order.instrument = decision.account, decision.instrument
    order.group, order.side = decision.group, decision.side
    order.leaves_lots = order.qty_lots = decision.qty_lots
    order.flags = OrderFlag.SPECIAL | (decision.flags & CommandFlag.POST_ONLY)
    clear_detail(books, slot)
    detail.limit_ticks = decision.price_ticks
    detail.order_type, detail.time_in_force = decision.order_type, decision.time_in_force
    detail.prevention = decision.prevention
    order.maker_rate, detail.taker_rate = decision.maker_rate, decision.taker_rate
    if decision.flags & CommandFlag.TERMS == 0:
        return slot
    detail.trigger_ticks = detail.distance = terms.trigger_ticks
    detail.offset_ticks, detail.display_lots = terms.offset_ticks, terms.display_lots
    detail.minimum_lots, detail.at_ns = terms.minimum_lots, terms.at_ns
    detail.trigger, detail.peg = terms.trigger, terms.peg
    detail.instructions, detail.trail_limit = terms.instructions, terms.trail_limit
    if terms.peg != Peg.NONE:
        order.flags |= OrderFlag.PEGGED
    if terms.instructions & Instruction.HIDDEN:
        order.flags |= OrderFlag.RESERVE | OrderFlag.UNSEEN
    elif terms.display_lots > 0:
        order.flags |= OrderFlag.RESERVE
    if decision.time_in_force == TimeInForce.GTD:
        schedule(books, slot)
    elif decision.time_in_force == TimeInForce.DAY:
        join_season(books, slot, Season.DAY.value)
    elif decision.time_in_force >= TimeInForce.AT_OPEN or decision.order_type == OrderType.MARKET:
        # A market order that rests does so for an auction; by the order of arrival it ends there.
        join_season(books, slot, Season.AUCTION.value)
    return slot


@kernel
def clear_detail(books: Books, slot: int) -> None:
    """Set a slot's detail to that of an order which is not special in any way."""
    detail = books.details[slot]
    detail.limit_ticks = detail.trigger_ticks = detail.distance = 0
    detail.offset_ticks = detail.display_lots = detail.minimum_lots = detail.at_ns = 0
    detail.shown_lots = detail.extreme_ticks = 0
    detail.partner = detail.child_1 = detail.child_2 = 0
    detail.heap_place = 0
    detail.trigger = detail.peg = detail.instructions = detail.trail_limit = 0
    detail.place = detail.fired = detail.assembly = detail.roster = detail.season = 0
    detail.order_type, detail.time_in_force = OrderType.LIMIT, TimeInForce.GTC
    detail.prevention = Prevention.NONE
