"""The journal process: what is decided becomes durable, and then may be told.

It reads the decision ring beside matching. Everything that is there, at most one frame, is packed
by compiled code into a frame, written and synced; then the durable mark moves, whoever tells
clients is woken, and the ring's slots are given back. Meanwhile more has been decided, which is
the next frame: the busier the venue, the larger the frames.

Crash rule: the frame is durable before the mark says so, and the mark says so before the ring's
cursor moves. A successor finds what the journal has, and skips that in the ring.
"""

import signal
import time
from pathlib import Path
from typing import Final

from engine.config import Config
from engine.durability.datadir import default_place
from engine.durability.errors import JournalError, JournalGap, StorageFailed, StorageFull
from engine.durability.file_storage import FileStorage
from engine.durability.format import PAYLOAD_BYTES_MAX, FrameBuffer, count_records, pack
from engine.durability.writer import JournalWriter, open_journal
from engine.membership import EXIT_FENCED, EXIT_HOPELESS, EXIT_STORAGE, settle_in
from engine.messages import MESSAGE_BYTES, PLAIN_BYTES
from engine.stage import Telemetry, count_batch
from engine.topology import JOURNAL, SHADOW, ProcessPlan
from engine.venue import VenueMemory
from ipc import memory
from ipc.clock import Clock, ticks
from ipc.counters import (
    DEAD,
    FAILED,
    FULL,
    OPEN,
    PROCESSES_MAX,
    RUNNING,
    STOPPED,
    DurableMark,
    ProcessEntry,
    StageStatistics,
)
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

TURN_NS: Final = 100_000_000
"""How long the compiled part may wait for decisions before Python has its turn: signals, header
copies, disk space."""

RETRY_SECONDS: Final = 0.02
"""Pause before a frame that the disk had no room for is tried again."""

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


class Committer:
    """Commits frame after frame; Python's part of the work, a few microseconds a frame."""

    def __init__(self, committing: Committing, writer: JournalWriter, frame: FrameBuffer) -> None:
        """Go on behind what the journal has: `writer` stands where it ends.

        What the ring still has of that is skipped. JournalGap when the journal has less than was
        taken from the ring, or more than was ever in it.
        """
        self.committing, self.writer, self.frame = committing, writer, frame
        self.size = 0
        "Bytes of a payload that is packed and not durable yet."
        ring, cursor = committing.decisions.ring, committing.decisions.cursor
        durable, published = writer.durable, ring.producer.position
        if not cursor.position <= durable <= published:
            raise JournalGap(
                f"the journal ends with decision {durable}, but decisions up to "
                f"{cursor.position} were durable and {published} were made: the files are not "
                "those that this venue wrote; stop it, and start it again with the right data"
            )
        committing.mark.dseq = durable
        cursor.position = durable

    @property
    def is_fenced(self) -> bool:
        """Whether this process has a successor: then it must not write anything."""
        return bool(self.committing.entry.epoch != self.committing.epoch)

    def turn(self, turn_ns: int) -> bool:
        """Commit one frame; when there is none for `turn_ns`, bring the header copies up to date.

        Returns whether a frame was committed. StorageFull: it was not, the next turn tries the
        same again. StorageFailed, JournalPoisoned: nothing more can be committed.
        """
        if not self.size:
            self.size = await_decisions(self.committing, turn_ns)
        if self.is_fenced:
            return False
        if not self.size:
            self.writer.idle()
            return False
        before = self.writer.bytes
        durable = self.writer.append(self.frame, self.size)
        released = release(self.committing, self.writer.bytes - before)
        assert released == durable, "Committer: ring and journal count differently"
        self.size = 0
        self.writer.copy_header()
        return True

    def drain(self) -> None:
        """Commit what is in the ring now, before the process ends. Errors as those of `turn`."""
        last = self.committing.decisions.ring.producer.position
        while self.writer.durable < last and not self.is_fenced:
            self.turn(0)
        if not self.is_fenced:
            self.writer.idle()


