"""The risk stage: one decision for each command, from what the account can afford.

Risk owns the balances and a reservation for every live order. It first applies the events that
matching has published (engine.ledger), then decides commands; the decision records how many
events it had seen (`ev_wm`), so that it can be derived again; with several matching shards a
WATERMARK before it records that of each. Integer arithmetic only. Cancels of
a known account always pass: whether an order exists is matching's to say. Commands of whoever
runs the venue (phases, ticks, terms, snapshots) pass whatever account they name.

Money: a price of p ticks and a quantity of q lots are worth p * q * multiplier / divisor units
of the quote asset, by the terms that the INSTRUMENT commands decided so far have left.
"""

from typing import Final

from engine.balances import balance_of, worth_overflows
from engine.collar import check_limits, collar_reference, protect
from engine.ledger import RiskState, apply_event
from engine.limits import ACCOUNTS_MAX, BATCH_MAX, SHARDS_MAX
from engine.messages import (
    PLAIN_BYTES,
    CommandFlag,
    CommandKind,
    Decision,
    Event,
    Listing,
    OrderType,
    Prevention,
    RejectReason,
    SequencedCommand,
)
from engine.orders import NO_ORDER, find_order, has_room, take_slot
from engine.reference import AccountTerms, InstrumentTerms, ReferenceData, apply_instrument
from engine.reservations import bound_units, hold, reserved_asset, unhold, units_for
from engine.stage import (
    Outbox,
    Telemetry,
    Word,
    copy_message,
    count_batch,
    deliver,
    next_slot,
    open_outbox,
)
from ipc.intrinsics import multiply_overflows
from ipc.jit import inlined, kernel
from ipc.record import Record, Ref
from ipc.ring import Inbox, RingGroup, consume, ready, slot

EVENTS_BATCH_MAX: Final = 4 * BATCH_MAX
"""Events applied in one step before commands are decided."""


class RiskPorts(Record):
    """The rings of the risk stage; process-local."""

    commands: Inbox
    events: RingGroup
    "One ring of each matching shard, in their order."
    decisions: Outbox
    telemetry: Telemetry
    reference: Ref[ReferenceData]


# --- orders ----------------------------------------------------------------------------------


@inlined
def decide_new(state: RiskState, terms: InstrumentTerms, decision: Decision) -> int:
    """Check a new order and reserve what it can cost; the reason to refuse, or NONE."""
    side, lots = decision.side, decision.qty_lots
    if lots > terms.qty_max_lots:
        return RejectReason.QUANTITY_ABOVE_MAX.value
    if multiply_overflows(lots, terms.base_units_per_lot):
        return RejectReason.NOTIONAL_OVERFLOW.value
    if decision.order_type == OrderType.LIMIT:
        reference = collar_reference(state, decision)
        reason = check_limits(terms, reference, decision.price_ticks, lots)
    else:
        reason = protect(state, terms, decision)
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
    reason = check_limits(terms, collar_reference(state, decision), price, lots)
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
        # Ends the order, unless matching refuses: that would be an answer, too.
        reservation.amendments += 1
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


# --- all commands ----------------------------------------------------------------------------


@inlined
def decide(state: RiskState, reference: ReferenceData, decision: Decision) -> int:
    """The verdict on one well-formed command: a reason to refuse it, or NONE."""
    kind = decision.kind
    if kind >= CommandKind.PHASE:
        if kind == CommandKind.INSTRUMENT:
            change_terms(state, decision)
        return RejectReason.NONE.value
    if decision.account >= ACCOUNTS_MAX:
        return RejectReason.UNKNOWN_ACCOUNT.value
    account = reference.accounts[decision.account]
    if account.known == 0:
        return RejectReason.UNKNOWN_ACCOUNT.value
    if kind == CommandKind.CANCEL or kind == CommandKind.MASS_CANCEL:
        return RejectReason.NONE.value
    set_prevention(account, decision)
    terms = state.terms[decision.instrument]
    if kind == CommandKind.NEW:
        return decide_new(state, terms, decision)
    return decide_amend(state, terms, decision)


