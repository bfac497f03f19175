"""What must be true of risk's sums, whatever has happened."""

from collections import Counter

from engine.messages import Scope, Side
from tools.twin.risk.reserving import needs, open_units
from tools.twin.risk.stage import Risk
from tools.twin.risk.state import Holding, State
from tools.twin.risk.valuation import sums


def check_sums(risk: Risk) -> None:
    """AssertionError names the sum that is not what its parts make."""
    state = risk.state
    _check_money(state)
    _check_nets(state)
    _check_orders(state)
    _check_figures(state)
    _check_scopes(state)


def _check_money(state: State) -> None:
    """Totals and margin positions of an asset are what was deposited and not withdrawn."""
    found: Counter[int] = Counter()
    for purses in state.balances.values():
        for asset, purse in purses.items():
            found[asset] += purse.total
    for position in state.positions:
        if state.is_margin(position.account):
            instrument = state.instruments[position.instrument]
            net, cost = position.holding.net, position.holding.cost
            found[instrument.quote_asset_index] -= cost
            found[instrument.base_asset_index] += net * instrument.base_units_per_lot
    for asset in found.keys() | state.deposited.keys():
        units = state.deposited.get(asset, 0)
        assert found[asset] == units, f"asset {asset}: {found[asset]}, deposited {units}"


def _check_nets(state: State) -> None:
    """What one has bought another has sold."""
    nets: Counter[int] = Counter()
    for position in state.positions:
        nets[position.instrument] += position.holding.net
        holding = position.holding
        assert holding.net or not holding.cost, f"{position} is closed and has a cost"
    assert not any(nets.values()), f"nets by instrument: {nets}"


def _check_orders(state: State) -> None:
    """Reservations, open lots and units are the sums of the live orders' bounds."""
    reserved: Counter[tuple[int, int]] = Counter()
    open_parts: dict[tuple[int, int], Holding] = {}
    counts: Counter[tuple[int, int]] = Counter()
    reducing: Counter[tuple[int, int, int]] = Counter()
    for hold in state.holds.values():
        price_ticks, lots = hold.bound_price_ticks, hold.bound_lots
        assert hold.reserved == needs(state, hold, price_ticks, lots), hold
        assert lots >= hold.open_lots >= 0, hold
        for asset, units in hold.reserved.items():
            reserved[hold.account, asset] += units
        place = hold.account, hold.instrument
        units = open_units(state, hold, price_ticks, lots)
        parts = open_parts.get(place, Holding())
        open_parts[place] = parts.with_order(hold.side, lots, units)
        counts[place] += 1
        reducing[(*place, hold.side)] += hold.reduce_only
    for account, purses in state.balances.items():
        for asset, purse in purses.items():
            assert purse.reserved == reserved[account, asset], (account, asset, purse)
    for position in state.positions:
        place = position.account, position.instrument
        assert position.holding[2:] == open_parts.get(place, Holding())[2:], position
        assert position.orders == counts[place], position
        for side in Side:
            assert position.reduce_only[side] == reducing[(*place, side)], position
        assert position.orders or not position.cancel_due, position


def _check_figures(state: State) -> None:
    """A position was valued when it changed: only its mark, or a rate, may be another since."""
    for position in state.positions:
        holding, figures = position.holding, position.figures
        assert figures.cost == holding.cost, position
        assert figures.open_units == holding.buy_units + holding.sell_units, position
        if not state.is_margin(position.account):
            assert figures.initial == figures.maintenance == 0, position


def _check_scopes(state: State) -> None:
    """Each position counts once at each of its four scopes."""
    found: Counter[tuple[Scope, int]] = Counter()
    for position in state.positions:
        for entity in state.entities(position.account, position.instrument):
            assert sum(each is position for each in state.members[entity]) == 1, position
            found[entity] += 1
    for entity, members in state.members.items():
        assert len(members) == found[entity], entity
    for asset in {each.asset for each in state.positions}:
        whole = sums(state, (Scope.VENUE, 0), asset)
        for scope in Scope:
            entities = [each for each in state.members if each[0] == scope]
            parts = [sums(state, entity, asset) for entity in entities]
            assert list(whole) == [sum(each) for each in zip(*parts, strict=True)], scope
