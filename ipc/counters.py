"""The counters file: who runs, how busy each stage is, how long each hop takes.

One segment per venue. The supervisor writes the header and the identity of each process; a
process alone writes its heartbeat and its stages' statistics; anybody reads, at no cost to the
writers. Doorbells live here too, because every process must be able to ring every other one.
"""

import os
from typing import Final, NamedTuple

from ipc.clock import Clock
from ipc.histogram import Histogram
from ipc.jit import inlined
from ipc.record import LINE_PAIR_BYTES, Array, Record, Text, i64, length, shared
from ipc.wait import Doorbell, Word

PROCESSES_MAX: Final = 16
"""Processes of one venue."""

STAGES_MAX: Final = 16
"""Stages of one venue, whichever processes host them."""

NAME_BYTES: Final = 24
ERROR_BYTES: Final = 256

EMPTY: Final = 0
STARTING: Final = 1
RUNNING: Final = 2
STOPPED: Final = 3
DEAD: Final = 4

AT_REPLICA: Final = 1
"""`at` is the dseq of a decision that is executed again."""
AT_INGEST: Final = 2
"""`at` is a command of a source: source << AT_SOURCE_SHIFT | source_sequence."""
AT_RISK: Final = 3
"""`at` is the sequence of a command."""

AT_SOURCE_SHIFT: Final = 48
"""A source sends fewer commands than that in the life of a venue."""

STATE_NAMES: Final = ("empty", "starting", "running", "stopped", "dead")


class ProcessEntry(Record, align=LINE_PAIR_BYTES):
    """One process: the supervisor writes the upper part, the process its heartbeat and error."""

    name: Text = length(NAME_BYTES)
    stages: Text = length(3 * NAME_BYTES)
    "The stages it hosts, separated by '+'."
    pid: shared
    start_time: shared
    "Start of the process in clock ticks since boot, which tells a reused pid."
    cpu: i64
    "The core it is pinned to, or -1."
    epoch: shared
    """Counts the processes that have had this entry; a higher one means a restart. A process that
    finds another one than its own ends at once."""
    state: shared
    "EMPTY, STARTING, RUNNING, STOPPED or DEAD."
    at_stage: i64
    "AT_REPLICA, AT_INGEST or AT_RISK: who executes the record `at`."
    at: shared
    """The record that a process is about to execute while it recovers, or goes on with care after a
    crash; 0: none, or it works at full speed and does not say."""
    last_error: Text = length(ERROR_BYTES)
    "What it died of, as far as it could say."
    bell: Doorbell
    heartbeat: Doorbell
    "Only its `word` is used: CLOCK_MONOTONIC_RAW in ns of the last turn of the loop."


class StageStatistics(Record, align=LINE_PAIR_BYTES):
    """One stage; written by the process that hosts it."""

    name: Text = length(NAME_BYTES)
    taken: i64
    "Messages consumed."
    published: i64
    "Messages published."
    batches: i64
    "Steps that found work."
    blocked: i64
    "Steps that could not go on because an output ring was full."
    checkpoint_sequence: shared
    "Message after which the stage hashed what it had done; 0: none yet, or just being written."
    checkpoint_hash: shared
    "That hash."
    latency: Histogram
    "From the publication of a message by the stage before to its publication by this one, ns."


class DurableMark(Record, align=LINE_PAIR_BYTES):
    """What may be told to clients; written by the journal, its last part by the shadow."""

    dseq: shared
    "What decisions up to this one have caused may be told; EVERYTHING where nothing is journaled."
    state: shared
    "OPEN, FULL or FAILED."
    term: i64
    "How often the venue has been started on its data."
    frames: i64
    bytes: i64
    "Written to the journal, padding included."
    commits: Histogram
    "Time to write and sync a frame, ns."
    snapshot_dseq: shared
    "Last decision in the newest snapshot."
    shadow_dseq: shared
    "Last decision that the shadow has done again, and found the same."
    shadow_hash: shared
    "Hash of matching at its last checkpoint."
    shadow_state: shared
    "0: it agrees; else it found a difference, and where stands in its process entry."


OPEN: Final = 0
FULL: Final = 1
"""The disk has too little room: nothing new is taken on, what takes risk back still is."""
FAILED: Final = 2
"""A write has failed: nothing is acknowledged any more."""

EVERYTHING: Final = (1 << 63) - 1


class CountersFile(Record, align=LINE_PAIR_BYTES):
    """The whole segment."""

    clock: Clock
    stop: Word
    "1 asks every process of the venue to end."
    ready: shared
    "1 when every process has joined its rings."
    started_unix_ns: i64
    layout: Text = length(NAME_BYTES)
    durability: Text = length(NAME_BYTES)
    http: Text = length(64)
    "Where the gateway listens, host:port; empty without one."
    durable: DurableMark
    process_count: i64
    stage_count: i64
    processes: Array[ProcessEntry] = length(PROCESSES_MAX)
    stages: Array[StageStatistics] = length(STAGES_MAX)


class Checkpoint(NamedTuple):
    """What a stage had done after a message, as a hash."""

    sequence: int
    hash: int
    "Of 64 bits, without sign."


@inlined
def write_checkpoint(statistics: StageStatistics, sequence: int, state_hash: int) -> None:
    """Tell of a checkpoint; its sequence is another than that of the one before, and not 0.

    The sequence is 0 while the hash changes, and these stores keep their order.
    """
    statistics.checkpoint_sequence = 0
    statistics.checkpoint_hash = state_hash
    statistics.checkpoint_sequence = sequence


def read_checkpoint(statistics: StageStatistics) -> Checkpoint | None:
    """The last checkpoint of a stage; None when it has none, or when it writes one just now."""
    sequence = statistics.checkpoint_sequence
    state_hash = statistics.checkpoint_hash
    if sequence == 0 or statistics.checkpoint_sequence != sequence:
        return None
    return Checkpoint(sequence, state_hash % (1 << 64))


def explain(entry: ProcessEntry, text: str) -> None:
    """Leave a text in `last_error`, as much of it as there is room for."""
    entry.last_error.set(text.encode()[:ERROR_BYTES].decode(errors="ignore"))


def words_of(error: BaseException) -> str:
    """An error with its kind, as it stands in process entries and logs."""
    return f"{type(error).__name__}: {error}"


def note_death(entry: ProcessEntry, text: str) -> None:
    """The process of an entry ends, and why."""
    explain(entry, text)
    entry.state = DEAD


def process_start_time(pid: int) -> int:
    """Start of `pid` in clock ticks since boot, or 0 when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def is_alive(pid: int, start_time: int) -> bool:
    """Whether that very process (not a later one with its pid) runs and is no zombie."""
    return pid > 0 and start_time != 0 and process_start_time(pid) == start_time


def begin_life(entry: ProcessEntry) -> int:
    """Prepare an entry for its next process; returns the epoch of that. Fences the one before."""
    entry.epoch = entry.epoch + 1
    entry.at, entry.at_stage = 0, 0
    entry.heartbeat.word.value = 0
    entry.state = STARTING
    return entry.epoch


def sign_in(entry: ProcessEntry) -> None:
    """Write the calling process into its entry: pid and start time."""
    entry.pid = os.getpid()
    entry.start_time = process_start_time(os.getpid())
    entry.state = STARTING


def enlist(entry: ProcessEntry) -> None:
    """Both, for a process that nobody has started for the venue."""
    begin_life(entry)
    sign_in(entry)
