"""`python -m benchmarks.report`: run every benchmark once and write benchmarks/RESULTS.md.

Each benchmark runs in a process of its own, by the command that the report names, so that anybody
can repeat one of them. The report says where, what of DESIGN's targets is met, and what the figures
leave out.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.books import book_part
from benchmarks.durabilities import durability_part
from benchmarks.markdown import priority, spread, table
from benchmarks.risks import risk_part
from benchmarks.targets import Target, targets
from tools.figures import count, duration

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"

Results = dict[str, dict[str, Any]]


def main() -> int:
    """Measure and write; exit code 0 when every benchmark has run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with the challenge's files (*.cols.xz)")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    results, commands = collect(options.data)
    text = page(results, commands, datetime.now(UTC))
    options.output.write_text(text, encoding="utf-8")
    print(text)
    print(f"written to {options.output}", file=sys.stderr)
    return 0


def collect(data: Path | None) -> tuple[Results, list[str]]:
    """The result of each benchmark by name, and the commands that were run."""
    chosen = {name: ["bench", name] for name in ("ring", "book", "risk", "engine", "durability")}
    if data is not None:
        chosen["challenge"] = ["bench", "book", "--data", str(data.resolve())]
    results = {}
    for name, command in chosen.items():
        print(f"okimi {' '.join(command)}", file=sys.stderr)
        done = run([sys.executable, "-m", "tools.cli", *command, "--json"])
        results[name] = json.loads(done.splitlines()[-1])
    print("pytest benchmarks", file=sys.stderr)
    results["costs"] = measure_costs()
    shown = [
        " ".join(["okimi", *command[:3], *(["DIR"] * (len(command) > 3))])
        for command in chosen.values()
    ]
    return results, [*shown, "pytest benchmarks"]


def run(command: list[str]) -> str:
    """What a command prints; its progress goes to the terminal. Raises when it fails."""
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def measure_costs() -> dict[str, Any]:
    """The small benchmarks: {name: {group, ns, ns_min, ns_max}} for one operation."""
    with tempfile.TemporaryDirectory(prefix="okimi-bench-") as folder:
        written = Path(folder) / "costs.json"
        options = ["-q", "-p", "no:cacheprovider", f"--benchmark-json={written}"]
        run([sys.executable, "-m", "pytest", "benchmarks", *options])
        measured = json.loads(written.read_text())["benchmarks"]
    return {
        each["name"].removeprefix("test_"): {
            "group": each["group"],
            **{
                name: each["stats"][found] * 1e9 / each["extra_info"]["operations"]
                for name, found in (("ns", "median"), ("ns_min", "min"), ("ns_max", "max"))
            },
        }
        for each in measured
    }


# --- the page ------------------------------------------------------------------------------------


def page(results: Results, commands: list[str], at: datetime) -> str:
    """The report as Markdown."""
    parts = [
        "# Results",
        "Written by `make bench`; do not edit. Figures of one machine on one day: compare ratios "
        "with what ran beside them, not figures with those of other machines.",
        where(results, commands, at),
        "## Targets",
        table(["what", "target", "reached", ""], [cells(each) for each in targets(results)]),
        ring_part(results["ring"]),
        book_part("Matching alone, generated workloads", results["book"]),
    ]
    if "challenge" in results:
        parts.append(book_part("Matching alone, the challenge's files", results["challenge"]))
    parts += [risk_part(results["risk"]), engine_part(results["engine"])]
    parts.append(durability_part(results["durability"]))
    parts.append(costs_part(results["costs"]))
    return "\n\n".join(parts) + "\n"


def cells(target: Target) -> list[str]:
    """A target's row."""
    return [target.what, target.wanted, target.reached, target.verdict]


