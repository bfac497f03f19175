"""A journal's storage in memory: for tests that look at a hundred thousand damaged journals."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

from engine.durability.errors import StorageFailed, StorageFull
from engine.durability.format import FRAME_ALIGN, FRAME_BYTES_MAX, HEADER_BYTES


class MemoryStorage:
    """Files are byte arrays. `fail` makes the n-th call of an operation go wrong."""

    def __init__(self, segment_bytes: int = FRAME_BYTES_MAX) -> None:
        self.segment_bytes = segment_bytes
        self.files: dict[int, bytearray] = {}
        self.copies: dict[int, bytearray] = {}
        self.archive: dict[int, bytes] = {}
        self.recycled: list[bytearray] = []
        "What the next segments begin as."
        self.calls: list[str] = []
        self.errors: dict[str, Exception] = {}
        "What the next call of an operation raises."

    @contextmanager
    def failing(self, operation: str, error: Exception) -> Iterator[None]:
        self.errors[operation] = error
        yield
        self.errors.pop(operation, None)

    def _called(self, operation: str) -> None:
        self.calls.append(operation)
        if operation in self.errors:
            raise self.errors[operation]

    def segments(self) -> list[int]:
        return sorted(self.files)

    def create(self, first_dseq: int) -> None:
        self._called("create")
        assert first_dseq not in self.files
        blank = bytearray(self.segment_bytes)
        self.files[first_dseq] = self.recycled.pop(0) if self.recycled else blank
        self.copies[first_dseq] = bytearray(self.segment_bytes // FRAME_ALIGN * HEADER_BYTES)

    def write(self, first_dseq: int, offset: int, data: bytes | memoryview) -> None:
        part = len(data)
        error = self.errors.get("write")
        if error is not None:
            part //= 2  # some of it is there
        self.files[first_dseq][offset : offset + part] = data[:part]
        self._called("write")

    def sync(self, first_dseq: int) -> None:
        assert first_dseq in self.files
        self._called("sync")

    def read(self, first_dseq: int, offset: int, target: memoryview) -> int:
        found = memoryview(self.files[first_dseq])[offset : offset + len(target)]
        target[: len(found)] = found
        return len(found)

    def size(self, first_dseq: int) -> int:
        return len(self.files[first_dseq])

    def write_headers(self, first_dseq: int, offset: int, data: bytes | memoryview) -> None:
        self._called("write_headers")
        self.copies.setdefault(first_dseq, bytearray())[offset : offset + len(data)] = data

    def sync_headers(self, first_dseq: int) -> None:
        assert first_dseq in self.copies
        self._called("sync_headers")

    def read_headers(self, first_dseq: int) -> bytes:
        return bytes(self.copies.get(first_dseq, b""))

    def remove(self, first_dseq: int) -> None:
        self.recycled.append(self.files.pop(first_dseq))
        del self.copies[first_dseq]

    def archived(self) -> list[int]:
        return sorted(self.archive)

    def open_archived(self, first_dseq: int) -> io.BytesIO:
        return io.BytesIO(self.archive[first_dseq])


FAILED = StorageFailed("segment: fdatasync: [Errno 5] Input/output error")
FULL = StorageFull("segment: pwrite: [Errno 28] No space left on device")
