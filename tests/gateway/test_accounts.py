"""What an account is told of itself: balances, positions, fees, limits; and risk as a whole."""

from decimal import Decimal

import pytest

from tests.gateway.running import eventually, running
from tests.gateway.trading import (
    ALICE,
    BOB,
    FEES,
    MAX,
    MIA,
    RISK,
    TABLES,
    balance,
    owned,
    place,
    position,
    rule,
    trade,
    value_all,
)

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def venue():
    with running(TABLES, **RISK) as venue:
        yield venue


@pytest.fixture(autouse=True)
def as_it_was(client):
    yield
    for account in (ALICE, BOB, MAX, MIA):
        assert client.request("DELETE", f"/api/v1/orders?account={account}")[0] == 200


def limits(client, account):
    status, document = client.get(f"/api/v1/accounts/{account}/limits")
    assert (status, document["account"]) == (200, account)
    return document["limits"]


def test_who_trades(client):
    accounts = client.get("/api/v1/accounts")[1]["accounts"]
    assert accounts[0] == {"account": ALICE, "name": "alice", "kind": "cash"}
    assert accounts[-1] == {"account": MIA, "name": "mia", "kind": "margin"}


def test_a_cash_account_and_what_its_orders_reserve(client):
    order = place(client, ALICE, "buy", quantity="0.5000")
    status, shown = client.get(f"/api/v1/accounts/{ALICE}")
    assert status == 200
    who = {name: shown[name] for name in ("account", "name", "kind", "tier", "group")}
    assert who == {"account": ALICE, "name": "alice", "kind": "cash", "tier": 0, "group": ALICE}
    usd = balance(client, ALICE, "USD")
    assert usd == {
        "asset": "USD",
        "total": "1000000.00",
        "available": "974987.50",  # 25000 and a fee of 0.05 percent
        "reserved": "25012.50",
        "loss_state": "good",
    }
    assert balance(client, ALICE, "BTC")["total"] == "10.00000000"
    assert position(client, ALICE)["open_buy"] == "0.5000"
    assert client.cancel(order["order_id"], ALICE)[0] == 200
    assert eventually(lambda: balance(client, ALICE, "USD")["reserved"] == "0.00")
    assert position(client, ALICE)["open_buy"] == "0.0000"


def test_fees_shown_are_fees_booked(client):
    before = {account: owned(client, account, "USD") for account in (ALICE, BOB, FEES)}
    maker, taker = trade(client, ALICE, BOB, price="50000.01", quantity="0.0123")
    assert maker["fills"][0]["liquidity"] == "maker"
    # Of 615.000123 dollars 615.00 are paid: 0.0615 rebate and 0.3075 fee, rounded toward zero.
    assert (maker["fills"][0]["fee"], maker["fills"][0]["fee_asset"]) == ("-0.06", "USD")
    assert (taker["fills"][0]["fee"], taker["fills"][0]["fee_asset"]) == ("0.30", "USD")
    assert eventually(lambda: owned(client, FEES, "USD") == before[FEES] + Decimal("0.24"))
    assert owned(client, ALICE, "USD") == before[ALICE] - Decimal("615.00") + Decimal("0.06")
    assert owned(client, BOB, "USD") == before[BOB] + Decimal("615.00") - Decimal("0.30")


def test_fees_of_what_is_received(client):
    before = {asset: owned(client, FEES, asset) for asset in ("USD", "ETH")}
    changes = {"symbol": "ETH/USD", "price": "2000.00", "quantity": "1.234"}
    maker, taker = trade(client, ALICE, BOB, **changes)
    fees = [(each["fills"][0]["fee"], each["fills"][0]["fee_asset"]) for each in (maker, taker)]
    assert fees == [("0.00123400", "ETH"), ("4.93", "USD")]
    received = before["ETH"] + Decimal("0.00123400")
    assert eventually(lambda: owned(client, FEES, "ETH") == received)
    assert owned(client, FEES, "USD") == before["USD"] + Decimal("4.93")
    # A purchase on margin delivers nothing to take it of.
    client.request("POST", "/api/v1/admin/marks", {"symbol": "ETH/USD", "price": "2000.00"})
    maker, _ = trade(client, MAX, BOB, **changes)
    assert (maker["fills"][0]["fee"], maker["fills"][0]["fee_asset"]) == ("2.46", "USD")
    place(client, BOB, "buy", **changes)
    assert place(client, MAX, "sell", **changes)["fills"][0]["fee_asset"] == "USD"


def test_a_position_on_margin_and_its_figures(client):
    trade(client, MAX, MIA, quantity="0.2000")
    assert eventually(lambda: position(client, MIA)["unrealised"] == "0.00")
    shown = position(client, MIA)
    assert (shown["quantity"], shown["average_cost"], shown["mark"]) == (
        "-0.2000",
        "50000.00",
        "50000.00",
    )
    # Tier 1 pays 0.03 percent of 10000 dollars as a taker; tier 0 gets 0.01 percent as a maker.
    assert (shown["realised"], shown["fees"], shown["quote"]) == ("-3.00", "3.00", "USD")
    assert position(client, MAX)["realised"] == "1.00"
    trade(client, ALICE, BOB, price="49000.00", quantity="0.0001")  # the mark falls
    value_all(client)
    assert eventually(lambda: position(client, MAX)["mark"] == "49000.00")
    usd = balance(client, MAX, "USD")
    figures = ("unrealised", "initial_margin", "maintenance_margin", "margin_state")
    assert [usd[each] for each in figures] == ["-200.00", "980.00", "490.00", "good"]
    assert Decimal(usd["equity"]) == Decimal(usd["total"]) - 200
    assert Decimal(usd["free_margin"]) == Decimal(usd["equity"]) - 980
    assert usd["available"] == usd["total"], "orders on margin reserve nothing"
    place(client, MIA, "buy", quantity="0.2000")
    assert place(client, MAX, "sell", quantity="0.2000")["status"] == "filled"
    assert eventually(lambda: position(client, MAX)["average_cost"] is None)
    assert position(client, MAX)["quantity"] == "0.0000"


