"""`verify` counts what is in a journal and changes nothing; real files do what memory does."""

import pytest
import zstandard

from engine.durability.errors import JournalRotten
from engine.durability.file_storage import FileStorage
from engine.durability.format import FRAME_ALIGN, FRAME_BYTES_MAX, HEADER_BYTES
from engine.durability.reader import JournalReader
from engine.durability.verifying import verify
from engine.durability.writer import open_journal
from tests.durability.journals import Pen, decisions, journal, read_all
from tests.durability.memory_storage import MemoryStorage

pytestmark = pytest.mark.once


def test_a_whole_journal_is_counted() -> None:
    pen = journal([1500, 3, 1500, 7, 1500])
    storage = pen.storage
    raw = bytes(storage.files[1])
    storage.archive[1] = zstandard.ZstdCompressor().compress(raw)
    storage.remove(1)
    second = Pen(storage)
    second.writer = open_journal(storage, term=4)
    second.frame(2)
    seen: list[int] = []
    found = verify(storage, progress=lambda frame: seen.append(frame.last_dseq))
    assert found._asdict() == {
        "segments": 3,
        "frames": 6,
        "records": 4512,
        "bytes": sum(frame.bytes for frame in JournalReader(storage).frames()),
        "first_dseq": 1,
        "last_dseq": 4512,
        "first_term": 1,
        "last_term": 4,
        "engine_versions": (1,),
        "torn_tail_bytes": 0,
        "damaged_copies": 0,
    }
    assert seen == [1500, 1503, 3003, 3010, 4510, 4512]


def test_an_empty_journal_is_sound() -> None:
    found = verify(MemoryStorage())
    assert (found.frames, found.records, found.first_dseq, found.last_dseq) == (0, 0, 0, 0)


def test_torn_bytes_and_damaged_copies_are_counted_and_left() -> None:
    pen = journal([1, 1, 1])
    storage = pen.storage
    storage.files[1][3 * FRAME_ALIGN + 99] = 7
    storage.copies[1][HEADER_BYTES + 20] ^= 1
    storage.copies[1][9 * HEADER_BYTES] ^= 1
    before = bytes(storage.files[1]), bytes(storage.copies[1])
    found = verify(storage)
    assert (found.torn_tail_bytes, found.damaged_copies, found.last_dseq) == (100, 2, 3)
    assert (bytes(storage.files[1]), bytes(storage.copies[1])) == before
    open_journal(storage, term=2)
    found = verify(storage)
    assert (found.torn_tail_bytes, found.damaged_copies) == (0, 0)


# --- real files ----------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    storage = FileStorage(tmp_path, FRAME_BYTES_MAX)
    yield storage
    storage.close()


def test_real_files_hold_a_journal_through_restarts(files, tmp_path) -> None:
    done = 0
    for term in range(1, 6):
        files.begin_writing()
        pen = Pen(files)
        pen.writer = open_journal(files, term, acknowledged=done)
        for count in (1, 700, 2, 900):
            done = pen.frame(count)
        if term % 2:
            pen.writer.idle()
        files.close()
    assert len(files.segments()) > 2
    assert read_all(files)[1] == decisions(1, done)
    found = verify(FileStorage(tmp_path, FRAME_BYTES_MAX), acknowledged=done)
    assert (found.records, found.last_term, found.damaged_copies) == (done, 5, 0)


def test_a_follower_of_real_files_comes_across_segments(files, tmp_path) -> None:
    files.begin_writing()
    pen, seen = Pen(files), 0
    other = FileStorage(tmp_path, FRAME_BYTES_MAX)
    follower = JournalReader(other)
    for count in [1, 900, 3, 700, 1, 900, 1]:
        durable = pen.frame(count)
        for frame in follower.poll(durable):
            assert frame.first_dseq == seen + 1
            seen = frame.last_dseq
        assert seen == durable
    other.close()


def test_real_files_that_rot_are_refused_and_named(files, tmp_path) -> None:
    pen = Pen(files)
    for _ in range(4):
        pen.frame(3)
    pen.writer.idle()
    path = tmp_path / "journal" / "00000000000000000001.journal"
    raw = bytearray(path.read_bytes())
    raw[FRAME_ALIGN + 300] ^= 16
    path.write_bytes(raw)
    with pytest.raises(
        JournalRotten, match=r"segment 00000000000000000001: frame 1 at offset 4096"
    ):
        open_journal(files, term=2)
    assert path.read_bytes() == raw


def test_a_side_file_that_is_missing_is_made_again(files, tmp_path) -> None:
    pen = Pen(files)
    for _ in range(4):
        pen.frame(3)
    pen.writer.idle()
    files.close()
    path = tmp_path / "journal" / "00000000000000000001.headers"
    copies = path.read_bytes()
    path.unlink()
    assert open_journal(files, term=2).durable == 12
    assert path.read_bytes() == copies[: 4 * HEADER_BYTES]
