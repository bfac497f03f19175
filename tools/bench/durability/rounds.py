"""All of `okimi bench durability`, one after the other, on the disk of a folder of its own."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from tools.bench.durability.answers import durable_config, fill, measure_answers
from tools.bench.durability.back import (
    measure_replay,
    measure_snapshot,
    measure_start,
    without_snapshots,
)
from tools.bench.durability.bare import bare_loop
from tools.bench.durability.pauses import measure_pauses
from tools.bench.engine import Commands, make_commands
from tools.bench.ring.placement import host_facts
from tools.run import progress_bar

RATES: Final = (1_000, 10_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
"""Commands per second of the open loop, until two in turn are not reached."""

ACK_RATE: Final = 10_000
"""The rate whose acknowledgements are `ack_p50_us` and `ack_p99_us`."""

NOT_INCLUDED: Final = (
    "gateways and the network in rates and acknowledgements (a driver in compiled code sends)",
    "what the device below does when the power fails",
)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure; tests take less."""

    warm_up: int = 50_000
    closed_loop: int = 300_000
    rates: tuple[int, ...] = RATES
    rate_seconds: float = 1.0
    syncs: int = 200
    journaled: tuple[int, ...] = (1_000_000, 10_000_000)
    "Commands of the journals on which venues are started."
    starts: int = 3
    "Of each kind."
    layouts: tuple[str, ...] = ("compact", "spread")
    "In which processes are killed."
    kills: int = 5
    machines: int = 3

    def live_commands(self) -> int:
        """At most, of the venue whose answers are timed."""
        return (
            self.warm_up
            + 3 * self.closed_loop
            + sum(round(rate * self.rate_seconds) for rate in self.rates)
        )


def run(
    console: Console, layout: str | None, folder: Path | None = None, effort: Effort | None = None
) -> dict[str, Any]:
    """Measure everything; the result has the fields of `okimi bench durability --json`.

    `folder`: on the disk that is measured; by default where temporary files are.
    """
    effort = effort or Effort()
    with tempfile.TemporaryDirectory(prefix="okimi-bench-", dir=folder) as base:
        result = _run(console, layout, Path(base), effort)
    rates = {row["rate"]: row for row in result["rates"]}
    row = rates.get(ACK_RATE) or result["rates"][0]
    return {
        **result,
        "ack_rate": row["rate"],
        "ack_p50_us": row["p50_us"],
        "ack_p99_us": row["p99_us"],
        "ready_seconds_1m": result["starts"].get("1000000"),
        "ready_seconds_10m": result["starts"].get("10000000"),
        "not_included": list(NOT_INCLUDED),
        "host": host_facts(tuple(sorted(os.sched_getaffinity(0)))),
    }


def _run(console: Console, layout: str | None, base: Path, effort: Effort) -> dict[str, Any]:
    name = f"bench-{os.getpid()}"
    with progress_bar(console) as progress:
        steps = 1 + 2 * len(effort.journaled) + len(effort.layouts)
        task = progress.add_task("durability: answers", total=steps)

        def next_step(text: str) -> None:
            progress.update(task, description=f"durability: {text}")
            progress.advance(task)

        with bare_loop(base) as bare:
            commands = Commands(make_commands(effort.live_commands()))
            config = durable_config(base / "answers", name, layout)
            result = measure_answers(config, commands, bare, effort, console)
            result |= bare.report()
        starts: dict[str, float] = {
            "0": measure_start(base / "nothing", name, layout, effort.starts)
        }
        for count in effort.journaled:
            next_step(f"a journal of {count:,} commands")
            data = base / f"journal-{count}"
            commands = Commands(make_commands(count))
            fill(durable_config(data, name, layout), commands, count, console)
            next_step(f"back after {count:,} commands")
            with without_snapshots(data):
                starts[str(count)] = measure_start(data, name, layout, effort.starts)
                result |= measure_replay(data)
            result |= measure_snapshot(data)
            starts[f"{count} with a snapshot"] = measure_start(data, name, layout, effort.starts)
        pauses = {}
        for each in effort.layouts:
            next_step(f"kills, {each}")
            pauses[each] = measure_pauses(each, effort.kills, effort.machines)
    return {**result, "starts": starts, "pauses": pauses}
