"""How often orders may come, and how many a day, in the twin: at the edge of each rule."""

from typing import Any

import pytest

from engine.messages import OrderType, Scope, TimeInForce
from engine.rules import RuleNumber
from tests.risk.house import ALICE, BOB, BUY, DAY_NS, SELL, House

SCOPES = [(Scope.ACCOUNT, ALICE), (Scope.GROUP, 7), (Scope.SYMBOL, 0), (Scope.VENUE, 0)]
IOC: dict[str, Any] = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC}


@pytest.mark.parametrize(("scope", "entity"), SCOPES)
def test_orders_come_at_a_rate(scope: Scope, entity: int) -> None:
    house = House(groups={ALICE: 7, BOB: 7})
    house.now_ns = 5 * DAY_NS
    house.rule(RuleNumber.ORDERS_PER_SECOND, 4, scope, entity)
    friend = ALICE if scope == Scope.ACCOUNT else BOB
    answers = [house.new(friend, BUY, 50, 1), house.new(ALICE, BUY, 50, 1)]
    answers += [house.amend(ALICE, 2, 51, 1), house.amend(ALICE, 99, 51, 1)]
    assert answers == ["NONE", "NONE", "NONE", "UNKNOWN_ORDER"]
    assert house.new(ALICE, BUY, 50, 1) == "ORDER_RATE"
    assert house.check(ALICE, BUY, 50, 1) == "ORDER_RATE"
    assert house.cancel(ALICE, 2) == "NONE"
    house.now_ns += 250_000_000 - 1
    assert house.amend(ALICE, 1, 51, 1) == "ORDER_RATE"
    house.now_ns += 1
    assert house.check(ALICE, BUY, 50, 1) == "NONE", "and it does not count"
    assert house.new(ALICE, BUY, 50, 1001) == "QUANTITY_ABOVE_MAX", "which counts"
    assert house.new(ALICE, BUY, 50, 1) == "ORDER_RATE"
    house.rule(RuleNumber.ORDERS_BURST, 5, scope, entity)
    assert house.new(ALICE, BUY, 50, 1) == "NONE"
    assert house.new(ALICE, BUY, 50, 1) == "ORDER_RATE"


def test_an_order_that_one_scope_refuses_counts_at_none() -> None:
    house = House(groups={ALICE: 7, BOB: 7})
    house.rule(RuleNumber.ORDERS_PER_SECOND, 2)
    house.rule(RuleNumber.ORDERS_PER_SECOND, 1, Scope.ACCOUNT, ALICE)
    assert house.new(ALICE, BUY, 50, 1) == "NONE"
    assert house.new(ALICE, BUY, 50, 1) == "ORDER_RATE"
    assert house.new(BOB, BUY, 50, 1) == "NONE"
    assert house.new(BOB, BUY, 50, 1) == "ORDER_RATE"


def test_orders_of_a_day() -> None:
    house = House(day_start_ns=3_600 * 10**9)
    house.rule(RuleNumber.ORDERS_PER_DAY, 3, Scope.GROUP, ALICE)
    assert house.new(ALICE, BUY, 50, 1) == "NONE"
    assert house.amend(ALICE, 1, 51, 1) == "NONE"
    assert house.new(ALICE, BUY, 50, 1_001) == "QUANTITY_ABOVE_MAX"
    assert house.new(ALICE, BUY, 50, 1) == "DAILY_ORDERS"
    assert house.amend(ALICE, 1, 52, 1) == "DAILY_ORDERS"
    house.now_ns = 3_600 * 10**9 - 1
    assert house.new(ALICE, BUY, 50, 1) == "DAILY_ORDERS"
    house.now_ns += 1
    assert house.new(ALICE, BUY, 50, 1) == "NONE"


def test_the_share_of_cancels() -> None:
    house = House()
    house.rule(RuleNumber.CANCEL_RATIO_MAX, 50, Scope.SYMBOL, 0)
    for _ in range(51):
        house.cancel(ALICE, 77)
    for _ in range(100):
        assert house.new(ALICE, BUY, 1, 1) == "NONE", "the first hundred are free"
    assert house.new(BOB, BUY, 1, 1) == "CANCEL_RATIO", "51 cancels, 100 orders"
    assert house.amend(ALICE, 1, 2, 1) == "NONE", "amendments are free, and count"
    assert house.new(BOB, BUY, 1, 1) == "CANCEL_RATIO"
    assert house.amend(ALICE, 1, 1, 1) == "NONE"
    assert house.new(BOB, BUY, 1, 1) == "NONE", "51 of 102"


def test_the_same_order_again() -> None:
    house = House()
    house.rule(RuleNumber.DUPLICATE_NS, 100)
    house.rule(RuleNumber.DUPLICATE_NS, 200, Scope.ACCOUNT, ALICE)
    house.rule(RuleNumber.DUPLICATE_NS, 50, Scope.GROUP, ALICE)
    assert house.new(ALICE, BUY, 50, 1) == "NONE"
    house.now_ns = 199
    assert house.new(ALICE, BUY, 50, 1) == "DUPLICATE_ORDER"
    assert house.new(BOB, BUY, 50, 1) == "NONE", "another's"
    house.now_ns = 200
    assert house.new(ALICE, BUY, 50, 1) == "NONE"
    for change in ((SELL, 51, 1), (BUY, 51, 1), (BUY, 51, 2), (SELL, 51, 2)):
        assert house.new(ALICE, *change) == "NONE"
    assert house.new(ALICE, SELL, 51, 1_001) == "QUANTITY_ABOVE_MAX"
    assert house.new(ALICE, SELL, 51, 2) == "DUPLICATE_ORDER", "the last that was accepted"
    assert house.new(ALICE, BUY, 1, 3, **IOC) == "NONE"
    assert house.new(ALICE, BUY, 2, 3, **IOC) == "DUPLICATE_ORDER"
