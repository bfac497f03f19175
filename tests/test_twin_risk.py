"""The twin's risk stage against hand-made examples: checks, reservations, settlement."""

from typing import Any

import pytest

from engine.limits import PRICE_TICKS_MAX
from engine.messages import (
    CommandFlag,
    CommandKind,
    OrderType,
    RejectReason,
    Side,
    TimeInForce,
)
from tools.twin import Audit, Balance, Command, Decision, Event, Instrument, Venue

ALICE, BOB, STRANGER = 1, 2, 9
BUY, SELL = Side.BUY, Side.SELL
QUOTE, BASE = 0, 1
LEAVES = CommandFlag.LEAVES
MARKET = OrderType.MARKET

# One lot at one tick is worth 3/10 of a unit, and is 4 units of the base asset.
TERMS = Instrument(
    price_min_ticks=-100,
    price_max_ticks=1_000,
    qty_max_lots=50,
    notional_max_units=600,
    notional_multiplier=3,
    notional_divisor=10,
    base_units_per_lot=4,
)


class House:
    """A venue in which Alice has money and Bob has the goods."""

    def __init__(self, terms: Instrument = TERMS, bobs_money: int = 0, **limits: int) -> None:
        funds = {ALICE: {QUOTE: 1_000}, BOB: {BASE: 400, QUOTE: bobs_money}}
        self.money = 1_000 + bobs_money
        self.venue = Venue([terms], funds, **limits)
        self.audit = Audit()
        self.sent = 0

    def send(self, kind: int, **fields: Any) -> list[Event]:
        self.sent += 1
        events = self.venue.submit(Command(self.sent, kind, **fields))
        self.audit.apply(events)
        for asset, total in ((QUOTE, self.money), (BASE, 400)):
            owned = [self.balance(account, asset) for account in (ALICE, BOB)]
            assert sum(each.available + each.reserved for each in owned) == total
        return events

    def new(self, account: int, side: int, price: int, lots: int, **fields: Any) -> str:
        kinds = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}
        sent = {"account": account, "side": side, "price_ticks": price, "qty_lots": lots}
        return self._reason(self.send(CommandKind.NEW, **(kinds | sent | fields)))

    def amend(self, account: int, order_id: int, price: int, lots: int, flags: int = 0) -> str:
        sent = {"order_id": order_id, "price_ticks": price, "qty_lots": lots, "flags": flags}
        return self._reason(self.send(CommandKind.AMEND, account=account, **sent))

    def cancel(self, account: int, order_id: int) -> str:
        return self._reason(self.send(CommandKind.CANCEL, account=account, order_id=order_id))

    def _reason(self, events: list[Event]) -> str:
        return RejectReason(events[0].reason).name

    def balance(self, account: int, asset: int) -> Balance:
        return self.venue.risk.balances[account].get(asset, Balance())


@pytest.fixture
def house() -> House:
    return House()


def test_a_buyer_reserves_quote_rounded_up(house: House) -> None:
    assert house.new(ALICE, BUY, 11, 7) == "NONE"
    assert house.balance(ALICE, QUOTE) == Balance(1_000 - 24, 24), "ceil(23.1)"
    house.cancel(ALICE, 1)
    assert house.balance(ALICE, QUOTE) == Balance(1_000, 0)


def test_a_seller_reserves_base(house: House) -> None:
    assert house.new(BOB, SELL, 11, 7) == "NONE"
    assert house.balance(BOB, BASE) == Balance(400 - 28, 28)
    assert house.new(BOB, SELL, 11, 50) == "NONE"
    assert house.new(BOB, SELL, 11, 44) == "INSUFFICIENT_BALANCE"
    assert house.new(BOB, SELL, 11, 43) == "NONE"


def test_a_fill_settles_rounded_down_and_releases_the_rest(house: House) -> None:
    house.new(BOB, SELL, 10, 5)
    house.new(ALICE, BUY, 11, 7)
    # 15 units paid for five lots at 10; two more lots at 11 need ceil(6.6).
    assert house.balance(ALICE, QUOTE) == Balance(1_000 - 15 - 7, 7)
    assert house.balance(ALICE, BASE) == Balance(20, 0)
    assert house.balance(BOB, QUOTE) == Balance(15, 0)
    assert house.balance(BOB, BASE) == Balance(380, 0)
    house.new(BOB, SELL, 11, 1)
    assert house.balance(ALICE, QUOTE) == Balance(1_000 - 15 - 3 - 4, 4), "floor(3.3), ceil(3.3)"


