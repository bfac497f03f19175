"""The twin's valuation against numbers made by hand: marks, figures, margin, the round."""

import pytest

from engine.instruments import MarkSource
from engine.messages import CommandKind, Scope
from engine.rules import RuleNumber
from tests.risk.house import ALICE, BOB, BUY, MARGE, MIKE, PLAIN, QUOTE, SELL, STRANGER, House
from tools.twin import Instrument
from tools.twin.risk import Figures
from tools.twin.risk.money import of_bps
from tools.twin.risk.valuation import equity, free, mark, value

EXTERNAL = PLAIN._replace(mark_source=MarkSource.EXTERNAL)
VENUE = (Scope.VENUE, 0)


@pytest.mark.parametrize(
    ("units", "bps", "part"),
    [(0, 500, 0), (1, 500, 1), (20, 500, 1), (21, 500, 2), (1 << 53, 10_000, 1 << 53)],
)
def test_a_margin_is_rounded_up(units: int, bps: int, part: int) -> None:
    assert of_bps(units, bps) == part


def test_the_figures_of_a_position() -> None:
    house = House()
    house.trade(MARGE, ALICE, 101, 10)
    found = house.position(MARGE).figures
    # 10 % of 101 and 5 % of it, both rounded up.
    assert found == Figures(worth=101, cost=101, gross=101, initial=11, maintenance=6)
    assert house.new(MARGE, BUY, 120, 5) == "NONE"
    found = house.position(MARGE).figures
    # 15 lots are worth 151.5; the order pays 60 for what is worth 50.5.
    assert found._asdict() == {
        "worth": 101,
        "cost": 101,
        "buys": 50,
        "sells": 0,
        "gross": 151,
        "initial": 16 + 10,
        "maintenance": 6,
        "open_units": 60,
    }
    assert house.new(MARGE, SELL, 125, 20) == "NONE"
    assert house.amend(MARGE, 4, 121, 30) == "NONE", "beyond the best bid"
    found = house.position(MARGE).figures
    # 20 short would be worth 202; the order gets 363 for what is worth 303.
    assert (found.sells, found.gross, found.initial, found.open_units) == (303, 202, 26, 423)
    assert equity(house.risk.state, MARGE, QUOTE) == 100
    assert free(house.risk.state, MARGE, QUOTE) == 74


def test_selling_below_the_mark_needs_the_difference() -> None:
    house = House(EXTERNAL)
    house.mark(101)
    house.trade(MARGE, ALICE, 101, 10)
    assert house.new(MARGE, SELL, 90, 30) == "NONE"
    # 20 short: 10 % of 202 is 20.2; 303 less 270.
    assert house.position(MARGE).figures.initial == 21 + 33


def test_a_short_position_is_worth_less_than_nothing() -> None:
    house = House(EXTERNAL)
    house.trade(MARGE, MIKE, 100, 10)
    house.mark(103)
    house.tick()
    found = house.position(MIKE).figures
    assert (found.worth, found.cost, found.gross) == (-103, -100, 103)
    assert (found.initial, found.maintenance) == (11, 6)
    assert equity(house.risk.state, MIKE, QUOTE) == 97
    assert equity(house.risk.state, MARGE, QUOTE) == 103


def test_cash_accounts_own_what_they_have_and_need_no_margin() -> None:
    house = House()
    house.trade(ALICE, BOB, 101, 10)
    found = house.position(ALICE).figures
    assert (found.worth, found.cost, found.initial, found.maintenance) == (101, 101, 0, 0)
    assert equity(house.risk.state, ALICE, QUOTE) == 10_000
    assert equity(house.risk.state, BOB, QUOTE) == 10_000


def test_a_value_is_clamped() -> None:
    house = House(Instrument(notional_divisor=1, reference_ticks=1 << 60, initial_bps=0))
    state = house.risk.state
    assert value(state, 0, 2) == 1 << 53
    state.last_prices[0] = -(1 << 60)
    assert value(state, 0, 2) == -(1 << 53)
    state.last_prices[0] = 3
    assert value(state, 0, 7) == 21


def test_the_mark_of_each_source() -> None:
    sources = [PLAIN._replace(mark_source=each, reference_ticks=0) for each in MarkSource]
    house = House(*sources)
    state = house.risk.state

    def marks() -> list[int]:
        return [mark(state, index) for index in range(3)]

    assert marks() == [0, 0, 0]
    for index in range(3):
        state.instruments[index] = state.instruments[index]._replace(reference_ticks=90)
    assert marks() == [90, 90, 90]
    for index in range(3):
        house.deposit(BOB, index + 1, 4)
        house.trade(ALICE, BOB, 100, 1, instrument=index)
    assert marks() == [100, 100, 100]
    state.tops[1] = (97, 100)
    house.mark(111, 2)
    house.mark(111, 0)
    assert marks() == [100, 98, 111]
    state.tops[1] = (97, None)
    assert marks() == [100, 100, 111]


def test_a_leverage_below_the_instruments_raises_the_margin() -> None:
    house = House(EXTERNAL)
    house.trade(MARGE, ALICE, 100, 10)
    assert house.position(MARGE).figures.initial == 10
    house.rule(RuleNumber.LEVERAGE_MAX, 20)
    house.tick()
    assert house.position(MARGE).figures.initial == 10
    house.rule(RuleNumber.LEVERAGE_MAX, 3, Scope.ACCOUNT, MARGE)
    house.tick()
    assert house.position(MARGE).figures.initial == 34, "3,334 ten-thousandths of 100"


# --- when a position is valued -------------------------------------------------------------------


def test_each_command_values_the_next_position() -> None:
    house = House(EXTERNAL)
    house.trade(MARGE, ALICE, 100, 10)
    house.trade(MIKE, ALICE, 100, 10)
    house.tick()
    assert house.risk.state.turn == 2, "of Alice, Marge and Mike: Mike is next"

    def worths() -> list[int]:
        return [each.figures.worth for each in house.risk.state.positions]

    house.mark(110)
    assert worths() == [-200, 100, 110], "the round comes after the command"
    house.cancel(ALICE, 77)
    assert worths() == [-220, 100, 110]
    assert house.new(STRANGER, BUY, 1, 1) == "UNKNOWN_ACCOUNT"
    assert worths() == [-220, 110, 110], "accepted or not"


@pytest.mark.parametrize("kind", [CommandKind.NEW, CommandKind.CHECK])
def test_an_order_is_checked_with_its_position_as_it_is_now(kind: int) -> None:
    """At 20 a loss of 80 leaves 20, and a tenth of 200 is needed; the round looks elsewhere."""
    house = House(EXTERNAL)
    house.trade(MARGE, ALICE, 100, 10)
    house.tick()
    house.mark(20)
    for lots, told in ((91, "INITIAL_MARGIN"), (90, "NONE")):
        house.risk.state.turn = 0
        assert house.new(MARGE, BUY, 20, lots, kind=kind) == told
        assert house.position(MARGE).figures.worth == 20
    assert len(house.risk.holds) == (kind == CommandKind.NEW)


def test_a_new_position_is_next_when_the_round_is_through() -> None:
    house = House(EXTERNAL)
    house.new(ALICE, SELL, 100, 10)
    assert house.risk.state.turn == 1
    house.new(BOB, BUY, 90, 10)
    assert house.risk.state.turn == 2, "Bob's, which came to be with this command"
    house.mark(100)
    assert house.risk.state.turn == 1, "Alice's"
