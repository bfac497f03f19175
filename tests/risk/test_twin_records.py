"""The twin's FUNDS and RULE: what is booked, what is set, and what is refused."""

from typing import Any

import pytest

from engine.limits import ACCOUNTS_MAX, BALANCE_MAX
from engine.messages import CommandKind, Prevention, Scope
from engine.rules import RuleNumber
from tests.risk.house import (
    ALICE,
    BASE,
    BOB,
    BUY,
    DAY_NS,
    FUNDS,
    INSURANCE,
    MARGE,
    QUOTE,
    RISK,
    SELL,
    STRANGER,
    House,
    initial,
)
from tools.twin import Balance

ACCOUNT = Scope.ACCOUNT


@pytest.fixture
def house() -> House:
    return House()


# --- funds ---------------------------------------------------------------------------------------


def test_funds_come_go_and_move(house: House) -> None:
    assert house.deposit(ALICE, QUOTE, 5) == "NONE"
    assert house.withdraw(BOB, BASE, 7) == "NONE"
    assert house.transfer(ALICE, MARGE, QUOTE, 11) == "NONE"
    assert (house.total(ALICE), house.total(BOB, BASE), house.total(MARGE)) == (9_994, 7_993, 111)
    assert house.risk.state.deposited == {QUOTE: 21_255, BASE: 16_993}


def test_only_what_is_available_goes(house: House) -> None:
    house.new(ALICE, BUY, 100, 10)
    assert house.withdraw(ALICE, QUOTE, 9_901) == "INSUFFICIENT_BALANCE"
    assert house.transfer(ALICE, BOB, QUOTE, 9_901) == "INSUFFICIENT_BALANCE"
    assert house.withdraw(ALICE, QUOTE, 9_900) == "NONE"
    assert house.purse(ALICE) == Balance(0, 100)


def test_a_margin_account_keeps_what_it_needs(house: House) -> None:
    house.trade(MARGE, ALICE, 100, 100)
    house.deposit(MARGE, QUOTE, 20)
    assert house.withdraw(MARGE, QUOTE, 21) == "INSUFFICIENT_BALANCE", "120 less 10 % of 1,000"
    assert house.withdraw(MARGE, QUOTE, 20) == "NONE"
    house.trade(BOB, ALICE, 110, 1)
    house.tick()
    # 100 more by the mark, 10 more are needed; but no more than what is there in money.
    assert house.withdraw(MARGE, QUOTE, 91) == "INSUFFICIENT_BALANCE"
    assert house.withdraw(MARGE, QUOTE, 90) == "NONE"
    house.trade(BOB, ALICE, 130, 1)
    house.tick()
    assert house.withdraw(MARGE, QUOTE, 11) == "INSUFFICIENT_BALANCE"
    assert house.withdraw(MARGE, QUOTE, 10) == "NONE"


def test_funds_need_open_accounts(house: House) -> None:
    assert house.deposit(STRANGER, QUOTE, 5) == "UNKNOWN_ACCOUNT"
    assert house.transfer(ALICE, STRANGER, QUOTE, 5) == "UNKNOWN_ACCOUNT"
    assert house.transfer(STRANGER, ALICE, QUOTE, 5) == "UNKNOWN_ACCOUNT"


def test_deposits_have_a_bound(house: House) -> None:
    room = BALANCE_MAX - sum(each.get(QUOTE, 0) for each in FUNDS.values())
    assert house.deposit(ALICE, QUOTE, room + 1) == "BALANCE_OVERFLOW"
    assert house.deposit(ALICE, QUOTE, room) == "NONE"
    assert house.deposit(BOB, QUOTE, 1) == "BALANCE_OVERFLOW"
    assert house.withdraw(BOB, QUOTE, 1) == "NONE"
    assert house.deposit(BOB, QUOTE, 1) == "NONE"


def test_a_reference_is_booked_once(house: House) -> None:
    sent: dict[str, Any] = {"account": ALICE, "instrument": QUOTE, "qty_lots": 5}
    for told in ("NONE", "DUPLICATE_CLIENT_ORDER_ID"):
        assert house.told(CommandKind.FUNDS, client_order_id=b"wire 1", **sent) == told
    assert house.total(ALICE) == 10_005


