"""What the shared memory of a venue says at one moment, as plain values.

`take` attaches to the counters and the rings of a venue, copies what `okimi status` and
`okimi top` show, and lets go again; it writes nothing and no process of the venue notices.
Two samples of the same venue give rates.
"""

import ctypes
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from engine.config import load
from engine.risk.state import RiskState
from engine.risk.views import refusals_of
from engine.topology import (
    DRIVER,
    EVENTS,
    JOURNAL,
    MATCHING,
    SHADOW,
    RingPlan,
    is_stage,
    kind_of,
    plan,
)
from engine.venue import COUNTERS, RISK_STATE, segment_name
from gateway.risk_documents import refusals_document
from ipc.counters import (
    DEAD,
    RUNNING,
    STARTING,
    STATE_NAMES,
    Checkpoint,
    CountersFile,
    ProcessEntry,
    StageStatistics,
    is_alive,
    read_checkpoint,
)
from ipc.errors import SegmentMissing
from ipc.histogram import Percentiles
from ipc.record import fingerprint
from ipc.ring import Ring
from ipc.segment import PREFIX, Segment, attach, boot_hash, names

HEARTBEAT_AGE_MAX_NS: Final = 1_000_000_000
"""An older heartbeat means that a process hangs: a loop beats at least every 20 ms when it can."""

_COUNTERS_MARK: Final = fingerprint(CountersFile)
_RING_MARK: Final = fingerprint(Ring)
_RISK_MARK: Final = fingerprint(RiskState)


class VenueNotFound(Exception):
    """No venue of this name has shared memory; the message names those that have."""

    def __init__(self, name: str, existing: list[str]) -> None:
        """`existing` are the names of the venues that there are."""
        self.name = name
        self.existing = existing
        there = f"there is {', '.join(existing)}" if existing else "none runs on this machine"
        super().__init__(f"there is no venue {name!r}; {there}")


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """One process of the venue."""

    name: str
    stages: tuple[str, ...]
    cpu: int
    pid: int
    epoch: int
    state: str
    "A name of ipc.counters.STATE_NAMES; dead, too, for one that could not say so."
    alive: bool
    heartbeat_age_ns: int | None
    "None when it has never beaten (it has not come so far, or it drives and has no loop)."
    cpu_ns: int
    "Processor time used since it started; 0 when it is not alive."
    last_error: str

    @property
    def serves(self) -> bool:
        """Whether it is there and its loop turns. A driver has no loop that could hang."""
        if DRIVER in self.stages:
            return self.alive
        age_ns = self.heartbeat_age_ns
        return self.alive and age_ns is not None and age_ns <= HEARTBEAT_AGE_MAX_NS


@dataclass(frozen=True, slots=True)
class StageSample:
    """One stage: its counters, and a copy of its histogram."""

    name: str
    taken: int
    published: int
    blocked: int
    latency: Percentiles
    checkpoint: Checkpoint | None
    "The hash that it told last; only matching tells any."


@dataclass(frozen=True, slots=True)
class ReaderSample:
    """One reader of a ring: how many slots it is behind, and whether it holds the writer back."""

    name: str
    lag: int
    active: bool


@dataclass(frozen=True, slots=True)
class RingSample:
    """One ring: the slots published so far, its size, its readers."""

    name: str
    position: int
    capacity: int
    readers: tuple[ReaderSample, ...]

    @property
    def fill(self) -> int:
        """Slots that the slowest active reader has yet to read."""
        return max((reader.lag for reader in self.readers if reader.active), default=0)


@dataclass(frozen=True, slots=True)
class Sample:
    """A whole venue at one moment."""

    venue: str
    at_ns: int
    "CLOCK_MONOTONIC_RAW."
    started_unix_ns: int
    supervisor_pid: int
    supervisor_alive: bool
    layout: str
    durability: str
    durable_dseq: int | None
    "The last decision that is on disk; None where nothing is."
    http: str
    joined: bool
    "The supervisor says that every process has joined its rings."
    stopping: bool
    processes: tuple[ProcessSample, ...]
    stages: tuple[StageSample, ...]
    rings: tuple[RingSample, ...]
    refusals: dict[str, int]
    "Commands refused by ingest and risk, by reason."
    missing_rings: tuple[str, ...]
    "Rings that the topology has and the shared memory has not (yet, or any more)."

    @property
    def ready(self) -> bool:
        """Whether the venue takes orders now: all joined, all alive, all heartbeats fresh.

        Without its shadow it does: nobody waits for that.
        """
        return (
            self.joined
            and self.supervisor_alive
            and not self.stopping
            and not self.missing_rings
            and all(process.serves for process in self.processes if process.name != SHADOW)
        )

    @property
    def uptime_s(self) -> float | None:
        """Seconds since the venue was made; None when its supervisor is dead."""
        if not self.supervisor_alive:
            return None
        return max(time.time_ns() - self.started_unix_ns, 0) / 1e9

    def ring(self, name: str) -> RingSample | None:
        """The ring of that name; None when it is missing."""
        return next((ring for ring in self.rings if ring.name == name), None)

    @property
    def event_rings(self) -> tuple[RingSample, ...]:
        """The ring of each matching shard; none while some are missing."""
        if any(kind_of(name) == EVENTS for name in self.missing_rings):
            return ()
        return tuple(ring for ring in self.rings if kind_of(ring.name) == EVENTS)

    @property
    def shards(self) -> tuple[StageSample, ...]:
        """The stage of each matching shard."""
        return tuple(stage for stage in self.stages if kind_of(stage.name) == MATCHING)

    def continues(self, before: "Sample") -> bool:
        """Whether both are of the same venue, not of two that had the name in turn."""
        return (self.venue, self.supervisor_pid, self.started_unix_ns) == (
            before.venue,
            before.supervisor_pid,
            before.started_unix_ns,
        )


