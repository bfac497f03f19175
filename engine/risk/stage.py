"""The risk stage: one decision for each command.

Risk owns accounts, positions and a reservation for every live order. It first applies the events
that matching has published (engine.risk.settling), then decides commands (engine.risk.deciding);
the decision records how many events it had seen (`ev_wm`), so that it can be derived again; with
several matching shards a WATERMARK before it records that of each. Integer arithmetic only.
Cancels of a known account always pass: whether an order exists is matching's to say. Commands of
whoever runs the venue (phases, ticks, terms, snapshots) pass whatever account they name. Between
all this risk sends commands of its own where prices have broken a limit (engine.risk.warden).

Money: a price of p ticks and a quantity of q lots are worth p * q * multiplier / divisor units
of the quote asset, by the terms that the INSTRUMENT commands decided so far have left.
"""

from typing import Final

from engine.limits import ACCOUNTS_MAX, BATCH_MAX, SHARDS_MAX
from engine.messages import (
    MESSAGE_BYTES,
    PLAIN_BYTES,
    CommandKind,
    Decision,
    Event,
    Listing,
    Phase,
    RejectReason,
    SequencedCommand,
)
from engine.reference import TERM_NUMBERS, InstrumentTerms, apply_instrument
from engine.risk.amending import decide_amend
from engine.risk.deciding import decide_new, set_prevention
from engine.risk.gates import begin_day, count_cancel
from engine.risk.governing import decide_funds, decide_rule, set_mark
from engine.risk.lookahead import (
    EVENTS_FAR,
    FAR,
    ORDERS_MIN,
    POSITIONS_MIN,
    look_ahead,
    look_at_events,
)
from engine.risk.settling import apply_event
from engine.risk.state import RiskState
from engine.risk.valuation import ROUND_MAX, forget_valuations, refresh_mark, value_round
from engine.risk.warden import has_business, hear_tick, take_turns
from engine.stage import (
    Outbox,
    Telemetry,
    Word,
    copy_message,
    copy_words,
    count_batch,
    deliver,
    next_slot,
    open_outbox,
)
from ipc.distant import distant, link
from ipc.jit import inlined, kernel
from ipc.record import Record, i64
from ipc.ring import Inbox, RingGroup, consume, ready, slot

EVENTS_BATCH_MAX: Final = 4 * BATCH_MAX
"""Events applied in one step before commands are decided."""

INITIAL: Final = TERM_NUMBERS["initial_bps"]
MAINTENANCE: Final = TERM_NUMBERS["maintenance_bps"]


class RiskPorts(Record):
    """The rings of the risk stage; process-local."""

    commands: Inbox
    events: RingGroup
    "One ring of each matching shard, in their order."
    decisions: Outbox
    orders: Outbox
    "Risk's own order ring."
    following: i64
    "1: decisions that were made are made again; no WATERMARK is written but at a wave of `cue`."
    cue: i64
    "Following: 1 when a WATERMARK stands at this place of the stream."
    telemetry: Telemetry


# --- all commands ----------------------------------------------------------------------------


@kernel
def change_terms(state: RiskState, decision: Decision) -> None:
    """An INSTRUMENT command, which ingest has checked: the commands after it see its number."""
    index = decision.instrument
    apply_instrument(state.terms[index], decision.order_id, decision.qty_lots)
    if decision.order_id == Listing.LIST:
        quote = state.quotes[index]
        quote.last = quote.external = quote.has_bid = quote.has_ask = 0
        quote.day = -1
    refresh_mark(state, index)
    if decision.order_id == INITIAL or decision.order_id == MAINTENANCE:
        forget_valuations(state)


@kernel
def hear_halt(state: RiskState, instrument: int) -> None:
    """An instrument is halted, by risk or by somebody else: that is done."""
    quote = state.quotes[instrument]
    quote.halted = state.dseq
    state.warden.halts_due -= quote.halt_due
    quote.halt_due = 0


@kernel
def decide_other(state: RiskState, decision: Decision) -> int:
    """A command of whoever runs the venue, or of risk itself."""
    kind = decision.kind
    if kind == CommandKind.INSTRUMENT:
        change_terms(state, decision)
    elif kind == CommandKind.FUNDS:
        return decide_funds(state, decision)
    elif kind == CommandKind.RULE:
        return decide_rule(state, decision)
    elif kind == CommandKind.MARK:
        set_mark(state, decision)
    elif kind == CommandKind.TICK:
        hear_tick(state)
    elif kind == CommandKind.PHASE and decision.terms.phase == Phase.HALT:
        hear_halt(state, decision.instrument)
    return RejectReason.NONE.value


call_other = distant(decide_other)
call_amend = distant(decide_amend)


