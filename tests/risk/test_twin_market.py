"""The configuration that a market of the twin writes, as the engine reads it."""

from engine.config import Config
from engine.instruments import CollarReference, FeeAsset, MarkSource
from engine.messages import AccountKind, Scope
from engine.rules import RuleNumber
from tools.twin import Instrument
from tools.twin.market import Market
from tools.twin.risk import Setting

INSTRUMENT = Instrument(
    price_min_ticks=1,
    notional_divisor=100,
    base_units_per_lot=10,
    fee_asset=FeeAsset.RECEIVED,
    initial_bps=1_250,
    maintenance_bps=625,
    mark_source=MarkSource.EXTERNAL,
    collar_reference=CollarReference.MID,
    tell_top=1,
    maker_rates=(-32_767, 1, 250, 0, 0, 0, 0, 7),
    taker_rates=(32_767, 2, 500, 0, 0, 0, 0, 8),
)
RULES = (
    Setting(Scope.VENUE, 0, 0, RuleNumber.KILLED, 2),
    Setting(Scope.VENUE, 0, 0, RuleNumber.REDUCE_ONLY, 1),
    Setting(Scope.VENUE, 0, 1, RuleNumber.RESTRICTED, 1),
    Setting(Scope.SYMBOL, 0, 1, RuleNumber.QTY_MAX_LOTS, 3),
    Setting(Scope.SYMBOL, 0, 1, RuleNumber.NET_MAX_UNITS, 4),
    Setting(Scope.GROUP, 7, 0, RuleNumber.QTY_MAX_LOTS, 5),
    Setting(Scope.GROUP, 7, 0, RuleNumber.GROSS_MAX_UNITS, 6),
    Setting(Scope.ACCOUNT, 9, 2, RuleNumber.CONCENTRATION_BPS, 8),
    Setting(Scope.ACCOUNT, 9, 0, RuleNumber.ORDERS_PER_DAY, 10),
    Setting(Scope.ACCOUNT, 9, 0, RuleNumber.OPEN, 1),
)
MARKET = Market(
    (INSTRUMENT, INSTRUMENT._replace(base_asset_index=2, short_selling=1)),
    ((100,), (100,)),
    {1: {0: 10}, 2: {0: 20}, 3: {}},
    kinds={1: AccountKind.MARGIN},
    tiers={2: 7},
    fee_account=3,
    insurance_account=2,
    day_start_ns=(17 * 60 + 30) * 60 * 10**9,
    rules=RULES,
)


def test_the_engine_reads_the_same_numbers() -> None:
    config = Config.build(**MARKET.tables())
    for made, meant in zip(config.instruments, MARKET.instruments, strict=True):
        assert {name: getattr(made, name) for name in meant._fields} == meant._asdict()
    assert [tuple(each) for each in config.rules] == [tuple(each) for each in RULES]
    assert [(each.kind, each.tier) for each in config.accounts] == [(1, 0), (0, 7), (0, 0)]
    assert (config.risk.fee_account, config.risk.insurance_account) == (3, 2)
    assert config.risk.day_start_ns == MARKET.day_start_ns


def test_the_venue_has_them_too() -> None:
    state = MARKET.venue().risk.state
    assert (state.fee_account, state.insurance_account, state.assets) == (3, 2, 3)
    assert [state.account(number).kind for number in (1, 2)] == [1, 0]
    assert state.rules[RuleNumber.GROSS_MAX_UNITS] == {((Scope.GROUP, 7), 0): 6}
    assert 9 in state.balances


def test_a_plain_market_leaves_everything_as_it_was() -> None:
    plain = Market((Instrument(),), ((100,),), {1: {0: 10}})
    config = Config.build(**plain.tables())
    assert not config.rules
    assert config.risk.fee_account is None
    assert not config.instruments[0].has_fees
