"""What the machine itself takes away: the time that a core is gone from a loop that only looks.

The hypervisor, interrupts and the kernel stop every process for a while; no latency that is
measured on the same core can be better than this.
"""

import time
from typing import Any, Final

from ipc.clock import Clock, calibrate, ticks, ticks_to_ns
from ipc.jit import kernel
from ipc.record import Record, i64
from tools.bench.undisturbed import REST_SECONDS, undisturbed

LISTEN_NS: Final = 300_000_000
GAP_NS: Final = 1_000
"""A look at the clock takes about 20 ns; when two are further apart, the core was gone."""


class Gaps(Record):
    """What one core did."""

    listened_ns: i64
    lost_ns: i64
    "Sum of all gaps."
    worst_ns: i64
    "The longest gap."


@kernel
def listen(gaps: Gaps, clock: Clock, listen_ns: int) -> None:
    """Look at the clock for `listen_ns` and note when it jumps."""
    began = last = ticks(clock)
    while gaps.listened_ns < listen_ns:
        now = ticks(clock)
        gap_ns = ticks_to_ns(clock, now - last)
        if gap_ns > GAP_NS:
            gaps.lost_ns += gap_ns
            gaps.worst_ns = max(gaps.worst_ns, gap_ns)
        last = now
        gaps.listened_ns = ticks_to_ns(clock, now - began)


def noise_of(core: int) -> dict[str, Any]:
    """Listen on a core under the conditions of a measurement."""
    clock: Clock = Clock.allocate()
    calibrate(clock)
    gaps: Gaps = Gaps.allocate()
    listen(gaps, clock, 0)
    with undisturbed(core):
        listen(gaps, clock, LISTEN_NS)
    time.sleep(REST_SECONDS)
    return {
        "core": core,
        "worst_ns": gaps.worst_ns,
        "lost_share": round(gaps.lost_ns / gaps.listened_ns, 5),
    }
