"""Market data over HTTP: what everybody may ask of an instrument, under /api/v1."""

import itertools
from typing import Final

from aiohttp import web

from engine.durability.history import TRADES_KEPT_MAX
from engine.instruments import Instrument
from gateway.errors import NoSuchSymbol
from gateway.http.guard import Guard, rendered
from gateway.http.parameters import check_query, optional_number
from gateway.market_documents import (
    auction_document,
    book_document,
    book_orders_document,
    statistics_document,
    ticker_document,
    trade_document,
)
from gateway.reading import found
from gateway.service import Service

LEVEL_DEFAULT: Final = 2
LEVEL_MAX: Final = 3

DEPTH_DEFAULT: Final = 100
DEPTH_MAX: Final = 1000
"""Levels, or orders, of one side in one response; the WebSocket's snapshots have all."""

TRADES_DEFAULT: Final = 100

MARKET_ENDPOINTS: Final = {
    "GET /api/v1/book/{symbol}?depth=&level=": "the book by price, or with level=3 by order",
    "GET /api/v1/trades/{symbol}?limit=": "the last trades, newest first",
    "GET /api/v1/ticker/{symbol}": "best prices, last trade, phase",
    "GET /api/v1/statistics/{symbol}": "figures of the day",
    "GET /api/v1/auction/{symbol}": "phase and indicative price",
}


class MarketRoutes:
    """The handlers, over one service. Everything is as it is between two commands."""

    def __init__(self, service: Service) -> None:
        """`service` is started before the first request."""
        self._config = service.config
        self._data = service.market_data
        self._listings = service.view.listings

    def add_to(self, router: web.UrlDispatcher, guard: Guard) -> None:
        """Put the endpoints into a router."""
        for path, handler in (
            ("/api/v1/book/{symbol:.+}", self.show_book),
            ("/api/v1/trades/{symbol:.+}", self.list_trades),
            ("/api/v1/ticker/{symbol:.+}", self.show_ticker),
            ("/api/v1/statistics/{symbol:.+}", self.show_statistics),
            ("/api/v1/auction/{symbol:.+}", self.show_auction),
        ):
            router.add_route("GET", path, guard.around(handler))

    async def show_book(self, request: web.Request) -> web.Response:
        """GET /book/{symbol}: by price, or with level=3 every order that shows something."""
        check_query(request, "depth", "level")
        instrument = self._instrument(request)
        depth = optional_number(request, "depth", DEPTH_DEFAULT, 1, DEPTH_MAX)
        level = optional_number(request, "level", LEVEL_DEFAULT, LEVEL_DEFAULT, LEVEL_MAX)
        market = self._data.market(instrument.index)
        if level == LEVEL_MAX:
            return rendered(book_orders_document(market.l3, instrument, depth))
        return rendered(book_document(market.l2, instrument, depth))

    async def list_trades(self, request: web.Request) -> web.Response:
        """GET /trades/{symbol}, newest first."""
        check_query(request, "limit")
        instrument = self._instrument(request)
        limit = optional_number(request, "limit", TRADES_DEFAULT, 1, TRADES_KEPT_MAX)
        newest = itertools.islice(reversed(self._data.trades(instrument.index)), limit)
        return rendered(
            {
                "symbol": instrument.symbol,
                "trades": [trade_document(trade, instrument) for trade in newest],
            }
        )

    async def show_ticker(self, request: web.Request) -> web.Response:
        """GET /ticker/{symbol}."""
        check_query(request)
        instrument = self._instrument(request)
        return rendered(ticker_document(self._data.market(instrument.index), instrument))

    async def show_statistics(self, request: web.Request) -> web.Response:
        """GET /statistics/{symbol}."""
        check_query(request)
        instrument = self._instrument(request)
        market = self._data.market(instrument.index)
        return rendered(statistics_document(market, instrument, self._config))

    async def show_auction(self, request: web.Request) -> web.Response:
        """GET /auction/{symbol}."""
        check_query(request)
        instrument = self._instrument(request)
        return rendered(auction_document(self._data.market(instrument.index), instrument))

    def _instrument(self, request: web.Request) -> Instrument:
        symbol = request.match_info["symbol"]
        try:
            return self._listings.instrument(symbol)
        except KeyError:
            raise NoSuchSymbol(f"there is no instrument {found(symbol)}", "symbol") from None
