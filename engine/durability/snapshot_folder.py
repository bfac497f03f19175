"""The snapshots of a venue: which there are, the newest whole one, and which are kept.

One writer at a time: it holds a lock on the folder. Readers need none, since a snapshot appears
under its name complete and never changes.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.durability import snapshot
from engine.durability.blocks import Block, clear
from engine.durability.errors import SnapshotMismatch, SnapshotMissing, SnapshotRotten
from engine.durability.snapshot import UNFINISHED, Progress
from engine.durability.snapshot_format import NAME_DIGITS, SUFFIX, Moment, Snapshot, path_of, rotten

KEPT: Final = 3
"""Snapshots that are kept unless told otherwise, beside the one of the beginning: the newest may be
damaged, and the journal is deleted only below the one before it."""


@dataclass(frozen=True, slots=True)
class Found:
    """The snapshot to begin from, and what is wrong with the newer ones."""

    snapshot: Snapshot
    passed_over: tuple[str, ...]
    "For the operator: one sentence for each newer snapshot that is damaged."


def dseqs(folder: Path) -> list[int]:
    """The moments of which there are snapshots, ascending, whole or not."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        digits = path.name.removesuffix(SUFFIX)
        if len(digits) == NAME_DIGITS and digits.isdecimal():
            found.append(int(digits))
    return sorted(found)


def examine(folder: Path, dseq: int, progress: Progress | None = None) -> Snapshot:
    """Verify the snapshot of a moment. Raises SnapshotRotten, SnapshotMismatch."""
    found = snapshot.verify(path_of(folder, dseq), progress)
    if found.moment.dseq != dseq:
        raise rotten(found.path, f"it is of decision {found.moment.dseq}, its name says {dseq}")
    return found


def newest(folder: Path, at_most: int | None = None, progress: Progress | None = None) -> Found:
    """The newest whole snapshot, of those up to the moment `at_most` if that is given.

    Raises SnapshotMissing when there is none, and SnapshotMismatch when one that is whole has
    another format: then an older one is of no use either.
    """
    passed_over: list[str] = []
    for dseq in reversed(dseqs(folder)):
        if at_most is not None and dseq > at_most:
            continue
        try:
            return Found(examine(folder, dseq, progress), tuple(passed_over))
        except SnapshotRotten as error:
            passed_over.append(str(error))
    reason = "; ".join(passed_over) or "there is none"
    bound = "" if at_most is None else f" up to decision {at_most}"
    raise SnapshotMissing(f"{folder} has no snapshot{bound} to begin from: {reason}")


def load_newest(
    folder: Path,
    blocks: Mapping[str, Block],
    at_most: int | None = None,
    progress: Progress | None = None,
) -> Found:
    """Load the newest whole snapshot into blocks, which are cleared before. Raises as `newest`."""
    found = newest(folder, at_most, progress)
    for block in blocks.values():
        clear(block)
    loaded = snapshot.load(found.snapshot.path, blocks, progress)
    return Found(loaded, found.passed_over)


def whole(folder: Path, most: int | None = None) -> list[int]:
    """The moments of the newest `most` whole snapshots, or of all, ascending.

    Reads all of each file. The journal is needed from the second newest on.
    """
    found: list[int] = []
    for dseq in reversed(dseqs(folder)):
        if most is not None and len(found) == most:
            break
        try:
            examine(folder, dseq)
        except (SnapshotRotten, SnapshotMismatch):
            continue
        found.append(dseq)
    return found[::-1]


def store(
    folder: Path,
    blocks: Mapping[str, Block],
    moment: Moment,
    kept: int = KEPT,
    progress: Progress | None = None,
) -> Snapshot:
    """Write the snapshot of a moment, unless there is a whole one, and drop those not kept.

    Raises as `snapshot.write` does.
    """
    with _writing(folder):
        path = path_of(folder, moment.dseq)
        try:
            stored = examine(folder, moment.dseq) if path.exists() else None
        except SnapshotRotten:
            stored = None
        if stored is None:
            stored = snapshot.write(path, blocks, moment, progress)
        _drop(folder, kept)
    return stored


def _drop(folder: Path, kept: int) -> None:
    """Delete what is older than the newest whole snapshots, but for that of the beginning."""
    assert kept > 0
    # Damaged ones do not count: those that are kept might all be damaged.
    good = whole(folder, kept)
    for dseq in dseqs(folder):
        if len(good) == kept and 0 < dseq < good[0]:
            path_of(folder, dseq).unlink()
    snapshot.sync_folder(folder)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Be the one writer of the folder; what an earlier one left unfinished is removed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for path in folder.glob(f"*{UNFINISHED}"):
            path.unlink()
        yield
    finally:
        os.close(descriptor)
