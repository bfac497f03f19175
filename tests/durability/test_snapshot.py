"""Snapshot files: what is loaded is what was written, and no damage goes unnoticed."""

import errno
import mmap
import os
import shutil
from dataclasses import replace

import pytest

from engine.durability import snapshot, snapshot_folder
from engine.durability.blocks import PAGE_BYTES, Block
from engine.durability.errors import (
    SnapshotError,
    SnapshotMismatch,
    SnapshotMissing,
    SnapshotRotten,
    StorageFailed,
    StorageFull,
)
from engine.durability.snapshot_format import Moment, path_of
from tests.durability.small_state import MOMENT, Orders, Purses, contents, filled, flip, zeroed


def write(folder, dseq=MOMENT.dseq):
    with filled() as blocks:
        return snapshot.write(path_of(folder, dseq), blocks, replace(MOMENT, dseq=dseq))


def test_what_is_loaded_is_what_was_written(tmp_path):
    told = []
    with filled() as blocks, zeroed() as loaded:
        written = snapshot.write(path_of(tmp_path, 7), blocks, MOMENT)
        found = snapshot.load(written.path, loaded, lambda done, total: told.append((done, total)))
        assert contents(loaded) == contents(blocks)
    assert found == written == snapshot.verify(written.path)
    assert found.moment == MOMENT
    assert told[-1] == (found.file_bytes - PAGE_BYTES,) * 2
    risk, matching = found.sections
    assert (risk.name, risk.run_count, risk.page_count) == ("risk", 2, 3)
    assert (matching.name, matching.run_count, matching.page_count) == ("matching.0", 1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["00000000000000000007.snapshot"]
    assert written.path.stat().st_mode & 0o777 == 0o600


def test_a_block_of_zeros_takes_no_pages(tmp_path):
    with zeroed() as blocks, zeroed() as loaded:
        written = snapshot.write(path_of(tmp_path, 0), blocks, replace(MOMENT, dseq=0))
        assert written.file_bytes == PAGE_BYTES
        snapshot.load(written.path, loaded)
        assert contents(loaded) == contents(blocks)


def test_sections_that_nobody_wants_are_left_out(tmp_path):
    path = write(tmp_path).path
    with filled() as blocks, zeroed() as loaded:
        snapshot.load(path, {"risk": loaded["risk"]})
        assert contents(loaded)["risk"] == contents(blocks)["risk"]
        assert not any(contents(loaded)["matching.0"])


def test_runs_longer_than_a_piece_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "PIECE_BYTES", PAGE_BYTES)
    monkeypatch.setattr(snapshot, "VECTOR_MAX", 2)
    with filled() as blocks, zeroed() as loaded:
        written = snapshot.write(path_of(tmp_path, 7), blocks, MOMENT)
        snapshot.verify(written.path)
        snapshot.load(written.path, loaded)
        assert contents(loaded) == contents(blocks)


def test_short_writes_and_reads_are_continued(tmp_path, monkeypatch):
    whole = {name: getattr(os, name) for name in ("pwritev", "pwrite", "preadv")}
    monkeypatch.setattr(
        os, "pwritev", lambda fd, pieces, at: whole["pwrite"](fd, bytes(pieces[0])[:1000], at)
    )
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: whole["pwrite"](fd, data[:1500], at))
    monkeypatch.setattr(os, "preadv", lambda fd, into, at: whole["preadv"](fd, [into[0][:999]], at))
    with filled() as blocks, zeroed() as loaded:
        written = snapshot.write(path_of(tmp_path, 7), blocks, MOMENT)
        snapshot.load(written.path, loaded)
        assert contents(loaded) == contents(blocks)


# --- damage ----------------------------------------------------------------------------------


def test_every_flipped_bit_is_detected_wherever_it_is(tmp_path):
    with zeroed() as blocks:
        Orders(blocks["matching.0"].address).leaves[3] = 9
        path = snapshot.write(path_of(tmp_path, 7), {"o": blocks["matching.0"]}, MOMENT).path
    assert path.stat().st_size == 3 * PAGE_BYTES, "header, table of runs, one page"
    survived = []
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        for bit in range(len(content) * 8):
            content[bit // 8] ^= 1 << bit % 8
            try:
                snapshot.verify(path)
                survived.append(bit)
            except SnapshotRotten:
                pass
            content[bit // 8] ^= 1 << bit % 8
    assert not survived
    snapshot.verify(path)


def test_loading_notices_damage_too(tmp_path):
    path = write(tmp_path).path
    size = path.stat().st_size
    for bit in range(0, size * 8, 1001):
        flip(path, bit)
        with zeroed() as loaded, pytest.raises(SnapshotRotten):
            snapshot.load(path, loaded)
        flip(path, bit)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 20479])
def test_a_file_that_is_too_short_or_too_long_is_damaged(tmp_path, size):
    path = write(tmp_path).path
    os.truncate(path, size)
    with pytest.raises(SnapshotRotten):
        snapshot.verify(path)
    os.truncate(path, 1 << 20)
    with pytest.raises(SnapshotRotten):
        snapshot.verify(path)


def test_a_snapshot_of_another_layout_is_refused(tmp_path):
    path = write(tmp_path).path
    with zeroed() as blocks:
        swapped = {"risk": blocks["matching.0"]}
        with pytest.raises(SnapshotMismatch, match="another layout of risk"):
            snapshot.load(path, swapped)
        with pytest.raises(SnapshotMismatch, match="no section history"):
            snapshot.load(path, {"history": blocks["risk"]})


def test_a_snapshot_of_another_engine_version_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path).path
    monkeypatch.setattr(snapshot, "ENGINE_VERSION", 999)
    with zeroed() as blocks, pytest.raises(SnapshotMismatch, match="made by engine version"):
        snapshot.load(path, blocks)


