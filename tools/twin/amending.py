"""How the twin amends and cancels one order."""

from typing import Any

from engine.limits import ICEBERG_PEAKS_MAX, LEVEL_LOTS_MAX
from engine.messages import CommandFlag, EventKind, Phase, RejectReason
from tools.twin.order import TRAILING, Order
from tools.twin.phases import CLOSED
from tools.twin.settling import Settling


class Amending(Settling):
    """CANCEL and AMEND."""

    def _find(self, decision: Any) -> Order | None:
        """The order that a CANCEL or AMEND names, if it may touch it."""
        order = self.orders.get(decision.order_id)
        if order is None:
            return None
        owner = (order.instrument, order.account)
        return order if owner == (decision.instrument, decision.account) else None

    def _cancel(self, decision: Any) -> None:
        order = self._find(decision)
        if order is None:
            self._refuse(RejectReason.UNKNOWN_ORDER)
            return
        self._end(order, RejectReason.CANCELED_BY_CLIENT)
        self._settle(self._book(order))

    def _amend(self, decision: Any) -> None:
        order = self._find(decision)
        if order is None:
            self._refuse(RejectReason.UNKNOWN_ORDER)
            return
        if self._book(order).phase in CLOSED:
            self._refuse(RejectReason.PHASE_FORBIDS)
            return
        open_lots = decision.qty_lots
        if not decision.flags & CommandFlag.LEAVES:
            open_lots -= order.total_lots - order.open_lots
        if open_lots <= 0:
            self._end(order, RejectReason.REDUCED_TO_FILLED)
        else:
            self._amend_to(order, decision, open_lots)
        self._settle(self._book(order))

    def _amend_to(self, order: Order, decision: Any, open_lots: int) -> None:
        """Give an order a new open quantity and more, or refuse to."""
        has_terms = bool(decision.flags & CommandFlag.TERMS)
        display_lots = decision.display_lots if has_terms else order.display_lots
        if has_terms and not self._may_have_terms(order, decision):
            self._refuse(RejectReason.NOT_AMENDABLE)
            return
        if display_lots and open_lots > display_lots * ICEBERG_PEAKS_MAX:
            self._refuse(RejectReason.NOT_AMENDABLE)
            return
        post_only = order.post_only or bool(decision.flags & CommandFlag.POST_ONLY)
        if post_only and self._amendment_trades(order, decision.price_ticks):
            self._refuse(RejectReason.WOULD_TRADE)
            return
        if self._overfills_trigger(order, open_lots):
            self._refuse(RejectReason.BOOK_FULL)
            return
        order.post_only = post_only
        order.maker_rate, order.taker_rate = decision.maker_rate, decision.taker_rate
        stays = (
            decision.price_ticks == order.price_ticks
            and open_lots <= order.open_lots
            and display_lots == order.display_lots
            and not decision.flags & CommandFlag.REQUEUE
        )
        order.display_lots = display_lots
        if order.rest_ticks is None:
            self._amend_waiting(order, decision, open_lots)
        elif stays:
            order.total_lots -= order.open_lots - open_lots
            order.reduce(order.open_lots - open_lots)
            prices = {"price_ticks": order.price_ticks, "previous_price_ticks": order.rest_ticks}
            self._replaced(order, **prices, **self._level(order))
        else:
            self._requeue(order, decision.price_ticks, open_lots)

    def _may_have_terms(self, order: Order, decision: Any) -> bool:
        """Whether an order may get the terms of an AMEND."""
        if order.trigger in TRAILING or (order.hidden and decision.display_lots):
            return False
        waits = order in self._book(order).triggers
        return waits or not decision.trigger_ticks

    def _amendment_trades(self, order: Order, price_ticks: int) -> bool:
        """Whether a post-only order, by its new price, would trade."""
        book = self._book(order)
        if order.rest_ticks is None or order.peg or book.phase != Phase.CONTINUOUS:
            return False
        if not book.meets(order.side, price_ticks):
            return False
        return self._slid(order) is None

    def _overfills_trigger(self, order: Order, open_lots: int) -> bool:
        """Whether an order that waits for a price would be too much with this open quantity."""
        if order not in self._book(order).triggers:
            return False
        return self._lots_waiting(order) - order.open_lots + open_lots > LEVEL_LOTS_MAX

    def _replaced(self, order: Order, **fields: int) -> None:
        """REPLACED, with what the order shows from now on."""
        self._change(EventKind.REPLACED, order, display_lots=order.display_lots, **fields)

    def _resize(self, order: Order, open_lots: int) -> None:
        order.total_lots += open_lots - order.open_lots
        order.open_lots = open_lots

    def _amend_waiting(self, order: Order, decision: Any, open_lots: int) -> None:
        """Change an order out of the book where it is."""
        previous_ticks = order.price_ticks
        order.price_ticks = decision.price_ticks
        self._resize(order, open_lots)
        wanted_ticks = decision.trigger_ticks if decision.flags & CommandFlag.TERMS else 0
        waits = order in self._book(order).triggers and order.trigger not in TRAILING
        told_ticks = (wanted_ticks or order.trigger_ticks) if waits else 0
        self._replaced(order, previous_price_ticks=previous_ticks, trigger_ticks=told_ticks)
        if wanted_ticks and wanted_ticks != order.trigger_ticks:
            order.trigger_ticks = wanted_ticks
            self._book(order).triggers.remove(order)
            self._wait(order)

    def _requeue(self, order: Order, price_ticks: int, open_lots: int) -> None:
        """Cancel and replace: the order loses its place and may trade on its way back."""
        book = self._book(order)
        previous_ticks = order.rest_ticks
        assert previous_ticks is not None
        book.remove(order)
        self._resize(order, open_lots)
        order.price_ticks = price_ticks
        fields = self._level_at(order, previous_ticks) | {"previous_price_ticks": previous_ticks}
        self._replaced(order, **fields)
        if book.phase != Phase.CONTINUOUS:
            self._rest(order, price_ticks)
        elif order.peg:
            self._place_peg(order)
        else:
            if order.post_only and book.meets(order.side, price_ticks):
                slid_ticks = self._slid(order)
                assert slid_ticks is not None, "an amendment that would trade is refused"
                order.price_ticks = slid_ticks
            self._take(order, order.price_ticks)
