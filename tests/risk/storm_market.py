"""The market that storms rage in: instruments and accounts of all kinds, few prices, low limits."""

from engine.rules import RuleNumber
from tools.twin import Instrument
from tools.twin.market import Market

QUOTE = 0
ALICE, BOB, CAROL, MARGE, MIKE, MOLLY, FEES, INSURANCE = range(1, 9)
CASH = (ALICE, BOB, CAROL)
MARGIN = (MARGE, MIKE, MOLLY)
SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS

RATES = {
    "maker_rates": (-200, 500, 0, 0, 0, 0, 0, 0),
    "taker_rates": (700, 30_000, 9, 0, 0, 0, 0, 0),
}
ON_MARGIN = {"initial_bps": 1_000, "maintenance_bps": 500, "short_selling": 1}
SPOT = Instrument(
    price_min_ticks=-50,
    price_max_ticks=2_000,
    qty_max_lots=200,
    notional_divisor=10,
    base_units_per_lot=10,
    reference_ticks=100,
    price_steps=((-50, 5),),
    **RATES,
)
FUTURE = SPOT._replace(price_min_ticks=1, price_steps=(), base_units_per_lot=1, **ON_MARGIN)
QUOTED = FUTURE._replace(
    mark_source=1, collar_reference=1, fee_asset=1, tell_top=1, base_units_per_lot=100
)
MARKED = FUTURE._replace(mark_source=2, collar_reference=2, short_selling=0, reference_ticks=0)

MARKET = Market(
    instruments=tuple(
        each._replace(base_asset_index=index)
        for index, each in enumerate((SPOT, FUTURE, QUOTED, MARKED), 1)
    ),
    ladders=((100,),) * 4,
    balances={
        **{account: {0: 100_000, 1: 9_000, 2: 900, 3: 9_000, 4: 900} for account in CASH},
        **{account: {0: 400} for account in MARGIN},
        FEES: {0: 10_000, 1: 1_000},
        INSURANCE: {0: 500},
    },
    kinds=dict.fromkeys(MARGIN, 1),
    groups={BOB: 1, MIKE: 4},
    tiers={BOB: 1, MARGE: 1, MOLLY: 2},
    fee_account=FEES,
    insurance_account=INSURANCE,
    day_start_ns=3_600 * SECOND_NS,
)

MOST = {
    RuleNumber.QTY_MAX_LOTS: 150,
    RuleNumber.COLLAR_BPS: 9_000,
    RuleNumber.LONG_MAX_LOTS: 300,
    RuleNumber.SHORT_MAX_LOTS: 300,
    RuleNumber.OPEN_ORDERS_MAX: 20,
    RuleNumber.ORDERS_PER_SECOND: 50,
    RuleNumber.ORDERS_BURST: 20,
    RuleNumber.ORDERS_PER_DAY: 300,
    RuleNumber.CANCEL_RATIO_MAX: 60,
    RuleNumber.DUPLICATE_NS: SECOND_NS,
    RuleNumber.LEVERAGE_MAX: 20,
    RuleNumber.NOTIONAL_MAX_UNITS: 4_000,
    RuleNumber.OPEN_NOTIONAL_MAX_UNITS: 20_000,
    RuleNumber.GROSS_MAX_UNITS: 20_000,
    RuleNumber.NET_MAX_UNITS: 9_000,
    RuleNumber.DAILY_LOSS_MAX_UNITS: 900,
    RuleNumber.CONCENTRATION_BPS: 10_000,
    RuleNumber.BREAKER_BPS: 20_000,
    RuleNumber.TIER: 3,
}
"""Largest values that the storm uses, so that limits are met."""

TERMS = (
    ("reference_ticks", range(50, 150), 0),
    ("initial_bps", (1_000, 2_500, 0), 2),
    ("initial_bps", (1_000, 900), 1),
    ("maintenance_bps", (500, 800), 1),
    ("short_selling", (0, 1), 3),
    ("collar_bps", (0, 3_000), 2),
)
"""Terms that change: name, values, instrument."""
