"""The disk without a venue: write 4 KiB into a file of zeros and sync, one after the other.

No acknowledgement of a journal on the same disk can come sooner.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

FILE_BYTES: Final = 64 << 20
WRITE_BYTES: Final = 4096
"""A frame of the journal with few decisions."""


class BareLoop:
    """A file beside the journal; turns of writing and syncing it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._offset = descriptor, 0
        self._block = os.urandom(WRITE_BYTES)
        self.seconds: list[float] = []
        "Of each write with its sync."

    def turn(self, count: int) -> None:
        """So many writes, each made durable."""
        for _ in range(count):
            began = time.perf_counter()
            os.pwrite(self._descriptor, self._block, self._offset)
            os.fdatasync(self._descriptor)
            self.seconds.append(time.perf_counter() - began)
            self._offset = (self._offset + WRITE_BYTES) % FILE_BYTES

    def report(self) -> dict[str, Any]:
        """Microseconds of all turns."""
        p50, p99 = (float(each) * 1e6 for each in np.percentile(self.seconds, (50, 99)))
        return {
            "fsync_p50_us": round(p50, 1),
            "fsync_p99_us": round(p99, 1),
            "fsync_max_us": round(max(self.seconds) * 1e6, 1),
            "fsyncs": len(self.seconds),
        }


@contextmanager
def bare_loop(folder: Path) -> Iterator[BareLoop]:
    """A loop over a new file in a folder: zeros, on the disk already, as segments are."""
    path = folder / "bare"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        zeros = bytes(1 << 20)
        for offset in range(0, FILE_BYTES, len(zeros)):
            os.pwrite(descriptor, zeros, offset)
        os.fsync(descriptor)
        yield BareLoop(descriptor)
    finally:
        os.close(descriptor)
        path.unlink()
