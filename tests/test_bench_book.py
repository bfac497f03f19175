"""The book benchmark: complete, and every pass checked against another. No figure is judged."""

import io
import lzma
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from engine.lookahead import LIVE_ORDERS_MIN
from engine.messages import CommandKind, Decision, Event, EventFlag, EventKind
from ipc import memory
from ipc.jit import INTERPRETED
from tools.bench import book, kinds, peers
from tools.bench.contest import Contest
from tools.bench.errors import BenchFailed
from tools.bench.passes import Pass, finished, must_equal
from tools.bench.plain_book import PlainBook
from tools.bench.stand import Stand, pump
from tools.bench.workloads import SCENARIOS, SYMBOLS100, Scenario, make_stream
from tools.cli import main

pytestmark = [
    pytest.mark.system,
    pytest.mark.usefixtures("lazy_pages"),
    pytest.mark.skipif(INTERPRETED, reason="measures compiled code"),
]
TWO_CORES = len(os.sched_getaffinity(0)) > 1
MESSAGES = 3_000
TAKEN = SCENARIOS[1:3]


def quiet() -> Console:
    return Console(file=io.StringIO(), width=120)


def figures(row: dict[str, Any], name: str) -> None:
    assert 0 < row[f"{name}_min"] <= row[name] <= row[f"{name}_max"]


