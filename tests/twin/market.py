"""A market to test in: instruments, accounts and the prices that traders use.

`tables` writes the same numbers as configuration text for the engine, so that the engine comes
to its integers by its own way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from engine.limits import BALANCE_MAX, ORDERS_MAX
from engine.messages import Phase, Prevention
from tests.twin.instrument import Instrument
from tests.twin.venue import Venue

QUOTE = 0
"""Index of the asset that everything is paid in; instrument i trades asset i + 1 for it."""


@dataclass(frozen=True)
class Market:
    """Accounts are numbered from 1."""

    instruments: tuple[Instrument, ...]
    ladders: tuple[tuple[int, ...], ...]
    "For each instrument the few prices that its traders use, ascending."
    balances: Mapping[int, Mapping[int, int]]
    orders_max: int = ORDERS_MAX - 1
    lots_max: int = 50
    "The largest quantity that its traders use."
    groups: Mapping[int, int] = field(default_factory=dict)
    "Group of each account that is not one of its own."
    preventions: Mapping[int, int] = field(default_factory=dict)
    "Prevention of each account that has one."

    @property
    def accounts(self) -> list[int]:
        """Numbers of all accounts."""
        return list(self.balances)

    def venue(self) -> Venue:
        """An empty naive venue for this market."""
        return Venue(
            self.instruments,
            self.balances,
            self.orders_max,
            groups=self.groups,
            preventions=self.preventions,
        )

    def tables(self) -> dict[str, Any]:
        """The tables of the engine's configuration."""
        assets = [{"name": "Q", "decimals": 0}]
        instruments = []
        for index, instrument in enumerate(self.instruments):
            assets.append({"name": f"B{index}", "decimals": _zeros(instrument.base_units_per_lot)})
            scale = _zeros(instrument.notional_multiplier) - _zeros(instrument.notional_divisor)
            table = {
                "symbol": f"S{index}",
                "base": f"B{index}",
                "quote": "Q",
                "tick": Decimal(1).scaleb(scale),
                "lot": "1",
                "qty_max": str(instrument.qty_max_lots),
                "notional_max": str(instrument.notional_max_units),
                "collar_bps": instrument.collar_bps,
                "price_min": Decimal(instrument.price_min_ticks).scaleb(scale),
                "price_max": Decimal(instrument.price_max_ticks).scaleb(scale),
                "qty_min": str(instrument.qty_min_lots),
                "notional_min": str(instrument.notional_min_units),
                "price_steps": [
                    {"from": Decimal(first).scaleb(scale), "step": Decimal(step).scaleb(scale)}
                    for first, step in instrument.price_steps
                ],
                "static_band_bps": instrument.static_band_bps,
                "dynamic_band_bps": instrument.dynamic_band_bps,
                "volatility_halt_s": instrument.volatility_halt_ns // 1_000_000_000,
                "volatility_auction_s": instrument.volatility_auction_ns // 1_000_000_000,
                "phase": Phase(instrument.phase).name.lower(),
            }
            if instrument.reference_ticks:
                table["reference_price"] = Decimal(instrument.reference_ticks).scaleb(scale)
            instruments.append(table)
        accounts = []
        for number, owned in self.balances.items():
            table = {"number": number, "name": f"account {number}", "balances": self._owned(owned)}
            if number in self.groups:
                table["group"] = self.groups[number]
            if number in self.preventions:
                table["self_trade"] = Prevention(self.preventions[number]).name.lower()
            accounts.append(table)
        return {"assets": assets, "instruments": instruments, "accounts": accounts}

    def _owned(self, owned: Mapping[int, int]) -> dict[str, Decimal]:
        amounts = {"Q": Decimal(owned.get(QUOTE, 0))}
        for index, instrument in enumerate(self.instruments):
            units = Decimal(owned.get(instrument.base_asset_index, 0))
            amounts[f"B{index}"] = units.scaleb(-_zeros(instrument.base_units_per_lot))
        return amounts


def rich(accounts: int, instruments: int) -> dict[int, dict[int, int]]:
    """Balances that no stream of a test uses up."""
    assets = range(instruments + 1)
    return {
        number: {asset: BALANCE_MAX // accounts for asset in assets}
        for number in range(1, accounts + 1)
    }


def _zeros(power: int) -> int:
    """The exponent of a power of ten: what the configuration can express."""
    exponent = len(str(power)) - 1
    assert power == 10**exponent, f"{power} is not a power of ten"
    return exponent
