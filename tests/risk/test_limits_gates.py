"""Switches and counters just inside and just outside: who may trade at all, and how often."""

from collections.abc import Callable
from typing import Any

import pytest

from engine.messages import CommandKind, Scope
from engine.rules import RuleNumber
from tests.risk.pit import (
    ALICE,
    BOB,
    BUY,
    CAROL,
    DAY_NS,
    FRIENDS,
    MARKET,
    QUOTE,
    REACHES,
    SECOND_NS,
    SELL,
    Pit,
    Reach,
)

pytestmark = pytest.mark.interpreted

at_every_scope = pytest.mark.parametrize("reach", REACHES.values(), ids=REACHES)
Pits = Callable[..., Pit]


def bid(pit: Pit, place: tuple[int, int] = (ALICE, 0), price: int = 50, **fields: Any) -> str:
    """A purchase of one lot, of an account in an instrument."""
    return pit.new(place[0], BUY, price, 1, instrument=place[1], **fields)


# --- killed and restricted -----------------------------------------------------------------------


@at_every_scope
@pytest.mark.parametrize("value", [1, 2])
def test_the_kill_switch(pit: Pit, reach: Reach, value: int) -> None:
    assert bid(pit) == "NONE"
    order = pit.order_id
    assert pit.rule(RuleNumber.KILLED, value, *reach[:2]) == "NONE"
    assert bid(pit) == "KILLED"
    assert bid(pit, price=0, **MARKET) == "KILLED"
    assert bid(pit, reach.inside) == "KILLED"
    assert pit.amend(order, 51, 1) == "KILLED"
    assert reach.outside is None or bid(pit, reach.outside) == "NONE"
    if value == 2:
        assert pit.obey() == ["MASS_CANCEL of 1 in 0"]
        assert pit.purse(ALICE).reserved == (5 if reach.outside == (ALICE, 1) else 0)
    else:
        assert pit.obey() == []
        pit.cancel(order)
    assert pit.rule(RuleNumber.KILLED, 0, *reach[:2]) == "NONE"
    assert bid(pit) == "NONE"


def test_killed_at_two_scopes_is_lifted_at_both(pit: Pit) -> None:
    pit.rule(RuleNumber.KILLED, 1)
    pit.rule(RuleNumber.KILLED, 1, Scope.ACCOUNT, ALICE)
    pit.rule(RuleNumber.KILLED, 0)
    assert bid(pit) == "KILLED"
    assert bid(pit, (BOB, 0)) == "NONE"
    pit.rule(RuleNumber.KILLED, 0, Scope.ACCOUNT, ALICE)
    assert bid(pit) == "NONE"


@pytest.mark.parametrize("name", ["account", "group", "venue"])
def test_a_restricted_list_has_many_instruments(pit: Pit, name: str) -> None:
    scope, entity, inside, outside = REACHES[name]
    assert bid(pit) == "NONE"
    for instrument in (0, 1):
        told = pit.rule(RuleNumber.RESTRICTED, 1, scope, entity, instrument=instrument)
        assert told == "NONE"
    assert bid(pit) == bid(pit, inside) == "RESTRICTED"
    assert bid(pit, price=0, **MARKET) == "RESTRICTED"
    assert outside is None or bid(pit, outside) == "NONE"
    assert pit.amend(1, 51, 1) == "NONE", "what rests may be amended"
    pit.cancel(1)
    pit.rule(RuleNumber.RESTRICTED, 0, scope, entity, instrument=0)
    assert bid(pit) == "NONE"
    assert bid(pit, (ALICE, 1)) == "RESTRICTED", "the list still has the other one"


def test_a_restricted_instrument(pit: Pit) -> None:
    assert pit.rule(RuleNumber.RESTRICTED, 1, Scope.SYMBOL, 0) == "NONE"
    for account in (ALICE, BOB, CAROL):
        assert bid(pit, (account, 0)) == "RESTRICTED"
        assert bid(pit, (account, 1)) == "NONE"
    pit.rule(RuleNumber.RESTRICTED, 0, Scope.SYMBOL, 0)
    assert bid(pit) == "NONE"


