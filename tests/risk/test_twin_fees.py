"""The twin's fees against numbers made by hand: rates, rebates, rounding, what is reserved."""

from typing import Any

import pytest

from engine.instruments import FeeAsset
from engine.messages import CommandFlag, CommandKind, OrderType, Phase, TimeInForce
from engine.reference import TERM_NUMBERS
from engine.rules import RuleNumber
from tests.risk.house import (
    ALICE,
    BASE,
    BOB,
    BUY,
    FEES,
    MARGE,
    PLAIN,
    QUOTE,
    SELL,
    House,
)
from tools.twin import Balance, Command
from tools.twin.risk.money import fee, fee_at_most, payable


@pytest.mark.parametrize(
    ("units", "rate", "paid"),
    [
        (99, 10_000, 0),
        (100, 10_000, 1),
        (199, 10_000, 1),
        (-199, 10_000, 1),
        (199, -10_000, -1),
        (-99, -10_000, 0),
        (10**18, 32_767, 32_767 * 10**12),
    ],
)
def test_a_fee_is_rounded_toward_zero(units: int, rate: int, paid: int) -> None:
    assert fee(units, rate) == paid


def test_what_is_reserved_for_a_fee_is_rounded_up() -> None:
    assert [fee_at_most(units, 10_000) for units in (0, 1, 100, 101)] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("available", "rate", "cost"),
    [
        (0, 20_000, 0),
        (1_000, 0, 1_000),
        (1_000, 20_000, 980),
        (1_020, 20_000, 1_000),
        (1_019, 20_000, 999),
        # 10^15 times a million leaves int64: the fee is taken of all that is there.
        (10**15, 20_000, 10**15 - 2 * 10**13),
    ],
)
def test_what_can_be_paid_with_its_fee(available: int, rate: int, cost: int) -> None:
    assert payable(available, rate) == cost
    assert cost + fee_at_most(cost, rate) <= available


# --- trades --------------------------------------------------------------------------------------

TIERS = PLAIN._replace(
    maker_rates=(-10_000, 10_000) + (0,) * 6,
    taker_rates=(20_000, 30_000) + (0,) * 6,
)
"""Tier 0 is paid 1 % for resting and pays 2 % for coming in; tier 1 pays 1 % and 3 %."""


def test_both_sides_pay_their_rate() -> None:
    house = House(TIERS)
    house.trade(ALICE, BOB, 100, 25)
    # 250 units: Alice comes in and pays 5, Bob is paid 2.5, rounded toward zero.
    assert house.total(ALICE) == 10_000 - 250 - 5
    assert house.total(BOB) == 10_000 + 250 + 2
    assert house.total(FEES) == 1_000 + 5 - 2
    assert house.position(ALICE).realised == -5
    assert house.position(BOB).realised == 2


def test_a_tier_has_its_own_rates() -> None:
    house = House(TIERS, tiers={BOB: 1})
    house.trade(ALICE, BOB, 100, 25)
    assert house.total(BOB) == 10_000 + 250 - 2
    assert house.rule(RuleNumber.TIER, 1, 4, ALICE) == "NONE"
    house.trade(ALICE, BOB, 100, 25)
    assert house.total(ALICE) == 10_000 - 250 - 5 - 250 - 7


def test_the_rates_stay_with_the_order() -> None:
    house = House(TIERS)
    house.new(BOB, SELL, 100, 50)
    house.rule(RuleNumber.TIER, 1, 4, BOB)
    changed = {"order_id": TERM_NUMBERS["maker_rates[0]"], "qty_lots": 30_000}
    assert house.told(CommandKind.INSTRUMENT, **changed) == "NONE"
    house.new(ALICE, BUY, 100, 25)
    assert house.total(BOB) == 10_000 + 250 + 2
    assert house.amend(BOB, 1, 101, 50) == "NONE"
    house.new(ALICE, BUY, 101, 25)
    assert house.total(BOB) == 10_000 + 250 + 2 + 252 + 2, "252 at a rebate of 1 %"


def test_in_an_auction_both_pay_as_resting_orders() -> None:
    house = House(TIERS._replace(phase=Phase.PRE_OPEN))
    house.audit = type(house.audit)({0: Phase.PRE_OPEN})
    house.trade(ALICE, BOB, 100, 25)
    house.told(CommandKind.PHASE, phase=Phase.CONTINUOUS, flags=CommandFlag.TERMS)
    assert house.total(ALICE) == 10_000 - 250 + 2
    assert house.total(BOB) == 10_000 + 250 + 2
    assert house.total(FEES) == 1_000 - 4


