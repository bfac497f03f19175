"""What live orders reserve, and how they count in their positions."""

from engine.messages import Side
from tools.twin.risk.money import cost, fee_at_most
from tools.twin.risk.state import Hold, Position, State

QUOTE, RECEIVED = range(2)
"""`fee_asset` of an instrument."""


def rates(state: State, account: int, index: int) -> tuple[int, int]:
    """What an order pays as resting and as incoming order, in millionths."""
    if state.fee_account < 0 or account == state.fee_account:
        return 0, 0
    instrument, tier = state.instruments[index], state.account(account).tier
    return instrument.maker_rates[tier], instrument.taker_rates[tier]


def fee_rate(state: State, account: int, index: int, side: int) -> int:
    """The largest rate that an order may have to pay in the quote asset."""
    if state.instruments[index].fee_asset == RECEIVED and side == Side.BUY:
        return 0
    return max(*rates(state, account, index), 0)


def worst_price(side: int, *prices: int) -> int:
    """The highest of a purchase, the lowest of a sale."""
    return max(prices) if side == Side.BUY else min(prices)


def needs(state: State, hold: Hold, price_ticks: int, lots: int) -> dict[int, int]:
    """Units by asset that an order of this price and quantity may take; its main asset first."""
    if state.is_margin(hold.account):
        return {}
    instrument = state.instruments[hold.instrument]
    rate = max(hold.maker_rate, hold.taker_rate, 0)
    if hold.side == Side.BUY:
        units = cost(instrument, price_ticks, lots)
        fee = 0 if hold.fee_in_base else fee_at_most(units, rate)
        return {instrument.quote_asset_index: units + fee}
    needed = {instrument.base_asset_index: lots * instrument.base_units_per_lot}
    if price_ticks < 0:
        units = cost(instrument, -price_ticks, lots)
        needed[instrument.quote_asset_index] = units + fee_at_most(units, rate)
    return needed


def affords(state: State, hold: Hold, needed: dict[int, int]) -> bool:
    """Whether an order may reserve so much instead of what it does."""
    return all(
        units - hold.reserved.get(asset, 0) <= state.purse(hold.account, asset).available
        for asset, units in needed.items()
    )


def open_units(state: State, hold: Hold, price_ticks: int, lots: int) -> int:
    """What an order counts among its position's open units."""
    return cost(state.instruments[hold.instrument], abs(price_ticks), lots)


def reserve(state: State, hold: Hold) -> Position:
    """Reserve for an order at its bounds, and count it in its position."""
    position = state.position(hold.account, hold.instrument)
    price_ticks, lots = hold.bound_price_ticks, hold.bound_lots
    hold.reserved = needs(state, hold, price_ticks, lots)
    hold.units = open_units(state, hold, price_ticks, lots)
    for asset, units in hold.reserved.items():
        _shift(state, hold.account, asset, units)
    position.holding = position.holding.with_order(hold.side, lots, hold.units)
    position.orders += 1
    position.reduce_only[hold.side] += hold.reduce_only
    return position


def release(state: State, hold: Hold) -> Position:
    """Undo `reserve`, before the order's bounds change."""
    position = state.position(hold.account, hold.instrument)
    for asset, units in hold.reserved.items():
        _shift(state, hold.account, asset, -units)
    position.holding = position.holding.with_order(hold.side, -hold.bound_lots, -hold.units)
    position.orders -= 1
    position.reduce_only[hold.side] -= hold.reduce_only
    hold.reserved, hold.units = {}, 0
    return position


def _shift(state: State, account: int, asset: int, units: int) -> None:
    purse = state.purse(account, asset)
    purse.available -= units
    purse.reserved += units
