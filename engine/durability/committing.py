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
from engine.durability.collecting import Committing, await_decisions, connect, release
from engine.durability.datadir import default_place
from engine.durability.errors import JournalError, JournalGap, StorageFailed, StorageFull
from engine.durability.file_storage import FileStorage
from engine.durability.format import FrameBuffer
from engine.durability.writer import JournalWriter, open_journal
from engine.membership import EXIT_FENCED, EXIT_HOPELESS, EXIT_STORAGE, settle_in
from engine.topology import JOURNAL, ProcessPlan
from engine.venue import VenueMemory
from ipc.counters import (
    FAILED,
    FULL,
    OPEN,
    RUNNING,
    STOPPED,
    explain,
    note_death,
    words_of,
)

TURN_NS: Final = 100_000_000
"""How long the compiled part may wait for decisions before Python has its turn: signals, header
copies, disk space."""

RETRY_SECONDS: Final = 0.02
"""Pause before a frame that the disk had no room for is tried again."""


class Committer:
    """Commits frame after frame; Python's part of the work, tens of microseconds a frame."""

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
        self.stop, self.epoch = venue.counters.stop, venue.epoch
        self.asked: list[int] = []
        self.storage = storage
        storage.pulse = self.beat

    def beat(self) -> None:
        """Show that this process lives, while it waits for the disk."""
        if self.entry.epoch == self.epoch:  # else it is its successor's
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
                self.beat()
        try:
            committer.drain()
        except StorageFull as error:  # nobody was told of what is lost
            self._tell_room(str(error))

    def _tell_room(self, shortage: str) -> None:
        """Let gateways refuse new orders while the journal could not take many more."""
        state = FULL if shortage else OPEN
        if self.mark.state != state:
            explain(self.entry, shortage)
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
        note_death(service.entry, words_of(error))
        return EXIT_STORAGE if isinstance(error, StorageFailed) else EXIT_HOPELESS
    except BaseException as error:
        note_death(service.entry, words_of(error))
        raise
    finally:
        storage.close()
    if committer.is_fenced:  # the entry is its successor's
        return EXIT_FENCED
    service.entry.state = STOPPED
    return 0
