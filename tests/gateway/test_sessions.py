"""Cancel on disconnect: the orders of a connection end with it, whatever ends it."""

import asyncio
import os
import signal

import pytest

from tests.gateway.running import dropped, eventually, limit_order, running
from tests.gateway.streaming import stream

pytestmark = pytest.mark.system

RING = 1024


def order(**changes):
    return {"op": "order"} | dropped(limit_order() | {"quantity": "0.0001"} | changes)


async def place(ws, **changes):
    return (await ws.call(**order(**changes)))["result"]["order_id"]


def status(client, number):
    return client.get(f"/api/v1/orders/{number}")[1]["status"]


def closed(ws):
    return ws.socket.close()


async def cut(ws):
    """The client's machine is gone: no close frame, no goodbye."""
    ws.socket._response.connection.transport.abort()
    await ws.socket.receive(10)  # the client's own end notices


async def wrong(ws):
    """The gateway itself ends the connection: a message that is too long."""
    await ws.socket.send_str(" " * 20_000)
    await ws.socket.receive(10)


@pytest.mark.parametrize("end", [closed, cut, wrong])
def test_orders_end_with_the_connection_that_asked_for_it(venue, client, end):
    async def work():
        async with stream(venue) as ws, stream(venue) as other:
            before = await place(ws)
            reply = await ws.call(op="session", cancel_on_disconnect=True)
            assert reply["result"] == {"cancel_on_disconnect": True}
            mine = [await place(ws) for _ in range(3)]
            done = await place(ws)
            await ws.call(op="cancel", account=1, order_id=done)
            others = await place(other)
            await end(ws)
            return before, mine, others

    before, mine, others = asyncio.run(work())
    for number in mine:
        assert eventually(lambda number=number: status(client, number) == "canceled")
    shown = client.get(f"/api/v1/orders/{mine[0]}")[1]
    assert shown["reason"] == "canceled_by_client"
    assert status(client, before) == "open", "it was sent before the connection asked"
    assert status(client, others) == "open", "the connection that did not ask has ended, too"
    for number in (before, others):
        assert client.cancel(number)[0] == 200


def test_a_connection_may_change_its_mind(venue, client):
    async def work():
        async with stream(venue) as ws:
            await ws.call(op="session", cancel_on_disconnect=True)
            number = await place(ws)
            await ws.call(op="session", cancel_on_disconnect=False)
            return number

    number = asyncio.run(work())
    assert client.post(quantity="0.0001", client_order_id="later")[0] == 201
    assert status(client, number) == "open"
    assert client.cancel(number)[0] == 200


def test_orders_that_are_on_their_way_when_the_connection_ends_are_cancelled_too():
    async def work(venue):
        async with stream(venue) as ws:
            await ws.call(op="session", cancel_on_disconnect=True)
            os.kill(venue.pid("engine"), signal.SIGSTOP)
            for number in range(5):
                await ws.send(**order(client_order_id=f"late-{number}"))
            await ws.call(op="ping")
            await cut(ws)

    with running(gateway__request_timeout_ms=200) as venue:
        client = venue.client()
        asyncio.run(work(venue))
        assert eventually(lambda: "okimi_gateway_ws_clients 0" in client.get("/metrics")[1])
        os.kill(venue.pid("engine"), signal.SIGCONT)
        for number in range(5):
            path = f"/api/v1/orders/by-client-id/1/late-{number}"
            assert eventually(lambda path=path: client.get(path)[0] == 200)
            assert eventually(lambda path=path: client.get(path)[1]["status"] == "canceled")
        client.close()


def test_a_full_ring_delays_the_cancels_and_loses_none():
    """More orders than the ring has slots for cancels; the engine does not read for a while."""

    async def work(venue):
        async with stream(venue) as ws:
            await ws.call(op="session", cancel_on_disconnect=True)
            numbers = []
            for _ in range(RING // 100 + 1):
                marks = [await ws.send(**order()) for _ in range(100)]
                numbers += [(await ws.reply(mark))["result"]["order_id"] for mark in marks]
            os.kill(venue.pid("engine"), signal.SIGSTOP)
            await ws.call(op="ping")
        return numbers

    with running(rings__order_slots=RING, gateway__request_timeout_ms=60_000) as venue:
        client = venue.client()
        numbers = asyncio.run(work(venue))
        assert len(numbers) > RING
        full = "okimi_gateway_pending_commands 1024\n"
        assert eventually(lambda: full in client.get("/metrics")[1]), "all slots hold cancels"
        os.kill(venue.pid("engine"), signal.SIGCONT)
        assert eventually(lambda: "okimi_gateway_open_orders 0\n" in client.get("/metrics")[1])
        assert {status(client, number) for number in numbers} == {"canceled"}
        client.close()
