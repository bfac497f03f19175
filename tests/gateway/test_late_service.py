"""A gateway that takes the seat of one that died: clients see the same one, to every retry."""

import asyncio
import os
from contextlib import contextmanager

import pytest

from engine.config import load
from engine.durability.blocks import copy
from engine.durability.history import create_history
from engine.durability.recalling import recalled
from engine.durability.recovery import blocks_of
from engine.durability.replica import Replica
from engine.process import build_loop, run_stages
from engine.topology import GATEWAY, plan
from engine.venue import create_private
from gateway.bridge import LateStart
from gateway.entry.names import Target
from gateway.schema import Changes, NewOrder
from gateway.service import Service
from ipc.wait import wake
from tests.durability.test_replica import records_of

pytestmark = pytest.mark.timeout(600)

BOOK = "BTC/USD"


class Seat:
    """A venue in private memory, a replica that follows it, and whichever gateway sits there."""

    def __init__(self, ended_limit):
        settings = {"durability": "memory", "layout": "compact", "tick_ms": 0}
        overrides = {f"venue.{name}": value for name, value in settings.items()}
        # Some kernels may have to be compiled before the first answer.
        config = load(overrides=overrides | {"gateway.request_timeout_ms": 60_000})
        topology = plan(config, clients=(GATEWAY,), cores=[0])
        self.venue = create_private(config, topology)
        self.bell = self.venue.entry(GATEWAY).bell
        self.bell.descriptor = os.eventfd(0, os.EFD_NONBLOCK)
        self.stages = build_loop(self.venue, topology.processes[1])
        self.ended_limit = ended_limit
        self.genesis = self.replica_of(blocks_of(self.venue))
        self.failures = []
        self.service = None

    def replica_of(self, blocks):
        made = Replica(1, self.venue.config.rings.event_slots)
        for name, block in blocks.items():
            copy(block, made.blocks[name])
        create_history(made.follower.histories[0], ended_limit=self.ended_limit)
        made.begin(0, [0])
        return made

    @contextmanager
    def recall(self, positions):
        """From all that has been decided by now."""
        replica = self.replica_of(
            {name: self.genesis.blocks[name] for name in blocks_of(self.venue)}
        )
        ring = self.venue.rings["decisions"]
        replica.apply(b"".join(records_of(ring, 0, ring.producer.position)))
        found = recalled(replica)
        assert found.pasts[0].sequence >= positions[0]
        yield found
        replica.free()

    def start(self, recall=None):
        self.service = Service(self.venue, recall)
        self.service.start(self.failures.append)

    def kill(self):
        """The gateway is gone; nobody has said good-bye for it."""
        asyncio.get_running_loop().remove_reader(self.bell.descriptor)
        self.service.bridge._closed = True

    def work(self):
        """Let the engine do all it can."""
        while run_stages(self.stages) > 0:
            pass
        if self.bell.armed:
            wake(self.bell)

    async def ask(self, send):
        """The reply to a request."""
        replies = []
        send(replies.append)
        async with asyncio.timeout(60):
            while not replies and not self.failures:
                await asyncio.sleep(0)
                self.work()
        assert not self.failures
        return replies[0]

    async def place(self, name, price, quantity="1", side="buy", account=1, **terms):
        fields = {"account": account, "symbol": BOOK, "side": side, "type": "limit"}
        terms = {"client_order_id": name, "price": price, "quantity": quantity} | terms
        order = NewOrder(**(fields | terms))
        return await self.ask(lambda answer: self.service.entry.place(order, answer))


@pytest.fixture
def seat():
    made = []

    def make(ended_limit=1 << 15):
        made.append(Seat(ended_limit))
        return made[-1]

    yield make
    for each in made:
        each.genesis.free()
        os.close(each.bell.descriptor)


NAMES = {
    "rests": "44000",
    "trades": "45000",
    "far": "1",
    "canceled": "43000",
    "low": "42000",
}


async def fill_the_book(seat):
    """Orders that rest, have been filled, canceled, or refused; one that waits for a price."""
    replies = {name: (await seat.place(name, price)).status for name, price in NAMES.items()}
    assert replies == {**dict.fromkeys(NAMES, 201), "far": 422}
    await seat.place("other", "45000", side="sell", account=2)
    target = Target(1, client_order_id="canceled")
    await seat.ask(lambda answer: seat.service.entry.cancel(target, answer))


async def retries(seat):
    """What each order gets when it is sent again."""
    return {name: await seat.place(name, price) for name, price in NAMES.items()}


def test_a_retry_gets_the_answer_that_it_got_before(seat):
    place = seat()

    async def work():
        place.start()
        await fill_the_book(place)
        before = await retries(place)
        assert {reply.status for reply in before.values()} == {409}
        assert before["trades"].document["order"]["status"] == "filled"
        assert before["far"].document["order"]["status"] == "rejected"
        place.kill()
        with pytest.raises(LateStart):
            Service(place.venue)
        place.start(place.recall)
        assert await retries(place) == before
        assert await place.ask(lambda answer: place.service.entry.cancel_all(1, None, None, answer))

    asyncio.run(work())


def test_an_order_that_is_forgotten_is_still_no_new_one(seat):
    """Its id is told; ingest remembers more names than a gateway has orders."""
    place = seat(ended_limit=1)

    async def work():
        place.start()
        await fill_the_book(place)
        before = await retries(place)
        place.kill()
        place.start(place.recall)
        after = await retries(place)
        kept = place.service.view.order_of(1, b"canceled")
        assert kept is not None
        for name in ("rests", "canceled"):
            assert after[name] == before[name]
        for name in ("trades", "far"):
            forgotten = before[name].document
            assert after[name].status == 409
            assert after[name].document == forgotten | {"order": None}

    asyncio.run(work())


def test_answers_to_the_gateway_before_settle_nothing(seat):
    """It died with a command on its way; the next one gets that event, and its own answers."""
    place = seat()

    async def work():
        place.start()
        await place.place("first", "44000")
        order = NewOrder(
            account=1,
            symbol=BOOK,
            side="buy",
            type="limit",
            quantity="2",
            price="44000",
            client_order_id="late",
        )
        place.service.entry.place(order, lambda reply: None)
        place.service.bridge._flush()
        place.kill()
        place.start(place.recall)  # nothing of it is decided yet
        place.work()
        reply = await place.place("late", "44000", "2")
        assert reply.status == 409
        assert reply.document["order"]["quantity"] == "2.0000"
        assert (await place.place("next", "44000")).status == 201
        assert len(place.service.entry.pending) == 0

    asyncio.run(work())


def test_an_amendment_begins_with_what_an_earlier_gateway_has_set(seat):
    place = seat()

    async def amend(**changes):
        target = Target(1, client_order_id="stop")
        wish = Changes(**changes)
        return await place.ask(lambda answer: place.service.entry.amend(target, wish, answer))

    async def work():
        place.start()
        terms = {"stop_price": "46000", "display_quantity": "1"}
        assert (await place.place("stop", "46500", "10", **terms)).status == 201
        await amend(stop_price="46100")
        await amend(display_quantity="2")
        place.kill()
        place.start(place.recall)
        shown = (await amend(display_quantity="3")).document
        assert (shown["stop_price"], shown["display_quantity"]) == ("46100.00", "3.0000")
        place.kill()
        place.start(place.recall)
        shown = (await amend(stop_price="46200")).document
        assert (shown["stop_price"], shown["display_quantity"]) == ("46200.00", "3.0000")

    asyncio.run(work())
