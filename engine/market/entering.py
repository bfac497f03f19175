"""How orders with terms come in: from a command, from a list, or woken.

`enter` is rules 3 to 11 of docs/matching.md, section 4. It makes the order wait, rest or end, or
makes it the taker, which then trades in `engine.trading.sweep`.
"""

from engine.book import Books, key_of, side_of
from engine.events import level_flag
from engine.limits import ALL_OR_NONE_MAX, CHUNK_TICKS, PEGS_MAX, TRAILING_MAX
from engine.market.ending import end_by_id, end_order, order_event, take_partner
from engine.market.looking import fillable
from engine.market.pegs import pegged_ticks
from engine.market.resting import enter_level, shown_total
from engine.market.rows import enlist
from engine.market.state import NO_TICKS, Roster
from engine.market.triggers import arm, begin_trailing, is_reached, trails
from engine.messages import (
    PLAIN_BYTES,
    EventKind,
    Instruction,
    OrderType,
    Peg,
    Phase,
    RejectReason,
    TimeInForce,
    Trigger,
)
from engine.orders import OrderFlag, Place
from engine.reference import step_down, step_up
from engine.stage import Outbox, copy_words
from engine.trading import prepare_taker
from ipc.jit import inlined, kernel


@inlined
def is_auction(phase: int) -> bool:
    """Whether an indicative price is published in the phase."""
    return (
        phase == Phase.OPENING_AUCTION
        or phase == Phase.VOLATILITY_AUCTION
        or phase == Phase.CLOSING_AUCTION
    )


@inlined
def collects(phase: int) -> bool:
    """Whether orders are collected without trading."""
    return phase == Phase.PRE_OPEN or is_auction(phase)


@kernel
def rest_special(books: Books, slot: int, price_ticks: int, out: Outbox) -> None:
    """RESTED: an order with a slot enters the book without trading."""
    order, detail = books.pool.orders[slot], books.details[slot]
    if not enter_level(books, slot, price_ticks):
        end_order(books, slot, RejectReason.BOOK_FULL.value, out)
        return
    detail.place = Place.BOOK
    if books.work.own_id == order.order_id:
        books.work.own_id = 0
    market = books.markets[order.instrument]
    market.entered = 1
    event = order_event(books, slot, EventKind.RESTED, level_flag(order.side), out)
    event.price_ticks = price_ticks
    number = order.price_key & (CHUNK_TICKS - 1)
    event.level_lots = shown_total(books, order.chunk, number, 1)


@kernel
def set_taker(books: Books, slot: int, price_ticks: int, own: int) -> None:
    """Make an order with a slot, in no level, the taker; it stays unless the caller says not.

    `own`: 1 for the command's own order that comes in for the first time.
    """
    taker, cause = books.taker, books.work.cause
    order, detail = books.pool.orders[slot], books.details[slot]
    copy_words(taker.address, cause.address, PLAIN_BYTES >> 3)
    if own == 0 or books.work.own_id != order.order_id:
        taker.order_type, taker.time_in_force = OrderType.LIMIT, TimeInForce.GTC
    taker.account, taker.instrument = order.account, order.instrument
    taker.order_id, taker.side, taker.group = order.order_id, order.side, order.group
    taker.prevention, taker.taker_rate = detail.prevention, detail.taker_rate
    taker.price_ticks, taker.qty_lots = price_ticks, order.qty_lots
    taker.leaves_lots, taker.total_lots = order.leaves_lots, order.qty_lots
    taker.limit_key = key_of(price_ticks, 1 - order.side)
    taker.order_slot, taker.stays = slot, 1
    prepare_taker(books)
    taker.linked = order.flags & (OrderFlag.LINKED | OrderFlag.PARENT)


@kernel
def start_taker(books: Books, slot: int, price_ticks: int, own: int, stays: int) -> None:
    """Let an order with a slot, in no level, trade up to a price."""
    set_taker(books, slot, price_ticks, own)
    books.details[slot].place = Place.NOWHERE
    books.taker.stays = stays
    books.taker.active = 1


@kernel
def enlist_up_to(books: Books, slot: int, roster: int, most: int, out: Outbox) -> bool:
    """Enter an order in a roster; with `most` in it already the order ends, and false."""
    instrument = books.pool.orders[slot].instrument
    if books.markets[instrument].rosters[roster].count >= most:
        end_order(books, slot, RejectReason.TOO_MANY_WAITING.value, out)
        return False
    enlist(books, slot, roster)
    return True


