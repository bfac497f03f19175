"""Memory that goes back to its first contents at once, and knows which pages have changed since.

A venue has hundreds of megabytes of address space. After it is built its pages are put into a
memory file, and the file is mapped over the same addresses, private to this process: what is
written then goes to copies of pages, which `restore` throws away.
"""

import ctypes
import mmap
import os
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


class Pages:
    """A region of private memory with its contents at the time this was made."""

    def __init__(self, region: Region) -> None:
        """Freeze what is in the region now."""
        self.region = region
        self._count = -(-region.size // PAGE_BYTES)
        self._bytes = self._count * PAGE_BYTES
        self.bytes: Any = np.frombuffer(region.view, np.uint8)
        "All bytes of the region."
        self._pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        self.used: list[int] = []
        "Pages that were not zero then."
        self._first = self._save()
        self._map_over(self._first)

    def _save(self) -> int:
        descriptor = os.memfd_create("okimi-simulation", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, self._bytes)
        touched = np.flatnonzero(self._entries() & _PRESENT)
        self.used = [page for page in touched.tolist() if self.page(page).any()]
        for page in self.used:
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
        entries = self._entries()
        return np.flatnonzero((entries & _PRESENT != 0) & (entries & _OF_FILE == 0))

    def restore(self) -> None:
        """Go back to the first contents."""
        if _libc.madvise(self.region.start, self._bytes, mmap.MADV_DONTNEED):
            number = ctypes.get_errno()
            raise OSError(number, f"cannot restore {self.region.name}: {os.strerror(number)}")

    def first(self, number: int) -> Any:
        """What a page was at first."""
        size = len(self.page(number))
        return np.frombuffer(os.pread(self._first, size, number * PAGE_BYTES), np.uint8)

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
