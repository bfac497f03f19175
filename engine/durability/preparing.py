"""The next segment of the journal, made ready before it is needed.

A helper thread of the journal process writes a file of zeros, in pieces and slowly, so that a
commit never waits for more than one piece; or it takes a segment that retention has given back,
which costs nothing. Zeros are really written: a file whose blocks are only reserved takes half as
long again to sync, because the file system notes at each first write that a block is in use.
"""

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engine.durability.errors import StorageError, StorageFailed, StorageFull

PIECE_BYTES: Final = 256 << 10
"""Written and synced at a time: as much as the largest frame, so a commit that comes in between
waits no longer than behind another commit."""

BACKGROUND_BYTES_PER_SECOND: Final = 8 << 20
"""Pace of the helper when there is time: a segment of 256 MiB in half a minute, and a piece of
300 us each 32 ms, so that one commit in a hundred has to wait for one."""

LEAD: Final = 2
"""The new segment is this many times as full of zeros as the one in use is of frames, so it is
ready when that one is half used."""

ROOM_CHECK_SECONDS: Final = 0.25
"""How often the helper looks whether there is room again."""

PULSE_SECONDS: Final = 0.02
"""How often whoever waits for a segment is given its turn to beat its heart."""

PREPARED: Final = "next.prepared"
"""A segment that is ready to be named: of full size, written and synced."""

PREPARED_SIDE: Final = "side.prepared"
"""Its side file, all zeros."""

PREPARING: Final = "next.preparing"
"""One of these while it is being filled; worth nothing after a crash."""

SPARE: Final = "returned.spare"
"""A segment that retention gave back: it holds old frames, which chain to nothing that comes."""

SIDE_SHIFT: Final = 6
"""A side file has a header of 64 bytes for each 4 KiB of its segment."""

EMPTY: Final = "empty"
WORKING: Final = "working"
READY: Final = "ready"
NO_ROOM: Final = "no room"
FAILED: Final = "failed"

_ZEROS: Final = memoryview(bytes(PIECE_BYTES))
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def sync_folder(folder: Path) -> None:
    """Make names that were given and taken in a folder durable. StorageFailed."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error("sync", folder, error) from error


def storage_error(what: str, path: Path, error: OSError) -> StorageError:
    """What an operating system's error means for the journal."""
    reason = error.strerror or str(error)
    if error.errno in _FULL and what != "sync":
        return StorageFull(
            f"cannot {what} {path}: {reason}; free some room on that disk, the journal then goes on"
        )
    return StorageFailed(
        f"cannot {what} {path}: {reason}; look at the disk and the kernel's log, then start the "
        "venue again: what was acknowledged is on the disk or is missed there with a message"
    )


def free_bytes(folder: Path) -> int:
    """Room that is left for this user on the disk of a folder."""
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize


