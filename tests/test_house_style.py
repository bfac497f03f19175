"""The house rules that a machine can check; each rule is shown to catch what it forbids."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("ipc", "engine", "gateway", "tools")
FOLDERS = (*PACKAGES, "benchmarks", "tests", "docs", "systemd", ".ci")

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 6
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}

COMPILER_FILES = {"ipc/reference.py", "ipc/intrinsics.py", "ipc/distant.py"}
"""The files that may use LLVM."""

JIT_FILE, JIT_IMPORTS = "ipc/jit.py", {"numba", "llvmlite"}
"""The file of the decorators: the top modules only (njit, versions), nothing inside of them."""

KERNEL_SOURCES = {"ipc", "engine", "numpy", *sys.stdlib_module_names}
"""Where names used by kernels may come from: the compiler's cache is keyed by these."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def text_files() -> Iterator[tuple[Path, str]]:
    """Every file of the project that is text, whether it is under version control yet or not."""
    candidates = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in FOLDERS:
        candidates += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in sorted(candidates):
        if "__pycache__" not in path.parts and path.name != ".coverage":
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # compressed data


# --- the rules: each takes a file's path from the root and its source, and yields violations ----

Rule = Callable[[str, str], Iterator[str]]


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def long_files(name: str, source: str) -> Iterator[str]:
    lines = len(source.splitlines())
    if lines > FILE_LINES_MAX:
        yield f"{name}: {lines} lines, at most {FILE_LINES_MAX}"


def vague_names(name: str, source: str) -> Iterator[str]:
    if Path(name).stem in VAGUE_NAMES:
        yield f"{name}: is named after no concept"


def long_functions(name: str, source: str) -> Iterator[str]:
    for function in functions(ast.parse(source)):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield (
                f"{name}:{function.lineno} {function.name}: {lines} lines, "
                f"at most {FUNCTION_LINES_MAX}"
            )


