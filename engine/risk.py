"""The risk stage: one decision for each command, from what the account can afford.

Risk owns the balances and a reservation for every live order. It first applies the events that
matching has published, then decides commands; the decision records how many events it had seen
(`ev_wm`), so that it can be derived again. Integer arithmetic only. The cancels of a known
account always pass: whether an order exists is matching's to say.

Money: a price of p ticks and a quantity of q lots are worth p * q * multiplier / divisor units
of the quote asset. A reservation is rounded up, a payment down, so that what is reserved always
covers what is paid, and buyer and seller book the same amount.
"""

from typing import Final

from engine.balances import (
    Balances,
    affordable_price,
    balance_of,
    cost_units,
    highest_worth,
    payment_units,
    worth_overflows,
)
from engine.limits import ACCOUNTS_MAX, BATCH_MAX, INSTRUMENTS_MAX, ORDERS_MAX
from engine.messages import (
    ChangeEvent,
    CommandFlag,
    CommandKind,
    Decision,
    Event,
    EventKind,
    OrderType,
    RejectReason,
    SequencedCommand,
    Side,
    TradeEvent,
)
from engine.orders import NO_ORDER, find_order, has_room, return_slot, take_slot
from engine.reference import InstrumentTerms, ReferenceData
from engine.reservations import (
    Reservations,
    bound_units,
    hold,
    reserved_asset,
    unhold,
    units_for,
)
from engine.stage import (
    Outbox,
    Telemetry,
    copy_message,
    count_batch,
    deliver,
    next_slot,
    open_outbox,
)
from ipc.intrinsics import multiply_overflows
from ipc.jit import inlined, kernel
from ipc.record import CACHE_LINE_BYTES, Array, Record, Ref, i64, length
from ipc.ring import Inbox, consume, ready, slot

EVENTS_BATCH_MAX: Final = 4 * BATCH_MAX
"""Events applied in one step before commands are decided."""

MATCHING_REASONS: Final = 400
"""Reasons from here on are matching's own: the command had passed risk."""

BPS: Final = 10_000


class RiskState(Record, align=CACHE_LINE_BYTES):
    """Everything risk remembers."""

    ev_wm: i64
    "Sequence of the last event applied."
    accepted: i64
    "Commands passed on."
    refused: i64
    "Commands refused, by ingest or here."
    last_ticks: Array[i64] = length(INSTRUMENTS_MAX)
    "Price of the last trade of each instrument, else its configured reference; 0: none."
    balances: Balances
    reservations: Reservations


class RiskPorts(Record):
    """The rings of the risk stage; process-local."""

    commands: Inbox
    events: Inbox
    decisions: Outbox
    telemetry: Telemetry
    reference: Ref[ReferenceData]


def create_risk(
    state: RiskState, reference: ReferenceData, orders_limit: int = ORDERS_MAX - 1
) -> None:
    """Set up zeroed memory; balances are credited by `deposit`."""
    assert 0 < orders_limit < ORDERS_MAX
    state.reservations.limit = orders_limit
    for index in range(reference.instrument_count):
        state.last_ticks[index] = reference.instruments[index].reference_ticks


# --- events ----------------------------------------------------------------------------------


@inlined
def end_order(state: RiskState, terms: InstrumentTerms, index: int) -> None:
    """A live order has ended: give back what it still held."""
    unhold(state.balances, terms, state.reservations.orders[index])
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
def apply_trade(state: RiskState, terms: InstrumentTerms, trade: TradeEvent) -> None:
    """Shrink both reservations, then move base to the buyer and quote to the seller."""
    lots = trade.qty_lots
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
def apply_amendment(state: RiskState, terms: InstrumentTerms, event: ChangeEvent) -> None:
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
def apply_event(state: RiskState, reference: ReferenceData, event: Event) -> None:
    """Fold one event into balances and reservations."""
    kind = event.kind
    assert event.sequence == state.ev_wm + 1, "apply_event: an event is missing"
    state.ev_wm = event.sequence
    if event.reason != RejectReason.NONE and event.reason < MATCHING_REASONS:
        return
    terms = reference.instruments[event.instrument]
    if kind == EventKind.TRADE:
        apply_trade(state, terms, TradeEvent(event.address))
    elif kind == EventKind.CANCELED or kind == EventKind.REJECTED:
        index = find_order(state.reservations, event.order_id)
        assert index != NO_ORDER, "apply_event: the end of an order without reservation"
        end_order(state, terms, index)
    elif kind == EventKind.REPLACED or kind == EventKind.REPLACE_REJECTED:
        apply_amendment(state, terms, ChangeEvent(event.address))


