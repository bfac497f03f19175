"""The ingest stage: many order rings in, one sequence out.

Ingest takes commands from all sources in turn, checks that they are well formed, gives each its
place in the one sequence, and to each new order its engine id. It refuses nothing itself: a bad
command goes on with its reason and is answered like any other. Between the commands of clients it
tells the time: ticks and scheduled phases are records of the same sequence.
"""

from typing import Final

from engine.checks import (
    check_change,
    check_funds,
    check_mark,
    check_new,
    check_operation,
    purposes_of,
)
from engine.intake import IngestState, bucket_of, has_client_id, recall, remember
from engine.limits import BATCH_MAX, INSTRUMENTS_MAX
from engine.listing import check_instrument
from engine.messages import CommandKind, RejectReason, Scope, SequencedCommand
from engine.reference import ReferenceData
from engine.stage import (
    Outbox,
    Telemetry,
    copy_message,
    count_batch,
    deliver,
    next_slot,
    open_outbox,
)
from engine.timekeeping import keep_time
from ipc.clock import unix_ns
from ipc.jit import inlined, kernel
from ipc.record import Record, Ref
from ipc.ring import RingGroup, consume, next_source, ready, slot

SOURCE_QUOTA: Final = 64
"""Commands taken from one source before the next one has its turn: fairness within a batch."""

assert SOURCE_QUOTA <= BATCH_MAX


class IngestPorts(Record):
    """The rings of the ingest stage; process-local."""

    sources: RingGroup
    commands: Outbox
    telemetry: Telemetry
    reference: Ref[ReferenceData]


@inlined
def is_listed(state: IngestState, instrument: int) -> bool:
    """Whether a number is that of an instrument which may be traded."""
    return instrument < INSTRUMENTS_MAX and state.terms[instrument].listed != 0


@inlined
def identify_new(state: IngestState, reference: ReferenceData, command: SequencedCommand) -> int:
    """Check a new order and give it its engine id."""
    if not is_listed(state, command.instrument):
        return RejectReason.UNKNOWN_INSTRUMENT.value
    terms = state.terms[command.instrument]
    reason = check_new(command, terms, purposes_of(reference, command.source))
    if reason != RejectReason.NONE:
        return reason
    return give_id(state, command)


@inlined
def give_id(state: IngestState, command: SequencedCommand) -> int:
    """Give a command its engine id; a known client order id makes it a duplicate."""
    if has_client_id(command):
        bucket = bucket_of(state, command)
        command.order_id = recall(state, command, bucket)
        if command.order_id != 0:
            return RejectReason.DUPLICATE_CLIENT_ORDER_ID.value
        remember(state, command, bucket, state.order_id + 1)
    state.order_id += 1
    command.order_id = state.order_id
    return RejectReason.NONE.value


@inlined
def identify_change(state: IngestState, command: SequencedCommand) -> int:
    """Check a cancel or an amendment and find the order that it names by client order id."""
    if not is_listed(state, command.instrument):
        return RejectReason.UNKNOWN_INSTRUMENT.value
    reason = check_change(command, state.terms[command.instrument])
    if reason == RejectReason.NONE and command.order_id == 0:
        if has_client_id(command):
            command.order_id = recall(state, command, bucket_of(state, command))
        if command.order_id == 0:
            return RejectReason.UNKNOWN_CLIENT_ORDER_ID.value
    return reason


@kernel
def identify_other(state: IngestState, reference: ReferenceData, command: SequencedCommand) -> int:
    """Check a command that brings or changes no order; INSTRUMENT takes effect here, too."""
    kind = command.kind
    if kind == CommandKind.RULE:
        return check_rule(state, command)
    if kind != CommandKind.INSTRUMENT:
        command.order_id = 0
    if kind == CommandKind.FUNDS:
        reason = check_funds(command, reference.asset_count)
        return give_id(state, command) if reason == RejectReason.NONE else reason
    operation = CommandKind.MASS_CANCEL <= kind <= CommandKind.SNAPSHOT
    if not operation and kind != CommandKind.MARK and kind != CommandKind.CHECK:
        return RejectReason.UNKNOWN_COMMAND.value
    if command.instrument >= INSTRUMENTS_MAX:
        return RejectReason.UNKNOWN_INSTRUMENT.value
    terms = state.terms[command.instrument]
    if kind == CommandKind.INSTRUMENT:
        return check_instrument(reference, terms, command)
    if kind != CommandKind.TICK and terms.listed == 0:
        return RejectReason.UNKNOWN_INSTRUMENT.value
    if kind == CommandKind.MARK:
        return check_mark(command, terms)
    if kind == CommandKind.CHECK:
        return check_question(state, reference, command)
    return check_operation(command)


