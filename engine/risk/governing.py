"""FUNDS, RULE and MARK: the commands that change accounts, rules and marks.

All are sequenced records like orders. A RULE is checked against the table of bounds that the stage
was given at its start; those by which risk itself says that an account is called, liquidated or
stopped are looked at again when they are decided.
"""

from typing import Final

from engine.limits import ACCOUNTS_MAX, ASSETS_MAX, BALANCE_MAX
from engine.messages import (
    AccountKind,
    Decision,
    Funds,
    Prevention,
    RejectReason,
    Scope,
)
from engine.risk.gates import RESTRICTED, put_on_list
from engine.risk.purses import available_units, insured_units, purse_of
from engine.risk.state import (
    MONEY_RULES,
    NO_POSITION,
    RULE_NUMBERS,
    MarginState,
    Position,
    Purse,
    RiskState,
)
from engine.risk.state import Scope as ScopeState
from engine.risk.valuation import (
    forget_valuations,
    free_units,
    has_lost_too_much,
    is_below_maintenance,
    is_to_be_called,
    refresh_mark,
    watch,
)
from engine.rules import FIRST_MONEY_RULE, RuleNumber
from ipc.intrinsics import shift_left
from ipc.jit import inlined, kernel

SECOND_NS: Final = 1_000_000_000

KILL_AND_CANCEL: Final = 2


# --- funds -------------------------------------------------------------------------------------


@inlined
def is_open(state: RiskState, account: int) -> bool:
    """Whether there is such an account."""
    return 0 <= account < ACCOUNTS_MAX and state.owners[account].known != 0


@inlined
def can_take(state: RiskState, account: int, asset: int, units: int) -> bool:
    """Whether so much may leave an account."""
    purse = purse_of(state, account, asset)
    if state.owners[account].kind == AccountKind.CASH:
        return available_units(purse) >= units
    return min(free_units(state, account, purse), purse.total) >= units


@kernel
def is_flat(state: RiskState, account: int, asset: int) -> bool:
    """Whether an account has neither positions nor orders in instruments quoted in an asset."""
    index = state.owners[account].first_position
    while index != NO_POSITION:
        position = state.positions.table[index]
        used = position.net != 0 or position.open_buy + position.open_sell != 0
        if used and state.terms[position.instrument].quote_asset == asset:
            return False
        index = position.next
    return True


@kernel
def is_cover_due(state: RiskState, decision: Decision) -> bool:
    """Whether a transfer that risk itself has sent still pays a debt from the insurance account."""
    if decision.side != Funds.TRANSFER or decision.account != state.insurance_account:
        return False
    asset, units = decision.instrument, decision.qty_lots
    purse = purse_of(state, decision.price_ticks, asset)
    if purse.margin_state != MarginState.LIQUIDATING:
        return False
    due = insured_units(state, decision.price_ticks, asset)
    return units <= due and is_flat(state, decision.price_ticks, asset)


@kernel
def decide_funds(state: RiskState, decision: Decision) -> int:
    """Book a deposit, a withdrawal or a transfer; the reason to refuse it, or NONE."""
    account, asset, units = decision.account, decision.instrument, decision.qty_lots
    if not is_open(state, account):
        return RejectReason.UNKNOWN_ACCOUNT.value
    purse = purse_of(state, account, asset)
    if decision.side == Funds.DEPOSIT:
        if units > BALANCE_MAX - state.deposited[asset]:
            return RejectReason.BALANCE_OVERFLOW.value
        state.deposited[asset] += units
        purse.total += units
        watch(state, account, asset, purse)
        return RejectReason.NONE.value
    other = decision.price_ticks
    if decision.side == Funds.TRANSFER and not is_open(state, other):
        return RejectReason.UNKNOWN_ACCOUNT.value
    if decision.source == state.source and not is_cover_due(state, decision):
        return RejectReason.NOT_IN_BREACH.value
    if not can_take(state, account, asset, units):
        return RejectReason.INSUFFICIENT_BALANCE.value
    purse.total -= units
    if decision.side == Funds.TRANSFER:
        receiving = purse_of(state, other, asset)
        receiving.total += units
        watch(state, other, asset, receiving)
    else:
        state.deposited[asset] -= units
    watch(state, account, asset, purse)
    return RejectReason.NONE.value


