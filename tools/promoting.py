"""`okimi promote`: end a venue that does not serve any more, and have its place taken.

The order is what makes it safe. First the supervisor of the old venue is killed, and with it all of
its processes; then the lock of the data folder is awaited, which is free only when the last of them
is gone; only then somebody else may serve: the standby, or this process itself.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.durability.datadir import LOCK, STANDBY, Holder, holder, is_locked
from engine.venue import COUNTERS, segment_name
from ipc.counters import CountersFile, is_alive
from ipc.errors import SegmentError
from ipc.record import fingerprint
from tools.sample import attached
from tools.status import VenueNotFound, collect
from tools.supervision.stalls import STOPPED_STATES

FENCE_SECONDS: Final = 10.0
"""Processes that were killed are gone by then, unless the kernel holds one in a device."""

READY_SECONDS: Final = 60.0
"""A standby serves by then, or it has failed and said so."""

LOOK_SECONDS: Final = 0.005


class PromoteRefused(Exception):
    """The venue serves, or its processes cannot be ended; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """What was ended."""

    killed: tuple[int, ...]
    "Process ids; empty when nothing of the venue was left."
    seconds: float


def refuse_if_well(name: str) -> None:
    """Raise PromoteRefused when the venue is ready and its supervisor looks after it."""
    try:
        found = collect(name, 0.0)
    except (VenueNotFound, SegmentError):
        return
    if found["ready"] and not _is_stopped(found["supervisor"]["pid"]):
        raise PromoteRefused(
            f"venue {name} is ready and serves: nothing was done. `okimi down --name {name}` ends "
            "it in good order; --force has its place taken although it serves"
        )


def _is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal or a debugger, or is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] in STOPPED_STATES + "ZX"


def fence(path: Path, name: str) -> Fenced:
    """Kill whatever of the venue still lives, and return once none of it can write its data.

    That is when the lock is free, or somebody else has it: a standby may take it at once. Raises
    PromoteRefused when a process cannot be ended.
    """
    began = time.monotonic()
    killed: list[int] = []
    deadline = began + FENCE_SECONDS
    old = holder(path)
    while is_locked(path, LOCK):
        # In this order: who takes the lock says so before it has processes of its own.
        found = _members(name)
        if holder(path) != old:
            break
        for each in (old, *found):
            if each is not None and each.alive and each.pid not in killed:
                _kill(each)
                killed.append(each.pid)
        if time.monotonic() > deadline:
            raise PromoteRefused(
                f"{path / LOCK} is still held after {FENCE_SECONDS:.0f} s, by process "
                f"{old.pid if old else 'unknown'} or its children, which were killed: see what "
                "they wait for (`ps -o pid,stat,wchan`); nobody serves now"
            )
        time.sleep(LOOK_SECONDS)
    return Fenced(tuple(killed), time.monotonic() - began)


def _members(name: str) -> list[Holder]:
    """The processes of a venue, by its counters."""
    try:
        with attached(
            segment_name(name, COUNTERS), CountersFile.size, fingerprint(CountersFile)
        ) as found:
            counters = CountersFile(found.address)
            entries = [counters.processes[index] for index in range(counters.process_count)]
            return [Holder(entry.pid, entry.start_time) for entry in entries]
    except SegmentError:
        return []


def _kill(process: Holder) -> None:
    """SIGKILL to that very process, not to a later one with its pid."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if is_alive(process.pid, process.start):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


def standby_of(path: Path) -> Holder | None:
    """The process that waits to take the venue's place, if there is one."""
    found = holder(path, STANDBY)
    waits = found is not None and found.alive and is_locked(path, STANDBY)
    return found if waits else None


def await_standby(standby: Holder, name: str) -> str | None:
    """Wait until the standby serves; where, or None when it has ended, or does not come to it."""
    deadline = time.monotonic() + READY_SECONDS
    while standby.alive and time.monotonic() < deadline:
        if (http := _served_by(standby.pid, name)) is not None:
            return http
        time.sleep(LOOK_SECONDS)
    return None


def _served_by(pid: int, name: str) -> str | None:
    """Where the venue serves, if this process supervises it and it is ready."""
    try:
        with attached(
            segment_name(name, COUNTERS), CountersFile.size, fingerprint(CountersFile)
        ) as found:
            counters = CountersFile(found.address)
            if found.header.owner_pid == pid and counters.ready:
                return counters.http.get()
    except SegmentError:
        return None
    return None


def run_promote(path: Path, name: str, *, force: bool) -> dict[str, Any]:
    """Fence the venue and have its standby serve; the fields for --json.

    `http` is null when there is no standby: then the caller serves. Raises PromoteRefused.
    """
    began = time.monotonic()
    if not force:
        refuse_if_well(name)
    standby = standby_of(path)
    fenced = fence(path, name)
    http = None if standby is None else await_standby(standby, name)
    return {
        "killed": list(fenced.killed),
        "fence_seconds": round(fenced.seconds, 3),
        "standby": None if standby is None else standby.pid,
        "http": http,
        "seconds": round(time.monotonic() - began, 3),
    }
