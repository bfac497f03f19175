"""A venue starts, is watched, loses processes, and ends; nothing of it stays behind."""

import json
import os
import signal
import urllib.request

import pytest

from tests.system.commandline import gone, last_json, run_okimi, wait_until

pytestmark = pytest.mark.system


def get(venue, path):
    try:
        with urllib.request.urlopen(f"http://{venue.http}{path}", timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_up_serves_status_tells_and_ctrl_c_ends_everything(venues):
    venue = venues("--layout", "compact").wait_ready()
    status = last_json(run_okimi("status", "--name", venue.name, "--json"))
    assert status["ready"] is True
    assert status["durability"] == "memory"
    assert status["durable_seq"] is None
    assert status["state_hash"] is None
    assert {entry["name"] for entry in status["processes"]} == {"gateway", "engine"}
    assert all(entry["alive"] and entry["restarts"] == 0 for entry in status["processes"])
    assert {ring["name"] for ring in status["rings"]} == {
        "orders.gateway",
        "orders.risk",
        "commands",
        "decisions",
        "events",
    }
    assert get(venue, "/ready")[0] == 200
    pids = [*venue.pids().values(), venue.process.pid]
    assert venue.segments()
    venue.process.send_signal(signal.SIGINT)
    assert venue.process.wait(10) == 0
    assert venue.segments() == []
    assert wait_until(lambda: all(map(gone, pids)))


def test_spread_gives_each_stage_a_process(venues):
    venue = venues("--layout", "spread").wait_ready()
    pids = venue.pids()
    assert set(pids) == {"gateway", "ingest", "risk", "matching"}
    assert len(set(pids.values())) == 4
    assert venue.process.pid not in pids.values()


@pytest.mark.parametrize("victim", ["gateway", "ingest", "risk", "matching"])
def test_a_killed_process_is_reported_and_the_others_live(venues, victim):
    venue = venues("--layout", "spread").wait_ready()
    pids = venue.pids()
    os.kill(pids[victim], signal.SIGKILL)

    def reported():
        entries = {entry["name"]: entry for entry in venue.status()["processes"]}
        return not entries[victim]["alive"] and entries[victim]["state"] == "dead"

    assert wait_until(reported)
    status = venue.status()
    entries = {entry["name"]: entry for entry in status["processes"]}
    assert "SIGKILL" in entries[victim]["last_error"]
    assert status["ready"] is False
    assert all(entries[name]["alive"] for name in entries if name != victim)
    if victim != "gateway":
        assert get(venue, "/health")[0] == 200
        assert wait_until(lambda: get(venue, "/ready")[0] == 503)
    assert run_okimi("down", "--name", venue.name, "--json").returncode == 0
    assert venue.process.wait(10) == 1
    assert all(map(gone, pids.values()))


def test_when_the_supervisor_is_killed_all_die_and_the_name_can_be_used_again(venues):
    first = venues().wait_ready()
    pids = first.pids()
    first.process.kill()
    first.process.wait()
    assert wait_until(lambda: all(map(gone, pids.values())))
    assert first.segments(), "nobody was left to remove them"
    assert get_status_code(first.name) == 1
    second = venues(name=first.name).wait_ready()
    assert second.status()["ready"] is True


def get_status_code(name):
    return run_okimi("status", "--name", name).returncode


def test_clean_removes_what_a_killed_supervisor_left_and_nothing_else(venues):
    alive, dead = venues(), venues()
    for venue in (alive, dead):
        venue.wait_ready()
    dead.process.kill()
    dead.process.wait()
    assert wait_until(lambda: all(map(gone, dead.pids().values())))
    removed = last_json(run_okimi("clean", "--json"))["removed"]
    assert dead.segments() == []
    assert any(dead.name in name for name in removed)
    assert not any(alive.name in name for name in removed)
    assert alive.status()["ready"] is True


def test_a_second_venue_of_the_same_name_is_refused(venues):
    first = venues().wait_ready()
    finished = run_okimi(
        "up", "--name", first.name, "--http", "127.0.0.1:0", "--durability", "memory"
    )
    assert finished.returncode == 1
    assert "is in use" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert first.status()["ready"] is True


def test_two_venues_of_different_names_run_side_by_side(venues):
    one, two = venues(), venues()
    for venue in (one, two):
        venue.wait_ready()
    assert one.http != two.http
    for venue in (one, two):
        assert json.loads(get(venue, "/api/v1/instruments")[1])
        assert venue.status()["ready"] is True
    assert set(one.pids().values()).isdisjoint(two.pids().values())
    assert run_okimi("down", "--name", one.name).returncode == 0
    assert one.segments() == []
    assert two.status()["ready"] is True


def test_a_taken_port_is_a_clear_error_and_leaves_nothing(venues):
    first = venues().wait_ready()
    finished = run_okimi(
        "up", "--name", f"{first.name}-b", "--http", first.http, "--durability", "memory"
    )
    assert finished.returncode == 1
    assert first.http in finished.stderr
    assert "Traceback" not in finished.stderr
    from ipc import segment

    assert segment.names(f"okimi.{first.name}-b.") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_venue_that_is_ended_before_it_serves_leaves_nothing(venues, number):
    venue = venues()
    assert wait_until(venue.segments, seconds=120), "it has memory, and begins its processes"
    venue.process.send_signal(number)
    assert venue.process.wait(20) == 0
    assert "asked to stop before it was ready" in venue.process.stderr.read()
    assert venue.segments() == []


def test_down_without_a_venue_says_so():
    finished = run_okimi("down", "--name", "no-such-venue", "--json")
    assert last_json(finished)["stopped"] is False


def test_an_idle_compact_venue_sleeps(venues):
    """Measured by the system's own accounting; the bound leaves room for a busy machine."""
    venue = venues("--layout", "compact").wait_ready()
    pids = venue.pids().values()

    def cpu_seconds():
        ticks = os.sysconf("SC_CLK_TCK")
        total = 0.0
        for pid in pids:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / ticks
        return total

    import time

    time.sleep(1.0)
    before, began = cpu_seconds(), time.monotonic()
    time.sleep(4.0)
    share = (cpu_seconds() - before) / (time.monotonic() - began)
    assert share < 0.25, f"idle processes use {share:.0%} of a core"
