"""What the gateway knows of the venue, derived from the event ring alone.

`VenueView.apply` takes every event in order and keeps the orders. Nothing here is rendered or
sent. What is public of the instruments is kept by `gateway.marketdata`.
"""

from collections import deque
from typing import Any, Final, NamedTuple

from engine.config import Config
from engine.instruments import Instrument
from engine.messages import EventFlag, EventKind, RejectReason

FINISHED_ORDERS_MAX: Final = 1 << 15
"""Ended orders that are remembered, newest last; about 1 KiB each with their fills."""

FILLS_PER_ORDER_MAX: Final = 256
"""Fills that an order shows, newest last; all of them went out on the `orders` channel."""

OPEN: Final = 0
FILLED: Final = 1
CANCELED: Final = 2
REJECTED: Final = 3


class Fill(NamedTuple):
    """One fill of one order."""

    match_id: int
    price_ticks: int
    lots: int
    maker: bool


class Order:
    """One order, as the events so far leave it."""

    __slots__ = (
        "account",
        "client_order_id",
        "created_ns",
        "cum_lots",
        "fill_count",
        "fills",
        "instrument",
        "leaves_lots",
        "order_id",
        "order_type",
        "post_only",
        "price_ticks",
        "qty_lots",
        "reason",
        "sequence",
        "side",
        "state",
        "time_in_force",
        "traded",
        "updated_ns",
    )

    def __init__(self, event: Any) -> None:
        """From its ACCEPTED or REJECTED event."""
        self.order_id: int = event.order_id
        self.client_order_id: bytes = event.client_order_id.rstrip(b"\0")
        self.account: int = event.account
        self.instrument: int = event.instrument
        self.side: int = event.side
        self.order_type: int = event.order_type
        self.time_in_force: int = event.time_in_force
        self.post_only: bool = event.flags & EventFlag.POST_ONLY != 0
        self.price_ticks: int = event.price_ticks
        self.qty_lots: int = event.qty_lots
        self.leaves_lots: int = event.qty_lots
        self.cum_lots = 0
        self.traded = 0
        "Sum of price_ticks * lots of all fills."
        self.fill_count = 0
        self.fills: deque[Fill] | None = None
        self.state = OPEN
        self.reason = 0
        "Why it ended, a RejectReason; 0 for none."
        self.created_ns: int = event.time_ns
        self.updated_ns: int = event.time_ns
        self.sequence: int = event.sequence
        "Of the last event that touched it."

    def fill(self, event: Any, maker: bool) -> None:
        """Take over one trade."""
        self.cum_lots += event.qty_lots
        self.traded += event.price_ticks * event.qty_lots
        self.fill_count += 1
        if self.fills is None:
            self.fills = deque(maxlen=FILLS_PER_ORDER_MAX)
        self.fills.append(Fill(event.match_id, event.price_ticks, event.qty_lots, maker))

    def touch(self, event: Any) -> None:
        """Note the event that changed the order last."""
        self.updated_ns = event.time_ns
        self.sequence = event.sequence


class VenueView:
    """Orders of the whole venue."""

    def __init__(self, config: Config) -> None:
        """Before the first event."""
        self.instruments: tuple[Instrument, ...] = config.instruments
        self.sequence = 0
        "The last event that was applied."
        self._orders: dict[int, Order] = {}
        self._by_client_id: dict[tuple[int, bytes], Order] = {}
        self._open: dict[int, dict[int, Order]] = {}
        self._finished: deque[Order] = deque()
        self._handlers = {
            int(EventKind.ACCEPTED): self._accepted,
            int(EventKind.REJECTED): self._rejected,
            int(EventKind.TRADE): self._traded,
            int(EventKind.RESTED): self._rested,
            int(EventKind.CANCELED): self._canceled,
            int(EventKind.REPLACED): self._replaced,
            int(EventKind.CANCEL_REJECTED): self._ignored,
            int(EventKind.REPLACE_REJECTED): self._ignored,
        }

    # --- questions -----------------------------------------------------------------------------

    def order(self, order_id: int) -> Order | None:
        """An order by its engine id, while it is open or remembered."""
        return self._orders.get(order_id)

    def order_of(self, account: int, client_order_id: bytes) -> Order | None:
        """An order by its account's own name for it, while it is open or remembered."""
        return self._by_client_id.get((account, client_order_id))

    def open_orders(self, account: int) -> dict[int, Order]:
        """Open orders of an account by order id, oldest first."""
        return self._open.get(account, {})

    @property
    def open_count(self) -> int:
        """Open orders of all accounts."""
        return len(self._orders) - len(self._finished)

    # --- events --------------------------------------------------------------------------------

    def apply(self, event: Any) -> None:
        """Take over one decoded event."""
        assert event.sequence == self.sequence + 1, f"event {event.sequence} after {self.sequence}"
        self.sequence = event.sequence
        self._handlers[event.kind](event)

    def _accepted(self, event: Any) -> None:
        order = Order(event)
        self._remember(order)
        self._open.setdefault(order.account, {})[order.order_id] = order

    def _rejected(self, event: Any) -> None:
        # A duplicate carries the id of the first order, a malformed order has none.
        if event.order_id == 0 or event.reason == RejectReason.DUPLICATE_CLIENT_ORDER_ID:
            return
        order = Order(event)
        order.reason = event.reason
        self._remember(order)
        self._finish(order, REJECTED)

    def _traded(self, event: Any) -> None:
        taker = self._orders[event.order_id]
        maker = self._orders[event.maker_order_id]
        for order, leaves, is_maker in (
            (taker, event.leaves_lots, False),
            (maker, event.maker_leaves_lots, True),
        ):
            order.fill(event, is_maker)
            order.leaves_lots = leaves
            order.touch(event)
            if leaves == 0:
                self._end(order, FILLED)

    def _rested(self, event: Any) -> None:
        order = self._orders[event.order_id]
        assert order.leaves_lots == event.leaves_lots, "the view lost a fill"
        order.touch(event)

    def _canceled(self, event: Any) -> None:
        order = self._orders[event.order_id]
        assert order.leaves_lots == event.leaves_lots, "the view lost a fill"
        order.reason = event.reason
        order.touch(event)
        self._end(order, CANCELED)

    def _replaced(self, event: Any) -> None:
        order = self._orders[event.order_id]
        order.price_ticks = event.price_ticks
        order.qty_lots = event.qty_lots
        order.leaves_lots = event.leaves_lots
        order.touch(event)
        assert order.leaves_lots + order.cum_lots == order.qty_lots, "the view lost a fill"

    def _ignored(self, event: Any) -> None:
        """A refused change changes nothing."""

    # --- the table of orders -------------------------------------------------------------------

    def _remember(self, order: Order) -> None:
        self._orders[order.order_id] = order
        if order.client_order_id:
            self._by_client_id[order.account, order.client_order_id] = order

    def _end(self, order: Order, state: int) -> None:
        """An open order ends."""
        mine = self._open[order.account]
        del mine[order.order_id]
        if not mine:
            del self._open[order.account]
        self._finish(order, state)

    def _finish(self, order: Order, state: int) -> None:
        """Keep an ended order, and drop the oldest one when there are too many."""
        order.state = state
        order.leaves_lots = 0
        self._finished.append(order)
        if len(self._finished) <= FINISHED_ORDERS_MAX:
            return
        oldest = self._finished.popleft()
        del self._orders[oldest.order_id]
        key = (oldest.account, oldest.client_order_id)
        if self._by_client_id.get(key) is oldest:  # the id may have been used again since
            del self._by_client_id[key]
