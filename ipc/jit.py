"""The compiler: two decorators for all compiled code, and a cache keyed by the sources.

`kernel` compiles a function on its first call and keeps the machine code on disk; `inlined`
is for small hot functions that are always folded into the kernel that calls them. With
NUMBA_DISABLE_JIT=1 both return the plain Python function, which then runs bounds-checked
against registered memory; with NUMBA_BOUNDSCHECK=1 compiled code checks every array index.

Numba's own cache looks only at the file of the compiled function, so an edited constant or
helper elsewhere would be missed silently. The machine code of a module is therefore kept in a
folder that is named by a hash of the module and of everything that it imports (`ipc.sources`).
"""

import functools
import inspect
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import llvmlite
import numba

from ipc.sources import source_key

F = TypeVar("F", bound=Callable[..., Any])

INTERPRETED: Final = bool(numba.config.DISABLE_JIT)
"""True when kernels run as plain Python."""

CHECKED: Final = bool(numba.config.BOUNDSCHECK)
"""True when compiled array accesses check their index."""

CACHES_KEPT_MAX: Final = 1024
"""Cache folders of modules that are kept, those of other source versions among them; of more, the
ones that were used longest ago are deleted."""

FACTS: Final = "|".join(
    (numba.__version__, llvmlite.__version__, platform.python_version(), str(CHECKED))
)
"""What beside the sources decides what the compiler makes."""


def _cache_base() -> Path:
    """The folder that holds all cache folders: NUMBA_CACHE_DIR, or the user's cache."""
    if numba.config.CACHE_DIR:
        return Path(numba.config.CACHE_DIR) / "okimi"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "okimi"
    try:
        base.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir()) / f"okimi-cache-{os.getuid()}"
    return base


CACHE_FOLDER: Final[Path | None] = None if INTERPRETED else _cache_base()
"""Where compiled code is kept, a folder for each version of each module; None when interpreted."""


@functools.cache
def cache_of(source: Path) -> Path:
    """The folder for compiled code of exactly this file and of what it imports; it is there."""
    assert CACHE_FOLDER is not None, "cache_of: nothing is compiled"
    chosen = CACHE_FOLDER / source_key(source, FACTS)
    if not chosen.is_dir():
        _drop_outdated(CACHE_FOLDER)
        chosen.mkdir(parents=True, exist_ok=True)
    os.utime(chosen)
    return chosen


def _drop_outdated(base: Path) -> None:
    """Delete the folders that were used longest ago when there are too many."""
    if not base.is_dir():
        return
    folders = [path for path in base.iterdir() if path.is_dir()]
    if len(folders) < CACHES_KEPT_MAX:
        return
    folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for outdated in folders[CACHES_KEPT_MAX - CACHES_KEPT_MAX // 8 :]:
        shutil.rmtree(outdated, ignore_errors=True)


def kernel(function: F) -> F:
    """Compile `function` on first call, keep it on disk, release the GIL while it runs.

    Arguments are int64 or records (`ipc.record`). Integer overflow wraps silently in compiled
    code: bound every operand. Expected outcomes are return values; `assert` states bugs.
    """
    if INTERPRETED:
        return function
    source = Path(inspect.unwrap(function).__code__.co_filename).resolve()
    numba.config.CACHE_DIR = str(cache_of(source))  # read when the function is decorated
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast(F, compiled)


def inlined(function: F) -> F:
    """Compile `function` into each of its callers. For hot helpers; rare paths are kernels."""
    if INTERPRETED:
        return function
    compiled = numba.njit(forceinline=True, nogil=True, error_model="numpy")(function)
    return cast(F, compiled)