@kernel
def wait_for_price(books: Books, slot: int, out: Outbox) -> bool:
    """Rule 3: whether the order waits for its trigger (or has ended); else it is woken."""
    market = books.markets[books.pool.orders[slot].instrument]
    if trails(books, slot):
        if market.last_ticks == NO_TICKS:
            end_order(books, slot, RejectReason.NO_OPPOSITE.value, out)
            return True
        if market.rosters[Roster.TRAILING.value].count >= TRAILING_MAX:
            end_order(books, slot, RejectReason.TOO_MANY_WAITING.value, out)
            return True
        begin_trailing(books, slot)
    elif market.phase == Phase.CONTINUOUS and is_reached(books, slot, market.last_ticks):
        trigger(books, slot, out)
        return False
    if not arm(books, slot):
        end_order(books, slot, RejectReason.BOOK_FULL.value, out)
    return True


@kernel
def trigger(books: Books, slot: int, out: Outbox) -> None:
    """TRIGGERED: the order has its limit price from now on; its list partner ends."""
    order, detail = books.pool.orders[slot], books.details[slot]
    detail.fired = 1
    if detail.trail_limit != 0:
        price = detail.trigger_ticks + detail.offset_ticks
        worst = detail.limit_ticks
        price = min(price, worst) if order.side == 0 else max(price, worst)
        terms = books.terms[order.instrument]
        detail.limit_ticks = step_down(terms, price) if order.side == 0 else step_up(terms, price)
    event = order_event(books, slot, EventKind.TRIGGERED, 0, out)
    event.order_type, event.time_in_force = OrderType.LIMIT, TimeInForce.GTC
    event.price_ticks = detail.limit_ticks
    if order.flags & OrderFlag.LINKED:
        end_by_id(books, take_partner(books, slot), RejectReason.LIST_DONE.value, out)


@kernel
def wake(books: Books, slot: int, out: Outbox) -> None:
    """An order comes out of the queue of the woken."""
    detail = books.details[slot]
    detail.place = Place.NOWHERE
    books.work.references_known = 0
    if detail.fired != 0:
        trigger(books, slot, out)
    enter(books, slot, 1, out)


@kernel
def enter(books: Books, slot: int, woken: int, out: Outbox) -> None:
    """Rules 3 to 11: the order, which is nowhere, waits, rests, ends or becomes the taker."""
    order, detail = books.pool.orders[slot], books.details[slot]
    tif = detail.time_in_force
    if detail.trigger != Trigger.NONE and detail.fired == 0 and wait_for_price(books, slot, out):
        return
    phase = books.markets[order.instrument].phase
    for_close = tif == TimeInForce.AT_CLOSE and phase != Phase.CLOSING_AUCTION
    for_auction = tif == TimeInForce.AUCTION and phase == Phase.CONTINUOUS
    if for_close or for_auction:
        detail.place = Place.WAITING
        enlist(books, slot, Roster.WAITING.value)
    elif phase != Phase.CONTINUOUS:
        collect(books, slot, woken, out)
    elif detail.peg != Peg.NONE:
        if enlist_up_to(books, slot, Roster.PEGS.value, PEGS_MAX, out):
            detail.place = Place.PEGS_OUT
            place_peg(books, slot, 1)
    elif waits_whole(books, slot):
        set_taker(books, slot, detail.limit_ticks, 1)
        if fillable(books, order.leaves_lots):
            books.taker.active, books.taker.stays = 1, 0
        elif enlist_up_to(books, slot, Roster.ALL_OR_NONE.value, ALL_OR_NONE_MAX, out):
            detail.place = Place.ALL_OR_NONE
    else:
        trade_on_entry(books, slot, out)


@inlined
def waits_whole(books: Books, slot: int) -> bool:
    """Whether an all-or-none order waits until it can be filled."""
    detail = books.details[slot]
    if detail.instructions & Instruction.ALL_OR_NONE == 0:
        return False
    return detail.order_type == OrderType.LIMIT and not is_at_once(detail.time_in_force)


@inlined
def is_at_once(time_in_force: int) -> bool:
    """IOC or FOK."""
    return time_in_force == TimeInForce.IOC or time_in_force == TimeInForce.FOK


