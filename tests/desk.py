"""The desk where streams of commands are written: a naive venue that is fed on the way.

Whoever writes the next command can see what lives now, what was ever sent, in which phase each
instrument is and what time it is, all of it learned from the venue's events. `acts` says what
traders do at a desk, `streams` and `bulk_streams` how the next act is chosen.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.messages import Command as EngineCommand
from engine.messages import (
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    Listing,
    OrderType,
    Phase,
    TimeInForce,
)
from ipc.record import numpy_dtype
from tools.twin import Command, Event
from tools.twin.market import Market

PLAIN_TIMES = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)
PLAIN_TYPES = (OrderType.LIMIT, OrderType.MARKET)

TERM_BYTES = (
    "trigger",
    "peg",
    "self_trade",
    "instructions",
    "list_kind",
    "list_index",
    "phase",
    "trail_limit",
)
TERM_FIELDS = (
    "trigger_ticks",
    "offset_ticks",
    "display_lots",
    "minimum_lots",
    "at_ns",
    *TERM_BYTES,
)
"""Fields of a command that count only with the flag TERMS; those of TERM_BYTES are bytes."""


class Stream:
    """Commands for one market, and what the naive venue made of them."""

    def __init__(self, market: Market, commands: list[Command], events: list[Event]) -> None:
        self.market = market
        self.commands = commands
        self.events = events

    def __repr__(self) -> str:
        """Short: Hypothesis prints the steps that wrote the stream."""
        return f"<{len(self.commands)} commands, {len(self.events)} events>"


def as_array(commands: list[Command]) -> Any:
    """The commands as a structured array of the engine's layout."""
    columns = np.zeros(len(commands), dtype=numpy_dtype(EngineCommand))
    for name in Command._fields:
        columns[name] = [getattr(command, name) for command in commands]
    return columns


@dataclass(slots=True)
class Live:
    """An order that was accepted and has not ended, wherever it is."""

    order_id: int
    account: int
    instrument: int
    side: int
    price_ticks: int
    "The worst that it may have."
    total_lots: int
    open_lots: int
    trigger_ticks: int = 0
    display_lots: int = 0


