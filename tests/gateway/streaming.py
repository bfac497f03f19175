"""A WebSocket client for tests, and a book that is kept from what it receives."""

import asyncio
import json
from contextlib import asynccontextmanager
from decimal import Decimal

import aiohttp

from tests.gateway.running import PATIENCE_S


class Stream:
    """One connection: replies by id, channel messages in order."""

    def __init__(self, socket):
        self.socket = socket
        self.replies = {}
        self.messages = []
        self.marks = 0

    async def send(self, **operation):
        """Send an operation, with an id of its own unless it has one; returns the id."""
        self.marks += 1
        sent = {"id": self.marks} | operation
        await self.socket.send_str(json.dumps(sent))
        return sent["id"]

    async def call(self, **operation):
        """Send an operation and wait for its reply."""
        return await self.reply(await self.send(**operation))

    async def reply(self, mark):
        await self.until(lambda: mark in self.replies)
        return self.replies.pop(mark)

    async def until(self, condition):
        """Receive until `condition` holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await self.receive()

    async def receive(self):
        """Take one message from the connection; it must be open."""
        message = await self.socket.receive(PATIENCE_S)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        document = json.loads(message.data)
        if "channel" in document:
            self.messages.append(document)
        else:
            self.replies[document["id"]] = document
        return document

    def of(self, channel):
        return [message for message in self.messages if message["channel"] == channel]


@asynccontextmanager
async def stream(venue, **settings):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{venue.url}/api/v1/ws", **settings) as socket,
    ):
        yield Stream(socket)


class FollowedBook:
    """What a client knows of a book from a snapshot and deltas."""

    def __init__(self):
        self.sides = {"bids": {}, "asks": {}}
        self.sequence = None
        self.deltas = 0

    def take(self, message):
        if message["type"] == "snapshot":
            assert self.sequence is None, "one snapshot for each subscription"
        else:
            assert message["prev_sequence"] == self.sequence, "no delta may be missing"
            assert message["sequence"] > message["prev_sequence"]
            assert message["bids"] or message["asks"]
            self.deltas += 1
        self.sequence = message["sequence"]
        for name, levels in self.sides.items():
            for price, quantity in message[name]:
                if Decimal(quantity) == 0:
                    assert message["type"] == "delta"
                    levels.pop(price, None)
                else:
                    levels[price] = quantity
        best_bid = max(map(Decimal, self.sides["bids"]), default=Decimal("-Infinity"))
        best_ask = min(map(Decimal, self.sides["asks"]), default=Decimal("Infinity"))
        assert best_bid < best_ask, "between two commands a book is never crossed"

    def document(self):
        """As GET /book shows it."""
        bids = sorted(self.sides["bids"].items(), key=lambda level: -Decimal(level[0]))
        asks = sorted(self.sides["asks"].items(), key=lambda level: Decimal(level[0]))
        return {"bids": [list(level) for level in bids], "asks": [list(level) for level in asks]}


class FollowedOrders:
    """What a client knows of a book by order from a snapshot and deltas."""

    def __init__(self):
        self.orders = {}
        "Order id: (side, price, quantity), each price in the order of its queue."
        self.sequence = None
        self.actions = set()

    def take(self, message):
        if message["type"] == "snapshot":
            assert self.sequence is None, "one snapshot for each subscription"
            for side in ("bids", "asks"):
                for order_id, price, quantity in message[side]:
                    self.orders[order_id] = (side, price, quantity)
        else:
            assert message["prev_sequence"] == self.sequence, "no delta may be missing"
            assert message["sequence"] > message["prev_sequence"]
            assert message["changes"]
            for change in message["changes"]:
                self.change(change)
        self.sequence = message["sequence"]

    def change(self, change):
        action, order_id, price = (change[name] for name in ("action", "order_id", "price"))
        side = {"buy": "bids", "sell": "asks"}[change["side"]]
        self.actions.add(action)
        if action == "add":
            assert order_id not in self.orders
        else:
            assert self.orders[order_id][:2] == (side, price)
        if action in ("remove", "requeue"):
            del self.orders[order_id]
        if action == "remove":
            assert Decimal(change["quantity"]) == 0
        else:
            assert Decimal(change["quantity"]) > 0
            self.orders[order_id] = (side, price, change["quantity"])

    def document(self):
        """As GET /book?level=3 shows it."""
        made = {}
        for name, better in (("bids", -1), ("asks", 1)):
            orders = [
                [order_id, price, quantity]
                for order_id, (side, price, quantity) in self.orders.items()
                if side == name
            ]
            made[name] = sorted(orders, key=lambda order: better * Decimal(order[1]))
        return made
