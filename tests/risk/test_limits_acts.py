"""What risk does by itself, at exactly the figures at which it does: calls, liquidations, halts."""

from collections.abc import Callable

import pytest

from engine.limits import ASSETS_MAX
from engine.messages import (
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    OrderType,
    Phase,
    Scope,
    TimeInForce,
)
from engine.rules import RuleNumber
from tests.risk.pit import (
    ALICE,
    BASE,
    BOB,
    BUY,
    CAROL,
    DAY_NS,
    FEES,
    INSURANCE,
    MARGE,
    PLAIN,
    QUOTE,
    REACHES,
    SECOND_NS,
    SELL,
    Pit,
)

pytestmark = pytest.mark.interpreted

Pits = Callable[..., Pit]
EXTERNAL = PLAIN._replace(mark_source=2, short_selling=1)
CALLED, LIQUIDATED, GOOD = (f"MARGIN_STATE of {MARGE} is {value}" for value in (1, 2, 0))


@pytest.fixture
def marge(pits: Pits) -> Pit:
    """Marge has bought 50 lots at 100, and 100 units of her own."""
    pit = pits(EXTERNAL)
    pit.trade(MARGE, ALICE, 100, 50)
    return pit


def figures(pit: Pit) -> tuple[int, int]:
    """Marge's equity and maintenance margin."""
    purse = pit.floor.memory.risk.purses[MARGE * ASSETS_MAX + QUOTE]
    return purse.total + purse.worth - purse.cost, purse.maintenance


def by_risk(pit: Pit) -> dict[str, int]:
    """Who sends."""
    return {"source": pit.floor.risk_source}


def margin_state(pit: Pit, value: int) -> str:
    """RULE margin_state of Marge, as risk would send it."""
    return pit.rule(RuleNumber.MARGIN_STATE, value, Scope.ACCOUNT, MARGE, **by_risk(pit))


def sale(pit: Pit, lots: int, side: int = SELL, account: int = MARGE) -> str:
    """A liquidation order, as risk would send it; if it passes it finds nobody."""
    kinds = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC}
    told = pit.new(account, side, 0, lots, flags=CommandFlag.LIQUIDATION, **kinds, **by_risk(pit))
    if told == "NONE":
        pit.end(pit.order_id)
    return told


# --- margin calls --------------------------------------------------------------------------------


def test_a_margin_call_at_the_unit(pits: Pits) -> None:
    """Five percent of 500 units and a quarter of that, rounded down, are 25 and 31."""
    pit = pits(EXTERNAL)
    pit.trade(MARGE, ALICE, 100, 50)
    assert pit.withdraw(MARGE, 50) == "NONE"
    pit.floor.set_term("initial_bps", 500)
    assert pit.withdraw(MARGE, 19) == "NONE"
    pit.tick()
    assert (figures(pit), pit.obey()) == ((31, 25), []), "31 is not below 31"
    assert margin_state(pit, 1) == margin_state(pit, 2) == "NOT_IN_BREACH"
    assert pit.withdraw(MARGE, 1) == "NONE"
    assert (figures(pit), pit.obey()) == ((30, 25), [CALLED])
    assert margin_state(pit, 1) == margin_state(pit, 0) == "NOT_IN_BREACH"
    assert pit.new(MARGE, SELL, 100, 51) == "NONE", "a call is only told"
    pit.cancel(pit.order_id)
    assert pit.deposit(MARGE, 1) == "NONE"
    assert pit.obey() == [GOOD]


def test_liquidation_at_the_unit(marge: Pit) -> None:
    """At 84 she has 21 units, and needs five percent of 420."""
    assert marge.deposit(MARGE, 1) == "NONE"
    marge.mark(85)
    assert (figures(marge), marge.obey()) == ((26, 22), [CALLED])
    marge.mark(84)
    assert (figures(marge), marge.obey()) == ((21, 21), []), "21 is not below 21"
    assert margin_state(marge, 2) == "NOT_IN_BREACH"
    assert marge.withdraw(MARGE, 1) == "INSUFFICIENT_BALANCE"
    marge.mark(83)
    assert figures(marge) == (16, 21)
    assert marge.obey() == [LIQUIDATED, f"SELL 50 for {MARGE}"]


def test_without_a_position_there_is_nothing_to_call_for(pit: Pit) -> None:
    assert pit.withdraw(MARGE, 100) == "NONE"
    pit.tick()
    assert pit.obey() == []


