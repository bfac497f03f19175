"""`okimi status`: what runs, how busy it is, how full its rings are.

`collect` reads shared memory only; its fields are an interface for scripts. `render` shows the
same to people.
"""

import time
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tools.figures import NONE, count, duration, elapsed
from tools.sample import (
    ProcessSample,
    RingSample,
    Sample,
    StageSample,
    VenueNotFound,
    cpu_percent,
    take,
    venues,
)

__all__ = ["VenueNotFound", "collect", "render", "venues"]

MEASURED_SECONDS: Final = 0.2
"""Time between the two samples that `cpu_percent` comes from."""

PERCENTILES: Final = ("p50", "p99", "p999", "max")

STATE_STYLES: Final = {"running": "green", "starting": "yellow", "dead": "bold red"}
"""How a process state is shown; others are plain."""


def collect(name: str, measured_seconds: float = MEASURED_SECONDS) -> dict[str, Any]:
    """The state of the venue `name`, under the names of the command line; times in ns or as named.

    `cpu_percent` is measured over `measured_seconds`. Raises VenueNotFound, and
    ipc.errors.SegmentError for a venue of another version or user.
    """
    before = take(name)
    time.sleep(measured_seconds)
    return describe(before, take(name))


def describe(before: Sample, after: Sample) -> dict[str, Any]:
    """The fields of a venue at its second sample."""
    decisions, events = after.ring("decisions"), after.event_rings
    earlier = {process.name: process for process in before.processes}
    return {
        "venue": after.venue,
        "ready": after.ready,
        "durability": after.durability,
        "layout": after.layout,
        "http": after.http or None,
        "uptime_s": None if after.uptime_s is None else round(after.uptime_s, 3),
        "supervisor": {"pid": after.supervisor_pid, "alive": after.supervisor_alive},
        "processes": [
            _process(earlier.get(process.name, process), process, after.at_ns - before.at_ns)
            for process in after.processes
        ],
        "stages": {
            stage.name: {
                "taken": stage.taken,
                "published": stage.published,
                "blocked": stage.blocked,
                **stage.latency.summary(),
            }
            for stage in after.stages
        },
        "rings": [_ring(ring) for ring in after.rings],
        "missing_rings": list(after.missing_rings),
        "refusals": after.refusals,
        # None in a venue that keeps all in memory.
        "durable_seq": after.durable_dseq,
        "decision_seq": None if decisions is None else decisions.position,
        # Of all shards together; each has a sequence of its own.
        "event_seq": sum(ring.position for ring in events) if events else None,
        **_state_hash(after.shards),
    }


def _state_hash(shards: tuple[StageSample, ...]) -> dict[str, Any]:
    """The hash of the last checkpoint, 16 hexadecimal digits, and its place among decisions.

    Of several shards, each of which has its own, both are objects by the name of the stage.
    """
    points = {stage.name: stage.checkpoint for stage in shards}
    hashes = {name: point and f"{point.hash:016x}" for name, point in points.items()}
    places = {name: point and point.sequence for name, point in points.items()}
    if len(points) == 1:
        (state_hash,), (place,) = hashes.values(), places.values()
        return {"state_hash": state_hash, "state_hash_seq": place}
    told = any(points.values())
    return {"state_hash": hashes if told else None, "state_hash_seq": places if told else None}


def _process(before: ProcessSample, after: ProcessSample, elapsed_ns: int) -> dict[str, Any]:
    age_ns = after.heartbeat_age_ns
    return {
        "name": after.name,
        "pid": after.pid,
        "alive": after.alive,
        "restarts": max(after.epoch - 1, 0),
        "heartbeat_age_ms": None if age_ns is None else round(age_ns / 1e6, 3),
        "cpu_percent": round(cpu_percent(before, after, elapsed_ns), 2),
        "stages": list(after.stages),
        "cpu": after.cpu,
        "state": after.state,
        "last_error": after.last_error or None,
    }


