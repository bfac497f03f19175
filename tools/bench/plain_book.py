"""A price-time book as a Python programmer writes it: dicts, deques and a sorted list of prices.

The reference that `okimi bench book` measures beside the engine. It does the same matching, keeps
every trade, and makes no acknowledgements.
"""

from bisect import bisect_left, insort
from collections import deque

from engine.messages import CommandKind, Side

Message = tuple[int, int, bool, int, int, int]
"""Kind, side, whether the rest of it may rest, order id, price in ticks, quantity in lots."""


class PlainOrder:
    """A resting order; one without lots is dead and waits to be dropped from its queue."""

    __slots__ = ("key", "lots", "order_id", "side")

    def __init__(self, order_id: int, side: int, key: int, lots: int) -> None:
        self.order_id, self.side, self.key, self.lots = order_id, side, key, lots


class PlainLevel:
    """The orders of one price in time order, and how many of them live."""

    __slots__ = ("live", "queue")

    def __init__(self) -> None:
        self.live = 0
        self.queue: deque[PlainOrder] = deque()


class PlainBook:
    """One book. A key is the price of a bid, the negative price of an ask: greater is better."""

    def __init__(self) -> None:
        """Begin empty."""
        self.keys: tuple[list[int], list[int]] = ([], [])
        self.levels: tuple[dict[int, PlainLevel], dict[int, PlainLevel]] = ({}, {})
        self.orders: dict[int, PlainOrder] = {}
        self.trades: list[tuple[int, int, int, int]] = []
        "Price, lots, maker's id, taker's id."

    def play(self, messages: list[Message]) -> None:
        """Execute messages in order."""
        for kind, side, rests, order_id, price, lots in messages:
            if kind == CommandKind.NEW:
                self.new(side, rests, order_id, price, lots)
            elif kind == CommandKind.CANCEL:
                self.cancel(order_id)
            elif self.cancel(order_id):
                self.new(side, True, order_id, price, lots)

    def new(self, side: int, rests: bool, order_id: int, price: int, lots: int) -> None:
        """Trade with the other side, best price first, then rest or end."""
        key = price if side == Side.BUY else -price
        keys, levels = self.keys[1 - side], self.levels[1 - side]
        while lots and keys and keys[-1] >= -key:
            level = levels[keys[-1]]
            while lots and level.live:
                maker = level.queue[0]
                if maker.lots:
                    done = min(lots, maker.lots)
                    lots -= done
                    maker.lots -= done
                    self.trades.append((abs(maker.key), done, maker.order_id, order_id))
                    if maker.lots:
                        break
                    level.live -= 1
                    del self.orders[maker.order_id]
                level.queue.popleft()
            if not level.live:
                del levels[keys.pop()]
        if lots and rests:
            self.rest(PlainOrder(order_id, side, key, lots))

    def rest(self, order: PlainOrder) -> None:
        """Put an order at the back of its price."""
        levels = self.levels[order.side]
        level = levels.get(order.key)
        if level is None:
            level = levels[order.key] = PlainLevel()
            insort(self.keys[order.side], order.key)
        level.live += 1
        level.queue.append(order)
        self.orders[order.order_id] = order

    def cancel(self, order_id: int) -> bool:
        """Take an order out; false when there is none of that id."""
        order = self.orders.pop(order_id, None)
        if order is None:
            return False
        order.lots = 0
        levels = self.levels[order.side]
        level = levels[order.key]
        level.live -= 1
        if not level.live:
            del levels[order.key]
            keys = self.keys[order.side]
            del keys[bisect_left(keys, order.key)]
        return True
