"""Events of other sources: the gateway follows them all, and holds the engine back if it must."""

import os
import random
import signal

import numpy as np
import pytest

from engine.driver import Driver
from engine.marketdata import L2Book
from engine.messages import (
    COMMAND_CODEC,
    Command,
    CommandKind,
    OrderType,
    Side,
    TimeInForce,
    decode_events,
)
from engine.topology import DRIVER, GATEWAY
from gateway.market_documents import levels_document
from ipc.record import numpy_dtype
from tests.gateway.running import eventually, running

pytestmark = pytest.mark.system

COMMANDS = 20_000
EVENT_SLOTS = 2048
"""The smallest ring, a tenth of the events: it runs full again and again."""


def random_commands(seed):
    draw = random.Random(seed)
    made = []
    for number in range(1, COMMANDS + 1):
        if number > 100 and draw.random() < 0.4:
            fields = {"kind": CommandKind.CANCEL, "order_id": draw.randint(1, number - 1)}
        else:
            fields = {
                "kind": CommandKind.NEW,
                "side": draw.choice([Side.BUY, Side.SELL]),
                "order_type": OrderType.LIMIT,
                "time_in_force": draw.choice([TimeInForce.GTC, TimeInForce.IOC]),
                "price_ticks": 45_000_00 + round(draw.gauss(0, 40)),
                "qty_lots": draw.randint(1, 50),
                "client_order_id": b"s%dn%d" % (seed, number),
            }
        made.append(COMMAND_CODEC.encode(account=3, instrument=0, **fields))
    return np.frombuffer(b"".join(made), dtype=numpy_dtype(Command))


@pytest.fixture(scope="module")
def venue():
    with running(clients=(GATEWAY, DRIVER), rings__event_slots=EVENT_SLOTS) as venue:
        yield venue


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_the_gateway_follows_a_driver_and_nothing_is_lost(venue, paused):
    seed = 11 + paused
    print(f"seed {seed}")
    driver = Driver(venue.memory)
    book = L2Book()
    before = venue.memory.rings["events"].producer.position
    turns = []

    def turn(answered, count):
        """Every twenty milliseconds; a paused gateway goes on after a while."""
        turns.append(answered)
        if len(turns) == 10:
            os.kill(venue.pid(GATEWAY), signal.SIGCONT)

    if paused:
        os.kill(venue.pid(GATEWAY), signal.SIGSTOP)
    outcome = driver.run(random_commands(seed), turn=turn)
    driver.leave()
    if paused:
        assert turns[9] == turns[8] < COMMANDS, "a paused gateway holds the engine back"
    events = decode_events(memoryview(np.ascontiguousarray(outcome.events)).cast("B"))
    assert len(events) == outcome.event_count > COMMANDS
    assert venue.memory.rings["events"].producer.position == before + len(events)
    client = venue.client()
    instrument = venue.memory.config.instruments[0]
    if before == 0:
        for event in events:
            book.apply_event(event)
        expected = levels_document(book.best(Side.BUY, 50), instrument)
        path = "/api/v1/book/BTC/USD?depth=50"
        wanted = [list(level) for level in expected]
        assert eventually(lambda: client.get(path)[1]["bids"] == wanted)
    last = events[-1].sequence
    lines = f"okimi_gateway_event_sequence {last}\n"
    assert eventually(lambda: lines in client.get("/metrics")[1])
    cursor = venue.memory.cursor("events", GATEWAY)
    assert eventually(lambda: cursor.position == last)
    shown = client.get(f"/api/v1/orders/by-client-id/3/s{seed}n1")[1]
    assert shown["order_id"] > 0
    # A foreign command is no answer to one of ours.
    assert client.post()[0] == 201
    client.close()
