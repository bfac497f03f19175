"""How a process becomes a member of a venue: its name, its core, its entry in the counters file.

Called once in each forked process, by stages and gateways alike, before they touch a ring.
"""

import ctypes
import os
import signal
from typing import Final

from engine.topology import ProcessPlan
from engine.venue import VenueMemory
from ipc.counters import ProcessEntry, sign_in
from ipc.segment import lock_all_memory

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15

EXIT_STORAGE: Final = 75
"""Exit code of a journal that could not write (EX_TEMPFAIL of sysexits.h): it is not started again
before somebody has looked at the disk."""

EXIT_HOPELESS: Final = 77
"""Exit code of a process that cannot make its state from the data: no successor could."""

EXIT_FENCED: Final = 76
"""Exit code of a process that found another epoch than its own in its entry: it has a successor."""

TITLE_CHARS: Final = 15
"""The kernel keeps no more of a process's name."""


def die_with_parent() -> None:
    """Have the calling process killed when the one that forked it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def settle_in(venue: VenueMemory, plan: ProcessPlan) -> None:
    """Make the calling process that process: name, core, entry; it dies with its supervisor."""
    die_with_parent()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NAME, process_title(plan.name).encode(), 0, 0, 0)
    os.sched_setaffinity(0, {plan.cpu})
    venue.populate()
    if venue.config.venue.mlock:
        lock_all_memory()
    sign_in(venue.entry(plan.name))


class Fence:
    """Ends the calling process on the spot once its entry is another's: it must write nothing more.

    For Python's loops; the compiled ones compare for themselves.
    """

    def __init__(self, entry: ProcessEntry, epoch: int) -> None:
        """`epoch`: of the calling process."""
        # Read often: a field access by way of the record costs ten times as much.
        place = entry.address + ProcessEntry.fields["epoch"].offset
        self._found = ctypes.c_int64.from_address(place)
        self._epoch = epoch

    def check(self) -> None:
        """Return only to a process that has no successor."""
        if self._found.value != self._epoch:
            os._exit(EXIT_FENCED)


def process_title(process: str) -> str:
    """How the kernel calls a process: 15 characters, the number of a shard among them."""
    title = f"okimi-{process}"
    return title if len(title) <= TITLE_CHARS else title[: TITLE_CHARS - 2] + title[-2:]
