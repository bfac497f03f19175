"""Decimal steps: the only place where decimal text and whole numbers are turned into each other.

Ticks, lots and units of assets are whole multiples of a step; the way there and back is exact, and
floats are refused. Configuration, gateways and tools use it; stages never see decimals.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from engine.schema import plain_decimal

DECIMALS_MAX: Final = 18
"""Decimals of a step: ten to this power is the largest that fits an int64."""

INT64_MAX: Final = (1 << 63) - 1

assert 10**DECIMALS_MAX < INT64_MAX


@dataclass(frozen=True, slots=True)
class Scale:
    """Whole multiples of one decimal step: decimal text to a count of steps and back.

    `decimals` is as the step was written: a step of "0.50" has two, and so has all its text.
    """

    name: str
    "What a step is called in errors: tick, lot, unit of USD."
    step: Decimal
    decimals: int = field(init=False)
    mantissa: int = field(init=False, repr=False)
    "step * 10**decimals."

    def __post_init__(self) -> None:
        digits, _, fraction = plain_decimal(self.step).partition(".")
        mantissa = int(digits + fraction)
        if mantissa < 1:
            raise ValueError(f"a {self.name} must be above 0, not {self.step}")
        if len(fraction) > DECIMALS_MAX:
            raise ValueError(f"a {self.name} has at most {DECIMALS_MAX} decimals: {self.step}")
        object.__setattr__(self, "decimals", len(fraction))
        object.__setattr__(self, "mantissa", mantissa)

    def count(self, value: str | Decimal) -> int:
        """How many steps `value` is, as an int64. ValueError when it is not a whole number."""
        digits, _, fraction = plain_decimal(value).partition(".")
        kept = fraction[: self.decimals].ljust(self.decimals, "0")
        too_fine = fraction[self.decimals :].strip("0")
        count, rest = divmod(int(digits + kept), self.mantissa)
        if too_fine or rest:
            raise ValueError(f"{value} is not a whole multiple of the {self.name} {self.step:f}")
        if abs(count) > INT64_MAX:
            raise ValueError(f"{value} is too large: {count} times the {self.name} {self.step:f}")
        return count

    def text(self, count: int) -> str:
        """The exact decimal value of `count` steps, always with `decimals` decimals."""
        scaled = count * self.mantissa
        if self.decimals == 0:
            return str(scaled)
        digits = str(abs(scaled)).rjust(self.decimals + 1, "0")
        sign = "-" if scaled < 0 else ""
        return f"{sign}{digits[: -self.decimals]}.{digits[-self.decimals :]}"
