"""Intrinsics: compiled code and the plain-Python twins give the same results."""

import ctypes
import errno
import importlib.util
import os
import time
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import ipc.jit
from ipc import intrinsics, memory
from ipc.intrinsics import (
    compare_exchange,
    fence,
    fetch_add,
    futex_wait,
    futex_wake,
    leading_zeros,
    load_acquire,
    multiply_overflows,
    multiply_wrapping,
    pause,
    prefetch,
    read_monotonic,
    read_realtime,
    read_tsc,
    scale,
    shift_left,
    shift_right,
    signal_eventfd,
    store_fence,
    store_release,
    trailing_zeros,
    yield_cpu,
)
from ipc.jit import kernel

pytestmark = pytest.mark.interpreted

I64 = st.integers(-(2**63), 2**63 - 1)
SHIFTS = st.integers(0, 63)
MASK = (1 << 64) - 1


def wrap(value: int) -> int:
    """The int64 with the low 64 bits of `value`."""
    return ((value + (1 << 63)) & MASK) - (1 << 63)


def load_twins() -> ModuleType:
    """A second copy of the module in which every function is its twin."""
    assert intrinsics.__spec__ is not None
    spec = importlib.util.spec_from_file_location("intrinsic_twins", intrinsics.__spec__.origin)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ipc.jit, "INTERPRETED", True)
        spec.loader.exec_module(module)
    return module


TWINS = load_twins()


@kernel
def run_unary(which: int, value: int) -> int:
    if which == 0:
        return trailing_zeros(value)
    return leading_zeros(value)


@kernel
def run_binary(which: int, left: int, right: int) -> int:
    if which == 0:
        return shift_right(left, right)
    if which == 1:
        return shift_left(left, right)
    if which == 2:
        return multiply_wrapping(left, right)
    return multiply_overflows(left, right)


@kernel
def run_scale(value: int, factor: int, shift: int) -> int:
    return scale(value, factor, shift)


@given(I64)
@example(0)
@example(-1)
@example(-(2**63))
@example(1)
def test_bit_scans(value: int) -> None:
    bits = f"{value & MASK:064b}"
    ones = bits.count("1")
    trailing, leading = run_unary(0, value), run_unary(1, value)
    assert trailing == TWINS.trailing_zeros(value)
    assert leading == TWINS.leading_zeros(value)
    assert trailing == (len(bits) - len(bits.rstrip("0")) if ones else 64)
    assert leading == (len(bits) - len(bits.lstrip("0")) if ones else 64)


@given(I64, SHIFTS)
@example(-1, 0)
@example(-1, 63)
@example(-(2**63), 1)
def test_shifts(value: int, bits: int) -> None:
    right, left = run_binary(0, value, bits), run_binary(1, value, bits)
    assert right == TWINS.shift_right(value, bits) == wrap((value & MASK) >> bits)
    assert left == TWINS.shift_left(value, bits) == wrap(value * 2**bits)


@given(I64, I64)
@example(-(2**63), -1)
@example(2**63 - 1, 1)
@example(2**32, 2**31)
@example(-(2**32), 2**31)
def test_products(left: int, right: int) -> None:
    wrapped, overflows = run_binary(2, left, right), run_binary(3, left, right)
    assert wrapped == TWINS.multiply_wrapping(left, right) == wrap(left * right)
    assert overflows == TWINS.multiply_overflows(left, right)
    assert overflows == int(wrapped != left * right)


@given(I64, I64, st.integers(0, 127))
@example(2**62, 2**62, 64)
@example(-1, 1, 1)
def test_scale_has_a_128_bit_product(value: int, factor: int, shift: int) -> None:
    exact = (value * factor) >> shift
    while not -(2**63) <= exact < 2**63:
        exact, shift = exact >> 1, shift + 1
    assert run_scale(value, factor, shift) == TWINS.scale(value, factor, shift) == exact


# --- memory ----------------------------------------------------------------------------------


@kernel
def run_atomic(which: int, address: int, first: int, second: int) -> int:
    if which == 0:
        return load_acquire(address)
    if which == 1:
        store_release(address, first)
        return 0
    if which == 2:
        return fetch_add(address, first)
    return compare_exchange(address, first, second)


BOUNDED = st.integers(-(2**40), 2**40)


