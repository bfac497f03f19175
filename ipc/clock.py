"""Time for kernels: raw ticks for latency stamps, wall time for records, both replaceable.

Stamps are ticks of the time-stamp counter (10 ns a read against 24 ns for the vDSO clock) where
the processor says that it is invariant, else nanoseconds of CLOCK_MONOTONIC_RAW. One `Clock` is
calibrated when a venue starts and shared read-only by its processes; the simulator and tests
hand in a `MANUAL` clock, so that a step sees only the time it is given.
"""

import time
from pathlib import Path
from typing import Final

from ipc.intrinsics import read_monotonic, read_realtime, read_tsc, scale
from ipc.jit import INTERPRETED, inlined, kernel
from ipc.record import LINE_PAIR_BYTES, Record, i64

TSC: Final = 0
MONOTONIC: Final = 1
MANUAL: Final = 2

CALIBRATION_NS: Final = 50_000_000
"""Base line of the calibration; measured spread over 10 ms is 0.12 ppm, over 100 ms 0.005."""

_BRACKETS: Final = 200
_SHIFT: Final = 32


class Clock(Record, align=LINE_PAIR_BYTES):
    """Where time comes from. Written once at start (MANUAL: by its test), read by all."""

    source: i64
    "TSC, MONOTONIC or MANUAL."
    multiplier: i64
    "Nanoseconds per tick, times 2**32."
    anchor_ticks: i64
    "Ticks at the moment of calibration."
    anchor_unix_ns: i64
    "Wall time at the moment of calibration."
    manual_ticks: i64
    "What `ticks` returns when MANUAL."
    manual_unix_ns: i64
    "What `unix_ns` returns when MANUAL."


@inlined
def ticks(clock: Clock) -> int:
    """A stamp for latencies; compare only stamps of the same clock."""
    if clock.source == TSC:
        return read_tsc()
    if clock.source == MONOTONIC:
        return read_monotonic()
    return clock.manual_ticks


@inlined
def unix_ns(clock: Clock) -> int:
    """Wall time in nanoseconds since 1970 (about 24 ns: once per batch)."""
    if clock.source == MANUAL:
        return clock.manual_unix_ns
    return read_realtime()


@inlined
def ticks_to_ns(clock: Clock, elapsed_ticks: int) -> int:
    """A difference of stamps in nanoseconds."""
    return scale(elapsed_ticks, clock.multiplier, _SHIFT)


@kernel
def _bracket(tries: int, pair: Clock) -> int:
    """Read both clocks at nearly the same moment; the narrowest of `tries` counts."""
    narrowest = 1 << 62
    for _ in range(tries):
        before = read_tsc()
        nanos = read_monotonic()
        after = read_tsc()
        if after - before < narrowest:
            narrowest = after - before
            pair.anchor_ticks = before + ((after - before) >> 1)
            pair.manual_ticks = nanos
    return narrowest


def tsc_is_invariant() -> bool:
    """Whether the kernel says that the counter runs at one rate on all cores, also in sleep."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    return "constant_tsc" in flags and "nonstop_tsc" in flags


def calibrate(clock: Clock, base_ns: int = CALIBRATION_NS) -> None:
    """Set `clock` up for this machine; takes `base_ns` where the TSC is used."""
    if INTERPRETED or not tsc_is_invariant():
        clock.source, clock.multiplier = MONOTONIC, 1 << _SHIFT
        clock.anchor_unix_ns = time.time_ns()
        clock.anchor_ticks = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        return
    first: Clock = Clock.allocate()
    _bracket(_BRACKETS, first)
    time.sleep(base_ns / 1e9)
    last: Clock = Clock.allocate()
    _bracket(_BRACKETS, last)
    since_bracket = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) - last.manual_ticks
    clock.anchor_unix_ns = time.time_ns() - since_bracket
    elapsed_ticks = last.anchor_ticks - first.anchor_ticks
    clock.source = TSC
    clock.multiplier = ((last.manual_ticks - first.manual_ticks) << _SHIFT) // elapsed_ticks
    clock.anchor_ticks = last.anchor_ticks
