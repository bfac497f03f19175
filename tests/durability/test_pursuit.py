"""Following a journal from snapshots: the same state whatever it began from."""

import pytest

from engine.config import Config
from engine.durability import snapshot_folder
from engine.durability.blocks import digest
from engine.durability.errors import Diverged, JournalGap, SnapshotMissing
from engine.durability.file_storage import FileStorage
from engine.durability.pursuit import Pursuit
from engine.durability.snapshot_format import path_of
from engine.durability.snapshot_job import take_snapshot
from engine.messages import CommandKind, OrderType, TimeInForce
from tests.durability.folders import SEGMENT_BYTES, Recorder
from tests.durability.small_state import flip
from tests.sharded import sharded_config, stream
from tools.supervision.control import Control

FUNDS = 50_000
"""So little that what risk had seen decides."""


@pytest.fixture
def recorded(tmp_path):
    """A function that makes a data folder with a journal of so many commands."""
    made = []

    def record(count, shards=1, **settings):
        config: Config = sharded_config(shards, FUNDS, name="followed")
        made.append(Recorder(tmp_path / "data", config, **settings))
        made[-1].run(stream(3, count))
        return made[-1]

    yield record
    for each in made:
        each.close()


def pursue(recorder, durable=None, **options):
    storage = FileStorage(recorder.folder.path, SEGMENT_BYTES)
    return Pursuit(recorder.folder, storage, durable, **options)


def hashes(pursuit):
    pursuit.replica.keep_pending()
    return {name: digest(block) for name, block in pursuit.replica.blocks.items()}


def followed(recorder, until=None):
    """The state after a decision, from the beginning."""
    pursuit = pursue(recorder, at_most=0)
    for _ in pursuit.follow(None, until):
        pass
    found = pursuit.dseq, hashes(pursuit)
    pursuit.free()
    return found


@pytest.mark.parametrize("shards", [1, 2])
def test_from_a_snapshot_on_the_state_is_the_same(recorded, shards):
    recorder = recorded(600, shards)
    last, wanted = followed(recorder)
    assert last == recorder.last
    # In the middle of a frame, at the end of one, and at the end of all.
    middle = last // 2 // 50 * 50
    moments = [middle + 17, middle + 50, last]
    for until in moments:
        pursuit = pursue(recorder, at_most=until)
        assert list(pursuit.follow(None, until))[-1] == pursuit.dseq == until
        stored = pursuit.store()
        assert (stored.moment.dseq, stored.moment.term) == (until, 1)
        assert stored.moment.eseqs == tuple(pursuit.replica.sequences)
        list(pursuit.follow(None))
        assert hashes(pursuit) == wanted, f"storing the state after {until} has changed it"
        pursuit.free()
    assert snapshot_folder.whole(recorder.folder.snapshots) == [0, *moments]
    for at_most, begun in zip(
        (middle + 49, *moments, None), (moments[0], *moments, last), strict=True
    ):
        pursuit = pursue(recorder, at_most=at_most)
        assert pursuit.dseq == begun
        list(pursuit.follow(None))
        assert hashes(pursuit) == wanted
        pursuit.free()


def test_a_journal_that_grows_is_followed_as_far_as_it_is_durable(recorded):
    recorder = recorded(300)
    first = recorder.last
    pursuit = pursue(recorder, durable=120)
    assert list(pursuit.follow(120))[-1] == pursuit.dseq == 120, "in the middle of a frame"
    assert list(pursuit.follow(first))[-1] == first
    assert list(pursuit.follow(first)) == []
    recorder.run(stream(4, 200))
    assert list(pursuit.follow(recorder.last))[-1] == recorder.last
    assert hashes(pursuit) == followed(recorder)[1]
    pursuit.free()


def test_a_damaged_snapshot_is_passed_over_and_the_state_is_the_same(recorded):
    recorder = recorded(300)
    pursuit = pursue(recorder)
    list(pursuit.follow(None, 100))
    pursuit.store()
    list(pursuit.follow(None, 200))
    flip(pursuit.store().path, 8 * 5000)
    pursuit.free()
    again = pursue(recorder)
    assert again.dseq == 100
    assert str(path_of(recorder.folder.snapshots, 200)) in again.start.found.passed_over[0]
    list(again.follow(None))
    assert hashes(again) == followed(recorder)[1]
    again.free()


