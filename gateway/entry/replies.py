"""Replies to orders and their changes: what the last event of a command means for its sender."""

from collections.abc import Callable
from typing import Any, Final

from engine.messages import EventKind, RejectReason
from gateway.documents import Document, order_document
from gateway.entry.pending import Reply
from gateway.errors import GatewayError, OrderNotOpen
from gateway.order import OPEN, Order
from gateway.refusals import EngineRefusal
from gateway.view import VenueView

REFUSALS: Final = frozenset(
    {
        EventKind.REJECTED,
        EventKind.CANCEL_REJECTED,
        EventKind.REPLACE_REJECTED,
        EventKind.ADMIN_REJECTED,
    }
)
"""The only event of a command that was refused."""

_NOT_FOUND: Final = (RejectReason.UNKNOWN_ORDER, RejectReason.UNKNOWN_CLIENT_ORDER_ID)


class Replies:
    """Makes replies from the last events of commands, over one view."""

    def __init__(self, view: VenueView) -> None:
        """`view` has seen the events already."""
        self._view = view

    def order(self, order_id: int, status: int) -> Reply:
        """The reply that carries an order as it is now."""
        order = self._view.order(order_id)
        assert order is not None, "an accepted command without its order"
        return Reply(status, self.document(order))

    def document(self, order: Order) -> Document:
        """An order with its fills."""
        return order_document(order, self._view.instruments[order.instrument])

    def not_open(self, order: Order, field: str) -> OrderNotOpen:
        """The error for an order that has ended."""
        document = self.document(order)
        return OrderNotOpen(f"the order is {document['status']}", field, order=document)

    def refusal(self, event: Any, name: tuple[int, bytes] | None = None) -> GatewayError:
        """The error that a refusing event means.

        `name`: account and client order id of an order that has no engine id (a check).
        """
        order = self._view.order(event.order_id) if event.order_id > 0 else None
        if event.reason == RejectReason.DUPLICATE_CLIENT_ORDER_ID:
            if order is None and name is not None:
                order = self._view.order_of(*name)
            order_id = event.order_id if order is None else order.order_id
            shown = None if order is None else self.document(order)
            return EngineRefusal(event.reason, order_id=order_id, order=shown)
        ended = order is not None and order.account == event.account and order.state != OPEN
        if event.reason in _NOT_FOUND and ended:
            assert order is not None
            return self.not_open(order, "order_id")
        if event.kind == EventKind.REJECTED and event.order_id:
            return EngineRefusal(event.reason, order_id=event.order_id)
        return EngineRefusal(event.reason)


def concluded(events: list[Any], document: Callable[[], Document], status: int = 200) -> Reply:
    """The reply to commands that are answered together: the first refusal, or the document."""
    for event in events:
        if event.kind in REFUSALS:
            return Reply.of(EngineRefusal(event.reason))
    return Reply(status, document())
