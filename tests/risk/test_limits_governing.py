"""FUNDS and RULE just inside and just outside what they may say, and accounts opened meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest

from engine.limits import ACCOUNTS_MAX, BALANCE_MAX
from engine.messages import Prevention, Scope
from engine.rules import RuleNumber
from tests.risk.pit import (
    ALICE,
    BASE,
    BOB,
    BUY,
    CAROL,
    DAY_NS,
    FRIENDS,
    INSURANCE,
    MARGE,
    MIKE,
    OTHER_BASE,
    PLAIN,
    QUOTE,
    SELL,
    STRANGER,
    Pit,
)
from tools.twin import Balance

pytestmark = pytest.mark.interpreted

Pits = Callable[..., Pit]
ACCOUNT, GROUP, SYMBOL, VENUE = Scope.ACCOUNT, Scope.GROUP, Scope.SYMBOL, Scope.VENUE


# --- funds ---------------------------------------------------------------------------------------


def test_funds_of_an_account_that_is_not_open(pit: Pit) -> None:
    for number in (STRANGER, ACCOUNTS_MAX):
        assert pit.deposit(number, 1) == pit.withdraw(number, 1) == "UNKNOWN_ACCOUNT"
        assert pit.transfer(number, ALICE, 1) == "UNKNOWN_ACCOUNT"
        assert pit.transfer(ALICE, number, 1) == "UNKNOWN_ACCOUNT"
    assert pit.transfer(ALICE, -1, 1) == "UNKNOWN_ACCOUNT"
    assert pit.total(ALICE) == 10_000
    assert pit.transfer(ALICE, BOB, 1) == "NONE"


def test_deposits_up_to_2_to_the_62(pit: Pit) -> None:
    """31,350 units are there already."""
    there = 3 * 10_000 + 3 * 100 + 1_000 + 50
    assert pit.deposit(ALICE, BALANCE_MAX - there + 1) == "BALANCE_OVERFLOW"
    assert pit.deposit(ALICE, BALANCE_MAX - there) == "NONE"
    assert pit.deposit(BOB, 1) == "BALANCE_OVERFLOW"
    assert pit.deposit(BOB, 1, BASE) == "NONE", "another asset"
    assert pit.withdraw(BOB, 5) == "NONE"
    assert pit.deposit(CAROL, 6) == "BALANCE_OVERFLOW"
    assert pit.deposit(CAROL, 5) == "NONE"
    assert pit.transfer(ALICE, BOB, 1 << 61) == "NONE", "nothing comes in"


@pytest.mark.parametrize("act", ["withdraw", "transfer"])
def test_what_a_cash_account_may_take_out(pit: Pit, act: str) -> None:
    def take(units: int, asset: int = QUOTE) -> str:
        if act == "withdraw":
            return pit.withdraw(ALICE, units, asset)
        return pit.transfer(ALICE, BOB, units, asset)

    assert pit.new(ALICE, BUY, 100, 100) == pit.new(ALICE, SELL, 200, 100) == "NONE"
    assert take(9_001) == "INSUFFICIENT_BALANCE", "1,000 are reserved"
    assert take(9_000) == "NONE"
    assert take(1) == "INSUFFICIENT_BALANCE"
    assert take(19_001, BASE) == "INSUFFICIENT_BALANCE"
    assert take(19_000, BASE) == "NONE"
    assert pit.purse(ALICE) == Balance(0, 1_000)
    assert pit.total(BOB) == (10_000 if act == "withdraw" else 19_000)


@pytest.mark.parametrize("act", ["withdraw", "transfer"])
def test_what_a_margin_account_may_take_out(pits: Pits, act: str) -> None:
    """Of 100 units: what margin does not need, and of profit only what is realised."""
    pit = pits(PLAIN._replace(mark_source=2))

    def take(units: int) -> str:
        return pit.withdraw(MARGE, units) if act == "withdraw" else pit.transfer(MARGE, BOB, units)

    pit.trade(MARGE, ALICE, 100, 50)
    assert take(51) == "INSUFFICIENT_BALANCE", "50 are needed"
    assert take(50) == "NONE"
    pit.mark(200)
    assert take(51) == "INSUFFICIENT_BALANCE", "450 are free, 50 are there"
    assert take(50) == "NONE"
    assert take(1) == "INSUFFICIENT_BALANCE"
    pit.trade(BOB, MARGE, 200, 10)
    assert take(101) == "INSUFFICIENT_BALANCE"
    assert take(100) == "NONE", "realised"


def test_open_orders_of_a_margin_account_bind_its_margin(pit: Pit) -> None:
    assert pit.new(MARGE, BUY, 100, 60) == "NONE"
    assert pit.withdraw(MARGE, 41) == "INSUFFICIENT_BALANCE"
    assert pit.withdraw(MARGE, 40) == "NONE"
    assert pit.withdraw(INSURANCE, 51) == "INSUFFICIENT_BALANCE"
    assert pit.withdraw(INSURANCE, 50) == "NONE"


def test_a_transfer_to_oneself(pit: Pit) -> None:
    assert pit.transfer(ALICE, ALICE, 10_001) == "INSUFFICIENT_BALANCE"
    assert pit.transfer(ALICE, ALICE, 10_000) == "NONE"
    assert pit.total(ALICE) == 10_000


# --- rules: bounds -------------------------------------------------------------------------------

ALL = (VENUE, SYMBOL, GROUP, ACCOUNT)
LARGEST = 1 << 62
BOUNDS = [
    ("QTY_MAX_LOTS", ALL, 0, LARGEST),
    ("COLLAR_BPS", ALL, 0, 100_000),
    ("LONG_MAX_LOTS", ALL, 0, LARGEST),
    ("SHORT_MAX_LOTS", ALL, 0, LARGEST),
    ("OPEN_ORDERS_MAX", ALL, 0, LARGEST),
    ("ORDERS_PER_SECOND", ALL, 0, 10**9),
    ("ORDERS_BURST", ALL, 0, 10**9),
    ("ORDERS_PER_DAY", ALL, 0, LARGEST),
    ("CANCEL_RATIO_MAX", ALL, 0, 10**6),
    ("DUPLICATE_NS", ALL, 0, DAY_NS),
    ("REDUCE_ONLY", ALL, 0, 1),
    ("KILLED", ALL, 0, 2),
    ("RESTRICTED", ALL, 0, 1),
    ("BREAKER_BPS", (VENUE, SYMBOL), 0, 100_000),
    ("KIND", (ACCOUNT,), 0, 1),
    ("TIER", (ACCOUNT,), 0, 7),
    ("GROUP", (ACCOUNT,), 0, ACCOUNTS_MAX - 1),
    ("SELF_TRADE", (ACCOUNT,), int(Prevention.NONE), int(max(Prevention))),
    ("OPEN", (ACCOUNT,), 0, 1),
    ("LEVERAGE_MAX", ALL, 0, 1_000),
    ("NOTIONAL_MAX_UNITS", ALL, 0, LARGEST),
    ("OPEN_NOTIONAL_MAX_UNITS", ALL, 0, LARGEST),
    ("GROSS_MAX_UNITS", ALL, 0, LARGEST),
    ("NET_MAX_UNITS", ALL, 0, LARGEST),
    ("DAILY_LOSS_MAX_UNITS", ALL, 0, LARGEST),
    ("CONCENTRATION_BPS", ALL, 0, 10_000),
]


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize(("name", "scopes", "least", "most"), BOUNDS, ids=lambda each: str(each))
def test_the_bounds_of_a_rule(
    pit: Pit, scope: int, name: str, scopes: tuple[int, ...], least: int, most: int
) -> None:
    number = RuleNumber[name]
    entity = 0 if scope in (VENUE, SYMBOL) else STRANGER
    if scope not in scopes:
        for value in (0, least, most):
            assert pit.rule(number, value, scope, entity) == "BAD_RULE"
        return
    for value in (least - 1, most + 1, -(1 << 63), (1 << 63) - 1):
        assert pit.rule(number, value, scope, entity) == "BAD_RULE"
    for value in (least, most):
        assert pit.rule(number, value, scope, entity) == "NONE"


@pytest.mark.parametrize("number", [-1, 20, 31, 38, 39, 42, 64, 1 << 40])
def test_numbers_of_no_rule(pit: Pit, number: int) -> None:
    for scope in Scope:
        assert pit.rule(number, 0, scope) == "BAD_RULE"


@pytest.mark.parametrize("scope", [VENUE, SYMBOL, GROUP])
@pytest.mark.parametrize("number", [RuleNumber.MARGIN_STATE, RuleNumber.LOSS_STATE])
def test_states_are_of_accounts(pit: Pit, scope: int, number: int) -> None:
    source = {"source": pit.floor.risk_source}
    assert pit.rule(number, 1, scope) == pit.rule(number, 1, scope, **source) == "BAD_RULE"


def test_the_number_of_an_account_or_group(pit: Pit) -> None:
    for scope in (ACCOUNT, GROUP):
        assert pit.rule(RuleNumber.QTY_MAX_LOTS, 5, scope, ACCOUNTS_MAX) == "UNKNOWN_ACCOUNT"
        assert pit.rule(RuleNumber.QTY_MAX_LOTS, 5, scope, 65_535) == "UNKNOWN_ACCOUNT"
        assert pit.rule(RuleNumber.QTY_MAX_LOTS, 5, scope, ACCOUNTS_MAX - 1) == "NONE"
    for number in (RuleNumber.KIND, RuleNumber.OPEN, RuleNumber.GROSS_MAX_UNITS):
        assert pit.rule(number, 1, ACCOUNT, ACCOUNTS_MAX) == "UNKNOWN_ACCOUNT"
        assert pit.rule(number, 1, ACCOUNT, ACCOUNTS_MAX - 1) == "NONE"


# --- rules: who an account is --------------------------------------------------------------------


def test_what_an_open_account_has_for_good(pit: Pit) -> None:
    for account in (ALICE, MARGE):
        for number in (RuleNumber.KIND, RuleNumber.GROUP, RuleNumber.SELF_TRADE):
            assert pit.rule(number, 1, ACCOUNT, account) == "RULE_FORBIDDEN"
        assert pit.rule(RuleNumber.OPEN, 0, ACCOUNT, account) == "RULE_FORBIDDEN"
        assert pit.rule(RuleNumber.OPEN, 1, ACCOUNT, account) == "NONE", "it is"
        assert pit.rule(RuleNumber.TIER, 3, ACCOUNT, account) == "NONE"
    assert pit.rule(RuleNumber.KIND, 2, ACCOUNT, ALICE) == "BAD_RULE"
    assert pit.rule(RuleNumber.OPEN, 0, ACCOUNT, STRANGER) == "NONE", "it is not"


def test_a_cash_account_opened_at_run_time(pit: Pit) -> None:
    """Rules that were set before hold from its first order on."""
    assert pit.new(STRANGER, BUY, 50, 1) == "UNKNOWN_ACCOUNT"
    assert pit.rule(RuleNumber.GROUP, FRIENDS, ACCOUNT, STRANGER) == "NONE"
    assert pit.rule(RuleNumber.SELF_TRADE, Prevention.BOTH, ACCOUNT, STRANGER) == "NONE"
    assert pit.rule(RuleNumber.QTY_MAX_LOTS, 9, ACCOUNT, STRANGER) == "NONE"
    assert pit.rule(RuleNumber.LONG_MAX_LOTS, 8, GROUP, FRIENDS) == "NONE"
    assert pit.new(STRANGER, BUY, 50, 1) == pit.deposit(STRANGER, 1) == "UNKNOWN_ACCOUNT"
    assert pit.rule(RuleNumber.OPEN, 1, ACCOUNT, STRANGER) == "NONE"
    assert pit.new(STRANGER, BUY, 50, 1) == "INSUFFICIENT_BALANCE"
    assert pit.deposit(STRANGER, 100) == "NONE"
    assert pit.new(STRANGER, BUY, 50, 10) == "QUANTITY_ABOVE_MAX"
    assert pit.new(STRANGER, BUY, 50, 9) == "POSITION_LONG"
    assert pit.new(STRANGER, BUY, 50, 8) == "NONE"
    assert (pit.floor.made.group, pit.floor.made.prevention) == (FRIENDS, Prevention.BOTH)
    resting = pit.order_id
    assert pit.new(ALICE, SELL, 50, 8) == "NONE"
    pit.meet(pit.order_id, resting, 50, 8)
    assert (pit.total(STRANGER), pit.total(STRANGER, BASE)) == (60, 80)


def test_a_margin_account_opened_at_run_time(pits: Pits) -> None:
    """The first one of the venue."""
    pit = pits(kinds={})
    assert pit.rule(RuleNumber.KIND, 1, ACCOUNT, STRANGER) == "NONE"
    assert pit.rule(RuleNumber.OPEN, 1, ACCOUNT, STRANGER) == "NONE"
    assert pit.rule(RuleNumber.KIND, 0, ACCOUNT, STRANGER) == "RULE_FORBIDDEN"
    assert pit.new(STRANGER, BUY, 100, 1) == "INITIAL_MARGIN"
    assert pit.deposit(STRANGER, 10) == "NONE"
    assert pit.new(STRANGER, SELL, 100, 11) == "INITIAL_MARGIN"
    assert pit.new(STRANGER, SELL, 100, 10) == "NONE"
    resting = pit.order_id
    assert pit.new(ALICE, BUY, 100, 10) == "NONE"
    pit.meet(pit.order_id, resting, 100, 10)
    assert (pit.held(STRANGER), pit.total(STRANGER)) == ((-10, -100), 10)
    pit.trade(ALICE, BOB, 106, 1)
    pit.tick()
    assert pit.obey() == ["MARGIN_STATE of 11 is 2", "BUY 10 for 11"]


# --- rules: states -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [RuleNumber.MARGIN_STATE, RuleNumber.LOSS_STATE])
def test_states_are_set_by_risk_alone_and_only_when_due(pit: Pit, number: int) -> None:
    by_risk: dict[str, Any] = {"source": pit.floor.risk_source}
    most = 2 if number == RuleNumber.MARGIN_STATE else 1
    for account in (ALICE, MIKE, STRANGER):
        for value in range(most + 1):
            assert pit.rule(number, value, ACCOUNT, account) == "RULE_FORBIDDEN"
            assert pit.rule(number, value, ACCOUNT, account, **by_risk) == "NOT_IN_BREACH"
        for value in (-1, most + 1):
            assert pit.rule(number, value, ACCOUNT, account, **by_risk) == "BAD_RULE"
    assert pit.rule(number, 1, ACCOUNT, ACCOUNTS_MAX, **by_risk) == "UNKNOWN_ACCOUNT"
    other = {"instrument": OTHER_BASE}
    assert pit.rule(number, 1, ACCOUNT, MARGE, **by_risk, **other) == "NOT_IN_BREACH"
