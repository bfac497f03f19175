"""What ingest remembers: its place in the sequence, client order ids, terms, and the time it told.

Belongs to the ingest stage alone. Client order ids are kept in a hash table of fixed size, so that
a repeated order is answered with the first one's id instead of being executed twice; when it is
full the oldest id makes room.
"""

from typing import Final

from engine.limits import CLIENT_ORDER_ID_BYTES, CLIENT_ORDER_IDS_MAX, INSTRUMENTS_MAX
from engine.messages import Command
from engine.reference import InstrumentTerms, ReferenceData, copy_terms
from ipc.intrinsics import multiply_wrapping, shift_right
from ipc.jit import inlined, kernel
from ipc.record import CACHE_LINE_BYTES, Array, Record, Text, i64, length, u32
from ipc.ring import RINGS_POLLED_MAX

BUCKETS: Final = CLIENT_ORDER_IDS_MAX
"""Heads of the hash chains: one per remembered id on average."""

NO_ENTRY: Final = 0


class RememberedId(Record, align=CACHE_LINE_BYTES):
    """One client order id."""

    client_order_id: Text = length(CLIENT_ORDER_ID_BYTES)
    order_id: i64
    account: u32
    bucket: u32
    chained: u32


class Timekeeper(Record):
    """How far the venue's clock and the schedule have come."""

    tick_ns: i64
    "Time between ticks, 0: time is not told."
    next_tick_ns: i64
    "Wall time from which on the next tick is due."
    telling_ns: i64
    "The tick whose phases are being sent; 0 between ticks."
    opened: i64
    "Instruments that have been brought into the phase of the moment the venue began."
    day: i64
    "Days since 1970 of the next entry of the schedule."
    entry: i64
    "The next entry of the schedule on that day."


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
    timekeeper: Timekeeper
    taken: Array[i64] = length(RINGS_POLLED_MAX)
    "Source sequence of the last command taken from each source."
    terms: Array[InstrumentTerms] = length(INSTRUMENTS_MAX)
    "As the commands sequenced so far have left them."
    buckets: Array[u32] = length(BUCKETS)
    entries: Array[RememberedId] = length(CLIENT_ORDER_IDS_MAX)


def create_ingest(state: IngestState, reference: ReferenceData, secret: int) -> None:
    """Set up zeroed memory. `secret`: any random number below 2**62."""
    state.secret = (secret << 1 | 1) & ((1 << 62) - 1)
    state.timekeeper.tick_ns = reference.tick_ns
    copy_terms(state.terms, reference)


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
