"""Events from any sequence on: from files, from a replica, from both; while a venue goes on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.config import Config
from engine.durability import datadir
from engine.durability.errors import EventsGone
from engine.durability.eventfiles import EventFiles, EventFilesWriter
from engine.durability.eventkeeper import keep_events
from engine.durability.eventlog import EventLog
from engine.durability.file_storage import FileStorage
from engine.durability.pursuit import Pursuit
from engine.durability.snapshot_format import path_of
from engine.messages import decode_events
from tests.bulk_streams import EVERYTHING, bulk
from tests.desk import as_array
from tests.durability.folders import Recorder
from tests.sharded import sharded_config
from tests.sharded import stream as sharded_stream

COMMANDS = 1_200
SNAPSHOT_AT = 700


def unstamped(events: Any) -> list[Any]:
    return [event._replace(stamp_ticks=0) for event in events]


def of_driver(recorder: Recorder) -> list[Any]:
    """What the live venue told its client."""
    raw = np.concatenate(recorder.events)
    return unstamped(decode_events(memoryview(raw.tobytes())))


def take_snapshot(recorder: Recorder, dseq: int) -> None:
    storage = FileStorage(recorder.folder.path, 0)
    pursuit = Pursuit(recorder.folder, storage, None, 0)
    for _ in pursuit.follow(None, dseq):
        pass
    pursuit.store()
    pursuit.free()
    storage.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """A data folder with a snapshot half-way, and the events that its venue told."""
    path = tmp_path_factory.mktemp("log") / "venue"
    stream = bulk(11, COMMANDS, EVERYTHING, instruments=3)
    recorder = Recorder(path, Config.build(**stream.market.tables()))
    recorder.run(as_array(stream.commands))
    take_snapshot(recorder, SNAPSHOT_AT)
    recorder.close()
    return path, of_driver(recorder)


@pytest.fixture
def log(recorded: tuple[Path, list[Any]]) -> Iterator[EventLog]:
    """The log of that folder, without any files at the beginning."""
    made = EventLog(recorded[0])
    yield made
    for first in EventFiles(made.folder.events, 0).firsts():
        EventFiles(made.folder.events, 0).path(first).unlink()
    made.close()


@pytest.fixture
def told(recorded: tuple[Path, list[Any]]) -> list[Any]:
    return recorded[1]


def test_all_events_are_those_that_the_venue_told(log: EventLog, told: list[Any]):
    assert unstamped(log.read(0, 1)) == told


def test_from_any_event_by_way_of_the_nearest_snapshot(log: EventLog, told: list[Any]):
    first_after = next(event.sequence for event in told if event.dseq > SNAPSHOT_AT)
    assert log.before(0, first_after) == SNAPSHOT_AT
    assert log.before(0, first_after - 1) == 0
    for first, last in ((first_after, None), (first_after - 1, first_after), (5, 5), (7, 300)):
        assert unstamped(log.read(0, first, last)) == told[first - 1 : last], (first, last)
    assert list(log.read(0, len(told) + 1)) == []


def test_files_have_the_same(log: EventLog, told: list[Any]):
    assert log.rebuild() == [len(told)]
    assert EventFiles(log.folder.events, 0).end() == (len(told) + 1, COMMANDS)
    path_of(log.folder.snapshots, 0).rename(log.folder.path / "aside")  # nothing can be derived
    try:
        assert unstamped(log.read(0, 1, len(told))) == told
        assert unstamped(log.read(0, 900, 905)) == told[899:905]
    finally:
        (log.folder.path / "aside").rename(path_of(log.folder.snapshots, 0))


@pytest.mark.parametrize(("first", "last"), [(1, 400), (300, 700), (600, None)])
def test_what_files_lack_is_derived(log: EventLog, told: list[Any], first: int, last: int | None):
    pieces = list(log.slots(0, first, last))
    writer = EventFilesWriter(log.folder.events, 0, COMMANDS)
    for piece in pieces:
        writer.append(piece.tobytes())
    writer.close()
    for wanted in (1, 299, 300, 350, 401, 700):
        assert unstamped(log.read(0, wanted)) == told[wanted - 1 :], wanted


def test_nothing_is_told_that_is_not_durable(recorded: tuple[Path, list[Any]]):
    path, told = recorded
    log = EventLog(path, lambda: 350)
    assert unstamped(log.read(0, 1)) == [event for event in told if event.dseq <= 350]
    log.close()


def test_followers_get_what_becomes_durable(recorded: tuple[Path, list[Any]]):
    path, told = recorded
    marks = iter([100, 100, 100, 350, 350, 800, 800, 801])
    log = EventLog(path, lambda: next(marks, 801))
    looks = iter([True] * 12)
    followed = unstamped(log.follow(0, 50, lambda: next(looks, False)))
    assert followed == [event for event in told if event.dseq <= 801][49:]
    log.close()


def test_what_can_no_longer_be_derived_is_gone(log: EventLog):
    path_of(log.folder.snapshots, 0).rename(log.folder.path / "aside")
    try:
        with pytest.raises(EventsGone, match="event 1 of shard 0"):
            list(log.read(0, 1))
    finally:
        (log.folder.path / "aside").rename(path_of(log.folder.snapshots, 0))


def test_each_shard_has_a_log_of_its_own(tmp_path: Path):
    recorder = Recorder(tmp_path / "venue", sharded_config(3))
    recorder.run(sharded_stream(5, 800))
    recorder.close()
    log = EventLog(recorder.folder.path)
    found = [unstamped(log.read(shard, 1)) for shard in range(3)]
    log.close()
    for events in found:
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    everything = [event for events in found for event in events]
    assert sorted(map(repr, everything)) == sorted(map(repr, of_driver(recorder)))


def test_a_keeper_without_room_says_so_and_lets_the_pursuit_go_on(
    recorded: tuple[Path, list[Any]], monkeypatch: pytest.MonkeyPatch
):
    path, _ = recorded
    said: list[str] = []
    storage = FileStorage(path, 0)
    pursuit = Pursuit(datadir.attach(path), storage, None, 0)
    keeper = keep_events(pursuit, COMMANDS, said.append)
    assert keeper is not None
    assert keep_events(pursuit, COMMANDS, said.append) is None, "two keep the same files"

    def refuse(self: EventFilesWriter, slots: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(EventFilesWriter, "_write", refuse)
    for _ in pursuit.follow(None):
        pass
    assert pursuit.dseq == COMMANDS
    assert [words.split(" Events are not kept")[0] for words in said][1] == (
        "[Errno 28] No space left on device."
    )
    pursuit.free()
    storage.close()
