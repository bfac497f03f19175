"""Old segments leave the journal: compressed into the archive, or not kept at all.

A segment may go when two verified snapshots know all that it holds (whoever calls `retire` says up
to which decision that is so). It is read and checked once more, compressed, synced, read back from
the disk and compared; only then it is given up, and the journal uses its file again.
"""

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import BinaryIO, Final

import zstandard

from engine.durability.errors import JournalRotten, StorageFailed
from engine.durability.file_storage import (
    ARCHIVED_SUFFIX,
    FILE_MODE,
    MANIFEST_SUFFIX,
    FileStorage,
    ensure_folder,
    file_name,
)
from engine.durability.format import FORMAT
from engine.durability.preparing import storage_error, sync_folder
from engine.durability.reader import JournalReader

LEVEL: Final = 1
"""Of compression: 419 MB/s and a fifth of the size were measured; more levels cost more than they
save."""

PIECE_BYTES: Final = 1 << 20
"""Read, compressed, synced at a time: a commit never waits behind more than this."""

UNFINISHED: Final = ".unfinished"
"""Ends the name of a file that is being written."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archived segment holds; beside it as JSON."""

    first_dseq: int
    last_dseq: int
    frames: int
    bytes: int
    "Of the frames, as they were in the segment."
    sha256: str
    "Of these bytes, in hexadecimal digits."
    stored_bytes: int
    "Of the compressed file."
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Retired:
    """A segment that has left the journal."""

    first_dseq: int
    last_dseq: int
    manifest: Manifest | None
    "None: it was not kept."


def retire(storage: FileStorage, dseq: int, *, keep: bool) -> list[Retired]:
    """Give up the segments that a start does not need; returns them, oldest first.

    dseq: the last decision in the second-newest of the snapshots that were verified. A segment
        goes when the next one begins with that decision or before: so what remains begins with a
        frame that is durable, and a start finds what the next frame must follow.
    keep: store them in the archive; else their decisions are gone.

    One caller at a time. JournalRotten and its kin: a segment is damaged, and stays. StorageFull,
    StorageFailed: it could not be archived, and stays; what was retired before is.
    """
    retired = []
    names = storage.segments()
    for first_dseq, following in itertools.pairwise(names):
        if following > dseq:
            break
        manifest = _archive(storage, first_dseq, following - 1) if keep else None
        storage.remove(first_dseq)
        retired.append(Retired(first_dseq, following - 1, manifest))
    return retired


def read_manifest(storage: FileStorage, first_dseq: int) -> Manifest:
    """The manifest of an archived segment. JournalRotten, StorageFailed."""
    path = storage.archive / file_name(first_dseq, MANIFEST_SUFFIX)
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        names = [field.name for field in fields(Manifest)]
        if not isinstance(written, dict) or sorted(written) != sorted(names):
            raise ValueError(f"its keys are not {', '.join(names)}")
        return Manifest(**written)
    except OSError as error:
        raise storage_error("read", path, error) from error
    except ValueError as error:
        raise JournalRotten(f"{path} is damaged ({error}): restore it from a copy") from error


def verify_archived(storage: FileStorage, first_dseq: int) -> Manifest:
    """Decompress an archived segment and compare it with its manifest; returns that.

    JournalRotten when they differ; StorageGone, StorageFailed.
    """
    manifest = read_manifest(storage, first_dseq)
    digest, size = hashlib.sha256(), 0
    for piece in _decompressed(storage, first_dseq):
        digest.update(piece)
        size += len(piece)
    if (size, digest.hexdigest()) != (manifest.bytes, manifest.sha256):
        path = storage.archive / file_name(first_dseq, ARCHIVED_SUFFIX)
        raise JournalRotten(
            f"{path}: holds {size} bytes with SHA-256 {digest.hexdigest()}, its manifest says "
            f"{manifest.bytes} and {manifest.sha256}: restore both from a copy"
        )
    return manifest


# --- into the archive --------------------------------------------------------------------------


