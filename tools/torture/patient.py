"""The venue that is killed: `okimi up` as an operator would start it, and its processes by name."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from ipc.errors import IpcError
from tools.sample import ProcessSample, Sample, VenueNotFound, take
from tools.torture.errors import TortureFailed
from tools.torture.pipes import next_line

CONFIG: Final = Path(__file__).parent / "venue.toml"

START_SECONDS_MAX: Final = 300.0
"""Includes compiling when nothing is in the cache."""

READY_SECONDS_MAX: Final = 60.0
"""A successor that does not serve by then never will."""

LOOK_SECONDS: Final = 0.02
"""Between two looks whether a successor serves: what a pause is measured to."""

SUPERVISOR: Final = "supervisor"


def free_port() -> int:
    """A port that nobody uses now; the venue has it across all its restarts."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Patient:
    """A venue in processes of its own, over one data folder."""

    def __init__(self, name: str, folder: Path, layout: str | None) -> None:
        self.name, self.folder, self.layout = name, folder, layout
        self.data = folder / "data"
        self.address = f"127.0.0.1:{free_port()}"
        self._log = (folder / "venue.log").open("ab")
        self._process: subprocess.Popen[str] | None = None

    # --- its life --------------------------------------------------------------------------------

    def start(self) -> None:
        """`okimi up`, and wait until it says that it is ready. TortureFailed when it does not."""
        arguments = ["up", "--config", str(CONFIG), "--name", self.name, "--http", self.address]
        arguments += ["--data-dir", str(self.data), "--durability", "durable"]
        arguments += ["--layout", self.layout] if self.layout else []
        process = self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert process.stdout is not None
        if not next_line(process.stdout, START_SECONDS_MAX).startswith("ready "):
            raise TortureFailed(f"okimi up did not start: see {self._log.name}")

    def kill_all(self) -> None:
        """Kill the supervisor, with which every process dies: a machine that fails."""
        assert self._process is not None
        pids = [process.pid for process in self.processes().values()]
        self._process.kill()
        self._collect()
        wait_until(lambda: not any(map(runs, pids)), 10.0, "processes outlive their supervisor")

    def stop(self) -> int:
        """End the venue as an operator does; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._collect()

    def end(self) -> None:
        """Nothing of the venue runs afterwards, whatever it was doing."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._collect()
        self._log.close()
        from tools.clean import clean

        clean(venue=self.name)

    def _collect(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            return self._process.wait(READY_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise TortureFailed("the venue was asked to stop and does not") from None
        finally:
            self._process.stdout.close()

    # --- what is seen of it ----------------------------------------------------------------------

    def sample(self) -> Sample | None:
        """Its shared memory now; None while there is none."""
        try:
            return take(self.name)
        except (VenueNotFound, IpcError):
            return None

    def processes(self) -> dict[str, ProcessSample]:
        """Its processes, by name."""
        sample = self.sample()
        return {} if sample is None else {each.name: each for each in sample.processes}

    def check(self) -> None:
        """Raises TortureFailed when the supervisor has given up."""
        assert self._process is not None
        code = self._process.poll()
        if code is not None:
            raise TortureFailed(f"okimi up has ended with exit code {code}: see {self._log.name}")

    def await_successor(self, name: str, pid: int) -> None:
        """Wait until another process has the place of `pid`, and the venue is ready."""

        def serves() -> bool:
            self.check()
            sample = self.sample()
            if sample is None or not sample.ready:
                return False
            found = next(each for each in sample.processes if each.name == name)
            return found.pid != pid and found.serves

        wait_until(serves, READY_SECONDS_MAX, f"no successor of {name} serves")


def runs(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def send(pid: int, number: int) -> None:
    """A signal to a process that may have just ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_until(condition: object, seconds: float, complaint: str) -> None:
    """Look until a condition holds. TortureFailed with the complaint when it takes too long."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TortureFailed(f"{complaint} after {seconds:.0f} s")
        time.sleep(LOOK_SECONDS)
