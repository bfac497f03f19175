"""Stages that died at any moment between two of their steps, and venues that begin again."""

from collections.abc import Iterator
from typing import Any

import pytest

from engine.durability.blocks import Block, clear, copy, differences
from engine.durability.format import Position
from engine.durability.reader import JournalReader
from engine.durability.recovery import (
    Rebuild,
    blocks_of,
    continue_venue,
    decision_needed,
    replica_of,
)
from engine.durability.replica import Replica
from engine.inprocess import InProcessVenue
from ipc.counters import EVERYTHING
from ipc.jit import INTERPRETED
from tests.durability.journals import Pen
from tests.durability.memory_storage import MemoryStorage
from tests.durability.test_replica import FUNDS, records_of
from tests.sharded import sharded_config, stream

COUNT = 300 if INTERPRETED else 3_000


class Journaled:
    """A venue in this process whose decisions are journaled in memory after each run."""

    def __init__(self, shards: int) -> None:
        """Nothing has happened; the journal knows how it began."""
        self.config = sharded_config(shards, FUNDS)
        self.client = InProcessVenue(self.config)
        self.venue = self.client.venue
        self.storage = MemoryStorage(1 << 20)
        self.pen = Pen(self.storage, Position())
        self.genesis = self.replica(blocks_of(self.venue))

    def replica(self, blocks: dict[str, Block]) -> Replica:
        """A replica that stands where these blocks do, at the beginning."""
        made = replica_of(self.venue, history=False)
        for name, block in blocks.items():
            copy(block, made.blocks[name])
        made.begin(0, [0] * self.config.venue.shards)
        return made

    def begun(self) -> Replica:
        """A new one at the beginning."""
        return self.replica({name: self.genesis.blocks[name] for name in blocks_of(self.venue)})

    def run(self, seed: int) -> None:
        """Send random commands; then all of their decisions are durable."""
        ring = self.venue.rings["decisions"]
        self.client.run(stream(seed, COUNT), events_max=0)
        records = records_of(ring, self.pen.writer.durable, ring.producer.position)
        for start in range(0, len(records), 500):
            self.pen.append(b"".join(records[start : start + 500]))

    def check(self) -> None:
        """Whoever does everything again from the beginning comes to the same state."""
        replica = self.begun()
        for frame in JournalReader(self.storage).frames():
            replica.apply(frame.payload)
        replica.hear_all()
        for name, block in blocks_of(self.venue).items():
            found = list(differences(block, replica.blocks[name]))
            assert not found, f"{name} differs at {found[:5]}"
        replica.free()


@pytest.fixture
def journaled() -> Iterator[Any]:
    made: list[Journaled] = []

    def make(shards: int) -> Journaled:
        made.append(Journaled(shards))
        return made[-1]

    yield make
    for each in made:
        each.genesis.free()


@pytest.mark.parametrize(
    ("shards", "stages"),
    [
        (1, ("ingest",)),
        (1, ("risk",)),
        (1, ("matching",)),
        (1, ("ingest", "risk", "matching")),
        (2, ("risk",)),
        (2, ("matching.1",)),
        (2, ("ingest", "risk", "matching.0", "matching.1")),
    ],
)
def test_the_stages_of_a_dead_process_are_made_anew(
    journaled: Any, shards: int, stages: tuple[str, ...]
) -> None:
    both = journaled(shards)
    both.run(1)
    for name, block in blocks_of(both.venue).items():
        if name in stages or (name == "matching.0" and "matching" in stages):
            clear(block)
    replica = both.begun()
    need = decision_needed(both.venue, stages)
    rebuild = Rebuild(both.venue, stages, replica, JournalReader(both.storage), need)
    assert rebuild.step()
    replica.free()
    both.check()
    both.run(2)
    both.check()


def test_a_venue_begins_again_from_its_journal(journaled: Any) -> None:
    both = journaled(1)
    both.run(1)
    for block in blocks_of(both.venue).values():
        clear(block)
    blocks = blocks_of(both.venue)
    replica = replica_of(both.venue, blocks, history=False)
    for name, block in blocks.items():
        copy(both.genesis.blocks[name], block)
    replica.begin(0, [0])
    for frame in JournalReader(both.storage).frames():
        replica.apply(frame.payload)
    continue_venue(both.venue, replica, 2)
    assert (both.venue.counters.durable.dseq, both.venue.counters.durable.term) == (replica.dseq, 2)
    both.venue.counters.durable.dseq = EVERYTHING  # nobody commits what comes now before it is told
    replica.free()
    both.check()
    both.run(3)
    both.check()
