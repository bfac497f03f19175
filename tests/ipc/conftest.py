"""Fixtures for tests of ipc: shared memory that forked children see, and the children."""

import ctypes
import mmap
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipc import memory

PATIENCE_S = 120.0
"""How long a test waits for a child before it gives up; reached only when something hangs."""

_PR_SET_PDEATHSIG = 1


class Children:
    """Forked processes of one test. None of them survives it."""

    def __init__(self) -> None:
        self._running: set[int] = set()

    def start(self, work: Callable[[], object], cpu: int | None = None) -> int:
        """Fork a process that runs `work` and exits with 0, or 1 when that raised."""
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            self._running.add(pid)
            return pid
        code = 1
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if cpu is not None:
                os.sched_setaffinity(0, {cpu})
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def kill(self, pid: int) -> None:
        """kill -9, and wait until it is gone."""
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self._running.discard(pid)

    def join(self, pid: int) -> int:
        """Wait for a child to end by itself; returns its exit code."""
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self._running.discard(pid)
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        self.kill(pid)
        pytest.fail(f"child {pid} did not end within {PATIENCE_S} s")

    def check(self, pid: int) -> None:
        """Fail unless the child still runs; for loops that wait for what it does."""
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            self._running.discard(pid)
            pytest.fail(f"child {pid} ended early with {os.waitstatus_to_exitcode(status)}")

    def stop_all(self) -> None:
        """Kill whatever still runs."""
        for pid in list(self._running):
            self.kill(pid)


@pytest.fixture
def children() -> Iterator[Children]:
    family = Children()
    try:
        yield family
    finally:
        family.stop_all()


@pytest.fixture
def shared_block() -> Iterator[Callable[[int], int]]:
    """A function that makes zeroed memory shared with later forks and returns its address."""
    made: list[tuple[memory.Region, mmap.mmap]] = []

    def make(size: int) -> int:
        mapping = mmap.mmap(-1, size, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        region = memory.register(mapping, f"shared test block {len(made)}")
        made.append((region, mapping))
        return region.start

    yield make
    for region, mapping in made:
        memory.forget(region)
        mapping.close()


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., str]:
    """A function that runs a script in a fresh interpreter and returns its standard output."""
    root = Path(__file__).resolve().parents[2]

    def run(script: str, path: Path = root, **environment: str) -> str:
        inherited = {
            key: value
            for key, value in os.environ.items()
            if key not in ("NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK", "PYTHONOPTIMIZE")
        }
        file = tmp_path / "script.py"
        file.write_text(script)
        done = subprocess.run(
            [sys.executable, str(file)],
            env={**inherited, "PYTHONPATH": str(path), **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