@inlined
def set_prevention(account: AccountTerms, decision: Decision) -> None:
    """Say whom the order must not trade with, and what happens instead."""
    decision.group, decision.prevention = account.group, account.prevention
    if decision.flags & CommandFlag.TERMS:
        wanted = decision.terms.self_trade
        if wanted != Prevention.DEFAULT:
            decision.prevention = wanted


@kernel
def change_terms(state: RiskState, decision: Decision) -> None:
    """An INSTRUMENT command, which ingest has checked: the commands after it see its number."""
    index = decision.instrument
    apply_instrument(state.terms[index], decision.order_id, decision.qty_lots)
    if decision.order_id == Listing.LIST:
        state.last_ticks[index] = 0


@inlined
def decide_command(state: RiskState, ports: RiskPorts, address: int) -> None:
    """Write the decision on one sequenced command."""
    command = SequencedCommand(address)
    decision = Decision(next_slot(ports.decisions))
    copy_message(decision.address, command.address)
    decision.ev_wm = state.ev_wm
    decision.group = decision.prevention = decision.maker_rate = decision.taker_rate = 0
    if decision.reason == RejectReason.NONE:
        decision.reason = decide(state, ports.reference, decision)
    if decision.reason == RejectReason.NONE:
        state.accepted += 1
    else:
        state.refused += 1


# --- the stage -------------------------------------------------------------------------------


@kernel
def apply_events(state: RiskState, ports: RiskPorts) -> int:
    """Apply what the matching shards have published; returns how many events.

    What they do to balances and reservations does not depend on the order of the rings.
    """
    applied = 0
    for shard in range(ports.events.count):
        inbox = ports.events.sources[shard]
        waiting = ready(inbox.ring, inbox.cursor, EVENTS_BATCH_MAX)
        first = inbox.cursor.position
        assert first == state.watermarks[shard], "apply_events: not where risk stopped reading"
        for index in range(waiting):
            event = Event(slot(inbox.ring, first + index))
            assert event.sequence == first + index + 1, "apply_events: an event is missing"
            apply_event(state, event)
        if waiting > 0:
            state.watermarks[shard] = first + waiting
            if shard == 0:
                state.ev_wm = first + waiting
            else:
                state.untold = 1
        consume(inbox.cursor, waiting)
        applied += waiting
    return applied


@kernel
def tell_watermarks(state: RiskState, ports: RiskPorts) -> None:
    """A WATERMARK before the next decision: how far each shard's events have been applied.

    With it and `ev_wm`, which has no room for more than shard 0, every decision can be derived
    again.
    """
    decision = Decision(next_slot(ports.decisions))
    for word in range(1, PLAIN_BYTES >> 3):  # the first one is for `publish`
        Word(decision.address + word * 8).value = 0
    decision.kind = CommandKind.WATERMARK
    decision.ev_wm = state.ev_wm
    for shard in range(SHARDS_MAX):
        decision.client_order_id[shard] = state.watermarks[shard]
    state.untold = 0


@kernel
def step_risk(state: RiskState, ports: RiskPorts, message_max: int) -> int:
    """Apply events, then decide up to `message_max` commands; returns how much was done."""
    applied = apply_events(state, ports)
    inbox = ports.commands
    waiting = ready(inbox.ring, inbox.cursor, message_max)
    if waiting == 0:
        return applied
    room = open_outbox(ports.decisions, waiting + state.untold) - state.untold
    if room <= 0:
        ports.telemetry.statistics.blocked += 1
        return applied
    if state.untold != 0:
        tell_watermarks(state, ports)
    first = inbox.cursor.position
    for index in range(room):
        decide_command(state, ports, slot(inbox.ring, first + index))
    now = deliver(ports.decisions, ports.telemetry)
    count_batch(inbox, room, now, ports.telemetry)
    consume(inbox.cursor, room)
    return applied + room
