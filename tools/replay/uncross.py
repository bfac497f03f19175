"""The engine's uncross of a recorded auction, judged by what the book demands.

`tools.replay.mbo` hands over the engine's events. What the exchange did otherwise is no fault of
the engine as long as implied orders can explain it; it is counted and shown.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.messages import ChangeEvent, EventKind, Side, slot_dtype
from tools.replay.auction import Auction, Match
from tools.replay.plan import EVENT, shortened

CHANGE: Final = slot_dtype(ChangeEvent)


class EngineTrade(NamedTuple):
    """What the engine says of a trade, by the exchange's order ids."""

    taker: int
    "In an auction: the buyer."
    maker: int
    lots: int
    price_ticks: int
    auction: bool
    "Whether it is said to be part of an uncross."


@dataclass(frozen=True)
class Uncross:
    """What the engine made of an auction."""

    auction: Auction
    trades: list[EngineTrade]
    "Those of the command that ends the auction."
    slots: npt.NDArray[np.uint8]
    "All event slots."

    def report(self) -> dict[str, Any]:
        """The fields for --json: what the engine did, then what the exchange did."""
        auction, trades = self.auction, self.trades
        return {
            "simulated": bool(len(self._answers(auction.uncross, EventKind.PHASED))),
            "price_ticks": trades[0].price_ticks if trades else None,
            "volume": sum(trade.lots for trade in trades),
            "tie_ticks": auction.crossing.tie_ticks,
            "exchange_price_ticks": auction.exchange_price_ticks,
            "exchange_volume": auction.exchange_volume,
            "reconciled_orders": len(auction.differences),
            "reconciled_lots": auction.differing_lots(*Side),
            "reconciling_commands": auction.session - auction.uncross - 1,
        }

    def lines(self) -> list[str]:
        """The same for people."""
        auction, found = self.auction, self.report()
        ours = (
            f"auction: the engine uncrossed {found['volume']} lots at {found['price_ticks']} ticks"
        )
        if auction.crossing.tie_ticks is not None:
            low, high = auction.crossing.tie_ticks
            ours += f"; the book trades {auction.crossing.volume}, the same from {low} to {high}"
        bought, sold = auction.implied_lots
        theirs = (
            f"auction: the exchange traded {auction.exchange_volume} at "
            f"{auction.exchange_price_ticks} ticks, of which implied orders, which are not in this "
            f"book, bought {bought} and sold {sold}"
        )
        if not auction.differences:
            return [ours, theirs, "auction: both left the same book"]
        orders = ", ".join(
            f"{order.order_id} (from {order.ours_lots} to {order.theirs_lots})"
            for order in auction.differences
        )
        return [
            ours,
            theirs,
            f"auction: {found['reconciling_commands']} commands took the engine's book to the "
            f"exchange's before the session: {found['reconciled_lots']} lots of {orders}",
        ]

    def faults(self) -> list[str]:
        """What the engine did otherwise than the book demands, and what nothing explains."""
        return [
            *self._price_faults(),
            *self._match_faults(),
            *self._indicative_faults(),
            *self._difference_faults(),
        ]

    def _answers(self, command: int, kind: EventKind) -> npt.NDArray[np.uint8]:
        """The slots of one kind that answer a command."""
        events = self.slots.view(EVENT)[:, 0]
        wanted = (events["kind"] == kind) & (events["source_sequence"] == command + 1)
        answers: npt.NDArray[np.uint8] = self.slots[wanted]
        return answers

    def _price_faults(self) -> list[str]:
        crossing, prices = self.auction.crossing, {trade.price_ticks for trade in self.trades}
        if crossing.tie_ticks is None or not prices:
            return []
        if len(prices) > 1:
            return [f"auction: trades at {len(prices)} prices; expected one"]
        price_ticks, (low, high) = prices.pop(), crossing.tie_ticks
        if not low <= price_ticks <= high:
            return [f"auction: uncrossed at {price_ticks} ticks; expected {low} to {high}"]
        surplus, least = abs(crossing.surplus_lots(price_ticks)), crossing.least_surplus_lots()
        if surplus != least:
            return [f"auction: {price_ticks} ticks leave {surplus} lots over; expected {least}"]
        return []

    def _match_faults(self) -> list[str]:
        found, expected = [], self.auction.crossing.matches
        if not all(trade.auction for trade in self.trades):
            found.append("auction: a trade of the uncross is not marked as one")
        pairs = zip(self.trades, expected, strict=False)
        for place, (trade, match) in enumerate(pairs, start=1):
            made = Match(trade.taker, trade.maker, trade.lots)
            if made != match:
                found.append(f"auction: trade {place} is {made}; expected {match}")
        if len(self.trades) != len(expected):
            found.append(f"auction: {len(self.trades)} trades; expected {len(expected)}")
        return shortened(found)

    def _indicative_faults(self) -> list[str]:
        """Whether what the engine foretold when the auction began is what happened."""
        told = self._answers(self.auction.opening, EventKind.INDICATIVE).view(CHANGE)[:, 0]
        if len(told) != 1:
            return [f"auction: {len(told)} indicative prices when it begins; expected one"]
        names = ("price_ticks", "qty_lots", "leaves_lots", "side")
        found = tuple(int(told[0][name]) for name in names)
        expected = (0, 0, 0, int(Side.BUY))
        if self.trades:
            price_ticks = self.trades[0].price_ticks
            surplus = self.auction.crossing.surplus_lots(price_ticks)
            side = Side.SELL if surplus < 0 else Side.BUY
            expected = (price_ticks, self.auction.crossing.volume, abs(surplus), int(side))
        if found == expected:
            return []
        return [f"auction: indicative (price, volume, surplus, side) {found}; expected {expected}"]

    def _difference_faults(self) -> list[str]:
        """Implied orders may add or displace no more than their own lots on each side."""
        found, implied = [], sum(self.auction.implied_lots)
        for side in Side:
            lots = self.auction.differing_lots(side)
            if lots > implied:
                found.append(
                    f"auction: {side.name} orders of the exchange differ by {lots} lots from those "
                    f"that our uncross leaves; implied orders explain no more than {implied}"
                )
        return found
