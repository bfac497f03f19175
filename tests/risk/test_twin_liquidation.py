"""What the twin says that risk has to do by itself, with the figures at which it becomes due."""

from typing import Any

import pytest

from engine.instruments import MarkSource
from engine.messages import CommandFlag, CommandKind, Phase, Scope, TimeInForce
from engine.reference import TERM_NUMBERS
from engine.rules import RuleNumber
from tests.risk.house import (
    ALICE,
    BOB,
    BUY,
    DAY_NS,
    INSURANCE,
    MARGE,
    MARKET,
    PLAIN,
    QUOTE,
    RISK,
    SELL,
    House,
)
from tools.twin.risk import Demand
from tools.twin.risk.valuation import equity, sums

EXTERNAL = PLAIN._replace(mark_source=MarkSource.EXTERNAL)
ACCOUNT = Scope.ACCOUNT
QTY_MAX_LOTS = TERM_NUMBERS["qty_max_lots"]
CALL = Demand("margin_state", MARGE, QUOTE, 1)
LIQUIDATION = Demand("margin_state", MARGE, QUOTE, 2)


@pytest.fixture
def house() -> House:
    """Marge has bought 50 lots at 100 with 100 units of her own."""
    made = House(EXTERNAL)
    made.mark(100)
    made.trade(MARGE, ALICE, 100, 50)
    return made


def fall(house: House, price: int) -> tuple[int, int]:
    """The mark moves; Marge's equity and maintenance margin."""
    house.mark(price)
    house.tick()
    state = house.risk.state
    return equity(state, MARGE, QUOTE), sums(state, (ACCOUNT, MARGE), QUOTE).maintenance


def set_state(house: House, value: int, number: int = RuleNumber.MARGIN_STATE) -> str:
    return house.rule(number, value, ACCOUNT, MARGE, source=RISK, instrument=QUOTE)


def close(house: House, side: int, lots: int) -> str:
    """A liquidation order of Marge's."""
    flags = {"flags": CommandFlag.LIQUIDATION, "source": RISK, "order_type": MARKET}
    return house.new(MARGE, side, 0, lots, **flags, time_in_force=TimeInForce.IOC)


def test_a_margin_call(house: House) -> None:
    assert fall(house, 86) == (30, 22)
    assert house.due() == [], "22 and a quarter are 27"
    assert set_state(house, 1) == "NOT_IN_BREACH"
    assert fall(house, 85) == (25, 22)
    assert house.due() == [CALL]
    assert set_state(house, 2) == "NOT_IN_BREACH"
    assert house.act() == ["margin_state 3/0 1"]
    assert set_state(house, 1) == "NOT_IN_BREACH", "she has been called"
    assert house.new(MARGE, SELL, 110, 50) == "NONE"
    assert fall(house, 86) == (30, 22)
    assert house.act() == ["margin_state 3/0 0"]


def test_a_deposit_answers_a_margin_call(house: House) -> None:
    fall(house, 85)
    house.act()
    house.deposit(MARGE, QUOTE, 1)
    assert house.due() == []
    house.deposit(MARGE, QUOTE, 1)
    assert house.act() == ["margin_state 3/0 0"], "27 is not below 27"


