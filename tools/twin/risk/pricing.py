"""Quantity, value and price of an order: the checks of one order by itself.

The price is the worst that the order may have. One without a limit gets it here.
"""

from collections.abc import Iterator

from engine.messages import CommandFlag, OrderType, RejectReason, Side, Trigger
from engine.rules import RuleNumber
from tools.twin.instrument import Instrument
from tools.twin.messages import Sequenced
from tools.twin.risk import rules
from tools.twin.risk.money import BPS, INT64_MAX, cost, overflows, payable, payment
from tools.twin.risk.reserving import fee_rate
from tools.twin.risk.state import State
from tools.twin.risk.valuation import middle

LAST, BEST, MID = range(3)
"""`collar_reference` of an instrument."""


def has_limit(command: Sequenced) -> bool:
    """Whether the sender says the worst price."""
    return command.order_type == OrderType.LIMIT


def priced(state: State, command: Sequenced) -> Sequenced:
    """The order with the worst price that it may have."""
    if has_limit(command):
        return command
    return command._replace(price_ticks=_protective_price(state, command))


def faults(state: State, command: Sequenced) -> Iterator[RejectReason]:
    """All that is wrong with a priced order or amendment by itself, what counts first."""
    liquidation = command.flags & CommandFlag.LIQUIDATION
    found = _faults_of_limit if has_limit(command) else _faults_of_market
    for fault in found(state, command):
        if not liquidation or fault == RejectReason.NOTIONAL_OVERFLOW:
            yield fault


def faults_of_amendment(state: State, command: Sequenced) -> Iterator[RejectReason]:
    """The same of an AMEND, which has a price whatever the order's type."""
    return _faults_of_limit(state, command)


def _faults_of_limit(state: State, command: Sequenced) -> Iterator[RejectReason]:
    account, index = command.account, command.instrument
    price_ticks, lots = command.price_ticks, command.qty_lots
    instrument = state.instruments[index]
    if _is_too_large(state, command):
        yield RejectReason.QUANTITY_ABOVE_MAX
    if overflows(instrument, price_ticks, lots):
        yield RejectReason.NOTIONAL_OVERFLOW
    if cost(instrument, abs(price_ticks), lots) > notional_max(state, account, index):
        yield RejectReason.NOTIONAL_ABOVE_MAX
    if payment(instrument, abs(price_ticks), lots) < instrument.notional_min_units:
        yield RejectReason.NOTIONAL_BELOW_MIN
    reference = collar_reference(state, command)
    bps = collar(state, account, index)
    if bps and reference and abs(price_ticks - reference) * BPS > bps * abs(reference):
        yield RejectReason.PRICE_COLLAR


def _faults_of_market(state: State, command: Sequenced) -> Iterator[RejectReason]:
    """Of an order that has got its price from risk, which a buyer can always pay."""
    instrument = state.instruments[command.instrument]
    lots = command.qty_lots
    if _is_too_large(state, command):
        yield RejectReason.QUANTITY_ABOVE_MAX
    if lots * max(instrument.notional_multiplier, instrument.base_units_per_lot) > INT64_MAX:
        yield RejectReason.NOTIONAL_OVERFLOW
    reference = abs(collar_reference(state, command))
    # A value beyond int64 is not looked at: the engine has no number for it.
    known = reference and not overflows(instrument, reference, lots)
    if known and payment(instrument, reference, lots) < instrument.notional_min_units:
        yield RejectReason.NOTIONAL_BELOW_MIN
    lowest = instrument.price_min_ticks
    buys = command.side == Side.BUY
    if buys and lowest > 0 and overflows(instrument, lowest, lots):
        yield RejectReason.NOTIONAL_OVERFLOW
    if command.price_ticks < lowest:
        most = notional_max(state, command.account, command.instrument)
        budget = _budget(state, command)
        scarce = budget is not None and budget <= most
        yield RejectReason.INSUFFICIENT_BALANCE if scarce else RejectReason.NOTIONAL_ABOVE_MAX
    if overflows(instrument, command.price_ticks, lots):
        yield RejectReason.NOTIONAL_OVERFLOW
    most = notional_max(state, command.account, command.instrument)
    if not buys and cost(instrument, command.price_ticks, lots) > most:
        yield RejectReason.NOTIONAL_ABOVE_MAX


