"""Market data as the gateway keeps it: the public state of each instrument, and its last trades.

`MarketData.take` gets every event in order. Everything here changes command by command, so that
whoever asks sees the books between two commands, also while a long sweep is still arriving.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from engine.config import Config
from engine.durability.history import TRADES_KEPT_MAX, Beat, Listed, Past, PastInstrument, rest
from engine.marketdata import Follower, Market, MarketChange, Trade


class MarketData:
    """The markets of the venue."""

    def __init__(self, config: Config) -> None:
        """Before the first event."""
        phases: list[dict[int, int]] = [{} for _ in range(config.venue.shards)]
        for each in config.instruments:
            phases[each.shard_among(config.venue.shards)][each.index] = each.phase
        self._followers = [Follower(of_shard) for of_shard in phases]
        self._trades = {each.index: _no_trades() for each in config.instruments}

    def market(self, instrument: int) -> Market:
        """The public state of an instrument."""
        for follower in self._followers:
            if instrument in follower.markets:
                return follower.markets[instrument]
        raise KeyError(instrument)

    def trades(self, instrument: int) -> deque[Trade]:
        """The last trades of an instrument since it was listed, newest last."""
        return self._trades[instrument]

    def take_over(
        self, pasts: Sequence[Past], books: Mapping[int, Sequence[Any]], beat: Beat = rest
    ) -> None:
        """Begin after events that have passed, by shard.

        `books`: the BOOKED events of a snapshot of each instrument that is listed, by number.
        """
        for follower, past in zip(self._followers, pasts, strict=True):
            markets = dict(follower.markets)
            for each in past.instruments:
                self._trades.setdefault(each.number, _no_trades()).extend(each.trades)
                if each.listed == Listed.LISTED:
                    markets[each.number] = Market(each.number, known=True)
                elif each.listed == Listed.DELISTED:
                    markets.pop(each.number, None)
                market = markets.get(each.number)
                if market is not None:  # else its terms are set before it is listed
                    _take_over(market, each)
            for number, market in markets.items():
                beat()
                market.load(books.get(number, ()), past.sequence)
            follower.resume(markets, past.sequence)

    def take(self, event: Any, shard: int = 0) -> Sequence[MarketChange]:
        """Take the next event of a matching shard; returns what its command changed.

        That is known after the last event of the command.
        """
        changes = self._followers[shard].take(event)
        for change in changes:
            if change.loaded:  # this gateway has seen every event, so it was listed
                self._trades[change.instrument] = _no_trades()
            self._trades[change.instrument].extend(change.trades)
        return changes


def _take_over(market: Market, past: PastInstrument) -> None:
    """What is public of an instrument, but for its book."""
    if past.phase is not None:
        market.phase, market.phase_ends_ns = past.phase, past.phase_ends_ns
    market.indicative, market.statistics = past.indicative, past.statistics
    market.last = past.trades[-1] if past.trades else None


def _no_trades() -> deque[Trade]:
    return deque(maxlen=TRADES_KEPT_MAX)
