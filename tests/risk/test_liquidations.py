"""Liquidations by the whole engine: chains of them, and the moments in which one could go wrong."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from engine.instruments import FeeAsset, MarkSource
from engine.messages import CommandKind, Funds, RejectReason, Scope, Side
from engine.reference import TERM_NUMBERS
from engine.risk.state import MarginState
from engine.rules import RuleNumber
from tests.risk.arena import Arena
from tests.risk.storm_market import FUTURE
from tools.twin.market import Market

pytestmark = pytest.mark.timeout(120)

BUY, SELL = Side.BUY, Side.SELL
QUOTE = 0
ALICE, BOB, MARGE, MIKE, FEES, INSURANCE = 1, 2, 3, 4, 5, 6
CHAIN = range(10, 18)
MARKED = FUTURE._replace(mark_source=MarkSource.EXTERNAL, reference_ticks=100, base_asset_index=1)


def market_of(balances: dict[int, int], *instruments: Any, insurance: int = 0) -> Market:
    """Margin accounts of these balances beside Alice and Bob, who have plenty of everything."""
    terms = [each._replace(base_asset_index=at) for at, each in enumerate(instruments, 1)]
    plenty = dict.fromkeys(range(len(terms) + 1), 1_000_000)
    return Market(
        instruments=tuple(terms),
        ladders=((100,),) * len(terms),
        balances={
            **{ALICE: plenty, BOB: plenty, FEES: plenty, INSURANCE: {QUOTE: insurance}},
            **{account: {QUOTE: units} for account, units in balances.items()},
        },
        kinds=dict.fromkeys(balances, 1),
        fee_account=FEES,
        insurance_account=INSURANCE,
    )


@pytest.fixture
def arenas() -> Iterator[list[Arena]]:
    """Those that a test makes, released afterwards."""
    made: list[Arena] = []
    yield made
    for arena in made:
        arena.release()


def open_arena(arenas: list[Arena], market: Market) -> Arena:
    """An arena that the fixture releases."""
    arenas.append(Arena(market))
    return arenas[-1]


def buy(arena: Arena, account: int, lots: int, instrument: int = 0, side: int = BUY) -> None:
    """From Bob, or with side SELL to him, at 100."""
    arena.new(BOB, 1 - side, 100, lots, instrument=instrument)
    arena.new(account, side, 100, lots, instrument=instrument)
    arena.settle()


def mark(arena: Arena, price: int, instrument: int = 0) -> None:
    """A mark from outside, and a TICK, which has every position valued."""
    arena.send(CommandKind.MARK, instrument=instrument, price_ticks=price)
    arena.tick()


def state_of(arena: Arena, account: int) -> tuple[int, int]:
    """Total, and margin state."""
    purse = arena.ledger.purse(account, QUOTE)
    return purse.total, purse.margin_state


def sent(arena: Arena, kind: int) -> list[tuple[int, int, str]]:
    """What risk sent of a kind: account, quantity or value, and the reason it was given."""
    return [
        (each.account, each.qty_lots, RejectReason(each.reason).name)
        for each in arena.by_risk()
        if each.kind == kind
    ]


# --- chains --------------------------------------------------------------------------------------


def balance_at(side: int, price: int) -> int:
    """What keeps 50 lots bought (sold) at 100 just above maintenance at a price."""
    worth = 5 * price
    loss = 500 - worth if side == BUY else worth - 500
    return loss + worth // 20


@pytest.mark.parametrize("pace", ["rounds", "steps"])
@pytest.mark.parametrize("insurance", [0, 60, 100_000])
@pytest.mark.parametrize("side", [BUY, SELL], ids=["falling", "rising"])
def test_one_liquidation_sets_off_the_next(
    arenas: list[Arena], side: int, insurance: int, pace: str
) -> None:
    """Each takes the best price left, which is where the next one falls below maintenance."""
    sign = -1 if side == BUY else 1
    thresholds = {account: 100 + sign * (8 + 6 * at) for at, account in enumerate(CHAIN)}
    funds = {account: balance_at(side, price) for account, price in thresholds.items()}
    terms = FUTURE._replace(maker_rates=(0,) * 8, taker_rates=(0,) * 8)
    arena = open_arena(arenas, market_of(funds, terms, insurance=insurance))
    for account in CHAIN:
        buy(arena, account, 50, side=side)
    for at in range(len(CHAIN) + 1):
        # A little beyond: the fifty lots of each are taken at a loss greater than what he has.
        arena.new(ALICE, side, 100 + sign * (11 + 9 * at), 50)
    arena.settle()
    assert not sent(arena, CommandKind.NEW)
    arena.new(BOB, 1 - side, 100 + sign * 11, 1)
    for _ in range(400 if pace == "steps" else 0):
        arena.step()
    arena.settle()
    arena.calm()
    closed = {account for account, _, reason in sent(arena, CommandKind.NEW) if reason == "NONE"}
    assert closed == set(CHAIN), "the whole chain"
    paid = insurance - state_of(arena, INSURANCE)[0]
    covers = [units for _, units, reason in sent(arena, CommandKind.FUNDS) if reason == "NONE"]
    debts = [-state_of(arena, account)[0] for account in CHAIN]
    assert sum(covers) == paid
    if insurance == 100_000:
        assert paid > 60
        assert not any(debt > 0 for debt in debts)
    else:
        assert paid == insurance
        assert any(debt > 0 for debt in debts), "shown as what it is"
    assert all(state_of(arena, account)[1] != MarginState.LIQUIDATING for account in CHAIN)
    arena.end()


@pytest.mark.parametrize("rates", [(0, 0), (-500, 32_000), (32_767, 32_767)])
def test_a_crash_of_the_mark_liquidates_all_at_once(
    arenas: list[Arena], rates: tuple[int, int]
) -> None:
    """Long and short accounts, fees beyond what is left, and a market for some of the lots."""
    terms = MARKED._replace(maker_rates=(rates[0],) * 8, taker_rates=(rates[1],) * 8)
    funds = dict.fromkeys(CHAIN, 90)
    arena = open_arena(arenas, market_of(funds, terms, insurance=100))
    mark(arena, 100)
    for account in CHAIN:
        buy(arena, account, 50, side=account % 2)
    for price in (70, 60, 50):
        arena.new(ALICE, BUY, price, 40)
    mark(arena, 60)
    arena.settle()
    arena.calm()
    held = [account for account in CHAIN if state_of(arena, account)[1] == MarginState.LIQUIDATING]
    assert len(held) == 2, "120 lots of 200 found somebody"
    arena.new(ALICE, BUY, 40, 100)
    arena.calm()
    assert not any(state_of(arena, account)[1] == MarginState.LIQUIDATING for account in CHAIN)
    arena.end()


def test_whole_groups_that_must_not_meet_are_liquidated(arenas: list[Arena]) -> None:
    """Liquidation orders meet those of their own group, which prevents it, then a stranger's."""
    market = market_of({MARGE: 60, MIKE: 5_000}, MARKED, insurance=1_000)
    market = replace(market, groups={MIKE: MARGE}, preventions={MARGE: 3, MIKE: 3})
    arena = open_arena(arenas, market)
    mark(arena, 100)
    buy(arena, MARGE, 50)
    arena.new(MIKE, BUY, 95, 50)
    arena.new(ALICE, BUY, 90, 50)
    mark(arena, 91)
    arena.settle()
    arena.calm()
    assert state_of(arena, MARGE) == (10, MarginState.GOOD)
    arena.end()


