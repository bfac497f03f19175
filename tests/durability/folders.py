"""Data folders for tests: a venue in this process runs commands, its decisions become a journal."""

from pathlib import Path
from typing import Any, Final

from engine.config import Config
from engine.durability import datadir
from engine.durability.datadir import DataDir, Identity
from engine.durability.file_storage import FileStorage
from engine.durability.format import FrameBuffer, Position
from engine.durability.recovery import write_genesis
from engine.durability.writer import JournalWriter
from engine.inprocess import InProcessVenue
from engine.messages import MESSAGE_BYTES, PLAIN_BYTES, CommandFlag, Message
from engine.topology import JOURNAL
from ipc import memory
from ipc.counters import EVERYTHING
from ipc.ring import Ring

SEGMENT_BYTES: Final = 1 << 20
BATCH: Final = 2_000
"""Commands between two looks at the ring of decisions: no more than fit it."""


class Recorder:
    """A venue whose decisions are written into the journal of a data folder."""

    def __init__(self, path: Path, config: Config, frame_decisions: int = 50) -> None:
        self.venue = InProcessVenue(config)
        self.events: list[Any] = []
        "Raw events of all shards, as the driver got them."
        memory_of = self.venue.venue
        name, shards = config.venue.name, config.venue.shards
        begun = datadir.begin(path, Identity(name, shards, config.rings.event_slots))
        write_genesis(memory_of, begun)
        self.folder: DataDir = datadir.settle(begun)
        self._storage = FileStorage(path, SEGMENT_BYTES)
        self._writer = JournalWriter(self._storage, Position(), 1)
        self._frame, self._frame_decisions = FrameBuffer(), frame_decisions
        self._taken = 0
        if memory_of.topology.is_durable:  # what is written here is written at once
            memory_of.counters.durable.dseq = EVERYTHING

    def run(self, commands: Any) -> None:
        """Execute commands and journal what was decided."""
        for start in range(0, len(commands), BATCH):
            outcome = self.venue.run(commands[start : start + BATCH])
            self.events.append(outcome.events)
            self._journal()

    def _journal(self) -> None:
        ring: Ring = self.venue.venue.rings["decisions"]
        written = ring.producer.position
        assert written - self._taken <= ring.slot_count, "decisions were overwritten"
        while self._taken < written:
            count = min(written - self._taken, self._frame_decisions)
            payload = b"".join(_record(ring, self._taken + each) for each in range(count))
            self._frame.payload[: len(payload)] = payload
            self._writer.append(self._frame, len(payload))
            self._taken += count
        if self.venue.venue.topology.is_durable:
            self.venue.venue.cursor("decisions", JOURNAL).position = written
        self._writer.idle()

    @property
    def last(self) -> int:
        """The last decision in the journal."""
        return self._taken

    def close(self) -> None:
        """End writing, and give the venue's memory back."""
        self._storage.close()
        parts = self.venue.venue
        stages = (parts.ingest, parts.risk, *parts.matching)
        for part in (*stages, parts.reference, parts.counters, *parts.rings.values()):
            memory.forget(memory.find(part.address, 1))


def _record(ring: Ring, position: int) -> bytes:
    """A decision as it is in a payload."""
    address = ring.address + Ring.size + position % ring.slot_count * MESSAGE_BYTES
    has_terms = Message(address).flags & CommandFlag.TERMS
    size = MESSAGE_BYTES if has_terms else PLAIN_BYTES
    region = memory.find(address, size)
    start = region.offset(address, size)
    return bytes(region.view[start : start + size])
