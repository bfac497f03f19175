"""A segment's bytes in order, through one block of registered memory that is used again and again.

Frames are checked and replayed where they were read to, so that 10 million decisions cost one copy
out of the page cache and none after it. Segments of the archive are decompressed on the way.
"""

import weakref
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import zstandard

from engine.durability.errors import JournalRotten, StorageGone
from engine.durability.format import FRAME_ALIGN, FRAME_BYTES_MAX, PAYLOAD_DTYPE
from engine.durability.storage import Storage
from ipc import memory

WINDOW_BYTES: Final = 1 << 20
"""Read at a time: fits a core's own cache, so what was just read is checked and replayed there."""

assert WINDOW_BYTES >= 2 * FRAME_BYTES_MAX, "a frame that begins in the window must fit into it"
assert WINDOW_BYTES % FRAME_ALIGN == 0

Source = Callable[[int, memoryview], int]
"""Fills the buffer from an offset; returns how many bytes, fewer at the end only."""


class Window:
    """The part of a segment that is in memory now; `open` and `open_archived` choose which."""

    def __init__(self) -> None:
        """Allocate the block."""
        self._region = memory.allocate(WINDOW_BYTES, "journal window")
        self.address = self._region.start
        "Where the block begins."
        self.view = self._region.view
        "The block as a buffer."
        mapping: Any = self._region.view.obj
        self.bytes = np.frombuffer(mapping, PAYLOAD_DTYPE)
        "The block for checksums."
        weakref.finalize(self, memory.forget, self._region).atexit = False
        self._source: Source = lambda offset, target: 0
        self._release: Callable[[], object] = lambda: None  # closes what the source reads from
        self._start = 0  # offset in the segment of the block's first byte
        self._filled = 0  # bytes of the segment in the block
        self._reach = WINDOW_BYTES  # how much is read next time, wanted or not

    def open(self, storage: Storage, first_dseq: int) -> None:
        """Look at a segment that is a file of its own; in the archive once it has gone there."""

        def read(offset: int, target: memoryview) -> int:
            try:
                return storage.read(first_dseq, offset, target)
            except StorageGone:
                self._source = self._archived(storage, first_dseq)
                return self._source(offset, target)

        self._begin(read)

    def open_archived(self, storage: Storage, first_dseq: int) -> None:
        """Look at a segment in the archive; from now on offsets may only grow."""
        self._begin(self._archived(storage, first_dseq))

    def _archived(self, storage: Storage, first_dseq: int) -> Source:
        """Decompresses a segment, from front to back."""
        file = storage.open_archived(first_dseq)
        self._release()
        self._release = weakref.finalize(self, file.close)
        stream = zstandard.ZstdDecompressor().stream_reader(file)
        position = 0

        def fill(target: memoryview) -> int:
            nonlocal position
            done = 0
            try:
                while done < len(target):
                    count = stream.readinto(target[done:])
                    if count == 0:
                        break
                    done += count
            except zstandard.ZstdError as error:
                raise JournalRotten(
                    f"archived segment {first_dseq:020d}: cannot be decompressed behind byte "
                    f"{position + done} ({error}): restore it from a copy, its manifest has the "
                    "SHA-256"
                ) from error
            position += done
            return done

        def read(offset: int, target: memoryview) -> int:
            assert offset >= position, "an archived segment is read from front to back"
            while position < offset:
                if not fill(memoryview(bytearray(min(offset - position, WINDOW_BYTES)))):
                    return 0
            return fill(target)

        return read

    def forget(self, offset: int) -> None:
        """Read what lies from `offset` on anew: it may have been written since.

        Who waits for the next frame reads little; who is behind reads more and more at a time.
        """
        self._start, self._filled, self._reach = offset, 0, FRAME_ALIGN

    def at(self, offset: int, size: int) -> int:
        """Index in the block of the segment's bytes from `offset` on, at least `size` of them.

        -1 when the segment ends before. What was at other offsets before may be overwritten.
        """
        index = offset - self._start
        if index >= 0 and index + size <= self._filled:
            return index
        assert 0 < size <= WINDOW_BYTES, f"a window does not hold {size} bytes"
        kept = 0
        if 0 <= index < self._filled:
            kept = self._filled - index
            self.bytes[:kept] = self.bytes[index : self._filled]
        self._start, self._filled = offset, kept
        end = min(max(size, kept + self._reach), WINDOW_BYTES)
        self._reach = min(self._reach * 2, WINDOW_BYTES)
        self._filled += self._source(offset + kept, self.view[kept:end])
        return 0 if self._filled >= size else -1

    def _begin(self, source: Source) -> None:
        self._source, self._start, self._filled = source, 0, 0
        self._reach = WINDOW_BYTES
