"""`okimi bench engine`: ingest, risk and matching through real processes, without a gateway.

A driver in compiled code sends commands by an order ring and reads the events, as a gateway does.
Throughput is measured closed loop, in turn with the same engine in one thread, which shows what
processes and hops cost. Latency is measured open loop at growing rates: each command has an
intended time, and a stall is charged to all who waited.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from rich.console import Console

from engine.config import Config
from engine.driver import Driver, Outcome
from engine.inprocess import InProcessVenue
from engine.messages import ChangeEvent, CommandKind, slot_dtype
from engine.topology import DRIVER, ProcessPlan, usable_cores
from ipc.histogram import Percentiles, bucket_value
from tools.bench.errors import BenchFailed
from tools.bench.noise import noise_of
from tools.bench.ring.placement import host_facts
from tools.bench.series import Series
from tools.bench.tables import engine_table
from tools.bench.undisturbed import REST_SECONDS, permitted, undisturbed
from tools.bench.workloads import Scenario, make_stream
from tools.replay.plan import COMMAND, asset, rich_account, unlimited
from tools.run import VenueDied, facts_of, progress_bar, running_venue
from tools.supervisor import Supervisor

render: Final = engine_table

RATES: Final = (50_000, 100_000, 200_000, 500_000, 1_000_000)
"""Commands per second of the open loop, until one is not reached."""

RATE_SECONDS: Final = 0.4
ACHIEVED_MIN: Final = 0.995
"""A rate is reached when so much of it is: the ladder ends below."""

WARM_UP: Final = 100_000
"""Commands that fill the book and the caches; their events are compared one by one."""

CLOSED_LOOP: Final = 300_000
"""Commands of one closed-loop round."""

NOISE_NS_MAX: Final = 20_000
"""A tuned machine does not take an isolated core away for longer; above, the tails are its own."""

SCENARIO: Final = Scenario("engine")
CLIENT_ID_DIGITS: Final = 8

NOT_INCLUDED: Final = (
    "gateways and the network",
    "the journal: nothing is made durable",
    "market data and anybody else who reads events",
)

COMPARED: Final = ("kind", "order_id", "price_ticks", "qty_lots", "level_lots", "leaves_lots")
"""What must be equal in the events of the processes and of the one thread."""

EVENT: Final = slot_dtype(ChangeEvent)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure; tests take less."""

    warm_up: int = WARM_UP
    closed_loop: int = CLOSED_LOOP
    rates: tuple[int, ...] = RATES
    rate_seconds: float = RATE_SECONDS

    def commands(self, repeats: int) -> int:
        """All commands of a run."""
        open_loop = sum(round(rate * self.rate_seconds) for rate in self.rates)
        return self.warm_up + repeats * (self.closed_loop + open_loop)


def make_commands(count: int, scenario: Scenario = SCENARIO) -> Any:
    """A stream of commands of one account; cancels name the ids that the engine will assign."""
    decisions = make_stream(replace(scenario, messages=count))
    commands = np.zeros(count, COMMAND)
    for name in set(COMMAND.names or ()) - {"sequence", "stamp_ticks", "client_order_id"}:
        commands[name] = decisions[name]
    new = np.flatnonzero(commands["kind"] == CommandKind.NEW)
    assert (commands["order_id"][new] == np.arange(1, len(new) + 1)).all(), "ids are dense"
    commands["order_id"][new] = 0
    scales = 10 ** np.arange(CLIENT_ID_DIGITS - 1, -1, -1)
    digits = new[:, np.newaxis] // scales % 10 + ord("0")
    named = np.ascontiguousarray(digits.astype(np.uint8)).view(f"S{CLIENT_ID_DIGITS}")[:, 0]
    commands["client_order_id"][new] = named
    return commands


def make_config(name: str, layout: str | None) -> Config:
    """A venue with one instrument and one account that can pay for everything."""
    assets = (asset("BASE", 0), asset("QUOTE", 2))
    instrument = {"symbol": "X", "base": "BASE", "quote": "QUOTE", "tick": "0.01", "lot": "1"}
    return Config.build(
        assets=assets,
        instruments=(instrument | unlimited("1", *assets),),
        accounts=(rich_account(1, "driver", assets),),
        venue={"name": name, "layout": layout or "auto"},
    )


# --- what is measured --------------------------------------------------------------------------


