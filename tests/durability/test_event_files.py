"""Files of events: what was appended is read back, what is not whole does not count."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.durability import eventfiles
from engine.durability.errors import DataDirInUse, EventsRotten
from engine.durability.eventfiles import SLOTS, EventBlock, EventFiles, EventFilesWriter
from engine.durability.packing import pack, unpack
from engine.messages import MESSAGE_BYTES, PLAIN_BYTES, EventFlag, TermsEvent
from ipc.record import Codec

CODEC = Codec(TermsEvent)
TERMS = int(EventFlag.TERMS)


def made(first: int, count: int, terms_every: int = 5) -> bytes:
    """Slots of events that say which they are; event n comes of decision n // 2."""
    return b"".join(
        CODEC.encode(
            sequence=eseq,
            kind=1,
            flags=0 if eseq % terms_every else TERMS,
            dseq=eseq // 2,
            client_order_id=b"name %d" % eseq,
            display_lots=0 if eseq % terms_every else eseq,
        )
        for eseq in range(first, first + count)
    )


def written(folder: Path, first: int, *counts: int, durable: int = 1 << 40) -> None:
    """Append batches of so many events."""
    writer = EventFilesWriter(folder, 0, durable)
    for count in counts:
        writer.append(made(first, count))
        first += count
    writer.close()


def read(folder: Path, first: int) -> bytes:
    runs = EventFiles(folder, 0).runs(first)
    found = b"".join(run.slots().tobytes() for run in runs)
    if found:
        begin = int(np.frombuffer(found, SLOTS)["sequence"][0])
        found = found[(first - begin) * MESSAGE_BYTES :]
    return found


def test_packing_leaves_out_lines_that_nobody_reads():
    slots = np.frombuffer(made(1, 10), SLOTS)
    packed = pack(slots)
    assert len(packed) == 8 * PLAIN_BYTES + 2 * MESSAGE_BYTES
    assert unpack(packed, 10, SLOTS).tobytes() == slots.tobytes()


def test_what_was_appended_is_read_from_any_event(tmp_path: Path):
    written(tmp_path, 1, 10, 3000, 1)
    for first in (1, 2, 10, 11, 1034, 1035, 3010, 3011):
        assert read(tmp_path, first) == made(first, 3012 - first), first
    assert read(tmp_path, 3012) == b""
    assert EventFiles(tmp_path, 0).end() == (3012, 3011 // 2)


def test_a_log_may_begin_anywhere(tmp_path: Path):
    written(tmp_path, 500, 10)
    assert read(tmp_path, 499) == b""
    assert read(tmp_path, 505) == made(505, 5)


def test_what_is_there_is_passed_over(tmp_path: Path):
    written(tmp_path, 1, 100)
    written(tmp_path, 51, 100)
    assert read(tmp_path, 1) == made(1, 150)


def test_a_gap_begins_the_log_anew(tmp_path: Path):
    written(tmp_path, 1, 100)
    written(tmp_path, 102, 10)
    assert read(tmp_path, 1) == b""
    assert read(tmp_path, 102) == made(102, 10)


def test_a_block_that_is_cut_off_does_not_count(tmp_path: Path):
    written(tmp_path, 1, 10, 10)
    path = EventFiles(tmp_path, 0).path(1)
    whole = path.read_bytes()
    end = EventBlock.size + 8 * PLAIN_BYTES + 2 * MESSAGE_BYTES
    for size in range(end, len(whole), 97):
        path.write_bytes(whole[:size])
        assert read(tmp_path, 1) == made(1, 10)
    written(tmp_path, 11, 5)
    assert read(tmp_path, 1) == made(1, 15)


@pytest.mark.parametrize("at", [0, 8, 16, 24, 32, 40, 63, 64, 100, 1000])
def test_a_bit_that_flipped_is_seen(tmp_path: Path, at: int):
    written(tmp_path, 1, 10, 10)
    path = EventFiles(tmp_path, 0).path(1)
    raw = bytearray(path.read_bytes())
    raw[at] ^= 4
    path.write_bytes(raw)
    with contextlib.suppress(EventsRotten):  # of a bit of the version
        assert read(tmp_path, 1) == b""


def test_events_of_decisions_that_were_lost_are_cut_off(tmp_path: Path):
    written(tmp_path, 1, 20, 20, 20)
    EventFilesWriter(tmp_path, 0, 29).close()  # the last event of the third block is of 30
    assert read(tmp_path, 1) == made(1, 40)
    written(tmp_path, 41, 5)
    assert read(tmp_path, 1) == made(1, 45)


def test_files_are_ended_and_the_oldest_given_up(tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(eventfiles, "EVENT_FILE_BYTES", 4 * 1024)
    monkeypatch.setattr(eventfiles, "EVENT_FILES_MAX", 3)
    written(tmp_path, 1, *[10] * 20)
    files = EventFiles(tmp_path, 0)
    assert len(files.firsts()) == 3
    first = files.firsts()[0]
    assert 1 < first < 200
    assert read(tmp_path, 1) == b""
    assert read(tmp_path, first + 3) == made(first + 3, 201 - first - 3)
    written(tmp_path, 201, 10)
    assert read(tmp_path, 200) == made(200, 11)


def test_a_hole_between_files_is_refused_and_mended_by_the_writer(tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(eventfiles, "EVENT_FILE_BYTES", 4 * 1024)
    written(tmp_path, 1, *[10] * 6)
    files = EventFiles(tmp_path, 0)
    second = files.path(files.firsts()[1])
    second.write_bytes(second.read_bytes()[:-1])
    with pytest.raises(EventsRotten, match="okimi events --rebuild"):
        read(tmp_path, 1)
    written(tmp_path, 61, 5)  # the writer goes on before the hole: this begins anew
    assert read(tmp_path, 1) == b""
    assert read(tmp_path, 61) == made(61, 5)


def test_one_writer_at_a_time(tmp_path: Path):
    writer = EventFilesWriter(tmp_path, 0, 0)
    with pytest.raises(DataDirInUse):
        EventFilesWriter(tmp_path, 0, 0)
    EventFilesWriter(tmp_path, 1, 0).close()
    writer.close()
    EventFilesWriter(tmp_path, 0, 0).close()
