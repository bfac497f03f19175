"""Memory that goes back to its first contents at once, and knows which pages have changed since.

A venue has hundreds of megabytes of address space. After it is built its pages are put into a
memory file, and the file is mapped over the same addresses, private to this process: what is
written then goes to copies of pages, which `restore` throws away.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import struct
from typing import Any, Final

import numpy as np

from ipc.memory import MAP_NORESERVE, Region

PAGE_BYTES: Final = mmap.PAGESIZE

_MAP_FIXED: Final = 0x10
_PAGEMAP_ENTRY: Final = 8
_PRESENT: Final = np.uint64(1 << 63 | 1 << 62)
"""The page is in memory, or swapped out."""
_OF_FILE: Final = np.uint64(1 << 61)
"""It is still the file's, not a copy."""

_SCAN: Final = struct.Struct("=12Q")
"""The argument of PAGEMAP_SCAN (Linux 6.7)."""
_SCAN_REQUEST: Final = 3 << 30 | _SCAN.size << 16 | ord("f") << 8 | 16
_SCAN_FILE, _SCAN_PRESENT, _SCAN_SWAPPED = 1 << 2, 1 << 3, 1 << 4
_SPAN_WORDS: Final = 3
"""Of a span that it finds: first byte, end, what it is."""

_SPANS_MAX: Final = 4096
"""More spans of changed pages than this are looked for in the page map instead."""

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_spans: Final = np.zeros((_SPANS_MAX, _SPAN_WORDS), np.uint64)


class Pages:
    """A region of private memory with its contents at the time this was made."""

    def __init__(self, region: Region, like: "Pages | None" = None) -> None:
        """Freeze what is in the region now; or give it the first contents of `like`."""
        self.region = region
        self._count = -(-region.size // PAGE_BYTES)
        self._bytes = self._count * PAGE_BYTES
        self.bytes: Any = np.frombuffer(region.view, np.uint8)
        "All bytes of the region."
        self._pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        self._of_another = like is not None
        if like is None:
            self._first = self._save()
        else:
            assert like.region.size == region.size, "blocks of the same record"
            self._first = like._first
        self._map_over(self._first)

    def _save(self) -> int:
        """A memory file with what is in the region; pages without anything take no room."""
        descriptor = os.memfd_create("okimi-simulation", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, self._bytes)
        touched = np.flatnonzero(self._entries() & _PRESENT)
        for page in touched.tolist():
            if self.page(page).any():
                os.pwrite(descriptor, self.page(page), page * PAGE_BYTES)
        return descriptor

    def _map_over(self, descriptor: int) -> None:
        access = mmap.PROT_READ | mmap.PROT_WRITE
        flags = mmap.MAP_PRIVATE | MAP_NORESERVE | _MAP_FIXED
        start = self.region.start
        found = _libc.mmap(start, self._bytes, access, flags, descriptor, 0)
        if found != start:
            number = ctypes.get_errno()
            raise OSError(number, f"cannot map {self.region.name} again: {os.strerror(number)}")

    def _entries(self) -> Any:
        first = self.region.start // PAGE_BYTES
        raw = os.pread(self._pagemap, self._count * _PAGEMAP_ENTRY, first * _PAGEMAP_ENTRY)
        return np.frombuffer(raw, np.uint64)

    def changed(self) -> Any:
        """Numbers of the pages that may differ from the first contents, ascending."""
        found = self._scan()
        if found is not None:
            return found
        entries = self._entries()
        return np.flatnonzero((entries & _PRESENT != 0) & (entries & _OF_FILE == 0))

    def _scan(self) -> Any:
        """The same, asked of the kernel in one go; None where it cannot be asked."""
        start, copied = self.region.start, _SCAN_PRESENT | _SCAN_SWAPPED
        given = (_SCAN.size, 0, start, start + self._bytes, 0, _spans.ctypes.data, _SPANS_MAX, 0)
        argument = bytearray(_SCAN.pack(*given, _SCAN_FILE, _SCAN_FILE, copied, copied))
        try:
            count = fcntl.ioctl(self._pagemap, _SCAN_REQUEST, argument)
        except OSError as error:
            if error.errno in (errno.ENOTTY, errno.EINVAL):
                return None
            raise
        if count >= _SPANS_MAX:
            return None
        spans = (_spans[:count, :2] - np.uint64(start)) // np.uint64(PAGE_BYTES)
        pages = [np.arange(first, end) for first, end in spans.tolist()]
        return np.concatenate(pages) if pages else np.zeros(0, np.int64)

    def restore(self) -> None:
        """Go back to the first contents."""
        if _libc.madvise(self.region.start, self._bytes, mmap.MADV_DONTNEED):
            number = ctypes.get_errno()
            raise OSError(number, f"cannot restore {self.region.name}: {os.strerror(number)}")

    def close(self) -> None:
        """Let go of all memory but the first contents, and of the files; it is of no use then."""
        self.restore()
        os.close(self._pagemap)
        if not self._of_another:
            os.close(self._first)

    def save(self) -> tuple[Any, bytes]:
        """Numbers and contents of the pages that have changed."""
        numbers = self.changed()
        return numbers, b"".join(bytes(self.page(number)) for number in numbers.tolist())

    def load(self, numbers: Any, raw: bytes) -> None:
        """Write what `save` gave over the first contents."""
        for index, number in enumerate(numbers.tolist()):
            target = self.page(number)
            start = index * PAGE_BYTES
            target[:] = np.frombuffer(raw, np.uint8, len(target), start)

    def page(self, number: int) -> Any:
        """Bytes of a page; the last one may be shorter."""
        return self.bytes[number * PAGE_BYTES : (number + 1) * PAGE_BYTES]


def difference(one: Pages, other: Pages) -> int:
    """Offset of the first byte in which two blocks with equal first contents differ, or -1."""
    for page in np.union1d(one.changed(), other.changed()).tolist():
        mine, theirs = one.page(page), other.page(page)
        if not np.array_equal(mine, theirs):
            return int(page * PAGE_BYTES + np.flatnonzero(mine != theirs)[0])
    return -1


def assign(target: Pages, source: Pages) -> None:
    """Make a block equal to one with the same first contents."""
    target.restore()
    for page in source.changed().tolist():
        target.page(page)[:] = source.page(page)
