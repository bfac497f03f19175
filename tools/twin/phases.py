"""The twin's trading phases: what a change of phase does, uncross, indicative, interruption."""

from engine.limits import ALL_OR_NONE_MAX, PEGS_MAX
from engine.messages import EventFlag, EventKind, OrderType, Phase, RejectReason, Side, TimeInForce
from tools.twin.auction import auction
from tools.twin.book import Book
from tools.twin.order import AT_ONCE, Order
from tools.twin.trading import Trading

AUCTIONS = (Phase.OPENING_AUCTION, Phase.CLOSING_AUCTION, Phase.VOLATILITY_AUCTION)
COLLECTING = (Phase.PRE_OPEN, *AUCTIONS)
CLOSED = (Phase.CLOSED, Phase.HALT, Phase.POST_CLOSE)


class Phases(Trading):
    """Everything that an instrument does as a whole."""

    def _interrupt(self, book: Book) -> None:
        """A taker left a price band: halt, or begin the auction at once."""
        halt_ns = book.instrument.volatility_halt_ns
        if halt_ns:
            self._change_phase(book, Phase.HALT, self.clock_ns + halt_ns)
        else:
            self._begin_volatility_auction(book)

    def _begin_volatility_auction(self, book: Book) -> None:
        end_ns = self.clock_ns + book.instrument.volatility_auction_ns
        self._change_phase(book, Phase.VOLATILITY_AUCTION, end_ns)

    def _end_interruption(self, book: Book) -> None:
        """What a TICK does to an instrument whose interruption is over."""
        if book.phase == Phase.HALT:
            self._begin_volatility_auction(book)
        else:
            self._change_phase(book, Phase.CONTINUOUS)

    def _change_phase(self, book: Book, phase: int, end_ns: int | None = None) -> None:
        """All that a PHASE does, except for what it wakes and brings into the book."""
        previous = book.phase
        book.interruption_end_ns = end_ns
        fields = {"phase": phase, "previous_phase": previous, "at_ns": end_ns or 0}
        if phase == previous:
            self._phased(EventKind.PHASED, book.number, **fields)
            return
        if previous == Phase.CONTINUOUS:
            self._send_pegs_out(book)
        uncross_ticks = None
        if phase in (Phase.CONTINUOUS, Phase.POST_CLOSE):
            while book.is_crossed():
                uncross_ticks = self._uncross(book)
            self._end_auction_orders(book, phase == Phase.POST_CLOSE)
        if phase == Phase.CLOSED:
            self._end_all(
                [each for each in self._by_age(book) if each.time_in_force == TimeInForce.DAY],
                RejectReason.DAY_OVER,
            )
            self._end_auction_orders(book, True)
        book.phase = phase
        self._phased(EventKind.PHASED, book.number, **fields)
        if phase in AUCTIONS:
            self._let_auction_orders_in(book)
            self._indicate(book)
        if phase == Phase.CONTINUOUS:
            if uncross_ticks is not None:
                self._compare(book, uncross_ticks)
            book.pass_references = None
            book.brought = True

    def _by_age(self, book: Book) -> list[Order]:
        """All orders of an instrument, oldest first."""
        return sorted(book.everything() + book.woken, key=lambda order: order.order_id)

    def _end_all(self, orders: list[Order], reason: RejectReason) -> None:
        """End orders one after the other, except those that were ended by one before."""
        for order in orders:
            if order.alive:
                self._end(order, reason)

    def _send_pegs_out(self, book: Book) -> None:
        for order in list(book.pegs):
            if order.rest_ticks is not None:
                self._take_peg_out(order)

    def _take_peg_out(self, order: Order) -> None:
        """LEVEL: a peg leaves the book and waits."""
        price_ticks = order.rest_ticks
        assert price_ticks is not None
        self._book(order).remove(order)
        level = self._level_at(order, price_ticks)
        fields = level | {"price_ticks": price_ticks, "qty_lots": 0, "leaves_lots": 0}
        self._change(EventKind.LEVEL, order, **fields)

    def _end_auction_orders(self, book: Book, waiting_too: bool) -> None:
        """AUCTION_OVER for those that rest for an auction, and those that wait for one."""
        ending = [
            order
            for order in self._by_age(book)
            if (order.rest_ticks is not None and order.is_auction_only)
            or (waiting_too and order in book.auction)
        ]
        self._end_all(ending, RejectReason.AUCTION_OVER)

    def _let_auction_orders_in(self, book: Book) -> None:
        """Orders that waited for this auction rest."""
        for order in list(book.auction):
            every = order.time_in_force == TimeInForce.AUCTION
            if order.alive and (every or book.phase == Phase.CLOSING_AUCTION):
                book.auction.remove(order)
                self._collect(order, False)

    def _collect(self, order: Order, was_woken: bool) -> None:
        """An order enters while nothing trades."""
        book = self._book(order)
        stays = order.time_in_force not in AT_ONCE
        if order.order_type == OrderType.MARKET:
            stays = stays and book.phase in COLLECTING and not was_woken
        if order.order_type == OrderType.MARKET_TO_LIMIT:
            stays = stays and order.is_auction_only
        if not stays:
            self._end(order, RejectReason.PHASE_FORBIDS)
        elif order.peg:
            self._wait_in(order, book.pegs)
        elif order.all_or_none:
            self._wait_in(order, book.all_or_none)
        else:
            self._rest(order, order.price_ticks)

    def _wait_in(self, order: Order, waiting: list[Order]) -> bool:
        """Join the pegs or the all-or-none orders; False, and CANCELED, when there are too many."""
        book = self._book(order)
        if len(waiting) >= (PEGS_MAX if waiting is book.pegs else ALL_OR_NONE_MAX):
            self._end(order, RejectReason.TOO_MANY_WAITING)
            return False
        waiting.append(order)
        return True

    # --- auctions ----------------------------------------------------------------------------

    def _indicate(self, book: Book) -> None:
        """INDICATIVE: what the auction would do now."""
        price_ticks, volume, surplus, side = book.indicative = auction(book)
        fields = {"price_ticks": price_ticks, "qty_lots": volume, "leaves_lots": surplus}
        self._notice(EventKind.INDICATIVE, book.number, **fields, side=side)

    def _uncross(self, book: Book) -> int:
        """Trade all that can be traded at the one price; returns that price."""
        price_ticks = auction(book)[0]
        levels: dict[Side, int | None] = {Side.BUY: None, Side.SELL: None}
        book.last_ticks = book.uncross_ticks = price_ticks
        while book.meets(Side.SELL, price_ticks) and book.meets(Side.BUY, price_ticks):
            heads = {side: book.head(side) for side in Side}
            for side, order in heads.items():
                if levels[side] not in (None, order.rest_ticks):
                    self._tell_level(book, side, levels[side])
                levels[side] = order.rest_ticks
            self._trade_in_auction(heads[Side.BUY], heads[Side.SELL], price_ticks)
        for side in Side:
            self._tell_level(book, side, levels[side])
        return price_ticks

    def _trade_in_auction(self, buyer: Order, seller: Order, price_ticks: int) -> None:
        lots = min(buyer.part_lots, seller.part_lots)
        hidden = EventFlag.HIDDEN if seller.hidden else 0
        for order in (buyer, seller):
            self._fill_resting(order, lots)
        self._trades += 1
        fields = {"flags": EventFlag.AUCTION | hidden, "match_id": self._trades, "qty_lots": lots}
        fields |= {"fee_rate": buyer.maker_rate, "maker_fee_rate": seller.maker_rate}
        self._met(EventKind.TRADE, buyer, seller, **fields, price_ticks=price_ticks)
        self._after_trade(buyer, seller)

    def _tell_level(self, book: Book, side: Side, price_ticks: int | None) -> None:
        """LEVEL after the last trade of an uncross at a level."""
        assert price_ticks is not None
        flag = EventFlag.LEVEL_BID if side == Side.BUY else EventFlag.LEVEL_ASK
        fields = {"flags": EventFlag.AUCTION | flag, "level_lots": book.lots(side, price_ticks)}
        self._notice(EventKind.LEVEL, book.number, **fields, side=side, price_ticks=price_ticks)
