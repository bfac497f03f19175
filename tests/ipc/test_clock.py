"""Clocks: manual, monotonic and the calibrated counter."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import ipc.clock
from ipc.clock import (
    MANUAL,
    MONOTONIC,
    TSC,
    Clock,
    calibrate,
    ticks,
    ticks_to_ns,
    tsc_is_invariant,
    unix_ns,
)
from ipc.intrinsics import read_monotonic
from ipc.jit import INTERPRETED, kernel
from ipc.record import Record, i64

pytestmark = pytest.mark.interpreted


class Moment(Record):
    """Both clocks, read at nearly the same time."""

    ticks: i64
    nanos: i64


@kernel
def read_ticks(clock: Clock) -> int:
    return ticks(clock)


@kernel
def read_unix(clock: Clock) -> int:
    return unix_ns(clock)


@kernel
def convert(clock: Clock, elapsed: int) -> int:
    return ticks_to_ns(clock, elapsed)


@kernel
def read_moment(clock: Clock, moment: Moment) -> int:
    """The narrowest of many brackets, so that a preempted reading does not count."""
    narrowest = 1 << 62
    for _ in range(300):
        before = ticks(clock)
        nanos = read_monotonic()
        after = ticks(clock)
        if after - before < narrowest:
            narrowest = after - before
            moment.ticks, moment.nanos = (before + after) >> 1, nanos
    return narrowest


@pytest.fixture
def calibrated() -> Clock:
    made: Clock = Clock.allocate()
    calibrate(made)
    return made


def test_a_manual_clock_shows_what_it_is_told() -> None:
    clock = Clock.allocate()
    clock.source = MANUAL
    clock.multiplier = 3 << 31  # 1.5 ns a tick
    for now in (0, 1, 10**15):
        clock.manual_ticks, clock.manual_unix_ns = now, now + 7
        assert read_ticks(clock) == now
        assert read_unix(clock) == now + 7
    assert convert(clock, 1000) == 1500
    assert convert(clock, -1000) == -1500


@given(st.integers(-(2**61), 2**61), st.integers(1, 3 << 32))
@example(2**60, (1 << 32) // 3)
@example(-1, 1)
def test_conversion_is_exact_integer_arithmetic(elapsed: int, multiplier: int) -> None:
    clock = Clock.allocate()
    clock.multiplier = multiplier
    expected = elapsed * multiplier // 2**32
    if -(2**63) <= expected < 2**63:
        assert convert(clock, elapsed) == expected


@given(st.lists(st.integers(0, 2**62), min_size=2))
def test_conversion_keeps_the_order(stamps: list[int]) -> None:
    clock = Clock.allocate()
    clock.multiplier = int(2**32 / 2.595)
    converted = [convert(clock, stamp) for stamp in sorted(stamps)]
    assert converted == sorted(converted)


def test_calibration_takes_the_counter_where_it_can(calibrated: Clock) -> None:
    expected = TSC if tsc_is_invariant() and not INTERPRETED else MONOTONIC
    assert calibrated.source == expected


def test_without_an_invariant_counter_stamps_are_nanoseconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ipc.clock, "tsc_is_invariant", lambda: False)
    clock = Clock.allocate()
    calibrate(clock)
    assert clock.source == MONOTONIC
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    assert before <= read_ticks(clock) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    assert convert(clock, 123_456_789) == 123_456_789


def test_the_calibrated_rate_is_that_of_the_kernels_clock(calibrated: Clock) -> None:
    first, last = Moment.allocate(), Moment.allocate()
    read_moment(calibrated, first)
    time.sleep(0.02)
    read_moment(calibrated, last)
    ours = convert(calibrated, last.ticks - first.ticks)
    theirs = last.nanos - first.nanos
    assert theirs >= 20_000_000
    assert abs(ours - theirs) * 1000 < theirs, f"{ours} ns against {theirs} ns"


def test_the_anchor_pairs_ticks_with_wall_time() -> None:
    clock = Clock.allocate()
    calibrate(clock, base_ns=300_000_000)
    before = time.time_ns()
    now_ticks = read_ticks(clock)
    after = time.time_ns()
    estimate = clock.anchor_unix_ns + convert(clock, now_ticks - clock.anchor_ticks)
    # Half of the base line: an anchor taken at the other end of it is wrong by all of it.
    assert before - 150_000_000 < estimate < after + 150_000_000


def test_stamps_never_go_back_and_wall_time_is_wall_time(calibrated: Clock) -> None:
    stamps = [read_ticks(calibrated) for _ in range(1000)]
    assert stamps == sorted(stamps)
    before = time.time_ns()
    assert before <= read_unix(calibrated) <= time.time_ns()
