"""The matching stage alone, fed with decisions: what a whole venue cannot show in short runs.

Order ids that collide in the id map, a small pool of price chunks, a reader of events that is
slow, batches of every size. The events must be the twin's, whatever the circumstances.
"""

from random import Random
from typing import Any

import pytest

from engine.limits import CHECKPOINT_INTERVAL, EVENTS_PER_SLICE_MAX, ORDER_MAP_SLOTS, ORDERS_MAX
from engine.matching import MatchingPorts, MatchingState, create_matching, step_matching
from engine.messages import MESSAGE_BYTES, EventKind, RejectReason, decode_events
from engine.messages import Decision as EngineDecision
from ipc import memory
from ipc.clock import Clock
from ipc.counters import Checkpoint, StageStatistics, read_checkpoint
from ipc.jit import INTERPRETED
from ipc.record import Codec
from ipc.ring import BY_INDEX, Ring, claim, consume, create_ring, publish, ready, ring_bytes
from tests.bulk_streams import CALM, DEEP, WIDE, Habits, bulk
from tests.twin import Decision, Event, Exchange, plain
from tests.twin.market import Market

DECISION_CODEC = Codec(EngineDecision)
DECISION_SLOTS = 64
EVENT_SLOTS = 512
assert EVENT_SLOTS < 2 * EVENTS_PER_SLICE_MAX, "one slice at a time fits, two do not"


def decisions_of(market: Market, commands: list[Any]) -> list[Decision]:
    """What the naive risk stage decides."""
    venue, decisions = market.venue(), []
    for command in commands:
        decision = venue.risk.decide(venue.ingest.sequence(command))
        decisions.append(decision)
        for event in venue.exchange.decide(decision):
            venue.risk.apply(event)
    return decisions


def renamed(decision: Decision) -> Decision:
    """The same with an order id that falls on the same place of the map as all others."""
    return decision._replace(order_id=decision.order_id * ORDER_MAP_SLOTS)


class Stage:
    """One matching stage between two small rings."""

    def __init__(self, chunks_limit: int) -> None:
        self.regions = [memory.allocate(MatchingState.size, "test.matching")]
        self.state = MatchingState(self.regions[0].start)
        create_matching(self.state, ORDERS_MAX - 1, chunks_limit)
        self.ports: MatchingPorts = MatchingPorts.allocate()
        self.decisions = self._ring(DECISION_SLOTS)
        self.events = self._ring(EVENT_SLOTS)
        self.ports.decisions.ring = self.decisions
        self.ports.decisions.cursor = self.decisions.readers[0]
        self.ports.events.ring = self.events
        self.ports.telemetry.clock = Clock.allocate()
        self.ports.telemetry.statistics = StageStatistics.allocate()

    def _ring(self, slots: int) -> Ring:
        region = memory.allocate(ring_bytes(slots, MESSAGE_BYTES), "test.ring")
        self.regions.append(region)
        return create_ring(region.start, slots, MESSAGE_BYTES, BY_INDEX, 1)

    def _slot(self, ring: Ring, position: int) -> memoryview:
        start = Ring.size + position % ring.slot_count * MESSAGE_BYTES
        region = memory.find(ring.address, Ring.size)
        return region.view[start : start + MESSAGE_BYTES]

    def send(self, decisions: list[Decision]) -> int:
        """Publish as many as the ring takes; returns how many."""
        granted = claim(self.decisions, len(decisions))
        first = self.decisions.producer.position
        for index, decision in enumerate(decisions[:granted]):
            raw = DECISION_CODEC.encode(**decision._asdict())
            self._slot(self.decisions, first + index)[:] = raw
        publish(self.decisions, granted)
        return granted

    def receive(self, wanted: int) -> list[Event]:
        """Take up to `wanted` events."""
        cursor = self.events.readers[0]
        count = ready(self.events, cursor, wanted)
        first = cursor.position
        raw = b"".join(bytes(self._slot(self.events, first + index)) for index in range(count))
        consume(cursor, count)
        return [plain(event) for event in decode_events(memoryview(raw))]

    def release(self) -> None:
        for region in self.regions:
            memory.forget(region)


