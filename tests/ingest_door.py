"""The ingest stage by itself, as tests drive it: twin commands in, sequenced commands out.

Its clock is manual. What lies in ring slots before a command is written there is all ones, so that
whoever reads terms that nobody sent is found out.
"""

from collections.abc import Sequence
from typing import Any

from engine.config import Config
from engine.ingest import step_ingest
from engine.limits import BATCH_MAX
from engine.messages import COMMAND_CODEC, MESSAGE_BYTES, PLAIN_BYTES, CommandFlag, SequencedCommand
from engine.process import build_loop
from engine.topology import DRIVER, order_ring, plan
from engine.venue import create_private
from ipc import memory
from ipc.clock import MANUAL
from ipc.record import Codec
from ipc.ring import claim, consume, publish, ready, slot
from tools import twin
from tools.twin.messages import TERMS_FIELDS

SEQUENCED_CODEC = Codec(SequencedCommand)


class IngestDoor:
    """One source, one ingest."""

    def __init__(self, config: Config, now_ns: int = 0) -> None:
        self.venue = create_private(config, plan(config, clients=(DRIVER,), cores=[0]))
        engine = next(each for each in self.venue.topology.processes if each.name != DRIVER)
        self.loop = build_loop(self.venue, engine)
        self.orders = self.venue.rings[order_ring(DRIVER)]
        self.out = self.venue.rings["commands"]
        self.cursor = self.venue.cursor("commands", "risk")
        clock = self.venue.counters.clock
        clock.source, clock.manual_unix_ns = MANUAL, now_ns
        for ring in (self.orders, self.out):
            for position in range(ring.slot_count):
                self.slot(ring, position)[:] = b"\xff" * MESSAGE_BYTES

    def set_time(self, now_ns: int) -> None:
        """What the wall clock shows from now on."""
        self.venue.counters.clock.manual_unix_ns = now_ns

    def send(self, commands: Sequence[twin.Command]) -> None:
        """Publish commands of source 0; their third line only if it counts."""
        assert claim(self.orders, len(commands)) == len(commands)
        for index, command in enumerate(commands):
            raw = COMMAND_CODEC.encode(**command._asdict())
            used = MESSAGE_BYTES if command.flags & CommandFlag.TERMS else PLAIN_BYTES
            self.slot(self.orders, self.orders.producer.position + index)[:used] = raw[:used]
        publish(self.orders, len(commands))

    def step(self, message_max: int = BATCH_MAX) -> int:
        """One step of the stage; how much was done."""
        return step_ingest(self.venue.ingest, self.loop.ingest_ports, message_max)

    def taken(self) -> list[twin.Sequenced]:
        """What the stage has published since the last call."""
        count = ready(self.out, self.cursor, self.out.slot_count)
        raw = b"".join(
            bytes(self.slot(self.out, self.cursor.position + index)) for index in range(count)
        )
        consume(self.cursor, count)
        return [_plain(values) for values in SEQUENCED_CODEC.decode_many(raw)]

    def run(self, commands: Sequence[twin.Command]) -> list[twin.Sequenced]:
        """Send commands and step until nothing moves."""
        self.send(commands)
        while self.step():
            pass
        return self.taken()

    def release(self) -> None:
        """Give the memory back."""
        parts: Any = self.venue
        stages = (parts.ingest, parts.risk, *parts.matching)
        blocks = (*stages, parts.reference, parts.counters)
        for part in (*blocks, *parts.rings.values()):
            memory.forget(memory.find(part.address, 1))

    def slot(self, ring: Any, position: int) -> memoryview:
        """The bytes of a slot."""
        address = slot(ring, position)
        region = memory.find(address, MESSAGE_BYTES)
        start = region.offset(address, MESSAGE_BYTES)
        return region.view[start : start + MESSAGE_BYTES]


def _plain(values: Any) -> twin.Sequenced:
    fields = values._asdict()
    del fields["stamp_ticks"]
    if not fields["flags"] & CommandFlag.TERMS:
        fields |= dict.fromkeys(TERMS_FIELDS, 0)
    fields["client_order_id"] = fields["client_order_id"].rstrip(b"\0")
    return twin.Sequenced(**fields)
