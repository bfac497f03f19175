"""Rings: one producer, up to eight gating readers, any number of lossy observers.

A ring lives in shared memory and survives the death of everyone who uses it. The producer alone
writes `producer` and `claims`; each reader alone writes its own cursor. Positions are free-running
64-bit counts of slots; the slot of a position is `position & (slot_count - 1)`. The first word of
every slot is its sequence number, position + 1, so sequences are dense and start at 1.

    producer  position ─────────────► published      readers  position ──► consumed
    claims    intent   ─────────────► may be overwritten from here on (for observers)

Two ways to publish, chosen when the ring is made and invisible to its users:
`BY_INDEX` publishes a batch with one store of the position; `BY_SLOT` publishes each slot with a
store of its sequence word, so that the reader finds payload and publication in one cache line.
`okimi bench ring` tells which is faster between two cores. A ring with one reader is an SPSC queue.

Crash rules: payload first, then the publishing store; effect first, then `consume`. Whoever
takes over goes on where the dead process was: a producer calls `resume` and writes the slots
again that nobody has seen, a reader sees the messages again that were not consumed and skips by
sequence. The sequence word of a slot belongs to `publish`: who fills a slot leaves it alone.
"""

from typing import Final

from ipc.intrinsics import fence, load_acquire, store_fence, store_release
from ipc.jit import inlined, kernel
from ipc.record import CACHE_LINE_BYTES, LINE_PAIR_BYTES, Array, Record, Ref, i64, length, shared

READERS_MAX: Final = 8
"""Gating readers of one ring: the producer looks at all of them when its gate is used up."""

BY_INDEX: Final = 0
BY_SLOT: Final = 1

INTENT_SHIFT: Final = 4
"""Intent runs ahead of claims by up to 1/16 of the ring; observers may use the other slots."""

RINGS_POLLED_MAX: Final = 16
"""Rings that one consumer can poll as a group: one per gateway plus internal sources."""


class Producer(Record, align=LINE_PAIR_BYTES):
    """What readers poll; the producer stores to it and never reads it back."""

    position: shared
    "Slots published so far; also the position of the next slot to write."


class Claims(Record, align=LINE_PAIR_BYTES):
    """What the producer needs for itself, on lines that no gating reader takes away.

    With `gate` and `intent` beside the polled position, one message a batch ran at half the rate.
    """

    position: i64
    "The same as `producer.position` as long as its producer lives."
    gate: i64
    "The producer may write positions below this without looking at the readers."
    intent: shared
    "Slots before intent - slot_count may be torn; only observers read it."


class Cursor(Record, align=LINE_PAIR_BYTES):
    """One reader's own lines."""

    position: shared
    "Slots consumed so far."
    active: shared
    "1 while this reader holds the producer back."
    seen: i64
    "Private: positions below this are known to be published."


class Ring(Record, align=LINE_PAIR_BYTES):
    """Header of a ring; its slots follow directly."""

    slot_count: i64
    "Power of two."
    slot_bytes: i64
    "Multiple of a cache line."
    mask: i64
    "slot_count - 1."
    mode: i64
    "BY_INDEX or BY_SLOT."
    producer: Producer
    claims: Claims
    readers: Array[Cursor] = length(READERS_MAX)


def ring_bytes(slot_count: int, slot_bytes: int) -> int:
    """Memory a ring needs. ValueError when the shape is not allowed."""
    if slot_count < 2 or slot_count & (slot_count - 1):
        raise ValueError(f"slot_count must be a power of two >= 2, not {slot_count}")
    if slot_bytes < CACHE_LINE_BYTES or slot_bytes % CACHE_LINE_BYTES:
        raise ValueError(f"slot_bytes must be a multiple of {CACHE_LINE_BYTES}, not {slot_bytes}")
    return Ring.size + slot_count * slot_bytes


def create_ring(address: int, slot_count: int, slot_bytes: int, mode: int, readers: int) -> Ring:
    """Lay an empty ring over zeroed memory with the first `readers` cursors gating."""
    ring_bytes(slot_count, slot_bytes)
    if mode not in (BY_INDEX, BY_SLOT):
        raise ValueError(f"mode must be BY_INDEX or BY_SLOT, not {mode}")
    if not 0 <= readers <= READERS_MAX:
        raise ValueError(f"a ring has 0..{READERS_MAX} gating readers, not {readers}")
    ring = Ring(address)
    ring.slot_count, ring.slot_bytes = slot_count, slot_bytes
    ring.mask, ring.mode = slot_count - 1, mode
    for index in range(readers):
        ring.readers[index].active = 1
    return ring


@kernel
def begin_at(ring: Ring, position: int) -> None:
    """Let an empty ring, which nobody uses yet, go on where another one has ended."""
    ring.producer.position = ring.claims.position = position
    ring.claims.gate = ring.claims.intent = position
    for index in range(READERS_MAX):
        ring.readers[index].position = ring.readers[index].seen = position


@inlined
def slot(ring: Ring, position: int) -> int:
    """Address of the slot of `position`."""
    return ring.address + Ring.size + (position & ring.mask) * ring.slot_bytes


# --- producer --------------------------------------------------------------------------------


@kernel
def resume(ring: Ring) -> int:
    """Take over from a producer that died; returns the position of the next slot to write.

    Published BY_SLOT, a slot can be seen before `position` says so: it must not be written again.
    """
    position = ring.producer.position
    if ring.mode == BY_SLOT:
        while load_acquire(slot(ring, position)) == position + 1:
            position += 1
        ring.producer.position = position
    ring.claims.position = position
    return position