@kernel
def collect(books: Books, slot: int, woken: int, out: Outbox) -> None:
    """Rule 5: come in while nothing trades."""
    detail = books.details[slot]
    tif, order_type = detail.time_in_force, detail.order_type
    forbidden = is_at_once(tif) or order_type == OrderType.MARKET_TO_LIMIT
    if order_type == OrderType.MARKET:
        phase = books.markets[books.pool.orders[slot].instrument].phase
        forbidden = is_at_once(tif) or woken != 0 or not collects(phase)
    if forbidden:
        end_order(books, slot, RejectReason.PHASE_FORBIDS.value, out)
    elif detail.peg != Peg.NONE:
        if enlist_up_to(books, slot, Roster.PEGS.value, PEGS_MAX, out):
            detail.place = Place.PEGS_OUT
    elif detail.instructions & Instruction.ALL_OR_NONE:
        if enlist_up_to(books, slot, Roster.ALL_OR_NONE.value, ALL_OR_NONE_MAX, out):
            detail.place = Place.ALL_OR_NONE
    else:
        rest_special(books, slot, detail.limit_ticks, out)


@kernel
def place_peg(books: Books, slot: int, own: int) -> None:
    """Rule 6: a pegged order out of the book comes in at its price, if it has one."""
    price = pegged_ticks(books, slot)
    if price != NO_TICKS:
        start_taker(books, slot, price, own, 1)


@kernel
def trade_on_entry(books: Books, slot: int, out: Outbox) -> None:
    """Rules 8 to 11."""
    detail = books.details[slot]
    tif = detail.time_in_force
    set_taker(books, slot, detail.limit_ticks, 1)
    reason = RejectReason.NONE.value
    if tif == TimeInForce.AT_OPEN:
        reason = RejectReason.PHASE_FORBIDS.value
    elif detail.minimum_lots > 0 and not fillable(books, detail.minimum_lots):
        reason = RejectReason.MINIMUM_UNFILLABLE.value
    if reason == 0:
        reason = settle_limit(books, slot)
    whole = tif == TimeInForce.FOK or detail.instructions & Instruction.ALL_OR_NONE
    if reason == 0 and whole and not fillable(books, books.taker.leaves_lots):
        reason = RejectReason.FOK_UNFILLABLE.value
    if reason != 0:
        end_order(books, slot, reason, out)
        return
    books.taker.stays = detail.order_type == OrderType.LIMIT and not is_at_once(tif) and not whole
    books.taker.active = 1


@kernel
def settle_limit(books: Books, slot: int) -> int:
    """Rules 9 and 10: the limit at which the taker goes on; why it does not, or NONE."""
    order, detail, taker = books.pool.orders[slot], books.details[slot], books.taker
    opposite = side_of(books, order.instrument, 1 - order.side)
    crosses = opposite.best_key <= taker.limit_key
    # An amendment can make a held all-or-none order post-only; such an order never rests.
    rests = detail.instructions & Instruction.ALL_OR_NONE == 0
    if order.flags & OrderFlag.POST_ONLY and crosses and rests:
        price = NO_TICKS
        if detail.instructions & Instruction.SLIDE:
            price = slid_ticks(books, order.instrument, order.side)
        if price == NO_TICKS:
            return RejectReason.WOULD_TRADE.value
        detail.limit_ticks = taker.price_ticks = price
        taker.limit_key = key_of(price, 1 - order.side)
    elif detail.order_type == OrderType.MARKET_TO_LIMIT:
        if not crosses:
            return RejectReason.NO_OPPOSITE.value
        taker.limit_key = opposite.best_key
        taker.price_ticks = detail.limit_ticks = key_of(taker.limit_key, 1 - order.side)
        detail.order_type = OrderType.LIMIT
    return RejectReason.NONE.value


@kernel
def enter_again(books: Books, slot: int, out: Outbox) -> None:
    """An amended order, out of its level, trades up to its new price and rests."""
    set_taker(books, slot, books.details[slot].limit_ticks, 0)
    reason = settle_limit(books, slot)
    assert reason == 0, "enter_again: an amendment that would trade was not refused"
    books.taker.active = 1


@kernel
def slid_ticks(books: Books, instrument: int, side: int) -> int:
    """The best price at which an order of this side does not trade, NO_TICKS when none is valid."""
    terms = books.terms[instrument]
    best = key_of(side_of(books, instrument, 1 - side).best_key, 1 - side)
    price = step_down(terms, best - 1) if side == 0 else step_up(terms, best + 1)
    if price < terms.price_min_ticks or price > terms.price_max_ticks:
        return NO_TICKS
    return price
