"""A replica that follows the decisions of a venue comes to the same state, byte for byte."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from engine.config import Config
from engine.durability.blocks import Block, copy, differences
from engine.durability.replica import Replica
from engine.inprocess import InProcessVenue
from engine.messages import MESSAGE_BYTES, PLAIN_BYTES, CommandFlag, Decision
from ipc import memory
from ipc.jit import INTERPRETED
from ipc.record import Codec
from ipc.ring import Ring
from tests.sharded import sharded_config, stream

FUNDS = 50_000
"""So little that what risk had seen decides."""

DECISION = Codec(Decision)


def blocks_of(venue: Any) -> dict[str, Block]:
    """The states of a live venue."""
    found = {"reference": venue.reference, "ingest": venue.ingest, "risk": venue.risk}
    found |= {f"matching.{shard}": state for shard, state in enumerate(venue.matching)}
    return {name: Block.of(state) for name, state in found.items()}


def records_of(ring: Ring, first: int, end: int) -> list[bytes]:
    """Decisions as a journal keeps them."""
    region = memory.find(ring.address, Ring.size)
    start = region.offset(ring.address, Ring.size) + Ring.size
    found = []
    for position in range(first, end):
        at = start + (position & ring.mask) * MESSAGE_BYTES
        raw = bytes(region.view[at : at + MESSAGE_BYTES])
        terms = DECISION.values._make(DECISION.struct.unpack(raw)).flags & CommandFlag.TERMS
        found.append(raw if terms else raw[:PLAIN_BYTES])
    return found


class Followed:
    """A venue in this process and a replica beside it."""

    def __init__(self, config: Config) -> None:
        """Both as the configuration makes them."""
        self.venue = InProcessVenue(config)
        parts = self.venue.venue
        self.replica = Replica(config.venue.shards, config.rings.event_slots)
        for name, block in blocks_of(parts).items():
            copy(block, self.replica.blocks[name])
        self.replica.create_histories()
        self.replica.begin(0, [0] * config.venue.shards)
        self.records: list[bytes] = []

    def run(self, commands: Any, step: int = 3000) -> None:
        """Send commands; the records that they come to are kept."""
        ring = self.venue.venue.rings["decisions"]
        for start in range(0, len(commands), step):
            before = ring.producer.position
            self.venue.run(commands[start : start + step], events_max=0)
            self.records += records_of(ring, before, ring.producer.position)

    def follow(self, seed: int) -> None:
        """Give the replica what is new, in payloads of random sizes."""
        chance = np.random.default_rng(seed)
        rest = self.records[self.replica.dseq :]
        while rest:
            size = int(chance.integers(1, 600))
            self.replica.apply(b"".join(rest[:size]))
            rest = rest[size:]

    def check(self) -> None:
        """Both are the same."""
        self.replica.hear_all()
        assert self.replica.dseq == len(self.records)
        live = blocks_of(self.venue.venue)
        for name, block in live.items():
            found = list(differences(block, self.replica.blocks[name]))
            assert not found, f"{name} differs at {found[:5]}"


@pytest.fixture
def followed() -> Iterator[Any]:
    made: list[Followed] = []

    def make(config: Config) -> Followed:
        made.append(Followed(config))
        return made[-1]

    yield make
    for each in made:
        each.replica.free()


@pytest.mark.parametrize("shards", [1, 3])
def test_a_replica_comes_to_the_same_state(followed: Any, shards: int) -> None:
    both = followed(sharded_config(shards, FUNDS))
    both.run(stream(1, 400 if INTERPRETED else 20_000))
    both.follow(2)
    both.check()


def test_matching_alone_makes_the_same_books(followed: Any) -> None:
    config = sharded_config(2, FUNDS)
    both = followed(config)
    alone = Replica(2, config.rings.event_slots, history=False, audits=False)
    for name, block in both.replica.blocks.items():
        if name in alone.blocks:
            copy(block, alone.blocks[name])
    alone.begin(0, [0, 0])
    both.run(stream(3, 400 if INTERPRETED else 20_000))
    for start in range(0, len(both.records), 1000):
        alone.apply(b"".join(both.records[start : start + 1000]))
    assert alone.dseq == len(both.records)
    both.follow(4)
    assert alone.state_hashes == both.replica.state_hashes
    for shard in range(2):
        name = f"matching.{shard}"
        assert not list(differences(alone.blocks[name], both.replica.blocks[name]))
    alone.free()
