"""What the journal's tools derive: hashes, past books and balances, events, exports."""

import csv
import json
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet
import pytest
import zstandard
from click.testing import CliRunner

from engine.config import Config
from engine.durability import datadir, eventlog
from engine.durability.datadir import Lock
from engine.durability.file_storage import FileStorage
from engine.durability.format import FRAME_BYTES_MAX
from engine.durability.pursuit import Pursuit
from engine.durability.snapshot_format import path_of
from engine.messages import CommandFlag, CommandKind, Side
from engine.venue import VenueMemory
from tests.desk import as_array
from tests.durability import folders
from tests.durability.folders import Recorder
from tests.sharded import sharded_config, stream
from tests.tools.small_journal import COMMANDS, CONFIG, answer, new, okimi
from tools.cli import main


def of(*words: str | Path, code: int = 0) -> dict[str, Any]:
    """The last line of a command with --json."""
    result = CliRunner().invoke(main, [*map(str, words), "--json"])
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def past(folder: Path, *options: str) -> dict[str, Any]:
    return of("replay", folder, "--format", "journal", *options)


def total(state: dict[str, Any], account: int, asset: str) -> tuple[str, str]:
    """What an account has of an asset, and how much of it is reserved."""
    owner = next(each for each in state["accounts"] if each["account"] == account)
    balance = next(each for each in owner["balances"] if each["asset"] == asset)
    return balance["total"], balance["reserved"]


def take_snapshot(folder: Path, dseq: int) -> None:
    storage = FileStorage(folder, 0)
    pursuit = Pursuit(datadir.attach(folder), storage, None)
    for _ in pursuit.follow(None, dseq):
        pass
    pursuit.store()
    pursuit.free()
    storage.close()


# --- replay, hash, verify --deep ----------------------------------------------------------------


def test_a_replay_ends_with_the_hash_of_the_live_venue(tmp_path: Path):
    recorder = Recorder(tmp_path / "venue", Config.build(**CONFIG), frame_decisions=3)
    recorder.run(as_array(COMMANDS))
    live = recorder.venue.venue.matching[0].state_hash % (1 << 64)
    recorder.close()
    found = answer("replay", tmp_path / "venue")
    assert found["ok"]
    assert (found["records"], found["dseq"], found["from_dseq"]) == (10, 10, 0)
    assert found["state_hash"] == f"{live:016x}"


def test_the_hash_of_a_past_state_is_the_same_by_any_way(folder: Path):
    before = answer("hash", folder, "--until", "7", "--blocks")
    take_snapshot(folder, 6)
    after = answer("hash", folder, "--until", "7", "--blocks")
    assert (before["from_dseq"], after["from_dseq"]) == (0, 6)
    assert before["state_hash"] == after["state_hash"]
    assert before["blocks"] == after["blocks"]
    assert answer("hash", folder)["state_hash"] != after["state_hash"]


def test_a_state_behind_the_end_cannot_be_had(recorded: Path):
    result = okimi("hash", recorded, "--until", "11")
    assert result.exit_code == 1
    assert "ends with decision 10" in result.stderr


def test_a_deep_verification_compares_snapshots(folder: Path):
    take_snapshot(folder, 4)
    found = answer("verify", folder, "--deep")
    assert found["ok"]
    assert found["deep"]["snapshots_checked"] == [4]


def test_a_deep_verification_finds_what_was_not_decided_so(folder: Path, tmp_path: Path):
    # Another venue began otherwise: its risk does not come to these decisions.
    poor = json.loads(json.dumps(CONFIG))
    poor["accounts"][0]["balances"] = {}
    recorder = Recorder(tmp_path / "poor", Config.build(**poor))
    recorder.close()
    shutil.copy(path_of(tmp_path / "poor" / "snapshots", 0), path_of(folder / "snapshots", 0))
    assert answer("verify", folder)["ok"]
    found = answer("verify", folder, "--deep", code=1)
    assert found["problem"] == "decision 1: risk comes to another decision"


