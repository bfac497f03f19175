"""One pass of a stream of decisions through an empty book, in process or through rings.

A pass says how fast it was and what it did; passes over one stream must have done the same.
"""

import os
import time
from dataclasses import dataclass
from typing import Final

from engine.topology import usable_cores
from ipc import memory
from ipc.record import LINE_PAIR_BYTES, Record
from ipc.segment import populate
from ipc.wait import Word
from tools.bench.errors import BenchFailed
from tools.bench.stand import Stand, feed_and_read, match_until, pump
from tools.bench.undisturbed import take_core, undisturbed

RUN_NS_MAX: Final = 20_000_000_000
"""A pass through rings that takes longer is broken off and reported as failed."""

START_SECONDS_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class Pass:
    """One stream, once through an empty book."""

    msgs_per_s: float
    events: int
    trades: int
    checksum: int
    resting: int
    "Orders in the book at the end."


def in_process(decisions: memory.Region, count: int) -> Pass:
    """The first `count` decisions in this process."""
    stand: Stand = Stand.make()
    pump(stand, decisions.start, 0)
    with undisturbed(usable_cores()[-1]):
        began = time.perf_counter()
        events = pump(stand, decisions.start, count)
        seconds = time.perf_counter() - began
    return finished(stand, count / seconds, events)


class Signals(Record, align=LINE_PAIR_BYTES):
    """What the two processes of a pass tell each other."""

    ready: Word
    stop: Word


def through_rings(decisions: memory.Region, count: int, expected: int, cores: list[int]) -> Pass:
    """All decisions, with matching in a process of its own; reads up to `expected` events."""
    stand: Stand = Stand.make()
    signals = Signals(memory.allocate_shared(Signals.size, "bench.signals").start)
    match_until(stand, signals.stop, 0)
    feed_and_read(stand, decisions.start, 0, 0, 0)
    pid = os.fork()
    if pid == 0:
        try:
            _match(stand, signals, cores[-1])
        finally:
            os._exit(0)
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while signals.ready.value == 0:
            if time.monotonic() > deadline:
                raise BenchFailed("the process that matches did not start")
            time.sleep(0.001)
        with undisturbed(cores[0]):
            began = time.perf_counter()
            events = feed_and_read(stand, decisions.start, count, expected, RUN_NS_MAX)
            seconds = time.perf_counter() - began
    finally:
        signals.stop.value = 1
        os.waitpid(pid, 0)
        memory.forget(memory.find(signals.address, 1))
    return finished(stand, count / seconds, events)


def _match(stand: Stand, signals: Signals, core: int) -> None:
    """The matching process: its memory is in place before it says that it is ready."""
    for part in (stand.state, stand.decisions, stand.events):
        populate(memory.find(part.address, 1))
    take_core(core)
    signals.ready.value = 1
    match_until(stand, signals.stop, RUN_NS_MAX)


def finished(stand: Stand, msgs_per_s: float, events: int) -> Pass:
    """The pass's result; gives the stand's memory back."""
    books = stand.state.books
    done = Pass(msgs_per_s, events, books.match_id, stand.checksum, books.pool.live)
    stand.release()
    return done


EVERYTHING: Final = ("events", "trades", "checksum", "resting")


def must_equal(
    name: str, found: Pass, expected: Pass, compared: tuple[str, ...] = EVERYTHING
) -> None:
    """Raises BenchFailed unless two passes over one stream did the same."""
    for what in compared:
        if getattr(found, what) != getattr(expected, what):
            raise BenchFailed(
                f"{name}: {what} {getattr(found, what)}, but the first pass found "
                f"{getattr(expected, what)}: some events are lost or wrong"
            )
