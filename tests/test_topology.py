"""The shape of a venue: processes, stages and rings for each layout and number of shards."""

from typing import Any

import pytest

from engine.config import Config, load
from engine.membership import TITLE_CHARS, process_title
from engine.topology import GATEWAY, Topology, TopologyError, is_stage, kind_of, plan

pytestmark = pytest.mark.interpreted


def shaped(shards: int, cores: int = 1, clients: tuple[str, ...] = (GATEWAY,)) -> Topology:
    return plan(configured(shards, layout="auto"), clients, list(range(cores)))


def configured(shards: int, **venue: Any) -> Config:
    settings = {
        f"venue.{name}": value
        for name, value in ({"shards": shards, "durability": "memory"} | venue).items()
    }
    return load(overrides=settings)


def rings_of(topology: Topology) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {ring.name: (ring.writer, ring.readers) for ring in topology.rings}


def test_one_shard_has_no_number() -> None:
    topology = shaped(1)
    assert topology.stages == ("ingest", "risk", "matching")
    assert rings_of(topology) == {
        "orders.gateway": (GATEWAY, ("ingest",)),
        "orders.risk": ("risk", ("ingest",)),
        "commands": ("ingest", ("risk",)),
        "decisions": ("risk", ("matching",)),
        "events": ("matching", ("risk", GATEWAY)),
    }
    assert (topology.shards, topology.event_rings) == (("matching",), ("events",))


def test_each_shard_reads_the_decisions_and_writes_its_own_events() -> None:
    topology = shaped(3)
    assert topology.stages == ("ingest", "risk", "matching.0", "matching.1", "matching.2")
    rings = rings_of(topology)
    assert rings["decisions"] == ("risk", ("matching.0", "matching.1", "matching.2"))
    for shard in range(3):
        assert rings[f"events.{shard}"] == (f"matching.{shard}", ("risk", GATEWAY))
    assert topology.shards == topology.stages[2:]
    assert topology.event_rings == ("events.0", "events.1", "events.2")
    (engine,) = (each for each in topology.processes if each.name != GATEWAY)
    assert (engine.name, engine.stages) == ("engine", topology.stages)


def test_a_durable_venue_has_a_journal_and_its_supervisor_is_a_source() -> None:
    topology = plan(configured(2, durability="durable"), (GATEWAY,), [0, 1])
    assert topology.stages == ("ingest", "risk", "matching.0", "matching.1", "journal")
    rings = rings_of(topology)
    assert rings["decisions"] == ("risk", ("matching.0", "matching.1", "journal"))
    assert rings["orders.control"] == ("control", ("ingest",))
    assert topology.order_rings == ("orders.gateway", "orders.risk", "orders.control")
    assert (topology.risk_source, topology.control_source) == (1, 2)
    assert [each.name for each in topology.processes] == [GATEWAY, "engine", "journal"]
    assert topology.neighbours("journal") == ("engine",), "which may wait for room"
    assert shaped(1).is_durable is False


@pytest.mark.parametrize(
    ("wanted", "cores", "found"), [("auto", 2, 0), ("auto", 6, 1), ("on", 1, 1)]
)
def test_a_shadow_has_a_process_where_a_core_is_free(wanted: str, cores: int, found: int) -> None:
    settings = {"venue.durability": "durable", "durability.shadow": wanted}
    topology = plan(load(overrides=settings), (GATEWAY,), list(range(cores)))
    assert [each.name for each in topology.processes].count("shadow") == found


def test_spread_gives_each_shard_a_process() -> None:
    topology = plan(configured(2, layout="spread"), (GATEWAY,), [0])
    names = [process.name for process in topology.processes]
    assert names == [GATEWAY, "ingest", "risk", "matching.0", "matching.1"]
    assert topology.neighbours("matching.1") == (GATEWAY, "risk"), "not the other shard"
    assert topology.neighbours("risk") == ("ingest", "matching.0", "matching.1")
    assert topology.neighbours(GATEWAY) == ("ingest", "matching.0", "matching.1")


def test_risk_is_the_source_behind_the_clients() -> None:
    topology = shaped(2, clients=("one", "two"))
    assert topology.order_rings == ("orders.one", "orders.two", "orders.risk")
    assert topology.risk_source == 2
    sizes = {ring.name: ring.slots for ring in topology.rings}
    assert sizes["orders.risk"] == sizes["orders.one"]


@pytest.mark.parametrize(
    ("shards", "cores", "layout"),
    [(1, 3, "compact"), (1, 4, "spread"), (2, 4, "compact"), (2, 5, "spread"), (4, 7, "spread")],
)
def test_auto_spreads_where_each_stage_has_a_core(shards: int, cores: int, layout: str) -> None:
    assert shaped(shards, cores).layout == layout


def test_a_ring_with_too_many_readers_is_refused() -> None:
    """Risk and seven clients fit; so do the four shards at the decisions."""
    clients = tuple(f"client{number}" for number in range(8))
    assert len(rings_of(shaped(4, clients=clients[:7]))["events.3"][1]) == 8
    with pytest.raises(TopologyError, match=r"ring events\.0 can have 8 readers, not 9 .*fewer"):
        shaped(4, clients=clients)


def test_the_kind_of_a_stage_is_its_name_without_the_number() -> None:
    assert [kind_of(name) for name in ("risk", "matching.3")] == ["risk", "matching"]
    members = ("ingest", "matching", "matching.0", GATEWAY, "driver")
    assert [is_stage(name) for name in members] == [True, True, True, False, False]


def test_the_kernel_shows_which_shard_a_process_is() -> None:
    titles = [process_title(name) for name in ("matching", "matching.0", "matching.1")]
    assert titles == ["okimi-matching", "okimi-matchin.0", "okimi-matchin.1"]
    assert all(len(title) <= TITLE_CHARS for title in titles)
