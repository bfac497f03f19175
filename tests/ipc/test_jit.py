"""The compiler's cache: an edit anywhere in the keyed packages is noticed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import ipc.jit

CONSTANTS = "FACTOR = {factor}\n"

PARTS = """
from ipc.jit import inlined

@inlined
def scaled(value: int) -> int:
    return value * {multiplier}
"""

STAGE = """
from engine.constants import FACTOR
from engine.parts import scaled
from ipc.jit import kernel

@kernel
def step(value: int) -> int:
    return scaled(value) + FACTOR
"""

SCRIPT = """
import json
from engine.stage import step
from pathlib import Path
import engine.stage
from ipc.jit import cache_of

result = step(10)
print(json.dumps({
    "result": result,
    "hits": sum(step.stats.cache_hits.values()),
    "folder": str(cache_of(Path(engine.stage.__file__))),
}))
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A copy of ipc beside an engine of three small files."""
    root = tmp_path / "tiny"
    ignore = shutil.ignore_patterns("__pycache__")
    assert ipc.jit.__file__ is not None
    shutil.copytree(Path(ipc.jit.__file__).parent, root / "ipc", ignore=ignore)
    (root / "engine").mkdir()
    (root / "engine" / "__init__.py").write_text("")
    (root / "engine" / "stage.py").write_text(STAGE)
    (root / "engine" / "constants.py").write_text(CONSTANTS.format(factor=1))
    (root / "engine" / "parts.py").write_text(PARTS.format(multiplier=3))
    return root


@pytest.fixture
def run_tiny(run_python: Callable[..., str], tiny: Path, tmp_path: Path) -> Callable[[], dict]:
    def run() -> dict:
        cache = str(tmp_path / "cache")
        output = run_python(SCRIPT, path=tiny, NUMBA_CACHE_DIR=cache, PYTHONDONTWRITEBYTECODE="1")
        return json.loads(output)

    return run


def rewrite(path: Path, text: str) -> None:
    """Edit a file the way that fools caches most: the same size, the same time."""
    before = path.stat()
    path.write_text(text)
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_edited_constant_or_helper_elsewhere_is_noticed(tiny, run_tiny) -> None:
    first, again = run_tiny(), run_tiny()
    assert (first["result"], first["hits"]) == (31, 0)
    assert (again["result"], again["hits"]) == (31, 1)  # it does come from the disk
    rewrite(tiny / "engine" / "constants.py", CONSTANTS.format(factor=2))
    assert run_tiny()["result"] == 32
    rewrite(tiny / "engine" / "parts.py", PARTS.format(multiplier=5))
    changed = run_tiny()
    assert (changed["result"], changed["hits"]) == (52, 0)
    assert changed["folder"] != first["folder"]


def test_without_the_imports_in_the_key_the_edit_would_be_missed(tiny, run_tiny) -> None:
    # The control: numba by itself goes on with the old code. If this fails, the key can go.
    sources = tiny / "ipc" / "sources.py"
    source = sources.read_text()
    assert source.count("waiting += _imports(file, root)") == 1
    sources.write_text(source.replace("waiting += _imports(file, root)", "pass"))
    assert run_tiny()["result"] == 31
    rewrite(tiny / "engine" / "constants.py", CONSTANTS.format(factor=2))
    assert run_tiny()["result"] == 31


def test_the_folders_used_longest_ago_are_dropped(tmp_path, monkeypatch) -> None:
    base = tmp_path / "okimi"
    count = ipc.jit.CACHES_KEPT_MAX + 3
    for age in range(count):
        folder = base / f"{age:016x}"
        folder.mkdir(parents=True)
        (folder / "code.nbi").write_text("x")
        os.utime(folder, (10_000_000 - age, 10_000_000 - age))
    ipc.jit._drop_outdated(base)
    kept = ipc.jit.CACHES_KEPT_MAX - ipc.jit.CACHES_KEPT_MAX // 8
    assert {path.name for path in base.iterdir()} == {f"{age:016x}" for age in range(kept)}
    ipc.jit._drop_outdated(base)  # there is room now
    assert len(list(base.iterdir())) == kept


def test_the_key_depends_on_all_that_is_imported_and_on_nothing_else(tiny, run_python) -> None:
    script = (
        "from pathlib import Path; from ipc.sources import source_key; import sys; "
        "print(source_key(Path(sys.path[0]) / 'engine/stage.py', 'facts'))"
    )
    script = script.replace("sys.path[0]", repr(str(tiny)))
    keys = [run_python(script, path=tiny)]

    def changed() -> bool:
        keys.append(run_python(script, path=tiny))
        return keys[-1] not in keys[:-1]

    assert not changed()
    (tiny / "engine" / "other.py").write_text("X = 1\n")  # nobody imports it
    assert not changed()
    (tiny / "engine" / "parts.py").write_text("from engine.other import X\n" + PARTS)
    assert changed()
    (tiny / "engine" / "other.py").write_text("import engine.sub.deep\n")
    assert changed()
    (tiny / "engine" / "sub").mkdir()
    (tiny / "engine" / "sub" / "__init__.py").write_text("")
    assert changed()
    (tiny / "engine" / "sub" / "deep.py").write_text("def late():\n    from engine import last\n")
    assert changed()
    (tiny / "engine" / "last.py").write_text("X = 1\n")
    assert changed()
    (tiny / "ipc" / "extra.py").write_text("")
    assert changed()


def test_decorators_return_the_plain_function_when_interpreted(run_python) -> None:
    script = (
        "from ipc.jit import *\nfrom ipc.jit import CACHE_FOLDER, INTERPRETED, inlined, kernel\n"
        "def f(x): return x\n"
        "assert INTERPRETED and kernel(f) is f and inlined(f) is f and CACHE_FOLDER is None\n"
    )
    run_python(script, NUMBA_DISABLE_JIT="1")
