"""What a price and a quantity may be: value limits, the collar, the price of a market order.

Used by the risk stage for each new order and each amendment. A collar is a band around a
reference: the last trade, or for an order that waits for a price of its own (STOP, TOUCH) that
price. A purchase without a limit gets the collar's upper end, or less if it could not be paid; a
sale the lower end. Arithmetic never leaves int64: what would is refused or has its bound here.
"""

from engine.balances import (
    affordable_price,
    balance_of,
    cost_units,
    highest_worth,
    payment_units,
    worth_overflows,
)
from engine.ledger import RiskState, reference_price
from engine.messages import CommandFlag, Decision, RejectReason, Side, Trigger
from engine.reference import InstrumentTerms, band_ticks, step_down, step_up
from ipc.intrinsics import multiply_overflows
from ipc.jit import inlined, kernel


@inlined
def collar_reference(state: RiskState, decision: Decision) -> int:
    """The price that the collar of an order lies around; 0: none, so that any price will do.

    An amendment with a trigger counts as well: matching refuses it where the order does not wait.
    """
    if decision.flags & CommandFlag.TERMS:
        terms = decision.terms
        if terms.trigger == Trigger.STOP or terms.trigger == Trigger.TOUCH:
            return terms.trigger_ticks
    return reference_price(state, decision.instrument)


@inlined
def check_limits(
    terms: InstrumentTerms, reference_ticks: int, price_ticks: int, qty_lots: int
) -> int:
    """Notional and collar of a limit price; the reason to refuse, or NONE."""
    if worth_overflows(terms, abs(price_ticks), qty_lots):
        return RejectReason.NOTIONAL_OVERFLOW.value
    if cost_units(terms, abs(price_ticks), qty_lots) > terms.notional_max_units:
        return RejectReason.NOTIONAL_ABOVE_MAX.value
    if terms.notional_min_units != 0 and is_below_min(terms, price_ticks, qty_lots):
        return RejectReason.NOTIONAL_BELOW_MIN.value
    if terms.collar_bps != 0 and reference_ticks != 0:
        distance = abs(price_ticks - reference_ticks)
        if distance > band_ticks(reference_ticks, terms.collar_bps):
            return RejectReason.PRICE_COLLAR.value
    return RejectReason.NONE.value


@inlined
def is_below_min(terms: InstrumentTerms, price_ticks: int, qty_lots: int) -> bool:
    """Whether the value is below the least one; the value fits."""
    return payment_units(terms, abs(price_ticks), qty_lots) < terms.notional_min_units


@inlined
def collar_end(terms: InstrumentTerms, reference_ticks: int, side: int) -> int:
    """The worst valid price that the collar and the instrument allow to an order of this side."""
    lowest, highest = terms.price_min_ticks, terms.price_max_ticks
    price = highest if side == Side.BUY else lowest
    if terms.collar_bps != 0 and reference_ticks != 0:
        band = band_ticks(reference_ticks, terms.collar_bps)
        price = reference_ticks + band if side == Side.BUY else reference_ticks - band
        price = min(max(price, lowest), highest)
    return price


@kernel
def protect(state: RiskState, terms: InstrumentTerms, decision: Decision) -> int:
    """Give an order without a limit its worst price: by collar, for a purchase also by money.

    It is a valid price of the tick table: rounded down for a purchase, up for a sale.
    """
    lots, reference = decision.qty_lots, collar_reference(state, decision)
    if multiply_overflows(lots, terms.notional_multiplier):
        return RejectReason.NOTIONAL_OVERFLOW.value
    if terms.notional_min_units != 0 and reference != 0:
        fits = not worth_overflows(terms, abs(reference), lots)
        if fits and is_below_min(terms, reference, lots):
            return RejectReason.NOTIONAL_BELOW_MIN.value
    price = collar_end(terms, reference, decision.side)
    if decision.side == Side.BUY:
        return protect_purchase(state, terms, decision, price)
    price = step_up(terms, price)
    if price > terms.price_max_ticks:
        price = step_down(terms, terms.price_max_ticks)
    decision.price_ticks = price
    return RejectReason.NONE.value


@inlined
def protect_purchase(
    state: RiskState, terms: InstrumentTerms, decision: Decision, price_ticks: int
) -> int:
    """Bound a purchase by `price_ticks` and by what the account can pay."""
    lots, lowest = decision.qty_lots, terms.price_min_ticks
    if lowest > 0 and worth_overflows(terms, lowest, lots):
        return RejectReason.NOTIONAL_OVERFLOW.value
    available = balance_of(state.balances, decision.account, terms.quote_asset).available
    budget = min(available, terms.notional_max_units)
    price = min(price_ticks, affordable_price(terms, budget, lots))
    price = step_down(terms, min(price, highest_worth(terms, lots)))
    if price < lowest:
        if budget < available:
            return RejectReason.NOTIONAL_ABOVE_MAX.value
        return RejectReason.INSUFFICIENT_BALANCE.value
    if worth_overflows(terms, abs(price), lots):
        return RejectReason.NOTIONAL_OVERFLOW.value
    decision.price_ticks = price
    return RejectReason.NONE.value
