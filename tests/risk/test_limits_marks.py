"""Limits of sums at marks just inside and just outside, and what an order must be paid with."""

from collections.abc import Callable
from typing import Any

import pytest

from engine.instruments import MarkSource
from engine.limits import ASSETS_MAX
from engine.messages import Scope
from engine.rules import RuleNumber
from tests.risk.pit import (
    ALICE,
    BASE,
    BOB,
    BUY,
    CAROL,
    MARGE,
    MARKET,
    MIKE,
    MOLLY,
    PARTNERS,
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
EXTERNAL = PLAIN._replace(mark_source=MarkSource.EXTERNAL)
OF_MARGE = [(Scope.ACCOUNT, MARGE), (Scope.GROUP, PARTNERS), (Scope.SYMBOL, 0), (Scope.VENUE, 0)]


def order(pit: Pit, place: tuple[int, int], side: int, price: int, lots: int, **more: Any) -> str:
    """An order of an account in an instrument."""
    return pit.new(place[0], side, price, lots, instrument=place[1], **more)


# --- gross and net -------------------------------------------------------------------------------


@at_every_scope
def test_gross_exposure(pit: Pit, reach: Reach) -> None:
    """Of 100 units at the mark of 100: 6 lots of Alice's, 4 of the other's."""
    pit.rule(RuleNumber.GROSS_MAX_UNITS, 100, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 50, 6) == "NONE", "60, whatever their price"
    first = pit.order_id
    side = BUY if reach.inside == (ALICE, 0) else SELL
    assert order(pit, reach.inside, side, 300, 5) == "GROSS_EXPOSURE"
    assert order(pit, reach.inside, side, 0, 5, **MARKET) == "GROSS_EXPOSURE"
    assert order(pit, reach.inside, side, 300, 4) == "NONE"
    assert order(pit, (ALICE, 0), BUY, 50, 1) == "GROSS_EXPOSURE"
    assert order(pit, (ALICE, 0), SELL, 50, 6) == "NONE", "the other side is no larger"
    assert order(pit, (ALICE, 0), SELL, 50, 1) == "GROSS_EXPOSURE"
    assert pit.amend(first, 50, 7) == "GROSS_EXPOSURE"
    assert pit.amend(first, 90, 6) == "NONE"
    assert reach.outside is None or order(pit, reach.outside, BUY, 50, 11) == "NONE"
    pit.rule(RuleNumber.GROSS_MAX_UNITS, 0, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 50, 1) == "NONE"


def test_of_several_gross_limits_each_is_of_its_own_sum(pit: Pit) -> None:
    for name, units in (("account", 30), ("group", 50), ("symbol", 60), ("venue", 80)):
        pit.rule(RuleNumber.GROSS_MAX_UNITS, units, *REACHES[name][:2])
    assert pit.new(ALICE, BUY, 50, 4) == "GROSS_EXPOSURE"
    assert pit.new(ALICE, BUY, 50, 3) == "NONE"
    assert pit.new(BOB, BUY, 50, 3) == "GROSS_EXPOSURE", "30 and 30 of 50"
    assert pit.new(BOB, BUY, 50, 2) == "NONE"
    assert pit.new(CAROL, BUY, 50, 2) == "GROSS_EXPOSURE", "50 and 20 of 60"
    assert pit.new(CAROL, BUY, 50, 1) == "NONE"
    assert pit.new(CAROL, BUY, 50, 3, instrument=1) == "GROSS_EXPOSURE", "60 and 30 of 80"
    assert pit.new(CAROL, BUY, 50, 2, instrument=1) == "NONE"
    pit.rule(RuleNumber.GROSS_MAX_UNITS, 1, instrument=BASE)
    pit.rule(RuleNumber.GROSS_MAX_UNITS, 0)
    assert pit.new(CAROL, BUY, 50, 3, instrument=1) == "NONE", "another asset's is not meant"


def test_gross_follows_the_mark_and_reducing_orders_pass(pits: Pits) -> None:
    pit = pits(EXTERNAL)
    pit.trade(ALICE, BOB, 100, 10)
    pit.rule(RuleNumber.GROSS_MAX_UNITS, 110, Scope.ACCOUNT, ALICE)
    assert pit.new(ALICE, BUY, 50, 1) == "NONE"
    pit.cancel(pit.order_id)
    pit.mark(101)
    assert pit.new(ALICE, BUY, 50, 1) == "GROSS_EXPOSURE", "11 at 101 are 111"
    pit.mark(200)
    assert pit.new(ALICE, SELL, 300, 11) == "GROSS_EXPOSURE", "until then it is 10 long"
    assert pit.new(ALICE, SELL, 300, 10) == "NONE"
    pit.cancel(pit.order_id)
    assert pit.new(ALICE, BUY, 50, 1) == "GROSS_EXPOSURE"


def test_a_reducing_order_passes_beyond_the_gross_limit(pits: Pits) -> None:
    pit = pits(EXTERNAL)
    pit.trade(ALICE, BOB, 100, 10)
    pit.rule(RuleNumber.GROSS_MAX_UNITS, 50)
    assert pit.new(ALICE, SELL, 100, 11) == "GROSS_EXPOSURE"
    assert pit.new(ALICE, SELL, 100, 10) == "NONE"
    assert pit.amend(pit.order_id, 100, 11) == "GROSS_EXPOSURE"


@at_every_scope
def test_net_exposure(pit: Pit, reach: Reach) -> None:
    """Of 100 units: held and bought, less what is sold short; for sales the other way round."""
    pit.rule(RuleNumber.NET_MAX_UNITS, 100, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 50, 6) == "NONE"
    first = pit.order_id
    assert order(pit, reach.inside, BUY, 300, 5) == "NET_EXPOSURE"
    assert order(pit, reach.inside, BUY, 0, 5, **MARKET) == "NET_EXPOSURE"
    assert order(pit, reach.inside, BUY, 300, 4) == "NONE"
    assert pit.amend(first, 50, 7) == "NET_EXPOSURE"
    assert pit.amend(first, 90, 6) == "NONE"
    assert order(pit, reach.inside, SELL, 300, 11) == "NET_EXPOSURE", "nothing is held yet"
    assert order(pit, reach.inside, SELL, 300, 10) == "NONE"
    assert order(pit, (ALICE, 0), SELL, 300, 1) == "NET_EXPOSURE"
    assert reach.outside is None or order(pit, reach.outside, BUY, 50, 11) == "NONE"
    pit.rule(RuleNumber.NET_MAX_UNITS, 0, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 50, 1) == "NONE"


def test_what_is_held_counts_for_one_side_and_against_the_other(pit: Pit) -> None:
    pit.trade(ALICE, CAROL, 100, 4)
    pit.trade(CAROL, ALICE, 100, 3, instrument=1)
    pit.rule(RuleNumber.NET_MAX_UNITS, 100, Scope.ACCOUNT, ALICE)
    assert pit.new(ALICE, BUY, 50, 10) == "NET_EXPOSURE", "40 less 30 and 100"
    assert pit.new(ALICE, BUY, 50, 9) == "NONE"
    assert pit.new(ALICE, SELL, 150, 12) == "NET_EXPOSURE", "120 less 10"
    assert pit.new(ALICE, SELL, 150, 11) == "NONE"
    assert pit.new(ALICE, BUY, 50, 3, instrument=1) == "NONE", "it reduces"
    assert pit.new(ALICE, BUY, 50, 1, instrument=1) == "NET_EXPOSURE"


# --- concentration -------------------------------------------------------------------------------


@at_every_scope
def test_concentration(pit: Pit, reach: Reach) -> None:
    """1.09 percent of 10,000 units are 109: ten lots at 100, not eleven."""
    pit.rule(RuleNumber.CONCENTRATION_BPS, 109, *reach[:2])
    for place in ((ALICE, 0), reach.inside):
        assert order(pit, place, BUY, 50, 11) == "CONCENTRATION"
        assert order(pit, place, BUY, 0, 11, **MARKET) == "CONCENTRATION"
        assert order(pit, place, BUY, 50, 10) == "NONE"
    assert pit.amend(pit.order_id, 50, 11) == "CONCENTRATION"
    assert pit.amend(pit.order_id, 60, 10) == "NONE"
    assert reach.outside is None or order(pit, reach.outside, BUY, 50, 11) == "NONE"
    pit.rule(RuleNumber.CONCENTRATION_BPS, 110, *reach[:2])
    assert pit.amend(pit.order_id, 60, 11) == "NONE"
    pit.rule(RuleNumber.CONCENTRATION_BPS, 0, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 50, 11) == "NONE"


def test_concentration_is_a_share_of_equity_rounded_down(pits: Pits) -> None:
    """Alice has 9,890 units and 10 lots: 10,000 at the mark of 110, 9,990 at 100."""
    pit = pits(EXTERNAL)
    pit.rule(RuleNumber.CONCENTRATION_BPS, 120, Scope.ACCOUNT, ALICE)
    pit.trade(ALICE, BOB, 110, 10)
    pit.mark(110)
    assert pit.new(ALICE, BUY, 50, 1) == "CONCENTRATION", "121 of 120"
    pit.mark(109)
    assert pit.new(ALICE, BUY, 50, 1) == "NONE", "119.9 of 119.988, both 119"
    pit.cancel(pit.order_id)
    pit.mark(100)
    assert pit.new(ALICE, BUY, 50, 1) == "NONE", "110 of 119.88"
    assert pit.new(ALICE, BUY, 50, 1) == "CONCENTRATION", "120"
    assert pit.new(ALICE, SELL, 200, 10) == "NONE"


def test_without_equity_nothing_may_be_concentrated(pits: Pits) -> None:
    pit = pits(EXTERNAL._replace(initial_bps=0, maintenance_bps=0))
    pit.rule(RuleNumber.CONCENTRATION_BPS, 10_000)
    assert pit.withdraw(CAROL, 10_000) == "NONE"
    assert pit.new(CAROL, SELL, 100, 1) == "CONCENTRATION"
    assert pit.deposit(CAROL, 10) == "NONE"
    assert pit.new(CAROL, SELL, 100, 2) == "CONCENTRATION"
    assert pit.new(CAROL, SELL, 100, 1) == "NONE"


# --- loss of a day -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["account", "group"])
def test_a_loss_of_the_day(pits: Pits, name: str) -> None:
    """Alice has bought 10 lots at 110 and lost 10 units at 100; Bob, in her group, 5."""
    reach = REACHES[name]
    pit = pits(EXTERNAL, EXTERNAL)
    pit.trade(ALICE, CAROL, 110, 10)
    assert pit.new(ALICE, BUY, 50, 3) == "NONE"
    resting = pit.order_id
    pit.trade(reach.inside[0], CAROL, 105, 10, instrument=1)
    for instrument in (0, 1):
        pit.mark(100, instrument)
    pit.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 15, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 50, 1) == order(pit, reach.inside, BUY, 50, 1) == "NONE"
    pit.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 14, *reach[:2])
    for place in ((ALICE, 0), reach.inside):
        assert order(pit, place, BUY, 50, 1) == order(pit, place, SELL, 150, 11) == "DAILY_LOSS"
        assert order(pit, place, BUY, 0, 1, **MARKET) == "DAILY_LOSS"
        assert order(pit, place, SELL, 150, 10) == "NONE", "it reduces"
        pit.cancel(pit.order_id)
    assert pit.amend(resting, 50, 4) == "DAILY_LOSS"
    assert pit.amend(resting, 50, 2) == "NONE"
    assert reach.outside is not None
    assert order(pit, reach.outside, BUY, 50, 1) == "NONE"
    pit.mark(101)
    assert order(pit, (ALICE, 0), BUY, 50, 1) == "NONE", "14 lost"
    pit.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 1, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 50, 1) == "DAILY_LOSS"
    pit.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 0, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 50, 1) == "NONE"


