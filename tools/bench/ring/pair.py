"""Two pinned processes that share memory: how every sample of the ring benchmark is taken.

The parent sets the memory up, forks both sides and sleeps until both are done. Right before and
right after its work each pair measures the bare round trip of a cache line, so that every sample
says how near the two cores were. When a side dies or fails, the other one is killed and the sample
is an error, never a figure.
"""

import ctypes
import functools
import os
import select
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ipc import memory
from ipc.clock import calibrate
from ipc.ring import BY_INDEX, Ring, create_ring, ring_bytes
from ipc.segment import populate
from tools.bench.errors import BenchFailed
from tools.bench.ring.loops import (
    SLOT_BYTES,
    Duel,
    compute,
    expected_checksum,
    line_ping,
    line_pong,
    meet,
    ping,
    pong,
    pop_many,
    push_many,
    receive,
    send,
)

SLOTS: Final = 4096
TRIPS_MAX: Final = 20_000
LINE_TRIPS: Final = 1_000
"""Of a bare line, before and after each sample: a fraction of a millisecond."""

SAMPLE_SECONDS_MAX: Final = 30.0
"""A sample that takes longer hangs."""

WARM_SHARE: Final = 8
"""One in so many messages goes through before the clock runs."""

Samples = npt.NDArray[np.int64]

_PR_SET_PDEATHSIG: Final = 1
_RING_AREA: Final = ring_bytes(SLOTS, SLOT_BYTES) + 4096


class SampleFailed(BenchFailed):
    """A side died or hung, or what arrived was not what was sent: there is no figure."""


class Arena:
    """Shared memory for one sample at a time, and the two cores."""

    def __init__(self, cores: tuple[int, int]) -> None:
        """Map and populate everything once; the clock is calibrated here."""
        self.cores = cores
        size = Duel.size + 2 * _RING_AREA + (TRIPS_MAX + 2 * LINE_TRIPS) * 8 + SLOT_BYTES
        self._region = memory.allocate_shared(size, "bench.ring")
        populate(self._region)
        self.duel: Duel = Duel(self._region.start)
        self.areas = [self._region.start + Duel.size + index * _RING_AREA for index in range(2)]
        self.duel.samples = self.areas[1] + _RING_AREA
        self._line_samples = self.duel.samples + TRIPS_MAX * 8
        self._scratch = self._line_samples + 2 * LINE_TRIPS * 8
        calibrate(self.duel.clock)

    def close(self) -> None:
        """Give the memory back."""
        memory.forget(self._region)

    def warm(self) -> None:
        """Compile every loop here, before forking: the children would each do it on the clock."""
        out, back = self.rings()
        duel = self.duel
        duel.right.word.value = 1
        meet(duel.left.word, duel.right.word)
        send(out, 0, 1)
        receive(out, duel.tally, 0, 0, 1)
        ping(duel, 0, 1)
        pong(duel, 0, 1)
        line_ping(duel, self._line_samples, 0)
        line_pong(duel, 0)
        compute(duel.tally, 1)
        push_many(out, self._scratch, 0)
        pop_many(back, self._scratch, 1, 0)
        expected_checksum(1, 0, self._scratch)

    def clear(self) -> None:
        """Zero both rings and what the last sample found."""
        for area in self.areas:
            offset = area - self._region.start
            self._region.view[offset : offset + _RING_AREA] = bytes(_RING_AREA)
        tally = self.duel.tally
        tally.began_ns = tally.ended_ns = tally.misplaced = tally.checksum = 0

    def rings(self, mode: int = BY_INDEX) -> tuple[Ring, Ring]:
        """Two empty rings, there and back."""
        self.clear()
        out, back = (create_ring(area, SLOTS, SLOT_BYTES, mode, 1) for area in self.areas)
        self.duel.out, self.duel.back = out, back
        return out, back

    def meet(self, side: int) -> None:
        """Wait for the other side: called by each once before it begins."""
        words = (self.duel.left.word, self.duel.right.word)
        meet(words[side], words[1 - side])

    def verify(self, messages: int) -> None:
        """Compare the tally with what was sent. Raises SampleFailed."""
        tally = self.duel.tally
        expected = expected_checksum(1, messages, self._scratch)
        if tally.misplaced or tally.checksum != expected:
            raise SampleFailed(
                f"{tally.misplaced} of {messages} messages came out of order; "
                f"checksum {tally.checksum:#x}, expected {expected:#x}"
            )

    def rate(self, counted: int) -> float:
        """Messages per second by the receiver's clock."""
        return counted * 1e9 / max(self.duel.tally.ended_ns - self.duel.tally.began_ns, 1)

    def samples_ns(self, trips: int) -> Samples:
        """The samples of a round trip in ns."""
        return self._read_ticks(self.duel.samples, trips)

    def line_ns(self) -> tuple[Samples, Samples]:
        """Bare round trips of a line before and after the last sample, in ns."""
        after = self._line_samples + LINE_TRIPS * 8
        return self._read_ticks(self._line_samples, LINE_TRIPS), self._read_ticks(after, LINE_TRIPS)

    def _read_ticks(self, address: int, count: int) -> Samples:
        raw = np.frombuffer(self._region.view, np.int64, count, address - self._region.start)
        nanos: Samples = np.rint(raw * (self.duel.clock.multiplier / 2**32)).astype(np.int64)
        return nanos

    def store_samples_ns(self, nanos: list[int]) -> None:
        """Leave samples in ns, as a side that is Python takes them, where `samples_ns` finds them.

        Converted to ticks and back, which costs less than a nanosecond of precision.
        """
        ticks = np.array(nanos, np.int64) * (2**32 / self.duel.clock.multiplier)
        offset = self.duel.samples - self._region.start
        view = np.frombuffer(self._region.view, np.int64, len(nanos), offset)
        view[:] = np.rint(ticks).astype(np.int64)

    def _measure_line(self, side: int, half: int) -> None:
        self.meet(side)
        if side == 0:
            line_ping(self.duel, self._line_samples + half * LINE_TRIPS * 8, LINE_TRIPS)
        else:
            line_pong(self.duel, LINE_TRIPS)

    def run(self, left: Callable[[], object], right: Callable[[], object]) -> None:
        """Run both sides in processes of their own until both are done. Raises SampleFailed."""
        self.duel.left.word.value = self.duel.right.word.value = 0

        def side(number: int, work: Callable[[], object]) -> None:
            self._measure_line(number, 0)
            work()
            self._measure_line(number, 1)

        running: dict[int, int] = {}
        try:
            for number, work in enumerate((left, right)):
                pid = _fork(functools.partial(side, number, work), self.cores[number])
                running[os.pidfd_open(pid)] = pid
            _wait_for(running)
        finally:
            for descriptor, pid in running.items():
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                os.close(descriptor)


