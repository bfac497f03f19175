"""What a torture has shown, for people."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tools.torture.audit import VIOLATIONS


def render(result: dict[str, Any]) -> RenderableType:
    """The result of `tools.torture.run`."""
    died = Table("process", "killed", title=f"{result['kills_total']} kills", box=None)
    for name, count in result["kills"].items():
        died.add_row(name, str(count))
    pauses = Table("killed", "times", "pause p50 ms", "worst ms", "ready p50 ms", box=None)
    for kind, row in result["pauses"].items():
        figures = (row[key] for key in ("count", "pause_ms_p50", "pause_ms_max", "ready_ms_p50"))
        pauses.add_row(kind, *map(str, figures))
    lines = [f"{name.replace('_', ' ')} {result[name]}" for name in VIOLATIONS]
    verdict = Text(
        f"{result['acknowledged']:,} orders acknowledged in {result['seconds']} s, "
        f"{result['decisions']:,} decisions derived again; " + ", ".join(lines),
        "green" if result["ok"] else "bold red",
    )
    problems = [Text(text, "red") for text in result["problems"]]
    if result["failure"]:
        problems.append(Text(f"{result['failure']} (seed {result['seed']})", "red"))
    if result["folder"]:
        problems.append(Text(f"everything is in {result['folder']}", "red"))
    return Group(died, pauses, verdict, *problems)
