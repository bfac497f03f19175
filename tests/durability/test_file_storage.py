"""The journal's files on a real file system: made ahead, written whole, given back, taken away."""

import os
import stat

import pytest

from engine.durability import preparing
from engine.durability.errors import JournalForeign, StorageFailed, StorageFull, StorageGone
from engine.durability.file_storage import FileStorage, file_name
from engine.durability.preparing import PREPARED, PREPARED_SIDE, PREPARING, SPARE
from tests.durability.deciding import wait_until

SEGMENT = 1 << 20


@pytest.fixture
def storages(tmp_path):
    """Makes storages over one folder; all are closed at the end."""
    made = []

    def make(segment_bytes=SEGMENT, reserve_bytes=0):
        made.append(FileStorage(tmp_path / "data", segment_bytes, reserve_bytes))
        return made[-1]

    yield make
    for storage in made:
        storage.close()


def is_ready(storage):
    return (storage.folder / PREPARED).exists() and (storage.folder / PREPARED_SIDE).exists()


def read(storage, first_dseq, offset, size):
    target = bytearray(size)
    return bytes(target[: storage.read(first_dseq, offset, memoryview(target))])


def test_a_new_segment_is_all_zeros_and_really_has_its_blocks(storages):
    storage = storages()
    assert storage.segments() == []
    storage.create(1)
    assert storage.segments() == [1]
    assert storage.size(1) == SEGMENT
    assert read(storage, 1, 0, SEGMENT + 1) == bytes(SEGMENT)
    assert storage.read_headers(1) == bytes(SEGMENT // 64)
    facts = (storage.folder / file_name(1, ".journal")).stat()
    assert facts.st_blocks * 512 >= SEGMENT
    assert stat.S_IMODE(facts.st_mode) == 0o600
    assert stat.S_IMODE(storage.folder.stat().st_mode) == 0o700


def test_what_was_written_is_read_by_others(storages):
    storage = storages()
    storage.create(1)
    storage.write(1, 4096, b"a" * 5000)
    storage.sync(1)
    storage.write_headers(1, 64, b"b" * 64)
    storage.sync_headers(1)
    other = storages()
    assert read(other, 1, 4095, 5002) == b"\0" + b"a" * 5000 + b"\0"
    assert other.read_headers(1)[:192] == bytes(64) + b"b" * 64 + bytes(64)
    assert read(storage, 1, SEGMENT - 10, 100) == bytes(10)


def test_the_next_segment_is_made_ahead_and_outlives_its_maker(storages):
    storage = storages()
    storage.create(1)
    wait_until(lambda: is_ready(storage))
    storage.close()
    inode = (storage.folder / PREPARED).stat().st_ino
    after = storages()
    after.create(500)
    assert (after.folder / file_name(500, ".journal")).stat().st_ino == inode
    assert after.segments() == [1, 500]


def test_a_half_made_or_wrong_sized_file_is_not_used(storages, tmp_path):
    storage = storages()
    storage.create(1)
    storage.close()
    (storage.folder / PREPARING).write_bytes(b"half")
    (storage.folder / PREPARED).write_bytes(b"short")
    (storage.folder / PREPARED_SIDE).write_bytes(b"short")
    after = storages()
    after.create(2)
    assert after.size(2) == SEGMENT
    assert read(after, 2, 0, SEGMENT) == bytes(SEGMENT)
    assert after.read_headers(2) == bytes(SEGMENT // 64)


def test_a_segment_that_was_given_back_serves_again_with_a_clean_side_file(storages):
    storage = storages()
    storage.create(1)
    storage.write(1, 0, b"old" * 1000)
    storage.write_headers(1, 0, b"old header")
    wait_until(lambda: is_ready(storage))
    storage.create(2)
    wait_until(lambda: is_ready(storage))
    inode = (storage.folder / file_name(1, ".journal")).stat().st_ino
    storages().remove(1)  # as retention does, from another process
    assert storage.segments() == [2]
    assert (storage.folder / SPARE).stat().st_ino == inode
    storage.create(3)
    storage.create(4)
    assert (storage.folder / file_name(4, ".journal")).stat().st_ino == inode
    assert read(storage, 4, 0, 3) == b"old"
    assert storage.read_headers(4) == bytes(SEGMENT // 64)


def test_a_segment_of_another_size_is_deleted_when_given_back(storages):
    storage = storages()
    storage.create(1)
    storage.close()
    other = storages(segment_bytes=2 * SEGMENT)
    other.remove(1)
    assert not (other.folder / SPARE).exists()
    assert other.segments() == []
    other.create(2)
    assert other.size(2) == 2 * SEGMENT


def test_a_reader_is_told_when_a_segment_is_taken_away_under_it(storages):
    storage, reader = storages(), storages()
    storage.create(1)
    assert read(reader, 1, 0, 3) == bytes(3)
    storage.create(2)
    storage.remove(1)
    with pytest.raises(StorageGone, match="archive"):
        read(reader, 1, 0, 3)
    with pytest.raises(StorageGone):
        reader.size(1)
    with pytest.raises(StorageGone):
        storage.write(1, 0, b"x")
    assert reader.read_headers(1) == b""


def test_one_process_writes_at_a_time(storages):
    first, second = storages(), storages()
    first.begin_writing()
    with pytest.raises(StorageFailed, match="another process writes"):
        second.begin_writing()
    first.close()
    second.begin_writing()


def test_short_writes_go_on_where_they_ended(storages, monkeypatch):
    storage = storages()
    storage.create(1)
    storage.close()  # the helper writes too
    calls = []

    def write_less(descriptor, data, offset, real=os.pwrite):
        calls.append(len(data))
        return real(descriptor, data[: max(len(data) // 2, 1)], offset)

    monkeypatch.setattr(os, "pwrite", write_less)
    data = os.urandom(10_000)
    storage.write(1, 8192, data)
    assert len(calls) > 10
    assert read(storage, 1, 8192, 10_000) == data


def test_a_foreign_file_is_not_taken_for_a_segment(storages):
    storage = storages()
    storage.create(1)
    (storage.folder / "1.journal").touch()
    with pytest.raises(JournalForeign, match=r"1\.journal was not made by okimi"):
        storage.segments()


def test_no_segment_is_begun_that_leaves_too_little_room(storages, monkeypatch):
    storage = storages(reserve_bytes=1 << 60)
    pulses = []
    storage.pulse = lambda: pulses.append(1)
    with pytest.raises(StorageFull, match="reserve_mb"):
        storage.create(1)
    assert storage.segments() == []
    assert "free" in storage.shortage
    with pytest.raises(StorageFull):
        storage.create(1)
    # Room returns: the helper sees it by itself.
    storage._preparer.reserve_bytes = 0
    wait_until(lambda: is_ready(storage) and not storage.shortage)
    storage.create(1)
    assert storage.segments() == [1]


def test_a_spare_segment_is_used_however_little_room_is_left(storages):
    storage = storages()
    storage.create(1)
    wait_until(lambda: is_ready(storage))
    storage.create(2)
    storage.close()
    for name in (PREPARED, PREPARED_SIDE):
        (storage.folder / name).unlink(missing_ok=True)
    storage.remove(1)
    poor = storages(reserve_bytes=1 << 60)
    poor.create(3)
    assert poor.segments() == [2, 3]


def test_whoever_waits_for_a_segment_keeps_its_heart_beating(storages, monkeypatch):
    monkeypatch.setattr(preparing, "PULSE_SECONDS", 0.001)
    storage = storages(segment_bytes=32 << 20)
    pulses = []
    storage.pulse = lambda: pulses.append(1)
    storage.create(1)
    assert pulses


def test_the_archive_lists_what_has_a_manifest(storages):
    storage = storages()
    assert storage.archived() == []
    storage.archive.mkdir(parents=True)
    (storage.archive / file_name(7, ".journal.zst")).write_bytes(b"frames")
    assert storage.archived() == []
    (storage.archive / file_name(7, ".json")).write_text("{}")
    assert storage.archived() == [7]
    with storage.open_archived(7) as file:
        assert file.read() == b"frames"
    with pytest.raises(StorageGone):
        storage.open_archived(8)
