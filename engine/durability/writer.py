"""The journal's writer: one frame at a time, reported durable only when it is.

The journal process alone writes, where `open_journal` says that the journal ends. Frame N+1
is written after the sync of frame N has returned, never before: so whatever is followed by a
valid frame was durable, and only the last frame of a journal can be torn. The header of frame N
is copied into the segment's side file after that sync, so a copy there proves the same.
"""

from typing import Final

from engine.durability.errors import JournalGap, JournalPoisoned, StorageFailed
from engine.durability.format import (
    FRAME_BYTES_MAX,
    HEADER_BYTES,
    FrameBuffer,
    Position,
    after,
    read_header,
)
from engine.durability.reader import JournalReader, all_segments
from engine.durability.storage import Storage
from engine.durability.tail import Tail, repair

COPIES_UNSYNCED_MAX: Final = 1024
"""Header copies without a sync while frames come without a pause: a second sync in one of a
thousand commits. Older ones prove that their frames were durable even when the power is lost."""


class JournalWriter:
    """Appends frames. Not for two threads, nor for two processes."""

    def __init__(self, storage: Storage, position: Position, term: int) -> None:
        """Go on at `position`; everything before it is durable (see `open_journal`)."""
        assert term >= max(position.term, 1), f"term {term} after term {position.term}"
        assert position.crc is not None, "a journal is continued after a frame that is known"
        assert storage.segment_bytes >= FRAME_BYTES_MAX, "a segment holds at least one frame"
        self.position = position
        "Behind the last durable frame."
        self.frames = 0
        "Frames that this writer has made durable."
        self.bytes = 0
        "Their bytes on disk."
        self._storage = storage
        self._term = term
        self._copy: bytes | None = None  # header of the last frame, not in the side file yet
        self._unsynced = 0  # copies in the side file that were not synced
        self._failure: StorageFailed | None = None

    @property
    def durable(self) -> int:
        """The last decision that survives a loss of power; 0: none."""
        return self.position.next_dseq - 1

    def append(self, frame: FrameBuffer, payload_bytes: int) -> int:
        """Write and sync the decisions in the buffer; returns the last of them: it is durable.

        StorageFull: none of them counts, and the same or another frame may be appended later.
        StorageFailed: nothing is known of this frame, and the writer is of no use any more.
        JournalPoisoned: it has failed before.
        """
        try:
            return self._append(frame, payload_bytes)
        except StorageFailed as failure:
            self._failure = failure
            raise

    def copy_header(self) -> None:
        """Write the copy of the last frame's header; else `append` does, before the next frame.

        For the moment after clients were told: then nobody waits for it. Errors as those of
        `append`.
        """
        try:
            self._require_sound()
            self._store_copy()
        except StorageFailed as failure:
            self._failure = failure
            raise

    def idle(self) -> bool:
        """Bring the side file up to date and sync it; returns whether there was anything to do.

        For a pause in the stream: until then the last frame is not proven durable by anything
        but itself. Takes as long as a commit. Errors as those of `append`.
        """
        try:
            return self._complete_copies()
        except StorageFailed as failure:
            self._failure = failure
            raise

    def _append(self, frame: FrameBuffer, payload_bytes: int) -> int:
        self._require_sound()
        data = frame.seal(payload_bytes, self.position, self._term)
        self._store_copy()
        if self._unsynced >= COPIES_UNSYNCED_MAX:
            self._complete_copies()
        before = self.position
        if not before.segment or before.offset + len(data) > self._storage.segment_bytes:
            before = self._rotate()
        self._storage.write(before.segment, before.offset, data)
        self._storage.sync(before.segment)
        self._copy = bytes(data[:HEADER_BYTES])
        self.position = after(before, read_header(self._copy))
        self.frames += 1
        self.bytes += len(data)
        return self.durable

    def _rotate(self) -> Position:
        """Begin the next segment; the side file of the old one is complete before."""
        self._complete_copies()
        last = self.position
        self._storage.create(last.next_dseq)
        self.position = Position(
            next_dseq=last.next_dseq, segment=last.next_dseq, crc=last.crc, term=last.term
        )
        return self.position

    def _store_copy(self) -> None:
        if self._copy is None:
            return
        at = (self.position.frames - 1) * HEADER_BYTES
        self._storage.write_headers(self.position.segment, at, self._copy)
        self._copy = None
        self._unsynced += 1

    def _complete_copies(self) -> bool:
        self._require_sound()
        self._store_copy()
        if not self._unsynced:
            return False
        self._storage.sync_headers(self.position.segment)
        self._unsynced = 0
        return True

    def _require_sound(self) -> None:
        if self._failure is not None:
            raise JournalPoisoned(
                f"the journal's writer has failed and writes nothing more ({self._failure}): "
                "end this process, the next one reads the journal anew"
            )


def open_journal(storage: Storage, term: int, acknowledged: int = 0) -> JournalWriter:
    """A writer that goes on where the journal in `storage` ends.

    acknowledged: a decision that is known to have been durable (`JournalReader`). Reads the last
    segment only. Truncates a torn tail. Errors: those of `JournalReader.frames`.
    """
    reader = JournalReader(storage, acknowledged, any_engine=True)
    last_two = all_segments(storage)[-2:]  # the last one may not have a frame yet
    for _ in reader.frames(last_two[0] if last_two else 0):
        pass
    assert reader.tail is not None, "frames: ended without a tail"
    if reader.tail.position.crc is None:
        raise JournalGap(
            f"segment {last_two[0]:020d} has no frame and the one before it is missing: restore "
            "that one from the archive, the next frame must follow its last one"
        )
    return continue_journal(storage, reader.tail, term)


def continue_journal(storage: Storage, tail: Tail, term: int) -> JournalWriter:
    """A writer that goes on at a tail that `JournalReader.frames` has found.

    Afterwards all that is there is durable, and its side file says so. The last frame may never
    have been synced, or its sync may have failed while the page cache kept it and calls it clean:
    so it is written again, as it is, and synced.
    """
    repair(storage, tail)
    if tail.last_frame is not None and tail.last_frame[0] in storage.segments():
        segment, offset, size = tail.last_frame
        data = memoryview(bytearray(size))
        count = storage.read(segment, offset, data)
        assert count == size, "the last frame has become shorter since it was read"
        storage.write(segment, offset, data)
        storage.sync(segment)
    segment = tail.position.segment
    if segment:
        held = storage.read_headers(segment)
        wanted = tail.headers.ljust(len(held), b"\0")
        if held != wanted:
            storage.write_headers(segment, 0, wanted)
            storage.sync_headers(segment)
    return JournalWriter(storage, tail.position, term)