def test_a_purchase_below_zero_costs_nothing_and_a_sale_does() -> None:
    house = House(bobs_money=209)
    house.new(ALICE, BUY, -11, 7)
    assert house.balance(ALICE, QUOTE) == Balance(1_000, 0)
    assert house.new(BOB, SELL, -100, 7) == "INSUFFICIENT_BALANCE", "210 units"
    assert house.new(BOB, SELL, -99, 7) == "NONE", "ceil(207.9)"
    assert house.balance(ALICE, QUOTE) == Balance(1_023, 0), "23.1, toward zero"
    assert house.balance(BOB, QUOTE) == Balance(209 - 23, 0)


def test_limits_are_checked_in_order(house: House) -> None:
    assert house.new(STRANGER, BUY, 1_000, 51) == "UNKNOWN_ACCOUNT"
    assert house.new(ALICE, BUY, 1_000, 51) == "QUANTITY_ABOVE_MAX"
    assert house.new(ALICE, BUY, 41, 49) == "NOTIONAL_ABOVE_MAX", "ceil(602.7)"
    assert house.new(ALICE, BUY, 40, 50) == "NONE"
    assert house.new(BOB, SELL, -100, 21) == "NOTIONAL_ABOVE_MAX"
    assert house.new(ALICE, BUY, 40, 50) == "INSUFFICIENT_BALANCE"


def test_values_stay_within_int64() -> None:
    house = House(Instrument(notional_divisor=10**18))
    assert house.new(ALICE, BUY, PRICE_TICKS_MAX, 7) == "NONE"
    assert house.new(ALICE, BUY, PRICE_TICKS_MAX, 8) == "NOTIONAL_OVERFLOW"
    assert house.new(ALICE, BUY, -PRICE_TICKS_MAX, 8) == "NOTIONAL_OVERFLOW"


def test_the_collar_follows_the_last_trade() -> None:
    house = House(TERMS._replace(collar_bps=1_000, reference_ticks=105))
    assert house.new(ALICE, BUY, 94, 1) == "PRICE_COLLAR"
    assert house.new(ALICE, BUY, 95, 1) == "NONE"
    assert house.new(BOB, SELL, 116, 1) == "PRICE_COLLAR"
    assert house.new(BOB, SELL, 115, 1) == "NONE"
    assert house.new(ALICE, BUY, 115, 1) == "NONE"
    assert house.new(BOB, SELL, 126, 1) == "NONE"
    assert house.new(ALICE, BUY, 103, 1) == "PRICE_COLLAR"
    assert house.amend(ALICE, 2, 103, 1) == "PRICE_COLLAR"


def test_no_collar_without_a_reference() -> None:
    house = House(TERMS._replace(collar_bps=1_000))
    assert house.new(ALICE, BUY, 1, 1) == "NONE"
    assert house.new(BOB, SELL, 1_000, 1) == "NONE"


@pytest.mark.parametrize(
    ("side", "bps", "reference", "price"),
    [
        (BUY, 1_000, 105, 115),
        (SELL, 1_000, 105, 95),
        (BUY, 0, 105, 666),
        (SELL, 0, 105, -100),
        (BUY, 1_000, 0, 666),
        (SELL, 50_000, 105, -100),
        (BUY, 1_000, -50, -45),
        (SELL, 1_000, -50, -55),
    ],
)
def test_market_orders_get_a_price(side: int, bps: int, reference: int, price: int) -> None:
    """Without protection a buyer's limit is what the largest notional, 600 units, buys.

    A seller's limit below zero is what can be paid: 90 units are 100 ticks for 3 lots.
    """
    house = House(TERMS._replace(collar_bps=bps, reference_ticks=reference), bobs_money=90)
    account = ALICE if side == BUY else BOB
    sent = {"account": account, "side": side, "qty_lots": 3, "price_ticks": 77}
    events = house.send(CommandKind.NEW, order_type=MARKET, time_in_force=TimeInForce.IOC, **sent)
    assert [event.price_ticks for event in events] == [price, price]


def test_a_market_order_buys_what_it_can_pay() -> None:
    house = House(TERMS._replace(price_min_ticks=10))
    house.venue.risk.balances[ALICE][QUOTE].available = 59
    decision = house.venue.risk.decide(_market_order(house, 20))
    assert decision.reason == RejectReason.INSUFFICIENT_BALANCE, "floor(590 / 60) is below 10"
    decision = house.venue.risk.decide(_market_order(house, 19))
    assert (decision.reason, decision.price_ticks) == (RejectReason.NONE, 10)