class Preparer:
    """Keeps one segment ready. One thread of it works while another takes what it made."""

    def __init__(self, folder: Path, segment_bytes: int, reserve_bytes: int) -> None:
        """For segments in `folder`; none is begun that would leave less than `reserve_bytes`."""
        assert segment_bytes >= PIECE_BYTES, "Preparer: a segment has room for the largest frame"
        self.folder, self.segment_bytes = folder, segment_bytes
        self.reserve_bytes = reserve_bytes
        self.used_bytes = 0
        "How much of the segment in use is written; told by the journal, sets the pace."
        self.state = EMPTY
        self.error: StorageError | None = None
        self._changed = threading.Condition()
        self._urgent = self._closing = False
        self._thread = threading.Thread(target=self._work, name="journal-prepare", daemon=True)
        with contextlib.suppress(FileNotFoundError):
            (folder / PREPARING).unlink()

    @property
    def shortage(self) -> str:
        """Why nothing is ready and nothing can be made now; empty when that is not so."""
        with self._changed:
            return str(self.error) if self.state == NO_ROOM else ""

    def start(self) -> None:
        """Begin to prepare."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; what is ready stays for the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def wait(self, pulse: Callable[[], None]) -> None:
        """Wait until a segment is ready; it is made as fast as possible from now on.

        `pulse` is called every PULSE_SECONDS meanwhile. StorageFull when there is no room to make
        one; StorageFailed.
        """
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            while self.state in (EMPTY, WORKING):
                self._changed.wait(PULSE_SECONDS)
                pulse()
            if self.state != READY:  # stays urgent: who asked will ask again
                assert self.error is not None, "Preparer: stopped without a reason"
                raise self.error
            self._urgent = False

    def take(self, segment: Path, side: Path, pulse: Callable[[], None]) -> None:
        """Give what is ready these names, durably; waits for it as `wait` does.

        StorageFull: nothing is changed, and it can be asked for again.
        """
        self.wait(pulse)
        try:
            os.rename(self.folder / PREPARED_SIDE, side)  # alone it says nothing
            os.rename(self.folder / PREPARED, segment)
        except OSError as error:
            raise storage_error("name", segment, error) from error
        sync_folder(self.folder)
        with self._changed:
            self.used_bytes = 0
            self.state = EMPTY
            self._changed.notify_all()

    def _work(self) -> None:
        """The thread: prepares whenever nothing is ready."""
        while True:
            with self._changed:
                while self.state in (READY, FAILED) and not self._closing:
                    self._changed.wait()
                if self.state == NO_ROOM and not self._closing:
                    self._changed.wait(ROOM_CHECK_SECONDS)
                if self._closing:
                    return
                if self.state == EMPTY:
                    self.state = WORKING
            try:
                done = self._prepare()
            except StorageFull as error:
                self._tell(NO_ROOM, error)
            except StorageError as error:
                self._tell(FAILED, error)
            else:
                if done:
                    self._tell(READY, None)

    def _tell(self, state: str, error: StorageError | None) -> None:
        with self._changed:
            self.state, self.error = state, error
            self._changed.notify_all()

    def _prepare(self) -> bool:
        """Have both files there; false when told to close before."""
        side_bytes = self.segment_bytes >> SIDE_SHIFT
        if self._is_whole(self.folder / PREPARED_SIDE, side_bytes):
            side_bytes = 0
        segment_bytes = 0 if self._found_segment() else self.segment_bytes
        # A segment that was given back is used however little room is left.
        if segment_bytes:
            self._check_room(segment_bytes + side_bytes)
        for name, size in ((PREPARED_SIDE, side_bytes), (PREPARED, segment_bytes)):
            if size and not self._make(self.folder / name, size):
                return False
        return True

    def _found_segment(self) -> bool:
        """Whether a segment is there from before, or one that was given back."""
        target, spare = self.folder / PREPARED, self.folder / SPARE
        if self._is_whole(target, self.segment_bytes):
            return True
        if not self._is_whole(spare, self.segment_bytes):
            return False
        try:
            os.rename(spare, target)
        except OSError as error:
            raise storage_error("name", target, error) from error
        return True

    def _check_room(self, wanted: int) -> None:
        room = free_bytes(self.folder) - wanted
        if room < self.reserve_bytes:
            missing = -(-(self.reserve_bytes - room) >> 20)
            raise StorageFull(
                f"no room for another segment of the journal in {self.folder}: its "
                f"{wanted >> 20} MiB must leave {self.reserve_bytes >> 20} MiB free "
                f"(durability.reserve_mb); free {missing} MiB on that disk"
            )

    def _is_whole(self, path: Path, size: int) -> bool:
        """Whether a file is there and has that size; one of another size is deleted."""
        try:
            if path.stat().st_size == size:
                return True
            path.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise storage_error("look at", path, error) from error
        return False

    def _make(self, path: Path, size: int) -> bool:
        """Make a file of zeros, durably; false when told to close before the end."""
        partial = self.folder / PREPARING
        try:
            if not self._fill(partial, size):
                return False
            os.rename(partial, path)
        except OSError as error:
            partial.unlink(missing_ok=True)  # others need the room more than half a segment does
            raise storage_error("prepare", path, error) from error
        sync_folder(self.folder)
        return True

    def _fill(self, path: Path, size: int) -> bool:
        """Write zeros and sync them; false when told to close before the end."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            # In one piece on the disk if possible; and want of room shows at once.
            os.posix_fallocate(descriptor, 0, size)
            written = 0
            while written < size:
                began = time.monotonic()
                written += os.pwrite(descriptor, _ZEROS[: size - written], written)
                os.fdatasync(descriptor)
                if not self._pause(written, began):
                    return False
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return True

    def _pause(self, written: int, began: float) -> bool:
        """Wait until the next piece is due; false when told to close."""
        due = began + PIECE_BYTES / BACKGROUND_BYTES_PER_SECOND
        with self._changed:
            while not (self._closing or self._urgent or written < LEAD * self.used_bytes):
                left = due - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return not self._closing
