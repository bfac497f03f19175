"""What is written is read again: frames, segments, terms, the archive, a journal that grows."""

import gc

import pytest
import zstandard

from engine.durability.errors import (
    JournalGap,
    JournalPoisoned,
    JournalRotten,
    JournalVersion,
    StorageFailed,
    StorageFull,
)
from engine.durability.format import (
    FRAME_ALIGN,
    FRAME_BYTES_MAX,
    HEADER_BYTES,
    PAYLOAD_BYTES_MAX,
    FrameBuffer,
    Position,
    record_bytes,
)
from engine.durability.reader import JournalReader
from engine.durability.writer import (
    COPIES_UNSYNCED_MAX,
    JournalWriter,
    continue_journal,
    open_journal,
)
from engine.messages import Message
from ipc import memory
from tests.durability.journals import Pen, decision, decisions, journal, read_all
from tests.durability.memory_storage import FAILED, FULL, MemoryStorage

pytestmark = pytest.mark.interpreted

COUNTS = [1, 3, 40, 1, 700, 2, 2, 900, 5, 1500, 1, 1800, 1]


def test_frames_come_back_as_they_were_written() -> None:
    pen = journal(COUNTS)
    reader, payload = read_all(pen.storage)
    assert payload == decisions(1, sum(COUNTS))
    assert reader.tail is not None
    assert reader.tail.position == pen.writer.position
    assert reader.tail.torn_bytes == 0
    assert len(pen.storage.segments()) > 2


def test_frames_say_where_they_are() -> None:
    pen = journal([2, 3])
    frames = [
        (f.first_dseq, f.last_dseq, f.term, f.segment, f.offset, f.bytes)
        for f in JournalReader(pen.storage).frames()
    ]
    assert frames == [(1, 2, 1, 1, 0, FRAME_ALIGN), (3, 5, 1, 1, FRAME_ALIGN, FRAME_ALIGN)]


def test_a_payload_is_walked_from_record_to_record() -> None:
    pen = journal([20])
    reader = JournalReader(pen.storage)
    frame = next(reader.frames())
    address, found = frame.address, []
    while address < frame.address + len(frame.payload):
        found.append(Message(address).sequence)
        address += record_bytes(address)
    assert found == list(range(1, 21))


@pytest.mark.parametrize("wanted", [1, 2, 4, 44, 45, 746, 3155, sum(COUNTS)])
def test_reading_begins_with_the_frame_that_holds_a_decision(wanted: int) -> None:
    pen = journal(COUNTS)
    frames = JournalReader(pen.storage).frames(wanted)
    first = next(frames)
    assert first.first_dseq <= wanted <= first.last_dseq
    last = first.last_dseq
    for frame in frames:
        assert frame.first_dseq == last + 1
        last = frame.last_dseq
    assert last == sum(COUNTS)


def test_the_decision_after_the_last_is_no_gap_and_the_one_after_that_is() -> None:
    pen = journal([5])
    assert not list(JournalReader(pen.storage).frames(6))
    with pytest.raises(JournalGap, match="decision 7 was asked for"):
        list(JournalReader(pen.storage).frames(7))


def test_an_empty_folder_is_a_journal_without_decisions() -> None:
    storage = MemoryStorage()
    reader, payload = read_all(storage)
    assert payload == b""
    assert reader.tail is not None
    assert reader.tail.position == Position()
    writer = open_journal(storage, term=1)
    assert writer.durable == 0
    with pytest.raises(JournalGap, match="decisions 1 to 9 are missing"):
        list(JournalReader(storage, acknowledged=9).frames())