# --- rules -------------------------------------------------------------------------------------


@inlined
def scope_of(state: RiskState, scope: int, entity: int, instrument: int) -> ScopeState:
    """Rules and counters that a RULE is about."""
    if scope == Scope.ACCOUNT:
        return state.accounts[entity]
    if scope == Scope.GROUP:
        return state.groups[entity]
    if scope == Scope.SYMBOL:
        return state.symbols[instrument]
    return state.venue


@inlined
def purse_at(state: RiskState, scope: int, entity: int, instrument: int) -> Purse:
    """The purse that a money rule is about; `instrument` is the asset but for a SYMBOL."""
    if scope == Scope.ACCOUNT:
        return state.purses[entity * ASSETS_MAX + instrument]
    if scope == Scope.GROUP:
        return state.group_purses[entity * ASSETS_MAX + instrument]
    if scope == Scope.SYMBOL:
        return state.symbol_purses[instrument]
    return state.venue_purses[instrument]


@kernel
def check_rule(
    state: RiskState, scope: int, entity: int, instrument: int, number: int, value: int
) -> int:
    """Whether there is such a rule, in this scope, for such an entity, with such a value."""
    if number < 0 or number >= RULE_NUMBERS:
        return RejectReason.BAD_RULE.value
    if state.bounds[number].scopes >> scope & 1 == 0:
        return RejectReason.BAD_RULE.value
    if number >= FIRST_MONEY_RULE and scope != Scope.SYMBOL and instrument >= ASSETS_MAX:
        return RejectReason.BAD_RULE.value
    if value < state.bounds[number].least or value > state.bounds[number].most:
        return RejectReason.BAD_RULE.value
    of_accounts = scope == Scope.ACCOUNT or scope == Scope.GROUP
    if of_accounts and not 0 <= entity < ACCOUNTS_MAX:
        return RejectReason.UNKNOWN_ACCOUNT.value
    return RejectReason.NONE.value


@kernel
def set_owner(state: RiskState, account: int, number: int, value: int) -> int:
    """Say who an account is; fixed once it is open, but for its tier."""
    owner = state.owners[account]
    if number == RuleNumber.TIER:
        owner.tier = value
        return RejectReason.NONE.value
    if owner.known != 0:
        if number == RuleNumber.OPEN and value == 1:
            return RejectReason.NONE.value
        return RejectReason.RULE_FORBIDDEN.value
    if number == RuleNumber.KIND:
        owner.kind = value
    elif number == RuleNumber.GROUP:
        owner.group = value
    elif number == RuleNumber.SELF_TRADE:
        owner.prevention = value
    elif value == 1:
        owner.known = 1
        if owner.kind == AccountKind.MARGIN:
            state.margin = 1
    return RejectReason.NONE.value


@inlined
def concerns(state: RiskState, position: Position, scope: int, entity: int, number: int) -> bool:
    """Whether a position belongs to the entity of a scope (`number`: of the instrument)."""
    if scope == Scope.ACCOUNT:
        return position.account == entity
    if scope == Scope.GROUP:
        return state.owners[position.account].group == entity
    if scope == Scope.SYMBOL:
        return position.instrument == number
    return True


@kernel
def cancel_orders(state: RiskState, scope: int, entity: int, instrument: int, asset: int) -> None:
    """Have all orders of an entity cancelled; with `asset` from 0 on only those quoted in it."""
    positions, warden = state.positions, state.warden
    for index in range(1, positions.count + 1):
        position = positions.table[index]
        if position.cancel_due != 0 or position.open_buy + position.open_sell == 0:
            continue
        if not concerns(state, position, scope, entity, instrument):
            continue
        if asset < 0 or state.terms[position.instrument].quote_asset == asset:
            position.cancel_due = 1
            warden.cancels_due += 1


