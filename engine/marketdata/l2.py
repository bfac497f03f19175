"""The book by price (L2), kept from events alone.

The rule is one: an event with LEVEL_BID or LEVEL_ASK sets the level at its level price to
`level_lots`, and 0 removes it. It holds for every kind of event: a TRADE and a PREVENTED have
the maker's level, a BOOKED repeats what is, a TRADE of an uncross has none and a LEVEL follows.
"""

from bisect import bisect_left, insort
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.messages import ChangeEvent, EventFlag, EventKind, Side, slot_dtype

LEVEL_FLAGS: Final = int(EventFlag.LEVEL_BID | EventFlag.LEVEL_ASK)

# Looking up a member of an enum costs more than the rest of `level_of`, once for every event.
_LEVEL_ASK: Final = int(EventFlag.LEVEL_ASK)
_REPLACED: Final = int(EventKind.REPLACED)
_BUY, _SELL = int(Side.BUY), int(Side.SELL)

_SLOT: Final = slot_dtype(ChangeEvent)
"""Layout of every field that a level change may be read from."""

assert EventFlag.LEVEL_ASK == EventFlag.LEVEL_BID << 1, "the side of a level is one bit"


class Level(NamedTuple):
    """One level of one side as an event leaves it."""

    side: int
    price_ticks: int
    lots: int
    "Total shown quantity; 0 when the level is gone."


def level_of(event: Any) -> Level | None:
    """The level that a decoded event (see `engine.messages.EVENT_CODECS`) changed, if any."""
    flags = event.flags
    if not flags & LEVEL_FLAGS:
        return None
    replaced = event.kind == _REPLACED
    price_ticks = event.previous_price_ticks if replaced else event.price_ticks
    return Level(_SELL if flags & _LEVEL_ASK else _BUY, price_ticks, event.level_lots)


class LevelChanges(NamedTuple):
    """Level changes of many events as columns, in the order of the events."""

    rows: list[int]
    "Which of the events they are."
    instruments: list[int]
    sides: list[int]
    prices_ticks: list[int]
    lots: list[int]


def level_changes(slots: npt.NDArray[np.uint8]) -> LevelChanges:
    """All level changes in raw event slots, an array of n x MESSAGE_BYTES bytes."""
    events = slots.view(_SLOT)[:, 0]
    rows = np.flatnonzero(events["flags"] & LEVEL_FLAGS)
    changed = events[rows]
    replaced = changed["kind"] == EventKind.REPLACED
    prices = np.where(replaced, changed["previous_price_ticks"], changed["price_ticks"])
    sides = np.where(changed["flags"] & EventFlag.LEVEL_ASK, Side.SELL, Side.BUY)
    return LevelChanges(
        rows.tolist(),
        changed["instrument"].tolist(),
        sides.tolist(),
        prices.tolist(),
        changed["level_lots"].tolist(),
    )


class L2Book:
    """Totals by price of one instrument, both sides, best prices at hand."""

    __slots__ = ("_keys", "_lots", "sequence")

    def __init__(self) -> None:
        """An empty book that has seen no event."""
        # Bids are kept by price and asks by minus the price: the best key is always the last
        # of its list, where inserting and deleting are cheap and where most changes happen.
        self._keys: tuple[list[int], list[int]] = ([], [])
        self._lots: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.sequence = 0
        "Sequence of the last event that was applied; 0 for none."

    def apply(self, side: int, price_ticks: int, lots: int) -> None:
        """Set one level to `lots`; 0 removes it."""
        assert lots >= 0, f"a level of {lots} lots at {price_ticks}"
        levels, keys = self._lots[side], self._keys[side]
        key = price_ticks if side == _BUY else -price_ticks
        if lots == 0:
            if levels.pop(price_ticks, 0):
                del keys[bisect_left(keys, key)]
            return
        if price_ticks not in levels:
            insort(keys, key)
        levels[price_ticks] = lots

    def apply_event(self, event: Any) -> Level | None:
        """Take over a decoded event of this instrument; returns the level that it changed.

        Events come in the order of their sequence, each once.
        """
        assert event.sequence > self.sequence, f"{event.sequence} after {self.sequence}"
        self.sequence = event.sequence
        level = level_of(event)
        if level is not None:
            self.apply(*level)
        return level

    def best(self, side: int, depth: int) -> list[tuple[int, int]]:
        """The best `depth` levels as (price_ticks, lots), best first; fewer when there are."""
        levels = self._lots[side]
        keys = self._keys[side][: -depth - 1 : -1]
        if side == Side.BUY:
            return [(key, levels[key]) for key in keys]
        return [(-key, levels[-key]) for key in keys]

    def best_price(self, side: int) -> int | None:
        """The best price of one side; None when it is empty."""
        keys = self._keys[side]
        if not keys:
            return None
        return keys[-1] if side == _BUY else -keys[-1]

    def lots(self, side: int, price_ticks: int) -> int:
        """Total at one price; 0 when there is none."""
        return self._lots[side].get(price_ticks, 0)

    def level_count(self, side: int) -> int:
        """How many prices have orders."""
        return len(self._keys[side])
