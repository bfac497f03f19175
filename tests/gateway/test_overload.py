"""A gateway whose engine is busy, stopped or dead, that is stopped itself, or cannot start."""

import asyncio
import os
import signal

import aiohttp
import pytest

from engine.topology import GATEWAY
from ipc.counters import DEAD, FULL, OPEN, RUNNING, STOPPED
from tests.gateway.running import dropped, eventually, limit_order, ready, running
from tests.gateway.streaming import stream
from tools.supervisor import StartFailed

pytestmark = pytest.mark.system

RING = 1024
RESERVE = RING // 8


def order(**changes):
    return {"op": "order"} | dropped(limit_order() | {"quantity": "0.0001"} | changes)


def test_a_full_ring_refuses_orders_keeps_room_for_cancels_and_loses_nothing():
    async def flood(venue, client):
        async with stream(venue) as ws:
            marks = [await ws.send(**order()) for _ in range(RESERVE + 1)]
            resting = [(await ws.reply(mark))["result"]["order_id"] for mark in marks]
            os.kill(venue.pid("engine"), signal.SIGSTOP)
            marks = [await ws.send(**order()) for _ in range(RING)]
            await ws.until(lambda: len(ws.replies) == RESERVE)
            refused = set(ws.replies)
            assert refused == set(marks[-RESERVE:]), "refused are those that came last"
            for reply in ws.replies.values():
                assert reply["status"] == 503
                assert reply["error"]["code"] == "engine_busy"
            status, problem = client.post()
            assert (status, problem["code"]) == (503, "engine_busy")
            assert client.headers["Retry-After"] == "1"
            assert client.amend(resting[0], price="44000.00")[0] == 503
            cancels = [await ws.send(op="cancel", account=1, order_id=number) for number in resting]
            last = await ws.reply(cancels.pop())
            assert last["status"] == 503, "now even the room for cancels is used up"
            assert client.get("/api/v1/orders/1")[0] == 200, "questions are answered all the time"
            os.kill(venue.pid("engine"), signal.SIGCONT)
            for mark in cancels:
                assert (await ws.reply(mark))["result"]["status"] == "canceled"
            for mark in marks:
                reply = await ws.reply(mark)
                assert reply["status"] == (503 if mark in refused else 201)
            assert (await ws.call(**order()))["status"] == 201
            return RING - RESERVE + 2  # with the last cancel refused, one of the first rests

    with running(rings__order_slots=RING, gateway__request_timeout_ms=60_000) as venue:
        client = venue.client()
        expected = asyncio.run(flood(venue, client))
        book = client.get("/api/v1/book/BTC/USD")[1]
        assert book["bids"] == [["45000.00", f"{expected / 10_000:.4f}"]]
        assert venue.memory.matching[0].decided == 2 * RESERVE + RING - RESERVE + 2
        client.close()


def test_a_full_disk_refuses_orders_and_takes_what_takes_risk_back():
    async def over_websocket(venue, order_id):
        async with stream(venue) as ws:
            refused = await ws.call(**order())
            assert (refused["status"], refused["error"]["code"]) == (503, "disk_full")
            taken = await ws.call(op="cancel", account=1, order_id=order_id)
            assert taken["result"]["status"] == "canceled"

    with running() as venue:
        client = venue.client()
        resting = [client.post()[1]["order_id"] for _ in range(3)]
        venue.memory.counters.durable.state = FULL  # as the journal says it
        status, problem = client.post()
        assert (status, problem["code"], problem["number"]) == (503, "disk_full", 136)
        assert client.amend(resting[0], price="44000.00")[0] == 503
        assert client.cancel(resting[0])[0] == 200
        asyncio.run(over_websocket(venue, resting[1]))
        assert client.request("DELETE", "/api/v1/orders?account=1")[1]["canceled"] == 1
        venue.memory.counters.durable.state = OPEN
        assert client.post()[0] == 201
        client.close()


