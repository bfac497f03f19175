"""What the twin knows about an instrument: the numbers that ingest and risk check against."""

from typing import NamedTuple

from engine.limits import BALANCE_MAX, PRICE_TICKS_MAX, QTY_LOTS_MAX
from engine.messages import Phase


class Instrument(NamedTuple):
    """Limits and money of one instrument; the defaults allow everything and cost little."""

    price_min_ticks: int = -PRICE_TICKS_MAX
    price_max_ticks: int = PRICE_TICKS_MAX
    qty_max_lots: int = QTY_LOTS_MAX
    notional_max_units: int = BALANCE_MAX
    notional_multiplier: int = 1
    notional_divisor: int = 1
    collar_bps: int = 0
    reference_ticks: int = 0
    base_asset_index: int = 1
    quote_asset_index: int = 0
    base_units_per_lot: int = 1
    qty_min_lots: int = 1
    notional_min_units: int = 0
    price_steps: tuple[tuple[int, int], ...] = ()
    "Ranges of the tick table: from which price, which step; ascending."
    static_band_bps: int = 0
    dynamic_band_bps: int = 0
    volatility_halt_ns: int = 0
    volatility_auction_ns: int = 0
    phase: int = Phase.CONTINUOUS
