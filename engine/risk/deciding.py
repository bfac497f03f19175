"""The verdict on an order, a what-if and an amendment, and what an accepted one reserves.

The checks come in the order of the table in docs/risk.md; the first that fails gives the reason.
"""

from typing import Final

from engine.limits import POSITIONS_MAX
from engine.messages import (
    AccountKind,
    CommandFlag,
    CommandKind,
    Decision,
    OrderType,
    Prevention,
    RejectReason,
    Side,
)
from engine.orders import has_room, take_slot
from engine.reference import InstrumentTerms
from engine.risk.amounts import base_needed, order_units, quote_needed
from engine.risk.exposure import (
    OPEN_NOTIONAL,
    OPEN_ORDERS,
    check_exposure,
    check_margin_terms,
    check_open_notional,
    check_open_orders,
    check_position_limit,
    check_reduce_only,
    is_reducing,
    lacks_margin,
    overflows_open,
    set_wanted,
)
from engine.risk.gates import check_gates, sent_ticks
from engine.risk.prices import check_limits, collar_reference, protect
from engine.risk.purses import (
    available_units,
    find_position,
    open_position,
    own_rule,
    position_index,
    purse_of,
)
from engine.risk.reservations import count_bound, count_order
from engine.risk.state import (
    NO_POSITION,
    Account,
    MarginState,
    Position,
    RiskState,
)
from engine.risk.valuation import refresh_position, take_figures, value_position
from engine.rules import RuleNumber
from ipc.intrinsics import multiply_overflows, prefetch
from ipc.jit import inlined, kernel

QTY_MAX: Final = RuleNumber.QTY_MAX_LOTS.value
LIMITS: Final = 1 << RuleNumber.LONG_MAX_LOTS | 1 << RuleNumber.SHORT_MAX_LOTS


# --- what risk adds to an order ----------------------------------------------------------------


@inlined
def set_prevention(account: Account, decision: Decision) -> None:
    """Say whom the order must not trade with, and what happens instead."""
    decision.group, decision.prevention = account.group, account.prevention
    if decision.flags & CommandFlag.TERMS:
        wanted = decision.terms.self_trade
        if wanted != Prevention.DEFAULT:
            decision.prevention = wanted


@inlined
def set_rates(state: RiskState, terms: InstrumentTerms, decision: Decision) -> None:
    """The order's fees; none for the fee account itself, and none where there is no such one."""
    if state.fee_account >= 0 and decision.account != state.fee_account:
        tier = state.owners[decision.account].tier
        decision.maker_rate = terms.maker_rates[tier]
        decision.taker_rate = terms.taker_rates[tier]


# --- parts of the verdict ----------------------------------------------------------------------


@inlined
def check_size(state: RiskState, terms: InstrumentTerms, decision: Decision) -> int:
    """Quantity alone."""
    lots = decision.qty_lots
    if lots > terms.qty_max_lots:
        return RejectReason.QUANTITY_ABOVE_MAX.value
    if state.on >> QTY_MAX & 1:
        limit = own_rule(state, decision.account, decision.instrument, QTY_MAX)
        if limit != 0 and lots > limit:
            return RejectReason.QUANTITY_ABOVE_MAX.value
    if multiply_overflows(lots, terms.base_units_per_lot):
        return RejectReason.NOTIONAL_OVERFLOW.value
    return RejectReason.NONE.value


@inlined
def check_room(state: RiskState, decision: Decision) -> int:
    """Whether the tables have room for another order and its position."""
    if not has_room(state.reservations):
        return RejectReason.TOO_MANY_ORDERS.value
    index = position_index(state, decision.account, decision.instrument)
    if index == NO_POSITION and state.positions.count >= POSITIONS_MAX - 1:
        return RejectReason.TOO_MANY_POSITIONS.value
    return RejectReason.NONE.value


@inlined
def check_increase(
    state: RiskState,
    terms: InstrumentTerms,
    position: Position,
    decision: Decision,
    side: int,
    reducing: int,
) -> int:
    """Limits of positions and of sums at marks; `state.wanted` is set."""
    account, instrument = decision.account, decision.instrument
    if state.on & LIMITS:
        reason = check_position_limit(state, account, instrument, side, state.wanted)
        if reason != RejectReason.NONE:
            return reason
    if reducing != 0:
        return RejectReason.NONE.value
    reason = check_margin_terms(state, terms, account, side, state.wanted)
    if reason != RejectReason.NONE:
        return reason
    return check_exposure(state, terms, position, account, instrument, side)


@inlined
def check_funds(
    state: RiskState, terms: InstrumentTerms, position: Position, decision: Decision, reducing: int
) -> int:
    """What the account must have for a new order: balance, or margin."""
    account, side, lots = decision.account, decision.side, decision.qty_lots
    if state.owners[account].kind == AccountKind.CASH:
        rate = max(decision.maker_rate, decision.taker_rate, 0)
        if side == Side.BUY or decision.price_ticks < 0:
            quote = quote_needed(terms, side, decision.price_ticks, lots, rate)
            if available_units(purse_of(state, account, terms.quote_asset)) < quote:
                return RejectReason.INSUFFICIENT_BALANCE.value
        if side == Side.SELL:
            base = base_needed(terms, side, lots)
            if available_units(purse_of(state, account, terms.base_asset)) < base:
                return RejectReason.INSUFFICIENT_BALANCE.value
    elif reducing == 0 and lacks_margin(state, terms, position, account):
        return RejectReason.INITIAL_MARGIN.value
    return RejectReason.NONE.value


