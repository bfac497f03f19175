"""Taking one snapshot: when it is due, and the process that takes it where there is no shadow.

The newest snapshot is loaded, what was journaled since is done again, and the state is stored.
Nothing of the venue is touched: only files are read, and the durable mark.
"""

import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import Final

from engine.durability.committing import data_dir_of
from engine.durability.datadir import DataDir, attach
from engine.durability.errors import Diverged, DurabilityError, JournalError, StorageError
from engine.durability.file_storage import FileStorage
from engine.durability.pursuit import Pursuit
from engine.durability.retention import retire
from engine.durability.snapshot import Progress
from engine.durability.snapshot_folder import KEPT, whole
from engine.durability.snapshot_format import Snapshot
from engine.durability.storage import Storage
from engine.membership import die_with_parent
from engine.venue import VenueMemory

NICENESS: Final = 10
"""Everything that answers a client goes first."""

RECORDS_MAX: Final = 20_000_000
"""Decisions between two snapshots at most: what a start has to do again takes well under a
minute."""

RETRY_SECONDS: Final = 60
"""Pause before a snapshot is tried again for which the disk had no room."""

SNAPSHOTS_BEHIND: Final = 2
"""The journal goes back to the second newest whole snapshot: the newest may be damaged later."""

DIFFERS: Final = 1
"""Following the journal gave something else than the venue did."""
BLIND: Final = 2
"""The journal or the snapshots cannot be read, so nothing is compared."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot that was taken, and how."""

    snapshot: Snapshot
    begun: int
    "Decision of the snapshot from which it was made."
    passed_over: tuple[str, ...]
    "What is wrong with newer ones than that."
    follow_seconds: float
    store_seconds: float


class Schedule:
    """When the next snapshot is due."""

    def __init__(self, minutes: int, dseq: int, age_seconds: float = 0.0) -> None:
        """Every so many minutes, and after RECORDS_MAX decisions; 0: only when the venue stops.

        `dseq`: the decision of the newest snapshot. `age_seconds`: how old that is, so that who is
        killed more often than a snapshot is due takes one all the same.
        """
        self._seconds = minutes * 60
        self._dseq = dseq
        age = min(max(age_seconds, 0.0), self._seconds)  # clocks are set
        self._due_at = time.monotonic() + self._seconds - age
        self._earliest = 0.0

    def is_due(self, dseq: int) -> bool:
        """Whether a snapshot of this decision is to be taken now."""
        if self._seconds == 0 or dseq <= self._dseq:
            return False
        now = time.monotonic()
        wanted = now >= self._due_at or dseq - self._dseq >= RECORDS_MAX
        return wanted and now >= self._earliest

    def taken(self, dseq: int) -> None:
        """A snapshot of this decision has been taken."""
        self._dseq = dseq
        self._due_at = time.monotonic() + self._seconds

    def failed(self) -> None:
        """It could not be taken: not again for a while."""
        self._earliest = time.monotonic() + RETRY_SECONDS


def take_snapshot(
    folder: DataDir,
    storage: Storage,
    durable: int | None,
    kept: int = KEPT,
    progress: tuple[Progress | None, Progress | None] = (None, None),
) -> Taken:
    """Follow the journal to decision `durable` (None: to its end, nobody writes it) and store.

    `progress`: is told of decisions, then of bytes. Raises Diverged and the errors of journal,
    snapshots and storage; then nothing is stored.
    """
    began = time.monotonic()
    pursuit = Pursuit(folder, storage, durable)
    try:
        start = pursuit.start.found
        begun = start.snapshot.moment.dseq
        for dseq in pursuit.follow(durable):
            if progress[0] is not None:
                progress[0](dseq - begun, 0 if durable is None else durable - begun)
        followed = time.monotonic()
        stored = pursuit.store(kept, progress[1])
    finally:
        pursuit.free()
    return Taken(stored, begun, start.passed_over, followed - began, time.monotonic() - followed)


def give_up_old(folder: DataDir, storage: FileStorage, *, keep: bool) -> None:
    """Retire the segments behind the second newest snapshot, which is verified for that.

    What cannot be archived stays in the journal, and the operator is told.
    """
    moments = whole(folder.snapshots, SNAPSHOTS_BEHIND)
    if len(moments) < SNAPSHOTS_BEHIND:
        return
    try:
        retire(storage, moments[0], keep=keep)
    except (StorageError, JournalError) as error:
        say(f"old segments stay in the journal: {error}")


def run_snapshot_job(venue: VenueMemory) -> int:
    """The main of a process that takes one snapshot and ends; returns its exit code.

    Its supervisor forks it when `Schedule` says so, and after the journal has ended. When the
    journal gives something else than the venue did, the durable mark says so from then on.
    """
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    mark, settings = venue.counters.durable, venue.config.durability
    storage = FileStorage(data_dir_of(venue.config), settings.segment_mb << 20)
    try:
        folder = attach(data_dir_of(venue.config))
        taken = take_snapshot(folder, storage, mark.dseq, settings.snapshots_kept)
        mark.snapshot_dseq = mark.shadow_dseq = taken.snapshot.moment.dseq
        if venue.counters.stop.value == 0:  # who stops a venue does not wait for the archive
            give_up_old(folder, storage, keep=settings.archive)
    except DurabilityError as error:
        if isinstance(error, Diverged):
            mark.shadow_state = DIFFERS
        say(f"no snapshot was taken: {error}")
        return 1
    finally:
        storage.close()
    for words in taken.passed_over:
        say(words)
    return 0


def say(words: str) -> None:
    """Tell the operator."""
    print(f"okimi: snapshots: {words}", file=sys.stderr, flush=True)