def test_a_payload_may_fill_a_frame() -> None:
    pen = Pen(MemoryStorage())
    raw = decisions(1, PAYLOAD_BYTES_MAX // 128, terms_every=1 << 30)
    assert len(raw) == PAYLOAD_BYTES_MAX
    pen.append(raw)
    assert read_all(pen.storage)[1] == raw


def test_the_writer_refuses_what_does_not_come_next() -> None:
    pen = journal([5])
    for payload in (decision(5), decision(7), decision(6)[:64], decision(6) + decision(8)):
        with pytest.raises(AssertionError, match="decisions from 6"):
            pen.append(payload)
    assert pen.append(decision(6)) == 6


def test_a_frame_is_synced_before_the_next_is_written() -> None:
    pen = journal([1, 1, 1], is_idle=False)
    calls = [call for call in pen.storage.calls if call in ("write", "sync")]
    assert calls == ["write", "sync"] * 3


def test_a_header_is_copied_after_its_sync_and_not_before() -> None:
    pen = journal([1], is_idle=False)
    assert not any(pen.storage.read_headers(1))
    pen.frame()
    assert pen.storage.calls == ["create", "write", "sync", "write_headers", "write", "sync"]
    assert pen.writer.idle()
    assert not pen.writer.idle()
    copies = pen.storage.read_headers(1)
    assert copies[:HEADER_BYTES] == pen.storage.files[1][:HEADER_BYTES]
    assert (
        copies[HEADER_BYTES : 2 * HEADER_BYTES]
        == (pen.storage.files[1][FRAME_ALIGN : FRAME_ALIGN + HEADER_BYTES])
    )
    assert not any(copies[2 * HEADER_BYTES :])


def test_copies_are_synced_now_and_then_and_when_a_segment_ends() -> None:
    pen = journal([1] * (COPIES_UNSYNCED_MAX + 2), 4 << 20, is_idle=False)
    # Two segments: at the rotation, and when the most have not been synced.
    assert len(pen.storage.segments()) == 2
    assert pen.storage.calls.count("sync_headers") == 1
    pen = journal([1] * (COPIES_UNSYNCED_MAX + 2), 8 << 20, is_idle=False)
    assert len(pen.storage.segments()) == 1
    assert pen.storage.calls.count("sync_headers") == 1


# --- terms and restarts --------------------------------------------------------------------------


def test_a_writer_goes_on_where_another_ended() -> None:
    storage = MemoryStorage()
    done = 0
    for term in range(1, 30):
        writer = open_journal(storage, term, acknowledged=done)
        assert writer.durable == done
        frame = FrameBuffer()
        for count in (1, 17, 300):
            payload = decisions(done + 1, count)
            frame.payload[: len(payload)] = payload
            done = writer.append(frame, len(payload))
    reader, payload = read_all(storage)
    assert payload == decisions(1, done)
    assert reader.position.term == 29
    assert [f.term for f in JournalReader(storage).frames()] == sorted(list(range(1, 30)) * 3)


def test_a_lower_term_does_not_go_on() -> None:
    pen = journal([1])
    open_journal(pen.storage, term=3).append(*sealed(2))
    with pytest.raises(AssertionError, match="term 2 after term 3"):
        open_journal(pen.storage, term=2)


def sealed(dseq: int) -> tuple[FrameBuffer, int]:
    frame, payload = FrameBuffer(), decision(dseq)
    frame.payload[: len(payload)] = payload
    return frame, len(payload)


def test_a_segment_without_frames_is_gone_on_with() -> None:
    pen = journal([900] * 4)
    last = pen.writer.durable
    pen.storage.create(last + 1)
    writer = open_journal(pen.storage, term=2)
    assert (writer.position.segment, writer.position.offset) == (last + 1, 0)
    writer.append(*sealed(last + 1))
    assert read_all(pen.storage)[1] == decisions(1, last) + decision(last + 1)


def test_only_a_segment_without_frames_is_no_journal_to_go_on_with() -> None:
    storage = MemoryStorage()
    storage.create(77)
    with pytest.raises(JournalGap, match="77 has no frame"):
        open_journal(storage, term=2)


def test_the_last_frame_is_written_and_synced_again_at_a_restart() -> None:
    """Its sync may never have been done, or have failed: the page cache does not tell."""
    pen = journal([2, 700])
    pen.storage.calls.clear()
    open_journal(pen.storage, term=2)
    assert pen.storage.calls == ["write", "sync"]
    assert read_all(pen.storage)[1] == decisions(1, 702)


def test_a_restart_completes_and_repairs_the_copies() -> None:
    pen = journal([1, 1, 1])
    whole = pen.storage.read_headers(1)
    pen.storage.copies[1][70] ^= 4
    pen.storage.copies[1][6 * HEADER_BYTES] ^= 1
    open_journal(pen.storage, term=2)
    assert pen.storage.read_headers(1) == whole
    del pen.storage.copies[1]
    open_journal(pen.storage, term=2)
    assert pen.storage.read_headers(1) == whole[: 3 * HEADER_BYTES]


# --- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["write", "sync", "write_headers"])
def test_the_first_failure_is_the_last_word(operation: str) -> None:
    pen = journal([3, 3], is_idle=False)
    with pen.storage.failing(operation, FAILED), pytest.raises(StorageFailed):
        pen.frame()
    assert pen.writer.durable == 6
    with pytest.raises(JournalPoisoned, match="end this process"):
        pen.frame()
    with pytest.raises(JournalPoisoned):
        pen.writer.idle()
    calls = len(pen.storage.calls)
    with pytest.raises(JournalPoisoned):
        pen.frame()
    assert len(pen.storage.calls) == calls


def test_a_failed_sync_of_copies_is_the_last_word_too() -> None:
    pen = journal([3], is_idle=False)
    with pen.storage.failing("sync_headers", FAILED), pytest.raises(StorageFailed):
        pen.writer.idle()
    with pytest.raises(JournalPoisoned):
        pen.frame()


@pytest.mark.parametrize("operation", ["create", "write", "write_headers"])
@pytest.mark.parametrize("retried", [1, 600])
def test_without_room_nothing_counts_and_later_it_works(operation: str, retried: int) -> None:
    pen = journal([500, 900], is_idle=False)
    with pen.storage.failing(operation, FULL):
        for _ in range(3):
            with pytest.raises(StorageFull):
                pen.frame(600)
            assert pen.writer.durable == 1400
            pen.storage.calls.clear()
    assert read_all(pen.storage)[1] == decisions(1, 1400)
    assert pen.frame(retried) == 1400 + retried
    assert pen.frame(3) == 1403 + retried
    _, payload = read_all(pen.storage)
    assert payload == decisions(1, 1403 + retried)
    assert open_journal(pen.storage, term=2).durable == 1403 + retried


# --- following -----------------------------------------------------------------------------------


def test_a_follower_sees_what_is_durable_and_nothing_else() -> None:
    pen, seen = Pen(MemoryStorage()), 0
    follower = JournalReader(pen.storage)
    for count in [1, 2, 1, 300, 1, 1, 900, 4, 1100, 1, 700, 2] * 3:
        assert not list(follower.poll(seen))
        durable = pen.frame(count)
        assert not list(follower.poll(seen)), "it was not told yet that this is durable"
        frames = list(follower.poll(durable))
        assert [(f.first_dseq, f.last_dseq) for f in frames] == [(seen + 1, durable)]
        seen = durable


def test_a_follower_begins_where_it_is_told_and_catches_up() -> None:
    pen = journal(COUNTS)
    follower = JournalReader(pen.storage)
    assert follower.seek(746)
    payload = b"".join(bytes(f.payload) for f in follower.poll(pen.writer.durable))
    assert payload == decisions(746, sum(COUNTS) - 745)
    pen.frame(3)
    assert [f.first_dseq for f in follower.poll(pen.writer.durable)] == [sum(COUNTS) + 1]


def test_a_follower_refuses_a_durable_frame_that_is_not_whole() -> None:
    pen = journal([1, 1], is_idle=False)
    follower = JournalReader(pen.storage)
    pen.storage.files[1][FRAME_ALIGN + 100] ^= 1
    polled = follower.poll(2)
    assert next(polled).last_dseq == 1
    with pytest.raises(JournalRotten, match="decision 2 is known to have been acknowledged"):
        next(polled)
    follower = JournalReader(MemoryStorage())
    with pytest.raises(JournalGap):
        next(follower.poll(1))


# --- archive -------------------------------------------------------------------------------------


@pytest.mark.parametrize("trimmed", [False, True])
def test_archived_segments_are_read_in_their_place(trimmed: bool) -> None:
    pen = journal([1500] * 9)
    storage = pen.storage
    for name in storage.segments()[:-2]:
        raw = bytes(storage.files[name])
        if trimmed:
            raw = raw.rstrip(b"\0")
            raw = raw.ljust(-(-len(raw) // FRAME_ALIGN) * FRAME_ALIGN, b"\0")
        storage.archive[name] = zstandard.ZstdCompressor(level=1).compress(raw)
        storage.remove(name)
    assert read_all(storage)[1] == decisions(1, 9 * 1500)
    frames = JournalReader(storage).frames(4000)
    assert next(frames).first_dseq == 3001
    assert open_journal(storage, term=2).durable == 9 * 1500


def test_a_journal_of_which_only_the_archive_is_left_is_gone_on_with() -> None:
    pen = journal([1500] * 2)
    storage = pen.storage
    for name in storage.segments():
        storage.archive[name] = zstandard.ZstdCompressor().compress(bytes(storage.files[name]))
        storage.remove(name)
    storage.recycled.clear()
    writer = open_journal(storage, term=2)
    writer.append(*sealed(3001))
    assert storage.segments() == [3001]
    assert read_all(storage)[1] == decisions(1, 3000) + decision(3001)


@pytest.mark.parametrize("damage", ["flip", "cut", "foreign"])
def test_a_damaged_archive_is_refused(damage: str) -> None:
    pen = journal([1500] * 3)
    storage = pen.storage
    raw = zstandard.ZstdCompressor(write_checksum=True).compress(bytes(storage.files[1]))
    middle = len(raw) // 2
    storage.archive[1] = {
        "flip": raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :],
        "cut": raw[:middle],
        "foreign": b"nothing that zstd knows" * 9,
    }[damage]
    storage.remove(1)
    with pytest.raises((JournalRotten, JournalGap)):
        read_all(storage)


# --- versions ------------------------------------------------------------------------------------


def test_decisions_of_another_engine_are_not_replayed_by_mistake(monkeypatch) -> None:
    monkeypatch.setattr("engine.durability.format.ENGINE_VERSION", 2)
    pen = journal([3])
    monkeypatch.undo()
    with pytest.raises(JournalVersion, match="engine version 2, this is 1"):
        read_all(pen.storage)
    frames = JournalReader(pen.storage, any_engine=True).frames()
    assert [(f.last_dseq, f.engine_version) for f in frames] == [(3, 2)]


def test_another_format_is_refused(monkeypatch) -> None:
    pen = journal([3])
    monkeypatch.setattr("engine.durability.format.FORMAT", 2)
    pen.frame()
    monkeypatch.undo()
    with pytest.raises(JournalVersion, match="format 2"):
        read_all(pen.storage)


def test_a_writer_needs_room_for_a_frame() -> None:
    with pytest.raises(AssertionError, match="at least one frame"):
        JournalWriter(MemoryStorage(FRAME_BYTES_MAX - FRAME_ALIGN), Position(), 1)
    assert continue_journal is not None


def test_readers_and_frames_give_their_memory_back() -> None:
    pen = journal([1, 2, 3])
    gc.collect()
    before = len(memory._regions)
    for _ in range(5):
        assert len(list(JournalReader(pen.storage).frames())) == 3
        FrameBuffer()
    gc.collect()
    assert len(memory._regions) == before
