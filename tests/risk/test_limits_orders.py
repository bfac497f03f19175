"""Limits of one order by itself just inside and just outside: quantity, value, price."""

from collections.abc import Callable
from typing import Any

import pytest

from engine.instruments import CollarReference
from engine.messages import CommandFlag, Scope, Trigger
from engine.rules import RuleNumber
from tests.risk.pit import (
    ALICE,
    BASE,
    BOB,
    BUY,
    CAROL,
    FRIENDS,
    MARGE,
    MARKET,
    PLAIN,
    QUOTE,
    REACHES,
    SELL,
    Pit,
    Reach,
)

pytestmark = pytest.mark.interpreted

at_every_scope = pytest.mark.parametrize("reach", REACHES.values(), ids=REACHES)
Pits = Callable[..., Pit]
SETTINGS = [("account", 30), ("group", 10), ("symbol", 20), ("venue", 40)]
"""Values of an own rule of which the group's is the strictest, then the symbol's."""


def buy(pit: Pit, place: tuple[int, int], price: int, lots: int, **fields: Any) -> str:
    """A purchase of an account in an instrument."""
    return pit.new(place[0], BUY, price, lots, instrument=place[1], **fields)


# --- quantity ------------------------------------------------------------------------------------


@at_every_scope
def test_the_largest_quantity(pit: Pit, reach: Reach) -> None:
    assert pit.rule(RuleNumber.QTY_MAX_LOTS, 10, *reach[:2]) == "NONE"
    for place in ((ALICE, 0), reach.inside):
        assert buy(pit, place, 10, 11) == "QUANTITY_ABOVE_MAX"
        assert buy(pit, place, 10, 10) == "NONE"
    order = pit.order_id
    assert pit.amend(order, 10, 11) == "QUANTITY_ABOVE_MAX"
    assert pit.amend(order, 11, 10) == "NONE"
    assert buy(pit, (ALICE, 0), 0, 11, **MARKET) == "QUANTITY_ABOVE_MAX"
    assert buy(pit, (ALICE, 0), 0, 10, **MARKET) == "NONE"
    assert reach.outside is None or buy(pit, reach.outside, 10, 11) == "NONE"
    pit.rule(RuleNumber.QTY_MAX_LOTS, 0, *reach[:2])
    assert pit.amend(order, 10, 11) == "NONE"


def test_of_several_quantities_the_strictest_counts(pit: Pit) -> None:
    for name, lots in SETTINGS:
        pit.rule(RuleNumber.QTY_MAX_LOTS, lots, *REACHES[name][:2])
    for place, lots in (((ALICE, 0), 10), ((BOB, 1), 10), ((CAROL, 0), 20), ((CAROL, 1), 40)):
        assert buy(pit, place, 10, lots + 1) == "QUANTITY_ABOVE_MAX"
        assert buy(pit, place, 10, lots) == "NONE"


def test_the_quantity_of_the_instrument(pit: Pit) -> None:
    pit.rule(RuleNumber.QTY_MAX_LOTS, 2_000)
    assert pit.new(ALICE, BUY, 10, 1_001) == "QUANTITY_ABOVE_MAX"
    assert pit.new(ALICE, BUY, 10, 1_000) == "NONE"


# --- what leaves int64 ---------------------------------------------------------------------------

HUGE = PLAIN._replace(
    qty_max_lots=1 << 53, price_max_ticks=1 << 40, initial_bps=0, maintenance_bps=0
)
RICH = {ALICE: {QUOTE: 10**18}, 7: {}, 8: {}}


def test_base_units_that_leave_int64(pits: Pits) -> None:
    """2^63 - 1 is 922,337,203,685,477 times 10,000, and 5,807."""
    terms = HUGE._replace(base_units_per_lot=10_000, qty_max_lots=1_000)
    pit = pits(terms, balances=RICH, groups={}, kinds={})
    pit.floor.set_term("qty_max_lots", 1 << 53)
    assert pit.new(ALICE, BUY, 1, 922_337_203_685_478) == "NOTIONAL_OVERFLOW"
    assert pit.new(ALICE, SELL, 1, 922_337_203_685_478) == "NOTIONAL_OVERFLOW"
    assert pit.new(ALICE, BUY, 0, 922_337_203_685_478, **MARKET) == "NOTIONAL_OVERFLOW"
    assert pit.new(ALICE, BUY, 1, 922_337_203_685_477) == "NONE"
    assert pit.amend(pit.order_id, 1, 922_337_203_685_478) == "NOTIONAL_OVERFLOW"
    assert pit.purse(ALICE).reserved == 92_233_720_368_548


