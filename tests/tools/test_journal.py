"""`okimi journal`: what it finds in real journals, whole ones and damaged ones."""

import json
import shutil
from pathlib import Path

import pytest

from engine.config import Config
from engine.durability import datadir
from engine.durability.format import FRAME_ALIGN
from tests.desk import as_array
from tests.durability.folders import Recorder
from tests.tools.small_journal import COMMANDS, CONFIG, answer, okimi


def flip(folder: Path, frame: int, byte: int = 100) -> None:
    """Change a bit in a frame."""
    path = folder / "journal" / "00000000000000000001.journal"
    raw = bytearray(path.read_bytes())
    raw[frame * FRAME_ALIGN + byte] ^= 1
    path.write_bytes(raw)


def forget_copies(folder: Path) -> None:
    """As if the last frame had never been proven durable."""
    path = folder / "journal" / "00000000000000000001.headers"
    path.write_bytes(bytes(path.stat().st_size))


# --- dump --------------------------------------------------------------------------------------


def test_a_dump_names_instruments_and_writes_decimals(recorded: Path):
    lines = okimi("dump", recorded).stdout.splitlines()
    assert len(lines) == len(COMMANDS)
    assert "account=1 symbol=BTC-USD side=sell order_id=1 client_order_id=first" in lines[0]
    assert "price=10000.50 qty=0.005" in lines[0]
    assert "display=0.003" in lines[2]
    assert "funds=deposit asset=USD amount=123.45" in lines[4]
    assert "reason=quantity_above_max" in lines[-1]


def test_an_instrument_that_is_listed_later_has_its_name_from_there_on(recorded: Path):
    lines = okimi("dump", recorded).stdout.splitlines()
    assert "symbol=#1 term=base_asset value=1" in lines[5]
    assert "symbol=BTC-2 term=list value=4 phase=continuous" in lines[7]
    # A lot of 0.01 BTC; a tick of one cent for a lot is one dollar for a bitcoin.
    assert "symbol=BTC-2" in lines[8]
    assert "price=7 qty=0.01" in lines[8]


def test_json_lines_have_raw_numbers_too(recorded: Path):
    lines = okimi("dump", recorded, "--limit", "3", "--json").stdout.splitlines()
    first, _, third, last = map(json.loads, lines)
    assert (first["price"], first["price_ticks"]) == ("10000.50", 20_001)
    assert third["terms"] == {"display": "0.003", "display_lots": 3}
    assert last == {"records": 3}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--from", "3", "--to", "4"], [3, 4]),
        (["--kind", "cancel", "--kind", "funds"], [4, 5]),
        (["--account", "1"], [1, 4, 9, 10]),
        (["--account", "2", "--kind", "new"], [2, 3]),
        (["--symbol", "BTC-2"], [8, 9]),
        (["--symbol", "#1"], [6, 7, 8, 9]),
        (["--symbol", "BTC-USD", "--account", "2"], [2, 3]),
    ],
)
def test_filters(recorded: Path, options: list[str], expected: list[int]):
    lines = okimi("dump", recorded, *options, "--json").stdout.splitlines()
    assert [json.loads(line)["dseq"] for line in lines[:-1]] == expected


@pytest.mark.parametrize("options", [["--kind", "bid"], ["--symbol", "ETH-USD"]])
def test_what_there_is_not_cannot_be_asked_for(recorded: Path, options: list[str]):
    result = okimi("dump", recorded, *options)
    assert result.exit_code == 1
    assert "there are" in result.stderr


def test_without_the_first_snapshot_numbers_are_shown(folder: Path):
    (folder / "snapshots" / "00000000000000000000.snapshot").unlink()
    result = okimi("dump", folder, "--limit", "1")
    assert "without names" in result.stderr
    assert "symbol=#0" in result.stdout
    assert "price_ticks=20001 qty_lots=5" in result.stdout


# --- verify ------------------------------------------------------------------------------------


def test_a_whole_journal(recorded: Path):
    found = answer("verify", recorded)
    assert found["ok"]
    assert (found["frames"], found["records"]) == (5, 10)
    assert (found["first_seq"], found["last_seq"]) == (1, 10)
    assert found["torn_tail_bytes"] == 0
    assert found["terms"] == [1]