def test_a_snapshot_is_taken_of_the_durable_end(recorded):
    recorder = recorded(300)
    storage = FileStorage(recorder.folder.path, SEGMENT_BYTES)
    told = []
    meters = (lambda *each: told.append(each)), None
    taken = take_snapshot(recorder.folder, storage, 150, progress=meters)
    assert (taken.begun, taken.snapshot.moment.dseq) == (0, 150)
    assert told[-1] == (150, 150)
    taken = take_snapshot(recorder.folder, storage, None)
    assert (taken.begun, taken.snapshot.moment.dseq) == (150, recorder.last)
    storage.close()


def test_a_journal_that_ends_before_the_snapshot_is_refused(recorded, tmp_path):
    recorder = recorded(300)
    storage = FileStorage(recorder.folder.path, SEGMENT_BYTES)
    take_snapshot(recorder.folder, storage, None)
    file = recorder.folder.journal / "00000000000000000001.journal"
    with open(file, "r+b") as journal:
        journal.write(bytes(file.stat().st_size))
    (recorder.folder.journal / "00000000000000000001.headers").write_bytes(bytes(4096))
    with pytest.raises(JournalGap):
        take_snapshot(recorder.folder, storage, None)
    storage.close()


def test_another_decision_than_the_one_that_follows_is_noticed(recorded, tmp_path):
    recorder = recorded(300)
    pursuit = pursue(recorder)
    list(pursuit.follow(None, 100))
    # As if a purse had been written over by something else.
    risk = pursuit.replica.blocks["risk"]
    kind = risk.record
    for account in (1, 2, 3):
        for purse in range(2):
            kind(risk.address).purses[account * 64 + purse].total = 0
    with pytest.raises(Diverged, match="risk comes to another decision"):
        list(pursuit.follow(None))
    pursuit.free()


def test_what_is_to_be_skipped_is_skipped_whatever_the_snapshots_hold(tmp_path):
    recorder = Recorder(tmp_path / "data", sharded_config(1, name="skips", durability="durable"))
    control = Control(recorder.venue.venue)
    lone = stream(3, 1)
    lone["price_ticks"], lone["side"], lone["order_type"] = 1, 0, OrderType.LIMIT
    lone["kind"], lone["time_in_force"] = CommandKind.NEW, TimeInForce.GTC
    recorder.run(stream(1, 80))
    recorder.run(lone)  # a purchase that nobody will ever sell to
    skipped = recorder.last
    recorder.run(stream(2, 80))
    # As shadows do that have followed so far, and did not stumble.
    ahead = pursue(recorder, durable=recorder.last)
    for until in (skipped - 10, skipped, recorder.last):
        list(ahead.follow(recorder.last, until))
        ahead.store()
    assert ahead.start.skips == ()
    control.skip(skipped)
    recorder.run(stream(4, 60))
    with_it = followed(recorder)[1]

    again = pursue(recorder)
    assert (again.dseq, again.start.skips) == (skipped - 10, (skipped,))
    list(again.follow(None))
    assert (again.dseq, hashes(again)) == (recorder.last, with_it)
    # Whoever has executed it begins again, before it.
    went_back = []
    ahead.on_older = lambda: went_back.append(ahead.dseq)
    list(ahead.follow(recorder.last))
    assert went_back == [skipped - 10]
    assert (ahead.dseq, hashes(ahead)) == (recorder.last, with_it)
    assert ahead.start.found.snapshot.moment.dseq == skipped - 10
    kept = snapshot_folder.dseqs(recorder.folder.snapshots)
    assert kept[-1] < recorder.last
    for pursuit in (again, ahead):
        pursuit.free()
    recorder.close()


def test_without_any_snapshot_there_is_nothing_to_follow_from(recorded):
    recorder = recorded(10)
    path_of(recorder.folder.snapshots, 0).unlink()
    with pytest.raises(SnapshotMissing):
        pursue(recorder)
