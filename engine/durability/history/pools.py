"""Room for orders and their fills: taken, returned, and what gives way when there is none.

Ended orders leave in the order in which they ended, when there are too many of them, or earlier
when a pool is full: they give way before anything of an open order does.
"""

from engine.durability.history.state import (
    FILLS_PER_ORDER_MAX,
    NO_FILL,
    HistoryState,
    KeptOrder,
)
from engine.messages import EventFlag, TradeEvent
from engine.orders import NO_ORDER, has_room, return_slot, take_slot
from ipc.jit import inlined, kernel

# --- orders ------------------------------------------------------------------------------------


@inlined
def keep_order(history: HistoryState, order_id: int) -> int:
    """Room for an order; returns its index. Its fields are those of the one before."""
    if not has_room(history.orders):
        give_up_ended(history)
    assert has_room(history.orders), "history: more open orders than a venue can have"
    return take_slot(history.orders, order_id)


@inlined
def retire(history: HistoryState, index: int, state: int, dseq: int) -> None:
    """An order ends; the oldest ended one is forgotten when there are too many."""
    orders, ended = history.orders.orders, history.ended
    order = orders[index]
    order.state, order.leaves_lots, order.ended_dseq = state, 0, dseq
    order.next_ended = NO_ORDER
    if ended.count == 0:
        ended.first = index
    else:
        orders[ended.last].next_ended = index
    ended.last = index
    ended.count += 1
    if ended.count > ended.limit:
        forget_oldest(history)


@kernel
def forget_oldest(history: HistoryState) -> None:
    """Forget the order that ended longest ago, with its fills."""
    ended = history.ended
    index = ended.first
    order = history.orders.orders[index]
    ended.first = order.next_ended
    ended.count -= 1
    if ended.count == 0:
        ended.last = NO_ORDER
    if order.first_fill != NO_FILL:
        history.fills.fills[order.last_fill].next = history.fills.free
        history.fills.free = order.first_fill
    return_slot(history.orders, index)


@kernel
def give_up_ended(history: HistoryState) -> bool:
    """Forget an ended order before its time; whether there was one."""
    if history.ended.count == 0:
        return False
    history.ended.dropped += 1
    forget_oldest(history)
    return True


# --- fills -------------------------------------------------------------------------------------


@inlined
def add_fill(history: HistoryState, index: int, event: TradeEvent, rate: int, maker: int) -> None:
    """Keep a TRADE as the newest fill of an order, which may cost it its oldest one."""
    order = history.orders.orders[index]
    slot = NO_FILL
    if order.fills_kept < FILLS_PER_ORDER_MAX:
        slot = take_fill(history)
    if slot == NO_FILL:
        slot = shift_fill(history, order)
    if slot == NO_FILL:
        return
    kept = history.fills.fills[slot]
    kept.match_id, kept.price_ticks, kept.lots = event.match_id, event.price_ticks, event.qty_lots
    kept.next, kept.fee_rate, kept.maker = NO_FILL, rate, maker
    kept.auction = 1 if event.flags & EventFlag.AUCTION else 0
    if order.fills_kept == 0:
        order.first_fill = slot
    else:
        history.fills.fills[order.last_fill].next = slot
    order.last_fill = slot
    order.fills_kept += 1


@kernel
def take_fill(history: HistoryState) -> int:
    """Room for a fill; NO_FILL when there is none, though all ended orders were given up."""
    pool = history.fills
    while pool.free == NO_FILL and pool.used == pool.limit:
        if not give_up_ended(history):
            pool.dropped += 1
            return NO_FILL
    if pool.free == NO_FILL:
        pool.used += 1
        return pool.used
    slot = pool.free
    pool.free = pool.fills[slot].next
    return slot


@inlined
def shift_fill(history: HistoryState, order: KeptOrder) -> int:
    """The room of an order's own oldest fill; NO_FILL when none of its fills is kept."""
    slot = order.first_fill
    if slot != NO_FILL:
        order.first_fill = history.fills.fills[slot].next
        order.fills_kept -= 1
    return slot
