"""Runs the command line as a user does: commands to their end, venues in the background."""

import json
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from ipc import segment
from tools import status

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = [sys.executable, "-m", "tools.cli"]
START_SECONDS = 120
"""Includes compiling everything when the cache is cold."""


def run_okimi(*arguments, timeout=180):
    """Run a command to its end; returns the finished process."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=timeout, cwd=ROOT
    )


def last_json(finished):
    return json.loads(finished.stdout.strip().splitlines()[-1])


class RunningVenue:
    """`okimi up` in the background."""

    def __init__(self, *arguments, name=None):
        self.name = name or f"test-{uuid.uuid4().hex[:12]}"
        if "--durability" not in arguments:
            arguments = ("--durability", "memory", *arguments)
        self.process = subprocess.Popen(
            [*COMMAND, "up", "--name", self.name, "--http", "127.0.0.1:0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.http = ""

    def wait_ready(self):
        line = self.process.stdout.readline()
        assert line.startswith("ready http="), line + self.process.stderr.read()
        self.http = line.strip().partition("http=")[2]
        return self

    def status(self):
        """What `okimi status` tells, without the second that a command takes to start."""
        return status.collect(self.name, measured_seconds=0.01)

    def pids(self):
        return {entry["name"]: entry["pid"] for entry in self.status()["processes"]}

    def segments(self):
        return segment.names(f"okimi.{self.name}.")

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self.process.stdout.close()
        self.process.stderr.close()
        if self.segments():
            run_okimi("down", "--name", self.name)


def gone(pid):
    """Whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
