"""Old segments leave the journal for the archive, and never before the archive has them."""

import hashlib
import json

import pytest
import zstandard

from engine.durability import retention
from engine.durability.errors import (
    JournalRotten,
    StorageFailed,
    StorageFull,
)
from engine.durability.file_storage import FileStorage, file_name
from engine.durability.format import FrameBuffer
from engine.durability.preparing import SPARE
from engine.durability.reader import JournalReader
from engine.durability.retention import read_manifest, retire, verify_archived
from engine.durability.writer import open_journal
from tests.durability.journals import decisions

SEGMENT = 1 << 20
COUNT = 1500
"""Decisions of a frame: nearly as many as it may hold, so a segment takes five."""

FRAMES = 16
LAST = COUNT * FRAMES


@pytest.fixture
def storage(tmp_path):
    """A journal of several segments."""
    made = FileStorage(tmp_path / "data", SEGMENT)
    written(made, FRAMES)
    assert len(made.segments()) == 4
    yield made
    made.close()


def written(storage, frames, term=1):
    """Append frames; returns their payloads."""
    writer, frame, payloads = open_journal(storage, term), FrameBuffer(), b""
    for _ in range(frames):
        payload = decisions(writer.position.next_dseq, COUNT)
        frame.payload[: len(payload)] = payload
        writer.append(frame, len(payload))
        payloads += payload
    writer.idle()
    storage.close()
    return payloads


def content(storage):
    reader = JournalReader(storage)
    found = b"".join(bytes(frame.payload) for frame in reader.frames(0))
    return found, reader.position


def test_what_two_snapshots_know_goes_into_the_archive_and_is_still_read(storage):
    before = content(storage)
    first, second, third, last = storage.segments()
    retired = retire(storage, LAST, keep=True)
    assert [(each.first_dseq, each.last_dseq) for each in retired] == [
        (first, second - 1),
        (second, third - 1),
        (third, last - 1),
    ]
    assert storage.segments() == [last]
    assert storage.archived() == [first, second, third]
    assert content(storage) == before
    assert (storage.folder / SPARE).exists()
    for each in retired:
        assert verify_archived(storage, each.first_dseq) == each.manifest
    assert retire(storage, LAST, keep=True) == []


def test_a_reader_follows_a_segment_into_the_archive(tmp_path):
    storage, reading = (FileStorage(tmp_path / "data", 2 * SEGMENT) for _ in range(2))
    before = written(storage, FRAMES)
    assert len(storage.segments()) == 2
    reader, found = JournalReader(reading), b""
    for frame in reader.frames(0):
        found += bytes(frame.payload)
        if storage.segments()[0] == 1:  # in the middle of what the reader reads
            assert len(retire(storage, LAST, keep=True)) == 1
            storage.create(LAST + 1)  # and its file is used again
            storage.create(LAST + 2)
            storage.write(LAST + 2, 0, bytes(range(256)) * 8192)
            storage.remove(LAST + 1)
            storage.remove(LAST + 2)
    assert found == before
    reading.close()
    storage.close()


def test_the_manifest_says_what_is_in_the_file(storage):
    first = storage.segments()[0]
    raw = bytearray(SEGMENT)
    storage.read(first, 0, memoryview(raw))
    manifest = retire(storage, storage.segments()[1], keep=True)[0].manifest
    path = storage.archive / file_name(first, ".journal.zst")
    held = zstandard.ZstdDecompressor().decompress(path.read_bytes())
    assert held == raw[: manifest.bytes]
    assert hashlib.sha256(held).hexdigest() == manifest.sha256
    assert not any(raw[manifest.bytes :])
    assert manifest.stored_bytes == path.stat().st_size < manifest.bytes
    written = json.loads((storage.archive / file_name(first, ".json")).read_text())
    assert written["first_dseq"] == 1
    assert written["last_dseq"] == storage.segments()[0] - 1
    assert read_manifest(storage, first) == manifest
    assert path.stat().st_mode & 0o777 == 0o600
    assert storage.archive.stat().st_mode & 0o777 == 0o700


def test_a_segment_stays_until_the_next_one_has_begun_for_certain(storage):
    first, second, *_ = storage.segments()
    assert retire(storage, 0, keep=True) == []
    assert retire(storage, second - 1, keep=True) == []
    assert [each.first_dseq for each in retire(storage, second, keep=True)] == [first]


def test_without_an_archive_old_decisions_are_gone_and_the_journal_goes_on(storage):
    last = storage.segments()[-1]
    assert {each.manifest for each in retire(storage, LAST, keep=False)} == {None}
    assert storage.segments() == [last]
    assert storage.archived() == []
    assert written(storage, 1, term=2) == decisions(LAST + 1, COUNT)


def test_a_damaged_segment_is_neither_archived_nor_given_up(storage):
    first, second, third, _ = storage.segments()
    storage.write(second, 500_000, b"rot")
    with pytest.raises(JournalRotten):
        retire(storage, LAST, keep=True)
    assert storage.archived() == [first]
    assert storage.segments()[:2] == [second, third]


def test_a_copy_that_is_not_what_was_written_is_found(storage, monkeypatch):
    real = retention._compress

    def damaged(storage, first_dseq, size, path):
        result = real(storage, first_dseq, size, path)
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
        return result

    names = storage.segments()
    monkeypatch.setattr(retention, "_compress", damaged)
    with pytest.raises(StorageFailed, match=r"archived|differs"):
        retire(storage, LAST, keep=True)
    assert storage.segments() == names
    assert storage.archived() == []
    monkeypatch.undo()
    assert len(retire(storage, LAST, keep=True)) == 3


def test_every_damage_to_the_archive_is_found(storage):
    first = retire(storage, storage.segments()[1], keep=True)[0].first_dseq
    path = storage.archive / file_name(first, ".journal.zst")
    whole = path.read_bytes()
    for place in range(0, len(whole), max(len(whole) // 40, 1)):
        raw = bytearray(whole)
        raw[place] ^= 0x10
        path.write_bytes(raw)
        with pytest.raises(JournalRotten):
            verify_archived(storage, first)
    path.write_bytes(whole[:-5])
    with pytest.raises(JournalRotten):
        verify_archived(storage, first)
    path.write_bytes(whole)
    verify_archived(storage, first)
    manifest = storage.archive / file_name(first, ".json")
    manifest.write_text("{}")
    with pytest.raises(JournalRotten, match="keys"):
        verify_archived(storage, first)


def test_what_a_crash_has_left_is_done_again(storage):
    names = storage.segments()
    storage.archive.mkdir(mode=0o700)
    (storage.archive / file_name(1, ".journal.zst")).write_bytes(b"half")
    (storage.archive / file_name(1, ".journal.zst.unfinished")).write_bytes(b"half")
    (storage.archive / file_name(1, ".json.unfinished")).write_bytes(b"{")
    assert storage.archived() == []
    assert len(retire(storage, LAST, keep=True)) == len(names) - 1
    assert not list(storage.archive.glob("*.unfinished"))
    assert verify_archived(storage, 1).first_dseq == 1


def test_an_archive_without_room_leaves_everything_as_it_is(small_disk):
    folder = small_disk("5m")
    storage = FileStorage(folder / "data", SEGMENT)
    written(storage, 11)
    before = content(storage)
    with open(folder / "ballast", "wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            pass
    with pytest.raises(StorageFull):
        retire(storage, LAST, keep=True)
    assert content(storage) == before
    assert storage.archived() == []
    assert not list(storage.archive.glob("*.unfinished"))
    (folder / "ballast").unlink()
    assert len(retire(storage, LAST, keep=True)) == 2
    assert content(storage) == before
    storage.close()
