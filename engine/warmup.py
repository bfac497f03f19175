"""Compile everything a venue runs before it starts, one kernel after the other.

Processes are forked afterwards and find the machine code in memory. The first time takes seconds
a kernel; afterwards the code comes from the cache on disk.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from engine.config import Config
from engine.driver import Driver, run_drive
from engine.ingest import step_ingest
from engine.matching import step_matching
from engine.process import build_loop, run_loop
from engine.risk import step_risk
from engine.topology import DRIVER, plan
from engine.venue import create_private
from ipc.ring import join, leave

Step = tuple[str, Callable[[], object]]


def warmups(config: Config) -> Iterator[Step]:
    """Each kernel's name and a call that compiles it, run on a private, empty venue."""
    # In the compact layout one process, and so one loop, has all stages.
    config = replace(config, venue=replace(config.venue, layout="compact"))
    topology = plan(config, clients=(DRIVER,), cores=[0])
    venue = create_private(config, topology)
    engine = next(process for process in topology.processes if process.name != DRIVER)
    loop = build_loop(venue, engine)
    yield "ingest", lambda: step_ingest(loop.ingest, loop.ingest_ports, 1)
    shard = loop.shards[0]
    yield "matching", lambda: step_matching(shard.state, shard.ports, 1)
    yield "risk", lambda: step_risk(loop.risk, loop.risk_ports, 1)
    yield "process loop", lambda: run_loop(loop, 0)
    events = venue.rings[topology.event_rings[0]]
    yield "ring", lambda: (join(events, 0), leave(events, 0))
    driver = Driver(venue)
    yield "driver", lambda: run_drive(driver._drive, -1)
