"""Which process runs which stages on which core, and which rings join them.

One table decides the shape of a venue; `Topology.render` prints it. The same stages over the
same rings run in every layout: `spread` gives each stage a process, `compact` puts all stages
into one process that runs them in turn, for machines with few cores.

A venue has one matching stage, or several: shards, each with the books of its instruments and an
event ring of its own. All read the one decision ring.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.config import Config
from engine.limits import SOURCES_MAX
from ipc.ring import BY_INDEX, READERS_MAX, RINGS_POLLED_MAX
from ipc.wait import PARK, SPIN, YIELD, choose_strategy

INGEST: Final = "ingest"
RISK: Final = "risk"
MATCHING: Final = "matching"
"""The matching stage where there is one; of several each has its number: "matching.0"."""

EVENTS: Final = "events"
"""The event ring of the matching stage; of several each has its own: "events.0"."""

GATEWAY: Final = "gateway"
DRIVER: Final = "driver"
"""A replay or benchmark that feeds commands and reads events like a gateway."""

JOURNAL: Final = "journal"
"""The process that makes decisions durable; there is none in a venue that keeps all in memory."""

SHADOW: Final = "shadow"
"""The process that follows the journal, checks it and takes snapshots, where a core is free."""

CONTROL: Final = "control"
"""The supervisor as a source of commands, in a durable venue."""

SPREAD_CORES_MIN: Final = 4
"""Cores from which `auto` spreads a venue with one shard: three spinning stages, one for the
rest. Each further shard needs one more."""

SHADOW_CORES_MIN: Final = 6
"""Cores from which `auto` gives a durable venue a shadow: four stages, the journal, the rest."""

assert READERS_MAX <= SOURCES_MAX <= RINGS_POLLED_MAX, "risk beside READERS_MAX - 1 clients"

WAIT_NAMES: Final = {"spin": SPIN, "yield": YIELD, "park": PARK}


class TopologyError(Exception):
    """A layout that this machine cannot serve; the message says what would work."""


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """One process: its name, the stages it hosts in order, its core, how it waits."""

    name: str
    stages: tuple[str, ...]
    cpu: int
    strategy: int


@dataclass(frozen=True, slots=True)
class RingPlan:
    """One ring: who writes it and which readers hold the writer back, by stage or client name."""

    name: str
    slots: int
    writer: str
    readers: tuple[str, ...]
    mode: int = BY_INDEX


@dataclass(frozen=True, slots=True)
class Topology:
    """The whole shape of a venue."""

    layout: str
    clients: tuple[str, ...]
    """Sources of commands and readers of events, in the order of their source numbers. The source
    behind them is risk, with commands of its own; in a durable venue the supervisor comes last."""
    stages: tuple[str, ...]
    """All stages: ingest, risk, then the matching shards in the order of their numbers, then the
    journal if there is one."""
    processes: tuple[ProcessPlan, ...]
    rings: tuple[RingPlan, ...]

    @property
    def shards(self) -> tuple[str, ...]:
        """The matching stages, in the order of their numbers."""
        return tuple(stage for stage in self.stages if kind_of(stage) == MATCHING)

    @property
    def risk_source(self) -> int:
        """The number by which records name risk as a source of commands."""
        return len(self.clients)

    @property
    def is_durable(self) -> bool:
        """Whether decisions are journaled."""
        return JOURNAL in self.stages

    @property
    def control_source(self) -> int:
        """The number by which records of a durable venue name its supervisor as a source."""
        return len(self.clients) + 1

    @property
    def order_rings(self) -> tuple[str, ...]:
        """The rings that ingest merges, in the order of their source numbers."""
        return tuple(map(order_ring, sources_of(self.clients, self.is_durable)))

    @property
    def event_rings(self) -> tuple[str, ...]:
        """The ring that each shard writes, in their order."""
        return tuple(ring.name for ring in self.rings if ring.writer in self.shards)

    def host_of(self, member: str) -> str:
        """Name of the process that hosts a stage or a client."""
        for process in self.processes:
            if member in process.stages:
                return process.name
        raise KeyError(member)

    def ring(self, name: str) -> RingPlan:
        """The ring of that name; KeyError when there is none."""
        for ring in self.rings:
            if ring.name == name:
                return ring
        raise KeyError(name)

    def neighbours(self, process: str) -> tuple[str, ...]:
        """Processes at the other ends of its rings: those it wakes after its work.

        What it wrote somebody can read now, what it read somebody can write over.
        """
        found = set()
        for ring in self.rings:
            if ring.writer == CONTROL:  # the supervisor waits for nobody
                continue
            writer, readers = self.host_of(ring.writer), set(map(self.host_of, ring.readers))
            if process == writer:
                found |= readers
            if process in readers:
                found.add(writer)
        found.discard(process)
        return tuple(sorted(found))

    def render(self) -> str:
        """The table, as it is printed at the start."""
        lines = [f"layout {self.layout}"]
        names = {value: key for key, value in WAIT_NAMES.items()}
        lines += [
            f"  process {plan.name:<10} core {plan.cpu:<3} {names[plan.strategy]:<6}"
            f" runs {' + '.join(plan.stages)}"
            for plan in self.processes
        ]
        lines += [
            f"  ring    {plan.name:<16} {plan.slots:>6} slots  {plan.writer} -> "
            f"{', '.join(plan.readers)}"
            for plan in self.rings
        ]
        return "\n".join(lines)


def kind_of(stage: str) -> str:
    """What a stage does: its name without the number of a shard."""
    return stage.partition(".")[0]


def is_stage(member: str) -> bool:
    """Whether the name is that of a stage, not of a client."""
    return kind_of(member) in (INGEST, RISK, MATCHING, JOURNAL)


def stage_names(shards: int, durable: bool = False) -> tuple[str, ...]:
    """All stages of a venue with so many matching shards."""
    return (INGEST, RISK, *_numbered(MATCHING, shards), *((JOURNAL,) if durable else ()))


def sources_of(clients: tuple[str, ...], durable: bool) -> tuple[str, ...]:
    """Who sends commands, in the order of their source numbers."""
    return (*clients, RISK, *((CONTROL,) if durable else ()))


def _numbered(name: str, shards: int) -> list[str]:
    """The name for each shard; alone it has no number."""
    return [name] if shards == 1 else [f"{name}.{shard}" for shard in range(shards)]


def usable_cores() -> list[int]:
    """Cores this process may use, isolated ones last (the stages take from the end)."""
    allowed = sorted(os.sched_getaffinity(0))
    try:
        text = Path("/sys/devices/system/cpu/isolated").read_text().strip()
    except OSError:
        text = ""
    isolated: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        isolated |= set(range(int(first), int(last or first) + 1))
    return sorted(allowed, key=lambda core: (core in isolated, core))


def order_ring(source: str) -> str:
    """Name of the order ring of a client, or of risk."""
    return f"orders.{source}"


def plan(
    config: Config, clients: tuple[str, ...] = (GATEWAY,), cores: list[int] | None = None
) -> Topology:
    """The topology for a configuration on this machine.

    `clients` are the sources of commands; each one is a process of its own, except that the
    driver is whoever started the venue. TopologyError when spinning was asked for without cores,
    and when a ring would have more readers than it can have.
    """
    cores = usable_cores() if cores is None else cores
    durable = config.venue.durability == "durable"
    stages = stage_names(config.venue.shards)
    layout = config.venue.layout
    if layout == "auto":
        spreads = len(cores) >= SPREAD_CORES_MIN + config.venue.shards - 1
        layout = "spread" if spreads else "compact"
    groups: list[tuple[str, ...]] = [stages]
    if layout == "spread":
        groups = [(stage,) for stage in stages]
    wanted: list[tuple[tuple[str, ...], str, int]] = [
        ((client,), client, cores[0]) for client in clients
    ]
    # Stages take the cores from the end; the front is for clients and the rest of the machine.
    wanted += [
        (group, group[0] if len(group) == 1 else "engine", cores[-1 - index % len(cores)])
        for index, group in enumerate(groups)
    ]
    strategy = _strategy(config.waiting.strategy, len(groups), len(cores))
    waiters = set(clients)
    if durable:
        stages = stage_names(config.venue.shards, durable)
        helpers = (JOURNAL, SHADOW) if has_shadow(config, len(cores)) else (JOURNAL,)
        wanted += [((name,), name, cores[-1 - len(groups) % len(cores)]) for name in helpers]
        waiters |= set(helpers)
    processes = [
        ProcessPlan(
            name=name,
            stages=group,
            cpu=cpu,
            strategy=PARK if name in waiters else strategy,
        )
        for group, name, cpu in wanted
    ]
    made = Topology(layout, tuple(clients), stages, tuple(processes), _rings(config, clients))
    _check_readers(made)
    return made


def has_shadow(config: Config, cores: int) -> bool:
    """Whether a durable venue has a shadow: it does the whole engine's work once more."""
    wanted = config.durability.shadow
    return wanted == "on" or (wanted == "auto" and cores >= SHADOW_CORES_MIN)