def open_committer(venue: VenueMemory, plan: ProcessPlan, storage: FileStorage) -> Committer:
    """Read the end of the journal, repair a torn tail, and stand ready to go on behind it.

    Waits for the first segment of a new journal to be made. Errors: those of `open_journal`,
    StorageFull when there is no room for that segment, JournalGap as for `Committer`.
    """
    mark = venue.counters.durable
    storage.begin_writing()
    acknowledged = max(mark.dseq, venue.cursor("decisions", JOURNAL).position)
    writer = open_journal(storage, mark.term, acknowledged)
    if not writer.position.segment:
        storage.await_segment()
    frame = FrameBuffer()
    return Committer(connect(venue, plan, frame), writer, frame)


class _Service:
    """The journal process between its start and its end."""

    def __init__(self, venue: VenueMemory, plan: ProcessPlan, storage: FileStorage) -> None:
        self.entry, self.mark = venue.entry(plan.name), venue.counters.durable
        self.stop = venue.counters.stop
        self.asked: list[int] = []
        self.storage = storage
        storage.pulse = self.beat

    def beat(self) -> None:
        """Show that this process lives, while it waits for the disk."""
        self.entry.heartbeat.word.value = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)

    def run(self, committer: Committer) -> None:
        """Commit until asked to stop, or until this process has a successor."""
        while not (self.asked or self.stop.value or committer.is_fenced):
            self._tell_room(self.storage.shortage)
            try:
                committer.turn(TURN_NS)
            except StorageFull as error:
                self._tell_room(str(error))
                time.sleep(RETRY_SECONDS)
                if not committer.is_fenced:
                    self.beat()
        try:
            committer.drain()
        except StorageFull as error:  # nobody was told of what is lost
            self._tell_room(str(error))

    def _tell_room(self, shortage: str) -> None:
        """Let gateways refuse new orders while the journal could not take many more."""
        state = FULL if shortage else OPEN
        if self.mark.state != state:
            self.entry.last_error.set(shortened(shortage))
            self.mark.state = state


def data_dir_of(config: Config) -> Path:
    """The folder of a venue's data: as the configuration says, or the usual one."""
    written = config.durability.data_dir
    return Path(written).expanduser() if written else default_place(config.venue.name)


def serve_journal(venue: VenueMemory, plan: ProcessPlan) -> int:
    """The main of the journal process; returns its exit code.

    0: told to end by the stop word or SIGTERM, what was in the ring is committed. EXIT_STORAGE: the
    disk has failed. EXIT_HOPELESS: the journal is damaged. After these two nothing is acknowledged
    any more. EXIT_FENCED: this process has a successor.
    """
    durability = venue.config.durability
    storage = FileStorage(
        data_dir_of(venue.config), durability.segment_mb << 20, durability.reserve_mb << 20
    )
    service = _Service(venue, plan, storage)
    signal.signal(signal.SIGTERM, lambda number, frame: service.asked.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settle_in(venue, plan)
    try:
        committer = open_committer(venue, plan, storage)
        service.entry.state = RUNNING
        service.run(committer)
    except (StorageFailed, JournalError) as error:
        venue.counters.durable.state = FAILED
        _note_death(service.entry, error)
        return EXIT_STORAGE if isinstance(error, StorageFailed) else EXIT_HOPELESS
    except BaseException as error:
        _note_death(service.entry, error)
        raise
    finally:
        storage.close()
    if committer.is_fenced:  # the entry is its successor's
        return EXIT_FENCED
    service.entry.state = STOPPED
    return 0


def _note_death(entry: ProcessEntry, error: BaseException) -> None:
    entry.last_error.set(shortened(f"{type(error).__name__}: {error}"))
    entry.state = DEAD


def shortened(text: str) -> str:
    """As much of a text as a process entry holds."""
    return text.encode()[:200].decode(errors="ignore")