# --- past states --------------------------------------------------------------------------------


def test_books_and_balances_as_they_were(recorded: Path):
    state = past(recorded, "--until", "1")
    (book,) = state["books"]
    assert (book["symbol"], book["phase"], book["last"]) == ("BTC-USD", "continuous", None)
    assert book["asks"][0]["price"] == "10000.50"
    assert book["asks"][0]["quantity"] == "0.005"
    assert total(state, 1, "BTC") == ("100.00000000", "0.00500000")

    state = past(recorded, "--until", "2")
    assert state["books"][0]["last"] == "10000.50"
    assert state["books"][0]["asks"][0]["quantity"] == "0.003"
    assert total(state, 1, "USD") == ("1000020.00", "0.00")
    assert total(state, 2, "BTC") == ("100.00200000", "0.00000000")

    state = past(recorded, "--until", "5")
    assert state["books"][0]["asks"] == []
    assert state["books"][0]["bids"][0]["hidden"] == "0.004"
    assert total(state, 2, "USD")[0] == "1000103.45"


def test_an_instrument_that_was_listed_later_is_shown_by_its_name(recorded: Path):
    assert [book["symbol"] for book in past(recorded, "--until", "7")["books"]] == ["BTC-USD"]
    state = past(recorded, "--verify", "--symbol", "BTC-2", "--account", "1")
    (book,) = state["books"]
    assert (book["asks"][0]["price"], book["asks"][0]["quantity"]) == ("7", "0.01")
    assert [each["account"] for each in state["accounts"]] == [1]


def test_a_past_state_for_people(recorded: Path):
    result = CliRunner().invoke(
        main, ["replay", str(recorded), "--format", "journal", "--until", "2"]
    )
    assert result.exit_code == 0
    assert "after decision 2" in result.stdout
    assert "10000.50" in result.stdout
    assert "1000020.00" in result.stdout


# --- events -------------------------------------------------------------------------------------


def test_events_are_shown_from_any_on(recorded: Path):
    result = CliRunner().invoke(main, ["events", str(recorded), "--from", "1"])
    lines = result.stdout.splitlines()
    assert "accepted" in lines[0]
    assert "symbol=BTC-USD side=sell order_id=1 client_order_id=first" in lines[0]
    traded = next(line for line in lines if " trade " in line)
    assert "price=10000.50 qty=0.002" in traded
    assert len(lines) == of("events", recorded)["events"]
    third = CliRunner().invoke(main, ["events", str(recorded), "--from", "3", "--to", "3"])
    assert third.stdout.splitlines() == [lines[2]]
    assert of("events", recorded, "--kind", "trade", "--kind", "funded")["events"] == 2


def test_a_replaced_event_says_what_an_iceberg_shows_from_now_on(tmp_path: Path):
    terms = int(CommandFlag.TERMS)
    order = new(1, Side.SELL, 20_001, 9)._replace(flags=terms, display_lots=3)
    amended = order._replace(kind=int(CommandKind.AMEND), order_id=1, display_lots=2)
    recorder = Recorder(tmp_path / "venue", Config.build(**CONFIG))
    recorder.run(as_array([order, amended]))
    recorder.close()
    result = CliRunner().invoke(main, ["events", str(tmp_path / "venue"), "--kind", "replaced"])
    assert "display=0.002" in result.stdout
    answer("export", tmp_path / "venue", tmp_path / "e.csv", "--what", "events")
    replaced = next(row for row in rows_of(tmp_path / "e.csv") if row["kind"] == "replaced")
    assert (replaced["new_display"], replaced["new_trigger_ticks"]) == ("0.002", "")


def test_event_files_are_made_again(folder: Path):
    count = of("events", folder)["events"]
    assert of("events", folder, "--rebuild") == {"events": count, "shards": [count]}
    assert list((folder / "events" / "0").iterdir())
    assert of("events", folder)["events"] == count