@pytest.mark.parametrize("name", ["symbol", "venue"])
def test_a_loss_of_an_instrument_or_the_venue(pits: Pits, name: str) -> None:
    """What one loses another gains, but for fees: 3 units each for 100 at three percent."""
    reach = REACHES[name]
    dear = EXTERNAL._replace(taker_rates=(30_000,) * 8, maker_rates=(30_000,) * 8)
    pit = pits(dear, dear)
    pit.trade(BOB, CAROL, 100, 10)
    pit.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 6, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 50, 1) == "NONE"
    pit.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 5, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 50, 1) == "DAILY_LOSS"
    assert order(pit, reach.inside, SELL, 150, 1) == "DAILY_LOSS"
    assert order(pit, (BOB, 0), SELL, 100, 10) == "NONE", "it reduces"
    assert reach.outside is None or order(pit, reach.outside, BUY, 50, 1) == "NONE"
    pit.now_ns += 86_400 * 10**9
    assert order(pit, (ALICE, 0), BUY, 50, 1) == "NONE", "another day"


# --- what an order is paid with ------------------------------------------------------------------


def test_what_a_purchase_must_have(pit: Pit) -> None:
    assert pit.new(ALICE, BUY, 100, 999) == "NONE"
    assert pit.new(ALICE, BUY, 11, 10) == "INSUFFICIENT_BALANCE", "9,990 and 11"
    assert pit.new(ALICE, BUY, 10, 10) == "NONE"
    assert pit.new(ALICE, BUY, 1, 1) == "INSUFFICIENT_BALANCE"
    assert pit.new(ALICE, BUY, 0, 1, **MARKET) == "INSUFFICIENT_BALANCE"
    assert pit.amend(pit.order_id, 11, 10) == pit.amend(pit.order_id, 10, 11)
    assert pit.amend(pit.order_id, 11, 10) == "INSUFFICIENT_BALANCE"
    assert pit.amend(pit.order_id, 9, 11) == "INSUFFICIENT_BALANCE", (
        "10 and 11 is the worse of both"
    )
    assert pit.amend(pit.order_id, 9, 10) == "NONE"
    assert pit.new(ALICE, BUY, 1, 10) == "NONE"
    assert pit.deposit(ALICE, 1) == "NONE"
    assert pit.new(ALICE, BUY, 0, 1, **MARKET) == "NONE"
    assert pit.live[pit.order_id]["price_ticks"] == 10


