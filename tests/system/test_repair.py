"""Processes of a durable venue die or hang while clients trade, and nothing that was told is lost.

All deaths happen to one venue, one after the other: to start one takes longer than to repair it.
"""

import os
import re
import signal

import pytest

from engine.config import DEFAULT_PATH
from engine.venue import COUNTERS, segment_name
from ipc import segment
from ipc.counters import PROCESSES_MAX, CountersFile
from tests.system.commandline import gone, run_okimi, wait_until
from tests.system.trading import crowd
from tools.sample import take

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

STALL_MS = 700


@pytest.fixture
def durable(venues, tmp_path):
    """Starts a durable venue with small files; keys of [durability] as arguments."""

    def start(*arguments, name=None, **settings):
        settings = {"segment_mb": 4, "deaths_max": 1000, "stall_ms": STALL_MS} | settings
        text = DEFAULT_PATH.read_text()
        for key, value in settings.items():
            text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
            assert count == 1, key
        (tmp_path / "okimi.toml").write_text(text)
        given = ["--config", str(tmp_path / "okimi.toml"), "--data-dir", str(tmp_path / "data")]
        return venues(*given, "--durability", "durable", *arguments, name=name)

    return start


def entry(venue, name):
    """A process of a venue as it is now."""
    return next(each for each in take(venue.name).processes if each.name == name)


def await_successor(venue, name, pid):
    """Until another process has the place, and the venue is ready again."""
    assert wait_until(
        lambda: entry(venue, name).pid != pid and take(venue.name).ready, seconds=60
    ), take(venue.name).processes


def replace(venue, name, number=signal.SIGKILL):
    """Kill or stop a process; returns the pid of the one that is gone."""
    pid = entry(venue, name).pid
    os.kill(pid, number)
    await_successor(venue, name, pid)
    return pid


def take_the_place_of(venue, name):
    """Raise the epoch of an entry, as for a successor: the process, which lives, ends itself."""
    counters = segment.attach(segment_name(venue.name, COUNTERS))
    processes = CountersFile(counters.address).processes
    names = [processes[index].name.get() for index in range(PROCESSES_MAX)]
    found = processes[names.index(name)]
    pid = found.pid
    found.epoch = found.epoch + 1
    del found, processes
    counters.close()
    await_successor(venue, name, pid)


def check(traders):
    """Nothing that was told is lost, and each purchase is a sale."""
    for trader in traders:
        trader.check_retry()
    bought, sold = (trader.check() for trader in traders)
    assert bought == sold > 0


VICTIMS = ["journal", "matching", "risk", "ingest", "gateway", "matching"]
"""Those of the compact layout are killed by test_torture."""


def test_whoever_is_killed_comes_back_and_so_does_the_machine(durable):
    layout, victims = "spread", VICTIMS
    venue = durable("--layout", layout).wait_ready()
    with crowd(venue.http) as traders:
        for victim in victims:
            placed = len(traders[0].told)
            assert wait_until(lambda: len(traders[0].told) > placed + 20)  # noqa: B023
            replace(venue, victim)
        for victim in set(victims):
            assert entry(venue, victim).epoch == 1 + victims.count(victim)
        for trader in traders:
            trader.end()
        check(traders)
        # The machine: all are gone at once, and what is in memory with them.
        venue.process.kill()
        venue.process.wait()
        again = durable("--layout", layout, name=venue.name).wait_ready()
        for trader in traders:
            trader.move(again.http)
        check(traders)
        # And in good order.
        again.process.send_signal(signal.SIGTERM)
        assert again.process.wait(60) == 0, again.process.stderr.read()
        last = durable("--layout", layout, name=venue.name).wait_ready()
        for trader in traders:
            trader.move(last.http)
            trader.place()
        check(traders)


def test_who_hangs_is_replaced_and_writes_nothing_more(durable):
    venue = durable("--layout", "spread").wait_ready()
    with crowd(venue.http) as traders:
        for victim in ("risk", "journal", "gateway"):
            stopped = replace(venue, victim, signal.SIGSTOP)
            assert gone(stopped), "it was killed before its successor began"
            assert "it was stopped" in entry(venue, victim).last_error
        for victim in ("matching", "journal", "gateway"):
            take_the_place_of(venue, victim)
            assert "has a successor" in entry(venue, victim).last_error
        for trader in traders:
            trader.end()
        check(traders)


def test_three_deaths_stop_the_venue_and_it_says_why(durable):
    venue = durable("--layout", "compact", deaths_max=3).wait_ready()
    pids = venue.pids().values()
    for victim in ("engine", "journal"):
        replace(venue, victim)
    os.kill(entry(venue, "engine").pid, signal.SIGKILL)
    assert venue.process.wait(60) == 1
    told = venue.process.stderr.read()
    assert "3 deaths within 30 s" in told
    assert "journal: killed by SIGKILL" in told
    assert venue.segments() == []
    assert all(map(gone, pids))
    assert durable("--layout", "compact", name=venue.name).wait_ready().status()["ready"]


def test_a_journal_that_finds_its_files_damaged_stops_the_venue(durable, tmp_path):
    venue = durable("--layout", "compact").wait_ready()
    with crowd(venue.http) as traders:
        assert wait_until(lambda: len(traders[0].told) > 20)
        for trader in traders:
            trader.end()
    (written,) = (tmp_path / "data" / "journal").glob("*.journal")
    with open(written, "r+b") as file:
        file.seek(5 * 4096 + 100)
        file.write(b"rot")
    os.kill(entry(venue, "journal").pid, signal.SIGKILL)
    assert venue.process.wait(60) == 1
    told = venue.process.stderr.read()
    assert "JournalRotten" in told
    assert "okimi journal verify" in told, "what the operator does next"
    assert venue.segments() == []
    finished = run_okimi("journal", "verify", str(tmp_path / "data"))
    assert finished.returncode == 1
