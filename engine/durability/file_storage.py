"""The journal's files on a disk: segments, their side files, and the archive of old ones.

    journal/00000000000000000001.journal       a segment, named by its first dseq
    journal/00000000000000000001.headers       its side file: copies of frame headers
    journal/next.prepared, side.prepared       what the next segment will be made of
    journal/returned.spare                     an old segment that waits to be used again
    archive/00000000000000000001.journal.zst   a segment that is not needed to start, with a
    archive/00000000000000000001.json          manifest

One process writes (it holds a lock on the folder), any number read. A reader may find that a
segment was taken away under it: then it says so instead of returning what is now in that file.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from engine.durability.errors import JournalForeign, StorageFailed, StorageGone
from engine.durability.preparing import (
    PREPARED,
    PREPARED_SIDE,
    PREPARING,
    SPARE,
    Preparer,
    storage_error,
    sync_folder,
)

JOURNAL_FOLDER: Final = "journal"
ARCHIVE_FOLDER: Final = "archive"

SEGMENT_SUFFIX: Final = ".journal"
SIDE_SUFFIX: Final = ".headers"
ARCHIVED_SUFFIX: Final = ".journal.zst"
MANIFEST_SUFFIX: Final = ".json"

DSEQ_DIGITS: Final = 20
"""Digits of a file's name: every dseq fits, and names sort as their numbers do."""

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
"""Orders and balances are nobody else's business."""

DESCRIPTORS_MAX: Final = 8
"""Files that are kept open: the segment in use and its side file, and those being read."""

_OURS: Final = {PREPARED, PREPARED_SIDE, PREPARING, SPARE}
_NAME: Final = re.compile(rf"(\d{{{DSEQ_DIGITS}}})(\.[a-z.]+)")


def file_name(first_dseq: int, suffix: str) -> str:
    """Name of a file that belongs to the segment with this first decision."""
    return f"{first_dseq:0{DSEQ_DIGITS}}{suffix}"


def ensure_folder(folder: Path) -> None:
    """Make a folder that only its owner can look into, durably. StorageFailed, StorageFull."""
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True)
    except FileExistsError:
        return
    except OSError as error:
        raise storage_error("make", folder, error) from error
    sync_folder(folder.parent)


