"""Who gets which news over WebSocket: subscribers by channel, and what each event tells them.

    orders  each event of one account's orders, with the order as it is then
    trades  the trades of one instrument
    book    the levels of one instrument that a command changed: a snapshot first, then deltas,
            each naming the sequence that it follows (`prev_sequence`)

A message is rendered once for all its subscribers and put into their backlogs. A subscriber
whose connection takes no more bytes and whose backlog is full is told `overflow`; nobody waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import orjson

from engine.config import Config
from engine.messages import EventFlag, EventKind, Side
from gateway.documents import (
    REASONS,
    Document,
    book_document,
    client_id_text,
    fill_document,
    levels_document,
    order_document,
    trade_document,
)
from gateway.view import BookChange, Fill, VenueView

ORDERS: Final = "orders"
TRADES: Final = "trades"
BOOK: Final = "book"

TRADES_PER_MESSAGE_MAX: Final = 256
"""Trades of a long sweep that go out together."""

EVENT_NAMES: Final = {int(kind): kind.name.lower() for kind in EventKind} | {
    int(EventKind.TRADE): "fill"
}

Topic = tuple[str, int]
"""A channel and its account or instrument number."""


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

    def __init__(self, config: Config, view: VenueView) -> None:
        """`view` gets every event before `publish` does."""
        self._view = view
        self._instruments = config.instruments
        self._topics: dict[Topic, set[Subscriber]] = {}
        self._trades: list[Document] = []
        "Trades of the running command, when somebody follows its instrument."

    # --- subscriptions -------------------------------------------------------------------------

    def subscribe(self, subscriber: Subscriber, topic: Topic) -> None:
        """Begin; the book's channel begins with its snapshot."""
        if topic in subscriber.topics:
            return
        subscriber.topics.add(topic)
        self._topics.setdefault(topic, set()).add(subscriber)
        if topic[0] == BOOK:
            subscriber.push(self._snapshot(topic[1]))

    def unsubscribe(self, subscriber: Subscriber, topic: Topic) -> None:
        """Stop; nothing happens when there is no such subscription."""
        subscriber.topics.discard(topic)
        members = self._topics.get(topic, set())
        members.discard(subscriber)
        if not members:
            self._topics.pop(topic, None)

    def remove(self, subscriber: Subscriber) -> None:
        """The connection is gone."""
        for topic in list(subscriber.topics):
            self.unsubscribe(subscriber, topic)

    def _snapshot(self, number: int) -> bytes:
        book, instrument = self._view.books[number], self._instruments[number]
        depth = max(book.level_count(Side.BUY), book.level_count(Side.SELL))
        document = book_document(book, instrument, depth)
        return orjson.dumps({"channel": BOOK, "type": "snapshot"} | document)

    # --- events --------------------------------------------------------------------------------

    def publish(self, event: Any, change: BookChange | None) -> None:
        """Tell whoever follows; `change` is what the view returned for this event."""
        topics = self._topics
        if not topics:
            return
        mine = topics.get((ORDERS, event.account))
        if mine is not None:
            self._publish_order(mine, event, event.account, event.order_id)
        if event.kind == EventKind.TRADE:
            theirs = topics.get((ORDERS, event.maker_account))
            if theirs is not None:
                self._publish_order(theirs, event, event.maker_account, event.maker_order_id)
            if (TRADES, event.instrument) in topics:
                trade = self._view.trades[event.instrument][-1]
                self._trades.append(trade_document(trade, self._instruments[event.instrument]))
        if self._trades and (
            event.flags & EventFlag.LAST or len(self._trades) == TRADES_PER_MESSAGE_MAX
        ):
            self._publish_trades(event.instrument)
        if change is not None:
            followers = topics.get((BOOK, change.instrument))
            if followers is not None:
                self._publish_change(followers, change)

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
            if event.kind == EventKind.TRADE:
                maker = order_id == event.maker_order_id
                fill = Fill(event.match_id, event.price_ticks, event.qty_lots, maker)
                message["fill"] = fill_document(fill, instruments[order.instrument])
        self._send(subscribers, message)

    def _publish_trades(self, number: int) -> None:
        trades, self._trades = self._trades, []
        subscribers = self._topics.get((TRADES, number))
        if subscribers is not None:
            symbol = self._instruments[number].symbol
            self._send(subscribers, {"channel": TRADES, "symbol": symbol, "trades": trades})

    def _publish_change(self, subscribers: set[Subscriber], change: BookChange) -> None:
        instrument = self._instruments[change.instrument]
        sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for side, price_ticks, lots in change.levels:
            sides[side][price_ticks] = lots
        self._send(
            subscribers,
            {
                "channel": BOOK,
                "type": "delta",
                "symbol": instrument.symbol,
                "sequence": change.sequence,
                "prev_sequence": change.previous_sequence,
                "bids": levels_document(sides[Side.BUY].items(), instrument),
                "asks": levels_document(sides[Side.SELL].items(), instrument),
            },
        )

    def _send(self, subscribers: set[Subscriber], message: Document) -> None:
        raw = orjson.dumps(message)
        for subscriber in tuple(subscribers):  # an overflow removes its subscriber
            subscriber.push(raw)
