"""One hash stands for all that matching did: the same commands give it again, however they run.

The constant below must come out compiled and interpreted. When the rules or the hash change on
purpose it changes too: a failing test shows the new one.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from engine.inprocess import InProcessVenue
from engine.limits import CHECKPOINT_INTERVAL
from engine.messages import MESSAGE_BYTES, CommandKind, OrderEvent, TermsEvent
from engine.sections import Rings
from engine.statehash import fold
from ipc import memory
from ipc.jit import INTERPRETED
from tests.bulk_streams import EVERYTHING, bulk
from tests.desk import as_array
from tests.engines import engine_for
from tests.lone_stage import Stage, decisions_of, run
from tests.sharded import decoded, sharded_config, stream

pytestmark = pytest.mark.timeout(600)

SEED, COUNT, INSTRUMENTS = 70, 600, 3
HASH = -1_830_856_952_186_251_371
"""Of the events of bulk(SEED, COUNT, EVERYTHING, INSTRUMENTS)."""


@pytest.fixture(scope="module")
def written() -> Any:
    return bulk(SEED, COUNT, EVERYTHING, INSTRUMENTS)


@pytest.mark.parametrize(("seed", "slots"), [(1, 512), (2, 512), (3, 1 << 12)])
def test_it_is_the_same_in_every_mode_and_in_pieces_of_any_size(
    written: Any, seed: int, slots: int
) -> None:
    stage = Stage(1 << 10, instruments=written.market.instruments, event_slots=slots)
    try:
        run(stage, decisions_of(written.market, written.commands), Random(seed))
        found = stage.state.state_hash
    finally:
        stage.release()
    assert found == HASH


@pytest.mark.parametrize("rings", [{}, {"order_slots": 1 << 11, "event_slots": 1 << 11}], ids=str)
@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_whole_venue_has_it_too(written: Any, rings: dict[str, int], one_by_one: bool) -> None:
    with engine_for(written.market, **rings) as engine:
        if one_by_one:
            engine.run_one_by_one(written.commands)
        else:
            engine.venue.execute(as_array(written.commands))
        assert engine.venue.venue.matching[0].state_hash == HASH


def test_one_lot_more_is_another_hash(written: Any) -> None:
    decisions = decisions_of(written.market, written.commands)
    place = next(at for at, each in enumerate(decisions) if each.reason == 0 and each.qty_lots > 1)
    decisions[place] = decisions[place]._replace(qty_lots=decisions[place].qty_lots + 1)
    stage = Stage(1 << 10, instruments=written.market.instruments)
    try:
        run(stage, decisions, Random(1))
        assert stage.state.state_hash not in (0, HASH)
    finally:
        stage.release()


@pytest.fixture
def event() -> Iterator[TermsEvent]:
    region = memory.allocate(MESSAGE_BYTES, "test.event")
    made = TermsEvent(region.start)
    made.flags = 16
    yield made
    memory.forget(region)


COUNTS = (
    *("kind", "side", "order_type", "time_in_force", "flags", "source", "reason", "account"),
    *("instrument", "order_id", "price_ticks", "qty_lots", "level_lots"),
)
DOES_NOT_COUNT = ("stamp_ticks", "time_ns", "source_sequence")


def test_what_of_an_event_counts(event: TermsEvent) -> None:
    before = fold(7, event.address)
    for name in (*COUNTS, *DOES_NOT_COUNT):
        value = getattr(event, name)
        setattr(event, name, value + 1)
        same = fold(7, event.address) == before
        assert same == (name in DOES_NOT_COUNT), name
        setattr(event, name, value)
    for name in ("trigger_ticks", "display_lots", "phase"):
        setattr(event.terms, name, 1)
        assert fold(7, event.address) != before, name
        setattr(event.terms, name, 0)
    assert fold(8, event.address) != before, "what came before counts"
    assert set(COUNTS + DOES_NOT_COUNT) <= OrderEvent.fields.keys()


@pytest.mark.skipif(INTERPRETED, reason="a checkpoint needs 65,536 commands")
def test_checkpoints_come_at_the_same_place_in_every_run() -> None:
    commands = stream(71, 2 * CHECKPOINT_INTERVAL + 4_000)
    commands = commands[commands["kind"] != CommandKind.WATERMARK]  # Refused, and not counted.
    found = []
    for rings in (Rings(), Rings(order_slots=1 << 11, event_slots=1 << 12)):
        venue = InProcessVenue(replace(sharded_config(1), rings=rings))
        events = decoded(venue.run(commands))
        missing = [
            before.dseq
            for before, after in pairwise(events)
            if after.sequence == before.sequence + 2
        ]
        assert missing == [CHECKPOINT_INTERVAL, 2 * CHECKPOINT_INTERVAL], "a driver skips them"
        found.append(venue.venue.matching[0].state_hash)
        parts = venue.venue
        states = (parts.ingest, parts.risk, *parts.matching)
        for part in (*states, parts.reference, parts.counters, *parts.rings.values()):
            memory.forget(memory.find(part.address, 1))
    assert found[0] == found[1]
