"""Checks of Python, its packages, the kernel and the compiler's cache."""

import os
import platform
import re
import shutil
import sys
from importlib import metadata
from typing import Final

from ipc.jit import CACHE_FOLDER
from tools.doctor.check import FAIL, OK, WARN, Check, Machine, Wanted
from tools.figures import size

PYTHON_MIN: Final = (3, 11)
"""tomllib and inspect's annotations; also `requires-python` of the distribution."""

KERNEL_MIN: Final = (5, 14)
"""The first with MADV_POPULATE_WRITE, which `venue.prefault` asks for."""

COMPILER_PACKAGES: Final = ("numpy", "numba", "llvmlite")

CACHE_FREE_MIN: Final = 64 << 20
"""Compiled kernels of one version take a few MiB; eight versions are kept."""


def check_software(machine: Machine) -> list[Check]:
    """Python, packages, kernel, processor family, cache folder."""
    return [
        check_python(sys.version_info[:3]),
        *map(check_package, COMPILER_PACKAGES),
        check_kernel(platform.release()),
        check_architecture(platform.machine()),
        check_cache(),
    ]


def check_python(version: tuple[int, ...]) -> Check:
    """Whether this Python runs okimi."""
    least = ".".join(map(str, PYTHON_MIN))
    wanted = Wanted("python", f">= {least}", FAIL, f"install Python {least} or newer")
    return wanted.judge(version >= PYTHON_MIN, ".".join(map(str, version)))


def check_package(name: str) -> Check:
    """Whether a package of the compiler is there, in a version that okimi asks for."""
    least = required_version(name)
    wanted = Wanted(
        name,
        f">= {'.'.join(map(str, least))}" if least else "the version that numba asks for",
        FAIL,
        f"pip install --upgrade {name}, or make setup",
    )
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return wanted.judge(False, "not installed")
    return wanted.judge(version_numbers(found) >= least, found)


def required_version(name: str) -> tuple[int, ...]:
    """The least version of a package that okimi's own metadata names; () when it names none."""
    try:
        requirements = metadata.requires("okimi") or []
    except metadata.PackageNotFoundError:
        requirements = []  # runs from its sources, without being installed
    for requirement in requirements:
        match = re.match(rf"{re.escape(name)}\s*>=\s*([\d.]+)", requirement)
        if match:
            return version_numbers(match.group(1))
    return ()


def version_numbers(text: str) -> tuple[int, ...]:
    """The numbers at the start of a version: 6.18.44-generic is (6, 18, 44)."""
    match = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, match.group().split("."))) if match else ()


def check_kernel(release: str) -> Check:
    """Whether the kernel has what the configuration can ask for."""
    wanted = Wanted(
        "kernel",
        f">= {KERNEL_MIN[0]}.{KERNEL_MIN[1]}",
        WARN,
        "use a newer kernel; on this one venue.prefault = true does nothing",
    )
    return wanted.judge(version_numbers(release) >= KERNEL_MIN, release)


def check_architecture(family: str) -> Check:
    """Whether the compiled instructions exist on this processor."""
    wanted = Wanted("architecture", "x86_64", FAIL, "run okimi on an x86-64 machine")
    return wanted.judge(family == "x86_64", family)


def check_cache() -> Check:
    """Whether compiled kernels can be kept: without that each start compiles for seconds."""
    if CACHE_FOLDER is None:
        return Check("compiler cache", "not used: kernels run interpreted", "any", OK, "")
    wanted = Wanted(
        "compiler cache",
        f"writable, {size(CACHE_FREE_MIN)} free",
        WARN,
        f"make {CACHE_FOLDER} writable and free some room there, or point "
        "NUMBA_CACHE_DIR elsewhere (in a unit: CacheDirectory=okimi and "
        "Environment=NUMBA_CACHE_DIR=%C/okimi)",
    )
    if not os.access(CACHE_FOLDER, os.W_OK | os.X_OK):
        return wanted.judge(False, f"{CACHE_FOLDER} is not writable")
    free = shutil.disk_usage(CACHE_FOLDER).free
    return wanted.judge(free >= CACHE_FREE_MIN, f"{CACHE_FOLDER}, {size(free)} free")