def test_a_value_that_leaves_int64(pits: Pits) -> None:
    """2^53 lots at 1,024 are 2^63; what they cost is a tenth of it."""
    pit = pits(HUGE, balances=RICH, groups={}, kinds={})
    assert pit.new(ALICE, BUY, 1_024, 1 << 53) == "NOTIONAL_OVERFLOW"
    assert pit.new(ALICE, BUY, 1_023, 1 << 53) == "NONE"
    assert pit.amend(pit.order_id, 1_024, 1 << 53) == "NOTIONAL_OVERFLOW"
    assert pit.purse(ALICE).reserved == 921_436_483_760_003_482


def test_a_market_purchase_gets_no_price_whose_value_leaves_int64(pits: Pits) -> None:
    pit = pits(HUGE, balances=RICH, groups={}, kinds={})
    assert pit.new(ALICE, BUY, 0, 1 << 53, **MARKET) == "NONE"
    assert pit.live[1]["price_ticks"] == 1_023


def test_multiplied_lots_of_a_market_order_that_leave_int64(pits: Pits) -> None:
    terms = HUGE._replace(notional_multiplier=10_000, notional_divisor=1, base_units_per_lot=1)
    pit = pits(terms, balances=RICH, groups={}, kinds={})
    assert pit.new(ALICE, BUY, 0, 922_337_203_685_478, **MARKET) == "NOTIONAL_OVERFLOW"
    assert pit.new(ALICE, BUY, 0, 922_337_203_685_477, **MARKET) == "INSUFFICIENT_BALANCE"


# --- value ---------------------------------------------------------------------------------------


@at_every_scope
def test_the_largest_value(pit: Pit, reach: Reach) -> None:
    """Five lots at 100 cost 50 units, at 101 they cost 50.5, which is 51."""
    pit.rule(RuleNumber.NOTIONAL_MAX_UNITS, 50, *reach[:2])
    for place in ((ALICE, 0), reach.inside):
        assert buy(pit, place, 101, 5) == "NOTIONAL_ABOVE_MAX"
        assert buy(pit, place, 100, 5) == "NONE"
    order = pit.order_id
    assert pit.amend(order, 101, 5) == pit.amend(order, 100, 6) == "NOTIONAL_ABOVE_MAX"
    assert pit.amend(order, 50, 10) == "NONE"
    assert pit.new(ALICE, SELL, 101, 5) == "NOTIONAL_ABOVE_MAX"
    assert pit.new(ALICE, SELL, 100, 5) == "NONE"
    assert reach.outside is None or buy(pit, reach.outside, 101, 5) == "NONE"
    pit.rule(RuleNumber.NOTIONAL_MAX_UNITS, 0, *reach[:2])
    assert buy(pit, (ALICE, 0), 101, 5) == "NONE"


@at_every_scope
def test_the_largest_value_bounds_the_price_of_a_market_purchase(pit: Pit, reach: Reach) -> None:
    pit.rule(RuleNumber.NOTIONAL_MAX_UNITS, 50, *reach[:2])
    assert buy(pit, (ALICE, 0), 0, 501, **MARKET) == "NOTIONAL_ABOVE_MAX", "50.1 units at 1"
    for lots, price in ((500, 1), (7, 71), (1, 500)):
        assert buy(pit, (ALICE, 0), 0, lots, **MARKET) == "NONE"
        assert pit.live[pit.order_id]["price_ticks"] == price


def test_of_several_values_the_strictest_counts(pit: Pit) -> None:
    for name, units in SETTINGS:
        pit.rule(RuleNumber.NOTIONAL_MAX_UNITS, units, *REACHES[name][:2])
    for place, units in (((ALICE, 0), 10), ((BOB, 1), 10), ((CAROL, 0), 20), ((CAROL, 1), 40)):
        assert buy(pit, place, 10, units + 1) == "NOTIONAL_ABOVE_MAX"
        assert buy(pit, place, 10, units) == "NONE"