# --- rules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "value", "scope", "entity", "instrument"),
    [
        (20, 1, Scope.VENUE, 0, 0),
        (38, 1, Scope.VENUE, 0, 0),
        (-1, 1, Scope.VENUE, 0, 0),
        (RuleNumber.QTY_MAX_LOTS, -1, Scope.VENUE, 0, 0),
        (RuleNumber.QTY_MAX_LOTS, (1 << 62) + 1, Scope.VENUE, 0, 0),
        (RuleNumber.COLLAR_BPS, 100_001, Scope.VENUE, 0, 0),
        (RuleNumber.KILLED, 3, Scope.VENUE, 0, 0),
        (RuleNumber.REDUCE_ONLY, 2, ACCOUNT, ALICE, 0),
        (RuleNumber.BREAKER_BPS, 1, ACCOUNT, ALICE, 0),
        (RuleNumber.KIND, 1, Scope.GROUP, 1, 0),
        (RuleNumber.TIER, 8, ACCOUNT, ALICE, 0),
        (RuleNumber.SELF_TRADE, 0, ACCOUNT, STRANGER, 0),
        (RuleNumber.GROSS_MAX_UNITS, 1, Scope.VENUE, 0, 2),
        (RuleNumber.DUPLICATE_NS, DAY_NS + 1, Scope.VENUE, 0, 0),
        (RuleNumber.TIER, 8, ACCOUNT, ACCOUNTS_MAX, 0),
    ],
)
def test_rules_that_there_are_not(
    house: House, number: int, value: int, scope: int, entity: int, instrument: int
) -> None:
    place = {"instrument": instrument} if scope != Scope.SYMBOL else {}
    assert house.rule(number, value, scope, entity, **place) == "BAD_RULE"


def test_accounts_and_groups_have_numbers(house: House) -> None:
    for scope in (ACCOUNT, Scope.GROUP):
        last = ACCOUNTS_MAX - 1
        assert house.rule(RuleNumber.QTY_MAX_LOTS, 1, scope, last) == "NONE"
        assert house.rule(RuleNumber.QTY_MAX_LOTS, 1, scope, last + 1) == "UNKNOWN_ACCOUNT"
    assert house.rule(RuleNumber.QTY_MAX_LOTS, 0, Scope.VENUE, ACCOUNTS_MAX) == "NONE"


def test_an_account_is_prepared_and_opened(house: House) -> None:
    assert house.new(STRANGER, BUY, 100, 1) == "UNKNOWN_ACCOUNT"
    prepared = {
        RuleNumber.KIND: 1,
        RuleNumber.TIER: 3,
        RuleNumber.GROUP: ALICE,
        RuleNumber.SELF_TRADE: Prevention.NEWEST,
        RuleNumber.OPEN: 0,
    }
    for number, value in prepared.items():
        assert house.rule(number, value, ACCOUNT, STRANGER) == "NONE"
    assert house.new(STRANGER, BUY, 100, 1) == "UNKNOWN_ACCOUNT"
    assert house.rule(RuleNumber.OPEN, 1, ACCOUNT, STRANGER) == "NONE"
    assert house.new(STRANGER, BUY, 100, 1) == "INITIAL_MARGIN"
    house.deposit(STRANGER, QUOTE, 100)
    assert house.new(ALICE, SELL, 100, 1) == "NONE"
    assert house.new(STRANGER, BUY, 100, 1) == "NONE"
    assert house.holding(ALICE) == (0, 0), "it does not trade with its group"
    for number, value in prepared.items():
        told = "NONE" if number == RuleNumber.TIER else "RULE_FORBIDDEN"
        assert house.rule(number, value, ACCOUNT, STRANGER) == told
    assert house.rule(RuleNumber.OPEN, 1, ACCOUNT, STRANGER) == "NONE"


