"""Compile everything a venue runs before it starts, one kernel after the other.

Processes are forked afterwards and find the machine code in memory. The first time takes seconds
a kernel; afterwards the code comes from the cache on disk. `python -m engine.warmup` fills it.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from engine.config import Config, load
from engine.driver import Driver, run_drive
from engine.durability import collecting, recalling, recovery
from engine.ingest import IngestPorts
from engine.intake import IngestState
from engine.market import commands
from engine.market.commands import link_special
from engine.matching import MatchingPorts, MatchingState
from engine.process import build_loop, call_ingest, call_matching, call_risk, run_loop
from engine.risk.stage import RiskPorts, link_risk
from engine.risk.state import RiskState
from engine.successor import Care, run_carefully
from engine.topology import DRIVER, plan
from engine.venue import create_private
from ipc.distant import link
from ipc.jit import INTERPRETED, cache_of
from ipc.ring import join, leave

Step = tuple[str, Callable[[], object]]

SPECIAL: Final = Path(commands.__file__).resolve()
"""Where the largest kernel stands."""


def _compile_beside() -> subprocess.Popen[bytes] | None:
    """Begin to compile the largest kernel in a process of its own, unless it is on the disk.

    It takes two thirds of all the time; the kernel is then fetched from the disk. What goes wrong
    there is seen again, and reported, when this process compiles it.
    """
    if INTERPRETED or any(cache_of(SPECIAL).rglob("*work_on*.nbi")):
        return None
    program = f"from {link_special.__module__} import link_special; link_special()"
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _fetch_special(helper: subprocess.Popen[bytes] | None) -> None:
    """Take the largest kernel from the disk when the process beside has put it there."""
    if helper is not None:
        helper.wait()
    link_special()


def stage_warmups() -> Iterator[Step]:
    """Those of `warmups` that compile the stages, without loops and processes around them."""
    helper = _compile_beside()
    yield "ingest", lambda: link(call_ingest, IngestState, IngestPorts, int)
    yield "matching", lambda: link(call_matching, MatchingState, MatchingPorts, int)
    yield "risk: accounts and events", link_risk
    yield "risk: orders", lambda: link(call_risk, RiskState, RiskPorts, int)
    yield "orders, phases, auctions", lambda: _fetch_special(helper)


def warmups(config: Config) -> Iterator[Step]:
    """Each kernel's name and a call that compiles it, run on a private, empty venue."""
    yield from stage_warmups()
    is_durable = config.venue.durability == "durable"
    # In the compact layout one process, and so one loop, has all stages.
    config = replace(config, venue=replace(config.venue, layout="compact", durability="memory"))
    topology = plan(config, clients=(DRIVER,), cores=[0])
    venue = create_private(config, topology)
    engine = next(process for process in topology.processes if process.name != DRIVER)
    loop = build_loop(venue, engine)
    yield "process loop", lambda: run_loop(loop, 0)
    yield "careful loop", lambda: run_carefully(loop, Care.allocate(), 0)
    events = venue.rings[topology.event_rings[0]]
    yield "ring", lambda: (join(events, 0), leave(events, 0))
    driver = Driver(venue)
    yield "driver", lambda: run_drive(driver._drive, -1)
    if is_durable:
        yield "journal", collecting.warm_up
        yield "recovery", recovery.warm_up
        yield "late gateways", recalling.warm_up


if __name__ == "__main__":
    for name, compile_one in stage_warmups() if sys.argv[1:] == ["stages"] else warmups(load()):
        print(f"compiling {name}", flush=True)
        compile_one()
