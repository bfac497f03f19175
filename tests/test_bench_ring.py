"""The ring benchmark: complete, checked, honest about what is missing. No figure is judged."""

import io
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from ipc.jit import INTERPRETED
from tools.bench.ring import pair, render, run
from tools.bench.ring.loops import WORDS
from tools.bench.ring.ours import compiled, payloads
from tools.bench.ring.pair import Arena, SampleFailed
from tools.bench.ring.peers import Channel, Port, find_peers, per_message
from tools.bench.ring.placement import FAR, MOVED, NEAR, SMT, alu_slowdown, placement_of

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(INTERPRETED, reason="measures compiled code"),
]
two_cores = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="the two processes need a core each"
)

OURS = {
    "by index, batch 1",
    "by index, batch 32",
    "by slot, batch 1",
    "by slot, batch 32",
    "from Python, 1 a call",
    "from Python, 64 a call",
}
STANDARD = {"multiprocessing.Queue", "multiprocessing.Pipe"}
IN_C = {"C index ring, batch 1", "C index ring, batch 32"}


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    cores = sorted(os.sched_getaffinity(0))
    made = Arena((cores[0], cores[-1]))
    made.warm()
    yield made
    made.close()


def shown(result: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(render(result))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    steps: list[tuple[str, float]] = []
    found = run(lambda text, share: steps.append((text, share)), messages=2_000, seconds=0)
    names = {row["name"] for row in found["results"]}
    assert {text.removeprefix("round 1: ") for text, _ in steps} >= names
    assert steps[-1] == ("done", 1.0)
    assert all(0 <= share <= 1 for _, share in steps)
    return found


@two_cores
def test_everybody_takes_part_or_has_a_reason(result: dict[str, Any]) -> None:
    kinds = {row["name"]: row["kind"] for row in result["results"]}
    assert {name for name, kind in kinds.items() if kind == "ours"} == OURS
    peers = {name for name, kind in kinds.items() if kind == "peer"}
    assert peers >= STANDARD
    for name, members in (("C index ring", IN_C), ("pyzmq ipc PAIR", {"pyzmq ipc PAIR"})):
        assert (members <= peers) != (name in result["skipped"])
    assert all(result["skipped"].values())


@two_cores
def test_every_row_has_its_figures(result: dict[str, Any]) -> None:
    for row in result["results"]:
        assert 0 < row["msgs_per_s_min"] <= row["msgs_per_s"] <= row["msgs_per_s_max"]
        assert 0 < row["rtt_p50"] <= row["rtt_p99"] <= row["rtt_p999"]
        assert 0 < row["rtt_p50_min"] <= row["rtt_p50"] <= row["rtt_p50_max"]
        assert row["loop"] in ("Numba", "C", "Python")
        assert row["samples"] == [1, 1]
    assert result["raw_line_rtt_p50_min"] <= result["raw_line_rtt_p50"]
    assert result["raw_line_rtt_p50"] <= result["raw_line_rtt_p50_max"]
    assert result["alu_slowdown"] > 0
    assert sum(result["placements"].values()) == 2 * len(result["results"])


@two_cores
def test_the_table_names_machine_peers_and_limits(result: dict[str, Any]) -> None:
    text = shown(result)
    for row in result["results"]:
        assert row["name"] in text
    for expected in (result["host"]["kernel"], "Bare cache line", "Not included", "numba"):
        assert expected in text
    for name, reason in result["skipped"].items():
        assert name in text
        assert reason.split()[0] in text


def test_with_one_core_it_says_so() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        found = run(messages=100, seconds=0)
    finally:
        os.sched_setaffinity(0, before)
    assert found["results"] == []
    assert "two cores are needed, this process may use 1" in found["reason"]
    assert "two cores are needed" in shown(found)


def test_missing_peers_are_named_with_their_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "zmq", None)
    peers = find_peers(tmp_path)
    assert {each.name for each in peers.contestants} == STANDARD
    assert "no C compiler" in peers.skipped["C index ring"]
    assert "not installed" in peers.skipped["pyzmq ipc PAIR"]
    assert peers.compiler is None


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho out of cheese >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    assert "out of cheese" in find_peers(tmp_path).skipped["C index ring"]


# --- a wrong sample is no figure -------------------------------------------------------------


