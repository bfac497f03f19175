"""A venue's folder: whose it is, who holds it, and how the venue began."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from engine.config import Config
from engine.durability import datadir, genesis, snapshot_folder
from engine.durability.blocks import Block
from engine.durability.datadir import DataDir, Identity, Lock
from engine.durability.errors import DataDirChanged, DataDirForeign, DataDirInUse
from engine.durability.snapshot_format import Moment
from engine.topology import DRIVER, plan
from engine.venue import create_private

IDENTITY = Identity("one", shards=2, event_slots=4096)


# --- layout and identity -----------------------------------------------------------------------


def test_the_default_place_is_the_users_state_folder(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert datadir.default_place("one") == Path("/state/okimi/one")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/somebody")
    assert datadir.default_place("one") == Path("/somebody/.local/state/okimi/one")
    monkeypatch.delenv("XDG_STATE_HOME")
    assert datadir.default_place("two") == Path("/somebody/.local/state/okimi/two")


def test_a_folder_has_an_identity_once_it_is_settled(tmp_path):
    path = tmp_path / "a" / "b"
    assert datadir.is_fresh(path)
    begun = datadir.begin(path, IDENTITY)
    assert path.stat().st_mode & 0o777 == 0o700
    with pytest.raises(DataDirForeign, match=r"has no venue\.json"):
        datadir.attach(path)
    settled = datadir.settle(begun)
    assert not datadir.is_fresh(path)
    assert settled == datadir.attach(path)
    assert replace(settled.identity, created="") == IDENTITY
    for folder in (settled.journal, settled.snapshots, settled.archive, settled.events):
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o777 == 0o700
    for taken in (path, tmp_path, path / "venue.json"):
        with pytest.raises(DataDirForeign, match="other files"):
            datadir.begin(taken, IDENTITY)


def test_a_start_that_was_cut_short_begins_again(tmp_path):
    folder = datadir.begin(tmp_path / "d", IDENTITY)
    (folder.snapshots / "00000000000000000000.snapshot").write_bytes(b"of the other start")
    assert datadir.is_fresh(folder.path)
    datadir.begin(folder.path, IDENTITY)
    assert not list(folder.snapshots.iterdir())
    (folder.journal / "00000000000000000001.journal").write_bytes(b"decisions")
    assert not datadir.is_fresh(folder.path)
    with pytest.raises(DataDirForeign, match="other files"):
        datadir.begin(folder.path, IDENTITY)


def test_a_lock_alone_is_no_content(tmp_path):
    path = tmp_path / "new"
    with Lock(path):
        assert datadir.is_fresh(path)
        datadir.begin(path, IDENTITY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "two"}, "belongs to venue 'one', not to 'two'"),
        ({"shards": 1}, r"begun with venue\.shards = 2, the configuration says 1"),
        ({"event_slots": 8192}, r"begun with rings\.event_slots = 4096"),
        ({"engine_version": 99}, "begun by engine version"),
    ],
)
def test_another_venue_or_shape_is_refused(tmp_path, change, message):
    folder = datadir.settle(datadir.begin(tmp_path / "d", IDENTITY))
    datadir.check_identity(folder, IDENTITY)
    with pytest.raises(DataDirForeign, match=message):
        datadir.check_identity(folder, replace(IDENTITY, **change))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "does not have the keys"),
        ('{"format": 1}', "does not have the keys"),
    ],
)
def test_a_broken_identity_is_refused(tmp_path, written, message):
    (tmp_path / "venue.json").write_text(written)
    with pytest.raises(DataDirForeign, match=message):
        datadir.attach(tmp_path)


def test_a_folder_of_a_later_format_is_refused(tmp_path):
    folder = datadir.settle(datadir.begin(tmp_path / "d", IDENTITY))
    file = folder.path / "venue.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 2}))
    with pytest.raises(DataDirForeign, match="has format 2"):
        datadir.attach(folder.path)


def test_space_is_counted_by_part(tmp_path):
    folder = datadir.begin(tmp_path / "d", IDENTITY)
    (folder.journal / "x").write_bytes(b"1" * 100_000)
    space = folder.space()
    assert 0 < space.free <= space.total
    assert space.used["journal"] >= 100_000
    assert space.used["snapshots"] == 0


# --- lock ----------------------------------------------------------------------------------------


def test_one_process_at_a_time_holds_a_folder(tmp_path):
    with Lock(tmp_path / "d"):
        assert datadir.is_locked(tmp_path / "d")
        with pytest.raises(DataDirInUse, match=f"by process {os.getpid()}"):
            Lock(tmp_path / "d")
    assert not datadir.is_locked(tmp_path / "d")
    Lock(tmp_path / "d").release()


def test_a_standby_has_a_lock_of_its_own(tmp_path):
    with Lock(tmp_path / "d"), Lock(tmp_path / "d", datadir.STANDBY):
        assert datadir.is_locked(tmp_path / "d", datadir.STANDBY)
        with pytest.raises(DataDirInUse, match="one is enough"):
            Lock(tmp_path / "d", datadir.STANDBY)
    assert not datadir.is_locked(tmp_path / "d", datadir.STANDBY)


def test_looking_at_a_lock_does_not_keep_anybody_from_it(tmp_path):
    path = tmp_path / "d"
    Lock(path).release()
    stop = threading.Event()

    def look():
        while not stop.is_set():
            datadir.is_locked(path)
            time.sleep(0.0005)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(200):
            Lock(path).release()
    finally:
        stop.set()
        watcher.join()


def test_nobody_holds_a_folder_that_is_not_there(tmp_path):
    assert not datadir.is_locked(tmp_path / "d")
    assert datadir.holder(tmp_path / "d") is None


HOLD = """
import os, sys, time
from pathlib import Path
from engine.durability.datadir import Lock
lock = Lock(Path(sys.argv[1]))
child = os.fork()
if child:
    print(child, flush=True)
    os._exit(0)
