"""The memory of one venue: every segment by name, laid out from the topology.

The supervisor creates a venue and hands it to the processes that it forks; each part still has
exactly one writer (see the table in ARCHITECTURE.md). `create_private` makes the same venue in
private memory, for tests, the simulator and benchmarks in one process.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.config import Config
from engine.intake import IngestState, create_ingest
from engine.limits import ORDERS_MAX
from engine.matching import MatchingState, create_matching
from engine.messages import MESSAGE_BYTES
from engine.reference import ReferenceData
from engine.reference_writer import write_reference
from engine.risk.setup import create_risk, deposit
from engine.risk.state import RiskState
from engine.topology import RingPlan, Topology
from ipc import memory, segment
from ipc.clock import calibrate
from ipc.counters import EVERYTHING, CountersFile, ProcessEntry, StageStatistics
from ipc.record import Record, fingerprint
from ipc.ring import Cursor, Ring, RingGroup, create_ring, join, leave, ring_bytes
from ipc.wait import NO_DESCRIPTOR

Place = Callable[[str, int, int], int]
"""Gives zeroed memory for (name, size, fingerprint); returns its address."""

NO_SOURCE = -1
"""No command comes from there."""

COUNTERS = "counters"
REFERENCE = "reference"
RISK_STATE = "state.risk"


def segment_name(venue: str, part: str) -> str:
    """Name of a part of a venue in the shared memory file system."""
    return f"{segment.PREFIX}{venue}.{part}"


@dataclass(slots=True)
class VenueMemory:
    """All parts of a venue, mapped into this process."""

    config: Config
    topology: Topology
    counters: CountersFile
    reference: ReferenceData
    rings: dict[str, Ring]
    ingest: IngestState
    risk: RiskState
    matching: tuple[MatchingState, ...]
    "Of each shard, in their order."
    segments: list[segment.Segment] = field(default_factory=list)
    epoch: int = 0
    """Of the entry of the process to which this mapping belongs, when it was forked. A process that
    finds another one there has a successor, and ends before it writes anything."""

    def entry(self, process: str) -> ProcessEntry:
        """The counters entry of a process of the topology."""
        names = [plan.name for plan in self.topology.processes]
        return self.counters.processes[names.index(process)]

    def statistics(self, stage: str) -> StageStatistics:
        """The statistics of a stage."""
        return self.counters.stages[self.topology.stages.index(stage)]

    def cursor(self, ring: str, reader: str) -> Cursor:
        """The cursor of a reader of a ring."""
        return self.rings[ring].readers[self.topology.ring(ring).readers.index(reader)]

    def point_at_events(self, group: RingGroup, reader: str) -> None:
        """Make a group of all event rings, as `reader` reads them, in the order of the shards."""
        for shard, name in enumerate(self.topology.event_rings):
            group.sources[shard].ring = self.rings[name]
            group.sources[shard].cursor = self.cursor(name, reader)
        group.count = len(self.topology.event_rings)

    def join_events(self, reader: str) -> None:
        """Let `reader` hold the event rings' writers back, from what they publish next on."""
        for name in self.topology.event_rings:
            join(self.rings[name], self.topology.ring(name).readers.index(reader))

    def leave_events(self, reader: str) -> None:
        """The event rings no longer wait for `reader`."""
        for name in self.topology.event_rings:
            leave(self.rings[name], self.topology.ring(name).readers.index(reader))

    def source_number(self, client: str) -> int:
        """The number by which records name a client."""
        return self.topology.clients.index(client)

    def populate(self) -> None:
        """Put the pages of the rings, or of everything with `prefault`, in place in this process.

        Page tables of shared memory are not inherited over fork.
        """
        rings = segment_name(self.config.venue.name, "ring.")
        for part in self.segments:
            if self.config.venue.prefault or part.name.startswith(rings):
                part.prefault()

    def remove(self) -> None:
        """Take all names out of the system; mappings stay until the processes end."""
        for part in self.segments:
            segment.unlink(part.name)

    def close(self) -> None:
        """Remove the venue and unmap it, in a process that goes on: nothing of it may be used."""
        self.remove()
        for part in self.segments:
            part.close()
        self.segments.clear()


def create(config: Config, topology: Topology) -> VenueMemory:
    """Make all segments of a venue, owned by this process.

    Raises ipc.errors.SegmentInUse when a venue of this name lives; reclaims a dead one's.
    """
    made: list[segment.Segment] = []

    def place(name: str, size: int, mark: int) -> int:
        made.append(segment.create(segment_name(config.venue.name, name), size, mark))
        if config.venue.huge_pages:
            made[-1].prefer_huge_pages()
        return made[-1].address

    try:
        venue = _lay_out(config, topology, place)
    except BaseException:
        for part in made:
            segment.unlink(part.name)
        raise
    venue.segments = made
    return venue


def create_private(
    config: Config, topology: Topology, orders_limit: int = ORDERS_MAX - 1
) -> VenueMemory:
    """The same in private memory of this process."""

    def place(name: str, size: int, mark: int) -> int:
        return memory.allocate(size, f"{config.venue.name}.{name}").start

    return _lay_out(config, topology, place, orders_limit)


def _lay_out(
    config: Config, topology: Topology, place: Place, orders_limit: int = ORDERS_MAX - 1
) -> VenueMemory:
    counters = CountersFile(_place(place, COUNTERS, CountersFile))
    _describe(counters, config, topology)
    reference = ReferenceData(_place(place, REFERENCE, ReferenceData))
    write_reference(reference, config)
    reference.risk_source = topology.risk_source
    reference.control_source = topology.control_source if topology.is_durable else NO_SOURCE
    rings = {ring.name: _place_ring(place, ring) for ring in topology.rings}
    ingest = IngestState(_place(place, "state.ingest", IngestState))
    create_ingest(ingest, reference, secrets.randbits(61))
    risk = RiskState(_place(place, RISK_STATE, RiskState))
    create_risk(risk, reference, orders_limit)
    deposit(risk, config)
    matching = tuple(
        MatchingState(_place(place, f"state.{stage}", MatchingState)) for stage in topology.shards
    )
    for shard, state in enumerate(matching):
        create_matching(state, orders_limit, reference=reference)
        state.shard, state.shards = shard, len(matching)
    return VenueMemory(config, topology, counters, reference, rings, ingest, risk, matching)


def _place(place: Place, name: str, record: type[Record]) -> int:
    return place(name, record.size, fingerprint(record))


def _place_ring(place: Place, ring: RingPlan) -> Ring:
    size = ring_bytes(ring.slots, MESSAGE_BYTES)
    address = place(f"ring.{ring.name}", size, fingerprint(Ring))
    return create_ring(address, ring.slots, MESSAGE_BYTES, ring.mode, len(ring.readers))


def _describe(counters: CountersFile, config: Config, topology: Topology) -> None:
    """Fill the identity of the venue, its processes and stages."""
    calibrate(counters.clock)
    counters.started_unix_ns = counters.clock.anchor_unix_ns
    counters.layout.set(topology.layout)
    counters.durability.set(config.venue.durability)
    counters.durable.dseq = 0 if topology.is_durable else EVERYTHING
    counters.process_count = len(topology.processes)
    for index, plan in enumerate(topology.processes):
        entry = counters.processes[index]
        entry.name.set(plan.name)
        entry.stages.set("+".join(plan.stages))
        entry.cpu = plan.cpu
        entry.bell.descriptor = NO_DESCRIPTOR
    counters.stage_count = len(topology.stages)
    for index, stage in enumerate(topology.stages):
        counters.stages[index].name.set(stage)
