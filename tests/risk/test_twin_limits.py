"""Each rule of the twin just inside and just outside: quantities, counts, figures at marks."""

from typing import Any

import pytest

from engine.instruments import CollarReference, MarkSource
from engine.messages import CommandFlag, CommandKind, OrderType, Scope, TimeInForce
from engine.reference import TERM_NUMBERS
from engine.rules import RULES, RuleNumber
from tests.risk.house import (
    ALICE,
    BASE,
    BOB,
    BUY,
    MARGE,
    MIKE,
    PLAIN,
    QUOTE,
    SELL,
    House,
)
from tools.twin.risk.rules import BOUNDS

EXTERNAL = PLAIN._replace(mark_source=MarkSource.EXTERNAL)
SCOPES = [(Scope.ACCOUNT, ALICE), (Scope.GROUP, 7), (Scope.SYMBOL, 0), (Scope.VENUE, 0)]
REDUCE_ONLY = {"flags": CommandFlag.REDUCE_ONLY}
MARKET: dict[str, Any] = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC}


def house_of_a_group(*instruments: Any, **accounts: Any) -> House:
    """Alice and Bob are of group 7."""
    return House(*instruments, **({"groups": {ALICE: 7, BOB: 7}} | accounts))


def test_the_rules_have_the_bounds_that_the_engine_reads() -> None:
    assert {rule.number: (set(rule.scopes), rule.least, rule.most) for rule in RULES.values()} == {
        number: (set(bounds.scopes), bounds.least, bounds.most) for number, bounds in BOUNDS.items()
    }


# --- own rules: the strictest that is on ---------------------------------------------------------


@pytest.mark.parametrize(("scope", "entity"), SCOPES)
def test_an_own_rule_counts_at_every_scope(scope: Scope, entity: int) -> None:
    house = house_of_a_group()
    assert house.rule(RuleNumber.QTY_MAX_LOTS, 10, scope, entity) == "NONE"
    assert house.new(ALICE, BUY, 10, 11) == "QUANTITY_ABOVE_MAX"
    assert house.new(ALICE, BUY, 10, 10) == "NONE"
    assert house.amend(ALICE, 2, 10, 11) == "QUANTITY_ABOVE_MAX"
    assert house.rule(RuleNumber.QTY_MAX_LOTS, 0, scope, entity) == "NONE"
    assert house.new(ALICE, BUY, 10, 11) == "NONE"


def test_of_several_own_rules_the_strictest_counts() -> None:
    house = house_of_a_group()
    for lots, (scope, entity) in zip((30, 10, 20, 40), SCOPES, strict=True):
        house.rule(RuleNumber.QTY_MAX_LOTS, lots, scope, entity)
    assert house.new(ALICE, BUY, 10, 11) == "QUANTITY_ABOVE_MAX"
    assert house.new(MIKE, BUY, 10, 11) == "NONE", "another account, another group"
    assert house.new(MIKE, BUY, 10, 21) == "QUANTITY_ABOVE_MAX"


def test_the_largest_notional_is_of_an_asset() -> None:
    house = House()
    house.rule(RuleNumber.NOTIONAL_MAX_UNITS, 10, instrument=BASE)
    assert house.new(ALICE, BUY, 100, 5) == "NONE", "nothing is quoted in that asset"
    house.rule(RuleNumber.NOTIONAL_MAX_UNITS, 50)
    assert house.new(ALICE, BUY, 101, 5) == "NOTIONAL_ABOVE_MAX", "50.5"
    assert house.new(ALICE, BUY, 100, 5) == "NONE"
    house.rule(RuleNumber.NOTIONAL_MAX_UNITS, 49, Scope.SYMBOL, 0)
    assert house.new(ALICE, BUY, 100, 5) == "NOTIONAL_ABOVE_MAX"


