"""Numbers as people read them: durations, counts and sizes with a unit that fits.

For terminals only; what scripts read stays in its own unit under its own name.
"""

from typing import Final

_SECOND_NS: Final = 1_000_000_000
_DURATIONS: Final = ((_SECOND_NS, "s"), (1_000_000, "ms"), (1_000, "us"))
_COUNTS: Final = ((1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k"))
_SIZES: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))

NONE: Final = "-"
"""What stands for a value that is not there."""


def duration(ns: int | None) -> str:
    """Nanoseconds with three digits that count: 740 ns, 12.1 us, 3.40 ms, 2.00 s."""
    if ns is None:
        return NONE
    for unit_ns, unit in _DURATIONS:
        if ns >= unit_ns:
            value = ns / unit_ns
            digits = 2 if value < 10 else 1 if value < 100 else 0
            return f"{value:.{digits}f} {unit}"
    return f"{ns} ns"


def count(number: float) -> str:
    """Up to four digits as they are, then 12.3 k, 4.56 M."""
    for unit, letter in _COUNTS:
        if number >= unit:
            value = number / (1_000 if letter == "k" else unit)
            digits = 2 if value < 10 else 1 if value < 100 else 0
            return f"{value:.{digits}f} {letter}"
    return f"{number:.0f}"


def size(octets: int) -> str:
    """Bytes in binary units: 312 MiB, 1.50 GiB."""
    for unit_bytes, unit in _SIZES:
        if octets >= unit_bytes:
            value = octets / unit_bytes
            digits = 2 if value < 10 else 1 if value < 100 else 0
            return f"{value:.{digits}f} {unit}"
    return f"{octets} B"


def elapsed(seconds: float) -> str:
    """Hours, minutes and seconds: 0:00:07, 26:03:11."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
