"""The shadow process: does the work of the whole venue again, and takes the snapshots.

It follows the journal's files, as far as they are durable, and writes nothing that the venue reads:
snapshots, and the events that it derives, for who comes late.
What it derives must be what was journaled, decision by decision, and its checkpoints must be those
that the live stages tell. As long as that holds it stores its state now and then; when it does not
hold it says so and stores nothing any more, while the venue goes on: a person must look.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from engine.durability.committing import data_dir_of
from engine.durability.datadir import DataDir, attach
from engine.durability.errors import Diverged, JournalError, SnapshotError, StorageError
from engine.durability.eventkeeper import keep_events
from engine.durability.file_storage import FileStorage
from engine.durability.pursuit import Pursuit
from engine.durability.snapshot_job import BLIND, DIFFERS, NICENESS, Schedule, give_up_old, say
from engine.membership import EXIT_FENCED, settle_in
from engine.topology import JOURNAL, ProcessPlan
from engine.venue import VenueMemory
from ipc.counters import DEAD, RUNNING, STOPPED, explain, note_death, read_checkpoint, words_of

IDLE_SECONDS: Final = 0.02
"""Between two looks at the durable mark when nothing is new."""


BEAT_SECONDS: Final = 0.05
"""Between two beats beside work on files."""


class CheckpointAudit:
    """Compares the checkpoints of the live matching stages with those of a replica.

    The live ones are ahead, so each is remembered until the replica has come there.
    """

    def __init__(self, shards: int) -> None:
        self._live: list[dict[int, int]] = [{} for _ in range(shards)]
        self.compared = 0
        "How many agreed."

    def note(self, shard: int, sequence: int, state_hash: int) -> None:
        """A live stage has told a checkpoint."""
        self._live[shard][sequence] = state_hash

    def check(self, shard: int, sequence: int, state_hash: int) -> None:
        """The replica has come to a checkpoint. Raises Diverged when the live one was another."""
        live = self._live[shard]
        told = live.pop(sequence, None)
        for earlier in [each for each in live if each < sequence]:
            del live[earlier]
        if told is None:
            return
        if told != state_hash:
            raise Diverged(
                sequence,
                f"matching {shard} had hash {told:016x} in the venue, following the journal it "
                f"has {state_hash:016x}",
            )
        self.compared += 1


class Shadow:
    """The work of the process, turn by turn."""

    def __init__(self, venue: VenueMemory, plan: ProcessPlan, folder: DataDir) -> None:
        """Stand at the newest snapshot. Errors as those of `Pursuit`."""
        settings = venue.config.durability
        self.venue, self.mark = venue, venue.counters.durable
        self.entry, self.settings = venue.entry(plan.name), settings
        self.audit = CheckpointAudit(len(venue.topology.shards))
        self.storage = FileStorage(folder.path, settings.segment_mb << 20)
        with self.beating():
            self.pursuit = Pursuit(folder, self.storage, self.mark.dseq)
        begun = self.pursuit.start.found
        for words in begun.passed_over:
            say(words)
        self.keeper = keep_events(self.pursuit, self.mark.dseq, say)
        self.pursuit.on_older = self._keep_again
        self.mark.snapshot_dseq = begun.snapshot.moment.dseq
        self.mark.shadow_dseq = self.pursuit.dseq
        newest = begun.snapshot.moment
        age_seconds = time.time() - newest.created_unix_ns / 1e9
        self.schedule = Schedule(settings.snapshot_minutes, newest.dseq, age_seconds)

    def turn(self) -> bool:
        """Follow to what is durable now, then a snapshot if it is due; whether anything was new.

        Raises Diverged, and the errors of journal and snapshots.
        """
        progress = False
        self.beat()
        self._listen()
        for dseq in self.pursuit.follow(self.mark.dseq):
            progress = True
            self._compare()
            self.mark.shadow_dseq = dseq
            self.beat()
            self._listen()
        if self.schedule.is_due(self.pursuit.dseq) and self.pursuit.is_at_rest:
            self.take()
            with self.beating():
                give_up_old(self.pursuit.folder, self.storage, keep=self.settings.archive)
        return progress

    def take(self) -> None:
        """Take a snapshot; one for which there is no room is tried again later."""
        try:
            with self.beating():
                stored = self.pursuit.store(self.settings.snapshots_kept)
        except StorageError as error:
            say(str(error))
            self.schedule.failed()
            return
        self.schedule.taken(stored.moment.dseq)
        self.mark.snapshot_dseq = stored.moment.dseq

    def close(self) -> None:
        """Let go of the files."""
        if self.keeper is not None:
            self.keeper.close()
            self.keeper = None
        self.storage.close()

    def _keep_again(self) -> None:
        """Keep the events of another replica, which makes some of them once more."""
        if self.keeper is not None:
            self.keeper.close()
            self.keeper = keep_events(self.pursuit, self.mark.dseq, say)

    def beat(self) -> None:
        """Show that this process lives."""
        self.entry.heartbeat.word.value = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat beside work on files, which may take long."""
        done = threading.Event()

        def beat_on() -> None:
            while not done.wait(BEAT_SECONDS):
                self.beat()

        thread = threading.Thread(target=beat_on, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _listen(self) -> None:
        """Remember what the live stages tell of themselves."""
        for shard, stage in enumerate(self.venue.topology.shards):
            told = read_checkpoint(self.venue.statistics(stage))
            if told is not None and told.sequence > self.pursuit.dseq:
                self.audit.note(shard, told.sequence, told.hash)

    def _compare(self) -> None:
        for shard in range(self.pursuit.replica.shards):
            own = self.pursuit.replica.checkpoint(shard)
            if own is not None:
                self.audit.check(shard, *own)
                if shard == 0:
                    self.mark.shadow_hash = signed(own[1])

    def finish(self) -> None:
        """The venue stops: follow to its last durable decision and take a snapshot of that."""
        journal = self.venue.entry(self.venue.topology.host_of(JOURNAL))
        while self.venue.counters.stop.value != 0 and journal.state not in (STOPPED, DEAD):
            if not self.turn():
                time.sleep(IDLE_SECONDS)
        self.turn()
        if self.pursuit.dseq > self.mark.snapshot_dseq and self.pursuit.is_at_rest:
            self.take()


def signed(state_hash: int) -> int:
    """A hash of 64 bits as shared memory holds it."""
    return state_hash - (1 << 64) if state_hash >> 63 else state_hash


def serve_shadow(venue: VenueMemory, plan: ProcessPlan) -> int:
    """The main of the shadow process; returns its exit code.

    Ends on the stop word or SIGTERM, after a last snapshot. When it differs from the venue, or
    cannot read the journal, it says so and waits for the end: a successor would do no better.
    """
    entry, mark = venue.entry(plan.name), venue.counters.durable
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settle_in(venue, plan)
    os.nice(NICENESS)
    epoch = venue.epoch

    def is_over() -> bool:
        return bool(asked) or venue.counters.stop.value != 0 or entry.epoch != epoch

    try:
        try:
            shadow = Shadow(venue, plan, attach(data_dir_of(venue.config)))
            entry.state = RUNNING
            while not is_over():
                if not shadow.turn():
                    time.sleep(IDLE_SECONDS)
            if entry.epoch == epoch:
                shadow.finish()
            shadow.close()
        except (Diverged, JournalError, SnapshotError, StorageError) as error:
            explain(entry, words_of(error))
            mark.shadow_state = DIFFERS if isinstance(error, Diverged) else BLIND
            say(f"{error}. No snapshots are taken any more")
            entry.state = RUNNING
            while not is_over():
                entry.heartbeat.word.value = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
                time.sleep(IDLE_SECONDS)
    except BaseException as error:
        note_death(entry, words_of(error))
        raise
    if entry.epoch != epoch:
        return EXIT_FENCED
    entry.state = STOPPED
    return 0