@pytest.mark.parametrize(
    ("account", "side", "price"), [(ALICE, BUY, 110), (ALICE, SELL, 90), (MARGE, BUY, 110)]
)
def test_a_collar_bounds_limits_and_gives_market_orders_theirs(
    account: int, side: int, price: int
) -> None:
    house = House(PLAIN._replace(collar_bps=2_000))
    house.rule(RuleNumber.COLLAR_BPS, 1_000)
    beyond = price + (1 if side == BUY else -1)
    assert house.new(account, side, beyond, 1) == "PRICE_COLLAR"
    assert house.new(account, side, price, 1) == "NONE"
    assert house.new(account, side, 0, 1, **MARKET) == "NONE"
    assert house.audit.lives[house.order_id].price_ticks == price


def test_the_reference_of_a_collar() -> None:
    told = [PLAIN._replace(collar_bps=1_000, collar_reference=each) for each in CollarReference]
    house = House(*told)
    house.risk.state.tops = {0: (180, 200), 1: (180, 200), 2: (180, 201)}
    for index, most in enumerate((110, 220, 209)):
        assert house.new(ALICE, BUY, most + 1, 1, instrument=index) == "PRICE_COLLAR"
        assert house.new(ALICE, BUY, most, 1, instrument=index) == "NONE"
    house.deposit(ALICE, 2, 400)
    assert house.new(ALICE, SELL, 161, 1, instrument=1) == "PRICE_COLLAR"
    assert house.new(ALICE, SELL, 162, 1, instrument=1) == "NONE"
    house.risk.state.tops[1] = (180, None)
    assert house.new(ALICE, BUY, 111, 1, instrument=1) == "PRICE_COLLAR"


@pytest.mark.parametrize(("side", "number"), [(BUY, 2), (SELL, 3)])
def test_how_long_or_short_a_position_may_become(side: int, number: int) -> None:
    house = House()
    told = "POSITION_LONG" if side == BUY else "POSITION_SHORT"
    away, price = (1 - side, 100)
    house.rule(number, 10, Scope.ACCOUNT, ALICE)
    assert house.new(BOB, away, price, 4) == "NONE"
    assert house.new(ALICE, side, price, 4) == "NONE"
    assert house.new(ALICE, side, price, 4) == "NONE"
    assert house.new(ALICE, side, price, 3) == told, "4 and 4 open"
    assert house.new(ALICE, side, price, 2) == "NONE"
    assert house.amend(ALICE, 3, price, 5) == told
    assert house.amend(ALICE, 3, price, 4) == "NONE"
    assert house.new(BOB, side, price, 11) == "NONE", "another's rule"


# --- counts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scope", "entity"), SCOPES)
def test_live_orders_are_counted_at_every_scope(scope: Scope, entity: int) -> None:
    house = house_of_a_group()
    house.rule(RuleNumber.OPEN_ORDERS_MAX, 2, scope, entity)
    friend = ALICE if scope == Scope.ACCOUNT else BOB
    assert house.new(ALICE, BUY, 50, 1) == "NONE"
    assert house.new(friend, BUY, 50, 1) == "NONE"
    assert house.new(ALICE, BUY, 50, 1) == "OPEN_ORDERS"
    assert house.amend(ALICE, 1, 51, 2) == "NONE"
    house.cancel(friend, 2)
    assert house.new(ALICE, BUY, 50, 1) == "NONE"


@pytest.mark.parametrize(("scope", "entity"), SCOPES)
def test_open_notional_is_summed_at_every_scope(scope: Scope, entity: int) -> None:
    house = house_of_a_group()
    house.rule(RuleNumber.OPEN_NOTIONAL_MAX_UNITS, 100, scope, entity)
    friend = ALICE if scope == Scope.ACCOUNT else BOB
    assert house.new(ALICE, BUY, 101, 5) == "NONE", "51 units"
    assert house.new(friend, SELL, 102, 5) == "OPEN_NOTIONAL", "51 more"
    assert house.new(friend, SELL, 120, 4) == "NONE", "48"
    assert house.amend(ALICE, 1, 101, 6) == "OPEN_NOTIONAL", "61"
    assert house.amend(ALICE, 1, 104, 5) == "NONE", "52"
    assert house.amend(ALICE, 1, 50, 5) == "NONE", "less"


