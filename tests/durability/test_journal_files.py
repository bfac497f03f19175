"""The journal in real files: through restarts, across segments, damaged, without its copies."""

import pytest

from engine.durability.errors import JournalRotten
from engine.durability.file_storage import FileStorage
from engine.durability.format import FRAME_ALIGN, FRAME_BYTES_MAX, HEADER_BYTES
from engine.durability.reader import JournalReader
from engine.durability.tail import damaged_copies
from engine.durability.writer import open_journal
from tests.durability.journals import Pen, decisions, journal, read_all


def test_damaged_copies_are_counted_and_the_next_start_renews_them() -> None:
    pen = journal([1, 1, 1])
    storage = pen.storage
    headers = storage.read_headers(1)[: 3 * HEADER_BYTES]
    assert damaged_copies(storage.read_headers(1), headers) == 0
    storage.copies[1][HEADER_BYTES + 20] ^= 1
    storage.copies[1][9 * HEADER_BYTES] ^= 1
    assert damaged_copies(storage.read_headers(1), headers) == 2
    open_journal(storage, term=2)
    assert damaged_copies(storage.read_headers(1), headers) == 0


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
    again, payload = read_all(FileStorage(tmp_path, FRAME_BYTES_MAX))
    assert payload == decisions(1, done)
    assert again.position.term == 5


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
