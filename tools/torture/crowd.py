"""The clients as the torturer sees them: a process, its words, and the record that it keeps."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.torture.errors import TortureFailed
from tools.torture.pipes import next_line
from tools.torture.record import RecordReader

PAUSE_SECONDS_MAX: Final = 60.0
"""A request that is under way may have to wait for a venue that starts."""


class CrowdHandle:
    """Starts the clients, which wait for `go`."""

    def __init__(self, address: str, accounts: int, run: int, folder: Path) -> None:
        path = folder / "record.jsonl"
        self.record = RecordReader(path)
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tools.torture.clients"),
                *(address, str(accounts), str(run), str(path)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def go(self) -> None:
        """Let them trade."""
        self._say("go")

    def pause(self) -> None:
        """Have them stop, and wait until none of their requests is under way."""
        self._say("pause")
        assert self.process.stdout is not None
        if next_line(self.process.stdout, PAUSE_SECONDS_MAX) != "paused":
            raise TortureFailed(
                f"a request of the clients was not answered within {PAUSE_SECONDS_MAX:.0f} s of a "
                "venue that says that it is ready"
            )

    def check(self) -> None:
        """Raises TortureFailed when the clients themselves have failed."""
        code = self.process.poll()
        if code is not None:
            raise TortureFailed(f"the process of the clients has ended with exit code {code}")

    def end(self) -> None:
        """Have them leave."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.record.close()

    def _say(self, word: str) -> None:
        self.check()
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
