"""Limits of orders and positions together just inside and just outside: room, counts, lots."""

from collections.abc import Callable
from typing import Any

import pytest

from engine.messages import CommandKind, Scope
from engine.risk import deciding
from engine.rules import RuleNumber
from ipc.jit import INTERPRETED
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
    PLAIN,
    QUOTE,
    REACHES,
    REDUCING,
    SELL,
    Pit,
    Reach,
)

pytestmark = pytest.mark.interpreted

at_every_scope = pytest.mark.parametrize("reach", REACHES.values(), ids=REACHES)
Pits = Callable[..., Pit]


def order(pit: Pit, place: tuple[int, int], side: int, price: int, lots: int, **more: Any) -> str:
    """An order of an account in an instrument."""
    return pit.new(place[0], side, price, lots, instrument=place[1], **more)


# --- room ----------------------------------------------------------------------------------------


def test_room_for_orders(pits: Pits) -> None:
    pit = pits(orders_max=2)
    assert pit.new(ALICE, BUY, 50, 1) == pit.new(BOB, BUY, 50, 1) == "NONE"
    assert pit.new(CAROL, BUY, 50, 1) == "TOO_MANY_ORDERS"
    assert pit.new(CAROL, BUY, 0, 1, **MARKET) == "TOO_MANY_ORDERS"
    assert pit.amend(1, 51, 2) == "NONE"
    pit.cancel(1)
    assert pit.new(CAROL, BUY, 50, 1) == "NONE"


@pytest.mark.skipif(not INTERPRETED, reason="the number is compiled in")
def test_room_for_positions(pit: Pit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "POSITIONS_MAX", 3)
    pit.risk.state.positions_max = 2
    assert pit.new(ALICE, BUY, 50, 1) == pit.new(BOB, BUY, 50, 1) == "NONE"
    assert pit.new(CAROL, BUY, 50, 1) == "TOO_MANY_POSITIONS"
    assert pit.new(ALICE, BUY, 50, 1, instrument=1) == "TOO_MANY_POSITIONS"
    assert pit.new(ALICE, BUY, 50, 1) == "NONE", "it has a position"


# --- open orders ---------------------------------------------------------------------------------


@at_every_scope
def test_open_orders(pit: Pit, reach: Reach) -> None:
    pit.rule(RuleNumber.OPEN_ORDERS_MAX, 2, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 50, 1) == "NONE"
    first = pit.order_id
    assert order(pit, reach.inside, SELL, 150, 1) == "NONE"
    assert order(pit, (ALICE, 0), BUY, 50, 1) == "OPEN_ORDERS"
    assert order(pit, reach.inside, BUY, 0, 1, **MARKET) == "OPEN_ORDERS"
    assert pit.amend(first, 60, 9) == "NONE"
    assert reach.outside is None or order(pit, reach.outside, BUY, 50, 1) == "NONE"
    pit.cancel(first)
    assert order(pit, reach.inside, BUY, 50, 1) == "NONE"
    assert order(pit, (ALICE, 0), BUY, 50, 1) == "OPEN_ORDERS"
    pit.rule(RuleNumber.OPEN_ORDERS_MAX, 3, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 50, 1) == "NONE"
    assert order(pit, (ALICE, 0), BUY, 50, 1) == "OPEN_ORDERS"
    pit.rule(RuleNumber.OPEN_ORDERS_MAX, 0, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 50, 1) == "NONE"


@at_every_scope
def test_open_notional(pit: Pit, reach: Reach) -> None:
    """Of 100 units: 5 lots at 101 are 51, 49 more are allowed."""
    pit.rule(RuleNumber.OPEN_NOTIONAL_MAX_UNITS, 100, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 101, 5) == "NONE"
    first = pit.order_id
    assert order(pit, reach.inside, SELL, 99, 5) == "OPEN_NOTIONAL", "49.5"
    assert order(pit, (ALICE, 0), BUY, 0, 1, **MARKET) == "OPEN_NOTIONAL", "100, at 1,000"
    assert order(pit, reach.inside, SELL, 98, 5) == "NONE"
    assert order(pit, (ALICE, 0), BUY, 1, 1) == "OPEN_NOTIONAL"
    assert reach.outside is None or order(pit, reach.outside, BUY, 101, 10) == "NONE"
    assert pit.amend(first, 103, 5) == pit.amend(first, 101, 6) == "OPEN_NOTIONAL"
    assert pit.amend(first, 102, 5) == "NONE", "51, as before"
    assert pit.amend(first, 100, 5) == "NONE"
    assert order(pit, (ALICE, 0), BUY, 1, 1) == "NONE"
    pit.rule(RuleNumber.OPEN_NOTIONAL_MAX_UNITS, 0, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 101, 5) == "NONE"


