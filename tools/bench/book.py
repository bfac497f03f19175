"""`okimi bench book`: matching alone, in process and through rings, beside other engines.

In process: decisions are copied into a ring, matched, and every event is read, by one process.
Through rings: one process feeds decisions and reads events, another one matches, each on its own
core. Not included: ingest, risk, journal, gateways. Rounds of ours and of the reference alternate.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from ipc import memory
from ipc.wait import Word
from tools.bench.stand import Stand, feed_and_read, match_until, pump
from tools.bench.workloads import SCENARIOS, make_stream, read_stream

RUN_NS_MAX: Final = 60_000_000_000
"""A run that takes longer is broken off and reported as failed."""


class BenchFailed(Exception):
    """A run that did not deliver what it must; its figures would mean nothing."""


def streams(data: Path | None) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The scenarios: the challenge's files in `data`, or generated ones."""
    if data is None:
        for scenario in SCENARIOS:
            yield scenario.name, lambda chosen=scenario: make_stream(chosen)  # type: ignore[misc]
        return
    files = sorted(data.glob("*.cols.xz"))
    if not files:
        raise BenchFailed(f"{data} holds no *.cols.xz files")
    for path in files:
        yield path.name.rpartition("_s")[0], lambda chosen=path: read_stream(chosen)  # type: ignore[misc]


def in_process(decisions: memory.Region, count: int) -> tuple[float, int, int]:
    """One pass on an empty book: messages per second, events, checksum."""
    stand: Stand = Stand.make()
    pump(stand, decisions.start, 0)
    began = time.perf_counter()
    events = pump(stand, decisions.start, count)
    seconds = time.perf_counter() - began
    return count / seconds, events, stand.checksum


def through_rings(
    decisions: memory.Region, count: int, expected: int, cores: list[int]
) -> tuple[float, int]:
    """One pass with matching in a process of its own: messages per second, checksum."""
    stand: Stand = Stand.make()
    stop = Word(memory.allocate_shared(64, "bench.stop").start)
    match_until(stand, stop, 0)
    feed_and_read(stand, decisions.start, 0, 0, 0)
    pid = os.fork()
    if pid == 0:
        try:
            os.sched_setaffinity(0, {cores[-1]})
            match_until(stand, stop, RUN_NS_MAX)
        finally:
            os._exit(0)
    mine = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {cores[0]})
        began = time.perf_counter()
        events = feed_and_read(stand, decisions.start, count, expected, RUN_NS_MAX)
        seconds = time.perf_counter() - began
    finally:
        os.sched_setaffinity(0, mine)
        stop.value = 1
        os.waitpid(pid, 0)
    if events != expected:
        raise BenchFailed(f"{events} events came through the rings, {expected} in process")
    return count / seconds, stand.checksum
