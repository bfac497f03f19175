"""`okimi clean`: remove shared memory whose owner is dead, and nothing else.

A segment says in its header who made it. Segments of living owners, of other users, and files
that this program did not make are kept and reported with the reason.
"""

import stat
import time
from dataclasses import dataclass
from typing import Final

from engine.venue import segment_name
from ipc.errors import SegmentForeign, SegmentMissing
from ipc.segment import PREFIX, SHARED_MEMORY, exclusive, inspect, names, unlink

UNFINISHED_AGE_MIN_S: Final = 10.0
"""A segment without a header is being made right now, or its maker died; making takes far less."""


DEAD: Final = "dead"
"Nobody owns it any more: may be removed."
ALIVE: Final = "alive"
UNFINISHED: Final = "unfinished"
"It is just being made, perhaps."
FOREIGN: Final = "foreign"
"Another user's, or not made by this program."


@dataclass(frozen=True, slots=True)
class Finding:
    """One segment: DEAD, ALIVE, UNFINISHED or FOREIGN, and why."""

    name: str
    state: str
    reason: str


def survey(venue: str | None = None) -> list[Finding]:
    """All segments of a venue, or of any, and what is to be said of each."""
    prefix = PREFIX if venue is None else segment_name(venue, "")
    return [found for name in names(prefix) if (found := _look(name)) is not None]


def stale(venue: str | None = None) -> list[tuple[str, str]]:
    """Name and reason of each segment that nobody owns any more."""
    return [(found.name, found.reason) for found in survey(venue) if found.state == DEAD]


def kept(venue: str | None = None) -> list[tuple[str, str]]:
    """Name and reason of each segment that `clean` leaves alone."""
    return [(found.name, found.reason) for found in survey(venue) if found.state != DEAD]


def clean(dry_run: bool = False, venue: str | None = None) -> list[str]:
    """Remove what is stale, of one venue or of any; the names removed, or to be when `dry_run`."""
    found = [name for name, _ in stale(venue)]
    return found if dry_run else [name for name in found if _remove(name)]


def _remove(name: str) -> bool:
    # Look once more while nobody creates: `okimi up` may have reclaimed the name in between.
    with exclusive():
        found = _look(name)
        return found is not None and found.state == DEAD and unlink(name)


def _look(name: str) -> Finding | None:
    """One segment; None when it is gone."""
    try:
        facts = (SHARED_MEMORY / name).lstat()
        if not stat.S_ISREG(facts.st_mode):
            return Finding(name, FOREIGN, "no shared memory segment (not a regular file)")
        alive, description = inspect(name)
    except (FileNotFoundError, SegmentMissing):
        return None
    except SegmentForeign as error:
        return Finding(name, FOREIGN, str(error))
    if alive:
        return Finding(name, ALIVE, description)
    if description == "unfinished" and time.time() - facts.st_mtime < UNFINISHED_AGE_MIN_S:
        return Finding(name, UNFINISHED, "just being made, or its maker just died")
    return Finding(name, DEAD, description)
