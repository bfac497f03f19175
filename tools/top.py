"""`okimi top`: a board of a running venue, redrawn a few times a second.

`watch` samples shared memory at a low rate and draws; q or Ctrl-C ends it, and so does the end of
the venue. `board` is the picture of two samples and nothing else.
"""

import math
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ipc.histogram import Percentiles, bucket_value
from tools.figures import NONE, count, duration, elapsed
from tools.sample import RingSample, Sample, StageSample, VenueNotFound, cpu_percent, take
from tools.status import STATE_STYLES, plain_table

INTERVAL_SECONDS_MIN: Final = 0.25
"""At most four samples a second: a reader takes cache lines from the writers each time."""

FILL_BAR_CELLS: Final = 24
FILL_HIGH: Final = 0.5
"""A ring more than half full is shown as a warning: its reader does not keep up."""

PERCENTS: Final = (50.0, 99.0, 99.9)


class Since(Percentiles):
    """What was recorded in a histogram between two samples of it."""

    def __init__(self, before: Percentiles, after: Percentiles) -> None:
        """Subtract the counts; the maximum is that of the highest bucket in use (within 0.1 %)."""
        self.counts = after.counts - before.counts
        assert int(self.counts.min()) >= 0, "the samples are of one histogram, in this order"
        self.total = int(self.counts.sum())
        used = np.flatnonzero(self.counts)
        self.largest = min(bucket_value(int(used[-1])), after.largest) if len(used) else 0


def board(previous: Sample | None, current: Sample) -> RenderableType:
    """The picture of a venue: rates and `last` columns are those between the two samples.

    Without a previous sample of the same venue they are empty.
    """
    if previous is not None and not current.continues(previous):
        previous = None
    return Group(
        _headline(previous, current),
        "",
        _processes(previous, current),
        "",
        _stages(previous, current),
        "",
        _rings(previous, current),
        "",
        Text("q quits", "dim"),
    )


def watch(name: str, interval: float, console: Console) -> None:
    """Show the venue `name` on the whole screen every `interval` seconds until q or Ctrl-C.

    Raises VenueNotFound when there is none at the start, ValueError for too short an interval.
    """
    if interval < INTERVAL_SECONDS_MIN:
        raise ValueError(f"interval must be at least {INTERVAL_SECONDS_MIN} s, not {interval}")
    previous, current = None, take(name)
    ended = ""
    with (
        _pressed_keys() as pressed,
        Live(console=console, screen=True, auto_refresh=False) as live,
        suppress(KeyboardInterrupt),
    ):
        while not ended:
            live.update(board(previous, current), refresh=True)
            if "q" in pressed(interval):
                break
            previous = current
            try:
                current = take(name)
            except VenueNotFound:
                ended = f"venue {name} has ended"
            if not current.supervisor_alive:
                ended = (
                    f"venue {name} has ended: its supervisor (pid {current.supervisor_pid}) is "
                    "dead. `okimi clean` removes what it left"
                )
    if ended:
        console.print(ended, highlight=False, soft_wrap=True)


@contextmanager
def _pressed_keys() -> Iterator[Callable[[float], str]]:
    """A function that waits up to some seconds for a key and returns what was pressed.

    Without a terminal it only waits.
    """
    if not sys.stdin.isatty():
        yield _wait
        return
    descriptor = sys.stdin.fileno()
    settings = termios.tcgetattr(descriptor)

    def pressed(seconds: float) -> str:
        readable, _, _ = select.select([descriptor], [], [], seconds)
        return os.read(descriptor, 64).decode(errors="replace") if readable else ""

    tty.setcbreak(descriptor)
    try:
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, settings)


def _wait(seconds: float) -> str:
    time.sleep(seconds)
    return ""


def _per_second(before: int, after: int, elapsed_ns: int) -> float:
    return (after - before) * 1e9 / elapsed_ns if elapsed_ns > 0 else 0.0


