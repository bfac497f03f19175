"""New orders that are not plain, or come to an instrument that is not in plain trading."""

from engine.book import Books, crosses
from engine.events import accept, accept_terms, level_flag, refuse_order
from engine.limits import CHUNK_TICKS
from engine.market.admitting import admit
from engine.market.ending import forget, wakes_upward
from engine.market.entering import collects, enter, is_at_once, slid_ticks
from engine.market.lists import goes_on, join_list
from engine.market.resting import enter_level, shown_total
from engine.market.rows import join_season
from engine.market.state import NO_TICKS, Season
from engine.market.triggers import reaches
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
    """Why a new order with terms is refused, or NONE."""
    market, terms = books.markets[decision.instrument], decision.terms
    listed = terms.list_kind != ListKind.NONE
    trailing = terms.trigger >= Trigger.TRAIL_TICKS
    reason = forbidden(books, decision)
    if reason == RejectReason.NONE:
        if listed:
            if not goes_on(books, decision):
                reason = RejectReason.LIST_BROKEN.value
        elif trailing and market.last_ticks == NO_TICKS:
            reason = RejectReason.NO_OPPOSITE.value
        elif would_trade(books, decision):
            reason = RejectReason.WOULD_TRADE.value
    full = reason == RejectReason.NONE and not has_room(books.pool)
    if full and (listed or may_stay(books, decision)):
        reason = RejectReason.BOOK_FULL.value
    return reason


@kernel
def forbidden(books: Books, decision: Decision) -> int:
    """Rule 1, and the time of GTD orders."""
    phase, terms = books.markets[decision.instrument].phase, decision.terms
    tif = decision.time_in_force
    later = terms.trigger != Trigger.NONE or terms.list_kind != ListKind.NONE
    opening = phase == Phase.PRE_OPEN or phase == Phase.OPENING_AUCTION
    if tif == TimeInForce.AT_OPEN and not opening:
        return RejectReason.PHASE_FORBIDS.value
    if phase != Phase.CONTINUOUS and not later:
        needs_trading = (
            is_at_once(tif)
            or decision.order_type == OrderType.MARKET_TO_LIMIT
            or terms.minimum_lots > 0
        )
        if needs_trading:
            return RejectReason.PHASE_FORBIDS.value
    if tif == TimeInForce.GTD and terms.at_ns <= books.calendar.clock_ns:
        return RejectReason.EXPIRED.value
    return RejectReason.NONE.value


@kernel
def wakes_now(books: Books, decision: Decision) -> bool:
    """Whether an order with a trigger is woken on arrival."""
    market, terms = books.markets[decision.instrument], decision.terms
    if terms.trigger >= Trigger.TRAIL_TICKS or market.phase != Phase.CONTINUOUS:
        return False
    upward = wakes_upward(decision.side, terms.trigger)
    return reaches(market.last_ticks, terms.trigger_ticks, upward)


@kernel
def may_stay(books: Books, decision: Decision) -> bool:
    """Whether an order with terms, not of a list, may be there after its command."""
    phase, terms = books.markets[decision.instrument].phase, decision.terms
    if terms.trigger != Trigger.NONE and not wakes_now(books, decision):
        return True
    if phase != Phase.CONTINUOUS or decision.time_in_force >= TimeInForce.AT_OPEN:
        return True
    return decision.order_type == OrderType.LIMIT and not is_at_once(decision.time_in_force)


@kernel
def would_trade(books: Books, decision: Decision) -> bool:
    """Rule 9: whether a post-only order is to be refused because it would trade."""
    terms, instrument = decision.terms, decision.instrument
    if decision.flags & CommandFlag.POST_ONLY == 0:
        return False
    if books.markets[instrument].phase != Phase.CONTINUOUS:
        return False
    if terms.trigger != Trigger.NONE or terms.peg != Peg.NONE:
        return False
    if decision.time_in_force >= TimeInForce.AT_OPEN:
        return False
    if not crosses(books, instrument, decision.side, decision.price_ticks):
        return False
    if terms.instructions & Instruction.SLIDE:
        return slid_ticks(books, instrument, decision.side) == NO_TICKS
    return True


@kernel
def new_with_terms(books: Books, decision: Decision, out: Outbox) -> None:
    """A new order with terms."""
    reason = refusal(books, decision)
    if reason != RejectReason.NONE:
        refuse_order(out, decision, reason)
        return
    books.work.own_id = decision.order_id
    if decision.terms.list_kind != ListKind.NONE:
        slot = join_list(books, decision, out)
    else:
        accept_terms(out, decision)
        slot = admit(books, decision)
    if slot != NO_ORDER:
        enter(books, slot, 0, out)
