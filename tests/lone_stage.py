"""A matching stage alone between two small rings, fed with decisions in pieces of any size.

Reaches what a whole venue does not show in short runs: small pools, an event ring that is full,
steps that end in the middle of a command.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

from engine.limits import EVENTS_PER_SLICE_MAX, ORDER_MAP_SLOTS, ORDERS_MAX
from engine.market.commands import open_market
from engine.matching import MatchingPorts, MatchingState, create_matching, step_matching
from engine.messages import MESSAGE_BYTES, decode_events
from engine.messages import Decision as EngineDecision
from ipc import memory
from ipc.clock import Clock
from ipc.counters import StageStatistics
from ipc.record import Codec
from ipc.ring import BY_INDEX, Ring, claim, consume, create_ring, publish, ready, ring_bytes
from tools.twin import Decision, Event, Instrument, plain
from tools.twin.instrument import terms_of
from tools.twin.market import Market

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

    def __init__(
        self,
        chunks_limit: int,
        orders_limit: int = ORDERS_MAX - 1,
        instruments: Sequence[Instrument] = (),
        event_slots: int = EVENT_SLOTS,
    ) -> None:
        """Books with these limits; instruments beyond those given trade at any price."""
        self.regions = [memory.allocate(MatchingState.size, "test.matching")]
        self.state = MatchingState(self.regions[0].start)
        create_matching(self.state, orders_limit, chunks_limit)
        for number, instrument in enumerate(instruments):
            for name, value in terms_of(instrument).items():
                word, _, index = name.rstrip("]").partition("[")
                terms = self.state.books.terms[number]
                if index:
                    getattr(terms, word)[int(index)] = value
                else:
                    setattr(terms, word, value)
            open_market(self.state.books, number)
        self.ports: MatchingPorts = MatchingPorts.allocate()
        self.decisions = self._ring(DECISION_SLOTS)
        self.events = self._ring(event_slots)
        self.ports.decisions.ring = self.decisions
        self.ports.decisions.cursor = self.decisions.readers[0]
        self.ports.events.ring = self.events
        self.ports.telemetry.clock = Clock.allocate()
        self.ports.telemetry.statistics = StageStatistics.allocate()
        self.steps = self.most_events = 0

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

    def step(self, message_max: int) -> int:
        """One step; counts it, and how many events it wrote at most."""
        published, held = self.ports.telemetry.statistics.published, self.ports.events.held
        progress = step_matching(self.state, self.ports, message_max)
        made = self.ports.telemetry.statistics.published + self.ports.events.held
        self.most_events = max(self.most_events, made - published - held)
        self.steps += 1
        return int(progress)

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
        progress = stage.step(random.randrange(1, DECISION_SLOTS))
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
