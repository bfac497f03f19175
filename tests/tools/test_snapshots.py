"""`okimi snapshot`: what it lists, what it finds damaged, and snapshots that it takes."""

import json
import os

import pytest
from click.testing import CliRunner

from engine.durability.snapshot_folder import dseqs
from engine.durability.snapshot_format import path_of
from engine.topology import DRIVER, plan
from engine.venue import create
from tests.durability.folders import Recorder
from tests.durability.small_state import flip
from tests.sharded import sharded_config, stream
from tools.cli import main


@pytest.fixture
def recorder(tmp_path):
    made = Recorder(tmp_path / "data", sharded_config(1, name=f"snapshots-{os.getpid()}"))
    made.run(stream(1, 200))
    yield made
    made.close()


def okimi(*words):
    """The command's exit code, its JSON object, and all that it said."""
    done = CliRunner().invoke(main, ["snapshot", *map(str, words), "--json"])
    try:
        found = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        found = {}
    return done.exit_code, found, done.output


def test_snapshots_are_taken_listed_and_verified(recorder):
    folder = recorder.folder.path
    code, taken, _ = okimi("take", folder)
    assert code == 0
    assert (taken["dseq"], taken["from_dseq"], taken["commands"]) == (
        recorder.last,
        0,
        recorder.last,
    )
    assert taken["path"] == str(path_of(recorder.folder.snapshots, recorder.last))
    code, listed, _ = okimi("list", folder)
    assert code == 0
    assert [each["dseq"] for each in listed["snapshots"]] == [0, recorder.last]
    assert listed["snapshots"][1]["bytes"] == taken["bytes"]
    assert listed["snapshots"][1]["term"] == 1
    code, verified, _ = okimi("verify", folder)
    assert (code, verified["ok"], verified["newest_whole"]) == (0, True, recorder.last)
    shown = CliRunner().invoke(main, ["snapshot", "list", str(folder)]).stdout
    assert str(recorder.last) in shown
    assert "ok" in shown


def test_a_damaged_one_is_named_and_passed_over(recorder):
    folder = recorder.folder.path
    okimi("take", folder)
    first = recorder.last
    flip(path_of(recorder.folder.snapshots, first), 8 * 5000 + 3)
    code, listed, _ = okimi("list", folder)
    assert (code, listed["snapshots"][1]["ok"]) == (0, True), "a list looks at headers only"
    code, verified, _ = okimi("verify", folder)
    assert (code, verified["ok"], verified["newest_whole"]) == (1, False, 0)
    assert "checksum of section" in verified["snapshots"][1]["problem"]
    recorder.run(stream(2, 100))
    code, taken, said = okimi("take", folder)
    assert (code, taken["from_dseq"], taken["dseq"]) == (0, 0, recorder.last)
    assert "is damaged" in said


def test_while_the_venue_runs_only_what_is_durable_is_in_it(recorder):
    config = recorder.venue.venue.config
    venue = create(config, plan(config, (DRIVER,), cores=[0]))
    try:
        venue.counters.durable.dseq = 120
        with recorder.folder.lock():
            code, taken, _ = okimi("take", recorder.folder.path)
        assert (code, taken["dseq"]) == (0, 120)
    finally:
        venue.close()
    assert dseqs(recorder.folder.snapshots) == [0, 120]


def test_without_a_snapshot_nothing_is_verified(recorder, tmp_path):
    path_of(recorder.folder.snapshots, 0).unlink()
    assert okimi("verify", recorder.folder.path)[0] == 1
    code, _, said = okimi("take", recorder.folder.path)
    assert code == 1
    assert "no snapshot" in said
    code, _, said = okimi("list", tmp_path)
    assert code == 1
    assert "no data folder of okimi" in said
