"""Between the rings and asyncio: events out, commands in, both in batches.

    event ring --take_events--> private buffer --decode--> `apply` --next take_events--> consumed
    `submit` --> private buffer --send_commands, once per turn of the loop--> order ring

One compiled call moves a whole batch; it takes the address of its port, because numba would look
up the type of a port itself at each call (measured: 0.2 instead of 5 to 8 us). Events are
consumed only after Python has applied them. An event is told only when its decision is durable:
whoever moves that mark rings the bell, too. The gateway sleeps in its event loop: it arms its
doorbell, whose eventfd the loop watches, looks at the ring once more, and whoever publishes
events signals the eventfd.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from engine.limits import INSTRUMENTS_MAX, SHARDS_MAX
from engine.membership import Fence
from engine.messages import (
    COMMAND_CODEC,
    MESSAGE_BYTES,
    PLAIN_BYTES,
    Command,
    CommandFlag,
    CommandKind,
    Event,
    EventFlag,
    Message,
    decode_event,
)
from engine.topology import GATEWAY, INGEST, order_ring
from engine.venue import VenueMemory
from gateway.errors import DiskFull, EngineBusy, Stopping
from ipc import memory
from ipc.clock import Clock, ticks
from ipc.counters import FAILED, FULL, DurableMark
from ipc.intrinsics import fence
from ipc.jit import inlined, kernel
from ipc.record import Array, Record, Ref, i64, length
from ipc.ring import (
    Ring,
    RingGroup,
    claim,
    consume,
    move_gate,
    publish,
    ready,
    resume,
    slot,
)
from ipc.wait import NO_DESCRIPTOR, Doorbell, arm, ring_bell

EVENTS_PER_TURN_MAX: Final = 256
"""Events applied before the event loop serves its connections again: about a millisecond."""

COMMANDS_PER_FLUSH_MAX: Final = 512
"""Commands that one turn of the loop collects before they are sent without waiting for its end.
As many as belong together at most: a mass cancel in every instrument."""

assert INSTRUMENTS_MAX <= COMMANDS_PER_FLUSH_MAX

CANCEL_RESERVE: Final = 8
"""One slot in this many of the order ring is kept for cancels: risk can always be taken back."""

WORDS_PER_MESSAGE: Final = MESSAGE_BYTES // 8

PLAIN_WORDS: Final = PLAIN_BYTES // 8
"""Words of a message without terms; what stands behind them is of an older message."""

TAKES_BACK: Final = frozenset(
    {CommandKind.CANCEL, CommandKind.MASS_CANCEL, CommandKind.PHASE, CommandKind.RULE}
)
"""What may use the slots that are kept: it can only lessen the risk, or is the venue's own."""

Values = dict[str, Any]
"""Fields of a command by name; those that are missing are zero."""

assert Message.fields["sequence"].offset == 0, "commands are copied from their second word on"


class LateStart(Exception):
    """Events have passed that this gateway will never see, so it cannot know the books."""


class Words(Record):
    """A message as 8-byte words, for copying."""

    words: Array[i64] = length(WORDS_PER_MESSAGE)


class Port(Record):
    """What the compiled part needs; process-local."""

    clock: Ref[Clock]
    orders: Ref[Ring]
    events: RingGroup
    "One ring of each matching shard, in their order."
    shard: i64
    "The one of which events were taken last; it is looked at last next time."
    begins: Array[i64] = length(SHARDS_MAX)
    "Events of each ring that this gateway knows already: they are passed over."
    mark: Ref[DurableMark]
    bell: Ref[Doorbell]
    ingest_bell: Ref[Doorbell]
    matching_bells: Array[Ref[Doorbell]] = length(SHARDS_MAX)
    inbox: i64
    "Address of room for EVENTS_PER_TURN_MAX events."
    outbox: i64
    "Address of room for COMMANDS_PER_FLUSH_MAX commands."


@kernel
def pass_over(port: Port, shard: int) -> bool:
    """Give back the events of a shard that are known already; whether they have all come."""
    source = port.events.sources[shard]
    left = port.begins[shard] - source.cursor.position
    if left > 0:
        count = ready(source.ring, source.cursor, left)
        consume(source.cursor, count)
        fence()
        ring_bell(port.matching_bells[shard])
        left -= count
    return left <= 0


@inlined
def next_shard(port: Port, durable: int) -> int:
    """The next shard, in turn, that has an event which may be told; -1 when none has."""
    count = port.events.count
    for step in range(1, count + 1):
        shard = (port.shard + step) % count
        source = port.events.sources[shard]
        known = source.cursor.position < port.begins[shard]
        if known and not pass_over(port, shard):
            continue
        if ready(source.ring, source.cursor, 1) == 0:
            continue
        if Event(slot(source.ring, source.cursor.position)).dseq <= durable:
            return shard
    return -1


