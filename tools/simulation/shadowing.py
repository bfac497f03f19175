"""The shadow of a simulated venue: it follows the journal, and takes snapshots."""

from itertools import pairwise
from random import Random
from typing import Final

from engine.durability.reader import JournalReader
from tools.simulation.derivations import Derivation, Snapshot
from tools.simulation.disks import SimulatedDisk
from tools.simulation.recovering import newest
from tools.simulation.worlds import World

KEPT_MAX: Final = 3
"""Snapshots that are kept beside the beginning."""


class Shadow:
    """A replica that follows what is durable, at its own pace, through its deaths."""

    def __init__(self, world: World) -> None:
        """One of this world, which has followed nothing."""
        self.copy = Derivation(world)
        self.snapshots: list[Snapshot] = []
        self.archived = 0
        "Segments of this run that have gone to the archive."
        self._world = world
        self._disk: SimulatedDisk | None = None
        self._reader: JournalReader | None = None

    def begin(self, disk: SimulatedDisk) -> None:
        """A new run: there are no snapshots."""
        self._disk = disk
        self.snapshots = []
        self.archived = 0
        self.restart()

    def restart(self) -> None:
        """Begin with the newest snapshot."""
        assert self._disk is not None
        self.copy.restart(newest(self.snapshots))
        dseq = self.copy.replica.dseq
        self._reader = JournalReader(self._disk, dseq)
        self._reader.seek(dseq + 1)

    def turn(self, random: Random, snapshots: float) -> None:
        """Follow to what is durable. Raises Diverged.

        `snapshots`: how often a snapshot is taken after that.
        """
        assert self._reader is not None
        assert self._disk is not None
        durable = self._world.durable
        if self._reader.position.next_dseq > durable:
            return
        if (
            self.copy.apply(self._reader, self._reader.poll(durable))
            and random.random() < snapshots
        ):
            self.snapshots.append(self.copy.take_snapshot())
            del self.snapshots[:-KEPT_MAX]
            if len(self.snapshots) > 1:
                self.archived += retire(self._disk, self.snapshots[-2].dseq)


def retire(disk: SimulatedDisk, dseq: int) -> int:
    """Archive the segments whose decisions are all up to `dseq`; returns how many."""
    archived = 0
    for first, following in pairwise(disk.segments()):
        if following > dseq + 1:
            break
        size = 0
        for frame in JournalReader(disk).frames(first):
            if frame.segment != first:
                break
            size = frame.offset + frame.bytes
        disk.archive(first, size)
        archived += 1
    return archived
