"""How the twin's exchange writes events: each kind once, from the order that it is about.

The events of the command under way are collected in `_out`; `Exchange` numbers them.
"""

from collections.abc import Sequence
from typing import Any

from engine.limits import CHUNKS_MAX, ORDERS_MAX
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
from tools.twin.book import Book
from tools.twin.instrument import Instrument
from tools.twin.messages import (
    TERMS_FIELDS,
    ChangeEvent,
    Event,
    InstrumentEvent,
    OrderEvent,
    PhaseEvent,
    TermsEvent,
    TradeEvent,
)
from tools.twin.order import Order

LEVEL_FLAG = {Side.BUY: EventFlag.LEVEL_BID, Side.SELL: EventFlag.LEVEL_ASK}
PLAIN_ORDER = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}
NO_ORDER = {"account": 0, "side": 0, "order_id": 0, "qty_lots": 0, "price_ticks": 0}
ADMIN = (
    CommandKind.MASS_CANCEL,
    CommandKind.PHASE,
    CommandKind.TICK,
    CommandKind.INSTRUMENT,
    CommandKind.SNAPSHOT,
    CommandKind.FUNDS,
    CommandKind.RULE,
    CommandKind.MARK,
)
Fields = dict[str, Any]


class Journal:
    """The books, and the events of the command under way."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        orders_max: int = ORDERS_MAX - 1,
        chunks_max: int = CHUNKS_MAX - 1,
    ) -> None:
        """Empty books that together hold at most so many orders and price chunks."""
        self.books = [Book(number, each) for number, each in enumerate(instruments)]
        self.orders: dict[int, Order] = {}
        "All that have a place in the order pool, resting or waiting."
        self.clock_ns = 0
        self._orders_max = orders_max
        self._chunks_max = chunks_max
        self._trades = 0
        self._decision: Any = None
        self._out: list[Event] = []
        self._own: Order | None = None
        "The order of the NEW under way, until it rests."

    def _book(self, order: Order) -> Book:
        return self.books[order.instrument]

    def _cause(self, kind: EventKind, instrument: int) -> Fields:
        """What every event says about the command behind it; numbered later."""
        return {
            "sequence": 0,
            "kind": kind,
            "flags": 0,
            "source": self._decision.source,
            "reason": RejectReason.NONE,
            "instrument": instrument,
            "level_lots": 0,
            "dseq": self._decision.sequence,
            "source_sequence": self._decision.source_sequence,
            "time_ns": self._decision.time_ns,
        }

    def _names(self, order: Order) -> Fields:
        names = {"account": order.account, "order_id": order.order_id, "side": order.side}
        if order is not self._own:
            return names | PLAIN_ORDER
        kinds = {"order_type": order.order_type, "time_in_force": order.time_in_force}
        return names | kinds

    def _level(self, order: Order) -> Fields:
        """Flag and shown total of the level at which an order rests."""
        assert order.rest_ticks is not None
        return self._level_at(order, order.rest_ticks)

    def _level_at(self, order: Order, price_ticks: int) -> Fields:
        lots = self._book(order).lots(order.side, price_ticks)
        return {"flags": LEVEL_FLAG[order.side], "level_lots": lots}

    def _change(self, kind: EventKind, order: Order, **fields: Any) -> None:
        """An event about an order; its price is where it rests, else its worst one."""
        resting = order.rest_ticks
        made = self._cause(kind, order.instrument) | self._names(order)
        made |= {
            "price_ticks": order.price_ticks if resting is None else resting,
            "qty_lots": order.total_lots,
            "leaves_lots": order.open_lots,
            "previous_price_ticks": 0,
        }
        self._out.append(ChangeEvent(**(made | fields)))

    def _notice(self, kind: EventKind, instrument: int, **fields: Any) -> None:
        """A ChangeEvent about no order."""
        made = self._cause(kind, instrument) | NO_ORDER | PLAIN_ORDER
        made |= {"leaves_lots": 0, "previous_price_ticks": 0}
        self._out.append(ChangeEvent(**(made | fields)))

    def _phased(self, kind: EventKind, instrument: int, **fields: Any) -> None:
        """PHASED or CLOCK."""
        made = self._cause(kind, instrument) | NO_ORDER
        made |= {"order_type": 0, "time_in_force": 0, "phase": 0, "previous_phase": 0, "at_ns": 0}
        self._out.append(PhaseEvent(**(made | fields)))

    def _instrument_changed(self) -> None:
        decision = self._decision
        made = self._cause(EventKind.INSTRUMENT, decision.instrument) | NO_ORDER
        made |= {"order_type": 0, "time_in_force": 0, "symbol": decision.client_order_id}
        made |= {"order_id": decision.order_id, "qty_lots": decision.qty_lots}
        self._out.append(InstrumentEvent(**made))

    def _met(self, kind: EventKind, taker: Order, maker: Order, **fields: Any) -> None:
        """TRADE or PREVENTED."""
        made = self._cause(kind, taker.instrument) | self._names(taker)
        made |= {
            "price_ticks": maker.rest_ticks,
            "qty_lots": 0,
            "leaves_lots": taker.open_lots,
            "maker_order_id": maker.order_id,
            "maker_leaves_lots": maker.open_lots,
            "match_id": 0,
            "maker_account": maker.account,
            "fee_rate": 0,
            "maker_fee_rate": 0,
        }
        self._out.append(TradeEvent(**(made | fields)))

    def _accepted(self, level: Fields) -> None:
        """ACCEPTED: everything as it was sent."""
        self._answered(EventKind.ACCEPTED, RejectReason.NONE, level)

    def _answered(self, kind: EventKind, reason: int, level: Fields) -> None:
        """ACCEPTED, REJECTED or CHECKED, with terms if the command has them."""
        decision = self._decision
        made = self._as_sent(kind) | level | {"reason": reason}
        made["flags"] |= decision.flags & CommandFlag.TERMS
        if decision.flags & CommandFlag.REDUCE_ONLY:
            made["flags"] |= EventFlag.REDUCE_ONLY
        if decision.flags & CommandFlag.POST_ONLY:
            made["flags"] |= EventFlag.POST_ONLY
        made["client_order_id"] = decision.client_order_id
        if not decision.flags & CommandFlag.TERMS:
            self._out.append(OrderEvent(**made))
            return
        terms = {name: getattr(decision, name) for name in TERMS_FIELDS}
        self._out.append(TermsEvent(**made, **terms))

    def _refuse(self, reason: int) -> None:
        """The answer to a refused command: everything as in the command."""
        answers = {
            CommandKind.CANCEL: EventKind.CANCEL_REJECTED,
            CommandKind.AMEND: EventKind.REPLACE_REJECTED,
        } | dict.fromkeys(ADMIN, EventKind.ADMIN_REJECTED)
        unknown = EventKind.REJECTED
        if self._decision.kind >= CommandKind.BARRIER:
            unknown = EventKind.ADMIN_REJECTED
        kind = answers.get(self._decision.kind, unknown)
        if kind == EventKind.REJECTED:
            self._answered(kind, reason, {})
            return
        self._repeat(kind, reason)

    def _repeat(self, kind: EventKind, reason: int = RejectReason.NONE) -> None:
        """A ChangeEvent that says what the command said."""
        made = self._as_sent(kind) | {"reason": reason}
        self._out.append(ChangeEvent(**made, leaves_lots=0, previous_price_ticks=0))

    def _as_sent(self, kind: EventKind) -> Fields:
        decision = self._decision
        names = ("account", "side", "order_type", "time_in_force", "order_id")
        fields = {name: getattr(decision, name) for name in (*names, "price_ticks", "qty_lots")}
        return self._cause(kind, decision.instrument) | fields
