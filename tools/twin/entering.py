"""How the twin's orders enter: rules 3 to 11 of docs/matching.md, section 4."""

from engine.limits import TRAILING_MAX
from engine.messages import (
    EventKind,
    OrderType,
    Peg,
    Phase,
    RejectReason,
    Side,
    TimeInForce,
    Trigger,
)
from tools.twin.order import TRAILING, Order
from tools.twin.phases import Phases
from tools.twin.prices import at_least, at_most
from tools.twin.trading import trailing_trigger


class Entering(Phases):
    """What an accepted order goes through."""

    def _enter(self, order: Order, was_woken: bool = False) -> None:
        """Rules 3 to 11."""
        if not order.trigger:
            self._enter_awake(order, was_woken)
        elif order.trigger in TRAILING:
            self._begin_trailing(order)
        elif self._is_reached_now(order):
            self._wake(order)
        else:
            self._wait(order)

    def _is_reached_now(self, order: Order) -> bool:
        book = self._book(order)
        return book.phase == Phase.CONTINUOUS and order.is_reached(book.last_ticks)

    def _begin_trailing(self, order: Order) -> None:
        book = self._book(order)
        if book.last_ticks is None:
            self._end(order, RejectReason.NO_OPPOSITE)
        elif sum(each.trigger in TRAILING for each in book.triggers) >= TRAILING_MAX:
            self._end(order, RejectReason.TOO_MANY_WAITING)
        else:
            order.best_ticks = book.last_ticks
            order.trigger_ticks = trailing_trigger(order)
            self._wait(order)

    def _wake(self, order: Order) -> None:
        """TRIGGERED, then on as if the order had just arrived."""
        if order.follows:
            limit_ticks = order.trigger_ticks + order.offset_ticks
            worst = min if order.side == Side.BUY else max
            limit_ticks = worst(limit_ticks, order.price_ticks)
            step = self._book(order).instrument
            is_buyer = order.side == Side.BUY
            order.price_ticks = (step.step_down if is_buyer else step.step_up)(limit_ticks)
        order.trigger = Trigger.NONE
        self._change(
            EventKind.TRIGGERED,
            order,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
        )
        self._end_partner(order)
        if order.alive:
            self._enter_awake(order, True)

    def _waits_for_auction(self, order: Order) -> bool:
        """Rule 4."""
        phase = self._book(order).phase
        if order.time_in_force == TimeInForce.AT_CLOSE:
            return phase != Phase.CLOSING_AUCTION
        return order.time_in_force == TimeInForce.AUCTION and phase == Phase.CONTINUOUS

    def _enter_awake(self, order: Order, was_woken: bool) -> None:
        """Rules 4 to 11."""
        book = self._book(order)
        if self._waits_for_auction(order):
            book.auction.append(order)
        elif book.phase != Phase.CONTINUOUS:
            self._collect(order, was_woken)
        elif order.time_in_force == TimeInForce.AT_OPEN:
            self._end(order, RejectReason.PHASE_FORBIDS)
        elif order.peg:
            if self._wait_in(order, book.pegs):
                self._place_peg(order)
        elif order.all_or_none:
            self._enter_whole(order)
        elif order.minimum_lots and not self._can_fill(order, order.minimum_lots):
            self._end(order, RejectReason.MINIMUM_UNFILLABLE)
        else:
            self._enter_market(order)

    def _enter_whole(self, order: Order) -> None:
        """Rule 7."""
        if self._can_fill(order, order.open_lots):
            self._take(order, order.price_ticks)
        elif order.may_wait_whole:
            self._wait_in(order, self._book(order).all_or_none)
        else:
            self._end(order, RejectReason.FOK_UNFILLABLE)

    def _enter_market(self, order: Order) -> None:
        """Rules 9 to 11."""
        book = self._book(order)
        if order.post_only and book.meets(order.side, order.price_ticks):
            slid_ticks = self._slid(order)
            if slid_ticks is None:
                self._end(order, RejectReason.WOULD_TRADE)
                return
            order.price_ticks = slid_ticks
        if order.order_type == OrderType.MARKET_TO_LIMIT:
            best = book.best(Side(1 - order.side))
            if best is None or not book.meets(order.side, order.price_ticks):
                self._end(order, RejectReason.NO_OPPOSITE)
                return
            order.price_ticks = best
        is_whole = order.time_in_force == TimeInForce.FOK
        if is_whole and not self._can_fill(order, order.open_lots):
            self._end(order, RejectReason.FOK_UNFILLABLE)
        else:
            self._take(order, order.price_ticks)

    def _slid(self, order: Order) -> int | None:
        """The best price at which a sliding order does not trade, None when there is none."""
        best = self._book(order).best(Side(1 - order.side))
        if best is None or not order.slides:
            return None
        return self._own_side(order, best - 1 if order.side == Side.BUY else best + 1)

    def _own_side(self, order: Order, price_ticks: int) -> int | None:
        """The valid price at or next to a price, away from the other side."""
        round_off = at_most if order.side == Side.BUY else at_least
        return round_off(self._book(order).instrument, price_ticks)

    def _take(self, order: Order, limit_ticks: int) -> None:
        """Trade, then rest or end; a price band that was left interrupts trading."""
        book = self._book(order)
        is_outside = self._sweep(order, limit_ticks)
        if order.alive and order.may_rest:
            self._rest(order, limit_ticks)
        elif order.alive:
            reason = RejectReason.VOLATILITY if is_outside else RejectReason.IOC_REMAINDER
            self._end(order, reason)
        if is_outside:
            self._interrupt(book)

    # --- pegs --------------------------------------------------------------------------------

    def _place_peg(self, order: Order) -> None:
        """Rule 6: let a peg that is out of the book enter at its price, if it has one."""
        price_ticks = self._peg_price(order)
        if price_ticks is not None:
            self._take(order, price_ticks)

    def _peg_price(self, order: Order) -> int | None:
        """Where a peg wants to be now; None: out of the book."""
        bid, ask = self._book(order).references()
        is_buyer = order.side == Side.BUY
        own, other = (bid, ask) if is_buyer else (ask, bid)
        reference = peg_reference(order, own, other)
        if reference is None:
            return None
        price_ticks = reference + order.offset_ticks
        if is_buyer:
            price_ticks = min(price_ticks, order.price_ticks)
            price_ticks = price_ticks if other is None else min(price_ticks, other - 1)
        else:
            price_ticks = max(price_ticks, order.price_ticks)
            price_ticks = price_ticks if other is None else max(price_ticks, other + 1)
        return self._own_side(order, price_ticks)


def peg_reference(order: Order, own: int | None, other: int | None) -> int | None:
    """The price that a peg follows, by the references of its own and of the other side."""
    if order.peg == Peg.PRIMARY:
        return own
    if order.peg == Peg.OPPOSITE:
        return other
    if own is None or other is None:
        return None
    return (own + other) // 2 if order.side == Side.BUY else -(-(own + other) // 2)