def _market_order(house: House, lots: int) -> Any:
    command = Command(1, CommandKind.NEW, BUY, MARKET, TimeInForce.IOC, account=ALICE)
    return house.venue.ingest.sequence(command._replace(qty_lots=lots))


def test_an_amendment_reserves_before_it_is_sent(house: House) -> None:
    house.new(ALICE, BUY, 10, 10)
    house.amend(ALICE, 1, 20, 5)
    assert house.balance(ALICE, QUOTE) == Balance(970, 30)
    assert house.amend(ALICE, 1, 20, 51) == "QUANTITY_ABOVE_MAX"
    assert house.amend(ALICE, 1, 1_000, 3) == "NOTIONAL_ABOVE_MAX"
    assert house.balance(ALICE, QUOTE) == Balance(970, 30)
    house.new(ALICE, BUY, 40, 50)
    house.new(ALICE, BUY, 40, 30)
    assert house.balance(ALICE, QUOTE).available == 10
    assert house.amend(ALICE, 1, 27, 5) == "INSUFFICIENT_BALANCE", "40.5 - 30 is above 10"
    assert house.amend(ALICE, 1, 26, 5) == "NONE"
    assert house.balance(ALICE, QUOTE).available == 1


def test_a_leaves_amendment_reserves_for_what_may_fill_before_it() -> None:
    house = House()
    risk, ingest = house.venue.risk, house.venue.ingest
    house.new(ALICE, BUY, 10, 10)
    sent = Command(9, CommandKind.AMEND, account=ALICE, order_id=1, flags=LEAVES)
    decision = risk.decide(ingest.sequence(sent._replace(price_ticks=10, qty_lots=4)))
    assert decision.reason == RejectReason.NONE
    assert house.balance(ALICE, QUOTE).reserved == 42, "ten that may fill, four after"
    for event in house.venue.exchange.decide(decision):
        risk.apply(event)
    assert house.balance(ALICE, QUOTE).reserved == 12


def test_refused_amendments_give_back_what_they_took(house: House) -> None:
    house.new(BOB, SELL, 20, 5)
    house.new(ALICE, BUY, 10, 10, flags=CommandFlag.POST_ONLY)
    assert house.amend(ALICE, 2, 20, 10) == "WOULD_TRADE"
    assert house.balance(ALICE, QUOTE) == Balance(970, 30)
    assert house.amend(BOB, 2, 100, 5) == "UNKNOWN_ORDER", "another's order"
    assert house.amend(ALICE, 77, 100, 5) == "UNKNOWN_ORDER"
    assert house.amend(ALICE, 77, 1_000, 50) == "NOTIONAL_ABOVE_MAX", "limits come first"
    assert house.amend(STRANGER, 2, 10, 5) == "UNKNOWN_ACCOUNT"
    assert house.cancel(STRANGER, 2) == "UNKNOWN_ACCOUNT"
    assert house.balance(ALICE, QUOTE) == Balance(970, 30)


def test_a_change_sent_before_its_order_reserves_nothing() -> None:
    house = House()
    risk, ingest, exchange = house.venue.risk, house.venue.ingest, house.venue.exchange
    early = Command(1, CommandKind.AMEND, account=ALICE, order_id=1, price_ticks=9, qty_lots=9)
    order = Command(2, CommandKind.NEW, BUY, OrderType.LIMIT, TimeInForce.GTC, account=ALICE)
    order = order._replace(price_ticks=10, qty_lots=10)
    decisions: list[Decision] = [risk.decide(ingest.sequence(each)) for each in (early, order)]
    for decision in decisions:
        for event in exchange.decide(decision):
            risk.apply(event)
    assert risk.holds[1].amendments == 0
    assert house.balance(ALICE, QUOTE).reserved == 30


def test_a_repeated_client_id_releases_nothing(house: House) -> None:
    house.new(ALICE, BUY, 10, 10, client_order_id=b"x")
    assert house.new(ALICE, BUY, 10, 10, client_order_id=b"x") == "DUPLICATE_CLIENT_ORDER_ID"
    assert house.balance(ALICE, QUOTE) == Balance(970, 30)


def test_live_orders_are_counted() -> None:
    house = House(orders_max=1)
    assert house.new(ALICE, BUY, 10, 10) == "NONE"
    assert house.new(BOB, SELL, 10, 1, time_in_force=TimeInForce.IOC) == "TOO_MANY_ORDERS"
    house.cancel(ALICE, 1)
    assert house.new(BOB, SELL, 10, 1) == "NONE"