def test_what_a_sale_must_have(pit: Pit) -> None:
    """20,000 units of the asset are 2,000 lots."""
    assert pit.new(ALICE, SELL, 100, 1_000) == pit.new(ALICE, SELL, 100, 999) == "NONE"
    assert pit.new(ALICE, SELL, 100, 2) == "INSUFFICIENT_BALANCE"
    assert pit.new(ALICE, SELL, 0, 2, **MARKET) == "INSUFFICIENT_BALANCE"
    assert pit.amend(pit.order_id, 100, 1_000) == "NONE"
    assert pit.new(ALICE, SELL, 100, 1) == "INSUFFICIENT_BALANCE"


def test_what_a_sale_below_zero_must_have(pits: Pits) -> None:
    terms = PLAIN._replace(price_min_ticks=-100, initial_bps=0, maintenance_bps=0)
    pit = pits(terms)
    pit.withdraw(ALICE, 9_950)
    assert pit.new(ALICE, SELL, -51, 10) == "INSUFFICIENT_BALANCE", "51 of 50 units"
    assert pit.new(ALICE, SELL, -50, 10) == "NONE"
    assert pit.new(ALICE, BUY, -50, 10) == "NONE", "which costs nothing"
    sale = pit.order_id - 1
    assert pit.amend(sale, -51, 10) == "INSUFFICIENT_BALANCE"
    pit.cancel(sale)
    assert pit.new(ALICE, SELL, 0, 10, **MARKET) == "NONE"
    assert pit.live[pit.order_id]["price_ticks"] == -50


