"""Balances, and the value of prices and quantities. Owned by the risk stage."""

from typing import Final

from engine.limits import ACCOUNTS_MAX, ASSETS_MAX
from engine.reference import InstrumentTerms
from ipc.intrinsics import multiply_overflows
from ipc.jit import inlined
from ipc.record import CACHE_LINE_BYTES, Array, Record, i64, length

INT64_MAX: Final = (1 << 63) - 1


class Balance(Record):
    """One asset of one account, in units of the asset."""

    available: i64
    "What new orders may use."
    reserved: i64
    "What live orders can still cost."


class Balances(Record, align=CACHE_LINE_BYTES):
    """All balances: `account * ASSETS_MAX + asset`."""

    table: Array[Balance] = length(ACCOUNTS_MAX * ASSETS_MAX)


@inlined
def balance_of(balances: Balances, account: int, asset: int) -> Balance:
    """The balance of one asset of one account."""
    return balances.table[account * ASSETS_MAX + asset]


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
    """Quote units that change hands in a trade: rounded down."""
    product = price_ticks * qty_lots * terms.notional_multiplier
    if terms.notional_divisor == 1:
        return product
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
            return terms.price_max_ticks
        return whole * terms.notional_divisor
    return budget_units * terms.notional_divisor // unit
