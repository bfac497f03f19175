"""The journal process, taken apart: decisions from the ring become frames, then the mark moves."""

from pathlib import Path

import pytest

from engine.durability.collecting import await_decisions
from engine.durability.committing import TURN_NS, open_committer
from engine.durability.errors import JournalGap, StorageFull
from engine.durability.file_storage import FileStorage
from engine.durability.format import PAYLOAD_BYTES_MAX
from ipc.histogram import Percentiles
from tests.durability.deciding import SLOTS, Decider, wait_until

pytestmark = pytest.mark.interpreted


@pytest.fixture
def deciders(tmp_path):
    """Makes deciders that share one data folder; all are ended."""
    made = []

    def make(total, **durability):
        made.append(Decider(tmp_path / "data", total, **durability))
        return made[-1]

    yield make
    for each in made:
        each.end()


@pytest.fixture
def opened():
    """Opens committers, and closes their files."""
    storages = []

    def make(decider, storage=None):
        durability = decider.config.durability
        storages.append(
            storage or FileStorage(Path(durability.data_dir), durability.segment_mb << 20)
        )
        return open_committer(decider.venue, decider.plan, storages[-1])

    yield make
    for storage in storages:
        storage.close()


def test_what_is_in_the_ring_becomes_one_frame_and_then_may_be_told(deciders, opened):
    decider = deciders(100)
    committer = opened(decider)
    assert decider.mark.dseq == 0
    assert decider.decide(100) == 100
    assert committer.turn(0)
    assert decider.mark.dseq == decider.cursor.position == 100
    assert decider.mark.frames == 1
    assert decider.mark.bytes % 4096 == 0
    assert Percentiles(decider.mark.commits).total == 1
    statistics = committer.committing.telemetry.statistics
    assert statistics.taken == statistics.latency.total == 100
    assert not committer.turn(0)
    assert decider.check() == 100


def test_a_frame_takes_no_more_than_its_limit_and_the_rest_is_the_next(deciders, opened):
    decider = deciders(4 * SLOTS)
    committer = opened(decider)
    frames = 0
    while decider.mark.dseq < 4 * SLOTS:
        decider.decide(SLOTS)
        frames += committer.turn(0)
    assert frames == decider.mark.frames == 4
    found, _ = decider.journaled()
    assert len(found) == sum(map(len, decider.records)) > 2 * PAYLOAD_BYTES_MAX
    assert decider.check() == 4 * SLOTS


def test_a_successor_skips_what_the_journal_has_already(deciders, opened):
    decider = deciders(60)
    first = opened(decider)
    decider.decide(30)
    first.turn(0)
    decider.decide(20)
    # Dies behind the sync, before it could say so.
    first.writer.append(first.frame, await_decisions(first.committing, 0))
    assert (decider.mark.dseq, decider.cursor.position) == (30, 30)
    first_storage = first.writer._storage
    first_storage.close()
    second = opened(decider)
    assert decider.mark.dseq == decider.cursor.position == 50
    decider.decide(10)
    second.turn(0)
    assert decider.check() == 60


def test_a_journal_that_has_less_than_was_acknowledged_is_refused(deciders, opened, tmp_path):
    decider = deciders(50)
    committer = opened(decider)
    decider.decide(40)
    committer.turn(0)
    committer.writer._storage.close()
    (tmp_path / "data" / "journal").rename(tmp_path / "elsewhere")
    with pytest.raises(JournalGap, match="40"):
        opened(decider)


def test_a_journal_that_has_more_than_was_ever_decided_is_refused(deciders, opened):
    decider = deciders(50)
    committer = opened(decider)
    decider.decide(40)
    committer.turn(0)
    committer.writer._storage.close()
    younger = deciders(50)
    younger.decide(30)
    with pytest.raises(JournalGap, match="right data"):
        opened(younger)


def test_a_machine_that_starts_again_goes_on_behind_its_journal(deciders, opened):
    decider = deciders(90)
    committer = opened(decider)
    decider.decide(40)
    committer.turn(0)
    committer.writer._storage.close()
    later = deciders(90)
    later.venue.counters.durable.term = 2
    later.begin_at(40)
    committer = opened(later)
    assert later.mark.dseq == 40
    later.decide(50)
    committer.turn(0)
    _, reader = later.journaled()
    assert reader.position.term == 2
    assert later.check() == 90


def test_a_frame_that_found_no_room_is_committed_when_there_is_some(deciders, opened, tmp_path):
    total = 12 * SLOTS
    decider = deciders(total)
    storage = FileStorage(tmp_path / "data", 1 << 20)
    committer = opened(decider, storage)
    storage._preparer.reserve_bytes = 1 << 60  # the segments that are there are used up

    def commit_all():
        while decider.mark.dseq < total:
            decider.decide(SLOTS)
            committer.turn(0)

    with pytest.raises(StorageFull, match="reserve_mb"):
        commit_all()
    before = decider.mark.dseq
    assert 0 < before < total
    with pytest.raises(StorageFull):
        committer.turn(0)
    assert decider.mark.dseq == before
    storage._preparer.reserve_bytes = 0
    wait_until(lambda: not storage.shortage)
    commit_all()
    assert decider.check() == total


def test_a_process_that_was_replaced_writes_nothing_more(deciders, opened):
    decider = deciders(20)
    committer = opened(decider)
    decider.decide(10)
    committer.turn(0)
    decider.decide(10)
    decider.venue.entry("journal").epoch += 1
    assert committer.is_fenced
    assert not committer.turn(TURN_NS)
    committer.drain()
    assert decider.mark.dseq == 10
    assert decider.check() == 10


def test_the_side_file_is_written_after_the_mark_and_synced_when_idle(deciders, opened):
    decider = deciders(10)
    committer = opened(decider)
    decider.decide(10)
    committer.turn(0)
    storage = decider.storage()
    assert any(storage.read_headers(1)[:64])
    storage.close()
    assert not committer.turn(0)
    assert not committer.writer.idle()  # nothing is left to do


def test_drain_commits_what_is_there_when_the_venue_stops(deciders, opened):
    decider = deciders(SLOTS)
    committer = opened(decider)
    decider.decide(SLOTS)
    decider.venue.counters.stop.value = 1
    committer.drain()
    assert decider.check() == decider.mark.dseq == SLOTS
