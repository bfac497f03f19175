"""The shadow: follows, compares, stores, and says so when something differs."""

import os
import signal
import sys
import time
import uuid
from dataclasses import replace

import pytest

from engine.durability import shadow as shadows
from engine.durability import snapshot_folder
from engine.durability.errors import Diverged, StorageFull
from engine.durability.eventfiles import EventFiles
from engine.durability.pursuit import Pursuit
from engine.durability.shadow import CheckpointAudit, Shadow, serve_shadow
from engine.durability.snapshot_format import path_of
from engine.durability.snapshot_job import (
    BLIND,
    DIFFERS,
    RECORDS_MAX,
    Schedule,
    run_snapshot_job,
)
from engine.membership import EXIT_FENCED
from engine.topology import DRIVER, JOURNAL, SHADOW, plan
from engine.venue import create, create_private
from ipc.counters import RUNNING, STARTING, STOPPED, begin_life, write_checkpoint
from tests.durability.deciding import wait_until
from tests.durability.folders import Recorder
from tests.durability.small_state import flip
from tests.sharded import sharded_config, stream

SHARDS = 2
FUNDS = 50_000
COMMANDS = 300


class Watched:
    """A journal that a recorder writes, and the memory of the venue that it is said to be of."""

    def __init__(self, path, make, **durability):
        live = sharded_config(SHARDS, FUNDS, name=f"t{os.getpid()}-{uuid.uuid4().hex[:8]}")
        self.recorder = Recorder(path, live)
        keys = {"data_dir": str(path), "shadow": "on", "segment_mb": 1, **durability}
        self.config = replace(
            live,
            venue=replace(live.venue, durability="durable"),
            durability=replace(live.durability, **keys),
        )
        self.venue = make(self.config, plan(self.config, (DRIVER,), cores=[0]))
        self.plan = next(each for each in self.venue.topology.processes if each.name == SHADOW)
        self.mark, self.entry = self.venue.counters.durable, self.venue.entry(SHADOW)
        self.journal = self.venue.entry(JOURNAL)
        self.pid = 0
        self.shadows = []

    def run(self, seed, count=COMMANDS):
        """Commands, journaled and durable."""
        self.recorder.run(stream(seed, count))
        self.mark.dseq = self.recorder.last

    def shadow(self):
        self.shadows.append(Shadow(self.venue, self.plan, self.recorder.folder))
        return self.shadows[-1]

    def fork(self, main):
        """A process of the venue."""
        self.venue.epoch = begin_life(self.entry)
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                code = main()
            finally:
                os._exit(code)

    def ended(self):
        """The exit code of the process, once it has ended."""
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self.ended()
        for shadow in self.shadows:
            shadow.close()
        self.recorder.close()
        self.venue.close()

    @property
    def snapshots(self):
        return snapshot_folder.whole(self.recorder.folder.snapshots)


@pytest.fixture
def watched(tmp_path):
    """A function that makes a Watched; `shared` where processes are forked."""
    made = []

    def make(shared=False, **durability):
        made.append(Watched(tmp_path / "data", create if shared else create_private, **durability))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_shadow_follows_what_is_durable_and_stores_it_when_it_is_due(watched):
    venue = watched(snapshot_minutes=1)
    venue.run(1)
    first = venue.recorder.last
    shadow = venue.shadow()
    assert (venue.mark.snapshot_dseq, venue.mark.shadow_dseq) == (0, 0)
    assert shadow.turn()
    assert not shadow.turn()
    assert venue.mark.shadow_dseq == first
    assert venue.snapshots == [0]
    shadow.schedule = Schedule(1, 0)
    shadow.schedule._due_at = 0.0
    venue.run(2)
    shadow.turn()
    assert venue.mark.shadow_dseq == venue.mark.snapshot_dseq == venue.recorder.last > first
    assert venue.snapshots == [0, venue.recorder.last]
    assert venue.mark.shadow_state == 0
    shadow.close()
    again = venue.shadow()
    assert venue.mark.snapshot_dseq == again.pursuit.dseq == venue.recorder.last


def test_a_snapshot_that_finds_no_room_is_tried_again_later(watched, monkeypatch, capsys):
    venue = watched()
    venue.run(1)
    shadow = venue.shadow()

    def full(*_):
        raise StorageFull("no room")

    monkeypatch.setattr(shadow.pursuit, "store", full)
    shadow.schedule._due_at = 0.0
    shadow.turn()
    assert "no room" in capsys.readouterr().err
    monkeypatch.undo()
    shadow.turn()
    assert venue.snapshots == [0], "not at once"
    shadow.schedule._earliest = 0.0
    shadow.turn()
    assert venue.snapshots == [0, venue.recorder.last]


