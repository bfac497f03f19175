"""Writing, checking and loading one snapshot file; `snapshot_format` says what is in it.

A file appears under its name only once it is on the disk, complete, and has been read back.
"""

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import google_crc32c
import numpy as np

from engine.durability.blocks import PAGE_BYTES, Block, Run, runs_in_use
from engine.durability.errors import SnapshotMismatch, StorageFailed, StorageFull
from engine.durability.format import ENGINE_VERSION
from engine.durability.snapshot_format import (
    SECTIONS_MAX,
    Moment,
    PageRun,
    Section,
    Snapshot,
    decode_header,
    encode_header,
    rotten,
    rounded_up,
)

UNFINISHED: Final = ".unfinished"
"""What the name of a file ends with that is being written."""

PIECE_BYTES: Final = 8 << 20
"""Written and synced, or read, in one go: the journal's own sync never waits behind more."""

VECTOR_MAX: Final = 512
"""Pieces that are written by one system call; Linux takes 1024."""

Progress = Callable[[int, int], None]
"""Is told how many bytes of how many are done."""


# --- writing ---------------------------------------------------------------------------------


def write(
    path: Path, blocks: Mapping[str, Block], moment: Moment, progress: Progress | None = None
) -> Snapshot:
    """Write blocks, which must not change meanwhile, as the file `path`.

    Raises StorageFull and StorageFailed, and SnapshotRotten when the disk gives back something
    else than was written. In each case no file has come to be, and none has changed.
    """
    assert 0 < len(blocks) <= SECTIONS_MAX, "write: more blocks than a header has room for"
    unfinished = path.with_name(path.name + UNFINISHED)
    with _storing(path):
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            descriptor = os.open(unfinished, flags, 0o600)
            try:
                _write_sections(descriptor, blocks, moment, progress)
                # So that it is read back from the disk, not from the page cache.
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
            verify(unfinished)
            os.rename(unfinished, path)
            sync_folder(path.parent)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    return read_header(path)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_sections(
    descriptor: int, blocks: Mapping[str, Block], moment: Moment, progress: Progress | None
) -> None:
    runs = {name: runs_in_use(block) for name, block in blocks.items()}
    total = PAGE_BYTES + sum(map(_stored_bytes, runs.values()))
    offset, sections = PAGE_BYTES, []
    for name, block in blocks.items():
        crc = _write_section(descriptor, offset, block, runs[name])
        sections.append(
            Section(
                name=name,
                fingerprint=block.mark,
                block_bytes=block.size,
                offset=offset,
                stored_bytes=_stored_bytes(runs[name]),
                run_count=len(runs[name]),
                page_count=sum(run.count for run in runs[name]),
                crc=crc,
            )
        )
        offset += sections[-1].stored_bytes
        if progress is not None:
            progress(offset, total)
    assert offset == total
    _write_all(descriptor, [np.frombuffer(encode_header(moment, sections, total), np.uint8)], 0)
    os.fdatasync(descriptor)


def _stored_bytes(runs: list[Run]) -> int:
    return rounded_up(len(runs) * PageRun.size) + sum(run.count for run in runs) * PAGE_BYTES


def _write_section(descriptor: int, offset: int, block: Block, runs: list[Run]) -> int:
    """Write one section; returns its CRC."""
    crc, end, size = 0, offset, 0
    waiting: list[Any] = []
    for piece in _pieces(block, runs):
        crc = google_crc32c.extend(crc, piece)
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES or len(waiting) == VECTOR_MAX:
            end += _write_all(descriptor, waiting, end)
            os.fdatasync(descriptor)
            waiting, size = [], 0
    end += _write_all(descriptor, waiting, end)
    assert end - offset == _stored_bytes(runs)
    return crc


def _pieces(block: Block, runs: list[Run]) -> Iterator[Any]:
    """The bytes of a section in the order of the file."""
    view = block.view()
    table = np.array([(run.first, run.count) for run in runs], "<i8").tobytes()
    if table:
        yield np.frombuffer(table.ljust(rounded_up(len(table)), b"\0"), np.uint8)
    for run in runs:
        span = block.bytes_of(run)
        for start in range(span.start, span.stop, PIECE_BYTES):
            yield view[start : min(start + PIECE_BYTES, span.stop)]
        beyond = -(span.stop - span.start) % PAGE_BYTES
        if beyond:
            yield np.zeros(beyond, np.uint8)


def _write_all(descriptor: int, pieces: list[Any], offset: int) -> int:
    """Write pieces one after the other, however little a call takes; returns their size."""
    size = sum(map(len, pieces))
    written = os.pwritev(descriptor, pieces, offset) if pieces else 0
    if written < size:
        rest = b"".join(map(bytes, pieces))
        while written < size:
            written += os.pwrite(descriptor, rest[written:], offset + written)
    return size


