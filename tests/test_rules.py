"""Rules of risk as they are written: what becomes of them, and what each problem is called."""

import contextlib
import copy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import Config, ConfigError
from engine.limits import ACCOUNTS_MAX, BALANCE_MAX, RULES_MAX
from engine.messages import AccountKind, Prevention, Scope
from engine.rules import (
    DAY_NS,
    FIRST_MONEY_RULE,
    RULES,
    RULES_BY_NUMBER,
    RuleNumber,
    RuleSetting,
    make_rule,
)
from engine.schema import Problems
from tests.config_tables import JUNK, TABLES, problems_of

VENUE, SYMBOL, GROUP, ACCOUNT = Scope

ALICE = {"scope": "account", "account": 7}
MARKET = {"scope": "symbol", "symbol": "BTC/USD"}
EVERYONE = {"scope": "venue"}
TWO = [{"symbol": "USD/BTC", "base": "USD", "quote": "BTC", "tick": "0.00000001", "lot": "0.01"}]


def tables_with(*rules: object) -> dict[str, Any]:
    """TABLES with a second instrument and some rules."""
    tables = copy.deepcopy(TABLES)
    other = {"qty_max": "10", "notional_max": "1", "multiplier": "100"}
    tables["instruments"].append(TWO[0] | other)
    return {**tables, "rules": list(rules)}


def settings(*rules: object) -> tuple[RuleSetting, ...]:
    return Config.build(**tables_with(*rules)).rules


# --- the table ---------------------------------------------------------------------------------


def test_numbers_names_and_money() -> None:
    assert [rule.number for rule in RULES.values()] == sorted(RuleNumber)
    assert all(RULES_BY_NUMBER[rule.number] is rule for rule in RULES.values())
    assert all(RuleNumber[name.upper()] == rule.number for name, rule in RULES.items())
    assert {rule.number for rule in RULES.values() if rule.money} == {*range(32, 38), 40, 41}
    assert FIRST_MONEY_RULE == 32
    assert (RULES["restricted"].number, RULES["leverage_max"].number) == (12, 19)


def test_scopes_and_bounds() -> None:
    anywhere = {rule.number for rule in RULES.values() if rule.scopes == tuple(Scope)}
    assert anywhere == {*range(13), 19, *range(32, 38)}
    assert RULES["breaker_bps"].scopes == (VENUE, SYMBOL)
    for name in ("kind", "tier", "group", "self_trade", "open", "margin_state", "loss_state"):
        assert RULES[name].scopes == (ACCOUNT,)
    most = {name: rule.most for name, rule in RULES.items() if rule.most != BALANCE_MAX}
    assert most == {
        "collar_bps": 100_000,
        "orders_per_second": 10**9,
        "orders_burst": 10**9,
        "cancel_ratio_max": 10**6,
        "duplicate_ns": DAY_NS,
        "reduce_only": 1,
        "killed": 2,
        "restricted": 1,
        "breaker_bps": 100_000,
        "kind": AccountKind.MARGIN,
        "tier": 7,
        "group": ACCOUNTS_MAX - 1,
        "self_trade": Prevention.DECREMENT,
        "open": 1,
        "leverage_max": 1000,
        "concentration_bps": 10_000,
        "margin_state": 2,
        "loss_state": 1,
    }
    assert [name for name, rule in RULES.items() if rule.least] == ["self_trade"]


# --- what is made of a right one ---------------------------------------------------------------

RIGHT: list[tuple[dict[str, Any], tuple[int, int, int, int, int]]] = [
    (EVERYONE | {"rule": "killed", "value": True}, (VENUE, 0, 0, 11, 1)),
    (EVERYONE | {"rule": "killed", "value": 2}, (VENUE, 0, 0, 11, 2)),
    (EVERYONE | {"rule": "killed", "value": False}, (VENUE, 0, 0, 11, 0)),
    (MARKET | {"symbol": "USD/BTC", "rule": "restricted", "value": True}, (SYMBOL, 0, 1, 12, 1)),
    (
        {"scope": "group", "group": 4095, "rule": "restricted", "symbol": "USD/BTC", "value": True},
        (GROUP, 4095, 1, 12, 1),
    ),
    (ALICE | {"rule": "open_orders_max", "value": 0}, (ACCOUNT, 7, 0, 4, 0)),
    (ALICE | {"rule": "open_orders_max", "value": BALANCE_MAX}, (ACCOUNT, 7, 0, 4, BALANCE_MAX)),
    (ALICE | {"rule": "qty_max_lots", "value": 12}, (ACCOUNT, 7, 0, 0, 12)),
    (MARKET | {"rule": "qty_max_lots", "value": "0.2"}, (SYMBOL, 0, 0, 0, 10)),
    (MARKET | {"rule": "long_max_lots", "value": Decimal("1.00")}, (SYMBOL, 0, 0, 2, 50)),
    (MARKET | {"rule": "gross_max_units", "value": "1000.25"}, (SYMBOL, 0, 0, 34, 100_025)),
    (
        MARKET | {"symbol": "USD/BTC", "rule": "net_max_units", "value": "0.00000002"},
        (SYMBOL, 0, 1, 35, 2),
    ),
    (
        EVERYONE | {"rule": "daily_loss_max_units", "asset": "BTC", "value": "1"},
        (VENUE, 0, 1, 36, 10**8),
    ),
    (
        ALICE | {"rule": "concentration_bps", "asset": "BTC", "value": 10_000},
        (ACCOUNT, 7, 1, 37, 10_000),
    ),
    (EVERYONE | {"rule": "duplicate_ns", "value": DAY_NS}, (VENUE, 0, 0, 9, DAY_NS)),
    ({"scope": "account", "account": 0, "rule": "self_trade", "value": 5}, (ACCOUNT, 0, 0, 17, 5)),
    (ALICE | {"rule": "tier", "value": 7}, (ACCOUNT, 7, 0, 15, 7)),
]


