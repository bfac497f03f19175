"""Ending a venue that does not serve: its processes, and nobody else's."""

import subprocess
import sys

import pytest

from tools.promoting import fence

TAKES = """
import sys, time
from pathlib import Path
from engine.durability.datadir import Lock, is_locked
path = Path(sys.argv[1])
print("waits", flush=True)
while is_locked(path):
    pass
lock = Lock(path)
print("holds", flush=True)
time.sleep(600)
"""


@pytest.fixture
def taker(tmp_path):
    """Starts processes that take the folder's lock as soon as it is free; ends them all."""
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", TAKES, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "waits\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_who_takes_the_place_at_once_is_not_killed(taker, tmp_path):
    old = taker()
    assert old.stdout.readline() == "holds\n"
    heir = taker()
    fenced = fence(tmp_path, "nobody")
    assert fenced.killed == (old.pid,)
    assert heir.stdout.readline() == "holds\n"
    assert heir.poll() is None


def test_nothing_is_killed_where_nobody_holds_the_folder(tmp_path):
    assert fence(tmp_path, "nobody").killed == ()