def test_killed_is_said_before_restricted(pit: Pit) -> None:
    pit.rule(RuleNumber.RESTRICTED, 1, Scope.SYMBOL, 0)
    pit.rule(RuleNumber.KILLED, 1)
    assert bid(pit) == "KILLED"


# --- orders of a second --------------------------------------------------------------------------


@at_every_scope
def test_the_bucket_of_the_order_rate(pit: Pit, reach: Reach) -> None:
    """Four a second: four at once, then one more every 250 ms, to the nanosecond."""
    assert pit.rule(RuleNumber.ORDERS_PER_SECOND, 4, *reach[:2]) == "NONE"
    assert bid(pit) == bid(pit, reach.inside) == "NONE"
    order = pit.order_id
    assert pit.amend(order, 51, 1) == pit.amend(order, 52, 1) == "NONE"
    assert bid(pit) == bid(pit, reach.inside) == pit.amend(order, 53, 1) == "ORDER_RATE"
    assert reach.outside is None or bid(pit, reach.outside) == "NONE"
    pit.cancel(order)
    pit.now_ns += SECOND_NS // 4 - 1
    assert bid(pit) == "ORDER_RATE"
    pit.now_ns += 1
    assert bid(pit) == "NONE", "the refused ones did not count"
    assert bid(pit, reach.inside) == "ORDER_RATE"
    pit.now_ns += SECOND_NS
    for _ in range(4):
        assert bid(pit, reach.inside, 0, **MARKET) == "NONE", "full again, and no fuller"
    assert bid(pit) == "ORDER_RATE"
    pit.rule(RuleNumber.ORDERS_PER_SECOND, 0, *reach[:2])
    assert bid(pit) == "NONE"


@at_every_scope
def test_a_burst_of_its_own(pit: Pit, reach: Reach) -> None:
    """Three a second is one every 333,333,333 ns, rounded down; two at once."""
    pit.rule(RuleNumber.ORDERS_PER_SECOND, 3, *reach[:2])
    pit.rule(RuleNumber.ORDERS_BURST, 2, *reach[:2])
    assert bid(pit) == bid(pit, reach.inside) == "NONE"
    assert bid(pit) == "ORDER_RATE"
    pit.now_ns += 333_333_332
    assert bid(pit) == "ORDER_RATE"
    pit.now_ns += 1
    assert bid(pit) == "NONE"
    assert bid(pit) == "ORDER_RATE"
    pit.rule(RuleNumber.ORDERS_BURST, 3, *reach[:2])
    assert bid(pit) == "NONE", "one more at once"
    assert bid(pit) == "ORDER_RATE"
    pit.rule(RuleNumber.ORDERS_BURST, 0, *reach[:2])
    assert bid(pit) == "ORDER_RATE", "three again"


def test_a_burst_without_a_rate_limits_nothing(pit: Pit) -> None:
    pit.rule(RuleNumber.ORDERS_BURST, 1)
    assert bid(pit) == bid(pit) == "NONE"


def test_an_order_that_one_bucket_refuses_is_counted_in_none(pit: Pit) -> None:
    pit.rule(RuleNumber.ORDERS_PER_SECOND, 2)
    pit.rule(RuleNumber.ORDERS_PER_SECOND, 1, Scope.ACCOUNT, ALICE)
    assert bid(pit) == "NONE"
    for _ in range(3):
        assert bid(pit) == "ORDER_RATE"
    assert bid(pit, (BOB, 0)) == "NONE"
    assert bid(pit, (BOB, 0)) == "ORDER_RATE"


def test_what_later_checks_refuse_is_counted(pit: Pit) -> None:
    pit.rule(RuleNumber.ORDERS_PER_SECOND, 2)
    assert pit.new(ALICE, BUY, 50, 1_001) == "QUANTITY_ABOVE_MAX"
    assert pit.ask(99, 50, 1) == "NONE", "an order that risk does not know"
    assert bid(pit) == "ORDER_RATE"


def test_the_rate_can_be_one_a_nanosecond(pit: Pit) -> None:
    pit.rule(RuleNumber.ORDERS_PER_SECOND, 10**9)
    pit.rule(RuleNumber.ORDERS_BURST, 1)
    assert bid(pit) == "NONE"
    assert bid(pit) == "ORDER_RATE"
    pit.now_ns += 1
    assert bid(pit) == "NONE"


