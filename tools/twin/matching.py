"""The naive exchange: lists of orders, everything else looked up by searching.

Reads decisions, writes events; a pure function of the decisions it was given. This is the
meaning of the matching rules; where the engine differs, one of the two has a bug. The rules are
in the modules below, each building on the one before: `journal` writes events, `lists` ends
orders, `trading` lets them meet, `phases`, `entering`, `settling`, `amending`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from engine.limits import CHUNKS_MAX, ORDERS_MAX
from engine.messages import (
    BOTH_SIDES,
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    Listing,
    ListKind,
    OrderType,
    Phase,
    RejectReason,
    Side,
    TimeInForce,
)
from engine.reference import TERM_NUMBERS
from tools.twin.amending import Amending
from tools.twin.auction import auction
from tools.twin.book import Book
from tools.twin.instrument import BLANK, Instrument
from tools.twin.journal import LEVEL_FLAG
from tools.twin.messages import Event
from tools.twin.order import AT_ONCE, LIST_ORDERS, TRAILING, Order, OrderList, order_of
from tools.twin.phases import AUCTIONS, CLOSED, COLLECTING

__all__ = ["Exchange", "Order"]

TELL_TOP = TERM_NUMBERS["tell_top"]
OPENING = (Phase.PRE_OPEN, Phase.OPENING_AUCTION)


class Exchange(Amending):
    """All books of a venue."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        orders_max: int = ORDERS_MAX - 1,
        chunks_max: int = CHUNKS_MAX - 1,
    ) -> None:
        """Empty books that together hold at most so many orders and price chunks."""
        super().__init__(instruments, orders_max, chunks_max)
        self._events = 0
        self._open_lists: dict[int, OrderList] = {}
        "By source: the newest list that it sent an order of."

    def decide(self, decision: Any) -> list[Event]:
        """Apply one decision; returns its events. Any object with a decision's fields will do."""
        self._decision, self._out, self._own = decision, [], None
        open_list = self._open_lists.get(decision.source)
        orders_before = len(open_list.orders) if open_list else 0
        if decision.reason != RejectReason.NONE:
            self._refuse(decision.reason)
        else:
            self._execute(decision)
        if open_list and not open_list.begun and len(open_list.orders) == orders_before:
            self._break(open_list)
        self._tell_tops()
        last = self._out[-1]
        self._out[-1] = last._replace(flags=last.flags | EventFlag.LAST)
        numbered = [
            event._replace(sequence=self._events + position)
            for position, event in enumerate(self._out, start=1)
        ]
        self._events += len(numbered)
        return numbered

    def _execute(self, decision: Any) -> None:
        """Carry out an accepted command."""
        commands: dict[int, Callable[[Any], None]] = {
            CommandKind.NEW: self._new,
            CommandKind.CANCEL: self._cancel,
            CommandKind.AMEND: self._amend,
            CommandKind.MASS_CANCEL: self._mass_cancel,
            CommandKind.PHASE: self._phase,
            CommandKind.TICK: self._tick,
            CommandKind.INSTRUMENT: self._instrument,
            CommandKind.SNAPSHOT: self._snapshot,
            CommandKind.FUNDS: lambda _: self._repeat(EventKind.FUNDED),
            CommandKind.RULE: lambda _: self._repeat(EventKind.RULED),
            CommandKind.MARK: lambda _: self._repeat(EventKind.MARKED),
            CommandKind.BARRIER: lambda _: self._repeat(EventKind.BARRIER),
            CommandKind.SKIP: lambda _: self._repeat(EventKind.SKIPPED),
            CommandKind.CHECK: lambda _: self._answered(EventKind.CHECKED, RejectReason.NONE, {}),
        }
        assert decision.kind in commands, f"kind {decision.kind} was accepted"
        commands[decision.kind](decision)

    # --- new orders --------------------------------------------------------------------------

    def _new(self, decision: Any) -> None:
        order = order_of(decision)
        book = self._book(order)
        kind = self._list_kind(decision)
        reason = self._fault(order, kind, decision)
        if reason:
            self._refuse(reason)
            return
        self._own = order
        if kind:
            self._hold(order, decision)
        elif decision.flags & CommandFlag.TERMS:
            self._accepted({})
            if self._stays(order):
                self.orders[order.order_id] = order
            self._enter(order)
        else:
            self._enter_plain(order)
        self._own = None
        self._settle(book)

    def _list_kind(self, decision: Any) -> ListKind:
        if not decision.flags & CommandFlag.TERMS:
            return ListKind.NONE
        return ListKind(decision.list_kind)

    def _fault(self, order: Order, kind: ListKind, decision: Any) -> RejectReason:
        """Why a new order is REJECTED, NONE if it is not."""
        forbidden = self._forbidden(order, kind)
        if forbidden:
            return forbidden
        if kind:
            if not self._continues(decision):
                return RejectReason.LIST_BROKEN
        elif order.trigger in TRAILING:
            if self._book(order).last_ticks is None:
                return RejectReason.NO_OPPOSITE
        elif not order.trigger and self._refuses_to_trade(order):
            return RejectReason.WOULD_TRADE
        is_full = len(self.orders) >= self._orders_max
        if is_full and (kind or self._stays(order)):
            return RejectReason.BOOK_FULL
        is_plain = not decision.flags & CommandFlag.TERMS
        if is_plain and self._rests_at_once(order) and not self._fits(order, order.price_ticks):
            return RejectReason.BOOK_FULL
        return RejectReason.NONE

    def _forbidden(self, order: Order, kind: ListKind) -> RejectReason:
        """Rule 1."""
        phase = self._book(order).phase
        if phase in CLOSED:
            return RejectReason.PHASE_FORBIDS
        if order.time_in_force == TimeInForce.AT_OPEN and phase not in OPENING:
            return RejectReason.PHASE_FORBIDS
        needs_trading = (
            order.time_in_force in AT_ONCE
            or order.order_type == OrderType.MARKET_TO_LIMIT
            or order.minimum_lots > 0
        )
        if phase in COLLECTING and needs_trading and not order.trigger and not kind:
            return RejectReason.PHASE_FORBIDS
        if order.time_in_force == TimeInForce.GTD and order.at_ns <= self.clock_ns:
            return RejectReason.EXPIRED
        return RejectReason.NONE

    def _refuses_to_trade(self, order: Order) -> bool:
        """Whether rule 9 is reached and rejects."""
        book = self._book(order)
        if not order.post_only or book.phase != Phase.CONTINUOUS:
            return False
        if self._waits_for_auction(order) or order.peg or order.all_or_none:
            return False
        if order.minimum_lots and not self._can_fill(order, order.minimum_lots):
            return False
        return book.meets(order.side, order.price_ticks) and self._slid(order) is None

    def _stays(self, order: Order) -> bool:
        """Whether an order outside of lists may stay, in the book or waiting, once accepted."""
        if order.trigger and not (order.trigger not in TRAILING and self._is_reached_now(order)):
            return True
        if self._waits_for_auction(order) or self._book(order).phase != Phase.CONTINUOUS:
            return True
        if order.order_type == OrderType.MARKET_TO_LIMIT:
            return False
        return order.may_rest or (order.all_or_none and order.may_wait_whole)

    def _rests_at_once(self, order: Order) -> bool:
        """Whether a plain order goes straight into the book."""
        book = self._book(order)
        if book.phase != Phase.CONTINUOUS:
            return True
        return order.may_rest and not book.meets(order.side, order.price_ticks)

    def _enter_plain(self, order: Order) -> None:
        """An order without terms: ACCEPTED has the level when it rests at once."""
        if self._rests_at_once(order):
            self._place(order, order.price_ticks)
            self._accepted(self._level(order))
            self._own = None
            return
        self._accepted({})
        if order.may_rest:
            self.orders[order.order_id] = order
        self._enter_market(order)

    # --- lists -------------------------------------------------------------------------------

    def _continues(self, decision: Any) -> bool:
        """Whether an order of a list is its first, or the one that has to come next."""
        if decision.list_index == 0:
            return True
        group = self._open_lists.get(decision.source)
        if group is None or group.begun or group.broken:
            return False
        first = group.orders[0]
        found = (decision.list_kind, decision.account, decision.instrument, decision.list_index)
        return found == (group.kind, first.account, first.instrument, len(group.orders))

    def _hold(self, order: Order, decision: Any) -> None:
        """Rule 2: keep an order until its list is complete, then let the list begin."""
        if decision.list_index == 0:
            group = OrderList(ListKind(decision.list_kind), decision.source)
            self._open_lists[decision.source] = group
        group = self._open_lists[decision.source]
        group.orders.append(order)
        order.list = group
        self._accepted({})
        self.orders[order.order_id] = order
        book = self._book(order)
        book.held.append(order)
        if len(group.orders) < LIST_ORDERS[group.kind]:
            return
        group.begun = True
        for entering in group.orders[: 2 if group.kind == ListKind.OCO else 1]:
            if entering.alive:
                book.held.remove(entering)
                self._enter(entering)

    # --- the venue ---------------------------------------------------------------------------

    def _phase(self, decision: Any) -> None:
        book = self.books[decision.instrument]
        self._change_phase(book, Phase(decision.phase))
        self._settle(book)

    def _tick(self, decision: Any) -> None:
        self.clock_ns = max(self.clock_ns, decision.at_ns)
        for book in self.books:
            end_ns = book.interruption_end_ns
            if end_ns is not None and end_ns <= self.clock_ns:
                self._end_interruption(book)
                self._settle(book)
        while True:
            due = [
                order
                for order in self.orders.values()
                if order.time_in_force == TimeInForce.GTD and order.at_ns <= self.clock_ns
            ]
            if not due:
                break
            order = min(due, key=lambda each: (each.at_ns, each.order_id))
            self._end(order, RejectReason.EXPIRED)
            self._settle(self._book(order))
        for book in self.books:
            if book.phase in AUCTIONS and auction(book) != book.indicative:
                self._indicate(book)
        self._tell_tops()  # before the CLOCK, which all shards have
        self._phased(EventKind.CLOCK, 0, at_ns=self.clock_ns)

    def _mass_cancel(self, decision: Any) -> None:
        book = self.books[decision.instrument]
        orders = [
            order
            for order in book.everything()
            if order.account == decision.account and decision.side in (order.side, BOTH_SIDES)
        ]
        self._end_all(orders, RejectReason.MASS_CANCELED)
        self._settle(book)
        self._notice(EventKind.DONE, decision.instrument, qty_lots=len(orders))

    def _instrument(self, decision: Any) -> None:
        number = decision.instrument
        while number >= len(self.books):
            self.books.append(Book(len(self.books), BLANK))
        book = self.books[number]
        if decision.order_id == Listing.DELIST:
            self._end_all(book.everything(), RejectReason.DELISTED)
            self._settle(book)
        elif decision.order_id == Listing.LIST:
            self.books[number] = Book(number, book.instrument)
            self.books[number].phase = Phase(decision.qty_lots)
        else:
            book.terms.change(decision.order_id, decision.qty_lots)
            if decision.order_id == TELL_TOP:
                book.told = (None, None)
        self._instrument_changed()

    def _snapshot(self, decision: Any) -> None:
        book = self.books[decision.instrument]
        shown = [each for side in Side for each in book.resting(side) if each.shown_lots]
        for order in shown:
            level = self._level(order)
            level["flags"] = LEVEL_FLAG[order.side] | EventFlag.SNAPSHOT
            fields = {"qty_lots": order.display_lots or order.shown_lots}
            fields |= {"leaves_lots": order.shown_lots, "account": 0}
            self._change(EventKind.BOOKED, order, **level, **fields)
        fields = {"qty_lots": len(shown), "flags": EventFlag.SNAPSHOT}
        self._notice(EventKind.DONE, decision.instrument, **fields)

    def _tell_tops(self) -> None:
        for book in self.books:
            self._tell_top(book)

    def _tell_top(self, book: Book) -> None:
        """TOP, if an instrument that tells its best prices has others now than it told last."""
        if not book.instrument.tell_top:
            return
        top: tuple[int | None, int | None] = (None, None)
        if book.phase == Phase.CONTINUOUS:
            top = book.best_shown(Side.BUY), book.best_shown(Side.SELL)
        if top == book.told:
            return
        book.told = bid, ask = top
        fields = {"price_ticks": bid or 0, "qty_lots": int(bid is not None)}
        fields |= {"previous_price_ticks": ask or 0, "leaves_lots": int(ask is not None)}
        self._notice(EventKind.TOP, book.number, **fields)
