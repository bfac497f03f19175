"""An exchange driven by hand-made decisions, for examples: every event it makes is audited."""

from typing import Any

from engine.messages import CommandKind, EventKind, OrderType, RejectReason, TimeInForce
from tools.twin.audit import Audit
from tools.twin.instrument import Instrument
from tools.twin.matching import Exchange
from tools.twin.messages import ChangeEvent, Decision, Event


class Bench:
    """An exchange of two instruments, driven by accepted decisions; its events are audited."""

    def __init__(self, *instruments: Instrument, **limits: int) -> None:
        self.exchange = Exchange(instruments or (Instrument(), Instrument()), **limits)
        self.audit = Audit()
        self.dseq = 0
        self.orders = 0

    def send(self, kind: int, **fields: Any) -> list[Event]:
        self.dseq += 1
        marks = {"sequence": self.dseq, "source_sequence": self.dseq + 100, "time_ns": self.dseq}
        decision = Decision(kind=kind, **({"source": 3} | marks | fields))
        events = self.exchange.decide(decision)
        self.audit.apply(events)
        self.audit.check_finished()
        return events

    def new(self, account: int, side: int, price: int, qty: int, **fields: Any) -> list[Event]:
        self.orders += 1
        kinds = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}
        sent = {"order_id": self.orders, "account": account, "side": side, "price_ticks": price}
        return self.send(CommandKind.NEW, **(kinds | sent | {"qty_lots": qty} | fields))

    def cancel(self, account: int, order_id: int, **fields: Any) -> list[Event]:
        return self.send(CommandKind.CANCEL, account=account, order_id=order_id, **fields)

    def amend(
        self, account: int, order_id: int, price: int, qty: int, flags: int = 0, **fields: Any
    ) -> list[Event]:
        sent = {"order_id": order_id, "price_ticks": price, "qty_lots": qty, "flags": flags}
        return self.send(CommandKind.AMEND, account=account, **(sent | fields))


def brief(event: Any) -> tuple[Any, ...]:
    """What an example is about: kind, reason, flags, level, and the quantities of the kind."""
    head = (EventKind(event.kind).name, event.order_id, event.price_ticks, event.qty_lots)
    tail = (event.flags, event.level_lots)
    if event.kind == EventKind.TRADE:
        return (*head, event.leaves_lots, event.maker_order_id, event.maker_leaves_lots, *tail)
    if isinstance(event, ChangeEvent):
        return (*head, event.leaves_lots, *tail)
    return (*head, *tail)


def reasons(events: list[Event]) -> list[str]:
    return [RejectReason(event.reason).name for event in events]
