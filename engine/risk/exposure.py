"""The checks of an order against what the account, its group, the instrument and the venue have.

`state.wanted` is the position as it would be with the order; a sum of a scope "with the order" is
the sum less what the position counts in it now, plus what it would.
"""

from typing import Final

from engine.messages import AccountKind, RejectReason, Side
from engine.reference import InstrumentTerms
from engine.risk.amounts import bps_down
from engine.risk.purses import (
    group_of,
    group_purse_of,
    own_money_rule,
    own_rule,
    purse_of,
)
from engine.risk.state import Figures, Position, Purse, RiskState, Scope
from engine.risk.valuation import (
    LOSS_RULE,
    compute,
    equity_of,
    free_units,
    has_lost_too_much,
)
from engine.rules import FIRST_MONEY_RULE, RuleNumber
from ipc.jit import inlined, kernel

OPEN_ORDERS: Final = RuleNumber.OPEN_ORDERS_MAX.value
REDUCE_ONLY: Final = RuleNumber.REDUCE_ONLY.value
LONG: Final = RuleNumber.LONG_MAX_LOTS.value
SHORT: Final = RuleNumber.SHORT_MAX_LOTS.value
OPEN_NOTIONAL: Final = RuleNumber.OPEN_NOTIONAL_MAX_UNITS - FIRST_MONEY_RULE
GROSS: Final = RuleNumber.GROSS_MAX_UNITS - FIRST_MONEY_RULE
NET: Final = RuleNumber.NET_MAX_UNITS - FIRST_MONEY_RULE
CONCENTRATION: Final = RuleNumber.CONCENTRATION_BPS - FIRST_MONEY_RULE

MARKED: Final = 1 << GROSS | 1 << NET | 1 << LOSS_RULE | 1 << CONCENTRATION
"""Money rules that need a mark."""

EXPOSURE_MAX: Final = 1 << 60
"""Gross of all accounts together in one asset, and cost and orders of one position, in units."""


@inlined
def set_wanted(position: Position, side: int, lots: int, units: int, wanted: Figures) -> None:
    """The position with `lots` and `units` more of open orders of a side; not valued yet."""
    wanted.net = position.net
    wanted.open_buy, wanted.open_sell = position.open_buy, position.open_sell
    wanted.buy_units, wanted.sell_units = position.buy_units, position.sell_units
    if side == Side.BUY:
        wanted.open_buy += lots
        wanted.buy_units += units
    else:
        wanted.open_sell += lots
        wanted.sell_units += units


@inlined
def is_reducing(position: Position, side: int, lots: int) -> bool:
    """Whether the order, and all others of its side, together cannot turn the position round."""
    if side == Side.BUY:
        return position.net < 0 and lots <= -position.net - position.open_buy
    return position.net > 0 and lots <= position.net - position.open_sell


# --- orders and their notional -----------------------------------------------------------------


@inlined
def has_too_many(scope: Scope) -> bool:
    """Whether another order would pass the scope's limit."""
    limit = scope.rules[OPEN_ORDERS]
    return limit != 0 and scope.open_orders >= limit


@kernel
def check_open_orders(state: RiskState, account: int, instrument: int) -> int:
    """One more live order, at all scopes."""
    if has_too_many(state.accounts[account]) or has_too_many(group_of(state, account)):
        return RejectReason.OPEN_ORDERS.value
    if has_too_many(state.symbols[instrument]) or has_too_many(state.venue):
        return RejectReason.OPEN_ORDERS.value
    return RejectReason.NONE.value


@inlined
def orders_too_much(purse: Purse, units: int) -> bool:
    """Whether `units` more of open orders would pass the scope's limit."""
    limit = purse.rules[OPEN_NOTIONAL]
    return limit != 0 and units > limit - purse.open_units


@inlined
def overflows_open(state: RiskState, terms: InstrumentTerms, units: int) -> bool:
    """Whether open orders of the venue in this asset would be beyond what sums can hold."""
    return units > EXPOSURE_MAX - state.venue_purses[terms.quote_asset].open_units


