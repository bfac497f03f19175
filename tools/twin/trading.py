"""How the twin's orders meet: resting, trading, self-trade prevention, looking ahead, triggers."""

from engine.limits import CHUNK_TICKS, CHUNKS_PER_SIDE_MAX, LEVEL_LOTS_MAX, LOOK_MAX
from engine.messages import (
    EventFlag,
    EventKind,
    Phase,
    Prevention,
    RejectReason,
    Side,
    Trigger,
)
from tools.twin.book import Book
from tools.twin.lists import Lists
from tools.twin.order import TRAILING, Order

BPS = 10_000


class Trading(Lists):
    """What happens between one order and those that rest."""

    # --- resting -----------------------------------------------------------------------------

    def _fits(self, order: Order, price_ticks: int) -> bool:
        """Whether order pool, level and price memory have room for an order."""
        book = self._book(order)
        if order.order_id not in self.orders and len(self.orders) >= self._orders_max:
            return False
        there = book.open_lots(order.side, price_ticks)
        return self._has_room(order, there, book.chunks(order.side), price_ticks)

    def _may_wait(self, order: Order) -> bool:
        """Whether level and price memory have room for an order at its trigger."""
        chunks = self._book(order).trigger_chunks(order.wakes_upward)
        return self._has_room(order, self._lots_waiting(order), chunks, order.trigger_ticks)

    def _lots_waiting(self, order: Order) -> int:
        """Open quantity that waits at an order's trigger, its own included if it does."""
        return sum(
            each.open_lots
            for each in self._book(order).triggers
            if each.trigger_ticks == order.trigger_ticks and each.wakes_upward == order.wakes_upward
        )

    def _has_room(self, order: Order, there: int, chunks: set[int], price_ticks: int) -> bool:
        """Whether a level that holds `there` lots, on a side with these chunks, takes an order."""
        if there + order.open_lots > LEVEL_LOTS_MAX:
            return False
        if price_ticks // CHUNK_TICKS in chunks:
            return True
        used = sum(book.all_chunks() for book in self.books)
        return len(chunks) < CHUNKS_PER_SIDE_MAX and used < self._chunks_max

    def _wait(self, order: Order) -> None:
        """Wait for a price, or CANCELED without room."""
        if self._may_wait(order):
            self._book(order).triggers.append(order)
        else:
            self._end(order, RejectReason.BOOK_FULL)

    def _place(self, order: Order, price_ticks: int) -> None:
        """Put an order into the book that is known to fit; no event."""
        book = self._book(order)
        book.add(order, price_ticks)
        book.brought = True
        self.orders[order.order_id] = order

    def _rest(self, order: Order, price_ticks: int) -> None:
        """RESTED, or CANCELED without room."""
        if not self._fits(order, price_ticks):
            self._end(order, RejectReason.BOOK_FULL)
            return
        self._place(order, price_ticks)
        if order is self._own:
            self._own = None
        self._change(EventKind.RESTED, order, **self._level(order))

    # --- looking ahead -----------------------------------------------------------------------

    def _can_fill(self, order: Order, lots: int) -> bool:
        """Whether the book has so many lots for an order within its price."""
        book = self._book(order)
        if not order.prevents:
            prices = book.met_prices(order.side, order.price_ticks)[:LOOK_MAX]
            other = Side(1 - order.side)
            return sum(book.open_lots(other, price) for price in prices) >= lots
        found = 0
        for looked, maker in enumerate(book.makers(order.side, order.price_ticks)):
            if looked == LOOK_MAX:
                break
            if not order.meets_own(maker):
                found += maker.open_lots
            elif order.prevention != Prevention.OLDEST:
                break
        return found >= lots

    # --- trading -----------------------------------------------------------------------------

    def _sweep(self, taker: Order, limit_ticks: int) -> bool:
        """Trade with what is met; True when a price band stopped the taker."""
        book = self._book(taker)
        last_ticks = book.last_ticks
        while taker.alive and book.meets(taker.side, limit_ticks):
            maker = book.head(Side(1 - taker.side))
            assert maker.rest_ticks is not None
            if taker.meets_own(maker):
                self._prevent(taker, maker)
            elif self._is_outside(book, maker.rest_ticks, last_ticks):
                return True
            else:
                self._trade(taker, maker)
        return False

    def _is_outside(self, book: Book, price_ticks: int, last_ticks: int | None) -> bool:
        """Whether a price lies outside of one of the bands."""
        bands = (
            (book.instrument.static_band_bps, book.static_ticks),
            (book.instrument.dynamic_band_bps, last_ticks),
        )
        for bps, around in bands:
            if bps and around is not None and abs(price_ticks - around) * BPS > bps * abs(around):
                return True
        return False

    def _trade(self, taker: Order, maker: Order) -> None:
        """One fill in continuous trading."""
        assert maker.rest_ticks is not None
        price_ticks = maker.rest_ticks
        lots = min(taker.open_lots, maker.part_lots)
        taker.open_lots -= lots
        self._fill_resting(maker, lots)
        level = self._level_at(maker, price_ticks)
        if maker.hidden:
            level["flags"] |= EventFlag.HIDDEN
        self._trades += 1
        fields = level | {"match_id": self._trades, "qty_lots": lots, "price_ticks": price_ticks}
        fields |= {"fee_rate": taker.taker_rate, "maker_fee_rate": maker.maker_rate}
        if taker.open_lots == 0:
            self._leave(taker)
        self._met(EventKind.TRADE, taker, maker, **fields)
        self._after_trade(taker, maker)
        book = self._book(taker)
        book.last_ticks = price_ticks
        self._compare(book, price_ticks)

    def _fill_resting(self, order: Order, lots: int) -> None:
        """Take a fill off an order in the book; it leaves, or shows its next part at the back."""
        order.open_lots -= lots
        order.part_lots -= lots
        if order.open_lots == 0:
            self._leave(order)
        elif order.part_lots == 0:
            self._book(order).requeue(order)

    def _after_trade(self, first: Order, second: Order) -> None:
        """Tell the lists of both orders."""
        for order in (first, second):
            if order.open_lots == 0:
                self._gone(order)
        for order in (first, second):
            self._list_traded(order)

    def _prevent(self, taker: Order, maker: Order) -> None:
        """PREVENTED instead of a trade."""
        assert maker.rest_ticks is not None
        lots = 0
        if taker.prevention == Prevention.DECREMENT:
            lots = min(taker.open_lots, maker.open_lots)
            for order in (taker, maker):
                order.total_lots -= lots
                order.reduce(lots)
        self._met(EventKind.PREVENTED, taker, maker, qty_lots=lots, **self._level(maker))
        mode = taker.prevention
        if mode in (Prevention.OLDEST, Prevention.BOTH) or maker.open_lots == 0:
            self._end(maker, RejectReason.SELF_TRADE)
        if taker.alive and (mode in (Prevention.NEWEST, Prevention.BOTH) or taker.open_lots == 0):
            self._end(taker, RejectReason.SELF_TRADE)

    # --- triggers ----------------------------------------------------------------------------

    def _compare(self, book: Book, price_ticks: int) -> None:
        """Move trailing triggers after a trade price, then queue the orders that it wakes."""
        assert book.phase == Phase.CONTINUOUS
        for order in [each for each in book.triggers if each.trigger in TRAILING]:
            self._trail(book, order, price_ticks)
        reached = [order for order in book.triggers if order.is_reached(price_ticks)]
        for order in book.triggered_order(reached):
            book.triggers.remove(order)
            book.woken.append(order)
            order.was_reached = True

    def _trail(self, book: Book, order: Order, price_ticks: int) -> None:
        """Let a trailing trigger follow a price in its favour."""
        better = max if order.side == Side.SELL else min
        before = order.best_ticks, order.trigger_ticks
        order.best_ticks = better(order.best_ticks, price_ticks)
        trigger_ticks = trailing_trigger(order)
        if trigger_ticks != order.trigger_ticks:
            order.trigger_ticks = trigger_ticks
            book.triggers.remove(order)
            if not self._may_wait(order):
                order.best_ticks, order.trigger_ticks = before
            book.triggers.append(order)


def trailing_trigger(order: Order) -> int:
    """Where the trigger of a trailing order is by its best price."""
    ticks = order.distance
    if order.trigger == Trigger.TRAIL_BPS:
        ticks = max(1, abs(order.best_ticks) * order.distance // BPS)
    return order.best_ticks - ticks if order.side == Side.SELL else order.best_ticks + ticks
