"""A data folder opened for looking: its journal, the names of its numbers, how far it is durable.

No lock is taken. While the venue runs only what it has reported as durable is read; what lies
behind that may be half written.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engine.durability import datadir, snapshot
from engine.durability.blocks import Block
from engine.durability.datadir import DataDir
from engine.durability.errors import SnapshotError
from engine.durability.file_storage import FileStorage
from engine.durability.reader import Frame, JournalReader
from engine.durability.snapshot_format import path_of
from engine.reference import ReferenceData
from engine.venue import COUNTERS, REFERENCE, segment_name
from ipc.counters import CountersFile
from ipc.errors import SegmentMissing
from ipc.record import fingerprint
from tools.journal.errors import JournalToolError
from tools.journal.names import Names
from tools.sample import attached

NO_SEGMENTS: Final = 0
"""Size of segments that are begun here: none are. No segment that is cut off has it, so none is
kept to be used again, with frames in it that are younger than its place."""


class OpenJournal:
    """The journal of a data folder. Frames of other versions of the engine are shown, too."""

    def __init__(self, path: Path) -> None:
        """Open the folder of a venue. DataDirForeign when it is none."""
        self.folder: DataDir = datadir.attach(path)
        self.storage = FileStorage(path, NO_SEGMENTS)
        self.durable: int | None = None
        "While the venue runs: the last decision that it has reported as durable."
        if datadir.is_locked(path):
            self.durable = durable_of(self.folder)
        self.reader = JournalReader(self.storage, any_engine=True)
        self.names_error = ""
        "Why there are no names, if there are none."

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    def oldest(self) -> int:
        """The first decision that the journal or its archive still has; 0: there is none."""
        firsts = {*self.storage.archived(), *self.storage.segments()}
        return min(firsts, default=0)

    def names(self) -> Names:
        """The names that the venue began with; without a genesis snapshot there are none."""
        block = Block.allocate(ReferenceData, "genesis reference")
        try:
            snapshot.load(path_of(self.folder.snapshots, 0), {REFERENCE: block})
            return Names(ReferenceData(block.address))
        except SnapshotError as error:
            self.names_error = str(error)
            return Names()
        finally:
            block.free()

    def frames(self, first_dseq: int = 0) -> Iterator[Frame]:
        """Checked frames from the one that holds `first_dseq` to the end, or to what is durable."""
        if self.durable is None:
            yield from self.reader.frames(first_dseq)
        elif self.reader.seek(first_dseq):
            frames = self.reader.poll(self.durable)
            yield from (frame for frame in frames if frame.last_dseq >= first_dseq)

    def durable_now(self) -> int | None:
        """How far a venue that runs has come by now; None when none did when this was opened."""
        if self.durable is not None and datadir.is_locked(self.path):
            self.durable = durable_of(self.folder)
        return self.durable

    def close(self) -> None:
        """Let go of the files."""
        self.storage.close()


def durable_of(folder: DataDir) -> int:
    """The last decision that the running venue of a folder has reported as durable."""
    name = folder.identity.name
    try:
        with attached(
            segment_name(name, COUNTERS), CountersFile.size, fingerprint(CountersFile)
        ) as counters:
            mark: int = CountersFile(counters.address).durable.dseq
            return mark
    except SegmentMissing:
        raise JournalToolError(
            f"{folder.path} is in use, but venue {name!r} has no shared memory yet: it is starting "
            "or ending, try again in a moment"
        ) from None
