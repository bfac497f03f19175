"""How a successor goes through what waits for it: with care, and without what is refused."""

from typing import Any

import pytest

from engine.inprocess import InProcessVenue
from engine.messages import MESSAGE_BYTES, EventKind, RejectReason, decode_events
from engine.process import ASKED_TO_STOP, FENCED, GO_ON, run_loop
from engine.successor import Successor
from engine.topology import DRIVER, order_ring
from ipc import memory
from ipc.counters import AT_INGEST, AT_RISK, AT_SOURCE_SHIFT, begin_life
from ipc.ring import claim, publish, slot
from tests.sharded import by_instrument, decoded, sharded_config, stream

COUNT = 200


@pytest.fixture
def venue() -> InProcessVenue:
    return InProcessVenue(sharded_config(1))


def nothing() -> None:
    """There is no state to rebuild."""


def wait(venue: InProcessVenue, commands: Any) -> None:
    """Let commands wait in the order ring for stages that do not run."""
    ring = venue.venue.rings[order_ring(DRIVER)]
    assert claim(ring, len(commands)) == len(commands)
    raw = commands.tobytes()
    for index in range(len(commands)):
        address = slot(ring, ring.producer.position + index)
        region = memory.find(address, MESSAGE_BYTES)
        start = region.offset(address, MESSAGE_BYTES)
        message = raw[index * MESSAGE_BYTES : (index + 1) * MESSAGE_BYTES]
        region.view[start + 8 : start + MESSAGE_BYTES] = message[8:]
    publish(ring, len(commands))


def events(venue: InProcessVenue) -> list[Any]:
    """All events so far."""
    ring = venue.venue.rings["events"]
    raw = b""
    for position in range(ring.producer.position):
        region = memory.find(slot(ring, position), MESSAGE_BYTES)
        start = region.offset(slot(ring, position), MESSAGE_BYTES)
        raw += bytes(region.view[start : start + MESSAGE_BYTES])
    return list(decode_events(memoryview(raw)))


def finish(venue: InProcessVenue) -> None:
    """Work at full speed until nothing moves."""
    for _ in range(20):
        assert run_loop(venue.loop, 1_000_000) == GO_ON


def test_with_care_the_same_comes_out() -> None:
    commands = stream(3, COUNT)
    plain = decoded(InProcessVenue(sharded_config(1)).run(commands))
    careful = InProcessVenue(sharded_config(1))
    wait(careful, commands)
    assert Successor(nothing, careful=True).catch_up(careful.loop) == GO_ON
    assert careful.venue.matching[0].decided == COUNT
    assert by_instrument(events(careful)) == by_instrument(plain)
    assert careful.loop.entry.at == 0


def test_nothing_waits_and_care_is_over_at_once(venue: InProcessVenue) -> None:
    assert Successor(nothing, careful=True).catch_up(venue.loop) == GO_ON
    assert venue.venue.ingest.sequence == 0


@pytest.mark.parametrize(
    ("stage", "number", "reason"),
    [
        (AT_INGEST, 0 << AT_SOURCE_SHIFT | 2, RejectReason.SKIPPED_BY_INGEST),
        (AT_RISK, 2, RejectReason.SKIPPED_BY_RISK),
    ],
)
def test_a_record_that_kills_is_refused_by_the_stage_that_it_kills(
    venue: InProcessVenue, stage: int, number: int, reason: RejectReason
) -> None:
    commands = stream(3, 40)
    commands[:5] = commands[0]  # orders that rest
    commands["sequence"] = range(1, 41)
    wait(venue, commands)
    successor = Successor(nothing, careful=True, refused=((stage, number),))
    assert successor.catch_up(venue.loop) == GO_ON
    assert venue.venue.matching[0].decided == 40
    found = events(venue)
    refused = [event for event in found if event.reason == reason]
    assert [event.source_sequence for event in refused] == [2]
    assert refused[0].kind == EventKind.REJECTED
    accepted = [event.source_sequence for event in found if event.kind == EventKind.ACCEPTED]
    assert accepted[:4] == [1, 3, 4, 5]


def test_who_has_a_successor_writes_nothing(venue: InProcessVenue) -> None:
    wait(venue, stream(3, 40))
    begin_life(venue.loop.entry)
    assert run_loop(venue.loop, 0) == FENCED
    assert Successor(nothing, careful=True).catch_up(venue.loop) == FENCED
    assert venue.venue.ingest.sequence == 0
    assert venue.loop.entry.heartbeat.word.value == 0


def test_care_ends_when_the_venue_stops(venue: InProcessVenue) -> None:
    wait(venue, stream(3, 40))
    venue.venue.counters.stop.value = 1
    assert Successor(nothing, careful=True).catch_up(venue.loop) == ASKED_TO_STOP


def test_after_care_it_goes_on_at_full_speed(venue: InProcessVenue) -> None:
    commands = stream(3, COUNT)
    wait(venue, commands[:100])
    assert Successor(nothing, careful=True).catch_up(venue.loop) == GO_ON
    wait(venue, commands[100:])
    finish(venue)
    assert venue.venue.matching[0].decided == COUNT
