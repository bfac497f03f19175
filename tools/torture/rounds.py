"""The run: strike, wait until the venue serves again, look at what clients were told, again."""

import os
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress, TaskID

from tools.run import progress_bar
from tools.torture.audit import VIOLATIONS, Auditor
from tools.torture.crowd import CrowdHandle
from tools.torture.errors import TortureFailed
from tools.torture.killer import Killer, Strike
from tools.torture.patient import SUPERVISOR, Patient, wait_until
from tools.torture.record import Acknowledged, Canceled

LOAD_SECONDS: Final = (0.02, 0.5)
"""Time for which the venue serves between two strikes."""

AUDIT_SECONDS: Final = 45.0
"""Time between two audits; clients wait meanwhile."""

ANSWER_SECONDS_MAX: Final = 30.0
"""A venue that says that it is ready and answers no order for so long is not."""

NS_PER_MS: Final = 1_000_000
ANSWERS_KEPT: Final = 4096


@dataclass
class Pauses:
    """What a kind of strike costs, each in ms: until a successor serves, and for clients."""

    ready_ms: list[float] = field(default_factory=list)
    "Until all processes say that they are ready."
    pause_ms: list[float] = field(default_factory=list)
    "The longest time without an answer to any client."

    def report(self) -> dict[str, Any]:
        """The fields for --json."""
        return {
            "count": len(self.pause_ms),
            "pause_ms_p50": round(statistics.median(self.pause_ms), 1),
            "pause_ms_max": round(max(self.pause_ms), 1),
            "ready_ms_p50": round(statistics.median(self.ready_ms), 1),
        }


