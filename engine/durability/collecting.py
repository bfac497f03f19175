"""The compiled part of the journal process: from the decision ring into a frame, and the mark.

`await_decisions` packs what there is, `release` says that it is durable; what lies between them is
Python's and the disk's (`committing`). Written here: the frame's payload, the durable mark, the
journal's cursor in the ring, its statistics and its heartbeat.
"""

from typing import Final

from engine.durability.format import PAYLOAD_BYTES_MAX, FrameBuffer, count_records, pack
from engine.messages import MESSAGE_BYTES, PLAIN_BYTES
from engine.stage import Telemetry, count_batch
from engine.topology import JOURNAL, SHADOW, ProcessPlan
from engine.venue import VenueMemory
from ipc import memory
from ipc.clock import Clock, ticks
from ipc.counters import PROCESSES_MAX, DurableMark, ProcessEntry, StageStatistics
from ipc.histogram import record
from ipc.intrinsics import fence, read_monotonic
from ipc.jit import inlined, kernel
from ipc.record import Array, Record, Ref, i64, length
from ipc.ring import BY_INDEX, Inbox, consume, create_ring, ready, ring_bytes, slot
from ipc.wait import Doorbell, Waiting, Word, arm, ring_bell, should_park, sleep

RECORDS_MAX: Final = PAYLOAD_BYTES_MAX // PLAIN_BYTES
"""Decisions of one frame: as many as fit when none has terms."""

ROUNDS_PER_BEAT: Final = 256
"""Turns of the compiled loop between two looks at the clock."""

assert RECORDS_MAX * PLAIN_BYTES <= PAYLOAD_BYTES_MAX


class Committing(Record):
    """What the compiled part of the journal process needs; process-local."""

    decisions: Inbox
    mark: Ref[DurableMark]
    telemetry: Telemetry
    entry: Ref[ProcessEntry]
    epoch: i64
    "Of the entry when the process began; with another one it has a successor."
    stop: Ref[Word]
    waiting: Waiting
    payload: i64
    "Address at which the payload of a frame begins."
    taken: i64
    "Decisions in the payload."
    packed_ns: i64
    "When they had been packed, CLOCK_MONOTONIC_RAW."
    bell_count: i64
    bells: Array[Ref[Doorbell]] = length(PROCESSES_MAX)
    "Of all who wait for the mark, or for room in the ring."


@inlined
def collect(committing: Committing) -> int:
    """Pack what the ring has, at most one frame; returns the bytes of the payload."""
    ring, cursor = committing.decisions.ring, committing.decisions.cursor
    count = ready(ring, cursor, RECORDS_MAX)
    first, target = cursor.position, committing.payload
    last_start = committing.payload + PAYLOAD_BYTES_MAX - MESSAGE_BYTES
    taken = 0
    while taken < count and target <= last_start:
        target += pack(target, slot(ring, first + taken))
        taken += 1
    if taken > 0:
        committing.taken = taken
        committing.packed_ns = read_monotonic()
    return target - committing.payload


@kernel
def await_decisions(committing: Committing, turn_ns: int) -> int:
    """Wait for about `turn_ns` until there are decisions; returns the bytes packed, 0: none.

    It returns at once when the venue is to stop, or when this process has a successor.
    """
    waiting, entry = committing.waiting, committing.entry
    if entry.epoch != committing.epoch:
        return 0
    began = read_monotonic()
    entry.heartbeat.word.value = began
    rounds = 0
    while entry.epoch == committing.epoch:
        rounds += 1
        asleep = False
        size = collect(committing)
        if size == 0 and committing.stop.value == 0 and should_park(waiting):
            expected = arm(entry.bell)
            size = collect(committing)
            if size > 0 or committing.stop.value != 0:
                entry.bell.armed = 0
            else:
                sleep(entry.bell, expected)
                asleep = True
        if size > 0:
            waiting.idle_rounds = 0
            return size
        if asleep or rounds % ROUNDS_PER_BEAT == 0:
            now = read_monotonic()
            if entry.epoch != committing.epoch:
                return 0
            entry.heartbeat.word.value = now
            if now - began > turn_ns:
                return 0
        if committing.stop.value != 0:
            return 0
    return 0


@kernel
def release(committing: Committing, frame_bytes: int) -> int:
    """What was packed is durable: say so, wake who waits for it, give the slots back.

    Returns the last decision of them.
    """
    mark, cursor = committing.mark, committing.decisions.cursor
    taken = committing.taken
    dseq = cursor.position + taken
    mark.frames += 1
    mark.bytes += frame_bytes
    record(mark.commits, read_monotonic() - committing.packed_ns)
    mark.dseq = dseq
    now = ticks(committing.telemetry.clock)
    count_batch(committing.decisions, taken, now, committing.telemetry)
    committing.telemetry.statistics.published += taken
    consume(cursor, taken)
    committing.taken = 0
    fence()
    for index in range(committing.bell_count):
        ring_bell(committing.bells[index])
    return dseq


def warm_up() -> None:
    """Compile what this process runs, on private memory."""
    committing: Committing = Committing.allocate()
    ring = create_ring(
        memory.allocate(ring_bytes(2, MESSAGE_BYTES), "warm-up").start,
        2,
        MESSAGE_BYTES,
        BY_INDEX,
        1,
    )
    committing.decisions.ring, committing.decisions.cursor = ring, ring.readers[0]
    committing.mark, committing.entry = DurableMark.allocate(), ProcessEntry.allocate()
    committing.telemetry.clock = Clock.allocate()
    committing.telemetry.statistics = StageStatistics.allocate()
    committing.stop = Word.allocate()
    committing.stop.value = 1
    frame = FrameBuffer()
    committing.payload = frame.payload_address
    await_decisions(committing, 0)
    release(committing, 0)
    count_records(frame.payload_address, 0, 1)


def connect(venue: VenueMemory, plan: ProcessPlan, frame: FrameBuffer) -> Committing:
    """The compiled part's view of a venue."""
    made: Committing = Committing.allocate()
    made.decisions.ring = venue.rings["decisions"]
    made.decisions.cursor = venue.cursor("decisions", JOURNAL)
    made.mark = venue.counters.durable
    made.telemetry.clock = venue.counters.clock
    made.telemetry.statistics = venue.statistics(JOURNAL)
    made.entry = venue.entry(plan.name)
    made.epoch = venue.epoch
    made.stop = venue.counters.stop
    made.waiting.strategy = plan.strategy
    made.payload = frame.payload_address
    topology = venue.topology
    wanted = {topology.host_of(client) for client in topology.clients}
    wanted |= set(topology.neighbours(plan.name))
    wanted |= {process.name for process in topology.processes if SHADOW in process.stages}
    for index, name in enumerate(sorted(wanted)):
        made.bells[index] = venue.entry(name).bell
    made.bell_count = len(wanted)
    return made
