"""Machine instructions as functions: atomics, fences, clock reads, bit scans, system calls.

Each function's body is its plain-Python twin, run when kernels are interpreted; the emitter in
its decorator is what compiled code gets instead. All arguments and results are int64.
Memory orders: a release store publishes everything written before it to whoever sees the value
with an acquire load. On x86 both are plain moves; what they buy is that the compiler may not
reorder or hoist them (a plain load in a polling loop is hoisted out of it, for ever).
"""

import ctypes
import inspect
import os
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ipc import memory
from ipc.jit import INTERPRETED

F = TypeVar("F", bound=Callable[..., Any])
Emitter = Callable[[Any, list[Any]], Any]

_VOID = ir.VoidType()
_BYTE = ir.IntType(8)
_HALF = ir.IntType(32)
_WORD = ir.IntType(64)


def _llvm(emit: Emitter) -> Callable[[F], F]:
    """Replace a twin by an intrinsic whose code `emit(builder, arguments)` writes."""

    def decorate(twin: F) -> F:
        if INTERPRETED:
            return twin
        names = inspect.signature(twin).parameters
        context_first = inspect.Parameter("typingctx", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        result = types.void if twin.__annotations__["return"] is None else types.int64

        def typed(typingctx: Any, *args: Any) -> Any:
            def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
                made = emit(builder, list(values))
                return context.get_dummy_value() if result is types.void else made

            return result(*[types.int64] * len(names)), lower

        typed.__signature__ = inspect.Signature([context_first, *names.values()])  # type: ignore[attr-defined]
        typed.__name__, typed.__doc__ = twin.__name__, twin.__doc__
        typed.__module__, typed.__qualname__ = twin.__module__, twin.__qualname__
        return cast(F, intrinsic(typed))

    return decorate


def _address(builder: Any, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _call(builder: Any, name: str, result: Any, args: list[Any]) -> Any:
    """Call an LLVM intrinsic or a C library function by name."""
    kind = ir.FunctionType(result, [value.type for value in args])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, args)


# --- atomics ---------------------------------------------------------------------------------


@_llvm(lambda b, a: b.load_atomic(_address(b, a[0], _WORD), "acquire", 8, typ=_WORD))
def load_acquire(address: int) -> int:
    """The word at `address`; nothing after it is read earlier."""
    return memory.read_word(address)


@_llvm(lambda b, a: b.store_atomic(a[1], _address(b, a[0], _WORD), "release", 8))
def store_release(address: int, value: int) -> None:
    """Store a word; everything written before it is visible to whoever sees it."""
    memory.write_word(address, value)


@_llvm(lambda b, a: b.atomic_rmw("add", _address(b, a[0], _WORD), a[1], "seq_cst"))
def fetch_add(address: int, value: int) -> int:
    """Add to the word at `address` atomically; returns what it held before."""
    before = memory.read_word(address)
    memory.write_word(address, before + value)
    return before


def _emit_compare_exchange(builder: Any, args: list[Any]) -> Any:
    pointer = _address(builder, args[0], _WORD)
    pair = builder.cmpxchg(pointer, args[1], args[2], "seq_cst", "seq_cst")
    return builder.zext(builder.extract_value(pair, 1), _WORD)


@_llvm(_emit_compare_exchange)
def compare_exchange(address: int, expected: int, value: int) -> int:
    """Store `value` if the word holds `expected`, atomically; returns 1 when it did."""
    if memory.read_word(address) != expected:
        return 0
    memory.write_word(address, value)
    return 1


@_llvm(lambda b, a: b.fence("seq_cst"))
def fence() -> None:
    """Full fence: earlier stores are visible before later loads are made (the one x86 gap)."""


@_llvm(lambda b, a: b.fence("release"))
def store_fence() -> None:
    """Earlier stores are visible before later ones; on x86 this only binds the compiler."""


# --- hints and clock -------------------------------------------------------------------------


@_llvm(lambda b, a: _call(b, "llvm.x86.sse2.pause", _VOID, []))
def pause() -> None:
    """Tell the core that this is a spin loop (about 25 ns on Zen 4)."""


def _emit_prefetch(builder: Any, args: list[Any]) -> Any:
    hints = [ir.Constant(_HALF, value) for value in (0, 3, 1)]  # read, keep in all caches, data
    return _call(builder, "llvm.prefetch.p0", _VOID, [_address(builder, args[0], _BYTE), *hints])


@_llvm(_emit_prefetch)
def prefetch(address: int) -> None:
    """Ask for the line at `address`; any address is allowed."""


@_llvm(lambda b, a: _call(b, "llvm.readcyclecounter", _WORD, []))
def read_tsc() -> int:
    """The time-stamp counter of this core in ticks (about 10 ns); not ordered with loads."""
    return time.perf_counter_ns()


_NS_PER_S: Final = 1_000_000_000
_TIMESPEC: Final = ir.ArrayType(_WORD, 2)


def _timespec(builder: Any) -> tuple[Any, list[Any]]:
    """A struct timespec on the stack: its pointer, and pointers to seconds and nanoseconds."""
    pair = cgutils.alloca_once(builder, _TIMESPEC)
    zero = ir.Constant(_HALF, 0)
    parts = [
        builder.gep(pair, [zero, ir.Constant(_HALF, index)], source_etype=_TIMESPEC)
        for index in range(2)
    ]
    return pair, [builder.bitcast(part, _WORD.as_pointer()) for part in parts]


def _emit_clock(clock_id: int) -> Emitter:
    def emit(builder: Any, args: list[Any]) -> Any:
        pair, parts = _timespec(builder)
        pointer = builder.bitcast(pair, _BYTE.as_pointer())
        _call(builder, "clock_gettime", _HALF, [ir.Constant(_HALF, clock_id), pointer])
        seconds, nanos = (builder.load(part, typ=_WORD) for part in parts)
        return builder.add(builder.mul(seconds, ir.Constant(_WORD, _NS_PER_S)), nanos)

    return emit


@_llvm(_emit_clock(time.CLOCK_MONOTONIC_RAW))
def read_monotonic() -> int:
    """CLOCK_MONOTONIC_RAW in ns through the vDSO (about 24 ns)."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)


@_llvm(_emit_clock(time.CLOCK_REALTIME))
def read_realtime() -> int:
    """Wall time in ns since 1970 through the vDSO (about 24 ns)."""
    return time.time_ns()


# --- bits ------------------------------------------------------------------------------------

_MASK: Final = (1 << 64) - 1


def _emit_count(name: str) -> Emitter:
    def emit(builder: Any, args: list[Any]) -> Any:
        return _call(builder, name, _WORD, [args[0], ir.Constant(ir.IntType(1), 0)])

    return emit


@_llvm(_emit_count("llvm.cttz.i64"))
def trailing_zeros(value: int) -> int:
    """Index of the lowest set bit; 64 for zero."""
    value &= _MASK
    return (value & -value).bit_length() - 1 if value else 64


@_llvm(_emit_count("llvm.ctlz.i64"))
def leading_zeros(value: int) -> int:
    """Zero bits above the highest set bit; 64 for zero."""
    return 64 - (value & _MASK).bit_length()


@_llvm(lambda b, a: b.lshr(a[0], a[1]))
def shift_right(value: int, bits: int) -> int:
    """Logical shift right of the 64-bit pattern, 0 <= bits <= 63."""
    shifted = (value & _MASK) >> bits
    return shifted - (1 << 64) if shifted >> 63 else shifted


@_llvm(lambda b, a: b.shl(a[0], a[1]))
def shift_left(value: int, bits: int) -> int:
    """Shift left within 64 bits, 0 <= bits <= 63; bits shifted out are lost."""
    shifted = (value << bits) & _MASK
    return shifted - (1 << 64) if shifted >> 63 else shifted


@_llvm(lambda b, a: b.mul(a[0], a[1]))
def multiply_wrapping(left: int, right: int) -> int:
    """The low 64 bits of a product; for hashes, where overflow is wanted."""
    low = (left * right) & _MASK
    return low - (1 << 64) if low >> 63 else low


def _emit_multiply_overflows(builder: Any, args: list[Any]) -> Any:
    pair = builder.smul_with_overflow(args[0], args[1])
    return builder.zext(builder.extract_value(pair, 1), _WORD)


@_llvm(_emit_multiply_overflows)
def multiply_overflows(left: int, right: int) -> int:
    """1 when `left * right` does not fit into int64."""
    return int(not -(1 << 63) <= left * right < 1 << 63)


def _emit_scale(builder: Any, args: list[Any]) -> Any:
    double = ir.IntType(128)
    value, factor, shift = (builder.sext(value, double) for value in args)
    return builder.trunc(builder.ashr(builder.mul(value, factor), shift), _WORD)


@_llvm(_emit_scale)
def scale(value: int, factor: int, shift: int) -> int:
    """`value * factor >> shift` with a 128-bit product."""
    return (value * factor) >> shift


# --- system calls ----------------------------------------------------------------------------
# A stage's step function never makes one; only process loops do, when they wait or wake.

_SYS_FUTEX: Final = {"x86_64": 202, "aarch64": 98}[os.uname().machine]
_FUTEX_WAIT: Final = 0
_FUTEX_WAKE: Final = 1


def _emit_futex_wait(builder: Any, args: list[Any]) -> Any:
    pair, (seconds, nanos) = _timespec(builder)
    second = ir.Constant(_WORD, _NS_PER_S)
    builder.store(builder.sdiv(args[2], second), seconds)
    builder.store(builder.srem(args[2], second), nanos)
    timeout = builder.ptrtoint(pair, _WORD)
    number, operation = ir.Constant(_WORD, _SYS_FUTEX), ir.Constant(_WORD, _FUTEX_WAIT)
    return _call(builder, "syscall", _WORD, [number, args[0], operation, args[1], timeout])


@_llvm(_emit_futex_wait)
def futex_wait(address: int, expected: int, timeout_ns: int) -> int:
    """Sleep while the u32 at `address` holds `expected`, at most `timeout_ns`; 0 when woken."""
    pair = (ctypes.c_long * 2)(timeout_ns // _NS_PER_S, timeout_ns % _NS_PER_S)
    libc = ctypes.CDLL(None)
    return int(
        libc.syscall(
            _SYS_FUTEX, ctypes.c_void_p(address), _FUTEX_WAIT, ctypes.c_uint32(expected), pair
        )
    )


def _emit_futex_wake(builder: Any, args: list[Any]) -> Any:
    number, operation = ir.Constant(_WORD, _SYS_FUTEX), ir.Constant(_WORD, _FUTEX_WAKE)
    return _call(builder, "syscall", _WORD, [number, args[0], operation, args[1]])


@_llvm(_emit_futex_wake)
def futex_wake(address: int, count: int) -> int:
    """Wake at most `count` sleepers on the u32 at `address`; returns how many."""
    libc = ctypes.CDLL(None)
    return int(libc.syscall(_SYS_FUTEX, ctypes.c_void_p(address), _FUTEX_WAKE, count))


@_llvm(lambda b, a: b.zext(_call(b, "sched_yield", _HALF, []), _WORD))
def yield_cpu() -> int:
    """Let another thread of this core run (about 0.5 us)."""
    os.sched_yield()
    return 0


def _emit_signal_eventfd(builder: Any, args: list[Any]) -> Any:
    one = cgutils.alloca_once(builder, _WORD)
    builder.store(ir.Constant(_WORD, 1), one)
    arguments = [
        builder.trunc(args[0], _HALF),
        builder.bitcast(one, _BYTE.as_pointer()),
        ir.Constant(_WORD, 8),
    ]
    return _call(builder, "write", _WORD, arguments)


@_llvm(_emit_signal_eventfd)
def signal_eventfd(descriptor: int) -> int:
    """Add 1 to an eventfd; returns 8, or -1 when it could not be written."""
    return os.write(descriptor, (1).to_bytes(8, "little"))
