"""The measured loops: messages one way, messages there and back, and what the hardware costs.

Each pair of kernels runs in two pinned processes that spin. Every message is written in full and
read in full: sequence and seven words that follow from it. The C ring (spsc.c) has the same loops.
"""

from typing import Final

from ipc.clock import Clock, ticks
from ipc.intrinsics import multiply_wrapping, read_monotonic
from ipc.jit import inlined, kernel
from ipc.record import LINE_PAIR_BYTES, Record, Ref, i64
from ipc.ring import Numbered, Ring, claim, consume, publish, ready, slot
from ipc.wait import Word

SLOT_BYTES: Final = 64
WORDS: Final = SLOT_BYTES // 8
STEP: Final = 0x9E3779B97F4A7C1
"""Distance of neighbouring words of a payload; spsc.c has the same number."""


class Tally(Record, align=LINE_PAIR_BYTES):
    """What the receiving side found."""

    began_ns: i64
    "When the warm-up was over."
    ended_ns: i64
    misplaced: i64
    "Messages with another sequence than the next one."
    checksum: i64


class Meeting(Record, align=LINE_PAIR_BYTES):
    """A word on a line pair of its own; one side writes it."""

    word: Word


class Duel(Record, align=LINE_PAIR_BYTES):
    """Everything two processes share for one sample; lives in memory that both have."""

    left: Meeting
    right: Meeting
    tally: Tally
    spare: Tally
    "For a side whose findings nobody reads."
    clock: Clock
    out: Ref[Ring]
    back: Ref[Ring]
    samples: i64
    "Address of the samples of a round trip, in ticks."


@inlined
def write_payload(address: int, sequence: int) -> None:
    """All words but the first, which belongs to `publish`."""
    for word in range(1, WORDS):
        Numbered(address + word * 8).sequence = multiply_wrapping(word, STEP) + sequence


@inlined
def fold(address: int) -> int:
    """A digest of all eight words of a slot."""
    total = Numbered(address).sequence
    for word in range(1, WORDS):
        total ^= Numbered(address + word * 8).sequence
    return total


@inlined
def chain(checksum: int, digest: int) -> int:
    """A checksum that depends on the order, and that no compiler computes many of at once."""
    return multiply_wrapping(checksum, 31) + digest


@kernel
def expected_checksum(first: int, last: int, scratch: int) -> int:
    """The checksum over messages `first` to `last`, made at `scratch`."""
    checksum = 0
    for sequence in range(first, last + 1):
        Numbered(scratch).sequence = sequence
        write_payload(scratch, sequence)
        checksum = chain(checksum, fold(scratch))
    return checksum


@kernel
def meet(mine: Word, theirs: Word) -> None:
    """Go on when the other side is here too."""
    mine.value = mine.value + 1
    while theirs.value < mine.value:
        pass


# --- one way ---------------------------------------------------------------------------------


@kernel
def send(ring: Ring, total: int, batch: int) -> None:
    """Publish `total` messages, at most `batch` at a time."""
    sent = 0
    while sent < total:
        count = claim(ring, min(batch, total - sent))
        position = ring.claims.position
        for index in range(count):
            write_payload(slot(ring, position + index), position + index + 1)
        if count > 0:
            publish(ring, count)
            sent += count


@kernel
def receive(ring: Ring, tally: Tally, warm: int, total: int, batch: int) -> None:
    """Read `total` messages in batches as they come; the clock runs after the first `warm`."""
    cursor = ring.readers[0]
    checksum = misplaced = received = 0
    until = warm
    while received < total:
        position = cursor.position
        count = ready(ring, cursor, min(batch, until - received))
        for index in range(count):
            address = slot(ring, position + index)
            misplaced += Numbered(address).sequence != position + index + 1
            checksum = chain(checksum, fold(address))
        if count > 0:
            consume(cursor, count)
            received += count
            if received == until:
                if until == warm:
                    tally.began_ns = read_monotonic()
                until = total
    tally.ended_ns = read_monotonic()
    tally.checksum, tally.misplaced = checksum, misplaced


# --- there and back --------------------------------------------------------------------------


