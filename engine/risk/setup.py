"""Risk's memory at the start of a venue: accounts, balances, rules of the configuration."""

from typing import Final

from engine.config import Config
from engine.limits import ACCOUNTS_MAX, INSTRUMENTS_MAX, ORDERS_MAX
from engine.messages import AccountKind, Prevention, RejectReason
from engine.reference import ReferenceData, copy_terms
from engine.risk.governing import set_rule
from engine.risk.purses import purse_of
from engine.risk.state import RiskState
from engine.risk.valuation import refresh_mark
from engine.rules import DAY_NS, RULES

NEVER: Final = -1


def create_risk(
    state: RiskState, reference: ReferenceData, orders_limit: int = ORDERS_MAX - 1
) -> None:
    """Set up zeroed memory from reference data; `deposit` gives the accounts their balances."""
    assert 0 < orders_limit < ORDERS_MAX
    state.reservations.limit = orders_limit
    copy_terms(state.terms, reference)
    state.source = reference.risk_source
    state.day_start_ns = reference.day_start_ns
    state.day, state.next_day = state.day_start_ns - DAY_NS, state.day_start_ns
    state.fee_account = reference.fee_account
    state.insurance_account = reference.insurance_account
    for rule in RULES.values():
        bound = state.bounds[rule.number]
        bound.scopes = sum(1 << scope for scope in rule.scopes)
        bound.least, bound.most = rule.least, rule.most
    for number in range(ACCOUNTS_MAX):
        terms, owner = reference.accounts[number], state.owners[number]
        owner.group, owner.prevention = number, Prevention.NONE
        if terms.known:
            owner.known, owner.kind, owner.tier = 1, terms.kind, terms.tier
            owner.prevention, owner.group = terms.prevention, terms.group
            if terms.kind == AccountKind.MARGIN:
                state.margin = 1
    for number in range(INSTRUMENTS_MAX):
        state.quotes[number].day = NEVER
        refresh_mark(state, number)
    for index in range(reference.rule_count):
        entry = reference.rules[index]
        reason = set_rule(
            state, entry.scope, entry.entity, entry.instrument, entry.number, entry.value
        )
        assert reason == RejectReason.NONE, "create_risk: a rule that the configuration let pass"


def deposit(state: RiskState, config: Config) -> None:
    """Credit what the configuration says that the accounts own; it counts as deposits."""
    for account in config.accounts:
        for balance in account.balances:
            purse_of(state, account.number, balance.asset_index).total = balance.units
            state.deposited[balance.asset_index] += balance.units