@inlined
def check_open(state: RiskState, terms: InstrumentTerms, decision: Decision, units: int) -> int:
    """Open orders and their notional with a new order."""
    account, instrument = decision.account, decision.instrument
    if state.on >> OPEN_ORDERS & 1:
        reason = check_open_orders(state, account, instrument)
        if reason != RejectReason.NONE:
            return reason
    if state.money_on >> OPEN_NOTIONAL & 1:
        reason = check_open_notional(state, terms, account, instrument, units)
        if reason != RejectReason.NONE:
            return reason
    if overflows_open(state, terms, units):
        return RejectReason.EXPOSURE_OVERFLOW.value
    return RejectReason.NONE.value


# --- a new order -------------------------------------------------------------------------------


@inlined
def reserve(state: RiskState, terms: InstrumentTerms, decision: Decision) -> None:
    """Keep what an accepted order can cost, and count it."""
    index = take_slot(state.reservations, decision.order_id)
    reservation = state.reservations.orders[index]
    account, instrument = decision.account, decision.instrument
    reservation.account, reservation.instrument = account, instrument
    reservation.side, reservation.amendments = decision.side, 0
    reservation.price_ticks = reservation.bound_price_ticks = decision.price_ticks
    reservation.leaves_lots = reservation.bound_leaves_lots = decision.qty_lots
    reservation.qty_lots = decision.qty_lots
    reservation.maker_rate, reservation.taker_rate = decision.maker_rate, decision.taker_rate
    reservation.reduce_only = 1 if decision.flags & CommandFlag.REDUCE_ONLY else 0
    position = open_position(state, account, instrument)
    count_bound(state, terms, position, reservation, 1)
    count_order(state, account, instrument, 1)
    position.last_side, position.last_type = decision.side, decision.order_type
    position.last_ticks, position.last_lots = sent_ticks(decision), decision.qty_lots
    position.last_ns = decision.time_ns
    if state.valued != 0:
        take_figures(state, position, state.wanted)
    else:
        value_position(state, position)


@inlined
def judge_new(state: RiskState, terms: InstrumentTerms, decision: Decision, commits: int) -> int:
    """All checks of a new order; the reason to refuse it, or NONE."""
    reason = check_gates(state, decision, 1, commits)
    if reason == RejectReason.NONE:
        reason = check_size(state, terms, decision)
    if reason != RejectReason.NONE:
        return reason
    if decision.order_type == OrderType.LIMIT:
        reason = check_limits(state, terms, decision, collar_reference(state, decision))
    else:
        reason = protect(state, terms, decision)
    if reason == RejectReason.NONE:
        reason = check_room(state, decision)
    if reason != RejectReason.NONE:
        return reason
    account, side, lots = decision.account, decision.side, decision.qty_lots
    units = order_units(terms, decision.price_ticks, lots)
    reason = check_open(state, terms, decision, units)
    if reason != RejectReason.NONE:
        return reason
    position = find_position(state, account, decision.instrument)
    reducing = 1 if is_reducing(position, side, lots) else 0
    if reducing == 0:
        flagged = decision.flags & CommandFlag.REDUCE_ONLY
        reason = check_reduce_only(state, position, account, decision.instrument, side, flagged)
        if reason != RejectReason.NONE:
            return reason
    set_wanted(position, side, lots, units, state.wanted)
    reason = check_increase(state, terms, position, decision, side, reducing)
    if reason != RejectReason.NONE:
        return reason
    return check_funds(state, terms, position, decision, reducing)


@kernel
def judge_forced(state: RiskState, terms: InstrumentTerms, decision: Decision) -> int:
    """A liquidation order of risk itself: refused if it would do more than close a position.

    Beside that only what cannot be counted is refused.
    """
    account, instrument = decision.account, decision.instrument
    purse = purse_of(state, account, terms.quote_asset)
    position = find_position(state, account, instrument)
    due = purse.margin_state == MarginState.LIQUIDATING
    if not due or not is_reducing(position, decision.side, decision.qty_lots):
        return RejectReason.NOT_IN_BREACH.value
    if multiply_overflows(decision.qty_lots, terms.base_units_per_lot):
        return RejectReason.NOTIONAL_OVERFLOW.value
    reason = protect(state, terms, decision)
    if reason != RejectReason.NONE:
        return reason
    return check_room(state, decision)


@inlined
def decide_new(state: RiskState, terms: InstrumentTerms, decision: Decision) -> int:
    """A NEW or a CHECK: the reason to refuse it, or NONE; a NEW that passes is reserved for."""
    index = position_index(state, decision.account, decision.instrument)
    if index != NO_POSITION:
        refresh_position(state, state.positions.table[index])
    set_rates(state, terms, decision)
    commits = 1 if decision.kind == CommandKind.NEW else 0
    state.valued = 0
    prefetch(state.reservations.orders[state.reservations.free].address)
    if decision.flags & CommandFlag.LIQUIDATION:
        reason = judge_forced(state, terms, decision)
    else:
        reason = judge_new(state, terms, decision, commits)
    if reason == RejectReason.NONE and commits != 0:
        reserve(state, terms, decision)
    return reason
