"""`okimi journal truncate`: what would be lost if a journal were cut where it is no longer whole.

A torn tail was never acknowledged: cutting it loses nothing that anybody was told, and starting
the venue does the same. Damage further up is another matter: everything from there on goes, with
the snapshots that were made of it, and clients keep answers to commands that never were.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console

from engine.durability.datadir import DataDir
from engine.durability.errors import JournalGap, JournalRotten
from engine.durability.file_storage import FileStorage
from engine.durability.format import FRAME_ALIGN, HEADER_BYTES, MAGIC, Position, read_header
from engine.durability.snapshot_folder import dseqs
from engine.durability.snapshot_format import path_of
from engine.durability.tail import repair
from tools.journal.errors import JournalToolError
from tools.journal.opening import OpenJournal
from tools.journal.progress import metered

BLOCK_BYTES: Final = 1 << 20
"""Read and zeroed at a time."""

assert BLOCK_BYTES % FRAME_ALIGN == 0


@dataclass(slots=True)
class Cut:
    """What cutting a journal takes away."""

    last_kept: int = 0
    "The last decision that stays."
    position: Position = field(default_factory=Position)
    torn_bytes: int = 0
    "Of a write that was cut off; nobody was told of it."
    problem: str | None = None
    "Why the journal is not whole, where that is more than a torn tail."
    acknowledged: tuple[int, int] | None = None
    "First and last decision that were acknowledged and would be lost, as far as can be seen."
    segments: list[int] = field(default_factory=list)
    "Later segments that would go whole."
    snapshots: list[int] = field(default_factory=list)
    "Snapshots that would go, as they were made of what would be lost."
    done: bool = False

    @property
    def needed(self) -> bool:
        """Whether there is anything to cut."""
        return self.torn_bytes > 0 or self.problem is not None

    def report(self) -> dict[str, Any]:
        """The fields for --json."""
        first, last = self.acknowledged or (None, None)
        return {
            "needed": self.needed,
            "done": self.done,
            "last_kept": self.last_kept,
            "segment": self.position.segment,
            "offset": self.position.offset,
            "torn_tail_bytes": self.torn_bytes,
            "problem": self.problem,
            "lost_first": first,
            "lost_last": last,
            "lost": 0 if first is None or last is None else last - first + 1,
            "segments": self.segments,
            "snapshots": self.snapshots,
        }


def plan_cut(journal: OpenJournal, console: Console) -> Cut:
    """Read the journal to where it is whole, and say what lies behind."""
    cut, reader = Cut(), journal.reader
    try:
        with metered(journal, console, "reading") as frames:
            for frame in frames:
                cut.last_kept = frame.last_dseq
        assert reader.tail is not None, "a journal that was read to its end has a tail"
        cut.torn_bytes, cut.position = reader.tail.torn_bytes, reader.tail.position
        return cut
    except (JournalRotten, JournalGap) as error:
        cut.problem = str(error)
    cut.position = reader.position
    _refuse_archived(journal.storage, cut.position)
    names = journal.storage.segments()
    cut.segments = [name for name in names if name > cut.position.segment]
    last = _last_seen(journal.storage, cut)
    if last >= cut.position.next_dseq:
        cut.acknowledged = (cut.position.next_dseq, last)
    cut.snapshots = [each for each in dseqs(journal.folder.snapshots) if each > cut.last_kept]
    return cut


def _refuse_archived(storage: FileStorage, position: Position) -> None:
    """Segments of the archive are not cut: they can be replaced."""
    if position.segment in storage.segments():
        return
    raise JournalToolError(
        f"the journal is whole up to decision {position.next_dseq - 1}, and what comes next is not "
        "among its segments: that cannot be cut. Bring the missing segment back into the "
        "archive (its manifest has the SHA-256), or keep a newer snapshot and what follows it"
    )


def _last_seen(storage: FileStorage, cut: Cut) -> int:
    """The last decision of which a header, or its copy, is left behind the cut."""
    last = 0
    for name in (cut.position.segment, *cut.segments):
        last = max(last, name - 1 if name > cut.position.segment else 0)
        copies = storage.read_headers(name)
        begin = cut.position.offset if name == cut.position.segment else 0
        for raw in (*_headers(copies, HEADER_BYTES), *_in_segment(storage, name, begin)):
            header = read_header(raw)
            if header is not None and header.first_dseq >= cut.position.next_dseq:
                last = max(last, header.first_dseq + header.count - 1)
    return last


def _headers(block: bytes, stride: int) -> list[bytes]:
    """Everything at multiples of `stride` that begins like a header."""
    words = np.frombuffer(block[: len(block) // stride * stride], "<i8")[:: stride // 8]
    starts = [int(place) * stride for place in np.flatnonzero(words == MAGIC)]
    return [block[start : start + HEADER_BYTES] for start in starts]


def _in_segment(storage: FileStorage, name: int, begin: int) -> list[bytes]:
    """All headers of a segment from an offset on."""
    found: list[bytes] = []
    target = bytearray(BLOCK_BYTES)
    for offset in range(begin, storage.size(name), BLOCK_BYTES):
        size = storage.read(name, offset, memoryview(target))
        found += _headers(bytes(target[:size]), FRAME_ALIGN)
    return found


def cut_off(path: Path, lose_acknowledged: bool, console: Console) -> Cut:
    """Cut a journal that nobody uses.

    Raises DataDirInUse, and JournalToolError when acknowledged decisions would be lost and the
    caller has not said that they may be.
    """
    journal = OpenJournal(path)
    try:
        lock = journal.folder.lock()
        try:
            cut = plan_cut(journal, console)
            if cut.problem is not None and not lose_acknowledged:
                raise JournalToolError(
                    f"{cut.problem}. To cut here all the same: --lose-acknowledged"
                )
            if cut.needed:
                _cut(journal, cut)
                cut.done = True
        finally:
            lock.release()
    finally:
        journal.close()
    return cut


def _cut(journal: OpenJournal, cut: Cut) -> None:
    """Take away what `cut` says: last what makes the journal look whole again."""
    storage, folder = journal.storage, journal.folder
    if cut.problem is None:
        assert journal.reader.tail is not None
        repair(storage, journal.reader.tail)
        return
    for dseq in cut.snapshots:
        path_of(folder.snapshots, dseq).unlink()
    _forget_events(folder)
    for name in reversed(cut.segments):
        storage.remove(name)
    segment = cut.position.segment
    room = len(storage.read_headers(segment)) - cut.position.frames * HEADER_BYTES
    if room > 0:
        storage.write_headers(segment, cut.position.frames * HEADER_BYTES, bytes(room))
        storage.sync_headers(segment)
    size = storage.size(segment)
    for offset in range(cut.position.offset, size, BLOCK_BYTES):
        storage.write(segment, offset, bytes(min(BLOCK_BYTES, size - offset)))
    storage.sync(segment)


def _forget_events(folder: DataDir) -> None:
    """Take away the materialised events: they are made again from what is left."""
    for path in folder.events.rglob("*.events"):
        path.unlink()


def words(cut: Cut) -> list[str]:
    """What a cut takes away, or has taken, in sentences."""
    if not cut.needed:
        return [f"nothing to cut: the journal is whole up to decision {cut.last_kept}"]
    verb = "was cut" if cut.done else "would be cut"
    place = f"segment {cut.position.segment:020d} from offset {cut.position.offset} on"
    said = [f"{place} {verb}; decisions up to {cut.last_kept} stay"]
    if cut.problem is None:
        return [*said, f"lost: {cut.torn_bytes} bytes of a write that was never acknowledged"]
    said.append(cut.problem)
    if cut.acknowledged:
        first, last = cut.acknowledged
        said.append(
            f"lost: decisions {first} to {last} ({last - first + 1}) that clients were told of"
        )
    else:
        said.append("lost: decisions that clients may have been told of; how many cannot be seen")
    if cut.segments:
        said.append(f"later segments go whole: {', '.join(map(str, cut.segments))}")
    if cut.snapshots:
        said.append(f"snapshots of what is lost go: {', '.join(map(str, cut.snapshots))}")
    return said
