"""The auction that opens a recorded session: what the book demands and what the exchange did.

`tools.replay.session` writes an `Auction` down, `tools.replay.uncross` judges the engine by it.
The crossing is computed from the book alone, in the plainest way and not in the engine's: the k-th
best lot of the buyers meets the k-th best lot of the sellers as long as it pays for it. How many
meet is the volume, and every price between those of the last two that meet trades as much.

The exchange's own auction also has implied orders (from the books of spreads), which no message
tells: it may trade more, at another of these prices or beyond them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from engine.messages import Side
from tools.replay.queues import Fill, Levels, Queues


class Match(NamedTuple):
    """A trade of an uncross, by the exchange's order ids."""

    buyer: int
    seller: int
    lots: int


@dataclass(frozen=True)
class Crossing:
    """What a book trades when all of it meets at one price."""

    matches: tuple[Match, ...]
    "In the order of both queues."
    tie_ticks: tuple[int, int] | None
    "Lowest and highest price at which that much trades; None when nothing does."
    levels: Levels
    "The book before."

    @property
    def volume(self) -> int:
        """Lots that trade."""
        return sum(match.lots for match in self.matches)

    def fills(self) -> Iterator[Fill]:
        """What each order gives, match by match, buyers and sellers alike."""
        for match in self.matches:
            yield Fill(match.buyer, match.lots)
            yield Fill(match.seller, match.lots)

    def surplus_lots(self, price_ticks: int) -> int:
        """Lots of buyers at this price or better, minus lots of such sellers."""
        surplus = 0
        for (side, at), lots in self.levels.items():
            if side == Side.BUY and at >= price_ticks:
                surplus += lots
            elif side == Side.SELL and at <= price_ticks:
                surplus -= lots
        return surplus

    def least_surplus_lots(self) -> int:
        """The smallest surplus, of either side, among the prices of the tie."""
        assert self.tie_ticks is not None, "nothing crosses"
        low, high = self.tie_ticks
        # It only changes above a bid and at an ask.
        steps = {at + (side == Side.BUY) for side, at in self.levels}
        return min(abs(self.surplus_lots(at)) for at in {low, *steps} if low <= at <= high)


class Difference(NamedTuple):
    """An order that the exchange's auction left otherwise than our uncross."""

    side: int
    order_id: int
    ours_lots: int
    "Open after our uncross."
    theirs_lots: int
    "Open after the exchange's auction."


@dataclass(frozen=True)
class Auction:
    """One auction: the exchange's, and the commands that stand for it."""

    exchange_price_ticks: int
    exchange_volume: int
    implied_lots: tuple[int, int]
    "Of buyers and of sellers: what the exchange traded beyond the orders of this book."
    crossing: Crossing
    differences: tuple[Difference, ...]
    levels: Levels
    "The exchange's book after the auction."
    opening: int
    "Index of the command that begins the auction."
    uncross: int
    "Index of the command that ends it."
    session: int
    "Index of the first command after those that make up for the differences."

    def differing_lots(self, *sides: int) -> int:
        """How many lots on these sides were open after one of the two auctions only."""
        return sum(
            abs(order.ours_lots - order.theirs_lots)
            for order in self.differences
            if order.side in sides
        )


def cross(queues: Queues) -> Crossing:
    """Who meets whom when a book that may be crossed is uncrossed."""
    waiting: tuple[list[tuple[int, int, int]], ...] = ([], [])
    for at, queue in queues.queues():
        waiting[at.side].extend((at.price_ticks, *order) for order in queue.items())
    bids, asks = iter(waiting[Side.BUY]), iter(waiting[Side.SELL])
    nobody = (0, 0, 0)
    bid, buyer, bid_lots = next(bids, nobody)
    ask, seller, ask_lots = next(asks, nobody)
    matches, tie = [], None
    while bid_lots and ask_lots and bid >= ask:
        lots = min(bid_lots, ask_lots)
        matches.append(Match(buyer, seller, lots))
        tie = (ask, bid)
        bid_lots -= lots
        ask_lots -= lots
        if bid_lots == 0:
            bid, buyer, bid_lots = next(bids, nobody)
        if ask_lots == 0:
            ask, seller, ask_lots = next(asks, nobody)
    return Crossing(tuple(matches), tie, queues.levels())
