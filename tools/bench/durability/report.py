"""The result of `okimi bench durability` as tables for a terminal."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from tools.bench.tables import columns, machine, rate, versions
from tools.figures import count, size


def durability_table(result: dict[str, Any]) -> RenderableType:
    """Acknowledgements, starts, pauses."""
    lines = [
        f"The disk alone, 4 KiB and fdatasync in turn with the rates: p50 "
        f"{result['fsync_p50_us']} us, p99 {result['fsync_p99_us']} us, at worst "
        f"{result['fsync_max_us']} us.",
        f"As fast as answers come back: {rate(result, 'durable_cmds_per_s')} commands/s.",
        f"Done again: {count(result['replay_cmds_per_s'])}/s books and events alone, "
        f"{count(result['replay_checked_cmds_per_s'])}/s with ingest and risk.",
        f"A snapshot: {result['snapshot_seconds']} s to store {size(result['snapshot_bytes'])}, "
        f"{result['snapshot_load_seconds']} s to load.",
        priority(result),
        f"Not included: {'; '.join(result['not_included'])}.",
        versions(result["host"]),
    ]
    return Group(_answers(result), _starts(result), *_pauses(result), *lines)


def _answers(result: dict[str, Any]) -> RenderableType:
    title = f"From sending to a durable answer, us: {machine(result['host'])}"
    table = columns(Table(title=title), "rate", "achieved", "p50", "p99", "p99.9", "worst")
    for row in result["rates"]:
        figures = (row[f"{name}_us"] for name in ("p50", "p99", "p999", "max"))
        achieved = f"{row['achieved'] / row['rate']:.1%}"
        table.add_row(f"{count(row['rate'])}/s", achieved, *map(str, figures))
    return table


def _starts(result: dict[str, Any]) -> RenderableType:
    table = columns(Table(title="From a new process to ready"), "commands in the journal", "s")
    for journaled, seconds in result["starts"].items():
        table.add_row(journaled, str(seconds))
    return table


def _pauses(result: dict[str, Any]) -> list[RenderableType]:
    found: list[RenderableType] = []
    for layout, kinds in result["pauses"].items():
        title = f"No client is answered, ms, layout {layout}"
        table = columns(Table(title=title), "killed", "times", "p50", "worst", "ready p50")
        for kind, row in kinds.items():
            names = ("count", "pause_ms_p50", "pause_ms_max", "ready_ms_p50")
            table.add_row(kind, *(str(row[name]) for name in names))
        found.append(table)
    return found


def priority(result: dict[str, Any]) -> str:
    """Who waits for whom."""
    if result["realtime"]:
        return "Answers: the venue at real-time priority, the driver and all else at ordinary."
    return "Measured at ordinary priority: other work on the machine counts."
