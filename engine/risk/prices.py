"""What a price and a quantity may be: value limits, the collar, the price of a market order.

Used by the risk stage for each new order and each amendment. A collar is a band around a
reference: the last trade, the best price, the middle, or for an order that waits for a price of
its own (STOP, TOUCH) that price. A purchase without a limit gets the collar's upper end, or less if
it could not be paid; a sale the lower end. Arithmetic never leaves int64: what would is refused or
has its bound here.
"""

from engine.instruments import CollarReference, FeeAsset
from engine.messages import (
    AccountKind,
    CommandFlag,
    Decision,
    RejectReason,
    Side,
    Trigger,
)
from engine.reference import InstrumentTerms, band_ticks, step_down, step_up
from engine.risk.amounts import (
    affordable_price,
    cost_units,
    highest_worth,
    payment_units,
    without_fee,
    worth_overflows,
)
from engine.risk.purses import (
    available_units,
    own_money_rule,
    own_rule,
    purse_of,
    strictest,
)
from engine.risk.state import RiskState
from engine.rules import FIRST_MONEY_RULE, RuleNumber
from ipc.intrinsics import multiply_overflows
from ipc.jit import inlined, kernel


@inlined
def last_price(state: RiskState, instrument: int) -> int:
    """The last trade, else the configured reference; 0: none."""
    quote = state.quotes[instrument]
    return quote.last if quote.last != 0 else state.terms[instrument].reference_ticks


@kernel
def quoted_price(state: RiskState, decision: Decision) -> int:
    """Best opposite price or middle, as the terms say; the last one while there is none."""
    quote, wanted = state.quotes[decision.instrument], state.terms[decision.instrument]
    if wanted.collar_reference == CollarReference.MID:
        if quote.has_bid != 0 and quote.has_ask != 0 and quote.bid + quote.ask >> 1 != 0:
            return (quote.bid + quote.ask) >> 1
    elif decision.side == Side.BUY:
        if quote.has_ask != 0:
            return quote.ask
    elif quote.has_bid != 0:
        return quote.bid
    return last_price(state, decision.instrument)


@inlined
def collar_reference(state: RiskState, decision: Decision) -> int:
    """The price that the collar of an order lies around; 0: none, so that any price will do.

    An amendment with a trigger counts as well: matching refuses it where the order does not wait.
    """
    if decision.flags & CommandFlag.TERMS:
        terms = decision.terms
        if terms.trigger == Trigger.STOP or terms.trigger == Trigger.TOUCH:
            return terms.trigger_ticks
    if state.terms[decision.instrument].collar_reference != CollarReference.LAST:
        return quoted_price(state, decision)
    return last_price(state, decision.instrument)


@inlined
def collar_of(state: RiskState, terms: InstrumentTerms, decision: Decision) -> int:
    """The narrowest collar in ten-thousandths that is on, 0: none."""
    collar = terms.collar_bps
    if state.on >> RuleNumber.COLLAR_BPS & 1:
        rule = RuleNumber.COLLAR_BPS.value
        collar = strictest(collar, own_rule(state, decision.account, decision.instrument, rule))
    return collar


@inlined
def notional_limit(state: RiskState, terms: InstrumentTerms, decision: Decision) -> int:
    """The largest value of one order, in quote units."""
    limit = terms.notional_max_units
    if state.money_on >> (RuleNumber.NOTIONAL_MAX_UNITS - FIRST_MONEY_RULE) & 1:
        rule = RuleNumber.NOTIONAL_MAX_UNITS.value
        own = own_money_rule(state, terms, decision.account, decision.instrument, rule)
        limit = strictest(limit, own)
    return limit


@inlined
def check_limits(
    state: RiskState, terms: InstrumentTerms, decision: Decision, reference_ticks: int
) -> int:
    """Notional and collar of a limit price; the reason to refuse, or NONE."""
    price_ticks, qty_lots = decision.price_ticks, decision.qty_lots
    if worth_overflows(terms, abs(price_ticks), qty_lots):
        return RejectReason.NOTIONAL_OVERFLOW.value
    if cost_units(terms, abs(price_ticks), qty_lots) > notional_limit(state, terms, decision):
        return RejectReason.NOTIONAL_ABOVE_MAX.value
    if terms.notional_min_units != 0 and is_below_min(terms, price_ticks, qty_lots):
        return RejectReason.NOTIONAL_BELOW_MIN.value
    collar = collar_of(state, terms, decision)
    if collar != 0 and reference_ticks != 0:
        distance = abs(price_ticks - reference_ticks)
        if distance > band_ticks(reference_ticks, collar):
            return RejectReason.PRICE_COLLAR.value
    return RejectReason.NONE.value


