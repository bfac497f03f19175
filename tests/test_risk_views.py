"""What views tell of a risk state that was filled by hand."""

from fractions import Fraction

import pytest

from engine.limits import ASSETS_MAX, INSTRUMENTS_MAX
from engine.messages import AccountKind, RejectReason, Scope
from engine.risk import views as viewing
from engine.risk.state import MarginState, Purse, RiskState
from engine.risk.views import READINGS_MAX, RiskViews
from engine.rules import FIRST_MONEY_RULE, RuleNumber
from ipc import memory

pytestmark = pytest.mark.interpreted

ACCOUNT, GROUP, OTHER = 7, 40, 8
USD, BTC, ETH = 0, 1, 2
BTC_USD, ETH_USD, BTC_ETH = 0, 3, INSTRUMENTS_MAX - 1
NOW_NS = 1_700_000_000_000_000_000
DAY = NOW_NS - NOW_NS % 86_400_000_000_000


class Desk:
    """A state and views of it."""

    def __init__(self, state):
        self.state = state
        self.views = RiskViews(state, 3)
        owner = state.owners[ACCOUNT]
        owner.known, owner.tier, owner.group = 1, 3, GROUP
        state.day = DAY
        state.terms[BTC_ETH].quote_asset = ETH
        for instrument in (BTC_USD, ETH_USD, BTC_ETH):
            state.terms[instrument].listed = 1

    def purse(self, asset, account=ACCOUNT):
        return self.state.purses[account * ASSETS_MAX + asset]

    def position(self, instrument, account=ACCOUNT, **fields):
        """A new position in front of the account's others."""
        positions, owner = self.state.positions, self.state.owners[account]
        positions.count += 1
        made = positions.table[positions.count]
        made.account, made.instrument = account, instrument
        made.next, owner.first_position = owner.first_position, positions.count
        for name, value in fields.items():
            setattr(made, name, value)

    def set(self, scope, number, value):
        """A rule of an entity."""
        scope.rules[number] = value
        self.state.on |= 1 << number

    def set_money(self, purse, number, value):
        purse.rules[number - FIRST_MONEY_RULE] = value
        self.state.money_on |= 1 << number - FIRST_MONEY_RULE

    def limits(self):
        return list(self.views.limits(ACCOUNT, [BTC_USD, ETH_USD, BTC_ETH], NOW_NS))

    def limit(self):
        (found,) = self.limits()
        return found


@pytest.fixture
def desk():
    region = memory.allocate(RiskState.size, "test.views")
    yield Desk(RiskState(region.start))
    memory.forget(region)


def test_who_an_account_is(desk):
    assert desk.views.owner(ACCOUNT) == (True, AccountKind.CASH, 3, GROUP)
    assert not desk.views.owner(OTHER).known
    with pytest.raises(AssertionError):
        desk.views.owner(-1)


def test_balances_of_a_cash_account(desk):
    assert desk.views.balances(ACCOUNT) == []
    purse = desk.purse(BTC)
    purse.total, purse.reserved = 500, 120
    purse.rules[0] = 1  # a rule alone is nothing that the account has
    desk.purse(ETH).rules[0] = 1
    desk.purse(USD).open_units = 3  # an order alone is
    usd, btc = desk.views.balances(ACCOUNT)
    assert (usd.asset, usd.total, usd.available) == (USD, 0, 0)
    assert (btc.asset, btc.total, btc.reserved, btc.available) == (BTC, 500, 120, 380)
    assert (btc.margin_state, btc.loss_state) == (MarginState.GOOD, 0)
    purse.worth, purse.cost = 40, 30
    assert desk.views.balances(ACCOUNT)[1].equity == 540, "worth, but not what it cost"


def test_balances_of_a_margin_account(desk):
    desk.state.owners[ACCOUNT].kind = AccountKind.MARGIN
    purse = desk.purse(USD)
    purse.total, purse.worth, purse.cost = 1_000, -450, -600
    purse.initial, purse.maintenance, purse.margin_state = 1_200, 90, MarginState.CALLED
    (held,) = desk.views.balances(ACCOUNT)
    assert (held.unrealised, held.equity, held.free) == (150, 1_150, -50)
    assert (held.initial, held.maintenance, held.margin_state) == (1_200, 90, MarginState.CALLED)


def test_positions_come_by_instrument(desk):
    desk.position(BTC_ETH, net=-4, cost=-10, worth=-9, mark=2, realised=7, fees=1)
    desk.position(BTC_USD, OTHER, net=1)
    desk.position(BTC_USD, net=3, cost=10, worth=12, open_buy=5, open_sell=2)
    btc, eth = desk.views.positions(ACCOUNT)
    assert (btc.instrument, btc.net, btc.open_buy, btc.open_sell) == (BTC_USD, 3, 5, 2)
    assert (btc.average_cost, btc.unrealised) == (Fraction(10, 3), 2)
    assert (eth.instrument, eth.average_cost, eth.unrealised) == (BTC_ETH, Fraction(5, 2), 1)
    assert (eth.mark_ticks, eth.realised, eth.fees) == (2, 7, 1)
    desk.position(ETH_USD)
    assert desk.views.positions(ACCOUNT)[1].average_cost is None


