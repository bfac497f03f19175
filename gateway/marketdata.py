"""Market data as the gateway keeps it: the public state of each instrument, and its last trades.

`MarketData.take` gets every event in order. Everything here changes command by command, so that
whoever asks sees the books between two commands, also while a long sweep is still arriving.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from engine.config import Config
from engine.marketdata import Follower, Market, MarketChange, Trade

TRADES_KEPT_MAX: Final = 1000
"""Last trades of an instrument."""


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


def _no_trades() -> deque[Trade]:
    return deque(maxlen=TRADES_KEPT_MAX)
