"""What a recovering process tells meanwhile: that it lives, and which decision it does again.

Where a record may have killed the process before it, decisions are done again one by one, each
noted first: if this process dies, too, its entry says of what.
"""

import time

from engine.durability.replica import Replica
from ipc.counters import AT_REPLICA, ProcessEntry


class Notes:
    """A process entry as a recovering process writes it."""

    def __init__(self, entry: ProcessEntry, careful_from: int | None = None) -> None:
        """`careful_from`: the first decision that may kill; None when there is no suspicion."""
        self._entry = entry
        self._careful_from = careful_from

    def beat(self, *progress: int) -> None:
        """The process lives. Serves as a Progress, too."""
        self._entry.heartbeat.word.value = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)

    def apply(self, replica: Replica, payload: memoryview | bytes, until: int = 0) -> None:
        """As `replica.apply`, with a note of each decision that may kill."""
        self.beat()
        if self._careful_from is None:
            replica.apply(payload, until)
            return
        harmless = self._careful_from - 1
        if replica.dseq < harmless:
            replica.apply(payload, min(until, harmless) if until else harmless)
        while harmless <= replica.dseq and not (until and replica.dseq >= until):
            dseq = replica.dseq + 1
            self._note(dseq)
            replica.apply(payload, dseq)
            self._note(0)
            if replica.dseq < dseq:  # the payload has no more
                return
            self.beat()

    def _note(self, dseq: int) -> None:
        self._entry.at = 0
        self._entry.at_stage = AT_REPLICA
        self._entry.at = dseq
