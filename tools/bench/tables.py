"""The results of `okimi bench book` and `okimi bench engine` as tables for a terminal."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from tools.figures import NONE, count


def machine(host: dict[str, Any]) -> str:
    """The machine in half a line."""
    cores = " and ".join(map(str, host["cores_used"]))
    return f"{host['cpu']}, Linux {host['kernel']}, core {cores} of {host['cores']}"


def versions(host: dict[str, Any]) -> str:
    """What ran there."""
    return f"Python {host['python']}, numba {host['numba']}, commit {host['commit']}."


def disturbance(result: dict[str, Any]) -> str:
    """What is known of other work on the machine meanwhile."""
    policy = "at real-time priority, in turns below a second"
    if not result["realtime"]:
        policy = "at ordinary priority (real-time is not permitted), so other work counts"
    return f"Measured {policy}."


def rate(row: dict[str, Any], name: str) -> str:
    """A median, and the lowest and highest in the same unit: 24.7 M (22.1-27.0)."""
    if row[name] is None:
        return NONE
    median, low, high = (row[f"{name}{end}"] for end in ("", "_min", "_max"))
    for unit, letter in ((1_000_000, "M"), (1_000, "k")):
        if median >= unit:
            return f"{median / unit:.1f} {letter} ({low / unit:.1f}-{high / unit:.1f})"
    return f"{median} ({low}-{high})"


def columns(table: Table, *headings: str) -> Table:
    """Add a column of names and columns of figures."""
    table.add_column(headings[0])
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    return table


def book_table(result: dict[str, Any]) -> RenderableType:
    """Scenarios, worst first, then peers."""
    ours = columns(
        Table(title=f"Matching alone, {result['workload']}: {machine(result['host'])}"),
        "scenario",
        "messages",
        "trades",
        "in process, /s",
        "through rings, /s",
    )
    named = [*result["scenarios"].items(), ("100 symbols", result["symbols100"])]
    for name, row in named:
        ours.add_row(
            name,
            count(row["messages"]),
            count(row["trades"]),
            rate(row, "in_process_msgs_per_s"),
            rate(row, "ring_msgs_per_s"),
        )
    theirs = columns(
        Table(title=f"Peers on the first messages of {result['peer_scenario']}"),
        "peer",
        "messages",
        "trades",
        "messages/s",
        "ours on them",
        "times",
        "same trades",
    )
    for name, row in result["peer_details"].items():
        theirs.add_row(
            name,
            count(row["messages"]),
            count(row["trades"]),
            rate(row, "msgs_per_s"),
            count(row["ours_msgs_per_s"]),
            f"{row['ours_ratio']:.0f}",
            "yes" if row["agrees"] else "NO",
        )
    lines = [
        f"Medians (lowest-highest) of {result['repeats']} rounds after one to warm up; ours and "
        "peers in turn. Events through rings are equal to those in process (checksum).",
        disturbance(result),
        f"Not included: {'; '.join(result['not_included'])}.",
        versions(result["host"]),
    ]
    lines += [f"{name}: {row['about']}." for name, row in result["peer_details"].items()]
    lines += [f"Left out: {name}: {why}." for name, why in result["peers_absent"].items()]
    if result["reason"]:
        lines.append(f"Not measured: {result['reason']}.")
    return Group(ours, theirs, *lines)
