"""Instruments and assets: what is traded, in which steps, and how text becomes integers.

Inside the engine prices are whole ticks, quantities whole lots and balances whole units (10 to
the power of minus the asset's decimals); `Scale` turns decimal text into them and back, exactly.
Instruments are made once from the configuration; gateways and tools read them, stages get their
numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Final

from engine.limits import (
    BALANCE_MAX,
    PRICE_STEPS_MAX,
    PRICE_TICKS_MAX,
    QTY_LOTS_MAX,
    SCHEDULE_MAX,
    SHARDS_MAX,
)
from engine.messages import Phase
from engine.scale import DECIMALS_MAX, INT64_MAX, Scale
from engine.schedule import PHASE_NAME, PHASES, ScheduledPhase, make_schedule
from engine.schema import Problems, decimal, tables, text, whole
from engine.tick_table import PriceStep, make_price_steps

PRICE_MAX_TICKS_DEFAULT: Final = 1 << 40
"""Highest price unless configured: 10**12 ticks, and 2**22 lots at it still fit an int64."""

COLLAR_BPS_MAX: Final = 100_000
"""Widest price collar: ten times the reference. Wider ones guard against nothing."""

COLLAR_PRICE_TICKS_MAX: Final = 1 << 45
"""Prices of an instrument with a collar or a band stay within this: its check cannot overflow."""

SECONDS_MAX: Final = 86_400
"""Longest volatility halt or auction: a day."""

NS_PER_S: Final = 1_000_000_000

SYMBOL: Final = text("[A-Za-z0-9][A-Za-z0-9/._:-]{0,31}", "1 to 32 letters, digits or /._:-")
ASSET_NAME: Final = text("[A-Za-z0-9][A-Za-z0-9._-]{0,15}", "1 to 16 letters, digits or ._-")

assert PRICE_MAX_TICKS_DEFAULT <= COLLAR_PRICE_TICKS_MAX <= PRICE_TICKS_MAX
assert 2 * COLLAR_PRICE_TICKS_MAX * COLLAR_BPS_MAX <= INT64_MAX, "distance * bps fits"


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
    qty_min: Annotated[str | None, decimal()] = None
    notional_min: Annotated[str | None, decimal(positive=False)] = None
    multiplier: Annotated[str, decimal()] = "1"
    price_steps: Annotated[Sequence[Any], tables(PRICE_STEPS_MAX)] = ()
    static_band_bps: Annotated[int, whole(0, COLLAR_BPS_MAX)] = 0
    dynamic_band_bps: Annotated[int, whole(0, COLLAR_BPS_MAX)] = 0
    volatility_halt_s: Annotated[int, whole(0, SECONDS_MAX)] = 0
    volatility_auction_s: Annotated[int, whole(0, SECONDS_MAX)] = 0
    phase: Annotated[str, PHASE_NAME] = "continuous"
    schedule: Annotated[Sequence[Any], tables(SCHEDULE_MAX)] = ()
    shard: Annotated[int | None, whole(0, SHARDS_MAX - 1)] = None


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
    qty_min_lots: int
    notional_min_units: int
    price_steps: tuple[PriceStep, ...]
    "Tick table, ascending; without one every tick is a valid price."
    static_band_bps: int
    "Largest distance of a trade from the reference, in 1/10000; 0 for no band."
    dynamic_band_bps: int
    "Largest distance of a trade from the one before, in 1/10000; 0 for no band."
    volatility_halt_ns: int
    volatility_auction_ns: int
    phase: int
    "The Phase that it begins with."
    schedule: tuple[ScheduledPhase, ...]
    shard: int | None
    "Matching shard of its book; None: its index modulo their number."

    def shard_among(self, shards: int) -> int:
        """The matching shard, of so many, that has its book."""
        return self.index % shards if self.shard is None else self.shard

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

    def render(self, quote: Asset) -> str:
        """One line, as it is printed at the start of the venue; what is at rest is left out."""
        reference = self.reference_ticks
        values: dict[str, Any] = {
            "tick": f"{self.tick:f}",
            "lot": f"{self.lot:f}",
            "qty_max": self.lots_to_qty(self.qty_max_lots),
            "notional_max": quote.to_text(self.notional_max_units),
            "collar_bps": self.collar_bps,
            "reference": self.ticks_to_price(reference) if reference else "none",
            "phase": Phase(self.phase).name.lower(),
        }
        steps = ",".join(
            f"{self.ticks_to_price(first)}:{self.ticks_to_price(step)}"
            for first, step in self.price_steps
        )
        unless_usual = {
            "qty_min": self.lots_to_qty(self.qty_min_lots) if self.qty_min_lots > 1 else "",
            "notional_min": quote.to_text(self.notional_min_units)
            if self.notional_min_units
            else "",
            "price_steps": steps,
            "static_band_bps": self.static_band_bps,
            "dynamic_band_bps": self.dynamic_band_bps,
            "schedule": f"{len(self.schedule)} phases" if self.schedule else "",
            "shard": "" if self.shard is None else str(self.shard),
        }
        values |= {name: value for name, value in unless_usual.items() if value}
        return f"  {self.symbol:<12}" + " ".join(f"{key}={value}" for key, value in values.items())


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
        contract = Decimal(self.table.multiplier)
        units = Fraction(tick) * Fraction(lot) * Fraction(contract) * 10**quote.decimals
        one_is_one = 1 in (units.numerator, units.denominator)
        if not one_is_one or max(units.numerator, units.denominator) > BALANCE_MAX:
            self.problems.say(
                f"{self.path}.tick",
                f"expected {'tick * lot' if contract == 1 else 'tick * lot * multiplier'} to be a "
                f"whole number of units of {quote.name} (which has {quote.decimals} decimals), or "
                f"one part of a unit, found {tick:f} * {lot:f}"
                f"{'' if contract == 1 else f' * {contract:f}'} = {units} units; change tick, lot "
                "or the decimals",
            )
            return 1, 1
        return units.numerator, units.denominator

    def price_range(self, prices: Scale) -> tuple[int, int]:
        """Lowest and highest price in ticks."""
        # Checks of a collar or a band multiply ticks by 10,000 and more: less room there.
        table = self.table
        banded = table.collar_bps or table.static_band_bps or table.dynamic_band_bps
        widest = COLLAR_PRICE_TICKS_MAX if banded else PRICE_TICKS_MAX
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
        qty_min_lots=derived.count("qty_min", quantities, 1, lots_most, absent=1),
        notional_min_units=derived.count("notional_min", quote.scale, 0, BALANCE_MAX),
        price_steps=make_price_steps(table.price_steps, f"{path}.price_steps", prices, problems),
        static_band_bps=table.static_band_bps,
        dynamic_band_bps=table.dynamic_band_bps,
        volatility_halt_ns=table.volatility_halt_s * NS_PER_S,
        volatility_auction_ns=table.volatility_auction_s * NS_PER_S,
        phase=PHASES[table.phase],
        schedule=make_schedule(table.schedule, f"{path}.schedule", problems),
        shard=table.shard,
    )
    if made.qty_min_lots > made.qty_max_lots:
        expected = f"at most qty_max {table.qty_max}"
        problems.note(f"{path}.qty_min", expected, table.qty_min)
    if made.notional_min_units > made.notional_max_units:
        expected = f"at most notional_max {table.notional_max}"
        problems.note(f"{path}.notional_min", expected, table.notional_min)
    return made if len(problems.found) == before else None
