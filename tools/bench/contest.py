"""A peer and the engine in turn on the same first messages, and whether they did the same."""

import statistics
from dataclasses import dataclass, field
from typing import Any

from ipc import memory
from tools.bench import peers
from tools.bench.passes import in_process
from tools.bench.plain_book import Message
from tools.bench.series import Series


@dataclass
class Contest:
    """All rounds of one peer."""

    peer: peers.Peer
    messages: int
    "How many, from the first on."
    theirs: Series = field(default_factory=Series)
    ours: Series = field(default_factory=Series)
    agrees: bool = True
    trades: int = 0
    compared: tuple[str, ...] = ()
    "What the peer shows of what it did."

    def run(self, decisions: memory.Region, messages: list[Message], counts: bool) -> None:
        """One pass of each."""
        done = peers.measure(self.peer, messages[: self.messages])
        own = in_process(decisions, self.messages)
        seen = {"trades": done.trades, "resting": done.resting}
        self.compared = tuple(what for what, value in seen.items() if value is not None)
        self.agrees &= bool(self.compared)
        self.agrees &= all(getattr(own, what) == seen[what] for what in self.compared)
        self.trades = own.trades
        if counts:
            self.theirs.rates.append(done.msgs_per_s)
            self.ours.rates.append(own.msgs_per_s)

    def report(self) -> dict[str, Any]:
        """What to say of the peer."""
        ratios = [a / b for a, b in zip(self.ours.rates, self.theirs.rates, strict=True)]
        return {
            "about": self.peer.about,
            "messages": self.messages,
            "trades": self.trades,
            "compared": list(self.compared),
            "agrees": self.agrees,
            **self.theirs.report("msgs_per_s"),
            **self.ours.report("ours_msgs_per_s"),
            "ours_ratio": round(statistics.median(ratios), 1),
        }
