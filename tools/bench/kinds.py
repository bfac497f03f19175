"""What one command costs by its kind: the clock is read before and after each.

The clock's own cost is in every figure and is told beside them. The counter is read without a
fence, so a few nanoseconds of one command may count for its neighbour; percentiles are over
commands, not over time.
"""

from typing import Any, Final

from engine.limits import EVENTS_PER_SLICE_MAX
from engine.matching import execute
from engine.messages import MESSAGE_BYTES, CommandKind, Decision, Event, EventFlag, EventKind
from engine.stage import open_outbox
from engine.topology import usable_cores
from ipc import memory
from ipc.clock import TSC, Clock, calibrate, ticks, ticks_to_ns
from ipc.histogram import Histogram, Percentiles, record
from ipc.jit import inlined, kernel
from ipc.record import Array, Record, i64, length
from ipc.ring import slot
from tools.bench.direct import go_on, hand_out
from tools.bench.stand import EVENT_SLOTS, Stand
from tools.bench.undisturbed import undisturbed

NAMES: Final = ("add that rests", "aggressive", "cancel", "amend", "refused")
RESTS: Final = 0
AGGRESSIVE: Final = 1
"""A new order that does not rest at once: it trades, or ends without."""
CANCEL: Final = 2
AMEND: Final = 3
REFUSED: Final = 4
CLOCK_READS: Final = 100_000


class Costs(Record):
    """How long commands took, and the clock itself."""

    kinds: Array[Histogram] = length(len(NAMES))
    clock: Histogram
    "Between two reads with nothing in between."
    clock_step_ns: i64
    "The least difference of two reads that is not zero."


@inlined
def kind_of(decision: Decision, first: Event) -> int:
    """Which of NAMES a command was, by the first event that it caused."""
    answer = first.kind
    if decision.kind == CommandKind.NEW:
        if answer == EventKind.REJECTED:
            return REFUSED
        rests = answer == EventKind.ACCEPTED and first.flags & EventFlag.LAST
        return RESTS if rests else AGGRESSIVE
    if answer == EventKind.CANCEL_REJECTED or answer == EventKind.REPLACE_REJECTED:
        return REFUSED
    return CANCEL if decision.kind == CommandKind.CANCEL else AMEND


@kernel
def time_commands(stand: Stand, address: int, count: int, costs: Costs) -> None:
    """Execute all decisions and record each one's time."""
    clock, out = stand.ports.telemetry.clock, stand.ports.events
    open_outbox(out, EVENT_SLOTS)
    for index in range(count):
        if out.claimed - out.pending < EVENTS_PER_SLICE_MAX:
            hand_out(stand, 0)
        decision = Decision(address + index * MESSAGE_BYTES)
        first = slot(out.ring, out.ring.producer.position + out.pending)
        before = ticks(clock)
        execute(stand.state, decision, out)
        go_on(stand, 0)
        elapsed_ns = ticks_to_ns(clock, ticks(clock) - before)
        record(costs.kinds[kind_of(decision, Event(first))], elapsed_ns)
    hand_out(stand, 0)


@kernel
def time_clock(clock: Clock, count: int, costs: Costs) -> None:
    """Read the clock twice, `count` times."""
    for _ in range(count):
        before = ticks(clock)
        elapsed_ns = ticks_to_ns(clock, ticks(clock) - before)
        record(costs.clock, elapsed_ns)
        if elapsed_ns > 0 and (costs.clock_step_ns == 0 or elapsed_ns < costs.clock_step_ns):
            costs.clock_step_ns = elapsed_ns


def measure(name: str, stream: Any, repeats: int) -> dict[str, Any]:
    """Percentiles by kind over `repeats` passes of a stream, after one to warm up."""
    decisions = memory.allocate(stream.nbytes, "bench.decisions")
    decisions.view[:] = stream.tobytes()
    clock: Clock = Clock.allocate()
    calibrate(clock)
    spare: Costs = Costs.allocate()
    costs: Costs = Costs.allocate()
    for number in range(repeats + 1):
        into = costs if number else spare
        stand: Stand = Stand.make()
        stand.ports.telemetry.clock = clock
        with undisturbed(usable_cores()[-1]):
            time_clock(clock, CLOCK_READS, into)
            time_commands(stand, decisions.start, len(stream), into)
        stand.release()
    memory.forget(decisions)
    found = {name: Percentiles(costs.kinds[at]).summary() for at, name in enumerate(NAMES)}
    return {
        "workload": name,
        "clock": "TSC" if clock.source == TSC else "CLOCK_MONOTONIC_RAW",
        "clock_ns": Percentiles(costs.clock).at(50),
        "clock_step_ns": costs.clock_step_ns,
        "kinds": {name: row for name, row in found.items() if row["count"]},
    }
