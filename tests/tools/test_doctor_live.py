"""`okimi doctor` against real cores, real segments and real venues."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engine.config import Config, load
from engine.venue import VenueMemory, segment_name
from ipc import segment
from ipc.counters import enlist
from tools import doctor
from tools.doctor import FAIL, OK, WARN, clocks
from tools.doctor import venue as venues
from tools.doctor.check import Machine
from tools.sample import VenueNotFound, take

# --- the counter of each core --------------------------------------------------------------------


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_the_counters_of_two_cores_are_compared() -> None:
    first, second = sorted(os.sched_getaffinity(0))[:2]
    allowed = os.sched_getaffinity(0)
    bounds = clocks.offset_ns(first, second)
    assert os.sched_getaffinity(0) == allowed
    if bounds is None:
        pytest.skip("the other core was too busy to answer")
    low, high = bounds
    assert low <= high + clocks.OFFSET_NS_MAX


@pytest.mark.parametrize(("stamp", "ahead"), [(1 << 61, True), (0, False)])
def test_a_counter_that_differs_is_noticed(stamp: int, ahead: bool) -> None:
    exchange: clocks.Exchange = clocks.Exchange.allocate()
    clocks.ask(exchange, 0, 0)
    exchange.call.round = 0

    def reply() -> None:
        while (asked := exchange.call.round) >= 0:
            if asked != exchange.answer.round:
                exchange.answer.stamp_ticks = stamp
                exchange.answer.round = asked

    other = threading.Thread(target=reply)
    other.start()
    answered = clocks.ask(exchange, 3, 60_000_000_000)
    other.join()
    assert answered == 3
    if ahead:
        assert exchange.call.low_ticks > 0
    else:
        assert exchange.call.high_ticks < 0


def test_a_core_that_does_not_answer_is_given_up() -> None:
    exchange: clocks.Exchange = clocks.Exchange.allocate()
    assert clocks.ask(exchange, 10, 1_000_000) == 0
    assert exchange.call.round == -1


def test_cores_of_venues_are_left_in_peace(venue: VenueMemory, name: str) -> None:
    assert {each.cpu for each in venue.topology.processes} <= venues.busy_cores()
    check = clocks.check_agreement(Machine(cores=(0, 1), hot_cores=(1,)), busy={0})
    assert check.severity == OK
    assert "not" in check.found


# --- venues ------------------------------------------------------------------------------------


def test_what_a_dead_venue_left_is_a_warning(name: str, children: Any) -> None:
    part = segment_name(name, "counters")
    children.kill(children.start(lambda: segment.create(part, 4096, 7)))
    check = venues.check_stale()
    assert check.severity == WARN
    assert check.remedy == "okimi clean"
    assert int(check.found.partition(":")[0]) >= 1


def test_a_file_in_the_way_is_a_warning(name: str) -> None:
    path = segment.SHARED_MEMORY / segment_name(name, "counters")
    path.write_bytes(b"not okimi" * 100)
    check = venues.check_segments()
    assert check.severity == WARN
    assert path.name in check.found


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_a_port_that_another_program_has_is_a_failure(taken_port: int) -> None:
    config = load(
        overrides={"venue.durability": "memory", "gateway.http": f"127.0.0.1:{taken_port}"}
    )
    check = venues.check_port(config)
    assert check.severity == FAIL
    assert str(taken_port) in check.remedy
    assert (
        venues.check_port(
            load(overrides={"venue.durability": "memory", "gateway.http": "127.0.0.1:0"})
        ).severity
        == OK
    )


def test_a_port_that_a_venue_serves_is_none(venue: VenueMemory, taken_port: int) -> None:
    address = f"127.0.0.1:{taken_port}"
    venue.counters.http.set(address)
    check = venues.check_port(
        load(overrides={"venue.durability": "memory", "gateway.http": address})
    )
    assert check.severity == OK
    assert venue.config.venue.name in check.found


def test_a_venue_is_examined_by_name(
    venue: VenueMemory, config: Config, name: str, start: Callable[[], None]
) -> None:
    found = {check.name: check for check in doctor.examine(name)}
    assert found[f"venue {name}"].severity == FAIL
    assert "gateway, engine not alive" in found[f"venue {name}"].found
    start()
    ready, pinned = venues.check_venue(take(name))
    assert (ready.severity, pinned.severity) == (OK, OK)
    with pytest.raises(VenueNotFound):
        doctor.examine("nowhere")


def test_a_process_off_its_core_is_a_warning(
    venue: VenueMemory, name: str, start: Callable[[], None], children: Any
) -> None:
    start()
    core = min(os.sched_getaffinity(0))
    entry = venue.entry("engine")

    def join_there() -> None:
        os.sched_setaffinity(0, {core})
        enlist(entry)

    children.start(join_there)
    entry.cpu = core
    assert venues.check_venue(take(name))[1].severity == OK
    entry.cpu = core + 1
    astray = venues.check_venue(take(name))[1]
    assert (astray.severity, astray.found) == (WARN, "astray: engine")
