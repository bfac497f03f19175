"""Follows all instruments of an event ring from any point on, also over gaps.

    true books --gap or late start--> unknown --BOOKED.. DONE of a SNAPSHOT--> true books

A reader that saw every event from the first one on knows all books. One that came late, or was
lapped (a lossy observer of the ring), knows none: it asks for a snapshot of each instrument
(`snapshots_wanted`), ignores the instrument until that has come completely, and has exactly the
engine's book then. The events of a command are applied together with its last one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.marketdata.l2 import LEVEL_FLAGS
from engine.marketdata.market import PHASE_UNKNOWN, Market, MarketChange
from engine.messages import EventFlag, EventKind, Listing

LAST: Final = int(EventFlag.LAST)
INSTRUMENT: Final = int(EventKind.INSTRUMENT)
PUBLIC_FLAGS: Final = LEVEL_FLAGS | int(EventFlag.SNAPSHOT)
PUBLIC_KINDS: Final = frozenset(
    map(int, (EventKind.TRADE, EventKind.PHASED, EventKind.INDICATIVE, EventKind.INSTRUMENT))
)
"""What a market is told of, beside events with one of the flags."""


class Follower:
    """The markets of one event ring."""

    def __init__(self, phases: Mapping[int, int], sequence: int = 0) -> None:
        """Follow these instruments, and those that are listed later.

        Args:
            phases: The phase in which each instrument was before the first event, by number.
            sequence: Of the last event that has passed; 0 when the next one is the first ever.
        """
        known = sequence == 0
        self.markets = {
            number: Market(number, known, phase if known else PHASE_UNKNOWN)
            for number, phase in phases.items()
        }
        self.sequence = sequence
        "Of the last event that was taken."
        self.gaps = 0
        "How often events were missed."
        self._wanted = [] if known else list(self.markets)
        self._events: list[Any] = []
        "Events of the running command that matter here."

    @property
    def is_complete(self) -> bool:
        """Whether the books of all instruments are known."""
        return all(market.known for market in self.markets.values())

    def snapshots_wanted(self) -> list[int]:
        """Instruments for which to send a SNAPSHOT now.

        Each is named once, and again if its snapshot was missed, too. One whose SNAPSHOT could
        not be sent or was refused is the caller's to remember.
        """
        wanted, self._wanted = self._wanted, []
        return wanted

    def resume(self, markets: Mapping[int, Market], sequence: int) -> None:
        """Go on after the event `sequence`, with these markets; their books are known."""
        assert self.sequence == 0, "resume: events have been taken"
        self.markets, self.sequence = dict(markets), sequence

    def take(self, event: Any) -> Sequence[MarketChange]:
        """Take the next event; returns what its command changed, after the last one of it.

        Events come in the order of their sequence; some may be missing.
        """
        if event.sequence != self.sequence + 1:
            self._lose(event)
        self.sequence = event.sequence
        if event.flags & PUBLIC_FLAGS or event.kind in PUBLIC_KINDS:
            self._events.append(event)
        if event.flags & LAST and self._events:
            return self._settle()
        return ()

    def _lose(self, event: Any) -> None:
        assert event.sequence > self.sequence, f"event {event.sequence} after {self.sequence}"
        self.gaps += 1
        self._events = []
        for market in self.markets.values():
            market.lose()
        self._wanted = list(self.markets)

    def _settle(self) -> list[MarketChange]:
        """The running command is complete: apply its events to their markets."""
        events, self._events = self._events, []
        if len(events) == 1:
            by_instrument = {events[0].instrument: events}
        else:
            by_instrument = {}
            for event in events:
                by_instrument.setdefault(event.instrument, []).append(event)
        changes = []
        for number, its_events in by_instrument.items():
            last = its_events[-1]
            listing = last.order_id if last.kind == INSTRUMENT else 0
            if listing == Listing.LIST:
                self.markets[number] = Market(number, True, last.qty_lots)
            market = self.markets.get(number)
            if market is None:
                if last.kind == INSTRUMENT:  # its terms come before it is listed
                    continue
                # Listed while this reader was away.
                market = self.markets[number] = Market(number, known=False)
                self._wanted.append(number)
            change = market.apply(its_events)
            if not change.is_empty:
                changes.append(change)
            if listing == Listing.DELIST:
                del self.markets[number]
                self._wanted = [each for each in self._wanted if each != number]
        return changes
