"""The supervisor of a durable venue: who dies or hangs gets a successor, which rebuilds its state.

Nobody takes the place of a process before it is gone: the supervisor waits for its end, raises the
epoch of its entry, and only then forks. What a process remembers follows from the journal, so a
successor knows all that its predecessor knew; the others wait for it at their rings.
"""

import mmap
import signal
import socket
import time
from collections.abc import Callable
from typing import Final

from engine.config import Config
from engine.durability.committing import data_dir_of
from engine.durability.datadir import Lock
from engine.durability.snapshot_job import Schedule, run_snapshot_job
from engine.sections import Gateway
from engine.topology import GATEWAY, JOURNAL, SHADOW, ProcessPlan, is_stage
from gateway.process import PortTaken, bind
from ipc.counters import RUNNING, STARTING, note_death
from tools.supervision.children import Child, Main
from tools.supervision.control import Control
from tools.supervision.mains import main_of, recovery_main
from tools.supervision.policy import Skip, Stop
from tools.supervision.repairs import Repairs, death_of
from tools.supervision.stalls import NS_PER_MS, Pulse, StallWatch, raw_ns, take_pulse
from tools.supervisor import (
    POLL_SECONDS,
    START_SECONDS_MAX,
    STOP_SECONDS_MAX,
    Asked,
    StartFailed,
    StartInterrupted,
    Supervisor,
    Tell,
    told_to_nobody,
)

RECOVERY: Final = "recovery"
"""The process that rebuilds the whole venue before the others begin."""

SNAPSHOT: Final = "snapshot"
"""The process that takes a snapshot where there is no shadow, and comes and goes."""

BOARD_BYTES: Final = 4096
"""Room for what is wrong with a folder."""

IDLE_SECONDS_MAX: Final = 1.0
"""How long an orderly stop waits for what is under way once no gateway sends any more."""

JOURNAL_SECONDS_MAX: Final = 30.0
"""The journal may still have a whole ring to write, to a slow disk."""


