"""Checks of venues: what dead ones left behind, whether another one can start, how one is."""

import os
import socket

from engine.config import Config
from ipc.errors import SegmentError
from tools.clean import FOREIGN, stale, survey
from tools.doctor.check import FAIL, OK, WARN, Check, Wanted
from tools.sample import ProcessSample, Sample, VenueNotFound, take, venues


def living_venues() -> list[Sample]:
    """Samples of the venues whose supervisor is alive, as far as they can be read."""
    found = []
    for name in venues():
        try:
            found.append(take(name))
        except (VenueNotFound, SegmentError):
            continue  # ended just now, or is not ours: `check_segments` reports those
    return [sample for sample in found if sample.supervisor_alive]


def busy_cores() -> set[int]:
    """Cores that living venues have given to their processes."""
    return {process.cpu for sample in living_venues() for process in sample.processes}


def check_venues(config: Config) -> list[Check]:
    """Stale segments, segments that are in the way, the port of the configuration."""
    return [check_stale(), check_segments(), check_port(config)]


def check_stale() -> Check:
    """Whether dead venues still hold memory."""
    wanted = Wanted("stale segments", "none", WARN, "okimi clean")
    found = stale()
    shown = ", ".join(name for name, _ in found[:3]) + (", ..." if len(found) > 3 else "")
    return wanted.judge(not found, f"{len(found)}: {shown}" if found else "none")


def check_segments() -> Check:
    """Whether names of okimi are taken by what okimi did not make."""
    wanted = Wanted(
        "foreign segments",
        "none",
        WARN,
        "let their owner remove them; a venue of that name cannot start until then",
    )
    found = [f"{each.name}: {each.reason}" for each in survey() if each.state == FOREIGN]
    return wanted.judge(not found, "; ".join(found) or "none")


def check_port(config: Config) -> Check:
    """Whether the gateway could listen where the configuration says."""
    address = config.gateway.http
    wanted = Wanted(
        "gateway port",
        f"{address} free",
        FAIL,
        f"find who has it: ss -ltnp 'sport = :{config.gateway.port}'; end it or choose another: "
        "okimi up --http 127.0.0.1:0 (any free port), or gateway.http in okimi.toml",
    )
    holders = [sample.venue for sample in living_venues() if sample.http == address]
    if holders:
        return Check("gateway port", f"{address} serves venue {holders[0]}", "free or ours", OK, "")
    family = socket.AF_INET6 if ":" in config.gateway.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the gateway does: connections of the last run that linger are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.gateway.host, config.gateway.port))
            probe.listen()
        except OSError as error:
            return wanted.judge(False, f"{address}: {error.strerror}")
    return wanted.judge(True, f"{address} free")


def check_venue(sample: Sample) -> list[Check]:
    """Whether a running venue serves, and whether its processes are where they should be."""
    unwell = [process.name for process in sample.processes if not process.serves]
    ready = Wanted(
        f"venue {sample.venue}",
        "ready",
        FAIL,
        f"okimi status --name {sample.venue} says more; okimi down and up start it anew",
    )
    found = "ready" if sample.ready else "not ready"
    if unwell:
        found += f": {', '.join(unwell)} not alive or without heartbeat"
    astray = [
        process.name
        for process in sample.processes
        if process.alive and process.pid != sample.supervisor_pid and not _pinned(process)
    ]
    pinned = Wanted(
        f"pinning of {sample.venue}",
        "each process on its core",
        WARN,
        "something moved them (taskset, a cpuset): okimi down and up pin them again",
    )
    return [
        ready.judge(sample.ready, found),
        pinned.judge(not astray, f"astray: {', '.join(astray)}" if astray else "all pinned"),
    ]


def _pinned(process: ProcessSample) -> bool:
    try:
        return os.sched_getaffinity(process.pid) == {process.cpu}
    except ProcessLookupError:
        return True
