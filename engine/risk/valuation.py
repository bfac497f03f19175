"""What positions are worth and what margin they need, and the sums of that.

A position remembers the figures of its last valuation. Valuing it again takes the difference to
four purses: the account's, its group's, the instrument's and the venue's. So a sum is at hand when
an order is checked, whatever the number of positions.
"""

from typing import Final

from engine.instruments import BPS, MarkSource
from engine.limits import ASSETS_MAX
from engine.messages import AccountKind
from engine.reference import InstrumentTerms
from engine.risk.amounts import bps_up, value_units
from engine.risk.purses import group_purse_of, own_rule, purse_of
from engine.risk.state import (
    ALARMS_MAX,
    Figures,
    MarginState,
    Position,
    Purse,
    RiskState,
)
from engine.rules import FIRST_MONEY_RULE, RuleNumber
from ipc.jit import inlined, kernel

ROUND_MAX: Final = 4096
"""Positions that are valued after a TICK."""

NEVER_VALUED: Final = -(1 << 62)
"""In place of a mark."""

LOSS_RULE: Final = RuleNumber.DAILY_LOSS_MAX_UNITS.value - FIRST_MONEY_RULE


# --- marks -------------------------------------------------------------------------------------


@kernel
def refresh_mark(state: RiskState, instrument: int) -> None:
    """Find the mark again after a price that it may depend on has changed."""
    quote, terms = state.quotes[instrument], state.terms[instrument]
    mark = quote.last
    if terms.mark_source == MarkSource.MID and quote.has_bid != 0 and quote.has_ask != 0:
        middle = (quote.bid + quote.ask) >> 1
        mark = middle if middle != 0 else mark
    elif terms.mark_source == MarkSource.EXTERNAL and quote.external != 0:
        mark = quote.external
    quote.mark = mark if mark != 0 else terms.reference_ticks


# --- one position ------------------------------------------------------------------------------