@kernel
def take_events(port_address: int, applied: int, wanted: int) -> int:
    """Give back `applied` events, then copy up to `wanted` new ones of a shard; returns how many.

    0 means that there are none which may be told and that the bell is armed.
    """
    port = Port(port_address)
    group = port.events
    if applied > 0:
        done = group.sources[port.shard]
        consume(done.cursor, applied)
        fence()
        # Matching stops only when the ring is almost full: no need to wake it otherwise.
        waiting = done.ring.producer.position - done.cursor.position + applied
        if waiting >= done.ring.slot_count >> 1:
            ring_bell(port.matching_bells[port.shard])
    durable = port.mark.dseq
    shard = next_shard(port, durable)
    if shard < 0:
        arm(port.bell)
        durable = port.mark.dseq
        shard = next_shard(port, durable)
        if shard < 0:
            return 0
        port.bell.armed = 0
    port.shard = shard
    events, cursor = group.sources[shard].ring, group.sources[shard].cursor
    waiting = ready(events, cursor, wanted)
    first, count = cursor.position, 0
    while count < waiting:
        address = slot(events, first + count)
        if Event(address).dseq > durable:
            break
        source = Words(address)
        target = Words(port.inbox + count * MESSAGE_BYTES)
        words = PLAIN_WORDS
        if Event(address).flags & EventFlag.TERMS:
            words = WORDS_PER_MESSAGE
        for word in range(words):
            target.words[word] = source.words[word]
        count += 1
    return count


@kernel
def send_commands(port_address: int, count: int) -> int:
    """Publish the first `count` commands of the outbox and wake ingest; returns `count`."""
    port = Port(port_address)
    orders = port.orders
    granted = claim(orders, count)
    assert granted == count, "send_commands: more commands than the ring has room for"
    first = orders.producer.position
    now = ticks(port.clock)
    for index in range(count):
        source = Words(port.outbox + index * MESSAGE_BYTES)
        target = Words(slot(orders, first + index))
        words = PLAIN_WORDS
        if Command(source.address).flags & CommandFlag.TERMS:
            words = WORDS_PER_MESSAGE
        for word in range(1, words):  # the first one is for `publish`
            target.words[word] = source.words[word]
        Command(target.address).stamp_ticks = now
    publish(orders, count)
    fence()
    ring_bell(port.ingest_bell)
    return count


@kernel
def free_slots(port_address: int) -> int:
    """How many commands the order ring takes now."""
    port = Port(port_address)
    return move_gate(port.orders) - port.orders.producer.position