def _rings(config: Config, clients: tuple[str, ...]) -> tuple[RingPlan, ...]:
    """All rings: orders in, through the stages, events out."""
    slots, shards = config.rings, config.venue.shards
    durable = config.venue.durability == "durable"
    matching = _numbered(MATCHING, shards)
    events = zip(_numbered(EVENTS, shards), matching, strict=True)
    return (
        *(
            RingPlan(order_ring(source), slots.order_slots, source, (INGEST,))
            for source in sources_of(clients, durable)
        ),
        RingPlan("commands", slots.sequenced_slots, INGEST, (RISK,)),
        RingPlan(
            "decisions",
            slots.decision_slots,
            RISK,
            (*matching, *((JOURNAL,) if durable else ())),
        ),
        *(RingPlan(name, slots.event_slots, stage, (RISK, *clients)) for name, stage in events),
    )


def _check_readers(topology: Topology) -> None:
    for ring in topology.rings:
        if len(ring.readers) > READERS_MAX:
            raise TopologyError(
                f"ring {ring.name} can have {READERS_MAX} readers, not {len(ring.readers)} "
                f"({', '.join(ring.readers)}): run fewer clients"
            )


def _strategy(wanted: str, spinners: int, cores: int) -> int:
    """How the stages wait; every spinner needs a core that nobody else needs."""
    free = cores - 1
    if wanted == "auto":
        return choose_strategy(spinners, free) if cores >= SPREAD_CORES_MIN else PARK
    if wanted == "spin" and spinners > free:
        raise TopologyError(
            f"waiting.strategy = 'spin' needs a core for each of {spinners} processes and one for "
            f"the rest, but only {cores} can be used: each hop would cost a scheduler tick (8 ms). "
            "Use 'auto' or 'park', or the compact layout"
        )
    return WAIT_NAMES[wanted]
