"""Doorbells: a sleeper is always woken, and nobody makes a system call for one who is awake."""

import os
import random
import select
from collections.abc import Callable
from typing import Any

import pytest

from ipc.intrinsics import fence, futex_wait, load_acquire, pause
from ipc.jit import INTERPRETED, inlined, kernel
from ipc.record import LINE_PAIR_BYTES, Array, Record, i64, length, shared
from ipc.wait import (
    NO_DESCRIPTOR,
    PARK,
    SPIN,
    YIELD,
    YIELDS_BEFORE_PARK,
    Doorbell,
    Waiting,
    arm,
    choose_strategy,
    ring_bell,
    should_park,
    sleep,
    wake,
)

interpreted = pytest.mark.interpreted
needs_compiler = pytest.mark.skipif(INTERPRETED, reason="the traffic of processes needs it")

LONG_NS = 20_000_000_000
"""Longer than any test: who sleeps this long was not woken."""

RINGERS = 3


@kernel
def arm_bell(bell: Doorbell) -> int:
    return arm(bell)


@kernel
def ring_it(bell: Doorbell) -> None:
    fence()
    ring_bell(bell)


@kernel
def sleep_on(bell: Doorbell, expected: int) -> None:
    sleep(bell, expected)


@kernel
def idle_round(waiting: Waiting) -> int:
    return int(should_park(waiting))


# --- one process -----------------------------------------------------------------------------


@interpreted
def test_ringing_for_one_who_is_awake_does_nothing() -> None:
    bell = Doorbell.allocate()
    ring_it(bell)
    assert (bell.word.value, bell.rung.value, bell.armed) == (0, 0, 0)


@interpreted
def test_ringing_an_armed_bell_changes_the_word_and_disarms() -> None:
    bell = Doorbell.allocate()
    expected = arm_bell(bell)
    assert bell.armed == 1
    ring_it(bell)
    assert (bell.armed, bell.rung.value) == (0, 1)
    assert bell.word.value != expected
    ring_it(bell)
    assert bell.rung.value == 1


@interpreted
def test_who_was_rung_between_arming_and_sleeping_does_not_sleep() -> None:
    bell = Doorbell.allocate()
    expected = arm_bell(bell)
    ring_it(bell)
    sleep_on(bell, expected)  # a word that had not changed would show as a timeout below
    assert bell.armed == 0
    assert bell.word.value == expected + 1


@interpreted
def test_sleep_ends_by_itself_and_disarms() -> None:
    bell = Doorbell.allocate()
    sleep_on(bell, arm_bell(bell))
    assert (bell.armed, bell.rung.value, bell.word.value) == (0, 0, 0)


@interpreted
def test_zeroed_memory_is_a_bell_without_descriptor() -> None:
    assert Doorbell.allocate().descriptor == NO_DESCRIPTOR


@interpreted
def test_a_bell_with_an_eventfd_signals_that() -> None:
    descriptor = os.eventfd(0, os.EFD_NONBLOCK)
    try:
        bell = Doorbell.allocate()
        bell.descriptor = descriptor
        ring_it(bell)
        with pytest.raises(BlockingIOError):
            os.eventfd_read(descriptor)
        arm_bell(bell)
        ring_it(bell)
        ring_it(bell)
        assert os.eventfd_read(descriptor) == 1
        wake(bell)  # whether it is armed or not
        assert os.eventfd_read(descriptor) == 1
        assert bell.rung.value == 2
    finally:
        os.close(descriptor)


@interpreted
@pytest.mark.parametrize(
    ("strategy", "parked_from"), [(SPIN, None), (YIELD, None), (PARK, YIELDS_BEFORE_PARK + 1)]
)
def test_strategies_differ_in_when_they_park(strategy: int, parked_from: int | None) -> None:
    waiting = Waiting.allocate()
    waiting.strategy = strategy
    for _ in range(2):
        rounds = [idle_round(waiting) for _ in range(1, 3 * YIELDS_BEFORE_PARK)]
        assert waiting.idle_rounds == len(rounds)
        first = rounds.index(1) + 1 if 1 in rounds else None
        assert first == parked_from
        assert all(rounds[parked_from:] if parked_from else [not any(rounds)])
        waiting.idle_rounds = 0  # there was work