def test_open_notional_is_of_an_asset(pit: Pit) -> None:
    pit.rule(RuleNumber.OPEN_NOTIONAL_MAX_UNITS, 1, instrument=BASE)
    assert pit.new(ALICE, BUY, 100, 5) == "NONE"


def test_open_notional_falls_with_trades(pit: Pit) -> None:
    pit.rule(RuleNumber.OPEN_NOTIONAL_MAX_UNITS, 100)
    assert pit.new(ALICE, BUY, 100, 5) == pit.new(BOB, SELL, 100, 5) == "NONE"
    assert pit.new(ALICE, BUY, 100, 1) == "OPEN_NOTIONAL"
    pit.meet(2, 1, 100, 3)
    assert pit.new(ALICE, BUY, 100, 6) == "NONE", "40 and 60"
    assert pit.new(ALICE, BUY, 1, 1) == "OPEN_NOTIONAL"


# --- what sums can hold --------------------------------------------------------------------------

WHOLE = PLAIN._replace(notional_divisor=1, qty_max_lots=1 << 40, price_max_ticks=1 << 41)


def test_open_orders_of_the_venue_beyond_2_to_the_60(pits: Pits) -> None:
    rich = {ALICE: {QUOTE: 1 << 61}, BOB: {QUOTE: 10, BASE: 1_000}, 7: {}, 8: {}}
    pit = pits(WHOLE, balances=rich, kinds={}, groups={})
    assert pit.new(BOB, SELL, 1, 3) == "NONE"
    assert pit.new(ALICE, BUY, 1 << 30, 1 << 30) == "EXPOSURE_OVERFLOW"
    assert pit.new(ALICE, BUY, (1 << 30) - 1, 1 << 30) == "NONE"
    assert pit.new(ALICE, BUY, 1, (1 << 30) - 2) == "EXPOSURE_OVERFLOW"
    assert pit.new(ALICE, BUY, 1, (1 << 30) - 3) == "NONE"
    assert pit.new(BOB, BUY, 1, 1) == "EXPOSURE_OVERFLOW"
    assert pit.amend(1, 1, 4) == "EXPOSURE_OVERFLOW"
    pit.cancel(1)
    assert pit.new(BOB, BUY, 1, 3) == "NONE"


def test_cost_and_orders_of_a_margin_position_beyond_2_to_the_60(pits: Pits) -> None:
    """Bought for 2^59: orders for as much again are allowed."""
    rich = {MARGE: {QUOTE: 1 << 61}, BOB: {QUOTE: 10, BASE: 1 << 33}, 7: {}, 8: {}}
    pit = pits(WHOLE, balances=rich, kinds={MARGE: 1}, groups={})
    pit.trade(MARGE, BOB, 1 << 30, 1 << 29)
    assert pit.held(MARGE) == (1 << 29, 1 << 59)
    assert pit.new(MARGE, BUY, 1 << 30, 1 << 29) == "NONE"
    assert pit.new(MARGE, BUY, 1, 1) == "EXPOSURE_OVERFLOW"
    assert pit.amend(pit.order_id, (1 << 30) + 1, 1 << 29) == "EXPOSURE_OVERFLOW"
    assert pit.new(MARGE, SELL, 1, 1) == "NONE", "it reduces"


def test_gross_of_the_venue_beyond_2_to_the_60(pits: Pits) -> None:
    """A position is worth 2^53 at most, so 128 of them fill the venue."""
    some = {number: {QUOTE: 10_000} for number in range(1, 130)}
    dear = WHOLE._replace(reference_ticks=1 << 40)
    pit = pits(dear, balances=some, kinds={}, groups={})
    for number in range(1, 129):
        assert pit.new(number, BUY, 1, 1 << 13) == "NONE"
    assert pit.new(129, BUY, 1, 1) == "EXPOSURE_OVERFLOW"
    assert pit.new(128, BUY, 1, 1) == "NONE", "it is worth no more"
    pit.cancel(1)
    assert pit.new(129, BUY, 1, 1 << 13) == "NONE"


