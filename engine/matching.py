"""The matching stage: decisions in, events out, by price and then time.

Matching owns the books. It is a pure function of the decisions: the same decisions give the
same events, whatever the batching, the layout or the clock. One command makes at most
EVENTS_PER_SLICE_MAX events in one step; a longer sweep goes on in the next step, before the
next command. The rules stand in docs/matching.md, with their naive twin in tests/twin.
"""

from typing import Final

from engine.book import (
    NO_CHUNK,
    Books,
    SideBook,
    can_fill,
    can_rest,
    close_level,
    create_books,
    key_of,
    link,
    unlink,
)
from engine.events import (
    accept,
    change_event,
    level_flag,
    refuse,
    refuse_change,
    refuse_order,
    trade_event,
)
from engine.limits import (
    CHUNK_TICKS,
    CHUNKS_MAX,
    EVENTS_PER_SLICE_MAX,
    FILLS_PER_STEP_MAX,
    ORDERS_MAX,
)
from engine.messages import (
    CommandFlag,
    CommandKind,
    Decision,
    EventFlag,
    EventKind,
    OrderType,
    RejectReason,
    TimeInForce,
)
from engine.orders import NO_ORDER, find_order, has_room, return_slot, take_slot
from engine.stage import (
    Outbox,
    Telemetry,
    copy_words,
    count_batch,
    deliver,
    open_outbox,
)
from ipc.jit import inlined, kernel
from ipc.record import CACHE_LINE_BYTES, Record, i64
from ipc.ring import Inbox, consume, ready, slot

EVENTS_CLAIMED_MAX: Final = 4 * EVENTS_PER_SLICE_MAX
"""Event slots a step asks for; it stops taking commands when a slice might not fit."""


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


class MatchingState(Record, align=CACHE_LINE_BYTES):
    """Everything matching remembers."""

    match_id: i64
    "The last trade's number."
    decided: i64
    "dseq of the last decision taken."
    taker: Taker
    books: Books


class MatchingPorts(Record):
    """The rings of the matching stage; process-local."""

    decisions: Inbox
    events: Outbox
    telemetry: Telemetry


def create_matching(
    state: MatchingState, orders_limit: int = ORDERS_MAX - 1, chunks_limit: int = CHUNKS_MAX - 1
) -> None:
    """Set up zeroed memory; the limits bound live orders and price chunks."""
    create_books(state.books, orders_limit, chunks_limit)


@inlined
def side_of(books: Books, instrument: int, side: int) -> SideBook:
    """One side of one book."""
    return books.sides[instrument * 2 + side]


# --- new orders ------------------------------------------------------------------------------


@inlined
def new_order(state: MatchingState, decision: Decision, out: Outbox) -> None:
    """Rest a passive limit order at once; hand everything else on."""
    books, side = state.books, decision.side
    limit_key = key_of(decision.price_ticks, 1 - side)
    crosses = side_of(books, decision.instrument, 1 - side).best_key <= limit_key
    if crosses or not may_rest(decision):
        aggress(state, decision, limit_key, out)
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
def aggress(state: MatchingState, decision: Decision, limit_key: int, out: Outbox) -> None:
    """A new order that trades at once or never rests."""
    books, lots = state.books, decision.qty_lots
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
    taker = state.taker
    copy_words(taker.address, decision.address, Decision.size >> 3)
    taker.leaves_lots = taker.total_lots = lots
    taker.limit_key = limit_key
    taker.order_slot = NO_ORDER
    taker.post_only = 0
    sweep(state, out)


@kernel
def end_unfilled(order: Decision, total_lots: int, leaves: int, reason: int, out: Outbox) -> None:
    """CANCELED for an order that is not in the book."""
    event = change_event(out, order, EventKind.CANCELED, EventFlag.LAST)
    event.side, event.order_type = order.side, order.order_type
    event.time_in_force, event.reason = order.time_in_force, reason
    event.price_ticks, event.qty_lots, event.leaves_lots = order.price_ticks, total_lots, leaves


# --- trading ---------------------------------------------------------------------------------


