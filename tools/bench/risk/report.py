"""The result of `okimi bench risk` as tables for a terminal."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from tools.bench.tables import columns, disturbance, machine, rate, ratio, versions


def spread_ns(row: dict[str, Any], name: str) -> str:
    """A median, and the lowest and highest: 21.3 (20.1-24.0)."""
    median, low, high = (row[f"{name}{end}"] for end in ("", "_min", "_max"))
    return f"{median:.1f} ({low:.1f}-{high:.1f})"


def risk_table(result: dict[str, Any]) -> RenderableType:
    """The stage alone, then the whole engine."""
    lines = [
        f"Medians (lowest-highest) of {result['repeats']} rounds after one to warm up, all "
        "settings in turn. A check is the stage less copying the message; it contains counting, "
        "reserving and valuing. Every account has a position and live orders in every instrument; "
        f"{result['backlog']} commands wait. Trades have moved the marks before, but not where "
        "marks are called steady.",
        disturbance(result),
        f"Not included: {'; '.join(result['not_included'])}.",
        versions(result["host"]),
    ]
    return Group(_stage(result), _engine(result), *lines)


def _stage(result: dict[str, Any]) -> RenderableType:
    title = f"Risk alone, {result['accounts']} accounts, ns: {machine(result['host'])}"
    heads = (
        "accounts, checks",
        "symbols",
        "check",
        "steady marks",
        "stage",
        "cancel applied",
        "fill, an order",
    )
    table = columns(Table(title=title), *heads)
    for row in result["stage"]:
        table.add_row(
            setting_of(row),
            str(row["symbols"]),
            spread_ns(row, "check_ns"),
            *(f"{row[f'{name}_ns']:.1f}" for name in ("steady", "stage", "cancel", "fill")),
        )
    table.add_row("copying the message alone", *[""] * 3, f"{result['copy_ns']:.1f}")
    return table


def setting_of(row: dict[str, Any]) -> str:
    """Kind of the accounts and which checks."""
    return f"{row['kind']}, {'all checks on' if row['checks'] else 'no rule set'}"


def _engine(result: dict[str, Any]) -> RenderableType:
    table = columns(
        Table(title="Ingest, risk and matching in one thread, commands/s"),
        "symbols",
        "all checks on",
        "no rule set",
        "time, on / off",
    )
    for row in result["engine"]:
        table.add_row(
            str(row["symbols"]),
            rate(row, "on_commands_per_s"),
            rate(row, "off_commands_per_s"),
            ratio(row["on_off_ratio"]),
        )
    return table