@kernel
def ping(duel: Duel, trips: int, batch: int) -> None:
    """Send one message, wait for its answer, and so on; a sample includes one clock read."""
    out, back, clock = duel.out, duel.back, duel.clock
    cursor = back.readers[0]
    checksum = misplaced = 0
    before = ticks(clock)
    for trip in range(1, trips + 1):
        while claim(out, 1) == 0:
            pass
        write_payload(slot(out, out.claims.position), trip)
        publish(out, 1)
        while ready(back, cursor, batch) == 0:
            pass
        address = slot(back, cursor.position)
        misplaced += Numbered(address).sequence != trip
        checksum = chain(checksum, fold(address))
        consume(cursor, 1)
        after = ticks(clock)
        Numbered(duel.samples + (trip - 1) * 8).sequence = after - before
        before = after
    duel.tally.checksum, duel.tally.misplaced = checksum, misplaced


@kernel
def pong(duel: Duel, trips: int, batch: int) -> None:
    """Answer each message with a copy of what was read."""
    out, back = duel.out, duel.back
    cursor = out.readers[0]
    for _ in range(trips):
        while ready(out, cursor, batch) == 0:
            pass
        while claim(back, 1) == 0:
            pass
        source = slot(out, cursor.position)
        target = slot(back, back.claims.position)
        for word in range(1, WORDS):
            Numbered(target + word * 8).sequence = Numbered(source + word * 8).sequence
        consume(cursor, 1)
        publish(back, 1)


# --- the hardware ----------------------------------------------------------------------------


@kernel
def line_ping(duel: Duel, samples: int, trips: int) -> None:
    """One line there, another one back, polled as fast as it goes.

    Not quite the least possible: who polls more slowly fights less for the line he waits for.
    """
    clock = duel.clock
    mine, theirs = duel.left.word, duel.right.word
    start = theirs.value
    before = ticks(clock)
    for trip in range(1, trips + 1):
        mine.value = start + trip
        while theirs.value != start + trip:
            pass
        after = ticks(clock)
        Numbered(samples + (trip - 1) * 8).sequence = after - before
        before = after


@kernel
def line_pong(duel: Duel, trips: int) -> None:
    """The other side."""
    mine, theirs = duel.right.word, duel.left.word
    start = mine.value
    for trip in range(1, trips + 1):
        while theirs.value != start + trip:
            pass
        mine.value = start + trip


@kernel
def compute(tally: Tally, rounds: int) -> int:
    """Eight independent chains, which keep a core's arithmetic units busy; returns ns."""
    a, b, c, d, e, f, g, h = 1, 2, 3, 4, 5, 6, 7, 8
    began = read_monotonic()
    for index in range(rounds):
        a = (a + index) ^ b
        b = (b + a) ^ index
        c = (c + index) ^ d
        d = (d + c) ^ index
        e = (e + index) ^ f
        f = (f + e) ^ index
        g = (g + index) ^ h
        h = (h + g) ^ index
    took = read_monotonic() - began
    tally.checksum = a ^ b ^ c ^ d ^ e ^ f ^ g ^ h  # so that the loop cannot be left out
    return took


# --- from Python -----------------------------------------------------------------------------


@inlined
def copy_slot(target: int, source: int, first: int) -> None:
    """The words of a slot from `first` on."""
    for word in range(first, WORDS):
        Numbered(target + word * 8).sequence = Numbered(source + word * 8).sequence


@kernel
def push_many(ring: Ring, source: int, count: int) -> int:
    """Publish up to `count` messages that lie at `source`; returns how many there was room for."""
    granted = claim(ring, count)
    position = ring.claims.position
    for index in range(granted):
        copy_slot(slot(ring, position + index), source + index * SLOT_BYTES, 1)
    if granted > 0:
        publish(ring, granted)
    return granted


@kernel
def pop_many(ring: Ring, target: int, wanted: int, polls: int) -> int:
    """Move up to `wanted` messages to `target`; looks at most `polls` times; returns how many."""
    cursor = ring.readers[0]
    count = 0
    while count == 0 and polls > 0:
        count = ready(ring, cursor, wanted)
        polls -= 1
    for index in range(count):
        copy_slot(target + index * SLOT_BYTES, slot(ring, cursor.position + index), 0)
    if count > 0:
        consume(cursor, count)
    return count