@kernel
def sweep(state: MatchingState, out: Outbox) -> None:
    """Let the taker trade, at most FILLS_PER_STEP_MAX fills; then rest or end what is left."""
    books, taker = state.books, state.taker
    opposite = side_of(books, taker.instrument, 1 - taker.side)
    fills = 0
    while taker.leaves_lots > 0 and opposite.best_key <= taker.limit_key:
        if fills == FILLS_PER_STEP_MAX:
            taker.active = 1
            return
        fill_best(state, opposite, out)
        fills += 1
    taker.active = 0
    if taker.leaves_lots > 0:
        settle_rest(state, out)
    elif taker.order_slot != NO_ORDER:
        return_slot(books.pool, taker.order_slot)


@inlined
def fill_best(state: MatchingState, opposite: SideBook, out: Outbox) -> None:
    """One trade between the taker and the first order of the best level."""
    books, taker = state.books, state.taker
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
    state.match_id += 1
    flags = level_flag(maker.side)
    if taker.leaves_lots == 0:
        flags |= EventFlag.LAST
    event = trade_event(out, taker, flags)
    event.price_ticks, event.qty_lots = key_of(key, maker.side), lots
    event.level_lots, event.leaves_lots = level.lots, taker.leaves_lots
    event.maker_order_id, event.maker_leaves_lots = maker.order_id, maker.leaves_lots
    event.maker_account, event.match_id = maker.account, state.match_id
    if maker.leaves_lots == 0:
        level.head = maker.next
        if level.head == NO_ORDER:
            assert level.lots == 0, "fill_best: an empty level has quantity"
            close_level(books, opposite, chunk_index, number)
        else:
            books.pool.orders[level.head].previous = NO_ORDER
        return_slot(books.pool, maker_slot)


@kernel
def settle_rest(state: MatchingState, out: Outbox) -> None:
    """The taker has quantity left and nobody to trade with: rest it or end it."""
    books, taker = state.books, state.taker
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


# --- cancel and amend ------------------------------------------------------------------------


@inlined
def find_owned(state: MatchingState, decision: Decision) -> int:
    """Slot of the live order that a cancel or amend names, if it is the sender's own."""
    index = find_order(state.books.pool, decision.order_id)
    if index != NO_ORDER:
        order = state.books.pool.orders[index]
        if order.account != decision.account or order.instrument != decision.instrument:
            return NO_ORDER
    return index


@inlined
def cancel_order(state: MatchingState, decision: Decision, out: Outbox) -> None:
    """CANCELED, or CANCEL_REJECTED when the sender has no such order."""
    index = find_owned(state, decision)
    if index == NO_ORDER:
        refuse_change(out, decision, RejectReason.UNKNOWN_ORDER)
    else:
        remove_order(state, decision, index, RejectReason.CANCELED_BY_CLIENT, out)


@inlined
def remove_order(
    state: MatchingState, decision: Decision, index: int, reason: int, out: Outbox
) -> None:
    """End a resting order: CANCELED with its level."""
    books = state.books
    order = books.pool.orders[index]
    level_lots = unlink(books, side_of(books, order.instrument, order.side), index)
    flags = EventFlag.LAST | level_flag(order.side)
    event = change_event(out, decision, EventKind.CANCELED, flags)
    event.reason, event.side = reason, order.side
    event.price_ticks = key_of(order.price_key, order.side)
    event.qty_lots, event.leaves_lots = order.qty_lots, order.leaves_lots
    event.level_lots = level_lots
    return_slot(books.pool, index)


@kernel
def amend_order(state: MatchingState, decision: Decision, out: Outbox) -> None:
    """REPLACED in place, or removed and sent in again at the new price and quantity."""
    index = find_owned(state, decision)
    if index == NO_ORDER:
        refuse_change(out, decision, RejectReason.UNKNOWN_ORDER)
        return
    books = state.books
    order = books.pool.orders[index]
    filled = order.qty_lots - order.leaves_lots
    leaves = decision.qty_lots
    if decision.flags & CommandFlag.LEAVES == 0:
        leaves -= filled
    if leaves <= 0:
        remove_order(state, decision, index, RejectReason.REDUCED_TO_FILLED, out)
        return
    key = key_of(decision.price_ticks, order.side)
    moves = key != order.price_key or leaves > order.leaves_lots
    if decision.flags & CommandFlag.REQUEUE:
        moves = True
    if order.post_only != 0 or decision.flags & CommandFlag.POST_ONLY:
        opposite = side_of(books, order.instrument, 1 - order.side)
        if opposite.best_key <= key_of(decision.price_ticks, 1 - order.side):
            refuse_change(out, decision, RejectReason.WOULD_TRADE)
            return
        order.post_only = 1
    if moves:
        requeue(state, decision, index, leaves, out)
    else:
        reduce(state, decision, index, leaves, out)


