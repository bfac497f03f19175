"""How orders trade: a new order meets the other side by price and then time, the rest may rest.

Called by the matching stage for each new order, and by an amendment that gives up its place. One
call makes at most FILLS_PER_STEP_MAX fills: a longer sweep stays in the taker, which is kept in
shared memory, and goes on in the next step. The rules stand in docs/matching.md.
"""

from engine.book import (
    NO_CHUNK,
    Books,
    SideBook,
    can_fill,
    can_rest,
    close_level,
    key_of,
    link,
)
from engine.events import accept, change_event, level_flag, refuse_order, trade_event
from engine.limits import CHUNK_TICKS, FILLS_PER_STEP_MAX
from engine.messages import (
    PLAIN_BYTES,
    CommandFlag,
    Decision,
    EventFlag,
    EventKind,
    OrderType,
    RejectReason,
    TimeInForce,
)
from engine.orders import NO_ORDER, has_room, return_slot, take_slot
from engine.stage import Outbox, copy_words
from ipc.jit import inlined, kernel
from ipc.record import CACHE_LINE_BYTES, i64


class Taker(Decision, align=CACHE_LINE_BYTES):
    """The order that is trading: a copy of its decision, and how far it has come.

    Survives a step only while a sweep is longer than one slice.
    """

    active: i64
    "1 while the sweep is to be continued."
    leaves_lots: i64
    limit_key: i64
    "The worst key of the opposite side that it may trade with."
    order_slot: i64
    "Slot of an amended order, which keeps it; NO_ORDER for a new one."
    total_lots: i64
    "Quantity of the whole order, fills before an amendment included."
    post_only: i64


@inlined
def side_of(books: Books, instrument: int, side: int) -> SideBook:
    """One side of one book."""
    return books.sides[instrument * 2 + side]


@inlined
def new_order(books: Books, taker: Taker, decision: Decision, out: Outbox) -> None:
    """Rest a passive limit order at once; hand everything else on."""
    side = decision.side
    limit_key = key_of(decision.price_ticks, 1 - side)
    crosses = side_of(books, decision.instrument, 1 - side).best_key <= limit_key
    if crosses or not may_rest(decision):
        aggress(books, taker, decision, limit_key, out)
        return
    own = side_of(books, decision.instrument, side)
    key = key_of(decision.price_ticks, side)
    chunk = NO_CHUNK
    if has_room(books.pool):
        chunk = can_rest(books, own, key, decision.qty_lots)
    if chunk == NO_CHUNK:
        refuse_order(out, decision, RejectReason.BOOK_FULL)
        return
    index = take_slot(books.pool, decision.order_id)
    order = books.pool.orders[index]
    order.price_key, order.side = key, side
    order.leaves_lots = order.qty_lots = decision.qty_lots
    order.account, order.instrument = decision.account, decision.instrument
    order.post_only = decision.flags & CommandFlag.POST_ONLY
    level_lots = link(books, own, index, chunk)
    accept(out, decision, EventFlag.LAST | level_flag(side), level_lots)


@inlined
def may_rest(order: Decision) -> bool:
    """Whether what is left of an order may enter the book."""
    return order.order_type == OrderType.LIMIT and order.time_in_force == TimeInForce.GTC


@kernel
def aggress(books: Books, taker: Taker, decision: Decision, limit_key: int, out: Outbox) -> None:
    """A new order that trades at once or never rests."""
    lots = decision.qty_lots
    opposite = side_of(books, decision.instrument, 1 - decision.side)
    if may_rest(decision):
        if decision.flags & CommandFlag.POST_ONLY:
            refuse_order(out, decision, RejectReason.WOULD_TRADE)
            return
        if not has_room(books.pool):
            refuse_order(out, decision, RejectReason.BOOK_FULL)
            return
    accept(out, decision, 0, 0)
    if decision.time_in_force == TimeInForce.FOK and not can_fill(books, opposite, limit_key, lots):
        end_unfilled(decision, lots, lots, RejectReason.FOK_UNFILLABLE, out)
        return
    copy_words(taker.address, decision.address, PLAIN_BYTES >> 3)
    taker.leaves_lots = taker.total_lots = lots
    taker.limit_key = limit_key
    taker.order_slot = NO_ORDER
    taker.post_only = 0
    sweep(books, taker, out)


