"""Books of single orders as a reader of events can rebuild them: who rests where, in what order."""

from dataclasses import dataclass
from typing import Any

from engine.messages import EventFlag, Instruction, OrderType, Side

Top = tuple[int, int, int, int]
"""Bid, 1 if there is one, ask, 1 if there is one."""

NO_TOP: Top = (0, 0, 0, 0)


@dataclass
class Life:
    """One order from ACCEPTED to its end, as the events tell it."""

    account: int
    instrument: int
    side: int
    price_ticks: int
    "The worst price that it may have."
    total_lots: int
    open_lots: int
    market: bool = False
    has_terms: bool = False
    hidden: bool = False
    pegged: bool = False
    display_lots: int = 0
    amended: bool = False
    "Its display may have changed, which no event says: what it rests with tells."
    loose: bool = False
    "Amended so that it either kept its place or lost it: what comes next tells."
    rest_ticks: int | None = None
    part_lots: int = 0
    ended: bool = False

    @property
    def resting(self) -> bool:
        """Whether it is in the book."""
        return self.rest_ticks is not None

    @property
    def shown_lots(self) -> int:
        """What it adds to the total of its level."""
        return 0 if self.hidden else self.part_lots

    def next_part(self) -> int:
        """What it trades at a time from now on."""
        return min(self.display_lots, self.open_lots) if self.display_lots else self.open_lots


def life_of(event: Any) -> Life:
    """The order of an ACCEPTED."""
    life = Life(
        event.account,
        event.instrument,
        event.side,
        event.price_ticks,
        event.qty_lots,
        event.qty_lots,
        event.order_type == OrderType.MARKET,
    )
    if event.flags & EventFlag.TERMS:
        life.has_terms = True
        life.hidden = bool(event.instructions & Instruction.HIDDEN)
        life.pegged = bool(event.peg)
        life.display_lots = event.display_lots
    return life


class Level3:
    """All books: for each instrument and side, price -> order ids in time order."""

    def __init__(self) -> None:
        """Nothing rests."""
        self.lives: dict[int, Life] = {}
        self.queues: dict[tuple[int, int], dict[int, list[int]]] = {}

    def queue(self, instrument: int, side: int, price_ticks: int) -> list[int]:
        """Ids of the orders at a price."""
        return self.queues.get((instrument, side), {}).get(price_ticks, [])

    def best(self, instrument: int, side: int) -> int | None:
        """Best price of a side."""
        prices = self.queues.get((instrument, side), {})
        if not prices:
            return None
        return max(prices) if side == Side.BUY else min(prices)

    def top(self, instrument: int) -> Top:
        """The best prices at which anything is shown."""
        made: list[int] = []
        for side in Side:
            prices = self.queues.get((instrument, side), {})
            shown = [price for price in prices if self.shown_lots(instrument, side, price)]
            best = max if side == Side.BUY else min
            made += [best(shown), 1] if shown else [0, 0]
        bid, has_bid, ask, has_ask = made
        return bid, has_bid, ask, has_ask

    def is_crossed(self, instrument: int) -> bool:
        """Whether bids and asks could trade."""
        bid, ask = (self.best(instrument, side) for side in Side)
        return bid is not None and ask is not None and bid >= ask

    def shown_lots(self, instrument: int, side: int, price_ticks: int) -> int:
        """Sum of what the orders at a price show."""
        queue = self.queue(instrument, side, price_ticks)
        return sum(self.lives[order_id].shown_lots for order_id in queue)

    def open_lots(self, instrument: int, side: int, limit_ticks: int) -> int:
        """Open quantity at a price and all better ones."""
        total = 0
        for price_ticks, queue in self.queues.get((instrument, side), {}).items():
            if price_ticks >= limit_ticks if side == Side.BUY else price_ticks <= limit_ticks:
                total += sum(self.lives[order_id].open_lots for order_id in queue)
        return total

    def enter(self, order_id: int, price_ticks: int) -> None:
        """Put an order at the back of a level."""
        life = self.lives[order_id]
        levels = self.queues.setdefault((life.instrument, life.side), {})
        levels.setdefault(price_ticks, []).append(order_id)
        life.rest_ticks, life.part_lots = price_ticks, life.next_part()

    def leave(self, order_id: int) -> None:
        """Take an order out of its level."""
        life = self.lives[order_id]
        assert life.rest_ticks is not None
        levels = self.queues[life.instrument, life.side]
        levels[life.rest_ticks].remove(order_id)
        if not levels[life.rest_ticks]:
            del levels[life.rest_ticks]
        life.rest_ticks = None

    def fill(self, order_id: int, lots: int) -> None:
        """Take a fill off an order in the book: it leaves, or shows more at the back."""
        life = self.lives[order_id]
        price_ticks = life.rest_ticks
        assert price_ticks is not None
        life.open_lots -= lots
        life.part_lots -= lots
        if life.open_lots == 0:
            self.leave(order_id)
        elif life.part_lots == 0:
            self.leave(order_id)
            self.enter(order_id, price_ticks)
