"""Where the sums of money are: the purses that a position, and a trade, count in."""

from engine.limits import ASSETS_MAX, INSTRUMENTS_MAX
from engine.reference import InstrumentTerms
from engine.risk.state import (
    NO_POSITION,
    Position,
    Purse,
    RiskState,
    Scope,
)
from engine.rules import FIRST_MONEY_RULE
from ipc.jit import inlined


@inlined
def purse_of(state: RiskState, account: int, asset: int) -> Purse:
    """One asset of one account."""
    return state.purses[account * ASSETS_MAX + asset]


@inlined
def group_purse_of(state: RiskState, account: int, asset: int) -> Purse:
    """The same of its group."""
    return state.group_purses[state.owners[account].group * ASSETS_MAX + asset]


@inlined
def group_of(state: RiskState, account: int) -> Scope:
    """The account's group."""
    return state.groups[state.owners[account].group]


@inlined
def available_units(purse: Purse) -> int:
    """What a cash account may still use."""
    return purse.total - purse.reserved


@inlined
def insured_units(state: RiskState, account: int, asset: int) -> int:
    """What the insurance account can pay of an account's debt."""
    insurance = state.insurance_account
    if insurance < 0 or insurance == account:
        return 0
    debt = -purse_of(state, account, asset).total
    return max(min(debt, available_units(purse_of(state, insurance, asset))), 0)


@inlined
def position_index(state: RiskState, account: int, instrument: int) -> int:
    """The number of a position; NO_POSITION if there is none."""
    return state.positions.index[account * INSTRUMENTS_MAX + instrument]


@inlined
def find_position(state: RiskState, account: int, instrument: int) -> Position:
    """The position, or the one that is always zero."""
    return state.positions.table[position_index(state, account, instrument)]


@inlined
def open_position(state: RiskState, account: int, instrument: int) -> Position:
    """The position, made if there is none; there is room."""
    positions = state.positions
    at = account * INSTRUMENTS_MAX + instrument
    index = positions.index[at]
    if index == NO_POSITION:
        positions.count += 1
        index = positions.index[at] = positions.count
        position = positions.table[index]
        position.account, position.instrument = account, instrument
        owner = state.owners[account]
        position.next, owner.first_position = owner.first_position, index
    return positions.table[index]


@inlined
def strictest(first: int, second: int) -> int:
    """The smaller of two limits, of which 0 is none."""
    return second if first == 0 or (second != 0 and second < first) else first


@inlined
def own_rule(state: RiskState, account: int, instrument: int, rule: int) -> int:
    """The strictest of an own rule over all scopes, 0: none is set."""
    limit = strictest(state.accounts[account].rules[rule], group_of(state, account).rules[rule])
    limit = strictest(limit, state.symbols[instrument].rules[rule])
    return strictest(limit, state.venue.rules[rule])


@inlined
def own_money_rule(
    state: RiskState, terms: InstrumentTerms, account: int, instrument: int, rule: int
) -> int:
    """The strictest of an own money rule in the instrument's quote asset, 0: none is set."""
    asset, at = terms.quote_asset, rule - FIRST_MONEY_RULE
    limit = strictest(
        purse_of(state, account, asset).rules[at], group_purse_of(state, account, asset).rules[at]
    )
    limit = strictest(limit, state.symbol_purses[instrument].rules[at])
    return strictest(limit, state.venue_purses[asset].rules[at])
