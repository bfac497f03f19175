"""Venues with several matching shards, and streams of commands over many instruments."""

from random import Random
from typing import Any

import numpy as np

from engine.config import Config
from engine.messages import (
    Command,
    CommandFlag,
    CommandKind,
    EventKind,
    OrderType,
    TimeInForce,
    decode_events,
)
from ipc.record import numpy_dtype

INSTRUMENTS = 6
ACCOUNTS = (1, 2, 3)

RICH = 10**15
"""What no stream uses up: risk, which hears of fills sooner or later, refuses nothing then."""

TIMING = ("sequence", "dseq", "stamp_ticks", "time_ns", "match_id")
"""Fields of an event that are numbers in its shard, or times."""


def sharded_config(shards: int, funds: int = RICH, **venue: Any) -> Config:
    """A venue of INSTRUMENTS books; the last one is put into the last shard by its own key."""
    assets = [{"name": name, "decimals": 0} for name in ("Q", "B")]
    books = [
        {
            "symbol": f"S{index}",
            "base": "B",
            "quote": "Q",
            "tick": "1",
            "lot": "1",
            "qty_max": "1000",
            "notional_max": "1000000000",
        }
        for index in range(INSTRUMENTS)
    ]
    books[-1]["shard"] = shards - 1  # type: ignore[assignment]
    owned = {"Q": str(funds), "B": str(funds)}
    accounts = [{"number": each, "name": f"a{each}", "balances": owned} for each in ACCOUNTS]
    settings = {"shards": shards, "layout": "compact", "tick_ms": 0} | venue
    return Config.build(assets=assets, instruments=books, accounts=accounts, venue=settings)


def shard_of(instrument: int, shards: int) -> int:
    """Where the books of `sharded_config` lie."""
    return shards - 1 if instrument == INSTRUMENTS - 1 else instrument % shards


def stream(seed: int, count: int) -> Any:
    """Random orders, amendments and cancels around one price in all books, some of them wrong."""
    random = Random(seed)
    commands = np.zeros(count, dtype=numpy_dtype(Command))
    orders: list[tuple[int, int, int]] = []
    for command in commands:
        command["account"] = random.choice(ACCOUNTS)
        command["instrument"] = random.randrange(INSTRUMENTS)
        command["price_ticks"] = random.randrange(90, 111)
        command["qty_lots"] = random.randrange(1, 30)
        chance = random.random()
        if chance < 0.65 or not orders:
            command["kind"] = CommandKind.NEW
            command["side"] = side = random.getrandbits(1)
            away = random.randrange(-2, 10)
            command["price_ticks"] = 100 + (away if side else -away)
            command["order_type"] = random.choice((*[OrderType.LIMIT] * 9, OrderType.MARKET))
            command["time_in_force"] = random.choice((*[TimeInForce.GTC] * 4, TimeInForce.IOC))
            where = int(command["account"]), int(command["instrument"])
            orders.append((len(orders) + 1, *where))
        elif chance < 0.97:
            command["kind"] = random.choice((CommandKind.CANCEL, CommandKind.AMEND))
            named = random.choice(orders[-60:])
            command["order_id"], command["account"], command["instrument"] = named
            if command["kind"] == CommandKind.AMEND and random.getrandbits(1):
                command["flags"] = CommandFlag.LEAVES
        elif chance < 0.99:
            command["kind"], command["instrument"] = CommandKind.NEW, random.choice((600, 40))
        else:
            command["kind"] = CommandKind.WATERMARK  # Not for clients.
    return commands


def by_instrument(events: list[Any]) -> dict[int, list[dict[str, Any]]]:
    """What events say of each instrument, without what depends on timing."""
    found: dict[int, list[dict[str, Any]]] = {}
    for event in events:
        fields = event._asdict()
        for name in TIMING:
            fields.pop(name, None)
        found.setdefault(event.instrument, []).append(fields)
    return found


def by_shard(events: list[Any], shards: int) -> list[list[Any]]:
    """The events of each ring, of streams in which no event is of all shards."""
    found: list[list[Any]] = [[] for _ in range(shards)]
    for event in events:
        assert event.kind != EventKind.CLOCK
        known = event.instrument < INSTRUMENTS
        number = event.instrument % shards if event.instrument < 512 else 0
        found[shard_of(event.instrument, shards) if known else number].append(event)
    return found


def decoded(outcome: Any) -> list[Any]:
    """The events of a driver's run."""
    assert len(outcome.events) == outcome.event_count
    return decode_events(memoryview(outcome.events.tobytes()))
