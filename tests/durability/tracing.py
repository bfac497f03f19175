"""Makes a system call of a process fail, or kills the process in it, by way of strace."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

ATTACH_SECONDS = 30.0
UNFINISHED = " <unfinished ...>"
RESUMED = " resumed>"


class Tracer:
    """Traces processes; what it does to them is written as strace's `--inject` takes it."""

    def __init__(self, log):
        self.program = shutil.which("strace")
        if self.program is None:
            pytest.skip("strace is not installed: it makes system calls fail for these tests")
        self.log = log
        self.running = []

    def inject(self, pid, injection):
        """Do that to a process, which waits for it in `await_tracer`, and to its threads."""
        self._attach(pid, injection.partition(":")[0], "-e", f"inject={injection}")

    def watch(self, pid, calls):
        """Write these system calls of a process into the log, descriptors with their paths."""
        self._attach(pid, calls, "-y")

    def calls(self):
        """The calls in the log, each where it has returned, once the process has ended."""
        for process in self.running:
            process.wait(ATTACH_SECONDS)
        return list(whole(self.log.read_text().splitlines()))

    def _attach(self, pid, calls, *options):
        command = [self.program, "-f", "-qq", "-o", str(self.log), "-e", f"trace={calls}"]
        command += [*options, "-p", str(pid)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.running.append(process)
        give_up = time.monotonic() + ATTACH_SECONDS
        while not is_traced(pid):
            if process.poll() is not None or time.monotonic() > give_up:
                process.kill()
                pytest.skip(f"strace cannot trace here: {process.communicate()[1].strip()}")
            time.sleep(0.002)

    def end(self):
        for process in self.running:
            process.kill()
            process.communicate()


@pytest.fixture
def tracer(tmp_path):
    """Makes system calls of processes fail; skips the test where that is not possible."""
    made = Tracer(tmp_path / "trace")
    yield made
    made.end()


def whole(lines):
    """Lines of a trace; a call that another thread's call has cut in two is one again."""
    begun = {}
    for line in lines:
        thread = line.partition(" ")[0]
        if line.endswith(UNFINISHED):
            begun[thread] = line.removesuffix(UNFINISHED)
        elif RESUMED in line:
            yield begun.pop(thread) + line.partition(RESUMED)[2]
        else:
            yield line


def is_traced(pid="self"):
    """Whether a process has a tracer."""
    status = Path(f"/proc/{pid}/status").read_text()
    return "TracerPid:\t0\n" not in status


def await_tracer():
    """Return when this process is traced."""
    give_up = time.monotonic() + 2 * ATTACH_SECONDS
    while not is_traced() and time.monotonic() < give_up:
        time.sleep(0.001)