@inlined
def decide(state: RiskState, decision: Decision) -> int:
    """The verdict on one well-formed command: a reason to refuse it, or NONE."""
    kind = decision.kind
    if kind >= CommandKind.PHASE and kind != CommandKind.CHECK:
        return call_other(state, decision)
    if decision.account >= ACCOUNTS_MAX:
        return RejectReason.UNKNOWN_ACCOUNT.value
    owner = state.owners[decision.account]
    if owner.known == 0:
        return RejectReason.UNKNOWN_ACCOUNT.value
    if kind == CommandKind.CANCEL:
        count_cancel(state, decision)
        return RejectReason.NONE.value
    if kind == CommandKind.MASS_CANCEL:
        return RejectReason.NONE.value
    set_prevention(owner, decision)
    terms = state.terms[decision.instrument]
    if kind == CommandKind.AMEND:
        return call_amend(state, terms, decision)
    return decide_new(state, terms, decision)


@kernel
def act(state: RiskState, ports: RiskPorts) -> int:
    """Look for the next command of risk's own after a record, and fill a slot with it."""
    if take_turns(state) != 0:
        assert ports.orders.pending < ports.orders.claimed, "act: one command at a time"
        copy_words(next_slot(ports.orders), state.warden.command.address, MESSAGE_BYTES >> 3)
    return 0


call_act = distant(act)


@inlined
def end_record(state: RiskState, ports: RiskPorts) -> None:
    """What follows each record of the decision stream."""
    if state.warden.awaited == 0 and has_business(state):
        call_act(state, ports)


@inlined
def decide_command(state: RiskState, ports: RiskPorts, address: int) -> None:
    """Write the decision on one sequenced command."""
    command = SequencedCommand(address)
    decision = Decision(next_slot(ports.decisions))
    copy_message(decision.address, command.address)
    decision.ev_wm = state.ev_wm
    state.dseq = ports.decisions.ring.producer.position + ports.decisions.pending
    decision.group = decision.prevention = decision.maker_rate = decision.taker_rate = 0
    if decision.time_ns >= state.next_day:
        begin_day(state, decision.time_ns)
    if decision.reason == RejectReason.NONE:
        decision.reason = decide(state, decision)
    if decision.reason == RejectReason.NONE:
        state.accepted += 1
    else:
        state.refused += 1
        state.reasons[decision.reason] += 1
    value_round(state, ROUND_MAX if decision.kind == CommandKind.TICK else 1)
    end_record(state, ports)


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
        foreseen = waiting - EVENTS_FAR if state.reservations.live >= ORDERS_MIN else 0
        for index in range(waiting):
            if index < foreseen:
                look_at_events(state, inbox.ring, first + index)
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
    end_record(state, ports)


@inlined
def send_own(ports: RiskPorts) -> None:
    """Publish a command of risk's own, behind the record after which it was made."""
    if ports.orders.pending > 0:
        deliver(ports.orders, ports.telemetry)


@inlined
def has_events(ports: RiskPorts) -> bool:
    """Whether a matching shard has published what has not been applied."""
    for shard in range(ports.events.count):
        inbox = ports.events.sources[shard]
        if ready(inbox.ring, inbox.cursor, 1) > 0:
            return True
    return False


@kernel
def tell(state: RiskState, ports: RiskPorts) -> int:
    """A WATERMARK by itself; returns 1, or 0 when the ring is full."""
    if open_outbox(ports.decisions, 1) == 0:
        ports.telemetry.statistics.blocked += 1
        return 0
    open_outbox(ports.orders, 1)
    tell_watermarks(state, ports)
    deliver(ports.decisions, ports.telemetry)
    send_own(ports)
    return 1


call_events = distant(apply_events)
call_tell = distant(tell)


def link_risk() -> None:
    """Make the parts of the stage that are called through their address ready in this process."""
    link(call_other, RiskState, Decision)
    link(call_amend, RiskState, InstrumentTerms, Decision)
    link(call_events, RiskState, RiskPorts)
    link(call_act, RiskState, RiskPorts)
    link(call_tell, RiskState, RiskPorts)


@kernel
def step_risk(state: RiskState, ports: RiskPorts, message_max: int) -> int:
    """Apply events, then decide up to `message_max` commands; returns how much was done."""
    # With several shards, in what order their events came must be told before there are more.
    live = ports.following == 0
    if live and state.untold != 0 and has_events(ports) and call_tell(state, ports) == 0:
        return 0
    applied = call_events(state, ports)
    inbox = ports.commands
    waiting = ready(inbox.ring, inbox.cursor, message_max)
    if waiting == 0:
        own = state.warden.awaited == 0 and has_business(state)
        if (live and own) or ports.cue != 0:
            applied += call_tell(state, ports)
        return applied
    room = open_outbox(ports.decisions, waiting + state.untold) - state.untold
    if room <= 0:
        ports.telemetry.statistics.blocked += 1
        return applied
    open_outbox(ports.orders, 1)
    if state.untold != 0:
        tell_watermarks(state, ports)
    first = inbox.cursor.position
    foreseen = waiting - FAR if state.positions.count >= POSITIONS_MIN else 0
    for index in range(room):
        if index < foreseen:
            look_ahead(state, inbox.ring, first + index)
        decide_command(state, ports, slot(inbox.ring, first + index))
    now = deliver(ports.decisions, ports.telemetry)
    send_own(ports)
    count_batch(inbox, room, now, ports.telemetry)
    consume(inbox.cursor, room)
    return applied + room
