"""Figures of one instrument's day: first, highest, lowest and last price, what was traded.

Kept from TRADE events. A day begins when the instrument goes into PRE_OPEN, or from CLOSED
into CONTINUOUS; what an uncross on the way there traded belongs to it.
"""

from typing import Any

from engine.messages import EventFlag, Phase


class DayStatistics:
    """One instrument since its day began."""

    __slots__ = (
        "_auction_dseq",
        "auction_lots",
        "auction_price_ticks",
        "complete",
        "high_ticks",
        "last_ticks",
        "lots",
        "low_ticks",
        "open_ticks",
        "trades",
        "turnover",
    )

    def __init__(self, complete: bool = True) -> None:
        """Before the first trade. `complete`: no trade since the day began was missed."""
        self.complete = complete
        self.open_ticks = 0
        "Prices are 0 until the first trade; ask `trades`."
        self.high_ticks = 0
        self.low_ticks = 0
        self.last_ticks = 0
        self.lots = 0
        self.turnover = 0
        "Sum of price_ticks * lots."
        self.trades = 0
        self.auction_price_ticks = 0
        "Price of the last uncross."
        self.auction_lots = 0
        "What the last uncross traded; 0 when there was none."
        self._auction_dseq = 0

    @classmethod
    def restored(cls, auction_dseq: int, **figures: int) -> "DayStatistics":
        """A day that goes on after figures that were kept, by their names."""
        day = cls()
        day._auction_dseq = auction_dseq
        for name, value in figures.items():
            setattr(day, name, value)
        return day

    def trade(self, event: Any) -> None:
        """Take over a TRADE."""
        price_ticks, lots = event.price_ticks, event.qty_lots
        if self.trades == 0:
            self.open_ticks = self.high_ticks = self.low_ticks = price_ticks
        elif price_ticks > self.high_ticks:
            self.high_ticks = price_ticks
        elif price_ticks < self.low_ticks:
            self.low_ticks = price_ticks
        self.last_ticks = price_ticks
        self.lots += lots
        self.turnover += price_ticks * lots
        self.trades += 1
        if event.flags & EventFlag.AUCTION:
            if event.dseq != self._auction_dseq:  # an uncross is the work of one command
                self._auction_dseq, self.auction_lots = event.dseq, 0
            self.auction_price_ticks = price_ticks
            self.auction_lots += lots


def begins_day(event: Any) -> bool:
    """Whether a PHASED begins a day."""
    if event.phase == event.previous_phase:
        return False
    from_closed = event.previous_phase == Phase.CLOSED
    return bool(event.phase == Phase.PRE_OPEN or (event.phase == Phase.CONTINUOUS and from_closed))
