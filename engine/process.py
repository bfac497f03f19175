"""The main of a process that hosts stages: attach, warm up, loop, heartbeat, stop.

The loop itself is compiled: it runs the steps of its stages in turn, wakes the neighbours after
work, and waits as its layout says when there is none. Every few milliseconds it returns to
Python, where signals are handled. The same loop hosts one stage or all of them.
"""

import signal
from typing import TYPE_CHECKING, Final

from engine.ingest import IngestPorts, step_ingest
from engine.intake import IngestState
from engine.limits import BATCH_MAX, SHARDS_MAX
from engine.matching import MatchingPorts, MatchingState, step_matching
from engine.membership import EXIT_FENCED, settle_in
from engine.risk.stage import RiskPorts, link_risk, step_risk
from engine.risk.state import RiskState
from engine.stage import Telemetry
from engine.topology import INGEST, RISK, ProcessPlan, order_ring
from engine.venue import VenueMemory
from ipc.counters import PROCESSES_MAX, RUNNING, STOPPED, ProcessEntry, note_death, words_of
from ipc.distant import distant, link
from ipc.intrinsics import fence, read_monotonic
from ipc.jit import inlined, kernel
from ipc.record import Array, Record, Ref, i64, length
from ipc.ring import resume
from ipc.wait import Doorbell, Waiting, Word, arm, ring_bell, should_park, sleep

if TYPE_CHECKING:
    from engine.successor import Successor

ROUNDS_PER_BEAT: Final = 256
"""Turns of the loop between two looks at the clock, which costs as much as an idle turn."""

TURN_NS: Final = 20_000_000
"""How long the compiled loop may keep Python, and with it signal handlers, waiting."""

GO_ON: Final = 0
ASKED_TO_STOP: Final = 1
FENCED: Final = 2
"""What a turn of the loop ends with."""


class Shard(Record):
    """A matching shard that a process hosts; process-local."""

    state: Ref[MatchingState]
    ports: MatchingPorts


class Loop(Record):
    """What the loop of one process needs; process-local."""

    ingest: Ref[IngestState]
    ingest_ports: IngestPorts
    risk: Ref[RiskState]
    risk_ports: RiskPorts
    hosts_ingest: i64
    hosts_risk: i64
    shard_count: i64
    "Matching shards that this process hosts."
    shards: Array[Shard] = length(SHARDS_MAX)
    bell: Ref[Doorbell]
    entry: Ref[ProcessEntry]
    epoch: i64
    "Of the entry when the process began; with another one it has a successor."
    stop: Ref[Word]
    waiting: Waiting
    neighbour_count: i64
    neighbours: Array[Ref[Doorbell]] = length(PROCESSES_MAX)


call_ingest = distant(step_ingest)
call_risk = distant(step_risk)
call_matching = distant(step_matching)


def link_stages() -> None:
    """Make the steps of all stages ready to be called by the loop in this process."""
    link(call_ingest, IngestState, IngestPorts, int)
    link_risk()
    link(call_risk, RiskState, RiskPorts, int)
    link(call_matching, MatchingState, MatchingPorts, int)


@kernel
def run_stages(loop: Loop) -> int:
    """One step of each hosted stage; returns how much was done."""
    progress = 0
    if loop.hosts_ingest != 0:
        progress += call_ingest(loop.ingest, loop.ingest_ports, BATCH_MAX)
    if loop.hosts_risk != 0:
        progress += call_risk(loop.risk, loop.risk_ports, BATCH_MAX)
    for index in range(loop.shard_count):
        shard = loop.shards[index]
        progress += call_matching(shard.state, shard.ports, BATCH_MAX)
    return progress


@inlined
def wake_neighbours(loop: Loop) -> None:
    """After work: what was published, and what was given back, is visible; wake who sleeps."""
    fence()
    for index in range(loop.neighbour_count):
        ring_bell(loop.neighbours[index])


