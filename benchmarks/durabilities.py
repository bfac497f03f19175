"""What RESULTS.md says of `okimi bench durability`."""

from typing import Any

from benchmarks.markdown import spread, table
from tools.bench.durability.report import priority
from tools.figures import count, size


def durability_part(result: dict[str, Any]) -> str:
    """The disk, acknowledgements, being back, pauses."""
    return "\n\n".join(
        [
            "## Durability",
            f"The journal is on the disk before anybody is told. The disk alone, 4 KiB written "
            f"into zeros and synced, in turn with the rates below: p50 {result['fsync_p50_us']} "
            f"us, p99 {result['fsync_p99_us']} us, at worst {result['fsync_max_us']} us. Layout "
            f"{result['layout']}; from the intended sending of a command to its last event, "
            "durable, open loop:",
            _rates(result),
            f"As fast as answers come back: {spread(result, 'durable_cmds_per_s')} commands/s. "
            f"Done again from the journal: {count(result['replay_cmds_per_s'])} commands/s books "
            f"and events alone, {count(result['replay_checked_cmds_per_s'])} commands/s with "
            "ingest and risk, as recovery does it. A snapshot takes "
            f"{result['snapshot_seconds']} s ({size(result['snapshot_bytes'])}), loading it "
            f"{result['snapshot_load_seconds']} s.",
            "From a new process to ready, after the machine has failed:",
            _starts(result),
            "The longest time without an answer to any of six HTTP clients when a process is "
            "killed, ms; `supervisor` is the whole machine:",
            _pauses(result),
            f"Not included: {'; '.join(result['not_included'])}. {priority(result)}",
        ]
    )


def _rates(result: dict[str, Any]) -> str:
    rows = [
        [
            f"{count(row['rate'])}/s",
            f"{row['achieved'] / row['rate']:.1%}",
            *(f"{row[f'{name}_us']:,} us" for name in ("p50", "p99", "p999", "max")),
        ]
        for row in result["rates"]
    ]
    return table(["rate", "achieved", "p50", "p99", "p99.9", "worst"], rows)


def _starts(result: dict[str, Any]) -> str:
    rows = [[_journaled(name), f"{seconds} s"] for name, seconds in result["starts"].items()]
    return table(["commands in the journal", "ready after"], rows)


def _journaled(name: str) -> str:
    number, _, rest = name.partition(" ")
    return f"{int(number):,} {rest}".strip()


def _pauses(result: dict[str, Any]) -> str:
    names = ("count", "pause_ms_p50", "pause_ms_max", "ready_ms_p50")
    rows = [
        [f"{layout}: {kind}", *(str(row[name]) for name in names)]
        for layout, kinds in result["pauses"].items()
        for kind, row in kinds.items()
    ]
    return table(["layout: killed", "times", "p50", "worst", "all ready, p50"], rows)
