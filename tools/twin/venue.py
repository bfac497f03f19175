"""The whole naive venue: ingest, risk and matching in turn, one command at a time."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.limits import CLIENT_ORDER_IDS_MAX, ORDERS_MAX
from tools.twin.ingest import Ingest
from tools.twin.instrument import Instrument
from tools.twin.matching import Exchange
from tools.twin.messages import Command, Event
from tools.twin.risk import Risk, Settings


class Venue:
    """Risk sees all events of a command before it decides the next: the tightest coupling."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        balances: Mapping[int, Mapping[int, int]],
        orders_max: int = ORDERS_MAX - 1,
        client_order_ids_max: int = CLIENT_ORDER_IDS_MAX - 1,
        **accounts: Any,
    ) -> None:
        """An empty venue; see the stages for the meaning of the arguments."""
        self.ingest = Ingest(instruments, client_order_ids_max)
        self.risk = Risk(instruments, balances, orders_max, Settings(**accounts))
        self.exchange = Exchange(instruments, orders_max)

    def submit(self, command: Command, time_ns: int = 0) -> list[Event]:
        """The events of one command."""
        decision = self.risk.decide(self.ingest.sequence(command, time_ns))
        events = self.exchange.decide(decision)
        for event in events:
            self.risk.apply(event)
        return events

    def run(self, commands: Iterable[Command]) -> list[Event]:
        """The events of all commands, all sequenced at time 0."""
        return [event for command in commands for event in self.submit(command)]
