"""Fees to the unit: who pays which rate, in which asset, and what an order reserves for it."""

from collections.abc import Callable

import pytest

from engine.instruments import FeeAsset
from engine.messages import EventFlag, Scope
from engine.rules import RuleNumber
from tests.risk.pit import (
    ALICE,
    BASE,
    BOB,
    BUY,
    CAROL,
    FEES,
    MARGE,
    MARKET,
    PLAIN,
    QUOTE,
    SELL,
    Pit,
)
from tools.twin import Balance

pytestmark = pytest.mark.interpreted

Pits = Callable[..., Pit]
TIERS = PLAIN._replace(
    maker_rates=(-10_000, 10_000, 0, 0, 0, 0, 0, 0),
    taker_rates=(20_000, 30_000, 0, 0, 0, 0, 0, 32_767),
)
"""Tier 0: one percent back as maker, two as taker; tier 1: one and three; tier 7: the most."""
RECEIVED = TIERS._replace(fee_asset=FeeAsset.RECEIVED)


def left(pit: Pit, *accounts: int, asset: int = QUOTE) -> list[int]:
    """Totals of an asset."""
    return [pit.total(account, asset) for account in accounts]


def test_maker_and_taker(pits: Pits) -> None:
    """250 units: the taker pays 5, the maker is paid 2.5, rounded toward zero."""
    pit = pits(TIERS)
    pit.trade(ALICE, BOB, 100, 25)
    assert left(pit, ALICE, BOB, FEES) == [10_000 - 250 - 5, 10_000 + 250 + 2, 1_000 + 3]
    assert pit.new(ALICE, BUY, 100, 25) == "NONE"
    resting = pit.order_id
    assert pit.new(BOB, SELL, 100, 25) == "NONE"
    pit.meet(pit.order_id, resting, 100, 25)
    assert left(pit, ALICE, BOB) == [9_745 - 250 + 2, 10_252 + 250 - 5]
    assert left(pit, FEES) == [1_006]


def test_tiers(pits: Pits) -> None:
    pit = pits(TIERS, tiers={BOB: 1})
    pit.trade(ALICE, BOB, 100, 25)
    assert left(pit, BOB) == [10_000 + 250 - 2]
    assert pit.rule(RuleNumber.TIER, 1, Scope.ACCOUNT, ALICE) == "NONE"
    pit.trade(ALICE, BOB, 100, 25)
    assert left(pit, ALICE) == [10_000 - 250 - 5 - 250 - 7]
    assert pit.rule(RuleNumber.TIER, 7, Scope.ACCOUNT, ALICE) == "NONE"
    pit.trade(ALICE, BOB, 100, 25)
    assert left(pit, ALICE) == [9_488 - 250 - 8], "8.19"


def test_an_order_keeps_its_rates(pits: Pits) -> None:
    """Also when it is amended, its account gets another tier, or the schedule changes."""
    pit = pits(TIERS)
    assert pit.new(BOB, SELL, 100, 50) == "NONE"
    resting = pit.order_id
    pit.rule(RuleNumber.TIER, 1, Scope.ACCOUNT, BOB)
    pit.floor.set_term("maker_rates[0]", 30_000)
    pit.floor.set_term("maker_rates[1]", 30_000)
    assert pit.amend(resting, 100, 40) == "NONE"
    assert pit.floor.made.maker_rate == -10_000
    assert pit.new(ALICE, BUY, 100, 25) == "NONE"
    pit.meet(pit.order_id, resting, 100, 25)
    assert left(pit, BOB) == [10_252]
    assert pit.new(BOB, SELL, 100, 1) == "NONE"
    assert pit.floor.made.maker_rate == 30_000


def test_both_sides_of_an_auction_are_makers(pits: Pits) -> None:
    pit = pits(TIERS)
    assert pit.new(BOB, SELL, 100, 25) == pit.new(ALICE, BUY, 100, 25) == "NONE"
    pit.meet(2, 1, 100, 25, flags=EventFlag.AUCTION)
    assert left(pit, ALICE, BOB, FEES) == [10_000 - 250 + 2, 10_000 + 250 + 2, 1_000 - 4]


def test_the_fee_account_itself(pits: Pits) -> None:
    pit = pits(TIERS)
    assert pit.new(FEES, BUY, 100, 25) == "NONE"
    assert pit.purse(FEES) == Balance(750, 250), "no fee part"
    resting = pit.order_id
    assert pit.new(BOB, SELL, 100, 25) == "NONE"
    pit.meet(pit.order_id, resting, 100, 25)
    assert left(pit, FEES, BOB) == [1_000 - 250 + 5, 10_000 + 250 - 5]


def test_no_fee_account_no_fees(pits: Pits) -> None:
    pit = pits(PLAIN, fee_account=-1)
    pit.floor.set_term("taker_rates[0]", 30_000)
    assert pit.new(ALICE, BUY, 100, 25) == "NONE"
    assert pit.purse(ALICE).reserved == 250
    pit.cancel(pit.order_id)
    pit.trade(ALICE, BOB, 100, 25)
    assert left(pit, ALICE, BOB) == [9_750, 10_250]


def test_a_margin_account_pays_of_what_it_has(pits: Pits) -> None:
    pit = pits(TIERS)
    pit.trade(MARGE, BOB, 100, 25)
    assert (left(pit, MARGE), pit.held(MARGE)) == ([95], (25, 250))
    pit.trade(BOB, MARGE, 120, 25)
    assert (left(pit, MARGE), pit.held(MARGE)) == ([95 + 50 + 3], (0, 0))


