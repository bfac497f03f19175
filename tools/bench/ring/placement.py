"""Where the host has put the two cores right now, because that decides more than any code.

A virtual machine's cores move between runs and within them: siblings of one physical core, near
cores, or cores that share no cache. The guest's topology does not show it; the round trip of one
cache line and the slowdown of plain arithmetic while the other core is busy do.
"""

import os
import platform
import shutil
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from tools.bench.ring.loops import compute
from tools.bench.ring.pair import Arena, Samples

COMPUTE_ROUNDS: Final = 1_000_000
COMPUTE_TRIES: Final = 3

SIBLING_SLOWDOWN: Final = 1.4
"""Two hardware threads of one core slow each other down by nearly 2, two cores by nothing."""

FAR_LINE_NS: Final = 250
"""Cores that share a cache pass a line there and back in about 110 ns, others in about 450."""

SMT: Final = "smt"
NEAR: Final = "near"
FAR: Final = "far"
MOVED: Final = "moved"
"""Not the same before and after."""


def alu_slowdown(arena: Arena) -> float:
    """Time of some arithmetic while the other core does the same, over its time alone."""
    arena.clear()
    duel = arena.duel

    def left() -> None:
        alone = min(compute(duel.tally, COMPUTE_ROUNDS) for _ in range(COMPUTE_TRIES))
        arena.meet(0)
        both = min(compute(duel.tally, COMPUTE_ROUNDS) for _ in range(COMPUTE_TRIES))
        duel.tally.began_ns, duel.tally.ended_ns = alone, both

    def right() -> None:
        time.sleep(0.02)  # leaves the other side alone
        arena.meet(1)
        for _ in range(COMPUTE_TRIES + 1):  # one more: busy until the other side is done
            compute(duel.spare, COMPUTE_ROUNDS)

    arena.run(left, right)
    return duel.tally.ended_ns / max(duel.tally.began_ns, 1)


def placement_of(slowdowns: tuple[float, float], lines: tuple[Samples, Samples]) -> str:
    """What both looks before and both looks after a sample agree on, or MOVED."""
    siblings = [slowdown > SIBLING_SLOWDOWN for slowdown in slowdowns]
    if siblings == [True, True]:
        return SMT
    far = [float(np.median(line)) > FAR_LINE_NS for line in lines]
    if any(siblings) or far[0] != far[1]:
        return MOVED
    return FAR if far[0] else NEAR


def host_facts(cores: tuple[int, ...]) -> dict[str, Any]:
    """What a reader must know about the machine to compare figures."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor() or "unknown",
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "cores_used": list(cores),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "numba": version("numba"),
        "commit": commit(),
    }


def commit() -> str | None:
    """The commit of the sources that run, or None outside of a repository."""
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run(
        [git, "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None
