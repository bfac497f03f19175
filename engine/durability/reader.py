"""The journal's reader: every frame checked, in order, across segments and the archive.

`JournalReader.frames` is for whoever needs decisions from some point to the end: recovery, tools.
`poll` is for whoever follows a journal that grows. Both give frames whose payload lies in
registered memory, ready for compiled code, until the next one is taken.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import google_crc32c

from engine.durability.errors import JournalGap, JournalVersion
from engine.durability.format import (
    ENGINE_VERSION,
    FORMAT,
    FRAME_ALIGN,
    HEADER_BYTES,
    PAYLOAD_BYTES_MAX,
    Position,
    after,
    count_records,
    frame_bytes,
    is_possible,
    read_header,
)
from engine.durability.storage import Storage
from engine.durability.tail import Tail, judge
from engine.durability.window import Window


class Frame(NamedTuple):
    """A frame of which every byte has been checked.

    Valid until the next one is taken, as long as its reader is there.
    """

    first_dseq: int
    last_dseq: int
    term: int
    engine_version: int
    payload: memoryview
    "The decisions, one after the other (`format.record_bytes` leads from one to the next)."
    address: int
    "Where the payload lies, in registered memory."
    segment: int
    offset: int
    "Of the frame in its segment."
    bytes: int
    "Of the frame on disk."


class JournalReader:
    """Walks a journal. Not for two threads."""

    def __init__(self, storage: Storage, acknowledged: int = 0, any_engine: bool = False) -> None:
        """Look at the journal in `storage`; nothing is read yet.

        acknowledged: a decision that is known to have been durable, from shared memory or from a
            snapshot; a journal that ends before it is damaged, not torn. 0: none is known.
        any_engine: give frames of other engine versions too, to look at and not to replay.
        """
        self.position = Position()
        "Behind the last frame that was read."
        self.tail: Tail | None = None
        "How the journal ends, once `frames` has come there."
        self.headers = bytearray()
        "The headers of the frames that were read of the present segment, from its beginning."
        self._storage = storage
        self._acknowledged = acknowledged
        self._any_engine = any_engine
        self._window = Window()
        self._last: Frame | None = None
        self._wanted = 0

    # --- to the end ----------------------------------------------------------------------------

    def frames(self, first_dseq: int = 0) -> Iterator[Frame]:
        """All frames from the one that holds `first_dseq` (0: from the oldest) to the end.

        Frames of its segment that lie before it are checked as well. When the last frame has been
        taken, the rest is judged and `tail` is there. JournalRotten, JournalGap, JournalForeign,
        JournalVersion, StorageFailed: what they mean is in docs/journal.md.
        """
        self.tail = None
        if not self.seek(first_dseq):
            self.tail = judge(self._storage, self.position, b"", self._acknowledged)
            return
        while True:
            frame = self._next()
            if frame is None:
                break
            if frame.last_dseq >= self._wanted:
                yield frame
        last = self._last
        place = (last.segment, last.offset, last.bytes) if last else None
        tail = judge(self._storage, self.position, bytes(self.headers), self._acknowledged)
        self.tail = tail._replace(last_frame=place)
        if self.position.next_dseq < first_dseq:
            raise JournalGap(
                f"decision {first_dseq} was asked for, the journal ends with "
                f"{self.position.next_dseq - 1}"
            )

    def seek(self, first_dseq: int) -> bool:
        """Begin with the frame that holds `first_dseq` (0: the oldest there is).

        Returns whether there is a segment to begin in; False for a journal without any.
        JournalGap: all segments begin after that decision.
        """
        names = all_segments(self._storage)
        self._last, self._wanted = None, first_dseq
        if not names:
            self.position = Position()
            return False
        chosen = max((name for name in names if name <= first_dseq), default=names[0])
        if 0 < first_dseq < chosen:
            raise JournalGap(
                f"decision {first_dseq} is not in the journal, its oldest segment begins with "
                f"{chosen}: restore older segments from the archive"
            )
        begins = Position() if chosen == Position().next_dseq else Position(chosen, crc=None)
        self._enter(chosen, begins)
        return True

    # --- following -----------------------------------------------------------------------------

    def poll(self, durable: int) -> Iterator[Frame]:
        """Frames that are new since the last call, as far as decision `durable`.

        Call `seek` once before; without it, the first frame is the oldest there is. `durable` is
        what the writer has reported: what lies behind it may be half written and is not looked
        at, what lies before must be whole (errors as those of `frames`).
        """
        while self.position.next_dseq <= durable:
            if not self.position.segment and not self.seek(self._wanted):
                judge(self._storage, self.position, b"", durable)
            frame = self._read()
            if frame is None:  # perhaps it was written after the window was read
                self._window.forget(self.position.offset)
                frame = self._next()
            if frame is None:
                judge(self._storage, self.position, bytes(self.headers), durable)
                raise AssertionError("judge: a journal that ends too early was let pass")
            if frame.last_dseq >= self._wanted:
                yield frame

    # --- one frame -----------------------------------------------------------------------------

    def _next(self) -> Frame | None:
        """The next frame; None when no whole one continues the journal, here or in a segment."""
        while True:
            found = self._read()
            if found is not None:
                return found
            position = self.position
            if position.next_dseq == position.segment or not self._exists(position.next_dseq):
                return None
            self._enter(position.next_dseq, position)

    def _exists(self, name: int) -> bool:
        return name in self._storage.segments() or name in self._storage.archived()

    def _enter(self, name: int, before: Position) -> None:
        """Begin with the first frame of a segment, which continues at `before`."""
        assert before.next_dseq == name, "a segment is named by its first decision"
        self.headers.clear()
        self.position = Position(name, segment=name, crc=before.crc, term=before.term)
        if name in self._storage.segments():
            self._window.open(self._storage, name)
        else:
            self._window.open_archived(self._storage, name)

    def _read(self) -> Frame | None:
        """The frame at the position, if it is whole and continues the journal."""
        window, position = self._window, self.position
        index = window.at(position.offset, FRAME_ALIGN)
        if index < 0:
            return None
        raw = bytes(window.view[index : index + HEADER_BYTES])
        header = read_header(raw)
        if header is None or not continues(header, position):
            return None
        size = frame_bytes(header.payload_bytes)
        if size > FRAME_ALIGN:
            index = window.at(position.offset, size)
            if index < 0:
                return None
        begin = index + HEADER_BYTES
        if google_crc32c.value(window.bytes[begin : index + size]) != header.payload_crc:
            return None
        address = window.address + begin
        if count_records(address, header.payload_bytes, header.first_dseq) != header.count:
            return None
        self._check_version(header)
        self.position = after(position, header)
        self.headers += raw
        self._last = Frame(
            header.first_dseq,
            self.position.next_dseq - 1,
            header.term,
            header.engine_version,
            window.view[begin : begin + header.payload_bytes],
            address,
            position.segment,
            position.offset,
            size,
        )
        return self._last

    def _check_version(self, header: Any) -> None:
        if header.engine_version != ENGINE_VERSION and not self._any_engine:
            raise JournalVersion(
                f"decision {header.first_dseq} was made by engine version "
                f"{header.engine_version}, this is {ENGINE_VERSION}: replaying it here could give "
                "another state; begin from a snapshot after it, or use the program that made it"
            )


def joined(frames: Iterable[Frame]) -> Iterator[bytes]:
    """The payloads of frames, as many at a time as one frame could have.

    A venue with little to do writes a frame for each decision: one by one they would take longer
    to hand over than to do again.
    """
    gathered = bytearray()
    for frame in frames:
        if len(gathered) + len(frame.payload) > PAYLOAD_BYTES_MAX:
            yield bytes(gathered)
            gathered.clear()
        gathered += frame.payload
    if gathered:
        yield bytes(gathered)


def all_segments(storage: Storage) -> list[int]:
    """First dseqs of all segments, those in the archive included, ascending."""
    segments = storage.segments()  # first: one that moves meanwhile is in the archive by then
    return sorted({*segments, *storage.archived()})


def continues(header: Any, position: Position) -> bool:
    """Whether a whole header says what the frame at `position` must say."""
    return bool(
        header.format == FORMAT
        and is_possible(header)
        and header.first_dseq == position.next_dseq
        and position.crc in (None, header.previous_crc)
        and header.term >= position.term
    )