class Desk:
    """A market, the naive venue for it, and what was sent so far."""

    def __init__(self, market: Market) -> None:
        """An empty market."""
        self.market = market
        self.venue = market.venue()
        self.commands: list[Command] = []
        self.events: list[Event] = []
        self.resting: dict[int, Live] = {}
        "Live orders by id: those in books, and those that wait elsewhere."
        self.ids: list[int] = []
        "Ids of all live orders, and of some that have ended."
        self.names: list[tuple[int, int, bytes]] = []
        "Account, instrument and client order id of orders that had one."
        self.phases: dict[int, int] = {}
        "Of instruments that have changed theirs."
        self.delisted: set[int] = set()
        self.halted: list[int] = []
        "Listed instruments that are not in CONTINUOUS."
        self.interrupted: dict[int, int] = {}
        "When the volatility interruption of an instrument ends, ns; 0 for none."
        self.clock_ns = 0
        self.last_ticks: dict[int, int] = {}
        "Price of the last trade of an instrument."
        self._sent: Counter[int] = Counter()
        self._look_around()

    def send(self, kind: int, **fields: Any) -> list[Event]:
        """Write the next command of its source; the naive venue's answer."""
        source = fields.get("source", 0)
        self._sent[source] += 1
        command = Command(self._sent[source], kind, **fields)
        self.commands.append(command)
        answer = self.venue.submit(command)
        self.events += answer
        for event in answer:
            self._learn(event)
        return answer

    def new(self, account: int, instrument: int, **fields: Any) -> None:
        """Send a limit order, good till cancelled unless `fields` say otherwise.

        It carries TERMS when it is more than a plain order.
        """
        if fields.get("client_order_id"):
            self.names.append((account, instrument, fields["client_order_id"]))
        order = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC} | fields
        plain = order["order_type"] in PLAIN_TYPES and order["time_in_force"] in PLAIN_TIMES
        if not plain or any(name in fields for name in TERM_FIELDS):
            order["flags"] = order.get("flags", 0) | CommandFlag.TERMS
        self.send(CommandKind.NEW, account=account, instrument=instrument, **order)

    def cancel(self, order: Any) -> None:
        """Cancel as the owner."""
        self._change(CommandKind.CANCEL, order)

    def amend(self, order: Any, price_ticks: int, qty_lots: int, flags: int, **terms: Any) -> None:
        """Amend as the owner."""
        fields = {"price_ticks": price_ticks, "qty_lots": qty_lots, "flags": flags}
        self._change(CommandKind.AMEND, order, **fields, **terms)

    def phase(self, instrument: int, phase: int) -> None:
        """Bring an instrument into a phase."""
        self.send(
            CommandKind.PHASE, instrument=instrument, phase=phase, flags=int(CommandFlag.TERMS)
        )

    def tick(self, at_ns: int) -> None:
        """Move the venue's clock."""
        self.send(CommandKind.TICK, at_ns=at_ns, flags=int(CommandFlag.TERMS))

    def _change(self, kind: int, order: Any, **fields: Any) -> None:
        names = {"account": order.account, "instrument": order.instrument}
        self.send(kind, order_id=order.order_id, **names, **fields)

    def phase_of(self, instrument: int) -> int:
        """The phase of an instrument."""
        return self.phases.get(instrument, self.market.instruments[instrument].phase)

    def _trades(self, instrument: int) -> bool:
        return self.phase_of(instrument) == Phase.CONTINUOUS or instrument in self.delisted

    def stream(self) -> Stream:
        """What was written."""
        return Stream(self.market, self.commands, self.events)

    # --- what the events tell ------------------------------------------------------------------

    def _learn(self, event: Any) -> None:
        kind = event.kind
        if kind == EventKind.TRADE or kind == EventKind.PREVENTED:
            self._traded(event)
        elif kind == EventKind.ACCEPTED:
            self._accepted(event)
        elif kind == EventKind.CANCELED:
            self.resting.pop(event.order_id, None)
        elif kind == EventKind.REPLACED:
            order = self.resting[event.order_id]
            order.price_ticks = event.price_ticks
            order.total_lots, order.open_lots = event.qty_lots, event.leaves_lots
        elif kind == EventKind.PHASED:
            self.phases[event.instrument] = event.phase
            self.interrupted[event.instrument] = event.at_ns
            self._look_around()
        elif kind == EventKind.CLOCK:
            self.clock_ns = event.at_ns
        elif kind == EventKind.INSTRUMENT:
            self._listed(event)

    def _listed(self, event: Any) -> None:
        if event.order_id == Listing.LIST:
            self.delisted.discard(event.instrument)
            self.phases[event.instrument] = event.qty_lots
        elif event.order_id == Listing.DELIST:
            self.delisted.add(event.instrument)
        self._look_around()

    def _look_around(self) -> None:
        instruments = range(len(self.market.instruments))
        self.halted = [index for index in instruments if not self._trades(index)]

    def _accepted(self, event: Any) -> None:
        order = Live(
            event.order_id,
            event.account,
            event.instrument,
            event.side,
            event.price_ticks,
            event.qty_lots,
            event.qty_lots,
        )
        if event.flags & EventFlag.TERMS:
            order.trigger_ticks, order.display_lots = event.trigger_ticks, event.display_lots
        self.resting[event.order_id] = order
        self.ids.append(event.order_id)

    def _traded(self, event: Any) -> None:
        """Two orders have traded, or have lost lots instead of trading."""
        traded = event.kind == EventKind.TRADE
        if traded:
            self.last_ticks[event.instrument] = event.price_ticks
        leaves = (
            (event.order_id, event.leaves_lots),
            (event.maker_order_id, event.maker_leaves_lots),
        )
        for order_id, lots in leaves:
            order = self.resting[order_id]
            order.open_lots = lots
            if not traded:
                order.total_lots -= event.qty_lots
            elif lots == 0:
                del self.resting[order_id]
