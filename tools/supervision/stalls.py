"""Which processes hang: their heart has not beaten, and that is their own doing.

A busy machine must not cost a process its life. So an old heartbeat only makes a process suspect,
and the suspicion has to hold for a while in which the supervisor itself was never late. Then it is
guilty if it is stopped, if it sleeps and does not wake, or if it has worked for as long as a stall
takes, counted in processor time of its own. One that wants the processor and does not get it, or
that waits for the disk, is given ten times as long: somebody else is in its way, and a successor
would be no better off.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tools.sample import processor_ns

NS_PER_MS: Final = 1_000_000

CONFIRM_SHARE: Final = 4
"""A suspicion holds for 1/4 of the time to a stall before it counts."""

SLEEP_SHARE: Final = 20
"""Who has used less than 1/20 of that time has slept."""

PATIENCE: Final = 10
"""So many times the time to a stall for a process that waits for the processor or the disk."""

LATE_NS: Final = 250 * NS_PER_MS
"""A supervisor that has not looked for five times its interval was held up itself; whatever held it
up may have held up all others."""

STOPPED_STATES: Final = "Tt"
"""Process states of the kernel: stopped by a signal, or by a debugger."""

SLEEPING_STATE: Final = "S"
"""Waits for something that is no disk."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """What can be seen of a process from outside, at one moment."""

    name: str
    pid: int
    beat_ns: int
    "CLOCK_MONOTONIC_RAW of the last heartbeat."
    cpu_ns: int
    "Processor time used so far."
    state: str
    "A letter, as in /proc/PID/stat."


@dataclass(frozen=True, slots=True)
class Stall:
    """A process that hangs."""

    name: str
    pid: int
    stopped: bool
    "By a signal or a debugger, so from outside."
    text: str


@dataclass(slots=True)
class _Suspicion:
    pulse: Pulse
    since_ns: int


@dataclass(slots=True)
class StallWatch:
    """Looks at the processes of a venue again and again."""

    stall_ns: int
    _beats: dict[str, Pulse] = field(default_factory=dict)
    "Of each process: how it was when its last heartbeat was new."
    _suspicions: dict[str, _Suspicion] = field(default_factory=dict)
    _looked_ns: int = 0

    def look(self, now_ns: int, pulses: Iterable[Pulse]) -> list[Stall]:
        """The processes that hang, as far as this look and those before it tell."""
        late = now_ns - self._looked_ns > LATE_NS
        self._looked_ns = now_ns
        found = []
        before, self._suspicions = self._suspicions, {}
        for pulse in pulses:
            if _moved(self._beats.get(pulse.name), pulse):
                self._beats[pulse.name] = pulse
            if now_ns - pulse.beat_ns <= self.stall_ns:
                continue
            known = before.get(pulse.name)
            if known is None or late or _moved(known.pulse, pulse):
                known = _Suspicion(pulse, now_ns)
            self._suspicions[pulse.name] = known
            if self._holds(known, now_ns, pulse):
                found.append(_stall(now_ns, pulse))
        return found

    def _holds(self, known: _Suspicion, now_ns: int, pulse: Pulse) -> bool:
        confirm_ns = self.stall_ns // CONFIRM_SHARE
        if now_ns - known.since_ns < confirm_ns:
            return False
        if pulse.state in STOPPED_STATES:
            return True
        slept = pulse.cpu_ns - known.pulse.cpu_ns < confirm_ns // SLEEP_SHARE
        if pulse.state == SLEEPING_STATE and slept:
            return True
        worked_ns = pulse.cpu_ns - self._beats[pulse.name].cpu_ns
        return worked_ns > self.stall_ns or now_ns - pulse.beat_ns > PATIENCE * self.stall_ns


def _moved(earlier: Pulse | None, later: Pulse) -> bool:
    if earlier is None:
        return True
    return (earlier.pid, earlier.beat_ns) != (later.pid, later.beat_ns)


def _stall(now_ns: int, pulse: Pulse) -> Stall:
    stopped = pulse.state in STOPPED_STATES
    age_ms = (now_ns - pulse.beat_ns) // NS_PER_MS
    how = "it was stopped" if stopped else f"state {pulse.state}"
    return Stall(pulse.name, pulse.pid, stopped, f"no heartbeat for {age_ms} ms, {how}")


def take_pulse(name: str, pid: int, beat_ns: int) -> Pulse:
    """Look at a process; one that has ended has the state of a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        state = text.rpartition(")")[2].split()[0]
    except OSError:
        state = "Z"
    return Pulse(name, pid, beat_ns, processor_ns(pid), state)


def raw_ns() -> int:
    """The clock of heartbeats."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
