"""The terms of an instrument that an INSTRUMENT command may change, by their numbers."""

from engine.limits import PRICE_STEPS_MAX, TIERS_MAX
from tools.twin.instrument import Instrument

NAMES = (
    "base_asset_index",
    "quote_asset_index",
    "base_units_per_lot",
    "notional_multiplier",
    "notional_divisor",
    "fee_asset",
    "price_min_ticks",
    "price_max_ticks",
    "qty_min_lots",
    "qty_max_lots",
    "notional_min_units",
    "notional_max_units",
    "collar_bps",
    "static_band_bps",
    "dynamic_band_bps",
    "reference_ticks",
    "volatility_halt_ns",
    "volatility_auction_ns",
    "initial_bps",
    "maintenance_bps",
    "short_selling",
    "mark_source",
    "collar_reference",
    "tell_top",
)
STEP_COUNT = len(NAMES)
STEP_FROM = STEP_COUNT + 1
STEP_TICKS = STEP_FROM + PRICE_STEPS_MAX
MAKER_RATES = STEP_TICKS + PRICE_STEPS_MAX
TAKER_RATES = MAKER_RATES + TIERS_MAX


class Terms:
    """An instrument whose terms change, with the ranges of its tick table not yet in use."""

    def __init__(self, instrument: Instrument) -> None:
        """The terms as configured."""
        steps = instrument.price_steps
        unused = PRICE_STEPS_MAX - len(steps)
        self.instrument = instrument
        self._count = len(steps)
        self._from = [first for first, _ in steps] + [0] * unused
        self._ticks = [step for _, step in steps] + [0] * unused

    def change(self, number: int, value: int) -> None:
        """Set one term; numbers of no concern to a book are passed over."""
        if number < STEP_COUNT:
            self.instrument = Instrument(**(self.instrument._asdict() | {NAMES[number]: value}))
            return
        if number == STEP_COUNT:
            self._count = value
        elif number < STEP_TICKS:
            self._from[number - STEP_FROM] = value
        elif number < MAKER_RATES:
            self._ticks[number - STEP_TICKS] = value
        elif number < TAKER_RATES + TIERS_MAX:
            self._change_rate(number, value)
        steps = list(zip(self._from, self._ticks, strict=True))[: self._count]
        self.instrument = self.instrument._replace(price_steps=tuple(steps))

    def _change_rate(self, number: int, value: int) -> None:
        """Set the fee rate of a tier, as resting or as incoming order."""
        of_taker = number >= TAKER_RATES
        rates = list(self.instrument.taker_rates if of_taker else self.instrument.maker_rates)
        rates[number - (TAKER_RATES if of_taker else MAKER_RATES)] = value
        if of_taker:
            self.instrument = self.instrument._replace(taker_rates=tuple(rates))
        else:
            self.instrument = self.instrument._replace(maker_rates=tuple(rates))
