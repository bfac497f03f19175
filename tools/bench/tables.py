"""The results of `okimi bench book` and `okimi bench engine` as tables for a terminal."""

from typing import Any, Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from tools.figures import NONE, count, duration

COMPACT: Final = (
    "Few cores: the stages share a process, which sleeps when idle, so that at low rates a wake-up "
    "through the kernel is part of the latency."
)


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
        policy = (
            "at ordinary priority (no core for each process, or not permitted): other work counts"
        )
    return f"Measured {policy}."


def noise_floor(result: dict[str, Any]) -> str:
    """How the cores behave when nothing but a loop runs there."""
    cores = [
        f"core {each['core']} is gone for {each['lost_share']:.1%} of the time, at worst "
        f"{duration(each['worst_ns'])}"
        for each in result["noise_floor"]
    ]
    verdict = "; so the tails are the machine's" if result["noisy"] else ""
    return ", ".join(cores) + verdict


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
    """Scenarios, worst first, then the calls alone, the kinds of commands, and peers."""
    lines = [
        f"Medians (lowest-highest) of {result['repeats']} rounds after one to warm up; ours and "
        "peers in turn. Events through rings are equal to those in process (checksum).",
        disturbance(result),
        f"Not included: {'; '.join(result['not_included'])}.",
        versions(result["host"]),
    ]
    lines += [f"{name}: {row['about']}." for name, row in result["peer_details"].items()]
    lines += [f"Left out: {name}: {escape(why)}." for name, why in result["peers_absent"].items()]
    if result["reason"]:
        lines.append(f"Not measured: {result['reason']}.")
    return Group(
        _scenarios(result), _calls(result), _commands(result["commands"]), _peers(result), *lines
    )


def _scenarios(result: dict[str, Any]) -> RenderableType:
    table = columns(
        Table(title=f"Matching alone, {result['workload']}: {machine(result['host'])}"),
        "scenario",
        "messages",
        "trades",
        "in process, /s",
        "through rings, /s",
    )
    for name, row in [*result["scenarios"].items(), ("100 symbols", result["symbols100"])]:
        table.add_row(
            name,
            count(row["messages"]),
            count(row["trades"]),
            rate(row, "in_process_msgs_per_s"),
            rate(row, "ring_msgs_per_s"),
        )
    return table


def _calls(result: dict[str, Any]) -> RenderableType:
    table = columns(
        Table(title="The calls alone, from memory to memory, and the same design in C++"),
        "scenario",
        "plain orders only, /s",
        "all that is compiled in, /s",
        "costs, times",
        "C++, /s",
        "calls / C++",
        "in process / C++",
    )
    for name, row in [*result["scenarios"].items(), ("100 symbols", result["symbols100"])]:
        table.add_row(
            name,
            *(rate(row, f"{each}_msgs_per_s") for each in ("plain", "direct")),
            ratio(row["plain_cost"]),
            rate(row, "native_msgs_per_s"),
            ratio(row["direct_native_ratio"]),
            ratio(row["native_ratio"]),
        )
    port = result["native"]
    text = port["absent"] or f"{port['compiler']}; events equal byte for byte. {port['about']}"
    return Group(table, f"C++: {text}.")


def ratio(value: float | None) -> str:
    """Two digits, or that there is none."""
    return NONE if value is None else f"{value:.2f}"


def _commands(result: dict[str, Any]) -> RenderableType:
    table = columns(
        Table(title=f"One command by its kind, workload {result['workload']}"),
        "command",
        "count",
        "p50",
        "p99",
        "p99.9",
        "worst",
    )
    for name, row in result["kinds"].items():
        figures = (duration(row[each]) for each in ("p50", "p99", "p999", "max"))
        table.add_row(name, count(row["count"]), *figures)
    clock = (
        f"Two reads of the clock ({result['clock']}) are part of each: {result['clock_ns']} ns; "
        f"it moves in steps of {result['clock_step_ns']} ns."
    )
    return Group(table, clock)


def _peers(result: dict[str, Any]) -> RenderableType:
    table = columns(
        Table(title=f"Peers on the first messages of {result['peer_scenario']}"),
        "peer",
        "messages",
        "trades",
        "messages/s",
        "ours on them",
        "times",
        "the same",
    )
    for name, row in result["peer_details"].items():
        table.add_row(
            name,
            count(row["messages"]),
            count(row["trades"]),
            rate(row, "msgs_per_s"),
            count(row["ours_msgs_per_s"]),
            f"{row['ours_ratio']:.0f}",
            agreement(row),
        )
    return table


def agreement(peer: dict[str, Any]) -> str:
    """Whether a peer did the same, as far as it shows."""
    shown = {"trades": "trades", "resting": "resting orders"}
    seen = " and ".join(shown[each] for each in peer["compared"])
    return ("" if peer["agrees"] else "NOT ") + seen


def engine_table(result: dict[str, Any]) -> RenderableType:
    """Throughput, then latency by rate."""
    host = result["host"]
    flow = columns(
        Table(title=f"Ingest, risk, matching: {machine(host)}, layout {result['layout']}"),
        "as fast as possible",
        "commands/s",
    )
    flow.add_row("through processes", rate(result, "commands_per_s"))
    flow.add_row("in one thread (reference)", rate(result, "reference_commands_per_s"))
    table = columns(
        Table(title="From the intended sending of a command to its last event"),
        "rate",
        "achieved",
        "p50",
        "p99",
        "p99.9",
        "worst",
        *(f"{name} p50" for name in result["rates"][0]["stages"]),
    )
    for row in result["rates"]:
        table.add_row(
            f"{count(row['rate'])}/s",
            f"{row['achieved'] / row['rate']:.1%}",
            *(duration(row[name]) for name in ("p50", "p99", "p999", "max")),
            *(duration(stage["p50"]) for stage in row["stages"].values()),
        )
    lines = [
        f"Medians (lowest-highest) of {result['repeats']} rounds. Every new order has a client "
        "order id. Events are equal to those of the reference.",
        disturbance(result),
        f"The machine itself: {noise_floor(result)}.",
        f"Not included: {'; '.join(result['not_included'])}.",
        versions(host),
    ]
    last = result["rates"][-1]
    if last["achieved"] < result["achieved_min"] * last["rate"]:
        lines.insert(0, f"{count(last['rate'])}/s was not reached: higher rates were not tried.")
    if result["layout"] == "compact":
        lines.insert(0, COMPACT)
    return Group(flow, table, *lines)
