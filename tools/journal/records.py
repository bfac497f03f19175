"""The decisions of a frame as rows that NumPy and people can read, and which of them are wanted."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from engine.durability.packing import unpack
from engine.durability.reader import Frame
from engine.messages import (
    CommandKind,
    Decision,
    Listing,
    RejectReason,
    Scope,
    slot_dtype,
)
from ipc.record import Codec
from tools.journal.errors import JournalToolError
from tools.journal.names import Names

SLOTS: Final = slot_dtype(Decision)
"""A decision with room for its terms, which are zero where it has none."""

_CODEC: Final = Codec(Decision)

OF_NO_INSTRUMENT: Final = (
    CommandKind.TICK,
    CommandKind.WATERMARK,
    CommandKind.FUNDS,
    CommandKind.RULE,
    CommandKind.BARRIER,
    CommandKind.SKIP,
)
"""Commands whose `instrument` is none, or may be an asset."""

OF_ACCOUNT: Final = (
    CommandKind.NEW,
    CommandKind.CANCEL,
    CommandKind.AMEND,
    CommandKind.MASS_CANCEL,
    CommandKind.CHECK,
    CommandKind.FUNDS,
)
"""Commands whose `account` is one; of a RULE only in the scope ACCOUNT."""


def slots_of(frame: Frame) -> Any:
    """The decisions of a frame as an array of SLOTS, copied."""
    return unpack(frame.payload, frame.last_dseq - frame.first_dseq + 1, SLOTS)


def decode(rows: Any) -> list[Any]:
    """Rows as named tuples."""
    return _CODEC.decode_many(rows.tobytes())


def is_in(rows: Any, kinds: Any) -> Any:
    """Which rows are of one of some kinds."""
    return np.isin(rows["kind"], [int(kind) for kind in kinds])


def learn(rows: Any, names: Names) -> None:
    """Let `names` take notice of the instruments that these decisions list."""
    told = (rows["kind"] == CommandKind.INSTRUMENT) & (rows["reason"] == RejectReason.NONE)
    for decision in decode(rows[told]):
        names.learn(decision)


def lists(rows: Any) -> Any:
    """Rows that list an instrument, whose names change there."""
    return (rows["kind"] == CommandKind.INSTRUMENT) & (rows["order_id"] == Listing.LIST)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which decisions are wanted; what is empty asks for all."""

    first: int = 0
    "dseq."
    last: int | None = None
    "dseq; None: to the end."
    kinds: frozenset[int] = frozenset()
    accounts: frozenset[int] = frozenset()
    symbols: tuple[str, ...] = field(default=())

    def chosen(self, rows: Any, names: Names) -> Any:
        """The rows that are wanted, as an array of truths."""
        wanted = rows["sequence"] >= self.first
        if self.last is not None:
            wanted &= rows["sequence"] <= self.last
        if self.kinds:
            wanted &= is_in(rows, self.kinds)
        if self.accounts:
            wanted &= self._of_accounts(rows)
        if self.symbols:
            numbers = {each for symbol in self.symbols for each in names.numbers(symbol)}
            about = np.isin(rows["instrument"], sorted(numbers))
            wanted &= about & ~is_in(rows, OF_NO_INSTRUMENT)
        return wanted

    def _of_accounts(self, rows: Any) -> Any:
        accounts = sorted(self.accounts)
        named = is_in(rows, OF_ACCOUNT)
        rule = (rows["kind"] == CommandKind.RULE) & (rows["order_type"] == Scope.ACCOUNT)
        own = np.isin(rows["account"], accounts) & (named | rule)
        received = (rows["kind"] == CommandKind.FUNDS) & np.isin(rows["price_ticks"], accounts)
        return own | received

    def check_symbols(self, names: Names) -> None:
        """JournalToolError for a symbol that was never listed; call it at the end."""
        for symbol in self.symbols:
            if not names.numbers(symbol):
                known = ", ".join(names.symbols()) or "none; name instruments by number: #0"
                raise JournalToolError(f"there is no instrument {symbol!r}; there are {known}")


def kinds_named(words: tuple[str, ...]) -> frozenset[int]:
    """Kinds of commands by their names. JournalToolError for one that there is none of."""
    by_name = {kind.name.lower(): int(kind) for kind in CommandKind}
    for word in words:
        if word.lower() not in by_name:
            there = ", ".join(by_name)
            raise JournalToolError(f"there is no kind of command {word!r}; there are {there}")
    return frozenset(by_name[word.lower()] for word in words)
