"""A client in compiled code: feeds prepared commands, collects all events that answer them.

Replays, benchmarks and tests drive a venue with it, through the same order ring and event rings
that a gateway has. With an interval it is an open loop: each command has an intended time, and a
stall is charged to every command that had to wait for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from engine.messages import MESSAGE_BYTES, Command, Event, EventFlag, EventKind
from engine.stage import Word, copy_message
from engine.topology import DRIVER, order_ring
from engine.venue import VenueMemory
from ipc import memory
from ipc.clock import Clock, ticks, ticks_to_ns
from ipc.counters import PROCESSES_MAX, DurableMark
from ipc.histogram import Histogram, Percentiles, record
from ipc.intrinsics import fence, read_monotonic
from ipc.jit import inlined, kernel
from ipc.record import Array, Record, Ref, i64, length
from ipc.ring import Ring, RingGroup, claim, consume, publish, ready, resume, slot
from ipc.wait import PARK, Doorbell, Waiting, arm, ring_bell, should_park, sleep

FEED_MAX: Final = 256
"""Commands published at a time."""

DRAIN_MAX: Final = 1024
"""Events taken at a time."""

WINDOW: Final = 2048
"""Commands without an answer at most, when no rate is given: a client with flow control. It keeps
every hop busy, and the latencies are those of work and not of one long queue."""

TURN_NS: Final = 20_000_000
"""How long the compiled part may keep Python, and with it progress displays, waiting."""


class Drive(Record):
    """What the compiled part needs; process-local."""

    clock: Ref[Clock]
    orders: Ref[Ring]
    events: RingGroup
    "One ring of each matching shard, in their order."
    durable: Ref[DurableMark]
    "Events of later decisions are not taken: a crash could undo them."
    bell: Ref[Doorbell]
    round_trip: Ref[Histogram]
    "From the (intended) sending of a command to the arrival of its last event, ns."
    waiting: Waiting
    source: i64
    first_sequence: i64
    "Source sequence of the first command."
    commands: i64
    "Address of the prepared commands."
    stamps: i64
    "Address of one word a command: when it was sent, or should have been."
    count: i64
    sent: i64
    answered: i64
    "Commands whose last event has arrived; of a TICK, which all shards execute, that of shard 0."
    clocks_due: i64
    "Answers of other shards to TICKs that are still to come; below 0 where they came first."
    collected: i64
    "Address for copies of events."
    collected_max: i64
    "Events that fit there; 0: count them only."
    received: i64
    interval_ticks: i64
    "Time between intended sendings; 0: as fast as the ring takes them."
    began_ticks: i64
    neighbour_count: i64
    neighbours: Array[Ref[Doorbell]] = length(PROCESSES_MAX)


@inlined
def due(drive: Drive, now: int) -> int:
    """How many commands may be sent now."""
    left = min(drive.count - drive.sent, FEED_MAX)
    if drive.interval_ticks == 0:
        return min(left, drive.answered + WINDOW - drive.sent)
    return min(left, (now - drive.began_ticks) // drive.interval_ticks + 1 - drive.sent)


@inlined
def feed(drive: Drive) -> int:
    """Publish what is due and fits; returns how many commands."""
    now = ticks(drive.clock)
    wanted = due(drive, now)
    if wanted <= 0:
        return 0
    granted = claim(drive.orders, wanted)
    first = drive.orders.producer.position
    for index in range(granted):
        number = drive.sent + index
        command = Command(slot(drive.orders, first + index))
        copy_message(command.address, drive.commands + number * MESSAGE_BYTES)
        command.stamp_ticks = now
        stamp = now
        if drive.interval_ticks != 0:
            stamp = drive.began_ticks + number * drive.interval_ticks
        Word(drive.stamps + number * 8).value = stamp
    publish(drive.orders, granted)
    drive.sent += granted
    return granted


@inlined
def drain(drive: Drive) -> int:
    """Take what has arrived; returns how many events."""
    arrived = 0
    for shard in range(drive.events.count):
        arrived += drain_ring(drive, shard)
    return arrived


@inlined
def drain_ring(drive: Drive, shard: int) -> int:
    """The same from one of the rings."""
    inbox = drive.events.sources[shard]
    arrived = ready(inbox.ring, inbox.cursor, DRAIN_MAX)
    if arrived == 0:
        return 0
    now = ticks(drive.clock)
    first, durable = inbox.cursor.position, drive.durable.dseq
    for index in range(arrived):
        event = Event(slot(inbox.ring, first + index))
        if event.dseq > durable:
            arrived = index
            break
        if event.source != drive.source:
            continue
        if drive.received < drive.collected_max:
            target = drive.collected + drive.received * MESSAGE_BYTES
            copy_message(target, event.address)
        drive.received += 1
        if event.kind == EventKind.CLOCK:
            drive.clocks_due += drive.events.count - 1 if shard == 0 else -1
            if shard > 0:
                continue
        if event.flags & EventFlag.LAST:
            number = event.source_sequence - drive.first_sequence
            sent = Word(drive.stamps + number * 8).value
            record(drive.round_trip, ticks_to_ns(drive.clock, now - sent))
            drive.answered += 1
    consume(inbox.cursor, arrived)
    return arrived


@inlined
def is_done(drive: Drive) -> bool:
    """Whether every command has been answered, by all who answer it."""
    return drive.answered == drive.count and drive.clocks_due == 0


@inlined
def exchange(drive: Drive) -> int:
    """Feed and drain once, waking the engine after; returns how much was done."""
    progress = feed(drive) + drain(drive)
    if progress > 0:
        fence()
        for index in range(drive.neighbour_count):
            ring_bell(drive.neighbours[index])
    return progress


@kernel
def run_drive(drive: Drive, turn_ns: int) -> bool:
    """Work for about `turn_ns`; true when every command has been answered."""
    began = read_monotonic()
    while not is_done(drive) and turn_ns >= 0:
        if exchange(drive) > 0:
            drive.waiting.idle_rounds = 0
        elif drive.interval_ticks == 0 and should_park(drive.waiting):
            expected = arm(drive.bell)
            if exchange(drive) > 0:
                drive.bell.armed = 0
                drive.waiting.idle_rounds = 0
            else:
                sleep(drive.bell, expected)
        if read_monotonic() - began > turn_ns:
            break
    return is_done(drive)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back: raw events, and how long it took."""

    events: Any
    "NumPy array of uint8, shape (events, MESSAGE_BYTES), in order of publication."
    event_count: int
    "All events that answered, also those that did not fit `events`."
    commands: int
    seconds: float
    round_trip: dict[str, int]
    "count, p50, p99, p999, max in ns, from the (intended) sending to the last event."


