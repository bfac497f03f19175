"""What risk does by itself, as the accounts are told: calls, liquidations, debts, loss stops."""

import asyncio

import pytest

from tests.gateway.running import eventually, running
from tests.gateway.streaming import stream
from tests.gateway.trading import (
    ALICE,
    BOB,
    INSURANCE,
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


@pytest.fixture(scope="module")
def venue():
    with running(TABLES, **RISK) as venue:
        yield venue


@pytest.fixture(autouse=True)
def as_it_was(client):
    yield
    for account in (ALICE, BOB, MAX, MIA):
        assert client.request("DELETE", f"/api/v1/orders?account={account}")[0] == 200


def check_liquidation(client, told, mine, bid):
    """What both sides were told of it: `mine` was cancelled, and `bid` bought."""
    canceled = client.get(f"/api/v1/orders/{mine['order_id']}")[1]
    assert (canceled["status"], canceled["reason"]) == ("canceled", "mass_canceled")
    fills = [each for each in told if each["event"] == "fill"]
    sold = next(
        each for each in fills if each["account"] == MAX and each["order"]["side"] == "sell"
    )
    assert (sold["fill"]["quantity"], sold["order"]["type"]) == ("0.4000", "market")
    assert sold["order"]["client_order_id"] is None, "the order is risk's own"
    assert (sold["fill"]["price"], sold["fill"]["fee"]) == ("15500.00", "3.10")
    bought = next(each for each in fills if each["order_id"] == bid["order_id"])
    assert (bought["account"], bought["fill"]["fee"]) == (BOB, "-0.62")
    assert position(client, MAX)["quantity"] == "0.0000"


def test_a_liquidation_is_told_step_by_step(venue, client):
    """A long of 0.4 at 20000 dollars falls until equity is below the margin; then it is sold."""

    async def follow():
        async with stream(venue) as ws:
            await ws.call(op="subscribe", channel="orders", account=MAX)
            await ws.call(op="subscribe", channel="orders", account=BOB)
            spare = owned(client, MAX) - 2000
            assert book(client, "withdraw", str(spare), MAX)[0] == 201
            trade(client, MAX, ALICE, price="20000.00", quantity="0.4000")
            mine = place(client, MAX, "buy", price="15000.00", quantity="0.0001")
            bid = place(client, BOB, "buy", price="15500.00", quantity="1.0000")
            trade(client, ALICE, BOB, price="15800.00", quantity="0.0001")  # equity 320: 316 needed
            value_all(client)

            def states():
                told = [each for each in ws.of("orders") if each["event"] == "margin_state"]
                return [each["state"] for each in told]

            await ws.until(lambda: "called" in states())
            assert client.get("/api/v1/risk")[1]["margin_calls"] == [
                {"account": MAX, "asset": "USD"}
            ]
            trade(client, ALICE, BOB, price="15700.00", quantity="0.0001")
            value_all(client)
            await ws.until(lambda: states() == ["called", "liquidating", "good"])
            call = next(each for each in ws.of("orders") if each["event"] == "margin_state")
            assert (call["account"], call["asset"], call["channel"]) == (MAX, "USD", "orders")
            check_liquidation(client, ws.of("orders"), mine, bid)

    asyncio.run(follow())
    assert book(client, "deposit", "10000", MAX)[0] == 201


def test_a_debt_is_paid_by_the_insurance_account(client):
    spare = owned(client, MIA) - 2000
    assert book(client, "withdraw", str(spare), MIA)[0] == 201
    insured = owned(client, INSURANCE)
    trade(client, ALICE, BOB, price="20000.00", quantity="0.0001")
    trade(client, MIA, ALICE, price="20000.00", quantity="0.4000")
    place(client, BOB, "buy", price="14000.00", quantity="1.0000")
    trade(client, ALICE, BOB, price="14000.01", quantity="0.0001")
    value_all(client)
    assert eventually(lambda: owned(client, MIA) == 0)
    assert owned(client, INSURANCE) < insured - 390
    assert eventually(lambda: client.get("/api/v1/risk")[1]["liquidations"] == [])
    assert book(client, "deposit", "10000", MIA)[0] == 201


def test_a_loss_stop_is_told(venue, client):
    async def follow():
        async with stream(venue) as ws:
            await ws.call(op="subscribe", channel="orders", account=ALICE)
            trade(client, ALICE, BOB, price="20000.00", quantity="1.0000")
            value_all(client)
            limits = {"asset": "USD", "value": "100.00"}
            order = place(client, ALICE, "buy", price="100.00", quantity="0.0001")
            rule(client, scope="account", account=ALICE, rule="daily_loss_max_units", **limits)
            trade(client, BOB, MIA, price="12000.00", quantity="0.0001")
            value_all(client)
            await ws.until(lambda: any(each["event"] == "loss_state" for each in ws.of("orders")))
            told = next(each for each in ws.of("orders") if each["event"] == "loss_state")
            assert (told["state"], told["asset"]) == ("stopped", "USD")
            shown = f"/api/v1/orders/{order['order_id']}"
            assert eventually(lambda: client.get(shown)[1]["reason"] == "mass_canceled")
            assert client.get("/api/v1/risk")[1]["loss_stops"] == [
                {"account": ALICE, "asset": "USD"}
            ]
            assert balance(client, ALICE, "USD")["loss_state"] == "stopped"
            status, problem = client.post(account=ALICE, **USUAL)
            assert (status, problem["code"]) == (422, "daily_loss")

    asyncio.run(follow())
