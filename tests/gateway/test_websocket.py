"""Order entry and channels over WebSocket, and clients that behave badly."""

import asyncio
import json

import aiohttp
import pytest

from tests.gateway.running import dropped, limit_order, running
from tests.gateway.streaming import FollowedBook, stream

pytestmark = pytest.mark.system


def order(**changes):
    return {"op": "order"} | dropped(limit_order() | changes)


@pytest.fixture(autouse=True)
def empty_book(client):
    yield
    for account in (1, 2, 3):
        for each in client.get(f"/api/v1/orders?account={account}")[1]["orders"]:
            assert client.cancel(each["order_id"], account)[0] == 200


def test_orders_are_entered_amended_and_canceled(venue, client):
    async def trade():
        async with stream(venue) as ws:
            placed = await ws.call(**order(id="mine", client_order_id="ws-1"))
            assert (placed["op"], placed["id"], placed["status"]) == ("order", "mine", 201)
            number = placed["result"]["order_id"]
            assert client.get(f"/api/v1/orders/{number}")[1] == placed["result"]
            amended = await ws.call(op="amend", account=1, order_id=number, price="45000.01")
            assert (amended["status"], amended["result"]["price"]) == (200, "45000.01")
            again = await ws.call(**order(client_order_id="ws-1"))
            assert again["status"] == 409
            assert again["error"]["code"] == "duplicate_client_order_id"
            assert again["error"]["order"]["order_id"] == number
            ended = await ws.call(op="cancel", account=1, client_order_id="ws-1")
            assert (ended["status"], ended["result"]["status"]) == (200, "canceled")
            late = await ws.call(op="cancel", account=1, client_order_id="ws-1")
            assert (late["status"], late["error"]["code"]) == (409, "order_not_open")
            assert (await ws.call(op="ping"))["status"] == 200

    asyncio.run(trade())


def test_an_order_can_be_canceled_and_amended_before_its_acknowledgement(venue):
    """Sent in one piece, so that the gateway reads all of it before the engine answers."""

    async def hurry():
        async with stream(venue) as ws:
            named = {"account": 1, "client_order_id": "hasty"}
            amendment = {"price": "44000.00", "quantity": "2.0000"}
            first = await ws.send(**order(client_order_id="hasty"))
            second = await ws.send(op="amend", **named, **amendment)
            third = await ws.send(op="cancel", **named)
            assert (await ws.reply(first))["result"]["status"] == "open"
            changed = await ws.reply(second)
            assert (changed["status"], changed["result"]["quantity"]) == (200, "2.0000")
            assert (await ws.reply(third))["result"]["status"] == "canceled"

    asyncio.run(hurry())


def test_an_accounts_orders_are_told_to_those_who_follow_it(venue):
    async def follow():
        async with stream(venue) as ws, stream(venue) as other:
            for account in (1, 2):
                reply = await ws.call(op="subscribe", channel="orders", account=account)
                assert reply["result"] == {"channel": "orders", "account": account}
            await other.call(op="subscribe", channel="orders", account=3)
            maker = (await ws.call(**order(client_order_id="maker")))["result"]["order_id"]
            taker = await ws.call(
                **order(account=2, side="sell", quantity="2.0000", client_order_id="taker")
            )
            await ws.call(op="amend", account=2, client_order_id="taker", quantity="1.5000")
            await ws.call(op="cancel", account=2, client_order_id="taker")
            await ws.call(**order(quantity="90.0000", client_order_id="vast"))
            await ws.until(lambda: len(ws.of("orders")) == 8)
            told = [
                (message["account"], message["event"], message["client_order_id"])
                for message in ws.of("orders")
            ]
            assert told == [
                (1, "accepted", "maker"),
                (2, "accepted", "taker"),
                (2, "fill", "taker"),
                (1, "fill", "maker"),
                (2, "rested", "taker"),
                (2, "replaced", "taker"),
                (2, "canceled", "taker"),
                (1, "rejected", "vast"),
            ]
            messages = ws.of("orders")
            assert messages[2]["fill"]["quantity"] == "1.0000"
            assert messages[2]["fill"]["liquidity"] == "taker"
            assert messages[3]["fill"]["liquidity"] == "maker"
            assert messages[3]["order"]["status"] == "filled"
            assert messages[3]["order_id"] == maker
            assert messages[4]["order"]["order_id"] == taker["result"]["order_id"]
            assert messages[5]["order"]["leaves_quantity"] == "0.5000"
            assert messages[7]["reason"] == "insufficient_balance"
            sequences = [message["sequence"] for message in messages]
            assert sequences == sorted(sequences)
            # The other connection follows account 3, to which nothing happened.
            await other.call(op="ping")
            assert other.messages == []
            await ws.call(op="unsubscribe", channel="orders", account=1)
            seen = len(ws.messages)
            await ws.call(**order())
            await ws.call(op="ping")
            assert len(ws.messages) == seen

    asyncio.run(follow())


def test_a_book_that_is_followed_twice_is_sent_once(venue):
    async def follow():
        async with stream(venue) as ws:
            for _ in range(2):
                await ws.call(op="subscribe", channel="book", symbol="BTC/USD")
            book = FollowedBook()
            await ws.call(**order())
            await ws.call(op="ping")
            await ws.until(lambda: len(ws.of("book")) == 2)
            for message in ws.of("book"):
                book.take(message)
            assert book.document()["bids"] == [["45000.00", "1.0000"]]
            await ws.call(op="unsubscribe", channel="book", symbol="BTC/USD")
            await ws.call(**order())
            await ws.call(op="ping")
            assert len(ws.of("book")) == 2

    asyncio.run(follow())


