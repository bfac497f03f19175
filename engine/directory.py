"""What assets and instruments are called and how their amounts are written.

Stages know numbers only. The supervisor writes the names of the configuration beside the reference
data, so that a tool that looks at a running venue can show decimal amounts without its file. An
instrument that is listed later has its terms in the stages, and steps that follow from them.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

from engine.instruments import Asset, Instrument
from engine.limits import ASSETS_MAX, INSTRUMENTS_MAX, SYMBOL_BYTES
from engine.scale import DECIMALS_MAX, Scale
from ipc.record import Array, Record, Text, i64, length

ASSET_BYTES: Final = 16
"""An asset's name."""

STEP_BYTES: Final = 48
"""A tick or lot as decimal text."""


class AssetEntry(Record):
    """One asset."""

    name: Text = length(ASSET_BYTES)
    decimals: i64


class InstrumentEntry(Record):
    """One instrument of the configuration."""

    symbol: Text = length(SYMBOL_BYTES)
    tick: Text = length(STEP_BYTES)
    "As it was written: its decimals are those of every price."
    lot: Text = length(STEP_BYTES)


class Directory(Record):
    """All names; those without a number in use are empty."""

    assets: Array[AssetEntry] = length(ASSETS_MAX)
    instruments: Array[InstrumentEntry] = length(INSTRUMENTS_MAX)


class Steps(NamedTuple):
    """In what an instrument's prices and quantities are counted."""

    prices: Scale
    quantities: Scale


def write_directory(
    directory: Directory, assets: Sequence[Asset], instruments: Sequence[Instrument]
) -> None:
    """Fill zeroed memory."""
    for asset in assets:
        entry = directory.assets[asset.index]
        entry.name.set(asset.name)
        entry.decimals = asset.decimals
    for instrument in instruments:
        named = directory.instruments[instrument.index]
        named.symbol.set(instrument.symbol)
        named.tick.set(f"{instrument.tick:f}")
        named.lot.set(f"{instrument.lot:f}")


def read_assets(directory: Directory, count: int) -> list[Asset]:
    """The first `count` assets."""
    entries = [directory.assets[index] for index in range(count)]
    return [Asset(index, entry.name.get(), entry.decimals) for index, entry in enumerate(entries)]


def read_steps(entry: InstrumentEntry) -> Steps | None:
    """The steps of an instrument of the configuration; None for others."""
    if not entry.symbol.get():
        return None
    return Steps(Scale("tick", Decimal(entry.tick.get())), Scale("lot", Decimal(entry.lot.get())))


def derived_steps(lot_units: int, value: Fraction, base: Asset, quote: Asset) -> Steps:
    """Steps with no more decimals than they need, from the terms that say what money means.

    `lot_units`: units of base in a lot; `value`: units of quote that it costs at a price of a tick.
    """
    lot = Fraction(lot_units, 10**base.decimals)
    tick = value / 10**quote.decimals / lot
    return Steps(Scale("tick", _decimal(tick)), Scale("lot", _decimal(lot)))


def _decimal(step: Fraction) -> Decimal:
    """A step with no more decimals than it needs; 1 (prices in ticks) if none are enough."""
    for decimals in range(DECIMALS_MAX + 1):
        scaled = step * 10**decimals
        if scaled.denominator == 1:
            return Decimal(scaled.numerator).scaleb(-decimals)
    return Decimal(1)