@kernel
def check_control(reference: ReferenceData, command: SequencedCommand) -> int:
    """BARRIER and SKIP, which nobody but the supervisor may send."""
    known = command.kind <= CommandKind.SKIP
    if not known or command.source != reference.control_source:
        command.order_id = 0
        return RejectReason.UNKNOWN_COMMAND.value
    return RejectReason.NONE.value


@kernel
def check_rule(state: IngestState, command: SequencedCommand) -> int:
    """RULE. Which numbers and values there are is risk's to say."""
    scope = command.order_type
    if scope < Scope.VENUE or scope > Scope.ACCOUNT:
        return RejectReason.BAD_SCOPE.value
    if command.instrument >= INSTRUMENTS_MAX:
        return RejectReason.UNKNOWN_INSTRUMENT.value
    if scope == Scope.SYMBOL and not is_listed(state, command.instrument):
        return RejectReason.UNKNOWN_INSTRUMENT.value
    return RejectReason.NONE.value if command.flags == 0 else RejectReason.BAD_FLAGS.value


@kernel
def check_question(state: IngestState, reference: ReferenceData, command: SequencedCommand) -> int:
    """CHECK of a listed instrument: what a new order would hear, which leaves no trace."""
    terms = state.terms[command.instrument]
    reason = check_new(command, terms, purposes_of(reference, command.source))
    if reason != RejectReason.NONE or not has_client_id(command):
        return reason
    known = recall(state, command, bucket_of(state, command)) != 0
    return RejectReason.DUPLICATE_CLIENT_ORDER_ID.value if known else reason


@inlined
def identify(state: IngestState, reference: ReferenceData, command: SequencedCommand) -> int:
    """Check a command and settle its order id; returns the reason to refuse it, or NONE."""
    kind = command.kind
    if kind == CommandKind.CANCEL or kind == CommandKind.AMEND:
        return identify_change(state, command)
    if kind >= CommandKind.BARRIER:
        return check_control(reference, command)
    if kind != CommandKind.NEW:
        return identify_other(state, reference, command)
    command.order_id = 0
    return identify_new(state, reference, command)


@inlined
def sequence_command(
    state: IngestState, ports: IngestPorts, source: int, address: int, now_ns: int
) -> None:
    """Copy one command into the sequence."""
    command = SequencedCommand(address)
    made = SequencedCommand(next_slot(ports.commands))
    copy_message(made.address, command.address)
    made.source, made.source_sequence = source, command.sequence
    made.time_ns = state.time_ns = now_ns
    made.reason = identify(state, ports.reference, made)
    state.sequence += 1
    state.taken[source] = command.sequence


@inlined
def present(state: IngestState, ports: IngestPorts) -> int:
    """Wall time in nanoseconds, which never goes back."""
    return max(unix_ns(ports.telemetry.clock), state.time_ns)


@kernel
def tell_time(state: IngestState, ports: IngestPorts, now_ns: int) -> int:
    """Sequence the due tick, or what belongs before it; returns how much was done."""
    state.time_ns = now_ns
    keep_time(state, ports.reference, ports.commands)
    made = ports.commands.pending
    state.sequence += made
    deliver(ports.commands, ports.telemetry)
    return made + 1


@kernel
def step_ingest(state: IngestState, ports: IngestPorts, message_max: int) -> int:
    """Sequence up to `message_max` commands, or what is due by the clock; returns how many."""
    room = open_outbox(ports.commands, message_max)
    if room == 0:
        ports.telemetry.statistics.blocked += 1
        return 0
    if state.timekeeper.tick_ns != 0:
        now_ns = present(state, ports)
        if now_ns >= state.timekeeper.next_tick_ns:
            return tell_time(state, ports, now_ns)
    group = ports.sources
    index = next_source(group)
    if index < 0:
        return 0
    now_ns = present(state, ports)
    done = 0
    taken_max = min(room, SOURCE_QUOTA)
    inbox = group.sources[index]
    waiting = ready(inbox.ring, inbox.cursor, taken_max)
    first = inbox.cursor.position
    while done < waiting:
        sequence_command(state, ports, index, slot(inbox.ring, first + done), now_ns)
        done += 1
    now = deliver(ports.commands, ports.telemetry)
    count_batch(inbox, done, now, ports.telemetry)
    consume(inbox.cursor, done)
    return done