@kernel
def run_loop(loop: Loop, turn_ns: int) -> int:
    """Serve for about `turn_ns`; returns GO_ON, ASKED_TO_STOP or FENCED.

    A process that was stopped for so long that it has a successor finds out at its first turn.
    """
    began = read_monotonic()
    if loop.entry.epoch != loop.epoch:
        return FENCED
    loop.entry.heartbeat.word.value = began
    rounds = 0
    while loop.stop.value == 0:
        if loop.entry.epoch != loop.epoch:
            return FENCED
        rounds += 1
        asleep = False
        if run_stages(loop) > 0:
            wake_neighbours(loop)
            loop.waiting.idle_rounds = 0
        elif should_park(loop.waiting):
            expected = arm(loop.bell)
            if run_stages(loop) > 0 or loop.stop.value != 0:
                loop.bell.armed = 0
                wake_neighbours(loop)
                loop.waiting.idle_rounds = 0
            else:
                sleep(loop.bell, expected)
                asleep = True
        if asleep or rounds % ROUNDS_PER_BEAT == 0:
            now = read_monotonic()
            if loop.entry.epoch != loop.epoch:
                return FENCED
            loop.entry.heartbeat.word.value = now
            if now - began > turn_ns:
                return GO_ON
    return ASKED_TO_STOP


def build_loop(venue: VenueMemory, plan: ProcessPlan) -> Loop:
    """The loop of one process over a venue's memory."""
    link_stages()
    loop: Loop = Loop.allocate()
    loop.hosts_ingest = int(INGEST in plan.stages)
    loop.hosts_risk = int(RISK in plan.stages)
    loop.ingest, loop.risk = venue.ingest, venue.risk
    _connect_ingest(venue, loop.ingest_ports)
    _connect_risk(venue, loop.risk_ports)
    for number, stage in enumerate(venue.topology.shards):
        if stage in plan.stages:
            hosted = loop.shards[loop.shard_count]
            hosted.state = venue.matching[number]
            _connect_matching(venue, number, hosted.ports)
            loop.shard_count += 1
    entry = venue.entry(plan.name)
    loop.bell, loop.entry, loop.epoch = entry.bell, entry, venue.epoch
    loop.stop = venue.counters.stop
    loop.waiting.strategy = plan.strategy
    neighbours = venue.topology.neighbours(plan.name)
    for index, name in enumerate(neighbours):
        loop.neighbours[index] = venue.entry(name).bell
    loop.neighbour_count = len(neighbours)
    return loop


def _connect_ingest(venue: VenueMemory, ports: IngestPorts) -> None:
    for index, name in enumerate(venue.topology.order_rings):
        ports.sources.sources[index].ring = venue.rings[name]
        ports.sources.sources[index].cursor = venue.cursor(name, INGEST)
    ports.sources.count = len(venue.topology.order_rings)
    ports.commands.ring = venue.rings["commands"]
    resume(ports.commands.ring)
    ports.reference = venue.reference
    _connect_telemetry(venue, INGEST, ports.telemetry)


def _connect_risk(venue: VenueMemory, ports: RiskPorts) -> None:
    ports.commands.ring = venue.rings["commands"]
    ports.commands.cursor = venue.cursor("commands", RISK)
    venue.point_at_events(ports.events, RISK)
    ports.decisions.ring = venue.rings["decisions"]
    resume(ports.decisions.ring)
    ports.orders.ring = venue.rings[order_ring(RISK)]
    resume(ports.orders.ring)
    _connect_telemetry(venue, RISK, ports.telemetry)


def _connect_matching(venue: VenueMemory, number: int, ports: MatchingPorts) -> None:
    stage = venue.topology.shards[number]
    ports.decisions.ring = venue.rings["decisions"]
    ports.decisions.cursor = venue.cursor("decisions", stage)
    ports.events.ring = venue.rings[venue.topology.event_rings[number]]
    resume(ports.events.ring)
    _connect_telemetry(venue, stage, ports.telemetry)


def _connect_telemetry(venue: VenueMemory, stage: str, telemetry: Telemetry) -> None:
    telemetry.clock = venue.counters.clock
    telemetry.statistics = venue.statistics(stage)


def serve_stages(
    venue: VenueMemory, plan: ProcessPlan, successor: "Successor | None" = None
) -> int:
    """The main of a stage process; returns its exit code. Ends on the stop word or SIGTERM.

    `successor` says how the process takes the place of one that died.
    """
    entry = venue.entry(plan.name)
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settle_in(venue, plan)
    found = GO_ON
    try:
        if successor is not None:
            successor.rebuild()
        loop = build_loop(venue, plan)
        if successor is not None:
            found = successor.catch_up(loop)
        if found == GO_ON:
            found = run_loop(loop, 0)
        if found != FENCED:
            entry.state = RUNNING
        while found == GO_ON and not asked:
            found = run_loop(loop, TURN_NS)
    except BaseException as error:
        note_death(entry, words_of(error))
        raise
    if found == FENCED:  # the entry is its successor's
        return EXIT_FENCED
    entry.state = STOPPED
    return 0
