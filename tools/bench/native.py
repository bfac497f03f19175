"""The native limit: the design of the books in C++, compiled here and played beside the engine.

The source lies in a checkout, under benchmarks/, and is compiled for the machine that is measured.
What it shares with the engine (messages, enumerations, limits) is written out for it from the
declarations in engine/. Before anything is timed, its events are compared with the engine's, byte
for byte.
"""

import ctypes
import enum
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine import book, limits, lookahead, messages
from engine.messages import (
    MESSAGE_BYTES,
    ChangeEvent,
    Decision,
    Event,
    EventKind,
    OrderEvent,
    Terms,
    TradeEvent,
)
from engine.topology import usable_cores
from ipc import memory
from ipc.record import Record
from ipc.segment import populate
from tools.bench.errors import BenchFailed
from tools.bench.passes import Pass
from tools.bench.stand import EVENT_SLOTS, Stand, capture
from tools.bench.undisturbed import undisturbed

SOURCE: Final = Path(__file__).resolve().parents[2] / "benchmarks" / "native_book.cpp"
COMPILERS: Final = ("g++", "clang++", "c++")
FLAGS: Final = ("-std=c++17", "-O3", "-march=native", "-shared", "-fPIC", "-Wall", "-Wextra")

RECORDS: Final = (Terms, Decision, Event, OrderEvent, TradeEvent, ChangeEvent)
ENUMERATIONS: Final = (
    messages.CommandKind,
    messages.OrderType,
    messages.TimeInForce,
    messages.CommandFlag,
    messages.EventKind,
    messages.EventFlag,
    messages.RejectReason,
)
CONSTANTS: Final = (
    (limits, ("CHUNK_TICKS", "CHUNKS_MAX", "CHUNKS_PER_SIDE_MAX", "INSTRUMENTS_MAX")),
    (limits, ("LEVEL_LOTS_MAX", "LOOK_MAX", "ORDERS_MAX", "ORDER_MAP_SLOTS")),
    (book, ("CHUNK_BITS", "HOT_CHUNKS", "NO_KEY")),
    (lookahead, ("FAR", "MIDDLE", "NEAR", "LIVE_ORDERS_MIN")),
    (messages, ("MESSAGE_BYTES",)),
)

COMPARED_AT_ONCE: Final = 1 << 16
"""Decisions whose events are compared in one go."""

EVENTS_OF_A_DECISION: Final = 4
"""Room for the events of a comparison, for each of its decisions; they make 1.1 on average."""

NOT_COMPARED: Final = ("sequence", "stamp_ticks")
"""The ring numbers and stamps events; there is no ring here, nor a clock."""

ABOUT: Final = "It has no rings, clock, histogram, state hash, nor orders with terms"

Bytes = npt.NDArray[np.uint8]


class NoNative(Exception):
    """The C++ port cannot be had here, and why."""


# --- the header ----------------------------------------------------------------------------------


def layout() -> str:
    """layout.hpp: constants, enumerations and records as C++ declarations."""
    lines = ["#pragma once", "#include <cstddef>", "#include <cstdint>"]
    for module, names in CONSTANTS:
        lines += [f"constexpr int64_t {name} = {getattr(module, name)};" for name in names]
    for enumeration in ENUMERATIONS:
        lines += [f"namespace {enumeration.__name__} {{", *_values(enumeration), "}"]
    for record in RECORDS:
        lines += _struct(record)
    return "\n".join(lines) + "\n"


def _values(enumeration: type[enum.IntEnum]) -> list[str]:
    return [f"constexpr uint16_t {each.name} = {each.value};" for each in enumeration]


def _struct(record: type[Record]) -> list[str]:
    """A record field by field; the compiler must come to the same offsets."""
    body, checks = [], []
    for field in record.fields.values():
        if field.record is not None:
            kind = field.record.__name__
        else:
            assert field.scalar is not None
            kind = f"{'' if field.scalar.signed else 'u'}int{field.scalar.size * 8}_t"
        body.append(f"  {kind} {field.name}{f'[{field.count}]' if field.count else ''};")
        where = f"offsetof({record.__name__}, {field.name}) == {field.offset}"
        checks.append(f'static_assert({where}, "{record.__name__}.{field.name}");')
    checks.append(f'static_assert(sizeof({record.__name__}) == {record.size}, "size");')
    return [f"struct alignas({record.align}) {record.__name__} {{", *body, "};", *checks]


# --- compiler ------------------------------------------------------------------------------------


