"""What the compiler really makes: atomics that stay, fast paths without calls and locks."""

import platform
import re
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numba
import pytest

import ipc.jit
from ipc.histogram import Histogram, record
from ipc.intrinsics import fence, pause, store_fence
from ipc.jit import kernel
from ipc.record import Record, i64, shared, shared_u32
from ipc.ring import Cursor, Numbered, Ring, claim, consume, publish, ready, slot

pytestmark = [
    pytest.mark.skipif(ipc.jit.INTERPRETED, reason="nothing is compiled"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="reads x86-64 assembly"),
]


class Box(Record):
    flag: shared
    small: shared_u32
    plain: i64


class Code:
    """A kernel compiled afresh (code from the disk cache has lost its listings)."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        dispatcher = numba.njit(nogil=True, error_model="numpy")(function.py_func)
        types = tuple(numba.typeof(argument) for argument in arguments)
        dispatcher.compile(types)
        name = function.py_func.__name__
        module = llvmlite.binding.parse_assembly(next(iter(dispatcher.inspect_llvm().values())))
        bodies = [
            each
            for each in module.functions
            if name in each.name and "cpython" not in each.name and "cfunc" not in each.name
        ]
        self.function = next(each for each in bodies if not each.is_declaration)
        self.blocks = {
            block.name: [str(line).strip() for line in block.instructions]
            for block in self.function.blocks
        }
        self.ir = "\n".join(line for lines in self.blocks.values() for line in lines)
        listing = next(iter(dispatcher.inspect_asm().values()))
        begin = listing.index(f"\n{self.function.name}:")
        end = listing.index(f"\n\t.size\t{self.function.name}", begin)
        self.asm = [line.strip() for line in listing[begin:end].splitlines()]

    def instructions(self, pattern: str) -> list[str]:
        """Machine instructions (no labels, no directives, no comments) that match."""
        code = [line for line in self.asm if not re.match(r"[.#]|\S+:$", line)]
        return [line for line in code if re.search(pattern, line)]

    def loops(self) -> list[list[str]]:
        """The instructions of each loop: from a label to the last jump back to it."""
        found = []
        for start, line in enumerate(self.asm):
            if match := re.match(r"(\.\w+):", line):
                back = re.compile(rf"j\w+\s+{re.escape(match[1])}\b")
                ends = [at for at, text in enumerate(self.asm) if at > start and back.match(text)]
                if ends:
                    found.append(self.asm[start : ends[-1] + 1])
        return found

    def reachable(self, avoid: Callable[[str], bool]) -> set[str]:
        """Blocks that can be reached from the entry through no instruction to avoid."""
        clean = {
            name for name, lines in self.blocks.items() if not any(avoid(line) for line in lines)
        }
        todo, seen = [next(iter(self.blocks))], set()
        while todo:
            name = todo.pop()
            if name in clean and name not in seen:
                seen.add(name)
                todo += re.findall(r"label %\"?([^\s,\"\]]+)", self.blocks[name][-1])
        return seen


def is_slow(line: str) -> bool:
    """Whether an IR instruction is a call of something real, or a locked operation."""
    called = re.search(r"\bcall\b.*?@\"?([^\s(\"]+)", line)
    return bool(called and not called[1].startswith("llvm.")) or bool(
        re.match(r"fence seq_cst|(%\S+ = )?(cmpxchg|atomicrmw)", line)
    )


# --- shared fields ---------------------------------------------------------------------------


@kernel
def bump_shared(box: Box) -> int:
    box.flag = box.flag + 1
    box.small = box.small + 1
    return box.flag


@kernel
def bump_plain(box: Box) -> int:
    box.plain = box.plain + 1
    return box.plain


def test_shared_fields_are_acquire_loads_and_release_stores() -> None:
    code = Code(bump_shared, Box.allocate())
    assert len(re.findall(r"load atomic i64, ptr \S+ acquire, align \d", code.ir)) == 2
    assert len(re.findall(r"store atomic i64 \S+ ptr \S+ release, align \d", code.ir)) == 1
    assert len(re.findall(r"load atomic i32, ptr \S+ acquire, align \d", code.ir)) == 1
    assert len(re.findall(r"store atomic i32 \S+ ptr \S+ release, align \d", code.ir)) == 1


def test_they_cost_plain_moves() -> None:
    code = Code(bump_shared, Box.allocate())
    assert code.instructions(r"^(lock|xchg|mfence|call)") == []
    memory = code.instructions(r"\(%r\w+\)")
    assert all(re.match(r"(mov|inc|add)[lq]?\b", line) for line in memory), memory
    assert len(memory) >= 4


def test_other_fields_are_not_atomic() -> None:
    code = Code(bump_plain, Box.allocate())
    assert "atomic" not in code.ir


@kernel
def poll_shared(box: Box) -> int:
    rounds = 0
    while box.flag == 0:
        rounds += 1
    return rounds


@kernel
def poll_plain(box: Box) -> int:
    rounds = 0
    while box.plain == 0:
        rounds += 1
    return rounds


@kernel
def poll_pausing(box: Box) -> int:
    while box.flag == 0:
        pause()
    return box.plain


def reads_memory(line: str) -> bool:
    return bool(re.match(r"(mov|cmp|test)\w*\s+.*\(%r", line)) and "lea" not in line


def test_a_polling_loop_reloads() -> None:
    loops = Code(poll_shared, Box.allocate()).loops()
    assert loops
    assert all(any(reads_memory(line) for line in loop) for loop in loops), loops


def test_the_same_loop_over_a_plain_field_does_not() -> None:
    # The control: it shows that the test above can fail, and why `shared` is not optional.
    loops = Code(poll_plain, Box.allocate()).loops()
    assert not any(reads_memory(line) for loop in loops for line in loop)


def test_pause_is_one_instruction_inside_the_loop() -> None:
    code = Code(poll_pausing, Box.allocate())
    assert any("pause" in line for loop in code.loops() for line in loop)
    assert code.instructions(r"^call") == []


# --- fences ----------------------------------------------------------------------------------


@kernel
def fenced(box: Box) -> int:
    box.plain = 1
    fence()
    return box.flag


@kernel
def store_fenced(box: Box) -> int:
    box.flag = 1
    store_fence()
    box.plain = 1
    return 0


def test_a_full_fence_is_a_locked_instruction() -> None:
    code = Code(fenced, Box.allocate())
    assert "fence seq_cst" in code.ir
    locked = code.instructions(r"^(mfence|lock)")
    assert len(locked) == 1
    order = [line for line in code.asm if re.search(r"\(%r(di|si|dx|cx)\)|^(mfence|lock)", line)]
    position = order.index(locked[0])
    assert 0 < position < len(order) - 1, order  # the store before, the load after


def test_a_store_fence_binds_only_the_compiler() -> None:
    code = Code(store_fenced, Box.allocate())
    assert re.search(r"store atomic i64 1.*\n(%.*\n)*fence release\n(%.*\n)*store i64 1", code.ir)
    assert code.instructions(r"^(mfence|lock|sfence|xchg|call)") == []


# --- rings -----------------------------------------------------------------------------------


@kernel
def send(ring: Ring, value: int, wanted: int) -> int:
    granted = claim(ring, wanted)
    if granted == 0:
        return 0
    position = ring.producer.position
    for index in range(granted):
        Numbered(slot(ring, position + index) + 8).sequence = value + index
    publish(ring, granted)
    return granted


@kernel
def receive(ring: Ring, cursor: Cursor, wanted: int) -> int:
    count = ready(ring, cursor, wanted)
    position = cursor.position
    total = 0
    for index in range(count):
        total += Numbered(slot(ring, position + index) + 8).sequence
    consume(cursor, count)
    return total


def test_sending_needs_no_call_and_no_lock_while_the_gate_is_open() -> None:
    code = Code(send, Ring.allocate(), 1, 1)
    fast = code.reachable(avoid=is_slow)
    lines = [line for name in fast for line in code.blocks[name]]
    positions = [line for line in lines if re.match(r"store atomic i64 .* release", line)]
    assert len(positions) >= 2, "intent and position are stored on the fast path"
    assert any(line.startswith("ret ") for line in lines)
    # The one thing that is left out is the look at the readers, with its fence.
    slow = [line for line in code.ir.splitlines() if is_slow(line)]
    assert len(slow) == 1, slow
    assert "move_gate" in slow[0] or slow[0].startswith("fence seq_cst")
    assert len(code.instructions(r"^(lock|mfence|xchg|call)")) <= 1


def test_receiving_needs_no_call_and_no_lock_at_all() -> None:
    code = Code(receive, Ring.allocate(), Cursor.allocate(), 1)
    assert [line for line in code.ir.splitlines() if is_slow(line)] == []
    assert code.instructions(r"^(lock|mfence|xchg|call)") == []
    assert re.search(r"load atomic i64, ptr \S+ acquire", code.ir)
    assert re.search(r"store atomic i64 .* release", code.ir)


@kernel
def count_value(histogram: Histogram, value: int) -> None:
    record(histogram, value)


@pytest.mark.parametrize("which", ["send", "receive", "count_value"])
def test_compiled_code_touches_no_python_object(which: str) -> None:
    code = {
        "send": lambda: Code(send, Ring.allocate(), 1, 1),
        "receive": lambda: Code(receive, Ring.allocate(), Cursor.allocate(), 1),
        "count_value": lambda: Code(count_value, Histogram.allocate(), 1),
    }[which]()
    assert not re.search(r"NRT_|@Py|incref|decref|malloc", code.ir)
