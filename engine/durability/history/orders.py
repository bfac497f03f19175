"""What each event does to the orders that it names: the rules of a gateway's view, compiled.

All functions are called by `note_event` with the events of one shard in order.
"""

from typing import Final

from engine.durability.history.pools import add_fill, keep_order, retire
from engine.durability.history.state import (
    LOW_BITS,
    TERM_WORDS,
    HistoryState,
    KeptOrder,
    OrderPlace,
    OrderState,
)
from engine.limits import INSTRUMENTS_MAX
from engine.messages import (
    ChangeEvent,
    EventFlag,
    ListKind,
    OrderEvent,
    OrderType,
    RejectReason,
    TermsEvent,
    TradeEvent,
)
from engine.orders import NO_ORDER, find_order
from engine.stage import copy_words
from ipc.intrinsics import multiply_wrapping, scale
from ipc.jit import inlined, kernel

LOW_MASK: Final = (1 << LOW_BITS) - 1

LEVEL_FLAGS: Final = int(EventFlag.LEVEL_BID | EventFlag.LEVEL_ASK)


@inlined
def low_of(price_ticks: int, lots: int) -> int:
    """The low word of a product."""
    return multiply_wrapping(price_ticks, lots) & LOW_MASK


@inlined
def high_of(price_ticks: int, lots: int) -> int:
    """The high word of a product."""
    return scale(price_ticks, lots, LOW_BITS)


@inlined
def known(history: HistoryState, order_id: int) -> int:
    """Index of an order that lives."""
    index = find_order(history.orders, order_id)
    assert index != NO_ORDER, "history: an event of an order that was never accepted"
    assert history.orders.orders[index].state == OrderState.OPEN, "history: the order has ended"
    return index


@inlined
def touch(order: KeptOrder, event: ChangeEvent) -> None:
    """Note the event that changed an order last."""
    order.updated_ns, order.sequence = event.time_ns, event.sequence


# --- the beginning -----------------------------------------------------------------------------


@inlined
def begin_order(history: HistoryState, event: OrderEvent) -> int:
    """Keep a new order as it was sent; returns its index."""
    index = keep_order(history, event.order_id)
    order = history.orders.orders[index]
    for word in range(len(event.client_order_id)):
        order.client_order_id[word] = event.client_order_id[word]
    order.account, order.instrument = event.account, event.instrument
    order.side, order.order_type = event.side, event.order_type
    order.time_in_force, order.flags = event.time_in_force, event.flags
    order.state, order.place = OrderState.OPEN, OrderPlace.IN_BOOK
    order.triggered = 0
    order.has_price = 1 if event.order_type == OrderType.LIMIT else 0
    order.price_ticks = order.resting_ticks = event.price_ticks
    order.qty_lots = order.leaves_lots = event.qty_lots
    order.cum_lots = order.traded_low = order.traded_high = order.fill_count = 0
    order.time_ns = order.updated_ns = event.time_ns
    order.sequence, order.ended_dseq, order.reason = event.sequence, 0, 0
    order.display_now_lots = 0
    order.fills_kept = order.first_fill = order.last_fill = order.next_ended = 0
    if event.flags & EventFlag.TERMS:
        begin_terms(history, index, TermsEvent(event.address))
    return index


@kernel
def begin_terms(history: HistoryState, index: int, event: TermsEvent) -> None:
    """The same of an order's terms."""
    kept = history.terms[index]
    copy_words(kept.terms.address, event.terms.address, TERM_WORDS)
    kept.trigger_now_ticks = event.terms.trigger_ticks
    kept.first_id = kept.second_id = kept.third_id = 0
    order = history.orders.orders[index]
    order.display_now_lots = event.terms.display_lots
    order.place = OrderPlace.WAITING
    if event.terms.list_kind != ListKind.NONE:
        order.place = OrderPlace.HELD


@inlined
def accepted(history: HistoryState, event: TermsEvent) -> None:
    """ACCEPTED."""
    index = begin_order(history, event)
    if history.orders.orders[index].place == OrderPlace.HELD:
        join_list(history, index, event)


@kernel
def rejected(history: HistoryState, event: OrderEvent) -> None:
    """REJECTED; a duplicate carries the id of the first order, a malformed order has none."""
    if event.order_id == 0 or event.reason == RejectReason.DUPLICATE_CLIENT_ORDER_ID:
        return
    index = begin_order(history, event)
    history.orders.orders[index].reason = event.reason
    retire(history, index, OrderState.REJECTED.value, event.dseq)


# --- lists -------------------------------------------------------------------------------------


@kernel
def join_list(history: HistoryState, index: int, event: TermsEvent) -> None:
    """An order of a list; with the last one the list begins."""
    held = history.lists[event.source * INSTRUMENTS_MAX + event.instrument]
    if event.terms.list_index == 0:
        held.count = 0  # what was there has been cancelled
    held.order_ids[held.count] = event.order_id
    held.count += 1
    is_bracket = event.terms.list_kind == ListKind.BRACKET
    if held.count < 2 + is_bracket:
        return
    first, second = held.order_ids[0], held.order_ids[1]
    third = held.order_ids[2] if is_bracket else 0
    entering = 2 if event.terms.list_kind == ListKind.OCO else 1
    for place in range(held.count):
        slot = known(history, held.order_ids[place])
        kept = history.terms[slot]
        kept.first_id, kept.second_id, kept.third_id = first, second, third
        if place < entering:
            history.orders.orders[slot].place = OrderPlace.WAITING
    held.count = 0


