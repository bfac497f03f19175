"""The verdict on an amendment, and the reservation that covers the order before and after it.

Until matching has answered, the order may be either; so risk keeps the worse of both. The checks
come in the order of the table in docs/risk.md.
"""

from engine.messages import (
    AccountKind,
    CommandFlag,
    Decision,
    RejectReason,
    Side,
)
from engine.orders import NO_ORDER, find_order
from engine.reference import InstrumentTerms
from engine.risk.amounts import base_needed, order_units, quote_needed, worth_overflows
from engine.risk.deciding import check_increase, check_size
from engine.risk.exposure import (
    OPEN_NOTIONAL,
    check_open_notional,
    check_reduce_only,
    is_reducing,
    lacks_margin,
    overflows_open,
    set_wanted,
)
from engine.risk.gates import check_gates
from engine.risk.prices import check_limits, collar_reference
from engine.risk.purses import available_units, find_position, position_index, purse_of
from engine.risk.reservations import bound_rate, count_bound, worse_price
from engine.risk.state import NO_POSITION, Position, Reservation, RiskState
from engine.risk.valuation import refresh_position, value_position
from ipc.intrinsics import multiply_overflows
from ipc.jit import inlined, kernel


@kernel
def check_bound(state: RiskState, terms: InstrumentTerms, reservation: Reservation) -> int:
    """Whether a cash account can pay for the bound that `reservation` has got.

    What it held for the bound before has been given back.
    """
    account, side = reservation.account, reservation.side
    lots, price = reservation.bound_leaves_lots, reservation.bound_price_ticks
    if state.owners[account].kind == AccountKind.CASH:
        if side == Side.BUY or price < 0:
            quote = quote_needed(terms, side, price, lots, bound_rate(reservation))
            if available_units(purse_of(state, account, terms.quote_asset)) < quote:
                return RejectReason.INSUFFICIENT_BALANCE.value
        if side == Side.SELL:
            base = base_needed(terms, side, lots)
            if available_units(purse_of(state, account, terms.base_asset)) < base:
                return RejectReason.INSUFFICIENT_BALANCE.value
    return RejectReason.NONE.value


@inlined
def owned_reservation(state: RiskState, decision: Decision) -> int:
    """Slot of the live order that an amendment names, if it is the account's; else NO_ORDER."""
    index = find_order(state.reservations, decision.order_id)
    if index != NO_ORDER:
        reservation = state.reservations.orders[index]
        mine = reservation.account == decision.account
        if not mine or reservation.instrument != decision.instrument:
            return NO_ORDER
    return index


@kernel
def decide_amend(state: RiskState, terms: InstrumentTerms, decision: Decision) -> int:
    """Check an amendment and widen the reservation; an order that is not known passes.

    The limits come first: whether risk has heard already that an order ended does not decide
    which reason is given. The order keeps its fees, which the decision repeats.
    """
    found = position_index(state, decision.account, decision.instrument)
    if found != NO_POSITION:
        refresh_position(state, state.positions.table[found])
    index = owned_reservation(state, decision)
    if index != NO_ORDER:
        reservation = state.reservations.orders[index]
        decision.maker_rate = reservation.maker_rate
        decision.taker_rate = reservation.taker_rate
    reason = check_gates(state, decision, 0, 1)
    if reason == RejectReason.NONE:
        reason = check_size(state, terms, decision)
    if reason == RejectReason.NONE:
        reason = check_limits(state, terms, decision, collar_reference(state, decision))
    if reason != RejectReason.NONE or index == NO_ORDER:
        return reason
    return widen(state, terms, state.reservations.orders[index], decision)


@kernel
def widen(
    state: RiskState, terms: InstrumentTerms, reservation: Reservation, decision: Decision
) -> int:
    """Let the reservation cover the order before and after an amendment, if that is allowed."""
    lots, side = decision.qty_lots, reservation.side
    leaves = lots - (reservation.qty_lots - reservation.leaves_lots)
    bound_leaves = max(reservation.bound_leaves_lots, leaves)
    if decision.flags & CommandFlag.LEAVES:
        # What fills on the way is not taken off the quantity asked for, so it comes on top.
        leaves = lots
        bound_leaves = reservation.bound_leaves_lots + lots
    if leaves <= 0:
        # Ends the order, unless matching refuses: that would be an answer, too.
        reservation.amendments += 1
        return RejectReason.NONE.value
    bound_price = worse_price(side, reservation.bound_price_ticks, decision.price_ticks)
    if worth_overflows(terms, abs(bound_price), bound_leaves) or multiply_overflows(
        bound_leaves, terms.base_units_per_lot
    ):
        return RejectReason.NOTIONAL_OVERFLOW.value
    position = find_position(state, reservation.account, reservation.instrument)
    old_price, old_leaves = reservation.bound_price_ticks, reservation.bound_leaves_lots
    old_units = order_units(terms, old_price, old_leaves)
    more_units = order_units(terms, bound_price, bound_leaves) - old_units
    more_lots = bound_leaves - old_leaves
    # A sale that asks for more than before is larger when the amendment has been answered.
    larger = max(abs(bound_price), abs(decision.price_ticks))
    if worth_overflows(terms, larger, bound_leaves):
        return RejectReason.NOTIONAL_OVERFLOW.value
    largest_units = order_units(terms, larger, bound_leaves) - old_units
    reason = RejectReason.NONE.value
    reducing = 1
    if more_lots > 0 or largest_units > 0 or bound_price != old_price:
        reducing = 1 if is_reducing(position, side, more_lots) else 0
        set_wanted(position, side, more_lots, more_units, state.wanted)
        reason = check_growth(state, terms, position, reservation, decision, largest_units)
    if reason != RejectReason.NONE:
        return reason
    count_bound(state, terms, position, reservation, -1)
    reservation.bound_price_ticks, reservation.bound_leaves_lots = bound_price, bound_leaves
    reason = check_bound(state, terms, reservation)
    margin = state.owners[reservation.account].kind == AccountKind.MARGIN
    needs_margin = margin and reducing == 0 and reason == RejectReason.NONE
    if needs_margin and lacks_margin(state, terms, position, reservation.account):
        reason = RejectReason.INITIAL_MARGIN.value
    if reason == RejectReason.NONE:
        reservation.amendments += 1
    else:
        reservation.bound_price_ticks, reservation.bound_leaves_lots = old_price, old_leaves
    count_bound(state, terms, position, reservation, 1)
    value_position(state, position)
    return reason


@inlined
def check_growth(
    state: RiskState,
    terms: InstrumentTerms,
    position: Position,
    reservation: Reservation,
    decision: Decision,
    more_units: int,
) -> int:
    """The limits for an order whose bound grows; `state.wanted` is set."""
    account, instrument, side = reservation.account, reservation.instrument, reservation.side
    if state.money_on >> OPEN_NOTIONAL & 1:
        reason = check_open_notional(state, terms, account, instrument, more_units)
        if reason != RejectReason.NONE:
            return reason
    if overflows_open(state, terms, more_units):
        return RejectReason.EXPOSURE_OVERFLOW.value
    wanted = state.wanted
    open_lots = wanted.open_buy - position.open_buy + wanted.open_sell - position.open_sell
    reducing = 1 if is_reducing(position, side, open_lots) else 0
    if reducing == 0:
        flagged = reservation.reduce_only
        reason = check_reduce_only(state, position, account, instrument, side, flagged)
        if reason != RejectReason.NONE:
            return reason
    return check_increase(state, terms, position, decision, side, reducing)
