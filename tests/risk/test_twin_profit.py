"""The twin's positions against numbers made by hand: cost, realised profit, settlement."""

import pytest

from engine.messages import CommandKind
from tests.risk.house import (
    ALICE,
    BASE,
    BOB,
    BUY,
    DAY_NS,
    INSURANCE,
    MARGE,
    MIKE,
    PLAIN,
    QUOTE,
    SELL,
    House,
)
from tools.twin.risk import Holding
from tools.twin.risk.settling import traded
from tools.twin.risk.valuation import realised_today


@pytest.mark.parametrize(
    ("before", "trade", "after", "profit"),
    [
        ((0, 0), (BUY, 10, 100), (10, 100), 0),
        ((10, 100), (BUY, 5, 60), (15, 160), 0),
        ((10, 100), (SELL, 4, 50), (6, 60), 10),
        ((10, 100), (SELL, 10, 90), (0, 0), -10),
        ((0, 0), (SELL, 10, 100), (-10, -100), 0),
        ((-10, -100), (SELL, 5, 60), (-15, -160), 0),
        ((-10, -100), (BUY, 4, 50), (-6, -60), -10),
        ((-10, -100), (BUY, 10, 90), (0, 0), 10),
        # Parts of the cost are rounded toward zero, and the last one takes what is left.
        ((3, 10), (SELL, 1, 4), (2, 7), 1),
        ((2, 7), (SELL, 1, 4), (1, 4), 1),
        ((1, 4), (SELL, 1, 3), (0, 0), -1),
        ((-3, -10), (BUY, 1, 4), (-2, -7), -1),
        # Through zero: 6 of 10 lots close for 130 * 6 / 10 = 78, the rest opens for 52.
        ((6, 60), (SELL, 10, 130), (-4, -52), 18),
        # 3 of 5 lots close for 17 * 3 / 5 = 10.2, rounded down.
        ((-3, -10), (BUY, 5, 17), (2, 7), 0),
        # Below zero whoever buys is paid; -7 / 2 is rounded down to -4.
        ((0, 0), (BUY, 2, -5), (2, -5), 0),
        ((2, -5), (SELL, 2, -7), (0, 0), -2),
        ((1, -3), (SELL, 2, -7), (-1, 3), -1),
        ((-1, 3), (BUY, 1, -7), (0, 0), 4),
    ],
)
def test_a_trade_opens_closes_or_does_both(
    before: tuple[int, int], trade: tuple[int, int, int], after: tuple[int, int], profit: int
) -> None:
    left, realised = traded(Holding(*before), *trade)
    assert (left, realised) == (Holding(*after), profit)


def test_margin_accounts_settle_their_profit_only() -> None:
    house = House()
    house.trade(MARGE, MIKE, 101, 10)
    assert (house.holding(MARGE), house.holding(MIKE)) == ((10, 101), (-10, -101))
    assert (house.total(MARGE), house.total(MIKE)) == (100, 100)
    assert (house.total(MARGE, BASE), house.total(MIKE, BASE)) == (0, 0)
    house.trade(MIKE, MARGE, 111, 5)
    # Half of 101 is 50, rounded toward zero; 5 lots at 111 are worth 55.5, paid as 55.
    assert (house.holding(MARGE), house.holding(MIKE)) == ((5, 51), (-5, -51))
    assert (house.total(MARGE), house.total(MIKE)) == (105, 95)


def test_a_cash_account_delivers_to_a_margin_account_that_has_a_position() -> None:
    house = House()
    house.trade(MARGE, ALICE, 101, 10)
    assert (house.total(ALICE), house.total(ALICE, BASE)) == (10_101, 7_960)
    assert (house.total(MARGE), house.total(MARGE, BASE)) == (100, 0)
    assert house.holding(ALICE) == (-10, -101), "what it has sold, as anyone"
    house.trade(BOB, MARGE, 111, 4)
    assert (house.total(BOB), house.total(BOB, BASE)) == (10_000 - 44, 8_016)
    assert house.total(MARGE) == 100 + 44 - 40


def test_deposits_are_no_part_of_a_position() -> None:
    house = House()
    house.deposit(ALICE, BASE, 400)
    house.trade(BOB, ALICE, 100, 1)
    assert house.holding(ALICE) == (-1, -10)


def test_an_account_that_trades_with_itself_buys_and_sells() -> None:
    house = House()
    house.trade(MARGE, MARGE, 101, 10)
    assert house.holding(MARGE) == (0, 0)
    assert house.total(MARGE) == 100


def test_a_result_is_of_its_day() -> None:
    """The trade of yesterday's command is yesterday's, whenever risk hears of it."""
    house = House(day_start_ns=DAY_NS // 2)
    house.now_ns = DAY_NS // 2 - 1
    house.trade(MARGE, ALICE, 100, 10)
    house.trade(ALICE, MARGE, 110, 5)
    position, state = house.position(MARGE), house.risk.state
    assert realised_today(state, position) == 5
    house.now_ns += 1
    house.tick()
    assert realised_today(state, position) == 0
    house.trade(ALICE, MARGE, 104, 5)
    assert realised_today(state, position) == 2


def test_what_was_traded_yesterday_and_is_heard_of_today_does_not_count() -> None:
    house = House()
    house.trade(MARGE, ALICE, 100, 10)
    assert house.new(ALICE, BUY, 110, 10) == "NONE"
    venue, risk = house.venue, house.risk
    sells = {"side": SELL, "order_type": 1, "time_in_force": 1, "account": MARGE}
    number = {"sequence": 99, "order_id": 99, "price_ticks": 110, "qty_lots": 10}
    sent = venue.ingest.sequence(_command(**sells, **number), 5)
    events = venue.exchange.decide(risk.decide(sent))
    later = venue.ingest.sequence(_command(sequence=100, kind=CommandKind.SNAPSHOT), DAY_NS)
    risk.decide(later)
    for event in events:
        risk.apply(event)
    assert house.total(MARGE) == 110
    assert realised_today(risk.state, house.position(MARGE)) == 0


def _command(sequence: int, kind: int = CommandKind.NEW, **fields: int) -> object:
    from tools.twin import Command

    return Command(sequence, kind, **fields)


def test_a_sale_below_zero_reserves_what_it_may_cost() -> None:
    """3 lots at -15 are 4.5 units, so 5; a fee of 2 % of these is a tenth: one unit."""
    rates = {"maker_rates": (20_000,) * 8, "taker_rates": (0,) * 8}
    house = House(PLAIN._replace(price_min_ticks=-100, initial_bps=0, **rates))
    assert house.new(ALICE, SELL, -15, 3) == "NONE"
    assert house.purse(ALICE, QUOTE).reserved == 6
    assert house.purse(ALICE, BASE).reserved == 12
    assert house.new(INSURANCE, BUY, -15, 3) == "NONE"
    assert house.total(ALICE) == 10_000 - 4, "4.5 toward zero; the fee of that is less than one"
    assert house.total(INSURANCE) == 54
    house.deposit(INSURANCE, BASE, 400)
    assert house.new(INSURANCE, SELL, -53, 10) == "INSUFFICIENT_BALANCE", "53 and 2 are above 54"
    assert house.new(INSURANCE, SELL, -52, 10) == "NONE", "52 and 2"
    assert house.new(INSURANCE, SELL, -1, 1) == "INSUFFICIENT_BALANCE"
    assert house.new(INSURANCE, SELL, 0, 1) == "NONE"