def run(stage: Stage, decisions: list[Decision], random: Random) -> list[Event]:
    """Everything in pieces of random size."""
    events: list[Event] = []
    sent = idle = 0
    while idle < 3:
        sent += stage.send(decisions[sent : sent + random.randrange(1, DECISION_SLOTS)])
        progress = step_matching(stage.state, stage.ports, random.randrange(1, DECISION_SLOTS))
        # At times nothing is read, so that the stage meets a full ring.
        received = stage.receive(random.choice((0, 0, 0, 1, 20, EVENT_SLOTS)))
        events += received
        if sent == len(decisions) and not progress and not received:
            received = stage.receive(EVENT_SLOTS)
            events += received
            idle = 0 if received else idle + 1
        else:
            idle = 0
    return events


@pytest.mark.parametrize(
    ("seed", "habits", "chunks_max"),
    [(1, CALM, 8_000), (2, DEEP, 8_000), (3, WIDE, 40), (4, WIDE, 5)],
)
def test_the_stage_agrees_with_its_twin(seed: int, habits: Habits, chunks_max: int) -> None:
    stream = bulk(seed, 4_000 if INTERPRETED else 8_000, habits, 2)
    decisions = [renamed(each) for each in decisions_of(stream.market, stream.commands)]
    exchange = Exchange(stream.market.instruments, chunks_max=chunks_max)
    expected = [event for decision in decisions for event in exchange.decide(decision)]
    full = sum(event.reason == RejectReason.BOOK_FULL for event in expected)
    assert (full > 0) == (chunks_max < 100), "the pool of chunks is exhausted, or it is not"
    stage = Stage(chunks_max)
    try:
        events = run(stage, decisions, Random(seed))
        blocked = stage.ports.telemetry.statistics.blocked
    finally:
        stage.release()
    for mine, theirs in zip(events, expected, strict=False):
        assert mine == theirs
    assert len(events) == len(expected)
    assert blocked > 0, "the event ring was never full"


BEFORE = 30
"""Commands up to the checkpoint of `to_checkpoint`."""


def to_checkpoint(decisions: list[Decision], seed: int) -> tuple[list[Event], Checkpoint | None]:
    """The events of a stage that begins BEFORE commands ahead of a checkpoint; what it tells."""
    stage = Stage(8_000)
    stage.state.commands = CHECKPOINT_INTERVAL - BEFORE
    try:
        events = run(stage, decisions, Random(seed))
        told = read_checkpoint(stage.ports.telemetry.statistics)
    finally:
        stage.release()
    return events, told


def test_a_checkpoint_is_an_event_and_told_to_tools() -> None:
    stream = bulk(5, 60, DEEP, 2)
    decisions = decisions_of(stream.market, stream.commands)
    events, told = to_checkpoint(decisions[: BEFORE - 1], seed=1)
    assert told is None
    before = len(events)
    events, told = to_checkpoint(decisions, seed=1)
    (place,) = (at for at, event in enumerate(events) if event.kind == EventKind.CHECKPOINT)
    event = events[place]
    dseqs = [each.dseq for each in events]
    assert set(dseqs[before:place]) == {decisions[BEFORE - 1].sequence}, "it follows its command"
    assert dseqs[place + 1] == decisions[BEFORE].sequence, "and comes before the next one"
    assert [each.sequence for each in events] == list(range(1, len(events) + 1))
    assert told == Checkpoint(event.dseq, event.state_hash % 2**64)
    assert told.sequence == decisions[BEFORE - 1].sequence
    assert to_checkpoint(decisions, seed=2)[1] == told, "batches have no say"
    assert to_checkpoint(decisions[:BEFORE], seed=1)[1] == told, "later commands have none"
    changed = [decisions[0]._replace(price_ticks=decisions[0].price_ticks + 1), *decisions[1:]]
    other = to_checkpoint(changed, seed=1)[1]
    assert other is not None
    assert other.sequence == told.sequence
    assert other.hash != told.hash
