"""`okimi doctor`: what of this machine stops okimi from working (fail), or costs it speed (warn).

Every check says what it found, what it wanted and what to do; none changes anything. A shared or
virtual machine gets many warnings and works: they tell where its latency tail comes from.
"""

from rich.console import Group, RenderableType
from rich.text import Text

from engine.config import load
from engine.topology import is_stage, plan, usable_cores
from tools.doctor.check import FAIL, OK, WARN, Check, Machine
from tools.doctor.clocks import check_clocks
from tools.doctor.limits import check_limits
from tools.doctor.memory import check_memory
from tools.doctor.processor import check_processor
from tools.doctor.software import check_software
from tools.doctor.venue import busy_cores, check_venue, check_venues
from tools.sample import Sample, take
from tools.status import plain_table

__all__ = ["FAIL", "OK", "WARN", "Check", "examine", "failed", "render"]

STYLES = {OK: "green", WARN: "yellow", FAIL: "bold red"}


def examine(name: str | None = None) -> list[Check]:
    """All checks of this machine for the shipped configuration.

    With the name of a running venue its own cores are what the checks look at, and the venue is
    examined, too; VenueNotFound when there is none.
    """
    sample = None if name is None else take(name)
    config = load()
    machine = Machine(hot_cores=_hot_cores(sample), cores=tuple(usable_cores()))
    checks = [
        *check_software(machine),
        *check_processor(machine),
        *check_clocks(machine, busy_cores()),
        *check_memory(machine, config),
        *check_limits(machine, config),
        *check_venues(config),
    ]
    return checks if sample is None else [*checks, *check_venue(sample)]


def _hot_cores(sample: Sample | None) -> tuple[int, ...]:
    """Cores that stages have to themselves: of that venue, or as a new one would be laid out."""
    if sample is None:
        processes = [(each.stages, each.cpu) for each in plan(load()).processes]
    else:
        processes = [(each.stages, each.cpu) for each in sample.processes]
    stages = {cpu for members, cpu in processes if any(map(is_stage, members))}
    clients = {cpu for members, cpu in processes if not any(map(is_stage, members))}
    return tuple(sorted(stages - clients))


def failed(checks: list[Check]) -> int:
    """How many checks say that okimi cannot work here."""
    return sum(check.severity == FAIL for check in checks)


def render(checks: list[Check]) -> RenderableType:
    """The checks as a table, what to do about each below it."""
    table = plain_table("", "check", left=2)
    table.add_column("found", overflow="fold", ratio=1)
    table.add_column("wanted", overflow="fold", ratio=1)
    for check in checks:
        severity = Text(check.severity, STYLES[check.severity])
        table.add_row(severity, check.name, Text(check.found), Text(check.wanted))
    remedies = [
        Text.assemble((f"{check.name}: ", STYLES[kind]), check.remedy)
        for kind in (FAIL, WARN)
        for check in checks
        if check.severity == kind
    ]
    warned = sum(check.severity == WARN for check in checks)
    summary = Text(f"{len(checks)} checks: {failed(checks)} failed, {warned} warnings", "bold")
    return Group(table, "", *remedies, summary)
