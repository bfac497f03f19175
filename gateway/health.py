"""Whether the venue can serve: every process is there, running, and has turned its loop lately."""

import time
from typing import Any, Final, NamedTuple

from engine.topology import GATEWAY, is_stage
from engine.venue import VenueMemory
from ipc.counters import RUNNING, STATE_NAMES, is_alive

HEARTBEAT_STALE_MS: Final = 1000
"""A process that has not turned its loop for this long does not serve; loops turn every 20 ms."""


class Health(NamedTuple):
    """The state of a venue at one moment."""

    ready: bool
    processes: list[dict[str, Any]]


def examine(venue: VenueMemory) -> Health:
    """Look at every process that hosts stages, and at the gateway itself."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    found = []
    for plan in venue.topology.processes:
        if plan.name != GATEWAY and not any(map(is_stage, plan.stages)):
            continue  # a driver: not needed to serve
        entry = venue.entry(plan.name)
        age_ms = (now - entry.heartbeat.word.value) // 1_000_000
        alive = is_alive(entry.pid, entry.start_time)
        found.append(
            {
                "name": plan.name,
                "state": STATE_NAMES[entry.state],
                "alive": alive,
                "heartbeat_age_ms": max(age_ms, 0),
                "serves": alive and entry.state == RUNNING and age_ms < HEARTBEAT_STALE_MS,
            }
        )
    return Health(all(process["serves"] for process in found), found)
