"""What one seed is like: sizes, speeds and which faults it has.

Each seed has some kinds of faults and not others, and few or many of them: a run in which
everything fails all the time never gets far enough to meet what is rare.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

from tools.simulation.markets import MARKETS

KILL_INGEST: Final = "kill_ingest"
KILL_RISK: Final = "kill_risk"
KILL_MATCHING: Final = "kill_matching"
KILL_ENGINE: Final = "kill_engine"
KILL_JOURNAL: Final = "kill_journal"
KILL_SHADOW: Final = "kill_shadow"
KILL_CLIENT: Final = "kill_client"
CRASH: Final = "machine_crash"
SYNC_ERROR: Final = "sync_error"
WRITE_ERROR: Final = "write_error"
DISK_FULL: Final = "disk_full"
CLOCK_JUMP: Final = "clock_jump"
STALL: Final = "stall"

KINDS: Final = (
    KILL_INGEST,
    KILL_RISK,
    KILL_MATCHING,
    KILL_ENGINE,
    KILL_JOURNAL,
    KILL_SHADOW,
    KILL_CLIENT,
    CRASH,
    SYNC_ERROR,
    WRITE_ERROR,
    DISK_FULL,
    CLOCK_JUMP,
    STALL,
)
"""Faults that the scheduler can choose at any step."""

TORN: Final = "torn_write"
CRASH_AGAIN: Final = "crash_while_starting"
BIT_FLIP: Final = "bit_flip"
DUPLICATE: Final = "duplicate"
HIDDEN: Final = "delayed_visibility"
ARCHIVED: Final = "segment_archived"
"""Faults that come with others, and are counted like them."""

SMALL_RINGS: Final = (8, 16, 32, 64, 256, 1024)
EVENT_RINGS: Final = (512, 512, 1024, 2048)
"""At least as large as one slice of events."""

BATCHES: Final = (1, 2, 5, 16, 64, 256)
FAULT_STEPS: Final = (0.5, 1.5, 5.0, 15.0)
"""Steps from one fault to the next on average, for each command that clients will send: a run has
some twelve steps a command, however long it is."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a seed runs."""

    market: str
    shards: int
    is_spread: bool
    "Whether each stage has a process of its own, or all of them one."
    commands: int
    order_slots: int
    slots: int
    "Of the rings of commands and decisions."
    event_slots: int
    batch: int
    "Most messages a step takes."
    hear: int
    "Most events that a client takes at a time."
    hides: float
    "How often a step sees its neighbours' positions late."
    repeats: float
    "How often a client sends something again without need."
    weights: tuple[int, ...]
    "Of the actors, in turn."
    kinds: tuple[str, ...]
    fault_steps: float
    clock_ns: int
    "How far the clock goes in one step at most."
    snapshots: float
    "How often the shadow takes a snapshot when it looks at the journal."
    flips: float
    "How often a bit of the journal is damaged when the venue starts again."
    crashes_again: float
    "How often the machine crashes while it starts."
    recycles: float
    "How often a segment of the journal is made of an older one."


def options_of(random: Random, commands: int, faulty: bool = True) -> Options:
    """The options of a seed, from its own source of chance."""
    pick = random.choice
    kinds = tuple(kind for kind in KINDS if random.random() < 0.4) if faulty else ()
    return Options(
        market=pick(tuple(MARKETS)),
        shards=pick((1, 1, 2, 3)),
        is_spread=pick((True, True, False)),
        commands=commands,
        order_slots=pick(SMALL_RINGS),
        slots=pick(SMALL_RINGS),
        event_slots=pick(EVENT_RINGS),
        batch=pick(BATCHES),
        hear=pick((3, 20, 200)),
        hides=pick((0.0, 0.1, 0.5)) if faulty else 0.0,
        repeats=pick((0.0, 0.02, 0.1)),
        weights=tuple(random.randrange(1, 21) for _ in range(16)),
        kinds=kinds,
        fault_steps=commands * pick(FAULT_STEPS),
        clock_ns=pick((0, 1_000_000, 50_000_000)),
        snapshots=pick((0.0, 0.02, 0.1)),
        flips=pick((0.0, 0.3)) if faulty else 0.0,
        crashes_again=pick((0.0, 0.2)) if faulty else 0.0,
        recycles=pick((0.0, 0.5)),
    )
