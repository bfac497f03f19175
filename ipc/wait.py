"""How a process waits for work, and how another one wakes it.

Each process owns one doorbell in shared memory. It arms the bell, looks at its rings once more,
and only then sleeps; whoever publishes for it rings the bell if it is armed. A process that
sleeps in an event loop gives the bell an eventfd instead of the futex word.
Which strategy is used is decided by the layout: `SPIN` where each process has a core of its own,
`PARK` where processes share cores (pure spinning there costs a scheduler tick, 8 ms, a hop).
"""

from typing import Final

from ipc.intrinsics import (
    fence,
    fetch_add,
    futex_wait,
    futex_wake,
    pause,
    signal_eventfd,
    yield_cpu,
)
from ipc.jit import inlined, kernel
from ipc.record import LINE_PAIR_BYTES, Record, i64, shared

SPIN: Final = 0
YIELD: Final = 1
PARK: Final = 2

YIELDS_BEFORE_PARK: Final = 20
"""Measured: about 20 yields, then the futex, gives the shortest hops with shared cores."""

PARK_TIMEOUT_NS: Final = 20_000_000
"""An upper bound on sleep: stop words and heartbeats are looked at this often."""

NO_DESCRIPTOR: Final = 0
"""What zeroed memory says; no process of ours has an eventfd in the place of standard input."""


class Word(Record):
    """An int64 of its own, so that its address can be taken."""

    value: shared


class Doorbell(Record, align=LINE_PAIR_BYTES):
    """Written by its owner (armed, descriptor) and by whoever wakes it (word, armed, rung)."""

    word: Word
    "Futex word: changes whenever a sleeper is woken."
    rung: Word
    "How often a sleeper was woken."
    armed: shared
    "1 while the owner sleeps or is about to."
    descriptor: i64
    "An eventfd to signal instead of the futex, or NO_DESCRIPTOR."


@kernel
def wake(bell: Doorbell) -> None:
    """Wake the owner whether it sleeps or not (one system call)."""
    bell.armed = 0
    fetch_add(bell.rung.address, 1)
    fetch_add(bell.word.address, 1)
    if bell.descriptor > NO_DESCRIPTOR:
        signal_eventfd(bell.descriptor)
    else:
        futex_wake(bell.word.address, 1)


@inlined
def ring_bell(bell: Doorbell) -> None:
    """Wake the owner if it sleeps. Call once per batch, after `fence`."""
    if bell.armed != 0:
        wake(bell)


class Waiting(Record):
    """How one process waits; lives in its own memory."""

    strategy: i64
    "SPIN, YIELD or PARK."
    idle_rounds: i64
    "Rounds without work since the last one that had some."


@inlined
def arm(bell: Doorbell) -> int:
    """Ask to be woken; returns the word to sleep on. Look for work once more before sleeping."""
    expected = bell.word.value
    bell.armed = 1
    fence()
    return expected


@inlined
def sleep(bell: Doorbell, expected: int) -> None:
    """Sleep until the bell rings or PARK_TIMEOUT_NS has passed, then disarm."""
    futex_wait(bell.word.address, expected, PARK_TIMEOUT_NS)
    bell.armed = 0


@inlined
def should_park(waiting: Waiting) -> bool:
    """One idle round: spin or yield as the strategy says; true when it is time to sleep."""
    waiting.idle_rounds += 1
    if waiting.strategy == SPIN:
        pause()
        return False
    if waiting.strategy == YIELD or waiting.idle_rounds <= YIELDS_BEFORE_PARK:
        yield_cpu()
        return False
    return True


def choose_strategy(spinners: int, free_cores: int) -> int:
    """SPIN when every spinning process can have a core of its own, else PARK."""
    return SPIN if spinners <= free_cores else PARK