def test_a_fee_of_a_payment_below_zero_is_of_its_size(pits: Pits) -> None:
    """At -100 the seller pays 250, and both a fee as ever."""
    low = TIERS._replace(price_min_ticks=-200, initial_bps=0, maintenance_bps=0)
    pit = pits(low)
    assert pit.new(BOB, SELL, -100, 25) == "NONE"
    assert pit.purse(BOB).reserved == 255, "two percent of 250"
    resting = pit.order_id
    assert pit.new(ALICE, BUY, -100, 25) == "NONE"
    assert pit.purse(ALICE).reserved == 0
    pit.meet(pit.order_id, resting, -100, 25)
    assert left(pit, ALICE, BOB) == [10_000 + 250 - 5, 10_000 - 250 + 2]


# --- received ------------------------------------------------------------------------------------


def test_a_purchase_that_pays_of_what_it_receives(pits: Pits) -> None:
    """24 lots bring 240 units, of which two percent are 4.8; the seller is paid in quote."""
    pit = pits(RECEIVED)
    assert pit.new(BOB, SELL, 100, 24) == "NONE"
    resting = pit.order_id
    assert pit.new(ALICE, BUY, 100, 24) == "NONE"
    assert pit.purse(ALICE).reserved == 240, "no fee part"
    pit.meet(pit.order_id, resting, 100, 24)
    assert left(pit, ALICE, BOB, FEES) == [9_760, 10_242, 998]
    assert left(pit, ALICE, BOB, FEES, asset=BASE) == [20_236, 19_760, 1_004]


def test_a_sale_pays_in_quote_all_the_same(pits: Pits) -> None:
    pit = pits(RECEIVED)
    assert pit.new(ALICE, BUY, 100, 25) == "NONE"
    resting = pit.order_id
    assert pit.new(BOB, SELL, 100, 25) == "NONE"
    pit.meet(pit.order_id, resting, 100, 25)
    assert left(pit, ALICE, BOB, FEES) == [9_750, 10_245, 1_005]
    assert left(pit, ALICE, FEES, asset=BASE) == [20_252, 998], "2.5 units back"


def test_a_margin_purchase_pays_in_quote_all_the_same(pits: Pits) -> None:
    pit = pits(RECEIVED)
    pit.trade(MARGE, BOB, 100, 30)
    assert (left(pit, MARGE), left(pit, MARGE, asset=BASE)) == ([94], [0])


# --- what is reserved for fees -------------------------------------------------------------------


def test_the_larger_rate_is_reserved_rounded_up(pits: Pits) -> None:
    """5 lots at 101 cost 51 and 1.02; after 2 of them 31 and 0.62."""
    pit = pits(TIERS)
    assert pit.new(ALICE, BUY, 101, 5) == "NONE"
    assert pit.purse(ALICE) == Balance(9_947, 53)
    resting = pit.order_id
    assert pit.new(BOB, SELL, 101, 2) == "NONE"
    pit.meet(pit.order_id, resting, 101, 2)
    assert pit.purse(ALICE) == Balance(9_948, 32), "20 paid, a rebate of 0.2 is none"


def test_a_purchase_with_its_fee_just_inside_and_just_outside(pits: Pits) -> None:
    """9,000 units and two percent leave 820: for 803 and 16.06, not for 804 and 16.08."""
    pit = pits(TIERS._replace(notional_divisor=1))
    assert pit.new(ALICE, BUY, 1_000, 9) == "NONE"
    assert pit.purse(ALICE) == Balance(820, 9_180)
    assert pit.new(ALICE, BUY, 804, 1) == "INSUFFICIENT_BALANCE"
    assert pit.new(ALICE, BUY, 803, 1) == "NONE"
    pit.cancel(pit.order_id)
    assert pit.new(ALICE, BUY, 0, 1, **MARKET) == "NONE"
    assert pit.live[pit.order_id]["price_ticks"] == 803, "floor(820 / 1.02)"
    assert pit.purse(ALICE) == Balance(0, 10_000)


def test_a_rebate_is_not_spent_in_advance(pits: Pits) -> None:
    pit = pits(TIERS._replace(taker_rates=(-20_000,) * 8))
    assert pit.new(ALICE, BUY, 100, 1_000) == "NONE"
    assert pit.purse(ALICE) == Balance(0, 10_000)


def test_many_fills_never_cost_more_than_was_reserved(pits: Pits) -> None:
    """505 units and 16.55; fifty fills of 10 pay 0.33 each, which is nothing."""
    pit = pits(TIERS._replace(taker_rates=(32_767,) * 8))
    assert pit.withdraw(ALICE, 10_000 - 521) == "NONE"
    assert pit.new(ALICE, BUY, 101, 50) == "INSUFFICIENT_BALANCE"
    assert pit.deposit(ALICE, 1) == "NONE"
    assert pit.new(ALICE, BUY, 101, 50) == "NONE"
    taker = pit.order_id
    for seller in (BOB, CAROL) * 25:
        assert pit.new(seller, SELL, 101, 1) == "NONE"
        pit.meet(taker, pit.order_id, 101, 1)
        assert pit.purse(ALICE).available >= 0
    assert pit.purse(ALICE) == Balance(22, 0)
