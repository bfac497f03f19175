"""Who is killed next, and how: by SIGKILL, together with another, or stopped for a while."""

import signal
import time
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Final

from tools.torture.patient import SUPERVISOR, Patient, send

WEIGHTS: Final = {"shadow": 3, SUPERVISOR: 1}
"""How often a process is chosen, of 6 for all others: a machine's start takes longest, and nobody
waits for a shadow."""

WEIGHT: Final = 6

PAIR_SHARE: Final = 0.08
"""Kills that hit two processes at once."""

STOP_SHARE: Final = 0.05
"""Processes that are stopped instead: they are killed by the supervisor for not beating, or go on
shortly before, whichever comes first."""

STOP_STALLS: Final = (0.3, 1.6)
"""How long they are stopped, in times of the supervisor's patience."""


@dataclass(frozen=True, slots=True)
class Strike:
    """What was done to the venue."""

    at_ns: int
    "Monotonic."
    victims: dict[str, int]
    "Pids by process; none when the machine itself was stopped."
    kind: str
    "Under which its pause is reported."


class Killer:
    """Strikes at random, of which a seed gives the order."""

    def __init__(self, patient: Patient, seed: int, stall_ms: int) -> None:
        self.patient, self.random = patient, Random(seed)
        self.stall_seconds = stall_ms / 1000
        self.kills: Counter[str] = Counter()
        "Processes that have died of it, by name."
        self.stopped: Counter[str] = Counter()
        "Processes that were stopped, by name; those of them that died are in `kills`, too."

    def strike(self) -> Strike:
        """Hit someone. The venue is ready before."""
        processes = [name for name, each in self.patient.processes().items() if each.alive]
        names = [*processes, SUPERVISOR]
        (first,) = self.random.choices(names, [WEIGHTS.get(name, WEIGHT) for name in names])
        chance = self.random.random()
        if first == SUPERVISOR:
            return self.kill_machine()
        if chance < STOP_SHARE:
            return self.stop(first)
        victims = [first]
        if chance < STOP_SHARE + PAIR_SHARE:
            victims.append(self.random.choice([name for name in processes if name != first]))
        return self.kill(*victims)

    def kill_machine(self) -> Strike:
        """Kill the supervisor, and with it all processes."""
        at_ns = time.monotonic_ns()
        self.patient.kill_all()
        self.kills[SUPERVISOR] += 1
        return Strike(at_ns, {}, SUPERVISOR)

    def kill(self, *victims: str) -> Strike:
        """Kill processes by name, at once."""
        processes = self.patient.processes()
        hit = {name: processes[name].pid for name in victims}
        at_ns = time.monotonic_ns()
        for name, pid in hit.items():
            send(pid, signal.SIGKILL)
            self.kills[name] += 1
        return Strike(at_ns, hit, victims[0] if len(victims) == 1 else "two at once")

    def stop(self, name: str) -> Strike:
        """Stop a process and let it go on, unless it has been killed for it meanwhile."""
        pid = self.patient.processes()[name].pid
        at_ns = time.monotonic_ns()
        self.stopped[name] += 1
        send(pid, signal.SIGSTOP)
        time.sleep(self.random.uniform(*STOP_STALLS) * self.stall_seconds)
        send(pid, signal.SIGCONT)
        return Strike(at_ns, {}, "stopped")
