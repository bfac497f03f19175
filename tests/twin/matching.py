"""The naive exchange: one list of orders per price, everything else looked up by searching.

Reads decisions, writes events; a pure function of the decisions it was given. This is the
meaning of the matching rules; where the engine differs, one of the two has a bug.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.limits import (
    CHUNK_TICKS,
    CHUNKS_MAX,
    CHUNKS_PER_SIDE_MAX,
    LEVEL_LOTS_MAX,
    ORDERS_MAX,
)
from engine.messages import (
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    OrderType,
    RejectReason,
    Side,
    TimeInForce,
)
from tests.twin.messages import ChangeEvent, Event, OrderEvent, TradeEvent

LEVEL_FLAG = {Side.BUY: EventFlag.LEVEL_BID, Side.SELL: EventFlag.LEVEL_ASK}


@dataclass
class Order:
    """An order that rests or is about to."""

    order_id: int
    account: int
    instrument: int
    side: Side
    order_type: int
    time_in_force: int
    price_ticks: int
    total_lots: int
    open_lots: int
    post_only: bool


class Book:
    """Resting orders of one instrument: for each side, price -> orders in time order."""

    def __init__(self) -> None:
        self.levels: dict[Side, dict[int, list[Order]]] = {Side.BUY: {}, Side.SELL: {}}

    def prices(self, side: Side) -> list[int]:
        """Prices of one side, best first."""
        return sorted(self.levels[side], reverse=side == Side.BUY)

    def lots(self, side: Side, price_ticks: int) -> int:
        """Open quantity at one price."""
        return sum(order.open_lots for order in self.levels[side].get(price_ticks, []))

    def chunks(self, side: Side) -> set[int]:
        """Groups of adjacent prices that hold orders: what the engine's memory is counted in."""
        return {price // CHUNK_TICKS for price in self.levels[side]}

    def makers(self, taker_side: Side, limit_ticks: int) -> Iterator[Order]:
        """Orders that a taker with this limit meets, in price-time order."""
        side = Side(1 - taker_side)
        for price in self.prices(side):
            if price > limit_ticks if taker_side == Side.BUY else price < limit_ticks:
                return
            yield from list(self.levels[side][price])

    def add(self, order: Order) -> None:
        """Put an order at the back of its level."""
        self.levels[order.side].setdefault(order.price_ticks, []).append(order)

    def remove(self, order: Order) -> None:
        """Take an order out of its level."""
        level = self.levels[order.side][order.price_ticks]
        level.remove(order)
        if not level:
            del self.levels[order.side][order.price_ticks]


class Exchange:
    """All books of a venue."""

    def __init__(
        self,
        instrument_count: int,
        orders_max: int = ORDERS_MAX - 1,
        chunks_max: int = CHUNKS_MAX - 1,
    ) -> None:
        """Empty books that together hold at most so many orders and price chunks."""
        self.books = [Book() for _ in range(instrument_count)]
        self.orders: dict[int, Order] = {}
        self._orders_max = orders_max
        self._chunks_max = chunks_max
        self._events = 0
        self._trades = 0

    def decide(self, decision: Any) -> list[Event]:
        """Apply one decision; returns its events. Any object with a decision's fields will do."""
        if decision.reason != RejectReason.NONE:
            events = [self._refusal(decision, RejectReason(decision.reason))]
        elif decision.kind == CommandKind.NEW:
            events = self._new(decision)
        elif decision.kind == CommandKind.CANCEL:
            events = self._cancel(decision)
        else:
            assert decision.kind == CommandKind.AMEND, f"kind {decision.kind} was accepted"
            events = self._amend(decision)
        events[-1] = events[-1]._replace(flags=events[-1].flags | EventFlag.LAST)
        numbered = [
            event._replace(sequence=self._events + position)
            for position, event in enumerate(events, start=1)
        ]
        self._events += len(events)
        return numbered

    # --- commands ----------------------------------------------------------------------------

    def _new(self, decision: Any) -> list[Event]:
        order = Order(
            decision.order_id,
            decision.account,
            decision.instrument,
            Side(decision.side),
            decision.order_type,
            decision.time_in_force,
            decision.price_ticks,
            decision.qty_lots,
            decision.qty_lots,
            bool(decision.flags & CommandFlag.POST_ONLY),
        )
        book = self.books[order.instrument]
        makers = list(book.makers(order.side, order.price_ticks))
        may_rest = order.order_type == OrderType.LIMIT and order.time_in_force == TimeInForce.GTC
        if order.post_only and makers:
            return [self._refusal(decision, RejectReason.WOULD_TRADE)]
        if may_rest and len(self.orders) >= self._orders_max:
            return [self._refusal(decision, RejectReason.BOOK_FULL)]
        if may_rest and not makers:
            if not self._fits(order):
                return [self._refusal(decision, RejectReason.BOOK_FULL)]
            self._rest(order)
            return [self._accepted(decision, order, self._level(order))]
        events: list[Event] = [self._accepted(decision, order, {})]
        available = sum(maker.open_lots for maker in makers)
        if order.time_in_force == TimeInForce.FOK and available < order.open_lots:
            return [*events, self._ended(decision, order, RejectReason.FOK_UNFILLABLE, {})]
        events += self._sweep(decision, order)
        if order.open_lots and may_rest:
            events.append(self._rest_remainder(decision, order))
        elif order.open_lots:
            events.append(self._ended(decision, order, RejectReason.IOC_REMAINDER, {}))
        return events

    def _cancel(self, decision: Any) -> list[Event]:
        order = self._find(decision)
        if order is None:
            return [self._refusal(decision, RejectReason.UNKNOWN_ORDER)]
        self._unrest(order)
        reason = RejectReason.CANCELED_BY_CLIENT
        return [self._ended(decision, order, reason, self._level(order))]

    def _amend(self, decision: Any) -> list[Event]:
        order = self._find(decision)
        if order is None:
            return [self._refusal(decision, RejectReason.UNKNOWN_ORDER)]
        filled = order.total_lots - order.open_lots
        keeps_leaves = decision.flags & CommandFlag.LEAVES
        open_lots = decision.qty_lots if keeps_leaves else decision.qty_lots - filled
        if open_lots <= 0:
            self._unrest(order)
            reason = RejectReason.REDUCED_TO_FILLED
            return [self._ended(decision, order, reason, self._level(order))]
        post_only = order.post_only or bool(decision.flags & CommandFlag.POST_ONLY)
        makers = list(self.books[order.instrument].makers(order.side, decision.price_ticks))
        if post_only and makers:
            return [self._refusal(decision, RejectReason.WOULD_TRADE)]
        stays = (
            decision.price_ticks == order.price_ticks
            and open_lots <= order.open_lots
            and not decision.flags & CommandFlag.REQUEUE
        )
        previous_ticks = order.price_ticks
        if not stays:
            self._unrest(order)
        order.post_only = post_only
        order.total_lots, order.open_lots = filled + open_lots, open_lots
        level = self._level(order)
        order.price_ticks = decision.price_ticks
        replaced = self._change(decision, EventKind.REPLACED, order, level)
        events: list[Event] = [replaced._replace(previous_price_ticks=previous_ticks)]
        if stays:
            return events
        events += self._sweep(decision, order)
        if order.open_lots:
            events.append(self._rest_remainder(decision, order))
        return events

    def _rest_remainder(self, decision: Any, order: Order) -> Event:
        """Put what trades or an amendment left of an order into the book, if there is room."""
        if not self._fits(order):
            return self._ended(decision, order, RejectReason.BOOK_FULL, {})
        self._rest(order)
        return self._change(decision, EventKind.RESTED, order, self._level(order))

    def _sweep(self, decision: Any, taker: Order) -> list[Event]:
        """Trade `taker` against what it meets."""
        events: list[Event] = []
        for maker in self.books[taker.instrument].makers(taker.side, taker.price_ticks):
            if taker.open_lots == 0:
                break
            fill = min(taker.open_lots, maker.open_lots)
            taker.open_lots -= fill
            maker.open_lots -= fill
            if maker.open_lots == 0:
                self._unrest(maker)
            self._trades += 1
            event = TradeEvent(
                **self._cause(decision),
                **self._names(taker),
                **({"flags": 0, "level_lots": 0} | self._level(maker)),
                kind=EventKind.TRADE,
                reason=RejectReason.NONE,
                price_ticks=maker.price_ticks,
                qty_lots=fill,
                leaves_lots=taker.open_lots,
                maker_order_id=maker.order_id,
                maker_leaves_lots=maker.open_lots,
                match_id=self._trades,
                maker_account=maker.account,
            )
            events.append(event)
        return events

    # --- books -------------------------------------------------------------------------------

    def _find(self, decision: Any) -> Order | None:
        """The resting order that a CANCEL or AMEND names, if it may touch it."""
        order = self.orders.get(decision.order_id)
        if order is None:
            return None
        owner = (order.instrument, order.account)
        return order if owner == (decision.instrument, decision.account) else None

    def _fits(self, order: Order) -> bool:
        """Whether level and price memory have room for an order."""
        book = self.books[order.instrument]
        if book.lots(order.side, order.price_ticks) + order.open_lots > LEVEL_LOTS_MAX:
            return False
        chunks = book.chunks(order.side)
        if order.price_ticks // CHUNK_TICKS in chunks:
            return True
        used = sum(len(each.chunks(side)) for each in self.books for side in Side)
        return len(chunks) < CHUNKS_PER_SIDE_MAX and used < self._chunks_max

    def _rest(self, order: Order) -> None:
        self.books[order.instrument].add(order)
        self.orders[order.order_id] = order

    def _unrest(self, order: Order) -> None:
        self.books[order.instrument].remove(order)
        del self.orders[order.order_id]

    def _level(self, order: Order) -> dict[str, int]:
        """Flag and total of the level at an order's price."""
        lots = self.books[order.instrument].lots(order.side, order.price_ticks)
        return {"flags": LEVEL_FLAG[order.side], "level_lots": lots}

    # --- events ------------------------------------------------------------------------------

    def _cause(self, decision: Any) -> dict[str, int]:
        """What every event says about the command behind it; numbered later."""
        return {
            "sequence": 0,
            "source": decision.source,
            "account": decision.account,
            "instrument": decision.instrument,
            "dseq": decision.sequence,
            "source_sequence": decision.source_sequence,
            "time_ns": decision.time_ns,
        }

    def _names(self, order: Order) -> dict[str, int]:
        return {
            "order_id": order.order_id,
            "side": order.side,
            "order_type": order.order_type,
            "time_in_force": order.time_in_force,
        }

    def _accepted(self, decision: Any, order: Order, level: dict[str, int]) -> OrderEvent:
        event = OrderEvent(
            **self._cause(decision),
            **self._names(order),
            **({"flags": 0, "level_lots": 0} | level),
            kind=EventKind.ACCEPTED,
            reason=RejectReason.NONE,
            price_ticks=order.price_ticks,
            qty_lots=order.total_lots,
            client_order_id=decision.client_order_id,
        )
        if order.post_only:
            event = event._replace(flags=event.flags | EventFlag.POST_ONLY)
        return event

    def _change(
        self, decision: Any, kind: EventKind, order: Order, level: dict[str, int]
    ) -> ChangeEvent:
        return ChangeEvent(
            **self._cause(decision),
            **self._names(order),
            **({"flags": 0, "level_lots": 0} | level),
            kind=kind,
            reason=RejectReason.NONE,
            price_ticks=order.price_ticks,
            qty_lots=order.total_lots,
            leaves_lots=order.open_lots,
            previous_price_ticks=0,
        )

    def _ended(
        self, decision: Any, order: Order, reason: RejectReason, level: dict[str, int]
    ) -> ChangeEvent:
        """CANCELED: the order ends with `open_lots` taken back."""
        return self._change(decision, EventKind.CANCELED, order, level)._replace(reason=reason)

    def _refusal(self, decision: Any, reason: RejectReason) -> Event:
        """The answer to a refused command: everything as in the command."""
        fields = self._cause(decision) | {
            "side": decision.side,
            "order_type": decision.order_type,
            "time_in_force": decision.time_in_force,
            "flags": 0,
            "reason": reason,
            "order_id": decision.order_id,
            "price_ticks": decision.price_ticks,
            "qty_lots": decision.qty_lots,
            "level_lots": 0,
        }
        changes = {
            CommandKind.CANCEL: EventKind.CANCEL_REJECTED,
            CommandKind.AMEND: EventKind.REPLACE_REJECTED,
        }
        if decision.kind in changes:
            kind = changes[decision.kind]
            return ChangeEvent(**fields, kind=kind, leaves_lots=0, previous_price_ticks=0)
        if decision.flags & CommandFlag.POST_ONLY:
            fields["flags"] = EventFlag.POST_ONLY
        return OrderEvent(
            **fields, kind=EventKind.REJECTED, client_order_id=decision.client_order_id
        )