@interpreted
@pytest.mark.parametrize(
    ("spinners", "cores", "strategy"), [(1, 1, SPIN), (4, 4, SPIN), (4, 3, PARK), (2, 0, PARK)]
)
def test_only_processes_with_a_core_of_their_own_spin(
    spinners: int, cores: int, strategy: int
) -> None:
    assert choose_strategy(spinners, cores) == strategy


# --- real processes --------------------------------------------------------------------------


class Player(Record, align=LINE_PAIR_BYTES):
    """One side of a game of ping-pong; `turn` is written by the other side."""

    bell: Doorbell
    turn: shared
    slept: i64
    "Futex calls that put the process to sleep until it was woken."
    overslept: i64
    "Futex calls that ended by their timeout, or for no reason."


@inlined
def wait_long(bell: Doorbell, expected: int, player: Player) -> None:
    """As `ipc.wait.sleep`, but practically without a timeout, and counted."""
    code = futex_wait(bell.word.address, expected, LONG_NS)
    if code == 0:
        player.slept += 1
    elif bell.word.value == expected:
        player.overslept += 1
    bell.armed = 0


@kernel
def play(mine: Player, theirs: Player, rounds: int, serves: int, delay_max: int, seed: int) -> None:
    """Answer each turn; delays that differ from round to round move the races about."""
    for turn in range(1, rounds + 1):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        if serves:
            theirs.turn = turn
            fence()
            ring_bell(theirs.bell)
        for _ in range((seed >> 16) % delay_max if turn & 1 else 0):
            pause()
        while mine.turn < turn:
            expected = arm(mine.bell)
            if mine.turn < turn:
                wait_long(mine.bell, expected, mine)
            else:
                mine.bell.armed = 0
        if not serves:
            theirs.turn = turn
            fence()
            ring_bell(theirs.bell)


@pytest.mark.system
@needs_compiler
def test_ping_pong_never_oversleeps(shared_block: Callable[[int], int], children: Any) -> None:
    start = shared_block(2 * Player.size)
    left, right = Player(start), Player(start + Player.size)
    play(left, right, 0, 0, 1, 0)
    rounds = 20_000
    seed = random.SystemRandom().randrange(2**31)
    print(f"seed {seed}")
    workers = [
        children.start(lambda: play(left, right, rounds, 1, 40, seed)),
        children.start(lambda: play(right, left, rounds, 0, 40, seed + 1)),
    ]
    assert [children.join(worker) for worker in workers] == [0, 0]
    assert (left.turn, right.turn) == (rounds, rounds)
    assert (left.overslept, right.overslept) == (0, 0)
    assert left.slept + right.slept > rounds // 10, "the players hardly ever slept"
    for player in (left, right):
        assert player.bell.rung.value == player.bell.word.value
        assert player.bell.armed == 0


class Counter(Record, align=LINE_PAIR_BYTES):
    """One line per ringer, so that they do not write to the same word."""

    count: shared


class Desk(Record, align=LINE_PAIR_BYTES):
    """Several ringers, one sleeper."""

    sleeper: Player
    counters: Array[Counter] = length(RINGERS)
    seen: shared


@kernel
def deliver(desk: Desk, index: int, total: int, seed: int) -> None:
    for count in range(1, total + 1):
        desk.counters[index].count = count
        fence()
        ring_bell(desk.sleeper.bell)
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        for _ in range((seed >> 16) % 200):
            pause()
        while desk.seen < RINGERS * (count - 50):
            pause()


@inlined
def delivered(desk: Desk) -> int:
    total = 0
    for index in range(RINGERS):
        total += desk.counters[index].count
    return total


