"""Exposure, concentration and the day's loss in the twin, just inside and just outside."""

import pytest

from engine.instruments import MarkSource
from engine.messages import Scope
from engine.rules import RuleNumber
from tests.risk.house import ALICE, BOB, BUY, MARGE, PLAIN, QUOTE, SELL, House

EXTERNAL = PLAIN._replace(mark_source=MarkSource.EXTERNAL)
SCOPES = [(Scope.ACCOUNT, ALICE), (Scope.GROUP, 7), (Scope.SYMBOL, 0), (Scope.VENUE, 0)]


@pytest.mark.parametrize(("scope", "entity"), SCOPES)
def test_gross_is_summed_at_every_scope(scope: Scope, entity: int) -> None:
    house = House(EXTERNAL, groups={ALICE: 7, BOB: 7})
    house.mark(100)
    house.trade(ALICE, BOB, 100, 10)
    house.rule(RuleNumber.GROSS_MAX_UNITS, 120 if scope == Scope.ACCOUNT else 220, scope, entity)
    assert house.new(ALICE, BUY, 90, 3) == "GROSS_EXPOSURE", "130 beside Bob's 100"
    assert house.new(ALICE, BUY, 90, 2) == "NONE"
    order = house.order_id
    assert house.amend(ALICE, order, 90, 3) == "GROSS_EXPOSURE"
    assert house.amend(ALICE, order, 91, 2) == "NONE"
    assert house.new(ALICE, SELL, 110, 20) == "NONE", "10 short at most is no more"
    assert house.new(ALICE, SELL, 110, 3) == "GROSS_EXPOSURE", "13 short"


def test_net_counts_longs_against_shorts() -> None:
    house = House(EXTERNAL)
    house.mark(100)
    house.rule(RuleNumber.NET_MAX_UNITS, 100)
    house.trade(ALICE, BOB, 100, 10)
    assert house.new(ALICE, BUY, 90, 11) == "NET_EXPOSURE"
    assert house.new(ALICE, BUY, 90, 10) == "NONE", "the venue's net is 0, 100 of purchases"
    assert house.new(BOB, SELL, 110, 10) == "NONE", "and 100 of sales"
    house.rule(RuleNumber.NET_MAX_UNITS, 220, Scope.ACCOUNT, ALICE)
    house.rule(RuleNumber.NET_MAX_UNITS, 0)
    assert house.new(ALICE, BUY, 90, 3) == "NET_EXPOSURE", "100, 100 and 30"
    assert house.new(ALICE, BUY, 90, 2) == "NONE"


def test_net_of_sales() -> None:
    house = House(EXTERNAL)
    house.mark(100)
    house.trade(ALICE, BOB, 100, 10)
    house.rule(RuleNumber.NET_MAX_UNITS, 120, Scope.ACCOUNT, ALICE)
    assert house.new(ALICE, SELL, 110, 23) == "NET_EXPOSURE", "230 less 100"
    assert house.new(ALICE, SELL, 110, 22) == "NONE"


def test_concentration() -> None:
    house = House(EXTERNAL)
    house.mark(100)
    house.withdraw(ALICE, QUOTE, 9_000)
    house.rule(RuleNumber.CONCENTRATION_BPS, 1_250)
    assert house.new(ALICE, BUY, 90, 13) == "CONCENTRATION", "130 of an equity of 1,000"
    assert house.new(ALICE, BUY, 90, 12) == "NONE"
    order = house.order_id
    house.rule(RuleNumber.CONCENTRATION_BPS, 1_300, Scope.ACCOUNT, ALICE)
    assert house.amend(ALICE, order, 90, 13) == "CONCENTRATION", "the strictest counts"
    house.rule(RuleNumber.CONCENTRATION_BPS, 1_300)
    assert house.amend(ALICE, order, 90, 13) == "NONE"


@pytest.mark.parametrize(("scope", "entity"), SCOPES)
def test_a_daily_loss_stops_what_does_not_reduce(scope: Scope, entity: int) -> None:
    house = House(EXTERNAL, groups={ALICE: 7})
    house.mark(100)
    house.trade(ALICE, BOB, 110, 10)
    if scope in (Scope.SYMBOL, Scope.VENUE):
        # Bob has won what Alice has lost: somebody outside of the rule must pay.
        house.risk.state.position_of[BOB, 0].realised -= 10
    house.mark(100)
    house.tick()
    house.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 10, scope, entity)
    assert house.new(ALICE, BUY, 50, 1) == "NONE", "a loss of 10 is not beyond it"
    house.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 9, scope, entity)
    assert house.new(ALICE, BUY, 50, 1) == "DAILY_LOSS"
    assert house.amend(ALICE, 3, 51, 1) == "DAILY_LOSS"
    assert house.amend(ALICE, 3, 49, 1) == "NONE"
    assert house.new(ALICE, SELL, 120, 10) == "NONE"


def test_the_venue_has_room_for_so_much() -> None:
    """128 positions of 2^53 are 2^60; one lot is worth that much here."""
    dear = PLAIN._replace(reference_ticks=1 << 53, notional_divisor=1, price_max_ticks=1 << 59)
    funds = {number: {QUOTE: 1 << 40} for number in range(130)}
    house = House(dear, balances=funds, kinds={}, fee_account=-1, insurance_account=-1)
    for number in range(128):
        assert house.new(number, BUY, 1, 1) == "NONE"
    assert house.new(128, BUY, 1, 1) == "EXPOSURE_OVERFLOW"


def test_a_margin_position_has_room_for_so_much() -> None:
    dear = PLAIN._replace(price_max_ticks=1 << 60, notional_divisor=1, qty_max_lots=1 << 53)
    funds = {MARGE: {QUOTE: 1 << 61}}
    house = House(dear, balances=funds, fee_account=-1, insurance_account=-1)
    assert house.new(MARGE, BUY, 1 << 59, 2) == "NONE"
    assert house.new(MARGE, BUY, 1, 1) == "EXPOSURE_OVERFLOW"


def test_open_orders_of_the_venue_have_room_for_so_much() -> None:
    """Also those of cash accounts, whatever they are worth at the mark."""
    dear = PLAIN._replace(notional_divisor=1, price_max_ticks=1 << 60, qty_max_lots=1 << 53)
    funds = {ALICE: {QUOTE: 1 << 61}, BOB: {QUOTE: 1 << 61}}
    house = House(dear, balances=funds, fee_account=-1, insurance_account=-1)
    assert house.new(ALICE, BUY, 1 << 59, 1) == "NONE"
    order = house.order_id
    assert house.new(BOB, BUY, (1 << 59) + 1, 1) == "EXPOSURE_OVERFLOW"
    assert house.new(BOB, BUY, 1 << 59, 1) == "NONE"
    assert house.amend(ALICE, order, (1 << 59) + 1, 1) == "EXPOSURE_OVERFLOW"
    assert house.new(BOB, BUY, 1, 1) == "EXPOSURE_OVERFLOW"
