"""`okimi bench book`: matching alone, in process and through rings, beside other engines.

In process: decisions are copied into a ring, matched, and every event is read, by one process.
Through rings: one process feeds decisions and reads events, another one matches, each on its own
core. In the same rounds the engine's own calls play the decisions without rings, as they are and
with plain orders only, and so does the C++ port of the design; engines from PyPI play as many of
the first messages as they can in a while. The first round of each is not counted.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from engine.topology import usable_cores
from ipc import memory
from tools.bench import direct, kinds, native, peers
from tools.bench.contest import Contest
from tools.bench.errors import BenchFailed
from tools.bench.native import Native, NoNative, must_be_identical
from tools.bench.passes import EVERYTHING, Pass, in_process, must_equal, through_rings
from tools.bench.ring.placement import host_facts
from tools.bench.series import Series
from tools.bench.tables import book_table
from tools.bench.undisturbed import permitted
from tools.bench.workloads import MIXED, SCENARIOS, SYMBOLS100, make_stream, read_stream
from tools.run import progress_bar

PEER_SCENARIO: Final = "normal"
"""What peers are measured on: one book, moderate depth, the mix of the challenge."""

PEER_SECONDS: Final = 0.5
"""A pass of a peer takes the messages that it executes in about this time."""

render: Final = book_table

NOT_INCLUDED: Final = (
    "ingest, risk, journal and gateways: matching only",
    "making the messages: they lie in memory",
    "waiting: both processes spin",
)

STATE: Final = ("trades", "resting")
"""What a pass that does not read its events is compared by."""

LAPS: Final = ("in_process", "ring", "plain", "direct", "native")
"""Everything that may take part in a round."""

Make = Callable[[], Any]
Play = Callable[[memory.Region, int, int], Pass]
"""Plays so many decisions on an empty book; they make so many events."""


def streams(data: Path | None, messages_max: int | None) -> list[tuple[str, Make]]:
    """The scenarios by name: the challenge's files in `data`, or generated ones."""
    if data is None:
        return [(each.name, _maker(each, messages_max)) for each in SCENARIOS]
    files = sorted(data.glob("*.cols.xz"))
    if not files:
        raise BenchFailed(f"{data} holds no *.cols.xz files")
    return [(_scenario_of(path), _reader(path, messages_max)) for path in files]


def _scenario_of(path: Path) -> str:
    return path.name.partition(".")[0].rpartition("_")[0]


def _reader(path: Path, messages_max: int | None) -> Make:
    return lambda: read_stream(path)[:messages_max]


def _maker(scenario: Any, messages_max: int | None) -> Make:
    messages = min(scenario.messages, messages_max or scenario.messages)
    return lambda: make_stream(replace(scenario, messages=messages))


# --- all rounds of a stream ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lap:
    """What takes part in each round of a stream."""

    name: str
    "Its figures are called this with _msgs_per_s."
    play: Play
    compared: tuple[str, ...] = EVERYTHING
    "What must be as in the first pass in process."
    verify: Callable[[memory.Region, int], object] | None = None
    "Looks closer, once and before anything is timed."


def laps_of(cores: list[int], port: Native | None) -> list[Lap]:
    """All that can run here, the pass in process first."""
    laps = [Lap("in_process", _in_process)]
    if len(cores) > 1:
        laps.append(Lap("ring", _through(cores)))
    for name, loop in direct.LOOPS.items():
        laps.append(Lap(name, _direct(loop), STATE, direct.must_agree if name == "plain" else None))
    if port is not None:
        laps.append(Lap("native", _native(port), STATE, partial(must_be_identical, port)))
    return laps


def _in_process(decisions: memory.Region, count: int, events: int) -> Pass:
    return in_process(decisions, count)


def _through(cores: list[int]) -> Play:
    return lambda decisions, count, events: through_rings(decisions, count, events, cores)


def _direct(loop: direct.Loop) -> Play:
    return lambda decisions, count, events: direct.run(loop, decisions, count)


def _native(port: Native) -> Play:
    return lambda decisions, count, events: port.play(decisions, count)


def measure_stream(
    name: str,
    stream: Any,
    repeats: int,
    laps: list[Lap],
    each_round: Callable[[memory.Region, bool], None] | None = None,
) -> dict[str, Any]:
    """Rounds of all laps over one stream; the first one warms up.

    `each_round(decisions, counts)` is called once in every round.
    """
    decisions = memory.allocate(stream.nbytes, "bench.decisions")
    decisions.view[:] = stream.tobytes()
    for lap in laps:
        if lap.verify is not None:
            lap.verify(decisions, len(stream))
    series = {lap: Series() for lap in LAPS}
    first: Pass | None = None
    for number in range(repeats + 1):
        for lap in laps:
            done = lap.play(decisions, len(stream), first.events if first else 0)
            first = first or done
            must_equal(f"{name}, {lap.name}", done, first, lap.compared)
            if number:
                series[lap.name].rates.append(done.msgs_per_s)
        if each_round is not None:
            each_round(decisions, number > 0)
    memory.forget(decisions)
    assert first is not None
    found: dict[str, Any] = {}
    for lap_name, rates in series.items():
        found |= rates.report(f"{lap_name}_msgs_per_s")
    return found | {
        "native_ratio": series["in_process"].over(series["native"]),
        "direct_native_ratio": series["direct"].over(series["native"]),
        "plain_cost": series["plain"].over(series["direct"]),
        "messages": len(stream),
        "events": first.events,
        "trades": first.trades,
        "checksum": first.checksum,
    }


