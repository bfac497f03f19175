"""New orders that are not plain, or come to an instrument that is not in plain trading."""

from engine.book import Books, key_of, side_of
from engine.events import accept, accept_terms, level_flag, refuse_order
from engine.limits import CHUNK_TICKS
from engine.market.admitting import admit
from engine.market.ending import forget
from engine.market.entering import collects, enter
from engine.market.lists import join_list
from engine.market.resting import enter_level, shown_total
from engine.market.rows import join_season
from engine.market.state import NO_TICKS, Season
from engine.messages import (
    CommandFlag,
    Decision,
    Instruction,
    ListKind,
    OrderType,
    Peg,
    Phase,
    RejectReason,
    TimeInForce,
    Trigger,
)
from engine.orders import NO_ORDER, Place, has_room
from engine.stage import Outbox
from engine.trading import new_order, rest_plain
from ipc.jit import kernel


@kernel
def special_new(books: Books, decision: Decision, out: Outbox) -> None:
    """A new order with terms, or one for an instrument that needs more than the plain path."""
    phase = books.markets[decision.instrument].phase
    if phase != Phase.CONTINUOUS and not collects(phase):
        refuse_order(out, decision, RejectReason.PHASE_FORBIDS.value)
    elif decision.flags & CommandFlag.TERMS:
        new_with_terms(books, decision, out)
    elif phase == Phase.CONTINUOUS:
        new_order(books, decision, out)
    else:
        collect_plain(books, decision, out)


@kernel
def collect_plain(books: Books, decision: Decision, out: Outbox) -> None:
    """A plain order in a collecting phase rests; a market order for the auction only."""
    if decision.time_in_force != TimeInForce.GTC:
        refuse_order(out, decision, RejectReason.PHASE_FORBIDS.value)
        return
    if decision.order_type == OrderType.LIMIT:
        rest_plain(books, decision, out)
        return
    slot = NO_ORDER
    if has_room(books.pool):
        slot = admit(books, decision)
        if not enter_level(books, slot, decision.price_ticks):
            forget(books, slot)
            slot = NO_ORDER
    if slot == NO_ORDER:
        refuse_order(out, decision, RejectReason.BOOK_FULL.value)
        return
    books.details[slot].place = Place.BOOK
    join_season(books, slot, Season.AUCTION.value)
    order = books.pool.orders[slot]
    number = order.price_key & (CHUNK_TICKS - 1)
    total = shown_total(books, order.chunk, number, 1)
    accept(out, decision, level_flag(order.side), total)


@kernel
def refusal(books: Books, decision: Decision) -> int:
    """Why a new order with terms is refused for the phase, its time, or for want of a price."""
    market, terms = books.markets[decision.instrument], decision.terms
    tif = decision.time_in_force
    later = terms.trigger != Trigger.NONE or terms.list_kind != ListKind.NONE
    opening = market.phase == Phase.PRE_OPEN or market.phase == Phase.OPENING_AUCTION
    if tif == TimeInForce.AT_OPEN and not opening:
        return RejectReason.PHASE_FORBIDS.value
    if market.phase != Phase.CONTINUOUS and not later:
        at_once = tif == TimeInForce.IOC or tif == TimeInForce.FOK
        if at_once or decision.order_type == OrderType.MARKET_TO_LIMIT or terms.minimum_lots > 0:
            return RejectReason.PHASE_FORBIDS.value
    if tif == TimeInForce.GTD and terms.at_ns <= books.calendar.clock_ns:
        return RejectReason.EXPIRED.value
    if not has_room(books.pool):
        return RejectReason.BOOK_FULL.value
    trailing = terms.trigger >= Trigger.TRAIL_TICKS and terms.list_kind == ListKind.NONE
    if trailing and market.last_ticks == NO_TICKS:
        return RejectReason.NO_OPPOSITE.value
    return RejectReason.NONE.value


@kernel
def would_trade(books: Books, decision: Decision) -> bool:
    """Whether a post-only order that may not slide is to be refused because it would trade."""
    terms = decision.terms
    if decision.flags & CommandFlag.POST_ONLY == 0 or terms.instructions & Instruction.SLIDE:
        return False
    if books.markets[decision.instrument].phase != Phase.CONTINUOUS:
        return False
    if terms.trigger != Trigger.NONE or terms.peg != Peg.NONE:
        return False
    if decision.time_in_force >= TimeInForce.AT_OPEN:
        return False
    opposite = side_of(books, decision.instrument, 1 - decision.side)
    return opposite.best_key <= key_of(decision.price_ticks, 1 - decision.side)


@kernel
def new_with_terms(books: Books, decision: Decision, out: Outbox) -> None:
    """A new order with terms."""
    reason = refusal(books, decision)
    if reason != RejectReason.NONE:
        refuse_order(out, decision, reason)
        return
    if decision.terms.list_kind != ListKind.NONE:
        slot = join_list(books, decision, out)
        if slot != NO_ORDER:
            enter(books, slot, 0, out)
        return
    if would_trade(books, decision):
        refuse_order(out, decision, RejectReason.WOULD_TRADE.value)
        return
    accept_terms(out, decision)
    enter(books, admit(books, decision), 0, out)