class Bridge:
    """The gateway's seat at the rings."""

    def __init__(
        self, venue: VenueMemory, apply: Callable[[Any], None], late: bool = False
    ) -> None:
        """Join the event rings; `apply` gets every decoded event, those of a shard in order.

        LateStart when the first event of a ring is not to be had any more, unless `late` says
        that the gateway will learn elsewhere what has passed: then `begin_behind` follows.
        """
        self.source = venue.source_number(GATEWAY)
        self._apply = apply
        self._venue = venue
        self._fence = Fence(venue.entry(GATEWAY), venue.epoch)
        self._port: Port = Port.allocate()
        port, topology = self._port, venue.topology
        port.clock = venue.counters.clock
        port.orders = venue.rings[order_ring(GATEWAY)]
        venue.point_at_events(port.events, GATEWAY)
        port.bell = venue.entry(GATEWAY).bell
        port.ingest_bell = venue.entry(topology.host_of(INGEST)).bell
        for shard, stage in enumerate(topology.shards):
            port.matching_bells[shard] = venue.entry(topology.host_of(stage)).bell
        self._inbox = memory.allocate(EVENTS_PER_TURN_MAX * MESSAGE_BYTES, "gateway.inbox")
        self._outbox = memory.allocate(COMMANDS_PER_FLUSH_MAX * MESSAGE_BYTES, "gateway.outbox")
        port.inbox, port.outbox = self._inbox.start, self._outbox.start
        cursors = [venue.cursor(ring, GATEWAY) for ring in topology.event_rings]
        if not all(cursor.active for cursor in cursors):
            venue.join_events(GATEWAY)
        self.positions = [cursor.position for cursor in cursors]
        "Events of each shard that had passed when this gateway came."
        passed = sum(self.positions)
        if passed != 0 and not late:
            raise LateStart(
                f"{passed} events have passed before the gateway started: it keeps "
                "orders and books from events alone and cannot know them; restart the venue"
            )
        port.mark = self._mark = venue.counters.durable
        self.sequence = self._begun = resume(port.orders)
        "Source sequence of the last command submitted."
        self._reserve = port.orders.slot_count // CANCEL_RESERVE
        self._free = free_slots(port.address)
        self._pending = 0
        self._applied = 0
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failed: Callable[[BaseException], None] | None = None
        self._descriptor = port.bell.descriptor
        assert self._descriptor > NO_DESCRIPTOR, (
            "the supervisor gives the gateway's bell an eventfd"
        )

    def start(
        self, loop: asyncio.AbstractEventLoop, failed: Callable[[BaseException], None]
    ) -> None:
        """Begin to follow events; `failed` is called once if that goes wrong, which is a bug."""
        self._loop, self._failed = loop, failed
        self.warm_up()
        loop.add_reader(self._descriptor, self._rung)
        loop.call_soon(self._turn)

    def warm_up(self) -> None:
        """Compile what `submit` and the event side call, before anybody waits for it."""
        send_commands(self._port.address, 0)
        take_events(self._port.address, 0, 0)

    def close(self) -> None:
        """Stop following events and let the producer go on without this reader."""
        if self._closed:
            return
        self._closed = True
        if self._loop is not None:
            self._loop.remove_reader(self._descriptor)
        self._fence.check()
        self._venue.leave_events(GATEWAY)

    def begin_behind(self, sequences: Sequence[int]) -> None:
        """Begin with the events after these, one number for each shard."""
        pairs = enumerate(zip(sequences, self.positions, strict=True))
        for shard, (sequence, position) in pairs:
            assert sequence >= position, f"events {position} to {sequence} would be missing"
            self._port.begins[shard] = sequence

    def is_mine(self, event: Any) -> bool:
        """Whether an event answers a command of this gateway, not of one before in its seat."""
        mine: bool = event.source == self.source and event.source_sequence > self._begun
        return mine

    @property
    def shard(self) -> int:
        """The matching shard whose event is being applied."""
        return self._port.shard

    # --- events --------------------------------------------------------------------------------

    def _rung(self) -> None:
        os.eventfd_read(self._descriptor)
        self._turn()

    def _turn(self) -> None:
        """Apply one batch; come again until the ring is empty and the bell armed."""
        if self._closed:
            return
        self._fence.check()
        try:
            count = take_events(self._port.address, self._applied, EVENTS_PER_TURN_MAX)
            self._applied = 0
            view, apply = self._inbox.view, self._apply
            for start in range(0, count * MESSAGE_BYTES, MESSAGE_BYTES):
                apply(decode_event(view, start))
        except BaseException as error:
            self.close()
            assert self._failed is not None
            self._failed(error)
            return
        self._applied = count
        if count > 0:
            assert self._loop is not None
            self._loop.call_soon(self._turn)

    # --- commands ------------------------------------------------------------------------------

    def submit(self, **values: Any) -> int:
        """Queue a command with these fields; returns its source sequence. See `submit_all`."""
        return self.submit_all((values,))

    def submit_all(self, commands: Sequence[Values]) -> int:
        """Queue commands that follow each other; returns the source sequence of the first.

        They leave at the end of this turn of the loop. EngineBusy, and none is sent, when the
        order ring has no room for all; one that takes nothing back must leave the room that is
        kept for cancels. DiskFull when only what takes something back can still be journaled.
        Stopping when the bridge is closed, or the journal has failed.
        """
        count = len(commands)
        assert 0 < count <= COMMANDS_PER_FLUSH_MAX, f"submit_all: {count} commands"
        takes_back = all(values["kind"] in TAKES_BACK for values in commands)
        state = self._mark.state
        if self._closed or state == FAILED:
            raise Stopping("the venue stops; nothing was sent")
        if state == FULL and not takes_back:
            raise DiskFull(
                "the disk has no room for more of the journal; nothing was sent; cancels, phases "
                "and rules are still taken"
            )
        wanted = count + (0 if takes_back else self._reserve)
        if self._free - self._pending < wanted:
            self._free = free_slots(self._port.address)
            if self._free - self._pending < wanted:
                raise EngineBusy("the order ring is full; nothing was sent, try again")
        if self._pending + count > COMMANDS_PER_FLUSH_MAX:
            self._flush()
        blank, pack = COMMAND_CODEC.blank, COMMAND_CODEC.struct.pack_into
        for values in commands:
            start = self._pending * MESSAGE_BYTES
            pack(self._outbox.view, start, *(blank | values).values())
            self._pending += 1
        first = self.sequence + 1
        self.sequence += count
        if self._pending == COMMANDS_PER_FLUSH_MAX:
            self._flush()
        elif self._pending == count:
            assert self._loop is not None, "submit before start"
            self._loop.call_soon(self._flush)
        return first

    def _flush(self) -> None:
        if self._pending > 0 and not self._closed:
            self._fence.check()
            self._free -= send_commands(self._port.address, self._pending)
            self._pending = 0
