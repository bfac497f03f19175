"""Names and steps in shared memory say what the configuration says."""

from fractions import Fraction

import pytest

from engine.config import load
from engine.directory import Directory, derived_steps, read_assets, read_steps, write_directory
from engine.scale import Scale

pytestmark = pytest.mark.interpreted


def test_what_is_written_is_read():
    config, directory = load(), Directory.allocate()
    write_directory(directory, config.assets, config.instruments)
    assert read_assets(directory, len(config.assets)) == list(config.assets)
    for instrument in config.instruments:
        entry = directory.instruments[instrument.index]
        assert entry.symbol.get() == instrument.symbol
        assert read_steps(entry) == (instrument.prices, instrument.quantities)
    assert read_steps(directory.instruments[len(config.instruments)]) is None


def test_steps_that_follow_from_terms():
    config = load()
    for instrument in config.instruments:
        base = config.assets[instrument.base_asset_index]
        quote = config.assets[instrument.quote_asset_index]
        value = Fraction(instrument.notional_multiplier, instrument.notional_divisor)
        found = derived_steps(instrument.base_units_per_lot, value, base, quote)
        assert found.prices.step == instrument.tick
        assert found.quantities.step == instrument.lot


def test_a_tick_without_a_short_decimal_is_shown_in_ticks():
    assets = load().assets
    found = derived_steps(3, Fraction(1), assets[1], assets[0])
    assert isinstance(found.prices, Scale)
    assert found.prices.text(7) == "7"
