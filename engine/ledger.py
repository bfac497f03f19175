"""What risk remembers, and what the events of matching do to it. Owned by the risk stage.

Balances, a reservation for each live order, the last trade price and the terms of each
instrument. Every end of an order releases what it still held; a trade moves base to the buyer
and quote to the seller; a prevented trade takes quantity from two orders and moves nothing. All
other events are of no concern here: an order may rest at a better price than its reservation's,
which is the worst that it may ever have, and be woken, woken again or shown without costing more.

Reservations are rounded up, payments down, so that what is reserved always covers what is paid,
and buyer and seller book the same amount.
"""

from typing import Final

from engine.balances import Balances, balance_of, payment_units
from engine.limits import INSTRUMENTS_MAX, ORDERS_MAX, SHARDS_MAX
from engine.messages import ChangeEvent, Event, EventKind, RejectReason, Side, TradeEvent
from engine.orders import NO_ORDER, find_order, return_slot
from engine.reference import InstrumentTerms, ReferenceData, copy_terms
from engine.reservations import Reservations, hold, unhold
from ipc.jit import inlined, kernel
from ipc.record import LINE_PAIR_BYTES, Array, Record, i64, length

MATCHING_REASONS: Final = 400
"""Reasons from here on are matching's own: the command had passed risk."""


class RiskState(Record, align=LINE_PAIR_BYTES):
    """Everything risk remembers."""

    ev_wm: i64
    "Sequence of the last event of matching shard 0 that was applied."
    watermarks: Array[i64] = length(SHARDS_MAX)
    "The same of each shard."
    untold: i64
    "1 when another watermark than that of shard 0 has moved since a decision told of it."
    accepted: i64
    "Commands passed on."
    refused: i64
    "Commands refused, by ingest or here."
    last_ticks: Array[i64] = length(INSTRUMENTS_MAX)
    "Price of the last trade of each instrument that risk has heard of; 0: none."
    terms: Array[InstrumentTerms] = length(INSTRUMENTS_MAX)
    "As the INSTRUMENT commands decided so far have left them."
    balances: Balances
    reservations: Reservations


def create_risk(
    state: RiskState, reference: ReferenceData, orders_limit: int = ORDERS_MAX - 1
) -> None:
    """Set up zeroed memory; balances are credited by whoever lays the venue out."""
    assert 0 < orders_limit < ORDERS_MAX
    state.reservations.limit = orders_limit
    copy_terms(state.terms, reference)


@inlined
def reference_price(state: RiskState, instrument: int) -> int:
    """What prices are compared with: the last trade, else the configured reference; 0: none."""
    last = state.last_ticks[instrument]
    return last if last != 0 else state.terms[instrument].reference_ticks


@inlined
def end_order(state: RiskState, order_id: int) -> None:
    """A live order has ended: give back what it still held."""
    index = find_order(state.reservations, order_id)
    assert index != NO_ORDER, "end_order: the end of an order without reservation"
    reservation = state.reservations.orders[index]
    unhold(state.balances, state.terms[reservation.instrument], reservation)
    return_slot(state.reservations, index)


@inlined
def apply_fill(
    state: RiskState, terms: InstrumentTerms, order_id: int, lots: int, leaves: int
) -> None:
    """One side of a trade: the reservation shrinks by `lots`; the order ends with no leaves."""
    index = find_order(state.reservations, order_id)
    assert index != NO_ORDER, "apply_fill: a fill for an order without reservation"
    reservation = state.reservations.orders[index]
    unhold(state.balances, terms, reservation)
    if leaves == 0:
        return_slot(state.reservations, index)
        return
    reservation.leaves_lots = leaves
    reservation.bound_leaves_lots -= lots
    hold(state.balances, terms, reservation)