# --- decisions -------------------------------------------------------------------------------


@inlined
def band_ticks(reference_ticks: int, collar_bps: int) -> int:
    """floor(|reference| * bps / 10000) without leaving int64."""
    size = abs(reference_ticks)
    return size // BPS * collar_bps + size % BPS * collar_bps // BPS


@inlined
def check_limits(
    terms: InstrumentTerms, reference_ticks: int, price_ticks: int, qty_lots: int
) -> int:
    """Notional and collar of a limit price; the reason to refuse, or NONE."""
    if worth_overflows(terms, abs(price_ticks), qty_lots):
        return RejectReason.NOTIONAL_OVERFLOW.value
    if cost_units(terms, abs(price_ticks), qty_lots) > terms.notional_max_units:
        return RejectReason.NOTIONAL_ABOVE_MAX.value
    if terms.collar_bps != 0 and reference_ticks != 0:
        distance = abs(price_ticks - reference_ticks)
        if distance > band_ticks(reference_ticks, terms.collar_bps):
            return RejectReason.PRICE_COLLAR.value
    return RejectReason.NONE.value


@kernel
def protect(state: RiskState, terms: InstrumentTerms, decision: Decision) -> int:
    """Give a market order its worst price: by collar, for a purchase also by what it can pay."""
    buys = decision.side == Side.BUY
    price = terms.price_max_ticks if buys else terms.price_min_ticks
    reference = state.last_ticks[decision.instrument]
    if terms.collar_bps != 0 and reference != 0:
        band = band_ticks(reference, terms.collar_bps)
        price = reference + band if buys else reference - band
        price = min(max(price, terms.price_min_ticks), terms.price_max_ticks)
    if multiply_overflows(decision.qty_lots, terms.notional_multiplier):
        return RejectReason.NOTIONAL_OVERFLOW.value
    if buys:
        lowest = terms.price_min_ticks
        if lowest > 0 and worth_overflows(terms, lowest, decision.qty_lots):
            return RejectReason.NOTIONAL_OVERFLOW.value
        available = balance_of(state.balances, decision.account, terms.quote_asset).available
        budget = min(available, terms.notional_max_units)
        price = min(price, affordable_price(terms, budget, decision.qty_lots))
        if price < terms.price_min_ticks:
            if budget < available:
                return RejectReason.NOTIONAL_ABOVE_MAX.value
            return RejectReason.INSUFFICIENT_BALANCE.value
        price = min(price, highest_worth(terms, decision.qty_lots))
        if worth_overflows(terms, abs(price), decision.qty_lots):
            return RejectReason.NOTIONAL_OVERFLOW.value
    decision.price_ticks = price
    return RejectReason.NONE.value


@inlined
def decide_new(state: RiskState, terms: InstrumentTerms, decision: Decision) -> int:
    """Check a new order and reserve what it can cost; the reason to refuse, or NONE."""
    side, lots = decision.side, decision.qty_lots
    if lots > terms.qty_max_lots:
        return RejectReason.QUANTITY_ABOVE_MAX.value
    if multiply_overflows(lots, terms.base_units_per_lot):
        return RejectReason.NOTIONAL_OVERFLOW.value
    if decision.order_type == OrderType.MARKET:
        reason = protect(state, terms, decision)
    else:
        reference = state.last_ticks[decision.instrument]
        reason = check_limits(terms, reference, decision.price_ticks, lots)
    if reason != RejectReason.NONE:
        return reason
    if not has_room(state.reservations):
        return RejectReason.TOO_MANY_ORDERS.value
    asset = reserved_asset(terms, side)
    needed = units_for(terms, side, decision.price_ticks, lots)
    if balance_of(state.balances, decision.account, asset).available < needed:
        return RejectReason.INSUFFICIENT_BALANCE.value
    index = take_slot(state.reservations, decision.order_id)
    reservation = state.reservations.orders[index]
    reservation.account, reservation.instrument = decision.account, decision.instrument
    reservation.side, reservation.amendments = side, 0
    reservation.price_ticks = reservation.bound_price_ticks = decision.price_ticks
    reservation.leaves_lots = reservation.bound_leaves_lots = lots
    reservation.qty_lots = lots
    hold(state.balances, terms, reservation)
    return RejectReason.NONE.value


