"""The targets that this benchmark run can judge, and how far each one is.

A target is judged from the run's own figures; where it names something that is not in the run, the
row says so instead.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tools.figures import count, duration

MET = "met"
COMPARED = "no number was set"


@dataclass(frozen=True)
class Target:
    """One row: in words, with the verdict."""

    what: str
    wanted: str
    reached: str
    verdict: str


def at_least(what: str, wanted: float, found: float | None, show: Callable[[float], str]) -> Target:
    """A target where more is better."""
    return _judge(what, f">= {show(wanted)}", wanted, found, show)


def at_most(what: str, wanted: float, found: float | None, show: Callable[[float], str]) -> Target:
    """A target where less is better."""
    return _judge(what, f"<= {show(wanted)}", found, wanted, show)


def _judge(
    what: str, text: str, lesser: float | None, greater: float | None, show: Callable[[float], str]
) -> Target:
    found = greater if text[0] == ">" else lesser
    if lesser is None or greater is None or found is None:
        return Target(what, text, "-", "not measured")
    return Target(what, text, show(found), MET if greater >= lesser else missed(lesser / greater))


def compared(what: str, found: float | None) -> Target:
    """A ratio that is wanted for what it says, without a number to reach."""
    return Target(what, "-", "-" if found is None else times(found), COMPARED)


def missed(factor: float) -> str:
    """By how much."""
    return f"missed by {factor - 1:.1%}" if factor < 2 else f"missed by a factor of {factor:.1f}"


def rate(value: float) -> str:
    """Per second."""
    return f"{count(value)}/s"


def times(value: float) -> str:
    """A ratio."""
    return f"{value:.2f} x"


def nanoseconds(value: float) -> str:
    """A duration."""
    return duration(round(value))


def seconds(value: float) -> str:
    """A long duration."""
    return f"{value:.1f} s"


def tenths(value: float) -> str:
    """A short duration."""
    return f"{value:.1f} ns"


def targets(results: dict[str, dict[str, Any]]) -> list[Target]:
    """All rows."""
    return [
        *ring_targets(results["ring"]),
        *book_targets(results.get("challenge") or results["book"]),
        *risk_targets(results["risk"]),
        *engine_targets(results["engine"]),
        *durability_targets(results["durability"]),
    ]


def _best(rows: list[dict[str, Any]], name: str, **wanted: object) -> float | None:
    """The best figure of the rows that have these values."""
    found = [row[name] for row in rows if all(row[key] == value for key, value in wanted.items())]
    if not found:
        return None
    return float(min(found) if name.startswith("rtt") else max(found))


def _over(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def ring_targets(result: dict[str, Any]) -> Iterator[Target]:
    """Rings: against the bare line, a C ring and pyzmq of the same run."""
    rows = result["results"]
    trip = _best(rows, "rtt_p50", kind="ours", loop="Numba", batch=1)
    yield at_most(
        "ring round trip, of the bare cache line's",
        1.2,
        _over(trip, result["raw_line_rtt_p50"]),
        times,
    )
    for batch, least in ((1, 1.0), (32, 1.0)):
        ours = _best(rows, "msgs_per_s", kind="ours", loop="Numba", batch=batch)
        theirs = _best(rows, "msgs_per_s", kind="peer", loop="C", batch=batch)
        what = f"ring throughput in batches of {batch}, of a C ring's"
        yield at_least(what, least, _over(ours, theirs), times)
    ours = _best(rows, "msgs_per_s", kind="ours", loop="Python", batch=64)
    zmq = [row for row in rows if "zmq" in row["name"]]
    theirs = _best(zmq, "msgs_per_s")
    yield at_least(
        "Python to Python, batched, of pyzmq's over ipc", 8.0, _over(ours, theirs), times
    )
    yield Target("ring beside rigtorp's C++ queue", "2 x batched", "-", "not in this run")


def book_targets(result: dict[str, Any]) -> Iterator[Target]:
    """Matching alone."""
    worst = result["worst_in_process_msgs_per_s"]
    workload = result["workload"]
    yield at_least(f"matching in process, worst of five ({workload})", 20e6, worst, rate)
    found = result["worst_ring_msgs_per_s"]
    yield at_least(f"matching through rings, worst of five ({workload})", 10e6, found, rate)
    found = result["symbols100_cmds_per_s"]
    yield at_least("100 symbols, 300k resting orders, in process", 15e6, found, rate)
    yield at_most(
        "plain orders with all order types compiled in, of the plain path's time, worst of five",
        1.15,
        result["worst_plain_cost"],
        times,
    )
    fastest = max((row["msgs_per_s"] for row in result["peer_details"].values()), default=None)
    beside = "matching in process, worst of five, beside"
    yield compared(f"{beside} the fastest of {', '.join(result['peers'])}", _over(worst, fastest))
    yield compared(f"{beside} its own design in C++ without rings", result["worst_native_ratio"])
    yield Target("matching beside CppTrader", "1.5 x", "-", "not in this run: not on PyPI")


def risk_targets(result: dict[str, Any]) -> Iterator[Target]:
    """The risk stage alone, and what its checks cost the engine."""
    yield at_most(
        f"a new order's check, all checks on, 100 symbols, {result['accounts']} accounts, backlog",
        25,
        result.get("check_ns_100_symbols"),
        tenths,
    )
    yield at_most(
        "the engine's time with all checks on, of that with none",
        1.3,
        result["engine_on_off_ratio"],
        times,
    )


def engine_targets(result: dict[str, Any]) -> Iterator[Target]:
    """Ingest, risk and matching."""
    at_million = [row for row in result["rates"] if row["rate"] == 1_000_000]
    row = at_million[0] if at_million else {}
    place = "engine at 1 M/s open loop"
    if result["layout"] == "compact":
        place += " (meant for a core per stage, here they share one)"
    yield at_most(f"{place}: p50", 1_000, row.get("p50"), nanoseconds)
    for name, text, most in (("p50", "p50", 500), ("p99", "p99", 4_000), ("p999", "p99.9", 22_000)):
        what = f"the same, {text} that exchange-core publishes (risk and matching in one process)"
        yield at_most(what, most, row.get(name), nanoseconds)


def durability_targets(result: dict[str, Any]) -> Iterator[Target]:
    """What it costs to lose nothing, and to be back."""
    yield at_least("journal done again, books and events", 10e6, result["replay_cmds_per_s"], rate)
    place = f"durable answer at {count(result['ack_rate'])}/s, p50, of the bare sync's"
    yield compared(place, _over(result["ack_p50_us"], result["fsync_p50_us"]))
    # 2 s, and 0.2 s for each million commands behind the newest snapshot.
    for millions, found in ((1, result["ready_seconds_1m"]), (10, result["ready_seconds_10m"])):
        what = f"ready after a failure of the machine, {millions} M commands to do again"
        yield at_most(what, 2 + 0.2 * millions, found, seconds)
