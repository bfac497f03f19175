"""The same kernels compiled, bounds-checked and interpreted: equal memory, caught accesses."""

import json
from collections.abc import Callable

import pytest

MODES = {
    "compiled": {},
    "checked": {"NUMBA_BOUNDSCHECK": "1"},
    "interpreted": {"NUMBA_DISABLE_JIT": "1"},
}

KERNELS = '''
from ipc import memory
from ipc.clock import Clock, ticks, ticks_to_ns
from ipc.histogram import Histogram, record
from ipc.intrinsics import (
    load_acquire, multiply_wrapping, scale, shift_right, store_release, trailing_zeros,
)
from ipc.jit import kernel
from ipc.record import Array, Record, Text, i16, i32, i64, length, shared, u8, u16, u32
from ipc.ring import (
    Cursor, Numbered, Observer, Ring, claim, consume, observe, publish, ready, resume, slot,
)


class State(Record, align=64):
    seed: i64
    counts: Array[u16] = length(8)
    narrow: Array[i32] = length(4)
    short: Array[i16] = length(4)
    flags: Array[u8] = length(16)
    word: shared
    label: Text = length(16)
    histogram: Histogram
    observer: Observer


@kernel
def turn(state: State, clock: Clock, ring: Ring, target: int) -> int:
    """One round that touches everything with numbers that look random."""
    state.seed = multiply_wrapping(state.seed, 6364136223846793005) ^ 1442695040888963407
    value = shift_right(state.seed, 20)
    index = value & 7
    state.counts[index] = (state.counts[index] + 1) & 0xFFFF
    state.narrow[index & 3] = scale(value, 3, 40) - 1000
    state.short[index & 3] = (value & 0xFFFF) - 0x8000
    state.flags[trailing_zeros(value | 1 << 15)] = value & 255
    state.word = state.word + (value & 0xFF)
    state.label[1] = value
    clock.manual_ticks = clock.manual_ticks + (value & 0xFFFFF)
    record(state.histogram, ticks_to_ns(clock, ticks(clock)) & 0xFFFFFFF)
    granted = claim(ring, index + 1)
    position = ring.producer.position
    for step in range(granted):
        Numbered(slot(ring, position + step) + 8).sequence = value + step
    publish(ring, granted)
    if value & 64:
        resume(ring)
    cursor = ring.readers[0]
    count = ready(ring, cursor, (value >> 8) & 7)
    total = 0
    for step in range(count):
        total += Numbered(slot(ring, cursor.position + step) + 8).sequence & 0xFFFF
    consume(cursor, count)
    if value & 96 == 0:
        total += observe(ring, state.observer, target, 4)
    store_release(target, load_acquire(target) ^ total)
    return total


@kernel
def read_count(state: State, index: int) -> int:
    return state.counts[index]


@kernel
def write_flag(state: State, index: int) -> None:
    state.flags[index] = 255


@kernel
def reach_reader(ring: Ring, index: int) -> int:
    return ring.readers[index].position
'''

SCENARIO = """
import hashlib, json
from small_kernels import *
from ipc.jit import CHECKED, INTERPRETED
from ipc.ring import create_ring, ring_bytes

facts = {"mode": "interpreted" if INTERPRETED else "checked" if CHECKED else "compiled"}
for mode in (0, 1):
    region = memory.allocate(State.size + Clock.size + ring_bytes(8, 64) + 4 * 64, "all")
    state = State(region.start)
    clock = Clock(region.start + State.size)
    ring = create_ring(region.start + State.size + Clock.size, 8, 64, mode, readers=1)
    target = region.start + region.size - 4 * 64
    state.seed, clock.source, clock.multiplier = 23, 2, (5 << 32) // 3
    totals = [turn(state, clock, ring, target) for _ in range(300)]
    assert state.observer.lost > 0 and state.observer.laps > 0 and ring.producer.position > 100
    facts[f"memory {mode}"] = hashlib.sha256(region.view).hexdigest()
    facts[f"totals {mode}"] = hashlib.sha256(repr(totals).encode()).hexdigest()
print(json.dumps(facts))
"""

TRESPASS = """
import json
from small_kernels import *
from ipc.errors import MemoryFault
from ipc.jit import INTERPRETED

region = memory.allocate(State.size + Ring.size, "state and ring")
state, ring = State(region.start), Ring(region.start + State.size)
caught = []
for index in (-1, 8, 1 << 33, -(1 << 62)):
    for access in (
        lambda: read_count(state, index),
        lambda: write_flag(state, index + 8 if index > 0 else index),
        lambda: reach_reader(ring, index),
    ):
        try:
            access()
        except IndexError as error:
            caught.append(str(error))
assert bytes(region.view) == bytes(region.size), "a refused access wrote"
assert len(caught) == 12, caught
assert all("is not in 0.." in text for text in caught), caught

@kernel
def stray(address: int) -> int:
    return load_acquire(address) + Numbered(address).sequence

faults = 0
if INTERPRETED:
    for address in (0, 8, region.start + region.size, region.start - 8):
        try:
            stray(address)
        except MemoryFault:
            faults += 1
    assert faults == 4
print(json.dumps({"caught": len(caught), "faults": faults}))
"""


@pytest.fixture
def run_mode(run_python: Callable[..., str], tmp_path) -> Callable[[str, str], dict]:
    (tmp_path / "small_kernels.py").write_text(KERNELS)

    def run(script: str, mode: str) -> dict:
        return json.loads(run_python(script, **MODES[mode]))

    return run


def test_all_modes_leave_the_same_memory(run_mode) -> None:
    facts = {mode: run_mode(SCENARIO, mode) for mode in MODES}
    assert {mode: fact.pop("mode") for mode, fact in facts.items()} == {m: m for m in MODES}
    assert facts["checked"] == facts["compiled"]
    assert facts["interpreted"] == facts["compiled"]


@pytest.mark.parametrize("mode", ["checked", "interpreted"])
def test_safe_modes_catch_accesses_out_of_bounds(run_mode, mode: str) -> None:
    assert run_mode(TRESPASS, mode)["caught"] == 12
