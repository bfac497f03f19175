"""The supervisor as a source of commands: what it has to say to a durable venue.

It is sequenced, decided, journaled and replayed like any other command. Only the supervisor writes
`orders.control`.
"""

from engine.messages import (
    COMMAND_CODEC,
    MESSAGE_BYTES,
    CommandFlag,
    CommandKind,
    Decision,
    Message,
    Phase,
)
from engine.stage import copy_message
from engine.topology import CONTROL, INGEST, JOURNAL, RISK, order_ring
from engine.venue import VenueMemory
from ipc import memory
from ipc.clock import Clock, ticks
from ipc.jit import kernel
from ipc.ring import Ring, claim, publish, resume, slot
from ipc.wait import wake


@kernel
def send_message(ring: Ring, message: Message, clock: Clock) -> int:
    """Publish one message; returns its place in the ring, from 1, or 0 when the ring is full."""
    if claim(ring, 1) == 0:
        return 0
    target = Message(slot(ring, ring.producer.position))
    copy_message(target.address, message.address)
    target.stamp_ticks = ticks(clock)
    publish(ring, 1)
    return ring.producer.position


class Control:
    """The supervisor's seat at `orders.control`."""

    def __init__(self, venue: VenueMemory) -> None:
        """Take the seat; compiles what it needs, so come here before processes wait for it."""
        self._venue = venue
        self._ring = venue.rings[order_ring(CONTROL)]
        self._message = memory.allocate(MESSAGE_BYTES, "control.message")
        resume(self._ring)

    def barrier(self, term: int) -> int:
        """The venue has been started for the `term`-th time."""
        return self._send(CommandKind.BARRIER, order_id=term)

    def skip(self, dseq: int) -> int:
        """Matching refuses this decision from now on, in every replay, too."""
        return self._send(CommandKind.SKIP, order_id=dseq)

    def halt(self, instrument: int) -> int:
        """Stop the trading of an instrument."""
        phase = Phase.HALT.value
        return self._send(
            CommandKind.PHASE, instrument=instrument, flags=CommandFlag.TERMS, phase=phase
        )

    def _send(self, kind: CommandKind, **values: int) -> int:
        """Returns the place in the ring, from 1."""
        self._message.view[:] = COMMAND_CODEC.encode(**{"kind": kind, **values})
        message = Message(self._message.start)
        sent = send_message(self._ring, message, self._venue.counters.clock)
        assert sent > 0, "the supervisor sends little, and waits for it"
        wake(self._venue.entry(self._venue.topology.host_of(INGEST)).bell)
        return sent

    def instrument_of(self, dseq: int) -> int | None:
        """The instrument of a decision, as long as the ring has it: until matching is past it."""
        ring = self._venue.rings["decisions"]
        decision = Decision(slot(ring, dseq - 1))
        return int(decision.instrument) if decision.sequence == dseq else None

    def is_durable(self, sent: int) -> bool:
        """Whether what was sent there has been decided, journaled and can be told of.

        Looks at the rings in the order in which a command passes them.
        """
        venue = self._venue
        if venue.cursor(order_ring(CONTROL), INGEST).position < sent:
            return False
        commands = venue.rings["commands"].producer.position
        if venue.cursor("commands", RISK).position < commands:
            return False
        decided = venue.rings["decisions"].producer.position
        return venue.counters.durable.dseq >= decided

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way: all commands decided, executed and journaled."""
        topology, rings = self._venue.topology, self._venue.rings
        readers = [(name, INGEST) for name in topology.order_rings] + [("commands", RISK)]
        readers += [("decisions", stage) for stage in (*topology.shards, JOURNAL)]
        return all(
            self._venue.cursor(ring, reader).position == rings[ring].producer.position
            for ring, reader in readers
        )