@inlined
def reduce(state: MatchingState, decision: Decision, index: int, leaves: int, out: Outbox) -> None:
    """Less quantity at the same price keeps its place in the queue."""
    books = state.books
    order = books.pool.orders[index]
    level = books.chunks[order.chunk].levels[order.price_key & (CHUNK_TICKS - 1)]
    level.lots -= order.leaves_lots - leaves
    order.qty_lots -= order.leaves_lots - leaves
    order.leaves_lots = leaves
    flags = EventFlag.LAST | level_flag(order.side)
    event = change_event(out, decision, EventKind.REPLACED, flags)
    event.side = order.side
    event.price_ticks = event.previous_price_ticks = decision.price_ticks
    event.qty_lots, event.leaves_lots = order.qty_lots, leaves
    event.level_lots = level.lots


@inlined
def requeue(state: MatchingState, decision: Decision, index: int, leaves: int, out: Outbox) -> None:
    """Everything else goes to the back of the queue, and may trade on its way."""
    books, taker = state.books, state.taker
    order = books.pool.orders[index]
    level_lots = unlink(books, side_of(books, order.instrument, order.side), index)
    copy_words(taker.address, decision.address, Decision.size >> 3)
    taker.side = order.side
    taker.order_type, taker.time_in_force = OrderType.LIMIT, TimeInForce.GTC
    taker.total_lots = order.qty_lots - order.leaves_lots + leaves
    taker.leaves_lots = leaves
    taker.limit_key = key_of(decision.price_ticks, 1 - order.side)
    taker.order_slot, taker.post_only = index, order.post_only
    event = change_event(out, decision, EventKind.REPLACED, level_flag(order.side))
    event.side, event.price_ticks = order.side, decision.price_ticks
    event.previous_price_ticks = key_of(order.price_key, order.side)
    event.qty_lots, event.leaves_lots = taker.total_lots, leaves
    event.level_lots = level_lots
    sweep(state, out)


# --- the stage -------------------------------------------------------------------------------


@inlined
def execute(state: MatchingState, decision: Decision, out: Outbox) -> None:
    """One decision."""
    kind = decision.kind
    state.decided = decision.sequence
    if decision.reason != RejectReason.NONE:
        refuse(out, decision, decision.reason)
    elif kind == CommandKind.NEW:
        new_order(state, decision, out)
    elif kind == CommandKind.CANCEL:
        cancel_order(state, decision, out)
    else:
        assert kind == CommandKind.AMEND, "execute: an accepted decision of unknown kind"
        amend_order(state, decision, out)


@kernel
def step_matching(state: MatchingState, ports: MatchingPorts, message_max: int) -> int:
    """Execute up to `message_max` decisions; returns how much was done (0: nothing to do)."""
    inbox, out = ports.decisions, ports.events
    waiting = ready(inbox.ring, inbox.cursor, message_max)
    if waiting == 0 and state.taker.active == 0:
        return 0
    room = open_outbox(out, EVENTS_CLAIMED_MAX)
    if room < EVENTS_PER_SLICE_MAX:
        ports.telemetry.statistics.blocked += 1
        return 0
    if state.taker.active != 0:
        sweep(state, out)
    taken = 0
    first = inbox.cursor.position
    while taken < waiting and state.taker.active == 0:
        if out.claimed - out.pending < EVENTS_PER_SLICE_MAX:
            break
        execute(state, Decision(slot(inbox.ring, first + taken)), out)
        taken += 1
    progress = taken + out.pending
    now = deliver(out, ports.telemetry)
    count_batch(inbox, taken, now, ports.telemetry)
    consume(inbox.cursor, taken)
    return progress
