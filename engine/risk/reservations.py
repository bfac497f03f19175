"""What live orders can still cost, and how much of a position they can still make.

A reservation knows the order as risk last heard of it, and a bound: the worst price and the
largest open quantity that the order can have while amendments are on their way. What it holds
back is always the cost of that bound, so a fill at the old price cannot eat into what the new
price needs. The bound falls back to the order itself when the last amendment is answered.
"""

from engine.messages import AccountKind, Side
from engine.reference import InstrumentTerms
from engine.risk.amounts import base_needed, order_units, quote_needed
from engine.risk.purses import group_of, purse_of
from engine.risk.state import Position, Reservation, RiskState
from ipc.jit import inlined, kernel


@inlined
def worse_price(side: int, first: int, second: int) -> int:
    """The worse of two prices for an order of this side: what it may have to pay or accept."""
    return max(first, second) if side == Side.BUY else min(first, second)


@inlined
def bound_rate(reservation: Reservation) -> int:
    """The higher of an order's fee rates, in millionths, 0 or more."""
    return max(reservation.maker_rate, reservation.taker_rate, 0)


@kernel
def count_bound(
    state: RiskState,
    terms: InstrumentTerms,
    position: Position,
    reservation: Reservation,
    sign: int,
) -> None:
    """Add (sign 1) or take away (-1) what the order at its bound holds back."""
    side, price = reservation.side, reservation.bound_price_ticks
    lots = reservation.bound_leaves_lots
    units = sign * order_units(terms, price, lots)
    if side == Side.BUY:
        position.open_buy += sign * lots
        position.buy_units += units
    else:
        position.open_sell += sign * lots
        position.sell_units += units
    if reservation.reduce_only != 0:
        if side == Side.BUY:
            position.reducing_buy += sign * lots
        else:
            position.reducing_sell += sign * lots
    account = reservation.account
    if state.owners[account].kind != AccountKind.CASH:
        return
    if side == Side.BUY or price < 0:
        quote = quote_needed(terms, side, price, lots, bound_rate(reservation))
        purse_of(state, account, terms.quote_asset).reserved += sign * quote
    if side == Side.SELL:
        base = base_needed(terms, side, lots)
        purse_of(state, account, terms.base_asset).reserved += sign * base


@inlined
def count_order(state: RiskState, account: int, instrument: int, sign: int) -> None:
    """One live order more or less, at all scopes."""
    state.accounts[account].open_orders += sign
    group_of(state, account).open_orders += sign
    state.symbols[instrument].open_orders += sign
    state.venue.open_orders += sign
