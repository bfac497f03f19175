"""The compiler: two decorators for all compiled code, and a cache keyed by the sources.

`kernel` compiles a function on its first call and keeps the machine code on disk; `inlined`
is for small hot functions that are always folded into the kernel that calls them. With
NUMBA_DISABLE_JIT=1 both return the plain Python function, which then runs bounds-checked
against registered memory; with NUMBA_BOUNDSCHECK=1 compiled code checks every array index.

Numba's own cache looks only at the file of the compiled function, so an edited constant or
helper elsewhere would be missed silently. The cache folder is therefore named by a hash of
all sources of `ipc` and `engine`, where shared constants and helpers live, and of every module
of the other packages that has kernels itself.
"""

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import llvmlite
import numba

F = TypeVar("F", bound=Callable[..., Any])

INTERPRETED: Final = bool(numba.config.DISABLE_JIT)
"""True when kernels run as plain Python."""

CHECKED: Final = bool(numba.config.BOUNDSCHECK)
"""True when compiled array accesses check their index."""

CACHES_KEPT_MAX: Final = 8
"""Cache folders of other source versions that are kept; older ones are deleted."""

_KEYED_PACKAGES: Final = ("ipc", "engine")
_PACKAGES: Final = ("ipc", "engine", "gateway", "tools")


def source_key() -> str:
    """Hash of everything that decides what the compiler makes, as 16 hex digits."""
    digest = hashlib.sha256()
    for fact in (numba.__version__, llvmlite.__version__, platform.python_version(), str(CHECKED)):
        digest.update(fact.encode() + b"\0")
    root = Path(__file__).resolve().parent.parent
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            source = path.read_bytes()
            if package in _KEYED_PACKAGES or b"from ipc.jit import" in source:
                digest.update(str(path.relative_to(root)).encode() + b"\0" + source)
    return digest.hexdigest()[:16]


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


def _select_cache() -> Path:
    base = _cache_base()
    chosen = base / source_key()
    chosen.mkdir(parents=True, exist_ok=True)
    os.utime(chosen)
    folders = [path for path in base.iterdir() if path.is_dir()]
    folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for outdated in folders[CACHES_KEPT_MAX:]:
        shutil.rmtree(outdated, ignore_errors=True)
    numba.config.CACHE_DIR = str(chosen)
    return chosen


CACHE_FOLDER: Final[Path | None] = None if INTERPRETED else _select_cache()
"""Where compiled code of exactly these sources is kept; None when interpreted."""


def kernel(function: F) -> F:
    """Compile `function` on first call, keep it on disk, release the GIL while it runs.

    Arguments are int64 or records (`ipc.record`). Integer overflow wraps silently in compiled
    code: bound every operand. Expected outcomes are return values; `assert` states bugs.
    """
    if INTERPRETED:
        return function
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast(F, compiled)


def inlined(function: F) -> F:
    """Compile `function` into each of its callers. For hot helpers; rare paths are kernels."""
    if INTERPRETED:
        return function
    compiled = numba.njit(forceinline=True, nogil=True, error_model="numpy")(function)
    return cast(F, compiled)
