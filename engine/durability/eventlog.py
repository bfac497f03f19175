"""Events for whoever comes late: any that a venue has told, from any event sequence on.

What is materialised is read from its files (`engine.durability.eventfiles`). All else is derived
again: a replica begins at the nearest older snapshot and follows the journal, archived segments
included. Both give the same events, byte for byte but for stamps.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.durability import datadir
from engine.durability.datadir import DataDir
from engine.durability.errors import EventsGone, JournalGap, SnapshotError, StorageFailed
from engine.durability.eventfiles import SLOTS, EventFiles
from engine.durability.eventkeeper import EventKeeper
from engine.durability.file_storage import FileStorage
from engine.durability.pursuit import EventPursuit
from engine.durability.snapshot import read_header
from engine.durability.snapshot_folder import dseqs
from engine.durability.snapshot_format import path_of
from engine.messages import decode_events

NO_SEGMENTS: Final = 0
"""Size of segments that are begun here: none are."""

POLL_S: Final = 0.02
"""Between two looks at a mark that has not moved; a follower that must be faster reads the ring."""

Durable = Callable[[], int | None]
"""Gives the last durable decision; None when nobody writes the journal: all of it counts."""

Told = Callable[[int], None]
"""Is called with the last decision that was done again."""


def earliest_snapshot(folder: DataDir, storage: FileStorage) -> int:
    """The moment of the oldest snapshot from which the journal can be followed."""
    oldest = min({*storage.archived(), *storage.segments()}, default=1)
    return next((each for each in dseqs(folder.snapshots) if each + 1 >= oldest), 0)


class EventLog:
    """The events of one data folder. Reading takes no lock and disturbs nobody."""

    def __init__(self, data_dir: Path, durable: Durable = lambda: None) -> None:
        """`durable` has to be given while the venue runs. Raises DataDirForeign."""
        self.folder: DataDir = datadir.attach(data_dir)
        self.shards = self.folder.identity.shards
        self._storage = FileStorage(data_dir, NO_SEGMENTS)
        self._durable = durable

    def close(self) -> None:
        """Let go of the journal's files."""
        self._storage.close()

    def read(self, shard: int, from_eseq: int, to: int | None = None) -> Iterator[Any]:
        """Decoded events of a shard from `from_eseq` (1: the first) up to `to`, or to the end.

        The end is what the last durable decision has caused when this is called; a later `to` ends
        there as well. Raises EventsGone when the journal no longer reaches back so far,
        EventsRotten, and the errors of the journal and of snapshots.
        """
        for slots in self.slots(shard, from_eseq, to):
            yield from decode_events(memoryview(slots.view(np.uint8)))

    def slots(self, shard: int, from_eseq: int, to: int | None = None) -> Iterator[Any]:
        """The same as arrays of slots (`engine.messages.slot_dtype`), some thousand at a time."""
        assert 0 <= shard < self.shards, f"slots: shard {shard} of {self.shards}"
        assert from_eseq >= 1, "slots: events are counted from 1"
        durable, position = self._durable(), from_eseq
        for piece in self._all(shard, from_eseq, to, durable):
            first = int(piece["sequence"][0])
            assert first <= position, f"slots: event {first} instead of {position}"
            end = len(piece) if to is None else min(len(piece), to + 1 - first)
            if durable is not None:
                end = min(end, int(np.searchsorted(piece["dseq"], durable, "right")))
            if position - first < end:
                yield piece[position - first : end]  # a mask would not copy all bytes
                position = first + end

    def _all(
        self, shard: int, from_eseq: int, to: int | None, durable: int | None
    ) -> Iterator[Any]:
        """Pieces from files where they have the events, else from a replica; some overlap."""
        files, position = EventFiles(self.folder.events, shard), from_eseq
        while to is None or position <= to:
            for run in files.runs(position):
                yield run.slots()
                position = run.end_eseq
                if to is not None and position > to:
                    return
            later = next((first for first in files.firsts() if first > position), None)
            stop = to if later is None else later - 1
            source = _Source(self, shard, position, durable)
            try:
                for piece in source.pieces(durable):
                    yield piece
                    position = int(piece["sequence"][-1]) + 1
                    if stop is not None and position > stop:
                        break
                else:
                    return
            finally:
                source.close()

    def follow(
        self, shard: int, from_eseq: int, going: Callable[[], bool] = lambda: True
    ) -> Iterator[Any]:
        """Decoded events as they become durable, without an end while `going()` says so.

        Needs a venue that runs, and `durable`.
        """
        position = from_eseq
        for event in self.read(shard, from_eseq):
            yield event
            position = event.sequence + 1
        source = _Source(self, shard, position, self._durable())
        try:
            while going() and (durable := self._durable()) is not None:
                came = False
                for piece in source.pieces(durable):
                    came = True
                    yield from decode_events(memoryview(piece.view(np.uint8)))
                if not came:
                    time.sleep(POLL_S)
        finally:
            source.close()

    # --- materialising -------------------------------------------------------------------------

    def rebuild(self, told: Told = lambda dseq: None) -> list[int]:
        """Make all files again from as early as the journal reaches; returns events by shard.

        Raises DataDirInUse while another process writes them, StorageFailed where there is no room
        for them, and the errors of the journal.
        """

        def refuse(words: str) -> None:
            raise StorageFailed(words)

        durable = self._durable()
        earliest = earliest_snapshot(self.folder, self._storage)
        pursuit = EventPursuit(self.folder, self._storage, durable, earliest)
        try:
            with closing(EventKeeper(pursuit, 0, refuse)) as keeper:
                for dseq in pursuit.follow(durable):
                    told(dseq)
        finally:
            pursuit.free()
        return keeper.counts

    def before(self, shard: int, eseq: int) -> int:
        """The moment of the newest snapshot that does not have an event in it.

        Raises EventsGone when there is none.
        """
        for dseq in reversed(dseqs(self.folder.snapshots)):
            try:
                moment = read_header(path_of(self.folder.snapshots, dseq)).moment
            except SnapshotError:
                continue  # the replica begins at an older one
            if moment.eseqs[shard] < eseq:
                return dseq
        raise EventsGone(
            f"event {eseq} of shard {shard} cannot be derived: {self.folder.snapshots} has no "
            "snapshot from before it"
        )


class _Source:
    """A replica on its way, and the events of one shard that it makes."""

    def __init__(self, log: EventLog, shard: int, from_eseq: int, durable: int | None) -> None:
        self._shard, self._from = shard, from_eseq
        self._raw: list[bytes] = []
        at_most = log.before(shard, from_eseq)
        try:
            self._pursuit = EventPursuit(log.folder, log._storage, durable, at_most)
        except JournalGap as error:
            raise EventsGone(
                f"events from {from_eseq} on cannot be derived any more: {error}"
            ) from error
        self._pursuit.send_events_to(self._keep)

    def _keep(self, shard: int, raw: memoryview) -> None:
        if shard == self._shard:
            self._raw.append(bytes(raw))

    def pieces(self, durable: int | None) -> Iterator[Any]:
        """What is new up to a decision, from the event that is wanted next on."""
        for _ in self._pursuit.follow(durable):
            made, self._raw = np.frombuffer(b"".join(self._raw), SLOTS), []
            begin = 0 if len(made) == 0 else max(self._from - int(made["sequence"][0]), 0)
            if begin < len(made):
                self._from = int(made["sequence"][-1]) + 1
                yield made[begin:]

    def close(self) -> None:
        self._pursuit.free()