def where(results: Results, commands: list[str], at: datetime) -> str:
    """Machine, versions, commit, commands."""
    host = results["engine"]["host"]
    cpuinfo = Path("/proc/cpuinfo").read_text()
    kind = "virtual machine" if "hypervisor" in cpuinfo else "bare metal"
    noise = ", ".join(
        f"core {each['core']} gone {each['lost_share']:.1%} of the time, "
        f"{duration(each['worst_ns'])} at worst"
        for each in results["engine"]["noise_floor"]
    )
    rows = [
        ["machine", f"{host['cpu']}, {host['cores']} cores, {kind}"],
        ["kernel", f"Linux {host['kernel']}"],
        ["the machine itself", noise],
        ["Python, numba", f"{host['python']}, {host['numba']}"],
        ["commit", host["commit"] or "not a git checkout"],
        ["date", f"{at:%Y-%m-%d %H:%M} UTC"],
        ["commands", ", ".join(f"`{command}`" for command in commands)],
    ]
    return table(["", ""], rows)


def ring_part(result: dict[str, Any]) -> str:
    """Rings beside peers."""
    title = "## Rings, 64-byte messages, two processes"
    if not result["results"]:
        return f"{title}\n\nNot measured: {result['reason']}."
    line = result["raw_line_rtt_p50"]
    rows = [
        [
            f"{row['name']} ({row['kind']}, {row['loop']})",
            spread(row, "msgs_per_s"),
            duration(row["rtt_p50"]),
            f"{row['rtt_p50'] / line:.2f}",
            duration(row["rtt_p99"]),
            duration(row["rtt_p999"]),
        ]
        for row in result["results"]
    ]
    heads = ["ring or peer", "messages/s", "round trip p50", "x bare line", "p99", "p99.9"]
    notes = [
        f"A bare cache line goes there and back in {duration(line)}; cores placed "
        f"{result['placement']}. Compare rows of the same loop. Not included: waking a sleeper, "
        "more than two processes."
    ]
    notes += [f"Left out: {name}: {reason}." for name, reason in result["skipped"].items()]
    return "\n\n".join([title, table(heads, rows), *notes])


def engine_part(result: dict[str, Any]) -> str:
    """Throughput beside the reference, and latency by rate."""
    flow = [
        ["through processes", spread(result, "commands_per_s"), f"{result['ratio']:.2f}"],
        [result["reference"], spread(result, "reference_commands_per_s"), "1"],
    ]
    heads = ["rate", "achieved", "p50", "p99", "p99.9", "worst"]
    heads += [f"{name} p50 / p99" for name in result["rates"][0]["stages"]]
    rows = [
        [
            f"{count(row['rate'])}/s",
            f"{row['achieved'] / row['rate']:.1%}",
            *(duration(row[name]) for name in ("p50", "p99", "p999", "max")),
            *(
                f"{duration(stage['p50'])} / {duration(stage['p99'])}"
                for stage in row["stages"].values()
            ),
        ]
        for row in result["rates"]
    ]
    processes = ", ".join(
        f"{each['name']} ({'+'.join(each['stages'])}) on core {each['cpu']}"
        for each in result["processes"]
    )
    compact = (
        "On so few cores the stages share a process, which sleeps when idle: at low rates a "
        "wake-up through the kernel is part of the latency. "
    )
    return "\n\n".join(
        [
            "## Ingest, risk and matching through processes",
            f"Layout {result['layout']}: {processes}. Median (lowest to highest) of "
            f"{result['repeats']} rounds; every new order has a client order id; the events equal "
            "those of the reference.",
            table(["as fast as possible", "commands/s", "x reference"], flow),
            "From the intended sending of a command to its last event, open loop:",
            table(heads, rows),
            (compact if result["layout"] == "compact" else "")
            + ("The tails are the machine's (see above). " if result["noisy"] else "")
            + f"Not included: {'; '.join(result['not_included'])}. {priority(result)}",
        ]
    )


def costs_part(costs: dict[str, Any]) -> str:
    """Single operations."""
    rows = [
        [
            name.rstrip("]").replace("[", ", ").replace("-", ", ").replace("_", " "),
            each["group"],
            f"{each['ns']:.2f}",
            f"{each['ns_min']:.2f} to {each['ns_max']:.2f}",
        ]
        for name, each in costs.items()
    ]
    heads = ["operation", "of", "ns", "lowest to highest"]
    return "\n\n".join(
        [
            "## Single operations",
            "In one process and warm; medians of 40 rounds of thousands of operations each.",
            table(heads, rows),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