def test_liquidation_from_the_first_cancel_to_the_end(house: House) -> None:
    house.new(MARGE, SELL, 200, 10)
    house.new(ALICE, BUY, 80, 30)
    assert fall(house, 84) == (20, 21)
    assert set(house.due()) == {CALL, LIQUIDATION}, "either may be said first"
    assert close(house, SELL, 50) == "NOT_IN_BREACH", "not yet"
    assert set_state(house, 2) == "NONE"
    assert house.due() == [Demand("mass_cancel", MARGE, 0)]
    assert house.new(MARGE, SELL, 80, 1) == "LIQUIDATING"
    assert house.check(MARGE, SELL, 80, 1) == "LIQUIDATING"
    assert house.amend(MARGE, 3, 199, 10) == "LIQUIDATING"
    # 30 lots find a buyer at 80: 240 less 300. The rest finds nobody and waits for the next TICK.
    assert house.act() == ["mass_cancel 3/0 0", "liquidation 3/0 -50", "liquidation 3/0 -20"]
    assert (house.holding(MARGE), house.total(MARGE)) == ((20, 200), 40)
    assert house.due() == []
    house.new(ALICE, BUY, 60, 30)
    assert house.due() == []
    house.tick()
    assert house.due() == [Demand("liquidation", MARGE, 0, -20)]
    # 120 less 200 leave a debt of 40, which the insurance of 50 pays.
    assert house.act() == ["liquidation 3/0 -20", "cover 3/0 40", "margin_state 3/0 0"]
    assert (house.total(MARGE), house.total(INSURANCE)) == (0, 10)
    assert house.new(MARGE, BUY, 50, 1) == "INITIAL_MARGIN", "but she may trade"


def test_what_insurance_cannot_pay_stays_a_debt(house: House) -> None:
    house.new(ALICE, BUY, 60, 50)
    house.withdraw(INSURANCE, QUOTE, 20)
    fall(house, 84)
    assert house.act() == [
        "margin_state 3/0 2",
        "liquidation 3/0 -50",
        "cover 3/0 30",
        "margin_state 3/0 0",
        "margin_state 3/0 1",
    ], "she is called for the debt"
    assert (house.total(MARGE), house.total(INSURANCE)) == (-70, 0)
    assert house.new(MARGE, BUY, 50, 1) == "INITIAL_MARGIN"
    assert house.withdraw(MARGE, QUOTE, 1) == "INSUFFICIENT_BALANCE"
    house.deposit(MARGE, QUOTE, 70)
    assert house.act() == ["margin_state 3/0 0"]


def test_a_large_position_is_closed_in_pieces(house: House) -> None:
    assert house.told(CommandKind.INSTRUMENT, order_id=QTY_MAX_LOTS, qty_lots=20) == "NONE"
    for price in (84, 83, 82):
        house.new(ALICE, BUY, price, 20)
    fall(house, 84)
    done = house.act()
    assert done[1:] == [*["liquidation 3/0 -20"] * 2, "liquidation 3/0 -10", "margin_state 3/0 0"]


def test_a_short_position_is_bought_back() -> None:
    house = House(EXTERNAL)
    house.mark(100)
    house.trade(ALICE, MARGE, 100, 50)
    house.new(ALICE, SELL, 112, 50)
    assert fall(house, 114) == (30, 29)
    assert house.due() == [CALL]
    assert fall(house, 115) == (25, 29)
    done = house.act()
    assert done == ["margin_state 3/0 2", "liquidation 3/0 50", "margin_state 3/0 0"]
    assert house.total(MARGE) == 100 - 60


def test_liquidation_passes_what_stops_others(house: House) -> None:
    house.new(ALICE, BUY, 80, 50)
    for number in (RuleNumber.QTY_MAX_LOTS, RuleNumber.ORDERS_PER_DAY, RuleNumber.OPEN_ORDERS_MAX):
        house.rule(number, 1, ACCOUNT, MARGE)
    house.rule(RuleNumber.KILLED, 1)
    fall(house, 84)
    assert house.act()[1:] == ["liquidation 3/0 -50", "margin_state 3/0 0"]


def test_liquidation_passes_no_missing_room(house: House) -> None:
    fall(house, 84)
    set_state(house, 2)
    house.risk.state.orders_max = 0
    assert close(house, SELL, 50) == "TOO_MANY_ORDERS"
    assert house.due() == [], "until the next TICK"


@pytest.mark.parametrize(("side", "lots"), [(BUY, 1), (SELL, 51)])
def test_a_liquidation_order_only_closes(house: House, side: int, lots: int) -> None:
    fall(house, 84)
    set_state(house, 2)
    assert close(house, side, lots) == "NOT_IN_BREACH"


