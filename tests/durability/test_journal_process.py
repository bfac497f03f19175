"""The journal as a process: it acknowledges, dies, is followed, meets a full disk, and ends."""

import os
import random
import signal
import time

import pytest

from engine.durability.committing import EXIT_FAILED
from engine.topology import JOURNAL
from ipc.counters import FAILED, FULL, OPEN, RUNNING, STOPPED
from ipc.jit import INTERPRETED
from tests.durability.deciding import SLOTS, Decider, wait_until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(INTERPRETED, reason="processes need compiled code"),
]


class Journaling:
    """A shared venue, and every journal process that was started for it."""

    def __init__(self, data_dir, total, **durability):
        self.decider = Decider(data_dir, total, shared=True, **durability)
        self.entry = self.decider.venue.entry(JOURNAL)
        self.mark = self.decider.mark
        self.pids = []

    def start(self):
        self.pids.append(self.decider.start_journal())
        return self.pids[-1]

    def join(self, pid):
        """Wait for the end of a process; returns its exit code."""
        self.pids.remove(pid)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def decide_all(self, pid, batch=7):
        """Decide everything and wait until it is durable."""
        total = len(self.decider.records)
        code = self.decider.decide_until(lambda: self.mark.dseq == total, pid, batch)
        if code is not None:
            self.pids.remove(pid)
        return code

    def end(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.decider.end()


@pytest.fixture
def journaling(tmp_path):
    made = []

    def make(total, data_dir=tmp_path / "data", **durability):
        made.append(Journaling(data_dir, total, **durability))
        return made[-1]

    yield make
    for each in made:
        each.end()


def test_everything_is_acknowledged_and_the_stop_word_ends_it(journaling):
    venue = journaling(20 * SLOTS)
    pid = venue.start()
    assert venue.decide_all(pid) is None
    assert venue.entry.state == RUNNING
    venue.decider.venue.counters.stop.value = 1
    assert venue.join(pid) == 0
    assert venue.entry.state == STOPPED
    assert venue.decider.check() == 20 * SLOTS
    assert len(venue.decider.storage().segments()) > 1


def test_what_is_in_the_ring_when_it_is_told_to_end_is_committed(journaling):
    venue = journaling(SLOTS)
    pid = venue.start()
    wait_until(lambda: venue.entry.state == RUNNING)
    os.kill(pid, signal.SIGSTOP)
    venue.decider.decide(SLOTS)
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGCONT)
    assert venue.join(pid) == 0
    assert venue.decider.check() == venue.mark.dseq == SLOTS


def test_killed_at_any_moment_it_is_followed_without_a_loss(journaling):
    venue = journaling(20 * SLOTS)
    chance, lives = random.Random(5), 0
    total = len(venue.decider.records)
    while venue.mark.dseq < total:
        pid = venue.start()
        lives += 1
        until = time.monotonic() + chance.random() * 0.05
        begun = venue.mark.dseq

        def is_time(until=until, begun=begun):
            late = time.monotonic() > until and venue.mark.dseq > begun
            return venue.mark.dseq == total or late

        assert venue.decider.decide_until(is_time, pid, chance.randrange(1, 60)) is None
        os.kill(pid, signal.SIGKILL)
        venue.join(pid)
        venue.decider.check()
    assert lives > 3
    assert venue.decider.check() == total


def test_one_that_was_stopped_and_replaced_writes_nothing_more(journaling):
    venue = journaling(SLOTS)
    pid = venue.start()
    wait_until(lambda: venue.entry.state == RUNNING)
    os.kill(pid, signal.SIGSTOP)
    venue.entry.epoch += 1
    venue.decider.decide(SLOTS)
    os.kill(pid, signal.SIGCONT)
    assert venue.join(pid) == 0
    assert venue.mark.dseq == 0
    assert venue.entry.state == RUNNING  # its successor's business
    assert venue.decider.check() == 0


def test_a_second_one_beside_a_living_one_is_refused(journaling):
    venue = journaling(SLOTS)
    first = venue.start()
    wait_until(lambda: venue.entry.state == RUNNING)
    second = venue.start()
    assert venue.join(second) == EXIT_FAILED
    assert "another process writes" in venue.entry.last_error.get()
    assert venue.join(first) == 0


def test_damage_to_what_was_acknowledged_ends_it_for_good(journaling):
    venue = journaling(100)
    pid = venue.start()
    assert venue.decide_all(pid) is None
    os.kill(pid, signal.SIGKILL)
    venue.join(pid)
    storage = venue.decider.storage()
    storage.write(1, 200, b"rot")
    storage.close()
    assert venue.join(venue.start()) == EXIT_FAILED
    assert venue.mark.state == FAILED
    assert "JournalRotten" in venue.entry.last_error.get()


def test_a_full_disk_closes_the_door_and_room_opens_it_again(journaling, small_disk):
    total = 20 * SLOTS
    venue = journaling(total, small_disk("3m"), reserve_mb=1)
    decider, mark = venue.decider, venue.mark
    pid = venue.start()
    # The first segment is in use and there is no room for the second: the door closes early,
    decider.decide(SLOTS)
    wait_until(lambda: mark.state == FULL)
    wait_until(lambda: mark.dseq == SLOTS)
    # what goes on all the same has the rest of the segment,
    assert decider.decide_until(lambda: decider.decided == total or is_stuck(venue), pid) is None
    used_up = mark.dseq
    assert SLOTS < used_up < total
    assert "reserve_mb" in venue.entry.last_error.get()
    # and then it waits, alive.
    beat = venue.entry.heartbeat.word.value
    wait_until(lambda: venue.entry.heartbeat.word.value > beat + 200_000_000)
    assert mark.dseq == used_up
    small_disk("16m")
    assert venue.decide_all(pid) is None
    wait_until(lambda: mark.state == OPEN)
    assert venue.entry.last_error.get() == ""
    assert decider.check() == total


def is_stuck(venue):
    """Whether the ring is full and the journal does not take anything from it."""
    before = venue.mark.dseq
    if venue.decider.decided - before < SLOTS:
        return False
    time.sleep(0.2)
    return venue.mark.dseq == before
