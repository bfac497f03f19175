"""State blocks: one record of a stage's state, as memory to save, clear, copy and compare.

The state of a venue is some 800 MB of address space of which most was never touched and is zero.
Everything here therefore works on runs of pages that are not zero. Pages are counted from the
beginning of the block, not of the machine's memory, so a block in shared memory (behind the header
of its segment) has the same pages as one in private memory.
"""

import contextlib
import errno
import hashlib
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from ipc import memory
from ipc.record import Record, fingerprint

PAGE_BYTES: Final = 4096
"""What is stored or left out as a whole: a page of memory on x86, and of most disks."""

_LOOK_PAGES: Final = 1024
"""Pages looked at in one go: 4 MiB, so that what is looked at twice is still in the cache."""

_PAGEMAP: Final = "/proc/self/pagemap"
_PAGEMAP_ENTRY: Final = 8
_IN_USE_SHIFT: Final = 62
"""The two highest bits of an entry: the page is in memory, or it is swapped out."""

assert mmap.PAGESIZE % PAGE_BYTES == 0


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring pages, counted from the beginning of their block."""

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Block:
    """A record that is one piece of state: where it lies in this process, and what it is."""

    record: type[Record]
    address: int

    @classmethod
    def of(cls, state: Record) -> "Block":
        """The block of a record."""
        return cls(type(state), state.address)

    @classmethod
    def allocate(cls, record: type[Record], name: str) -> "Block":
        """A zeroed block in private memory of its own; `free` gives it back."""
        return cls(record, memory.allocate(record.size, name).start)

    @property
    def size(self) -> int:
        """Bytes, not always whole pages."""
        return self.record.size

    @property
    def pages(self) -> int:
        """Pages, the last of which may be partly beyond the block."""
        return -(-self.size // PAGE_BYTES)

    @property
    def mark(self) -> int:
        """The fingerprint of the record."""
        return fingerprint(self.record)

    def region(self) -> memory.Region:
        """The registered memory that holds the block; MemoryFault when there is none."""
        return memory.find(self.address, self.size)

    def bytes_of(self, run: Run) -> slice:
        """Where a run lies in the block, without what of its last page is beyond the end."""
        start = run.first * PAGE_BYTES
        return slice(start, min(start + run.count * PAGE_BYTES, self.size))

    def view(self) -> Any:
        """The block's bytes as a NumPy array, which must be gone before the memory is unmapped."""
        region = self.region()
        start = region.offset(self.address, self.size)
        return np.frombuffer(region.view, np.uint8, self.size, start)

    def free(self) -> None:
        """Give back the memory of `allocate`; nothing may refer to it any more."""
        clear(self)
        region = self.region()
        assert region.start == self.address, "free: this block has no memory of its own"
        mapping = region.view.obj
        assert isinstance(mapping, mmap.mmap)
        memory.forget(region)
        # An error under way keeps views alive; the mapping goes with the last of them.
        with contextlib.suppress(BufferError):
            mapping.close()