# --- liquidation ---------------------------------------------------------------------------------


def test_a_liquidation_from_the_first_cancel_to_the_end(marge: Pit) -> None:
    assert marge.new(MARGE, SELL, 200, 10) == "NONE"
    resting = marge.order_id
    marge.mark(83)
    assert marge.obey() == [LIQUIDATED, f"MASS_CANCEL of {MARGE} in 0", f"SELL 50 for {MARGE}"]
    assert resting not in marge.live
    hers = {"account": MARGE}
    assert marge.new(MARGE, SELL, 83, 1) == marge.ask(resting, 83, 1, **hers) == "LIQUIDATING"
    assert marge.obey() == [], "nobody bought; it waits for a TICK"
    marge.tick()
    (wish,) = marge.sent()
    assert (wish["side"], wish["qty_lots"]) == (SELL, 50)
    sell_out(marge, wish, 70)
    assert (marge.held(MARGE), marge.total(MARGE)) == ((0, 0), -50)
    assert marge.obey() == [f"50 from {INSURANCE} to {MARGE}", GOOD]
    assert (marge.total(MARGE), marge.total(INSURANCE)) == (0, 0)
    assert marge.new(MARGE, BUY, 50, 1) == "INITIAL_MARGIN"


def sell_out(pit: Pit, wish: dict[str, int], price: int) -> None:
    """Risk's order finds one that buys all of it at a price."""
    assert pit.new(ALICE, BUY, price, wish["qty_lots"]) == "NONE"
    maker_id = pit.order_id
    kind = wish.pop("kind")
    pit.floor.order_id += 1
    pit.order_id = pit.floor.order_id
    assert pit.told(kind, **(wish | {"order_id": pit.order_id})) == "NONE"
    names = pit.floor.last_decision._asdict()
    pit.live[pit.order_id] = names | {"total": wish["qty_lots"], "leaves": wish["qty_lots"]}
    source = {name: wish[name] for name in ("source", "source_sequence")}
    pit.meet(pit.order_id, maker_id, price, wish["qty_lots"], flags=EventFlag.LAST, **source)


def test_a_debt_beyond_the_insurance_stays(marge: Pit) -> None:
    marge.mark(83)
    marge.obey()
    marge.tick()
    (wish,) = marge.sent()
    sell_out(marge, wish, 60)
    assert marge.total(MARGE) == -100
    assert marge.obey() == [f"50 from {INSURANCE} to {MARGE}", GOOD, CALLED]
    assert marge.total(MARGE) == -50
    assert marge.new(MARGE, BUY, 1, 1) == "INITIAL_MARGIN"
    assert marge.withdraw(MARGE, 1) == "INSUFFICIENT_BALANCE"
    assert marge.deposit(MARGE, 50) == "NONE"
    assert marge.obey() == [GOOD], "0 is not below 0"


@pytest.mark.parametrize(("paid", "told"), [(0, "NONE"), (1, "NOT_IN_BREACH")])
def test_the_insurance_pays_no_more_than_the_debt_still_is(
    marge: Pit, paid: int, told: str
) -> None:
    """Somebody may have paid a part of it meanwhile; then risk sends what is left."""
    marge.mark(83)
    marge.obey()
    marge.tick()
    (wish,) = marge.sent()
    sell_out(marge, wish, 71)
    (cover,) = marge.sent()
    assert (marge.total(MARGE), cover["qty_lots"]) == (-45, 45)
    assert paid == 0 or marge.deposit(MARGE, paid) == "NONE"
    kind = cover.pop("kind")
    assert marge.told(kind, **cover) == told
    source = {name: cover[name] for name in ("source", "source_sequence")}
    marge.apply(EventKind.DONE, flags=EventFlag.LAST, **source)
    assert marge.obey() == [f"44 from {INSURANCE} to {MARGE}"] * paid + [GOOD]
    assert (marge.total(MARGE), marge.total(INSURANCE)) == (0, 5 + paid)


def test_what_a_liquidation_order_may_do(marge: Pit) -> None:
    assert sale(marge, 50) == "NOT_IN_BREACH"
    marge.mark(83)
    assert sale(marge, 50) == "NOT_IN_BREACH", "not before it is said"
    assert margin_state(marge, 2) == "NONE"
    assert margin_state(marge, 2) == margin_state(marge, 1) == "NOT_IN_BREACH"
    assert sale(marge, 51) == sale(marge, 1, BUY) == sale(marge, 1, account=ALICE)
    assert sale(marge, 51) == "NOT_IN_BREACH"
    assert sale(marge, 50) == "NONE"