def test_an_average_cost_that_is_no_price(client):
    trade(client, MAX, BOB, price="50000.00", quantity="0.0100")
    trade(client, MAX, BOB, price="50001.00", quantity="0.0200")
    assert eventually(lambda: position(client, MAX)["quantity"] == "0.0300")
    assert position(client, MAX)["average_cost"] == "50000.66666667"
    place(client, BOB, "buy", quantity="0.0300")
    place(client, MAX, "sell", quantity="0.0300")


def test_limits_with_what_is_used_of_them(client):
    usd = {"asset": "USD", "value": "20000.00"}
    rule(client, scope="account", account=ALICE, rule="open_notional_max_units", **usd)
    rule(client, scope="account", account=ALICE, rule="open_orders_max", value=8)
    rule(client, scope="group", group=ALICE, rule="long_max_lots", value=30_000)
    rule(client, scope="symbol", symbol="BTC/USD", rule="long_max_lots", value="0.1000")
    rule(client, scope="symbol", symbol="BTC/USD", rule="open_notional_max_units", value="90.00")
    rule(client, scope="venue", rule="collar_bps", value=9_000)
    rule(client, scope="venue", rule="restricted", symbol="ETH/USD", value=True)
    held = position(client, ALICE)["quantity"]
    order = place(client, ALICE, "buy", price="49999.99", quantity="0.0002")
    used = Decimal(held) + Decimal("0.0002")
    shown = limits(client, ALICE)
    assert {
        "scope": "account",
        "account": ALICE,
        "rule": "open_notional_max_units",
        "asset": "USD",
        "limit": "20000.00",
        "used": "10.00",  # 9.999998, rounded up
        "percent_used": "0.05",
    } in shown
    assert {
        "scope": "account",
        "account": ALICE,
        "rule": "open_orders_max",
        "limit": 8,
        "used": 1,
        "percent_used": "12.50",
    } in shown
    assert {
        "scope": "symbol",
        "symbol": "BTC/USD",
        "rule": "long_max_lots",
        "limit": "0.1000",
        "used": f"{used}",
        "percent_used": f"{used * 1000:.2f}",
        "position": "BTC/USD",
    } in shown
    lots = next(each for each in shown if each["scope"] == "group")
    assert (lots["group"], lots["limit"], lots["position"]) == (ALICE, 30_000, "ETH/USD")
    assert {"scope": "venue", "rule": "collar_bps", "limit": 9_000} in shown
    forbidden = {"scope": "venue", "rule": "restricted", "symbol": "ETH/USD", "limit": True}
    assert forbidden in shown
    # Another account sees what is of everybody, and its own position in it.
    scopes = [each["scope"] for each in limits(client, BOB)]
    assert "account" not in scopes
    assert "venue" in scopes
    client.cancel(order["order_id"], ALICE)
    rule(client, scope="venue", rule="restricted", symbol="ETH/USD", value=False)
    rule(client, scope="venue", rule="collar_bps", value=0)
    assert not [each for each in limits(client, BOB) if each["scope"] == "venue"]


def test_refusals_are_counted_by_their_reason(venue, client):
    before = client.get("/api/v1/risk")[1]
    assert client.post(account=BOB, quantity="100.0000", price="900000.00")[0] == 422
    after = client.get("/api/v1/risk")[1]
    reason = "notional_above_max"
    assert after["refusals"][reason] == before["refusals"].get(reason, 0) + 1
    line = f'okimi_refusals_total{{reason="{reason}"}} {after["refusals"][reason]}\n'
    assert line in client.get("/metrics")[1]


def test_the_venue_as_a_whole(client):
    path = "/api/v1/admin/instruments/ETH/USD/phase"
    assert client.request("POST", path, {"phase": "halt"})[0] == 200
    shown = client.get("/api/v1/risk")[1]
    assert shown["halts"] == ["ETH/USD"]
    assert shown["deposits"] == {"USD": "2071000.00", "BTC": "20.00000000", "ETH": "99.00000000"}
    assert (shown["margin_calls"], shown["liquidations"], shown["loss_stops"]) == ([], [], [])
    assert client.request("POST", path, {"phase": "continuous"})[0] == 200
    assert client.get("/api/v1/risk")[1]["halts"] == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/v1/accounts/4095", "unknown_account"),
        ("/api/v1/accounts/4095/limits", "unknown_account"),
        ("/api/v1/accounts/4096", "bad_parameter"),
        ("/api/v1/accounts/alice", "bad_parameter"),
        ("/api/v1/accounts/1?depth=3", "bad_parameter"),
        ("/api/v1/accounts/1/limits?scope=venue", "bad_parameter"),
        ("/api/v1/risk?all=1", "bad_parameter"),
    ],
)
def test_what_cannot_be_asked(client, path, code):
    status, problem = client.get(path)
    assert 400 <= status < 500
    assert problem["code"] == code