# --- reducing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "price"), [(BUY, 90), (SELL, 110)])
def test_the_flag_of_an_order_that_only_reduces(pit: Pit, side: int, price: int) -> None:
    against = 1 - side
    assert pit.new(ALICE, side, price, 1, **REDUCING) == "REDUCE_ONLY", "there is no position"
    pit.trade(*((ALICE, BOB) if against == BUY else (BOB, ALICE)), 100, 10)
    assert pit.new(ALICE, against, 200 - price, 1, **REDUCING) == "REDUCE_ONLY"
    assert pit.new(ALICE, side, price, 11, **REDUCING) == "REDUCE_ONLY"
    assert pit.new(ALICE, side, price, 4) == "NONE"
    plain = pit.order_id
    assert pit.new(ALICE, side, price, 7, **REDUCING) == "REDUCE_ONLY", "4 and 7"
    assert pit.new(ALICE, side, price, 5, **REDUCING) == "NONE"
    reducing = pit.order_id
    assert pit.new(ALICE, side, price, 2) == "REDUCE_ONLY", "beside one that only reduces"
    assert pit.new(ALICE, side, 0, 2, **MARKET) == "REDUCE_ONLY"
    assert pit.new(ALICE, against, 200 - price, 2) == "NONE", "the other side"
    assert pit.amend(reducing, price, 7) == pit.amend(plain, price, 6) == "REDUCE_ONLY"
    assert pit.amend(reducing, price, 6) == "NONE"
    pit.cancel(reducing)
    assert pit.amend(plain, price, 50) == "NONE"


@at_every_scope
def test_a_scope_that_may_only_reduce(pit: Pit, reach: Reach) -> None:
    pit.trade(ALICE, CAROL, 100, 10)
    assert pit.rule(RuleNumber.REDUCE_ONLY, 1, *reach[:2]) == "NONE"
    assert order(pit, (ALICE, 0), SELL, 110, 11) == "REDUCE_ONLY"
    assert order(pit, (ALICE, 0), SELL, 110, 10) == "NONE"
    assert pit.amend(pit.order_id, 110, 11) == "REDUCE_ONLY"
    assert pit.amend(pit.order_id, 105, 10) == "NONE", "no more lots, fewer units"
    assert order(pit, (ALICE, 0), BUY, 90, 1) == "REDUCE_ONLY"
    assert order(pit, reach.inside, SELL, 110, 1) == "REDUCE_ONLY"
    if reach.outside is not None:
        assert order(pit, reach.outside, BUY, 90, 100) == "NONE"
    pit.rule(RuleNumber.REDUCE_ONLY, 0, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 90, 1) == "NONE"


@at_every_scope
@pytest.mark.parametrize("number", [RuleNumber.LONG_MAX_LOTS, RuleNumber.SHORT_MAX_LOTS])
def test_how_large_a_position_may_become(pit: Pit, reach: Reach, number: int) -> None:
    """Ten lots: four held, four on order, two left."""
    longer = number == RuleNumber.LONG_MAX_LOTS
    told, side = ("POSITION_LONG", BUY) if longer else ("POSITION_SHORT", SELL)
    pit.trade(*((ALICE, BOB) if longer else (BOB, ALICE)), 100, 4)
    pit.rule(number, 10, *reach[:2])
    assert order(pit, (ALICE, 0), side, 100, 4) == "NONE"
    assert order(pit, (ALICE, 0), side, 100, 3) == told
    assert order(pit, (ALICE, 0), side, 0, 3, **MARKET) == told
    assert order(pit, (ALICE, 0), side, 100, 2) == "NONE"
    assert pit.amend(pit.order_id, 100, 3) == told
    assert pit.amend(pit.order_id, 99, 2) == pit.amend(pit.order_id, 101, 2) == "NONE"
    assert order(pit, (ALICE, 0), 1 - side, 100, 500) == "NONE", "the other side"
    if reach.inside != (ALICE, 0):
        assert order(pit, reach.inside, side, 100, 11) == told, "each position by itself"
    if reach.scope != Scope.SYMBOL:
        assert order(pit, reach.inside, side, 100, 10) == "NONE"
    assert reach.outside is None or order(pit, reach.outside, side, 100, 11) == "NONE"
    pit.rule(number, 0, *reach[:2])
    assert order(pit, (ALICE, 0), side, 100, 50) == "NONE"


def test_of_several_position_limits_the_strictest_counts(pit: Pit) -> None:
    for name, lots in (("account", 30), ("group", 10), ("symbol", 20), ("venue", 40)):
        pit.rule(RuleNumber.LONG_MAX_LOTS, lots, *REACHES[name][:2])
    for place, lots in (((ALICE, 0), 10), ((BOB, 1), 10), ((CAROL, 0), 20), ((CAROL, 1), 40)):
        assert order(pit, place, BUY, 10, lots + 1) == "POSITION_LONG"
        assert order(pit, place, BUY, 10, lots) == "NONE"


