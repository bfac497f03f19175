"""What is known about the deaths of a venue, and with what its successors begin.

Turns the end of a child into a Death for the policy, and keeps what follows from its verdicts:
which records are not executed any more, and who goes on with care.
"""

import signal
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from engine.durability.recovery import rebuild_stages
from engine.membership import EXIT_FENCED
from engine.sections import Durability
from engine.successor import Successor
from engine.topology import SHADOW, ProcessPlan
from engine.venue import VenueMemory
from ipc.counters import AT_REPLICA, DEAD, ProcessEntry
from tools.supervision.children import Child, told
from tools.supervision.policy import Cause, Death, DeathPolicy, Record, Restart, Skip, Stop, Verdict
from tools.supervision.stalls import raw_ns

FAULTS: Final = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT)
"""Signals that a process brings upon itself."""


def cause_of(child: Child, code: int) -> Cause:
    """Whether the process ended by its own doing; `code` as of subprocess."""
    if child.hung:
        return Cause.HUNG
    if code in (0, EXIT_FENCED):  # somebody asked it to, or raised the epoch of its entry
        return Cause.KILLED
    return Cause.CRASHED if code > 0 or -code in FAULTS else Cause.KILLED


def death_of(child: Child, code: int, entry: ProcessEntry) -> Death:
    """All that is known about an ended child."""
    text = entry.last_error.get() if entry.state == DEAD else ""
    record = Record(entry.at_stage, entry.at) if entry.at != 0 else None
    cause = cause_of(child, code)
    return Death(child.name, raw_ns(), cause, code, text or child.doomed or told(code), record)


@dataclass(slots=True)
class Repairs:
    """Of one venue."""

    settings: Durability
    venue: VenueMemory
    policy: DeathPolicy = field(init=False)
    aside: DeathPolicy = field(init=False)
    "For the shadow, without which the venue goes on."
    skips: set[int] = field(default_factory=set)
    "Decisions that matching does not execute."
    refused: list[Record] = field(default_factory=list)
    "Commands that ingest and risk do not look at."
    skips_due: list[int] = field(default_factory=list)
    "Those of them that the journal does not know of yet."
    careful: set[str] = field(default_factory=set)
    "Processes whose last one may have died of a record."

    def __post_init__(self) -> None:
        limits = self.settings.deaths_max, self.settings.deaths_seconds
        self.policy, self.aside = DeathPolicy(*limits), DeathPolicy(*limits)

    def judge(self, death: Death) -> Verdict:
        """The verdict, whose consequences successors are told; for the shadow it is never Skip."""
        if death.name == SHADOW:
            verdict = self.aside.judge(death)
            return verdict if isinstance(verdict, Stop) else Restart()
        verdict = self.policy.judge(death)
        self.careful.discard(death.name)
        if death.cause is not Cause.KILLED:
            self.careful.add(death.name)
        if isinstance(verdict, Skip):
            if verdict.record.stage == AT_REPLICA:
                self.skips.add(verdict.record.number)
                self.skips_due.append(verdict.record.number)
            else:
                self.refused.append(verdict.record)
        return verdict

    def take_due(self) -> list[int]:
        """The skipped decisions that are to be journaled now; they are not told again."""
        due, self.skips_due = self.skips_due, []
        return due

    def successor(self, plan: ProcessPlan, data_dir: Path) -> Successor:
        """With what the next stage process of that plan begins."""
        careful = plan.name in self.careful
        skips = frozenset(self.skips)
        return Successor(
            rebuild=partial(rebuild_stages, self.venue, plan, data_dir, skips, careful),
            careful=careful,
            refused=tuple((record.stage, record.number) for record in self.refused),
        )
