"""What every stage has: an inbox, an outbox, a clock, statistics, and a step function.

A stage is `step(state, ports, message_max) -> progress`: compiled, without system calls except
the clock that it is handed, without allocation. Its state lives in shared memory and belongs to
it alone; its ports are process-local. Output is published first, then input is consumed.
"""

from engine.messages import Message
from ipc.clock import Clock, ticks, ticks_to_ns
from ipc.counters import StageStatistics
from ipc.histogram import record
from ipc.jit import inlined
from ipc.record import Record, Ref, i64
from ipc.ring import Inbox, Ring, claim, publish, slot


class Outbox(Record):
    """The ring a stage writes, and the slots it is filling."""

    ring: Ref[Ring]
    claimed: i64
    "Slots that may be filled before the next `deliver`."
    pending: i64
    "Slots filled since the last `deliver`."


class Telemetry(Record):
    """Where a stage gets stamps from and where it counts."""

    clock: Ref[Clock]
    statistics: Ref[StageStatistics]


@inlined
def open_outbox(outbox: Outbox, wanted: int) -> int:
    """Claim up to `wanted` slots; returns how many there are."""
    outbox.claimed = claim(outbox.ring, wanted)
    outbox.pending = 0
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
    now = ticks(telemetry.clock)
    first = outbox.ring.producer.position
    for index in range(outbox.pending):
        Message(slot(outbox.ring, first + index)).stamp_ticks = now
    publish(outbox.ring, outbox.pending)
    telemetry.statistics.published += outbox.pending
    outbox.pending = 0
    return now


@inlined
def count_batch(inbox: Inbox, taken: int, now: int, telemetry: Telemetry) -> None:
    """Record for `taken` messages how long this hop took, until `now` in ticks."""
    statistics, clock = telemetry.statistics, telemetry.clock
    first = inbox.cursor.position
    for index in range(taken):
        elapsed = now - Message(slot(inbox.ring, first + index)).stamp_ticks
        record(statistics.latency, ticks_to_ns(clock, elapsed))
    statistics.taken += taken
    statistics.batches += 1


@inlined
def copy_words(target: int, source: int, count: int) -> None:
    """Copy `count` 8-byte words between records."""
    for index in range(count):
        Word(target + index * 8).value = Word(source + index * 8).value


class Word(Record):
    """Eight bytes of anything."""

    value: i64
