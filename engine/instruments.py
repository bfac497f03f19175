"""Instruments and assets: what is traded, in which steps, and how text becomes integers.

Inside the engine prices are whole ticks, quantities whole lots and balances whole units (10 to
the power of minus the asset's decimals); `Scale` turns decimal text into them and back, exactly.
Instruments are made once from the configuration (engine.instrument_table); gateways and tools read
them, stages get their numbers.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum
from typing import Annotated, Any, Final

from engine.limits import PRICE_TICKS_MAX, TIERS_MAX
from engine.messages import Phase
from engine.scale import DECIMALS_MAX, INT64_MAX, Scale
from engine.schedule import ScheduledPhase
from engine.schema import text, whole
from engine.tick_table import PriceStep

PRICE_MAX_TICKS_DEFAULT: Final = 1 << 40
"""Highest price unless configured: 10**12 ticks, and 2**22 lots at it still fit an int64."""

COLLAR_BPS_MAX: Final = 100_000
"""Widest price collar: ten times the reference. Wider ones guard against nothing."""

COLLAR_PRICE_TICKS_MAX: Final = 1 << 45
"""Prices of an instrument with a collar or a band stay within this: its check cannot overflow."""

FEE_RATE_MAX: Final = (1 << 15) - 1
"""Largest fee rate in millionths of a value, and rebate: a little over 3 percent, two bytes."""

BPS: Final = 10_000
"""Ten-thousandths of a whole."""

SECONDS_MAX: Final = 86_400
"""Longest volatility halt or auction: a day."""

MILLIONTHS: Final = Scale("millionth", Decimal("0.000001"))
"""Step of a fee rate."""

TEN_THOUSANDTHS: Final = Scale("ten-thousandth", Decimal("0.0001"))
"""Step of a margin."""

NO_RATES: Final = (0,) * TIERS_MAX
"""Fee rates of an instrument without fees."""

SYMBOL: Final = text("[A-Za-z0-9][A-Za-z0-9/._:-]{0,31}", "1 to 32 letters, digits or /._:-")
ASSET_NAME: Final = text("[A-Za-z0-9][A-Za-z0-9._-]{0,15}", "1 to 16 letters, digits or ._-")

assert PRICE_MAX_TICKS_DEFAULT <= COLLAR_PRICE_TICKS_MAX <= PRICE_TICKS_MAX
assert 2 * COLLAR_PRICE_TICKS_MAX * COLLAR_BPS_MAX <= INT64_MAX, "distance * bps fits"


class FeeAsset(IntEnum):
    """What a fee is taken of."""

    QUOTE = 0
    RECEIVED = 1
    "A purchase of a cash account pays in base, of what it receives; all else as QUOTE."


class MarkSource(IntEnum):
    """Which price an instrument's positions are valued at."""

    LAST = 0
    "The last trade."
    MID = 1
    "The middle of best bid and ask."
    EXTERNAL = 2
    "The last MARK command."


class CollarReference(IntEnum):
    """Which price the collar compares an order's price with."""

    LAST = 0
    "The last trade."
    BEST = 1
    "The best price of the other side."
    MID = 2
    "The middle of best bid and ask."


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
    fee_asset: int = FeeAsset.QUOTE
    initial_bps: int = 0
    "Initial margin in 1/10000 of a position's value; 0: no trading on margin."
    maintenance_bps: int = 0
    "Maintenance margin, at most the initial one."
    short_selling: int = 0
    "1 if margin accounts may sell more than they have."
    mark_source: int = MarkSource.LAST
    collar_reference: int = CollarReference.LAST
    tell_top: int = 0
    "1 if matching tells risk the best prices."
    maker_rates: tuple[int, ...] = NO_RATES
    "Fee of a resting order in millionths of the value, tier by tier; negative: a rebate."
    taker_rates: tuple[int, ...] = NO_RATES
    "Fee of an incoming order, the same."

    @property
    def has_fees(self) -> bool:
        """Whether any tier pays a fee or gets a rebate."""
        return any(self.maker_rates) or any(self.taker_rates)

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
            "fees": self._fees_text(),
            "fee_asset": FeeAsset(self.fee_asset).name.lower() if self.fee_asset else "",
            "initial_margin": _share_text(self.initial_bps),
            "maintenance_margin": _share_text(self.maintenance_bps),
            "short_selling": "true" if self.short_selling else "",
            "mark": MarkSource(self.mark_source).name.lower() if self.mark_source else "",
            "collar_reference": CollarReference(self.collar_reference).name.lower()
            if self.collar_reference
            else "",
        }
        values |= {name: value for name, value in unless_usual.items() if value}
        return f"  {self.symbol:<12}" + " ".join(f"{key}={value}" for key, value in values.items())

    def _fees_text(self) -> str:
        """Maker/taker of each tier up to the last that differs; nothing without fees."""
        if not self.has_fees:
            return ""
        tiers = list(zip(self.maker_rates, self.taker_rates, strict=True))
        while len(tiers) > 1 and tiers[-1] == tiers[-2]:
            tiers.pop()
        return ",".join(f"{MILLIONTHS.text(one)}/{MILLIONTHS.text(other)}" for one, other in tiers)


def _share_text(bps: int) -> str:
    return TEN_THOUSANDTHS.text(bps) if bps else ""