def test_states_are_for_risk_to_set(house: House) -> None:
    for number in (RuleNumber.MARGIN_STATE, RuleNumber.LOSS_STATE):
        assert house.rule(number, 1, ACCOUNT, MARGE) == "RULE_FORBIDDEN"
        assert house.rule(number, 0, ACCOUNT, MARGE) == "RULE_FORBIDDEN"
        for value in (0, 1):
            assert house.rule(number, value, ACCOUNT, MARGE, source=RISK) == "NOT_IN_BREACH"
    assert house.rule(RuleNumber.LOSS_STATE, 2, ACCOUNT, MARGE, source=RISK) == "BAD_RULE"


def test_rules_of_the_configuration_are_in_force_at_once() -> None:
    house = House(rules=initial((Scope.GROUP, ALICE, 0, RuleNumber.QTY_MAX_LOTS, 5)))
    assert house.new(ALICE, BUY, 100, 6) == "QUANTITY_ABOVE_MAX"
    assert house.new(BOB, BUY, 100, 6) == "NONE"


# --- switches ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "entity"), [(ACCOUNT, ALICE), (Scope.GROUP, 7), (Scope.SYMBOL, 0), (Scope.VENUE, 0)]
)
def test_whoever_is_killed_may_only_cancel(scope: int, entity: int) -> None:
    house = House(groups={ALICE: 7})
    for _ in range(3):
        house.new(ALICE, BUY, 90, 1)
    assert house.rule(RuleNumber.KILLED, 1, scope, entity) == "NONE"
    assert house.new(ALICE, BUY, 90, 1) == "KILLED"
    assert house.check(ALICE, BUY, 90, 1) == "KILLED"
    assert house.amend(ALICE, 1, 89, 1) == "KILLED"
    assert house.cancel(ALICE, 1) == "NONE"
    assert house.act() == []
    assert house.rule(RuleNumber.KILLED, 2, scope, entity) == "NONE"
    assert house.act() == ["mass_cancel 1/0 0"]
    assert not house.risk.holds
    assert house.rule(RuleNumber.KILLED, 0, scope, entity) == "NONE"
    assert house.new(ALICE, BUY, 90, 1) == "NONE"
    assert house.act() == []


def test_the_orders_of_others_live_on() -> None:
    house = House()
    house.new(ALICE, BUY, 90, 1)
    house.new(BOB, BUY, 90, 1)
    house.rule(RuleNumber.KILLED, 2, ACCOUNT, ALICE)
    assert house.act() == ["mass_cancel 1/0 0"]
    assert list(house.risk.holds) == [2]
    house.rule(RuleNumber.KILLED, 2, Scope.GROUP, BOB)
    house.cancel(BOB, 2)
    assert house.act() == [], "he was faster"


@pytest.mark.parametrize(("scope", "entity"), [(ACCOUNT, ALICE), (Scope.GROUP, 7)])
def test_a_list_of_restricted_instruments(scope: int, entity: int) -> None:
    house = House(*[House().venue.risk.state.instruments[0]] * 2, groups={ALICE: 7})
    house.new(ALICE, BUY, 90, 1, instrument=1)
    assert house.rule(RuleNumber.RESTRICTED, 1, scope, entity, instrument=1) == "NONE"
    assert house.new(ALICE, BUY, 90, 1, instrument=1) == "RESTRICTED"
    assert house.new(ALICE, BUY, 90, 1, instrument=0) == "NONE"
    assert house.new(BOB, BUY, 90, 1, instrument=1) == "NONE"
    assert house.amend(ALICE, 1, 89, 1, instrument=1) == "NONE", "not for amendments"
    assert house.rule(RuleNumber.RESTRICTED, 0, scope, entity, instrument=1) == "NONE"
    assert house.new(ALICE, BUY, 90, 1, instrument=1) == "NONE"


def test_a_restricted_instrument(house: House) -> None:
    house.rule(RuleNumber.RESTRICTED, 1, Scope.SYMBOL, 0)
    assert house.new(INSURANCE, BUY, 90, 1) == "RESTRICTED"
    house.rule(RuleNumber.RESTRICTED, 0, Scope.SYMBOL, 0)
    house.rule(RuleNumber.RESTRICTED, 1, Scope.VENUE)
    assert house.new(INSURANCE, BUY, 90, 1) == "RESTRICTED"