def test_the_value_of_the_instrument_and_of_another_asset(pits: Pits) -> None:
    pit = pits(PLAIN._replace(notional_max_units=60))
    pit.rule(RuleNumber.NOTIONAL_MAX_UNITS, 1, instrument=BASE)
    pit.rule(RuleNumber.NOTIONAL_MAX_UNITS, 70)
    assert pit.new(ALICE, BUY, 100, 7) == "NOTIONAL_ABOVE_MAX"
    assert pit.new(ALICE, BUY, 100, 6) == "NONE", "nothing is quoted in the other asset"


def test_a_value_below_zero_counts_without_its_sign(pits: Pits) -> None:
    terms = PLAIN._replace(
        price_min_ticks=-200, initial_bps=0, maintenance_bps=0, notional_min_units=20
    )
    pit = pits(terms)
    pit.rule(RuleNumber.NOTIONAL_MAX_UNITS, 50)
    for side in (BUY, SELL):
        assert pit.new(ALICE, side, -101, 5) == "NOTIONAL_ABOVE_MAX"
        assert pit.new(ALICE, side, -100, 5) == "NONE"
        assert pit.new(ALICE, side, -99, 2) == "NOTIONAL_BELOW_MIN"
        assert pit.new(ALICE, side, -100, 2) == "NONE"


def test_the_least_value(pits: Pits) -> None:
    """Rounded down: 19.9 is less than 20."""
    pit = pits(PLAIN._replace(notional_min_units=20))
    assert pit.new(ALICE, BUY, 199, 1) == "NOTIONAL_BELOW_MIN"
    assert pit.new(ALICE, BUY, 200, 1) == "NONE"
    assert pit.amend(pit.order_id, 199, 1) == "NOTIONAL_BELOW_MIN"
    assert pit.amend(pit.order_id, 100, 2) == "NONE"
    assert pit.new(ALICE, SELL, 0, 1, **MARKET) == "NOTIONAL_BELOW_MIN", "at the reference"
    assert pit.new(ALICE, SELL, 0, 2, **MARKET) == "NONE"


# --- collar --------------------------------------------------------------------------------------


@at_every_scope
@pytest.mark.parametrize(("side", "last", "beyond"), [(BUY, 110, 111), (SELL, 90, 89)])
def test_a_collar(pit: Pit, reach: Reach, side: int, last: int, beyond: int) -> None:
    """Ten percent of 100."""
    pit.rule(RuleNumber.COLLAR_BPS, 1_000, *reach[:2])
    for account, instrument in ((ALICE, 0), reach.inside):
        assert pit.new(account, side, beyond, 1, instrument=instrument) == "PRICE_COLLAR"
        assert pit.new(account, side, last, 1, instrument=instrument) == "NONE"
    order = pit.order_id
    assert pit.amend(order, beyond, 1) == "PRICE_COLLAR"
    assert pit.amend(order, last, 2) == "NONE"
    assert pit.new(ALICE, side, 0, 1, **MARKET) == "NONE"
    assert pit.live[pit.order_id]["price_ticks"] == last
    assert pit.new(ALICE, side, 200 - beyond, 1) == "PRICE_COLLAR", "too good is as far"
    if reach.outside is not None:
        account, instrument = reach.outside
        assert pit.new(account, side, beyond, 1, instrument=instrument) == "NONE"
    pit.rule(RuleNumber.COLLAR_BPS, 0, *reach[:2])
    assert pit.new(ALICE, side, beyond, 1) == "NONE"


def test_of_several_collars_the_narrowest_counts(pits: Pits) -> None:
    pit = pits(PLAIN._replace(collar_bps=5_000), PLAIN)
    assert pit.new(ALICE, BUY, 151, 1) == "PRICE_COLLAR"
    assert pit.new(ALICE, BUY, 150, 1) == "NONE"
    for name, percent in SETTINGS:
        pit.rule(RuleNumber.COLLAR_BPS, percent * 100, *REACHES[name][:2])
    for place, most in (((ALICE, 0), 110), ((BOB, 1), 110), ((CAROL, 0), 120), ((CAROL, 1), 140)):
        assert buy(pit, place, most + 1, 1) == "PRICE_COLLAR"
        assert buy(pit, place, most, 1) == "NONE"
    pit.rule(RuleNumber.COLLAR_BPS, 6_000, Scope.GROUP, FRIENDS)
    pit.rule(RuleNumber.COLLAR_BPS, 0, Scope.ACCOUNT, ALICE)
    pit.rule(RuleNumber.COLLAR_BPS, 0, Scope.SYMBOL, 0)
    pit.rule(RuleNumber.COLLAR_BPS, 0)
    assert buy(pit, (ALICE, 0), 151, 1) == "PRICE_COLLAR", "the instrument's own"


