"""Which source files a module's compiled code depends on: its own, and all that it imports.

Compiled code contains the constants and helpers of other modules. A module's key is a hash of the
sources of everything that it imports, directly or not, from this repository; what the machine code
in the cache was made from has another key as soon as any of that is edited.
"""

import functools
import hashlib
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
"""The folder that holds the packages."""


_STATEMENT: Final = re.compile(
    rb"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|.*)|import[ \t]+(.*))", re.MULTILINE
)
"""An import statement; five times as fast as parsing. Text that looks like one does no harm."""

_NAME: Final = re.compile(rb"(?:^|[(,])[ \t\n]*([\w.]+)")
"""A name that is imported, without what it is called here."""


@functools.cache
def _source(path: Path) -> bytes:
    return path.read_bytes()


@functools.cache
def _digest(path: Path) -> bytes:
    return hashlib.sha256(_source(path)).digest()


@functools.cache
def _files_of(name: str, root: Path) -> tuple[Path, ...]:
    """The files that `import name` runs: the packages on the way, and the module."""
    folder = root
    found: list[Path] = []
    for part in name.split("."):
        module, package = folder / f"{part}.py", folder / part / "__init__.py"
        if module.is_file():
            return (*found, module)
        if not package.is_file():
            break  # a name inside of the module, or nothing of ours
        found.append(package)
        folder = folder / part
    return tuple(found)


@functools.cache
def _imports(path: Path, root: Path) -> frozenset[Path]:
    """Files of ours that a file names in its import statements, wherever they stand."""
    found: set[Path] = set()
    for module, parts, modules in _STATEMENT.findall(_source(path)):
        prefix = module.decode() + "." if module else ""
        for name in _NAME.findall(parts or modules):
            found.update(_files_of(prefix + name.decode(), root))
    return frozenset(found)


def closure(path: Path, root: Path = ROOT) -> list[Path]:
    """The file and everything of ours that it imports, directly or not, sorted.

    All of `ipc` belongs to it: that is where records and intrinsics become machine code.
    """
    found: set[Path] = set()
    waiting = [path, *(root / "ipc").rglob("*.py")]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _imports(file, root)
    return sorted(found)


def source_key(path: Path, facts: str, root: Path = ROOT) -> str:
    """Hash of a file's closure and of `facts` about the compiler, as 16 hex digits."""
    digest = hashlib.sha256(facts.encode() + b"\0")
    for file in closure(path, root):
        name = file.relative_to(root) if file.is_relative_to(root) else file
        digest.update(str(name).encode() + b"\0" + _digest(file))
    return digest.hexdigest()[:16]
