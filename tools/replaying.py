"""`okimi replay`: a recording through a venue of its own, and its oracle's verdict."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from engine.config import Config
from engine.driver import Outcome
from engine.topology import DRIVER
from tools.replay import FORMATS
from tools.replay.plan import Plan, Result
from tools.run import VenueFacts, facts_of, running_venue, send_plan

stdout = Console()
stderr = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Replay:
    """What one replay did and found."""

    plan: Plan
    outcome: Outcome
    facts: VenueFacts
    result: Result | None
    "None when no verification was asked for."

    def report(self) -> dict[str, Any]:
        """The fields for --json."""
        report: dict[str, Any] = {
            "commands": self.outcome.commands,
            "events": self.outcome.event_count,
            "seconds": round(self.outcome.seconds, 6),
            "commands_per_s": round(self.outcome.commands / self.outcome.seconds, 1),
        }
        if self.result is not None:
            report |= self.result.report(self.outcome.seconds)
        return report | self.facts.report()


def replay_config(plan: Plan, name: str, layout: str | None, **tables: Any) -> Config:
    """The venue that a plan needs; `tables` are further tables of the configuration."""
    venue = {"name": name, "layout": layout or "auto"}
    return Config.build(**plan.tables, venue=venue, **tables)


def run_replay(
    file: Path, form: str, *, verify: bool, rate: float, layout: str | None, as_json: bool
) -> int:
    """Replay a file; exit code 0 unless a verification failed."""
    module = FORMATS[form]
    with stderr.status(f"reading {file.name}"):
        plan = module.read(file)
    config = replay_config(plan, f"replay-{os.getpid()}", layout)
    with running_venue(config, (DRIVER,), stderr) as supervisor:
        outcome = send_plan(supervisor, plan, stderr, rate)
        facts = facts_of(supervisor, outcome)
    result = None
    if verify:
        with stderr.status("verifying"):
            result = module.verify(plan, outcome.events)
    replay = Replay(plan, outcome, facts, result)
    if as_json:
        print(orjson.dumps(replay.report()).decode())
    else:
        show(replay)
    return 0 if result is None or result.ok else 1


def show(replay: Replay) -> None:
    """Print a replay's findings for people."""
    if replay.result is not None:
        for line in replay.result.lines:
            stdout.print(line, highlight=False, soft_wrap=True)
    for name, value in replay.report().items():
        if not isinstance(value, dict | list):
            stdout.print(f"{name:<20} {value}", highlight=False)
