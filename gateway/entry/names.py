"""Whose orders a request means: accounts, instruments, and orders by either of their ids."""

import uuid
from typing import Any, NamedTuple

from engine.instruments import Instrument
from engine.limits import CLIENT_ORDER_ID_CHARS_MAX
from gateway.entry.replies import Replies
from gateway.errors import (
    BadClientOrderId,
    Contradiction,
    UnknownAccount,
    UnknownOrder,
    UnknownSymbol,
)
from gateway.order import OPEN, Order
from gateway.reading import found
from gateway.view import VenueView


class Target(NamedTuple):
    """Which order a cancel or an amendment means."""

    account: int
    order_id: int | None = None
    client_order_id: str | None = None


class Located(NamedTuple):
    """An order that a command may name."""

    order: Order | None
    "None while its own command is on the way."
    instrument: int
    names: dict[str, Any]
    "The fields by which the command names it."


class Names:
    """Finds what requests name, in the view and among the orders on their way."""

    def __init__(self, view: VenueView, replies: Replies) -> None:
        self._view = view
        self._replies = replies
        self.in_flight: dict[tuple[int, bytes], int] = {}
        "Instrument of each new order that is not answered, by account and client order id."

    def check_account(self, number: int, field: str = "account") -> None:
        """UnknownAccount when there is no such account."""
        if number not in self._view.accounts:
            raise UnknownAccount(f"expected an account of /api/v1/accounts, found {number}", field)

    def instrument(self, symbol: str) -> Instrument:
        """The instrument of a request; UnknownSymbol when there is none."""
        try:
            return self._view.listings.instrument(symbol)
        except KeyError:
            raise UnknownSymbol(
                f"expected a symbol of /api/v1/instruments, found {found(symbol)}", "symbol"
            ) from None

    def locate(self, target: Target) -> Located:
        """The order that is meant; a GatewayError when there is none that is open."""
        if (target.order_id is None) == (target.client_order_id is None):
            raise Contradiction("expected order_id or client_order_id, not both or neither")
        self.check_account(target.account)
        if target.order_id is not None:
            field = "order_id"
            order = self._view.order(target.order_id)
        else:
            assert target.client_order_id is not None
            field = "client_order_id"
            raw_id = client_order_id_bytes(target.client_order_id)
            order = self._view.order_of(target.account, raw_id)
            instrument = self.in_flight.get((target.account, raw_id))
            if order is None and instrument is not None:
                return Located(None, instrument, {"client_order_id": raw_id})
        if order is None or order.account != target.account:
            raise UnknownOrder(f"account {target.account} has no such order", field)
        if order.state != OPEN:
            raise self._replies.not_open(order, field)
        return Located(order, order.instrument, {"order_id": order.order_id})


def client_order_id_bytes(text: str | None) -> bytes:
    """The bytes of a client order id, made up for None. BadClientOrderId if it cannot be kept."""
    return uuid.uuid4().hex.encode() if text is None else name_bytes(text, "client_order_id")


def name_bytes(text: str, field: str) -> bytes:
    """The bytes of a name that a client gives its order or booking. BadClientOrderId."""
    if not 1 <= len(text) <= CLIENT_ORDER_ID_CHARS_MAX:
        raise BadClientOrderId(
            f"expected 1 to {CLIENT_ORDER_ID_CHARS_MAX} characters, found {len(text)}",
            field,
        )
    # Only printable ASCII goes through every protocol unchanged (FIX, HTTP paths, terminals).
    if not (text.isascii() and text.isprintable()):
        raise BadClientOrderId("expected printable ASCII characters only", field)
    return text.encode()
