"""Rules for the keys of a configuration table, and a reader that finds everything that is wrong.

A frozen dataclass declares one table: each field is `Annotated` with the rule of its key, and a
field with a default is an optional key. `read` checks a table against such a class and notes
each deviation in `Problems`, with the path of the key, what was expected and what was found; the
caller raises one error for all of them. Nothing here knows what the keys mean.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal
from typing import Any, Final, TypeVar, get_type_hints

T = TypeVar("T")

DECIMAL_CHARS_MAX: Final = 40
"""Longest decimal number that is read: 2**63 has 19 digits, a step at most 18 decimals."""

_DECIMAL: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_ADDRESS: Final = re.compile(r"(?P<host>[^\[\]:]+|\[[^\[\]]+\]):(?P<port>[0-9]{1,5})")
_FOUND_CHARS_MAX: Final = 60


@dataclass(frozen=True, slots=True)
class Rule:
    """What a key may hold: `expected` in words, `accepts` as a test."""

    expected: str
    accepts: Callable[[object], bool]


def flag() -> Rule:
    """True or false."""
    return Rule("true or false", lambda value: type(value) is bool)


def whole(least: int, most: int) -> Rule:
    """A whole number in a range that includes both ends."""

    def accepts(value: object) -> bool:
        return type(value) is int and least <= value <= most

    return Rule(f"a whole number from {least} to {most}", accepts)


def power_of_two(least: int, most: int) -> Rule:
    """A power of two in a range that includes both ends."""

    def accepts(value: object) -> bool:
        return type(value) is int and least <= value <= most and value & (value - 1) == 0

    return Rule(f"a power of two from {least} to {most}", accepts)


def choice(*names: str, because: str = "") -> Rule:
    """One of some words; `because` says why there are no others."""
    expected = " or ".join(f'"{name}"' for name in names)
    return Rule(f"{expected} ({because})" if because else expected, lambda value: value in names)


def text(pattern: str, expected: str) -> Rule:
    """Text that matches all of `pattern`; `expected` says the same in words."""
    compiled = re.compile(pattern)

    def accepts(value: object) -> bool:
        return type(value) is str and compiled.fullmatch(value) is not None

    return Rule(expected, accepts)


def plain_decimal(value: object) -> str:
    """A decimal number as digits, sign and point only.

    Takes text and finite Decimals. ValueError for everything else: floats, which are not exact,
    exponents, spaces, NaN, and numbers of more than DECIMAL_CHARS_MAX characters.
    """
    if isinstance(value, Decimal):
        # `adjusted` bounds the text before it is made: Decimal("1e999999") has a million digits.
        if not value.is_finite() or abs(value.adjusted()) > DECIMAL_CHARS_MAX:
            raise ValueError(f"{value} is not a finite decimal number of reasonable size")
        value = format(value, "f")
    if type(value) is not str:
        raise ValueError(f"expected a decimal number as text, found {describe(value)}")
    if len(value) > DECIMAL_CHARS_MAX:
        raise ValueError(f"expected at most {DECIMAL_CHARS_MAX} characters, found {len(value)}")
    if not _DECIMAL.fullmatch(value):
        raise ValueError(f'expected a decimal number such as "0.01", found {describe(value)}')
    return value


def decimal(positive: bool = True) -> Rule:
    """A decimal number as text (a float would not be exact), or a Decimal from a program."""

    def accepts(value: object) -> bool:
        try:
            plain = plain_decimal(value)
        except ValueError:
            return False
        return not positive or Decimal(plain) > 0

    above = " above 0" if positive else ""
    return Rule(f'a decimal number{above} in quotes, such as "0.01"', accepts)


def loopback_address() -> Rule:
    """HOST:PORT on the loopback interface; port 0 means any free one."""

    def accepts(value: object) -> bool:
        try:
            host, port = split_address(value)
        except ValueError:
            return False
        if port > 65535:
            return False
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    return Rule(
        'a loopback "HOST:PORT" such as "127.0.0.1:8080" '
        "(there is no authentication yet, so no other address is served)",
        accepts,
    )


def split_address(value: object) -> tuple[str, int]:
    """Host (an IPv6 one without its brackets) and port of "HOST:PORT"; ValueError if it is not."""
    match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'expected "HOST:PORT", found {describe(value)}')
    return match["host"].strip("[]"), int(match["port"])


def anything() -> Rule:
    """Any value; whoever declares the key checks it."""
    return Rule("a value", lambda value: True)


def table() -> Rule:
    """A table; whoever declares the key checks what is in it."""
    return Rule("a table", lambda value: isinstance(value, Mapping))


def tables(most: int) -> Rule:
    """An array of tables; whoever declares the key checks what is in them."""

    def accepts(value: object) -> bool:
        return isinstance(value, list | tuple) and len(value) <= most

    return Rule(f"an array of at most {most} tables", accepts)


def words(*names: str) -> Rule:
    """An array of at least one of some words."""

    def accepts(value: object) -> bool:
        if not isinstance(value, list | tuple) or not value:
            return False
        return all(isinstance(word, str) and word in names for word in value)

    return Rule("an array of " + ", ".join(f'"{name}"' for name in names), accepts)


def describe(value: object) -> str:
    """A value as an error message shows it: what it is, and what kind of thing that is."""
    if isinstance(value, Mapping):
        return f"a table with {', '.join(map(str, value)) or 'no keys'}"[:_FOUND_CHARS_MAX]
    if isinstance(value, list | tuple):
        return f"an array of {len(value)}"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a whole number of {value.bit_length()} bits"
    shown = f'"{value}"' if isinstance(value, str) else repr(value)
    if len(shown) > _FOUND_CHARS_MAX:
        shown = shown[: _FOUND_CHARS_MAX - 3] + "..."
    return f"{shown} (a float)" if isinstance(value, float) else shown


@dataclass(slots=True)
class Problems:
    """Everything found wrong so far, in the order of finding."""

    found: list[str] = field(default_factory=list)

    def note(self, path: str, expected: str, value: object) -> None:
        """Note a value that is not what was expected."""
        self.found.append(f"{path}: expected {expected}, found {describe(value)}")

    def say(self, path: str, what: str) -> None:
        """Note a problem in words of its own."""
        self.found.append(f"{path}: {what}")


def read(kind: type[T], written: object, path: str, problems: Problems) -> T | None:
    """A `kind` made of the table `written`; None when something is wrong (see `problems`).

    The key of a field is its name, without the underscore at the end that a field needs whose key
    is a word of Python.
    """
    if not isinstance(written, Mapping):
        problems.note(path, "a table", written)
        return None
    before = len(problems.found)
    declared = {key.name.rstrip("_"): key for key in fields(kind)}  # type: ignore[arg-type]
    rules = get_type_hints(kind, include_extras=True)
    for name in written:
        if name not in declared:
            problems.say(f"{path}.{name}", f"unknown key; {path} has {', '.join(declared)}")
    values: dict[str, Any] = {}
    for name, key in declared.items():
        rule: Rule = rules[key.name].__metadata__[0]
        if name not in written:
            if key.default is MISSING and key.default_factory is MISSING:
                problems.say(f"{path}.{name}", f"expected {rule.expected}, found nothing")
        elif rule.accepts(written[name]):
            values[key.name] = written[name]
        else:
            problems.note(f"{path}.{name}", rule.expected, written[name])
    return kind(**values) if len(problems.found) == before else None
