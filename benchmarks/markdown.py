"""Pieces of the report's text that several parts share."""

from typing import Any

from tools.figures import count


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; the first column is left-aligned."""
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def spread(row: dict[str, Any], name: str) -> str:
    """A median, and the lowest and highest in brackets."""
    if row[name] is None:
        return "-"
    return f"{count(row[name])} ({count(row[f'{name}_min'])} to {count(row[f'{name}_max'])})"


def priority(result: dict[str, Any]) -> str:
    """How much other work on the machine counts."""
    if result["realtime"]:
        return "Measured at real-time priority, in turns below a second."
    return "Measured at ordinary priority: other work on the machine counts."
