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
from ipc.jit import CACHE_FOLDER

result = step(10)
print(json.dumps({
    "result": result,
    "hits": sum(step.stats.cache_hits.values()),
    "folder": str(CACHE_FOLDER),
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


def test_without_the_key_the_edit_would_be_missed(tiny, run_tiny) -> None:
    # The control: numba by itself goes on with the old code. If this fails, the key can go.
    jit = tiny / "ipc" / "jit.py"
    source = jit.read_text()
    assert source.count('("ipc", "engine")') == 1
    jit.write_text(source.replace('("ipc", "engine")', '("ipc",)'))
    assert run_tiny()["result"] == 31
    rewrite(tiny / "engine" / "constants.py", CONSTANTS.format(factor=2))
    assert run_tiny()["result"] == 31


def test_only_the_newest_cache_folders_are_kept(tmp_path, monkeypatch) -> None:
    base = tmp_path / "okimi"
    for age in range(12):
        folder = base / f"{age:016x}"
        folder.mkdir(parents=True)
        (folder / "code.nbi").write_text("x")
        os.utime(folder, (1_000_000 - age, 1_000_000 - age))
    monkeypatch.setattr(ipc.jit.numba.config, "CACHE_DIR", str(tmp_path))
    chosen = ipc.jit._select_cache()
    assert chosen == base / ipc.jit.source_key()
    kept = {path.name for path in base.iterdir()}
    newest = {f"{age:016x}" for age in range(ipc.jit.CACHES_KEPT_MAX - 1)}
    assert kept == newest | {chosen.name}


def test_the_key_depends_on_file_names_contents_and_mode(tiny, monkeypatch) -> None:
    monkeypatch.setattr(ipc.jit, "__file__", str(tiny / "ipc" / "jit.py"))
    keys = [ipc.jit.source_key()]

    def changed() -> bool:
        keys.append(ipc.jit.source_key())
        return keys[-1] not in keys[:-1]

    assert not changed()
    (tiny / "engine" / "parts.py").rename(tiny / "engine" / "pieces.py")
    assert changed()
    (tiny / "ipc" / "extra.py").write_text("")
    assert changed()
    (tiny / "engine" / "sub").mkdir()
    (tiny / "engine" / "sub" / "deep.py").write_text("X = 1\n")
    assert changed()
    (tiny / "tools").mkdir()
    (tiny / "tools" / "plain.py").write_text("X = 1\n")
    assert not changed()
    (tiny / "tools" / "stand.py").write_text("from ipc.jit import kernel\n")
    assert changed()
    monkeypatch.setattr(ipc.jit, "CHECKED", not ipc.jit.CHECKED)
    assert changed()


def test_decorators_return_the_plain_function_when_interpreted(run_python) -> None:
    script = (
        "from ipc.jit import *\nfrom ipc.jit import CACHE_FOLDER, INTERPRETED, inlined, kernel\n"
        "def f(x): return x\n"
        "assert INTERPRETED and kernel(f) is f and inlined(f) is f and CACHE_FOLDER is None\n"
    )
    run_python(script, NUMBA_DISABLE_JIT="1")