# --- moments -------------------------------------------------------------------------------------


def test_a_position_without_a_market_holds_up_no_other(arenas: list[Arena]) -> None:
    """Of two accounts at once, each with a position that nobody takes and one that Alice takes."""
    arena = open_arena(arenas, market_of({MARGE: 200, MIKE: 200}, MARKED, MARKED))
    for instrument in (0, 1):
        mark(arena, 100, instrument)
        for account in (MARGE, MIKE):
            buy(arena, account, 50, instrument)
    arena.new(ALICE, BUY, 80, 200, instrument=0)
    mark(arena, 60, 1)
    arena.settle()
    orders = sent(arena, CommandKind.NEW)
    assert len(orders) == 4, "each is tried once before the next TICK"
    nets = {(each.account, each.instrument): each.net for each in positions(arena)}
    assert nets[MARGE, 0] == nets[MIKE, 0] == 0
    assert nets[MARGE, 1] == nets[MIKE, 1] == 50
    arena.calm()
    arena.end()


def positions(arena: Arena) -> list[Any]:
    """All that there are."""
    table = arena.risk.positions
    return [table.table[number] for number in range(1, table.count + 1)]


def test_what_is_left_may_be_less_than_an_order_must_be(arenas: list[Arena]) -> None:
    terms = MARKED._replace(qty_min_lots=10, qty_max_lots=48)
    arena = open_arena(arenas, market_of({MARGE: 60}, terms))
    mark(arena, 100)
    for lots in (40, 10):
        buy(arena, MARGE, lots)
    arena.new(ALICE, BUY, 90, 48)
    arena.new(ALICE, BUY, 89, 48)
    mark(arena, 90)
    arena.settle()
    assert sent(arena, CommandKind.NEW) == [(MARGE, 48, "NONE"), (MARGE, 2, "NONE")]
    assert state_of(arena, MARGE)[1] == MarginState.GOOD
    arena.calm()
    arena.end()


