"""All that is public of one instrument: books, phase, last trade, indicative price, statistics.

A `Market` changes command by command: it gets all events of a command at once, so that nobody
ever sees a book between them. Its owner is a `Follower`.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from engine.marketdata.l2 import L2Book, Level, level_of
from engine.marketdata.l3 import L3Book, OrderChange
from engine.marketdata.statistics import DayStatistics, begins_day
from engine.messages import EventFlag, EventKind, Listing, Side

# Members of enums as plain numbers: they are looked up for every event of the venue.
AUCTION: Final = int(EventFlag.AUCTION)
TRADE, PHASED, INDICATIVE = map(int, (EventKind.TRADE, EventKind.PHASED, EventKind.INDICATIVE))
INSTRUMENT: Final = int(EventKind.INSTRUMENT)
BUY, SELL = int(Side.BUY), int(Side.SELL)

PHASE_UNKNOWN: Final = 0
"""`phase` of a market whose reader has not heard of one yet."""


class Trade(NamedTuple):
    """One trade as everybody sees it."""

    match_id: int
    price_ticks: int
    lots: int
    side: int | None
    "Of the aggressor; None in an uncross, which has none."
    sequence: int
    time_ns: int


class Indicative(NamedTuple):
    """What an auction would do now."""

    price_ticks: int
    lots: int
    "What would trade; 0 when nothing would, and the price means nothing."
    surplus_lots: int
    "What one side has more than the other at that price."
    surplus_side: int


NOTHING_INDICATED: Final = Indicative(0, 0, 0, Side.BUY)


class MarketChange:
    """What one command did to one instrument."""

    __slots__ = (
        "indicated",
        "l2_previous",
        "l3_previous",
        "levels",
        "loaded",
        "market",
        "orders",
        "phased",
        "sequence",
        "ticker",
        "trades",
    )

    def __init__(self, market: "Market", sequence: int) -> None:
        """Nothing yet."""
        self.market = market
        "As it is after the command."
        self.sequence = sequence
        "Of the command's last event; of the books, too, from now on, if they changed."
        self.levels: list[Level] = []
        "Levels that show another total than before the command."
        self.l2_previous = 0
        "Sequence of the book by price before."
        self.orders: list[OrderChange] = []
        "Changes of single orders, in order."
        self.l3_previous = 0
        self.trades: list[Trade] = []
        self.ticker = False
        "Whether a best price, its total, the last trade or the phase may be another."
        self.phased = False
        "Whether the phase, or the time at which it ends, was said."
        self.indicated = False
        "Whether the indicative price was said."
        self.loaded = False
        "The books begin anew: a snapshot has come, or the instrument was listed. No changes."

    @property
    def instrument(self) -> int:
        """Number of the instrument."""
        return self.market.number

    @property
    def is_empty(self) -> bool:
        """Whether nothing that is public changed."""
        changed = self.levels or self.orders or self.trades
        return not (changed or self.phased or self.indicated or self.loaded)


class Market:
    """One instrument."""

    __slots__ = (
        "indicative",
        "known",
        "l2",
        "l3",
        "last",
        "number",
        "phase",
        "phase_ends_ns",
        "sequence",
        "statistics",
    )

    def __init__(self, number: int, known: bool, phase: int = PHASE_UNKNOWN) -> None:
        """`known`: the books are empty now; else they are unknown until a snapshot has come."""
        self.number = number
        self.known = known
        "Whether the books are those of the engine."
        self.l2 = L2Book()
        self.l3 = L3Book()
        self.phase = phase
        self.phase_ends_ns = 0
        "When an interruption ends, Unix time; 0 for all other phases."
        self.last: Trade | None = None
        self.indicative: Indicative = NOTHING_INDICATED
        self.statistics = DayStatistics(complete=known)
        self.sequence = 0
        "Of the last command that changed anything here."

    def lose(self) -> None:
        """Events were missed: nothing is certain any more."""
        self.known = False
        self.phase, self.phase_ends_ns = PHASE_UNKNOWN, 0
        self.indicative = NOTHING_INDICATED
        self.statistics.complete = False

    def apply(self, events: list[Any]) -> MarketChange:
        """Take over all events of one command that are of this instrument, in order."""
        change = MarketChange(self, events[-1].sequence)
        for position, event in enumerate(events):
            kind = event.kind
            if kind == TRADE:
                self._traded(event, change)
            elif kind == PHASED:
                self._phased(event, events[:position])
                change.phased = True
            elif kind == INDICATIVE:
                self.indicative = Indicative(
                    event.price_ticks, event.qty_lots, event.leaves_lots, event.side
                )
                change.indicated = True
            elif kind == INSTRUMENT and event.order_id == Listing.LIST:
                change.loaded = change.phased = True
                self.l2.sequence = self.l3.sequence = event.sequence
        if self.known:
            self._change_books(events, change)
        else:
            change.loaded = self._load(events)
        if change.trades or change.loaded or change.phased:
            change.ticker = True
        if not change.is_empty:
            self.sequence = change.sequence
        return change

    def _traded(self, event: Any, change: MarketChange) -> None:
        side = None if event.flags & AUCTION else event.side
        self.last = Trade(
            event.match_id, event.price_ticks, event.qty_lots, side, event.sequence, event.time_ns
        )
        change.trades.append(self.last)
        self.statistics.trade(event)

    def _phased(self, event: Any, before: list[Any]) -> None:
        """A new phase; `before` are the command's events until then."""
        self.phase, self.phase_ends_ns = event.phase, event.at_ns
        if event.phase != event.previous_phase:
            self.indicative = NOTHING_INDICATED
        if begins_day(event):
            self.statistics = DayStatistics()
            for earlier in before:
                if earlier.kind == TRADE:
                    self.statistics.trade(earlier)

    def _change_books(self, events: list[Any], change: MarketChange) -> None:
        l2, l3 = self.l2, self.l3
        best = (l2.best_price(BUY), l2.best_price(SELL))
        before: dict[tuple[int, int], int] = {}
        for event in events:
            level = level_of(event)
            change.orders += l3.apply(event, level)
            if level is not None:
                side, price_ticks, lots = level
                before.setdefault((side, price_ticks), l2.lots(side, price_ticks))
                l2.apply(side, price_ticks, lots)
        change.l2_previous, change.l3_previous = l2.sequence, l3.sequence
        for (side, price_ticks), lots in before.items():
            now = l2.lots(side, price_ticks)
            if now != lots:  # else something hidden came or went, which nobody may notice
                change.levels.append(Level(side, price_ticks, now))
                if price_ticks == best[side] or price_ticks == l2.best_price(side):
                    change.ticker = True
        if change.levels:
            l2.sequence = change.sequence
        if change.orders:
            l3.sequence = change.sequence

    def _load(self, events: list[Any]) -> bool:
        """Build the books if these events hold a whole snapshot; whether they do."""
        done = events[-1]
        if done.kind != EventKind.DONE or not done.flags & EventFlag.SNAPSHOT:
            return False
        booked = [event for event in events if event.kind == EventKind.BOOKED]
        if len(booked) != done.qty_lots:
            return False  # its beginning was missed
        self.load(booked, done.sequence)
        return True

    def load(self, booked: Iterable[Any], sequence: int) -> None:
        """Take the books of a snapshot, the BOOKED events of all visible orders, as of an event."""
        self.l2, self.l3 = L2Book(), L3Book()
        for event in booked:
            level = level_of(event)
            assert level is not None, f"BOOKED {event.sequence} has no level"
            self.l2.apply(*level)
            self.l3.load(event)
        self.l2.sequence = self.l3.sequence = sequence
        self.sequence = max(self.sequence, sequence)
        self.known = True
