"""How orders change: cancel, reduce in place, or leave the queue and come in again.

Called by the matching stage for each cancel and amendment. Only the account that sent an order
may name it. What is not a plain order in plain trading is changed by `engine.market.changing`.
The rules stand in docs/matching.md.
"""

from engine.book import Books, crosses, key_of, side_of, unlink
from engine.events import change_event, level_flag, refuse_change
from engine.limits import CHUNK_TICKS
from engine.messages import (
    CommandFlag,
    Decision,
    EventKind,
    OrderType,
    RejectReason,
    TimeInForce,
)
from engine.orders import NO_ORDER, OrderFlag, find_order, return_slot
from engine.stage import Outbox, copy_words
from engine.trading import DECISION_WORDS, prepare_taker, sweep
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
def remove_order(books: Books, decision: Decision, index: int, reason: int, out: Outbox) -> None:
    """End a plain order: CANCELED with its level."""
    order = books.pool.orders[index]
    level_lots = unlink(books, side_of(books, order.instrument, order.side), index)
    event = change_event(out, decision, EventKind.CANCELED, level_flag(order.side))
    event.reason, event.side = reason, order.side
    event.price_ticks = key_of(order.price_key, order.side)
    event.qty_lots, event.leaves_lots = order.qty_lots, order.leaves_lots
    event.level_lots = level_lots
    return_slot(books.pool, index)


@inlined
def leaves_wanted(books: Books, decision: Decision, index: int) -> int:
    """The open quantity that an amendment asks for; 0 or less ends the order."""
    if decision.flags & CommandFlag.LEAVES:
        return decision.qty_lots
    order = books.pool.orders[index]
    return decision.qty_lots - (order.qty_lots - order.leaves_lots)


@kernel
def amend_plain(books: Books, decision: Decision, index: int, out: Outbox) -> None:
    """REPLACED in place, or removed and sent in again at the new price and quantity."""
    order = books.pool.orders[index]
    leaves = leaves_wanted(books, decision, index)
    if leaves <= 0:
        remove_order(books, decision, index, RejectReason.REDUCED_TO_FILLED, out)
        return
    key = key_of(decision.price_ticks, order.side)
    moves = key != order.price_key or leaves > order.leaves_lots
    if decision.flags & CommandFlag.REQUEUE:
        moves = True
    post_only = order.flags & OrderFlag.POST_ONLY
    if post_only != 0 or decision.flags & CommandFlag.POST_ONLY:
        if crosses(books, order.instrument, order.side, decision.price_ticks):
            refuse_change(out, decision, RejectReason.WOULD_TRADE)
            return
        order.flags |= OrderFlag.POST_ONLY
    if moves:
        requeue(books, decision, index, leaves, out)
    else:
        reduce(books, decision, index, leaves, out)


@inlined
def reduce(books: Books, decision: Decision, index: int, leaves: int, out: Outbox) -> None:
    """Less quantity at the same price keeps its place in the queue."""
    order = books.pool.orders[index]
    level = books.chunks[order.chunk].levels[order.price_key & (CHUNK_TICKS - 1)]
    level.lots -= order.leaves_lots - leaves
    order.qty_lots -= order.leaves_lots - leaves
    order.leaves_lots, order.maker_rate = leaves, decision.maker_rate
    event = change_event(out, decision, EventKind.REPLACED, level_flag(order.side))
    event.side = order.side
    event.price_ticks = event.previous_price_ticks = decision.price_ticks
    event.qty_lots, event.leaves_lots = order.qty_lots, leaves
    event.level_lots = level.lots


@inlined
def requeue(books: Books, decision: Decision, index: int, leaves: int, out: Outbox) -> None:
    """Everything else goes to the back of the queue, and may trade on its way."""
    order, taker = books.pool.orders[index], books.taker
    level_lots = unlink(books, side_of(books, order.instrument, order.side), index)
    copy_words(taker.address, decision.address, DECISION_WORDS)
    taker.side, taker.group = order.side, order.group
    order.maker_rate = decision.maker_rate
    taker.order_type, taker.time_in_force = OrderType.LIMIT, TimeInForce.GTC
    taker.total_lots = order.qty_lots - order.leaves_lots + leaves
    taker.leaves_lots = leaves
    taker.limit_key = key_of(decision.price_ticks, 1 - order.side)
    taker.order_slot, taker.stays = index, 1
    prepare_taker(books)
    event = change_event(out, decision, EventKind.REPLACED, level_flag(order.side))
    event.side, event.price_ticks = order.side, decision.price_ticks
    event.previous_price_ticks = key_of(order.price_key, order.side)
    event.qty_lots, event.leaves_lots = taker.total_lots, leaves
    event.level_lots = level_lots
    sweep(books, out)