def _headline(previous: Sample | None, current: Sample) -> Text:
    line = Text.assemble(
        (current.venue, "bold"),
        "  ",
        ("ready", "green") if current.ready else ("not ready", "bold red"),
        f"  layout {current.layout}  durability {current.durability}",
        f"  http {current.http or NONE}",
    )
    if current.uptime_s is not None:
        line.append(f"  up {elapsed(current.uptime_s)}")
    line.append("\n")
    for name in ("commands", "decisions", *(ring.name for ring in current.event_rings)):
        ring = current.ring(name)
        if ring is None:
            continue
        line.append(f"{name} ", "dim")
        line.append(count(ring.position))
        before = previous.ring(name) if previous else None
        if previous and before:
            rate = _per_second(before.position, ring.position, current.at_ns - previous.at_ns)
            line.append(f" ({count(rate)}/s)")
        line.append("   ")
    if previous:
        earlier = {process.name: process for process in previous.processes}
        total = sum(
            cpu_percent(earlier.get(now.name, now), now, current.at_ns - previous.at_ns)
            for now in current.processes
        )
        line.append("cpu ", "dim")
        line.append(f"{total:.1f} %")
    return line


def _processes(previous: Sample | None, current: Sample) -> Table:
    table = plain_table(
        "process", "state", "stages", "pid", "core", "cpu %", "heartbeat", "restarts", left=3
    )
    earlier = {process.name: process for process in previous.processes} if previous else {}
    for process in current.processes:
        before = earlier.get(process.name)
        used = NONE
        if previous and before:
            used = f"{cpu_percent(before, process, current.at_ns - previous.at_ns):.1f}"
        table.add_row(
            process.name,
            Text(process.state, STATE_STYLES.get(process.state, "")),
            "+".join(process.stages),
            str(process.pid or NONE),
            str(process.cpu),
            used,
            Text(duration(process.heartbeat_age_ns), "" if process.serves else "bold red"),
            str(max(process.epoch - 1, 0)),
        )
        if process.last_error:
            table.add_row("", Text(process.last_error, "red"))
    return table


def _stages(previous: Sample | None, current: Sample) -> Table:
    """Two rows a stage: rates and latencies of the last interval, totals since the start."""
    table = plain_table("stage", "", "in", "out", "blocked", "p50", "p99", "p99.9", "max", left=2)
    earlier = {stage.name: stage for stage in previous.stages} if previous else {}
    for stage in current.stages:
        before = earlier.get(stage.name)
        last = [NONE] * (3 + len(PERCENTS) + 1)
        if previous and before:
            last = _last(before, stage, current.at_ns - previous.at_ns)
        totals = map(count, (stage.taken, stage.published, stage.blocked))
        table.add_row(stage.name, "last", *last)
        table.add_row("", "all", *totals, *_spectrum(stage.latency), style="dim")
    return table


def _last(before: StageSample, after: StageSample, elapsed_ns: int) -> list[str]:
    """Three rates and four latencies of one stage between two samples."""
    rates = (
        _per_second(before.taken, after.taken, elapsed_ns),
        _per_second(before.published, after.published, elapsed_ns),
        _per_second(before.blocked, after.blocked, elapsed_ns),
    )
    spectrum = _spectrum(Since(before.latency, after.latency))
    return [*(f"{count(rate)}/s" for rate in rates), *spectrum]


def _spectrum(latency: Percentiles) -> list[str]:
    if latency.total == 0:
        return [NONE] * (len(PERCENTS) + 1)
    return [*(duration(latency.at(percent)) for percent in PERCENTS), duration(latency.largest)]


def _rings(previous: Sample | None, current: Sample) -> Table:
    table = plain_table("ring", "", "fill", "capacity", "slots/s", left=2)
    table.add_column("slowest reader")
    for ring in current.rings:
        before = previous.ring(ring.name) if previous else None
        rate = NONE
        if previous and before:
            elapsed_ns = current.at_ns - previous.at_ns
            rate = count(_per_second(before.position, ring.position, elapsed_ns))
        slowest = max(
            (reader for reader in ring.readers if reader.active),
            key=lambda reader: reader.lag,
            default=None,
        )
        who = f"{slowest.name} ({slowest.lag} behind)" if slowest and slowest.lag else ""
        table.add_row(ring.name, _bar(ring), str(ring.fill), str(ring.capacity), rate, who)
    for name in current.missing_rings:
        table.add_row(name, Text("missing", "bold red"))
    return table


def _bar(ring: RingSample) -> Text:
    """How full a ring is; one slot already shows."""
    share = min(ring.fill / ring.capacity, 1.0)
    cells = math.ceil(share * FILL_BAR_CELLS)
    style = "red" if share > FILL_HIGH else "green"
    return Text.assemble(("━" * cells, style), ("─" * (FILL_BAR_CELLS - cells), "dim"))
