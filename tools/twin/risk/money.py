"""The arithmetic of money: whole units of an asset, each division rounded as docs/risk.md says."""

from engine.limits import BALANCE_MAX
from tools.twin.instrument import Instrument

INT64_MAX = (1 << 63) - 1
BPS = 10_000
MILLION = 1_000_000
VALUE_MAX = 1 << 53
"""No position is valued at more, nor at less than minus this."""
EXPOSURE_MAX = 1 << 60
"""What a venue's gross in an asset may reach by an order."""
DEPOSITS_MAX = BALANCE_MAX
"""What deposits less withdrawals of an asset may reach."""


def up(numerator: int, denominator: int) -> int:
    """A quotient rounded up."""
    return -(-numerator // denominator)


def toward_zero(numerator: int, denominator: int) -> int:
    """A quotient rounded toward zero; the denominator is positive."""
    return numerator // denominator if numerator >= 0 else -(-numerator // denominator)


def payment(instrument: Instrument, price_ticks: int, lots: int) -> int:
    """Quote units that change hands in a trade."""
    product = price_ticks * lots * instrument.notional_multiplier
    return toward_zero(product, instrument.notional_divisor)


def cost(instrument: Instrument, price_ticks: int, lots: int) -> int:
    """Quote units that a purchase may take."""
    product = price_ticks * lots * instrument.notional_multiplier
    return max(0, up(product, instrument.notional_divisor))


def overflows(instrument: Instrument, price_ticks: int, lots: int) -> bool:
    """Whether a value in units, or a quantity in base units, does not fit an int64."""
    product = abs(price_ticks) * lots * instrument.notional_multiplier
    too_much = product + instrument.notional_divisor > INT64_MAX
    return too_much or lots * instrument.base_units_per_lot > INT64_MAX


def fee(units: int, rate: int) -> int:
    """What is paid of so many units at a rate in millionths; a negative rate is a rebate."""
    return toward_zero(abs(units) * rate, MILLION)


def fee_at_most(units: int, rate: int) -> int:
    """What is reserved for the fee of so many units."""
    return up(units * rate, MILLION)


def payable(available: int, rate: int) -> int:
    """The largest cost that can be paid together with its fee."""
    if abs(available * MILLION) > INT64_MAX:
        # The engine cannot multiply first here.
        return available - up(available * rate, MILLION)
    return available * MILLION // (MILLION + rate)


def of_bps(units: int, bps: int) -> int:
    """So many ten-thousandths, rounded up."""
    return up(units * bps, BPS)
