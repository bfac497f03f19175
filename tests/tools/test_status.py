"""`okimi status` against the memory of real venues, and processes that really die."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import orjson
import pytest
from rich.console import RenderableType

from engine.config import Config
from engine.driver import Driver
from engine.messages import Command, CommandKind, OrderType, Side, TimeInForce
from engine.process import serve_stages
from engine.topology import DRIVER, GATEWAY, plan
from engine.venue import VenueMemory, create, segment_name
from ipc import segment
from ipc.counters import RUNNING, CountersFile, enlist, write_checkpoint
from ipc.errors import SegmentMismatch
from ipc.record import numpy_dtype
from tools.sample import HEARTBEAT_AGE_MAX_NS, processor_ns, take
from tools.status import VenueNotFound, collect, render, venues

Start = Callable[[], None]
Shown = Callable[[RenderableType], str]

CLI_FIELDS = {
    "ready",
    "durability",
    "processes",
    "rings",
    "durable_seq",
    "decision_seq",
    "event_seq",
    "state_hash",
    "state_hash_seq",
}
PROCESS_FIELDS = {"name", "pid", "alive", "restarts", "heartbeat_age_ms", "cpu_percent"}


def status(name: str) -> dict[str, Any]:
    return collect(name, measured_seconds=0.01)


def process(found: dict[str, Any], name: str) -> Any:
    return next(each for each in found["processes"] if each["name"] == name)


def ring(found: dict[str, Any], name: str) -> Any:
    return next(each for each in found["rings"] if each["name"] == name)


# --- which venues there are -------------------------------------------------------------------


def test_a_missing_venue_is_named_with_those_that_exist(venue: VenueMemory, name: str) -> None:
    assert name in venues()
    with pytest.raises(VenueNotFound, match=f"no venue 'nowhere'.*{name}"):
        collect("nowhere")


def test_a_removed_venue_is_missing(venue: VenueMemory, name: str) -> None:
    venue.remove()
    assert name not in venues()
    with pytest.raises(VenueNotFound):
        collect(name)


def test_a_venue_of_another_version_is_refused(name: str) -> None:
    made = segment.create(segment_name(name, "counters"), CountersFile.size, 12345)
    with pytest.raises(SegmentMismatch, match="another version"):
        collect(name)
    made.close()


# --- what is said of one -----------------------------------------------------------------------


def test_a_venue_that_has_not_started(venue: VenueMemory, name: str) -> None:
    found = status(name)
    assert set(found) >= CLI_FIELDS
    assert found["ready"] is False
    assert found["durability"] == "memory"
    assert found["durable_seq"] is None
    assert (found["state_hash"], found["state_hash_seq"]) == (None, None)
    assert found["http"] is None
    assert found["layout"] == "compact"
    assert found["supervisor"] == {"pid": os.getpid(), "alive": True}
    assert [each["name"] for each in found["processes"]] == [GATEWAY, "engine"]
    for each in found["processes"]:
        assert set(each) >= PROCESS_FIELDS
        assert (each["pid"], each["alive"], each["state"]) == (0, False, "empty")
        assert (each["restarts"], each["heartbeat_age_ms"], each["cpu_percent"]) == (0, None, 0.0)
    assert process(found, "engine")["stages"] == ["ingest", "risk", "matching"]
    assert list(found["stages"]) == ["ingest", "risk", "matching"]
    assert json.loads(orjson.dumps(found)) == found


def test_ready_when_all_have_joined_and_beat(venue: VenueMemory, name: str, start: Start) -> None:
    start()
    venue.counters.http.set("127.0.0.1:8080")
    found = status(name)
    assert found["ready"] is True
    assert found["http"] == "127.0.0.1:8080"
    assert {each["state"] for each in found["processes"]} == {"running"}
    assert process(found, "engine")["heartbeat_age_ms"] > 0
    assert found["uptime_s"] > 0


def hang(venue: VenueMemory) -> None:
    venue.entry("engine").heartbeat.word.value -= HEARTBEAT_AGE_MAX_NS


def lose_a_process(venue: VenueMemory) -> None:
    venue.entry("engine").start_time -= 1  # the pid belongs to a later process


def lose_a_ring(venue: VenueMemory) -> None:
    segment.unlink(segment_name(venue.config.venue.name, "ring.events"))


def not_joined(venue: VenueMemory) -> None:
    venue.counters.ready = 0


def stop(venue: VenueMemory) -> None:
    venue.counters.stop.value = 1


@pytest.mark.parametrize("spoil", [hang, lose_a_process, lose_a_ring, not_joined, stop])
def test_not_ready_otherwise(
    venue: VenueMemory, name: str, start: Start, spoil: Callable[[VenueMemory], None]
) -> None:
    start()
    assert take(name).ready
    spoil(venue)
    assert not take(name).ready


def test_a_missing_ring_is_named(venue: VenueMemory, name: str) -> None:
    lose_a_ring(venue)
    found = status(name)
    assert found["missing_rings"] == ["events"]
    assert [each["name"] for each in found["rings"]] == [
        "orders.gateway",
        "orders.risk",
        "commands",
        "decisions",
    ]
    assert found["event_seq"] is None


def test_a_killed_process_is_dead_before_anybody_collects_it(
    venue: VenueMemory, name: str, start: Start, children: Any
) -> None:
    start()

    def join() -> None:
        enlist(venue.entry("engine"))
        venue.entry("engine").state = RUNNING

    pid = children.start(join)
    found = process(status(name), "engine")
    assert (found["pid"], found["alive"], found["state"]) == (pid, True, "running")
    assert found["restarts"] == 1  # this process had the place first
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    found = status(name)
    assert found["ready"] is False
    dead = process(found, "engine")
    assert (dead["alive"], dead["state"], dead["cpu_percent"]) == (False, "dead", 0.0)
    assert process(found, GATEWAY)["alive"] is True


def test_the_last_error_is_told(venue: VenueMemory, name: str, shown: Shown) -> None:
    venue.entry("engine").last_error.set("AssertionError: publish: not claimed")
    found = status(name)
    assert process(found, "engine")["last_error"] == "AssertionError: publish: not claimed"
    assert "publish: not claimed" in shown(render(found))


def test_rings_and_sequences(venue: VenueMemory, name: str) -> None:
    for ring_name, position in (("commands", 90), ("decisions", 80), ("events", 1000)):
        venue.rings[ring_name].producer.position = position
    venue.cursor("commands", "risk").position = 85
    venue.cursor("decisions", "matching").position = 80
    venue.cursor("events", "risk").position = 990
    venue.cursor("events", GATEWAY).position = 400
    found = status(name)
    assert (found["decision_seq"], found["event_seq"]) == (80, 1000)
    assert ring(found, "commands")["fill"] == 5
    assert ring(found, "decisions")["fill"] == 0
    events = ring(found, "events")
    assert (events["fill"], events["capacity"]) == (600, venue.config.rings.event_slots)
    assert events["readers"] == [
        {"name": "risk", "lag": 10, "active": True},
        {"name": GATEWAY, "lag": 600, "active": True},
    ]
    venue.cursor("events", GATEWAY).active = 0
    assert ring(status(name), "events")["fill"] == 10


def test_stages_and_their_percentiles(venue: VenueMemory, name: str) -> None:
    risk = venue.statistics("risk")
    risk.taken, risk.published, risk.blocked = 1000, 998, 3
    risk.latency.counts[700], risk.latency.counts[1500] = 995, 5  # below 2048 ns a count for each
    risk.latency.largest = 1500
    assert status(name)["stages"]["risk"] == {
        "taken": 1000,
        "published": 998,
        "blocked": 3,
        "count": 1000,
        "p50": 700,
        "p99": 700,
        "p999": 1500,
        "max": 1500,
    }


def test_the_hash_of_the_last_checkpoint(venue: VenueMemory, name: str, shown: Shown) -> None:
    assert "matching state hash -" in shown(render(status(name)))
    write_checkpoint(venue.statistics("matching"), 65_536, -1)
    write_checkpoint(venue.statistics("matching"), 131_072, 0xABC)
    found = status(name)
    assert (found["state_hash"], found["state_hash_seq"]) == ("0000000000000abc", 131_072)
    assert "matching state hash 0000000000000abc at decision 131072" in shown(render(found))


def test_processor_time_is_that_of_the_process(children: Any) -> None:
    before = time.process_time_ns()
    sum(range(100_000))
    measured = processor_ns(os.getpid())
    assert before < measured <= time.process_time_ns()
    pid = children.start(lambda: None)
    children.kill(pid)
    assert processor_ns(pid) == 0


def test_a_dead_venue_says_so(config: Config, name: str, children: Any, shown: Shown) -> None:
    owner = children.start(lambda: create(config, plan(config, cores=[0])))
    assert status(name)["supervisor"] == {"pid": owner, "alive": True}
    children.kill(owner)
    found = status(name)
    assert found["supervisor"] == {"pid": owner, "alive": False}
    assert found["uptime_s"] is None
    assert found["ready"] is False
    assert "okimi clean" in shown(render(found))


def test_the_terminal_shows_it_all(
    venue: VenueMemory, name: str, start: Start, shown: Shown
) -> None:
    start()
    venue.counters.http.set("127.0.0.1:8099")
    venue.rings["commands"].producer.position = 12
    venue.statistics("matching").latency.counts[900] = 1
    venue.statistics("matching").latency.largest = 900
    text = shown(render(status(name)))
    for expected in (name, "  ready", "compact", "memory", "127.0.0.1:8099", "900 ns"):
        assert expected in text
    for plans in (venue.topology.processes, venue.topology.rings):
        assert all(each.name in text for each in plans)
    assert "risk 12" in text


# --- a venue that works ------------------------------------------------------------------------


@pytest.fixture
def driven(config: Config, children: Any) -> Iterator[Driver]:
    """A venue with an engine process of its own, driven by this process."""
    topology = plan(config, (DRIVER,), cores=[max(os.sched_getaffinity(0))])
    made = create(config, topology)
    try:
        engine = next(each for each in topology.processes if each.name == "engine")
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(serve_stages(made, engine))
            finally:
                os._exit(1)
        children.adopt(pid)
        enlist(made.entry(DRIVER))
        made.entry(DRIVER).state = RUNNING
        while made.entry("engine").state != RUNNING:
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            assert ended is None, made.entry("engine").last_error.get()
            time.sleep(0.01)
        made.counters.ready = 1
        yield Driver(made)
    finally:
        children.stop_all()
        made.close()


@pytest.mark.system
def test_a_venue_that_works_and_then_loses_its_engine(
    driven: Driver, name: str, children: Any
) -> None:
    driven.run(buy_orders(500))
    found = status(name)
    assert found["ready"] is True
    assert found["decision_seq"] == 500
    assert found["event_seq"] >= 500
    for stage in ("ingest", "risk", "matching"):
        assert found["stages"][stage]["taken"] >= 500
        assert 0 < found["stages"][stage]["p50"] <= found["stages"][stage]["max"]
    assert all(each["fill"] == 0 for each in found["rings"])
    assert process(found, "engine")["pid"] not in (0, os.getpid())
    assert process(found, DRIVER)["alive"] is True
    children.kill(process(found, "engine")["pid"])
    found = status(name)
    assert found["ready"] is False
    assert process(found, "engine")["state"] == "dead"


def buy_orders(count: int) -> Any:
    """Orders that rest, each at the same price."""
    commands = np.zeros(count, dtype=numpy_dtype(Command))
    commands["sequence"] = range(1, count + 1)
    commands["kind"] = CommandKind.NEW
    commands["side"] = Side.BUY
    commands["order_type"] = OrderType.LIMIT
    commands["time_in_force"] = TimeInForce.GTC
    commands["account"] = 1
    commands["price_ticks"] = 4_500_000
    commands["qty_lots"] = 1
    return commands