def test_liquidation_orders_are_risks_own(house: House) -> None:
    flags: dict[str, Any] = {"flags": CommandFlag.LIQUIDATION}
    assert house.new(MARGE, SELL, 84, 50, **flags) == "BAD_FLAGS"


def test_a_transfer_that_is_not_due(house: House) -> None:
    sent = {"source": RISK, "price_ticks": MARGE}
    assert house.funds(2, INSURANCE, QUOTE, 1, **sent) == "NOT_IN_BREACH"
    fall(house, 84)
    set_state(house, 2)
    assert house.funds(2, INSURANCE, QUOTE, 1, **sent) == "NOT_IN_BREACH", "something is open"
    house.new(ALICE, BUY, 70, 50)
    close(house, SELL, 50)
    assert house.due() == [Demand("cover", MARGE, QUOTE, 50)]
    assert house.funds(2, INSURANCE, QUOTE, 51, **sent) == "NOT_IN_BREACH"
    assert set_state(house, 0) == "NOT_IN_BREACH", "the debt first"
    assert house.funds(2, INSURANCE, QUOTE, 50, **sent) == "NONE"
    assert set_state(house, 0) == "NONE"


# --- losses of a day -----------------------------------------------------------------------------


def test_a_loss_limit_cancels_once_and_a_new_day_lifts_it() -> None:
    house = House(EXTERNAL)
    house.mark(100)
    house.trade(ALICE, BOB, 110, 10)
    house.new(ALICE, BUY, 50, 1)
    house.tick()
    house.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 10, ACCOUNT, ALICE)
    assert house.due() == []
    house.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 9, ACCOUNT, ALICE)
    assert house.act() == ["loss_state 1/0 1", "mass_cancel 1/0 0"]
    assert house.new(ALICE, BUY, 50, 1) == "DAILY_LOSS"
    assert house.new(ALICE, SELL, 120, 10) == "NONE"
    assert house.act() == [], "what reduces lives on"
    house.new(BOB, BUY, 120, 10)
    assert house.position(ALICE).realised == 10
    house.now_ns += DAY_NS
    house.tick()
    assert house.act() == ["loss_state 1/0 0"]


def test_the_limits_of_others_cancel_nothing() -> None:
    house = House(EXTERNAL)
    house.mark(100)
    house.trade(ALICE, BOB, 110, 10)
    house.new(ALICE, BUY, 50, 1)
    house.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 1, Scope.GROUP, ALICE)
    house.tick()
    assert house.act() == []
    assert house.new(ALICE, BUY, 50, 1) == "DAILY_LOSS"


# --- breaker -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scope", "other"), [(Scope.SYMBOL, 3_000), (Scope.VENUE, 0)])
def test_a_trade_far_from_the_days_first_halts(scope: int, other: int) -> None:
    house = House()
    house.rule(RuleNumber.BREAKER_BPS, 1_000, scope)
    house.rule(RuleNumber.BREAKER_BPS, other, Scope.VENUE + Scope.SYMBOL - scope)
    for price in (100, 110, 90):
        house.trade(ALICE, BOB, price, 1)
        assert house.due() == []
    house.trade(ALICE, BOB, 111, 1)
    assert house.act() == ["halt 0/0 0"]
    assert house.new(ALICE, BUY, 100, 1) == "PHASE_FORBIDS"
    continuous = {"phase": Phase.CONTINUOUS, "flags": CommandFlag.TERMS}
    house.told(CommandKind.PHASE, **continuous)
    assert house.due() == []
    house.now_ns += DAY_NS
    house.trade(ALICE, BOB, 112, 1)
    assert house.due() == [], "the first of a new day"
    house.trade(ALICE, BOB, 100, 1)
    assert house.due() == [Demand("halt", 0, 0)]
