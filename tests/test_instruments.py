"""Steps, ticks and lots: decimal text and integers are exact images of each other."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import Config
from engine.instruments import Instrument
from engine.scale import Scale


def listed(tick: str = "0.50", lot: str = "0.02") -> Instrument:
    """BTC in USD, with 8 and 2 decimals."""
    instrument = {
        "symbol": "BTC/USD",
        "base": "BTC",
        "quote": "USD",
        "tick": tick,
        "lot": lot,
        "qty_max": "10",
        "notional_max": "250000.00",
    }
    config = Config.build(
        assets=[{"name": "USD", "decimals": 2}, {"name": "BTC", "decimals": 8}],
        instruments=[instrument],
        accounts=[{"number": 0, "name": "anyone"}],
    )
    return config.instruments[0]


steps = st.builds(
    lambda mantissa, decimals: Decimal((0, tuple(map(int, str(mantissa))), -decimals)),
    st.integers(1, 10**6),
    st.integers(0, 18),
)


@given(step=steps, count=st.integers(-(1 << 63) + 1, (1 << 63) - 1))
def test_counts_survive_the_way_through_text(step: Decimal, count: int) -> None:
    scale = Scale("tick", step)
    text = scale.text(count)
    assert Fraction(text) == count * Fraction(step)
    if len(text) <= 40:
        assert scale.count(text) == count
        assert scale.count(Decimal(text)) == count
    assert len(text.partition(".")[2]) == scale.decimals


@given(step=steps, value=st.decimals(-(10**9), 10**9, places=9))
def test_a_value_is_a_count_exactly_when_it_is_a_multiple(step: Decimal, value: Decimal) -> None:
    exact = Fraction(value) / Fraction(step)
    scale = Scale("tick", step)
    if exact.denominator == 1 and abs(exact) < 1 << 63:
        assert scale.count(str(format(value, "f"))) == exact
    else:
        with pytest.raises(ValueError, match=f"the tick {step:f}"):
            scale.count(value)


NOT_TEXT: list[Any] = [0.5, 1, True, None, b"1"]
NOT_PLAIN = ["", " 1", "1 ", "+1", ".5", "1.", "1e3", "1_000", "0x10", "1,5", "\u0661", "1\n"]
NOT_FINITE = ["NaN", "Infinity", "-Infinity", Decimal("NaN"), Decimal("Infinity")]
NOT_SHORT = ["1" * 41, Decimal("1e999999999999999"), Decimal("1e-999999")]


@pytest.mark.parametrize("value", [*NOT_TEXT, *NOT_PLAIN, *NOT_FINITE, *NOT_SHORT])
def test_only_plain_decimal_text_is_a_number(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^expected (a decimal|at most)|is not a finite decimal"):
        listed().price_to_ticks(value)


def test_prices_and_quantities_of_an_instrument() -> None:
    made = listed()
    assert (made.price_decimals, made.qty_decimals) == (2, 2)
    assert made.price_to_ticks("50000.5000") == 100_001
    assert made.ticks_to_price(100_001) == "50000.50"
    assert made.ticks_to_price(-1) == "-0.50"
    assert made.qty_to_lots("0.1") == 5
    assert made.lots_to_qty(5) == "0.10"
    with pytest.raises(ValueError, match=r"0\.75 is not a whole multiple of the tick 0\.50"):
        made.price_to_ticks("0.75")
    with pytest.raises(ValueError, match=r"0\.01 is not a whole multiple of the lot 0\.02"):
        made.qty_to_lots("0.01")


@pytest.mark.parametrize(
    ("tick", "lot", "multiplier", "divisor"),
    [("0.5", "1", 50, 1), ("0.01", "1", 1, 1), ("0.0001", "0.1", 1, 1000), ("25", "2", 5000, 1)],
)
def test_the_value_of_a_lot_is_whole_or_one_part(
    tick: str, lot: str, multiplier: int, divisor: int
) -> None:
    made = listed(tick, lot)
    assert (made.notional_multiplier, made.notional_divisor) == (multiplier, divisor)
    exact = Fraction(tick) * Fraction(lot) * 10**2
    assert Fraction(made.notional_multiplier, made.notional_divisor) == exact