def test_another_decision_than_was_journaled_is_a_difference(watched):
    venue = watched()
    venue.run(1)
    shadow = venue.shadow()
    risk = shadow.pursuit.replica.blocks["risk"]
    for purse in range(4096):
        risk.record(risk.address).purses[purse].total = 0
    with pytest.raises(Diverged, match="risk comes to another decision"):
        shadow.turn()


def test_checkpoints_of_the_venue_are_compared_with_its_own(watched):
    venue = watched()
    venue.run(1)
    shadow = venue.shadow()
    live = venue.venue.statistics("matching.1")
    write_checkpoint(live, venue.recorder.last, 5)
    shadow.turn()
    assert shadow.audit._live == [{}, {venue.recorder.last: 5}]
    # Checkpoints are 65,536 decisions apart: let the replica tell one now.
    own = shadow.pursuit.replica.statistics[1]
    write_checkpoint(own, venue.recorder.last, 6)
    with pytest.raises(Diverged, match="matching 1 had hash 0000000000000005 in the venue"):
        shadow._compare()


def test_old_segments_go_when_two_snapshots_know_them(watched):
    venue = watched(snapshot_minutes=1)
    storage = venue.recorder._storage
    shadow = None
    for seed in range(1, 4):
        segments = storage.segments()
        while storage.segments() == segments or len(storage.segments()) < 2:
            venue.run(seed, 2_000)
        shadow = shadow or venue.shadow()
        shadow.schedule._due_at = 0.0
        shadow.turn()
    moments = venue.snapshots
    assert storage.segments()[0] <= moments[-2] < storage.segments()[1]
    assert storage.archived()[0] == 1
    # From the beginning on it can still be done again, out of the archive.
    again = Pursuit(venue.recorder.folder, storage, venue.mark.dseq, 0)
    assert list(again.follow(venue.mark.dseq))[-1] == venue.recorder.last
    assert again.replica.state_hashes == shadow.pursuit.replica.state_hashes
    again.free()


def test_work_on_files_does_not_stop_the_heart(watched):
    venue = watched()
    shadow = venue.shadow()
    before = venue.entry.heartbeat.word.value
    with shadow.beating():
        wait_until(lambda: venue.entry.heartbeat.word.value > before)


def test_an_audit_remembers_what_is_ahead():
    audit = CheckpointAudit(2)
    for sequence in (100, 200, 300):
        audit.note(0, sequence, sequence + 1)
    audit.check(0, 50, 7)
    audit.check(0, 200, 201)
    audit.check(1, 300, 9)
    assert audit.compared == 1
    with pytest.raises(Diverged, match="decision 300"):
        audit.check(0, 300, 302)
    audit.check(0, 300, 303)  # said already
    assert audit._live == [{}, {}]


