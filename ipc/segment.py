"""Named shared memory that outlives its users and says whose it is.

A segment begins with a header: magic, layout fingerprint, size, and the owner that made it (pid,
start time, boot). `create` refuses a name whose owner lives and reclaims one whose owner is dead;
`attach` refuses anything that was not made by this program for exactly this layout.
POSIX shared memory by way of posix_ipc: the standard library's shared_memory unlinks segments
that other processes still use when a process that attached ends (Python 3.11).
"""

import ctypes
import fcntl
import hashlib
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import posix_ipc

from ipc import memory
from ipc.counters import is_alive, process_start_time
from ipc.errors import (
    SegmentError,
    SegmentForeign,
    SegmentInUse,
    SegmentMismatch,
    SegmentMissing,
    SegmentSpace,
)
from ipc.record import LINE_PAIR_BYTES, Record, i64

MAGIC: Final = int.from_bytes(b"okimi\x00sg", "little")
FORMAT: Final = 1
PREFIX: Final = "okimi."
"""All segments of this program begin with this name in the shared memory file system."""

SHARED_MEMORY: Final = Path("/dev/shm")

_MADV_HUGEPAGE: Final = 14
_MADV_POPULATE_WRITE: Final = 23


class SegmentHeader(Record, align=LINE_PAIR_BYTES):
    """The first two lines of every segment; the payload follows."""

    magic: i64
    format: i64
    fingerprint: i64
    "Of the payload's declaration and shape."
    payload_bytes: i64
    owner_pid: i64
    owner_start: i64
    "Start time of the owner in clock ticks since boot."
    boot: i64
    "Hash of the boot id."
    epoch: i64
    "How many owners the segment has had."


def boot_hash() -> int:
    """63-bit hash of this boot of the machine."""
    text = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


class Segment:
    """A mapped segment: `address` of its payload, `size` in bytes."""

    def __init__(self, name: str, mapping: mmap.mmap) -> None:
        """Made by `create` and `attach`."""
        self.name = name
        self._mapping = mapping
        self._region = memory.register(mapping, name)
        self.header = SegmentHeader(self._region.start)
        self.address = self._region.start + SegmentHeader.size
        self.size = len(mapping) - SegmentHeader.size

    def close(self) -> None:
        """Unmap. References into the segment must not be used any more."""
        memory.forget(self._region)
        self._mapping.close()

    def prefault(self) -> None:
        """Have every page in place now instead of at first touch (2-4 us each)."""
        populate(self._region)

    def prefer_huge_pages(self) -> bool:
        """Ask for huge pages; false when the kernel does not take the advice for shared memory."""
        setting = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
        if not setting.exists() or "[never]" in setting.read_text():
            return False
        return advise(self._region, _MADV_HUGEPAGE)


def populate(region: memory.Region) -> bool:
    """Put every page in place; false when the kernel cannot (before Linux 5.14)."""
    return advise(region, _MADV_POPULATE_WRITE)


def advise(region: memory.Region, advice: int) -> bool:
    """Give the kernel advice about a region; whether it was accepted."""
    libc = ctypes.CDLL(None, use_errno=True)
    length = ctypes.c_size_t(region.size)
    return int(libc.madvise(ctypes.c_void_p(region.start), length, advice)) == 0


def lock_all_memory() -> bool:
    """Keep all pages of this process in memory (mlockall); false when not permitted."""
    current, future = 1, 2
    return int(ctypes.CDLL(None, use_errno=True).mlockall(current | future)) == 0


def _open(name: str, flags: int, size: int, writable: bool = True) -> mmap.mmap:
    shared = posix_ipc.SharedMemory("/" + name, flags=flags, mode=0o600, size=size)
    access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
    try:
        return mmap.mmap(shared.fd, 0 if size == 0 else size, access=access)
    finally:
        shared.close_fd()


def _stat(name: str) -> os.stat_result | None:
    try:
        return (SHARED_MEMORY / name).stat()
    except FileNotFoundError:
        return None


