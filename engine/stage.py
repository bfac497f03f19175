"""What every stage has: an inbox, an outbox, a clock, statistics, and a step function.

A stage is `step(state, ports, message_max) -> progress`: compiled, without system calls except
the clock that it is handed, without allocation. Its state lives in shared memory and belongs to
it alone; its ports are process-local. Output is published first, then input is consumed.
"""

from typing import Final

from engine.messages import MESSAGE_BYTES, PLAIN_BYTES, CommandFlag, Message
from ipc.clock import Clock, ticks, ticks_to_ns
from ipc.counters import StageStatistics
from ipc.histogram import record
from ipc.jit import inlined
from ipc.record import CACHE_LINE_BYTES, Record, Ref, i64
from ipc.ring import Inbox, Ring, claim, publish, slot


class Outbox(Record):
    """The ring a stage writes, and the slots it is filling."""

    ring: Ref[Ring]
    claimed: i64
    "Slots that may be filled before the next `deliver`."
    pending: i64
    "Slots filled since the last `deliver`, those that it held back included."
    held: i64
    "Filled slots that the last `deliver` held back."


class Telemetry(Record):
    """Where a stage gets stamps from and where it counts."""

    clock: Ref[Clock]
    statistics: Ref[StageStatistics]


@inlined
def open_outbox(outbox: Outbox, wanted: int) -> int:
    """Claim up to `wanted` slots; returns how many there are."""
    outbox.claimed = claim(outbox.ring, wanted)
    outbox.pending = outbox.held
    return outbox.claimed


@inlined
def next_slot(outbox: Outbox) -> int:
    """Address of the next slot to fill."""
    assert outbox.pending < outbox.claimed, "next_slot: more messages than claimed"
    address = slot(outbox.ring, outbox.ring.producer.position + outbox.pending)
    outbox.pending += 1
    return address


@inlined
def deliver(outbox: Outbox, telemetry: Telemetry) -> int:
    """Stamp and publish what was filled; returns the stamp."""
    return deliver_but(outbox, telemetry, 0)


@inlined
def deliver_but(outbox: Outbox, telemetry: Telemetry, held: int) -> int:
    """Stamp and publish what was filled but for the last `held` slots, which may still change."""
    now = ticks(telemetry.clock)
    first, count = outbox.ring.producer.position, outbox.pending - held
    for index in range(count):
        Message(slot(outbox.ring, first + index)).stamp_ticks = now
    publish(outbox.ring, count)
    telemetry.statistics.published += count
    outbox.pending = outbox.held = held
    return now


@inlined
def count_batch(inbox: Inbox, taken: int, now: int, telemetry: Telemetry) -> None:
    """Record for `taken` messages how long this hop took, until `now` in ticks."""
    statistics, clock = telemetry.statistics, telemetry.clock
    first = inbox.cursor.position
    stamp = now
    elapsed_ns = 0
    for index in range(taken):
        # A batch that was published together carries one stamp: convert it once.
        own_stamp = Message(slot(inbox.ring, first + index)).stamp_ticks
        if own_stamp != stamp:
            stamp = own_stamp
            elapsed_ns = ticks_to_ns(clock, now - stamp)
        record(statistics.latency, elapsed_ns)
    statistics.taken += taken
    statistics.batches += 1


@inlined
def copy_words(target: int, source: int, count: int) -> None:
    """Copy `count` 8-byte words between records; whole cache lines, so a multiple of 8.

    All of a line is loaded before it is stored: the compiler, which must assume that the two
    overlap, makes one wide move of it (a word at a time costs 2 ns more a message).
    """
    assert count % WORDS_PER_LINE == 0, "copy_words: not whole lines"
    for index in range(0, count, WORDS_PER_LINE):
        read, write = Line(source + index * 8), Line(target + index * 8)
        word_0, word_1, word_2, word_3 = read.word_0, read.word_1, read.word_2, read.word_3
        word_4, word_5, word_6, word_7 = read.word_4, read.word_5, read.word_6, read.word_7
        write.word_0, write.word_1, write.word_2, write.word_3 = word_0, word_1, word_2, word_3
        write.word_4, write.word_5, write.word_6, write.word_7 = word_4, word_5, word_6, word_7


@inlined
def copy_message(target: int, source: int) -> None:
    """Copy a message between slots; its third line only if it has terms."""
    copy_words(target, source, PLAIN_BYTES >> 3)
    if Message(source).flags & CommandFlag.TERMS:
        copy_words(target + PLAIN_BYTES, source + PLAIN_BYTES, (MESSAGE_BYTES - PLAIN_BYTES) >> 3)


class Line(Record, align=CACHE_LINE_BYTES):
    """A cache line of anything."""

    word_0: i64
    word_1: i64
    word_2: i64
    word_3: i64
    word_4: i64
    word_5: i64
    word_6: i64
    word_7: i64


class Word(Record):
    """Eight bytes of anything."""

    value: i64


WORDS_PER_LINE: Final = Line.size // Word.size