@pytest.mark.parametrize("name", REACHES)
def test_what_a_liquidation_order_passes(pits: Pits, name: str) -> None:
    """Whatever would refuse another order of Marge's or anyone's."""
    pit = pits(EXTERNAL._replace(notional_min_units=600, price_min_ticks=1), insurance_account=-1)
    assert pit.deposit(MARGE, 20) == "NONE"
    pit.trade(MARGE, ALICE, 100, 60)
    pit.mark(84)
    assert margin_state(pit, 2) == "NONE"
    place = {"account": MARGE, "group": 22, "symbol": 0, "venue": 0}[name]
    scope = REACHES[name].scope
    for number in RuleNumber:
        if number not in (13, 14, 15, 16, 17, 18, 19, 40, 41):
            assert pit.rule(number, 1, scope, place) == "NONE"
    assert pit.new(MARGE, SELL, 84, 60) == "KILLED"
    assert sale(pit, 60) == sale(pit, 59) == "NONE"
    assert pit.live == {}


def test_a_liquidation_order_needs_room(pits: Pits) -> None:
    pit = pits(EXTERNAL, orders_max=2)
    pit.trade(MARGE, ALICE, 100, 50)
    assert pit.new(ALICE, BUY, 1, 1) == pit.new(BOB, BUY, 1, 1) == "NONE"
    pit.mark(83)
    assert margin_state(pit, 2) == "NONE"
    assert sale(pit, 50) == "TOO_MANY_ORDERS"
    pit.cancel(pit.order_id)
    assert sale(pit, 50) == "NONE"


# --- loss of a day -------------------------------------------------------------------------------


def test_the_loss_limit_of_an_account_cancels_its_orders(pits: Pits) -> None:
    """Bought 10 lots at 110; at 100 ten units are lost."""
    pit = pits(EXTERNAL, EXTERNAL)
    pit.trade(ALICE, CAROL, 110, 10)
    for instrument in (0, 1):
        assert pit.new(ALICE, BUY, 50, 1, instrument=instrument) == "NONE"
    pit.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 10, Scope.ACCOUNT, ALICE)
    pit.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 1, Scope.ACCOUNT, ALICE, instrument=BASE)
    pit.mark(100)
    assert pit.obey() == [], "10 lost, and no more"
    pit.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 9, Scope.ACCOUNT, ALICE)
    pit.mark(100)
    stopped = ["LOSS_STATE of 1 is 1", "MASS_CANCEL of 1 in 0", "MASS_CANCEL of 1 in 1"]
    done = pit.obey()
    assert (done[0], sorted(done)) == (stopped[0], stopped)
    assert pit.new(ALICE, BUY, 50, 1) == "DAILY_LOSS"
    assert pit.new(ALICE, SELL, 120, 10) == "NONE"
    assert pit.obey() == [], "what reduces rests"
    pit.now_ns += DAY_NS - 1
    pit.tick()
    assert pit.obey() == []
    pit.now_ns += 1
    pit.tick()
    assert pit.obey() == ["LOSS_STATE of 1 is 0", "LOSS_STATE of 1 is 1", "MASS_CANCEL of 1 in 0"]


def test_the_loss_limits_of_others_cancel_nothing(pits: Pits) -> None:
    pit = pits(EXTERNAL)
    pit.trade(ALICE, CAROL, 110, 10)
    assert pit.new(ALICE, BUY, 50, 1) == "NONE"
    pit.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 1, *REACHES["group"][:2])
    pit.mark(100)
    assert pit.obey() == []
    assert pit.new(ALICE, BUY, 50, 1) == "DAILY_LOSS"


@pytest.mark.parametrize(("early", "told"), [(1, "NONE"), (0, "DAILY_LOSS")])
def test_a_loss_of_yesterday_that_is_heard_today(pits: Pits, early: int, told: str) -> None:
    """The day begins at one o'clock; a command of then or later has been decided before."""
    pit = pits(EXTERNAL, day_start_ns=3_600 * SECOND_NS)
    dawn = pit.now_ns + 3_600 * SECOND_NS
    pit.trade(ALICE, CAROL, 100, 10)
    pit.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 9, Scope.ACCOUNT, ALICE)
    assert pit.new(ALICE, SELL, 90, 10) == "NONE"
    maker_id = pit.order_id
    assert pit.new(BOB, BUY, 90, 10) == "NONE"
    taker_id = pit.order_id
    pit.now_ns = dawn
    pit.tick()
    pit.meet(taker_id, maker_id, 90, 10, time_ns=dawn - early)
    assert pit.total(ALICE) == 9_990
    assert pit.new(ALICE, BUY, 50, 1) == told


