"""What prices and quantities are worth, and shares of amounts. Integers only.

Nothing here leaves int64: what could is checked first (`worth_overflows`), clamped
(`value_units`), or divided before it is multiplied. docs/risk.md gives the formulas.
"""

from typing import Final

from engine.instruments import BPS, FeeAsset
from engine.limits import BALANCE_MAX
from engine.messages import Side
from engine.reference import InstrumentTerms
from ipc.intrinsics import multiply_overflows, shift_right
from ipc.jit import inlined, kernel

INT64_MAX: Final = (1 << 63) - 1

VALUE_MAX: Final = 1 << 53
"""A position's worth, and that of its orders, is clamped to this many units."""

RATE_ONE: Final = 1_000_000
"""Fee rates are in millionths."""


@inlined
def worth_overflows(terms: InstrumentTerms, price_ticks: int, qty_lots: int) -> bool:
    """Whether price * qty * multiplier leaves int64, before it is divided."""
    if multiply_overflows(price_ticks, qty_lots):
        return True
    product = price_ticks * qty_lots
    if multiply_overflows(product, terms.notional_multiplier):
        return True
    # Rounding up adds less than the divisor before it divides.
    return product * terms.notional_multiplier > INT64_MAX - terms.notional_divisor


@inlined
def highest_worth(terms: InstrumentTerms, qty_lots: int) -> int:
    """The highest price in ticks at which the value of `qty_lots` stays within int64."""
    return (INT64_MAX - terms.notional_divisor) // (qty_lots * terms.notional_multiplier)


@inlined
def cost_units(terms: InstrumentTerms, price_ticks: int, qty_lots: int) -> int:
    """Quote units to reserve for a purchase: rounded up, and nothing for a price below zero."""
    product = max(price_ticks * qty_lots * terms.notional_multiplier, 0)
    if terms.notional_divisor == 1:
        return product
    return (product + terms.notional_divisor - 1) // terms.notional_divisor


@inlined
def payment_units(terms: InstrumentTerms, price_ticks: int, qty_lots: int) -> int:
    """Quote units that change hands in a trade: rounded toward zero.

    So whoever pays, the buyer or below zero the seller, never pays more than was reserved.
    """
    product = price_ticks * qty_lots * terms.notional_multiplier
    if terms.notional_divisor == 1:
        return product
    if product < 0:
        return -(-product // terms.notional_divisor)
    return product // terms.notional_divisor


@inlined
def affordable_price(terms: InstrumentTerms, budget_units: int, qty_lots: int) -> int:
    """The highest price in ticks at which `qty_lots` cost at most about `budget_units`.

    Exact unless budget * divisor leaves int64; then rounded down further, never up.
    """
    unit = qty_lots * terms.notional_multiplier
    if multiply_overflows(budget_units, terms.notional_divisor):
        whole = budget_units // unit
        if multiply_overflows(whole, terms.notional_divisor):
            return INT64_MAX
        return whole * terms.notional_divisor
    return budget_units * terms.notional_divisor // unit


# --- values, shares, fees ----------------------------------------------------------------------


@inlined
def value_units(terms: InstrumentTerms, mark_ticks: int, qty_lots: int) -> int:
    """What `qty_lots`, 0 or more, are worth at the mark: as paid, clamped to VALUE_MAX."""
    if worth_overflows(terms, abs(mark_ticks), qty_lots):
        return long_value(terms, mark_ticks, qty_lots)
    return min(max(payment_units(terms, mark_ticks, qty_lots), -VALUE_MAX), VALUE_MAX)


@inlined
def order_units(terms: InstrumentTerms, price_ticks: int, qty_lots: int) -> int:
    """The notional of an order whose value fits: rounded up, at the absolute price."""
    return cost_units(terms, abs(price_ticks), qty_lots)


@inlined
def bps_up(units: int, bps: int) -> int:
    """Units * bps / 10,000, rounded up; units from 0 on, up to VALUE_MAX, bps up to 10,000."""
    return units // BPS * bps + (units % BPS * bps + BPS - 1) // BPS


@inlined
def bps_down(units: int, bps: int) -> int:
    """The same, rounded down; units up to 2^63."""
    return units // BPS * bps + units % BPS * bps // BPS


@inlined
def fee_units(units: int, rate: int) -> int:
    """The fee on an amount at a rate in millionths, rounded toward zero; negative: a rebate."""
    size, part = abs(units), abs(rate)
    fee = size // RATE_ONE * part + size % RATE_ONE * part // RATE_ONE
    return fee if rate > 0 else -fee


@inlined
def fee_bound(units: int, rate: int) -> int:
    """The most that fees at a rate from 0 on can take of an amount: rounded up."""
    return units // RATE_ONE * rate + (units % RATE_ONE * rate + RATE_ONE - 1) // RATE_ONE


@inlined
def without_fee(units: int, rate: int) -> int:
    """The largest amount that with its fee stays within `units`; rate from 0 on.

    Rounded down further, never up, where units * RATE_ONE leaves int64.
    """
    if rate == 0 or units <= 0:
        return units
    if multiply_overflows(units, RATE_ONE):
        return units - fee_bound(units, rate)
    return units * RATE_ONE // (RATE_ONE + rate)


@inlined
def portion(amount: int, part: int, whole: int) -> int:
    """Amount * part / whole, rounded down; amount from 0 on, part 0..whole, whole below 2^60."""
    if multiply_overflows(amount, part):
        return long_portion(amount, part, whole)
    return amount * part // whole


@kernel
def long_portion(amount: int, part: int, whole: int) -> int:
    """The same where the product leaves int64: multiplied and divided bit by bit."""
    result = rest = 0
    for bit in range(62, -1, -1):
        result += result
        rest += rest
        if shift_right(amount, bit) & 1:
            rest += part
        while rest >= whole:
            rest -= whole
            result += 1
    return result


@inlined
def portion_up(amount: int, part: int, whole: int) -> int:
    """The same rounded up."""
    return amount - portion(amount, whole - part, whole)


@kernel
def long_value(terms: InstrumentTerms, mark_ticks: int, qty_lots: int) -> int:
    """The same as `value_units` where the product leaves int64 before it is divided.

    That of one order never does, but that of a position, or of all its orders together, may.
    """
    size, divisor = abs(mark_ticks), terms.notional_divisor
    whole, rest = qty_lots // divisor, qty_lots % divisor
    value = VALUE_MAX
    if divisor > 1 and not multiply_overflows(size, whole) and size * whole < VALUE_MAX:
        value = min(size * whole + portion(size, rest, divisor), VALUE_MAX)
    return value if mark_ticks > 0 else -value


# --- what a cash account reserves --------------------------------------------------------------


@inlined
def quote_needed(
    terms: InstrumentTerms, side: int, price_ticks: int, qty_lots: int, rate: int
) -> int:
    """Quote units to reserve: for a purchase, and for a sale at a price below zero, with fees.

    `rate` is the higher one of the order, from 0 on. More than BALANCE_MAX means: more than any
    account has.
    """
    price = price_ticks if side == Side.BUY else -price_ticks
    units = cost_units(terms, price, qty_lots)
    if units > BALANCE_MAX:
        return BALANCE_MAX + 1
    if rate > 0 and (terms.fee_asset == FeeAsset.QUOTE or side == Side.SELL):
        units += fee_bound(units, rate)
    return units


@inlined
def base_needed(terms: InstrumentTerms, side: int, qty_lots: int) -> int:
    """Base units to reserve: for a sale."""
    return qty_lots * terms.base_units_per_lot if side == Side.SELL else 0