def _fork(work: Callable[[], object], core: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, {core})
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _cpu_seconds(pid: int) -> str:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])  # user and system
    return f"{ticks / os.sysconf('SC_CLK_TCK'):.1f} s"


def _wait_for(running: dict[int, int]) -> None:
    """Take each process out of `running` as it ends well. Raises SampleFailed."""
    poller = select.poll()
    for descriptor in running:
        poller.register(descriptor, select.POLLIN)
    give_up = time.monotonic() + SAMPLE_SECONDS_MAX
    while running:
        left_ms = int((give_up - time.monotonic()) * 1000)
        ended = poller.poll(left_ms) if left_ms > 0 else []
        if not ended:
            raise SampleFailed(
                f"a side did not finish within {SAMPLE_SECONDS_MAX:.0f} s; those that still run "
                f"had {', '.join(map(_cpu_seconds, running.values()))} of CPU (a side that had "
                "little was kept from its core by other work)"
            )
        for descriptor, _ in ended:
            poller.unregister(descriptor)
            pid = running.pop(descriptor)
            os.close(descriptor)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if code != 0:
                raise SampleFailed(f"a side ended with {code}; its traceback is on standard error")


def now_ns() -> int:
    """The clock of all samples that Python takes across processes."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)


def warm_up(messages: int) -> int:
    """How many of `messages` go through before the clock runs."""
    return max(messages // WARM_SHARE, 1)


Throughput = Callable[[Arena, int], float]
RoundTrips = Callable[[Arena, int], Samples]


@dataclass(frozen=True)
class Contestant:
    """One way to pass messages, and how to take a sample of it."""

    name: str
    kind: str
    "ours or peer."
    loop: str
    "What runs the loop around it: Numba, C or Python. Figures of different loops differ by that."
    batch: int
    throughput: Throughput
    "Messages per second of so many messages, checked."
    round_trips: RoundTrips
    "Times in ns of so many messages there and back, checked."
    share: float = 1.0
    "Part of the messages that one sample takes: slow ones take fewer."
    trips: int = 10_000