def test_rooms_end() -> None:
    house = House(orders_max=2, positions_max=1)
    assert house.new(ALICE, BUY, 50, 1) == "NONE"
    assert house.new(BOB, BUY, 50, 1) == "TOO_MANY_POSITIONS"
    assert house.new(ALICE, BUY, 50, 1) == "NONE"
    assert house.new(BOB, BUY, 50, 1) == "TOO_MANY_ORDERS"


# --- reducing ------------------------------------------------------------------------------------


def test_reduce_only() -> None:
    house = House()
    assert house.new(ALICE, SELL, 120, 1, **REDUCE_ONLY) == "REDUCE_ONLY", "no position"
    house.trade(ALICE, BOB, 100, 10)
    assert house.new(ALICE, BUY, 90, 1, **REDUCE_ONLY) == "REDUCE_ONLY"
    assert house.new(ALICE, SELL, 120, 11, **REDUCE_ONLY) == "REDUCE_ONLY"
    assert house.new(ALICE, SELL, 120, 4) == "NONE"
    assert house.new(ALICE, SELL, 120, 7, **REDUCE_ONLY) == "REDUCE_ONLY"
    assert house.new(ALICE, SELL, 120, 5, **REDUCE_ONLY) == "NONE"
    reducing = house.order_id
    assert house.new(ALICE, SELL, 120, 2) == "REDUCE_ONLY", "beside a reduce-only order"
    assert house.new(ALICE, BUY, 90, 2) == "NONE"
    assert house.amend(ALICE, reducing, 120, 7) == "REDUCE_ONLY"
    assert house.amend(ALICE, reducing, 120, 6) == "NONE"
    assert house.amend(ALICE, reducing - 2, 120, 5) == "REDUCE_ONLY", "it would turn the position"
    house.cancel(ALICE, reducing)
    assert house.amend(ALICE, reducing - 2, 120, 50) == "NONE"


@pytest.mark.parametrize(("scope", "entity"), SCOPES)
def test_everybody_may_be_made_to_reduce(scope: Scope, entity: int) -> None:
    house = house_of_a_group()
    house.trade(ALICE, BOB, 100, 10)
    house.rule(RuleNumber.REDUCE_ONLY, 1, scope, entity)
    assert house.new(ALICE, SELL, 120, 11) == "REDUCE_ONLY"
    assert house.new(ALICE, SELL, 120, 10) == "NONE"
    assert house.amend(ALICE, house.order_id, 120, 11) == "REDUCE_ONLY"


# --- margin --------------------------------------------------------------------------------------


def test_only_marginable_instruments_trade_on_margin() -> None:
    house = House(PLAIN._replace(initial_bps=0, maintenance_bps=0))
    assert house.new(MARGE, BUY, 100, 1) == "NOT_MARGINABLE"
    assert house.new(ALICE, BUY, 100, 1) == "NONE"
    house = House()
    house.trade(MARGE, ALICE, 100, 10)
    house.told(CommandKind.INSTRUMENT, order_id=TERM_NUMBERS["maintenance_bps"])
    house.told(CommandKind.INSTRUMENT, order_id=TERM_NUMBERS["initial_bps"])
    assert house.new(MARGE, SELL, 100, 11) == "NOT_MARGINABLE"
    assert house.new(MARGE, SELL, 100, 10) == "NONE", "what is there may be closed"


def test_short_selling() -> None:
    house = House(PLAIN._replace(short_selling=0))
    assert house.new(MARGE, SELL, 100, 1) == "SHORT_SELLING"
    house.trade(MARGE, ALICE, 100, 10)
    assert house.new(MARGE, SELL, 110, 6) == "NONE"
    assert house.new(MARGE, SELL, 110, 5) == "SHORT_SELLING"
    assert house.new(MARGE, SELL, 110, 4) == "NONE"
    assert house.amend(MARGE, house.order_id, 110, 5) == "SHORT_SELLING"
    assert house.new(BOB, SELL, 110, 1) == "NONE"