@kernel
def check_open_notional(
    state: RiskState, terms: InstrumentTerms, account: int, instrument: int, units: int
) -> int:
    """`units` more of open orders, at all scopes."""
    asset = terms.quote_asset
    if orders_too_much(purse_of(state, account, asset), units):
        return RejectReason.OPEN_NOTIONAL.value
    if orders_too_much(group_purse_of(state, account, asset), units):
        return RejectReason.OPEN_NOTIONAL.value
    if orders_too_much(state.symbol_purses[instrument], units):
        return RejectReason.OPEN_NOTIONAL.value
    if orders_too_much(state.venue_purses[asset], units):
        return RejectReason.OPEN_NOTIONAL.value
    return RejectReason.NONE.value


# --- positions ---------------------------------------------------------------------------------


@inlined
def check_reduce_only(
    state: RiskState, position: Position, account: int, instrument: int, side: int, flagged: int
) -> int:
    """An order that does not reduce: is that allowed?"""
    others = position.reducing_buy if side == Side.BUY else position.reducing_sell
    if flagged != 0 or others != 0:
        return RejectReason.REDUCE_ONLY.value
    if state.on >> REDUCE_ONLY & 1 and own_rule(state, account, instrument, REDUCE_ONLY) != 0:
        return RejectReason.REDUCE_ONLY.value
    return RejectReason.NONE.value


@kernel
def check_position_limit(
    state: RiskState, account: int, instrument: int, side: int, wanted: Figures
) -> int:
    """The largest position that the orders could lead to."""
    if side == Side.BUY:
        limit = own_rule(state, account, instrument, LONG)
        if limit != 0 and wanted.net + wanted.open_buy > limit:
            return RejectReason.POSITION_LONG.value
    else:
        limit = own_rule(state, account, instrument, SHORT)
        if limit != 0 and wanted.open_sell - wanted.net > limit:
            return RejectReason.POSITION_SHORT.value
    return RejectReason.NONE.value


@inlined
def check_margin_terms(
    state: RiskState, terms: InstrumentTerms, account: int, side: int, wanted: Figures
) -> int:
    """Whether the instrument may be traded on margin, and sold short."""
    if state.owners[account].kind != AccountKind.MARGIN:
        return RejectReason.NONE.value
    if terms.initial_bps == 0:
        return RejectReason.NOT_MARGINABLE.value
    if side == Side.SELL and terms.short_selling == 0 and wanted.open_sell > wanted.net:
        return RejectReason.SHORT_SELLING.value
    return RejectReason.NONE.value


# --- sums at marks -----------------------------------------------------------------------------


@inlined
def exceeds(limit: int, figure: int) -> bool:
    """Whether a figure is beyond a limit that is on."""
    return limit != 0 and figure > limit


@inlined
def exceeds_net(purse: Purse, position: Position, wanted: Figures, side: int) -> bool:
    """Whether all orders of the side together would take the net beyond its limit."""
    worth = purse.worth - position.worth + wanted.worth
    if side == Side.BUY:
        return exceeds(purse.rules[NET], worth + purse.buys - position.buys + wanted.buys)
    return exceeds(purse.rules[NET], purse.sells - position.sells + wanted.sells - worth)


