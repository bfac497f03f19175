"""What RESULTS.md says of `okimi bench book`: scenarios, the calls alone, commands, peers."""

from typing import Any

from benchmarks.markdown import priority, spread, table
from tools.bench.tables import agreement, ratio
from tools.figures import count, duration


def book_part(title: str, result: dict[str, Any]) -> str:
    """All tables of one run."""
    return "\n\n".join(
        [
            f"## {title}",
            f"Median (lowest to highest) of {result['repeats']} rounds. Events through rings have "
            "the checksum of those in process.",
            scenarios(result),
            "The calls alone, from memory to memory without rings, with plain orders only and with "
            "all that is compiled in, and the same design in C++ (`benchmarks/native_book.cpp`):",
            calls(result),
            native_note(result["native"]),
            "One command by its kind, the clock read before and after each:",
            commands(result["commands"]),
            f"Peers in the same run, on the first messages of {result['peer_scenario']}:",
            peers(result),
            " ".join(notes(result)),
        ]
    )


def scenarios(result: dict[str, Any]) -> str:
    """Worst first."""
    rows = [
        [
            name,
            count(row["messages"]),
            count(row["trades"]),
            spread(row, "in_process_msgs_per_s"),
            spread(row, "ring_msgs_per_s"),
        ]
        for name, row in named(result)
    ]
    return table(["scenario", "messages", "trades", "in process, /s", "through rings, /s"], rows)


def named(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """All streams with their names."""
    return [*result["scenarios"].items(), ("100 symbols", result["symbols100"])]


def calls(result: dict[str, Any]) -> str:
    """What all order types cost plain ones, and how far C++ would go."""
    rows = [
        [
            name,
            spread(row, "plain_msgs_per_s"),
            spread(row, "direct_msgs_per_s"),
            ratio(row["plain_cost"]),
            spread(row, "native_msgs_per_s"),
            ratio(row["direct_native_ratio"]),
            ratio(row["native_ratio"]),
        ]
        for name, row in named(result)
    ]
    heads = ["scenario", "plain only, /s", "all, /s", "time of all / plain", "C++, /s"]
    return table([*heads, "all / C++", "in process / C++"], rows)


def native_note(port: dict[str, Any]) -> str:
    """What compiled the C++ port, and what it lacks."""
    if port["absent"]:
        return f"C++: not measured: {port['absent']}."
    return (
        f"C++ by {port['compiler']}, -O3 -march=native. Its events are equal to the engine's byte "
        f"for byte. {port['about']}: the engine's figures in process include the first four."
    )


def commands(result: dict[str, Any]) -> str:
    """Percentiles by kind."""
    rows = [
        [
            name,
            count(row["count"]),
            *(duration(row[each]) for each in ("p50", "p99", "p999", "max")),
        ]
        for name, row in result["kinds"].items()
    ]
    heads = ["command", "count", "p50", "p99", "p99.9", "worst"]
    clock = (
        f"Workload {result['workload']}. Two reads of the clock ({result['clock']}, "
        f"{result['clock_ns']} ns, in steps of {result['clock_step_ns']} ns) are part of each "
        "figure. Not included: rings, and waiting for others."
    )
    return f"{table(heads, rows)}\n\n{clock}"


def peers(result: dict[str, Any]) -> str:
    """Other engines."""
    rows = [
        [
            f"{name} ({row['about']})",
            count(row["messages"]),
            spread(row, "msgs_per_s"),
            spread(row, "ours_msgs_per_s"),
            f"{row['ours_ratio']:.0f}",
            agreement(row) if row["agrees"] else f"**{agreement(row)}**",
        ]
        for name, row in result["peer_details"].items()
    ]
    return table(["peer", "messages", "/s", "ours on the same, /s", "times", "the same"], rows)


def notes(result: dict[str, Any]) -> list[str]:
    """What the figures leave out."""
    return [
        f"Not included: {'; '.join(result['not_included'])}.",
        priority(result),
        *(f"Left out: {name}: {reason}." for name, reason in result["peers_absent"].items()),
    ]