@inlined
def is_below_min(terms: InstrumentTerms, price_ticks: int, qty_lots: int) -> bool:
    """Whether the value is below the least one; the value fits."""
    return payment_units(terms, abs(price_ticks), qty_lots) < terms.notional_min_units


@inlined
def collar_end(terms: InstrumentTerms, reference_ticks: int, collar_bps: int, side: int) -> int:
    """The worst valid price that the collar and the instrument allow to an order of this side."""
    lowest, highest = terms.price_min_ticks, terms.price_max_ticks
    price = highest if side == Side.BUY else lowest
    if collar_bps != 0 and reference_ticks != 0:
        band = band_ticks(reference_ticks, collar_bps)
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
    forced = decision.flags & CommandFlag.LIQUIDATION
    if terms.notional_min_units != 0 and reference != 0 and forced == 0:
        fits = not worth_overflows(terms, abs(reference), lots)
        if fits and is_below_min(terms, reference, lots):
            return RejectReason.NOTIONAL_BELOW_MIN.value
    price = collar_end(terms, reference, collar_of(state, terms, decision), decision.side)
    if decision.side == Side.BUY:
        return protect_purchase(state, terms, decision, price)
    return protect_sale(state, terms, decision, price)


@inlined
def protect_sale(
    state: RiskState, terms: InstrumentTerms, decision: Decision, price_ticks: int
) -> int:
    """Bound a sale by `price_ticks`; below zero also by what a cash account can pay."""
    lots, price = decision.qty_lots, price_ticks
    if price < 0:
        lowest = -highest_worth(terms, lots)
        if state.owners[decision.account].kind == AccountKind.CASH:
            budget = spendable_units(state, terms, decision)
            lowest = max(lowest, -max(affordable_price(terms, budget, lots), 0))
        price = max(price, lowest)
    price = step_up(terms, price)
    if price > terms.price_max_ticks:
        price = step_down(terms, terms.price_max_ticks)
    if worth_overflows(terms, abs(price), lots):
        return RejectReason.NOTIONAL_OVERFLOW.value
    free = decision.flags & CommandFlag.LIQUIDATION == 0
    if free and cost_units(terms, price, lots) > notional_limit(state, terms, decision):
        return RejectReason.NOTIONAL_ABOVE_MAX.value
    decision.price_ticks = price
    return RejectReason.NONE.value


@inlined
def spendable_units(state: RiskState, terms: InstrumentTerms, decision: Decision) -> int:
    """Quote units that a cash account can pay, its fee left aside."""
    available = available_units(purse_of(state, decision.account, terms.quote_asset))
    if terms.fee_asset == FeeAsset.QUOTE or decision.side == Side.SELL:
        return without_fee(available, max(decision.maker_rate, decision.taker_rate, 0))
    return available


@inlined
def protect_purchase(
    state: RiskState, terms: InstrumentTerms, decision: Decision, price_ticks: int
) -> int:
    """Bound a purchase by `price_ticks`, by the notional limit, and by what the account can pay.

    What a margin account can pay is not a matter of the price alone: margin is checked later.
    """
    lots, lowest = decision.qty_lots, terms.price_min_ticks
    if lowest > 0 and worth_overflows(terms, lowest, lots):
        return RejectReason.NOTIONAL_OVERFLOW.value
    if decision.flags & CommandFlag.LIQUIDATION:
        decision.price_ticks = step_down(terms, min(price_ticks, highest_worth(terms, lots)))
        return RejectReason.NONE.value
    limit = notional_limit(state, terms, decision)
    available = limit + 1
    if state.owners[decision.account].kind == AccountKind.CASH:
        available = spendable_units(state, terms, decision)
    budget = min(available, limit)
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