@kernel
def check_sums(
    state: RiskState,
    terms: InstrumentTerms,
    position: Position,
    account: int,
    instrument: int,
    side: int,
) -> int:
    """Gross and net exposure, concentration and loss."""
    wanted, asset = state.wanted, terms.quote_asset
    own, group = purse_of(state, account, asset), group_purse_of(state, account, asset)
    symbol, venue = state.symbol_purses[instrument], state.venue_purses[asset]
    more = wanted.gross - position.gross
    if exceeds(own.rules[GROSS], own.gross + more) or exceeds(
        group.rules[GROSS], group.gross + more
    ):
        return RejectReason.GROSS_EXPOSURE.value
    if exceeds(symbol.rules[GROSS], symbol.gross + more) or exceeds(
        venue.rules[GROSS], venue.gross + more
    ):
        return RejectReason.GROSS_EXPOSURE.value
    if exceeds_net(own, position, wanted, side) or exceeds_net(group, position, wanted, side):
        return RejectReason.NET_EXPOSURE.value
    if exceeds_net(symbol, position, wanted, side) or exceeds_net(venue, position, wanted, side):
        return RejectReason.NET_EXPOSURE.value
    if state.money_on >> CONCENTRATION & 1:
        rule = RuleNumber.CONCENTRATION_BPS.value
        share = own_money_rule(state, terms, account, instrument, rule)
        equity = max(equity_of(state, account, own), 0)
        if share != 0 and wanted.gross > bps_down(equity, share):
            return RejectReason.CONCENTRATION.value
    stopped = own.loss_state != 0 and own.loss_day == state.day
    if stopped and own.rules[LOSS_RULE] != 0:
        return RejectReason.DAILY_LOSS.value
    if has_lost_too_much(state, own) or has_lost_too_much(state, group):
        return RejectReason.DAILY_LOSS.value
    if has_lost_too_much(state, symbol) or has_lost_too_much(state, venue):
        return RejectReason.DAILY_LOSS.value
    return RejectReason.NONE.value


@inlined
def needs_mark(state: RiskState, terms: InstrumentTerms, account: int, instrument: int) -> bool:
    """Whether something will be checked that is counted at marks."""
    if state.owners[account].kind == AccountKind.MARGIN:
        return True
    if state.money_on & MARKED == 0:
        return False
    return has_marked_rule(state, terms, account, instrument)


@kernel
def has_marked_rule(
    state: RiskState, terms: InstrumentTerms, account: int, instrument: int
) -> bool:
    """Whether one of the rules of sums at marks is on for this account and instrument."""
    asset = terms.quote_asset
    own, group = purse_of(state, account, asset), group_purse_of(state, account, asset)
    symbol, venue = state.symbol_purses[instrument], state.venue_purses[asset]
    for at in range(GROSS, CONCENTRATION + 1):
        if own.rules[at] | group.rules[at] | symbol.rules[at] | venue.rules[at]:
            return True
    return False


@kernel
def check_exposure(
    state: RiskState,
    terms: InstrumentTerms,
    position: Position,
    account: int,
    instrument: int,
    side: int,
) -> int:
    """All that is counted at marks, for an order that does not reduce; `state.wanted` is set.

    Afterwards `state.wanted` is valued, for `lacks_margin` and for the reservation.
    """
    wanted = state.wanted
    marked = needs_mark(state, terms, account, instrument)
    if marked and state.quotes[instrument].mark == 0:
        return RejectReason.NO_MARK_PRICE.value
    compute(state, terms, account, instrument, wanted)
    state.valued = 1
    venue = state.venue_purses[terms.quote_asset]
    if venue.gross - position.gross + wanted.gross > EXPOSURE_MAX:
        return RejectReason.EXPOSURE_OVERFLOW.value
    margin = state.owners[account].kind == AccountKind.MARGIN
    if margin and EXPOSURE_MAX - abs(position.cost) < wanted.buy_units + wanted.sell_units:
        return RejectReason.EXPOSURE_OVERFLOW.value
    if state.money_on & MARKED:
        return check_sums(state, terms, position, account, instrument, side)
    return RejectReason.NONE.value


@inlined
def lacks_margin(
    state: RiskState, terms: InstrumentTerms, position: Position, account: int
) -> bool:
    """Whether the free margin with the order would be below 0; `state.wanted` is valued."""
    purse = purse_of(state, account, terms.quote_asset)
    more = state.wanted.initial - position.initial
    return free_units(state, account, purse) < more