@kernel
def move_gate(ring: Ring) -> int:
    """Look at all gating readers; returns the new gate, which never goes back.

    The fence pairs with the one in `join`: either this sees the new reader, or the new reader
    sees all that was published before and begins behind it. In between, a reader shows a position
    that may lie more than a ring behind: what was granted before holds all the same.
    """
    fence()
    slowest = ring.claims.position
    for index in range(READERS_MAX):
        cursor = ring.readers[index]
        if cursor.active != 0 and cursor.position < slowest:
            slowest = cursor.position
    ring.claims.gate = max(slowest + ring.slot_count, ring.claims.gate)
    return ring.claims.gate


@inlined
def claim(ring: Ring, wanted: int) -> int:
    """How many slots, at most `wanted`, the producer may write from its position on."""
    claims = ring.claims
    position = claims.position
    free = claims.gate - position
    if free < wanted:
        free = move_gate(ring) - position
    granted = min(free, wanted)
    if position + granted > claims.intent:  # never back: slots may be half written
        ahead = min(free, ring.slot_count >> INTENT_SHIFT)  # spares most claims this store
        claims.intent = position + max(granted, ahead)
        store_fence()
    return granted


@inlined
def publish(ring: Ring, count: int) -> None:
    """Number the next `count` slots, whose payload is written, and make them visible."""
    position = ring.claims.position
    assert position + count <= ring.claims.gate, "publish: not claimed"
    if ring.mode == BY_SLOT:
        for index in range(count):
            store_release(slot(ring, position + index), position + index + 1)
    else:
        for index in range(count):
            Numbered(slot(ring, position + index)).sequence = position + index + 1
    ring.claims.position = position + count
    ring.producer.position = position + count


class Numbered(Record):
    """What every slot begins with."""

    sequence: i64
    "Position + 1."


# --- gating readers --------------------------------------------------------------------------


@inlined
def ready(ring: Ring, cursor: Cursor, wanted: int) -> int:
    """How many slots, at most `wanted`, can be read from the cursor's position on."""
    position = cursor.position
    if ring.mode == BY_SLOT:
        count = 0
        while count < wanted and load_acquire(slot(ring, position + count)) == position + count + 1:
            count += 1
        return count
    if cursor.seen - position < wanted:
        cursor.seen = ring.producer.position
    return min(cursor.seen - position, wanted)


@inlined
def consume(cursor: Cursor, count: int) -> None:
    """Give back `count` slots, whose effects are in place, to the producer."""
    cursor.position = cursor.position + count


@kernel
def join(ring: Ring, index: int) -> int:
    """Make reader `index` gating from the next published slot on; returns that position.

    For a reader that comes late, while the producer runs. The first position holds the producer
    back at once; the second, read after the fence, is one that no gate granted before can pass.
    """
    cursor = ring.readers[index]
    cursor.position = ring.producer.position
    cursor.active = 1
    fence()
    position = ring.producer.position
    cursor.position, cursor.seen = position, position
    return position


@kernel
def leave(ring: Ring, index: int) -> None:
    """Stop reader `index` from holding the producer back (it is dead, or done)."""
    ring.readers[index].active = 0


# --- lossy observers -------------------------------------------------------------------------


class Observer(Record):
    """A reader that never holds the producer back; lives in the reader's own memory."""

    position: i64
    "The next position to read."
    laps: i64
    "How often the producer overtook this reader."
    lost: i64
    "Slots that were overwritten before they were read."


@kernel
def observe(ring: Ring, observer: Observer, target: int, wanted: int) -> int:
    """Copy up to `wanted` whole slots to `target`; returns how many are intact.

    When the producer has overtaken the observer, counts the lap and goes on half a ring behind
    the producer, so that the next copy is not torn at once (or less, where claims are so large).
    """
    words = ring.slot_bytes >> 3
    count = 0
    while count < wanted:
        position = observer.position
        if position >= ring.producer.position:
            break
        source, copy = slot(ring, position), target + count * ring.slot_bytes
        for word in range(words):
            Numbered(copy + word * 8).sequence = load_acquire(source + word * 8)
        oldest = ring.claims.intent - ring.slot_count
        if position < oldest:
            resumed = max(ring.producer.position - (ring.slot_count >> 1), oldest)
            observer.laps += 1
            observer.lost += resumed - position
            observer.position = resumed
            continue
        assert Numbered(copy).sequence == position + 1, "observe: slot carries another sequence"
        observer.position = position + 1
        count += 1
    return count


# --- several rings polled as one -------------------------------------------------------------


class Inbox(Record):
    """A ring and the cursor with which its holder reads it; lives in the reader's own memory."""

    ring: Ref[Ring]
    cursor: Ref[Cursor]


class RingGroup(Record):
    """Rings that one consumer polls in turn; lives in the consumer's own memory.

    Several producers never share a ring: a producer killed between claim and publish would stop
    all others for good.
    """

    count: i64
    "Rings in use."
    turn: i64
    "The ring that is looked at first next time."
    sources: Array[Inbox] = length(RINGS_POLLED_MAX)


@inlined
def next_source(group: RingGroup) -> int:
    """Index of the next ring that has something to read, in turn, or -1 when all are empty."""
    for step in range(group.count):
        index = group.turn + step
        if index >= group.count:
            index -= group.count
        source = group.sources[index]
        if ready(source.ring, source.cursor, 1) > 0:
            group.turn = 0 if index + 1 == group.count else index + 1
            return index
    return -1
