"""Start a venue with progress on the terminal, and send a replay's plan through it.

Used by every command that runs a venue: up, demo, replay, bench engine.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from engine.config import Config
from engine.driver import Driver, Outcome
from engine.topology import DRIVER, GATEWAY
from engine.warmup import warmups
from ipc.histogram import Percentiles
from ipc.jit import INTERPRETED
from tools.replay.plan import Plan
from tools.supervisor import Supervisor

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


def compile_kernels(config: Config, console: Console) -> None:
    """Compile or load all kernels, showing which; must be over before anything is forked."""
    steps = list(warmups(config))
    if INTERPRETED:
        return
    with progress_bar(console) as progress:
        task = progress.add_task("compiling", total=len(steps))
        for name, compile_one in steps:
            progress.update(task, description=f"compiling {name}")
            compile_one()
            progress.advance(task)


@contextmanager
def running_venue(
    config: Config, clients: tuple[str, ...], console: Console
) -> Iterator[Supervisor]:
    """A venue that serves, and that is gone afterwards whatever happens."""
    compile_kernels(config, console)
    supervisor = Supervisor(config, clients)
    try:
        supervisor.start()
        yield supervisor
    finally:
        supervisor.stop()


def send_plan(supervisor: Supervisor, plan: Plan, console: Console, rate: float = 0.0) -> Outcome:
    """Send a plan's commands through the venue; the events that answered them.

    Raises VenueDied when a stage dies on the way.
    """
    driver = Driver(supervisor.venue)
    try:
        with progress_bar(console) as progress:
            task = progress.add_task("sending commands", total=len(plan.commands))

            def turn(answered: int, count: int) -> None:
                progress.update(task, completed=answered)
                died = [name for name in supervisor.poll() if name != GATEWAY]
                if died:
                    raise VenueDied(f"{', '.join(died)} died after {answered} of {count} commands")

            room = EVENTS_PER_COMMAND_MAX * len(plan.commands) + 4096
            outcome = driver.run(plan.commands, rate=rate, events_max=room, turn=turn)
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
            "name": plan.name,
            "pid": supervisor.venue.entry(plan.name).pid,
            "stages": list(plan.stages),
            "cpu": plan.cpu,
        }
        for plan in supervisor.topology.processes
    ]
    stages = {
        counters.stages[index].name.get(): Percentiles(counters.stages[index].latency).summary()
        for index in range(counters.stage_count)
    }
    if outcome is not None:
        stages["round_trip"] = outcome.round_trip
    return VenueFacts(supervisor.topology.layout, processes, stages)


def driven(config: Config, gateway: bool) -> tuple[str, ...]:
    """The clients of a venue that a replay drives, with or without a gateway beside it."""
    assert config.instruments, "a venue needs instruments"
    return (GATEWAY, DRIVER) if gateway else (DRIVER,)


OnDeath = Callable[[str], None]
