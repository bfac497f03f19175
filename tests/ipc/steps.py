"""Single steps of those who use a ring, for tests that take them one at a time."""

from ipc import memory
from ipc.jit import kernel
from ipc.ring import (
    READERS_MAX,
    Numbered,
    Ring,
    claim,
    consume,
    create_ring,
    publish,
    ready,
    ring_bytes,
    slot,
)

SLOTS = 8


@kernel
def write(ring: Ring, first: int, count: int, value: int) -> None:
    """Fill `count` slots from `first` slots behind the position on; publishes nothing."""
    position = ring.producer.position + first
    for index in range(count):
        for word in range(1, ring.slot_bytes >> 3):
            Numbered(slot(ring, position + index) + word * 8).sequence = value + position + index


@kernel
def claim_slots(ring: Ring, wanted: int) -> int:
    return claim(ring, wanted)


@kernel
def publish_slots(ring: Ring, count: int) -> None:
    publish(ring, count)


@kernel
def show_slots(ring: Ring, count: int) -> None:
    """What a producer has done BY_SLOT when it is killed just before it moves its position."""
    position = ring.producer.position
    for index in range(count):
        Numbered(slot(ring, position + index)).sequence = position + index + 1


@kernel
def ready_slots(ring: Ring, index: int, wanted: int) -> int:
    return ready(ring, ring.readers[index], wanted)


@kernel
def consume_slots(ring: Ring, index: int, count: int) -> None:
    consume(ring.readers[index], count)


def make_ring(mode: int, readers: int = 1, slots: int = SLOTS, slot_bytes: int = 64) -> Ring:
    region = memory.allocate(ring_bytes(slots, slot_bytes), "ring")
    return create_ring(region.start, slots, slot_bytes, mode, readers)


def send(ring: Ring, wanted: int, value: int = 1000) -> int:
    granted = claim_slots(ring, wanted)
    write(ring, 0, granted, value)
    publish_slots(ring, granted)
    return granted


def slot_address(ring: Ring, position: int) -> int:
    return ring.address + Ring.size + position % ring.slot_count * ring.slot_bytes


def read(ring: Ring, position: int) -> tuple[int, int]:
    """Sequence and payload of a slot, whose words must be equal."""
    address = slot_address(ring, position)
    words = [memory.read_word(address + offset) for offset in range(0, ring.slot_bytes, 8)]
    assert len(set(words[1:])) == 1, f"torn: {words}"
    return words[0], words[1]


def receive(ring: Ring, index: int = 0, wanted: int = SLOTS) -> list[int]:
    """Sequences of what could be read, consumed."""
    count = ready_slots(ring, index, wanted)
    first = ring.readers[index].position
    messages = [read(ring, first + step) for step in range(count)]
    for step, (sequence, value) in enumerate(messages):
        assert sequence == first + step + 1
        assert value == 1000 + first + step
    consume_slots(ring, index, count)
    return [sequence for sequence, _ in messages]


def place(ring: Ring, position: int) -> None:
    """Set all positions by hand, as if that many messages had gone through."""
    ring.producer.position = ring.claims.position = position
    ring.claims.intent = ring.claims.gate = position
    for reader in range(READERS_MAX):
        ring.readers[reader].position = ring.readers[reader].seen = position
