"""A venue in this process whose events are followed twice: by a history, and by a gateway's view.

`documents` is all that a gateway tells of what it knows, so that two gateways can be compared.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from engine.config import Config
from engine.durability.history import (
    HistoryState,
    Recalled,
    create_history,
    note_events,
    read_past,
)
from engine.inprocess import InProcessVenue
from engine.messages import (
    COMMAND_CODEC,
    MESSAGE_BYTES,
    Command,
    CommandKind,
    EventFlag,
    EventKind,
    decode_events,
)
from engine.rules import RuleNumber
from gateway.accounts import STATES
from gateway.documents import instrument_document, order_document
from gateway.market_documents import (
    auction_document,
    book_document,
    book_orders_document,
    statistics_document,
    ticker_document,
    trade_document,
)
from gateway.marketdata import MarketData
from gateway.view import VenueView
from ipc import memory
from ipc.record import numpy_dtype
from ipc.ring import Ring
from tests.desk import as_array
from tests.durability.folders import SEGMENT_BYTES, Recorder
from tools.twin.market import Market

DEPTH = 10_000

SNAPSHOT = int(EventFlag.SNAPSHOT)


class Gateway:
    """What a gateway keeps from events, without the rest of it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.view = VenueView(config)
        self.data = MarketData(config)

    def take_over(self, recalled: Recalled) -> None:
        """Begin late."""
        self.view.take_over(recalled.pasts)
        self.data.take_over(recalled.pasts, recalled.books)

    def take(self, batches: list[list[Any]]) -> None:
        """Events of each shard, in order."""
        for shard, events in enumerate(batches):
            for event in events:
                self.view.apply(event, shard)
                self.data.take(event, shard)


