"""What a check says, and the machine it looks at."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    found: str
    wanted: str
    severity: str
    "OK, WARN (works, but slower or less steadily) or FAIL (okimi cannot work)."
    remedy: str
    "What to do; empty when OK."

    def __post_init__(self) -> None:
        assert self.severity in (OK, WARN, FAIL), self.severity
        assert (self.remedy == "") == (self.severity == OK), f"{self.name}: remedy and severity"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a check looks for: a name, the wish in words, how bad it is otherwise, what to do."""

    name: str
    wanted: str
    otherwise: str
    remedy: str

    def judge(self, passed: bool, found: str) -> Check:
        """The check, once it is known whether it holds."""
        if passed:
            return Check(self.name, found, self.wanted, OK, "")
        return Check(self.name, found, self.wanted, self.otherwise, self.remedy)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where checks look. `root` holds `proc` and `sys`; tests put files of their own there."""

    cores: tuple[int, ...]
    "Cores that this process may use."
    hot_cores: tuple[int, ...]
    "Those that stages have to themselves."
    root: Path = Path("/")

    def text(self, path: str) -> str | None:
        """Content of a file below the root, stripped; None when it cannot be read."""
        try:
            return (self.root / path.lstrip("/")).read_text(errors="replace").strip()
        except OSError:
            return None


def chosen(text: str) -> str:
    """The value in brackets of a kernel setting like `always [madvise] never`; all if none is."""
    match = re.search(r"\[(.+?)\]", text)
    return match.group(1) if match else text


def parse_cores(text: str, last: int) -> set[int]:
    """The cores of a kernel list like `1-3,6` or `all` or `2-N`, where N is `last`.

    ValueError for what is no such list.
    """
    found: set[int] = set()
    for part in filter(None, text.strip().replace("N", str(last)).split(",")):
        if part in ("all", "(null)"):
            found |= set(range(last + 1)) if part == "all" else set()
            continue
        first, _, end = part.partition("-")
        found |= set(range(int(first), int(end or first) + 1))
    return found


def name_cores(cores: set[int] | tuple[int, ...]) -> str:
    """Cores as the kernel writes them: 1-3,6."""
    ranges: list[list[int]] = []
    for core in sorted(cores):
        if ranges and core == ranges[-1][1] + 1:
            ranges[-1][1] = core
        else:
            ranges.append([core, core])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
