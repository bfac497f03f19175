"""How resting orders change: cancel, reduce in place, or leave the queue and come in again.

Called by the matching stage for each cancel and amendment. Only the account that sent an order
may name it. The rules stand in docs/matching.md.
"""

from engine.book import Books, key_of, unlink
from engine.events import change_event, level_flag, refuse_change
from engine.limits import CHUNK_TICKS
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
from engine.orders import NO_ORDER, find_order, return_slot
from engine.stage import Outbox, copy_words
from engine.trading import Taker, side_of, sweep
from ipc.jit import inlined, kernel


@inlined
def find_owned(books: Books, decision: Decision) -> int:
    """Slot of the live order that a cancel or amend names, if it is the sender's own."""
    index = find_order(books.pool, decision.order_id)
    if index != NO_ORDER:
        order = books.pool.orders[index]
        if order.account != decision.account or order.instrument != decision.instrument:
            return NO_ORDER
    return index


@inlined
def cancel_order(books: Books, decision: Decision, out: Outbox) -> None:
    """CANCELED, or CANCEL_REJECTED when the sender has no such order."""
    index = find_owned(books, decision)
    if index == NO_ORDER:
        refuse_change(out, decision, RejectReason.UNKNOWN_ORDER)
    else:
        remove_order(books, decision, index, RejectReason.CANCELED_BY_CLIENT, out)


@inlined
def remove_order(books: Books, decision: Decision, index: int, reason: int, out: Outbox) -> None:
    """End a resting order: CANCELED with its level."""
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
def amend_order(books: Books, taker: Taker, decision: Decision, out: Outbox) -> None:
    """REPLACED in place, or removed and sent in again at the new price and quantity."""
    index = find_owned(books, decision)
    if index == NO_ORDER:
        refuse_change(out, decision, RejectReason.UNKNOWN_ORDER)
        return
    order = books.pool.orders[index]
    filled = order.qty_lots - order.leaves_lots
    leaves = decision.qty_lots
    if decision.flags & CommandFlag.LEAVES == 0:
        leaves -= filled
    if leaves <= 0:
        remove_order(books, decision, index, RejectReason.REDUCED_TO_FILLED, out)
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
        requeue(books, taker, decision, index, leaves, out)
    else:
        reduce(books, decision, index, leaves, out)


@inlined
def reduce(books: Books, decision: Decision, index: int, leaves: int, out: Outbox) -> None:
    """Less quantity at the same price keeps its place in the queue."""
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
def requeue(
    books: Books, taker: Taker, decision: Decision, index: int, leaves: int, out: Outbox
) -> None:
    """Everything else goes to the back of the queue, and may trade on its way."""
    order = books.pool.orders[index]
    level_lots = unlink(books, side_of(books, order.instrument, order.side), index)
    copy_words(taker.address, decision.address, PLAIN_BYTES >> 3)
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
    sweep(books, taker, out)
