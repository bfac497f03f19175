"""Venues with a journal, small disks, and a tracer that makes system calls fail."""

import os
import subprocess

import pytest

from tests.durability.journaling import Journaling
from tests.durability.tracing import tracer as tracer


@pytest.fixture
def journaling(tmp_path):
    """A function that makes a shared venue for processes that journal into `tmp_path`."""
    made = []

    def make(total, data_dir=tmp_path / "data", **durability):
        made.append(Journaling(data_dir, total, **durability))
        return made[-1]

    yield make
    for each in made:
        each.end()


@pytest.fixture
def small_disk(tmp_path):
    """A function that mounts a file system of some size, or gives it another size.

    Returns its folder. Skips the test where that is not allowed.
    """
    folder = tmp_path / "disk"
    mounted = []

    def size(wanted):
        if os.geteuid() != 0:
            pytest.skip("only root can mount a small file system")
        options = f"remount,size={wanted}" if mounted else f"size={wanted}"
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "okimi-test", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield size
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
