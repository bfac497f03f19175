"""A test stand for matching: its state, a ring in, a ring out, and nothing else.

`pump` feeds decisions from an array and reads every event, in one process; `capture` keeps them;
`feed_and_read` does the same from another process than the one that matches.
"""

from typing import Any, Final

from engine.matching import MatchingPorts, MatchingState, create_matching, step_matching
from engine.messages import MESSAGE_BYTES, Event
from engine.stage import copy_message, copy_words
from ipc import memory
from ipc.clock import Clock, calibrate
from ipc.counters import StageStatistics
from ipc.intrinsics import pause, read_monotonic
from ipc.jit import inlined, kernel
from ipc.record import Record, Ref, i64
from ipc.ring import BY_INDEX, Ring, claim, consume, create_ring, publish, ready, ring_bytes, slot
from ipc.segment import populate
from ipc.wait import Word

DECISION_SLOTS: Final = 4096
EVENT_SLOTS: Final = 8192
BATCH: Final = 256


class Stand(Record):
    """References to the parts."""

    state: Ref[MatchingState]
    decisions: Ref[Ring]
    events: Ref[Ring]
    ports: MatchingPorts
    checksum: i64
    "Over the events that were read: proof that they were, and that two runs agree."

    @classmethod
    def make(cls) -> Any:
        """A stand with an empty book; memory that forked processes share, in place already."""
        stand = cls.allocate()
        stand.state = MatchingState(_shared(MatchingState.size))
        create_matching(stand.state)
        for name, slots in (("decisions", DECISION_SLOTS), ("events", EVENT_SLOTS)):
            address = _shared(ring_bytes(slots, MESSAGE_BYTES))
            setattr(stand, name, create_ring(address, slots, MESSAGE_BYTES, BY_INDEX, 1))
        stand.ports.decisions.ring = stand.decisions
        stand.ports.decisions.cursor = stand.decisions.readers[0]
        stand.ports.events.ring = stand.events
        clock: Clock = Clock.allocate()
        calibrate(clock, base_ns=2_000_000)
        stand.ports.telemetry.clock = clock
        stand.ports.telemetry.statistics = StageStatistics(_shared(StageStatistics.size))
        return stand

    def release(self) -> None:
        """Give the memory of the parts back."""
        for part in (self.state, self.decisions, self.events, self.ports.telemetry.statistics):
            memory.forget(memory.find(part.address, 1))


def _shared(size: int) -> int:
    region = memory.allocate_shared(size, "bench")
    populate(region)
    return region.start


@inlined
def read_events(stand: Stand) -> int:
    """Take all events, folding two words of each into the checksum; returns how many."""
    cursor = stand.events.readers[0]
    count = ready(stand.events, cursor, EVENT_SLOTS)
    first = cursor.position
    total = stand.checksum
    for index in range(count):
        event = Event(slot(stand.events, first + index))
        total = total * 31 + event.order_id + event.level_lots
    stand.checksum = total
    consume(cursor, count)
    return count


@inlined
def feed(stand: Stand, address: int, left: int) -> int:
    """Publish the next decisions as far as there is room; returns how many."""
    granted = claim(stand.decisions, min(left, BATCH))
    first = stand.decisions.producer.position
    for index in range(granted):
        copy_message(slot(stand.decisions, first + index), address + index * MESSAGE_BYTES)
    publish(stand.decisions, granted)
    return granted


@inlined
def settle(stand: Stand) -> None:
    """Match until nothing moves, without reading the events' contents."""
    while step_matching(stand.state, stand.ports, BATCH) > 0:
        cursor = stand.events.readers[0]
        consume(cursor, ready(stand.events, cursor, EVENT_SLOTS))


@kernel
def pump(stand: Stand, address: int, count: int) -> int:
    """All decisions through ring, matching and ring in this process; returns events."""
    fed = events = 0
    moved = 1
    while moved > 0 or fed < count:
        fed += feed(stand, address + fed * MESSAGE_BYTES, count - fed)
        moved = step_matching(stand.state, stand.ports, BATCH)
        events += read_events(stand)
    return events


@kernel
def capture(stand: Stand, address: int, count: int, target: int, room: int) -> int:
    """Like `pump`, but every event is copied to `target`, at most `room`; returns how many."""
    fed = events = 0
    cursor = stand.events.readers[0]
    moved = 1
    while moved > 0 or fed < count:
        fed += feed(stand, address + fed * MESSAGE_BYTES, count - fed)
        moved = step_matching(stand.state, stand.ports, BATCH)
        found = ready(stand.events, cursor, EVENT_SLOTS)
        assert events + found <= room, "capture: more events than expected"
        for index in range(found):
            source = slot(stand.events, cursor.position + index)
            copy_words(target + (events + index) * MESSAGE_BYTES, source, MESSAGE_BYTES >> 3)
        consume(cursor, found)
        events += found
    return events


@kernel
def feed_and_read(stand: Stand, address: int, count: int, expected: int, limit_ns: int) -> int:
    """Feed and read while another process matches; returns events, fewer after `limit_ns`."""
    fed = events = 0
    began = read_monotonic()
    while events < expected:
        moved = 0
        if fed < count:
            moved = feed(stand, address + fed * MESSAGE_BYTES, count - fed)
            fed += moved
        got = read_events(stand)
        events += got
        if moved + got == 0:
            pause()
            if read_monotonic() - began > limit_ns:
                break
    return events


@kernel
def match_until(stand: Stand, stop: Word, limit_ns: int) -> None:
    """The matching process: steps until told to stop, at most `limit_ns`."""
    began = read_monotonic()
    while stop.value == 0:
        if step_matching(stand.state, stand.ports, BATCH) == 0:
            pause()
            if read_monotonic() - began > limit_ns:
                break