def test_nothing_is_followed_without_a_venue(recorded: Path):
    result = CliRunner().invoke(main, ["events", str(recorded), "--follow"])
    assert result.exit_code == 1
    assert "no venue runs" in result.stderr


# --- exports ------------------------------------------------------------------------------------


def rows_of(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_decisions_as_csv_and_parquet(recorded: Path, tmp_path: Path):
    for form in ("csv", "parquet"):
        assert answer("export", recorded, tmp_path / f"d.{form}")["rows"] == 10
    rows = rows_of(tmp_path / "d.csv")
    assert (rows[0]["price"], rows[0]["price_ticks"]) == ("10000.50", "20001")
    assert (rows[0]["quantity"], rows[0]["qty_lots"]) == ("0.005", "5")
    assert rows[2]["display"] == "0.003"
    assert rows[2]["flags"] == "terms"
    assert (rows[3]["kind"], rows[3]["price"], rows[3]["price_ticks"]) == ("cancel", "", "")
    assert (rows[4]["asset"], rows[4]["amount"], rows[4]["qty_lots"]) == ("USD", "123.45", "12345")
    assert (rows[8]["symbol"], rows[8]["price"], rows[8]["quantity"]) == ("BTC-2", "7", "0.01")
    assert rows[9]["reason"] == "quantity_above_max"
    table = pyarrow.parquet.read_table(tmp_path / "d.parquet")
    assert table.column("price").to_pylist()[:2] == [Decimal("10000.50"), Decimal("10000.50")]
    assert table.column("price").to_pylist()[3] is None
    assert table.column("price_ticks").to_pylist()[0] == 20_001
    assert table.column("client_order_id").to_pylist()[:2] == ["first", None]
    times = table.column("time").cast("int64").to_pylist()
    assert str(times[0])[:10] == str(int(Decimal(times[0]) // 10**9))
    assert rows[0]["time"].endswith("Z")


def test_a_part_of_the_decisions(recorded: Path, tmp_path: Path):
    answer("export", recorded, tmp_path / "d.csv", "--from", "4", "--to", "7")
    assert [row["dseq"] for row in rows_of(tmp_path / "d.csv")] == ["4", "5", "6", "7"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_trades_and_events(recorded: Path, tmp_path: Path, form: str):
    count = of("events", recorded)["events"]
    events, trades = tmp_path / f"e.{form}", tmp_path / f"t.{form}"
    assert answer("export", recorded, events, "--what", "events")["rows"] == count
    assert answer("export", recorded, trades, "--what", "trades")["rows"] == 1
    if form == "csv":
        (row,) = rows_of(trades)
    else:
        (row,) = pyarrow.parquet.read_table(trades).drop(["time"]).to_pylist()
    assert Decimal(row["price"]) == Decimal("10000.50")
    assert (int(row["qty_lots"]), row["symbol"], row["side"]) == (2, "BTC-USD", "buy")
    assert (int(row["taker_account"]), int(row["maker_account"])) == (2, 1)


def test_a_number_too_wide_for_a_decimal_has_only_its_raw_form(tmp_path: Path):
    big = json.loads(json.dumps(CONFIG))
    big["instruments"][0] |= {"tick": "1000", "lot": "1", "notional_max": "1000000000000"}
    recorder = Recorder(tmp_path / "venue", Config.build(**big))
    recorder.run(as_array([new(1, Side.BUY, (1 << 63) - 1, 1), new(1, Side.BUY, -5, 1)]))
    recorder.close()
    answer("export", tmp_path / "venue", tmp_path / "d.parquet")
    answer("export", tmp_path / "venue", tmp_path / "d.csv")
    table = pyarrow.parquet.read_table(tmp_path / "d.parquet")
    assert table.column("price").to_pylist() == [None, Decimal(-5000)]
    assert table.column("price_ticks").to_pylist() == [(1 << 63) - 1, -5]
    assert rows_of(tmp_path / "d.csv")[0]["price"] == "9223372036854775807000"


def test_the_form_must_be_clear(recorded: Path, tmp_path: Path):
    assert okimi("export", recorded, tmp_path / "d.txt").exit_code == 2


# --- several segments, some of them in the archive -----------------------------------------------


def test_the_archive_is_read_like_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folders, "SEGMENT_BYTES", FRAME_BYTES_MAX)
    recorder = Recorder(tmp_path / "venue", sharded_config(1), frame_decisions=2)
    recorder.run(stream(3, 400))
    recorder.close()
    folder = recorder.folder
    whole = answer("verify", folder.path)
    hashed = answer("hash", folder.path)
    assert whole["segments"] == 4
    assert whole["records"] == recorder.last
    segments = sorted(folder.journal.glob("*.journal"))
    for path in segments[:2]:
        raw = zstandard.ZstdCompressor().compress(path.read_bytes())
        (folder.archive / f"{path.name}.zst").write_bytes(raw)
        (folder.archive / f"{path.stem}.json").write_text("{}")
        path.with_suffix(".headers").unlink()
        path.unlink()
    found = answer("verify", folder.path)
    assert (found["ok"], found["segments"], found["archived"]) == (True, 2, 2)
    assert found["records"] == whole["records"]
    assert answer("hash", folder.path)["state_hash"] == hashed["state_hash"]
    dumped = answer("dump", folder.path, "--from", "100", "--to", "299")
    assert dumped["records"] == 200
    (folder.archive / f"{segments[1].name}.zst").unlink()
    broken = answer("verify", folder.path, code=1)
    assert "missing" in broken["problem"]
    refused = okimi("truncate", folder.path, "--yes", "--lose-acknowledged")
    assert refused.exit_code == 1
    assert "cannot be cut" in refused.stderr


# --- beside a venue that runs --------------------------------------------------------------------


@pytest.fixture
def lock(tmp_path: Path, name: str, venue: VenueMemory) -> Iterator[Lock]:
    """Of a folder whose venue runs and has reported six of its ten decisions as durable."""
    config = Config.build(**CONFIG, venue={"name": name})
    recorder = Recorder(tmp_path / "venue", config, frame_decisions=2)
    recorder.run(as_array(COMMANDS))
    recorder.close()
    venue.counters.durable.dseq = 6
    with recorder.folder.lock() as held:
        yield held


@pytest.mark.usefixtures("lock")
def test_only_what_is_durable_is_looked_at(tmp_path: Path):
    running = tmp_path / "venue"
    found = answer("verify", running)
    assert (found["ok"], found["running"], found["last_seq"]) == (True, True, 6)
    assert answer("dump", running)["records"] == 6
    assert answer("hash", running)["dseq"] == 6
    assert past(running)["dseq"] == 6
    beyond = okimi("hash", running, "--until", "7")
    assert beyond.exit_code == 1
    assert "not durable yet" in beyond.stderr
    lines = CliRunner().invoke(main, ["events", str(running), "--json"]).stdout.splitlines()
    assert max(json.loads(line)["dseq"] for line in lines[:-1]) == 6


def test_a_follower_of_events_ends_with_the_venue(
    tmp_path: Path, lock: Lock, venue: VenueMemory, monkeypatch: pytest.MonkeyPatch
):
    def time_goes_on(_: float) -> None:
        """Whenever the follower waits: first there are more decisions, then the venue ends."""
        if venue.counters.durable.dseq == 10:
            lock.release()
        venue.counters.durable.dseq = 10

    monkeypatch.setattr(eventlog, "time", SimpleNamespace(sleep=time_goes_on))
    followed = of("events", tmp_path / "venue", "--follow")["events"]
    assert followed == of("events", tmp_path / "venue")["events"]