# --- orders of a day -----------------------------------------------------------------------------


@at_every_scope
def test_orders_of_a_day(pits: Pits, reach: Reach) -> None:
    """New orders and amendments together; the day begins at one o'clock."""
    pit = pits(day_start_ns=3_600 * SECOND_NS)
    pit.rule(RuleNumber.ORDERS_PER_DAY, 3, *reach[:2])
    assert bid(pit) == bid(pit, reach.inside) == "NONE"
    order = pit.order_id
    assert pit.amend(order, 51, 1) == "NONE"
    assert bid(pit) == bid(pit, reach.inside) == pit.amend(order, 52, 1) == "DAILY_ORDERS"
    assert bid(pit, price=0, **MARKET) == "DAILY_ORDERS"
    pit.cancel(order)
    assert reach.outside is None or bid(pit, reach.outside) == "NONE"
    pit.rule(RuleNumber.ORDERS_PER_DAY, 4, *reach[:2])
    assert bid(pit) == "NONE"
    assert bid(pit) == "DAILY_ORDERS"
    pit.now_ns += 3_600 * SECOND_NS - 1
    assert bid(pit) == "DAILY_ORDERS"
    pit.now_ns += 1
    for _ in range(4):
        assert bid(pit) == "NONE"
    assert bid(pit) == "DAILY_ORDERS"
    pit.rule(RuleNumber.ORDERS_PER_DAY, 0, *reach[:2])
    assert bid(pit) == "NONE"


def test_of_several_daily_limits_each_is_of_its_own_sum(pit: Pit) -> None:
    pit.rule(RuleNumber.ORDERS_PER_DAY, 2, Scope.ACCOUNT, ALICE)
    pit.rule(RuleNumber.ORDERS_PER_DAY, 3, Scope.GROUP, FRIENDS)
    pit.rule(RuleNumber.ORDERS_PER_DAY, 4)
    assert [bid(pit) for _ in range(3)] == ["NONE", "NONE", "DAILY_ORDERS"]
    assert [bid(pit, (BOB, 0)) for _ in range(2)] == ["NONE", "DAILY_ORDERS"]
    assert [bid(pit, (CAROL, 0)) for _ in range(2)] == ["NONE", "DAILY_ORDERS"]


def test_what_later_checks_refuse_counts_for_the_day(pit: Pit) -> None:
    pit.rule(RuleNumber.ORDERS_PER_DAY, 2)
    assert pit.new(ALICE, BUY, 50, 1_001) == "QUANTITY_ABOVE_MAX"
    assert bid(pit) == "NONE"
    assert bid(pit) == "DAILY_ORDERS"


# --- cancels -------------------------------------------------------------------------------------


@at_every_scope
def test_the_share_of_cancels(pit: Pit, reach: Reach) -> None:
    """Fifty percent: 51 cancels are too many for 100 orders and for 101, not for 102."""
    pit.rule(RuleNumber.CANCEL_RATIO_MAX, 50, *reach[:2])
    account, instrument = reach.inside
    names = {"account": account, "instrument": instrument, "order_id": 999_999}
    for _ in range(51):
        assert pit.told(CommandKind.CANCEL, **names) == "NONE"
    assert bid(pit) == "NONE", "no orders yet"
    order = pit.order_id
    for _ in range(98):
        assert pit.ask(order, 50, 1) == "NONE"
    assert bid(pit, reach.inside) == "NONE", "99 orders"
    assert bid(pit) == bid(pit, reach.inside) == "CANCEL_RATIO", "100"
    assert reach.outside is None or bid(pit, reach.outside) == "NONE"
    assert pit.ask(order, 50, 1) == "NONE", "amendments are not refused"
    assert bid(pit) == "CANCEL_RATIO", "5,100 of 5,050"
    assert pit.ask(order, 50, 1) == "NONE"
    assert bid(pit, price=0, **MARKET) == "NONE", "5,100 of 5,100"
    assert pit.told(CommandKind.CANCEL, **names) == "NONE"
    assert bid(pit) == "CANCEL_RATIO", "52 of 103"
    pit.rule(RuleNumber.CANCEL_RATIO_MAX, 51, *reach[:2])
    assert bid(pit) == "NONE", "5,200 of 5,253"
    pit.rule(RuleNumber.CANCEL_RATIO_MAX, 1, *reach[:2])
    assert bid(pit) == "CANCEL_RATIO"
    pit.now_ns += DAY_NS
    assert bid(pit) == "NONE", "another day"
    pit.rule(RuleNumber.CANCEL_RATIO_MAX, 0, *reach[:2])
    assert bid(pit) == "NONE"


