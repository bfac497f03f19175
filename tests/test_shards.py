"""Several matching shards: for each instrument the same events as from one.

An instrument's events come in one ring, in order. Decisions are numbered differently, because
risk writes between them how much of each ring it had seen; numbers aside, all is the same.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from engine.config import Config
from engine.inprocess import InProcessVenue
from engine.limits import ASSETS_MAX, ORDERS_MAX, SHARDS_MAX
from engine.messages import MESSAGE_BYTES, CommandKind, EventFlag, EventKind, RejectReason
from engine.messages import Decision as EngineDecision
from ipc import memory
from ipc.record import Codec
from ipc.ring import Ring
from tests.bulk_streams import EVERYTHING, TOPS, Habits, bulk
from tests.desk import as_array
from tests.sharded import (
    ACCOUNTS,
    INSTRUMENTS,
    RICH,
    by_instrument,
    by_shard,
    decoded,
    sharded_config,
    stream,
)
from tools.twin import Instrument, Risk, Sequenced

pytestmark = pytest.mark.timeout(600)
"""The first one may have to compile the engine."""

DECISION_CODEC = Codec(EngineDecision)
COUNT = 1_500
ASKING = replace(TOPS, acts={**TOPS.acts, "funds": 2.0, "rule": 2.0, "mark": 2.0, "check": 2.0})
"""What concerns risk, and best prices, but nothing that would decide what risk lets pass later."""

FUNDS = 3_000


@pytest.fixture
def venues() -> Iterator[Any]:
    """Makes venues in this process, and gives their memory back."""
    made: list[InProcessVenue] = []

    def make(shards: int, funds: int = RICH, config: Config | None = None) -> InProcessVenue:
        made.append(InProcessVenue(config or sharded_config(shards, funds)))
        return made[-1]

    yield make
    for venue in made:
        parts = venue.venue
        states = (parts.ingest, parts.risk, *parts.matching)
        for part in (*states, parts.reference, parts.counters, *parts.rings.values()):
            memory.forget(memory.find(part.address, 1))


def decisions_of(venue: InProcessVenue) -> list[Any]:
    """All decisions so far, from the slots of their ring."""
    ring: Ring = venue.venue.rings["decisions"]
    count = ring.producer.position
    assert count <= ring.slot_count, "the first decisions are overwritten"
    region = memory.find(ring.address, Ring.size)
    start = region.offset(ring.address, Ring.size) + Ring.size
    return DECISION_CODEC.decode_many(bytes(region.view[start : start + count * MESSAGE_BYTES]))


@pytest.mark.parametrize("shards", [2, 4])
def test_each_instrument_has_the_events_that_one_shard_makes(venues: Any, shards: int) -> None:
    commands = stream(shards, COUNT)
    alone = decoded(venues(1).run(commands))
    spread = decoded(venues(shards).run(commands))
    assert by_instrument(spread) == by_instrument(alone)
    kinds = {event.kind for event in alone}
    assert {EventKind.TRADE, EventKind.REPLACED, EventKind.CANCELED} <= kinds
    reasons = {event.reason for event in alone}
    assert {RejectReason.UNKNOWN_INSTRUMENT, RejectReason.UNKNOWN_COMMAND} <= reasons
    for ring in by_shard(spread, shards):
        assert [event.sequence for event in ring] == list(range(1, len(ring) + 1))
        assert [e.match_id for e in ring if e.kind == EventKind.TRADE] == [
            *range(1, sum(e.kind == EventKind.TRADE for e in ring) + 1)
        ]


@pytest.mark.parametrize(("shards", "habits"), [(2, EVERYTHING), (4, EVERYTHING), (3, ASKING)])
def test_so_it_is_with_all_that_can_be_sent(venues: Any, shards: int, habits: Habits) -> None:
    """LAST aside: where a command breaks a list of another shard off, both say their last word."""
    written = bulk(shards, COUNT, habits, instruments=5)
    tables = written.market.tables()
    found = []
    for number in (1, shards):
        settings = tables.get("venue", {}) | {"shards": number, "tick_ms": 0, "layout": "compact"}
        venue = venues(number, config=Config.build(**(tables | {"venue": settings})))
        events = decoded(venue.run(as_array(written.commands)))
        clocks = [event for event in events if event.kind == EventKind.CLOCK]
        assert len(clocks) % number == 0 < len(clocks)
        events = [event._replace(flags=event.flags & ~EventFlag.LAST) for event in events]
        found.append(by_instrument([each for each in events if each.kind != EventKind.CLOCK]))
    assert found[1] == found[0]
    assert sum(map(len, found[0].values())) > COUNT
    if habits is ASKING:
        kinds = Counter(each["kind"] for events in found[0].values() for each in events)
        asked = (EventKind.TOP, EventKind.FUNDED, EventKind.RULED, EventKind.MARKED)
        assert all(kinds[kind] > 3 for kind in (*asked, EventKind.CHECKED))


def test_the_last_shard_has_books_of_its_own(venues: Any) -> None:
    venue = venues(4)
    venue.run(stream(1, COUNT))
    live = [state.books.pool.live for state in venue.venue.matching]
    assert all(live)
    assert sum(live) == venue.venue.risk.reservations.live


def test_money_is_the_same_with_any_number_of_shards(venues: Any) -> None:
    commands, found = stream(5, COUNT), []
    for shards in (1, 3):
        venue = venues(shards)
        venue.run(commands)
        table = venue.venue.risk.purses
        entries = [table[account * ASSETS_MAX + asset] for account in ACCOUNTS for asset in (0, 1)]
        found.append([(entry.total, entry.reserved) for entry in entries])
    assert found[0] == found[1]


def test_one_shard_needs_no_watermarks(venues: Any) -> None:
    venue = venues(1)
    venue.run(stream(6, COUNT))
    assert len(decisions_of(venue)) == COUNT


@pytest.mark.parametrize("shards", [2, SHARDS_MAX])
def test_decisions_follow_from_the_watermarks(venues: Any, shards: int) -> None:
    """The naive risk stage makes each decision again from what the ring says risk had seen.

    With so little money what it had seen decides.
    """
    venue = venues(shards, FUNDS)
    commands = stream(7, COUNT)
    rings = by_shard(decoded(venue.run(commands)), shards)
    decisions = decisions_of(venue)
    assert [each.sequence for each in decisions] == list(range(1, len(decisions) + 1))
    markets = [Instrument(1, 1 << 40, 1000, 10**9, base_asset_index=1)] * INSTRUMENTS
    funds = {account: {0: FUNDS, 1: FUNDS} for account in ACCOUNTS}
    risk = Risk(markets, funds, ORDERS_MAX - 1)
    applied = [0] * SHARDS_MAX
    told = 0

    def advance(shard: int, mark: int) -> None:
        for event in rings[shard][applied[shard] : mark]:
            risk.apply(event, shard)
        assert mark >= applied[shard]
        applied[shard] = mark

    for made in decisions:
        if made.kind == CommandKind.WATERMARK and made.reason == RejectReason.NONE:
            words = made.client_order_id.ljust(40, b"\0")
            for shard in range(shards):
                word = words[shard * 8 : shard * 8 + 8]
                advance(shard, int.from_bytes(word, "little"))
            assert words[shards * 8 :] == bytes(40 - shards * 8)
            told += 1
            continue
        advance(0, made.ev_wm)
        values = made._asdict() | {"client_order_id": b""}
        if values["reason"] >= RejectReason.UNKNOWN_ACCOUNT:
            values["reason"] = RejectReason.NONE
        if values["order_type"] == 2:
            values["price_ticks"] = int(commands[made.source_sequence - 1]["price_ticks"])
        again = risk.decide(Sequenced(**{name: values[name] for name in Sequenced._fields}))
        named = {name: getattr(made, name) for name in ("reason", "price_ticks", "group")}
        assert {name: getattr(again, name) for name in named} == named
    assert told > 3, "other shards were heard of between decisions"
    scarce = sum(each.reason == RejectReason.INSUFFICIENT_BALANCE for each in decisions)
    assert COUNT // 20 < scarce < COUNT // 2