def test_a_loss_of_the_last_day_is_over_at_dawn(pits: Pits) -> None:
    pit = pits(EXTERNAL, day_start_ns=3_600 * SECOND_NS)
    pit.trade(ALICE, CAROL, 100, 10)
    pit.rule(RuleNumber.DAILY_LOSS_MAX_UNITS, 9, Scope.ACCOUNT, ALICE)
    assert pit.new(ALICE, SELL, 90, 10) == pit.new(BOB, BUY, 90, 10) == "NONE"
    pit.meet(pit.order_id, pit.order_id - 1, 90, 10)
    pit.now_ns += 3_600 * SECOND_NS - 1
    assert pit.new(ALICE, BUY, 50, 1) == "DAILY_LOSS"
    pit.now_ns += 1
    assert pit.new(ALICE, BUY, 50, 1) == "NONE"


# --- breaker -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "other"), [("symbol", 3_000), ("venue", 3_000), ("venue", 0)])
def test_the_breaker(pit: Pit, name: str, other: int) -> None:
    """Ten percent from the day's first trade at 100; the strictest of the two scopes."""
    scope = REACHES[name].scope
    pit.rule(RuleNumber.BREAKER_BPS, 1_000, scope)
    pit.rule(RuleNumber.BREAKER_BPS, other, Scope.VENUE + Scope.SYMBOL - scope)
    for price in (100, 110, 90):
        pit.trade(ALICE, BOB, price, 1)
        assert pit.obey() == []
    pit.trade(ALICE, BOB, 111, 1)
    assert pit.obey() == ["PHASE of 0"]
    pit.told(CommandKind.PHASE, phase=Phase.CONTINUOUS, flags=CommandFlag.TERMS)
    assert pit.obey() == []
    pit.trade(ALICE, BOB, 89, 1)
    assert pit.obey() == ["PHASE of 0"], "again"
    pit.now_ns += DAY_NS
    pit.tick()
    pit.trade(ALICE, BOB, 200, 1)
    pit.trade(ALICE, BOB, 220, 1)
    assert pit.obey() == [], "another day, and its first trade"
    pit.trade(ALICE, BOB, 179, 1)
    assert pit.obey() == ["PHASE of 0"]
    pit.rule(RuleNumber.BREAKER_BPS, 0, scope)
    pit.rule(RuleNumber.BREAKER_BPS, 0, Scope.VENUE + Scope.SYMBOL - scope)
    pit.trade(ALICE, BOB, 500, 1)
    assert pit.obey() == []


def test_the_breaker_of_an_instrument_is_its_own(pit: Pit) -> None:
    pit.rule(RuleNumber.BREAKER_BPS, 1_000, Scope.SYMBOL, 1)
    for price in (100, 200):
        pit.trade(ALICE, BOB, price, 1)
    assert pit.obey() == []
    for price in (100, 111):
        pit.trade(ALICE, BOB, price, 1, instrument=1)
    assert pit.obey() == ["PHASE of 1"]


# --- killed --------------------------------------------------------------------------------------


def test_killed_with_two_cancels_all_that_is_concerned(pit: Pit) -> None:
    for account in (ALICE, BOB, CAROL, FEES):
        for instrument in (0, 1):
            assert pit.new(account, BUY, 50, 1, instrument=instrument) == "NONE"
    pit.rule(RuleNumber.KILLED, 2, *REACHES["group"][:2])
    wanted = [f"MASS_CANCEL of {account} in {place}" for account in (1, 2) for place in (0, 1)]
    assert sorted(pit.obey()) == wanted
    pit.rule(RuleNumber.KILLED, 2, Scope.SYMBOL, 1)
    assert sorted(pit.obey()) == [f"MASS_CANCEL of {account} in 1" for account in (CAROL, FEES)]
    pit.rule(RuleNumber.KILLED, 2)
    assert sorted(pit.obey()) == [f"MASS_CANCEL of {account} in 0" for account in (CAROL, FEES)]
    assert pit.live == {}
    pit.apply(EventKind.CLOCK)