def test_a_hash_fits_shared_memory():
    for number in (0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
        assert shadows.signed(number) % (1 << 64) == number
        assert -(1 << 63) <= shadows.signed(number) < 1 << 63


def test_a_schedule_looks_at_the_clock_and_counts():
    schedule = Schedule(1, 10)
    assert not schedule.is_due(11)
    assert schedule.is_due(10 + RECORDS_MAX)
    schedule._due_at = time.monotonic()
    assert schedule.is_due(11)
    assert not schedule.is_due(10), "there is one of that decision"
    schedule.failed()
    assert not schedule.is_due(11)
    schedule._earliest = 0.0
    schedule.taken(11)
    assert not schedule.is_due(12)
    assert Schedule(1, 10, age_seconds=60.0).is_due(11), "a successor does not wait anew"
    assert Schedule(1, 10, age_seconds=1e9).is_due(11)
    assert not Schedule(1, 10, age_seconds=50.0).is_due(11)
    assert not Schedule(1, 10, age_seconds=-1e9).is_due(11), "a snapshot of tomorrow"
    never = Schedule(0, 10)
    assert not never.is_due(10 + RECORDS_MAX)


# --- processes -----------------------------------------------------------------------------------


def test_a_shadow_process_takes_a_snapshot_of_the_end_and_ends(watched):
    venue = watched(shared=True)
    venue.run(1)
    venue.journal.state = RUNNING
    venue.fork(lambda: serve_shadow(venue.venue, venue.plan))
    wait_until(lambda: venue.mark.shadow_dseq == venue.recorder.last)
    assert venue.entry.state == RUNNING
    assert venue.entry.heartbeat.word.value > 0
    venue.run(2)
    wait_until(lambda: venue.mark.shadow_dseq == venue.recorder.last)
    venue.venue.counters.stop.value = 1
    venue.run(3)  # the journal ends after the others
    venue.journal.state = STOPPED
    assert venue.ended() == 0
    assert venue.entry.state == STOPPED
    assert venue.mark.shadow_dseq == venue.mark.snapshot_dseq == venue.recorder.last
    assert venue.snapshots == [0, venue.recorder.last]


def test_a_shadow_process_that_differs_says_so_and_stores_nothing(watched, capfd):
    venue = watched(shared=True)
    venue.run(1)

    def main():
        real = shadows.Pursuit

        class Broken(real):
            def __init__(self, *given):
                super().__init__(*given)
                risk = self.replica.blocks["risk"]
                for purse in range(4096):
                    risk.record(risk.address).purses[purse].total = 0

        shadows.Pursuit = Broken
        return serve_shadow(venue.venue, venue.plan)

    venue.fork(main)
    wait_until(lambda: venue.mark.shadow_state == DIFFERS)
    wait_until(lambda: venue.entry.state == RUNNING)
    assert "risk comes to another decision" in venue.entry.last_error.get()
    beat = venue.entry.heartbeat.word.value
    wait_until(lambda: venue.entry.heartbeat.word.value > beat)
    venue.venue.counters.stop.value = 1
    assert venue.ended() == 0
    assert venue.snapshots == [0]
    assert "No snapshots are taken any more" in capfd.readouterr().err


def test_a_shadow_process_that_cannot_read_says_so(watched):
    venue = watched(shared=True)
    venue.run(1)
    flip(path_of(venue.recorder.folder.snapshots, 0), 77)
    venue.fork(lambda: serve_shadow(venue.venue, venue.plan))
    wait_until(lambda: venue.mark.shadow_state == BLIND)
    assert "SnapshotMissing" in venue.entry.last_error.get()
    os.kill(venue.pid, signal.SIGTERM)
    assert venue.ended() == 0


def test_a_shadow_that_has_a_successor_leaves_all_alone(watched):
    venue = watched(shared=True)
    venue.run(1)
    venue.fork(lambda: serve_shadow(venue.venue, venue.plan))
    wait_until(lambda: venue.mark.shadow_dseq == venue.recorder.last)
    begin_life(venue.entry)
    assert venue.ended() == EXIT_FENCED
    assert venue.entry.state == STARTING, "that is its successor's"
    assert venue.snapshots == [0]


def test_a_job_takes_one_snapshot(watched, capfd):
    venue = watched(shared=True)
    venue.run(1)
    venue.fork(lambda: run_snapshot_job(venue.venue))
    assert venue.ended() == 0
    assert venue.mark.snapshot_dseq == venue.mark.shadow_dseq == venue.recorder.last
    assert venue.snapshots == [0, venue.recorder.last]
    venue.run(2)
    flip(path_of(venue.recorder.folder.snapshots, venue.mark.snapshot_dseq), 8 * 4099)
    venue.fork(lambda: run_snapshot_job(venue.venue))
    assert venue.ended() == 0
    assert "is damaged" in capfd.readouterr().err
    assert venue.snapshots == [0, venue.recorder.last]
    for dseq in snapshot_folder.dseqs(venue.recorder.folder.snapshots):
        path_of(venue.recorder.folder.snapshots, dseq).unlink()
    venue.fork(lambda: run_snapshot_job(venue.venue))
    assert venue.ended() == 1
    assert "no snapshot was taken" in capfd.readouterr().err


def test_a_shadow_keeps_the_events_for_who_comes_late(watched):
    venue = watched()
    venue.run(1)
    shadow = venue.shadow()
    shadow.turn()
    shadow.close()
    venue.run(2)
    shadow = venue.shadow()  # begins at the first snapshot again: what is kept is passed over
    shadow.turn()
    files = [EventFiles(venue.recorder.folder.events, shard) for shard in range(SHARDS)]
    last = [runs[-1].end_eseq - 1 for runs in map(list, (each.runs(1) for each in files))]
    assert last == shadow.pursuit.replica.sequences
