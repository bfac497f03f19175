"""The ingest stage: many order rings in, one sequence out.

Ingest takes commands from all sources in turn, checks that they are well formed, gives each its
place in the one sequence, and to each new order its engine id. It remembers client order ids, so
that a repeated order is answered with the first one's id instead of being executed twice.
It refuses nothing itself: a bad command goes on with its reason and is answered like any other.
"""

from typing import Final

from engine.limits import (
    BATCH_MAX,
    CLIENT_ORDER_ID_BYTES,
    CLIENT_ORDER_IDS_MAX,
    QTY_LOTS_MAX,
)
from engine.messages import (
    Command,
    CommandFlag,
    CommandKind,
    OrderType,
    RejectReason,
    SequencedCommand,
    TimeInForce,
)
from engine.reference import InstrumentTerms, ReferenceData
from engine.stage import (
    Outbox,
    Telemetry,
    copy_message,
    count_batch,
    deliver,
    next_slot,
    open_outbox,
)
from ipc.clock import unix_ns
from ipc.intrinsics import multiply_wrapping, shift_right
from ipc.jit import inlined, kernel
from ipc.record import CACHE_LINE_BYTES, Array, Record, Ref, Text, i64, length, u32
from ipc.ring import RINGS_POLLED_MAX, RingGroup, consume, next_source, ready, slot

BUCKETS: Final = CLIENT_ORDER_IDS_MAX
"""Heads of the hash chains: one per remembered id on average."""

NO_ENTRY: Final = 0

SOURCE_QUOTA: Final = 64
"""Commands taken from one source before the next one has its turn: fairness within a batch."""

assert SOURCE_QUOTA <= BATCH_MAX


class RememberedId(Record, align=CACHE_LINE_BYTES):
    """One client order id."""

    client_order_id: Text = length(CLIENT_ORDER_ID_BYTES)
    order_id: i64
    account: u32
    bucket: u32
    chained: u32


class IngestState(Record, align=CACHE_LINE_BYTES):
    """Everything ingest remembers."""

    sequence: i64
    "Commands sequenced so far."
    order_id: i64
    "The last engine order id given out."
    time_ns: i64
    "Time of the last command; sequenced time never goes back."
    secret: i64
    "Odd random multiplier of the hash, so that nobody can choose ids that collide."
    remembered: i64
    "Ids ever entered; the newest CLIENT_ORDER_IDS_MAX - 1 are known."
    taken: Array[i64] = length(RINGS_POLLED_MAX)
    "Source sequence of the last command taken from each source."
    buckets: Array[u32] = length(BUCKETS)
    entries: Array[RememberedId] = length(CLIENT_ORDER_IDS_MAX)


class IngestPorts(Record):
    """The rings of the ingest stage; process-local."""

    sources: RingGroup
    commands: Outbox
    telemetry: Telemetry
    reference: Ref[ReferenceData]


def create_ingest(state: IngestState, secret: int) -> None:
    """Set up zeroed memory. `secret`: any random number below 2**62."""
    state.secret = (secret << 1 | 1) & ((1 << 62) - 1)


# --- client order ids ------------------------------------------------------------------------


@inlined
def has_client_id(command: Command) -> bool:
    """Whether the command carries a client order id."""
    return command.client_order_id[0] != 0


@inlined
def bucket_of(state: IngestState, command: Command) -> int:
    """Hash of account and client order id: each word multiplied by the secret and folded."""
    mixed = multiply_wrapping(command.account + 1, state.secret)
    for word in range(len(command.client_order_id)):
        mixed ^= command.client_order_id[word]
        mixed = multiply_wrapping(mixed, state.secret)
        mixed ^= shift_right(mixed, 32)
    return mixed & (BUCKETS - 1)


@inlined
def same_id(entry: RememberedId, command: Command) -> bool:
    """Whether an entry is the command's account and client order id."""
    difference = entry.account ^ command.account
    for word in range(len(entry.client_order_id)):
        difference |= entry.client_order_id[word] ^ command.client_order_id[word]
    return difference == 0


@kernel
def recall(state: IngestState, command: Command, bucket: int) -> int:
    """Engine order id of a remembered client order id, whose bucket this is, or 0."""
    index = state.buckets[bucket]
    while index != NO_ENTRY:
        if same_id(state.entries[index], command):
            return state.entries[index].order_id
        index = state.entries[index].chained
    return 0


@kernel
def remember(state: IngestState, command: Command, bucket: int, order_id: int) -> None:
    """Enter a client order id in its bucket, in place of the oldest id when the table is full."""
    index = 1 + state.remembered % (CLIENT_ORDER_IDS_MAX - 1)
    entry = state.entries[index]
    if state.remembered >= CLIENT_ORDER_IDS_MAX - 1:
        forget(state, index)
    state.remembered += 1
    for word in range(len(entry.client_order_id)):
        entry.client_order_id[word] = command.client_order_id[word]
    entry.order_id, entry.account = order_id, command.account
    entry.bucket = bucket
    entry.chained = state.buckets[bucket]
    state.buckets[bucket] = index