class Torture:
    """One run over one data folder."""

    def __init__(self, folder: Path, layout: str | None, seed: int) -> None:
        self.patient = Patient(f"torture-{os.getpid()}", folder, layout)
        self.random = Random(seed)
        self.auditor = Auditor(self.patient.data)
        config = self.auditor.config
        self.killer = Killer(self.patient, seed, config.durability.stall_ms)
        self.crowd = CrowdHandle(self.patient.address, len(config.accounts), seed, folder)
        self.pauses: dict[str, Pauses] = defaultdict(Pauses)
        self.answers: list[int] = []
        "When the last answers came."
        self.audits = 0
        self.pids: dict[str, int] = {}
        "Of the processes after the strike before."

    # --- steps -----------------------------------------------------------------------------------

    def listen(self) -> None:
        """Take what clients have written down."""
        self.crowd.check()
        facts = self.crowd.record.poll()
        self.auditor.take(facts)
        self.answers += [fact.at_ns for fact in facts if isinstance(fact, Acknowledged | Canceled)]
        del self.answers[:-ANSWERS_KEPT]

    def begin(self) -> None:
        """Start the venue, let clients trade, and wait until they do."""
        self.patient.start()
        self.crowd.go()
        wait_until(lambda: self._answered_since(0), ANSWER_SECONDS_MAX, "no order is answered")
        self.pids = self._pids()

    def round(self, hit: Callable[[], Strike] | None = None) -> None:
        """Let clients trade for a moment, strike, and wait until they trade again."""
        time.sleep(self.random.uniform(*LOAD_SECONDS))
        self.listen()
        strike = (hit or self.killer.strike)()
        self._await_ready(strike)
        ready_ns = time.monotonic_ns()
        wait_until(
            lambda: self._answered_since(ready_ns), ANSWER_SECONDS_MAX, "no order is answered"
        )
        pauses = self.pauses[strike.kind]
        pauses.ready_ms.append((ready_ns - strike.at_ns) / NS_PER_MS)
        pauses.pause_ms.append(self._longest_gap(strike.at_ns) / NS_PER_MS)

    def _await_ready(self, strike: Strike) -> None:
        if strike.kind == SUPERVISOR:
            self.patient.start()
        if strike.kind == "stopped":
            wait_until(self._is_ready, ANSWER_SECONDS_MAX, "a stopped process is not replaced")
            now = self._pids().items()
            self.killer.kills.update(name for name, pid in now if self.pids.get(name) != pid)
        for name, pid in strike.victims.items():
            self.patient.await_successor(name, pid)
        self.pids = self._pids()

    def _is_ready(self) -> bool:
        self.patient.check()
        sample = self.patient.sample()
        return sample is not None and sample.ready

    def _pids(self) -> dict[str, int]:
        return {name: each.pid for name, each in self.patient.processes().items()}

    def _answered_since(self, moment_ns: int) -> bool:
        self.patient.check()
        self.listen()
        return bool(self.answers) and self.answers[-1] > moment_ns

    def _longest_gap(self, since_ns: int) -> int:
        """The longest time between two answers of which the second came after a moment."""
        before = max((at for at in self.answers if at <= since_ns), default=since_ns)
        times = [before, *(at for at in self.answers if at > since_ns)]
        return max(later - earlier for earlier, later in pairwise(times))

    def audit(self) -> None:
        """Have clients stop, and judge all that they were told."""
        self.crowd.pause()
        self.listen()
        self.auditor.judge_running(self.patient)
        self.audits += 1
        self.crowd.go()

    def finish(self) -> None:
        """The last audit, an orderly stop, and all once more by what is then in the folder."""
        self.audit()
        self.crowd.pause()
        self.listen()
        self.crowd.end()
        if self.patient.stop() != 0:
            raise TortureFailed("the venue did not end well when it was asked to")
        self.auditor.judge_ended()

    # --- the run ---------------------------------------------------------------------------------

    def run(self, minutes: float, kills_max: int | None, show: "Show") -> None:
        """Strike until the time is over or enough have died. TortureFailed."""
        self.begin()
        began = time.monotonic()
        end, audited = began + minutes * 60, began
        while time.monotonic() < end and (kills_max is None or self.kills < kills_max):
            self.round()
            if time.monotonic() - audited > AUDIT_SECONDS:
                self.audit()
                audited = time.monotonic()
            share = (time.monotonic() - began) / (end - began)
            show(share, self.kills, len(self.auditor.acknowledged))
        self.finish()

    @property
    def kills(self) -> int:
        """Processes that have died so far."""
        return self.killer.kills.total()

    def end(self) -> None:
        """Nothing runs afterwards."""
        self.crowd.end()
        self.patient.end()
        if self.auditor.truth is not None:
            self.auditor.truth.free()

    def report(self) -> dict[str, Any]:
        """The fields of the result, but how long it took."""
        auditor, killer = self.auditor, self.killer
        truth = auditor.truth
        return {
            "kills": dict(sorted(killer.kills.items())),
            "kills_total": self.kills,
            "stopped": dict(sorted(killer.stopped.items())),
            "acknowledged": len(auditor.acknowledged),
            **{name: auditor.found[name] for name in VIOLATIONS},
            "fills_told": len(auditor.told),
            "audits": self.audits,
            "decisions": 0 if truth is None else truth.dseq,
            "sent_again": dict(auditor.unanswered.most_common()),
            "pauses": {kind: each.report() for kind, each in sorted(self.pauses.items())},
            "problems": auditor.problems,
        }


class Show:
    """Progress on the terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self.progress, self.task = progress, task

    def __call__(self, share: float, kills: int, acknowledged: int) -> None:
        """How much of the run is over, and what has come of it."""
        text = f"{kills} killed, {acknowledged:,} orders"
        self.progress.update(self.task, description=text, completed=share)


def run(
    console: Console,
    minutes: float,
    kills_max: int | None = None,
    layout: str | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """Torture a venue of its own; the result has the fields of `okimi torture --json`.

    The folder of the venue stays when something was wrong, and is named in the result.
    """
    seed = Random().randrange(1 << 32) if seed is None else seed
    folder = Path(tempfile.mkdtemp(prefix="okimi-torture-"))
    began = time.monotonic()
    with progress_bar(console) as progress:
        task = progress.add_task("starting the venue", total=1.0)
        torture = Torture(folder, layout, seed)
        failure = ""
        try:
            torture.run(minutes, kills_max, Show(progress, task))
        except TortureFailed as error:
            failure = str(error)
        finally:
            result = torture.report()
            torture.end()
    ok = not failure and not any(result[name] for name in VIOLATIONS)
    if ok:
        shutil.rmtree(folder)
    return {
        **result,
        "ok": ok,
        "failure": failure or None,
        "folder": None if ok else str(folder),
        "seed": seed,
        "layout": layout or "auto",
        "seconds": round(time.monotonic() - began, 1),
    }