# --- margin --------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [BUY, SELL])
def test_initial_margin(pit: Pit, side: int) -> None:
    """Ten percent of 1,000 units are the 100 that Marge has."""
    assert pit.new(MARGE, side, 100, 101) == "INITIAL_MARGIN"
    assert pit.new(MARGE, side, 100, 100) == "NONE"
    resting = pit.order_id
    assert pit.new(MARGE, side, 100, 1) == pit.amend(resting, 100, 101) == "INITIAL_MARGIN"
    assert pit.new(MARGE, 1 - side, 100, 100) == "NONE", "the other side needs no more"
    assert pit.deposit(MARGE, 9) == "NONE"
    pit.cancel(resting)
    worse = 101 if side == BUY else 99
    assert pit.new(MARGE, side, worse, 100) == "INITIAL_MARGIN", "10 units beyond the mark"
    assert pit.deposit(MARGE, 1) == "NONE"
    assert pit.new(MARGE, side, worse, 100) == "NONE"


def test_a_purchase_amended_to_a_higher_price_needs_more_margin(pit: Pit) -> None:
    assert pit.deposit(MARGE, 9) == "NONE"
    assert pit.new(MARGE, BUY, 100, 100) == "NONE"
    assert pit.amend(pit.order_id, 101, 100) == "INITIAL_MARGIN", "100 and 10 of 109"
    assert pit.deposit(MARGE, 1) == "NONE"
    assert pit.amend(pit.order_id, 101, 100) == "NONE"


def test_the_margin_of_a_market_order_is_at_its_worst_price(pit: Pit) -> None:
    """At 1,000 one lot is 90 units beyond the mark; two are 180."""
    assert pit.new(MARGE, BUY, 0, 2, **MARKET) == "INITIAL_MARGIN"
    assert pit.new(MARGE, BUY, 0, 1, **MARKET) == "NONE"
    pit.rule(RuleNumber.COLLAR_BPS, 1_000)
    assert pit.new(MOLLY, BUY, 0, 51, **MARKET) == "INITIAL_MARGIN", "51 and 51"
    assert pit.new(MOLLY, BUY, 0, 50, **MARKET) == "NONE", "50 and 50"