def test_an_order_that_is_not_answered_in_time_can_be_asked_for():
    with running(gateway__request_timeout_ms=200) as venue:
        client = venue.client()
        os.kill(venue.pid("engine"), signal.SIGSTOP)
        status, problem = client.post(client_order_id="late")
        assert (status, problem["code"]) == (504, "engine_timeout")
        assert problem["client_order_id"] == "late"
        assert "client_order_id" in problem["detail"]
        path = "/api/v1/orders/by-client-id/1/late"
        assert client.get(path)[0] == 404
        # It can be canceled although nobody has heard of it yet.
        status, problem = client.request("DELETE", path)
        assert (status, problem["code"]) == (504, "engine_timeout")
        status, problem = client.request("PATCH", path, {"account": 1, "price": "44000.00"})
        assert (status, problem["code"], problem["field"]) == (422, "contradiction", "quantity")
        os.kill(venue.pid("engine"), signal.SIGCONT)
        assert eventually(lambda: client.get(path)[0] == 200)
        assert eventually(lambda: client.get(path)[1]["status"] == "canceled")
        status, problem = client.post(client_order_id="late")
        assert (status, problem["order"]["status"]) == (409, "canceled")
        client.close()


def test_ready_says_which_process_does_not_serve():
    with running(gateway__request_timeout_ms=200) as venue:
        client = venue.client()
        assert client.get("/ready")[0] == 200
        os.kill(venue.pid("engine"), signal.SIGSTOP)
        assert eventually(lambda: client.get("/ready")[0] == 503), "its heartbeat goes stale"
        os.kill(venue.pid("engine"), signal.SIGCONT)
        assert eventually(lambda: client.get("/ready")[0] == 200)
        os.kill(venue.pid("engine"), signal.SIGKILL)
        assert eventually(lambda: client.get("/ready")[0] == 503)
        processes = {each["name"]: each for each in client.get("/ready")[1]["processes"]}
        assert processes["engine"]["alive"] is False
        assert processes["engine"]["serves"] is False
        assert processes["gateway"]["serves"] is True
        assert client.get("/health")[0] == 200
        assert client.post()[0] == 504
        assert client.get("/api/v1/book/BTC/USD")[0] == 200
        assert 'okimi_process_serving{process="engine"} 0' in client.get("/metrics")[1]
        client.close()


def test_those_who_wait_are_told_when_the_venue_stops():
    async def wait(venue):
        async with (
            stream(venue) as ws,
            aiohttp.ClientSession() as session,
        ):
            await ws.call(op="subscribe", channel="book", symbol="BTC/USD")
            os.kill(venue.pid("engine"), signal.SIGSTOP)
            posted = asyncio.create_task(
                session.post(f"{venue.url}/api/v1/orders", json=limit_order())
            )
            mark = await ws.send(**order())
            metrics = f"{venue.url}/metrics"
            while "pending_commands 2" not in await (await session.get(metrics)).text():
                await asyncio.sleep(0.01)
            os.kill(venue.pid("gateway"), signal.SIGTERM)
            answer = await posted
            assert answer.status == 503
            assert (await answer.json())["code"] == "stopping"
            reply = await ws.reply(mark)
            assert (reply["status"], reply["error"]["code"]) == (503, "stopping")
            message = await ws.socket.receive(10)
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert message.data == aiohttp.WSCloseCode.GOING_AWAY

    with running(gateway__request_timeout_ms=60_000) as venue:
        asyncio.run(wait(venue))
        entry = venue.memory.entry(GATEWAY)
        assert eventually(lambda: entry.state == STOPPED)
        assert entry.last_error.get() == ""
        reader = venue.memory.cursor("events", GATEWAY)
        assert reader.active == 0, "a gateway that has ended holds nobody back"


def test_the_stop_word_ends_the_gateway():
    with running() as venue:
        assert ready(venue)
        venue.memory.counters.stop.value = 1
        assert eventually(lambda: venue.memory.entry(GATEWAY).state == STOPPED)


def test_a_taken_port_is_a_clear_error():
    with running() as venue:
        refused = pytest.raises(StartFailed, match=f"cannot listen on {venue.address}.*in use")
        with refused, running(gateway__http=venue.address):
            pass
        assert ready(venue)


def test_a_gateway_that_has_missed_events_refuses_to_start():
    with running() as venue:
        client = venue.client()
        assert client.post()[0] == 201
        client.close()
        os.kill(venue.pid("gateway"), signal.SIGKILL)
        assert eventually(lambda: GATEWAY in venue.supervisor.poll())
        entry = venue.memory.entry(GATEWAY)
        plan = next(each for each in venue.supervisor.topology.processes if each.name == GATEWAY)
        venue.supervisor._fork(plan)
        assert eventually(lambda: "restart the venue" in entry.last_error.get())
        assert eventually(lambda: GATEWAY in venue.supervisor.poll())
        assert entry.state == DEAD
        assert venue.memory.entry("engine").state == RUNNING
