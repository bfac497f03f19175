"""Short turns at real-time priority, so that other work on the machine does not decide a figure.

Without it a spinning process loses its core for milliseconds whenever anybody else wants it. With
it nobody else gets the core, so a turn must stay well below the second of which the kernel keeps
a share for others. Where it is not permitted, measuring goes on as an ordinary process.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

PRIORITY: Final = 1
"""The lowest real-time priority: above all ordinary work, below whatever else is real-time."""


REST_SECONDS: Final = 0.2
"""What others get after a long turn."""


def take_core(core: int) -> bool:
    """Stay on `core`, before everybody else there; false when only the first is permitted."""
    os.sched_setaffinity(0, {core})
    return hurry(0)


def hurry(pid: int) -> bool:
    """Give a process (0: this one) real-time priority; false when that is not permitted."""
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        return False
    return True


@contextmanager
def undisturbed(core: int, helpers: Iterable[int] = ()) -> Iterator[bool]:
    """A turn of this process at the head of the queue of `core`; yields whether it is.

    `helpers` are processes, pinned already, that get the same priority meanwhile.
    """
    cores, policy = os.sched_getaffinity(0), os.sched_getscheduler(0)
    first = list(helpers)
    try:
        yield take_core(core) and all(map(hurry, first))
    finally:
        for pid in (0, *first):
            with suppress(ProcessLookupError):
                os.sched_setscheduler(pid, policy, os.sched_param(0))
        os.sched_setaffinity(0, cores)


def permitted(core: int) -> bool:
    """Whether turns are undisturbed here."""
    with undisturbed(core) as first:
        return first
