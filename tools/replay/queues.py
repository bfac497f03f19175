"""Queues: a price-time book of an exchange's own orders, as plainly as it can be written.

A replay keeps one beside the engine it feeds, to know which of an exchange's orders rest where
and what an incoming order should meet. It matches nothing by itself and knows no account; `follow`
makes it what an exchange's messages tell.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.messages import Side
from tools.replay import databento
from tools.replay.databento import Message
from tools.replay.errors import UnsupportedFileError

Levels = dict[tuple[int, int], int]
"""Lots by side and price."""


class Fill(NamedTuple):
    """How much of a resting order was taken."""

    order_id: int
    lots: int


class Resting(NamedTuple):
    """Where an order waits."""

    side: Side
    price_ticks: int


class Queues:
    """Orders by side and price, each price in the order of arrival."""

    def __init__(self) -> None:
        """An empty book."""
        # Keys are mirrored so that the best one is the last of its list on either side.
        self._keys: tuple[list[int], list[int]] = ([], [])
        self._queues: dict[Resting, dict[int, int]] = {}
        self._where: dict[int, Resting] = {}

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._where

    def where(self, order_id: int) -> Resting:
        """Side and price of a resting order; KeyError when it does not rest."""
        return self._where[order_id]

    def lots(self, order_id: int) -> int:
        """Open quantity of a resting order."""
        return self._queues[self._where[order_id]][order_id]

    def add(self, order_id: int, at: Resting, lots: int) -> None:
        """Put a new order at the back of its queue."""
        assert order_id not in self._where, f"order {order_id} rests already"
        assert lots > 0, f"order {order_id} of {lots} lots"
        if at not in self._queues:
            self._queues[at] = {}
            insort(self._keys[at.side], _key(at))
        self._queues[at][order_id] = lots
        self._where[order_id] = at

    def remove(self, order_id: int) -> None:
        """Take an order out."""
        at = self._where.pop(order_id)
        queue = self._queues[at]
        del queue[order_id]
        if not queue:
            del self._queues[at]
            keys = self._keys[at.side]
            del keys[bisect_left(keys, _key(at))]

    def shrink(self, order_id: int, lots: int) -> None:
        """Leave an order fewer lots, where it is; none removes it."""
        queue = self._queues[self._where[order_id]]
        assert 0 <= lots <= queue[order_id], f"order {order_id}: {queue[order_id]} to {lots} lots"
        if lots:
            queue[order_id] = lots
        else:
            self.remove(order_id)

    def queue(self, at: Resting) -> dict[int, int]:
        """A copy of one queue: open lots by order id, first in time first."""
        return dict(self._queues.get(at, {}))

    def queues(self) -> Iterator[tuple[Resting, dict[int, int]]]:
        """All queues, best price first on each side; not to be changed meanwhile."""
        for side in Side:
            for key in reversed(self._keys[side]):
                at = Resting(side, key if side == Side.BUY else -key)
                yield at, self._queues[at]

    def levels(self) -> Levels:
        """The book without its orders."""
        return {at: sum(queue.values()) for at, queue in self.queues()}

    def copy(self) -> "Queues":
        """The same book, to be changed apart from this one."""
        other = Queues()
        other._keys = (self._keys[Side.BUY][:], self._keys[Side.SELL][:])
        other._queues = {at: dict(queue) for at, queue in self._queues.items()}
        other._where = dict(self._where)
        return other

    def meets(self, side: Side, limit_ticks: int, lots: int) -> list[Fill]:
        """What an order of `lots` on `side` would take at this limit or better."""
        fills: list[Fill] = []
        other = Side(1 - side)
        for key in reversed(self._keys[other]):
            price_ticks = key if other == Side.BUY else -key
            if price_ticks > limit_ticks if side == Side.BUY else price_ticks < limit_ticks:
                break
            for order_id, open_lots in self._queues[Resting(other, price_ticks)].items():
                if lots == 0:
                    return fills
                fills.append(Fill(order_id, min(lots, open_lots)))
                lots -= fills[-1].lots
        return fills


def _key(at: Resting) -> int:
    return at.price_ticks if at.side == Side.BUY else -at.price_ticks


def follow(queues: Queues, messages: Iterable[Message]) -> None:
    """Bring a book to what messages say of it: a snapshot, changes, fills, an auction."""
    for message in messages:
        order_id, rests = message.order_id, message.order_id in queues
        if message.action == databento.FILL and rests:
            queues.shrink(order_id, max(0, queues.lots(order_id) - message.lots))
        elif message.action == databento.CANCEL and rests:
            queues.remove(order_id)
        elif message.action in (databento.ADD, databento.MODIFY):
            at = place_of(message)
            if rests and queues.where(order_id) == at and message.lots <= queues.lots(order_id):
                # It only got smaller: it keeps its place.
                queues.shrink(order_id, message.lots)
                continue
            if rests:
                queues.remove(order_id)
            queues.add(order_id, at, message.lots)


def place_of(message: Message) -> Resting:
    """Where the order of a message waits; UnsupportedFileError when it has no side."""
    if message.side is None:
        raise UnsupportedFileError(f"message {message.number}: an order without a side")
    return Resting(message.side, message.price_ticks)