def liquidated(arena: Arena) -> None:
    """Marge loses 100 more than she has; the engine stops where risk has asked for a transfer."""
    mark(arena, 100)
    buy(arena, MARGE, 50)
    arena.new(ALICE, BUY, 68, 50)
    mark(arena, 68)
    for _ in range(100):
        arena.round()
        if arena.sources[1] and arena.sources[1][-1].kind == CommandKind.FUNDS:
            break
    assert arena.sources[1][-1].qty_lots == 100


def test_a_debt_paid_meanwhile_is_not_covered(arenas: list[Arena]) -> None:
    """A deposit is decided before the transfer for which risk has asked."""
    arena = open_arena(arenas, market_of({MARGE: 60}, MARKED, insurance=500))
    liquidated(arena)
    deposit = {"account": MARGE, "instrument": QUOTE, "side": Funds.DEPOSIT}
    arena.send(CommandKind.FUNDS, qty_lots=99, **deposit)
    arena.settle()
    done = [(INSURANCE, 100, "NOT_IN_BREACH"), (INSURANCE, 1, "NONE")]
    assert sent(arena, CommandKind.FUNDS) == done
    assert state_of(arena, MARGE) == (0, MarginState.GOOD)
    arena.end()


def test_insurance_spent_meanwhile_is_asked_for_what_is_left(arenas: list[Arena]) -> None:
    arena = open_arena(arenas, market_of({MARGE: 60}, MARKED, insurance=500))
    liquidated(arena)
    withdrawal = {"account": INSURANCE, "instrument": QUOTE, "side": Funds.WITHDRAW}
    arena.send(CommandKind.FUNDS, qty_lots=460, **withdrawal)
    arena.settle()
    done = [(INSURANCE, 100, "NOT_IN_BREACH"), (INSURANCE, 40, "NONE")]
    assert sent(arena, CommandKind.FUNDS) == done
    assert state_of(arena, MARGE) == (-60, MarginState.CALLED)
    arena.end()