def venues() -> list[str]:
    """Names of all venues that have counters in shared memory, dead ones included."""
    found = [name.removeprefix(PREFIX).rpartition(".") for name in names()]
    return [venue for venue, _, part in found if part == COUNTERS and venue]


def take(name: str) -> Sample:
    """Sample the venue `name`.

    Raises VenueNotFound; ipc.errors.SegmentMismatch when another version of okimi made it and
    SegmentForeign when another user did.
    """
    try:
        with attached(segment_name(name, COUNTERS), CountersFile.size, _COUNTERS_MARK) as found:
            return _sample(name, found)
    except SegmentMissing:
        raise VenueNotFound(name, venues()) from None


@contextmanager
def attached(name: str, size: int | None, mark: int) -> Iterator[Segment]:
    """A segment for as long as it is looked at."""
    segment = attach(name, size, mark, writable=False)
    try:
        yield segment
    finally:
        segment.close()


def _sample(name: str, segment: Segment) -> Sample:
    counters, header = CountersFile(segment.address), segment.header
    processes = tuple(
        _process(counters.processes[index]) for index in range(counters.process_count)
    )
    members = [member for process in processes for member in process.stages]
    clients = tuple(each for each in members if not is_stage(each) and each != SHADOW)
    shards = sum(kind_of(member) == MATCHING for member in members)
    durable = JOURNAL in members
    plans = ring_plans(clients, shards, durable)
    rings = [_ring(name, ring) for ring in plans]
    return Sample(
        venue=name,
        at_ns=time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW),
        started_unix_ns=counters.started_unix_ns,
        supervisor_pid=header.owner_pid,
        supervisor_alive=(
            header.boot == boot_hash() and is_alive(header.owner_pid, header.owner_start)
        ),
        layout=counters.layout.get(),
        durability=counters.durability.get(),
        durable_dseq=counters.durable.dseq if durable else None,
        http=counters.http.get(),
        joined=counters.ready == 1,
        stopping=counters.stop.value != 0,
        processes=processes,
        stages=tuple(_stage(counters.stages[index]) for index in range(counters.stage_count)),
        rings=tuple(ring for ring in rings if ring is not None),
        refusals=_refusals(name),
        missing_rings=tuple(
            ring.name for ring, found in zip(plans, rings, strict=True) if found is None
        ),
    )


def _process(entry: ProcessEntry) -> ProcessSample:
    # The heartbeat before the clock: an age is never negative.
    beat_ns = entry.heartbeat.word.value
    now_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    pid = entry.pid
    alive = is_alive(pid, entry.start_time)
    # Whoever is killed cannot write that it is dead.
    state = DEAD if entry.state in (STARTING, RUNNING) and not alive else entry.state
    return ProcessSample(
        name=entry.name.get(),
        stages=tuple(entry.stages.get().split("+")),
        cpu=entry.cpu,
        pid=pid,
        epoch=entry.epoch,
        state=STATE_NAMES[state],
        alive=alive,
        heartbeat_age_ns=now_ns - beat_ns if beat_ns else None,
        cpu_ns=processor_ns(pid) if alive else 0,
        last_error=entry.last_error.get(),
    )


def _stage(statistics: StageStatistics) -> StageSample:
    return StageSample(
        name=statistics.name.get(),
        taken=statistics.taken,
        published=statistics.published,
        blocked=statistics.blocked,
        latency=Percentiles(statistics.latency),
        checkpoint=read_checkpoint(statistics),
    )


def _refusals(venue: str) -> dict[str, int]:
    try:
        with attached(segment_name(venue, RISK_STATE), RiskState.size, _RISK_MARK) as segment:
            return refusals_document(refusals_of(RiskState(segment.address)))
    except SegmentMissing:
        return {}


def _ring(venue: str, ring_plan: RingPlan) -> RingSample | None:
    try:
        with attached(segment_name(venue, f"ring.{ring_plan.name}"), None, _RING_MARK) as segment:
            ring = Ring(segment.address)
            # The producer before the readers: a lag is never more than there was.
            position = ring.producer.position
            readers = [ring.readers[index] for index in range(len(ring_plan.readers))]
            return RingSample(
                name=ring_plan.name,
                position=position,
                capacity=ring.slot_count,
                readers=tuple(
                    ReaderSample(name, max(position - cursor.position, 0), cursor.active == 1)
                    for name, cursor in zip(ring_plan.readers, readers, strict=True)
                ),
            )
    except SegmentMissing:
        return None


@lru_cache(maxsize=16)
def ring_plans(clients: tuple[str, ...], shards: int, durable: bool) -> tuple[RingPlan, ...]:
    """The rings of a venue with these clients and shards, and who reads them, in any layout."""
    if not clients:
        return ()
    durability = "durable" if durable else "memory"
    shape = load(overrides={"venue.shards": shards, "venue.durability": durability})
    return plan(shape, clients, cores=[0]).rings


def processor_ns(pid: int) -> int:
    """Processor time that `pid` has used, in ns (its CPU clock); 0 when it is gone."""
    clock = ctypes.c_int(0)
    if ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        return 0
    try:
        return time.clock_gettime_ns(clock.value)
    except OSError:
        return 0


def cpu_percent(before: ProcessSample, after: ProcessSample, elapsed_ns: int) -> float:
    """Share of one core that a process used between two samples; 0 for one that ended."""
    if not after.alive or before.pid != after.pid or elapsed_ns <= 0:
        return 0.0
    return max(after.cpu_ns - before.cpu_ns, 0) / elapsed_ns * 100
