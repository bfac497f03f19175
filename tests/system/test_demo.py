"""What `make run` shows holds: a real exchange's books through real processes and rings."""

import os
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from engine.messages import Event, slot_dtype
from engine.topology import DRIVER
from ipc import segment
from tests.system.commandline import last_json, run_okimi
from tools.data import KRAKEN
from tools.replay import kraken
from tools.replaying import replay_config
from tools.run import running_venue, send_plan

pytestmark = pytest.mark.system

SHARED = Path(__file__).resolve().parent.parent.parent.parent / "shared" / "data"
CHECKSUMMED_UPDATES = 4269


@pytest.mark.parametrize("layout", ["compact", "spread"])
def test_demo_checks_every_book(layout):
    name = f"demo-{os.getpid()}-{layout}"
    finished = run_okimi("demo", "--exit", "--json", "--name", name, "--layout", layout)
    assert finished.returncode == 0, finished.stderr
    result = last_json(finished)
    assert result["updates"] == CHECKSUMMED_UPDATES
    assert result["checksums_ok"] == CHECKSUMMED_UPDATES
    assert result["layout"] == layout
    processes = {process["name"]: process for process in result["processes"]}
    hosts = {"engine"} if layout == "compact" else {"ingest", "risk", "matching"}
    assert set(processes) == {"gateway", "driver"} | hosts
    assert len({process["pid"] for process in processes.values()}) == len(processes)
    for stage in ("ingest", "risk", "matching", "round_trip"):
        assert result["stages"][stage]["count"] == result["commands"]
    assert segment.names(f"okimi.{name}.") == []


def test_a_wrong_book_is_found(tmp_path):
    """The checksums do check: one changed price in the recording is noticed."""
    import lzma

    text = lzma.decompress(KRAKEN.read_bytes()).decode()
    wrong = text.replace('"354.15000000","5.00000000"', '"354.16000000","5.00000000"', 1)
    assert wrong != text
    path = tmp_path / "wrong.ws"
    path.write_text(wrong)
    finished = run_okimi("replay", str(path), "--format", "kraken", "--verify", "--json")
    assert finished.returncode == 1
    result = last_json(finished)
    assert result["ok"] is False
    assert 0 < result["checksums_ok"] < CHECKSUMMED_UPDATES


def test_both_layouts_give_identical_events():
    """The same commands with ample balances: byte for byte, but for the stamps of time."""
    plan = kraken.read(KRAKEN)
    streams = []
    for layout in ("compact", "spread"):
        config = replay_config(plan, f"layouts-{os.getpid()}-{layout}", layout)
        console = Console(stderr=True)
        with running_venue(config, (DRIVER,), console) as supervisor:
            events = send_plan(supervisor, plan, console).events
        view = events.view(slot_dtype(Event))
        view["stamp_ticks"] = 0
        view["time_ns"] = 0
        streams.append(events)
    assert len(streams[0]) > len(plan.commands)
    assert np.array_equal(streams[0], streams[1])


@pytest.mark.skipif(not SHARED.exists(), reason="the shared market data is not beside the checkout")
def test_a_challenge_workload_gives_the_published_report_stream():
    """The wildest of five; `make bench DATA=folder` takes all."""
    path = SHARED / "meb" / "flash-crash_s23.cols.xz"
    finished = run_okimi("replay", str(path), "--format", "meb", "--verify", "--json")
    assert finished.returncode == 0, finished.stderr
    result = last_json(finished)
    assert result["reports_sha256"] == result["expected_sha256"]
    assert result["messages"] == 1_996_097


@pytest.mark.skipif(not SHARED.exists(), reason="the shared market data is not beside the checkout")
def test_a_futures_session_fills_what_the_exchange_filled():
    path = SHARED / "cme_mbo" / "esh4-glbx-mdp3-20231225.mbo.dbn.zst"
    finished = run_okimi("replay", str(path), "--format", "mbo", "--verify", "--json")
    assert finished.returncode == 0, finished.stderr
    result = last_json(finished)
    assert result["trades_checked"] == 2972
    assert result["trades_exact"] >= 2716
    assert result["trades_exact"] + result["trades_explained"] == 2972
    assert result["unexplained"] == 0