def test_insurance_that_comes_meanwhile_pays_first(arenas: list[Arena]) -> None:
    """Risk says that all is done when a deposit gives the insurance something to pay with."""
    arena = open_arena(arenas, market_of({MARGE: 60}, MARKED))
    mark(arena, 100)
    buy(arena, MARGE, 50)
    arena.new(ALICE, BUY, 68, 50)
    mark(arena, 68)
    for _ in range(100):
        arena.round()
        rules = [each for each in arena.sources[1] if each.kind == CommandKind.RULE]
        if rules and rules[-1].qty_lots == MarginState.GOOD:
            break
    deposit = {"account": INSURANCE, "instrument": QUOTE, "side": Funds.DEPOSIT}
    arena.send(CommandKind.FUNDS, qty_lots=30, **deposit)
    arena.settle()
    states = [
        RejectReason(each.reason).name
        for each in arena.by_risk()
        if each.order_id == RuleNumber.MARGIN_STATE and each.qty_lots == MarginState.GOOD
    ]
    assert states == ["NOT_IN_BREACH", "NONE"]
    assert state_of(arena, MARGE) == (-70, MarginState.CALLED)
    arena.end()


# --- beyond liquidations -------------------------------------------------------------------------


@pytest.mark.parametrize("fee_asset", list(FeeAsset))
def test_the_asset_of_fees_stays_what_it_is(arenas: list[Arena], fee_asset: FeeAsset) -> None:
    """Live orders have reserved for their fees, or have not."""
    terms = FUTURE._replace(fee_asset=fee_asset, taker_rates=(700,) * 8)
    arena = open_arena(arenas, market_of({}, terms))
    arena.new(ALICE, BUY, 100, 900)
    number = TERM_NUMBERS["fee_asset"]
    arena.send(CommandKind.INSTRUMENT, order_id=number, qty_lots=1 - fee_asset)
    arena.settle()
    assert arena.decisions[-1].reason == RejectReason.BAD_TERM
    arena.new(BOB, SELL, 100, 1)
    arena.settle()
    arena.end()


@pytest.mark.parametrize("mark_ticks", [1 << 60, -(1 << 60), (1 << 60) - 7])
def test_a_position_may_be_worth_more_than_an_order(arenas: list[Arena], mark_ticks: int) -> None:
    """Seven orders of a lot, each of whose value fits int64 before it is divided."""
    terms = FUTURE._replace(
        price_min_ticks=-(1 << 60),
        price_max_ticks=1 << 60,
        notional_divisor=10**9,
        initial_bps=0,
        maintenance_bps=0,
    )
    market = market_of({}, terms)
    rich = {QUOTE: 1 << 50, 1: 1_000_000}
    arena = open_arena(
        arenas, replace(market, balances={**market.balances, ALICE: rich, BOB: rich})
    )
    for _ in range(15):
        buy_at = {"instrument": 0}
        arena.new(BOB, SELL, mark_ticks, 1, **buy_at)
        arena.new(ALICE, BUY, mark_ticks, 1, **buy_at)
    arena.calm()
    (worth,) = [each.worth for each in positions(arena) if each.account == ALICE]
    assert abs(worth) == 15 * abs(mark_ticks) // 10**9
    assert worth * mark_ticks > 0
    arena.end()


def test_an_account_that_a_rule_opened_trades_with_itself(arenas: list[Arena]) -> None:
    """Nobody has said what is to prevent that."""
    arena = open_arena(arenas, market_of({}, FUTURE))
    opened = {"account": 9, "order_type": Scope.ACCOUNT, "order_id": RuleNumber.OPEN}
    arena.send(CommandKind.RULE, qty_lots=1, **opened)
    arena.send(CommandKind.FUNDS, account=9, instrument=QUOTE, side=Funds.DEPOSIT, qty_lots=1_000)
    arena.send(CommandKind.FUNDS, account=9, instrument=1, side=Funds.DEPOSIT, qty_lots=10)
    arena.new(9, SELL, 100, 1)
    arena.new(9, BUY, 100, 1)
    arena.settle()
    assert len(arena.ledger.trades) == 1
    arena.end()
