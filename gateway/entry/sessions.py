"""Cancel on disconnect: what becomes of a connection's orders when it ends.

A connection has a `Session`, which remembers the orders that were sent over it while it asked for
that. When the connection ends, whatever the cause, its open orders are cancelled by commands in
the sequence like any other. They may use the room of the order ring that is kept for cancels; if
even that is full, they are sent again until they have found room.
"""

import asyncio
from collections import deque
from typing import Any, Final

from engine.messages import CommandKind
from gateway.entry.pending import PendingCommands, Reply, Request
from gateway.errors import EngineBusy, Stopping
from gateway.order import OPEN, Order

RETRY_SECONDS: Final = 0.005
"""A ring that is full empties within a few milliseconds, unless the engine has stopped."""

PRUNE_MIN: Final = 256
"""Orders of a session that are remembered before the ended ones are looked for."""


class Session:
    """One connection's orders."""

    __slots__ = ("_orders", "_prune_at", "cancel_on_disconnect", "over")

    def __init__(self) -> None:
        """A connection that has asked for nothing yet."""
        self.cancel_on_disconnect = False
        self.over = False
        "The connection has ended; orders that are acknowledged from now on came too late for it."
        self._orders: list[Order] = []
        self._prune_at = PRUNE_MIN

    def note(self, order: Order) -> None:
        """An order that was sent over the connection has been accepted."""
        self._orders.append(order)
        if len(self._orders) >= self._prune_at:
            self._orders = self.open_orders()
            self._prune_at = max(PRUNE_MIN, 2 * len(self._orders))

    def open_orders(self) -> list[Order]:
        """Those that have not ended, oldest first."""
        return [order for order in self._orders if order.state == OPEN]


class OwedCancels:
    """Cancels that nobody waits for, sent as soon as the order ring has room."""

    def __init__(self, pending: PendingCommands) -> None:
        self._pending = pending
        self._owed: deque[Order] = deque()
        self._retry: asyncio.TimerHandle | None = None

    def owe(self, orders: list[Order]) -> None:
        """Cancel these orders, now or when there is room."""
        self._owed.extend(orders)
        if self._retry is None:
            self._pay()

    def _pay(self) -> None:
        self._retry = None
        while self._owed:
            order = self._owed[0]
            if order.state == OPEN:
                command = {
                    "kind": CommandKind.CANCEL,
                    "account": order.account,
                    "instrument": order.instrument,
                    "order_id": order.order_id,
                }
                try:
                    self._pending.send((command,), Request(_unheard, _concluded, ""))
                except EngineBusy:
                    loop = asyncio.get_running_loop()
                    self._retry = loop.call_later(RETRY_SECONDS, self._pay)
                    return
                except Stopping:
                    self._owed.clear()  # the venue ends, and all orders with it
                    return
            self._owed.popleft()

    def abandon(self) -> None:
        """The venue stops."""
        self._owed.clear()
        if self._retry is not None:
            self._retry.cancel()


def _concluded(events: list[Any]) -> Reply:
    return Reply(200, {})


def _unheard(reply: Reply) -> None:
    """The connection that would have been told is gone."""
