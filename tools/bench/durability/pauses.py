"""What clients see when a process is killed: the longest time in which no order is answered.

A torture in order: each process of a venue under the load of HTTP clients is killed so many times,
the machine too. Nothing may be lost, as in all tortures.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from tools.bench.errors import BenchFailed
from tools.torture.audit import VIOLATIONS
from tools.torture.errors import TortureFailed
from tools.torture.rounds import Torture


def measure_pauses(layout: str, times: int, machines: int) -> dict[str, Any]:
    """Pauses by process: kill each so many `times`, and the machine `machines` times."""
    with tempfile.TemporaryDirectory(prefix="okimi-bench-") as folder:
        torture = Torture(Path(folder), layout, seed=0)
        try:
            torture.begin()
            for name in list(torture.pids) * times:
                torture.round(partial(torture.killer.kill, name))
            for _ in range(machines):
                torture.round(torture.killer.kill_machine)
            torture.finish()
            result = torture.report()
        except TortureFailed as error:
            raise BenchFailed(f"a venue did not survive a kill: {error}") from error
        finally:
            torture.end()
    if wrong := {name: result[name] for name in VIOLATIONS if result[name]}:
        raise BenchFailed(f"a venue lost something when it was killed: {wrong}")
    pauses: dict[str, Any] = result["pauses"]
    return pauses
