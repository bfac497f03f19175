"""How the twin's orders end, and what that means for the list that they belong to."""

from engine.messages import EventKind, RejectReason
from tools.twin.journal import Fields, Journal
from tools.twin.order import Order, OrderList


class Lists(Journal):
    """Ends of orders; OCO, OTO and BRACKET."""

    def _leave(self, order: Order) -> Fields:
        """Take an order out of wherever it is; the level that it leaves."""
        book = self._book(order)
        book.forget(order)
        if order.rest_ticks is None:
            return {}
        price_ticks = order.rest_ticks
        book.remove(order)
        return self._level_at(order, price_ticks)

    def _end(self, order: Order, reason: RejectReason) -> None:
        """CANCELED, and what follows from it for other orders of its list."""
        resting = order.rest_ticks
        price_ticks = order.price_ticks if resting is None else resting
        level = self._leave(order)
        fields = level | {"reason": reason, "price_ticks": price_ticks}
        self._change(EventKind.CANCELED, order, **fields)
        self._gone(order)
        self._list_ended(order)

    def _gone(self, order: Order) -> None:
        """The order's life is over; it has left all places."""
        order.alive = False
        self.orders.pop(order.order_id, None)

    def _list_ended(self, order: Order) -> None:
        """An order ended before it was filled."""
        group = order.list
        if group is None:
            return
        if not group.begun:
            self._break(group)
            return
        self._end_partner(order)
        if order is group.orders[0]:
            for dependent in group.dependents():
                if dependent.alive:
                    self._end(dependent, RejectReason.LIST_DONE)

    def _end_partner(self, order: Order) -> None:
        """The other one of a pair ends, the first time that something happens to one of them."""
        group = order.list
        if group is None or not group.paired or order not in group.pair():
            return
        group.paired = False
        for other in group.pair():
            if other is not order and other.alive:
                self._end(other, RejectReason.LIST_DONE)

    def _list_traded(self, order: Order) -> None:
        """An order traded; it may be filled."""
        group = order.list
        if group is None:
            return
        self._end_partner(order)
        if order is group.orders[0] and not order.alive:
            for dependent in group.dependents():
                if dependent.alive:
                    self._book(dependent).held.remove(dependent)
                    self._book(dependent).woken.append(dependent)

    def _break(self, group: OrderList) -> None:
        """End the orders of a list that will not be complete, oldest first."""
        if group.broken:
            return
        group.broken = True
        for order in group.orders:
            if order.alive:
                self._end(order, RejectReason.LIST_BROKEN)
