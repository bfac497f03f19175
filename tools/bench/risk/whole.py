"""The same commands through two whole engines in one thread: all checks on, and none."""

from dataclasses import replace
from typing import Any, Final

import numpy as np

from engine.inprocess import InProcessVenue
from engine.topology import usable_cores
from tools.bench.engine import Commands, make_commands
from tools.bench.errors import BenchFailed
from tools.bench.risk.load import Setting, make_config
from tools.bench.series import Series
from tools.bench.undisturbed import undisturbed
from tools.bench.workloads import Scenario

DEPTH: Final = 5_000
"""Resting orders of all books together: as many in each of one as the engine's benchmark has."""

SPREAD: Final = 7_919
"""A prime that no number of accounts divides: neighbouring orders are of different accounts."""


class Whole:
    """Two venues that get the same commands in turn."""

    def __init__(self, on: Setting, warm_up: int, commands: int, repeats: int) -> None:
        self.setting, self.count = on, commands
        depth = DEPTH if on.symbols == 1 else DEPTH // 10
        scenario = Scenario("risk", symbols=on.symbols, depth=depth)
        stream = make_commands(warm_up + commands * repeats, scenario)
        # Whose an order is follows from its id, so a cancel names the account of its order.
        order_ids = stream["order_id"].astype(np.int64)
        new = order_ids == 0
        order_ids[new] = np.arange(1, np.count_nonzero(new) + 1)
        stream["account"] = on.traders.start + order_ids * SPREAD % on.accounts
        self.commands = Commands(stream)
        self.venues = [
            InProcessVenue(make_config(setting, f"bench-{number}"))
            for number, setting in enumerate((on, replace(on, checks=False)))
        ]
        self.rates = [Series(), Series()]
        self.turn = 0
        first = self.commands.take(warm_up)
        must_agree([venue.run(first, events_max=0).event_count for venue in self.venues])

    def round(self) -> None:
        """The next commands through both; who begins changes."""
        commands = self.commands.take(self.count)
        self.turn += 1
        counts = [0, 0]
        for each in (self.turn % 2, (self.turn + 1) % 2):
            with undisturbed(usable_cores()[-1]):
                outcome = self.venues[each].run(commands, events_max=0)
            counts[each] = outcome.event_count
            self.rates[each].rates.append(outcome.commands / outcome.seconds)
        must_agree(counts)
        for venue in self.venues:
            refused = venue.venue.risk.refused
            if refused:
                raise BenchFailed(f"{refused} commands were refused by risk or ingest")

    def report(self) -> dict[str, Any]:
        """The row of this number of symbols."""
        on, off = self.rates
        return {
            "symbols": self.setting.symbols,
            "commands": self.count,
            **on.report("on_commands_per_s"),
            **off.report("off_commands_per_s"),
            "on_off_ratio": off.over(on),
        }


def must_agree(counts: list[int]) -> None:
    """Raises BenchFailed unless both engines made as many events."""
    if counts[0] != counts[1]:
        raise BenchFailed(
            f"{counts[0]} events with all checks on and {counts[1]} without: "
            "some orders were refused"
        )