@pytest.mark.parametrize(("rule", "setting"), RIGHT)
def test_a_rule_becomes_numbers(
    rule: dict[str, Any], setting: tuple[int, int, int, int, int]
) -> None:
    assert settings(rule) == (setting,)


def test_rules_keep_their_order_but_accounts_open_when_all_is_said() -> None:
    other = {"scope": "account", "account": 9}
    rules = (
        other | {"rule": "open", "value": True},
        other | {"rule": "kind", "value": 1},
        EVERYONE | {"rule": "orders_per_day", "value": 5},
        other | {"rule": "group", "value": 3},
    )
    assert [setting.number for setting in settings(*rules)] == [14, 7, 16, 18]


def test_there_are_none_unless_given() -> None:
    assert Config.build(**TABLES).rules == ()
    assert settings() == ()


# --- what is wrong, and how it is called -------------------------------------------------------

WRONG: list[tuple[object, str, str]] = [
    ("killed", "", "expected a table"),
    (EVERYONE | {"rule": "killed"}, "value", "expected a value, found nothing"),
    (EVERYONE | {"rule": "killed", "value": True, "unit": "lots"}, "unit", "unknown key"),
    (EVERYONE | {"rule": "murdered", "value": True}, "rule", '"killed" or'),
    ({"scope": "world", "rule": "killed", "value": True}, "scope", '"venue" or "symbol" or'),
    (ALICE | {"rule": "breaker_bps", "value": 1}, "scope", '"venue" or "symbol" for breaker_bps'),
    (EVERYONE | {"rule": "tier", "value": 1}, "scope", '"account" for tier'),
    ({"scope": "account", "rule": "tier", "value": 1}, "account", "tier of scope account needs it"),
    ({"scope": "group", "rule": "killed", "value": True}, "group", "needs it, found nothing"),
    ({"scope": "symbol", "rule": "killed", "value": True}, "symbol", "needs it, found nothing"),
    (EVERYONE | {"rule": "restricted", "value": True}, "symbol", "needs it, found nothing"),
    (EVERYONE | {"rule": "gross_max_units", "value": "1"}, "asset", "needs it, found nothing"),
    (ALICE | {"group": 1, "rule": "tier", "value": 1}, "group", "scope account takes account"),
    (EVERYONE | {"account": 1, "rule": "killed", "value": True}, "account", "takes no such key"),
    (MARKET | {"asset": "USD", "rule": "gross_max_units", "value": "1"}, "asset", "takes symbol"),
    (
        ALICE | {"symbol": "BTC/USD", "asset": "USD", "rule": "gross_max_units", "value": "1"},
        "symbol",
        "takes account and asset",
    ),
    (
        {"scope": "account", "account": ACCOUNTS_MAX, "rule": "tier", "value": 1},
        "account",
        f"a whole number from 0 to {ACCOUNTS_MAX - 1}",
    ),
    (MARKET | {"symbol": "A/B", "rule": "killed", "value": True}, "symbol", 'found "A/B"'),
    (EVERYONE | {"asset": "EUR", "rule": "net_max_units", "value": "1"}, "asset", 'found "EUR"'),
    (EVERYONE | {"rule": "killed", "value": 1}, "value", "true, false or 2, found 1"),
    (EVERYONE | {"rule": "killed", "value": 3}, "value", "true, false or 2, found 3"),
    (EVERYONE | {"rule": "reduce_only", "value": 1}, "value", "true or false, found 1"),
    (EVERYONE | {"rule": "orders_burst", "value": True}, "value", "found true"),
    (EVERYONE | {"rule": "orders_burst", "value": "5"}, "value", "a whole number from 0 to"),
    (EVERYONE | {"rule": "orders_burst", "value": -1}, "value", "0 to 1000000000, found -1"),
    (EVERYONE | {"rule": "orders_burst", "value": 10**9 + 1}, "value", "found 1000000001"),
    (ALICE | {"rule": "self_trade", "value": 0}, "value", "from 1 to 5"),
    (ALICE | {"rule": "qty_max_lots", "value": "0.2"}, "value", "a whole number from 0 to"),
    (MARKET | {"rule": "qty_max_lots", "value": 10}, "value", "as text, found 10"),
    (MARKET | {"rule": "qty_max_lots", "value": "0.03"}, "value", "the lot 0.02"),
    (MARKET | {"rule": "qty_max_lots", "value": "-0.02"}, "value", "0.00 to 922337"),
    (MARKET | {"rule": "gross_max_units", "value": "0.001"}, "value", "unit of USD 0.01"),
    (MARKET | {"rule": "gross_max_units", "value": "-1"}, "value", "0.00 to 461168"),
    (
        ALICE | {"rule": "margin_state", "asset": "USD", "value": 0},
        "rule",
        "only risk itself sets it",
    ),
    (ALICE | {"rule": "loss_state", "asset": "USD", "value": 1}, "rule", "only risk itself"),
    (ALICE | {"rule": "kind", "value": 1}, "rule", "in the [[accounts]] table of this account"),
    (ALICE | {"rule": "open", "value": True}, "rule", "in the [[accounts]] table"),
]