def inspect(name: str) -> tuple[bool, str]:
    """Whether segment `name` has a living owner, and a description of it.

    Raises SegmentMissing, or SegmentForeign when it is not a segment of this program and user.
    """
    facts = _stat(name)
    if facts is None:
        raise SegmentMissing(f"there is no shared memory segment {name!r}")
    if facts.st_uid != os.getuid():
        raise SegmentForeign(f"{name!r} belongs to user {facts.st_uid}, not to {os.getuid()}")
    if facts.st_size < SegmentHeader.size:
        # Its creator died between making and sizing it: nobody can be using it.
        return False, "unfinished"
    segment = Segment(name, _open(name, 0, 0, writable=False))
    header = segment.header
    try:
        if header.magic == 0:
            return False, "unfinished"
        if header.magic != MAGIC:
            raise SegmentForeign(f"{name!r} was not made by okimi (magic {header.magic:#x})")
        alive = header.boot == boot_hash() and is_alive(header.owner_pid, header.owner_start)
        return alive, f"owner pid {header.owner_pid}, {'alive' if alive else 'dead'}"
    finally:
        del header
        segment.close()


@contextmanager
def exclusive() -> Iterator[None]:
    """While this is held, no other process creates or reclaims: both look before they act."""
    folder = os.open(SHARED_MEMORY, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def create(name: str, size: int, fingerprint: int) -> Segment:
    """Make segment `name` with `size` zeroed payload bytes, owned by this process.

    Reclaims one whose owner is dead. Raises SegmentInUse, SegmentForeign, SegmentSpace.
    """
    if not name.startswith(PREFIX):
        raise ValueError(f"segment names begin with {PREFIX!r}: {name!r}")
    with exclusive():
        return _create(name, size, fingerprint)


def _create(name: str, size: int, fingerprint: int) -> Segment:
    total = SegmentHeader.size + size
    if _stat(name) is not None:
        alive, description = inspect(name)
        if alive:
            raise SegmentInUse(
                f"shared memory segment {name!r} is in use ({description}); "
                "stop that venue or choose another name"
            )
        unlink(name)
    room = os.statvfs(SHARED_MEMORY)
    if room.f_bavail * room.f_frsize < total:
        raise SegmentSpace(
            f"{name!r} may need {total} bytes, {SHARED_MEMORY} has "
            f"{room.f_bavail * room.f_frsize} left; make it larger or free some"
        )
    try:
        mapping = _open(name, posix_ipc.O_CREX, total)
    except posix_ipc.ExistentialError:
        raise SegmentInUse(f"{name!r} was just made by another process") from None
    segment = Segment(name, mapping)
    header = segment.header
    header.format, header.fingerprint, header.payload_bytes = FORMAT, fingerprint, size
    header.owner_pid, header.boot = os.getpid(), boot_hash()
    header.owner_start = process_start_time(os.getpid())
    header.epoch = 1
    header.magic = MAGIC
    return segment


def attach(
    name: str,
    size: int | None = None,
    fingerprint: int | None = None,
    *,
    writable: bool = True,
) -> Segment:
    """Map an existing segment; None skips that check (tools that look at any version).

    Tools that only look map it read-only: a store is then an error instead of a disaster.

    Raises SegmentMissing, SegmentForeign, SegmentMismatch.
    """
    facts = _stat(name)
    if facts is None:
        raise SegmentMissing(f"there is no shared memory segment {name!r}")
    if facts.st_uid != os.getuid() or facts.st_size < SegmentHeader.size:
        inspect(name)
        raise SegmentMismatch(f"{name!r} is unfinished: its creator died; run `okimi clean`")
    segment = Segment(name, _open(name, 0, 0, writable))
    header = segment.header
    error: SegmentError | None = None
    if header.magic != MAGIC:
        error = SegmentForeign(f"{name!r} was not made by okimi (magic {header.magic:#x})")
    elif header.format != FORMAT:
        error = SegmentMismatch(f"{name!r} has header format {header.format}, not {FORMAT}")
    elif size is not None and header.payload_bytes != size:
        error = SegmentMismatch(f"{name!r} holds {header.payload_bytes} bytes, expected {size}")
    elif fingerprint is not None and header.fingerprint != fingerprint:
        error = SegmentMismatch(
            f"{name!r} has another record layout (fingerprint {header.fingerprint:#x}, expected "
            f"{fingerprint:#x}): it was made by another version; stop that venue first"
        )
    if error is not None:
        del header
        segment.close()
        raise error
    return segment


def unlink(name: str) -> bool:
    """Remove the name; mappings stay valid until closed. False when it was gone already."""
    try:
        posix_ipc.unlink_shared_memory("/" + name)
    except posix_ipc.ExistentialError:
        return False
    return True


def names(prefix: str = PREFIX) -> list[str]:
    """All segments whose name begins with `prefix`, sorted."""
    return sorted(path.name for path in SHARED_MEMORY.iterdir() if path.name.startswith(prefix))
