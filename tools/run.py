"""Start a venue with progress on the terminal, and send a replay's plan through it.

Used by every command that runs a venue: up, demo, replay, bench engine.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from engine.config import Config
from engine.driver import Driver, Outcome
from engine.topology import GATEWAY, plan
from engine.venue import create_private
from engine.warmup import warmups
from gateway.bridge import Bridge
from ipc.histogram import Percentiles
from ipc.jit import INTERPRETED
from tools.replay.plan import Plan
from tools.supervision.durable import DurableSupervisor
from tools.supervisor import StopRequest, Supervisor

EVENTS_PER_COMMAND_MAX: Final = 4
"""Room for the events of a replay, on average; every replay checks that it was enough."""


class VenueDied(Exception):
    """A process of the venue died while commands were under way."""


def progress_bar(console: Console) -> Progress:
    """The one look of all progress bars."""
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def compile_kernels(config: Config, clients: tuple[str, ...], console: Console) -> None:
    """Compile or load what a venue runs, showing it; must be over before anything is forked."""
    if INTERPRETED:
        return
    steps = [*warmups(config)]
    if GATEWAY in clients:
        steps.append(("gateway", lambda: _warm_gateway(config)))
    with progress_bar(console) as progress:
        task = progress.add_task("compiling", total=len(steps))
        for name, compile_one in steps:
            progress.update(task, description=f"compiling {name}")
            compile_one()
            progress.advance(task)


def _warm_gateway(config: Config) -> None:
    """Compile the gateway's kernels on a private venue."""
    venue = create_private(config, plan(config, clients=(GATEWAY,), cores=[0]))
    descriptor = os.eventfd(0, os.EFD_CLOEXEC)
    venue.entry(GATEWAY).bell.descriptor = descriptor
    bridge = Bridge(venue, lambda event: None)
    bridge.warm_up()
    bridge.close()
    os.close(descriptor)


def supervise(config: Config, clients: tuple[str, ...]) -> Supervisor:
    """A supervisor as the configuration wants it: whether its venue survives."""
    if config.venue.durability == "durable":
        return DurableSupervisor(config, clients)
    return Supervisor(config, clients)


@contextmanager
def running_venue(
    config: Config,
    clients: tuple[str, ...],
    console: Console,
    stop_asked: StopRequest | None = None,
) -> Iterator[Supervisor]:
    """A venue that serves, and that is gone afterwards whatever happens.

    From when it has memory on, SIGTERM and Ctrl-C are noted, so that nothing is left behind. For
    callers that do not ask `stop_asked` they raise KeyboardInterrupt once the venue serves.
    """
    compile_kernels(config, clients, console)
    asked = stop_asked or StopRequest()
    asked.install()
    supervisor = supervise(config, clients)
    supervisor.start(asked)
    try:
        with asked.interrupting() if stop_asked is None else nullcontext():
            yield supervisor
    finally:
        supervisor.stop()


def send_plan(supervisor: Supervisor, replay: Plan, console: Console, rate: float = 0.0) -> Outcome:
    """Send a replay's commands through the venue; the events that answered them.

    Raises VenueDied when a stage dies on the way.
    """
    driver = Driver(supervisor.venue)
    try:
        with progress_bar(console) as progress:
            task = progress.add_task("sending commands", total=len(replay.commands))

            def turn(answered: int, count: int) -> None:
                progress.update(task, completed=answered)
                died = [name for name in supervisor.poll() if name != GATEWAY]
                if died:
                    raise VenueDied(f"{', '.join(died)} died after {answered} of {count} commands")

            room = EVENTS_PER_COMMAND_MAX * len(replay.commands) + 4096
            outcome = driver.run(replay.commands, rate=rate, events_max=room, turn=turn)
    finally:
        driver.leave()
    assert len(outcome.events) == outcome.event_count, "the replay made more events than expected"
    return outcome


@dataclass(frozen=True, slots=True)
class VenueFacts:
    """Who took part and how long each hop took, read while the venue runs."""

    layout: str
    processes: list[dict[str, Any]]
    stages: dict[str, dict[str, int]]

    def report(self) -> dict[str, Any]:
        """The fields for --json."""
        return {"layout": self.layout, "processes": self.processes, "stages": self.stages}


def facts_of(supervisor: Supervisor, outcome: Outcome | None = None) -> VenueFacts:
    """Processes and latencies of a running venue; with the driver's round trip if it drove."""
    counters = supervisor.venue.counters
    processes = [
        {
            "name": process.name,
            "pid": supervisor.venue.entry(process.name).pid,
            "stages": list(process.stages),
            "cpu": process.cpu,
        }
        for process in supervisor.topology.processes
    ]
    stages = {
        counters.stages[index].name.get(): Percentiles(counters.stages[index].latency).summary()
        for index in range(counters.stage_count)
    }
    if outcome is not None:
        stages["round_trip"] = outcome.round_trip
    return VenueFacts(supervisor.topology.layout, processes, stages)