def region_of(stream: Any) -> memory.Region:
    region = memory.allocate(stream.nbytes, "test.decisions")
    region.view[:] = stream.tobytes()
    return region


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    """Of two scenarios: each pass has half a gigabyte put in place, which takes its time."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(book, "SCENARIOS", TAKEN)
        return book.run(quiet(), 1, messages_max=MESSAGES, peer_seconds=0.001)


def test_every_scenario_has_its_figures_worst_first(result: dict[str, Any]) -> None:
    rows = result["scenarios"]
    assert set(rows) == {scenario.name for scenario in TAKEN}
    rates = [row["in_process_msgs_per_s"] for row in rows.values()]
    assert rates == sorted(rates)
    assert result["worst_in_process_msgs_per_s"] == rates[0]
    for row in (*rows.values(), result["symbols100"]):
        figures(row, "in_process_msgs_per_s")
        assert row["messages"] == MESSAGES
        assert row["events"] >= MESSAGES
        assert row["checksum"] != 0
    assert result["symbols100_cmds_per_s"] == result["symbols100"]["in_process_msgs_per_s"]
    assert result["workload"] == "generated"
    assert result["host"]["cpu"]
    assert result["not_included"]


@pytest.mark.skipif(not TWO_CORES, reason="the two processes need a core each")
def test_rings_are_measured_too(result: dict[str, Any]) -> None:
    for row in result["scenarios"].values():
        figures(row, "ring_msgs_per_s")
    rates = [row["ring_msgs_per_s"] for row in result["scenarios"].values()]
    assert result["worst_ring_msgs_per_s"] == min(rates)
    assert result["reason"] is None


def test_one_core_is_said_to_be_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "usable_cores", lambda: [min(os.sched_getaffinity(0))])
    monkeypatch.setattr(book, "SCENARIOS", SCENARIOS[:1])
    found = book.run(quiet(), 1, messages_max=1_000, peer_seconds=0.001)
    assert found["worst_ring_msgs_per_s"] is None
    assert "two cores" in found["reason"]
    console = quiet()
    console.print(book.render(found))
    assert "two cores" in console.file.getvalue()  # type: ignore[attr-defined]


def test_peers_made_the_same_trades(result: dict[str, Any]) -> None:
    assert "plain_python" in result["peers"]
    assert result["peers"].keys() | result["peers_absent"].keys() == {
        "plain_python",
        "liquibook",
        "lightmatchingengine",
        "limit-order-book",
    }
    for name, row in result["peer_details"].items():
        figures(row, "msgs_per_s")
        figures(row, "ours_msgs_per_s")
        assert row["agrees"], name
        assert row["compared"]
        assert row["trades"] > 0
        assert result["peers"][name] == row["msgs_per_s"]


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_PACKAGES", {"nobody": ("no_such_module", "", PlainBook)})
    found, absent = peers.available()
    assert [peer.name for peer in found] == ["plain_python"]
    assert "not installed" in absent["nobody"]


def test_a_peer_that_shows_nothing_agrees_with_nobody() -> None:
    class Silent(PlainBook):
        def trade_count(self) -> None:
            return None

        def resting_count(self) -> None:
            return None

    stream = make_stream(replace(SCENARIOS[1], messages=1_000))
    decisions = region_of(stream)
    contest = Contest(peers.Peer("silent", "", Silent), 1_000)
    contest.run(decisions, peers.messages_of(stream), counts=True)
    memory.forget(decisions)
    assert not contest.agrees


def test_the_design_in_cpp_is_measured_or_its_absence_explained(result: dict[str, Any]) -> None:
    port = result["native"]
    for row in (*result["scenarios"].values(), result["symbols100"]):
        if port["absent"]:
            assert row["native_msgs_per_s"] is None
            assert row["native_ratio"] is None
        else:
            figures(row, "native_msgs_per_s")
            assert row["native_ratio"] > 0
    assert (result["worst_native_ratio"] is None) == bool(port["absent"])
    assert bool(port["absent"]) != bool(port["compiler"])


def test_the_calls_alone_are_measured(result: dict[str, Any]) -> None:
    for row in result["scenarios"].values():
        figures(row, "direct_msgs_per_s")


def test_each_command_is_timed_and_counted_once(result: dict[str, Any]) -> None:
    commands = result["commands"]
    assert set(commands["kinds"]) >= {"add that rests", "aggressive", "cancel", "amend"}
    assert sum(row["count"] for row in commands["kinds"].values()) == MESSAGES * result["repeats"]
    for row in commands["kinds"].values():
        assert 0 < row["p50"] <= row["p99"] <= row["p999"] <= row["max"]
    assert commands["clock_ns"] >= 0
    assert commands["clock_step_ns"] > 0


def test_commands_are_told_apart_by_their_events() -> None:
    decision, event = Decision.allocate(), Event.allocate()
    for kind, answer, flags, expected in (
        (CommandKind.NEW, EventKind.ACCEPTED, EventFlag.LAST, kinds.RESTS),
        (CommandKind.NEW, EventKind.ACCEPTED, 0, kinds.AGGRESSIVE),
        (CommandKind.NEW, EventKind.REJECTED, EventFlag.LAST, kinds.REFUSED),
        (CommandKind.CANCEL, EventKind.CANCELED, EventFlag.LAST, kinds.CANCEL),
        (CommandKind.CANCEL, EventKind.CANCEL_REJECTED, EventFlag.LAST, kinds.REFUSED),
        (CommandKind.AMEND, EventKind.REPLACED, 0, kinds.AMEND),
        (CommandKind.AMEND, EventKind.CANCELED, EventFlag.LAST, kinds.AMEND),
        (CommandKind.AMEND, EventKind.REPLACE_REJECTED, EventFlag.LAST, kinds.REFUSED),
    ):
        decision.kind, event.kind, event.flags = kind, answer, flags
        assert kinds.kind_of(decision, event) == expected


def test_the_table_shows_all(result: dict[str, Any]) -> None:
    console = quiet()
    console.print(book.render(result))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for name in (
        *result["scenarios"],
        *result["peers"],
        *result["commands"]["kinds"],
        "100 symbols",
        "C++: ",
    ):
        assert name in shown


def test_a_peer_that_trades_otherwise_is_noticed() -> None:
    class Forgetful(PlainBook):
        def trade_count(self) -> int:
            return len(self.trades) - 1

        def resting_count(self) -> int:
            return len(self.orders)

    stream = make_stream(replace(SCENARIOS[1], messages=MESSAGES))
    decisions = region_of(stream)
    contest = Contest(peers.Peer("forgetful", "", Forgetful), MESSAGES)
    contest.run(decisions, peers.messages_of(stream), counts=True)
    memory.forget(decisions)
    assert not contest.agrees


def test_passes_that_differ_are_a_failure() -> None:
    one = Pass(1.0, events=10, trades=2, checksum=5, resting=9)
    must_equal("x", replace(one, msgs_per_s=2.0), one)
    for field in ("events", "trades", "checksum", "resting"):
        with pytest.raises(BenchFailed, match=field):
            must_equal("x", replace(one, **{field: 1}), one)


def test_peers_cancel_and_replace_as_we_do(tmp_path: Path) -> None:
    """The challenge's files have what generated streams lack: modifies, also of dead orders."""
    random = np.random.default_rng(5)
    count = 4_000
    kind = random.choice(3, count, p=(0.5, 0.3, 0.2)).astype(np.uint8)
    ids = np.arange(count, dtype="<u4")
    change = kind != 0
    ids[change] = np.maximum(ids[change], 40) - random.integers(1, 40, change.sum())
    flags = kind | (ids & 1).astype(np.uint8) << 2  # a modify names its order's side
    flags |= (random.random(count) < 0.1).astype(np.uint8) << 3
    planes = [
        flags,
        random.integers(1, 50, count, np.uint8),
        ids.view(np.uint8).reshape(count, 4).T,
        random.integers(990, 1010, count).astype("<i4").view(np.uint8).reshape(count, 4).T,
    ]
    raw = b"".join(plane.tobytes() for plane in planes)
    (tmp_path / "normal_s1.cols.xz").write_bytes(lzma.compress(raw))
    found = book.run(quiet(), 1, tmp_path, messages_max=count, peer_seconds=1.0)
    assert found["workload"] == "challenge files"
    assert list(found["scenarios"]) == ["normal"]
    assert found["scenarios"]["normal"]["trades"] > 100
    for name, row in found["peer_details"].items():
        assert row["messages"] == count
        assert row["agrees"], name


def test_a_folder_without_workloads_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["bench", "book", "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert "no *.cols.xz files" in done.output


def test_looking_ahead_changes_nothing() -> None:
    """Batches of one decision never look ahead; large ones do once enough orders live."""
    scenario = Scenario("many", symbols=100, depth=2_000, messages=200_000)
    stream = make_stream(scenario).copy()
    stream["reason"][::97] = 304
    stream["instrument"][::97] = 1 << 31  # refused decisions may name anything
    decisions = region_of(stream)
    found = []
    for step in (1, len(stream)):
        stand: Stand = Stand.make()
        for first in range(0, len(stream), step):
            pump(stand, decisions.start + first * stream.itemsize, step)
        live = stand.state.books.pool.live
        assert live > LIVE_ORDERS_MIN, "the stream is too small to look ahead"
        done = finished(stand, 0.0, 0)
        found.append((live, done.trades, done.checksum))
    memory.forget(decisions)
    assert found[0] == found[1]


def test_one_hundred_symbols_are_one_hundred() -> None:
    stream = make_stream(replace(SYMBOLS100, messages=MESSAGES))
    assert set(stream["instrument"].tolist()) == set(range(100))