def _archive(storage: FileStorage, first_dseq: int, last_dseq: int) -> Manifest:
    """Have a whole, verified copy of a segment in the archive; returns its manifest."""
    frames, size = _check(storage, first_dseq, last_dseq)
    ensure_folder(storage.archive)
    path = storage.archive / file_name(first_dseq, ARCHIVED_SUFFIX)
    try:
        stored_bytes, digest = _compress(storage, first_dseq, size, path)
    except OSError as error:
        raise storage_error("archive", path, error) from error
    finally:
        with contextlib.suppress(OSError):
            _unfinished(path).unlink()
    _compare(storage, first_dseq, size)
    manifest = Manifest(first_dseq, last_dseq, frames, size, digest, stored_bytes)
    _write_manifest(storage.archive / file_name(first_dseq, MANIFEST_SUFFIX), manifest)
    return manifest


def _check(storage: FileStorage, first_dseq: int, last_dseq: int) -> tuple[int, int]:
    """Check every byte of a sealed segment; returns how many frames and bytes it holds."""
    reader = JournalReader(storage, any_engine=True)
    frames = size = 0
    reached = 0
    for frame in reader.frames(first_dseq):
        if frame.segment != first_dseq:  # the next segment continues this one
            break
        frames += 1
        size, reached = frame.offset + frame.bytes, frame.last_dseq
    assert reached == last_dseq, f"segment {first_dseq} ends with {reached}, not {last_dseq}"
    return frames, size


def _pieces(storage: FileStorage, first_dseq: int, size: int) -> Iterator[bytes]:
    """The segment's first `size` bytes."""
    piece = memoryview(bytearray(PIECE_BYTES))
    for offset in range(0, size, PIECE_BYTES):
        target = piece[: min(PIECE_BYTES, size - offset)]
        count = storage.read(first_dseq, offset, target)
        assert count == len(target), "a segment does not become shorter"
        yield bytes(target)


def _compress(storage: FileStorage, first_dseq: int, size: int, path: Path) -> tuple[int, str]:
    """Write a segment's copy under its name, durably; returns its size and the SHA-256. OSError."""
    digest = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with open(os.open(_unfinished(path), flags, FILE_MODE), "wb", buffering=0) as file:
        compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
        with compressor.stream_writer(file, size=size, closefd=False) as writer:
            for piece in _pieces(storage, first_dseq, size):
                digest.update(piece)
                writer.write(piece)
                os.fdatasync(file.fileno())
        os.fsync(file.fileno())
        stored_bytes = os.fstat(file.fileno()).st_size
    os.replace(_unfinished(path), path)
    sync_folder(path.parent)
    return stored_bytes, digest.hexdigest()


def _write_manifest(path: Path, manifest: Manifest) -> None:
    """Durably: with it the copy counts."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with open(os.open(_unfinished(path), flags, FILE_MODE), "w", encoding="utf-8") as file:
            json.dump(asdict(manifest), file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(_unfinished(path), path)
    except OSError as error:
        raise storage_error("archive", path, error) from error
    sync_folder(path.parent)


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + UNFINISHED)


# --- back from the archive ---------------------------------------------------------------------


def _compare(storage: FileStorage, first_dseq: int, size: int) -> None:
    """Read a copy back from the disk and compare it with its segment. StorageFailed."""
    copy, length = hashlib.sha256(), 0
    original = hashlib.sha256()
    try:
        for piece in _decompressed(storage, first_dseq):
            copy.update(piece)
            length += len(piece)
    except JournalRotten as error:
        raise StorageFailed(f"what was just archived cannot be read back: {error}") from error
    for piece in _pieces(storage, first_dseq, size):
        original.update(piece)
    if (length, copy.digest()) != (size, original.digest()):
        path = storage.archive / file_name(first_dseq, ARCHIVED_SUFFIX)
        raise StorageFailed(
            f"{path} differs from the segment that was just written to it: the segment stays in "
            "the journal; look at the disk and the memory of this machine"
        )


def _decompressed(storage: FileStorage, first_dseq: int) -> Iterator[bytes]:
    """The bytes of an archived segment, from the disk and not from memory."""
    with storage.open_archived(first_dseq) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        yield from _inflated(file, file_name(first_dseq, ARCHIVED_SUFFIX))


def _inflated(file: BinaryIO, name: str) -> Iterator[bytes]:
    try:
        with zstandard.ZstdDecompressor().stream_reader(file) as reader:
            while piece := reader.read(PIECE_BYTES):
                yield piece
    except zstandard.ZstdError as error:
        raise JournalRotten(
            f"{name} cannot be decompressed ({error}): restore it from a copy"
        ) from error
    except OSError as error:
        raise StorageFailed(f"cannot read {name}: {error.strerror}") from error
