"""The risk benchmark: complete, every rule looked at, every order accepted. No figure is judged."""

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from engine.messages import Scope
from engine.rules import FIRST_MONEY_RULE, RULES
from ipc.jit import INTERPRETED
from tools.bench import risk
from tools.bench.errors import BenchFailed
from tools.bench.risk.load import (
    OF_ACCOUNTS,
    STATES,
    Setting,
    all_positions,
    draw_intents,
    make_config,
)
from tools.bench.risk.rounds import make_lane, must_have_passed
from tools.bench.risk.stand import CANCEL
from tools.bench.risk.whole import must_agree

EFFORT = risk.Effort(
    accounts=20, block=64, blocks=2, symbols=(1, 3), whole_warm_up=400, whole_commands=200
)
REPEATS = 2
CHECKED = [
    rule for rule in RULES.values() if rule.number not in STATES and rule.number not in OF_ACCOUNTS
]


def test_every_rule_is_on_at_every_scope_that_has_it() -> None:
    setting = Setting("margin", True, 3, EFFORT.accounts)
    found = {(rule.number, rule.scope) for rule in make_config(setting, "rules").rules}
    for rule in CHECKED:
        scopes = (Scope.ACCOUNT,) if rule.unit == "switch" else rule.scopes
        assert {(rule.number, scope) for scope in scopes} <= found, rule.name
    assert not make_config(Setting("cash", False, 3, EFFORT.accounts), "none").rules


def test_orders_go_everywhere_and_each_half_of_a_block_trades_with_the_other() -> None:
    setting = Setting("cash", True, 3, EFFORT.accounts)
    for intents in (draw_intents(setting, 64, 4), all_positions(setting, 64)):
        assert set(intents["account"]) == set(setting.traders)
        assert set(intents["instrument"]) == {0, 1, 2}
        pairs = intents.reshape(-1, 2, 32)
        one, other = pairs[:, 0], pairs[:, 1]
        for name in ("instrument", "price_ticks", "qty_lots"):
            assert np.array_equal(one[name], other[name])
        assert (one["side"] + other["side"] == 1).all()
        assert (one["account"] != other["account"]).all()
    opened = all_positions(setting, 64)
    assert len(set(zip(opened["account"], opened["instrument"], strict=True))) == 3 * 20


@pytest.mark.parametrize("kind", ["cash", "margin"])
def test_every_check_is_looked_at_and_every_order_passes(kind: str) -> None:
    lane = make_lane(Setting(kind, True, 3, EFFORT.accounts), EFFORT)
    state = lane.stand.state
    for rule in CHECKED:
        money = rule.number >= FIRST_MONEY_RULE
        on = (
            state.money_on >> (rule.number - FIRST_MONEY_RULE) if money else state.on >> rule.number
        )
        assert on & 1, rule.name
    live = state.reservations.live
    lane.play(1, CANCEL)
    must_have_passed(lane)
    assert state.reservations.live == live > 0
    assert state.positions.count == 3 * EFFORT.accounts
    state.refused += 1
    with pytest.raises(BenchFailed, match="were refused"):
        must_have_passed(lane)
    lane.stand.release()


def test_engines_that_differ_are_a_failure() -> None:
    must_agree([5, 5])
    with pytest.raises(BenchFailed, match="5 events"):
        must_agree([5, 4])


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    if INTERPRETED:
        pytest.skip("measures compiled code")
    return risk.run(Console(file=io.StringIO()), REPEATS, EFFORT)


def figures(row: dict[str, Any], name: str) -> None:
    assert row[f"{name}_min"] <= row[name] <= row[f"{name}_max"]


@pytest.mark.system
def test_every_setting_has_its_figures(result: dict[str, Any]) -> None:
    names = ("check_ns", "check_ns_margin", "check_ns_off")
    for name in names:
        figures(result, name)
        figures(result, f"{name}_3_symbols")
    figures(result, "copy_ns")
    assert result["copy_ns"] > 0
    assert len(result["stage"]) == len(names) * len(EFFORT.symbols)
    for row in result["stage"]:
        for name in ("check_ns", "steady_ns", "stage_ns", "cancel_ns", "fill_ns"):
            figures(row, name)
        assert min(row["stage_ns_min"], row["cancel_ns_min"], row["fill_ns_min"]) > 0
        assert row["check_ns_max"] < row["stage_ns_max"]


@pytest.mark.system
def test_the_engine_is_measured_with_and_without_checks(result: dict[str, Any]) -> None:
    assert [row["symbols"] for row in result["engine"]] == list(EFFORT.symbols)
    for row in result["engine"]:
        figures(row, "on_commands_per_s")
        figures(row, "off_commands_per_s")
    worst = max(row["on_off_ratio"] for row in result["engine"])
    assert result["engine_on_off_ratio"] == worst > 0


@pytest.mark.system
def test_it_says_where_and_what_not(result: dict[str, Any]) -> None:
    assert result["host"]["cores_used"]
    console = Console(file=io.StringIO(), width=160)
    console.print(risk.render(result))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for said in ("margin, all checks on", "cash, no rule set", "copying the message alone", "Not"):
        assert said in shown
