"""Keeps the events that a follower of the journal derives in the files of the event log.

The shadow has one, and `okimi events --rebuild`. What it writes is derived: when there is no room
it stops and says why, and nobody else need care.
"""

from collections.abc import Callable
from typing import Final

from engine.durability.errors import DataDirInUse
from engine.durability.eventfiles import EventFilesWriter
from engine.durability.pursuit import Pursuit
from engine.messages import MESSAGE_BYTES

Say = Callable[[str], None]
"""Tells the operator a sentence."""

GIVEN_UP: Final = "Events are not kept in files, whoever asks for them waits for a replica"


class EventKeeper:
    """The files of all shards, fed by one pursuit. Close it before the pursuit is freed."""

    def __init__(self, pursuit: Pursuit, durable: int, say: Say) -> None:
        """Keep all events from now on, and of those that are there what followed up to `durable`.

        Raises DataDirInUse when another process keeps them.
        """
        self.counts = [0] * pursuit.replica.shards
        "Events that came, by shard."
        self._pursuit, self._say = pursuit, say
        self._replica = pursuit.replica
        self._writers: list[EventFilesWriter] = []
        try:
            for shard in range(pursuit.replica.shards):
                folder = pursuit.folder.events
                self._writers.append(EventFilesWriter(folder, shard, durable))
        except BaseException:
            self.close()
            raise
        pursuit.send_events_to(self._keep)

    def _keep(self, shard: int, raw: memoryview) -> None:
        if not self._writers:
            return
        try:
            if self._pursuit.replica is not self._replica:
                self._begin_anew()
            self._writers[shard].append(raw)
        except OSError as error:
            self._say(f"{error}. {GIVEN_UP}")
            self.close()
        self.counts[shard] += len(raw) // MESSAGE_BYTES

    def _begin_anew(self) -> None:
        """A decision that had been followed turned out to be skipped: other events come now."""
        self._replica = self._pursuit.replica
        for writer in self._writers:
            writer.clear()

    def close(self) -> None:
        """Keep nothing more."""
        while self._writers:
            self._writers.pop().close()


def keep_events(pursuit: Pursuit, durable: int, say: Say) -> EventKeeper | None:
    """A keeper, or None after saying why there can be none."""
    try:
        return EventKeeper(pursuit, durable, say)
    except (OSError, DataDirInUse) as error:
        say(f"{error}. {GIVEN_UP}")
        return None
