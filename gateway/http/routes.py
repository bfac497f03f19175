"""The native HTTP interface: one method for each endpoint, under /api/v1."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

import orjson
from aiohttp import web

from engine.instruments import Instrument
from gateway.documents import (
    Document,
    instrument_document,
    order_document,
)
from gateway.errors import (
    BadParameter,
    BodyTimeout,
    BodyTooLarge,
    MethodNotAllowed,
    NoSuchAccount,
    NoSuchSymbol,
    UnknownOrder,
    UnknownRoute,
    UnsupportedMediaType,
)
from gateway.health import examine
from gateway.http.guard import JSON, Guard, rendered, replied
from gateway.http.market import MARKET_ENDPOINTS
from gateway.http.parameters import (
    account_number,
    check_query,
    optional_number,
    order_id,
)
from gateway.metrics import CONTENT_TYPE
from gateway.orders import Answer, Reply, Target
from gateway.schema import AMENDMENT, NEW_ORDER, ORDER_ID_MAX, client_order_id_bytes, found
from gateway.service import Service
from gateway.view import Order

ORDERS_DEFAULT: Final = 500
ORDERS_MAX: Final = 1000
"""Open orders in one response: some ten milliseconds during which nobody else is served."""

BODY_SECONDS_MAX: Final = 10
"""How long a body may take to arrive; a client that never ends it must not stay for ever."""

ENDPOINTS: Final = {
    "POST /api/v1/orders": "send an order",
    "GET /api/v1/orders?account=&symbol=&limit=&after=": "open orders of an account",
    "GET /api/v1/orders/{order_id}": "an order",
    "PATCH /api/v1/orders/{order_id}": "amend an order: price, total quantity",
    "DELETE /api/v1/orders/{order_id}?account=": "cancel an order",
    "GET /api/v1/orders/by-client-id/{account}/{client_order_id}": "an order",
    "PATCH /api/v1/orders/by-client-id/{account}/{client_order_id}": "amend an order",
    "DELETE /api/v1/orders/by-client-id/{account}/{client_order_id}": "cancel an order",
    "GET /api/v1/instruments": "what is traded",
    "GET /api/v1/accounts": "who trades",
    **MARKET_ENDPOINTS,
    "GET /api/v1/ws": "WebSocket: order entry, orders, market data",
    "GET /health": "the process is up",
    "GET /ready": "the venue serves",
    "GET /metrics": "counters for Prometheus",
}


class Routes:
    """The handlers, over one service."""

    def __init__(self, service: Service) -> None:
        """`service` is started before the first request."""
        self._service = service
        self._config = service.config
        self._view = service.view
        self._entry = service.entry
        self._body_max = service.config.gateway.body_bytes_max
        self._instruments = orjson.dumps(
            {
                "instruments": [
                    instrument_document(instrument, self._config)
                    for instrument in self._config.instruments
                ]
            }
        )

    def add_to(self, router: web.UrlDispatcher, guard: Guard) -> None:
        """Put all endpoints into a router, last a handler for all other paths."""
        named = "/api/v1/orders/by-client-id/{account}/{client_order_id:.+}"
        for method, path, handler in (
            ("POST", "/api/v1/orders", self.place_order),
            ("GET", "/api/v1/orders", self.list_orders),
            ("GET", "/api/v1/orders/{order_id}", self.show_order),
            ("PATCH", "/api/v1/orders/{order_id}", self.amend_order),
            ("DELETE", "/api/v1/orders/{order_id}", self.cancel_order),
            ("GET", named, self.show_order),
            ("PATCH", named, self.amend_order),
            ("DELETE", named, self.cancel_order),
            ("GET", "/api/v1/instruments", self.list_instruments),
            ("GET", "/api/v1/accounts", self.list_accounts),
            ("GET", "/health", self.health),
            ("GET", "/ready", self.ready),
            ("GET", "/metrics", self.metrics),
            ("GET", "/", self.index),
        ):
            router.add_route(method, path, guard.around(handler))
        router.add_route("*", "/{path:(?s:.*)}", guard.around(self.nothing_here))

    # --- orders --------------------------------------------------------------------------------

    async def place_order(self, request: web.Request) -> web.Response:
        """POST /orders: the reply comes after the last event of the command."""
        order = NEW_ORDER.read(await self._body(request))
        return await _awaited(lambda answer: self._entry.place(order, answer))

    async def cancel_order(self, request: web.Request) -> web.Response:
        """DELETE of one order."""
        if "account" in request.match_info:
            check_query(request)
            target = self._named_target(request)
        else:
            check_query(request, "account")
            target = Target(account_number(request.query.get("account")), order_id(request))
        return await _awaited(lambda answer: self._entry.cancel(target, answer))

    async def amend_order(self, request: web.Request) -> web.Response:
        """PATCH of one order."""
        check_query(request)
        wish = AMENDMENT.read(await self._body(request))
        if "account" in request.match_info:
            target = self._named_target(request)
            if target.account != wish.account:
                raise BadParameter(f"the path names account {target.account}", "account")
        else:
            target = Target(wish.account, order_id(request))
        return await _awaited(
            lambda answer: self._entry.amend(target, wish.price, wish.quantity, answer)
        )

    async def show_order(self, request: web.Request) -> web.Response:
        """GET of one order."""
        check_query(request)
        if "account" in request.match_info:
            target = self._named_target(request)
            assert target.client_order_id is not None
            raw_id = client_order_id_bytes(target.client_order_id)
            order = self._view.order_of(target.account, raw_id)
            field = "client_order_id"
        else:
            order = self._view.order(order_id(request))
            field = "order_id"
        if order is None:
            raise UnknownOrder("there is no such order, or it ended too long ago", field)
        return rendered(self._document(order))

    async def list_orders(self, request: web.Request) -> web.Response:
        """GET /orders: the open orders of an account, oldest first."""
        check_query(request, "account", "symbol", "limit", "after")
        account = account_number(request.query.get("account"))
        try:
            self._config.account(account)
        except KeyError:
            raise NoSuchAccount(f"there is no account {account}", "account") from None
        symbol = request.query.get("symbol")
        number = None if symbol is None else self._instrument(symbol).index
        limit = optional_number(request, "limit", ORDERS_DEFAULT, 1, ORDERS_MAX)
        after = optional_number(request, "after", 0, 0, ORDER_ID_MAX)
        matching = (
            order
            for order in self._view.open_orders(account).values()
            if order.order_id > after and number in (None, order.instrument)
        )
        orders = list(itertools.islice(matching, limit + 1))
        return rendered(
            {
                "orders": [self._document(order) for order in orders[:limit]],
                "more": len(orders) > limit,
            }
        )

    def _document(self, order: Order) -> Document:
        return order_document(order, self._view.instruments[order.instrument])

    def _named_target(self, request: web.Request) -> Target:
        account = account_number(request.match_info["account"])
        return Target(account, client_order_id=request.match_info["client_order_id"])

    async def _body(self, request: web.Request) -> bytes:
        if request.content_type != JSON or (request.charset or "utf-8").lower() != "utf-8":
            sent = request.headers.get("Content-Type", "")
            raise UnsupportedMediaType(
                f"expected Content-Type: {JSON} in UTF-8, found {found(sent)}", "Content-Type"
            )
        if "Content-Encoding" in request.headers:
            raise UnsupportedMediaType("expected a body without encoding", "Content-Encoding")
        if (request.content_length or 0) > self._body_max:
            raise self._too_large()
        try:
            if request.content.is_eof():  # it came with the header: nothing to wait for
                return await request.read()
            async with asyncio.timeout(BODY_SECONDS_MAX):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise self._too_large() from None
        except TimeoutError:
            raise BodyTimeout(f"the body was not complete after {BODY_SECONDS_MAX} s") from None

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"expected at most {self._body_max} bytes")

    # --- what there is -------------------------------------------------------------------------

    async def list_instruments(self, request: web.Request) -> web.Response:
        """GET /instruments."""
        return web.Response(body=self._instruments, content_type=JSON)

    async def list_accounts(self, request: web.Request) -> web.Response:
        """GET /accounts: numbers and names."""
        accounts = [
            {"account": account.number, "name": account.name} for account in self._config.accounts
        ]
        return rendered({"accounts": accounts})

    def _instrument(self, symbol: str) -> Instrument:
        try:
            return self._config.instrument(symbol)
        except KeyError:
            raise NoSuchSymbol(f"there is no instrument {found(symbol)}", "symbol") from None

    # --- operations ----------------------------------------------------------------------------

    async def health(self, request: web.Request) -> web.Response:
        """GET /health: this process answers."""
        return rendered({"status": "up"})

    async def ready(self, request: web.Request) -> web.Response:
        """GET /ready: 200 when every process serves, else 503; the body says which do."""
        health = examine(self._service.venue)
        document = {"ready": health.ready, "processes": health.processes}
        return rendered(document, 200 if health.ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        """GET /metrics."""
        return web.Response(body=self._service.metrics(), headers={"Content-Type": CONTENT_TYPE})

    async def index(self, request: web.Request) -> web.Response:
        """GET /: what there is, and what there is not."""
        return rendered(
            {
                "name": "okimi",
                "venue": self._config.venue.name,
                "authentication": (
                    "none yet: whoever reaches this address can trade for every account, so the "
                    "gateway listens on the loopback interface only"
                ),
                "durability": self._config.venue.durability,
                "endpoints": ENDPOINTS,
            }
        )

    async def nothing_here(self, request: web.Request) -> web.Response:
        """Any other path, or a path with a method that it does not have."""
        allowed: set[str] = set()
        for resource in request.app.router.resources():
            _, methods = await resource.resolve(request)
            allowed |= methods - {"*"}
        if allowed:
            names = sorted(allowed)
            raise MethodNotAllowed(f"expected {', '.join(names)}, found {request.method}", names)
        raise UnknownRoute(f"there is nothing at {found(request.path)}; GET / lists what there is")


async def _awaited(send: Callable[[Answer], None]) -> web.Response:
    """Send a command and wait for its reply. A client that goes away leaves no harm behind."""
    future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def answer(reply: Reply) -> None:
        if not future.done():
            future.set_result(reply)

    send(answer)
    return replied(await future)
