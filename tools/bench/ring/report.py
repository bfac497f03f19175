"""The ring benchmark's result as a table, with everything a reader needs to judge it."""

from typing import Any

from rich.table import Table

from tools.figures import count, duration


def _spread(low: float, high: float) -> str:
    return f"{count(low)} - {count(high)}"


def render(result: dict[str, Any]) -> Table:
    """The table that `okimi bench ring` prints."""
    host = result["host"]
    title = f"64-byte messages, {host['cpu']}, Linux {host['kernel']}, cores {host['cores_used']}"
    if not result["results"]:
        empty = Table(title=title)
        empty.add_column("not measured")
        empty.add_row(result["reason"])
        return empty
    table = Table(title=title, caption=_caption(result), caption_justify="left")
    table.add_column("ring or peer")
    table.add_column("loop")
    for heading in (
        "messages/s",
        "lowest - highest",
        "p50 there and back",
        "p99",
        "p99.9",
        "x line",
    ):
        table.add_column(heading, justify="right")
    for kind in ("ours", "peer"):
        for row in result["results"]:
            if row["kind"] == kind:
                table.add_row(
                    row["name"] + ("" if row["placement"] == result["placement"] else " (mixed)"),
                    row["loop"],
                    count(row["msgs_per_s"]),
                    _spread(row["msgs_per_s_min"], row["msgs_per_s_max"]),
                    duration(row["rtt_p50"]),
                    duration(row["rtt_p99"]),
                    duration(row["rtt_p999"]),
                    f"{row['rtt_p50'] / result['raw_line_rtt_p50']:.2f}",
                )
        table.add_section()
    return table


def _caption(result: dict[str, Any]) -> str:
    host = result["host"]
    low, high = result["raw_line_rtt_p50_min"], result["raw_line_rtt_p50_max"]
    lines = [
        f"Bare cache line there and back: {duration(result['raw_line_rtt_p50'])} "
        f"({duration(low)} - {duration(high)}); arithmetic with both cores busy takes "
        f"{result['alu_slowdown']:.2f} x; placement {result['placement']}.",
        f"{result['rounds']} rounds; medians of the samples with that placement "
        f"({', '.join(f'{label} {n}' for label, n in result['placements'].items())}). Every "
        "message is written, read and checked. A round trip includes reading the clock once.",
        "Loops differ in what they cost: compare Python with Python, compiled with compiled. Not "
        "included: waking a sleeper, more than two processes, other work on the cores.",
        f"Python {host['python']}, numba {host['numba']}, commit {host['commit']}, "
        f"{result['compiler'] or 'no C compiler'}.",
    ]
    lines += [f"Left out: {name}: {reason}." for name, reason in result["skipped"].items()]
    return "\n".join(lines)
