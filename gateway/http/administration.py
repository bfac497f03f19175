"""What whoever runs the venue asks for over HTTP: phases, instruments, funds, rules and others.

There is no authentication yet: like everything else these are served on the loopback interface
only, to whoever reaches it.
"""

from typing import Final

from aiohttp import web

from gateway.http.bodies import body_of
from gateway.http.guard import Guard, awaited
from gateway.http.parameters import check_query
from gateway.reading import FUNDS, INSTRUMENT_LIMITS, MARK, PHASE_CHANGE, TICK, json_object
from gateway.service import Service

ADMINISTRATION_ENDPOINTS: Final = {
    "POST /api/v1/admin/instruments": "list an instrument",
    "PATCH /api/v1/admin/instruments/{symbol}": "change limits of an instrument",
    "DELETE /api/v1/admin/instruments/{symbol}": "delist an instrument, its orders with it",
    "POST /api/v1/admin/instruments/{symbol}/phase": "bring an instrument into a phase",
    "POST /api/v1/admin/tick": "move the venue's clock",
    "POST /api/v1/admin/funds": "deposit, withdraw or transfer",
    "POST /api/v1/admin/rules": "set a rule of risk",
    "POST /api/v1/admin/marks": "give a mark price",
}


class AdministrationRoutes:
    """The handlers, over one service."""

    def __init__(self, service: Service) -> None:
        """`service` is started before the first request."""
        self._administration = service.administration
        self._governing = service.governing

    def add_to(self, router: web.UrlDispatcher, guard: Guard) -> None:
        """Put the endpoints into a router."""
        one = "/api/v1/admin/instruments/{symbol:.+}"
        for method, path, handler in (
            ("POST", "/api/v1/admin/instruments", self.list_instrument),
            ("POST", f"{one}/phase", self.set_phase),
            ("PATCH", one, self.change_instrument),
            ("DELETE", one, self.delist_instrument),
            ("POST", "/api/v1/admin/tick", self.tick),
            ("POST", "/api/v1/admin/funds", self.book),
            ("POST", "/api/v1/admin/rules", self.set_rule),
            ("POST", "/api/v1/admin/marks", self.mark),
        ):
            router.add_route(method, path, guard.around(handler))

    async def list_instrument(self, request: web.Request) -> web.Response:
        """POST /admin/instruments: the body is a table as in the configuration."""
        check_query(request)
        table = json_object(await body_of(request))
        return await awaited(lambda answer: self._administration.list_instrument(table, answer))

    async def set_phase(self, request: web.Request) -> web.Response:
        """POST /admin/instruments/{symbol}/phase."""
        check_query(request)
        wish = PHASE_CHANGE.read(await body_of(request))
        symbol = request.match_info["symbol"]
        return await awaited(
            lambda answer: self._administration.set_phase(symbol, wish.phase, answer)
        )

    async def change_instrument(self, request: web.Request) -> web.Response:
        """PATCH /admin/instruments/{symbol}."""
        check_query(request)
        limits = INSTRUMENT_LIMITS.read(await body_of(request))
        symbol = request.match_info["symbol"]
        return await awaited(lambda answer: self._administration.change(symbol, limits, answer))

    async def delist_instrument(self, request: web.Request) -> web.Response:
        """DELETE /admin/instruments/{symbol}."""
        check_query(request)
        symbol = request.match_info["symbol"]
        return await awaited(lambda answer: self._administration.delist(symbol, answer))

    async def tick(self, request: web.Request) -> web.Response:
        """POST /admin/tick."""
        check_query(request)
        wish = TICK.read(await body_of(request))
        return await awaited(lambda answer: self._administration.tick(wish.at, answer))

    async def book(self, request: web.Request) -> web.Response:
        """POST /admin/funds."""
        check_query(request)
        wish = FUNDS.read(await body_of(request))
        return await awaited(lambda answer: self._governing.book(wish, answer))

    async def set_rule(self, request: web.Request) -> web.Response:
        """POST /admin/rules: the body is a table as in the configuration."""
        check_query(request)
        table = json_object(await body_of(request))
        return await awaited(lambda answer: self._governing.set_rule(table, answer))

    async def mark(self, request: web.Request) -> web.Response:
        """POST /admin/marks."""
        check_query(request)
        wish = MARK.read(await body_of(request))
        return await awaited(lambda answer: self._governing.mark(wish, answer))
