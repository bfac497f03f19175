"""The journal process of a simulated venue: the real committer over a simulated disk."""

from typing import Final

from engine.durability.collecting import Committing, connect
from engine.durability.committing import Committer
from engine.durability.errors import StorageFull
from engine.durability.format import FrameBuffer
from engine.durability.writer import open_journal
from engine.topology import JOURNAL
from ipc.wait import SPIN
from tools.simulation.disks import SimulatedDisk
from tools.simulation.worlds import World


class Journal:
    """The journal of one world, through its deaths."""

    def __init__(self, world: World) -> None:
        """Wire the compiled part; there is no disk yet."""
        self._world = world
        plan = next(each for each in world.topology.processes if each.name == JOURNAL)
        self._frame = FrameBuffer()
        self._committing: Committing = connect(world.venue, plan, self._frame)
        self._committing.waiting.strategy = SPIN
        self._committing.bell_count = 0
        self.mark = world.venue.counters.durable
        self.ring = world.rings["decisions"]
        self._cursor = self.ring.cursors[self.ring.readers.index(JOURNAL)]
        self.is_full = False
        "Whether the disk had no room the last time: then clients are not let in."
        self.committer: Committer | None = None
        "None while the process is dead."

    def start(self, disk: SimulatedDisk) -> None:
        """Read the end of the journal and go on behind it."""
        self._committing.taken = 0
        acknowledged = max(self.mark.dseq, self.ring.words[self._cursor])
        writer = open_journal(disk, self.mark.term, acknowledged)
        self.committer = Committer(self._committing, writer, self._frame)
        self.is_full = False

    @property
    def waiting(self) -> int:
        """Decisions in the ring that are not durable, as far as the journal sees them."""
        return self.ring.position - int(self.ring.words[self._cursor])

    def turn(self) -> int:
        """Commit a frame, or the header copies when there is none; returns whether there was one.

        Raises StorageFailed and JournalPoisoned, as the process would die of them.
        """
        committer = self.committer
        if committer is None:
            return 0
        try:
            if not self.waiting and not committer.size:
                done = committer.writer.idle()
            else:
                done = committer.turn(NO_TIME)
        except StorageFull:
            self.is_full = True
            return 0
        self.is_full = False
        return int(done)

    def kill(self) -> None:
        """The process is gone; what it wrote is still in the page cache."""
        self.committer = None


NO_TIME: Final = 0
"""Do not wait for decisions."""
