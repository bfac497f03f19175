"""The markets that simulations trade in: few prices, small limits, accounts of all kinds."""

from typing import Final

from engine.limits import TIERS_MAX
from tools.twin.instrument import Instrument
from tools.twin.market import QUOTE, Market

LADDER: Final = tuple(range(90, 111))
"""Prices that traders use."""


def _rates(*rates: int) -> tuple[int, ...]:
    return rates + (0,) * (TIERS_MAX - len(rates))


_MAKER, _TAKER = _rates(-200, 500), _rates(700, 30_000, 9)

_SPOT: Final = Instrument(
    price_min_ticks=1,
    price_max_ticks=2_000,
    qty_max_lots=200,
    reference_ticks=100,
    maker_rates=_MAKER,
    taker_rates=_TAKER,
)
_MARGINED: Final = _SPOT._replace(initial_bps=500, maintenance_bps=300, short_selling=1)

_RICH: Final = 1_000_000


def _indexed(*instruments: Instrument) -> tuple[Instrument, ...]:
    """Each trades an asset of its own."""
    return tuple(
        each._replace(base_asset_index=index) for index, each in enumerate(instruments, start=1)
    )


CASH: Final = Market(
    instruments=_indexed(_SPOT, _SPOT, _SPOT),
    ladders=(LADDER,) * 3,
    balances={
        1: {QUOTE: _RICH, 1: _RICH, 2: _RICH, 3: _RICH},
        2: {QUOTE: _RICH, 1: _RICH, 2: _RICH, 3: _RICH},
        3: {QUOTE: 40_000, 1: 400, 2: 400, 3: 400},
        4: {QUOTE: 20_000, 1: 200, 2: 200},
        5: {QUOTE: 0},
    },
    groups={2: 1},
    preventions={2: 1},
    tiers={2: 1, 4: 2},
    fee_account=5,
)
"""Accounts that pay in full, two of them with little."""

MARGIN: Final = Market(
    instruments=_indexed(
        _MARGINED,
        _MARGINED._replace(mark_source=1, collar_reference=1, tell_top=1),
        _SPOT,
        _MARGINED._replace(mark_source=2, collar_bps=3_000),
    ),
    ladders=(LADDER,) * 4,
    balances={
        1: {QUOTE: _RICH, 1: _RICH, 2: _RICH, 3: _RICH, 4: _RICH},
        2: {QUOTE: 500},
        3: {QUOTE: 300},
        4: {QUOTE: 200},
        5: {QUOTE: 10_000},
        6: {QUOTE: 500},
        7: {QUOTE: _RICH, 1: _RICH, 2: _RICH, 3: _RICH, 4: _RICH},
    },
    kinds={2: 1, 3: 1, 4: 1},
    groups={3: 2},
    tiers={3: 1},
    fee_account=5,
    insurance_account=6,
)
"""Accounts that trade on margin with so little that they are liquidated."""

MARKETS: Final = {"cash": CASH, "margin": MARGIN}
