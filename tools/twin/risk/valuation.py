"""What positions are worth: marks, the figures of a position, sums over the positions of a scope.

A position keeps the figures of its last valuation; sums are sums of those.
"""

from engine.messages import Scope
from engine.rules import RuleNumber
from tools.twin.risk import rules
from tools.twin.risk.money import BPS, VALUE_MAX, of_bps, payment, up
from tools.twin.risk.state import Entity, Figures, Holding, Position, State

LAST, MID, EXTERNAL = range(3)
"""`mark_source` of an instrument."""

ROUND_MAX = 4096
"""Positions that are valued after a TICK."""


def mark(state: State, instrument: int) -> int:
    """The mark price of an instrument, 0 for none."""
    terms = state.instruments[instrument]
    price = state.last_prices.get(instrument, 0)
    if terms.mark_source == MID:
        price = middle(state, instrument) or price
    elif terms.mark_source == EXTERNAL:
        price = state.marks.get(instrument, 0) or price
    return price or terms.reference_ticks


def middle(state: State, instrument: int) -> int:
    """Half-way between best bid and ask, rounded down; 0 while one is missing."""
    bid, ask = state.tops.get(instrument, (None, None))
    return 0 if bid is None or ask is None else (bid + ask) // 2


def value(state: State, instrument: int, lots: int) -> int:
    """What lots come to at the mark."""
    units = payment(state.instruments[instrument], mark(state, instrument), lots)
    return max(-VALUE_MAX, min(VALUE_MAX, units))


def figures_of(state: State, account: int, instrument: int, holding: Holding) -> Figures:
    """The figures of a position with this holding, now."""
    net, cost, open_buy, open_sell, buy_units, sell_units = holding
    longest, shortest = abs(net + open_buy), abs(net - open_sell)
    worth = value(state, instrument, abs(net))
    buys, sells = value(state, instrument, open_buy), value(state, instrument, open_sell)
    initial = maintenance = 0
    if state.is_margin(account):
        terms = state.instruments[instrument]
        leverage = rules.lowest(state, RuleNumber.LEVERAGE_MAX, account, instrument)
        rate = max(terms.initial_bps, up(BPS, leverage) if leverage else 0)
        initial = max(
            of_bps(value(state, instrument, longest), rate) + max(0, buy_units - buys),
            of_bps(value(state, instrument, shortest), rate) + max(0, sells - sell_units),
        )
        maintenance = of_bps(worth, terms.maintenance_bps)
    return Figures(
        worth=worth if net >= 0 else -worth,
        cost=cost,
        buys=buys,
        sells=sells,
        gross=abs(value(state, instrument, max(longest, shortest))),
        initial=initial,
        maintenance=maintenance,
        open_units=buy_units + sell_units,
    )


def revalue(state: State, position: Position) -> None:
    """Value a position now."""
    position.figures = figures_of(state, position.account, position.instrument, position.holding)


def walk(state: State, most: int) -> None:
    """The round: value the next so many positions, none twice."""
    for _ in range(min(most, len(state.positions))):
        if state.turn >= len(state.positions):
            state.turn = 0
        revalue(state, state.positions[state.turn])
        state.turn += 1


# --- sums ----------------------------------------------------------------------------------------


def sums(state: State, entity: Entity, asset: int) -> Figures:
    """The figures of all positions of an entity that are quoted in an asset."""
    found = [each.figures for each in state.in_asset(entity, asset)]
    return Figures(*map(sum, zip(*found, strict=True)))


def realised_today(state: State, position: Position) -> int:
    """Profit of today's trades, with fees."""
    return position.realised if position.realised_day == state.today else 0


def result(state: State, entity: Entity, asset: int) -> int:
    """The day's result of an entity."""
    return sum(
        realised_today(state, each) + each.figures.worth - each.figures.cost
        for each in state.in_asset(entity, asset)
    )


def equity(state: State, account: int, asset: int) -> int:
    """What an account would have of an asset if its positions were closed at their marks."""
    found = sums(state, (Scope.ACCOUNT, account), asset)
    units = state.purse(account, asset).total + found.worth
    return units - found.cost if state.is_margin(account) else units


def free(state: State, account: int, asset: int) -> int:
    """What of the equity no margin needs."""
    return equity(state, account, asset) - sums(state, (Scope.ACCOUNT, account), asset).initial