class Followed:
    """A venue with a history of each of its shards."""

    def __init__(self, config: Config, recorder: Recorder | None = None, **limits: int) -> None:
        """`recorder`: it has the venue, and journals what it decides."""
        self.config = config
        self.engine = InProcessVenue(config) if recorder is None else recorder.venue
        self.recorder = recorder
        venue = self.engine.venue
        self.rings: list[Ring] = [venue.rings[name] for name in venue.topology.event_rings]
        self.taken = [0] * len(self.rings)
        self.histories: list[HistoryState] = []
        for _ in self.rings:
            self.histories.append(HistoryState.allocate())
            create_history(self.histories[-1], **limits)

    def run(self, commands: list[Any]) -> list[list[Any]]:
        """Execute commands; the new events of each shard, decoded, which are in its history now."""
        return self.run_array(as_array(commands))

    def run_array(self, commands: Any) -> list[list[Any]]:
        """The same for an array of commands."""
        if self.recorder is None:
            self.engine.run(commands, events_max=0)
        else:
            self.recorder.run(commands)
        found = []
        for shard, ring in enumerate(self.rings):
            raw = self._new_events(ring, shard)
            held = memory.allocate(max(len(raw), 1), "events")
            held.view[: len(raw)] = raw
            note_events(self.histories[shard], held.start, len(raw) // MESSAGE_BYTES)
            memory.forget(held)
            found.append(decode_events(memoryview(raw)))
        return found

    def _new_events(self, ring: Ring, shard: int) -> bytes:
        first, end = self.taken[shard], ring.producer.position
        assert end - first <= ring.slot_count, "events were overwritten before they were read"
        self.taken[shard] = end
        region = memory.find(ring.address, Ring.size)
        base = region.offset(ring.address, Ring.size) + Ring.size
        raw = bytearray()
        for position in range(first, end):
            start = base + position % ring.slot_count * MESSAGE_BYTES
            raw += region.view[start : start + MESSAGE_BYTES]
        return bytes(raw)

    def snapshots(self) -> tuple[dict[int, list[Any]], list[list[Any]]]:
        """Have the books of all listed instruments repeated; by number, and all events of it."""
        listed = [number for number in range(512) if self._is_listed(number)]
        raw = b"".join(
            COMMAND_CODEC.encode(kind=CommandKind.SNAPSHOT, instrument=number) for number in listed
        )
        batches = self.run_array(as_commands(raw))
        books: dict[int, list[Any]] = {}
        for events in batches:
            for event in events:
                if event.kind == EventKind.BOOKED and event.flags & SNAPSHOT:
                    books.setdefault(event.instrument, []).append(event)
        return books, batches

    def _is_listed(self, number: int) -> bool:
        return self.engine.venue.ingest.terms[number].listed != 0

    def late_gateway(self, books: dict[int, list[Any]]) -> Gateway:
        """A gateway that starts now."""
        made = Gateway(self.config)
        made.take_over(Recalled([read_past(history) for history in self.histories], books))
        return made

    def release(self) -> None:
        """Give all memory back."""
        parts = self.engine.venue
        states: list[Any] = [*self.histories]
        if self.recorder is None:
            states += [parts.ingest, parts.risk, *parts.matching]
            states += [parts.reference, parts.counters, *parts.rings.values()]
        for part in states:
            memory.forget(memory.find(part.address, 1))


def as_commands(raw: bytes) -> Any:
    """Encoded commands as the array that a driver takes."""
    return np.frombuffer(raw, dtype=numpy_dtype(Command))


def config_for(market: Market, shards: int) -> Config:
    """A venue for a market of the naive twin."""
    tables = market.tables()
    settings = tables.get("venue", {}) | {"shards": shards, "tick_ms": 0, "layout": "compact"}
    journal = {"segment_mb": SEGMENT_BYTES >> 20}
    return Config.build(**(tables | {"venue": settings, "durability": journal}))


@contextmanager
def followed(config: Config, recorder: Recorder | None = None, **limits: int) -> Iterator[Followed]:
    """A venue, whose memory is given back."""
    made = Followed(config, recorder, **limits)
    try:
        yield made
    finally:
        made.release()


def documents(gateway: Gateway, orders_max: int) -> dict[str, Any]:
    """All that a gateway tells, but for the sequence numbers of books and figures."""
    view, config = gateway.view, gateway.config
    orders = {}
    for order_id in range(1, orders_max + 1):
        order = view.order(order_id)
        if order is not None and order.instrument in view.instruments:
            document = order_document(order, view.instruments[order.instrument])
            # What an amendment begins with, which is not shown of every order.
            begun = order.display_lots, order.trigger_ticks, order.working_ticks, order.waits_for
            orders[order_id] = document | {"begun": begun}
    accounts = [each.number for each in view.accounts]
    # In which order events of several shards arrive is chance.
    ordered: Any = list if len(view.sequences) == 1 else sorted
    return {
        "orders": orders,
        "open": {account: ordered(view.open_orders(account)) for account in accounts},
        "open_count": view.open_count,
        "names": {
            key: order.order_id
            for key, order in sorted(view._by_client_id.items(), key=lambda item: item[0])
        },
        "ended": ordered(order.order_id for order in view._finished),
        "accounts": list(view.accounts),
        "states": {
            (rule, state): list(view.accounts.in_state(RuleNumber(rule), state))
            for rule, states in STATES.items()
            for state in states[1:]
        },
        "clock": view.listings.clock_ns,
        "sequences": view.sequences,
        "symbols": view.listings.symbols,
        "instruments": {
            number: instrument_document(instrument, view.listings.phases[number], config)
            for number, instrument in view.instruments.items()
        },
        "markets": {
            number: market_documents(gateway, number)
            for number in view.instruments
            if view.listings.is_listed(number)
        },
    }


def market_documents(gateway: Gateway, number: int) -> dict[str, Any]:
    """All that is public of an instrument."""
    market, instrument = gateway.data.market(number), gateway.view.instruments[number]
    shown = {
        "book": book_document(market.l2, instrument, DEPTH),
        "orders": book_orders_document(market.l3, instrument, DEPTH),
        "ticker": ticker_document(market, instrument),
        "statistics": statistics_document(market, instrument, gateway.config),
        "auction": auction_document(market, instrument),
    }
    for each in shown.values():
        del each["sequence"]
    last = shown["ticker"].pop("last")
    return shown | {
        "last": last,
        "trades": [trade_document(each, instrument) for each in gateway.data.trades(number)],
    }


def compare(first: Gateway, second: Gateway, orders_max: int) -> None:
    """Both tell the same."""
    differs = list(differences(documents(first, orders_max), documents(second, orders_max)))
    assert not differs, differs[:5]


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Where two documents differ."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from differences(one[key], other[key], f"{path}.{key}")
    elif one != other:
        yield f"{path}: {one} and {other}"