@kernel
def collect(desk: Desk, total: int) -> None:
    while desk.seen < total:
        now = delivered(desk)
        if now > desk.seen:
            desk.seen = now
            continue
        expected = arm(desk.sleeper.bell)
        if delivered(desk) == desk.seen:
            wait_long(desk.sleeper.bell, expected, desk.sleeper)
        else:
            desk.sleeper.bell.armed = 0


@pytest.mark.system
@needs_compiler
def test_many_ringers_never_leave_the_sleeper_asleep(
    shared_block: Callable[[int], int], children: Any
) -> None:
    desk = Desk(shared_block(Desk.size))
    deliver(desk, 0, 0, 0)
    collect(desk, 0)
    each = 3_000
    workers = [
        children.start(lambda index=index: deliver(desk, index, each, 7919 * index))
        for index in range(RINGERS)
    ]
    workers.append(children.start(lambda: collect(desk, RINGERS * each)))
    assert [children.join(worker) for worker in workers] == [0] * (RINGERS + 1)
    assert desk.seen == RINGERS * each
    assert desk.sleeper.overslept == 0
    assert desk.sleeper.slept > 0


@kernel
def deliver_closed(desk: Desk, total: int, seed: int) -> None:
    """Each message comes just when the receiver of the last one goes to sleep, or about then."""
    for count in range(1, total + 1):
        desk.counters[0].count = count
        fence()
        ring_bell(desk.sleeper.bell)
        while desk.seen < count:
            pause()
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        for _ in range((seed >> 16) % 256):
            load_acquire(desk.counters[0].address)  # a nanosecond or so


@pytest.mark.system
@needs_compiler
def test_a_message_at_the_moment_of_falling_asleep_wakes(
    shared_block: Callable[[int], int], children: Any
) -> None:
    # Without the fence between arming and looking once more, this oversleeps within seconds.
    desk = Desk(shared_block(Desk.size))
    deliver_closed(desk, 0, 0)
    collect(desk, 0)
    rounds = 50_000
    seed = random.SystemRandom().randrange(2**31)
    print(f"seed {seed}")
    workers = [
        children.start(lambda: deliver_closed(desk, rounds, seed)),
        children.start(lambda: collect(desk, rounds)),
    ]
    assert [children.join(worker) for worker in workers] == [0, 0]
    assert desk.seen == rounds
    assert desk.sleeper.overslept == 0


@kernel
def serve(mine: Player, theirs: Player, turn: int) -> None:
    theirs.turn = turn
    fence()
    ring_bell(theirs.bell)


@pytest.mark.system
@needs_compiler
def test_an_event_loop_is_woken_by_its_eventfd(
    shared_block: Callable[[int], int], children: Any
) -> None:
    start = shared_block(2 * Player.size)
    left, right = Player(start), Player(start + Player.size)
    play(left, right, 0, 0, 1, 0)
    serve(left, right, 0)
    arm_bell(left.bell)
    left.bell.armed = 0
    rounds = 2_000
    right.bell.descriptor = descriptor = os.eventfd(0, os.EFD_NONBLOCK)

    def answer() -> None:
        """What an event loop does: arm, look again, sleep in poll, look, answer."""
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        done = woken = 0
        while done < rounds:
            arm_bell(right.bell)
            if right.turn == done:
                assert poller.poll(LONG_NS // 1_000_000), "was not woken"
                os.eventfd_read(descriptor)
                woken += 1
            right.bell.armed = 0
            if right.turn > done:
                done = right.turn
                serve(right, left, done)
        assert woken > rounds // 10

    try:
        workers = [
            children.start(answer),
            children.start(lambda: play(left, right, rounds, 1, 8000, 1)),
        ]
        assert [children.join(worker) for worker in workers] == [0, 0]
    finally:
        os.close(descriptor)
    assert (left.turn, right.turn) == (rounds, rounds)
    assert left.overslept == 0