@inlined
def initial_rate(state: RiskState, terms: InstrumentTerms, account: int, instrument: int) -> int:
    """Ten-thousandths of the value that an order or position needs as margin."""
    rate = terms.initial_bps
    if state.on >> RuleNumber.LEVERAGE_MAX & 1:
        leverage = own_rule(state, account, instrument, RuleNumber.LEVERAGE_MAX.value)
        if leverage != 0:
            rate = max(rate, (BPS + leverage - 1) // leverage)
    return rate


@inlined
def compute(
    state: RiskState, terms: InstrumentTerms, account: int, instrument: int, made: Figures
) -> None:
    """Fill the valuation of `made` at the instrument's mark."""
    mark = state.quotes[instrument].mark
    net = made.net
    size = value_units(terms, mark, abs(net))
    made.worth = size if net >= 0 else -size
    made.buys = made.sells = 0
    if made.open_buy != 0:
        made.buys = value_units(terms, mark, made.open_buy)
    if made.open_sell != 0:
        made.sells = value_units(terms, mark, made.open_sell)
    long_lots, short_lots = abs(net + made.open_buy), abs(net - made.open_sell)
    made.initial = made.maintenance = 0
    if state.owners[account].kind != AccountKind.MARGIN:
        made.gross = abs(value_units(terms, mark, max(long_lots, short_lots)))
        return
    long_value = value_units(terms, mark, long_lots)
    short_value = value_units(terms, mark, short_lots)
    made.gross = max(long_value, short_value)
    rate = initial_rate(state, terms, account, instrument)
    made.initial = max(
        bps_up(long_value, rate) + max(made.buy_units - made.buys, 0),
        bps_up(short_value, rate) + max(made.sells - made.sell_units, 0),
    )
    made.maintenance = bps_up(size, terms.maintenance_bps)


@inlined
def add_figures(purse: Purse, position: Position, made: Figures) -> None:
    """Take the difference between two valuations of a position into one sum.

    An order alone changes neither worth nor cost, and a cash account has no margin.
    """
    purse.gross += made.gross - position.gross
    purse.buys += made.buys - position.buys
    purse.sells += made.sells - position.sells
    purse.open_units += position.buy_units + position.sell_units - position.counted_units
    if made.worth != position.worth or position.cost != position.counted_cost:
        purse.worth += made.worth - position.worth
        purse.cost += position.cost - position.counted_cost
    if made.initial != position.initial or made.maintenance != position.maintenance:
        purse.initial += made.initial - position.initial
        purse.maintenance += made.maintenance - position.maintenance


@kernel
def value_position(state: RiskState, position: Position) -> None:
    """Value a position at the present mark and correct the sums."""
    account, instrument = position.account, position.instrument
    made = state.scratch
    made.net, made.open_buy, made.open_sell = position.net, position.open_buy, position.open_sell
    made.buy_units, made.sell_units = position.buy_units, position.sell_units
    compute(state, state.terms[instrument], account, instrument, made)
    take_figures(state, position, made)


@inlined
def take_figures(state: RiskState, position: Position, made: Figures) -> None:
    """Make `made` the valuation of a position, which is as `made` says, and correct the sums."""
    account, instrument = position.account, position.instrument
    terms = state.terms[instrument]
    purse = purse_of(state, account, terms.quote_asset)
    add_figures(purse, position, made)
    add_figures(group_purse_of(state, account, terms.quote_asset), position, made)
    add_figures(state.symbol_purses[instrument], position, made)
    add_figures(state.venue_purses[terms.quote_asset], position, made)
    position.worth, position.buys, position.sells = made.worth, made.buys, made.sells
    position.gross = made.gross
    position.initial, position.maintenance = made.initial, made.maintenance
    position.counted_cost = position.cost
    position.counted_units = position.buy_units + position.sell_units
    position.mark = state.quotes[instrument].mark
    watch(state, account, terms.quote_asset, purse)


@inlined
def refresh_position(state: RiskState, position: Position) -> None:
    """Value a position that has not changed, if its mark has."""
    instrument = position.instrument
    if position.mark != state.quotes[instrument].mark:
        value_position(state, position)
        return
    asset, account = state.terms[instrument].quote_asset, position.account
    watch(state, account, asset, purse_of(state, account, asset))


@kernel
def forget_valuations(state: RiskState) -> None:
    """Margin terms or leverage have changed: every position's figures are to be found again."""
    for index in range(1, state.positions.count + 1):
        state.positions.table[index].mark = NEVER_VALUED


@kernel
def value_round(state: RiskState, count: int) -> None:
    """Value the next `count` positions in the order in which they came to be."""
    positions = state.positions
    for _ in range(min(count, positions.count)):
        positions.cursor += 1
        if positions.cursor > positions.count:
            positions.cursor = 1
        refresh_position(state, positions.table[positions.cursor])


# --- conditions that prices alone bring about --------------------------------------------------


@inlined
def equity_of(state: RiskState, account: int, purse: Purse) -> int:
    """What would be left if all positions were closed at their marks."""
    equity = purse.total + purse.worth
    if state.owners[account].kind == AccountKind.MARGIN:
        equity -= purse.cost
    return equity


@inlined
def free_units(state: RiskState, account: int, purse: Purse) -> int:
    """What new orders and withdrawals of a margin account may use."""
    return equity_of(state, account, purse) - purse.initial


@inlined
def result_of(state: RiskState, purse: Purse) -> int:
    """The day's result: realised today, and unrealised."""
    realised = purse.day_realised if purse.day == state.day else 0
    return realised + purse.worth - purse.cost


@inlined
def is_below_maintenance(state: RiskState, account: int, purse: Purse) -> bool:
    """Whether a margin account must be liquidated."""
    if state.owners[account].kind != AccountKind.MARGIN or purse.maintenance <= 0:
        return False
    return equity_of(state, account, purse) < purse.maintenance


@inlined
def is_to_be_called(state: RiskState, account: int, purse: Purse) -> bool:
    """Whether a margin account is near that: within a quarter of the maintenance margin."""
    if state.owners[account].kind != AccountKind.MARGIN:
        return False
    return equity_of(state, account, purse) < purse.maintenance + (purse.maintenance >> 2)


@inlined
def has_lost_too_much(state: RiskState, purse: Purse) -> bool:
    """Whether the day's result is beyond the purse's limit."""
    limit = purse.rules[LOSS_RULE]
    return limit != 0 and result_of(state, purse) < -limit


@inlined
def is_due(state: RiskState, account: int, purse: Purse) -> bool:
    """Whether risk has something to do about an account's purse."""
    if purse.margin_state == MarginState.LIQUIDATING or is_below_maintenance(state, account, purse):
        return True
    if is_to_be_called(state, account, purse) != (purse.margin_state == MarginState.CALLED):
        return True
    if purse.loss_state != 0:
        return purse.loss_day != state.day
    return has_lost_too_much(state, purse)


@inlined
def watch(state: RiskState, account: int, asset: int, purse: Purse) -> None:
    """Raise an alarm if risk has something to do about this purse."""
    if state.margin == 0 and state.money_on >> LOSS_RULE & 1 == 0:
        return
    if purse.alarmed == 0 and is_due(state, account, purse):
        raise_alarm(state, account, asset, purse)


@kernel
def raise_alarm(state: RiskState, account: int, asset: int, purse: Purse) -> None:
    """Let risk look at the purse; without room it is raised again when it is valued again."""
    warden = state.warden
    if warden.tail - warden.head < ALARMS_MAX:
        purse.alarmed = 1
        warden.alarms[warden.tail & (ALARMS_MAX - 1)] = account * ASSETS_MAX + asset
        warden.tail += 1
        warden.fruitless = 0