@kernel
def end_unfilled(order: Decision, total_lots: int, leaves: int, reason: int, out: Outbox) -> None:
    """CANCELED for an order that is not in the book."""
    event = change_event(out, order, EventKind.CANCELED, EventFlag.LAST)
    event.side, event.order_type = order.side, order.order_type
    event.time_in_force, event.reason = order.time_in_force, reason
    event.price_ticks, event.qty_lots, event.leaves_lots = order.price_ticks, total_lots, leaves


@kernel
def sweep(books: Books, taker: Taker, out: Outbox) -> None:
    """Let the taker trade, at most FILLS_PER_STEP_MAX fills; then rest or end what is left."""
    opposite = side_of(books, taker.instrument, 1 - taker.side)
    fills = 0
    while taker.leaves_lots > 0 and opposite.best_key <= taker.limit_key:
        if fills == FILLS_PER_STEP_MAX:
            taker.active = 1
            return
        fill_best(books, taker, opposite, out)
        fills += 1
    taker.active = 0
    if taker.leaves_lots > 0:
        settle_rest(books, taker, out)
    elif taker.order_slot != NO_ORDER:
        return_slot(books.pool, taker.order_slot)


@inlined
def fill_best(books: Books, taker: Taker, opposite: SideBook, out: Outbox) -> None:
    """One trade between the taker and the first order of the best level."""
    key = opposite.best_key
    number = key & (CHUNK_TICKS - 1)
    chunk_index = opposite.chunks[opposite.count - 1]
    level = books.chunks[chunk_index].levels[number]
    maker_slot = level.head
    maker = books.pool.orders[maker_slot]
    assert maker.price_key == key, "fill_best: the order is at another level"
    lots = min(maker.leaves_lots, taker.leaves_lots)
    maker.leaves_lots -= lots
    taker.leaves_lots -= lots
    level.lots -= lots
    books.match_id += 1
    flags = level_flag(maker.side)
    if taker.leaves_lots == 0:
        flags |= EventFlag.LAST
    event = trade_event(out, taker, flags)
    event.price_ticks, event.qty_lots = key_of(key, maker.side), lots
    event.level_lots, event.leaves_lots = level.lots, taker.leaves_lots
    event.maker_order_id, event.maker_leaves_lots = maker.order_id, maker.leaves_lots
    event.maker_account, event.match_id = maker.account, books.match_id
    if maker.leaves_lots == 0:
        level.head = maker.next
        if level.head == NO_ORDER:
            assert level.lots == 0, "fill_best: an empty level has quantity"
            close_level(books, opposite, chunk_index, number)
        else:
            books.pool.orders[level.head].previous = NO_ORDER
        return_slot(books.pool, maker_slot)


@kernel
def settle_rest(books: Books, taker: Taker, out: Outbox) -> None:
    """The taker has quantity left and nobody to trade with: rest it or end it."""
    own = side_of(books, taker.instrument, taker.side)
    key = key_of(taker.price_ticks, taker.side)
    reason = RejectReason.IOC_REMAINDER.value
    chunk = NO_CHUNK
    if may_rest(taker):
        reason = RejectReason.BOOK_FULL.value
        chunk = can_rest(books, own, key, taker.leaves_lots)
    if chunk == NO_CHUNK:
        if taker.order_slot != NO_ORDER:
            return_slot(books.pool, taker.order_slot)
        end_unfilled(taker, taker.total_lots, taker.leaves_lots, reason, out)
        return
    index = taker.order_slot
    if index == NO_ORDER:
        index = take_slot(books.pool, taker.order_id)
    order = books.pool.orders[index]
    order.price_key, order.side = key, taker.side
    order.leaves_lots, order.qty_lots = taker.leaves_lots, taker.total_lots
    order.account, order.instrument = taker.account, taker.instrument
    order.post_only = taker.post_only
    level_lots = link(books, own, index, chunk)
    flags = EventFlag.LAST | level_flag(taker.side)
    event = change_event(out, taker, EventKind.RESTED, flags)
    event.side, event.price_ticks = taker.side, taker.price_ticks
    event.qty_lots, event.leaves_lots = taker.total_lots, taker.leaves_lots
    event.level_lots = level_lots