# --- the same order again ------------------------------------------------------------------------


@at_every_scope
def test_the_same_order_again(pit: Pit, reach: Reach) -> None:
    pit.rule(RuleNumber.DUPLICATE_NS, 100, *reach[:2])
    assert bid(pit) == "NONE"
    pit.now_ns += 99
    assert bid(pit) == "DUPLICATE_ORDER"
    assert bid(pit, reach.inside) == ("DUPLICATE_ORDER" if reach.inside == (ALICE, 0) else "NONE")
    pit.now_ns += 1
    assert bid(pit) == "NONE"
    assert bid(pit) == "DUPLICATE_ORDER"
    pit.rule(RuleNumber.DUPLICATE_NS, 0, *reach[:2])
    assert bid(pit) == "NONE"


def test_what_makes_two_orders_the_same(pit: Pit) -> None:
    pit.rule(RuleNumber.DUPLICATE_NS, DAY_NS)
    orders = [(BUY, 51, 1), (BUY, 51, 2), (BUY, 50, 2), (SELL, 50, 2)]
    for side, price, lots in orders:
        assert pit.new(ALICE, side, price, lots) == "NONE"
        assert pit.new(BOB, side, price, lots) == "NONE", "another account"
        assert pit.new(ALICE, side, price, lots, instrument=1) == "NONE", "another instrument"
        assert pit.new(ALICE, side, price, lots) == "DUPLICATE_ORDER"
    assert pit.new(ALICE, SELL, 50, 1_001) == "QUANTITY_ABOVE_MAX"
    assert pit.new(ALICE, SELL, 50, 2) == "DUPLICATE_ORDER", "the last that was accepted"
    assert pit.new(ALICE, BUY, 51, 1) == "NONE", "only the last one counts"
    assert pit.amend(pit.order_id, 51, 1) == "NONE"
    pit.cancel(pit.order_id)
    assert pit.new(ALICE, BUY, 51, 1) == "DUPLICATE_ORDER", "also when it has ended"


def test_the_same_market_order_again(pit: Pit) -> None:
    """Its price is what the sender left there, not what risk gave it."""
    pit.rule(RuleNumber.DUPLICATE_NS, 100)
    assert bid(pit, price=0, **MARKET) == "NONE"
    assert pit.live[1]["price_ticks"] == 1_000
    pit.now_ns += 99
    assert bid(pit, price=0, **MARKET) == "DUPLICATE_ORDER"
    assert bid(pit, price=1_000) == "NONE", "another type"
    pit.now_ns += 1
    assert bid(pit, price=0, **MARKET) == "NONE"


def test_of_several_windows_the_strictest_is_the_longest(pit: Pit) -> None:
    pit.rule(RuleNumber.DUPLICATE_NS, 100)
    pit.rule(RuleNumber.DUPLICATE_NS, 200, Scope.ACCOUNT, ALICE)
    pit.rule(RuleNumber.DUPLICATE_NS, 50, Scope.GROUP, FRIENDS)
    assert bid(pit) == bid(pit, (BOB, 0)) == "NONE"
    pit.now_ns += 99
    assert bid(pit, (BOB, 0)) == "DUPLICATE_ORDER"
    pit.now_ns += 100
    assert bid(pit, (BOB, 0)) == "NONE"
    assert bid(pit) == "DUPLICATE_ORDER"
    pit.now_ns += 1
    assert bid(pit) == "NONE"


def test_a_duplicate_counts_in_rate_and_day(pit: Pit) -> None:
    pit.rule(RuleNumber.DUPLICATE_NS, 100)
    pit.rule(RuleNumber.ORDERS_PER_DAY, 2)
    assert bid(pit) == "NONE"
    assert bid(pit) == "DUPLICATE_ORDER"
    assert bid(pit, price=51) == "DAILY_ORDERS"
    assert pit.purse(ALICE, QUOTE).reserved == 5