def many_parameters(name: str, source: str) -> Iterator[str]:
    for function in functions(ast.parse(source)):
        given = function.args
        names = [arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        count = len([each for each in names if each not in ("self", "cls", "mcs")])
        if count > PARAMETERS_MAX:
            yield (
                f"{name}:{function.lineno} {function.name}: {count} parameters, "
                f"at most {PARAMETERS_MAX}"
            )


def missing_docstrings(name: str, source: str) -> Iterator[str]:
    def visit(node: ast.Module | ast.ClassDef, where: str) -> Iterator[str]:
        if len((ast.get_docstring(node) or "").split()) < 2:
            yield f"{where}: no docstring that says anything"
        for child in node.body:
            if not isinstance(child, ast.ClassDef | Function) or child.name.startswith("_"):
                continue  # private or special: their class or module says what they are for
            inner = f"{name}:{child.lineno} {child.name}"
            if isinstance(child, ast.ClassDef):
                yield from visit(child, inner)
            elif not decorated(child, "overload", "setter") and not ast.get_docstring(child):
                yield f"{inner}: no docstring"

    yield from visit(ast.parse(source), name)


def decorated(function: Function, *names: str) -> bool:
    """Whether one of the decorators, called or not, has one of these names."""
    for decorator in function.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        last = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
        if last in names:
            return True
    return False


def imports(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """(line, module, name it is bound to) of each import; a relative one begins with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, alias.asname or alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                yield node.lineno, module, alias.asname or alias.name


def stray_compilers(name: str, source: str) -> Iterator[str]:
    for line, module, _ in imports(ast.parse(source)):
        if module.split(".")[0] not in JIT_IMPORTS:
            continue
        if name in COMPILER_FILES or (name == JIT_FILE and module in JIT_IMPORTS):
            continue
        yield f"{name}:{line} imports {module}: compiled code is made with ipc.jit only"


def is_keyed(module: str) -> bool:
    """Whether a change in a module gives the compiler's cache another key."""
    if module.split(".")[0] in KERNEL_SOURCES:
        return True
    path = ROOT / (module.replace(".", "/") + ".py")
    is_ours = module.split(".")[0] in PACKAGES and path.exists()
    return is_ours and "from ipc.jit import" in path.read_text(encoding="utf-8")


def uncached_names(name: str, source: str) -> Iterator[str]:
    """Names that a kernel reaches, directly or through its own file, from an unkeyed module."""
    tree = ast.parse(source)
    origins = {bound: module for _, module, bound in imports(tree)}
    reaches = {
        defined: {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
        for statement in tree.body
        for defined in defined_names(statement)
    }
    for function in functions(tree):
        if not decorated(function, "kernel", "inlined"):
            continue
        seen: set[str] = set()
        waiting = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        while waiting:
            used = waiting.pop()
            seen.add(used)
            waiting |= reaches.get(used, set()) - seen
        for used in sorted(seen & origins.keys()):
            if not is_keyed(origins[used]):
                yield (
                    f"{name}:{function.lineno} {function.name} uses {used} of {origins[used]}: "
                    "the compiler's cache would not notice a change there"
                )


def defined_names(statement: ast.stmt) -> list[str]:
    """Names that a statement of a module binds."""
    if isinstance(statement, ast.ClassDef | Function):
        return [statement.name]
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        return [
            node.id
            for node in ast.walk(statement)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ]
    return []


def local_paths(name: str, source: str) -> Iterator[str]:
    """Folders that exist on one machine only."""
    for number, line in enumerate(source.splitlines(), start=1):
        if re.search(r"(?<![\w.])/(work|root|home/\w+)/", line):
            yield f"{name}:{number} names a folder of one machine: {line.strip()[:60]}"


# --- the project keeps them --------------------------------------------------------------------


def violations(rule: Rule, files: list[Path]) -> list[str]:
    return [
        violation
        for path in files
        for violation in rule(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("rule", [long_files, vague_names, long_functions, uncached_names])
def test_all_python_files_keep(rule: Rule) -> None:
    found = violations(rule, python_files(*PACKAGES, "benchmarks", "tests"))
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("rule", [many_parameters, missing_docstrings, stray_compilers])
def test_the_packages_keep(rule: Rule) -> None:
    files = python_files(*PACKAGES)
    assert {path.relative_to(ROOT).parts[0] for path in files} == set(PACKAGES)
    found = violations(rule, files)
    assert not found, "\n" + "\n".join(found)


def test_no_text_names_a_folder_of_one_machine() -> None:
    files = list(text_files())
    assert ROOT / "pyproject.toml" in dict(files)
    names = [(path.relative_to(ROOT).as_posix(), source) for path, source in files]
    found = [violation for name, source in names for violation in local_paths(name, source)]
    assert not found, "\n" + "\n".join(found)


# --- the rules catch what they forbid ----------------------------------------------------------

KERNEL = "@kernel\ndef sweep(book: Book) -> int:\n    return book.size + {name}\n"


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (long_files, "ipc/a.py", "x = 1\n" * 401),
        (vague_names, "engine/utils.py", ""),
        (long_functions, "ipc/a.py", "def f():\n" + "    x = 1\n" * 70),
        (many_parameters, "ipc/a.py", "def f(self, a, b, /, c, d, *, e, f, g): ..."),
        (missing_docstrings, "ipc/a.py", ""),
        (missing_docstrings, "ipc/a.py", '"""."""'),
        (missing_docstrings, "ipc/a.py", '"""A module."""\ndef f(): ...'),
        (missing_docstrings, "ipc/a.py", '"""A module."""\nclass C: ...'),
        (
            missing_docstrings,
            "ipc/a.py",
            '"""A b."""\nclass C:\n    """A c."""\n    def f(self): ...',
        ),
        (stray_compilers, "engine/book.py", "import numba"),
        (stray_compilers, "engine/book.py", "def f():\n    from numba.core import types"),
        (stray_compilers, "tools/cli.py", "import llvmlite.binding as llvm"),
        (stray_compilers, "ipc/jit.py", "from llvmlite import ir\nimport numba.extending"),
        (uncached_names, "tools/a.py", "from tools.b import LIMIT\n" + KERNEL.format(name="LIMIT")),
        (uncached_names, "tests/a.py", "from .b import LIMIT\n" + KERNEL.format(name="LIMIT")),
        (
            uncached_names,
            "gateway/a.py",
            "import gateway.b as b\nLIMIT = b.SLOTS * 2\n" + KERNEL.format(name="LIMIT"),
        ),
        (local_paths, "README.md", "see " + "/".join(["", "work", "main"])),
    ],
)
def test_a_rule_catches(rule: Rule, name: str, source: str) -> None:
    assert list(rule(name, source))


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (long_files, "ipc/a.py", "x = 1\n" * 400),
        (long_functions, "ipc/a.py", "def f():\n" + "    x = 1\n" * 69),
        (many_parameters, "ipc/a.py", "class C:\n    def f(self, a, b, c, d, e, f): ..."),
        (missing_docstrings, "ipc/a.py", '"""A module."""\ndef _f(): ...\nclass _C: ...'),
        (stray_compilers, "ipc/intrinsics.py", "from numba.core import types"),
        (stray_compilers, "ipc/jit.py", "import numba"),
        (uncached_names, "tools/a.py", "from tools.b import SHOWN\n" + KERNEL.format(name="1")),
        (
            uncached_names,
            "tools/a.py",
            "from engine.limits import LOTS_MAX\n" + KERNEL.format(name="LOTS_MAX"),
        ),
        (local_paths, "README.md", "docs/work/a, ./work/b"),
    ],
)
def test_a_rule_lets_pass(rule: Rule, name: str, source: str) -> None:
    assert not list(rule(name, source))
