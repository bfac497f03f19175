"""Matching without its stage: one call for each decision, from memory into one ring.

Shows what the calls themselves cost: no ring in, no clock, no histogram, no state hash, no look
ahead; and what it costs plain orders that every other kind may come as well.
"""

import time
from collections.abc import Callable
from typing import Final

from engine.limits import EVENTS_PER_SLICE_MAX
from engine.matching import execute, execute_plain, is_busy, resume
from engine.messages import MESSAGE_BYTES, Decision
from engine.stage import open_outbox
from engine.topology import usable_cores
from ipc import memory
from ipc.jit import inlined, kernel
from ipc.ring import consume, publish, ready
from tools.bench.passes import Pass, finished, must_equal
from tools.bench.stand import EVENT_SLOTS, Stand, read_events
from tools.bench.undisturbed import undisturbed


@inlined
def hand_out(stand: Stand, folds: int) -> int:
    """Publish what was written and take it, with `folds` into the checksum; returns how many."""
    out, cursor = stand.ports.events, stand.events.readers[0]
    held = min(is_busy(stand.state.books), out.pending)  # the last event may still change
    made = out.pending - held
    publish(out.ring, made)
    out.held = held
    if folds != 0:
        read_events(stand)
    else:
        consume(cursor, ready(stand.events, cursor, EVENT_SLOTS))
    open_outbox(out, EVENT_SLOTS)
    return made


@inlined
def go_on(stand: Stand, folds: int) -> int:
    """Whatever is left of a command that is longer than one step; returns events handed out."""
    events = 0
    while is_busy(stand.state.books) != 0:
        events += hand_out(stand, folds)
        resume(stand.state, stand.ports.events)
    return events


@kernel
def play_all(stand: Stand, address: int, count: int, folds: int) -> int:
    """All decisions by `execute`; returns events."""
    out = stand.ports.events
    events = 0
    open_outbox(out, EVENT_SLOTS)
    for index in range(count):
        if out.claimed - out.pending < EVENTS_PER_SLICE_MAX:
            events += hand_out(stand, folds)
        execute(stand.state, Decision(address + index * MESSAGE_BYTES), out)
        events += go_on(stand, folds)
    return events + hand_out(stand, folds)


@kernel
def play_plain(stand: Stand, address: int, count: int, folds: int) -> int:
    """The same by `execute_plain`, which takes accepted plain orders in plain trading only."""
    out = stand.ports.events
    events = 0
    open_outbox(out, EVENT_SLOTS)
    for index in range(count):
        if out.claimed - out.pending < EVENTS_PER_SLICE_MAX:
            events += hand_out(stand, folds)
        execute_plain(stand.state, Decision(address + index * MESSAGE_BYTES), out)
        events += go_on(stand, folds)
    return events + hand_out(stand, folds)


Loop = Callable[[Stand, int, int, int], int]
LOOPS: Final[dict[str, Loop]] = {"plain": play_plain, "direct": play_all}
"""By the name of its figures."""


def run(loop: Loop, decisions: memory.Region, count: int, folds: bool = False) -> Pass:
    """The first `count` decisions; the checksum is 0 unless it `folds`, which costs time."""
    stand: Stand = Stand.make()
    loop(stand, decisions.start, 0, int(folds))
    with undisturbed(usable_cores()[-1]):
        began = time.perf_counter()
        events = loop(stand, decisions.start, count, int(folds))
        seconds = time.perf_counter() - began
    return finished(stand, count / seconds, events)


def must_agree(decisions: memory.Region, count: int) -> None:
    """Raises BenchFailed unless all loops make the same events."""
    done = {name: run(loop, decisions, count, folds=True) for name, loop in LOOPS.items()}
    for name, found in done.items():
        must_equal(name, found, done["direct"])