def write_whole(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`, in several calls where one writes less. OSError."""
    rest = memoryview(data).cast("B")
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        if written == 0:
            raise OSError(0, "nothing could be written")
        rest, offset = rest[written:], offset + written


class FileStorage:
    """A journal in a folder of a real file system; `engine.durability.storage` says what it does.

    Reading needs nothing else. Whoever writes calls `begin_writing` first and `close` at the end.
    """

    def __init__(self, data_dir: Path, segment_bytes: int, reserve_bytes: int = 0) -> None:
        """For the journal under `data_dir`. No segment is begun that would leave less free room.

        Nothing is made before something is written.
        """
        self.folder, self.archive = data_dir / JOURNAL_FOLDER, data_dir / ARCHIVE_FOLDER
        self.pulse: Callable[[], None] = lambda: None
        "Called all the time while `create` waits for a segment to be prepared."
        self._segment_bytes, self._reserve_bytes = segment_bytes, reserve_bytes
        self._descriptors: dict[str, int] = {}
        "By name; those used for the longest time come first."
        self._preparer: Preparer | None = None
        self._lock = -1

    @property
    def segment_bytes(self) -> int:
        """Room of a segment that is created from now on."""
        return self._segment_bytes

    @property
    def shortage(self) -> str:
        """Why there is no next segment yet and none can be made; empty when all is well."""
        preparer = self._preparer
        return preparer.shortage if preparer is not None else ""

    def begin_writing(self) -> None:
        """Become the one who writes, and begin to prepare the next segment.

        StorageFailed when another process writes: its lock ends with it.
        """
        if self._preparer is not None:
            return
        ensure_folder(self.folder)
        self._lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise StorageFailed(
                f"another process writes the journal in {self.folder}; end it first"
            ) from error
        self._preparer = Preparer(self.folder, self.segment_bytes, self._reserve_bytes)
        self._preparer.start()

    def await_segment(self) -> None:
        """Wait until the next segment is ready. StorageFull, StorageFailed: it cannot be made."""
        self.begin_writing()
        assert self._preparer is not None
        self._preparer.wait(self.pulse)

    def close(self) -> None:
        """Close all files and end the preparation. Everything can be used again afterwards."""
        if self._preparer is not None:
            self._preparer.close()
            self._preparer = None
            os.close(self._lock)
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    # --- segments ------------------------------------------------------------------------------

    def segments(self) -> list[int]:
        """First dseqs of all segments, ascending. JournalForeign: a file that is none of ours."""
        found = []
        for name in self._names(self.folder):
            match = _NAME.fullmatch(name)
            if match and match[2] == SEGMENT_SUFFIX:
                found.append(int(match[1]))
            elif name not in _OURS and not (match and match[2] == SIDE_SUFFIX):
                raise JournalForeign(
                    f"{self.folder / name} was not made by okimi: move it out of that folder"
                )
        return sorted(found)

    def create(self, first_dseq: int) -> None:
        """Make a segment and its side file, durably; takes what the helper has prepared.

        StorageFull: neither of them exists. StorageFailed.
        """
        self.begin_writing()
        assert self._preparer is not None
        while self._descriptors:  # those of the segment before
            os.close(self._descriptors.popitem()[1])
        names = [file_name(first_dseq, suffix) for suffix in (SEGMENT_SUFFIX, SIDE_SUFFIX)]
        self._preparer.take(self.folder / names[0], self.folder / names[1], self.pulse)

    def write(self, first_dseq: int, offset: int, data: bytes | memoryview) -> None:
        """Write all of `data`. StorageFull: some of it may be there. StorageFailed."""
        self._write(file_name(first_dseq, SEGMENT_SUFFIX), data, offset)
        if self._preparer is not None:
            self._preparer.used_bytes = offset + len(data)

    def sync(self, first_dseq: int) -> None:
        """Return when all that was written will survive a loss of power. StorageFailed."""
        self._sync(file_name(first_dseq, SEGMENT_SUFFIX))

    def read(self, first_dseq: int, offset: int, target: memoryview) -> int:
        """Fill `target` from the segment; returns how many bytes, fewer only at its end.

        StorageGone: it was removed meanwhile. StorageFailed.
        """
        name = file_name(first_dseq, SEGMENT_SUFFIX)
        descriptor = self._descriptor(name)
        done = 0
        try:
            while done < len(target):
                count = os.preadv(descriptor, [target[done:]], offset + done)
                if count == 0:
                    break
                done += count
            self._check_place(name, descriptor)
        except OSError as error:
            raise storage_error("read", self.folder / name, error) from error
        return done

    def size(self, first_dseq: int) -> int:
        """Bytes of the segment's file. StorageGone, StorageFailed."""
        path = self.folder / file_name(first_dseq, SEGMENT_SUFFIX)
        try:
            return path.stat().st_size
        except FileNotFoundError as error:
            raise _gone(path) from error
        except OSError as error:
            raise storage_error("look at", path, error) from error

    def remove(self, first_dseq: int) -> None:
        """Give up a segment and its side file; the next one is made of it. StorageFailed."""
        segment = self.folder / file_name(first_dseq, SEGMENT_SUFFIX)
        side = self.folder / file_name(first_dseq, SIDE_SUFFIX)
        for path in (segment, side):
            if path.name in self._descriptors:
                os.close(self._descriptors.pop(path.name))
        try:
            size = self.size(first_dseq)
            side.unlink(missing_ok=True)
            if size == self.segment_bytes:
                os.replace(segment, self.folder / SPARE)
            else:
                segment.unlink()
        except OSError as error:
            raise storage_error("remove", segment, error) from error
        sync_folder(self.folder)

    # --- side files ----------------------------------------------------------------------------

    def write_headers(self, first_dseq: int, offset: int, data: bytes | memoryview) -> None:
        """Like `write`, in the segment's side file, which is made when it is missing."""
        name = file_name(first_dseq, SIDE_SUFFIX)
        if name not in self._descriptors:
            self._ensure_file(name)
        self._write(name, data, offset)

    def sync_headers(self, first_dseq: int) -> None:
        """Like `sync`, for the segment's side file."""
        self._sync(file_name(first_dseq, SIDE_SUFFIX))

    def read_headers(self, first_dseq: int) -> bytes:
        """All of the segment's side file; empty when there is none. StorageFailed."""
        path = self.folder / file_name(first_dseq, SIDE_SUFFIX)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise storage_error("read", path, error) from error

    # --- the archive ---------------------------------------------------------------------------

    def archived(self) -> list[int]:
        """First dseqs of the archived segments, ascending: those that have a manifest."""
        found = []
        names = set(self._names(self.archive))
        for name in names:
            match = _NAME.fullmatch(name)
            if match and match[2] == ARCHIVED_SUFFIX and match[1] + MANIFEST_SUFFIX in names:
                found.append(int(match[1]))
        return sorted(found)

    def open_archived(self, first_dseq: int) -> BinaryIO:
        """An archived segment from its beginning, as it is stored. StorageGone, StorageFailed."""
        path = self.archive / file_name(first_dseq, ARCHIVED_SUFFIX)
        try:
            return path.open("rb")
        except FileNotFoundError as error:
            raise _gone(path) from error
        except OSError as error:
            raise storage_error("open", path, error) from error

    # --- files ---------------------------------------------------------------------------------

    def _names(self, folder: Path) -> list[str]:
        try:
            return os.listdir(folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error("look into", folder, error) from error

    def _ensure_file(self, name: str) -> None:
        """Make an empty file in the journal's folder, durably, unless it is there."""
        path = self.folder / name
        try:
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
            os.close(os.open(path, flags, FILE_MODE))
        except FileExistsError:
            return
        except OSError as error:
            raise storage_error("make", path, error) from error
        sync_folder(self.folder)

    def _descriptor(self, name: str) -> int:
        """A descriptor of a file of the journal's folder. StorageGone, StorageFailed."""
        found = self._descriptors.get(name)
        if found is not None:
            return found
        while len(self._descriptors) >= DESCRIPTORS_MAX:
            os.close(self._descriptors.pop(next(iter(self._descriptors))))
        path = self.folder / name
        try:
            try:
                opened = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except PermissionError:  # whoever may only look
                opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise _gone(path) from error
        except OSError as error:
            raise storage_error("open", path, error) from error
        self._descriptors[name] = opened
        return opened

    def _check_place(self, name: str, descriptor: int) -> None:
        """What was read is the segment's if its file still has its name: it loses that first."""
        path = self.folder / name
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return
        os.close(self._descriptors.pop(name))
        raise _gone(path)

    def _write(self, name: str, data: bytes | memoryview, offset: int) -> None:
        descriptor = self._descriptor(name)
        try:
            write_whole(descriptor, data, offset)
        except OSError as error:
            raise storage_error("write", self.folder / name, error) from error

    def _sync(self, name: str) -> None:
        descriptor = self._descriptor(name)
        try:
            os.fdatasync(descriptor)
        except OSError as error:
            raise storage_error("sync", self.folder / name, error) from error


def _gone(path: Path) -> StorageGone:
    return StorageGone(f"{path} is not there any more; it may be in the archive")
