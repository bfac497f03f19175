"""A disk that fails as disks do: the storage of a simulated journal.

Every file has two contents: what the system would show, and what would survive a loss of power.
A write changes the first, a sync brings the second after it. A crash of the machine keeps of what
was not synced any subset of sectors. Faults are armed by whoever simulates, and strike at the
next operation that they fit.
"""

from dataclasses import dataclass, field
from io import BytesIO
from random import Random
from typing import BinaryIO, Final

import zstandard

from engine.durability.errors import StorageFailed, StorageFull, StorageGone
from engine.durability.format import FRAME_ALIGN, FRAME_BYTES_MAX, HEADER_BYTES

SECTOR_BYTES: Final = 512
"""What a device writes as a whole or not at all."""

SEGMENT_BYTES: Final = FRAME_BYTES_MAX + FRAME_ALIGN
"""As small as a segment can be, so that a short run has several."""

SUBSETS: Final = ("none", "all", "front", "back", "some", "few", "most")
"""Which sectors of an unsynced write a crash keeps."""


class Interrupted(BaseException):
    """The process that used the disk is dead from here on."""


@dataclass(slots=True)
class File:
    """One file of fixed size."""

    shown: bytearray
    kept: bytearray
    unsynced: list[tuple[int, int]] = field(default_factory=list)
    "First byte and end of what was written since the last sync."
    shows_more: bool = False
    "Whether what is shown may differ from what is kept though nothing is unsynced."

    @classmethod
    def of(cls, size: int) -> "File":
        """A file of zeros."""
        return cls(bytearray(size), bytearray(size))

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Change what is shown."""
        end = offset + len(data)
        self.shown[offset:end] = data
        self.unsynced.append((offset, end))

    def sync(self) -> None:
        """Keep what is shown."""
        for start, end in self.unsynced:
            self.kept[start:end] = self.shown[start:end]
        self.unsynced.clear()

    def lose(self, random: Random) -> int:
        """Keep some of the unsynced sectors and forget the others; returns how many were lost."""
        sectors = sorted(
            {
                sector
                for start, end in self.unsynced
                for sector in range(start // SECTOR_BYTES, -(-end // SECTOR_BYTES))
            }
        )
        self.unsynced.clear()
        self.shows_more = True
        subset = random.choice(SUBSETS)
        cut = random.randrange(len(sectors) + 1)
        odds = {"some": 0.5, "few": 0.1, "most": 0.9}.get(subset, 0.0)
        lost = 0
        for index, sector in enumerate(sectors):
            survives = (
                subset == "all"
                or (subset == "front" and index < cut)
                or (subset == "back" and index >= cut)
                or random.random() < odds
            )
            if survives:
                start, end = sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES
                self.kept[start:end] = self.shown[start:end]
            else:
                lost += 1
        return lost

    def forget(self) -> None:
        """Show what is kept."""
        self.shown[:] = self.kept
        self.shows_more = False


class SimulatedDisk:
    """The files of a journal; engine.durability.storage says what its operations do."""

    def __init__(self, random: Random) -> None:
        """An empty disk, on which nothing fails unless it is told to."""
        self.random = random
        self.segment_files: dict[int, File] = {}
        self.side_files: dict[int, File] = {}
        self._archive: dict[int, bytes] = {}
        self.fails_sync = self.fails_write = 0
        "How many operations from now on fail with StorageFailed."
        self.is_full = False
        self.dies_in = 0
        "After how many operations whoever writes is killed; 0: it lives."
        self.recycles = 0.0
        "How often a new segment has the bytes of an older one in it."

    @property
    def segment_bytes(self) -> int:
        """Room of a segment."""
        return SEGMENT_BYTES

    def segments(self) -> list[int]:
        """First dseqs of all segments, ascending."""
        return sorted(self.segment_files)

    def create(self, first_dseq: int) -> None:
        """Make a segment, of zeros or of what is left of an older one."""
        assert first_dseq not in self.segment_files, "a segment is made once"
        if self.is_full:
            raise StorageFull("no room for another segment")
        made = File.of(SEGMENT_BYTES)
        older = [file for name, file in self.segment_files.items() if name < first_dseq]
        if older and self.random.random() < self.recycles:
            left = self.random.choice(older).kept
            made.shown[:] = left
            made.kept[:] = left
        self.segment_files[first_dseq] = made
        self.side_files[first_dseq] = File.of(SEGMENT_BYTES // FRAME_ALIGN * HEADER_BYTES)

    def write(self, first_dseq: int, offset: int, data: bytes | memoryview) -> None:
        """Write all of `data`, or some of it before it fails."""
        self._write(self._segment(first_dseq), offset, data)

    def sync(self, first_dseq: int) -> None:
        """Make what was written survive."""
        self._sync(self._segment(first_dseq))

    def read(self, first_dseq: int, offset: int, target: memoryview) -> int:
        """Fill `target` as far as the file goes."""
        piece = memoryview(self._segment(first_dseq).shown)[offset : offset + len(target)]
        target[: len(piece)] = piece
        return len(piece)

    def size(self, first_dseq: int) -> int:
        """Bytes of the segment's file."""
        return len(self._segment(first_dseq).shown)

    def write_headers(self, first_dseq: int, offset: int, data: bytes | memoryview) -> None:
        """Like `write`, in the side file."""
        self._write(self.side_files[first_dseq], offset, data)

    def sync_headers(self, first_dseq: int) -> None:
        """Like `sync`, for the side file."""
        self._sync(self.side_files[first_dseq])

    def read_headers(self, first_dseq: int) -> bytes:
        """All of the side file."""
        return bytes(self.side_files[first_dseq].shown)

    def remove(self, first_dseq: int) -> None:
        """Give up a segment."""
        del self.segment_files[first_dseq], self.side_files[first_dseq]

    def archived(self) -> list[int]:
        """First dseqs of the archived segments, ascending."""
        return sorted(self._archive)

    def open_archived(self, first_dseq: int) -> BinaryIO:
        """An archived segment, compressed."""
        if first_dseq not in self._archive:
            raise StorageGone(f"segment {first_dseq} is not archived")
        return BytesIO(self._archive[first_dseq])

    def archive(self, first_dseq: int, size: int) -> None:
        """Move a sealed segment, of which so many bytes are frames, into the archive."""
        raw = bytes(self._segment(first_dseq).kept[:size])
        self._archive[first_dseq] = zstandard.ZstdCompressor(level=1).compress(raw)
        self.remove(first_dseq)

    # --- faults --------------------------------------------------------------------------------

    def crash(self) -> int:
        """The machine loses its power; returns how many unsynced sectors are lost."""
        lost = 0
        for file in self._files():
            if file.unsynced:
                lost += file.lose(self.random)
            if file.shows_more:
                file.forget()
        self.fails_sync = self.fails_write = self.dies_in = 0
        return lost

    def _files(self) -> list[File]:
        return [*self.segment_files.values(), *self.side_files.values()]

    def _segment(self, first_dseq: int) -> File:
        file = self.segment_files.get(first_dseq)
        if file is None:
            raise StorageGone(f"segment {first_dseq} is not there any more")
        return file

    def _strikes(self, fault: str) -> bool:
        left: int = getattr(self, fault)
        if left > 0:
            setattr(self, fault, left - 1)
        return left > 0

    def _is_killed(self) -> bool:
        if self.dies_in:
            self.dies_in -= 1
            return self.dies_in == 0
        return False

    def _write(self, file: File, offset: int, data: bytes | memoryview) -> None:
        if self._is_killed():
            self._write_some(file, offset, data)
            raise Interrupted
        if self._strikes("fails_write"):
            self._write_some(file, offset, data)
            raise StorageFailed("a write has failed")
        if self.is_full and self.random.random() < 0.5:
            self._write_some(file, offset, data)
            raise StorageFull("no room")
        file.write(offset, data)

    def _write_some(self, file: File, offset: int, data: bytes | memoryview) -> None:
        count = self.random.randrange(len(data) + 1)
        if count:
            file.write(offset, data[:count])

    def _sync(self, file: File) -> None:
        if self._is_killed():
            if self.random.random() < 0.5:
                file.sync()
            raise Interrupted
        if self._strikes("fails_sync"):
            # As with Linux: the pages count as clean afterwards, whether or not they were written.
            file.lose(self.random)
            raise StorageFailed("a sync has failed")
        file.sync()
