"""Books and trades over HTTP and WebSocket agree, under a random flow of orders."""

import asyncio
import random
from contextlib import AsyncExitStack
from decimal import Decimal

import pytest

from engine.durability.history import FILLS_PER_ORDER_MAX
from gateway.bridge import EVENTS_PER_TURN_MAX
from gateway.channels import CHANNELS
from tests.gateway.streaming import FollowedBook, FollowedOrders, stream

pytestmark = pytest.mark.system

SYMBOLS = {"BTC/USD": (45_000_00, "0.0001"), "ETH/USD": (2_500_00, "0.001")}
BATCHES = 40
BATCH = 50


class Flow:
    """Random orders, cancels and amendments of three accounts, mostly near one price."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.live = []

    def price(self, symbol):
        cents = SYMBOLS[symbol][0] + round(self.random.gauss(0, 300))
        return f"{cents // 100}.{cents % 100:02}"

    def operation(self):
        draw = self.random
        if self.live and draw.random() < 0.25:
            account, order_id, symbol = draw.choice(self.live)
            if draw.random() < 0.5:
                return {"op": "cancel", "account": account, "order_id": order_id}
            wish = {"price": self.price(symbol), "quantity": str(draw.randint(1, 20))}
            return {"op": "amend", "account": account, "order_id": order_id} | wish
        symbol = draw.choice(list(SYMBOLS))
        order = {
            "op": "order",
            "account": draw.randint(1, 3),
            "symbol": symbol,
            "side": draw.choice(["buy", "sell"]),
            "type": "limit",
            "price": self.price(symbol),
            "quantity": f"{draw.uniform(0.01, 0.2):.3f}",
        }
        kind = draw.random()
        if kind < 0.05:
            order["type"] = "market"
            del order["price"]
        elif kind < 0.25:
            order["time_in_force"] = draw.choice(["ioc", "fok"])
        elif kind < 0.30:
            order["post_only"] = True
        return order

    def note(self, reply):
        result = reply.get("result", {})
        if result.get("status") in ("open", "partially_filled"):
            self.live.append((result["account"], result["order_id"], result["symbol"]))


async def drive(venue, seed, joined):
    """Send the flow; `joined` gets called between batches."""
    flow = Flow(seed)
    async with stream(venue) as sender:
        for number in range(BATCHES):
            marks = [await sender.send(**flow.operation()) for _ in range(BATCH)]
            for mark in marks:
                reply = await sender.reply(mark)
                assert reply["status"] in (200, 201, 404, 409, 422), reply
                flow.note(reply)
            await joined(number)
        # However the flow went, each side of each book has an order in the end.
        for symbol, (middle, *_) in SYMBOLS.items():
            for side, cents in (("buy", middle - 1000), ("sell", middle + 1000)):
                rest = {"account": 1, "symbol": symbol, "side": side, "type": "limit"}
                rest |= {"price": f"{cents // 100}.{cents % 100:02}", "quantity": "0.010"}
                reply = await sender.reply(await sender.send(op="order", **rest))
                assert reply["status"] == 201, reply


class Follower:
    """A connection that follows all public channels of all instruments."""

    def __init__(self, ws):
        self.ws = ws
        self.books = {symbol: FollowedBook() for symbol in SYMBOLS}
        self.orders = {symbol: FollowedOrders() for symbol in SYMBOLS}
        self.last = {}
        "The newest message of channels that tell their whole state, by channel and symbol."
        self.taken = 0

    async def subscribe(self):
        for symbol in SYMBOLS:
            for channel in CHANNELS[1:]:
                reply = await self.ws.call(op="subscribe", channel=channel, symbol=symbol)
                assert reply["status"] == 200

    def take(self):
        """Bring the books up to date with what has been received."""
        messages = self.ws.messages[self.taken :]
        self.taken += len(messages)
        for message in messages:
            channel, symbol = message["channel"], message["symbol"]
            if channel == "book":
                self.books[symbol].take(message)
            elif channel == "book_orders":
                self.orders[symbol].take(message)
            elif channel != "trades":
                self.last[channel, symbol] = message

    async def reach(self, symbol, sequence):
        """Receive until the book of an instrument is at that sequence."""

        def reached():
            self.take()
            return self.books[symbol].sequence == sequence

        await self.ws.until(reached)
        await self.ws.call(op="ping")  # after the other channels' messages of that command
        self.take()
        return self.books[symbol].document()

    def trades(self, symbol):
        messages = [each for each in self.ws.of("trades") if each["symbol"] == symbol]
        return [trade for message in messages for trade in message["trades"]]


async def follow(venue, seed, compare):
    """Drive the flow while followers join before, early and late; then compare what they have."""
    followers = []
    async with AsyncExitStack() as open_streams:

        async def join(number):
            if number in (0, 3, 20):
                ws = await open_streams.enter_async_context(stream(venue))
                followers.append(Follower(ws))
                await followers[-1].subscribe()

        await drive(venue, seed, join)
        for follower in followers:
            await compare(follower)
    return followers


@pytest.mark.parametrize("seed", [1, 2])
def test_snapshot_and_deltas_give_the_book_that_http_shows(venue, client, seed):
    print(f"seed {seed}")

    async def compare(follower):
        for symbol in SYMBOLS:
            shown = client.get(f"/api/v1/book/{symbol}?depth=1000")[1]
            followed = await follower.reach(symbol, shown["sequence"])
            assert followed == {"bids": shown["bids"], "asks": shown["asks"]}
            assert shown["bids"], "the flow left nothing to compare"
            assert shown["asks"], "the flow left nothing to compare"
            by_order = client.get(f"/api/v1/book/{symbol}?depth=1000&level=3")[1]
            assert follower.orders[symbol].sequence == by_order["sequence"]
            assert follower.orders[symbol].document() == {
                "bids": by_order["bids"],
                "asks": by_order["asks"],
            }
            for channel in ("ticker", "statistics", "auction"):
                state = client.get(f"/api/v1/{channel}/{symbol}")[1]
                told = follower.last[channel, symbol]
                # The newest change of the instrument may have been none of this channel's.
                assert told | {"sequence": state["sequence"]} == {"channel": channel} | state
            ticker = client.get(f"/api/v1/ticker/{symbol}")[1]
            assert [ticker["bid"], ticker["ask"]] == [shown["bids"][0], shown["asks"][0]]

    first = asyncio.run(follow(venue, seed, compare))[0]
    for symbol in SYMBOLS:
        assert first.books[symbol].deltas > 100
        assert first.orders[symbol].actions == {"add", "change", "remove"}
        trades = first.trades(symbol)
        assert len(trades) > 50
        numbers = [trade["match_id"] for trade in trades]
        assert numbers == sorted(set(numbers))
        shown = client.get(f"/api/v1/trades/{symbol}?limit=50")[1]["trades"]
        assert shown == trades[::-1][:50]


def test_statistics_are_those_of_all_trades(venue, client):
    """Of the flow so far, which is less than the trades that are kept."""
    for symbol in SYMBOLS:
        trades = client.get(f"/api/v1/trades/{symbol}?limit=1000")[1]["trades"][::-1]
        shown = client.get(f"/api/v1/statistics/{symbol}")[1]
        assert 0 < len(trades) == shown["trades"] < 1000
        prices = [Decimal(trade["price"]) for trade in trades]
        lots = [Decimal(trade["quantity"]) for trade in trades]
        expected = [prices[0], max(prices), min(prices), prices[-1]]
        assert [Decimal(shown[name]) for name in ("open", "high", "low", "last")] == expected
        assert Decimal(shown["volume"]) == sum(lots)
        turnover = sum(price * lot for price, lot in zip(prices, lots, strict=True))
        assert Decimal(shown["turnover"]) == turnover
        assert shown["complete"]


def test_a_long_sweep_is_one_change_of_the_book(venue):
    """More fills than the gateway applies in one turn, and than matching makes in one step."""
    fills = 2 * EVENTS_PER_TURN_MAX + 88
    prices = [f"0.0500{number}" for number in range(7)]
    order = {"op": "order", "symbol": "ETH/BTC", "type": "limit"}
    offer = order | {"account": 3, "side": "sell", "quantity": "0.001"}
    bid = order | {"account": 2, "side": "buy", "price": "0.06000", "quantity": f"0.{fills}"}

    async def sweep():
        async with stream(venue) as ws:
            marks = [await ws.send(**offer, price=prices[number % 7]) for number in range(fills)]
            for mark in marks:
                assert (await ws.reply(mark))["result"]["status"] == "open"
            await ws.call(op="subscribe", channel="book", symbol="ETH/BTC")
            await ws.call(op="subscribe", channel="orders", account=2)
            taken = await ws.call(**bid)
            await ws.call(op="ping")
            return taken["result"], ws.of("book"), ws.of("orders")

    taken, changes, news = asyncio.run(sweep())
    assert (taken["status"], taken["fill_count"]) == ("filled", fills)
    assert len(taken["fills"]) == FILLS_PER_ORDER_MAX
    assert [message["event"] for message in news] == ["accepted"] + ["fill"] * fills
    assert [message["type"] for message in changes] == ["snapshot", "delta"]
    assert sorted(changes[1]["asks"]) == [[price, "0.000"] for price in prices]


def test_the_totals_of_the_book_are_the_open_orders(venue, client):
    """Runs after the flow: sums every open order of every account by side and price."""
    for symbol in SYMBOLS:
        totals = {"buy": {}, "sell": {}}
        for account in (1, 2, 3):
            after = 0
            while True:
                page = client.get(
                    f"/api/v1/orders?account={account}&symbol={symbol}&limit=200&after={after}"
                )[1]
                for order in page["orders"]:
                    lots = int(order["leaves_quantity"].replace(".", ""))
                    level = totals[order["side"]]
                    level[order["price"]] = level.get(order["price"], 0) + lots
                if not page["more"]:
                    break
                after = page["orders"][-1]["order_id"]
        book = client.get(f"/api/v1/book/{symbol}?depth=1000")[1]
        for side, name in (("buy", "bids"), ("sell", "asks")):
            shown = {price: int(quantity.replace(".", "")) for price, quantity in book[name]}
            assert shown == totals[side]
            assert shown, "the flow left orders"


def test_depth_and_limit_bound_the_answer(client):
    for symbol in SYMBOLS:
        book = client.get(f"/api/v1/book/{symbol}?depth=1000")[1]
        top = client.get(f"/api/v1/book/{symbol}?depth=2")[1]
        assert top["bids"] == book["bids"][:2]
        assert top["asks"] == book["asks"][:2]
        by_order = client.get(f"/api/v1/book/{symbol}?depth=1000&level=3")[1]
        first = client.get(f"/api/v1/book/{symbol}?depth=1&level=3")[1]
        assert (first["bids"], first["asks"]) == (by_order["bids"][:1], by_order["asks"][:1])
        assert client.get(f"/api/v1/book/{symbol}?level=2")[1]["bids"][:2] == top["bids"]
        assert client.get(f"/api/v1/book/{symbol}?level=1")[0] == 400
        assert len(client.get(f"/api/v1/trades/{symbol}?limit=3")[1]["trades"]) == 3