class Commands:
    """The stream, handed out from its beginning to its end."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.taken = stream, 0

    def take(self, count: int) -> Any:
        """The next `count` commands."""
        self.taken += count
        assert self.taken <= len(self.stream), "the stream is too short for the effort"
        return self.stream[self.taken - count : self.taken]


def each_has_a_core(plans: tuple[ProcessPlan, ...]) -> bool:
    """Whether no two processes share one: at real-time priority one would starve the other."""
    return len({plan.cpu for plan in plans}) == len(plans)


@contextmanager
def driving(supervisor: Supervisor) -> Iterator[Callable[..., Outcome]]:
    """A function that sends commands through the processes and notices when one dies."""
    driver = Driver(supervisor.venue)
    plans = supervisor.topology.processes
    own_core = next(plan.cpu for plan in plans if DRIVER in plan.stages)
    alone = each_has_a_core(plans)

    def turn(answered: int, count: int) -> None:
        if died := supervisor.poll():
            raise VenueDied(f"{', '.join(died)} died after {answered} of {count} commands")

    def send(commands: Any, **options: Any) -> Outcome:
        with undisturbed(own_core, supervisor.children.living) if alone else nullcontext():
            outcome = driver.run(commands, turn=turn, **options)
        time.sleep(REST_SECONDS)
        return outcome

    try:
        yield send
    finally:
        driver.leave()


@dataclass
class Throughput:
    """Closed-loop rounds of the processes and of the reference."""

    processes: Series = field(default_factory=Series)
    reference: Series = field(default_factory=Series)

    def round(self, send: Callable[..., Outcome], thread: InProcessVenue, commands: Any) -> None:
        """The same commands through both, which must make as many events."""
        outcome = send(commands, events_max=0)
        with undisturbed(usable_cores()[-1]):
            own = thread.run(commands, events_max=0)
        if outcome.event_count != own.event_count:
            raise BenchFailed(
                f"{outcome.event_count} events came from the processes, {own.event_count} from "
                "the same engine in one thread"
            )
        self.processes.rates.append(outcome.commands / outcome.seconds)
        self.reference.rates.append(own.commands / own.seconds)

    def report(self) -> dict[str, Any]:
        """The fields of the result."""
        pairs = zip(self.processes.rates, self.reference.rates, strict=True)
        return {
            **self.processes.report("commands_per_s"),
            **self.reference.report("reference_commands_per_s"),
            "reference": "the same stages, rings and driver in one thread of one process",
            "ratio": round(statistics.median(one / other for one, other in pairs), 3),
        }


def check_events(found: Any, expected: Any) -> None:
    """Raises BenchFailed unless both venues made the same events."""
    one, other = (np.ascontiguousarray(events).view(EVENT)[:, 0] for events in (found, expected))
    for name in COMPARED:
        if not np.array_equal(one[name], other[name]):
            raise BenchFailed(
                f"the events of the processes differ in {name} from those in a thread"
            )


def measure_rate(
    supervisor: Supervisor, send: Callable[..., Outcome], rate: int, runs: list[Any]
) -> dict[str, Any]:
    """Open-loop runs at one rate: the median over them of each figure, and of some the spread."""
    before = stage_histograms(supervisor)
    outcomes = [send(commands, rate=float(rate), events_max=0) for commands in runs]
    row: dict[str, Any] = {
        "rate": rate,
        "achieved": round(statistics.median(each.commands / each.seconds for each in outcomes)),
    }
    for name in ("p50", "p99", "p999", "max"):
        figures = [each.round_trip[name] for each in outcomes]
        row[name] = round(statistics.median(figures))
        row[f"{name}_min"], row[f"{name}_max"] = min(figures), max(figures)
    after = stage_histograms(supervisor)
    row["stages"] = {name: summary_between(before[name], after[name]) for name in after}
    return row


def stage_histograms(supervisor: Supervisor) -> dict[str, Percentiles]:
    """A copy of each stage's latencies so far."""
    venue = supervisor.venue
    return {name: Percentiles(venue.statistics(name).latency) for name in venue.topology.stages}


def summary_between(before: Percentiles, after: Percentiles) -> dict[str, int]:
    """What was recorded between two copies of a histogram; its largest to three digits."""
    after.counts = after.counts - before.counts
    after.total -= before.total
    used = np.flatnonzero(after.counts)
    after.largest = min(bucket_value(int(used[-1])), after.largest) if len(used) else 0
    return after.summary()


def run(
    console: Console, repeats: int, layout: str | None, effort: Effort | None = None
) -> dict[str, Any]:
    """Measure everything; the result has the fields of `okimi bench engine --json`."""
    effort = effort or Effort()
    with console.status("making commands"):
        commands = Commands(make_commands(effort.commands(repeats)))
    config = make_config(f"bench-{os.getpid()}", layout)
    rates: list[dict[str, Any]] = []
    with running_venue(config, (DRIVER,), console) as supervisor:
        with driving(supervisor) as send, progress_bar(console) as progress:
            task = progress.add_task("engine: warming up", total=len(commands.stream))
            throughput = measure_throughput(send, commands, repeats, effort)
            cores = sorted({plan.cpu for plan in supervisor.topology.processes})
            noise = [noise_of(core) for core in cores]
            for rate in effort.rates:
                done = commands.taken
                progress.update(task, description=f"engine: {rate}/s", completed=done)
                count = round(rate * effort.rate_seconds)
                runs = [commands.take(count) for _ in range(repeats)]
                rates.append(measure_rate(supervisor, send, rate, runs))
                if rates[-1]["achieved"] < ACHIEVED_MIN * rate:
                    break
        facts = facts_of(supervisor)
    return {
        **throughput.report(),
        "rates": rates,
        "achieved_min": ACHIEVED_MIN,
        "layout": facts.layout,
        "processes": facts.processes,
        "commands": commands.taken,
        "repeats": repeats,
        "noise_floor": noise,
        "noisy": any(each["worst_ns"] > NOISE_NS_MAX for each in noise),
        "realtime": each_has_a_core(supervisor.topology.processes) and permitted(cores[0]),
        "not_included": list(NOT_INCLUDED),
        "host": host_facts(tuple(cores)),
    }


def measure_throughput(
    send: Callable[..., Outcome], commands: Commands, repeats: int, effort: Effort
) -> Throughput:
    """Warm both up and compare them, then let them take turns."""
    thread = InProcessVenue(make_config("reference", "compact"))
    warm = commands.take(effort.warm_up)
    check_events(send(warm).events, thread.run(warm).events)
    throughput = Throughput()
    for _ in range(repeats):
        throughput.round(send, thread, commands.take(effort.closed_loop))
    return throughput