@given(st.lists(st.tuples(st.integers(0, 3), BOUNDED, BOUNDED), max_size=20))
def test_atomics_do_to_memory_what_their_twins_do(steps: list[tuple[int, int, int]]) -> None:
    ours, theirs = memory.allocate(24, "compiled"), memory.allocate(24, "twins")
    for which, first, second in steps:
        held = memory.read_word(theirs.start + 8)
        expected = held if which == 3 and second % 2 else first  # let half of them succeed
        result = run_atomic(which, ours.start + 8, expected, second)
        address = theirs.start + 8
        twin = (
            lambda a, e, s: TWINS.load_acquire(a),
            lambda a, e, s: TWINS.store_release(a, e) or 0,
            lambda a, e, s: TWINS.fetch_add(a, e),
            TWINS.compare_exchange,
        )[which](address, expected, second)
        assert result == twin
        assert bytes(ours.view) == bytes(theirs.view)
    memory.forget(ours)
    memory.forget(theirs)


@kernel
def run_hints(address: int) -> int:
    fence()
    store_fence()
    pause()
    prefetch(address)
    prefetch(0)
    return yield_cpu()


def test_hints_have_no_effect_on_memory() -> None:
    region = memory.allocate(64, "hints")
    assert run_hints(region.start) == 0
    assert bytes(region.view) == bytes(64)
    memory.forget(region)


# --- clocks and system calls -----------------------------------------------------------------


@kernel
def read_clock(which: int) -> int:
    if which == 0:
        return read_tsc()
    if which == 1:
        return read_monotonic()
    return read_realtime()


def test_clocks_are_the_clocks_they_claim_to_be() -> None:
    for which, clock_id in ((1, time.CLOCK_MONOTONIC_RAW), (2, time.CLOCK_REALTIME)):
        before = time.clock_gettime_ns(clock_id)
        read = read_clock(which)
        assert before <= read <= time.clock_gettime_ns(clock_id)
    assert 0 < read_clock(0) <= read_clock(0)


@kernel
def wait_on(address: int, expected: int, timeout_ns: int) -> int:
    return futex_wait(address, expected, timeout_ns)


@kernel
def wake_on(address: int, count: int) -> int:
    return futex_wake(address, count)


@kernel
def signal_on(descriptor: int) -> int:
    return signal_eventfd(descriptor)


def test_futex_compares_the_low_half_of_the_word() -> None:
    region = memory.allocate(8, "futex")
    memory.write_word(region.start, (5 << 32) | 7)
    assert wait_on(region.start, 6, 10**12) == -1  # EAGAIN at once, or the test never ends
    assert wait_on(region.start, 7, 1000) == -1  # it did sleep, and timed out
    assert wait_on(region.start, (9 << 32) | 7, 1000) == -1
    assert wake_on(region.start, 1) == 0
    memory.forget(region)


def test_futex_timeout_is_in_nanoseconds() -> None:
    region = memory.allocate(8, "futex")
    before = time.monotonic_ns()
    assert wait_on(region.start, 0, 1_030_000_000) == -1
    assert time.monotonic_ns() - before >= 1_030_000_000  # a promise of the kernel, not a speed
    memory.forget(region)


@pytest.mark.system
def test_futex_wake_counts_the_sleeper_it_woke(shared_block: Any, children: Any) -> None:
    address = shared_block(8)
    wait_on(address, 1, 0)  # compiled before the fork

    def sleep() -> None:
        code = wait_on(address, 0, 10**12)
        assert code == 0

    pid = children.start(sleep)
    while wake_on(address, 1) == 0:
        children.check(pid)
        time.sleep(0.001)
    assert children.join(pid) == 0


def test_signal_adds_one_to_an_eventfd() -> None:
    descriptor = os.eventfd(0, os.EFD_NONBLOCK)
    try:
        assert [signal_on(descriptor) for _ in range(3)] == [8, 8, 8]
        assert os.eventfd_read(descriptor) == 3
        with pytest.raises(BlockingIOError):
            os.eventfd_read(descriptor)
    finally:
        os.close(descriptor)


def test_signal_reports_a_bad_descriptor() -> None:
    descriptor = os.eventfd(0)
    os.close(descriptor)
    if ipc.jit.INTERPRETED:
        with pytest.raises(OSError, match="Bad file") as caught:
            signal_on(descriptor)
        assert caught.value.errno == errno.EBADF
    else:
        assert signal_on(descriptor) == ctypes.c_long(-1).value