FAULTS = [
    ("{", None, "malformed_json"),
    ("[]", None, "wrong_shape"),
    ("{}", "op", "missing_field"),
    ('{"op":"fly","id":7}', "op", "wrong_type"),
    ('{"op":"ping","id":1.5}', "id", "wrong_type"),
    ('{"op":"ping","id":"' + "x" * 65 + '"}', "id", "wrong_type"),
    ('{"op":"ping","extra":1}', "extra", "unknown_field"),
    ('{"op":"cancel","account":1}', None, "contradiction"),
    ('{"op":"cancel","account":1,"order_id":1,"client_order_id":"a"}', None, "contradiction"),
    ('{"op":"cancel","account":1,"order_id":0}', "order_id", "wrong_type"),
    ('{"op":"cancel","account":1,"order_id":987654}', "order_id", "unknown_order"),
    ('{"op":"amend","account":1,"order_id":1}', None, "contradiction"),
    ('{"op":"subscribe","channel":"gossip"}', "channel", "wrong_type"),
    ('{"op":"subscribe","channel":"orders"}', "account", "contradiction"),
    ('{"op":"subscribe","channel":"orders","account":77}', "account", "unknown_account"),
    ('{"op":"subscribe","channel":"orders","account":1,"symbol":"X"}', "symbol", "contradiction"),
    ('{"op":"subscribe","channel":"book"}', "symbol", "contradiction"),
    ('{"op":"subscribe","channel":"book","symbol":"X"}', "symbol", "unknown_symbol"),
    ('{"op":"order","id":7}', "side", "missing_field"),
    (b"\xff\xff", None, "bad_encoding"),
]


@pytest.mark.parametrize(("raw", "field", "code"), FAULTS)
def test_what_cannot_be_taken_is_answered_and_the_connection_lives(venue, raw, field, code):
    decided = venue.decided()

    async def send():
        async with stream(venue) as ws:
            if isinstance(raw, bytes):
                await ws.socket._writer.send_frame(raw, aiohttp.WSMsgType.TEXT)
            else:
                await ws.socket.send_str(raw)
            answer = await ws.receive()
            assert answer["error"]["code"] == code
            assert answer["error"].get("field") == field
            assert 400 <= answer["status"] < 500
            if '"id":7' in str(raw):
                assert answer["id"] == 7
            assert (await ws.call(op="ping"))["status"] == 200

    asyncio.run(send())
    assert venue.decided() == decided


def test_a_binary_message_is_refused_and_an_oversized_one_ends_the_connection(venue, client):
    async def send():
        async with stream(venue) as ws:
            await ws.socket.send_bytes(b"{}")
            assert (await ws.receive())["error"]["code"] == "wrong_shape"
            await ws.socket.send_str(" " * 20_000)
            message = await ws.socket.receive(10)
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
            assert ws.socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG

    asyncio.run(send())
    assert client.get("/health")[0] == 200


def test_other_sites_cannot_open_a_websocket(venue):
    async def connect():
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with stream(venue, headers={"Origin": "http://evil.example"}):
                pass
        assert refused.value.status == 403

    asyncio.run(connect())


def test_a_client_that_goes_away_while_it_waits_does_no_harm(venue, client):
    async def leave():
        async with stream(venue) as ws:
            await ws.call(op="subscribe", channel="book", symbol="BTC/USD")
            for number in range(50):
                await ws.send(**order(quantity="0.0100", client_order_id=f"gone-{number}"))
            ws.socket._response.connection.transport.abort()
            await ws.socket.receive(10)

    asyncio.run(leave())
    assert client.post(client_order_id="after")[0] == 201
    status, shown = client.get("/api/v1/orders/by-client-id/1/after")
    assert (status, shown["status"]) == (200, "open")


def test_a_slow_client_is_dropped_and_slows_nobody():
    """One client stops reading; another one goes on and misses nothing."""

    async def work(venue, client):
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{venue.url}/api/v1/ws") as slow,
            stream(venue) as quick,
        ):
            for account in (1, 2):
                subscription = {"op": "subscribe", "channel": "orders", "account": account}
                await slow.send_str(json.dumps(subscription))
            # Nothing is read from `slow` from here on: its buffers fill, then its backlog.
            slow._response.connection.transport.pause_reading()
            await quick.call(op="subscribe", channel="book", symbol="BTC/USD")
            book, rounds = FollowedBook(), 0
            while dropped_clients(client) == 0:
                marks = [
                    await quick.send(**order(quantity="0.0001", price=f"4{level}000.00"))
                    for level in range(4, 9)
                    for _ in range(40)
                ]
                for mark in marks:
                    placed = await quick.reply(mark)
                    assert placed["status"] == 201
                    number = placed["result"]["order_id"]
                    await quick.send(op="cancel", account=1, order_id=number)
                rounds += 1
                assert rounds < 200, "the slow client was never dropped"
            await quick.call(op="ping")
            for message in quick.of("book"):
                book.take(message)
            slow._response.connection.transport.resume_reading()
            async with asyncio.timeout(20):
                while (message := await slow.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert message.data == aiohttp.WSCloseCode.TRY_AGAIN_LATER
            return book, rounds

    def dropped_clients(client):
        page = client.get("/metrics")[1]
        line = next(line for line in page.splitlines() if line.startswith("okimi_gateway_ws_drop"))
        return int(line.split()[-1])

    with running(gateway__ws_backlog_max=64) as venue:
        client = venue.client()
        book, _ = asyncio.run(work(venue, client))
        assert book.deltas > 100
        assert client.get("/ready")[0] == 200
        client.close()