@inlined
def apply_trade(state: RiskState, trade: TradeEvent) -> None:
    """Shrink both reservations, then move base to the buyer and quote to the seller."""
    terms, lots = state.terms[trade.instrument], trade.qty_lots
    apply_fill(state, terms, trade.order_id, lots, trade.leaves_lots)
    apply_fill(state, terms, trade.maker_order_id, lots, trade.maker_leaves_lots)
    buyer, seller = trade.account, trade.maker_account
    if trade.side == Side.SELL:
        buyer, seller = seller, buyer
    paid = payment_units(terms, trade.price_ticks, lots)
    delivered = lots * terms.base_units_per_lot
    balance_of(state.balances, buyer, terms.quote_asset).available -= paid
    balance_of(state.balances, seller, terms.quote_asset).available += paid
    balance_of(state.balances, seller, terms.base_asset).available -= delivered
    balance_of(state.balances, buyer, terms.base_asset).available += delivered
    state.last_ticks[trade.instrument] = trade.price_ticks


@inlined
def shrink_order(state: RiskState, order_id: int, lots: int, leaves: int) -> None:
    """One side of a prevented trade: the order is smaller by `lots`, and nothing was paid.

    One without leaves keeps an empty reservation until the CANCELED that follows. An amendment
    on its way still asks for the quantity that it asked for, so the bound waits for its answer.
    """
    index = find_order(state.reservations, order_id)
    assert index != NO_ORDER, "shrink_order: an order without reservation"
    reservation = state.reservations.orders[index]
    terms = state.terms[reservation.instrument]
    unhold(state.balances, terms, reservation)
    reservation.qty_lots -= lots
    reservation.leaves_lots = leaves
    if reservation.amendments == 0:
        reservation.bound_leaves_lots = leaves
    hold(state.balances, terms, reservation)


@kernel
def apply_prevention(state: RiskState, prevented: TradeEvent) -> None:
    """Both orders shrink to their leaves in the event; nothing changes hands."""
    lots = prevented.qty_lots
    shrink_order(state, prevented.order_id, lots, prevented.leaves_lots)
    shrink_order(state, prevented.maker_order_id, lots, prevented.maker_leaves_lots)


@inlined
def apply_amendment(state: RiskState, event: ChangeEvent) -> None:
    """REPLACED or REPLACE_REJECTED: one amendment is answered.

    UNKNOWN_ORDER answers an amendment that was not counted: risk did not know the order either,
    or it has ended since. An order of that id may have come later, by a client who guessed it.
    """
    if event.reason == RejectReason.UNKNOWN_ORDER:
        return
    index = find_order(state.reservations, event.order_id)
    if index == NO_ORDER:
        return
    reservation = state.reservations.orders[index]
    if reservation.account != event.account or reservation.instrument != event.instrument:
        return
    terms = state.terms[reservation.instrument]
    unhold(state.balances, terms, reservation)
    if event.kind == EventKind.REPLACED:
        reservation.price_ticks = event.price_ticks
        reservation.qty_lots, reservation.leaves_lots = event.qty_lots, event.leaves_lots
    assert reservation.amendments > 0, "apply_amendment: an answer that nobody asked for"
    reservation.amendments -= 1
    if reservation.amendments == 0:
        reservation.bound_price_ticks = reservation.price_ticks
        reservation.bound_leaves_lots = reservation.leaves_lots
    hold(state.balances, terms, reservation)


@inlined
def apply_event(state: RiskState, event: Event) -> None:
    """Fold one event into balances and reservations."""
    kind = event.kind
    if event.reason != RejectReason.NONE and event.reason < MATCHING_REASONS:
        return
    if kind == EventKind.TRADE:
        apply_trade(state, TradeEvent(event.address))
    elif kind == EventKind.CANCELED or kind == EventKind.REJECTED:
        end_order(state, event.order_id)
    elif kind == EventKind.REPLACED or kind == EventKind.REPLACE_REJECTED:
        apply_amendment(state, ChangeEvent(event.address))
    elif kind == EventKind.PREVENTED:
        apply_prevention(state, TradeEvent(event.address))