@kernel
def forget(state: IngestState, index: int) -> None:
    """Take an entry out of its chain."""
    entry = state.entries[index]
    walk = state.buckets[entry.bucket]
    if walk == index:
        state.buckets[entry.bucket] = entry.chained
        return
    while state.entries[walk].chained != index:
        walk = state.entries[walk].chained
        assert walk != NO_ENTRY, "forget: the entry is not in its chain"
    state.entries[walk].chained = entry.chained


# --- checks ----------------------------------------------------------------------------------


@inlined
def check_new(command: Command, terms: InstrumentTerms) -> int:
    """Why a new order is malformed, or NONE."""
    limit_type = command.order_type == OrderType.LIMIT
    if command.side > 1:
        return RejectReason.BAD_SIDE.value
    if not limit_type and command.order_type != OrderType.MARKET:
        return RejectReason.BAD_ORDER_TYPE.value
    if command.time_in_force < TimeInForce.GTC or command.time_in_force > TimeInForce.FOK:
        return RejectReason.BAD_TIME_IN_FORCE.value
    if command.flags != 0:
        rests = limit_type and command.time_in_force == TimeInForce.GTC
        if command.flags != CommandFlag.POST_ONLY or not rests:
            return RejectReason.BAD_FLAGS.value
    if command.qty_lots < 1 or command.qty_lots > QTY_LOTS_MAX:
        return RejectReason.BAD_QUANTITY.value
    if limit_type and not price_in_range(command, terms):
        return RejectReason.BAD_PRICE.value
    return RejectReason.NONE.value


@inlined
def price_in_range(command: Command, terms: InstrumentTerms) -> bool:
    """Whether the price is one that the instrument can have."""
    return terms.price_min_ticks <= command.price_ticks <= terms.price_max_ticks


@kernel
def check_change(command: Command, terms: InstrumentTerms) -> int:
    """Why a cancel or an amendment is malformed, or NONE."""
    if command.kind == CommandKind.CANCEL:
        if command.flags != 0:
            return RejectReason.BAD_FLAGS.value
        return RejectReason.NONE.value
    known = CommandFlag.POST_ONLY | CommandFlag.LEAVES | CommandFlag.REQUEUE
    if command.flags & ~known != 0:
        return RejectReason.BAD_FLAGS.value
    if command.qty_lots < 1 or command.qty_lots > QTY_LOTS_MAX:
        return RejectReason.BAD_QUANTITY.value
    if not price_in_range(command, terms):
        return RejectReason.BAD_PRICE.value
    return RejectReason.NONE.value


# --- the stage -------------------------------------------------------------------------------


@inlined
def identify_change(state: IngestState, reference: ReferenceData, command: SequencedCommand) -> int:
    """Check a cancel or an amendment and find the order that it names by client order id."""
    if command.instrument >= reference.instrument_count:
        return RejectReason.UNKNOWN_INSTRUMENT.value
    reason = check_change(command, reference.instruments[command.instrument])
    if reason == RejectReason.NONE and command.order_id == 0:
        if has_client_id(command):
            command.order_id = recall(state, command, bucket_of(state, command))
        if command.order_id == 0:
            return RejectReason.UNKNOWN_CLIENT_ORDER_ID.value
    return reason


@inlined
def identify(state: IngestState, reference: ReferenceData, command: SequencedCommand) -> int:
    """Check a command and settle its order id; returns the reason to refuse it, or NONE."""
    kind = command.kind
    if kind == CommandKind.CANCEL or kind == CommandKind.AMEND:
        return identify_change(state, reference, command)
    command.order_id = 0
    if kind != CommandKind.NEW:
        return RejectReason.UNKNOWN_COMMAND.value
    if command.instrument >= reference.instrument_count:
        return RejectReason.UNKNOWN_INSTRUMENT.value
    reason = check_new(command, reference.instruments[command.instrument])
    if reason != RejectReason.NONE:
        return reason
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
def sequence_command(
    state: IngestState, ports: IngestPorts, source: int, address: int, now_ns: int
) -> None:
    """Copy one command into the sequence."""
    command = Command(address)
    made = SequencedCommand(next_slot(ports.commands))
    copy_message(made.address, command.address)
    made.source, made.source_sequence = source, command.sequence
    made.time_ns = now_ns
    made.reason = identify(state, ports.reference, made)
    state.sequence += 1
    state.taken[source] = command.sequence


@kernel
def step_ingest(state: IngestState, ports: IngestPorts, message_max: int) -> int:
    """Sequence up to `message_max` commands; returns how many."""
    room = open_outbox(ports.commands, message_max)
    if room == 0:
        ports.telemetry.statistics.blocked += 1
        return 0
    group = ports.sources
    index = next_source(group)
    if index < 0:
        return 0
    now_ns = max(unix_ns(ports.telemetry.clock), state.time_ns)
    state.time_ns = now_ns
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