time.sleep(60)
"""


def test_a_process_that_outlives_the_one_that_took_it_holds_it_still(tmp_path):
    path = tmp_path / "d"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        child = int(parent.stdout.readline())
    try:
        with pytest.raises(DataDirInUse, match=f"process {parent.pid} started, which has ended"):
            Lock(path)
        last = datadir.holder(path)
        assert (last.pid, last.alive) == (parent.pid, False)
    finally:
        os.kill(child, signal.SIGKILL)
    while datadir.is_locked(path):
        time.sleep(0.01)
    Lock(path).release()


# --- the beginning -------------------------------------------------------------------------------

ASSETS = [{"name": "USD", "decimals": 2}, {"name": "BTC", "decimals": 8}]
INSTRUMENT = {
    "symbol": "BTC-USD",
    "base": "BTC",
    "quote": "USD",
    "tick": "0.01",
    "lot": "1",
    "qty_max": "1000",
    "notional_max": "1000000",
}
ACCOUNTS = [
    {"number": 1, "name": "a", "balances": {"USD": "100"}},
    {"number": 2, "name": "b", "balances": {"USD": "100"}},
]
TABLES = {"assets": ASSETS, "instruments": [INSTRUMENT], "accounts": ACCOUNTS}


def state_of(clients=(DRIVER,), **tables):
    config = Config.build(**{**TABLES, **tables})
    venue = create_private(config, plan(config, clients, cores=[0]))
    return {"reference": Block.of(venue.reference), "risk": Block.of(venue.risk)}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    folder = datadir.begin(tmp_path_factory.mktemp("genesis") / "d", replace(IDENTITY, shards=1))
    moment = Moment("one", 1, 4096, 0, 0, (0,), time.time_ns())
    snapshot_folder.store(folder.snapshots, state_of(), moment)
    return datadir.settle(folder)


def test_the_same_configuration_is_unchanged(begun: DataDir):
    genesis.check_unchanged(begun.snapshots, state_of())


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"venue": {"tick_ms": 500}}, r"venue\.tick_ms was 0, is 500000000"),
        ({"risk": {"day_start": "08:00"}}, r"risk\.day_start was 0"),
        ({"risk": {"fee_account": 1}}, r"risk\.fee_account was -1, is 1"),
        (
            {"assets": [{"name": "USD", "decimals": 3}, ASSETS[1]]},
            "assets: number 0 was USD with 2 decimals, is USD with 3",
        ),
        (
            {"assets": [*ASSETS, {"name": "ETH", "decimals": 8}]},
            "assets: number 2 was none with 0 decimals, is ETH with 8",
        ),
        ({"instruments": [{**INSTRUMENT, "symbol": "B"}]}, "symbol of number 0 was BTC-USD, is B"),
        (
            {"instruments": [{**INSTRUMENT, "qty_max": "2000"}]},
            "qty_max_lots of BTC-USD was 1000, is 2000",
        ),
        (
            {"instruments": [{**INSTRUMENT, "price_steps": [{"from": "0", "step": "0.05"}]}]},
            "step_ticks of BTC-USD",
        ),
        (
            {
                "venue": {"tick_ms": 0},
                "accounts": [{**ACCOUNTS[0], "kind": "margin"}, ACCOUNTS[1]],
            },
            "accounts: number 1",
        ),
        (
            {"rules": [{"scope": "venue", "rule": "open_orders_max", "value": 5}]},
            "rules was 0, is 1",
        ),
        (
            {"accounts": [{**ACCOUNTS[0], "balances": {"USD": "101"}}, ACCOUNTS[1]]},
            "balances of accounts",
        ),
    ],
)
def test_a_changed_configuration_is_refused_by_name(begun: DataDir, tables, message):
    with pytest.raises(DataDirChanged, match=message) as caught:
        genesis.check_unchanged(begun.snapshots, state_of(**tables))
    assert "change them by commands" in str(caught.value)
    assert str(begun.path) in str(caught.value)


def test_other_clients_of_the_engine_are_another_beginning(begun: DataDir):
    with pytest.raises(DataDirChanged, match="clients of the engine"):
        genesis.check_unchanged(begun.snapshots, state_of(clients=("a", "b")))