def _ring(ring: RingSample) -> dict[str, Any]:
    return {
        "name": ring.name,
        "fill": ring.fill,
        "capacity": ring.capacity,
        "readers": [
            {"name": reader.name, "lag": reader.lag, "active": reader.active}
            for reader in ring.readers
        ],
    }


def render(status: dict[str, Any]) -> RenderableType:
    """What `collect` found, for a terminal."""
    return Group(
        _headline(status),
        _process_table(status["processes"]),
        _stage_table(status["stages"]),
        _ring_table(status["rings"]),
    )


def _headline(status: dict[str, Any]) -> Text:
    line = Text.assemble(
        ("venue ", "dim"),
        (status["venue"], "bold"),
        "  ",
        ("ready", "green") if status["ready"] else ("not ready", "bold red"),
        f"  layout {status['layout']}  durability {status['durability']}",
        f"  http {status['http'] or NONE}",
    )
    line.append(
        f"\ndecisions {status['decision_seq'] or 0}"
        + ("" if status["durable_seq"] is None else f"  durable {status['durable_seq']}")
        + f"  events {status['event_seq'] or 0}",
        "dim",
    )
    supervisor = status["supervisor"]
    if supervisor["alive"]:
        line.append(f"  up {elapsed(status['uptime_s'])}  supervisor {supervisor['pid']}", "dim")
    else:
        line.append(f"  supervisor {supervisor['pid']} is dead: run `okimi clean`", "bold red")
    for hashed in _hash_lines(status["state_hash"], status["state_hash_seq"]):
        line.append(f"\n{hashed}", "dim")
    if status["refusals"]:
        told = sorted(status["refusals"].items(), key=lambda each: -each[1])
        line.append("\nrefused " + "  ".join(f"{name} {count(n)}" for name, n in told), "dim")
    if status["missing_rings"]:
        line.append(f"  missing rings: {', '.join(status['missing_rings'])}", "bold red")
    return line


def _hash_lines(state_hash: Any, place: Any) -> list[str]:
    """A line for each hash, with the decision after which it was taken."""
    if not isinstance(state_hash, dict):
        state_hash, place = {"matching": state_hash}, {"matching": place}
    return [
        f"{name} state hash {NONE if found is None else f'{found} at decision {place[name]}'}"
        for name, found in state_hash.items()
    ]


def plain_table(*columns: str, left: int = 1) -> Table:
    """A table without lines, the first `left` columns to the left and the rest to the right."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", no_wrap=True)
    return table


def _process_table(processes: list[dict[str, Any]]) -> Table:
    table = plain_table(
        "process", "state", "stages", "pid", "core", "cpu %", "heartbeat", "restarts", left=3
    )
    table.add_column("last error", overflow="fold")
    for process in processes:
        age_ms = process["heartbeat_age_ms"]
        table.add_row(
            process["name"],
            Text(process["state"], STATE_STYLES.get(process["state"], "")),
            "+".join(process["stages"]),
            str(process["pid"] or NONE),
            str(process["cpu"]),
            f"{process['cpu_percent']:.1f}",
            NONE if age_ms is None else duration(int(age_ms * 1e6)),
            str(process["restarts"]),
            Text(process["last_error"] or "", "red"),
        )
    return table


def _stage_table(stages: dict[str, dict[str, int]]) -> Table:
    table = plain_table("stage", "taken", "published", "blocked", "p50", "p99", "p99.9", "max")
    for name, stage in stages.items():
        table.add_row(
            name,
            *(count(stage[key]) for key in ("taken", "published", "blocked")),
            *(duration(stage[key] if stage["count"] else None) for key in PERCENTILES),
        )
    return table


def _ring_table(rings: list[dict[str, Any]]) -> Table:
    table = plain_table("ring", "fill", "capacity")
    table.add_column("readers (slots behind)", overflow="fold")
    for ring in rings:
        readers = (
            f"{reader['name']} {reader['lag'] if reader['active'] else 'left'}"
            for reader in ring["readers"]
        )
        table.add_row(ring["name"], str(ring["fill"]), str(ring["capacity"]), ", ".join(readers))
    return table
