"""The supervisor: makes a venue's memory, starts its processes, watches them, ends them.

It owns the segments: they carry its pid, and go when it goes. Processes are forked, so they share
the mapped memory, the eventfds and the compiled code; if the supervisor dies they die with it.
This one lets who died be dead: what was in memory is lost. `tools.supervision.repairing` has the
one of a durable venue, which starts successors.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from engine.config import Config
from engine.process import serve_stages
from engine.topology import DRIVER, GATEWAY, ProcessPlan, Topology, plan
from engine.venue import VenueMemory, create
from gateway.process import serve_gateway
from ipc.counters import DEAD, RUNNING, STOPPED, ProcessEntry, begin_life, enlist, note_death
from ipc.wait import wake
from tools.supervision.children import Child, Children, Main, told
from tools.supervision.policy import NS_PER_SECOND
from tools.supervision.stalls import raw_ns

START_SECONDS_MAX: Final = 30.0
"""A process that has not joined its rings by then is taken for stuck."""

STOP_SECONDS_MAX: Final = 3.0
"""Time to end after the stop word before a process is killed."""

POLL_SECONDS: Final = 0.05
"""How often the supervisor looks after its processes, beside noticing each death at once."""

Asked = Callable[[], bool]
"""Whether the venue is to stop."""

Tell = Callable[[str], None]
"""Says something to the operator."""


class StartFailed(Exception):
    """A process ended before the venue was ready; the message says which and why."""


class StartInterrupted(Exception):
    """The venue was asked to stop before it was ready; nothing of it is left."""


def never() -> bool:
    """Nobody asks."""
    return False


def told_to_nobody(text: str) -> None:
    """Nobody listens."""


class Supervisor:
    """One running venue."""

    def __init__(self, config: Config, clients: tuple[str, ...] = (GATEWAY,)) -> None:
        """Lay the venue out in shared memory; raises ipc.errors.SegmentInUse when it runs."""
        self.topology: Topology = plan(config, clients)
        self.venue: VenueMemory = create(config, self.topology)
        self.died: list[str] = []
        self.failure = ""
        "Why the venue cannot go on; empty while it can."
        self.children = Children()
        if GATEWAY in clients:
            bell = self.venue.entry(GATEWAY).bell
            bell.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    # --- start ---------------------------------------------------------------------------------

    def start(self, asked_to_stop: Asked = never) -> None:
        """Fork every process and wait until all run.

        Raises StartFailed or StartInterrupted; nothing is left then.
        """
        try:
            self._start_all(asked_to_stop)
        except BaseException:
            self.stop()
            raise
        self.venue.counters.ready = 1

    def _start_all(self, asked_to_stop: Asked) -> None:
        for process in self.topology.processes:
            self._begin(process)
        self._await_running(self.topology.processes, asked_to_stop)

    def _begin(self, process: ProcessPlan) -> None:
        """Start a process; a driver is the supervisor's own, which takes the place itself."""
        entry = self.venue.entry(process.name)
        if DRIVER in process.stages:
            enlist(entry)
            entry.state = RUNNING
        else:
            self._fork(process)

    def _fork(self, process: ProcessPlan) -> Child:
        """Start the first process of an entry, or the next one."""
        entry = self.venue.entry(process.name)
        self.venue.epoch = begin_life(entry)
        return self.children.fork(process, self._main_of(process))

    def _main_of(self, process: ProcessPlan) -> Main:
        """What the process does."""
        serve = serve_gateway if GATEWAY in process.stages else serve_stages
        return lambda: serve(self.venue, process)

    def _await_running(self, processes: Sequence[ProcessPlan], asked_to_stop: Asked) -> None:
        entries = [self.venue.entry(process.name) for process in processes]
        self._await(
            lambda: all(entry.state == RUNNING for entry in entries), asked_to_stop, entries
        )

    def _await(
        self, condition: Callable[[], bool], asked_to_stop: Asked, on: Sequence[ProcessEntry] = ()
    ) -> None:
        """Wait for a step of the start, that of `on` as long as they beat.

        Raises StartFailed, StartInterrupted.
        """
        began_ns = raw_ns()
        while not condition():
            if asked_to_stop():
                raise StartInterrupted("asked to stop before it was ready")
            self.poll(0.005)
            beats = [entry.heartbeat.word.value for entry in on if entry.state != RUNNING]
            waited_ns = raw_ns() - max(began_ns, min(beats, default=0))
            if self.died or waited_ns > START_SECONDS_MAX * NS_PER_SECOND:
                raise StartFailed(self._why_not())

    def _why_not(self) -> str:
        lines = []
        for process in self.topology.processes:
            entry = self.venue.entry(process.name)
            if entry.epoch > 0 and entry.state != RUNNING:
                lines.append(f"{process.name}: {entry.last_error.get() or 'did not start'}")
        return "; ".join(lines) or f"no answer within {START_SECONDS_MAX:.0f} s"

    # --- watching ------------------------------------------------------------------------------

    def poll(self, wait_seconds: float = 0.0) -> list[str]:
        """Collect ended children; returns the names of those that died since the last look.

        Waits for the first of them. A dead gateway no longer holds the event ring back; a dead
        stage does, so that nothing is lost while it is gone.
        """
        found = []
        for child, code in self.children.reap(wait_seconds):
            entry = self.venue.entry(child.name)
            if entry.state == STOPPED and code == 0:
                continue
            self._note_death(child, entry, code)
            found.append(child.name)
        self.died += found
        return found

    def _note_death(self, child: Child, entry: ProcessEntry, code: int) -> None:
        if entry.state != DEAD:  # else it has said of what
            note_death(entry, child.doomed or told(code))
        self.venue.counters.ready = 0
        if GATEWAY in child.plan.stages:
            self.venue.leave_events(GATEWAY)

    def serve(self, asked_to_stop: Asked, tell: Tell) -> None:
        """Watch until asked to stop or until no process is left."""
        while self.children.living and not asked_to_stop():
            for name in self.poll(POLL_SECONDS):
                tell(f"{name} died; the others go on. `okimi status` shows why")
        if self.died:
            self.failure = f"{', '.join(self.died)} died"

    # --- end -----------------------------------------------------------------------------------

    def stop(self) -> None:
        """End every process and remove every segment. Safe to call twice."""
        self.venue.counters.ready = 0
        self._stop_all(list(self.children.living.values()), STOP_SECONDS_MAX)
        self.venue.remove()

    def _stop_all(self, children: list[Child], seconds: float) -> None:
        """The stop word for all, and SIGTERM; who has not ended by then is killed."""
        self.venue.counters.stop.value = 1
        for process in self.topology.processes:
            wake(self.venue.entry(process.name).bell)
        self.children.end(children, seconds)


class StopRequest:
    """SIGINT or SIGTERM, remembered; call it to ask whether one came.

    Where nobody asks, in a replay or a benchmark, it ends what is under way: see `interrupting`.
    """

    def __init__(self) -> None:
        self._asked = False
        self._interrupts = False

    def install(self) -> None:
        """Take the signals of the calling process from now on."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        self._asked = True
        if self._interrupts:
            self._interrupts = False
            raise KeyboardInterrupt

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._asked

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Meanwhile the first signal raises KeyboardInterrupt, wherever the program is."""
        self._interrupts = True
        try:
            yield
        finally:
            self._interrupts = False