class Driver:
    """The driver's seat of one venue; the venue's topology names DRIVER as a client."""

    def __init__(self, venue: VenueMemory) -> None:
        """Take the seat: join the event rings from now on."""
        self.venue = venue
        self._drive: Drive = Drive.allocate()
        drive = self._drive
        drive.clock = venue.counters.clock
        drive.orders = venue.rings[order_ring(DRIVER)]
        resume(drive.orders)
        venue.point_at_events(drive.events, DRIVER)
        drive.durable = venue.counters.durable
        drive.bell = venue.entry(DRIVER).bell
        drive.source = venue.source_number(DRIVER)
        drive.waiting.strategy = PARK
        neighbours = venue.topology.neighbours(DRIVER)
        for index, name in enumerate(neighbours):
            drive.neighbours[index] = venue.entry(name).bell
        drive.neighbour_count = len(neighbours)
        venue.join_events(DRIVER)

    def _work(self, turn_ns: int) -> bool:
        """Feed and drain for about `turn_ns`; not at all when it is negative (compiles)."""
        return run_drive(self._drive, turn_ns)

    def leave(self) -> None:
        """Give the seat up; the event rings no longer wait for the driver."""
        self.venue.leave_events(DRIVER)

    def run(
        self,
        commands: Any,
        *,
        rate: float = 0.0,
        events_max: int | None = None,
        turn: Callable[[int, int], None] | None = None,
    ) -> Outcome:
        """Send `commands` (structured array of Command's NumPy type) and wait for all answers.

        `rate`: commands per second, open loop; 0 for as fast as answers come back, with at most
        WINDOW commands on their way. `events_max`: events
        to keep, by default eight a command. `turn(answered, count)` is called every few
        milliseconds; an exception from it ends the run.
        """
        drive, count = self._drive, len(commands)
        raw = np.ascontiguousarray(commands)
        assert raw.dtype.itemsize == MESSAGE_BYTES, "commands need Command's layout"
        events_max = 8 * count + 1024 if events_max is None else events_max
        stamps = memory.allocate(max(count, 1) * 8, "driver.stamps")
        prepared = memory.allocate(max(count, 1) * MESSAGE_BYTES, "driver.commands")
        prepared.view[: count * MESSAGE_BYTES] = raw.tobytes()
        collected = memory.allocate(max(events_max, 1) * MESSAGE_BYTES, "driver.events")
        round_trip: Histogram = Histogram.allocate()
        drive.round_trip, drive.stamps, drive.commands = round_trip, stamps.start, prepared.start
        drive.collected, drive.collected_max = collected.start, events_max
        drive.count, drive.sent, drive.answered, drive.received = count, 0, 0, 0
        drive.clocks_due = 0
        drive.first_sequence = drive.orders.producer.position + 1
        clock = self.venue.counters.clock
        drive.interval_ticks = 0
        if rate > 0:
            drive.interval_ticks = int((1e9 / rate) * (1 << 32) / clock.multiplier)
        self._work(-1)
        drive.began_ticks = ticks(clock)
        began = drive.began_ticks
        while not self._work(TURN_NS):
            if turn is not None:
                turn(drive.answered, count)
        seconds = ticks_to_ns(clock, ticks(clock) - began) / 1e9
        kept = min(drive.received, events_max)
        events = np.frombuffer(collected.view[: kept * MESSAGE_BYTES], dtype=np.uint8)
        outcome = Outcome(
            events=events.reshape(kept, MESSAGE_BYTES).copy(),
            event_count=drive.received,
            commands=count,
            seconds=seconds,
            round_trip=Percentiles(round_trip).summary(),
        )
        del events
        for region in (stamps, prepared, collected):
            memory.forget(region)
        return outcome