def test_the_fee_account_pays_nothing_itself() -> None:
    house = House(TIERS)
    house.trade(FEES, BOB, 100, 25)
    assert house.total(FEES) == 1_000 - 250 - 2, "Bob's rebate"
    house.new(FEES, BUY, 100, 10)
    assert house.purse(FEES).reserved == 100


def test_without_a_fee_account_nobody_pays() -> None:
    house = House(TIERS, fee_account=-1)
    house.trade(ALICE, BOB, 100, 25)
    assert (house.total(ALICE), house.total(BOB)) == (9_750, 10_250)


def test_margin_accounts_pay_out_of_what_they_have() -> None:
    house = House(TIERS)
    house.trade(MARGE, BOB, 100, 25)
    assert (house.total(MARGE), house.position(MARGE).realised) == (95, -5)
    house.trade(BOB, MARGE, 120, 25)
    assert house.total(MARGE) == 95 + 50 + 3, "she rested: 1 % of 300 is a rebate"
    assert house.position(MARGE).realised == 48


# --- reservations --------------------------------------------------------------------------------


def test_a_purchase_reserves_the_larger_rate_rounded_up() -> None:
    house = House(TIERS)
    house.new(ALICE, BUY, 101, 5)
    assert house.purse(ALICE) == Balance(10_000 - 53, 53), "ceil(50.5), and ceil(1.02)"
    house.new(BOB, SELL, 101, 2)
    # 20 paid for two, a rebate of nothing; 31 and 1 for the other three.
    assert house.purse(ALICE) == Balance(10_000 - 20 - 32, 32)
    house.cancel(ALICE, 1)
    assert house.purse(ALICE) == Balance(9_980, 0)


def test_a_rebate_is_not_reserved_with() -> None:
    house = House(TIERS._replace(taker_rates=(-20_000,) * 8))
    house.new(ALICE, BUY, 100, 5)
    assert house.purse(ALICE).reserved == 50


def test_many_fills_cost_no_more_than_was_reserved() -> None:
    house = House(TIERS._replace(taker_rates=(32_767,) * 8))
    house.withdraw(ALICE, QUOTE, 10_000 - 521)
    assert house.new(ALICE, BUY, 101, 50) == "INSUFFICIENT_BALANCE", "505 and 17 are 522"
    house.deposit(ALICE, QUOTE, 1)
    for _ in range(50):
        house.new(BOB, SELL, 101, 1)
    assert house.new(ALICE, BUY, 101, 50) == "NONE"
    assert house.purse(ALICE) == Balance(522 - 500, 0), "fills of 10 units pay nothing"


RECEIVED = TIERS._replace(fee_asset=FeeAsset.RECEIVED)


def test_a_purchase_may_pay_of_what_it_receives() -> None:
    house = House(RECEIVED)
    house.new(ALICE, BUY, 100, 25)
    assert house.purse(ALICE).reserved == 250, "no fee part"
    house.cancel(ALICE, 1)
    house.trade(ALICE, BOB, 100, 30)
    # 120 base units: 2.4 of them, rounded toward zero; the seller's rebate is in quote.
    assert house.total(ALICE) == 10_000 - 300
    assert house.total(ALICE, BASE) == 8_000 + 120 - 2
    assert house.total(FEES, BASE) == 1_002
    assert house.total(BOB) == 10_000 + 300 + 3
    assert (house.position(ALICE).realised, house.position(BOB).realised) == (0, 3)


def test_margin_purchases_pay_in_quote_all_the_same() -> None:
    house = House(RECEIVED)
    house.trade(MARGE, BOB, 100, 30)
    assert (house.total(MARGE), house.total(MARGE, BASE)) == (94, 0)


def test_what_the_fee_is_taken_of_stays() -> None:
    house = House(RECEIVED)
    fee_asset = {"order_id": TERM_NUMBERS["fee_asset"], "qty_lots": int(FeeAsset.QUOTE)}
    assert house.told(CommandKind.INSTRUMENT, **fee_asset) == "BAD_TERM"


def test_a_market_order_leaves_room_for_its_fee() -> None:
    house = House(TIERS)
    house.withdraw(ALICE, QUOTE, 9_000)
    market: dict[str, Any] = {"order_type": OrderType.MARKET, "account": ALICE}
    market |= {"time_in_force": TimeInForce.IOC, "qty_lots": 10}
    sent = house.venue.ingest.sequence(Command(99, CommandKind.NEW, **market))
    decision = house.risk.decide(sent)
    assert (decision.reason, decision.price_ticks) == (0, 980)
    assert (decision.maker_rate, decision.taker_rate) == (-10_000, 20_000)
    assert house.purse(ALICE) == Balance(0, 1_000), "980 and 19.6"