@pytest.mark.parametrize(("scope", "entity"), OF_MARGE)
def test_leverage(pit: Pit, scope: int, entity: int) -> None:
    """Three times is 33.34 percent: 29 lots need 96.69 units, 30 lots 100.02."""
    assert pit.rule(RuleNumber.LEVERAGE_MAX, 3, scope, entity) == "NONE"
    assert pit.new(MARGE, BUY, 100, 30) == "INITIAL_MARGIN"
    assert pit.new(MARGE, BUY, 100, 29) == "NONE"
    pit.rule(RuleNumber.LEVERAGE_MAX, 20, scope, entity)
    pit.tick()
    assert pit.new(MARGE, BUY, 100, 72) == "INITIAL_MARGIN"
    assert pit.new(MARGE, BUY, 100, 71) == "NONE", "no less than the instrument's"
    pit.rule(RuleNumber.LEVERAGE_MAX, 1, scope, entity)
    pit.tick()
    assert pit.new(MARGE, SELL, 100, 1) == "INITIAL_MARGIN", "she needs 1,000 already"
    pit.rule(RuleNumber.LEVERAGE_MAX, 0, scope, entity)
    pit.tick()
    assert pit.new(MARGE, SELL, 100, 1) == "NONE"


def test_of_several_leverages_the_lowest_counts(pit: Pit) -> None:
    for leverage, (scope, entity) in zip((8, 2, 5, 4), OF_MARGE, strict=True):
        pit.rule(RuleNumber.LEVERAGE_MAX, leverage, scope, entity)
    assert pit.new(MIKE, BUY, 100, 21) == "INITIAL_MARGIN"
    assert pit.new(MIKE, BUY, 100, 20) == "NONE", "200 units at two"
    assert pit.new(MOLLY, BUY, 100, 41) == "INITIAL_MARGIN"
    assert pit.new(MOLLY, BUY, 100, 40) == "NONE", "at four"


def test_reducing_orders_need_no_margin(pits: Pits) -> None:
    pit = pits(EXTERNAL)
    pit.trade(MARGE, ALICE, 100, 100)
    pit.mark(91)
    assert pit.new(MARGE, BUY, 91, 1) == pit.new(MARGE, SELL, 91, 101) == "INITIAL_MARGIN"
    assert pit.new(MARGE, SELL, 91, 100) == "NONE"
    assert pit.amend(pit.order_id, 91, 101) == "INITIAL_MARGIN"


# --- marks ---------------------------------------------------------------------------------------


def worth(pit: Pit, account: int) -> int:
    """Of an account's positions, when all have been valued."""
    pit.tick()
    return pit.floor.memory.risk.purses[account * ASSETS_MAX + QUOTE].worth


@pytest.mark.parametrize("source", MarkSource)
def test_what_a_position_is_valued_at(pits: Pits, source: int) -> None:
    """Ten lots: what they are worth is the mark."""
    pit = pits(PLAIN._replace(mark_source=source))
    pit.trade(ALICE, BOB, 120, 10)
    assert (worth(pit, ALICE), worth(pit, BOB)) == (120, -120), "the last trade"
    pit.top(130, 141)
    assert worth(pit, ALICE) == (135 if source == MarkSource.MID else 120)
    pit.mark(150)
    expected = {MarkSource.LAST: 120, MarkSource.MID: 135, MarkSource.EXTERNAL: 150}
    assert worth(pit, ALICE) == expected[MarkSource(source)]
    pit.top(130, 0)
    assert worth(pit, ALICE) == (150 if source == MarkSource.EXTERNAL else 120)
    pit.trade(ALICE, BOB, 110, 1)
    assert worth(pit, ALICE) == (165 if source == MarkSource.EXTERNAL else 121), "11 lots"


def test_before_the_first_trade_the_mark_is_the_reference(pits: Pits) -> None:
    pit = pits(EXTERNAL)
    pit.rule(RuleNumber.GROSS_MAX_UNITS, 100)
    assert pit.new(ALICE, BUY, 50, 11) == "GROSS_EXPOSURE"
    pit.floor.set_term("reference_ticks", 90)
    assert pit.new(ALICE, BUY, 50, 11) == "NONE"
