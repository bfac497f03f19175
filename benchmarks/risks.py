"""What RESULTS.md says of `okimi bench risk`: the stage alone, and the whole engine."""

from typing import Any

from benchmarks.markdown import priority, spread, table
from tools.bench.risk.report import setting_of, spread_ns
from tools.bench.tables import ratio


def risk_part(result: dict[str, Any]) -> str:
    """Both tables of one run."""
    return "\n\n".join(
        [
            "## Risk",
            f"The stage alone, {result['accounts']} accounts with a position and live orders in "
            f"every instrument, a backlog of {result['backlog']} commands. With all checks on "
            "every rule is on at account, group, instrument and venue, and fees are. A check is "
            "the stage less copying the message; it contains counting, reserving and valuing. "
            f"Median (lowest to highest) of {result['repeats']} rounds, ns:",
            stage(result),
            "Ingest, risk and matching in one thread, the same commands in turn:",
            engine(result),
            f"Not included: {'; '.join(result['not_included'])}. {priority(result)}",
        ]
    )


def stage(result: dict[str, Any]) -> str:
    """One row a setting, and the reference."""
    names = ("check", "steady", "stage", "cancel", "fill")
    rows = [
        [
            setting_of(row),
            str(row["symbols"]),
            *(spread_ns(row, f"{name}_ns") for name in names),
        ]
        for row in result["stage"]
    ]
    rows.append(["copying the message alone", "", "", "", spread_ns(result, "copy_ns"), "", ""])
    heads = ["accounts, checks", "symbols", "check", "check, steady marks", "stage"]
    return table([*heads, "cancel applied", "fill applied, an order"], rows)


def engine(result: dict[str, Any]) -> str:
    """One row a number of symbols."""
    rows = [
        [
            str(row["symbols"]),
            spread(row, "on_commands_per_s"),
            spread(row, "off_commands_per_s"),
            ratio(row["on_off_ratio"]),
        ]
        for row in result["engine"]
    ]
    return table(["symbols", "all checks on, /s", "no rule set, /s", "time, on / off"], rows)
