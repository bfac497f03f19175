"""What risk sends by itself is what its twin says is due, and nothing due is forgotten."""

from typing import Any

import pytest

from engine.messages import CommandKind, Phase, Side
from engine.rules import RuleNumber
from tests.risk.storm import Storm
from tools.twin.risk import Demand

STEPS = 1_000

TICKS = 3
"""Rounds at the end: a TICK values all positions, and lets liquidations be tried again."""


def meant(command: dict[str, Any]) -> Demand:
    """The demand that a command of risk is for."""
    kind, account, place = command["kind"], command["account"], command["instrument"]
    lots = command["qty_lots"]
    if kind == CommandKind.RULE:
        return Demand(RuleNumber(command["order_id"]).name.lower(), account, place, lots)
    if kind == CommandKind.MASS_CANCEL:
        return Demand("mass_cancel", account, place)
    if kind == CommandKind.NEW:
        sign = 1 if command["side"] == Side.BUY else -1
        return Demand("liquidation", account, place, sign * lots)
    if kind == CommandKind.FUNDS:
        return Demand("cover", command["price_ticks"], place, lots)
    assert (kind, command["phase"]) == (CommandKind.PHASE, Phase.HALT)
    return Demand("halt", 0, place)


class Witness:
    """Looks at each command that risk sends, at the moment when it does."""

    def __init__(self, storm: Storm) -> None:
        self.storm = storm
        self.seen: set[str] = set()
        self._take = storm.floor.sent_by_risk
        storm.floor.sent_by_risk = self.sent_by_risk  # type: ignore[method-assign]

    def sent_by_risk(self) -> list[dict[str, Any]]:
        """What `Floor.sent_by_risk` gives; each of it is due."""
        found = self._take()
        assert len(found) <= 1, "one at a time"
        for command in found:
            demand = meant(command)
            due = self.storm.risk.demands()
            # Trades from before a HALT that are heard of after it was sent may bring another one.
            assert demand in due or demand.what == "halt", (demand, due)
            self.seen.add(demand.what)
        return found


@pytest.mark.parametrize(("rules", "drift"), [(7, 0), (1, 40)], ids=["rules", "moving prices"])
def test_what_is_due_is_sent_and_nothing_else(rules: int, drift: int) -> None:
    seen: set[str] = set()
    for seed in range(20, 26):
        storm = Storm(seed, rules=rules, drift=drift)
        witness = Witness(storm)
        try:
            for _ in range(STEPS):
                storm.step()
            for _ in range(TICKS):
                storm.drain()
                storm.tick()
            storm.drain()
            assert not storm.risk.demands(), seed
        finally:
            storm.floor.release()
        seen |= witness.seen
    assert {"margin_state", "mass_cancel", "liquidation"} <= seen
