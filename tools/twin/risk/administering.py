"""FUNDS, RULE, MARK and INSTRUMENT: what whoever runs the venue changes."""

from engine.limits import ACCOUNTS_MAX
from engine.messages import Funds, Listing, RejectReason, Scope
from engine.rules import RuleNumber
from tools.twin.instrument import BLANK
from tools.twin.messages import Sequenced
from tools.twin.risk import rules, valuation
from tools.twin.risk.demands import may_cover, may_set_loss_state, may_set_margin_state
from tools.twin.risk.money import DEPOSITS_MAX
from tools.twin.risk.rules import Setting
from tools.twin.risk.state import State
from tools.twin.terms import Terms

OF_ACCOUNTS: dict[int, str] = {
    RuleNumber.KIND: "kind",
    RuleNumber.TIER: "tier",
    RuleNumber.GROUP: "group",
    RuleNumber.SELF_TRADE: "prevention",
}
"""Rules that are fields of an account."""

FIXED_ONCE_OPEN = (RuleNumber.KIND, RuleNumber.GROUP, RuleNumber.SELF_TRADE)


# --- funds ---------------------------------------------------------------------------------------


def funds(state: State, command: Sequenced) -> RejectReason:
    """Book a deposit, withdrawal or transfer, or the reason not to."""
    account, asset, units = command.account, command.instrument, command.qty_lots
    named = [account]
    if command.side == Funds.TRANSFER:
        named.append(command.price_ticks)
    if not all(each in state.balances for each in named):
        return RejectReason.UNKNOWN_ACCOUNT
    if command.side == Funds.DEPOSIT:
        if state.deposited[asset] + units > DEPOSITS_MAX:
            return RejectReason.BALANCE_OVERFLOW
        state.deposited[asset] += units
        state.purse(account, asset).available += units
        return RejectReason.NONE
    if command.source == state.risk_source and not may_cover(state, command):
        return RejectReason.NOT_IN_BREACH
    if units > disposable(state, account, asset):
        return RejectReason.INSUFFICIENT_BALANCE
    state.purse(account, asset).available -= units
    if command.side == Funds.TRANSFER:
        state.purse(command.price_ticks, asset).available += units
    else:
        state.deposited[asset] -= units
    return RejectReason.NONE


def disposable(state: State, account: int, asset: int) -> int:
    """What an account may take out."""
    purse = state.purse(account, asset)
    if state.is_margin(account):
        return min(purse.total, valuation.free(state, account, asset))
    return purse.available


# --- rules ---------------------------------------------------------------------------------------


def rule(state: State, command: Sequenced) -> RejectReason:
    """Set a number of the rules, or the reason not to."""
    setting = Setting(
        command.order_type,
        command.account,
        command.instrument,
        command.order_id,
        command.qty_lots,
    )
    return set_rule(state, setting, by_risk=command.source == state.risk_source)


def set_rule(state: State, setting: Setting, by_risk: bool) -> RejectReason:
    """The same of a setting, from a command or from the configuration."""
    reason = _fault(state, setting, by_risk)
    if not reason:
        _apply(state, setting)
        _cancel_what_rests(state, setting)
    return reason


def _fault(state: State, setting: Setting, by_risk: bool) -> RejectReason:
    if not rules.is_possible(setting, state.assets):
        return RejectReason.BAD_RULE
    named = setting.scope in (Scope.GROUP, Scope.ACCOUNT)
    if named and not 0 <= setting.entity < ACCOUNTS_MAX:
        return RejectReason.UNKNOWN_ACCOUNT
    number = setting.number
    if number in (RuleNumber.MARGIN_STATE, RuleNumber.LOSS_STATE):
        if not by_risk:
            return RejectReason.RULE_FORBIDDEN
        may_set = may_set_loss_state
        if number == RuleNumber.MARGIN_STATE:
            may_set = may_set_margin_state
        holds = may_set(state, setting.entity, setting.instrument, setting.value)
        return RejectReason.NONE if holds else RejectReason.NOT_IN_BREACH
    if setting.scope == Scope.ACCOUNT and state.account(setting.entity).is_open:
        closes = number == RuleNumber.OPEN and setting.value == 0
        if closes or number in FIXED_ONCE_OPEN:
            return RejectReason.RULE_FORBIDDEN
    return RejectReason.NONE


def _apply(state: State, setting: Setting) -> None:
    """Put a number in force that may be."""
    number, value = setting.number, setting.value
    if number in OF_ACCOUNTS:
        setattr(state.account(setting.entity), OF_ACCOUNTS[number], value)
    elif number == RuleNumber.OPEN:
        if value:
            state.account(setting.entity).is_open = True
            state.balances.setdefault(setting.entity, {})
    else:
        rules.store(state, setting)


def _cancel_what_rests(state: State, setting: Setting) -> None:
    """Risk has to cancel the live orders of those whom a switch like this stops."""
    number, value = setting.number, setting.value
    entity = (Scope(setting.scope), rules.entity_of(setting))
    concerned = state.members[entity] if number == RuleNumber.KILLED and value == 2 else []
    stops = number == RuleNumber.MARGIN_STATE and value == rules.LIQUIDATING
    if number == RuleNumber.LOSS_STATE:
        stops = value == 1
        state.loss_days[setting.entity, setting.instrument] = state.today
    if stops:
        concerned = state.in_asset(entity, setting.instrument)
    for position in concerned:
        position.cancel_due |= position.orders > 0


# --- instruments ---------------------------------------------------------------------------------


def change_terms(state: State, command: Sequenced) -> None:
    """Commands from here on are checked by other numbers."""
    index = command.instrument
    if command.order_id == Listing.LIST:
        for known in (state.last_prices, state.marks, state.tops, state.first_trades):
            known.pop(index, None)
        return
    if command.order_id < 0:
        return
    while index >= len(state.terms):
        state.terms.append(Terms(BLANK))
        state.instruments.append(BLANK)
    state.terms[index].change(command.order_id, command.qty_lots)
    state.instruments[index] = state.terms[index].instrument
