"""A venue of two matching shards in real processes: the events of one shard in one process."""

import pytest
from rich.console import Console

from engine.driver import Driver
from engine.inprocess import InProcessVenue
from engine.messages import CommandFlag, CommandKind, EventKind
from engine.topology import DRIVER
from tests.sharded import by_instrument, decoded, sharded_config, stream
from tools.run import running_venue

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
"""The first test may have to compile the engine twice: for this process and for a venue's."""

COUNT = 3_000


@pytest.mark.parametrize("layout", ["compact", "spread"])
def test_two_shards_in_processes_make_the_events_of_one(layout):
    commands = stream(11, COUNT)
    ticks = commands[::100]
    ticks["kind"], ticks["flags"] = CommandKind.TICK, CommandFlag.TERMS
    ticks["at_ns"] = range(1, len(ticks) + 1)
    alone = decoded(InProcessVenue(sharded_config(1)).run(commands))
    fused = InProcessVenue(sharded_config(2))
    fused.run(commands)
    config = sharded_config(2, layout=layout, name=f"shards-{layout}")
    with running_venue(config, (DRIVER,), Console(stderr=True)) as supervisor:
        driver = Driver(supervisor.venue)
        found = decoded(driver.run(commands))
        driver.leave()
        names = {process.name for process in supervisor.topology.processes}
        live = [state.books.pool.live for state in supervisor.venue.matching]
        hashes = [state.state_hash for state in supervisor.venue.matching]
    stages = {"ingest", "risk", "matching.0", "matching.1"}
    assert names == {DRIVER} | (stages if layout == "spread" else {"engine"})
    assert all(live)
    assert hashes == [state.state_hash for state in fused.venue.matching]
    clocks = [event for event in found if event.kind == EventKind.CLOCK]
    assert len(clocks) == 2 * len(ticks), "all shards are told the time"
    for events in (alone, found):
        events[:] = [event for event in events if event.kind != EventKind.CLOCK]
    assert by_instrument(found) == by_instrument(alone)
