"""Readers of the engine's own event ring: one that holds it back, one that is lapped.

Both have exactly the engine's books whenever they say that they know them, and the lapped one
comes back to them by SNAPSHOT commands that it sends like any other client.
"""

from random import Random

import pytest

from engine.inprocess import InProcessVenue
from engine.marketdata import Follower
from engine.messages import MESSAGE_BYTES, CommandKind, Side, decode_events
from ipc import memory
from ipc.jit import INTERPRETED
from ipc.ring import Observer, observe
from tests.bulk_streams import EVERYTHING, ICEBERGS, Habits, bulk
from tests.desk import as_array
from tests.engines import engine_for
from tests.true_books import shown_orders
from tools import twin

pytestmark = pytest.mark.timeout(600)

EVENT_SLOTS = 2_048
"""The smallest ring, so that a reader that looks away for a while is lapped."""

READ_MAX = 1_024


class LappedReader:
    """Observes the ring now and then, and asks for the snapshots that it needs."""

    def __init__(self, venue: InProcessVenue, phases: dict[int, int]) -> None:
        self.ring = venue.venue.rings["events"]
        self.observer = Observer.allocate()
        passed = self.observer.position = self.ring.producer.position
        self.follower = Follower(phases, passed)
        self.copies = memory.allocate(READ_MAX * MESSAGE_BYTES, "copies")
        self.loads = 0

    def read(self, wanted: int) -> int:
        """Take up to `wanted` events; returns how many there were."""
        count = observe(self.ring, self.observer, self.copies.start, min(wanted, READ_MAX))
        for event in decode_events(self.copies.view[: count * MESSAGE_BYTES]):
            self.loads += sum(change.loaded for change in self.follower.take(event))
        return count

    def catch_up(self) -> None:
        while self.read(READ_MAX):
            pass

    def snapshots(self) -> list[twin.Command]:
        """The commands that it wants to be sent."""
        wanted = self.follower.snapshots_wanted()
        return [twin.Command(0, CommandKind.SNAPSHOT, instrument=number) for number in wanted]


def check(venue: InProcessVenue, follower: Follower) -> int:
    """Compare all books that are known with the engine's; how many these are."""
    known = [market for market in follower.markets.values() if market.known]
    for market in known:
        for side in Side:
            truth = shown_orders(venue.venue.matching[0], market.number, side)
            orders = [
                (each.order_id, each.price_ticks, each.lots) for each in market.l3.orders(side)
            ]
            assert orders == truth
            totals: dict[int, int] = {}
            for _, price_ticks, lots in truth:
                totals[price_ticks] = totals.get(price_ticks, 0) + lots
            assert market.l2.best(side, 1 << 20) == list(totals.items())
    return len(known)


STREAMS = [
    pytest.param(31, EVERYTHING, id="everything"),
    pytest.param(32, ICEBERGS, id="icebergs"),
]


@pytest.mark.parametrize(("seed", "habits"), STREAMS)
def test_readers_have_the_books_of_the_engine(seed: int, habits: Habits) -> None:
    count = 800 if INTERPRETED else 8_000
    stream, random = bulk(seed, count, habits, 3), Random(seed)
    phases = {number: each.phase for number, each in enumerate(stream.market.instruments)}
    faithful, late = Follower(phases), count // 4
    with engine_for(stream.market, event_slots=EVENT_SLOTS) as engine:
        venue = engine.venue

        def execute(commands: list[twin.Command]) -> None:
            for event in venue.execute(as_array(commands)):
                faithful.take(event)

        execute(stream.commands[:late])
        lapped = LappedReader(venue, phases)
        commands = stream.commands[late:]
        while commands or not lapped.follower.is_complete:
            size = random.choice((1, 10, 100, 900))
            execute(commands[:size] + lapped.snapshots())
            commands = commands[size:]
            if random.random() < 0.7:
                lapped.catch_up()
                check(venue, lapped.follower)
            else:
                lapped.read(random.randrange(50))
            assert check(venue, faithful) == len(faithful.markets)
        assert faithful.gaps == 0
        assert lapped.loads >= len(faithful.markets)
        assert lapped.follower.gaps == lapped.observer.laps
        if not INTERPRETED:
            assert lapped.observer.laps > 3
        memory.forget(lapped.copies)