class Native:
    """The compiled port."""

    def __init__(self, library: Any, compiler: str) -> None:
        """`library` by ctypes; use `build`."""
        self.library, self.compiler = library, compiler
        number, address = ctypes.c_int64, ctypes.c_void_p
        for name, given in (
            ("native_bytes", []),
            ("native_create", [address, number, number]),
            ("native_play", [address, address, number, address, number]),
            ("native_trades", [address]),
            ("native_checksum", [address]),
            ("native_resting", [address]),
        ):
            function = getattr(library, name)
            function.argtypes, function.restype = given, number
        library.native_create.restype = None

    def books(self) -> memory.Region:
        """Empty books, all memory in place."""
        region = memory.allocate_shared(self.library.native_bytes(), "bench.native")
        populate(region)
        self.library.native_create(region.start, limits.ORDERS_MAX - 1, limits.CHUNKS_MAX - 1)
        return region

    def play(self, decisions: memory.Region, count: int) -> Pass:
        """One pass; events go round in as much memory as the engine's event ring has here."""
        books = self.books()
        events = memory.allocate_shared(EVENT_SLOTS * MESSAGE_BYTES, "bench.native")
        populate(events)
        with undisturbed(usable_cores()[-1]):
            began = time.perf_counter()
            made = self.library.native_play(
                books.start, decisions.start, count, events.start, EVENT_SLOTS - 1
            )
            seconds = time.perf_counter() - began
        done = Pass(
            count / seconds,
            made,
            self.library.native_trades(books.start),
            self.library.native_checksum(books.start),
            self.library.native_resting(books.start),
        )
        memory.forget(books)
        memory.forget(events)
        return done


def build(folder: Path) -> Native:
    """Compile into `folder`. NoNative without source or compiler, or when it fails."""
    if not SOURCE.exists():
        raise NoNative(f"benchmarks/{SOURCE.name} is not here: measure in a checkout")
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise NoNative(f"no C++ compiler ({', '.join(COMPILERS)}) was found")
    (folder / "layout.hpp").write_text(layout(), encoding="utf-8")
    target = folder / "native_book.so"
    command = [compiler, *FLAGS, f"-I{folder}", str(SOURCE), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise NoNative(f"the C++ compiler failed: {done.stderr.strip()[:400]}")
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    return Native(ctypes.CDLL(str(target)), version.stdout.splitlines()[0])


# --- comparison ----------------------------------------------------------------------------------


def compared_bytes() -> Bytes:
    """For each event kind, the bytes of a slot that belong to a field that is compared."""
    mask = np.zeros((256, MESSAGE_BYTES), np.uint8)
    kinds = dict.fromkeys(EventKind, ChangeEvent) | {
        EventKind.ACCEPTED: OrderEvent,
        EventKind.REJECTED: OrderEvent,
        EventKind.TRADE: TradeEvent,
    }
    for kind, record in kinds.items():
        for field in record.fields.values():
            if field.name not in NOT_COMPARED:
                mask[kind, field.offset : field.offset + field.size] = 1
    return mask


def must_be_identical(native: Native, decisions: memory.Region, count: int) -> int:
    """Play the same through engine and port; returns how many events are equal.

    BenchFailed at the first that is not. A CHECKPOINT of the engine belongs to no command and is
    left out.
    """
    room = COMPARED_AT_ONCE * EVENTS_OF_A_DECISION
    mask, kind_at = compared_bytes(), Event.fields["kind"].offset
    stand: Stand = Stand.make()
    books = native.books()
    sides = [memory.allocate(room * MESSAGE_BYTES, "bench.compared") for _ in range(2)]
    ours, theirs = (np.frombuffer(side.view, np.uint8).reshape(room, -1) for side in sides)
    total = 0
    for start in range(0, count, COMPARED_AT_ONCE):
        part = min(COMPARED_AT_ONCE, count - start)
        address = decisions.start + start * MESSAGE_BYTES
        made = capture(stand, address, part, sides[0].start, room)
        engine = ours[:made][ours[:made, kind_at] != EventKind.CHECKPOINT]
        before = total
        # The port puts event n into slot n & mask: begin each part at slot 0.
        total = native.library.native_play(
            books.start, address, part, sides[1].start - before * MESSAGE_BYTES, -1
        )
        port = theirs[: total - before]
        if engine.shape != port.shape:
            raise BenchFailed(
                f"native: decisions {start} to {start + part} make {len(port)} events in C++, "
                f"{len(engine)} in the engine"
            )
        differs = ((engine ^ port) * mask[engine[:, kind_at]]).any(axis=1)
        if differs.any():
            raise BenchFailed(_difference(engine, port, int(np.argmax(differs)), start))
    del ours, theirs, engine, port
    stand.release()
    for region in (books, *sides):
        memory.forget(region)
    return int(total)


def _difference(engine: Bytes, port: Bytes, row: int, start: int) -> str:
    """What to say of the first event that differs."""
    shown = [str(messages.decode_event(side[row].tobytes())) for side in (engine, port)]
    return (
        f"native: event {row} after decision {start} is in the engine\n{shown[0]}\n"
        f"but in C++\n{shown[1]}"
    )
