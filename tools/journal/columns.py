"""Columns of an export: numbers as they are, words for numbers, decimals of ticks and lots.

A column is an array of int64, of codes into a list of words, and tells which of its rows have a
value at all. `tools.journal.sinks` writes columns as CSV or Parquet.
"""

from collections.abc import Callable
from enum import Enum, IntEnum
from typing import Any, Final, NamedTuple

import numpy as np

from tools.journal.decisions import flags_of, word
from tools.journal.names import Names, text


class Kind(Enum):
    """What the rows of a column are."""

    NUMBER = "number"
    "An int64."
    TIME = "time"
    "Unix time in nanoseconds."
    WORD = "word"
    "Text."
    DECIMAL = "decimal"
    "A decimal number as text, with all decimals of its instrument or asset."


class Column(NamedTuple):
    """One column of a batch."""

    name: str
    kind: Kind
    values: Any
    "int64; in WORD and DECIMAL columns places in `words`."
    words: list[str] | None = None
    valid: Any = None
    "Which rows have a value; None: all."


Rows = Any
"""A structured array of messages, whole slots."""

Shown = Callable[[int, int], str | None]
"""Decimal text of (instrument or asset, number); None when the step is not known."""


def number(rows: Rows, name: str, valid: Any = None) -> Column:
    """A field as it is."""
    return Column(name, Kind.NUMBER, rows[name].astype(np.int64), None, valid)


def time(rows: Rows, name: str, valid: Any = None) -> Column:
    """A field that is a time; the column's name has no unit."""
    return Column(name.removesuffix("_ns"), Kind.TIME, rows[name].astype(np.int64), None, valid)


def enumerated(rows: Rows, field: str, name: str, kind: type[IntEnum], valid: Any = None) -> Column:
    """A field that is a value of an enumeration, as its word."""
    return _by_value(name, rows[field], lambda value: word(kind, value), valid)


def flagged(rows: Rows, name: str, kind: type[IntEnum], valid: Any = None) -> Column:
    """A field of bits, as the words of those that are set, with a bar between them."""
    return _by_value(name, rows[name], lambda value: "|".join(flags_of(kind, value)), valid)


def symbols(rows: Rows, names: Names, valid: Any = None) -> Column:
    """The symbol of each row's instrument."""
    return _by_value("symbol", rows["instrument"], names.symbol, valid)


def assets(rows: Rows, names: Names, valid: Any) -> Column:
    """The asset of rows whose `instrument` is one."""
    return _by_value("asset", rows["instrument"], names.asset, valid)


def _by_value(name: str, values: Any, shown: Callable[[int], str], valid: Any) -> Column:
    distinct, places = np.unique(values, return_inverse=True)
    words = [shown(value) for value in distinct.tolist()]
    return Column(name, Kind.WORD, places.reshape(len(values)), words, valid)


def texts(rows: Rows, name: str, valid: Any = None) -> Column:
    """A text field; empty ones have no value."""
    raw = rows[name]
    given = raw != b""
    if valid is not None:
        given &= valid
    return Column(name, Kind.WORD, np.arange(len(raw)), [text(each) for each in raw], given)


def decimals(name: str, whose: Any, values: Any, shown: Shown, valid: Any) -> Column:
    """Counts of steps as decimal text; no value where the step is not known."""
    words: list[str] = []
    places = np.zeros(len(values), np.int64)
    known = valid.copy()
    for owner in np.unique(whose[valid]).tolist():
        rows = np.flatnonzero(valid & (whose == owner))
        distinct, found = np.unique(values[rows], return_inverse=True)
        made = [shown(owner, value) for value in distinct.tolist()]
        if None in made:
            known[rows] = False
            continue
        places[rows] = len(words) + found.reshape(len(rows))
        words += [each for each in made if each is not None]
    return Column(name, Kind.DECIMAL, places, words or [""], known)


def steps(rows: Rows, names: Names, name: str, valid: Any) -> list[Column]:
    """A field of ticks or lots: as decimals, and as it is."""
    is_price = name.endswith("_ticks")
    shown = names.price if is_price else names.quantity
    plain = SHOWN_AS.get(name) or name.removesuffix("_ticks").removesuffix("_lots")
    values = rows[name].astype(np.int64)
    whose = rows["instrument"]
    raw = Column(name, Kind.NUMBER, values, None, valid)
    return [decimals(plain, whose, values, shown, valid), raw]


SHOWN_AS: Final = {"qty_lots": "quantity", "trigger_ticks": "trigger_price"}
"""What decimal columns are called, where it is not the field's name without its unit."""
