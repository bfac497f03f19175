"""Small disks for tests of the journal."""

import os
import subprocess

import pytest


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
