"""The gateway without its network: view, market data, feed, order entry and bridge, wired up.

Each event goes to view and market data first, then to the feed, and the last event of one of our
own commands to order entry: a client that has its answer can ask for anything it implies.
"""

import asyncio
import gc
from collections.abc import Callable
from typing import Any, Final

from engine.durability.history import Recall
from engine.messages import EventKind
from engine.risk.views import RiskViews
from engine.venue import VenueMemory
from gateway.bridge import Bridge
from gateway.entry import Administration, Governing, OrderEntry
from gateway.feed import Feed
from gateway.marketdata import MarketData
from gateway.metrics import Counts, render
from gateway.risk_documents import refusals_document
from gateway.view import VenueView

CLOCK: Final = int(EventKind.CLOCK)


class Service:
    """Everything that the handlers of requests need."""

    def __init__(self, venue: VenueMemory, recall: Recall | None = None) -> None:
        """Take the gateway's seat at the rings of `venue`.

        `recall` tells what has passed already; without it LateStart if anything has.
        """
        self.venue = venue
        self.config = venue.config
        self.view = VenueView(venue.config)
        self.market_data = MarketData(venue.config)
        self.feed = Feed(venue.config, self.view, self.market_data)
        self.bridge = Bridge(venue, self._apply, late=recall is not None)
        self.entry = OrderEntry(venue.config, self.view, self.bridge)
        self.administration = Administration(venue.config, self.view, self.entry)
        self.governing = Governing(venue.config, self.view, self.entry)
        self.risk = RiskViews(venue.risk, len(venue.config.assets))
        self.counts = Counts()
        if recall is not None:
            self._take_over(recall)

    def _take_over(self, recall: Recall) -> None:
        """Learn what has passed, and begin behind it."""
        gc.disable()  # it would look through all orders again and again while they are made
        try:
            with recall(self.bridge.positions) as recalled:
                self.view.take_over(recalled.pasts, recalled.beat)
                self.market_data.take_over(recalled.pasts, recalled.books, recalled.beat)
        finally:
            gc.enable()
        self.bridge.begin_behind(self.view.sequences)

    def start(self, failed: Callable[[BaseException], None]) -> None:
        """Begin to follow events; see Bridge.start."""
        self.bridge.start(asyncio.get_running_loop(), failed)

    def stop(self) -> None:
        """Stop following events and answer all who wait."""
        self.bridge.close()
        self.entry.abandon()

    def metrics(self) -> bytes:
        """The page for Prometheus."""
        state = {
            "open_orders": self.view.open_count,
            "pending_commands": len(self.entry.pending),
            "event_sequence": sum(self.view.sequences),
        }
        refusals = refusals_document(self.risk.refusals())
        return render(self.venue, self.counts, state, refusals)

    def _apply(self, event: Any) -> None:
        shard = self.bridge.shard
        self.view.apply(event, shard)
        mine = self.bridge.is_mine(event)
        if not (mine and self.entry.is_check(event)):
            self.feed.publish(event)
        for change in self.market_data.take(event, shard):
            self.feed.publish_market(change)
        # All shards execute a TICK; the first one's CLOCK is its answer.
        if mine and not (event.kind == CLOCK and shard > 0):
            self.entry.settle(event)
