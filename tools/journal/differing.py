"""`okimi journal diff`: the first decision in which two journals differ, and how.

Two copies of a journal are equal in every byte. Two runs of the same commands are not: clocks, and
how far risk had heard of events, are others. `COMMANDS` compares what was decided and leaves
those out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import numpy as np
from rich.console import Console

from engine.messages import MESSAGE_BYTES, CommandKind, Decision
from tools.journal import records
from tools.journal.decisions import Document, describe
from tools.journal.errors import JournalToolError
from tools.journal.opening import OpenJournal
from tools.journal.progress import Meter


class Compare(Enum):
    """What is compared."""

    EVERYTHING = "everything"
    COMMANDS = "commands"


TIMELY: Final = ("sequence", "stamp_ticks", "time_ns", "ev_wm", "source", "source_sequence")
"""Fields that depend on when and by which way commands came. Watermarks are left out whole."""


@dataclass(slots=True)
class Difference:
    """How two journals compare."""

    compared: int = 0
    "Decisions that are equal, before the first difference."
    left: Document | None = None
    "The first decision that differs; None where that journal has ended, or all is equal."
    right: Document | None = None
    fields: dict[str, list[Any]] | None = None
    "Field -> its two values, where both journals have a decision."

    @property
    def equal(self) -> bool:
        """Whether there is no difference."""
        return self.left is None and self.right is None

    def report(self) -> dict[str, Any]:
        """The fields for --json."""
        return {
            "equal": self.equal,
            "compared": self.compared,
            "left": self.left,
            "right": self.right,
            "fields": self.fields,
        }


def diff(left: OpenJournal, right: OpenJournal, compare: Compare, console: Console) -> Difference:
    """Compare two journals from the first decision that both have."""
    first = max(left.oldest(), right.oldest())
    if compare is Compare.COMMANDS and left.oldest() != right.oldest():
        raise JournalToolError(
            f"commands are compared from the beginning, but {left.path} begins with decision "
            f"{left.oldest()} and {right.path} with {right.oldest()}: restore the older segments"
        )
    found = Difference()
    with Meter(left, console, "comparing") as meter:
        streams = [
            _rows(meter.over(left.frames(first)), first, compare),
            _rows(right.frames(first), first, compare),
        ]
        for one, other in _aligned(streams):
            place = _first_difference(one, other, compare)
            if place is None:
                found.compared += len(one)
                continue
            found.compared += place
            rows = [part[place : place + 1] for part in (one, other)]
            _describe(found, rows, [left, right], compare)
            break
    return found


def _rows(frames: Any, first: int, compare: Compare) -> Iterator[Any]:
    """The decisions of a journal, frame by frame."""
    for frame in frames:
        rows = records.slots_of(frame)
        rows = rows[max(first - frame.first_dseq, 0) :]  # dense; a mask would not copy all bytes
        if compare is Compare.COMMANDS:
            rows = rows[rows["kind"] != CommandKind.WATERMARK]
        yield rows


def _aligned(streams: list[Iterator[Any]]) -> Iterator[list[Any]]:
    """Pieces of both of equal length; at the end one that is empty beside the rest of the other."""
    pending = [np.zeros(0, records.SLOTS) for _ in streams]
    while True:
        for place, stream in enumerate(streams):
            while len(pending[place]) == 0:
                piece = next(stream, None)
                if piece is None:
                    break
                pending[place] = piece
        count = min(map(len, pending))
        if count == 0:
            if any(map(len, pending)):
                yield pending
            return
        yield [piece[:count] for piece in pending]
        pending = [piece[count:] for piece in pending]


def _first_difference(one: Any, other: Any, compare: Compare) -> int | None:
    """The first row that differs; that of index 0 where one of both has ended."""
    if len(one) != len(other):
        return 0
    if compare is Compare.COMMANDS:
        unequal = np.zeros(len(one), np.bool_)
        for name in _names(compare):
            unequal |= one[name] != other[name]
    else:
        raw = [rows.view(np.uint8).reshape(len(rows), MESSAGE_BYTES) for rows in (one, other)]
        unequal = (raw[0] != raw[1]).any(axis=1)
    return int(unequal.argmax()) if unequal.any() else None


def _names(compare: Compare) -> list[str]:
    fields = [name for name in records.SLOTS.names if name in _COMPARED]
    return [name for name in fields if compare is Compare.EVERYTHING or name not in TIMELY]


_COMPARED: Final = frozenset(records.SLOTS.names)
assert set(TIMELY) <= _COMPARED
assert Decision.size == MESSAGE_BYTES


def _describe(
    found: Difference, rows: list[Any], journals: list[OpenJournal], compare: Compare
) -> None:
    """Put the two decisions into `found`, and which of their fields differ."""
    shown: list[Document | None] = [None, None]
    for place, (row, journal) in enumerate(zip(rows, journals, strict=True)):
        if len(row):
            shown[place] = describe(records.decode(row)[0], journal.names())
    found.left, found.right = shown
    if all(map(len, rows)):
        one, other = (records.decode(row)[0]._asdict() for row in rows)
        found.fields = {
            name: [_plain(one[name]), _plain(other[name])]
            for name in _names(compare)
            if one[name] != other[name]
        }


def _plain(value: int | bytes) -> int | str:
    return (
        value.rstrip(b"\0").decode(errors="backslashreplace") if isinstance(value, bytes) else value
    )