class DurableSupervisor(Supervisor):
    """One running venue whose data is in a folder."""

    def __init__(self, config: Config, clients: tuple[str, ...] = (GATEWAY,)) -> None:
        """Take the folder and the address that the configuration names, and lay the venue out.

        Raises DataDirInUse and StartFailed beside what Supervisor raises.
        """
        self.data_dir = data_dir_of(config)
        self.lock = Lock(self.data_dir)
        self.bound: socket.socket | None = None
        try:
            if GATEWAY in clients:
                self.bound = _bound(config.gateway)
            super().__init__(config, clients)
        except BaseException:
            self._let_go()
            raise
        self.repairs = Repairs(config.durability, self.venue)
        self.stalls = StallWatch(config.durability.stall_ms * NS_PER_MS)
        self.control = Control(self.venue)
        self.tell: Tell = told_to_nobody
        self.absent: dict[str, int] = {}
        "Processes that are not back yet, and when they died; CLOCK_MONOTONIC_RAW."
        self._serves = False
        self._snapshots: Schedule | None = None
        "When the next one is due; None where the shadow takes them."

    # --- start ---------------------------------------------------------------------------------

    def _start_all(self, asked_to_stop: Asked) -> None:
        """The state first, then the journal, the stages, the barrier; clients come last."""
        self._recover(asked_to_stop)
        plans = self.topology.processes
        journal = [plan for plan in plans if _is_journal(plan)]
        stages = [plan for plan in plans if _works(plan)]
        for group in (journal, stages):
            self._begin_all(group, asked_to_stop)
        sent = self.control.barrier(self.venue.counters.durable.term)
        self._await(lambda: self.control.is_durable(sent), asked_to_stop)
        self._begin_all([plan for plan in plans if plan not in (*journal, *stages)], asked_to_stop)
        self._skip_what_kills()
        self._serves = True
        self._plan_snapshots()

    def _begin_all(self, plans: list[ProcessPlan], asked_to_stop: Asked) -> None:
        for plan in plans:
            self._begin(plan)
        self._await_running(tuple(plans), asked_to_stop)

    def _recover(self, asked_to_stop: Asked) -> None:
        """Rebuild the venue from its folder, in a process: a record may kill whoever executes it.

        Raises StartFailed with what went wrong.
        """
        journal = next(filter(_is_journal, self.topology.processes))
        entry = self.venue.entry(journal.name)
        plan = ProcessPlan(RECOVERY, (), journal.cpu, journal.strategy)
        board = mmap.mmap(-1, BOARD_BYTES)
        while True:
            entry.at, entry.state = 0, STARTING
            entry.heartbeat.word.value = raw_ns()
            repairs = self.repairs
            skips, careful = frozenset(repairs.skips), RECOVERY in repairs.careful
            main = recovery_main(self.venue, self.data_dir, skips, careful, board)
            child, code = self._end_of_recovery(self.children.fork(plan, main), asked_to_stop)
            if code == 0:
                return
            death = death_of(child, code, entry)
            if isinstance(self.repairs.judge(death), Stop):
                raise StartFailed(board[:].rstrip(b"\0").decode(errors="ignore") or death.text)
            self.tell(f"{RECOVERY} died ({death.text}) and begins again")

    def _end_of_recovery(self, child: Child, asked_to_stop: Asked) -> tuple[Child, int]:
        beat = self.venue.entry(self.topology.host_of(JOURNAL)).heartbeat.word
        while True:
            ended = self.children.reap(POLL_SECONDS)
            if ended:
                return ended[0]
            if asked_to_stop():
                raise StartInterrupted("asked to stop while it recovered")
            self._end_stalled([take_pulse(RECOVERY, child.pid, beat.value)])

    def _main_of(self, process: ProcessPlan) -> Main:
        """What the process does; a stage that is not the first one has a state to rebuild."""
        successor = None
        if self._serves and _works(process):
            successor = self.repairs.successor(process, self.data_dir)
        return main_of(self.venue, process, self.bound, successor)

    # --- watching ------------------------------------------------------------------------------

    def poll(self, wait_seconds: float = 0.0) -> list[str]:
        """Look after all processes once: bury, start successors, find out who hangs.

        Waits for the first end. Returns the names of those that ended. Before the venue serves,
        nobody gets a successor; see `start`.
        """
        if not self._serves:
            return super().poll(wait_seconds)
        found = []
        for child, code in self.children.reap(wait_seconds):
            if child.name == SNAPSHOT:
                self._note_snapshot(code)
            else:
                self._repair(child, code)
                found.append(child.name)
        self._end_stalled(self._pulses())
        self._note_returns()
        if self._snapshots is not None and self._snapshots.is_due(self.venue.counters.durable.dseq):
            self._begin_snapshot()
        return found

    def serve(self, asked_to_stop: Asked, tell: Tell) -> None:
        """Watch and repair until asked to stop, or until the venue cannot go on: see `failure`."""
        self.tell = tell
        while not self.failure and not asked_to_stop():
            self.poll(POLL_SECONDS)

    def _repair(self, child: Child, code: int) -> None:
        """The end of a process: mourn it, and start what the verdict says."""
        entry = self.venue.entry(child.name)
        death = death_of(child, code, entry)
        note_death(entry, death.text)
        if GATEWAY in child.plan.stages:
            self.venue.leave_events(GATEWAY)
        verdict = self.repairs.judge(death)
        if child.name == SHADOW and isinstance(verdict, Stop):
            self.tell(f"the shadow is left dead: {verdict.why}")
            return
        if child.name != SHADOW:
            self.venue.counters.ready = 0
        if isinstance(verdict, Stop):
            self.failure = verdict.why
            self.tell(f"the venue stops: {verdict.why}")
            return
        self.tell(f"{child.name} died ({death.text}); a successor recovers")
        if isinstance(verdict, Skip):
            self.tell(f"record {verdict.record.number} has killed {child.name}: it is skipped")
        self.absent.setdefault(child.name, death.at_ns)
        self._fork(child.plan)

    def _note_returns(self) -> None:
        """Who runs again; with the last of them the venue is ready."""
        for name, since_ns in list(self.absent.items()):
            if self.venue.entry(name).state == RUNNING and self.children.named(name) is not None:
                del self.absent[name]
                self.tell(f"{name} runs again after {(raw_ns() - since_ns) / 1e9:.2f} s")
        if not self.absent and not self.failure and self.venue.counters.ready == 0:
            self._skip_what_kills()
            self.venue.counters.ready = 1

    def _skip_what_kills(self) -> None:
        """Have it journaled which decisions are skipped, and halt their instruments."""
        for dseq in self.repairs.take_due():
            self.control.skip(dseq)
            instrument = self.control.instrument_of(dseq)
            if instrument is not None:
                self.control.halt(instrument)

    def _pulses(self) -> list[Pulse]:
        """Of all processes that are to beat: from their first beat on, or from when it is due."""
        found = []
        for child in self.children.living.values():
            if child.doomed or child.name == SNAPSHOT:
                continue
            beat_ns = self.venue.entry(child.name).heartbeat.word.value
            first_due_ns = child.began_ns + int(START_SECONDS_MAX * 1e9)
            found.append(take_pulse(child.name, child.pid, beat_ns or first_due_ns))
        return found

    def _end_stalled(self, pulses: list[Pulse]) -> None:
        """Kill who hangs; the end is noticed like any other, and not before it is gone."""
        for stall in self.stalls.look(raw_ns(), pulses):
            child = self.children.living[stall.pid]
            child.doomed, child.hung = stall.text, not stall.stopped
            self.children.send(child, signal.SIGKILL)

    # --- snapshots where there is no shadow ------------------------------------------------------

    def _plan_snapshots(self) -> None:
        if any(SHADOW in plan.stages for plan in self.topology.processes):
            return
        minutes = self.venue.config.durability.snapshot_minutes
        self._snapshots = Schedule(minutes, self.venue.counters.durable.snapshot_dseq)

    def _begin_snapshot(self) -> None:
        """A process that takes one and ends; nothing happens while there is one."""
        if self.children.named(SNAPSHOT) is None:
            journal = next(filter(_is_journal, self.topology.processes))
            plan = ProcessPlan(SNAPSHOT, (), journal.cpu, journal.strategy)
            self.children.fork(plan, lambda: run_snapshot_job(self.venue))

    def _note_snapshot(self, code: int) -> None:
        """It has told the operator itself what was wrong."""
        if self._snapshots is not None and code == 0:
            self._snapshots.taken(self.venue.counters.durable.snapshot_dseq)
        elif self._snapshots is not None:
            self._snapshots.failed()

    # --- end -----------------------------------------------------------------------------------

    def stop(self) -> None:
        """End in good order: who sends first, the journal last, then a snapshot; leave nothing.

        Safe to call twice.
        """
        self.venue.counters.ready = 0
        served, self._serves = self._serves, False
        self._end(lambda plan: GATEWAY in plan.stages, STOP_SECONDS_MAX)
        if served and not self.failure and not self.absent:
            self._await_idle()
        self._end(_works, STOP_SECONDS_MAX)
        self._end(_is_journal, JOURNAL_SECONDS_MAX)
        self._stop_all(list(self.children.living.values()), STOP_SECONDS_MAX)
        if served and not self.failure:
            self._begin_snapshot()
            while self.children.living:
                for _, code in self.children.reap(POLL_SECONDS):
                    self._note_snapshot(code)
        self.venue.remove()
        self._let_go()

    def _let_go(self) -> None:
        """Give folder and address back."""
        if self.bound is not None:
            self.bound.close()
        self.lock.release()

    def _end(self, chosen: Callable[[ProcessPlan], bool], seconds: float) -> None:
        children = [child for child in self.children.living.values() if chosen(child.plan)]
        self.children.end(children, seconds)

    def _await_idle(self) -> None:
        deadline = time.monotonic() + IDLE_SECONDS_MAX
        while not self.control.is_idle and time.monotonic() < deadline:
            time.sleep(0.002)


def _hosts_stages(plan: ProcessPlan) -> bool:
    return any(map(is_stage, plan.stages))


def _bound(settings: Gateway) -> socket.socket:
    """The gateway's address, kept by the supervisor: it is the same for all gateways in turn."""
    try:
        return bind(settings.host, settings.port)
    except PortTaken as error:
        raise StartFailed(str(error)) from None


def _works(plan: ProcessPlan) -> bool:
    """Whether it is a process of ingest, risk or matching."""
    return _hosts_stages(plan) and JOURNAL not in plan.stages


def _is_journal(plan: ProcessPlan) -> bool:
    return JOURNAL in plan.stages