def test_orders_that_reduce_are_held_to_position_limits(pit: Pit) -> None:
    """A purchase against a short position cannot make it long; a sale of a long one is free."""
    pit.trade(ALICE, BOB, 100, 50)
    pit.rule(RuleNumber.LONG_MAX_LOTS, 10)
    pit.rule(RuleNumber.SHORT_MAX_LOTS, 10)
    assert pit.new(ALICE, SELL, 100, 60) == "NONE", "10 short"
    assert pit.new(ALICE, SELL, 100, 1) == "POSITION_SHORT"
    assert pit.new(BOB, BUY, 100, 60) == "NONE", "10 long"
    assert pit.new(BOB, BUY, 100, 1) == "POSITION_LONG"
    assert pit.new(BOB, SELL, 100, 1) == "POSITION_SHORT", "51 short"


# --- what may be traded on margin ----------------------------------------------------------------


def test_what_is_not_marginable(pit: Pit) -> None:
    assert pit.new(MARGE, BUY, 100, 20) == "NONE"
    resting = pit.order_id
    pit.trade(MARGE, ALICE, 100, 10)
    pit.floor.set_term("maintenance_bps", 0)
    pit.floor.set_term("initial_bps", 0)
    assert pit.new(MARGE, BUY, 100, 1) == pit.new(MARGE, SELL, 100, 11) == "NOT_MARGINABLE"
    assert pit.new(MOLLY, BUY, 0, 1, **MARKET) == "NOT_MARGINABLE"
    assert pit.amend(resting, 100, 21) == pit.amend(resting, 101, 20) == "NOT_MARGINABLE"
    assert pit.amend(resting, 99, 20) == "NONE"
    assert pit.new(MARGE, SELL, 100, 10) == "NONE", "it reduces"
    assert pit.new(ALICE, BUY, 100, 1) == "NONE", "with what she has"
    pit.floor.set_term("initial_bps", 1)
    assert pit.new(MARGE, BUY, 100, 1) == "NONE"


def test_short_selling(pits: Pits) -> None:
    pit = pits(PLAIN._replace(short_selling=0))
    assert pit.new(MARGE, SELL, 100, 1) == "SHORT_SELLING"
    assert pit.new(MARGE, SELL, 0, 1, **MARKET) == "SHORT_SELLING"
    pit.trade(MARGE, ALICE, 100, 10)
    assert pit.new(MARGE, SELL, 110, 6) == "NONE"
    assert pit.new(MARGE, SELL, 110, 5) == "SHORT_SELLING"
    assert pit.new(MARGE, SELL, 110, 4) == "NONE"
    assert pit.amend(pit.order_id, 110, 5) == "SHORT_SELLING"
    assert pit.amend(pit.order_id, 90, 4) == "NONE"
    assert pit.new(BOB, SELL, 110, 1) == "NONE", "he has it"
    pit.floor.set_term("short_selling", 1)
    assert pit.new(MIKE, SELL, 110, 1) == "NONE"


# --- mark ----------------------------------------------------------------------------------------


@at_every_scope
@pytest.mark.parametrize("number", [34, 35, 36, 37])
def test_what_needs_a_mark(pits: Pits, reach: Reach, number: int) -> None:
    pit = pits(*[PLAIN._replace(reference_ticks=0)] * 2)
    assert pit.new(MARGE, BUY, 100, 1) == pit.new(MARGE, SELL, 0, 1, **MARKET) == "NO_MARK_PRICE"
    assert order(pit, (ALICE, 0), BUY, 100, 1) == "NONE"
    resting = pit.order_id
    pit.rule(number, 10_000, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 100, 1) == order(pit, reach.inside, SELL, 100, 1)
    assert pit.amend(resting, 101, 1) == "NO_MARK_PRICE"
    assert order(pit, (ALICE, 0), BUY, 100, 1) == "NO_MARK_PRICE"
    assert pit.amend(resting, 100, 1) == "NONE", "nothing grows"
    assert reach.outside is None or order(pit, reach.outside, BUY, 100, 1) == "NONE"
    pit.rule(number, 0, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 100, 1) == "NONE"
    pit.rule(number, 10_000, *reach[:2])
    for instrument in (0, 1):
        assert pit.told(CommandKind.MARK, instrument=instrument, price_ticks=100) == "NONE"
    assert order(pit, (ALICE, 0), BUY, 100, 1) == "NO_MARK_PRICE", "MARK is not for this one"
    pit.rule(number, 0, *reach[:2])
    pit.trade(BOB, CAROL, 100, 1)
    pit.rule(number, 10_000, *reach[:2])
    assert order(pit, (ALICE, 0), BUY, 100, 1) == "NONE"