def test_a_mark_is_needed_where_something_is_valued() -> None:
    house = House(PLAIN._replace(reference_ticks=0))
    assert house.new(MARGE, BUY, 100, 1) == "NO_MARK_PRICE"
    assert house.new(ALICE, BUY, 100, 1) == "NONE"
    for number in (34, 35, 36, 37):
        house.rule(number, 1, Scope.GROUP, ALICE)
        assert house.new(ALICE, BUY, 100, 1) == "NO_MARK_PRICE"
        assert house.new(BOB, BUY, 100, 1) == "NONE"
        house.rule(number, 0, Scope.GROUP, ALICE)


def test_initial_margin() -> None:
    house = House()
    assert house.new(MARGE, BUY, 100, 101) == "INITIAL_MARGIN", "10 % of 1,010 is 101"
    assert house.new(MARGE, BUY, 100, 100) == "NONE"
    assert house.new(MARGE, SELL, 100, 101) == "INITIAL_MARGIN"
    order = house.order_id
    assert house.amend(MARGE, order, 100, 101) == "INITIAL_MARGIN"
    assert house.amend(MARGE, order, 101, 100) == "INITIAL_MARGIN", "10 units above the mark"
    house.deposit(MARGE, QUOTE, 10)
    assert house.amend(MARGE, order, 101, 100) == "NONE"
    assert house.cancel(MARGE, order) == "NONE"
    house.rule(RuleNumber.LEVERAGE_MAX, 5)
    assert house.new(MARGE, BUY, 100, 56) == "INITIAL_MARGIN", "20 % of 560"
    assert house.new(MARGE, BUY, 100, 55) == "NONE"


def test_reducing_orders_need_no_margin() -> None:
    house = House(EXTERNAL)
    house.trade(MARGE, ALICE, 100, 100)
    house.mark(91)
    house.tick()
    assert house.new(MARGE, BUY, 91, 1) == "INITIAL_MARGIN"
    assert house.new(MARGE, SELL, 91, 101) == "INITIAL_MARGIN"
    assert house.new(MARGE, SELL, 91, 100) == "NONE"


# --- all of them ----------------------------------------------------------------------------------


def test_reasons_come_in_the_order_of_the_table() -> None:
    """One order that nothing allows: each time the first rule that refuses is lifted."""
    house = House(PLAIN._replace(collar_bps=10, notional_min_units=2, reference_ticks=0))
    account = (Scope.ACCOUNT, MARGE)
    house.rule(RuleNumber.ORDERS_PER_DAY, 1, *account)
    house.rule(RuleNumber.DUPLICATE_NS, 10, *account)
    house.rule(RuleNumber.RESTRICTED, 1, Scope.SYMBOL, 0)
    house.rule(RuleNumber.KILLED, 1, *account)
    limits = ("QTY_MAX_LOTS", "NOTIONAL_MAX_UNITS", "OPEN_NOTIONAL_MAX_UNITS", "LONG_MAX_LOTS")
    for name in limits:
        house.rule(RuleNumber[name], 1, *account)
    house.rule(RuleNumber.REDUCE_ONLY, 1, *account)
    expected = (
        ("KILLED", RuleNumber.KILLED),
        ("RESTRICTED", RuleNumber.RESTRICTED),
        ("QUANTITY_ABOVE_MAX", RuleNumber.QTY_MAX_LOTS),
        ("DAILY_ORDERS", RuleNumber.ORDERS_PER_DAY),
        ("NOTIONAL_ABOVE_MAX", RuleNumber.NOTIONAL_MAX_UNITS),
        ("OPEN_NOTIONAL", RuleNumber.OPEN_NOTIONAL_MAX_UNITS),
        ("REDUCE_ONLY", RuleNumber.REDUCE_ONLY),
        ("POSITION_LONG", RuleNumber.LONG_MAX_LOTS),
        ("NO_MARK_PRICE", None),
    )
    for told, number in expected:
        assert house.new(MARGE, BUY, 100, 5) == told
        if number is not None:
            scope = (Scope.SYMBOL, 0) if number == RuleNumber.RESTRICTED else account
            assert house.rule(number, 0, *scope) == "NONE"