@kernel
def release_followers(history: HistoryState, index: int) -> None:
    """The first order of a list is filled: those that were held for it enter."""
    kept = history.terms[index]
    leads = kept.first_id == history.orders.orders[index].order_id
    if not leads or kept.terms.list_kind == ListKind.OCO:
        return
    release(history, kept.second_id)
    release(history, kept.third_id)


@kernel
def release(history: HistoryState, order_id: int) -> None:
    """An order, if it is held, enters."""
    index = find_order(history.orders, order_id)
    if order_id != 0 and index != NO_ORDER:
        order = history.orders.orders[index]
        if order.place == OrderPlace.HELD:
            order.place = OrderPlace.WAITING


# --- changes -----------------------------------------------------------------------------------


@inlined
def traded(history: HistoryState, event: TradeEvent) -> None:
    """TRADE, for both orders."""
    fill(history, event, event.order_id, event.leaves_lots, event.fee_rate, 0)
    fill(history, event, event.maker_order_id, event.maker_leaves_lots, event.maker_fee_rate, 1)


@kernel
def fill(
    history: HistoryState, event: TradeEvent, order_id: int, leaves: int, rate: int, maker: int
) -> None:
    """TRADE, for one of its orders."""
    index = known(history, order_id)
    order = history.orders.orders[index]
    price, lots = event.price_ticks, event.qty_lots
    low = order.traded_low + low_of(price, lots)
    order.traded_low = low & LOW_MASK
    order.traded_high += high_of(price, lots) + (low >> LOW_BITS)
    order.cum_lots += lots
    order.fill_count += 1
    order.leaves_lots = leaves
    order.place = OrderPlace.IN_BOOK
    order.updated_ns, order.sequence = event.time_ns, event.sequence
    add_fill(history, index, event, rate, maker)
    if leaves == 0:
        if order.flags & EventFlag.TERMS:
            release_followers(history, index)
        retire(history, index, OrderState.FILLED.value, event.dseq)


@inlined
def rested(history: HistoryState, event: ChangeEvent) -> None:
    """RESTED."""
    order = history.orders.orders[known(history, event.order_id)]
    assert order.leaves_lots == event.leaves_lots, "history: a fill was lost"
    order.place, order.resting_ticks = OrderPlace.IN_BOOK, event.price_ticks
    if order.order_type == OrderType.MARKET_TO_LIMIT:
        order.price_ticks, order.has_price = event.price_ticks, 1  # found just now
    touch(order, event)


@inlined
def canceled(history: HistoryState, event: ChangeEvent) -> None:
    """CANCELED."""
    index = known(history, event.order_id)
    order = history.orders.orders[index]
    assert order.leaves_lots == event.leaves_lots, "history: a fill was lost"
    order.reason = event.reason
    touch(order, event)
    retire(history, index, OrderState.CANCELED.value, event.dseq)


@inlined
def replaced(history: HistoryState, event: ChangeEvent) -> None:
    """REPLACED."""
    index = known(history, event.order_id)
    order = history.orders.orders[index]
    order.display_now_lots = event.display_lots
    if event.trigger_ticks != 0:
        history.terms[index].trigger_now_ticks = event.trigger_ticks
    in_place = event.flags & LEVEL_FLAGS and event.price_ticks == event.previous_price_ticks
    if not in_place:  # else it is the price at which it rests, which need not be its limit
        order.price_ticks = event.price_ticks
    order.qty_lots, order.leaves_lots = event.qty_lots, event.leaves_lots
    touch(order, event)
    assert order.leaves_lots + order.cum_lots == order.qty_lots, "history: a fill was lost"


@kernel
def triggered(history: HistoryState, event: ChangeEvent) -> None:
    """TRIGGERED."""
    order = history.orders.orders[known(history, event.order_id)]
    order.triggered = 1
    order.price_ticks = event.price_ticks
    touch(order, event)


@kernel
def left_level(history: HistoryState, event: ChangeEvent) -> None:
    """LEVEL: a peg left its level; it rests anew at once, or waits for its reference."""
    if event.order_id != 0:
        order = history.orders.orders[known(history, event.order_id)]
        order.place = OrderPlace.WAITING
        touch(order, event)


@kernel
def prevented(history: HistoryState, event: TradeEvent) -> None:
    """PREVENTED, for both orders."""
    lose(history, event, event.order_id, event.leaves_lots)
    lose(history, event, event.maker_order_id, event.maker_leaves_lots)


@kernel
def lose(history: HistoryState, event: TradeEvent, order_id: int, leaves: int) -> None:
    """PREVENTED, for one of its orders."""
    order = history.orders.orders[known(history, order_id)]
    order.leaves_lots = leaves
    order.qty_lots -= event.qty_lots
    order.updated_ns, order.sequence = event.time_ns, event.sequence
