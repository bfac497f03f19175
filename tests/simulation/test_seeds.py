"""The simulator: seeds pass, repeat themselves and meet every fault, and its parts judge right."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from engine.durability.errors import StorageFailed
from engine.messages import Decision, slot_dtype
from tools.simulation import options, seeds
from tools.simulation.disks import SECTOR_BYTES, SimulatedDisk
from tools.simulation.judging import Violation, check_decisions

COMMANDS = 80
"""Fewer than otherwise, so that 2,000 seeds take a minute."""
ROOT = Path(__file__).resolve().parents[2]
ALL_FAULTS = {
    *options.KINDS,
    options.TORN,
    options.CRASH_AGAIN,
    options.BIT_FLIP,
    options.DUPLICATE,
    options.HIDDEN,
    options.ARCHIVED,
}


def simulate(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON object and what was said about failures."""
    command = [sys.executable, "-m", "tools.cli", "simulate", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.timeout(900)
def test_two_thousand_seeds_with_all_faults() -> None:
    code, found, said = simulate(
        "--seeds", "2000", "--from", "1", "--commands", str(COMMANDS), "--jobs", "2"
    )
    assert found["failures"] == [], said
    assert (code, found["seeds"]) == (0, 2000)
    assert set(found["faults"]) == ALL_FAULTS
    rare = found["faults"].pop(options.ARCHIVED)  # few commands fill a segment
    assert rare >= 10
    assert min(found["faults"].values()) > 100, found["faults"]
    assert found["decisions"] > 1.2 * COMMANDS * 2000


def test_a_seed_is_the_same_run_every_time() -> None:
    """In a world that others have used, in one that was just built, and in another process."""
    first = [seeds.run_seed(seed, 60) for seed in range(70, 78)]
    seeds.forget_worlds()
    again = [seeds.run_seed(seed, 60) for seed in range(70, 78)]
    script = "from tools.simulation import seeds; print(seeds.run_seed(77, 60).digest)"
    other = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not any(each.problem for each in first)
    assert [each.digest for each in first] == [each.digest for each in again]
    assert [each.faults for each in first] == [each.faults for each in again]
    assert other.stdout.strip() == first[-1].digest


def test_without_faults_nothing_fails() -> None:
    made = options.options_of(Random(1), 50, faulty=False)
    assert made.kinds == ()
    assert made.hides == made.flips == 0.0


# --- the disk ----------------------------------------------------------------------------------


def disk_with(raw: bytes) -> SimulatedDisk:
    disk = SimulatedDisk(Random(3))
    disk.create(1)
    disk.write(1, 0, raw)
    return disk


def read(disk: SimulatedDisk, size: int) -> bytes:
    target = bytearray(size)
    assert disk.read(1, 0, memoryview(target)) == size
    return bytes(target)


def test_what_was_synced_survives_and_of_the_rest_any_sectors() -> None:
    raw = b"\1" * 16 * SECTOR_BYTES
    kept = set()
    for number in range(200):
        disk = disk_with(raw)
        disk.sync(1)
        disk.random = Random(number)
        disk.write(1, 0, b"\2" * len(raw))
        assert read(disk, len(raw)) == b"\2" * len(raw)
        disk.crash()
        found = read(disk, len(raw))
        sectors = [found[at : at + SECTOR_BYTES] for at in range(0, len(raw), SECTOR_BYTES)]
        assert all(each in (b"\1" * SECTOR_BYTES, b"\2" * SECTOR_BYTES) for each in sectors)
        kept.add(tuple(each[0] for each in sectors))
    assert {(1,) * 16, (2,) * 16} <= kept
    assert len(kept) > 40


def test_after_a_failed_sync_a_later_one_proves_nothing() -> None:
    lost = 0
    for number in range(40):
        disk = disk_with(b"\3" * SECTOR_BYTES)
        disk.random = Random(number)
        disk.fails_sync = 1
        with pytest.raises(StorageFailed):
            disk.sync(1)
        disk.sync(1)
        disk.crash()
        lost += read(disk, 1) == b"\0"
    assert 5 < lost < 38


# --- the judge ---------------------------------------------------------------------------------


def decisions(*rows: dict[str, Any]) -> Any:
    made = np.zeros(len(rows), slot_dtype(Decision))
    for number, row in enumerate(rows, start=1):
        made[number - 1]["sequence"] = number
        made[number - 1]["source_sequence"] = number
        made[number - 1]["kind"] = 1
        for name, value in row.items():
            made[number - 1][name] = value
    return made


NAMED = {"account": 1, "client_order_id": b"a"}


def test_the_judge_passes_what_is_right() -> None:
    check_decisions(
        decisions(NAMED | {"order_id": 1}, NAMED | {"order_id": 1, "reason": 209}, {"order_id": 2})
    )


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{}, {"sequence": 3}], "densely"),
        ([{}, {"source_sequence": 3}], "command 3 comes where 2 should be"),
        ([{}, {"source_sequence": 1}], "command 1 comes where 2 should be"),
        ([NAMED | {"order_id": 1}, NAMED | {"order_id": 2}], "executed again as order 2"),
        (
            [NAMED | {"order_id": 1}, NAMED | {"order_id": 2, "reason": 209}],
            "answered with order 2, it is order 1",
        ),
    ],
)
def test_the_judge_finds(rows: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(Violation, match=words):
        check_decisions(decisions(*rows))