def test_a_collar_is_rounded_inwards(pits: Pits) -> None:
    """Ten percent of 105 are 10.5."""
    pit = pits(PLAIN._replace(reference_ticks=105, collar_bps=1_000))
    assert pit.new(ALICE, BUY, 116, 1) == "PRICE_COLLAR"
    assert pit.new(ALICE, BUY, 115, 1) == "NONE"
    assert pit.new(ALICE, SELL, 94, 1) == "PRICE_COLLAR"
    assert pit.new(ALICE, SELL, 95, 1) == "NONE"


def test_what_a_collar_is_around(pits: Pits) -> None:
    """The last trade at 100, the best opposite price, or the middle of 180 and 201."""
    wanted = [PLAIN._replace(collar_bps=1_000, collar_reference=each) for each in CollarReference]
    rich = {ALICE: dict.fromkeys(range(4), 10_000), 7: {}, 8: {}}
    pit = pits(*wanted, balances=rich, groups={}, kinds={})
    for instrument in range(3):
        pit.top(180, 201, instrument)
    for instrument, (low, high) in enumerate(((90, 110), (162, 221), (171, 209))):
        assert pit.new(ALICE, BUY, high + 1, 1, instrument=instrument) == "PRICE_COLLAR"
        assert pit.new(ALICE, BUY, high, 1, instrument=instrument) == "NONE"
        assert pit.new(ALICE, SELL, low - 1, 1, instrument=instrument) == "PRICE_COLLAR"
        assert pit.new(ALICE, SELL, low, 1, instrument=instrument) == "NONE"
    for instrument in (1, 2):
        pit.top(180, 0, instrument)
        assert pit.new(ALICE, BUY, 111, 1, instrument=instrument) == "PRICE_COLLAR"
        assert pit.new(ALICE, BUY, 110, 1, instrument=instrument) == "NONE", "the last one"


def test_a_trade_moves_the_collar(pit: Pit) -> None:
    pit.rule(RuleNumber.COLLAR_BPS, 1_000)
    pit.trade(ALICE, BOB, 110, 1)
    assert pit.new(ALICE, BUY, 122, 1) == "PRICE_COLLAR"
    assert pit.new(ALICE, BUY, 121, 1) == "NONE"


def test_an_order_that_waits_has_its_collar_around_its_trigger(pit: Pit) -> None:
    pit.rule(RuleNumber.COLLAR_BPS, 1_000)
    for trigger in (Trigger.STOP, Trigger.TOUCH):
        waits = {"flags": CommandFlag.TERMS, "trigger": trigger, "trigger_ticks": 200}
        assert pit.new(ALICE, BUY, 221, 1, **waits) == "PRICE_COLLAR"
        assert pit.new(ALICE, BUY, 220, 1, **waits) == "NONE"
        assert pit.new(MARGE, BUY, 0, 1, **(waits | {"order_type": 2})) == "NONE"
    waits = {"flags": CommandFlag.TERMS, "trigger": Trigger.TRAIL_TICKS, "trigger_ticks": 200}
    assert pit.new(ALICE, BUY, 111, 1, **waits) == "PRICE_COLLAR", "a distance is no price"


def test_without_a_reference_there_is_no_collar(pits: Pits) -> None:
    pit = pits(PLAIN._replace(reference_ticks=0))
    pit.rule(RuleNumber.COLLAR_BPS, 1)
    assert pit.new(ALICE, BUY, 1_000, 1) == "NONE"
    pit.trade(ALICE, BOB, 500, 1)
    assert pit.new(ALICE, BUY, 501, 1) == "PRICE_COLLAR"
    assert pit.new(ALICE, BUY, 500, 1) == "NONE"
