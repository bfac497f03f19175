"""Instruments and assets: what is traded, in which steps, and how text becomes integers.

Inside the engine prices are whole ticks, quantities whole lots and balances whole units (10 to
the power of minus the asset's decimals). This module is the only place where decimal text and
these integers are turned into each other, exactly; floats are refused. Instruments are made once
from the configuration; gateways and tools read them, stages get their numbers.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Final

from engine.limits import BALANCE_MAX, PRICE_TICKS_MAX, QTY_LOTS_MAX
from engine.schema import Problems, decimal, plain_decimal, text, whole

DECIMALS_MAX: Final = 18
"""Decimals of a step: ten to this power is the largest that fits an int64."""

PRICE_MAX_TICKS_DEFAULT: Final = 1 << 40
"""Highest price unless configured: 10**12 ticks, and 2**22 lots at it still fit an int64."""

COLLAR_BPS_MAX: Final = 100_000
"""Widest price collar: ten times the reference. Wider ones guard against nothing."""

COLLAR_PRICE_TICKS_MAX: Final = 1 << 45
"""Prices of an instrument with a collar stay within this, so that the check cannot overflow."""

INT64_MAX: Final = (1 << 63) - 1

SYMBOL: Final = text("[A-Za-z0-9][A-Za-z0-9/._:-]{0,31}", "1 to 32 letters, digits or /._:-")
ASSET_NAME: Final = text("[A-Za-z0-9][A-Za-z0-9._-]{0,15}", "1 to 16 letters, digits or ._-")

assert 10**DECIMALS_MAX < INT64_MAX
assert PRICE_MAX_TICKS_DEFAULT <= COLLAR_PRICE_TICKS_MAX <= PRICE_TICKS_MAX
assert 2 * COLLAR_PRICE_TICKS_MAX * COLLAR_BPS_MAX <= INT64_MAX, "distance * bps fits"


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


@dataclass(frozen=True, slots=True)
class AssetTable:
    """One [[assets]] table of the configuration, as written."""

    name: Annotated[str, ASSET_NAME]
    decimals: Annotated[int, whole(0, DECIMALS_MAX)]


@dataclass(frozen=True, slots=True)
class Asset:
    """What balances are kept in; one unit is 10**-decimals."""

    index: int
    "Position among the assets: the column in the table of balances."
    name: str
    decimals: int
    scale: Scale = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        unit = Scale(f"unit of {self.name}", Decimal((0, (1,), -self.decimals)))
        object.__setattr__(self, "scale", unit)

    def to_units(self, amount: str | Decimal) -> int:
        """Units of a decimal amount. ValueError when it is finer than one unit."""
        return self.scale.count(amount)

    def to_text(self, units: int) -> str:
        """The exact decimal amount of some units, with all decimals."""
        return self.scale.text(units)


@dataclass(frozen=True, slots=True)
class InstrumentTable:
    """One [[instruments]] table of the configuration, as written."""

    symbol: Annotated[str, SYMBOL]
    base: Annotated[str, ASSET_NAME]
    quote: Annotated[str, ASSET_NAME]
    tick: Annotated[str, decimal()]
    lot: Annotated[str, decimal()]
    qty_max: Annotated[str, decimal()]
    notional_max: Annotated[str, decimal()]
    collar_bps: Annotated[int, whole(0, COLLAR_BPS_MAX)] = 0
    reference_price: Annotated[str | None, decimal(positive=False)] = None
    price_min: Annotated[str | None, decimal(positive=False)] = None
    price_max: Annotated[str | None, decimal(positive=False)] = None


@dataclass(frozen=True, slots=True)
class Instrument:
    """One order book: its two assets, its steps, and the limits that risk applies.

    The notional of an order in units of the quote asset is
    price_ticks * qty_lots * notional_multiplier / notional_divisor; one of the two is 1. An
    instrument is allowed even if its highest price times its largest quantity overflows an
    int64: risk bounds the product and rejects such an order with NOTIONAL_OVERFLOW.
    With a divisor above 1 a notional need not be whole; the risk stage says how it rounds.
    """

    index: int
    "Number of the instrument in messages: its position in the configuration."
    symbol: str
    base_asset_index: int
    quote_asset_index: int
    prices: Scale = field(repr=False)
    "Step: the tick."
    quantities: Scale = field(repr=False)
    "Step: the lot."
    base_units_per_lot: int
    notional_multiplier: int
    notional_divisor: int
    qty_max_lots: int
    notional_max_units: int
    collar_bps: int
    "Largest distance of a limit price from the reference, in 1/10000 of it; 0 for no collar."
    reference_ticks: int
    "Reference price until the first trade; 0 for none."
    price_min_ticks: int
    price_max_ticks: int

    @property
    def tick(self) -> Decimal:
        """The price step, in quote per base."""
        return self.prices.step

    @property
    def lot(self) -> Decimal:
        """The quantity step, in base."""
        return self.quantities.step

    @property
    def price_decimals(self) -> int:
        """Decimals of every price as text."""
        return self.prices.decimals

    @property
    def qty_decimals(self) -> int:
        """Decimals of every quantity as text."""
        return self.quantities.decimals

    def price_to_ticks(self, price: str | Decimal) -> int:
        """Ticks of a decimal price. ValueError, naming the tick, when it lies between two."""
        return self.prices.count(price)

    def ticks_to_price(self, ticks: int) -> str:
        """The exact decimal price."""
        return self.prices.text(ticks)

    def qty_to_lots(self, quantity: str | Decimal) -> int:
        """Lots of a decimal quantity. ValueError, naming the lot, when it is not whole lots."""
        return self.quantities.count(quantity)

    def lots_to_qty(self, lots: int) -> str:
        """The exact decimal quantity."""
        return self.quantities.text(lots)


class _Derivation:
    """Turns one checked table into an instrument and notes what does not fit together."""

    def __init__(self, table: InstrumentTable, path: str, problems: Problems) -> None:
        self.table = table
        self.path = path
        self.problems = problems

    def scale(self, key: str) -> Scale | None:
        """The step under `key`; None after noting what is wrong with it."""
        try:
            return Scale(key, Decimal(getattr(self.table, key)))
        except ValueError as error:
            self.problems.say(f"{self.path}.{key}", str(error))
            return None

    def count(self, key: str, scale: Scale, least: int, most: int, absent: int = 0) -> int:
        """The value of `key` in steps of `scale`, in a range; `absent` when there is none."""
        value = getattr(self.table, key)
        if value is None:
            return absent
        try:
            count = scale.count(value)
        except ValueError as error:
            self.problems.say(f"{self.path}.{key}", str(error))
            return absent
        if not least <= count <= most:
            expected = f"{scale.text(least)} to {scale.text(most)}"
            self.problems.note(f"{self.path}.{key}", expected, value)
        return count

    def base_units_per_lot(self, lot: Decimal, base: Asset) -> int:
        """How many units of the base asset one lot is."""
        units: Fraction = Fraction(lot) * 10**base.decimals
        if units.denominator != 1 or units > BALANCE_MAX:
            self.problems.say(
                f"{self.path}.lot",
                f"expected a whole number of units of {base.name} (which has {base.decimals} "
                f"decimals), at most {BALANCE_MAX}, found {lot:f}",
            )
            return 1
        return units.numerator

    def notional(self, tick: Decimal, lot: Decimal, quote: Asset) -> tuple[int, int]:
        """Value of one lot at one tick in units of the quote asset: multiplier and divisor."""
        units = Fraction(tick) * Fraction(lot) * 10**quote.decimals
        one_is_one = 1 in (units.numerator, units.denominator)
        if not one_is_one or max(units.numerator, units.denominator) > BALANCE_MAX:
            self.problems.say(
                f"{self.path}.tick",
                f"expected tick * lot to be a whole number of units of {quote.name} (which has "
                f"{quote.decimals} decimals), or one part of a unit, found "
                f"{tick:f} * {lot:f} = {units} units; change tick, lot or the decimals",
            )
            return 1, 1
        return units.numerator, units.denominator

    def price_range(self, prices: Scale) -> tuple[int, int]:
        """Lowest and highest price in ticks."""
        # Collar checks multiply a distance in ticks by 10,000 and more: less room there.
        widest = COLLAR_PRICE_TICKS_MAX if self.table.collar_bps else PRICE_TICKS_MAX
        least = self.count("price_min", prices, -widest, widest, absent=1)
        most = self.count("price_max", prices, -widest, widest, absent=PRICE_MAX_TICKS_DEFAULT)
        if least > most:
            self.problems.say(
                f"{self.path}.price_max",
                f"expected at least price_min {prices.text(least)}, found {prices.text(most)}",
            )
        return least, most


def make_instrument(
    table: InstrumentTable, index: int, base: Asset, quote: Asset, problems: Problems
) -> Instrument | None:
    """The instrument of one checked table; None when something is wrong (see `problems`)."""
    path = f"instruments[{index}]"
    before = len(problems.found)
    derived = _Derivation(table, path, problems)
    if base == quote:
        problems.say(f"{path}.quote", f"expected another asset than base, found {base.name}")
    prices, quantities = derived.scale("tick"), derived.scale("lot")
    if prices is None or quantities is None:
        return None
    least, most = derived.price_range(prices)
    reference = derived.count("reference_price", prices, least, most)
    if reference == 0 and table.reference_price is not None:
        problems.say(f"{path}.reference_price", "0 stands for none: leave the key out")
    per_lot = derived.base_units_per_lot(quantities.step, base)
    # A larger quantity could never be held: BALANCE_MAX bounds every balance.
    lots_most = min(QTY_LOTS_MAX, BALANCE_MAX // per_lot)
    multiplier, divisor = derived.notional(prices.step, quantities.step, quote)
    made = Instrument(
        index=index,
        symbol=table.symbol,
        base_asset_index=base.index,
        quote_asset_index=quote.index,
        prices=prices,
        quantities=quantities,
        base_units_per_lot=per_lot,
        notional_multiplier=multiplier,
        notional_divisor=divisor,
        qty_max_lots=derived.count("qty_max", quantities, 1, lots_most),
        notional_max_units=derived.count("notional_max", quote.scale, 1, BALANCE_MAX),
        collar_bps=table.collar_bps,
        reference_ticks=reference,
        price_min_ticks=least,
        price_max_ticks=most,
    )
    return made if len(problems.found) == before else None
