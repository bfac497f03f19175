"""The durability benchmark: complete, on real files and processes. No figure is judged."""

import io

import pytest
from rich.console import Console

from benchmarks.durabilities import durability_part
from ipc.jit import INTERPRETED
from tools.bench import durability

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.skipif(INTERPRETED, reason="measures compiled code"),
]

JOURNALED = 3_000
EFFORT = durability.Effort(
    warm_up=500,
    closed_loop=1_000,
    rates=(1_000, 2_000),
    rate_seconds=0.1,
    syncs=10,
    journaled=(JOURNALED,),
    starts=1,
    layouts=("compact",),
    kills=1,
    machines=0,
)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    found = durability.run(Console(file=io.StringIO()), "compact", folder, EFFORT)
    assert list(folder.iterdir()) == [], "nothing is left"
    return found


def test_the_disk_alone_has_turns_beside_the_venue(result):
    assert 0 < result["fsync_p50_us"] <= result["fsync_p99_us"] <= result["fsync_max_us"]
    assert result["fsyncs"] == EFFORT.syncs * (3 + len(result["rates"]))


def test_answers_have_figures_for_each_rate(result):
    assert [row["rate"] for row in result["rates"]] == list(EFFORT.rates)
    for row in result["rates"]:
        assert 0 < row["p50_us"] <= row["p99_us"] <= row["p999_us"] <= row["max_us"]
    figures = [result[f"durable_cmds_per_s{end}"] for end in ("_min", "", "_max")]
    assert 0 < figures[0] <= figures[1] <= figures[2]
    assert (result["ack_rate"], result["ack_p50_us"]) == (1_000, result["rates"][0]["p50_us"])
    assert {"journal", "engine", "driver"} == {each["name"] for each in result["processes"]}
    assert 0 < result["frames"] <= result["commands"]


def test_being_back_is_measured_with_and_without_a_snapshot(result):
    assert set(result["starts"]) == {"0", f"{JOURNALED}", f"{JOURNALED} with a snapshot"}
    assert all(seconds > 0 for seconds in result["starts"].values())
    assert result["ready_seconds_1m"] is None, "there was no such journal"
    assert result["replayed"] >= JOURNALED
    assert result["replay_cmds_per_s"] > 0
    assert result["replay_checked_cmds_per_s"] > 0
    assert result["snapshot_bytes"] > 4096


def test_each_process_has_its_pause(result):
    (kinds,) = result["pauses"].values()
    assert set(kinds) == {"gateway", "engine", "journal", "shadow"}
    assert all(row["pause_ms_max"] > 0 for row in kinds.values())


def test_terminal_and_page_show_all(result):
    console = Console(file=io.StringIO(), width=160)
    console.print(durability.render(result))
    shown = console.file.getvalue()
    page = durability_part(result)
    for said in ("gateway", "shadow", str(result["fsync_p50_us"]), "with a snapshot"):
        assert said in shown
        assert said in page
