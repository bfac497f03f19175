"""How long it takes to be back: journals done again, venues started on them, snapshots.

Starts are measured as an operator sees them: from the beginning of a new process to the moment at
which the venue says that it is ready, compiled code coming from the disk.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from engine.durability.datadir import attach
from engine.durability.file_storage import FileStorage
from engine.durability.pursuit import EventPursuit, Pursuit
from engine.durability.snapshot_folder import dseqs
from engine.durability.snapshot_format import path_of
from tools.bench.errors import BenchFailed
from tools.clean import clean

FROM_GENESIS: Final = 0
STARTING: Final = "tools.bench.durability.starting"


def measure_replay(folder: Path) -> dict[str, Any]:
    """Commands a second: with everything done again, and with books and events alone."""
    checked, records = _follow(Pursuit, folder)
    alone, _ = _follow(EventPursuit, folder)
    return {
        "replay_cmds_per_s": round(records / alone),
        "replay_checked_cmds_per_s": round(records / checked),
        "replayed": records,
    }


def _follow(kind: type[Pursuit], folder: Path) -> tuple[float, int]:
    """Seconds from a loaded first snapshot to the journal's end, and how many decisions."""
    storage = FileStorage(folder, 0)
    try:
        pursuit = kind(attach(folder), storage, None, FROM_GENESIS)
        began = time.perf_counter()
        for _ in pursuit.follow(None):
            pass
        seconds = time.perf_counter() - began
        records = pursuit.dseq
        pursuit.free()
    finally:
        storage.close()
    return seconds, records


def measure_snapshot(folder: Path) -> dict[str, Any]:
    """Storing the state at the journal's end, and loading it."""
    storage = FileStorage(folder, 0)
    try:
        pursuit = Pursuit(attach(folder), storage, None)
        for _ in pursuit.follow(None):
            pass
        began = time.perf_counter()
        stored = pursuit.store()
        seconds = time.perf_counter() - began
        pursuit.free()
        began = time.perf_counter()
        Pursuit(attach(folder), storage, None).free()
        loaded = time.perf_counter() - began
    finally:
        storage.close()
    return {
        "snapshot_seconds": round(seconds, 3),
        "snapshot_load_seconds": round(loaded, 3),
        "snapshot_bytes": stored.path.stat().st_size,
    }


def measure_start(folder: Path, name: str, layout: str | None, times: int) -> float:
    """Median seconds of starts on a folder, each ended as by a failure of the machine.

    `name`: of the venue whose folder it is, or is to be. `times`: how many starts.
    """
    return round(statistics.median(_start(folder, name, layout) for _ in range(times)), 3)


def _start(folder: Path, name: str, layout: str | None) -> float:
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", STARTING, str(folder), name, layout or "auto"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        seconds = time.perf_counter() - began
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        clean(venue=name)
    if not line.startswith("ready "):
        raise BenchFailed(f"a venue did not start on {folder}: try okimi journal verify {folder}")
    return seconds


@contextmanager
def without_snapshots(folder: Path) -> Iterator[None]:
    """Meanwhile only the first snapshot is there."""
    snapshots = attach(folder).snapshots
    hidden = [path_of(snapshots, dseq) for dseq in dseqs(snapshots) if dseq > FROM_GENESIS]
    aside = [path.rename(path.with_suffix(".aside")) for path in hidden]
    try:
        yield
    finally:
        for path, kept in zip(hidden, aside, strict=True):
            kept.rename(path)
