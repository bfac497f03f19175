"""The engine benchmark: real processes, complete figures, events equal to one thread's."""

import io
import os
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from engine.messages import CommandKind
from ipc.histogram import Histogram, Percentiles, record
from ipc.jit import INTERPRETED, kernel
from tools.bench import engine
from tools.bench.errors import BenchFailed
from tools.bench.noise import LISTEN_NS, noise_of

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(INTERPRETED, reason="measures compiled code"),
]
EFFORT = engine.Effort(warm_up=3_000, closed_loop=3_000, rates=(20_000, 40_000), rate_seconds=0.05)
REPEATS = 2


@pytest.fixture(scope="module", params=["compact", "spread"])
def result(request: pytest.FixtureRequest) -> dict[str, Any]:
    return engine.run(Console(file=io.StringIO()), REPEATS, request.param, EFFORT)


def test_throughput_stands_beside_its_reference(result: dict[str, Any]) -> None:
    for name in ("commands_per_s", "reference_commands_per_s"):
        assert 0 < result[f"{name}_min"] <= result[name] <= result[f"{name}_max"]
    assert result["ratio"] > 0
    assert result["reference"]


def test_rates_rise_until_one_is_not_reached(result: dict[str, Any]) -> None:
    rows = result["rates"]
    assert [row["rate"] for row in rows] == list(EFFORT.rates[: len(rows)])
    reached = [row["achieved"] >= result["achieved_min"] * row["rate"] for row in rows]
    assert all(reached[:-1])
    assert len(rows) == len(EFFORT.rates) or not reached[-1]


def test_each_rate_has_its_figures(result: dict[str, Any]) -> None:
    for row in result["rates"]:
        assert 0 < row["p50"] <= row["p99"] <= row["p999"] <= row["max"]
        for name in ("p50", "p99", "p999", "max"):
            assert row[f"{name}_min"] <= row[name] <= row[f"{name}_max"]
        assert row["stages"].keys() == {"ingest", "risk", "matching"}
        sent = REPEATS * round(row["rate"] * EFFORT.rate_seconds)
        for stage in row["stages"].values():
            assert stage["count"] == sent, "each stage has seen each command of this rate alone"
            assert stage["p50"] <= stage["p99"] <= stage["max"]


def test_it_says_where_and_what_not(result: dict[str, Any]) -> None:
    names = [process["name"] for process in result["processes"]]
    stages = ["engine"] if result["layout"] == "compact" else ["ingest", "risk", "matching"]
    cores = {process["cpu"] for process in result["processes"]}
    if len(cores) < len(names):
        assert not result["realtime"], "one would starve the other"
    assert sorted(names) == sorted(["driver", *stages])
    assert os.getpid() in [process["pid"] for process in result["processes"]]
    assert result["not_included"]
    assert {each["core"] for each in result["noise_floor"]} == cores
    console = Console(file=io.StringIO(), width=140)
    console.print(engine.render(result))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "20.0 k/s" in shown
    assert result["layout"] in shown


def test_nothing_is_left(result: dict[str, Any]) -> None:
    assert not [name for name in os.listdir("/dev/shm") if f"bench-{os.getpid()}" in name]


def test_commands_name_the_ids_that_the_engine_will_assign() -> None:
    commands = engine.make_commands(5_000)
    new = commands["kind"] == CommandKind.NEW
    assert (commands["order_id"][new] == 0).all()
    sent_before = np.cumsum(new)
    named = commands["order_id"][~new]
    assert (named >= 1).all()
    assert (named <= sent_before[~new]).all()
    client_ids = commands["client_order_id"][new]
    assert len(set(client_ids.tolist())) == new.sum()
    assert all(len(client_id) == engine.CLIENT_ID_DIGITS for client_id in client_ids.tolist())


@pytest.mark.parametrize("field", engine.COMPARED)
def test_an_event_that_differs_is_a_failure(field: str) -> None:
    events = np.zeros(3, engine.EVENT)
    other = events.copy()
    other[field][1] = 7
    slots, changed = (each.view(np.uint8).reshape(3, -1) for each in (events, other))
    engine.check_events(slots, slots.copy())
    with pytest.raises(BenchFailed, match=field):
        engine.check_events(changed, slots)


@kernel
def fill(histogram: Histogram, first: int, last: int) -> None:
    """Record first..last."""
    for value in range(first, last + 1):
        record(histogram, value)


def test_a_summary_covers_what_lies_between_two_copies() -> None:
    histogram: Histogram = Histogram.allocate()
    fill(histogram, 5_000, 5_000)
    before = Percentiles(histogram)
    fill(histogram, 1, 100)
    found = engine.summary_between(before, Percentiles(histogram))
    assert found == {"count": 100, "p50": 50, "p99": 99, "p999": 100, "max": 100}
    nothing = engine.summary_between(Percentiles(histogram), Percentiles(histogram))
    assert nothing == {"count": 0, "p50": 0, "p99": 0, "p999": 0, "max": 0}


def test_a_core_is_listened_to() -> None:
    core = max(os.sched_getaffinity(0))
    found = noise_of(core)
    assert found["core"] == core
    assert 0 <= found["lost_share"] <= 1
    assert 0 <= found["worst_ns"] <= LISTEN_NS * 100
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    assert len(os.sched_getaffinity(0)) >= 1
