"""Checks of time: which clock the kernel uses, and whether all cores agree on the counter."""

import os
import threading
from typing import Final

from ipc.clock import TSC, Clock, calibrate, tsc_is_invariant
from ipc.intrinsics import pause, read_monotonic, read_tsc
from ipc.jit import INTERPRETED, kernel
from ipc.record import LINE_PAIR_BYTES, Record, i64, shared
from tools.doctor.check import WARN, Check, Machine, Wanted, name_cores

SOURCES: Final = "/sys/devices/system/clocksource/clocksource0"

OFFSET_NS_MAX: Final = 500
"""Between cores. A hop between stages takes a few hundred ns: more would falsify it."""

ROUNDS: Final = 1_000
"""Round trips between two cores; the quickest ones bound the offset to about 100 ns."""

PAIR_NS_MAX: Final = 50_000_000
"""Time for one pair of cores: where others use the cores, fewer rounds must do."""

CALIBRATION_NS: Final = 2_000_000
"""Enough to turn a few hundred ticks into ns."""

NEVER: Final = 1 << 62

SPINS_PER_LOOK: Final = 64
"""Turns of a waiting loop between two looks at the clock."""


class Call(Record, align=LINE_PAIR_BYTES):
    """The line that the asking core writes."""

    round: shared
    "The round that has begun; -1 when there will be no more."
    low_ticks: i64
    "The answering core's counter is ahead by at least this..."
    high_ticks: i64
    "...and at most this."


class Answer(Record, align=LINE_PAIR_BYTES):
    """The line that the answering core writes."""

    round: shared
    "The round that was answered last."
    stamp_ticks: i64
    "Its counter then."


class Exchange(Record, align=LINE_PAIR_BYTES):
    """Two cores that compare their counters."""

    call: Call
    answer: Answer


@kernel
def ask(exchange: Exchange, rounds: int, time_ns: int) -> int:
    """Ask the other core for its counter; returns how many rounds were answered in `time_ns`.

    Its answer lies between our own readings before and after, or the counters differ: the
    tightest such bounds of all rounds are left in the call.
    """
    call, answer = exchange.call, exchange.answer
    call.low_ticks, call.high_ticks = -NEVER, NEVER
    began = read_monotonic()
    done, late = 0, False
    while done < rounds and not late:
        before = read_tsc()
        call.round = done + 1
        spins = 0
        while answer.round != done + 1 and not late:
            pause()
            spins += 1
            if spins % SPINS_PER_LOOK == 0:
                late = read_monotonic() - began > time_ns
        after = read_tsc()
        if late:
            break
        call.low_ticks = max(call.low_ticks, answer.stamp_ticks - after)
        call.high_ticks = min(call.high_ticks, answer.stamp_ticks - before)
        done += 1
    call.round = -1
    return done


@kernel
def reply(exchange: Exchange) -> int:
    """Answer until there are no more rounds; returns how many were answered."""
    call, answer = exchange.call, exchange.answer
    done = 0
    while True:
        current = call.round
        if current < 0:
            return done
        if current == answer.round:
            pause()
            continue
        answer.stamp_ticks = read_tsc()
        answer.round = current
        done += 1


def check_clocks(machine: Machine, busy: set[int]) -> list[Check]:
    """Clock source, invariant counter, agreement of all cores but `busy` ones."""
    return [check_source(machine), check_invariant(), check_agreement(machine, busy)]


def check_source(machine: Machine) -> Check:
    """Whether reading the clock is a matter of nanoseconds, without a system call."""
    wanted = Wanted(
        "clock source",
        "tsc",
        WARN,
        f"echo tsc > {SOURCES}/current_clocksource; if the kernel does not offer it, boot with "
        "tsc=reliable",
    )
    found = machine.text(f"{SOURCES}/current_clocksource") or "unknown"
    return wanted.judge(found == "tsc", found)


def check_invariant() -> Check:
    """Whether stamps can be taken from the time-stamp counter."""
    wanted = Wanted(
        "invariant TSC",
        "constant_tsc and nonstop_tsc",
        WARN,
        "nothing to set on bare metal; on a virtual machine pass the flag through (QEMU: -cpu "
        "host,+invtsc). Without it stamps come from the kernel's clock, 15 ns slower",
    )
    invariant = tsc_is_invariant()
    return wanted.judge(invariant, "both" if invariant else "not promised by the processor")


def check_agreement(machine: Machine, busy: set[int]) -> Check:
    """Whether the counters of all cores show the same time. Leaves `busy` cores in peace."""
    wanted = Wanted(
        "TSC across cores",
        f"within {OFFSET_NS_MAX} ns",
        WARN,
        "latencies between stages are wrong by that much; see dmesg for 'tsc', boot with "
        "tsc=reliable, or update firmware",
    )
    cores = [core for core in machine.cores if core not in busy]
    if INTERPRETED or not tsc_is_invariant():
        return wanted.judge(True, "not used for stamps")
    if len(cores) < 2:
        return wanted.judge(True, "not compared: no two cores without a venue")
    bounds = {core: offset_ns(cores[0], core) for core in cores[1:]}
    unknown = {core for core, found in bounds.items() if found is None}
    if unknown:
        found = f"not compared: cores {name_cores(unknown)} did not answer in time"
        return Check(wanted.name, found, wanted.wanted, WARN, "try again when they are less busy")
    measured = [found for found in bounds.values() if found is not None]
    lows, highs = [low for low, _ in measured], [high for _, high in measured]
    agree = max(lows) <= OFFSET_NS_MAX and min(highs) >= -OFFSET_NS_MAX
    return wanted.judge(agree, f"{min(lows)} to {max(highs)} ns from core {cores[0]}")


def offset_ns(core: int, other: int) -> tuple[int, int] | None:
    """Bounds in ns of how far the counter of `other` is ahead of that of `core`.

    They exchange readings through one cache line each. None when `other` did not answer.
    """
    clock: Clock = Clock.allocate()
    calibrate(clock, CALIBRATION_NS)
    assert clock.source == TSC, "offset_ns: needs an invariant counter"
    exchange: Exchange = Exchange.allocate()
    ask(exchange, 0, 0)  # both are compiled before they meet
    reply(exchange)
    exchange.call.round = 0
    allowed = os.sched_getaffinity(0)
    answering = threading.Thread(target=_reply_from, args=(other, exchange))
    answering.start()
    try:
        os.sched_setaffinity(0, {core})
        answered = ask(exchange, ROUNDS, PAIR_NS_MAX)
    finally:
        exchange.call.round = -1
        answering.join()
        os.sched_setaffinity(0, allowed)
    if answered == 0:
        return None
    low, high = exchange.call.low_ticks, exchange.call.high_ticks
    return low * clock.multiplier >> 32, high * clock.multiplier >> 32


def _reply_from(core: int, exchange: Exchange) -> None:
    os.sched_setaffinity(0, {core})
    reply(exchange)