def _is_too_large(state: State, command: Sequenced) -> bool:
    most = rules.values(state, RuleNumber.QTY_MAX_LOTS, command.account, command.instrument)
    return command.qty_lots > min([*most, state.instruments[command.instrument].qty_max_lots])


def notional_max(state: State, account: int, index: int) -> int:
    """The strictest limit of an order's value."""
    most = rules.values(state, RuleNumber.NOTIONAL_MAX_UNITS, account, index)
    return min([*most, state.instruments[index].notional_max_units])


def collar(state: State, account: int, index: int) -> int:
    """The narrowest collar in ten-thousandths, 0 for none."""
    bps = rules.values(state, RuleNumber.COLLAR_BPS, account, index)
    own = state.instruments[index].collar_bps
    return min([*bps, own] if own else bps, default=0)


def collar_reference(state: State, command: Sequenced) -> int:
    """The price that the collar is around, 0 for none: the trigger of an order that waits."""
    waits = command.trigger in (Trigger.STOP, Trigger.TOUCH)
    if command.flags & CommandFlag.TERMS and waits:
        return command.trigger_ticks
    index = command.instrument
    instrument = state.instruments[index]
    price = state.last_prices.get(index, 0)
    if instrument.collar_reference == BEST:
        bid, ask = state.tops.get(index, (None, None))
        best = ask if command.side == Side.BUY else bid
        if best is not None:
            return best
    elif instrument.collar_reference == MID:
        price = middle(state, index) or price
    return price or instrument.reference_ticks


def _budget(state: State, command: Sequenced) -> int | None:
    """What an order can pay without its fee; None where nothing is paid with money."""
    account, index = command.account, command.instrument
    if state.is_margin(account):
        return None
    asset = state.instruments[index].quote_asset_index
    return payable(
        state.purse(account, asset).available, fee_rate(state, account, index, command.side)
    )


def _protective_price(state: State, command: Sequenced) -> int:
    """The worst price at which a market order may trade; below the range: cannot pay."""
    account, index = command.account, command.instrument
    instrument = state.instruments[index]
    lowest, highest = instrument.price_min_ticks, instrument.price_max_ticks
    reference, bps = collar_reference(state, command), collar(state, account, index)
    price = highest if command.side == Side.BUY else lowest
    if reference and bps:
        band = abs(reference) * bps // BPS
        price = reference + band if command.side == Side.BUY else reference - band
        price = max(lowest, min(highest, price))
    unit = command.qty_lots * instrument.notional_multiplier
    farthest = (INT64_MAX - instrument.notional_divisor) // unit
    own = _budget(state, command)
    if command.side == Side.SELL:
        if price < 0:
            worst = farthest
            if own is not None:
                worst = min(worst, max(0, _affordable(instrument, own, unit)))
            price = max(price, -worst)
        valid = instrument.step_up(price)
        return valid if valid <= highest else instrument.step_down(highest)
    price = min(price, farthest)
    if command.flags & CommandFlag.LIQUIDATION:
        return instrument.step_down(price)
    budget = notional_max(state, account, index)
    budget = budget if own is None else min(budget, own)
    return instrument.step_down(min(price, _affordable(instrument, budget, unit)))


def _affordable(instrument: Instrument, budget: int, unit: int) -> int:
    """The highest price at which a quantity of so many multiplied lots costs at most this."""
    if abs(budget * instrument.notional_divisor) > INT64_MAX:
        # The engine rounds down once more here rather than to leave int64.
        return budget // unit * instrument.notional_divisor
    return budget * instrument.notional_divisor // unit
