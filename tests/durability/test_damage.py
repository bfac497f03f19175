"""Every way to damage a journal: what was acknowledged is kept or refused, never dropped silently.

A journal is cut, flipped or mixed up in memory and opened again, a few hundred thousand times.
"""

import functools
from collections.abc import Iterator

import pytest

from engine.durability.errors import (
    JournalGap,
)
from engine.durability.format import (
    FRAME_ALIGN,
    HEADER_BYTES,
    Position,
)
from engine.durability.reader import JournalReader
from engine.durability.writer import continue_journal, open_journal
from engine.messages import PLAIN_BYTES
from tests.durability.journals import (
    Pen,
    decisions,
    journal,
    read_all,
    refusal,
    tail_by,
    tail_of,
)
from tests.durability.memory_storage import MemoryStorage

FRAMES = 1000
SECTOR_BYTES = 512


class Long:
    """A journal of 1,000 frames; the last three are in a segment of their own."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        pen = Pen(self.storage)
        self.positions = [pen.writer.position]
        "Behind each number of frames."
        for number in range(FRAMES):
            pen.frame(1300 if number == 0 else 1 + number % 3)
            self.positions.append(pen.writer.position)
        pen.writer.idle()
        self.files = {name: bytes(file) for name, file in self.storage.files.items()}
        self.copies = {name: bytes(file) for name, file in self.storage.copies.items()}
        assert (
            self.positions[-3].segment == self.positions[-1].segment == pen.storage.segments()[-1]
        )

    def restored(self) -> MemoryStorage:
        self.storage.files = {name: bytearray(file) for name, file in self.files.items()}
        self.storage.copies = {name: bytearray(file) for name, file in self.copies.items()}
        return self.storage

    def after(self, frames: int) -> Position:
        return self.positions[frames]


@functools.cache
def long_journal() -> Long:
    return Long()


# --- cut off -------------------------------------------------------------------------------------


def without_copies_from(long: Long, frames: int) -> bytearray:
    """The side file of the last segment as it was when `frames` of all frames were durable."""
    position = long.after(frames)
    return bytearray(long.copies[position.segment][: position.frames * HEADER_BYTES])


def cuts(long: Long, frame: int, is_short: bool) -> Iterator[tuple[int, MemoryStorage]]:
    """The journal cut at every byte of a frame, with zeros behind or with nothing."""
    name = long.after(FRAMES).segment
    whole = long.files[name][: long.after(FRAMES).offset]
    storage = long.storage
    for offset in range(long.after(frame - 1).offset, long.after(frame).offset):
        cut = bytearray(whole[:offset])
        storage.files[name] = cut if is_short else cut.ljust(len(whole), b"\0")
        yield offset, storage


@pytest.mark.parametrize("is_short", [False, True], ids=["zeros", "short"])
def test_a_write_cut_at_any_byte_is_torn_and_costs_only_itself(is_short: bool) -> None:
    """The crash: frame 1,000 was being written, all before it is acknowledged."""
    long = long_journal()
    storage = long.restored()
    name = long.after(FRAMES).segment
    storage.copies[name] = without_copies_from(long, FRAMES - 1)
    start, acknowledged = long.after(FRAMES - 1), long.after(FRAMES - 1).next_dseq - 1
    written = len(long.files[name][: long.after(FRAMES).offset].rstrip(b"\0"))
    reader = JournalReader(storage, acknowledged)
    for offset, cut in cuts(long, FRAMES, is_short):
        tail = tail_by(reader, name)
        if offset >= written and not is_short:  # only zeros were cut off
            assert tail.position == long.after(FRAMES)
            continue
        assert tail.position == start, offset
        assert tail.torn_bytes <= offset - start.offset, offset
        if offset % 64 == 1:
            continue_journal(cut, tail, term=2)
            after = tail_of(cut, acknowledged)
            assert (after.position, after.torn_bytes) == (start, 0)


def test_the_first_write_of_a_journal_may_be_cut_at_any_byte() -> None:
    """Within its magic, too: nothing was acknowledged."""
    pen = journal([3], is_idle=False)
    storage, (name,) = pen.storage, pen.storage.segments()
    whole = bytes(storage.files[name])
    storage.copies[name] = bytearray()
    for offset in range(len(whole.rstrip(b"\0"))):
        storage.files[name] = bytearray(whole[:offset].ljust(len(whole), b"\0"))
        tail = tail_of(storage)
        assert (tail.position.next_dseq, tail.position.offset) == (1, 0), offset
        assert tail.torn_bytes <= offset
        continue_journal(storage, tail, term=2)
        assert not any(storage.files[name])


def test_a_cut_is_refused_when_the_last_frame_had_been_acknowledged() -> None:
    """The side file knows frame 1,000, or the caller does."""
    long = long_journal()
    storage = long.restored()
    name = long.after(FRAMES).segment
    last = long.after(FRAMES).next_dseq - 1
    written = len(long.files[name][: long.after(FRAMES).offset].rstrip(b"\0"))
    unaware, aware = JournalReader(storage), JournalReader(storage, acknowledged=last)
    for offset, _ in cuts(long, FRAMES, is_short=False):
        if offset < written:
            assert "copy in the side file" in refusal(unaware, name), offset
    storage.copies[name] = without_copies_from(long, FRAMES - 1)
    for offset, _ in cuts(long, FRAMES, is_short=False):
        if offset < written:
            assert f"decision {last} is known" in refusal(aware, name), offset


def test_a_cut_in_the_frame_before_the_last_is_refused() -> None:
    """Its copy was written before the last frame was. Without it only the caller can know."""
    long = long_journal()
    storage = long.restored()
    name = long.after(FRAMES).segment
    storage.copies[name] = without_copies_from(long, FRAMES - 1)
    known = long.after(FRAMES - 1).next_dseq - 1
    unaware, aware = JournalReader(storage), JournalReader(storage, acknowledged=known)
    written = len(long.files[name][: long.after(FRAMES - 1).offset].rstrip(b"\0"))
    for offset, _ in cuts(long, FRAMES - 1, is_short=False):
        if offset < written:
            assert "copy in the side file" in refusal(unaware, name), offset
    storage.copies[name] = bytearray()
    for offset, _ in cuts(long, FRAMES - 1, is_short=False):
        wanted = long.after(FRAMES - 2 if offset < written else FRAMES - 1)
        assert tail_by(unaware, name).position == wanted, offset
        if offset < written:
            assert f"decision {known} is known" in refusal(aware, name), offset


def test_a_journal_ends_at_any_border_of_frames() -> None:
    long = long_journal()
    for frames in range(1, FRAMES + 1):
        storage, position = long.restored(), long.after(frames)
        for name in storage.segments():
            if name > position.segment:
                del storage.files[name], storage.copies[name]
        storage.files[position.segment][position.offset :] = bytes(
            len(long.files[position.segment]) - position.offset
        )
        kept = position.frames * HEADER_BYTES
        del storage.copies[position.segment][kept:]
        tail = tail_of(storage, position.next_dseq - 1, segments=2)
        assert (tail.position, tail.torn_bytes) == (position, 0)
        assert tail.headers == long.copies[position.segment][:kept]
        if frames % 100 == 0:
            assert read_all(storage)[0].position == position


def test_a_journal_whose_last_segments_are_gone_is_refused_when_they_are_known() -> None:
    long = long_journal()
    storage = long.restored()
    known = long.after(FRAMES).next_dseq - 1
    for name in long.storage.segments()[:0:-1]:
        del storage.files[name], storage.copies[name]
        with pytest.raises(JournalGap, match=f"decisions {name} to {known} are missing"):
            tail_of(storage, known, segments=2)


def test_any_sectors_of_the_last_write_may_be_lost() -> None:
    """A device writes sectors of 512 bytes in any order; here 4 KiB full of decisions."""
    pen = journal([3, 5])
    start = pen.writer.position
    before = bytes(pen.storage.files[1])
    pen.append(decisions(9, 31, terms_every=1 << 30))
    written = bytes(pen.storage.files[1])
    for mask in range(1 << (FRAME_ALIGN // SECTOR_BYTES)):
        mixed = bytearray(before)
        for sector in range(FRAME_ALIGN // SECTOR_BYTES):
            if mask >> sector & 1:
                part = slice(
                    start.offset + sector * SECTOR_BYTES,
                    start.offset + (sector + 1) * SECTOR_BYTES,
                )
                mixed[part] = written[part]
        pen.storage.files[1] = mixed
        tail = tail_of(pen.storage, acknowledged=8)
        is_whole = mask == (1 << (FRAME_ALIGN // SECTOR_BYTES)) - 1
        assert tail.position == (pen.writer.position if is_whole else start)
        assert bool(tail.torn_bytes) == (mask != 0 and not is_whole)


# --- flipped -------------------------------------------------------------------------------------


def short_journal(copies: int) -> tuple[MemoryStorage, list[Position]]:
    """Two frames in a file that ends with them; so many headers in the side file."""
    pen = Pen(MemoryStorage())
    positions = [pen.writer.position]
    for count in (1, 20):
        pen.frame(count)
        positions.append(pen.writer.position)
    pen.writer.idle()
    del pen.storage.files[1][2 * FRAME_ALIGN :]
    pen.storage.copies[1][copies * HEADER_BYTES :] = bytes(4 * HEADER_BYTES)
    return pen.storage, positions


def flips(data: bytearray, begin: int, end: int) -> Iterator[int]:
    """Flip each bit in turn; yields its number."""
    for bit in range(begin * 8, end * 8):
        data[bit >> 3] ^= 1 << (bit & 7)
        yield bit
        data[bit >> 3] ^= 1 << (bit & 7)


def test_every_flipped_bit_is_detected() -> None:
    """A journal at work: frame 1 has its copy. Frame 2 has none yet, only the caller knows it."""
    storage, positions = short_journal(copies=1)
    unaware, aware = JournalReader(storage), JournalReader(storage, acknowledged=21)
    for bit in flips(storage.files[1], 0, FRAME_ALIGN):
        assert refusal(unaware).startswith("JournalRotten: segment 0000"), bit
    for bit in flips(storage.files[1], FRAME_ALIGN, 2 * FRAME_ALIGN):
        tail = tail_by(unaware)
        assert tail.position == positions[1], bit
        assert tail.torn_bytes, bit
        if bit % 8 == 0:
            assert "decision 21 is known to have been acknowledged" in refusal(aware), bit


@pytest.mark.parametrize("copies", [0, 2])
def test_a_flipped_bit_is_rot_where_anything_proves_the_frame(copies: int) -> None:
    """Frame 1 is proven by frame 2, and both by their copies when there was a pause."""
    storage, _ = short_journal(copies)
    reader = JournalReader(storage)
    proof = "copy in the side file" if copies else "a later frame of the segment"
    for begin in (0, FRAME_ALIGN)[: max(copies, 1)]:
        for bit in flips(storage.files[1], begin, begin + HEADER_BYTES + PLAIN_BYTES):
            assert f"{proof} proves it" in refusal(reader), bit
        for bit in flips(storage.files[1], begin + FRAME_ALIGN - 40, begin + FRAME_ALIGN):
            assert f"{proof} proves it" in refusal(reader), bit


def test_no_flipped_bit_of_the_side_file_matters_while_the_frames_are_whole() -> None:
    storage, positions = short_journal(copies=2)
    whole = storage.read_headers(1)
    reader = JournalReader(storage)
    for bit in flips(storage.copies[1], 0, len(whole)):
        tail = tail_by(reader)
        assert (tail.position, tail.torn_bytes) == (positions[2], 0), bit
    storage.copies[1][100] ^= 1
    open_journal(storage, term=2)
    assert storage.read_headers(1) == whole


def test_a_damaged_copy_of_a_damaged_frame_still_proves_it() -> None:
    storage, _ = short_journal(copies=2)
    storage.files[1][FRAME_ALIGN + 200] ^= 1
    reader = JournalReader(storage)
    for bit in flips(storage.copies[1], HEADER_BYTES + 8, 2 * HEADER_BYTES):
        assert refusal(reader).startswith("JournalRotten"), bit


def test_no_flipped_bit_behind_the_end_matters() -> None:
    storage, positions = short_journal(copies=2)
    storage.files[1] += bytes(2 * FRAME_ALIGN)
    end = 2 * FRAME_ALIGN
    for bit in flips(storage.files[1], end, end + HEADER_BYTES):
        tail = tail_of(storage)
        assert tail.position == positions[2], bit
        assert tail.torn_bytes == (bit >> 3) - end + 1
    storage.files[1][end + 5000] = 1
    open_journal(storage, term=2)
    assert not any(storage.files[1][end:])
