"""A venue's history made again from its journal, by the engine's own replica.

A derivation begins where the venue began, or at a checkpoint that it took itself. One serves as
the shadow of a run, others bring back what has died, and the last one judges.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from engine.durability.blocks import Block
from engine.durability.reader import Frame, JournalReader, joined
from engine.durability.replica import Replica
from engine.durability.storage import Storage
from ipc import memory
from ipc.record import Record
from tools.simulation.pages import Pages, difference
from tools.simulation.worlds import EVENT_SLOTS_MAX, World


@dataclass(slots=True)
class History:
    """What a journal says happened."""

    payloads: list[bytes] = field(default_factory=list)
    "Decisions, one after the other."
    events: list[bytearray] = field(default_factory=list)
    "Slots of all events, for each shard."


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state as a snapshot file would have it."""

    dseq: int
    sequences: list[int]
    term: int
    pages: dict[str, tuple[Any, bytes]]
    "Numbers and contents of the pages that have changed since the beginning, of each block."


class Derivation:
    """A replica with memory of its own, used again for each seed."""

    def __init__(self, world: World) -> None:
        """Take over the first contents of a world."""
        self.world = world
        made: dict[str, Block] = {"reference": Block.of(world.venue.reference)}
        self.pages: dict[str, Pages] = {}
        "Its state blocks; those that the world has, too, have the same names there."
        for name, part in world.states().items():
            made[name] = self._copy(name, part)
        self.replica = Replica(world.shards, EVENT_SLOTS_MAX, made, history=False)
        for name, block in self.replica.blocks.items():
            if name not in made:
                self.pages[name] = world.freeze(memory.find(block.address, block.size))
        self.history = History()

    def _copy(self, name: str, part: Record) -> Block:
        block = Block.allocate(type(part), f"derivation.{name}")
        region = memory.find(block.address, block.size)
        self.pages[name] = self.world.freeze(region, self.world.pages[name])
        return block

    def restart(self, snapshot: Snapshot | None = None) -> None:
        """Back to the beginning, or to a snapshot."""
        for part in self.pages.values():
            part.restore()
        shards = self.world.shards
        self.history = History(events=[bytearray() for _ in range(shards)])
        if snapshot is None:
            self.replica.begin(0, [0] * shards)
        else:
            for name, (numbers, raw) in snapshot.pages.items():
                self.pages[name].load(numbers, raw)
            self.replica.begin(snapshot.dseq, snapshot.sequences, snapshot.term)
        self.replica.send_events_to(None)

    def take_snapshot(self) -> Snapshot:
        """The present state."""
        replica = self.replica
        replica.keep_pending()
        pages = {name: part.save() for name, part in self.pages.items()}
        return Snapshot(replica.dseq, list(replica.sequences), replica.term, pages)

    def record(self) -> None:
        """Keep all frames and events from now on."""
        self.replica.send_events_to(self._keep)

    def _keep(self, shard: int, raw: memoryview) -> None:
        self.history.events[shard] += raw

    def follow(self, storage: Storage) -> None:
        """Make everything again that a journal says from here to its end.

        Raises Diverged, and what the journal's reader raises.
        """
        dseq = self.replica.dseq
        reader = JournalReader(storage, dseq)
        self.apply(reader, reader.frames(dseq + 1))

    def apply(self, reader: JournalReader, frames: Iterable[Frame]) -> bool:
        """Make again what frames of a reader say; whether there were any."""
        begun = len(self.history.payloads)
        for payload in joined(frames):
            self.history.payloads.append(payload)
            self.replica.apply(payload)
        self.replica.term = max(self.replica.term, reader.position.term)
        return len(self.history.payloads) > begun

    def settle(self) -> None:
        """Do what a venue at rest has done beyond its last decision: risk has heard of all."""
        self.replica.hear_all()

    def differs(self, other: "Derivation | World") -> str:
        """Name and offset of the first byte in which another has another state; empty: none."""
        for name in self.world.states():
            offset = difference(self.pages[name], other.pages[name])
            if offset >= 0:
                return f"block {name} at byte {offset}"
        return ""
