"""Reference data in shared memory: what ingest and risk must know of instruments and accounts.

Written once by the supervisor before the stages start, read-only afterwards.
"""

from engine.config import Config
from engine.limits import ACCOUNTS_MAX, ASSETS_MAX, BALANCE_MAX, INSTRUMENTS_MAX
from ipc.record import LINE_PAIR_BYTES, Array, Record, i64, length, u8


class InstrumentTerms(Record, align=LINE_PAIR_BYTES):
    """The numbers of one instrument; see engine.instruments for their meaning."""

    price_min_ticks: i64
    price_max_ticks: i64
    qty_max_lots: i64
    notional_max_units: i64
    "In units of the quote asset."
    notional_multiplier: i64
    notional_divisor: i64
    "price * qty * multiplier / divisor = quote units; one of the two is 1."
    base_asset: i64
    quote_asset: i64
    base_units_per_lot: i64
    collar_bps: i64
    "Largest distance of a price from the reference in 1/10000, 0: any."
    reference_ticks: i64
    "Reference before the first trade, 0: none."


class ReferenceData(Record, align=LINE_PAIR_BYTES):
    """The whole segment."""

    instrument_count: i64
    asset_count: i64
    instruments: Array[InstrumentTerms] = length(INSTRUMENTS_MAX)
    account_known: Array[u8] = length(ACCOUNTS_MAX)
    "1 for every account that may trade."


def write_reference(reference: ReferenceData, config: Config) -> None:
    """Fill zeroed memory from the configuration."""
    assert len(config.instruments) <= INSTRUMENTS_MAX
    assert len(config.assets) <= ASSETS_MAX
    reference.asset_count = len(config.assets)
    for instrument in config.instruments:
        terms = reference.instruments[instrument.index]
        terms.price_min_ticks = instrument.price_min_ticks
        terms.price_max_ticks = instrument.price_max_ticks
        terms.qty_max_lots = instrument.qty_max_lots
        terms.notional_max_units = min(instrument.notional_max_units, BALANCE_MAX)
        terms.notional_multiplier = instrument.notional_multiplier
        terms.notional_divisor = instrument.notional_divisor
        terms.base_asset = instrument.base_asset_index
        terms.quote_asset = instrument.quote_asset_index
        terms.base_units_per_lot = instrument.base_units_per_lot
        terms.collar_bps = instrument.collar_bps
        terms.reference_ticks = instrument.reference_ticks
    for account in config.accounts:
        reference.account_known[account.number] = 1
    reference.instrument_count = len(config.instruments)
