"""Acknowledgements of a durable venue: how fast, at which rate, and how many at most.

A driver in compiled code sends commands by an order ring and takes no event before its decision is
on the disk, as a gateway does. Before each rate the bare loop has a turn on the same disk.
"""

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from engine.config import Config
from engine.topology import DRIVER
from tools.bench.durability.bare import BareLoop
from tools.bench.engine import ACHIEVED_MIN, Commands, driving, make_config
from tools.bench.undisturbed import hurry
from tools.run import facts_of, running_venue

NS_PER_US: Final = 1000
CHUNK: Final = 250_000
"""Commands that the driver prepares at a time."""

CLOSED_LOOPS: Final = 3


def durable_config(folder: Path, name: str, layout: str | None) -> Config:
    """The venue of `okimi bench engine`, on a disk; it takes no snapshot while it is measured."""
    config = make_config(name, layout)
    venue = replace(config.venue, durability="durable")
    kept = replace(config.durability, data_dir=str(folder), snapshot_minutes=0, shadow="off")
    return replace(config, venue=venue, durability=kept)


def measure_answers(
    config: Config, commands: Commands, bare: BareLoop, effort: Any, console: Console
) -> dict[str, Any]:
    """Closed loops, then open loops at growing rates until two in turn are not reached."""
    rows: list[dict[str, Any]] = []
    with running_venue(config, (DRIVER,), console) as supervisor:
        # The driver never sleeps between two commands of an open loop, and with few cores it has
        # the one of the journal: without priority that would wait for the end of its time slice.
        realtime = all([hurry(pid) for pid in supervisor.children.living])
        with driving(supervisor) as send:
            send(commands.take(effort.warm_up), events_max=0)
            closed = []
            for _ in range(CLOSED_LOOPS):
                bare.turn(effort.syncs)
                outcome = send(commands.take(effort.closed_loop), events_max=0)
                closed.append(outcome.commands / outcome.seconds)
            for rate in effort.rates:
                bare.turn(effort.syncs)
                count = round(rate * effort.rate_seconds)
                outcome = send(commands.take(count), rate=float(rate), events_max=0)
                rows.append(row_of(rate, outcome))
                missed = [row["achieved"] < ACHIEVED_MIN * row["rate"] for row in rows]
                if missed[-2:] == [True, True]:
                    break
        mark = supervisor.venue.counters.durable
        frames, written = mark.frames, mark.bytes
        facts = facts_of(supervisor)
    return {
        "durable_cmds_per_s": round(statistics.median(closed)),
        "durable_cmds_per_s_min": round(min(closed)),
        "durable_cmds_per_s_max": round(max(closed)),
        "rates": rows,
        "layout": facts.layout,
        "processes": facts.processes,
        "realtime": realtime,
        "frames": frames,
        "journal_bytes": written,
        "commands": commands.taken,
    }


def row_of(rate: int, outcome: Any) -> dict[str, Any]:
    """One rate: how much of it was reached, and times to acknowledgement in us."""
    trip = outcome.round_trip
    return {
        "rate": rate,
        "achieved": round(outcome.commands / outcome.seconds),
        **{
            f"{name}_us": round(trip[name] / NS_PER_US, 1) for name in ("p50", "p99", "p999", "max")
        },
    }


def fill(config: Config, commands: Commands, count: int, console: Console) -> None:
    """Journal so many commands as fast as possible."""
    with running_venue(config, (DRIVER,), console) as supervisor, driving(supervisor) as send:
        for first in range(0, count, CHUNK):
            send(commands.take(min(CHUNK, count - first)), events_max=0)