def test_a_chain_of_positions_that_is_being_changed_ends(desk):
    desk.position(BTC_USD)
    desk.position(BTC_ETH)
    table = desk.state.positions.table
    table[1].next = 2  # round in a circle: nothing that risk would write
    assert len(desk.views.positions(ACCOUNT)) == INSTRUMENTS_MAX
    table[2].account = OTHER
    assert desk.views.positions(ACCOUNT) == []


def test_refusals_and_deposits(desk):
    assert desk.views.refusals() == {}
    desk.state.reasons[RejectReason.PRICE_COLLAR] = 12
    desk.state.reasons[RejectReason.BAD_SIDE] = 1
    assert desk.views.refusals() == {RejectReason.BAD_SIDE: 1, RejectReason.PRICE_COLLAR: 12}
    desk.state.deposited[ETH] = 1 << 62
    assert desk.views.deposited() == [0, 0, 1 << 62]


def test_without_rules_there_are_no_limits(desk):
    assert desk.limits() == []
    desk.state.on = desk.state.money_on = -1
    assert desk.limits() == []


def test_a_rule_is_told_of_each_scope_where_it_is_on(desk):
    state = desk.state
    scopes = (state.accounts[ACCOUNT], state.groups[GROUP], state.symbols[ETH_USD], state.venue)
    for used, scope in enumerate(scopes, start=1):
        desk.set(scope, RuleNumber.OPEN_ORDERS_MAX, 8)
        scope.open_orders = used
    desk.set(state.accounts[OTHER], RuleNumber.OPEN_ORDERS_MAX, 1)
    desk.set(state.symbols[9], RuleNumber.OPEN_ORDERS_MAX, 1)
    assert [(each.scope, each.entity, each.used) for each in desk.limits()] == [
        (Scope.ACCOUNT, ACCOUNT, 1),
        (Scope.GROUP, GROUP, 2),
        (Scope.SYMBOL, ETH_USD, 3),
        (Scope.VENUE, 0, 4),
    ]
    assert [each.used_parts for each in desk.limits()] == [1_250, 2_500, 3_750, 5_000]
    assert {(each.number, each.limit) for each in desk.limits()} == {
        (RuleNumber.OPEN_ORDERS_MAX, 8)
    }


def test_rules_without_a_counter_have_no_usage(desk):
    desk.set(desk.state.venue, RuleNumber.COLLAR_BPS, 500)
    found = desk.limit()
    assert (found.limit, found.used, found.used_parts) == (500, None, None)


def test_orders_of_another_day_do_not_count(desk):
    scope = desk.state.accounts[ACCOUNT]
    desk.set(scope, RuleNumber.ORDERS_PER_DAY, 30)
    scope.day, scope.day_orders = DAY, 20
    assert (desk.limit().used, desk.limit().used_parts) == (20, 6_666)
    scope.day = DAY - 1
    assert desk.limit().used == 0


def test_the_bucket_of_a_rate(desk):
    scope = desk.state.accounts[ACCOUNT]
    desk.set(scope, RuleNumber.ORDERS_PER_SECOND, 10)
    scope.interval_ns = 100_000_000
    scope.full_ns = NOW_NS - 1
    assert desk.limit().used == 0, "it is full again"
    scope.full_ns = NOW_NS + 250_000_000
    assert (desk.limit().used, desk.limit().used_parts) == (3, 3_000)
    desk.set(scope, RuleNumber.ORDERS_BURST, 4)
    rate, burst = desk.limits()
    assert (rate.limit, rate.used, rate.used_parts) == (10, 3, 7_500)
    assert (burst.limit, burst.used) == (4, None)


def test_a_limit_of_positions_tells_the_fullest(desk):
    desk.position(BTC_USD, net=3, open_buy=4, open_sell=9)
    desk.position(ETH_USD, net=-20, open_buy=30, open_sell=1)
    for scope in (desk.state.accounts[ACCOUNT], desk.state.symbols[BTC_USD], desk.state.venue):
        desk.set(scope, RuleNumber.LONG_MAX_LOTS, 20)
        desk.set(scope, RuleNumber.SHORT_MAX_LOTS, 40)
    told = [(each.scope, each.number, each.used, each.fullest) for each in desk.limits()]
    assert told == [
        (Scope.ACCOUNT, RuleNumber.LONG_MAX_LOTS, 10, ETH_USD),
        (Scope.ACCOUNT, RuleNumber.SHORT_MAX_LOTS, 21, ETH_USD),
        (Scope.SYMBOL, RuleNumber.LONG_MAX_LOTS, 7, BTC_USD),
        (Scope.SYMBOL, RuleNumber.SHORT_MAX_LOTS, 6, BTC_USD),
        (Scope.VENUE, RuleNumber.LONG_MAX_LOTS, 10, ETH_USD),
        (Scope.VENUE, RuleNumber.SHORT_MAX_LOTS, 21, ETH_USD),
    ]


