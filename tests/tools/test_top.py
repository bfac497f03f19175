"""`okimi top`: the picture of two samples, and the loop around it in a real terminal."""

import dataclasses
import os
import pty
import select
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console, RenderableType

from engine.venue import VenueMemory
from tools.sample import Sample, VenueNotFound, take
from tools.top import FILL_BAR_CELLS, Since, board, watch

PATIENCE_S = 60.0
"""How long a test waits for output; reached only when something hangs."""

Shown = Callable[[RenderableType], str]


def later(sample: Sample, before: Sample, seconds: float = 1.0) -> Sample:
    """The sample as if it had been taken exactly so much after the other one."""
    return dataclasses.replace(sample, at_ns=before.at_ns + int(seconds * 1e9))


def line_of(text: str, word: str, number: int = 0) -> str:
    return [line for line in text.splitlines() if line.startswith(word)][number]


def words(line: str) -> str:
    """The line with single spaces."""
    return " ".join(line.split())


# --- differences --------------------------------------------------------------------------------


def test_an_interval_has_only_what_came_in_it(venue: VenueMemory, name: str) -> None:
    latency = venue.statistics("risk").latency
    latency.counts[100], latency.counts[1999], latency.largest = 50, 1, 1999
    before = take(name).stages[1].latency
    latency.counts[300] = 10
    after = take(name).stages[1].latency
    recent = Since(before, after)
    assert recent.summary() == {"count": 10, "p50": 300, "p99": 300, "p999": 300, "max": 300}
    assert after.summary()["max"] == 1999
    assert Since(after, after).summary() == {
        "count": 0, "p50": 0, "p99": 0, "p999": 0, "max": 0,
    }  # fmt: skip
    with pytest.raises(AssertionError, match="in this order"):
        Since(after, before)


def test_the_maximum_of_an_interval_is_not_above_what_was_recorded(
    venue: VenueMemory, name: str
) -> None:
    latency = venue.statistics("risk").latency
    before = take(name).stages[1].latency
    latency.counts[3000] = 1  # a bucket of two values from 2048 ns on: 3904 and 3905 ns
    latency.largest = 3904
    assert Since(before, take(name).stages[1].latency).largest == 3904


# --- the picture -------------------------------------------------------------------------------


def test_the_first_picture_has_no_rates(
    venue: VenueMemory, name: str, start: Callable[[], None], shown: Shown
) -> None:
    start()
    venue.statistics("matching").taken = 77
    text = shown(board(None, take(name)))
    assert f"{name}  ready" in text
    assert words(line_of(text, "matching")) == "matching last - - - - - - -"
    assert "77" in text
    assert "/s)" not in text


def test_rates_and_latencies_of_the_last_interval(
    venue: VenueMemory, name: str, start: Callable[[], None], shown: Shown
) -> None:
    start()
    risk = venue.statistics("risk")
    risk.taken, risk.published = 100, 100
    risk.latency.counts[100], risk.latency.largest = 100, 100
    before = take(name)
    risk.taken, risk.published, risk.blocked = 1100, 1098, 4
    risk.latency.counts[400], risk.latency.largest = 1000, 400
    venue.rings["commands"].producer.position = 3000
    text = shown(board(before, later(take(name), before, seconds=2)))
    assert words(line_of(text, "risk")) == ("risk last 500/s 499/s 2/s 400 ns 400 ns 400 ns 400 ns")
    everything = text.splitlines()[text.splitlines().index(line_of(text, "risk")) + 1]
    assert words(everything) == "all 1100 1098 4 400 ns 400 ns 400 ns 400 ns"
    assert "commands 3000 (1500/s)" in text
    assert words(line_of(text, "commands", 1)).endswith("16384 1500 risk (3000 behind)")


def test_a_full_ring_is_a_full_bar_and_one_slot_shows(
    venue: VenueMemory, name: str, shown: Shown
) -> None:
    capacity = venue.config.rings.event_slots
    venue.rings["events"].producer.position = capacity
    venue.cursor("events", "gateway").position = capacity
    venue.rings["decisions"].producer.position = 1
    text = shown(board(None, take(name)))
    events, decisions = line_of(text, "events"), line_of(text, "decisions")
    assert events.count("━") == FILL_BAR_CELLS
    assert f"risk ({capacity} behind)" in events
    assert decisions.count("━") == 1
    assert line_of(text, "orders.gateway").count("━") == 0


def test_a_dead_process_stands_out(
    venue: VenueMemory, name: str, start: Callable[[], None], shown: Shown
) -> None:
    start()
    venue.entry("engine").start_time -= 1
    venue.entry("engine").last_error.set("killed by SIGKILL")
    text = shown(board(None, take(name)))
    assert "not ready" in text
    assert "dead" in line_of(text, "engine")
    assert "killed by SIGKILL" in text


def test_samples_of_another_venue_of_that_name_give_no_rates(
    venue: VenueMemory, name: str, shown: Shown
) -> None:
    sample = take(name)
    other = dataclasses.replace(sample, started_unix_ns=sample.started_unix_ns - 1)
    assert "/s)" in shown(board(sample, later(sample, sample)))
    assert "/s)" not in shown(board(other, later(sample, sample)))


# --- the loop ----------------------------------------------------------------------------------


class Terminal:
    """`watch` in a process and a terminal of its own."""

    def __init__(self, name: str, children: Any) -> None:
        self.output = ""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            code = 1
            # A test runner that works beside others ignores it, and children inherit that.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                # The terminal, not what captures the output of tests.
                sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
                watch(name, 0.25, Console(width=120, height=40, force_terminal=True))
                code = 0
            finally:
                os._exit(code)
        children.adopt(self.pid)

    def read_until(self, expected: str) -> None:
        while expected not in self.output:
            assert select.select([self.descriptor], [], [], PATIENCE_S)[0], self.output
            try:
                self.output += os.read(self.descriptor, 65536).decode(errors="replace")
            except OSError:  # the other side has closed
                pytest.fail(f"ended without {expected!r}: {self.output}")

    def press(self, key: str) -> None:
        os.write(self.descriptor, key.encode())


def test_q_ends_it(venue: VenueMemory, name: str, children: Any) -> None:
    terminal = Terminal(name, children)
    terminal.read_until("orders.gateway")
    terminal.press("x")
    terminal.press("q")
    terminal.read_until("\x1b[?1049l")  # back to the ordinary screen
    assert children.join(terminal.pid) == 0
    assert "has ended" not in terminal.output


def test_an_interrupt_ends_it(venue: VenueMemory, name: str, children: Any) -> None:
    terminal = Terminal(name, children)
    terminal.read_until("orders.gateway")
    terminal.press("\x03")
    terminal.read_until("\x1b[?1049l")
    assert children.join(terminal.pid) == 0


def test_it_ends_with_its_venue(venue: VenueMemory, name: str, children: Any) -> None:
    terminal = Terminal(name, children)
    terminal.read_until("orders.gateway")
    venue.remove()
    terminal.read_until(f"venue {name} has ended")
    assert children.join(terminal.pid) == 0


def test_a_missing_venue_and_a_hurry_are_refused(venue: VenueMemory, name: str) -> None:
    with pytest.raises(VenueNotFound):
        watch("nowhere", 1.0, Console())
    with pytest.raises(ValueError, match=r"at least 0\.25"):
        watch(name, 0.1, Console())
