"""Between the rings and asyncio: events out, commands in, both in batches.

    event ring --take_events--> private buffer --decode--> `apply` --next take_events--> consumed
    `submit` --> private buffer --send_commands, once per turn of the loop--> order ring

One compiled call moves a whole batch; it takes the address of its port, because numba would look
up the type of a port itself at each call (measured: 0.2 instead of 5 to 8 us). Events are
consumed only after Python has applied them. The gateway sleeps in its event loop: it arms its
doorbell, whose eventfd the loop watches, looks at the ring once more, and whoever publishes
events signals the eventfd.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any, Final

from engine.messages import (
    COMMAND_CODEC,
    EVENT_CODECS,
    MESSAGE_BYTES,
    Command,
    CommandKind,
    Message,
)
from engine.topology import GATEWAY, INGEST, MATCHING, order_ring
from engine.venue import VenueMemory
from gateway.errors import EngineBusy
from ipc import memory
from ipc.clock import Clock, ticks
from ipc.intrinsics import fence
from ipc.jit import kernel
from ipc.record import Array, Record, Ref, i64, length
from ipc.ring import (
    Cursor,
    Ring,
    claim,
    consume,
    join,
    leave,
    move_gate,
    publish,
    ready,
    resume,
    slot,
)
from ipc.wait import NO_DESCRIPTOR, Doorbell, arm, ring_bell

EVENTS_PER_TURN_MAX: Final = 256
"""Events applied before the event loop serves its connections again: about a millisecond."""

COMMANDS_PER_FLUSH_MAX: Final = 256
"""Commands that one turn of the loop collects before they are sent without waiting for its end."""

CANCEL_RESERVE: Final = 8
"""One slot in this many of the order ring is kept for cancels: risk can always be taken back."""

WORDS_PER_MESSAGE: Final = MESSAGE_BYTES // 8

_KIND_OFFSET: Final = Message.fields["kind"].offset
_DECODERS: Final = {
    int(kind): (codec.struct.unpack_from, codec.values._make)
    for kind, codec in EVENT_CODECS.items()
}

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
    events: Ref[Ring]
    cursor: Ref[Cursor]
    bell: Ref[Doorbell]
    ingest_bell: Ref[Doorbell]
    matching_bell: Ref[Doorbell]
    inbox: i64
    "Address of room for EVENTS_PER_TURN_MAX events."
    outbox: i64
    "Address of room for COMMANDS_PER_FLUSH_MAX commands."


@kernel
def take_events(port_address: int, applied: int, wanted: int) -> int:
    """Give back `applied` events, then copy up to `wanted` new ones; returns how many.

    0 means that there are none and that the bell is armed.
    """
    port = Port(port_address)
    events, cursor = port.events, port.cursor
    if applied > 0:
        consume(cursor, applied)
        fence()
        # Matching stops only when the ring is almost full: no need to wake it otherwise.
        waiting = events.producer.position - cursor.position + applied
        if waiting >= events.slot_count >> 1:
            ring_bell(port.matching_bell)
    count = ready(events, cursor, wanted)
    if count == 0:
        arm(port.bell)
        count = ready(events, cursor, wanted)
        if count == 0:
            return 0
        port.bell.armed = 0
    first = cursor.position
    for index in range(count):
        source = Words(slot(events, first + index))
        target = Words(port.inbox + index * MESSAGE_BYTES)
        for word in range(WORDS_PER_MESSAGE):
            target.words[word] = source.words[word]
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
        for word in range(1, WORDS_PER_MESSAGE):  # the first one is for `publish`
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

    def __init__(self, venue: VenueMemory, apply: Callable[[Any], None]) -> None:
        """Join the event ring; `apply` gets every decoded event, in order.

        LateStart when the ring's first event is not to be had any more.
        """
        self.source = venue.source_number(GATEWAY)
        self._apply = apply
        self._venue = venue
        self._reader = venue.topology.ring("events").readers.index(GATEWAY)
        self._port: Port = Port.allocate()
        port, topology = self._port, venue.topology
        port.clock = venue.counters.clock
        port.orders, port.events = venue.rings[order_ring(GATEWAY)], venue.rings["events"]
        port.cursor = venue.cursor("events", GATEWAY)
        port.bell = venue.entry(GATEWAY).bell
        port.ingest_bell = venue.entry(topology.host_of(INGEST)).bell
        port.matching_bell = venue.entry(topology.host_of(MATCHING)).bell
        self._inbox = memory.allocate(EVENTS_PER_TURN_MAX * MESSAGE_BYTES, "gateway.inbox")
        self._outbox = memory.allocate(COMMANDS_PER_FLUSH_MAX * MESSAGE_BYTES, "gateway.outbox")
        port.inbox, port.outbox = self._inbox.start, self._outbox.start
        if port.cursor.active == 0:
            join(port.events, self._reader)
        if port.cursor.position != 0:
            raise LateStart(
                f"{port.cursor.position} events have passed before the gateway started: it keeps "
                "orders and books from events alone and cannot know them; restart the venue"
            )
        self.sequence = resume(port.orders)
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
        leave(self._port.events, self._reader)

    # --- events --------------------------------------------------------------------------------

    def _rung(self) -> None:
        os.eventfd_read(self._descriptor)
        self._turn()

    def _turn(self) -> None:
        """Apply one batch; come again until the ring is empty and the bell armed."""
        if self._closed:
            return
        try:
            count = take_events(self._port.address, self._applied, EVENTS_PER_TURN_MAX)
            self._applied = 0
            view, apply = self._inbox.view, self._apply
            for start in range(0, count * MESSAGE_BYTES, MESSAGE_BYTES):
                unpack, make = _DECODERS[view[start + _KIND_OFFSET]]
                apply(make(unpack(view, start)))
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
        """Queue a command with these fields; returns its source sequence.

        It leaves at the end of this turn of the loop. EngineBusy when the order ring has no room,
        or for anything but a cancel only the room that is kept for cancels.
        """
        keep = 0 if values["kind"] == CommandKind.CANCEL else self._reserve
        if self._free - self._pending <= keep:
            self._free = free_slots(self._port.address)
            if self._free - self._pending <= keep:
                raise EngineBusy("the order ring is full; nothing was sent, try again")
        COMMAND_CODEC.struct.pack_into(
            self._outbox.view, self._pending * MESSAGE_BYTES, *(_BLANK | values).values()
        )
        self._pending += 1
        self.sequence += 1
        if self._pending == COMMANDS_PER_FLUSH_MAX:
            self._flush()
        elif self._pending == 1:
            assert self._loop is not None, "submit before start"
            self._loop.call_soon(self._flush)
        return self.sequence

    def _flush(self) -> None:
        if self._pending > 0 and not self._closed:
            self._free -= send_commands(self._port.address, self._pending)
            self._pending = 0


_BLANK: Final[dict[str, Any]] = {
    name: b"" if field.text else 0 for name, field in Command.fields.items()
}
"""A command without values; keys in the order of the codec."""
