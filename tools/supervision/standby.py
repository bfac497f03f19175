"""A standby: a second process that has a venue's state ready, and takes its place when it is gone.

It follows the journal as far as the venue has reported it durable, with everything compiled and
loaded. The lock of the data folder is the referee: it is free only when every process of the venue
has ended, so two can never serve the same data. Then the standby lays out a venue, puts its state
in, and starts the processes as `okimi up` does, in a new term.
"""

import time
from typing import Final

from engine.config import Config
from engine.durability.blocks import copy
from engine.durability.committing import data_dir_of
from engine.durability.datadir import (
    STANDBY,
    Identity,
    Lock,
    attach,
    check_identity,
    is_locked,
)
from engine.durability.errors import DurabilityError
from engine.durability.file_storage import FileStorage
from engine.durability.noting import Notes
from engine.durability.pursuit import Pursuit
from engine.durability.recalling import recall_with
from engine.durability.recovery import blocks_of, continue_venue
from engine.topology import GATEWAY, JOURNAL, ProcessPlan
from engine.venue import VenueMemory
from tools.journal.errors import JournalToolError
from tools.journal.opening import durable_of
from tools.supervision.children import Main
from tools.supervision.durable import DurableSupervisor
from tools.supervision.mains import main_of, prepare_folder
from tools.supervisor import Asked

LOOK_SECONDS: Final = 0.01
"""Between two looks at the durable mark and the lock: how late an end is noticed."""


class Standby:
    """Follows a venue in this process's memory. `close` it at the end."""

    def __init__(self, config: Config) -> None:
        """Stand at the newest snapshot of the venue's folder.

        Raises DataDirForeign when there is no such venue yet, DataDirInUse when it has a standby,
        and the errors of snapshots and of the journal.
        """
        path = data_dir_of(config)
        self.folder = attach(path)
        check_identity(
            self.folder, Identity(config.venue.name, config.venue.shards, config.rings.event_slots)
        )
        self.place = Lock(path, STANDBY)
        self.storage = FileStorage(path, config.durability.segment_mb << 20)
        self.pursuit: Pursuit | None = Pursuit(self.folder, self.storage, self._durable() or 0)

    @property
    def dseq(self) -> int:
        """The last decision that its state has in it; 0 once that was let go."""
        return 0 if self.pursuit is None else self.pursuit.dseq

    def _durable(self) -> int | None:
        """The last decision that the venue has reported as durable; None when it is not there."""
        try:
            return durable_of(self.folder)
        except JournalToolError:
            return None

    def turn(self) -> bool:
        """Follow what is new; whether there was anything. Raises Diverged and the reader's."""
        assert self.pursuit is not None, "turn: the state was let go"
        durable = self._durable()
        return durable is not None and any([True for _ in self.pursuit.follow(durable)])

    def wait(self, asked_to_stop: Asked) -> bool:
        """Follow until the venue has ended: true; or until asked to stop: false."""
        while not asked_to_stop():
            if not is_locked(self.folder.path):
                return True
            if not self.turn():
                time.sleep(LOOK_SECONDS)
        return False

    def let_go(self) -> None:
        """Give the state's memory back, as far as this process is concerned."""
        if self.pursuit is not None:
            self.pursuit.free()
            self.pursuit = None

    def close(self) -> None:
        """Let go of memory, files and place."""
        self.let_go()
        self.storage.close()
        self.place.release()


class Heir(DurableSupervisor):
    """The supervisor of a venue whose state a standby has."""

    def __init__(self, config: Config, standby: Standby) -> None:
        """Take the folder, as DurableSupervisor does; DataDirInUse when another was faster.

        The standby is closed once its venue serves.
        """
        super().__init__(config, (GATEWAY,))
        self.standby = standby
        standby.place.release()  # or all processes of this venue would hold it

    def _start_all(self, asked_to_stop: Asked) -> None:
        try:
            super()._start_all(asked_to_stop)
        finally:
            self.standby.close()

    def _recover(self, asked_to_stop: Asked) -> None:
        """Put the state in place; if that cannot be, recover from the files."""
        pursuit = self.standby.pursuit
        assert pursuit is not None
        try:
            entry = self.venue.entry(self.topology.host_of(JOURNAL))
            prepare_folder(self.venue, self.data_dir, Notes(entry).beat)
            inherit(self.venue, pursuit)
        except DurabilityError as error:
            self.tell(f"the standby's state cannot be used ({error}): recovering from the files")
            self.standby.let_go()
            super()._recover(asked_to_stop)

    def _main_of(self, process: ProcessPlan) -> Main:
        """The first gateway is told what has passed out of the state; others give it back."""
        pursuit = self.standby.pursuit
        if pursuit is None:
            return super()._main_of(process)
        if GATEWAY in process.stages:
            recall = recall_with(self.venue, process.name, pursuit)
            return main_of(self.venue, process, self.bound, None, recall)
        main = super()._main_of(process)

        def work() -> int:
            self.standby.let_go()
            return main()

        return work


def inherit(venue: VenueMemory, pursuit: Pursuit) -> None:
    """Bring a venue that has just been laid out to the end of the journal, from a pursuit's state.

    Nobody else may write the journal. Raises Diverged and the errors of the reader.
    """
    for _ in pursuit.follow(None):
        pass
    replica = pursuit.replica
    # Who is to follow hears of all events with the barrier of the new term.
    replica.hear_all()
    for name, block in blocks_of(venue).items():
        copy(replica.blocks[name], block)
    continue_venue(venue, replica, pursuit.moment.term + 1)
    venue.counters.durable.snapshot_dseq = pursuit.start.found.snapshot.moment.dseq
