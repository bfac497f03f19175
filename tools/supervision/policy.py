"""What to do about a death: start a successor, skip the record that kills, or stop the venue.

Pure: the supervisor tells what it saw and when, and does what it is told. A record kills when it
is what a process was about to execute at two deaths that nobody outside has caused.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from engine.membership import EXIT_HOPELESS, EXIT_STORAGE

NS_PER_SECOND: Final = 1_000_000_000

DEATHS_PER_RECORD: Final = 2
"""One death at a record is an accident; with the second one it is the record."""

FINAL: Final = {
    EXIT_STORAGE: "the disk has to be looked at, then `okimi journal verify`, then `okimi up`",
    EXIT_HOPELESS: "look at the data with `okimi journal verify` and `okimi snapshot verify`",
}
"""Exit codes after which no successor is started, and what the operator does next."""

SKIPS_MAX: Final = 16
"""Records that one run of a venue skips. More is no bad record, but a bad engine."""


class Cause(Enum):
    """How a process came to its end."""

    CRASHED = "crashed"
    "By itself: an exception, a failed assertion, a fault of memory."
    HUNG = "hung"
    "Killed by the supervisor, because it worked and its heart did not beat."
    KILLED = "killed"
    "From outside: by a signal that it did not send itself, or stopped and then killed for it."


@dataclass(frozen=True, slots=True)
class Record:
    """A record that a process was about to execute."""

    stage: int
    "A number of ipc.counters: AT_REPLICA, AT_INGEST or AT_RISK."
    number: int
    "In the sequence that this stage reads."


@dataclass(frozen=True, slots=True)
class Death:
    """What the supervisor knows about an ended process."""

    name: str
    at_ns: int
    cause: Cause
    exit_code: int
    "As of subprocess: negative for a signal."
    text: str
    "What it died of, for people."
    record: Record | None = None
    "What it was about to execute; None when it did not say."


@dataclass(frozen=True, slots=True)
class Restart:
    """Start a successor."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Start a successor that does not execute this record."""

    record: Record


@dataclass(frozen=True, slots=True)
class Stop:
    """End the venue."""

    why: str


Verdict = Restart | Skip | Stop


@dataclass(slots=True)
class DeathPolicy:
    """Remembers the deaths of a venue."""

    deaths_max: int
    "With so many deaths ..."
    deaths_seconds: int
    "... within so many seconds the venue stops."
    deaths: list[Death] = field(default_factory=list)
    "Of the last `deaths_seconds`."
    suspects: dict[Record, int] = field(default_factory=dict)
    "How often a process ended at a record."
    skipped: list[Record] = field(default_factory=list)

    def judge(self, death: Death) -> Verdict:
        """What to do about a death."""
        if death.exit_code in FINAL:
            return Stop(f"{death.name}: {death.text}; {FINAL[death.exit_code]}")
        since = death.at_ns - self.deaths_seconds * NS_PER_SECOND
        self.deaths = [each for each in self.deaths if each.at_ns > since] + [death]
        record = death.record
        if record is not None and death.cause is not Cause.KILLED:
            self.suspects[record] = self.suspects.get(record, 0) + 1
            if self.suspects[record] >= DEATHS_PER_RECORD:
                return self._skip(record, death)
        if len(self.deaths) >= self.deaths_max:
            told = "; ".join(f"{each.name}: {each.text}" for each in self.deaths)
            return Stop(f"{len(self.deaths)} deaths within {self.deaths_seconds} s ({told})")
        return Restart()

    def _skip(self, record: Record, death: Death) -> Verdict:
        """The record is to blame, so its deaths count no more: without it the venue lives.

        Its first one is among those of this process that did not say of what.
        """
        if record in self.skipped:
            return Stop(f"{death.name} died at record {record.number}, which is skipped already")
        if len(self.skipped) == SKIPS_MAX:
            return Stop(f"{SKIPS_MAX} records had to be skipped already; {death.text}")
        del self.suspects[record]
        self.skipped.append(record)
        self.deaths = [each for each in self.deaths if not _may_be_of(each, record, death.name)]
        return Skip(record)


def _may_be_of(death: Death, record: Record, name: str) -> bool:
    """Whether a record that kills this process may be what a death was of."""
    if death.cause is Cause.KILLED:
        return False
    return death.record == record or (death.record is None and death.name == name)
