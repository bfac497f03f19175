"""The native HTTP interface: what is traded, how the venue does, and all other paths.

Orders, accounts, market data and administration have files of their own beside this one.
"""

from typing import Final

import orjson
from aiohttp import web

from gateway.documents import instrument_document
from gateway.errors import MethodNotAllowed, UnknownRoute
from gateway.health import examine
from gateway.http.accounts import ACCOUNT_ENDPOINTS
from gateway.http.administration import ADMINISTRATION_ENDPOINTS
from gateway.http.guard import JSON, Guard, rendered
from gateway.http.market import MARKET_ENDPOINTS
from gateway.http.orders import ORDER_ENDPOINTS
from gateway.metrics import CONTENT_TYPE
from gateway.reading import found
from gateway.service import Service

ENDPOINTS: Final = {
    **ORDER_ENDPOINTS,
    "GET /api/v1/instruments": "what is traded, and in which phase",
    **ACCOUNT_ENDPOINTS,
    **MARKET_ENDPOINTS,
    "GET /api/v1/ws": "WebSocket: order entry, orders, market data",
    **ADMINISTRATION_ENDPOINTS,
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
        self._listings = service.view.listings
        self._instruments = b""
        self._version = -1
        "Of the listings when `_instruments` was rendered."

    def add_to(self, router: web.UrlDispatcher, guard: Guard) -> None:
        """Put all endpoints into a router, last a handler for all other paths."""
        for method, path, handler in (
            ("GET", "/api/v1/instruments", self.list_instruments),
            ("GET", "/health", self.health),
            ("GET", "/ready", self.ready),
            ("GET", "/metrics", self.metrics),
            ("GET", "/", self.index),
        ):
            router.add_route(method, path, guard.around(handler))
        router.add_route("*", "/{path:(?s:.*)}", guard.around(self.nothing_here))

    # --- what there is -------------------------------------------------------------------------

    async def list_instruments(self, request: web.Request) -> web.Response:
        """GET /instruments: those that are listed, by number."""
        if self._version != self._listings.version:
            documents = [
                instrument_document(each, self._listings.phases[each.index], self._config)
                for each in self._listings
            ]
            self._instruments = orjson.dumps({"instruments": documents})
            self._version = self._listings.version
        return web.Response(body=self._instruments, content_type=JSON)

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
