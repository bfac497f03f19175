"""Journals with parts lost, mixed up, foreign or left over: refused, or read as they should be."""

from collections.abc import Callable

import pytest

from engine.durability.errors import (
    JournalForeign,
    JournalGap,
    JournalRotten,
    JournalVersion,
)
from engine.durability.format import (
    FRAME_ALIGN,
    HEADER,
    HEADER_BYTES,
    read_header,
    sealed_header,
)
from engine.durability.writer import open_journal
from tests.durability.journals import (
    Pen,
    decision,
    decisions,
    journal,
    read_all,
    tail_of,
)
from tests.durability.memory_storage import MemoryStorage

# --- lost, mixed up, foreign ---------------------------------------------------------------------


def zero_frame(storage: MemoryStorage, segment: int, number: int) -> None:
    storage.files[segment][number * FRAME_ALIGN : (number + 1) * FRAME_ALIGN] = bytes(FRAME_ALIGN)


@pytest.mark.parametrize("with_copies", [True, False])
@pytest.mark.parametrize("lost", [0, 1, 2, 3, 4, 63, 64])
def test_a_write_that_never_came_is_missed(lost: int, with_copies: bool) -> None:
    """A device that lied, or wrote elsewhere: the place holds zeros, like an end."""
    pen = journal([1] * 70)
    zero_frame(pen.storage, 1, lost)
    if not with_copies:
        pen.storage.copies[1] = bytearray()
    with pytest.raises((JournalRotten, JournalGap), match=f"decisions {lost + 1} to"):
        read_all(pen.storage)


def test_several_lost_frames_are_missed_by_copies_or_later_frames() -> None:
    pen = journal([1] * 60)
    for number in range(20, 60):
        zero_frame(pen.storage, 1, number)
    with pytest.raises(JournalRotten, match="decisions 21 to 60"):
        read_all(pen.storage)
    pen.storage.copies[1] = bytearray()
    assert read_all(pen.storage)[0].position.next_dseq == 21, "nothing is left that could tell"


def mixed(change: Callable[[MemoryStorage, MemoryStorage], None]) -> MemoryStorage:
    """Two journals of the same shape and other contents, mixed."""
    ours = journal([1] * 200).storage
    pen = Pen(MemoryStorage())
    for dseq in range(1, 201):
        pen.append(decision(dseq, has_terms=True))
    change(ours, pen.storage)
    for copies in ours.copies.values():
        copies[:] = bytes(len(copies))
    return ours


def swap_segment(ours: MemoryStorage, theirs: MemoryStorage) -> None:
    ours.files[66] = theirs.files[66]


def swap_frame(ours: MemoryStorage, theirs: MemoryStorage) -> None:
    part = slice(10 * FRAME_ALIGN, 11 * FRAME_ALIGN)
    ours.files[1][part] = theirs.files[1][part]


def repeat_frame(ours: MemoryStorage, _: MemoryStorage) -> None:
    ours.files[1][7 * FRAME_ALIGN : 8 * FRAME_ALIGN] = ours.files[1][
        6 * FRAME_ALIGN : 7 * FRAME_ALIGN
    ]


def skip_frame(ours: MemoryStorage, _: MemoryStorage) -> None:
    del ours.files[1][7 * FRAME_ALIGN : 8 * FRAME_ALIGN]


def drop_segment(ours: MemoryStorage, _: MemoryStorage) -> None:
    del ours.files[66], ours.copies[66]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (swap_segment, JournalRotten, "0066: at offset 0 the frame of decision 66 does not follow"),
        (swap_frame, JournalRotten, "the frame of decision 11 does not follow"),
        (repeat_frame, JournalRotten, "offset 28672 decision 7 comes again"),
        (skip_frame, JournalGap, "offset 28672 is decision 9 where 8 should be"),
        (drop_segment, JournalGap, "decisions 66 to 130 are missing"),
    ],
)
def test_the_chain_holds_frames_and_segments_together(change, error, message) -> None:
    with pytest.raises(error, match=message):
        read_all(mixed(change))


def resealed(storage: MemoryStorage, number: int, **changes: int) -> None:
    """Change fields of a frame's header and give it the right checksum."""
    at = number * FRAME_ALIGN
    header = read_header(bytes(storage.files[1][at : at + HEADER_BYTES]))
    raw = HEADER.encode(**header._replace(**changes)._asdict())
    storage.files[1][at : at + HEADER_BYTES] = sealed_header(raw)
    storage.copies[1][:] = bytes(len(storage.copies[1]))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"count": 3}, JournalRotten, "faulty program"),
        ({"count": 0}, JournalRotten, "faulty program"),
        ({"payload_bytes": 128}, JournalRotten, "faulty program"),
        ({"payload_bytes": 1 << 30}, JournalRotten, "faulty program"),
        ({"durable": 6}, JournalRotten, "faulty program"),
        ({"unused": 1}, JournalRotten, "faulty program"),
        ({"term": 1}, JournalRotten, "the term falls from 2 to 1"),
        ({"format": 9}, JournalVersion, "format 9"),
        ({"engine_version": 9}, JournalVersion, "engine version 9"),
    ],
)
def test_what_no_writer_says_is_refused_even_with_the_right_checksums(
    changes, error, message
) -> None:
    pen = journal([2])
    second = Pen(pen.storage, pen.writer.position)
    second.writer = open_journal(pen.storage, term=2)
    second.frame(2)
    second.frame(2)
    resealed(pen.storage, 2, **changes)
    with pytest.raises(error, match=message):
        read_all(pen.storage)


@pytest.mark.parametrize("size", [1, 7, 8, 63, 64, 100, 4095, 4096, 9000])
def test_a_foreign_file_is_named_and_left_alone(size: int) -> None:
    storage = MemoryStorage()
    storage.files[1] = bytearray((b"Dear diary, " * 1000)[:size])
    with pytest.raises(JournalForeign, match="000001: does not begin with a frame of okimi"):
        read_all(storage)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 4095, 4096, 8192])
def test_a_short_file_of_zeros_is_an_empty_segment(size: int) -> None:
    storage = MemoryStorage()
    storage.files[1] = bytearray(size)
    pen = Pen(storage)
    pen.writer = open_journal(storage, term=1)
    assert (pen.writer.durable, pen.frame(9)) == (0, 9)
    assert read_all(storage)[1] == decisions(1, 9)


# --- recycled segments ---------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [[1], [30, 40, 1], [100, 1, 7]])
def test_what_an_older_segment_left_is_neither_read_nor_a_proof(counts: list[int]) -> None:
    """New frames over old ones, aligned with them and not; the last one torn or whole."""
    pen = journal([1] * 65)
    pen.storage.create(10_000)  # so that there is another one
    pen.storage.recycled = [bytearray(pen.storage.files[1]) for _ in range(9)]
    del pen.storage.files[10_000], pen.storage.copies[10_000]
    done = 65
    for turn in range(90):
        start = pen.writer.position
        done = pen.frame(counts[turn % len(counts)])
        whole = tail_of(pen.storage, done, segments=2)
        assert whole.position == pen.writer.position
        now = pen.writer.position
        if now.segment == start.segment:  # take the last frame's end away, as in a crash
            file = pen.storage.files[now.segment]
            kept = bytes(file)
            file[now.offset - FRAME_ALIGN] ^= 1
            file[start.offset + HEADER_BYTES + 3] ^= 1
            torn = tail_of(pen.storage, start.next_dseq - 1, segments=2)
            assert torn.position == start
            assert torn.torn_bytes
            file[:] = kept
    assert len(pen.storage.segments()) > 1
    assert read_all(pen.storage)[0].position.next_dseq == done + 1
