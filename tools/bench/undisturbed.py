"""Short turns at real-time priority, so that other work on the machine does not decide a figure.

Without it a spinning process loses its core for milliseconds whenever anybody else wants it. With
it nobody else gets the core, so a turn must stay well below the second of which the kernel keeps
a share for others. Where it is not permitted, measuring goes on as an ordinary process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

PRIORITY: Final = 1
"""The lowest real-time priority: above all ordinary work, below whatever else is real-time."""


def take_core(core: int) -> bool:
    """Stay on `core`, before everybody else there; false when only the first is permitted."""
    os.sched_setaffinity(0, {core})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        return False
    return True


@contextmanager
def undisturbed(core: int) -> Iterator[bool]:
    """A turn of this process at the head of the queue of `core`; yields whether it is."""
    cores, policy = os.sched_getaffinity(0), os.sched_getscheduler(0)
    try:
        yield take_core(core)
    finally:
        os.sched_setscheduler(0, policy, os.sched_param(0))
        os.sched_setaffinity(0, cores)


def permitted(core: int) -> bool:
    """Whether turns are undisturbed here."""
    with undisturbed(core) as first:
        return first