def test_rot_is_found(folder: Path):
    flip(folder, 2)
    found = answer("verify", folder, code=1)
    assert not found["ok"]
    assert found["last_seq"] == 4
    assert "decisions 5 to 10 cannot be trusted" in found["problem"]


def test_a_torn_tail_is_no_damage(folder: Path):
    forget_copies(folder)
    flip(folder, 4)
    found = answer("verify", folder)
    assert found["ok"]
    assert found["last_seq"] == 8
    assert found["torn_tail_bytes"] > 0


def test_a_folder_that_is_none(tmp_path: Path):
    result = okimi("verify", tmp_path)
    assert result.exit_code == 1
    assert "no data folder" in result.stderr


# --- diff --------------------------------------------------------------------------------------


def test_a_copy_is_equal(recorded: Path, folder: Path):
    found = answer("diff", recorded, folder)
    assert found["equal"]
    assert found["compared"] == 10


def test_the_first_difference_is_shown(recorded: Path, tmp_path: Path):
    other = [*COMMANDS]
    other[2] = other[2]._replace(price_ticks=19_001)
    recorder = Recorder(tmp_path / "other", Config.build(**CONFIG), frame_decisions=3)
    recorder.run(as_array(other))
    recorder.close()
    found = answer("diff", recorded, tmp_path / "other", "--commands", code=1)
    assert found["compared"] == 2
    assert found["fields"] == {"price_ticks": [19_000, 19_001]}
    assert (found["left"]["price"], found["right"]["price"]) == ("9500.00", "9500.50")
    # Another run has other times from the first decision on.
    assert answer("diff", recorded, tmp_path / "other", code=1)["compared"] == 0


def test_one_that_ends_earlier_differs(recorded: Path, folder: Path):
    forget_copies(folder)
    flip(folder, 4)
    found = answer("diff", recorded, folder, code=1)
    assert found["compared"] == 8
    assert found["left"]["dseq"] == 9
    assert found["right"] is None


# --- truncate ----------------------------------------------------------------------------------


def test_a_whole_journal_is_not_cut(folder: Path):
    assert not answer("truncate", folder, "--yes")["needed"]
    assert answer("verify", folder)["last_seq"] == 10


def test_a_torn_tail_is_cut(folder: Path):
    forget_copies(folder)
    flip(folder, 4)
    planned = answer("truncate", folder, "--dry-run", code=1)
    assert (planned["needed"], planned["done"], planned["lost"]) == (True, False, 0)
    assert answer("verify", folder)["torn_tail_bytes"] > 0, "a dry run has cut"
    assert answer("truncate", folder, "--yes")["done"]
    found = answer("verify", folder)
    assert (found["torn_tail_bytes"], found["last_seq"]) == (0, 8)


def test_acknowledged_decisions_are_cut_only_when_that_is_said(folder: Path):
    flip(folder, 2)
    planned = answer("truncate", folder, code=1)
    assert (planned["last_kept"], planned["lost_first"], planned["lost_last"]) == (4, 5, 10)
    refused = okimi("truncate", folder, "--yes")
    assert refused.exit_code == 1
    assert "--lose-acknowledged" in refused.stderr
    assert not answer("verify", folder, code=1)["ok"], "it was cut all the same"
    done = answer("truncate", folder, "--yes", "--lose-acknowledged")
    assert (done["done"], done["lost"]) == (True, 6)
    found = answer("verify", folder)
    assert (found["ok"], found["last_seq"]) == (True, 4)


def test_snapshots_and_events_of_what_is_cut_go_too(folder: Path):
    snapshots = folder / "snapshots"
    shutil.copy(snapshots / f"{0:020}.snapshot", snapshots / f"{7:020}.snapshot")
    events = folder / "events" / "0" / f"{1:020}.events"
    events.parent.mkdir()
    events.write_bytes(b"some")
    flip(folder, 2)
    assert answer("truncate", folder, code=1)["snapshots"] == [7]
    assert events.exists()
    answer("truncate", folder, "--yes", "--lose-acknowledged")
    assert [path.stem for path in snapshots.iterdir()] == [f"{0:020}"]
    assert not events.exists()


def test_a_journal_in_use_is_not_cut(folder: Path):
    flip(folder, 2)
    with datadir.attach(folder).lock():
        result = okimi("truncate", folder, "--yes", "--lose-acknowledged")
    assert result.exit_code == 1
    assert not answer("verify", folder, code=1)["ok"]
