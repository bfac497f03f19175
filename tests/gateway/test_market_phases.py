"""Market data through a whole venue: icebergs, hidden orders, an auction and its uncross."""

import asyncio

import pytest

from gateway.channels import CHANNELS
from tests.gateway.running import running
from tests.gateway.streaming import FollowedBook, FollowedOrders, stream

pytestmark = pytest.mark.system

SYMBOL = "BTC/USD"
ONE = "/api/v1/admin/instruments/BTC%2FUSD"


@pytest.fixture(scope="module")
def venue():
    with running(venue__tick_ms=0) as venue:  # its clock stands until the test moves it
        yield venue


def offer(client, price, quantity, **terms):
    """Account 3 sells; the order id."""
    status, order = client.post(account=3, side="sell", price=price, quantity=quantity, **terms)
    assert status == 201, order
    return order["order_id"]


def public(client, what):
    status, document = client.get(f"/api/v1/{what}")
    assert status == 200, document
    return document


def enter(client, phase):
    assert client.request("POST", f"{ONE}/phase", {"phase": phase})[0] == 200


async def follow(venue, happen):
    """Follow all channels while `happen()` runs; the connection and both books."""
    async with stream(venue) as ws:
        for channel in CHANNELS[1:]:
            assert (await ws.call(op="subscribe", channel=channel, symbol=SYMBOL))["status"] == 200
        await asyncio.to_thread(happen)
        await ws.call(op="ping")
        book, orders = FollowedBook(), FollowedOrders()
        for message in ws.of("book"):
            book.take(message)
        for message in ws.of("book_orders"):
            orders.take(message)
        return ws, book, orders


def test_a_day_with_icebergs_hidden_orders_and_an_auction(venue, client):
    ids = {}

    def trade_continuously():
        ids["iceberg"] = offer(client, "46000.00", "1.0000", display_quantity="0.1000")
        offer(client, "45900.00", "0.5000", hidden=True)
        ids["plain"] = offer(client, "46000.00", "0.2000")
        assert client.post(price="46000.00", quantity="0.6000")[1]["status"] == "filled"

    ws, book, orders = asyncio.run(follow(venue, trade_continuously))
    trades = [trade for message in ws.of("trades") for trade in message["trades"]]
    assert [(trade["price"], trade["quantity"], trade["side"]) for trade in trades] == [
        ("45900.00", "0.5000", "buy"),
        ("46000.00", "0.1000", "buy"),
    ]
    asks = [
        [ids["plain"], "46000.00", "0.2000"],
        [ids["iceberg"], "46000.00", "0.1000"],
    ]
    assert orders.document() == {"bids": [], "asks": asks}
    assert orders.actions == {"add", "requeue"}
    assert public(client, "book/BTC%2FUSD?level=3")["asks"] == asks
    assert book.document()["asks"] == [["46000.00", "0.3000"]]
    for message in ws.of("book"):
        assert "45900.00" not in str(message), "nothing tells where the hidden order was"

    def hold_an_auction():
        enter(client, "closing_auction")
        assert client.post(price="46100.00", quantity="0.3000")[1]["status"] == "open"
        tick = client.request("POST", "/api/v1/admin/tick", {"at": "2100-01-01T00:00:00Z"})
        assert tick[0] == 200
        ids["indicative"] = public(client, "auction/BTC%2FUSD")
        enter(client, "continuous")

    ws, _, orders = asyncio.run(follow_crossed(venue, hold_an_auction))
    shown = ids["indicative"]
    assert (shown["phase"], shown["price"], shown["volume"]) == (
        *("closing_auction", "46000.00", "0.3000"),
    )
    assert (shown["surplus"], shown["surplus_side"]) == ("0.8000", "sell")
    phases = [message["phase"] for message in ws.of("auction")]
    assert list(dict.fromkeys(phases)) == ["continuous", "closing_auction"]
    assert phases[-1] == "continuous"
    trades = [trade for message in ws.of("trades") for trade in message["trades"]]
    assert [(trade["quantity"], trade["side"]) for trade in trades] == [
        ("0.2000", None),
        ("0.1000", None),
    ]
    assert orders.document() == {"bids": [], "asks": [[ids["iceberg"], "46000.00", "0.1000"]]}
    ticker = public(client, "ticker/BTC%2FUSD")
    assert (ticker["phase"], ticker["last"]["side"]) == ("continuous", None)
    day = public(client, "statistics/BTC%2FUSD")
    assert (day["open"], day["high"], day["low"], day["last"]) == (
        *("45900.00", "46000.00", "45900.00", "46000.00"),
    )
    assert (day["volume"], day["trades"]) == ("0.9000", 4)
    assert (day["auction_price"], day["auction_volume"]) == ("46000.00", "0.3000")


async def follow_crossed(venue, happen):
    """As `follow`, without the book by price, which a client may not expect to be uncrossed."""
    async with stream(venue) as ws:
        for channel in CHANNELS[1:]:
            await ws.call(op="subscribe", channel=channel, symbol=SYMBOL)
        await asyncio.to_thread(happen)
        await ws.call(op="ping")
        orders = FollowedOrders()
        for message in ws.of("book_orders"):
            orders.take(message)
        return ws, None, orders


def test_a_new_day_begins_with_its_first_phase(client):
    enter(client, "closed")
    assert public(client, "statistics/BTC%2FUSD")["trades"] > 0
    enter(client, "pre_open")
    day = public(client, "statistics/BTC%2FUSD")
    assert (day["trades"], day["open"], day["volume"]) == (0, None, "0.0000")
    assert public(client, "ticker/BTC%2FUSD")["last"] is not None, "the last trade is not of a day"


def test_a_listed_instrument_has_market_data_until_it_is_delisted(venue, client):
    table = dict(
        *[{"symbol": "NEW/USD", "base": "BTC", "quote": "USD", "tick": "0.01", "lot": "0.0001"}],
        qty_max="1000",
        notional_max="100000000",
    )
    status, made = client.request("POST", "/api/v1/admin/instruments", table)
    assert status in (200, 201), made
    one = "NEW%2FUSD"
    order = client.post(symbol="NEW/USD", price="10.00", quantity="1.0000")
    assert order[0] == 201, order
    assert public(client, f"book/{one}")["bids"] == [["10.00", "1.0000"]]
    assert public(client, f"ticker/{one}")["phase"] == "continuous"
    assert public(client, f"trades/{one}")["trades"] == []

    def delist():
        assert client.request("DELETE", f"/api/v1/admin/instruments/{one}")[0] == 200

    async def watch():
        async with stream(venue) as ws:
            for channel in CHANNELS[1:]:
                await ws.call(op="subscribe", channel=channel, symbol="NEW/USD")
            await asyncio.to_thread(delist)
            await ws.call(op="ping")
            return ws.of("ticker"), ws.of("book_orders")

    ticker, orders = asyncio.run(watch())
    assert ticker[-1]["bid"] is None
    assert [change["action"] for change in orders[-1]["changes"]] == ["remove"]
    assert client.get(f"/api/v1/book/{one}")[0] == 404