@contextmanager
def _storing(path: Path) -> Iterator[None]:
    """Say what the system says in the errors of this package."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(
                f"there is no room for the snapshot {path}: free some on that file system; the "
                "snapshots that were there are kept"
            ) from None
        raise StorageFailed(f"the snapshot {path} cannot be written: {error.strerror}") from error


# --- reading ---------------------------------------------------------------------------------


def read_header(path: Path) -> Snapshot:
    """What a file says of itself; only the header's CRC and the file's size are checked.

    Raises SnapshotRotten, and SnapshotMismatch for a file of another format.
    """
    with _reading(path) as descriptor:
        found = decode_header(path, os.pread(descriptor, PAGE_BYTES, 0))
        size = os.fstat(descriptor).st_size
    if found.file_bytes != size:
        raise rotten(path, f"it has {size} bytes instead of {found.file_bytes}")
    return found


def verify(path: Path, progress: Progress | None = None) -> Snapshot:
    """Read all of a file and check every CRC. Raises as `read_header` does."""
    found = read_header(path)
    buffer = np.empty(min(PIECE_BYTES, found.file_bytes), np.uint8)
    done = PAGE_BYTES
    with _reading(path) as descriptor:
        for section in found.sections:
            crc, end = 0, section.offset + section.stored_bytes
            assert section.offset == done, "a header with a right checksum and wrong offsets"
            while done < end:
                piece = buffer[: min(len(buffer), end - done)]
                _read_all(descriptor, piece, done, path)
                crc = google_crc32c.extend(crc, piece)
                done += len(piece)
                if progress is not None:
                    progress(done, found.file_bytes)
            _check(path, section, crc)
    assert done == found.file_bytes, "a header with a right checksum and wrong sizes"
    return found


def load(path: Path, blocks: Mapping[str, Block], progress: Progress | None = None) -> Snapshot:
    """Load sections into zeroed blocks of the same names; sections without a block are left out.

    Raises SnapshotRotten, and then the blocks hold anything (see `blocks.clear`). Raises
    SnapshotMismatch when the snapshot is of another engine version, or has a block not at all or
    in another layout.
    """
    found = read_header(path)
    _check_fits(found, blocks)
    total = sum(section.stored_bytes for section in found.sections if section.name in blocks)
    done = 0
    with _reading(path) as descriptor:
        for section in found.sections:
            if section.name in blocks:
                _load_section(descriptor, section, blocks[section.name], path)
                done += section.stored_bytes
                if progress is not None:
                    progress(done, total)
    return found


def _check_fits(found: Snapshot, blocks: Mapping[str, Block]) -> None:
    if found.engine_version != ENGINE_VERSION:
        raise SnapshotMismatch(
            f"{found.path} was made by engine version {found.engine_version}; this is version "
            f"{ENGINE_VERSION}, which executes decisions otherwise: use the one that made it"
        )
    for name, block in blocks.items():
        section = found.section(name)
        if section is None:
            raise SnapshotMismatch(f"{found.path} has no section {name}")
        if (section.fingerprint, section.block_bytes) != (block.mark, block.size):
            raise SnapshotMismatch(
                f"{found.path} has another layout of {name} (fingerprint "
                f"{section.fingerprint:#x}, expected {block.mark:#x}): it was made by another "
                "version of okimi, use that one"
            )


def _load_section(descriptor: int, section: Section, block: Block, path: Path) -> None:
    table = np.zeros(section.table_bytes, np.uint8)
    _read_all(descriptor, table, section.offset, path)
    crc = google_crc32c.value(table)
    view, offset, last = block.view(), section.offset + section.table_bytes, 0
    numbers = table[: section.run_count * PageRun.size].view("<i8").reshape(-1, 2)
    for first, count in numbers.tolist():
        if not (last <= first and 0 < count <= block.pages - first):
            raise rotten(path, f"the page table of section {section.name} is wrong")
        last = first + count
        span = block.bytes_of(Run(first, count))
        pieces = [
            view[start : min(start + PIECE_BYTES, span.stop)]
            for start in range(span.start, span.stop, PIECE_BYTES)
        ]
        # The rest of the last page, which is beyond the block.
        pieces.append(np.empty(-(span.stop - span.start) % PAGE_BYTES, np.uint8))
        for piece in pieces:
            _read_all(descriptor, piece, offset, path)
            crc = google_crc32c.extend(crc, piece)
            offset += len(piece)
    _check(path, section, crc)


def _check(path: Path, section: Section, crc: int) -> None:
    if crc != section.crc:
        raise rotten(path, f"the checksum of section {section.name} is wrong")


@contextmanager
def _reading(path: Path) -> Iterator[int]:
    """An open file; what the system says of it is said in the errors of this package."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise rotten(path, f"it cannot be read ({error.strerror})") from None


def _read_all(descriptor: int, piece: Any, offset: int, path: Path) -> None:
    done = 0
    while done < len(piece):
        count = os.preadv(descriptor, [piece[done:]], offset + done)
        if count == 0:
            raise rotten(path, "it ends too early")
        done += count