@kernel
def decide_amend(state: RiskState, terms: InstrumentTerms, decision: Decision) -> int:
    """Check an amendment and widen the reservation; an order that is not known passes.

    The limits come first: whether risk has heard already that an order ended does not decide
    which reason is given.
    """
    lots, price = decision.qty_lots, decision.price_ticks
    if lots > terms.qty_max_lots:
        return RejectReason.QUANTITY_ABOVE_MAX.value
    reason = check_limits(terms, state.last_ticks[decision.instrument], price, lots)
    if reason != RejectReason.NONE:
        return reason
    index = find_order(state.reservations, decision.order_id)
    if index == NO_ORDER:
        return RejectReason.NONE.value
    reservation = state.reservations.orders[index]
    if reservation.account != decision.account or reservation.instrument != decision.instrument:
        return RejectReason.NONE.value
    leaves = lots - (reservation.qty_lots - reservation.leaves_lots)
    bound_leaves = max(reservation.bound_leaves_lots, leaves)
    if decision.flags & CommandFlag.LEAVES:
        # What fills on the way is not taken off the quantity asked for, so it comes on top.
        leaves = lots
        bound_leaves = reservation.bound_leaves_lots + lots
    if leaves <= 0:
        return RejectReason.NONE.value
    bound_price = max(reservation.bound_price_ticks, price)
    if worth_overflows(terms, abs(bound_price), bound_leaves) or multiply_overflows(
        bound_leaves, terms.base_units_per_lot
    ):
        return RejectReason.NOTIONAL_OVERFLOW.value
    asset = reserved_asset(terms, reservation.side)
    more = units_for(terms, reservation.side, bound_price, bound_leaves)
    more -= bound_units(terms, reservation)
    if balance_of(state.balances, reservation.account, asset).available < more:
        return RejectReason.INSUFFICIENT_BALANCE.value
    unhold(state.balances, terms, reservation)
    reservation.bound_price_ticks, reservation.bound_leaves_lots = bound_price, bound_leaves
    reservation.amendments += 1
    hold(state.balances, terms, reservation)
    return RejectReason.NONE.value


@inlined
def decide(state: RiskState, reference: ReferenceData, decision: Decision) -> int:
    """The verdict on one well-formed command: a reason to refuse it, or NONE."""
    account = decision.account
    if account >= ACCOUNTS_MAX:
        return RejectReason.UNKNOWN_ACCOUNT.value
    if reference.accounts[account].known == 0:
        return RejectReason.UNKNOWN_ACCOUNT.value
    if decision.kind == CommandKind.CANCEL:
        return RejectReason.NONE.value
    terms = reference.instruments[decision.instrument]
    if decision.kind == CommandKind.NEW:
        return decide_new(state, terms, decision)
    return decide_amend(state, terms, decision)


@inlined
def decide_command(state: RiskState, ports: RiskPorts, address: int) -> None:
    """Write the decision on one sequenced command."""
    command = SequencedCommand(address)
    decision = Decision(next_slot(ports.decisions))
    copy_message(decision.address, command.address)
    decision.ev_wm = state.ev_wm
    if decision.reason == RejectReason.NONE:
        decision.reason = decide(state, ports.reference, decision)
    if decision.reason == RejectReason.NONE:
        state.accepted += 1
    else:
        state.refused += 1


# --- the stage -------------------------------------------------------------------------------


@kernel
def apply_events(state: RiskState, ports: RiskPorts) -> int:
    """Apply what matching has published; returns how many events."""
    inbox = ports.events
    waiting = ready(inbox.ring, inbox.cursor, EVENTS_BATCH_MAX)
    first = inbox.cursor.position
    for index in range(waiting):
        apply_event(state, ports.reference, Event(slot(inbox.ring, first + index)))
    consume(inbox.cursor, waiting)
    return waiting


@kernel
def step_risk(state: RiskState, ports: RiskPorts, message_max: int) -> int:
    """Apply events, then decide up to `message_max` commands; returns how much was done."""
    applied = apply_events(state, ports)
    inbox = ports.commands
    waiting = ready(inbox.ring, inbox.cursor, message_max)
    if waiting == 0:
        return applied
    room = open_outbox(ports.decisions, waiting)
    if room == 0:
        ports.telemetry.statistics.blocked += 1
        return applied
    first = inbox.cursor.position
    for index in range(room):
        decide_command(state, ports, slot(inbox.ring, first + index))
    now = deliver(ports.decisions, ports.telemetry)
    count_batch(inbox, room, now, ports.telemetry)
    consume(inbox.cursor, room)
    return applied + room
