"""The book by order (L3): every order that shows something, anonymous, in the order of its queue.

Events say what a level shows in total, and each of them changes what one order shows: so what
the total gains or loses, the order gains or loses, and hidden quantity never comes into it.
An order that was filled as far as it showed and still shows something is an iceberg that went to
the back. Only an uncross has no total after each trade: there an iceberg shows as much anew as
it showed at first, or what it has left.
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

from engine.marketdata.l2 import Level, level_of
from engine.messages import EventFlag, EventKind, Side

AUCTION: Final = int(EventFlag.AUCTION)
SNAPSHOT: Final = int(EventFlag.SNAPSHOT)
TRADE: Final = int(EventKind.TRADE)
PREVENTED: Final = int(EventKind.PREVENTED)
LEVEL: Final = int(EventKind.LEVEL)


class OrderAction(IntEnum):
    """What happened to one order of the book."""

    ADD = 1
    "It stands at the back of its price."
    CHANGE = 2
    "It shows another quantity, and keeps its place."
    REQUEUE = 3
    "It shows another quantity, and went to the back of its price."
    REMOVE = 4
    "It shows nothing any more."


class OrderChange(NamedTuple):
    """One change of one order."""

    action: OrderAction
    order_id: int
    side: int
    price_ticks: int
    lots: int
    "What the order shows now; 0 when it is removed."


class ShownOrder:
    """One order as everybody sees it."""

    __slots__ = ("display_lots", "lots", "order_id", "price_ticks", "side")

    def __init__(self, order_id: int, side: int, price_ticks: int, lots: int) -> None:
        """An order that has just come."""
        self.order_id = order_id
        self.side = side
        self.price_ticks = price_ticks
        self.lots = lots
        "What it shows."
        self.display_lots = lots
        "The most that it shows at a time; never to be given away, it tells an iceberg."


class _Queue:
    """The orders of one price, first come first."""

    __slots__ = ("lots", "orders")

    def __init__(self) -> None:
        self.lots = 0
        self.orders: dict[int, ShownOrder] = {}


class L3Book:
    """Orders of one instrument that show something, both sides."""

    __slots__ = ("_orders", "_queues", "sequence")

    def __init__(self) -> None:
        """An empty book that has seen no event."""
        self._orders: dict[int, ShownOrder] = {}
        self._queues: tuple[dict[int, _Queue], dict[int, _Queue]] = ({}, {})
        self.sequence = 0
        "Sequence of the last change; kept by whoever owns the book."

    # --- questions -----------------------------------------------------------------------------

    def order(self, order_id: int) -> ShownOrder | None:
        """An order, while it shows something."""
        return self._orders.get(order_id)

    def __len__(self) -> int:
        """How many orders show something."""
        return len(self._orders)

    def queue(self, side: int, price_ticks: int) -> list[ShownOrder]:
        """The orders of one price, first in the queue first."""
        queue = self._queues[side].get(price_ticks)
        return [] if queue is None else list(queue.orders.values())

    def lots(self, side: int, price_ticks: int) -> int:
        """Total at one price; 0 when there is none."""
        queue = self._queues[side].get(price_ticks)
        return 0 if queue is None else queue.lots

    def orders(self, side: int) -> Iterator[ShownOrder]:
        """All orders of one side, best price first, each price by its queue."""
        queues = self._queues[side]
        for price_ticks in sorted(queues, reverse=side == Side.BUY):
            yield from queues[price_ticks].orders.values()

    # --- events --------------------------------------------------------------------------------

    def apply_event(self, event: Any) -> Sequence[OrderChange]:
        """Take over a decoded event of this instrument; returns what it changed, in order.

        Events come in order, each once. BOOKED repeats what is, so it changes nothing here; a
        reader that has no book yet begins with `load`.
        """
        return self.apply(event, level_of(event))

    def apply(self, event: Any, level: Level | None) -> Sequence[OrderChange]:
        """The same, with the level that the event changed."""
        kind, flags = event.kind, event.flags
        if kind == TRADE and flags & AUCTION:
            return self._cross(event)
        if level is None or flags & SNAPSHOT:
            return ()
        side, price_ticks, lots = level
        queue = self._queues[side].get(price_ticks)
        gained = lots if queue is None else lots - queue.lots
        if kind == LEVEL and flags & AUCTION:
            assert gained == 0, f"{lots} lots at {price_ticks}, its orders have {lots - gained}"
            return ()
        is_trade = kind == TRADE
        order_id = event.maker_order_id if is_trade or kind == PREVENTED else event.order_id
        order = self._orders.get(order_id)
        if order is None:  # it comes, or it is hidden
            return () if gained == 0 else (self._add(order_id, side, price_ticks, gained),)
        assert (order.side, order.price_ticks) == (side, price_ticks), (
            f"order {order_id} rests at {order.price_ticks}, not at {price_ticks}"
        )
        assert not is_trade or event.qty_lots <= order.lots, f"order {order_id} shows less"
        shown_all = is_trade and event.qty_lots == order.lots
        if gained == 0 and not shown_all:
            return ()
        return (self._set(order, order.lots + gained, shown_all),)

    def _cross(self, event: Any) -> list[OrderChange]:
        """A trade of an uncross: two orders of the book, each as far as it shows."""
        changes: list[OrderChange] = []
        traded = event.qty_lots
        for order_id, leaves_lots in (
            (event.order_id, event.leaves_lots),
            (event.maker_order_id, event.maker_leaves_lots),
        ):
            order = self._orders.get(order_id)
            if order is None:
                continue  # hidden
            shown_all = traded == order.lots
            rest = min(order.display_lots, leaves_lots) if shown_all else order.lots - traded
            changes.append(self._set(order, rest, shown_all))
        return changes

    def load(self, event: Any) -> None:
        """Take over a BOOKED into a book that was empty before the first one of its snapshot."""
        side = Side.SELL if event.flags & EventFlag.LEVEL_ASK else Side.BUY
        assert event.order_id not in self._orders, f"order {event.order_id} is booked twice"
        self._add(event.order_id, side, event.price_ticks, event.leaves_lots)
        self._orders[event.order_id].display_lots = event.qty_lots

    # --- changes -------------------------------------------------------------------------------

    def _add(self, order_id: int, side: int, price_ticks: int, lots: int) -> OrderChange:
        assert lots > 0, f"order {order_id} came with {lots} lots"
        order = self._orders[order_id] = ShownOrder(order_id, side, price_ticks, lots)
        queue = self._queues[side].get(price_ticks)
        if queue is None:
            queue = self._queues[side][price_ticks] = _Queue()
        queue.orders[order_id] = order
        queue.lots += lots
        return OrderChange(OrderAction.ADD, order_id, side, price_ticks, lots)

    def _set(self, order: ShownOrder, lots: int, to_back: bool) -> OrderChange:
        """Let an order show `lots` from now on."""
        order_id, side, price_ticks = order.order_id, order.side, order.price_ticks
        assert lots >= 0, f"order {order_id} would show {lots} lots"
        queue = self._queues[side][price_ticks]
        queue.lots += lots - order.lots
        order.lots = lots
        action = OrderAction.CHANGE
        if lots == 0:
            action = OrderAction.REMOVE
            del self._orders[order_id], queue.orders[order_id]
            if not queue.orders:
                assert queue.lots == 0, f"{queue.lots} lots at {price_ticks} are nobody's"
                del self._queues[side][price_ticks]
        elif to_back:
            action = OrderAction.REQUEUE
            del queue.orders[order_id]
            queue.orders[order_id] = order
        return OrderChange(action, order_id, side, price_ticks, lots)