@pytest.mark.parametrize(("rule", "key", "says"), WRONG)
def test_each_problem_names_its_key_and_what_was_expected(
    rule: object, key: str, says: str
) -> None:
    problems = problems_of(tables_with(rule))
    assert len(problems) == 1, problems
    path = f"rules[0].{key}" if key else "rules[0]"
    assert problems[0].startswith(f"{path}: "), problems[0]
    assert says in problems[0], problems[0]


def test_a_number_is_set_once() -> None:
    first = ALICE | {"rule": "open_orders_max", "value": 1}
    assert problems_of(tables_with(first, MARKET | {"rule": "killed", "value": True}, first)) == (
        "rules[2]: rules[0] sets this one, too",
    )
    others = (
        first | {"account": 8},
        {"scope": "group", "group": 7, "rule": "open_orders_max", "value": 1},
        ALICE | {"rule": "gross_max_units", "asset": "USD", "value": "1"},
        ALICE | {"rule": "gross_max_units", "asset": "BTC", "value": "1"},
    )
    assert len(settings(first, *others)) == 5


@given(
    rule=st.sampled_from([rule for rule, _ in RIGHT]),
    key=st.sampled_from(["scope", "rule", "value", "account", "group", "symbol", "asset"]),
    value=JUNK | st.sampled_from([*RULES, "group", "symbol", "BTC/USD", "USD", 1 << 20_000]),
)
def test_whatever_a_key_holds_is_accepted_or_a_config_error(
    rule: dict[str, Any], key: str, value: object
) -> None:
    with contextlib.suppress(ConfigError):
        settings(rule | {key: value})


def test_there_are_only_so_many() -> None:
    assert problems_of(tables_with(*[{}] * (RULES_MAX + 1))) == (
        f"rules: expected at most {RULES_MAX} [[rules]] tables, found an array of {RULES_MAX + 1}",
    )


def test_an_instrument_or_asset_with_a_problem_of_its_own_is_noted_once() -> None:
    tables = tables_with(
        MARKET | {"rule": "killed", "value": True},
        ALICE | {"rule": "gross_max_units", "asset": "USD", "value": "1"},
    )
    tables["instruments"][0]["tick"] = "0"
    assert [problem.partition(":")[0] for problem in problems_of(tables)] == ["instruments[0].tick"]
    tables["instruments"][0]["tick"] = "0.5"
    tables["assets"][0]["decimals"] = 19
    assert [problem.partition(":")[0] for problem in problems_of(tables)] == ["assets[0].decimals"]


def test_whoever_runs_the_venue_may_ask_for_what_only_risk_grants() -> None:
    config = Config.build(**TABLES)
    problems = Problems()
    instruments = {each.symbol: each for each in config.instruments}
    assets = {each.name: each for each in config.assets}
    body = ALICE | {"rule": "margin_state", "asset": "USD", "value": 0}
    assert make_rule(body, "rule", instruments, assets, problems) == (ACCOUNT, 7, 0, 40, 0)
    assert make_rule({}, "rule", instruments, assets, problems) is None
    assert len(problems.found) == 3