def measure_with_peers(
    name: str, stream: Any, repeats: int, laps: list[Lap], peer_seconds: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same with a pass of each peer in every round; returns both results."""
    messages = peers.messages_of(stream)
    found, absent = peers.available()
    contests = [Contest(peer, peers.count_within(peer, messages, peer_seconds)) for peer in found]

    def each_round(decisions: memory.Region, counts: bool) -> None:
        for contest in contests:
            contest.run(decisions, messages, counts)

    ours = measure_stream(name, stream, repeats, laps, each_round)
    reports = {contest.peer.name: contest.report() for contest in contests}
    return ours, {
        "peers": {name: report["msgs_per_s"] for name, report in reports.items()},
        "peer_details": reports,
        "peers_absent": absent,
        "peer_scenario": name,
    }


def compile_port(folder: Path) -> tuple[Native | None, dict[str, Any]]:
    """The C++ port, or none, and what to report of it."""
    facts: dict[str, Any] = {"compiler": None, "absent": None, "about": native.ABOUT}
    try:
        port = native.build(folder)
    except NoNative as error:
        return None, facts | {"absent": str(error)}
    return port, facts | {"compiler": port.compiler}


def measure_all(
    console: Console,
    repeats: int,
    made: list[tuple[str, Make]],
    laps: list[Lap],
    messages_max: int | None,
    peer_seconds: float,
) -> dict[str, Any]:
    """All streams, one after the other."""
    names = [name for name, _ in made]
    peer_scenario = PEER_SCENARIO if PEER_SCENARIO in names else names[0]
    scenarios: dict[str, dict[str, Any]] = {}
    against: dict[str, Any] = {}
    progress = progress_bar(console)
    progress.live.auto_refresh = False  # no thread, because passes fork
    with progress:
        task = progress.add_task("books", total=len(made) + 2)
        for name, make in made:
            progress.update(task, description=f"books: {name}", refresh=True)
            if name == peer_scenario:
                scenarios[name], against = measure_with_peers(
                    name, make(), repeats, laps, peer_seconds
                )
            else:
                scenarios[name] = measure_stream(name, make(), repeats, laps)
            progress.advance(task)
        progress.update(task, description="books: 100 symbols", refresh=True)
        alone = [lap for lap in laps if lap.name in ("in_process", "native")]
        many = measure_stream("symbols100", _maker(SYMBOLS100, messages_max)(), repeats, alone)
        progress.advance(task)
        progress.update(task, description="books: each kind of command", refresh=True)
        costs = kinds.measure(MIXED.name, _maker(MIXED, messages_max)(), repeats)
        progress.advance(task)
    return {"scenarios": scenarios, "symbols100": many, "commands": costs, **against}


def run(
    console: Console,
    repeats: int,
    data: Path | None = None,
    messages_max: int | None = None,
    peer_seconds: float = PEER_SECONDS,
) -> dict[str, Any]:
    """Measure everything; the result has the fields of `okimi bench book --json`."""
    cores = usable_cores()
    made = streams(data, messages_max)
    with tempfile.TemporaryDirectory(prefix="okimi-bench-") as folder:
        port, about_port = compile_port(Path(folder))
        laps = laps_of(cores, port)
        result = measure_all(console, repeats, made, laps, messages_max, peer_seconds)
    rows = sorted(result["scenarios"].items(), key=lambda item: item[1]["in_process_msgs_per_s"])
    return result | {
        "scenarios": dict(rows),
        "worst_in_process_msgs_per_s": rows[0][1]["in_process_msgs_per_s"],
        "worst_ring_msgs_per_s": _worst(rows, "ring_msgs_per_s", min),
        "symbols100_cmds_per_s": result["symbols100"]["in_process_msgs_per_s"],
        "worst_native_ratio": _worst(rows, "native_ratio", min),
        "worst_plain_cost": _worst(rows, "plain_cost", max),
        "native": about_port,
        "workload": "generated" if data is None else "challenge files",
        "repeats": repeats,
        "realtime": permitted(cores[-1]),
        "reason": None if len(cores) > 1 else "through rings needs two cores, one can be used",
        "not_included": list(NOT_INCLUDED),
        "host": host_facts(tuple(dict.fromkeys((cores[0], cores[-1])))),
    }


def _worst(
    rows: list[tuple[str, dict[str, Any]]], name: str, choose: Callable[[list[Any]], Any]
) -> Any:
    """The worst figure of all scenarios; None where it was not measured."""
    found = [row[name] for _, row in rows]
    return None if None in found else choose(found)
