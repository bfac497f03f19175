"""Events that are made again for a live ring whose writer is dead: compared, then published.

What the ring holds already must be the same; what comes after it is published now. And events that
are moved between a ring of one's own and other memory.
"""

from engine.messages import MESSAGE_BYTES, CheckpointEvent, Event, EventKind
from engine.stage import copy_words
from engine.statehash import fold
from ipc.clock import Clock, ticks
from ipc.jit import inlined, kernel
from ipc.ring import Ring, claim, publish, slot


@inlined
def same_event(found: Event, wanted: Event) -> bool:
    """Whether two events say the same; when they were published does not count."""
    if found.sequence != wanted.sequence or found.dseq != wanted.dseq:
        return False
    if wanted.kind == EventKind.CHECKPOINT:
        made, told = CheckpointEvent(found.address), CheckpointEvent(wanted.address)
        return found.kind == wanted.kind and made.state_hash == told.state_hash
    if found.time_ns != wanted.time_ns or found.source_sequence != wanted.source_sequence:
        return False
    return fold(0, found.address) == fold(0, wanted.address)


@kernel
def count_same(ring: Ring, address: int, count: int) -> int:
    """How many events from an address on are those of a ring whose writer is dead.

    Those that the ring does not hold count as the same: it has been written over, or the dead
    writer had begun to, or it went on where the ring of an earlier start had ended, and its slots
    before are empty.
    """
    oldest = ring.claims.intent - ring.slot_count
    for index in range(count):
        made = Event(address + index * MESSAGE_BYTES)
        position = made.sequence - 1
        told = Event(slot(ring, position))
        if position >= oldest and told.sequence != 0 and not same_event(made, told):
            return index
    return count


@kernel
def publish_events(ring: Ring, address: int, count: int, clock: Clock) -> int:
    """Publish events from an address on as far as there is room; returns how many."""
    stamp = ticks(clock)
    granted = claim(ring, count)
    first = ring.producer.position
    for index in range(granted):
        source = Event(address + index * MESSAGE_BYTES)
        assert source.sequence == first + index + 1, "publish_events: not the next event"
        target = Event(slot(ring, first + index))
        copy_words(target.address, source.address, MESSAGE_BYTES >> 3)
        target.stamp_ticks = stamp
    publish(ring, granted)
    return granted


@kernel
def put_back(ring: Ring, address: int, count: int) -> None:
    """Publish events from an address on in a ring of one's own that has room for them.

    As they are: what they say of when they were published stays.
    """
    for index in range(count):
        target = slot(ring, ring.claims.position + index)
        copy_words(target, address + index * MESSAGE_BYTES, MESSAGE_BYTES >> 3)
    publish(ring, count)


@kernel
def copy_behind(ring: Ring, position: int, address: int, count: int) -> None:
    """Copy so many events behind a position of a ring to an address."""
    for index in range(count):
        source = slot(ring, position + index)
        copy_words(address + index * MESSAGE_BYTES, source, MESSAGE_BYTES >> 3)