def test_restricted_lists(desk):
    account, symbol = desk.state.accounts[ACCOUNT], desk.state.symbols[BTC_USD]
    desk.set(symbol, RuleNumber.RESTRICTED, 1)
    account.restricted[0] = 1 << ETH_USD
    account.restricted[BTC_ETH >> 6] = -1 << 63
    told = [(each.scope, each.entity, each.place) for each in desk.limits()]
    assert told == [
        (Scope.ACCOUNT, ACCOUNT, ETH_USD),
        (Scope.ACCOUNT, ACCOUNT, BTC_ETH),
        (Scope.SYMBOL, BTC_USD, -1),
    ]


def test_money_rules_and_what_they_bound(desk):
    state, numbers = desk.state, range(RuleNumber.NOTIONAL_MAX_UNITS, RuleNumber.MARGIN_STATE)
    purse = state.group_purses[GROUP * ASSETS_MAX + ETH]
    for number in RuleNumber:
        if number in numbers:
            desk.set_money(purse, number, 1_000)
    purse.open_units, purse.gross, purse.buys, purse.sells = 10, 200, 30, 250
    purse.worth, purse.cost, purse.day, purse.day_realised = -100, 300, DAY, 150
    told = {each.number: (each.scope, each.entity, each.place, each.used) for each in desk.limits()}
    group = (Scope.GROUP, GROUP, ETH)
    assert told == {
        RuleNumber.NOTIONAL_MAX_UNITS: (*group, None),
        RuleNumber.OPEN_NOTIONAL_MAX_UNITS: (*group, 10),
        RuleNumber.GROSS_MAX_UNITS: (*group, 200),
        RuleNumber.NET_MAX_UNITS: (*group, 350),
        RuleNumber.DAILY_LOSS_MAX_UNITS: (*group, 250),
        RuleNumber.CONCENTRATION_BPS: (*group, None),
    }
    purse.day = DAY - 1
    assert next(e for e in desk.limits() if e.number == RuleNumber.DAILY_LOSS_MAX_UNITS).used == 400
    purse.worth = 1_000
    told = {each.number: each.used for each in desk.limits()}
    assert told[RuleNumber.DAILY_LOSS_MAX_UNITS] == 0, "a profit is no loss"
    assert told[RuleNumber.NET_MAX_UNITS] == 1_030


def test_money_rules_of_a_symbol_are_in_its_quote_asset(desk):
    desk.set_money(desk.state.symbol_purses[BTC_ETH], RuleNumber.GROSS_MAX_UNITS, 5)
    desk.set_money(desk.state.venue_purses[BTC], RuleNumber.GROSS_MAX_UNITS, 6)
    told = [(each.scope, each.entity, each.place, each.limit) for each in desk.limits()]
    assert told == [(Scope.SYMBOL, BTC_ETH, ETH, 5), (Scope.VENUE, 0, BTC, 6)]


def test_limits_may_be_taken_while_others_are_asked_for(desk):
    for instrument, used in ((BTC_USD, 3), (ETH_USD, 4)):
        desk.set(desk.state.symbols[instrument], RuleNumber.OPEN_ORDERS_MAX, 8)
        desk.state.symbols[instrument].open_orders = used
    expected = desk.limits()
    one, other = (desk.views.limits(ACCOUNT, [BTC_USD, ETH_USD], NOW_NS) for _ in range(2))
    assert [(next(one), next(other)) for _ in expected] == [(each, each) for each in expected]


def test_a_record_is_read_until_two_readings_agree(desk, monkeypatch):
    readings, read, room = [], viewing._bytes, Purse.allocate()
    purse = desk.purse(USD)

    def change_twice(address, size):
        found = read(address, size)
        readings.append(found)
        if len(readings) <= 2:
            purse.total += 1
        return found

    purse.total = 1
    monkeypatch.setattr(viewing, "_bytes", change_twice)
    assert viewing._copy(purse, room).total == 3
    assert len(readings) == 4, "1, 2, then 3 twice"

    def always_change(address, size):
        purse.total += 1
        readings.append(None)
        return read(address, size)

    readings.clear()
    monkeypatch.setattr(viewing, "_bytes", always_change)
    assert viewing._copy(purse, room).total == purse.total
    assert len(readings) == READINGS_MAX
