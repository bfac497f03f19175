"""The disk fails, and the process dies, at chosen system calls: nothing acknowledged is lost."""

import os
import re
import signal

import pytest

from engine.durability.committing import open_committer
from engine.durability.preparing import PREPARED, PREPARED_SIDE, PREPARING
from engine.membership import EXIT_STORAGE
from ipc.counters import FAILED, OPEN
from ipc.jit import INTERPRETED
from tests.durability.deciding import SLOTS, wait_until
from tests.durability.tracing import await_tracer

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(INTERPRETED, reason="processes need compiled code"),
]

BEGUN = 100
TOTAL = 3 * SLOTS
LIVES = 4


@pytest.fixture
def begun(journaling):
    """A venue whose journal has some frames, and the next segment ready.

    So the calls that are counted are those that commit.
    """
    venue = journaling(TOTAL)
    decider = venue.decider
    storage = decider.storage()
    committer = open_committer(decider.venue, decider.plan, storage)
    for _ in range(4):
        decider.decide(BEGUN // 4)
        committer.turn(0)
    wait_until(lambda: all((storage.folder / name).exists() for name in (PREPARED, PREPARED_SIDE)))
    storage.close()
    assert venue.mark.dseq == BEGUN
    return venue


def traced(venue, tracer, injection):
    """Start a journal process in which that is injected; returns its pid."""
    pid = venue.start(await_tracer)
    tracer.inject(pid, injection)
    return pid


def go_on_after_a_restart(venue, journaling):
    """Start the venue again on the same files, and finish."""
    kept = venue.decider.check()
    later = journaling(TOTAL)
    later.mark.term = 2
    later.decider.begin_at(kept)
    pid = later.start()
    assert later.decide_all(pid, SLOTS) is None
    assert later.decider.check() == TOTAL


@pytest.mark.parametrize("call", [1, 2, 3, 6, 20])
def test_a_sync_that_fails_is_the_last_one(begun, journaling, tracer, call):
    pid = traced(begun, tracer, f"fdatasync:error=EIO:when={call}")
    assert begun.decide_all(pid) == EXIT_STORAGE
    assert begun.mark.state == FAILED
    assert "Input/output error" in begun.entry.last_error.get()
    acknowledged = begun.mark.dseq
    assert BEGUN <= acknowledged < TOTAL
    if call <= 2:  # the frame that was there, and the first new one
        assert acknowledged == BEGUN
    begun.decider.decide(SLOTS)
    assert begun.mark.dseq == acknowledged
    go_on_after_a_restart(begun, journaling)


@pytest.mark.parametrize("call", [2, 3])
def test_a_write_that_fails_ends_it_as_well(begun, journaling, tracer, call):
    pid = traced(begun, tracer, f"pwrite64:error=EIO:when={call}")
    assert begun.decide_all(pid) == EXIT_STORAGE
    go_on_after_a_restart(begun, journaling)


def test_a_failure_while_the_next_segment_is_prepared_shows_when_it_is_needed(journaling, tracer):
    venue = journaling(20 * SLOTS)
    # Only the helper makes this call: for side file and segment, of the first one and the second.
    pid = traced(venue, tracer, "fallocate:error=EIO:when=4")
    assert venue.decide_all(pid) == EXIT_STORAGE
    assert "cannot prepare" in venue.entry.last_error.get()
    assert venue.mark.state == FAILED
    venue.decider.check()


@pytest.mark.parametrize(
    ("name", "call"),
    [
        *(("pwrite64", call) for call in (1, 2, 3, 4, 9)),
        *(("fdatasync", call) for call in (1, 2, 5)),
    ],
)
def test_killed_in_a_system_call_it_is_followed_without_a_loss(begun, tracer, name, call):
    decider, lives = begun.decider, 0
    while lives < LIVES and begun.mark.dseq < TOTAL:
        pid = traced(begun, tracer, f"{name}:signal=KILL:when={call}")
        code = begun.decide_all(pid)
        if code is None:
            os.kill(pid, signal.SIGKILL)
            begun.join(pid)
        lives += 1
        decider.check()
    pid = begun.start()
    assert begun.decide_all(pid, SLOTS) is None
    assert decider.check() == TOTAL


def test_writes_that_find_no_room_are_done_again(begun, tracer):
    pid = traced(begun, tracer, "pwrite64:error=ENOSPC:when=4..9")
    assert begun.decide_all(pid) is None
    wait_until(lambda: begun.mark.state == OPEN)
    assert begun.decider.check() == TOTAL


def test_names_are_durable_before_what_they_name(journaling, tracer):
    venue = journaling(50)
    pid = venue.start(await_tracer)
    tracer.watch(pid, "rename,fsync,fdatasync,pwrite64")
    assert venue.decide_all(pid) is None
    os.kill(pid, signal.SIGTERM)
    assert venue.join(pid) == 0
    segment = f"{1:020d}.journal"
    steps = (
        rf"pwrite64\(\d+<.*/{PREPARING}>, .*, 786432\)",  # its last zeros
        rf"f(data)?sync\(\d+<.*/{PREPARING}>",
        rf'rename\(".*/{PREPARING}", ".*/{PREPARED}"',
        r"fsync\(\d+<.*/journal>",
        rf'rename\(".*/{PREPARED}", ".*/{segment}"',
        r"fsync\(\d+<.*/journal>",
        rf"pwrite64\(\d+<.*/{segment}>, .*, 0\)",
        rf"fdatasync\(\d+<.*/{segment}>",
        rf"pwrite64\(\d+<.*/{1:020d}.headers>, .*, 0\)",
        rf"fdatasync\(\d+<.*/{1:020d}.headers>",
    )
    assert_in_order(tracer.calls(), steps)


def assert_in_order(calls, steps):
    """Each step is found behind the one before."""
    rest = iter(calls)
    for step in steps:
        assert any(re.search(step, call) for call in rest), (step, calls)
