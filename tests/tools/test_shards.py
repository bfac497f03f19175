"""What the tools say of a venue with several matching shards."""

from collections.abc import Callable, Iterator

import pytest
from rich.console import RenderableType

from engine.config import Config, load
from engine.topology import GATEWAY, plan
from engine.venue import VenueMemory, create
from ipc.counters import write_checkpoint
from ipc.segment import SHARED_MEMORY
from tools.doctor.memory import venue_bytes
from tools.sample import take
from tools.status import collect, render
from tools.top import board

RINGS = ["orders.gateway", "orders.risk", "commands", "decisions", "events.0", "events.1"]


@pytest.fixture
def config(name: str) -> Config:
    return load(overrides={"venue.durability": "memory", "venue.name": name, "venue.shards": 2})


@pytest.fixture
def venue(config: Config) -> Iterator[VenueMemory]:
    """The shared memory of a venue with two shards and a gateway, which has not started."""
    made = create(config, plan(config, (GATEWAY,), cores=[0]))
    try:
        yield made
    finally:
        made.close()


def test_status_tells_of_each_shard(
    venue: VenueMemory, name: str, shown: Callable[[RenderableType], str]
) -> None:
    for shard, position in enumerate((10, 7)):
        venue.rings[f"events.{shard}"].producer.position = position
        venue.statistics(f"matching.{shard}").taken = 100 + shard
    found = collect(name, measured_seconds=0)
    assert [ring["name"] for ring in found["rings"]] == RINGS
    assert [reader["name"] for reader in found["rings"][3]["readers"]] == [
        "matching.0",
        "matching.1",
    ]
    assert found["event_seq"] == 17, "all shards together"
    assert [found["stages"][f"matching.{shard}"]["taken"] for shard in (0, 1)] == [100, 101]
    text = shown(render(found))
    assert "matching.1" in text
    assert "events.1" in text


def test_each_shard_has_its_hash(
    venue: VenueMemory, name: str, shown: Callable[[RenderableType], str]
) -> None:
    found = collect(name, measured_seconds=0)
    assert (found["state_hash"], found["state_hash_seq"]) == (None, None)
    write_checkpoint(venue.statistics("matching.1"), 70_000, -1)
    found = collect(name, measured_seconds=0)
    assert found["state_hash"] == {"matching.0": None, "matching.1": "f" * 16}
    assert found["state_hash_seq"] == {"matching.0": None, "matching.1": 70_000}
    text = shown(render(found))
    assert "matching.0 state hash -" in text
    assert "matching.1 state hash ffffffffffffffff at decision 70000" in text


def test_the_event_sequence_is_unknown_while_a_ring_is_missing(
    venue: VenueMemory, name: str
) -> None:
    venue.rings["events.0"].producer.position = 10
    (part,) = (each.name for each in venue.segments if each.name.endswith("ring.events.1"))
    (SHARED_MEMORY / part).unlink()
    found = collect(name, measured_seconds=0)
    assert found["missing_rings"] == ["events.1"]
    assert found["event_seq"] is None


def test_top_counts_the_events_of_each_shard(
    venue: VenueMemory, name: str, shown: Callable[[RenderableType], str]
) -> None:
    venue.rings["events.0"].producer.position = 123
    text = shown(board(None, take(name)))
    assert "events.0 123" in text
    assert "events.1 0" in text


def test_the_doctor_counts_the_memory_of_each_shard(config: Config, venue: VenueMemory) -> None:
    found = venue_bytes(config)
    assert found["state.matching.0"] == found["state.matching.1"]
    made = {each.name.removeprefix(f"okimi.{config.venue.name}.") for each in venue.segments}
    assert found.keys() == made
