"""Funds, rules and marks over HTTP, and orders that only ask or only reduce."""

import asyncio
from decimal import Decimal

import pytest

from tests.gateway.running import eventually, running
from tests.gateway.streaming import stream
from tests.gateway.trading import (
    ALICE,
    BOB,
    FUNDS,
    MAX,
    MIA,
    RISK,
    TABLES,
    USUAL,
    balance,
    book,
    owned,
    place,
    position,
    rule,
    trade,
    value_all,
)

pytestmark = pytest.mark.system

RULES = "/api/v1/admin/rules"
MARKS = "/api/v1/admin/marks"


@pytest.fixture(scope="module")
def venue():
    with running(TABLES, **RISK) as venue:
        yield venue


@pytest.fixture(autouse=True)
def as_it_was(client):
    yield
    for account in (ALICE, BOB, MAX, MIA):
        assert client.request("DELETE", f"/api/v1/orders?account={account}")[0] == 200


# --- funds -------------------------------------------------------------------------------------


def test_units_come_go_and_move(client):
    before, deposits = owned(client, ALICE), client.get("/api/v1/risk")[1]["deposits"]["USD"]
    status, booking = book(client, "deposit", "100.25")
    assert status == 201
    assert booking.pop("booking_id") > 0
    assert booking == {
        "account": ALICE,
        "asset": "USD",
        "operation": "deposit",
        "amount": "100.25",
        "to_account": None,
        "reference": None,
    }
    assert owned(client, ALICE) == before + Decimal("100.25")
    assert book(client, "transfer", "60", to_account=BOB)[0] == 201
    assert book(client, "withdraw", "40.25")[0] == 201
    assert owned(client, ALICE) == before
    after = Decimal(client.get("/api/v1/risk")[1]["deposits"]["USD"])
    assert after == Decimal(deposits) + 60
    assert book(client, "transfer", "60", account=BOB, to_account=ALICE)[0] == 201
    assert book(client, "withdraw", "60")[0] == 201


def test_a_booking_with_a_reference_is_booked_once(client):
    before = owned(client, BOB, "ETH")
    sent = {"account": BOB, "asset": "ETH", "reference": "wire 17"}
    status, first = book(client, "deposit", "2", **sent)
    assert (status, first["reference"]) == (201, "wire 17")
    for operation, amount in (("deposit", "2"), ("withdraw", "1")):
        status, problem = book(client, operation, amount, **sent)
        assert (status, problem["code"]) == (409, "duplicate_client_order_id")
        assert (problem["booking_id"], problem["field"]) == (first["booking_id"], "reference")
    assert owned(client, BOB, "ETH") == before + 2
    # Orders and bookings of an account share the room of its names; another account has its own.
    status, problem = client.post(account=BOB, client_order_id="wire 17", **USUAL)
    assert (status, problem["order_id"], problem["order"]) == (409, first["booking_id"], None)
    assert book(client, "deposit", "2", ALICE, "ETH", reference="wire 17")[0] == 201


def test_what_is_reserved_or_needed_as_margin_cannot_leave(client):
    place(client, ALICE, "buy", price="40000.00", quantity="1.0000")
    free = balance(client, ALICE, "USD")["available"]
    more = str(Decimal(free) + Decimal("0.01"))
    status, problem = book(client, "withdraw", more)
    assert (status, problem["code"]) == (422, "insufficient_balance")
    assert (problem["field"], problem["number"]) == ("amount", 305)
    assert book(client, "transfer", more, to_account=BOB)[1]["code"] == "insufficient_balance"
    trade(client, MAX, MIA, quantity="0.1000")
    assert eventually(lambda: position(client, MAX) is not None)
    free = balance(client, MAX, "USD")["free_margin"]
    more = str(Decimal(free) + Decimal("0.01"))
    assert book(client, "withdraw", more, MAX)[1]["code"] == "insufficient_balance"
    trade(client, MIA, MAX, quantity="0.1000")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"account": 4095}, "unknown_account", "account"),
        ({"account": 4096}, "wrong_type", "account"),
        ({"asset": "DOGE"}, "unknown_asset", "asset"),
        ({"amount": "0"}, "quantity_out_of_range", "amount"),
        ({"amount": "-1"}, "quantity_out_of_range", "amount"),
        ({"amount": "0.001"}, "bad_decimal", "amount"),
        ({"amount": 5}, "wrong_type", "amount"),
        ({"amount": "1e3"}, "bad_decimal", "amount"),
        ({"operation": "steal"}, "wrong_type", "operation"),
        ({"operation": "transfer"}, "contradiction", "to_account"),
        ({"to_account": BOB}, "contradiction", "to_account"),
        ({"operation": "transfer", "to_account": ALICE}, "contradiction", "to_account"),
        ({"operation": "transfer", "to_account": 99}, "unknown_account", "to_account"),
        ({"reference": ""}, "bad_client_order_id", "reference"),
        ({"reference": "x" * 37}, "bad_client_order_id", "reference"),
        ({"memo": "x"}, "unknown_field", "memo"),
    ],
)
def test_a_booking_that_cannot_be(venue, client, changes, code, field):
    decided = venue.decided()
    body = {"account": ALICE, "asset": "USD", "operation": "deposit", "amount": "1"} | changes
    status, problem = client.request("POST", FUNDS, body)
    assert 400 <= status < 500
    assert (problem["code"], problem["field"]) == (code, field)
    assert venue.decided() == decided


