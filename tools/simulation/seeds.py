"""One seed from its number to its verdict, and many of them in several processes.

A seed is a pure function of its number, of the number of commands and of the source code: a failing
one is shown with the command that repeats it.
"""

import gc
import hashlib
import multiprocessing
import subprocess
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from tools.simulation import options as faults
from tools.simulation.derivations import Derivation
from tools.simulation.judging import expect, judge
from tools.simulation.markets import MARKETS
from tools.simulation.options import Options, options_of
from tools.simulation.runs import Run
from tools.simulation.second_opinion import ask_twin
from tools.simulation.worlds import World

COMMANDS: Final = 200
"""Commands of a seed unless told otherwise: enough for a few faults to meet."""

TWIN_EVERY: Final = 4
"""The naive twin, which takes as long as the rest, judges the seeds that this number divides."""

CHUNK: Final = 8
"""Seeds that a process takes at a time."""


@dataclass(slots=True)
class Outcome:
    """What came of one seed."""

    seed: int
    faults: Counter[str]
    commands: int = 0
    "Decided, repetitions included."
    problem: str = ""
    "Empty: nothing was violated."
    detail: str = ""
    digest: str = ""
    "Of all that the journal says: the same in every run of the seed."
    cpu_seconds: float = 0.0


TIDY_EVERY: Final = 16
"""Seeds from one collection of garbage to the next. An error keeps the frames that it went through,
and so all of its run; what Python waits for before it looks for such circles is gigabytes here."""

_worlds: dict[tuple[str, int], World] = {}


def world_of(options: Options) -> World:
    """The world that a seed runs in, which this process keeps."""
    kind = (options.market, options.shards)
    if kind not in _worlds:
        _worlds[kind] = World(MARKETS[options.market], options.shards)
        gc.freeze()  # so that collections do not look at it, nor at the compiler, again
    return _worlds[kind]


def forget_worlds() -> None:
    """Let go of the worlds that this process keeps."""
    for world in _worlds.values():
        world.close()
    _worlds.clear()
    gc.unfreeze()


def run_seed(seed: int, commands: int = COMMANDS, twin: bool | None = None) -> Outcome:
    """Run and judge one seed. `twin`: whether it is asked; None: by the seed's number."""
    began = time.process_time()
    options = options_of(Random(f"{seed} options"), commands)
    outcome = Outcome(seed, Counter())
    try:
        run = Run(world_of(options), seed, options)
        outcome.faults = run.faults
        run.safety()
        run.liveness()
        decisions = examine(run, seed % TWIN_EVERY == 0 if twin is None else twin)
        outcome.commands = len(decisions)
        outcome.digest = hashlib.sha256(decisions.tobytes()).hexdigest()
    except Exception as error:  # whatever it is, it must not happen
        outcome.problem = f"{type(error).__name__}: {error}"
        outcome.detail = traceback.format_exc()
        forget_worlds()  # what it has left may be anything
    if seed % TIDY_EVERY == 0:
        gc.collect()
    outcome.cpu_seconds = time.process_time() - began
    return outcome


def examine(run: Run, twin: bool) -> Any:
    """Judge a run that has come to rest; returns its decisions. Violation, Diverged."""
    world = run.world
    judges = world.kept(Derivation)
    judges.restart()
    judges.record()
    judges.follow(run.disk)
    judges.settle()
    decisions = judge(run.traders, judges.history, world)
    difference = judges.differs(world)
    expect(not difference, f"derived again, the state differs in {difference}")
    run.shadow.copy.settle()
    difference = run.shadow.copy.differs(world)
    expect(not difference, f"the shadow's state differs in {difference}")
    if twin:
        ask_twin(world, decisions, judges.history)
    run.faults[faults.DUPLICATE] += sum(trader.repeats for trader in run.traders)
    run.faults[faults.ARCHIVED] += run.shadow.archived
    return decisions


# --- many --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Campaign:
    """What came of many seeds."""

    seeds: int = 0
    commands: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    failures: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def count(self, outcome: Outcome) -> None:
        """Add one seed."""
        self.seeds += 1
        self.commands += outcome.commands
        self.faults += outcome.faults
        self.cpu_seconds += outcome.cpu_seconds
        if outcome.problem:
            self.failures.append(outcome)

    @property
    def seeds_per_hour(self) -> float:
        """By the clock on the wall."""
        return self.seeds / self.seconds * 3_600 if self.seconds else 0.0

    @property
    def seeds_per_core_hour(self) -> float:
        """By the time of processors."""
        return self.seeds / self.cpu_seconds * 3_600 if self.cpu_seconds else 0.0


def _run_numbered(given: tuple[int, int]) -> Outcome:
    return run_seed(*given)


def _outcomes(first: int, count: int, commands: int, jobs: int) -> Iterator[Outcome]:
    wanted = ((seed, commands) for seed in range(first, first + count))
    if jobs == 1:
        yield from map(_run_numbered, wanted)
        return
    run_seed(first, commands)  # compiles here, so that not every process does
    forget_worlds()  # their page maps are those of this process
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap_unordered(_run_numbered, wanted, CHUNK)


def run_campaign(
    first: int,
    count: int,
    commands: int,
    jobs: int,
    heard: Callable[[Outcome, Campaign], None],
) -> Campaign:
    """Run seeds from `first` on; `heard` gets each outcome as it comes."""
    campaign = Campaign()
    began = time.monotonic()
    for outcome in _outcomes(first, count, commands, jobs):
        campaign.count(outcome)
        campaign.seconds = time.monotonic() - began
        heard(outcome, campaign)
    campaign.failures.sort(key=lambda each: each.seed)
    return campaign


def commit() -> str:
    """The commit of the source code, with `+` when files have changed since; empty if unknown."""
    root = Path(__file__).resolve().parents[2]
    try:
        found = [
            subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, check=True, text=True
            ).stdout.strip()
            for arguments in (("rev-parse", "HEAD"), ("status", "--porcelain", "-uno"))
        ]
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found[0] + ("+" if found[1] else "")
