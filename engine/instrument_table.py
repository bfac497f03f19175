"""One [[instruments]] table: its keys, and the instrument that is made of it.

The configuration reads such tables at the start, a gateway when an instrument is listed later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Final

from engine.instruments import (
    ASSET_NAME,
    BPS,
    COLLAR_BPS_MAX,
    COLLAR_PRICE_TICKS_MAX,
    FEE_RATE_MAX,
    MILLIONTHS,
    PRICE_MAX_TICKS_DEFAULT,
    SECONDS_MAX,
    SYMBOL,
    TEN_THOUSANDTHS,
    Asset,
    CollarReference,
    FeeAsset,
    Instrument,
    MarkSource,
)
from engine.limits import (
    BALANCE_MAX,
    PRICE_STEPS_MAX,
    PRICE_TICKS_MAX,
    QTY_LOTS_MAX,
    SCHEDULE_MAX,
    SHARDS_MAX,
    TIERS_MAX,
)
from engine.scale import Scale
from engine.schedule import PHASE_NAME, PHASES, make_schedule
from engine.schema import Problems, choice, decimal, flag, read, tables, whole
from engine.tick_table import make_price_steps

NS_PER_S: Final = 1_000_000_000

FEE_ASSETS: Final = {each.name.lower(): each for each in FeeAsset}
MARK_SOURCES: Final = {each.name.lower(): each for each in MarkSource}
COLLAR_REFERENCES: Final = {each.name.lower(): each for each in CollarReference}


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
    fees: Annotated[Sequence[Any], tables(TIERS_MAX)] = ()
    fee_asset: Annotated[str, choice(*FEE_ASSETS)] = "quote"
    initial_margin: Annotated[str | None, decimal(positive=False)] = None
    maintenance_margin: Annotated[str | None, decimal(positive=False)] = None
    short_selling: Annotated[bool | None, flag()] = None
    mark: Annotated[str, choice(*MARK_SOURCES)] = "last"
    collar_reference: Annotated[str, choice(*COLLAR_REFERENCES)] = "last"


@dataclass(frozen=True, slots=True)
class FeeTable:
    """One entry of an instrument's `fees`, as written: what a tier pays, in parts of the value."""

    maker: Annotated[str, decimal(positive=False)]
    taker: Annotated[str, decimal(positive=False)]


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

    def rates(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Fee rates of all tiers, of resting and of incoming orders; 0 without a schedule."""
        made: list[tuple[int, int]] = []
        for index, written in enumerate(self.table.fees):
            place = f"{self.path}.fees[{index}]"
            fee = read(FeeTable, written, place, self.problems)
            if fee is not None:
                maker = self._rate(fee.maker, f"{place}.maker")
                made.append((maker, self._rate(fee.taker, f"{place}.taker")))
        # Tiers that are not written pay as the last one.
        made += (made or [(0, 0)])[-1:] * (TIERS_MAX - len(made))
        return tuple(maker for maker, _ in made), tuple(taker for _, taker in made)

    def _rate(self, written: str, path: str) -> int:
        """A fee rate in millionths."""
        try:
            rate = MILLIONTHS.count(written)
        except ValueError as error:
            self.problems.say(path, str(error))
            return 0
        if abs(rate) > FEE_RATE_MAX:
            most = MILLIONTHS.text(FEE_RATE_MAX)
            self.problems.note(path, f"-{most} to {most}", written)
        return rate

    def margins(self, price_min_ticks: int) -> tuple[int, int]:
        """Initial and maintenance margin in ten-thousandths of the value."""
        initial = self.count("initial_margin", TEN_THOUSANDTHS, 0, BPS)
        maintenance = self.count("maintenance_margin", TEN_THOUSANDTHS, 0, BPS)
        if maintenance > initial:
            expected = f"at most initial_margin {TEN_THOUSANDTHS.text(initial)}"
            written = self.table.maintenance_margin
            self.problems.note(f"{self.path}.maintenance_margin", expected, written)
        if initial and price_min_ticks < 1:
            expected = "none, as there are prices below one tick"
            self.problems.note(f"{self.path}.initial_margin", expected, self.table.initial_margin)
        return initial, maintenance


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
    maker_rates, taker_rates = derived.rates()
    initial, maintenance = derived.margins(least)
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
        fee_asset=FEE_ASSETS[table.fee_asset],
        initial_bps=initial,
        maintenance_bps=maintenance,
        short_selling=int(initial > 0 if table.short_selling is None else table.short_selling),
        mark_source=MARK_SOURCES[table.mark],
        collar_reference=COLLAR_REFERENCES[table.collar_reference],
        tell_top=int(table.mark == "mid" or table.collar_reference != "last"),
        maker_rates=maker_rates,
        taker_rates=taker_rates,
    )
    if made.qty_min_lots > made.qty_max_lots:
        expected = f"at most qty_max {table.qty_max}"
        problems.note(f"{path}.qty_min", expected, table.qty_min)
    if made.notional_min_units > made.notional_max_units:
        expected = f"at most notional_max {table.notional_max}"
        problems.note(f"{path}.notional_min", expected, table.notional_min)
    return made if len(problems.found) == before else None