# --- rules -------------------------------------------------------------------------------------


def test_a_rule_counts_from_then_on(client):
    order = place(client, ALICE, "buy")
    rule(client, scope="account", account=ALICE, rule="killed", value=True)
    status, problem = client.post(account=ALICE, **USUAL)
    assert (status, problem["code"]) == (403, "killed")
    assert client.get(f"/api/v1/orders/{order['order_id']}")[1]["status"] == "open"
    rule(client, scope="account", account=ALICE, rule="killed", value=2)  # cancels what rests
    shown = f"/api/v1/orders/{order['order_id']}"
    assert eventually(lambda: client.get(shown)[1]["reason"] == "mass_canceled")
    rule(client, scope="account", account=ALICE, rule="killed", value=False)
    place(client, ALICE, "buy")


def test_an_account_that_is_opened_trades(venue, client):
    assert client.post(account=77, **USUAL)[1]["code"] == "unknown_account"
    rule(client, scope="account", account=77, rule="kind", value=1)
    rule(client, scope="account", account=77, rule="open", value=True)
    accounts = client.get("/api/v1/accounts")[1]["accounts"]
    assert accounts[-1] == {"account": 77, "name": None, "kind": "margin"}
    assert client.get("/api/v1/accounts/77")[1]["balances"] == []
    assert book(client, "deposit", "1000", 77)[0] == 201
    assert client.post(account=77, **USUAL | {"quantity": "0.0100"})[0] == 201
    assert client.request("DELETE", "/api/v1/orders?account=77")[1]["canceled"] == 1
    table = {"scope": "account", "account": 77, "rule": "kind", "value": 0}
    status, problem = client.request("POST", RULES, table)
    assert (status, problem["code"]) == (403, "rule_forbidden")


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({}, "rule.scope"),
        ({"scope": "desk", "rule": "killed", "value": True}, "venue"),
        ({"scope": "venue", "rule": "colour", "value": 1}, "rule.rule"),
        ({"scope": "venue", "rule": "killed"}, "rule.value"),
        ({"scope": "venue", "rule": "killed", "value": 1}, "true, false or 2"),
        ({"scope": "account", "rule": "killed", "value": True}, "rule.account"),
        ({"scope": "symbol", "symbol": "DOGE", "rule": "killed", "value": True}, "DOGE"),
        ({"scope": "venue", "asset": "DOGE", "rule": "gross_max_units", "value": "1"}, "DOGE"),
        ({"scope": "venue", "asset": "USD", "rule": "gross_max_units", "value": 1.5}, "float"),
        ({"scope": "venue", "rule": "tier", "value": 1}, "account"),
    ],
)
def test_a_rule_that_cannot_be_set_says_why(venue, client, table, text):
    decided = venue.decided()
    status, problem = client.request("POST", RULES, table)
    assert (status, problem["code"]) == (422, "bad_rule_table")
    assert text in problem["detail"]
    assert problem["problems"]
    assert venue.decided() == decided


def test_what_risk_alone_may_say(client):
    table = {"scope": "account", "account": MAX, "asset": "USD", "rule": "margin_state", "value": 2}
    assert client.request("POST", RULES, table)[1]["code"] == "rule_forbidden"


# --- marks -------------------------------------------------------------------------------------


