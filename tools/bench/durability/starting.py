"""A venue as `okimi up` starts it, on the folder of a benchmark; says when it is ready, and waits.

`python -m tools.bench.durability.starting FOLDER NAME LAYOUT`, ended by SIGKILL.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from engine.topology import GATEWAY
from tools.bench.durability.answers import durable_config
from tools.run import running_venue


def main(folder: str, name: str, layout: str) -> None:
    """Start, say so, and wait to be killed."""
    config = durable_config(Path(folder), name, layout)
    config = replace(config, gateway=replace(config.gateway, http="127.0.0.1:0"))
    with running_venue(config, (GATEWAY,), Console(stderr=True)):
        print(f"ready {os.getpid()}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