@kernel
def set_entity_rule(
    state: RiskState, scope: int, entity: int, instrument: int, number: int, value: int
) -> None:
    """Set a rule of an entity, whose number and value are possible."""
    owner = scope_of(state, scope, entity, instrument)
    if value != 0:
        state.on |= shift_left(1, number)
    if number == RESTRICTED and scope != Scope.SYMBOL:
        put_on_list(owner, instrument, value)
        return
    owner.rules[number] = value
    if number == RuleNumber.ORDERS_PER_SECOND:
        owner.interval_ns = SECOND_NS // value if value != 0 else 0
    elif number == RuleNumber.LEVERAGE_MAX:
        forget_valuations(state)
    elif number == RuleNumber.KILLED and value == KILL_AND_CANCEL:
        cancel_orders(state, scope, entity, instrument, -1)


@kernel
def set_money_state(state: RiskState, decision: Decision) -> int:
    """RULE margin_state or loss_state: risk's own, and only if the condition still holds."""
    if decision.source != state.source:
        return RejectReason.RULE_FORBIDDEN.value
    account, asset, value = decision.account, decision.instrument, decision.qty_lots
    purse = purse_of(state, account, asset)
    if decision.order_id == RuleNumber.LOSS_STATE:
        if value == 1:
            if purse.loss_state != 0 or not has_lost_too_much(state, purse):
                return RejectReason.NOT_IN_BREACH.value
            purse.loss_day = state.day
            cancel_orders(state, Scope.ACCOUNT.value, account, 0, asset)
        elif purse.loss_state == 0 or purse.loss_day == state.day:
            return RejectReason.NOT_IN_BREACH.value
        purse.loss_state = value
    else:
        below = is_below_maintenance(state, account, purse)
        if value == MarginState.LIQUIDATING:
            fits = below and purse.margin_state != MarginState.LIQUIDATING
        elif value == MarginState.CALLED:
            called = is_to_be_called(state, account, purse)
            fits = called and purse.margin_state == MarginState.GOOD
        else:
            good = not below and not is_to_be_called(state, account, purse)
            if purse.margin_state == MarginState.LIQUIDATING:
                good = not below and insured_units(state, account, asset) == 0
            fits = good and purse.margin_state != MarginState.GOOD
        if not fits:
            return RejectReason.NOT_IN_BREACH.value
        purse.margin_state = value
    watch(state, account, asset, purse)
    return RejectReason.NONE.value


@kernel
def set_rule(
    state: RiskState, scope: int, entity: int, instrument: int, number: int, value: int
) -> int:
    """Set one number of the rules; the reason to refuse it, or NONE."""
    reason = check_rule(state, scope, entity, instrument, number, value)
    if reason != RejectReason.NONE:
        return reason
    if RuleNumber.KIND <= number <= RuleNumber.OPEN:
        return set_owner(state, entity, number, value)
    if number >= FIRST_MONEY_RULE:
        at = number - FIRST_MONEY_RULE
        if at >= MONEY_RULES:
            return RejectReason.RULE_FORBIDDEN.value
        purse_at(state, scope, entity, instrument).rules[at] = value
        if value != 0:
            state.money_on |= shift_left(1, at)
        return RejectReason.NONE.value
    set_entity_rule(state, scope, entity, instrument, number, value)
    return RejectReason.NONE.value


@kernel
def decide_rule(state: RiskState, decision: Decision) -> int:
    """RULE."""
    number = decision.order_id
    if number == RuleNumber.MARGIN_STATE or number == RuleNumber.LOSS_STATE:
        scope, entity, asset = decision.order_type, decision.account, decision.instrument
        reason = check_rule(state, scope, entity, asset, number, decision.qty_lots)
        if reason != RejectReason.NONE:
            return reason
        return set_money_state(state, decision)
    return set_rule(
        state,
        decision.order_type,
        decision.account,
        decision.instrument,
        number,
        decision.qty_lots,
    )


# --- marks -------------------------------------------------------------------------------------


@kernel
def set_mark(state: RiskState, decision: Decision) -> None:
    """MARK: a mark price from outside."""
    quote = state.quotes[decision.instrument]
    quote.external = decision.price_ticks
    refresh_mark(state, decision.instrument)


assert max(Prevention) < 1 << 8