def test_a_mark_from_outside_values_positions(client):
    eth = {"symbol": "ETH/USD", "price": "2000.00", "quantity": "1.000"}
    assert client.request("POST", MARKS, {"symbol": "ETH/USD", "price": "2000.00"})[0] == 200
    trade(client, MAX, MIA, **eth)
    sent = {"symbol": "ETH/USD", "price": "2010.50"}
    assert client.request("POST", MARKS, sent) == (200, sent)
    value_all(client)
    assert position(client, MAX, "ETH/USD")["mark"] == "2010.50"
    assert position(client, MAX, "ETH/USD")["unrealised"] == "10.50"
    trade(client, MIA, MAX, **eth)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"symbol": "DOGE", "price": "1"}, "unknown_symbol"),
        ({"symbol": "ETH/USD", "price": "0.001"}, "off_tick"),
        ({"symbol": "ETH/USD", "price": "-1"}, "price_out_of_range"),
        ({"symbol": "ETH/USD", "price": 2000}, "wrong_type"),
        ({"symbol": "ETH/USD"}, "missing_field"),
    ],
)
def test_a_mark_that_cannot_be(venue, client, body, code):
    decided = venue.decided()
    assert client.request("POST", MARKS, body)[1]["code"] == code
    assert venue.decided() == decided


# --- orders that ask, orders that reduce --------------------------------------------------------


def test_an_order_that_is_only_asked_about_does_nothing(venue, client):
    async def ask():
        async with stream(venue) as ws:
            await ws.call(op="subscribe", channel="orders", account=ALICE)
            sent = {"account": ALICE, "side": "buy", "type": "limit"} | USUAL
            before = client.get(f"/api/v1/accounts/{ALICE}")[1]
            status, shown = client.request("POST", "/api/v1/orders/test", sent)
            assert (status, shown) == (
                200,
                {
                    "accepted": True,
                    "account": ALICE,
                    "symbol": "BTC/USD",
                    "side": "buy",
                    "type": "limit",
                    "quantity": "0.1000",
                    "worst_price": "50000.00",
                    "reduce_only": False,
                },
            )
            wrong = sent | {"quantity": "99.0000"}
            status, problem = client.request("POST", "/api/v1/orders/test", wrong)
            assert (status, problem["code"]) == (422, "insufficient_balance")
            assert "order_id" not in problem
            assert client.get(f"/api/v1/accounts/{ALICE}")[1] == before
            order = place(client, ALICE, "buy", client_order_id="asked")
            same = sent | {"client_order_id": "asked"}
            status, problem = client.request("POST", "/api/v1/orders/test", same)
            assert (status, problem["order_id"]) == (409, order["order_id"])
            assert problem["order"]["client_order_id"] == "asked"
            await ws.call(op="ping")
            assert [each["event"] for each in ws.of("orders")] == ["accepted"]

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"account": 4095}, "unknown_account"),
        ({"symbol": "DOGE"}, "unknown_symbol"),
        ({"quantity": "0"}, "quantity_out_of_range"),
        ({"op": "order"}, "unknown_field"),
    ],
)
def test_what_cannot_be_asked_about(venue, client, changes, code):
    sent = {"account": ALICE, "side": "buy", "type": "limit"} | USUAL | changes
    decided = venue.decided()
    assert client.request("POST", "/api/v1/orders/test", sent)[1]["code"] == code
    assert venue.decided() == decided


def test_a_reduce_only_order(venue, client):
    trade(client, MAX, MIA, quantity="0.0200")
    sell = {"reduce_only": True, "price": "51000.00", "quantity": "0.0200"}
    order = place(client, MAX, "sell", **sell)
    assert order["reduce_only"] is True
    assert client.get(f"/api/v1/orders/{order['order_id']}")[1]["reduce_only"] is True
    status, problem = client.post(account=MAX, side="sell", **USUAL | sell)
    assert (status, problem["code"]) == (422, "reduce_only")
    client.cancel(order["order_id"], MAX)

    async def over_websocket():
        async with stream(venue) as ws:
            wish = USUAL | sell | {"account": MAX, "side": "sell", "type": "limit"}
            reply = await ws.call(op="order", **wish)
            assert (reply["status"], reply["result"]["reduce_only"]) == (201, True)
            reply = await ws.call(op="order", **wish | {"reduce_only": "yes"})
            assert (reply["status"], reply["error"]["field"]) == (400, "reduce_only")

    asyncio.run(over_websocket())
    client.request("DELETE", f"/api/v1/orders?account={MAX}")
    trade(client, MIA, MAX, quantity="0.0200")
