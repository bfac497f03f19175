"""`okimi bench ring`: rounds in which everybody has a turn, so that all meet the same machine.

A round takes one sample of each contestant in random order. Each sample knows where the cores were
before and after; those of the most common placement count, and how many did not is reported.
"""

import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import numpy as np

from tools.bench.ring.loops import SLOT_BYTES
from tools.bench.ring.ours import ours
from tools.bench.ring.pair import SLOTS, Arena, Contestant, Samples
from tools.bench.ring.peers import find_peers
from tools.bench.ring.placement import MOVED, alu_slowdown, host_facts, placement_of

MESSAGES: Final = 1_000_000
"""Messages of one sample of a compiled loop; slower contestants take a share of them."""

SECONDS: Final = 45.0
ROUNDS_MAX: Final = 20
MESSAGES_MIN: Final = 64

MIXED: Final = "mixed"
"""The placement of a row that holds samples of several."""

T = TypeVar("T")

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Sample(Generic[T]):
    """One measurement, and where the cores were meanwhile."""

    value: T
    lines: tuple[Samples, Samples]
    "Bare round trips right before and right after, in ns."
    placement: str


@dataclass
class Series:
    """All samples of one contestant."""

    contestant: Contestant
    rates: list[Sample[float]] = field(default_factory=list)
    trips: list[Sample[Samples]] = field(default_factory=list)


@dataclass
class Outcome:
    """Everything that was measured."""

    series: list[Series]
    slowdowns: list[float]
    "Of arithmetic while both cores are busy: before the first round and after each."
    rounds: int = 0


def run(
    progress: Progress | None = None, messages: int = MESSAGES, seconds: float = SECONDS
) -> dict[str, Any]:
    """Measure for about `seconds`; the result has the fields of `okimi bench ring --json`.

    Takes one round at least. Raises SampleFailed when a checksum is wrong or a process dies.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        reason = f"two cores are needed, this process may use {len(cores)}: nothing was measured"
        facts = host_facts(tuple(cores))
        return {"raw_line_rtt_p50": None, "results": [], "reason": reason, "host": facts}
    say = progress or (lambda text, share: None)
    say("compiling", 0.0)
    used = (cores[0], cores[-1])
    with tempfile.TemporaryDirectory(prefix="okimi-bench-") as folder:
        peers = find_peers(Path(folder))
        contestants = [*ours(), *peers.contestants]
        arena = Arena(used)
        try:
            arena.warm()
            found = _take_rounds(arena, contestants, messages, seconds, say)
        finally:
            arena.close()
    say("done", 1.0)
    return {
        **_summarise(found),
        "skipped": peers.skipped,
        "compiler": peers.compiler,
        "host": host_facts(used),
        "messages": messages,
        "slots": SLOTS,
        "slot_bytes": SLOT_BYTES,
    }


def _take_rounds(
    arena: Arena, contestants: list[Contestant], messages: int, seconds: float, say: Progress
) -> Outcome:
    """Rounds until the time is up: none is begun that would probably not end in time."""
    began = time.monotonic()
    found = Outcome([Series(contestant) for contestant in contestants], [alu_slowdown(arena)])
    order = list(found.series)
    while True:
        random.shuffle(order)
        taken: list[tuple[list[Any], Any, tuple[Samples, Samples]]] = []
        for series in order:
            contestant = series.contestant
            share = min((time.monotonic() - began) / seconds, 1.0) if seconds > 0 else 0.0
            say(f"round {found.rounds + 1}: {contestant.name}", share)
            count = max(int(messages * contestant.share), MESSAGES_MIN)
            rate = contestant.throughput(arena, count)
            taken.append((series.rates, rate, arena.line_ns()))
            trips = contestant.round_trips(arena, min(contestant.trips, messages))
            taken.append((series.trips, trips, arena.line_ns()))
        found.slowdowns.append(alu_slowdown(arena))
        around = (found.slowdowns[-2], found.slowdowns[-1])
        for target, value, lines in taken:
            target.append(Sample(value, lines, placement_of(around, lines)))
        found.rounds += 1
        spent = time.monotonic() - began
        if found.rounds == ROUNDS_MAX or spent + spent / found.rounds > seconds:
            return found


def _percentile(samples: Samples, percent: float) -> int:
    return int(np.percentile(samples, percent, method="inverted_cdf"))


def _summarise(found: Outcome) -> dict[str, Any]:
    """Medians over the samples that were taken with the most common placement."""
    samples: list[Sample[Any]] = []
    for series in found.series:
        samples += [*series.rates, *series.trips]
    placements = Counter(sample.placement for sample in samples)
    settled = [label for label, _ in placements.most_common() if label != MOVED]
    placement = settled[0] if settled else MOVED
    lines = [line for each in samples if each.placement == placement for line in each.lines]
    medians = [_percentile(line, 50) for line in lines]
    return {
        "raw_line_rtt_p50": _percentile(np.concatenate(lines), 50),
        "raw_line_rtt_p50_min": min(medians),
        "raw_line_rtt_p50_max": max(medians),
        "alu_slowdown": round(float(np.median(found.slowdowns)), 3),
        "placement": placement,
        "placements": dict(placements),
        "rounds": found.rounds,
        "results": [_result(series, placement) for series in found.series],
    }


def _kept(samples: list[Sample[T]], placement: str) -> list[T]:
    return [sample.value for sample in samples if sample.placement == placement]


def _result(series: Series, placement: str) -> dict[str, Any]:
    """One row. A contestant that never met the common placement is marked with its own."""
    contestant = series.contestant
    rates, trips = _kept(series.rates, placement), _kept(series.trips, placement)
    if not rates or not trips:
        placement = MIXED
        rates = [sample.value for sample in series.rates]
        trips = [sample.value for sample in series.trips]
    pooled = np.concatenate(trips)
    medians = [_percentile(samples, 50) for samples in trips]
    return {
        "name": contestant.name,
        "kind": contestant.kind,
        "loop": contestant.loop,
        "batch": contestant.batch,
        "placement": placement,
        "msgs_per_s": round(float(np.median(rates))),
        "msgs_per_s_min": round(min(rates)),
        "msgs_per_s_max": round(max(rates)),
        "rtt_p50": _percentile(pooled, 50),
        "rtt_p50_min": min(medians),
        "rtt_p50_max": max(medians),
        "rtt_p99": _percentile(pooled, 99),
        "rtt_p999": _percentile(pooled, 99.9),
        "samples": [len(rates), len(trips)],
    }
