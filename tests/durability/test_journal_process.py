"""The journal as a process: it acknowledges, dies, is followed, meets a full disk, and ends."""

import os
import random
import signal
import time

import pytest

from engine.membership import EXIT_FENCED, EXIT_HOPELESS, EXIT_STORAGE
from ipc.counters import FAILED, FULL, OPEN, RUNNING, STARTING, STOPPED, begin_life
from ipc.jit import INTERPRETED
from tests.durability.deciding import SLOTS, wait_until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(INTERPRETED, reason="processes need compiled code"),
]


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
        enough = min(venue.mark.dseq + chance.randrange(1, 2 * SLOTS), total)

        def is_time(enough=enough):
            return venue.mark.dseq >= enough

        assert venue.decider.decide_until(is_time, pid, chance.randrange(1, 60)) is None
        time.sleep(chance.random() * 0.002)  # any moment: it goes on with what it has
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
    begin_life(venue.entry)
    venue.decider.decide(SLOTS)
    os.kill(pid, signal.SIGCONT)
    assert venue.join(pid) == EXIT_FENCED
    assert venue.mark.dseq == 0
    assert (venue.entry.state, venue.entry.heartbeat.word.value) == (STARTING, 0)
    assert venue.decider.check() == 0


def test_a_second_one_beside_a_living_one_is_refused(journaling):
    venue = journaling(SLOTS)
    first = venue.start()
    wait_until(lambda: venue.entry.state == RUNNING)
    os.kill(first, signal.SIGSTOP)
    second = venue.start()
    assert venue.join(second) == EXIT_STORAGE
    assert "another process writes" in venue.entry.last_error.get()
    os.kill(first, signal.SIGCONT)
    assert venue.join(first) == EXIT_FENCED
    assert "another process writes" in venue.entry.last_error.get()


def test_damage_to_what_was_acknowledged_ends_it_for_good(journaling):
    venue = journaling(100)
    pid = venue.start()
    assert venue.decide_all(pid) is None
    os.kill(pid, signal.SIGKILL)
    venue.join(pid)
    storage = venue.decider.storage()
    storage.write(1, 200, b"rot")
    storage.close()
    assert venue.join(venue.start()) == EXIT_HOPELESS
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
