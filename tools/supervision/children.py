"""The processes that a supervisor has forked: how they begin, and when they are gone.

Each is held by a pidfd, so that an end is noticed at once, and never taken for that of another
process with the same pid.
"""

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.membership import EXIT_FENCED, die_with_parent
from engine.topology import ProcessPlan
from tools.supervision.stalls import raw_ns

Main = Callable[[], int]
"""What a child does; returns its exit code."""


def told(code: int) -> str:
    """An exit code, as of subprocess, in words."""
    if code == EXIT_FENCED:
        return "found that it has a successor"
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


@dataclass(slots=True)
class Child:
    """A forked process."""

    pid: int
    plan: ProcessPlan
    descriptor: int
    "Its pidfd."
    began_ns: int
    doomed: str = ""
    "Why it has been killed by the supervisor; it may take a while to be gone."
    hung: bool = False
    "It was working when it was killed for its silence, not stopped from outside."

    @property
    def name(self) -> str:
        """The name of its process."""
        return self.plan.name


@dataclass(slots=True)
class Children:
    """All that live, by pid."""

    living: dict[int, Child] = field(default_factory=dict)

    def fork(self, plan: ProcessPlan, main: Main) -> Child:
        """Begin a process. What `main` raises is told on standard error; the exit code is 1."""
        sys.stdout.flush()
        sys.stderr.flush()
        supervisor = os.getpid()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                # Until the process has handlers of its own it ends like any other.
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                die_with_parent()
                if os.getppid() == supervisor:
                    code = main()
            except Exception as error:
                print(f"okimi: {plan.name}: {error}", file=sys.stderr, flush=True)
            finally:
                os._exit(code)
        child = Child(pid, plan, os.pidfd_open(pid), raw_ns())
        self.living[pid] = child
        return child

    def named(self, name: str) -> Child | None:
        """The living process of that name."""
        return next((child for child in self.living.values() if child.name == name), None)

    def reap(self, wait_seconds: float = 0.0) -> list[tuple[Child, int]]:
        """Those that have ended, and their exit codes as of subprocess; waits for the first."""
        poll = select.poll()
        for child in self.living.values():
            poll.register(child.descriptor, select.POLLIN)
        poll.poll(wait_seconds * 1000)
        found = []
        for child in list(self.living.values()):
            ended, status = os.waitpid(child.pid, os.WNOHANG)
            if ended != 0:
                del self.living[child.pid]
                os.close(child.descriptor)
                found.append((child, os.waitstatus_to_exitcode(status)))
        return found

    def send(self, child: Child, number: signal.Signals) -> None:
        """A signal to that very process; nothing happens when it is gone."""
        if child.pid not in self.living:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(child.descriptor, number)

    def end(self, children: list[Child], seconds: float) -> list[tuple[Child, int]]:
        """SIGTERM, and SIGKILL for who has not ended by then; returns when all are gone."""
        ended: list[tuple[Child, int]] = []
        for child in children:
            self.send(child, signal.SIGTERM)
        deadline = raw_ns() + int(seconds * 1e9)
        killed = False
        while any(child.pid in self.living for child in children):
            ended += self.reap(0.01)
            if not killed and raw_ns() > deadline:
                killed = True
                for child in children:
                    self.send(child, signal.SIGKILL)
        return ended
