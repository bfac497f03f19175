"""What the WebSocket's market data channels say, one instrument each.

    trades       the trades of each command
    book         totals by price: a snapshot, then what each command changed
    book_orders  every order that shows something: a snapshot, then each change
    ticker       best prices and last trade, whenever one of them is another
    statistics   the figures of the day, after each command that traded and each new phase
    auction      phase and indicative price

Each begins with the present state, except for trades. A delta names the sequence that it
follows (`prev_sequence`).
"""

from collections.abc import Iterator, Mapping
from typing import Final

from engine.config import Config
from engine.instruments import Instrument
from engine.marketdata import Market, MarketChange
from engine.messages import Side
from gateway.channels import (
    AUCTION,
    BOOK,
    BOOK_ORDERS,
    STATISTICS,
    TICKER,
    TRADES,
    Topic,
)
from gateway.documents import Document
from gateway.market_documents import (
    auction_document,
    book_document,
    book_orders_document,
    levels_document,
    order_change_document,
    statistics_document,
    ticker_document,
    trade_document,
)
from gateway.marketdata import MarketData

TRADES_PER_MESSAGE_MAX: Final = 256
"""Trades of a long sweep that go out together."""


class MarketFeed:
    """Renders messages; who gets them is the business of `gateway.feed`."""

    def __init__(
        self, config: Config, instruments: Mapping[int, Instrument], market_data: MarketData
    ) -> None:
        """`instruments` and `market_data` get every event before its changes come here."""
        self._config = config
        self._instruments = instruments
        self._data = market_data
        self._states = {
            BOOK: self._book,
            BOOK_ORDERS: self._book_orders,
            TICKER: self._ticker,
            STATISTICS: self._statistics,
            AUCTION: self._auction,
        }
        self._news = {
            BOOK: self._book_news,
            BOOK_ORDERS: self._orders_news,
            TICKER: self._ticker_news,
            STATISTICS: self._statistics_news,
            AUCTION: self._auction_news,
        }

    def greeting(self, topic: Topic) -> Document | None:
        """What a new subscriber of a channel gets first."""
        channel, number = topic
        state = self._states.get(channel)
        return None if state is None else state(self._data.market(number))

    def messages(self, change: MarketChange, wanted: set[str]) -> Iterator[tuple[str, Document]]:
        """The messages of one change for the channels that somebody follows, in order."""
        if TRADES in wanted:
            instrument = self._instruments[change.instrument]
            documents = [trade_document(trade, instrument) for trade in change.trades]
            for first in range(0, len(documents), TRADES_PER_MESSAGE_MAX):
                part = documents[first : first + TRADES_PER_MESSAGE_MAX]
                yield TRADES, {"channel": TRADES, "symbol": instrument.symbol, "trades": part}
        for channel, news in self._news.items():
            if channel in wanted:
                message = news(change)
                if message is not None:
                    yield channel, message

    # --- what a change says on a channel -------------------------------------------------------

    def _book_news(self, change: MarketChange) -> Document | None:
        if change.loaded:
            return self._book(change.market)
        if not change.levels:
            return None
        instrument = self._instruments[change.instrument]
        sides: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        for side, price_ticks, lots in change.levels:
            sides[side].append((price_ticks, lots))
        return _delta(BOOK, instrument, change.l2_previous, change.sequence) | {
            "bids": levels_document(sides[Side.BUY], instrument),
            "asks": levels_document(sides[Side.SELL], instrument),
        }

    def _orders_news(self, change: MarketChange) -> Document | None:
        if change.loaded:
            return self._book_orders(change.market)
        if not change.orders:
            return None
        instrument = self._instruments[change.instrument]
        return _delta(BOOK_ORDERS, instrument, change.l3_previous, change.sequence) | {
            "changes": [order_change_document(each, instrument) for each in change.orders],
        }

    def _ticker_news(self, change: MarketChange) -> Document | None:
        return self._ticker(change.market) if change.ticker else None

    def _statistics_news(self, change: MarketChange) -> Document | None:
        if change.trades or change.phased:
            return self._statistics(change.market)
        return None

    def _auction_news(self, change: MarketChange) -> Document | None:
        if change.phased or change.indicated:
            return self._auction(change.market)
        return None

    # --- the state of a channel ----------------------------------------------------------------

    def _book(self, market: Market) -> Document:
        book = market.l2
        depth = max(book.level_count(Side.BUY), book.level_count(Side.SELL))
        shown = book_document(book, self._instruments[market.number], depth)
        return {"channel": BOOK, "type": "snapshot"} | shown

    def _book_orders(self, market: Market) -> Document:
        book = market.l3
        shown = book_orders_document(book, self._instruments[market.number], len(book))
        return {"channel": BOOK_ORDERS, "type": "snapshot"} | shown

    def _ticker(self, market: Market) -> Document:
        shown = ticker_document(market, self._instruments[market.number])
        return {"channel": TICKER} | shown

    def _statistics(self, market: Market) -> Document:
        instrument = self._instruments[market.number]
        return {"channel": STATISTICS} | statistics_document(market, instrument, self._config)

    def _auction(self, market: Market) -> Document:
        shown = auction_document(market, self._instruments[market.number])
        return {"channel": AUCTION} | shown


def _delta(channel: str, instrument: Instrument, previous: int, sequence: int) -> Document:
    """What the changes of both books begin with."""
    return {
        "channel": channel,
        "type": "delta",
        "symbol": instrument.symbol,
        "sequence": sequence,
        "prev_sequence": previous,
    }