@two_cores
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_the_c_ring_passes_the_same_messages_as_ours(arena: Arena, tmp_path: Any) -> None:
    for contestant in [*find_peers(tmp_path).contestants, compiled(1, 7)]:
        if contestant.loop != "Python":
            contestant.throughput(arena, 10_000)
            checksum = arena.duel.tally.checksum
            arena.verify(10_000)
            with pytest.raises(SampleFailed, match="checksum"):
                arena.verify(9_999)
            arena.duel.tally.checksum = checksum ^ 1
            with pytest.raises(SampleFailed, match="checksum"):
                arena.verify(10_000)


def test_a_message_out_of_order_is_found(arena: Arena) -> None:
    arena.clear()
    arena.duel.tally.misplaced = 3
    with pytest.raises(SampleFailed, match="3 of 0 messages came out of order"):
        arena.verify(0)


def test_no_two_messages_are_equal() -> None:
    rows = payloads(500)
    assert rows.shape == (500, WORDS)
    assert len(np.unique(rows)) == rows.size


class Faulty:
    """A pipe that changes or swaps messages: what the checks are for."""

    def __init__(self, fault: str) -> None:
        self.read, self.write = os.pipe()
        self.fault = fault
        self.count = 0
        self.held: list[bytes] = []

    def send(self, message: bytes) -> None:
        os.write(self.write, message)

    def receive(self) -> bytes:
        self.count += 1
        if self.held:
            return self.held.pop()
        message = os.read(self.read, 64)
        if self.count == 40 and self.fault == "changed":
            return message[:-1] + bytes([message[-1] ^ 1])
        if self.count == 40 and self.fault == "swapped":
            self.held.append(message)
            return os.read(self.read, 64)
        return message

    def close(self) -> None:
        os.close(self.read)
        os.close(self.write)


@two_cores
@pytest.mark.parametrize("fault", ["changed", "swapped"])
def test_a_peer_that_falsifies_is_found_out(
    arena: Arena, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def open_channel() -> Iterator[Channel]:
        there, back = Faulty(fault), Faulty("none")
        yield Channel(
            lambda: Port(there.send, back.receive, lambda: None),
            lambda: Port(back.send, there.receive, lambda: None),
        )
        there.close()
        back.close()

    with pytest.raises(SampleFailed, match="ended with 1"):
        per_message("faulty", open_channel, 1.0).throughput(arena, 80)
    assert "not what was sent" in capfd.readouterr().err


@two_cores
def test_a_side_that_dies_ends_the_sample(arena: Arena) -> None:
    with pytest.raises(SampleFailed, match="ended with -9"):
        arena.run(lambda: os.kill(os.getpid(), 9), lambda: time.sleep(1000))


@two_cores
def test_a_side_that_hangs_ends_the_sample(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair, "SAMPLE_SECONDS_MAX", 0.2)
    with pytest.raises(SampleFailed, match=r"did not finish.* \d\.\d s of CPU"):
        arena.run(lambda: None, lambda: time.sleep(1000))


@two_cores
def test_samples_left_by_python_keep_their_value(arena: Arena) -> None:
    nanos = [1, 999, 12_345, 10**9]
    arena.store_samples_ns(nanos)
    assert np.abs(arena.samples_ns(4) - np.array(nanos)).max() <= 1


# --- placement -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slowdowns", "lines", "placement"),
    [
        ((1.0, 1.0), (110, 120), NEAR),
        ((1.0, 1.1), (460, 450), FAR),
        ((1.0, 1.0), (110, 460), MOVED),
        ((1.97, 1.95), (110, 70), SMT),
        ((1.97, 1.0), (110, 110), MOVED),
    ],
)
def test_a_sample_counts_where_both_looks_agree(
    slowdowns: tuple[float, float], lines: tuple[int, int], placement: str
) -> None:
    samples = tuple(np.full(10, line) for line in lines)
    assert placement_of(slowdowns, (samples[0], samples[1])) == placement


@two_cores
def test_the_hardware_is_looked_at(arena: Arena) -> None:
    assert alu_slowdown(arena) > 0
    before, after = arena.line_ns()
    assert len(before) == len(after) == pair.LINE_TRIPS
    assert before.min() > 0
    assert after.min() > 0
