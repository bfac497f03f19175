"""Checks of what the system grants this process: locked memory, open files, priorities."""

import resource
from typing import Final

from engine.config import Config
from tools.doctor.check import WARN, Check, Machine, Wanted
from tools.doctor.memory import venue_bytes
from tools.figures import size

FILES_MIN: Final = 65_536
"""A connection is an open file; gateways hold tens of thousands."""

CAP_IPC_LOCK: Final = 14
"""Bit of the capability that lifts the limit on locked memory."""


def check_limits(machine: Machine, config: Config) -> list[Check]:
    """The three limits that matter, as this process has them (a unit may have others)."""
    return [
        check_memlock(machine, resource.getrlimit(resource.RLIMIT_MEMLOCK)[0], config),
        check_files(*resource.getrlimit(resource.RLIMIT_NOFILE)),
        check_priority(machine, resource.getrlimit(resource.RLIMIT_RTPRIO)[0]),
    ]


def check_memlock(machine: Machine, limit: int, config: Config) -> Check:
    """Whether `venue.mlock = true` could keep a venue in memory."""
    needed = sum(venue_bytes(config).values())
    wanted = Wanted(
        "RLIMIT_MEMLOCK",
        "unlimited" + ("" if config.venue.mlock else " (for venue.mlock = true, which is off)"),
        WARN,
        "LimitMEMLOCK=infinity in the unit, or 'okimi - memlock unlimited' in "
        f"/etc/security/limits.conf; a venue locks {size(needed)} and its programs",
    )
    if limit == resource.RLIM_INFINITY:
        return wanted.judge(True, "unlimited")
    lifted = _has_capability(machine, CAP_IPC_LOCK)
    return wanted.judge(lifted, size(limit) + (", lifted by CAP_IPC_LOCK" if lifted else ""))


def _has_capability(machine: Machine, bit: int) -> bool:
    for line in (machine.text("/proc/self/status") or "").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> bit & 1)
    return False


def check_files(soft: int, hard: int) -> Check:
    """Whether a gateway can hold many connections."""
    wanted = Wanted(
        "RLIMIT_NOFILE",
        f">= {FILES_MIN}",
        WARN,
        f"LimitNOFILE={FILES_MIN} in the unit, or ulimit -n {FILES_MIN} before `okimi up`",
    )
    enough = soft == resource.RLIM_INFINITY or soft >= FILES_MIN
    found = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft}"
    return wanted.judge(enough, found if enough else f"{found} (may be raised to {hard})")


def check_priority(machine: Machine, limit: int) -> Check:
    """Whether real-time priority, where it is granted, would freeze spinning stages."""
    wanted = Wanted(
        "RLIMIT_RTPRIO",
        "0, or no real-time bandwidth control",
        WARN,
        "leave okimi under the normal scheduler on isolated cores, or sysctl "
        "kernel.sched_rt_runtime_us=-1: a stage that spins with real-time priority is stopped "
        "for 50 ms of every second otherwise",
    )
    runtime = machine.text("/proc/sys/kernel/sched_rt_runtime_us") or "unknown"
    found = f"{limit}, kernel.sched_rt_runtime_us = {runtime}"
    return wanted.judge(limit == 0 or runtime == "-1", found)
