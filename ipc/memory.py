"""Which bytes of this process records may live in.

Compiled code reads and writes raw addresses. The Python side, and with it the interpreted twin
of every kernel, looks each address up here first, so that an access outside of a known block
is an error with a name instead of a crash. Segments register their mapping; `allocate` makes
private blocks for process-local state and tests.
"""

import bisect
import mmap
import struct
from typing import Any, Final

import numpy as np

from ipc.errors import MemoryFault


class Region:
    """A block of memory with a name: `start` address, `size` in bytes, and a writable `view`."""

    __slots__ = ("_anchor", "name", "size", "start", "view")

    def __init__(self, buffer: mmap.mmap, name: str) -> None:
        """Describe a mapping, writable or not; it cannot be closed before `release`."""
        self._anchor: Any = np.frombuffer(buffer, np.uint8)
        self.start: int = self._anchor.ctypes.data
        self.view = memoryview(buffer).cast("B")
        self.size = len(self.view)
        self.name = name

    def offset(self, address: int, size: int) -> int:
        """Offset of `size` bytes at `address`; MemoryFault when they do not lie inside."""
        offset = address - self.start
        if offset >= 0 and offset + size <= self.size:
            return offset
        raise MemoryFault(
            f"{size} bytes at offset {offset} lie outside of {self.name!r} ({self.size} bytes)"
        )

    def release(self) -> None:
        """Let go of the buffer so that its mapping can be closed."""
        self.view.release()
        self._anchor = None


MAP_NORESERVE: Final = 0x4000
"""Linux: do not count the pages of a block before they are touched. The state of a venue is mostly
never touched, and a process with several venues could not fork if all of it were counted."""

_starts: list[int] = []
_regions: list[Region] = []


def register(buffer: mmap.mmap, name: str) -> Region:
    """Make a mapping known; returns its region."""
    region = Region(buffer, name)
    index = bisect.bisect_left(_starts, region.start)
    _starts.insert(index, region.start)
    _regions.insert(index, region)
    return region


def forget(region: Region) -> None:
    """Undo `register`; later accesses to this block are faults."""
    index = bisect.bisect_left(_starts, region.start)
    assert _regions[index] is region, "forget: region is not registered"
    del _starts[index]
    del _regions[index]
    region.release()


def find(address: int, size: int) -> Region:
    """The region that holds `size` bytes at `address`; MemoryFault when there is none."""
    index = bisect.bisect_right(_starts, address) - 1
    if index < 0:
        raise MemoryFault(f"address {address:#x} lies below every registered block")
    region = _regions[index]
    region.offset(address, size)
    return region


def allocate(size: int, name: str) -> Region:
    """A private, zeroed, page-aligned block that lives as long as the process or until `free`."""
    assert size > 0, "allocate: size must be positive"
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
    return register(mmap.mmap(-1, size, flags=flags), name)


def allocate_shared(size: int, name: str) -> Region:
    """Like `allocate`, but processes that are forked afterwards see the same memory."""
    assert size > 0, "allocate_shared: size must be positive"
    return register(mmap.mmap(-1, size, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS), name)


_WORD = struct.Struct("<q")


def read_word(address: int) -> int:
    """The int64 at `address`, checked."""
    region = find(address, 8)
    value: int = _WORD.unpack_from(region.view, region.offset(address, 8))[0]
    return value


def write_word(address: int, value: int) -> None:
    """Store an int64 at `address`, checked."""
    region = find(address, 8)
    _WORD.pack_into(region.view, region.offset(address, 8), value)
