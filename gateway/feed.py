"""Who gets which news over WebSocket: subscribers by channel, and what each event tells them.

The channel `orders` has each event of one account's orders, with the order as it is then, and what
risk does to the account; what the others have is written by `gateway.market_feed`.

A message is rendered once for all its subscribers and put into their backlogs. A subscriber
whose connection takes no more bytes and whose backlog is full is told `overflow`; nobody waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import orjson

from engine.config import Config
from engine.marketdata import MarketChange
from engine.messages import EventKind
from engine.rules import RuleNumber
from gateway.accounts import STATES
from gateway.channels import ORDERS, Topic
from gateway.documents import (
    REASONS,
    Document,
    client_id_text,
    fill_document,
    order_document,
)
from gateway.market_feed import MarketFeed
from gateway.marketdata import MarketData
from gateway.refusals import is_of_risk
from gateway.view import VenueView

EVENT_NAMES: Final = {int(kind): kind.name.lower() for kind in EventKind} | {
    int(EventKind.TRADE): "fill"
}

TWO_ORDERS: Final = frozenset({EventKind.TRADE, EventKind.PREVENTED})
"""Events of two orders."""

ORDER_EVENTS: Final = TWO_ORDERS | {
    EventKind.ACCEPTED,
    EventKind.REJECTED,
    EventKind.RESTED,
    EventKind.CANCELED,
    EventKind.REPLACED,
    EventKind.TRIGGERED,
    EventKind.CANCEL_REJECTED,
    EventKind.REPLACE_REJECTED,
}
"""Events that tell an account something of an order, or of what it asked for one."""


class Subscriber:
    """The backlog of one connection; its writer takes messages out."""

    __slots__ = ("backlog", "blocked", "filled", "limit", "overflow", "topics")

    def __init__(self, limit: int, overflow: Callable[[], None]) -> None:
        """`overflow` is called when the backlog exceeds `limit`; it closes the connection."""
        self.limit = limit
        self.overflow = overflow
        self.backlog: deque[bytes] = deque()
        self.filled = asyncio.Event()
        "Set while there may be something in the backlog."
        self.blocked = False
        "The writer waits for the network: only then does a long backlog mean a slow client."
        self.topics: set[Topic] = set()

    def push(self, message: bytes) -> None:
        """Add a message, or give the subscriber up."""
        if self.blocked and len(self.backlog) >= self.limit:
            self.overflow()
            return
        self.backlog.append(message)
        self.filled.set()


class Feed:
    """All subscriptions, and the messages that events become."""

    def __init__(self, config: Config, view: VenueView, market_data: MarketData) -> None:
        """`view` and `market_data` get every event before it is published here."""
        self._view = view
        self._instruments = view.instruments
        self._assets = config.assets
        self._market = MarketFeed(config, view.instruments, market_data)
        self._topics: dict[Topic, set[Subscriber]] = {}
        self._channels: dict[int, set[str]] = {}
        "Channels of each instrument that somebody follows."

    # --- subscriptions -------------------------------------------------------------------------

    def subscribe(self, subscriber: Subscriber, topic: Topic) -> None:
        """Begin; a channel of an instrument begins with what is now."""
        if topic in subscriber.topics:
            return
        subscriber.topics.add(topic)
        self._topics.setdefault(topic, set()).add(subscriber)
        if topic[0] == ORDERS:
            return
        self._channels.setdefault(topic[1], set()).add(topic[0])
        greeting = self._market.greeting(topic)
        if greeting is not None:
            subscriber.push(orjson.dumps(greeting))

    def unsubscribe(self, subscriber: Subscriber, topic: Topic) -> None:
        """Stop; nothing happens when there is no such subscription."""
        subscriber.topics.discard(topic)
        members = self._topics.get(topic, set())
        members.discard(subscriber)
        if not members:
            self._topics.pop(topic, None)
            if topic[0] != ORDERS:
                self._channels.get(topic[1], set()).discard(topic[0])

    def remove(self, subscriber: Subscriber) -> None:
        """The connection is gone."""
        for topic in list(subscriber.topics):
            self.unsubscribe(subscriber, topic)

    # --- events --------------------------------------------------------------------------------

    def publish(self, event: Any) -> None:
        """Tell an event to those whose orders it is of."""
        topics = self._topics
        if not topics:
            return
        if event.kind not in ORDER_EVENTS:
            if event.kind == EventKind.RULED and event.order_id in STATES:
                self._publish_state(event)
            return
        if event.kind == EventKind.REJECTED and event.order_id == 0 and is_of_risk(event.reason):
            return  # a check of another source: an order that risk refuses has an id
        mine = topics.get((ORDERS, event.account))
        if mine is not None:
            self._publish_order(mine, event, event.account, event.order_id)
        if event.kind in TWO_ORDERS:
            theirs = topics.get((ORDERS, event.maker_account))
            if theirs is not None:
                self._publish_order(theirs, event, event.maker_account, event.maker_order_id)

    def publish_market(self, change: MarketChange) -> None:
        """Tell everybody who follows an instrument what a command changed there."""
        channels = self._channels.get(change.instrument)
        if not channels:
            return
        for channel, message in self._market.messages(change, channels):
            self._send(self._topics.get((channel, change.instrument), set()), message)

    def _publish_order(
        self, subscribers: set[Subscriber], event: Any, account: int, order_id: int
    ) -> None:
        instruments = self._instruments
        order = self._view.order(order_id) if order_id else None
        message: Document = {
            "channel": ORDERS,
            "account": account,
            "event": EVENT_NAMES[event.kind],
            "sequence": event.sequence,
            "order_id": order_id or None,
            "client_order_id": None,
            "reason": REASONS[event.reason] if event.reason else None,
            "order": None,
        }
        if event.kind in (EventKind.ACCEPTED, EventKind.REJECTED):
            message["client_order_id"] = client_id_text(event.client_order_id.rstrip(b"\0"))
        # Somebody else's order, named by mistake, is not shown.
        if order is not None and order.account == account:
            document = order_document(order, instruments[order.instrument], fills=False)
            message["order"] = document
            message["client_order_id"] = document["client_order_id"]
            if event.kind == EventKind.TRADE and order.fills:
                message["fill"] = fill_document(order.fills[-1], instruments[order.instrument])
        self._send(subscribers, message)

    def _publish_state(self, event: Any) -> None:
        """Risk calls, liquidates or stops an account, or ends that."""
        subscribers = self._topics.get((ORDERS, event.account))
        if subscribers is None:
            return
        rule = RuleNumber(event.order_id)
        message = {
            "channel": ORDERS,
            "account": event.account,
            "event": rule.name.lower(),
            "sequence": event.sequence,
            "asset": self._assets[event.instrument].name,
            "state": STATES[rule][event.qty_lots],
        }
        self._send(subscribers, message)

    def _send(self, subscribers: set[Subscriber], message: Document) -> None:
        raw = orjson.dumps(message)
        for subscriber in tuple(subscribers):  # an overflow removes its subscriber
            subscriber.push(raw)
