"""The supervisor: makes a venue's memory, starts its processes, watches them, ends them.

It owns the segments: they carry its pid, and go when it goes. Processes are forked, so they share
the mapped memory, the eventfds and the compiled code; if the supervisor dies they die with it.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Final

from engine.config import Config
from engine.process import serve_stages
from engine.topology import DRIVER, GATEWAY, ProcessPlan, Topology, plan
from engine.venue import VenueMemory, create
from gateway.process import serve_gateway
from ipc.counters import DEAD, RUNNING, STOPPED, ProcessEntry, enlist
from ipc.wait import wake

START_SECONDS_MAX: Final = 30.0
"""A process that has not joined its rings by then is taken for stuck."""

STOP_SECONDS_MAX: Final = 3.0
"""Time to end after the stop word before a process is killed."""

POLL_SECONDS: Final = 0.05
"""How often the supervisor looks after its processes: a death shows in `okimi status` at once."""


class StartFailed(Exception):
    """A process ended before the venue was ready; the message says which and why."""


class Supervisor:
    """One running venue."""

    def __init__(self, config: Config, clients: tuple[str, ...] = (GATEWAY,)) -> None:
        """Lay the venue out in shared memory; raises ipc.errors.SegmentInUse when it runs."""
        self.topology: Topology = plan(config, clients)
        self.venue: VenueMemory = create(config, self.topology)
        self.died: list[str] = []
        self.children: dict[int, ProcessPlan] = {}
        if GATEWAY in clients:
            bell = self.venue.entry(GATEWAY).bell
            bell.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def start(self) -> None:
        """Fork every process and wait until all run. Raises StartFailed; nothing is left then."""
        for process in self.topology.processes:
            if DRIVER in process.stages:
                enlist(self.venue.entry(process.name))
                self.venue.entry(process.name).state = RUNNING
            else:
                self._fork(process)
        deadline = time.monotonic() + START_SECONDS_MAX
        waiting = [self.venue.entry(process.name) for process in self.topology.processes]
        while any(entry.state != RUNNING for entry in waiting):
            self.poll()
            if self.died or time.monotonic() > deadline:
                reason = self._why_not()
                self.stop()
                raise StartFailed(reason)
            time.sleep(0.005)
        self.venue.counters.ready = 1

    def _fork(self, process: ProcessPlan) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        supervisor = os.getpid()
        pid = os.fork()
        if pid != 0:
            self.children[pid] = process
            return
        code = 1
        try:
            if os.getppid() == supervisor:
                serve = serve_gateway if GATEWAY in process.stages else serve_stages
                code = serve(self.venue, process)
        except Exception as error:
            print(f"okimi: {process.name}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)

    def _why_not(self) -> str:
        lines = []
        for process in self.topology.processes:
            entry = self.venue.entry(process.name)
            if entry.state != RUNNING:
                lines.append(f"{process.name}: {entry.last_error.get() or 'did not start'}")
        return "; ".join(lines) or f"no answer within {START_SECONDS_MAX:.0f} s"

    def poll(self) -> list[str]:
        """Collect ended children; returns the names of those that died since the last look.

        A dead gateway no longer holds the event ring back; a dead stage does, so that nothing
        is lost while it is gone.
        """
        found = []
        for pid, process in list(self.children.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended == 0:
                continue
            del self.children[pid]
            entry = self.venue.entry(process.name)
            if entry.state == STOPPED and status == 0:
                continue
            self._note_death(process, entry, status)
            found.append(process.name)
        self.died += found
        return found

    def _note_death(self, process: ProcessPlan, entry: ProcessEntry, status: int) -> None:
        entry.state = DEAD
        self.venue.counters.ready = 0
        if not entry.last_error.get():
            code = os.waitstatus_to_exitcode(status)
            cause = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            entry.last_error.set(cause)
        if GATEWAY in process.stages:
            self.venue.leave_events(GATEWAY)

    def serve(self, asked_to_stop: Callable[[], bool], on_death: Callable[[str], None]) -> None:
        """Watch until asked to stop or until no process is left."""
        while self.children and not asked_to_stop():
            for name in self.poll():
                on_death(name)
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End every process and remove every segment. Safe to call twice."""
        self.venue.counters.ready = 0
        self.venue.counters.stop.value = 1
        for process in self.topology.processes:
            wake(self.venue.entry(process.name).bell)
        for pid in self.children:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while self.children and time.monotonic() < deadline:
            self.poll()
            time.sleep(0.005)
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)
        while self.children:
            self.poll()
            time.sleep(0.002)
        self.venue.remove()


class StopRequest:
    """SIGINT or SIGTERM, remembered; call it to ask whether one came."""

    def __init__(self) -> None:
        """Install the handlers for the calling process."""
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        self._asked = True

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._asked
