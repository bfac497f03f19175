"""Orders over HTTP: sent, amended, cancelled, asked for, under /api/v1."""

import itertools
from typing import Final

from aiohttp import web

from gateway.documents import Document, order_document
from gateway.entry import Target
from gateway.entry.names import client_order_id_bytes
from gateway.errors import BadParameter, NoSuchAccount, NoSuchSymbol, UnknownOrder
from gateway.http.bodies import body_of
from gateway.http.guard import Guard, awaited, rendered
from gateway.http.parameters import account_number, check_query, one_of, optional_number, order_id
from gateway.order import Order
from gateway.reading import AMENDMENT, NEW_LIST, NEW_ORDER, found
from gateway.schema import ORDER_ID_MAX
from gateway.service import Service

ORDERS_DEFAULT: Final = 500
ORDERS_MAX: Final = 1000
"""Open orders in one response: some ten milliseconds during which nobody else is served."""

ORDER_ENDPOINTS: Final = {
    "POST /api/v1/orders": "send an order",
    "POST /api/v1/orders/test": "ask what risk would say to an order; nothing happens",
    "POST /api/v1/order-lists": "send orders that depend on each other: oco, oto, bracket",
    "GET /api/v1/orders?account=&symbol=&limit=&after=": "open orders of an account",
    "DELETE /api/v1/orders?account=&symbol=&side=": "cancel the open orders of an account",
    "GET /api/v1/orders/{order_id}": "an order",
    "PATCH /api/v1/orders/{order_id}": "amend an order: price, total quantity, stop, display",
    "DELETE /api/v1/orders/{order_id}?account=": "cancel an order",
    "GET /api/v1/orders/by-client-id/{account}/{client_order_id}": "an order",
    "PATCH /api/v1/orders/by-client-id/{account}/{client_order_id}": "amend an order",
    "DELETE /api/v1/orders/by-client-id/{account}/{client_order_id}": "cancel an order",
}


class OrderRoutes:
    """The handlers, over one service."""

    def __init__(self, service: Service) -> None:
        """`service` is started before the first request."""
        self._view = service.view
        self._entry = service.entry

    def add_to(self, router: web.UrlDispatcher, guard: Guard) -> None:
        """Put the endpoints into a router."""
        named = "/api/v1/orders/by-client-id/{account}/{client_order_id:.+}"
        for method, path, handler in (
            ("POST", "/api/v1/orders", self.place_order),
            ("POST", "/api/v1/orders/test", self.check_order),
            ("POST", "/api/v1/order-lists", self.place_list),
            ("GET", "/api/v1/orders", self.list_orders),
            ("DELETE", "/api/v1/orders", self.cancel_all),
            ("GET", "/api/v1/orders/{order_id}", self.show_order),
            ("PATCH", "/api/v1/orders/{order_id}", self.amend_order),
            ("DELETE", "/api/v1/orders/{order_id}", self.cancel_order),
            ("GET", named, self.show_order),
            ("PATCH", named, self.amend_order),
            ("DELETE", named, self.cancel_order),
        ):
            router.add_route(method, path, guard.around(handler))

    async def place_order(self, request: web.Request) -> web.Response:
        """POST /orders: the reply comes after the last event of the command."""
        order = NEW_ORDER.read(await body_of(request))
        return await awaited(lambda answer: self._entry.place(order, answer))

    async def check_order(self, request: web.Request) -> web.Response:
        """POST /orders/test: an order that is only checked."""
        order = NEW_ORDER.read(await body_of(request))
        return await awaited(lambda answer: self._entry.check(order, answer))

    async def place_list(self, request: web.Request) -> web.Response:
        """POST /order-lists: one reply after the last event of all its orders."""
        wish = NEW_LIST.read(await body_of(request))
        return await awaited(lambda answer: self._entry.place_list(wish, answer))

    async def cancel_order(self, request: web.Request) -> web.Response:
        """DELETE of one order."""
        if "account" in request.match_info:
            check_query(request)
            target = self._named_target(request)
        else:
            check_query(request, "account")
            target = Target(account_number(request.query.get("account")), order_id(request))
        return await awaited(lambda answer: self._entry.cancel(target, answer))

    async def cancel_all(self, request: web.Request) -> web.Response:
        """DELETE /orders: all open orders of an account, or those of a symbol or side."""
        check_query(request, "account", "symbol", "side")
        account = account_number(request.query.get("account"))
        symbol = request.query.get("symbol")
        side = one_of(request, "side", "buy", "sell")
        return await awaited(lambda answer: self._entry.cancel_all(account, symbol, side, answer))

    async def amend_order(self, request: web.Request) -> web.Response:
        """PATCH of one order."""
        check_query(request)
        wish = AMENDMENT.read(await body_of(request))
        if "account" in request.match_info:
            target = self._named_target(request)
            if target.account != wish.account:
                raise BadParameter(f"the path names account {target.account}", "account")
        else:
            target = Target(wish.account, order_id(request))
        return await awaited(lambda answer: self._entry.amend(target, wish, answer))

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
        if account not in self._view.accounts:
            raise NoSuchAccount(f"there is no account {account}", "account")
        symbol = request.query.get("symbol")
        number = None if symbol is None else self._number_of(symbol)
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

    def _number_of(self, symbol: str) -> int:
        try:
            return self._view.listings.instrument(symbol).index
        except KeyError:
            raise NoSuchSymbol(f"there is no instrument {found(symbol)}", "symbol") from None

    def _document(self, order: Order) -> Document:
        return order_document(order, self._view.instruments[order.instrument])

    def _named_target(self, request: web.Request) -> Target:
        account = account_number(request.match_info["account"])
        return Target(account, client_order_id=request.match_info["client_order_id"])