def runs_in_use(block: Block) -> list[Run]:
    """The pages that are not all zero, in ascending order.

    Only pages that were ever touched are looked at, which the kernel tells of private memory and of
    segments: a look at an untouched page of shared memory would put it in place.
    """
    view = block.view()
    whole = block.size // PAGE_BYTES
    words = view[: whole * PAGE_BYTES].view(np.uint64).reshape(whole, PAGE_BYTES // 8)
    in_use = np.zeros(block.pages, np.bool_)
    for run in _runs(_touched(block)):
        for first in range(run.first, run.first + run.count, _LOOK_PAGES):
            end = min(first + _LOOK_PAGES, run.first + run.count, whole)
            if first < end:
                _look(words[first:end], in_use[first:end])
    if whole < block.pages:
        in_use[whole] = bool(view[whole * PAGE_BYTES :].any())
    return _runs(in_use)


def _look(words: Any, in_use: Any) -> None:
    """Mark the pages that are not zero; most of those are told by their first word."""
    np.not_equal(words[:, 0], 0, out=in_use)
    doubtful = np.flatnonzero(~in_use)
    if len(doubtful) == len(words):
        in_use[:] = words.any(axis=1)
    elif len(doubtful):
        in_use[doubtful] = words[doubtful].any(axis=1)


def _runs(in_use: Any) -> list[Run]:
    """Neighbouring true elements."""
    edges = np.flatnonzero(np.diff(in_use, prepend=False, append=False))
    return [Run(int(a), int(b - a)) for a, b in edges.reshape(-1, 2)]


def _touched(block: Block) -> Any:
    """For each page whether it may be other than zero."""
    mapping = _mapping_at(block.address)
    first = block.address // mmap.PAGESIZE
    count = (block.address + block.size - 1) // mmap.PAGESIZE - first + 1
    begin = first * mmap.PAGESIZE
    try:
        touched = (
            _pages_of(begin, count) if mapping.is_private else _file_pages(mapping, begin, count)
        )
    except OSError:  # some containers hide what is needed: look at everything, which takes longer
        return np.ones(block.pages, np.bool_)
    # A page of the block lies in one or two pages of the machine.
    starts = block.address + np.arange(block.pages) * PAGE_BYTES
    ends = np.minimum(starts + PAGE_BYTES, block.address + block.size) - 1
    return touched[starts // mmap.PAGESIZE - first] | touched[ends // mmap.PAGESIZE - first]


def _pages_of(begin: int, count: int) -> Any:
    """Which pages of private memory this process has ever touched. OSError."""
    descriptor = os.open(_PAGEMAP, os.O_RDONLY | os.O_CLOEXEC)
    try:
        offset = begin // mmap.PAGESIZE * _PAGEMAP_ENTRY
        raw = os.pread(descriptor, count * _PAGEMAP_ENTRY, offset)
    finally:
        os.close(descriptor)
    assert len(raw) == count * _PAGEMAP_ENTRY, "the page map of this process ends too early"
    return (np.frombuffer(raw, np.uint64) >> np.uint64(_IN_USE_SHIFT)) != 0


def _file_pages(mapping: "_Mapping", begin: int, count: int) -> Any:
    """Which pages of a segment anybody has ever touched: others are holes in its file. OSError."""
    touched = np.zeros(count, np.bool_)
    descriptor = os.open(mapping.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_ino != mapping.inode:
            raise FileNotFoundError(f"{mapping.path} is another file now")
        start = mapping.offset + begin - mapping.start
        end, position = start + count * mmap.PAGESIZE, start
        while position < end:
            try:
                position = os.lseek(descriptor, position, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break  # there is only a hole
            hole = min(os.lseek(descriptor, position, os.SEEK_HOLE), end)
            pages = slice((position - start) // mmap.PAGESIZE, -(-(hole - start) // mmap.PAGESIZE))
            touched[pages] = True
            position = hole
    finally:
        os.close(descriptor)
    return touched


class _Mapping(NamedTuple):
    """What /proc/self/maps says of a piece of memory."""

    start: int
    is_private: bool
    offset: int
    "Of its beginning in the file."
    inode: int
    path: str


def _mapping_at(address: int) -> _Mapping:
    with open("/proc/self/maps", encoding="ascii", errors="replace") as lines:
        for line in lines:
            span, flags, offset, _, inode, *path = line.split(None, 5)
            start, _, end = span.partition("-")
            if int(start, 16) <= address < int(end, 16):
                name = path[0].rstrip("\n") if path else ""
                return _Mapping(int(start, 16), flags[3] == "p", int(offset, 16), int(inode), name)
    raise AssertionError(f"there is no mapping at {address:#x}")


def _is_private(address: int) -> bool:
    """Whether the mapping at `address` is private to this process."""
    return _mapping_at(address).is_private


def clear(block: Block) -> None:
    """Zero a block and give its memory back to the system."""
    _zero(block, 0, block.size, _is_private(block.address))


def copy(source: Block, target: Block) -> None:
    """Make `target` equal to `source`; pages that are zero there take no memory afterwards.

    Whoever reads `target` meanwhile sees a mixture of old and new, as with any writer.
    """
    assert source.record is target.record, "copy: blocks of different records"
    read, write, is_private = source.view(), target.view(), _is_private(target.address)
    done = 0
    for run in runs_in_use(source):
        span = source.bytes_of(run)
        _zero(target, done, span.start, is_private)
        write[span] = read[span]
        done = span.stop
    _zero(target, done, target.size, is_private)


def _zero(block: Block, start: int, end: int, is_private: bool) -> None:
    """Zero bytes of a block, whole pages of the machine by giving them back."""
    if start == end:
        return
    region, view = block.region(), block.view()
    base = block.address - region.start
    first = -(-(base + start) // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (base + end) // mmap.PAGESIZE * mmap.PAGESIZE
    if first >= last:
        view[start:end] = 0
        return
    advice = mmap.MADV_DONTNEED if is_private else mmap.MADV_REMOVE
    mapping = region.view.obj
    assert isinstance(mapping, mmap.mmap)
    try:
        mapping.madvise(advice, first, last - first)
    except OSError:  # refused for locked memory, which then stays in place
        view[start:end] = 0
        return
    view[start : first - base] = 0
    view[last - base : end] = 0


def differences(one: Block, other: Block) -> Iterator[int]:
    """Offsets of bytes that differ, at most one of each page, in ascending order."""
    assert one.record is other.record, "differences: blocks of different records"
    left, right = one.view(), other.view()
    pages = np.zeros(one.pages, np.bool_)
    for run in (*runs_in_use(one), *runs_in_use(other)):
        pages[run.first : run.first + run.count] = True
    for run in _runs(pages):
        for page in range(run.first, run.first + run.count):
            span = one.bytes_of(Run(page, 1))
            unequal = left[span] != right[span]
            if unequal.any():
                yield span.start + int(unequal.argmax())


def digest(block: Block) -> int:
    """64-bit hash of the content, the same wherever the block lies."""
    hashed, view = hashlib.sha256(), block.view()
    for run in runs_in_use(block):
        hashed.update(f"{run.first} {run.count};".encode())
        hashed.update(view[block.bytes_of(run)])
    return int.from_bytes(hashed.digest()[:8], "little")
