"""Events that are made again, against what a dead writer has left in its ring."""

import pytest

from engine.durability.republishing import count_same
from engine.messages import MESSAGE_BYTES, Event, EventKind
from ipc import memory
from ipc.ring import BY_INDEX, Ring, begin_at, claim, create_ring, publish, ring_bytes, slot

SLOTS = 64


def event(address: int, sequence: int, lots: int) -> None:
    """An event of which only this is told."""
    made = Event(address)
    made.sequence, made.kind, made.qty_lots = sequence, EventKind.RESTED, lots


@pytest.fixture
def ring() -> Ring:
    address = memory.allocate(ring_bytes(SLOTS, MESSAGE_BYTES), "ring").start
    return create_ring(address, SLOTS, MESSAGE_BYTES, BY_INDEX, 0)


def tell(ring: Ring, count: int) -> None:
    """Publish events, each with its sequence as lots."""
    for _ in range(count):
        assert claim(ring, 1) == 1
        position = ring.producer.position
        event(slot(ring, position), position + 1, position + 1)
        publish(ring, 1)


def made_again(first: int, count: int) -> int:
    """The same events from a sequence on, in memory; their address."""
    address = memory.allocate(count * MESSAGE_BYTES, "events").start
    for index in range(count):
        event(address + index * MESSAGE_BYTES, first + index, first + index)
    return address


def test_the_same_events_are_the_same(ring: Ring) -> None:
    tell(ring, 40)
    assert count_same(ring, made_again(1, 40), 40) == 40


def test_another_event_is_found(ring: Ring) -> None:
    tell(ring, 40)
    Event(slot(ring, 25)).qty_lots = 7
    assert count_same(ring, made_again(1, 40), 40) == 25


def test_what_the_ring_has_written_over_is_not_compared(ring: Ring) -> None:
    tell(ring, 100)
    assert count_same(ring, made_again(1, 100), 100) == 100


def test_what_the_dead_writer_had_begun_to_write_over_is_not_compared(ring: Ring) -> None:
    tell(ring, 100)
    assert claim(ring, 2) == 2
    Event(slot(ring, 101)).qty_lots = 7  # the payload first; it never came to publishing
    assert count_same(ring, made_again(1, 100), 100) == 100


def test_what_was_told_before_the_venue_was_started_is_not_compared(ring: Ring) -> None:
    begin_at(ring, 30)
    tell(ring, 5)
    assert count_same(ring, made_again(1, 35), 35) == 35
