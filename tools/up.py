"""`okimi up` and `okimi down`."""

import os
import signal
import time
from typing import Final

from rich.console import Console

from engine.config import Config
from engine.durability.errors import DataDirInUse
from engine.topology import GATEWAY
from engine.venue import COUNTERS, segment_name
from ipc import segment
from ipc.counters import is_alive
from ipc.errors import SegmentMissing
from tools.clean import clean
from tools.run import compile_kernels, running_venue
from tools.supervisor import StartInterrupted, StopRequest, Supervisor

DOWN_SECONDS_MAX: Final = 60.0
"""A durable venue writes what it has decided, and a snapshot, before it ends."""

stderr = Console(stderr=True)


def run_up(config: Config) -> int:
    """Serve until asked to stop; exit code 1 when the venue could not go on."""
    stderr.print(config.render(), highlight=False, soft_wrap=True)
    stop_asked = StopRequest()
    try:
        with running_venue(config, (GATEWAY,), stderr, stop_asked) as supervisor:
            return _serve(supervisor, stop_asked)
    except StartInterrupted as error:
        report(str(error))
        return 0


def _serve(supervisor: Supervisor, stop_asked: StopRequest) -> int:
    stderr.print(supervisor.topology.render(), highlight=False, soft_wrap=True)
    print(f"ready http={supervisor.venue.counters.http.get()}", flush=True)
    supervisor.serve(stop_asked, report)
    return 1 if supervisor.failure else 0


def run_standby(config: Config) -> int:
    """Follow a durable venue until it has ended, then serve in its place; exit code as `run_up`."""
    from tools.supervision.standby import Heir, Standby

    stop_asked = StopRequest()
    compile_kernels(config, (GATEWAY,), stderr)
    stop_asked.install()
    while True:
        standby = Standby(config)
        print(f"standby dseq={standby.dseq}", flush=True)
        if not standby.wait(stop_asked):
            standby.close()
            return 0
        try:
            supervisor = Heir(config, standby)
        except DataDirInUse:  # somebody was faster
            standby.close()
            continue
        try:
            supervisor.start(stop_asked)
        except StartInterrupted as error:
            report(str(error))
            return 0
        try:
            return _serve(supervisor, stop_asked)
        finally:
            supervisor.stop()


def report(text: str) -> None:
    """Tell the operator."""
    stderr.print(f"okimi: {text}", style="red", highlight=False, soft_wrap=True)


def run_down(name: str) -> bool:
    """End the venue `name`; whether there was one. Stale segments are removed either way."""
    counters = segment_name(name, COUNTERS)
    try:
        found = segment.attach(counters, writable=False)
    except SegmentMissing:
        return bool(clean(venue=name))
    pid, start = found.header.owner_pid, found.header.owner_start
    found.close()
    if not is_alive(pid, start):
        return bool(clean(venue=name))
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_SECONDS_MAX
    while is_alive(pid, start) and time.monotonic() < deadline:
        time.sleep(0.02)
    if is_alive(pid, start):
        # The processes die with their supervisor.
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    clean(venue=name)
    return True
