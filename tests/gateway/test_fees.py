"""Fees that the gateway shows are those that risk books, for all amounts and rates."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.instruments import FEE_RATE_MAX, FeeAsset
from engine.limits import QTY_LOTS_MAX
from engine.messages import AccountKind, Side
from gateway.fees import fee_of

pytestmark = pytest.mark.interpreted

BASE, QUOTE = 4, 2


def event(rate, maker_rate, price_ticks=1, lots=1):
    fields = {"fee_rate": rate, "maker_fee_rate": maker_rate}
    return SimpleNamespace(price_ticks=price_ticks, qty_lots=lots, **fields)


def instrument(fee_asset=FeeAsset.QUOTE, multiplier=1, divisor=1, lot_units=1):
    return SimpleNamespace(
        fee_asset=fee_asset,
        notional_multiplier=multiplier,
        notional_divisor=divisor,
        base_units_per_lot=lot_units,
        base_asset_index=BASE,
        quote_asset_index=QUOTE,
    )


def toward_zero(numerator, denominator):
    """The quotient, rounded toward zero."""
    size = abs(numerator) // denominator
    return size if numerator >= 0 else -size


@given(
    price=st.integers(-(1 << 40), 1 << 40),
    lots=st.integers(1, 1 << 20),
    rate=st.integers(-FEE_RATE_MAX, FEE_RATE_MAX),
    divisor=st.integers(1, 1000),
)
def test_a_fee_is_a_part_of_the_payment_rounded_toward_zero(price, lots, rate, divisor):
    paid = price * lots // divisor
    told = event(rate, 0, price, lots)
    found = fee_of(told, False, Side.SELL, AccountKind.CASH, instrument(divisor=divisor))
    assert found == (toward_zero(abs(paid) * rate, 1_000_000), QUOTE)
    assert fee_of(told, True, Side.BUY, AccountKind.CASH, instrument()).units == 0


@given(lots=st.integers(1, QTY_LOTS_MAX), rate=st.integers(-FEE_RATE_MAX, FEE_RATE_MAX))
def test_who_buys_for_cash_may_pay_of_what_is_received(lots, rate):
    told, traded = event(0, rate, 100, lots), instrument(FeeAsset.RECEIVED, lot_units=3)
    found = fee_of(told, True, Side.BUY, AccountKind.CASH, traded)
    assert found == (toward_zero(3 * lots * rate, 1_000_000), BASE)
    for side, kind in ((Side.SELL, AccountKind.CASH), (Side.BUY, AccountKind.MARGIN)):
        found = fee_of(told, True, side, kind, traded)
        assert found == (toward_zero(100 * lots * rate, 1_000_000), QUOTE)
