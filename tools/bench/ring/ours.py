"""Okimi's ring as a contestant: compiled loops, and Python loops that pass a batch in one call."""

import time
from typing import Final

import numpy as np
import numpy.typing as npt

from ipc.ring import BY_INDEX, BY_SLOT, Ring
from tools.bench.ring.loops import (
    SLOT_BYTES,
    STEP,
    WORDS,
    ping,
    pong,
    pop_many,
    push_many,
    receive,
    send,
)
from tools.bench.ring.pair import Arena, Contestant, SampleFailed, Samples, now_ns, warm_up

MODE_NAMES: Final = {BY_INDEX: "by index", BY_SLOT: "by slot"}

POLLS_PER_CALL: Final = 256
"""How often compiled code looks for messages before Python gets to run again."""

Words = npt.NDArray[np.int64]


def compiled(mode: int, batch: int) -> Contestant:
    """Both ends are compiled loops."""

    def throughput(arena: Arena, messages: int) -> float:
        ring, _ = arena.rings(mode)
        warm, tally = warm_up(messages), arena.duel.tally

        def left() -> None:
            arena.meet(0)
            send(ring, messages, batch)

        def right() -> None:
            arena.meet(1)
            receive(ring, tally, warm, messages, batch)

        arena.run(left, right)
        arena.verify(messages)
        return arena.rate(messages - warm)

    def round_trips(arena: Arena, trips: int) -> Samples:
        arena.rings(mode)

        def left() -> None:
            arena.meet(0)
            ping(arena.duel, trips, batch)

        def right() -> None:
            arena.meet(1)
            pong(arena.duel, trips, batch)

        arena.run(left, right)
        arena.verify(trips)
        return arena.samples_ns(trips)

    name = f"{MODE_NAMES[mode]}, batch {batch}"
    return Contestant(name, "ours", "Numba", batch, throughput, round_trips, 1.0, 20_000)


def payloads(count: int) -> Words:
    """The messages 1 to `count` as rows of words, equal to what the compiled loops send."""
    sequences = np.arange(1, count + 1, dtype=np.int64)[:, None]
    steps = np.arange(WORDS, dtype=np.int64)[None, :] * np.int64(STEP)
    made: Words = sequences + steps
    return made


def push_all(ring: Ring, rows: Words, batch: int) -> None:
    """Publish all rows, at most `batch` a call."""
    address, done = rows.ctypes.data, 0
    while done < len(rows):
        done += push_many(ring, address + done * SLOT_BYTES, min(batch, len(rows) - done))


def pop_all(ring: Ring, rows: Words, batch: int) -> int:
    """Fill all rows, at most `batch` a call; returns when it was done, in ns."""
    address, done = rows.ctypes.data, 0
    while done < len(rows):
        wanted = min(batch, len(rows) - done)
        done += pop_many(ring, address + done * SLOT_BYTES, wanted, POLLS_PER_CALL)
    return now_ns()


def exchange(out: Ring, back: Ring, sent: Words, got: Words) -> list[int]:
    """Send each row, wait for it to come back, and so on; returns the times in ns."""
    nanos = []
    source, target = sent.ctypes.data, got.ctypes.data
    before = time.perf_counter_ns()
    for offset in range(0, len(sent) * SLOT_BYTES, SLOT_BYTES):
        push_many(out, source + offset, 1)
        while pop_many(back, target + offset, 1, POLLS_PER_CALL) == 0:
            pass
        after = time.perf_counter_ns()
        nanos.append(after - before)
        before = after
    return nanos


def echo(out: Ring, back: Ring, trips: int) -> None:
    """Answer each message with itself."""
    row = np.zeros((1, WORDS), np.int64)
    for _ in range(trips):
        pop_all(out, row, 1)
        push_all(back, row, 1)


def check(got: Words, sent: Words) -> None:
    """Raises SampleFailed when a word differs."""
    if not np.array_equal(got, sent):
        raise SampleFailed("what was read is not what was sent")


def from_python(batch: int) -> Contestant:
    """Both ends are Python loops over NumPy arrays; one call passes up to `batch` messages."""

    def throughput(arena: Arena, messages: int) -> float:
        ring, _ = arena.rings(BY_INDEX)
        warm, sent, tally = warm_up(messages), payloads(messages), arena.duel.tally

        def left() -> None:
            arena.meet(0)
            push_all(ring, sent, batch)

        def right() -> None:
            got = np.zeros_like(sent)
            arena.meet(1)
            tally.began_ns = pop_all(ring, got[:warm], batch)
            tally.ended_ns = pop_all(ring, got[warm:], batch)
            check(got, sent)

        arena.run(left, right)
        return arena.rate(messages - warm)

    def round_trips(arena: Arena, trips: int) -> Samples:
        out, back = arena.rings(BY_INDEX)
        sent = payloads(trips)

        def left() -> None:
            got = np.zeros_like(sent)
            arena.meet(0)
            arena.store_samples_ns(exchange(out, back, sent, got))
            check(got, sent)

        def right() -> None:
            arena.meet(1)
            echo(out, back, trips)

        arena.run(left, right)
        return arena.samples_ns(trips)

    name = f"from Python, {batch} a call"
    share = 0.1 if batch == 1 else 0.5
    return Contestant(name, "ours", "Python", batch, throughput, round_trips, share, 5_000)


def ours() -> list[Contestant]:
    """Both modes, with and without batches, and from Python."""
    found = [compiled(mode, batch) for mode in (BY_INDEX, BY_SLOT) for batch in (1, 32)]
    return [*found, from_python(1), from_python(64)]
