"""What each side of a trade pays, by the very functions with which risk books it.

The rates of both sides stand in the event; which asset is charged depends on the instrument and on
the kind of the account (docs/risk.md).
"""

from typing import Any, Final, NamedTuple

from engine.instruments import FeeAsset, Instrument
from engine.messages import AccountKind, Side
from engine.risk.amounts import fee_units, payment_units


class Fee(NamedTuple):
    """What one side of a trade pays."""

    units: int
    "Below 0: a rebate."
    asset: int
    "Index of the asset."


# As they are written: plain arithmetic, and calling compiled code from Python costs more than that.
_fee: Final[Any] = getattr(fee_units, "py_func", fee_units)
_payment: Final[Any] = getattr(payment_units, "py_func", payment_units)


def fee_of(event: Any, maker: bool, side: int, kind: int, instrument: Instrument) -> Fee:
    """The fee of one side of a TRADE: that of an order of `side`, by an account of `kind`."""
    rate = event.maker_fee_rate if maker else event.fee_rate
    return fee_at(rate, event.price_ticks, event.qty_lots, side, kind, instrument)


def fee_at(
    rate: int, price_ticks: int, lots: int, side: int, kind: int, instrument: Instrument
) -> Fee:
    """The fee of a fill of an order of `side`, by an account of `kind`; `rate` in millionths."""
    received = instrument.fee_asset == FeeAsset.RECEIVED and side == Side.BUY
    if received and kind == AccountKind.CASH:
        delivered = lots * instrument.base_units_per_lot
        return Fee(_fee(delivered, rate) if rate else 0, instrument.base_asset_index)
    if rate == 0:
        return Fee(0, instrument.quote_asset_index)
    paid = _payment(instrument, price_ticks, lots)
    return Fee(_fee(paid, rate), instrument.quote_asset_index)
