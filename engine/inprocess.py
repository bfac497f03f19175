"""A whole venue in one process and private memory: the same stages, rings and driver.

For tests, the simulator and benchmarks. Commands go through every ring; nothing is left out but
the operating system.
"""

from typing import Any

from engine.config import Config
from engine.driver import Drive, Driver, exchange, is_done
from engine.limits import ORDERS_MAX
from engine.messages import decode_events
from engine.process import Loop, build_loop, run_stages
from engine.topology import DRIVER, plan
from engine.venue import create_private
from ipc.intrinsics import read_monotonic
from ipc.jit import kernel


@kernel
def run_all(drive: Drive, loop: Loop, turn_ns: int) -> bool:
    """Driver and stages in turn, for about `turn_ns`; true when all is answered and at rest."""
    began = read_monotonic()
    progress = 1
    while progress > 0 and turn_ns >= 0:
        progress = exchange(drive) + run_stages(loop)
        if read_monotonic() - began > turn_ns:
            break
    assert progress > 0 or is_done(drive), "run_all: commands are unanswered and nothing moves"
    return progress == 0


class InProcessVenue(Driver):
    """A venue to call like a function: `run` sends commands and returns their events."""

    def __init__(self, config: Config, orders_limit: int = ORDERS_MAX - 1) -> None:
        """Lay the venue out; `orders_limit` bounds live orders (to test a full book)."""
        topology = plan(config, clients=(DRIVER,), cores=[0])
        assert topology.layout == "compact", "one process runs the compact layout"
        super().__init__(create_private(config, topology, orders_limit))
        engine = next(plan for plan in topology.processes if plan.name != DRIVER)
        self.loop = build_loop(self.venue, engine)

    def _work(self, turn_ns: int) -> bool:
        return run_all(self._drive, self.loop, turn_ns)

    def execute(self, commands: Any) -> list[Any]:
        """Run commands; their events, decoded, in order."""
        outcome = self.run(commands)
        assert len(outcome.events) == outcome.event_count, "execute: more events than kept"
        return decode_events(memoryview(outcome.events.tobytes()))