@pytest.mark.parametrize(
    ("code", "error"), [(errno.ENOSPC, StorageFull), (errno.EIO, StorageFailed)]
)
@pytest.mark.parametrize("call", ["pwritev", "fdatasync", "rename", "fsync"])
def test_a_failing_disk_leaves_no_file_behind(tmp_path, monkeypatch, code, error, call):
    before = write(tmp_path, 5).path

    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(error):
        write(tmp_path, 7)
    monkeypatch.undo()
    left = {path.name for path in tmp_path.iterdir()}
    assert left - {path_of(tmp_path, 7).name} == {before.name}
    snapshot.verify(before)


def test_a_disk_that_gives_back_something_else_is_noticed(tmp_path, monkeypatch):
    whole = os.pwritev

    def lossy(descriptor, pieces, at):
        changed = bytearray(b"".join(bytes(piece) for piece in pieces))
        if at > PAGE_BYTES:
            changed[17] ^= 1
        return whole(descriptor, [changed], at)

    monkeypatch.setattr(snapshot, "PIECE_BYTES", PAGE_BYTES)
    monkeypatch.setattr(os, "pwritev", lossy)
    with pytest.raises(SnapshotRotten, match="checksum of section"):
        write(tmp_path)
    assert not list(tmp_path.iterdir())


# --- the folder ------------------------------------------------------------------------------


def store(folder, *dseqs, kept=3):
    with filled() as blocks:
        for dseq in dseqs:
            Purses(blocks["risk"].address).total = dseq
            snapshot_folder.store(folder, blocks, replace(MOMENT, dseq=dseq), kept)


def test_the_newest_three_and_the_beginning_are_kept(tmp_path):
    store(tmp_path, 0, 10, 20, 30, 40, 50)
    assert snapshot_folder.dseqs(tmp_path) == [0, 30, 40, 50]
    assert snapshot_folder.whole(tmp_path) == [0, 30, 40, 50]
    assert snapshot_folder.whole(tmp_path, 2) == [40, 50]
    store(tmp_path, 60, kept=1)
    assert snapshot_folder.dseqs(tmp_path) == [0, 60]


def test_a_damaged_newest_one_is_passed_over_and_named(tmp_path):
    store(tmp_path, 0, 10, 20)
    assert snapshot_folder.newest(tmp_path).passed_over == ()
    flip(path_of(tmp_path, 20), 8 * PAGE_BYTES)
    found = snapshot_folder.newest(tmp_path)
    assert found.snapshot.moment.dseq == 10
    assert len(found.passed_over) == 1
    assert str(path_of(tmp_path, 20)) in found.passed_over[0]
    with filled() as blocks:
        loaded = snapshot_folder.load_newest(tmp_path, blocks)
        assert loaded.snapshot.moment.dseq == 10
        assert Purses(blocks["risk"].address).total == 10
        assert loaded.passed_over == found.passed_over


def test_damaged_ones_do_not_count_among_those_kept(tmp_path):
    store(tmp_path, 0, 10, 20, 30)
    flip(path_of(tmp_path, 30), 0)
    store(tmp_path, 40)
    assert snapshot_folder.dseqs(tmp_path) == [0, 10, 20, 30, 40]
    store(tmp_path, 50)
    assert snapshot_folder.dseqs(tmp_path) == [0, 20, 30, 40, 50]


def test_a_moment_can_be_chosen(tmp_path):
    store(tmp_path, 0, 10, 20)
    assert snapshot_folder.newest(tmp_path, at_most=19).snapshot.moment.dseq == 10
    assert snapshot_folder.newest(tmp_path, at_most=9).snapshot.moment.dseq == 0


def test_without_a_whole_one_the_reasons_are_given(tmp_path):
    with pytest.raises(SnapshotMissing, match="there is none"):
        snapshot_folder.newest(tmp_path)
    store(tmp_path, 10)
    flip(path_of(tmp_path, 10), 5)
    with pytest.raises(SnapshotMissing, match="does not begin as a snapshot"):
        snapshot_folder.newest(tmp_path)


def test_a_snapshot_under_another_name_is_damaged(tmp_path):
    store(tmp_path, 10)
    shutil.copy(path_of(tmp_path, 10), path_of(tmp_path, 20))
    found = snapshot_folder.newest(tmp_path)
    assert found.snapshot.moment.dseq == 10
    assert "its name says 20" in found.passed_over[0]


def test_storing_a_moment_again_writes_only_if_it_was_damaged(tmp_path):
    store(tmp_path, 10)
    path = path_of(tmp_path, 10)
    first = path.stat().st_ino
    store(tmp_path, 10)
    assert path.stat().st_ino == first
    flip(path, 9)
    store(tmp_path, 10)
    assert snapshot.verify(path).moment.dseq == 10


def test_what_a_dead_writer_left_is_removed(tmp_path):
    left = tmp_path / "00000000000000000099.snapshot.unfinished"
    left.write_bytes(b"half")
    assert snapshot_folder.dseqs(tmp_path) == []
    store(tmp_path, 10)
    assert not left.exists()


def test_all_errors_are_of_one_family():
    for error in (SnapshotRotten, SnapshotMismatch, SnapshotMissing):
        assert issubclass(error, SnapshotError)


def test_a_moment_has_an_event_number_for_each_shard(tmp_path):
    wrong = Moment("small", 2, 2048, 1, 7, (11,), 0)
    with filled() as blocks, pytest.raises(AssertionError, match="each shard"):
        snapshot.write(path_of(tmp_path, 7), blocks, wrong)
    assert isinstance(Block.of(Orders.allocate()), Block)
