"""What the twin knows about an instrument: the numbers that ingest and risk check against."""

from collections.abc import Mapping
from typing import NamedTuple

from engine.instruments import CollarReference, FeeAsset, MarkSource
from engine.limits import BALANCE_MAX, PRICE_TICKS_MAX, QTY_LOTS_MAX, TIERS_MAX
from engine.messages import Phase
from engine.reference import TERM_NUMBERS


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
    fee_asset: int = FeeAsset.QUOTE
    initial_bps: int = 0
    maintenance_bps: int = 0
    short_selling: int = 0
    mark_source: int = MarkSource.LAST
    collar_reference: int = CollarReference.LAST
    tell_top: int = 0
    maker_rates: tuple[int, ...] = (0,) * TIERS_MAX
    taker_rates: tuple[int, ...] = (0,) * TIERS_MAX

    def step_at(self, price_ticks: int) -> int:
        """The step of the range that a price lies in; the first range has no lower end."""
        steps = [step for first, step in self.price_steps if first <= price_ticks]
        if steps:
            return steps[-1]
        return self.price_steps[0][1] if self.price_steps else 1

    def step_down(self, price_ticks: int) -> int:
        """The highest valid price that is not above this one."""
        step = self.step_at(price_ticks)
        return price_ticks // step * step

    def step_up(self, price_ticks: int) -> int:
        """The lowest valid price that is not below this one."""
        step = self.step_at(price_ticks)
        return -(-price_ticks // step) * step


BLANK = Instrument(price_min_ticks=1, price_max_ticks=1 << 40, base_asset_index=0)
"""An instrument that nobody has said anything about."""

UNLISTED: Mapping[str, int] = dict.fromkeys(TERM_NUMBERS, 0) | {
    "base_units_per_lot": 1,
    "notional_multiplier": 1,
    "notional_divisor": 1,
    "price_min_ticks": 1,
    "price_max_ticks": 1 << 40,
    "qty_min_lots": 1,
    "qty_max_lots": QTY_LOTS_MAX,
    "notional_max_units": BALANCE_MAX,
    "phase": Phase.CONTINUOUS,
}
"""The terms of BLANK by name."""


def terms_of(instrument: Instrument) -> dict[str, int]:
    """All terms of a listed instrument by name."""
    same = {name: value for name, value in instrument._asdict().items() if name in UNLISTED}
    terms = {**UNLISTED, **same, "listed": 1, "was_listed": 1}
    terms["base_asset"] = instrument.base_asset_index
    terms["quote_asset"] = instrument.quote_asset_index
    terms["step_count"] = len(instrument.price_steps)
    for index, (first, step) in enumerate(instrument.price_steps):
        terms[f"step_from[{index}]"], terms[f"step_ticks[{index}]"] = first, step
    for tier in range(TIERS_MAX):
        terms[f"maker_rates[{tier}]"] = instrument.maker_rates[tier]
        terms[f"taker_rates[{tier}]"] = instrument.taker_rates[tier]
    return terms
