"""Running the venue over HTTP: phases, auctions, the clock, instruments that come and go."""

import asyncio

import pytest

from tests.gateway.streaming import stream

pytestmark = pytest.mark.system

ADMIN = "/api/v1/admin/instruments"
FUTURE = {
    "symbol": "BTC/ETH",
    "base": "BTC",
    "quote": "ETH",
    "tick": "0.01",
    "lot": "0.001",
    "qty_max": "50",
    "notional_max": "2000",
    "price_steps": [{"from": "0.01", "step": "0.01"}, {"from": "20.00", "step": "0.50"}],
    "phase": "pre_open",
    "initial_margin": "0.1",
    "maintenance_margin": "0.05",
}


def phase_of(client, symbol):
    return instrument(client, symbol)["phase"]


def instrument(client, symbol):
    listed = client.get("/api/v1/instruments")[1]["instruments"]
    return next((each for each in listed if each["symbol"] == symbol), None)


def set_phase(client, phase, symbol="BTC/USD"):
    status, document = client.request("POST", f"{ADMIN}/{symbol}/phase", {"phase": phase})
    assert (status, document["phase"]) == (200, phase)
    assert phase_of(client, symbol) == phase


def now(client, order):
    return client.get(f"/api/v1/orders/{order['order_id']}")[1]


@pytest.fixture(autouse=True)
def as_it_was(client):
    yield
    set_phase(client, "continuous")
    for account in (1, 2):
        assert client.request("DELETE", f"/api/v1/orders?account={account}")[0] == 200


def test_a_halted_instrument_takes_cancels_only(client):
    order = client.post()[1]
    set_phase(client, "halt")
    status, problem = client.post()
    assert (status, problem["code"]) == (409, "phase_forbids")
    assert client.amend(order["order_id"], quantity="0.5000")[1]["code"] == "phase_forbids"
    assert client.cancel(order["order_id"])[0] == 200


def test_an_auction_trades_all_at_one_price(client):
    set_phase(client, "opening_auction")
    bid = client.post(price="45100.00")[1]
    ask = client.post(account=2, side="sell", price="44900.00", quantity="0.4000")[1]
    assert (bid["status"], ask["status"]) == ("open", "open"), "they collect, and may cross"
    assert client.post(time_in_force="ioc")[1]["code"] == "phase_forbids"
    at_close = client.post(time_in_force="at_close", price="44000.00")[1]
    assert at_close["status"] == "waiting"
    set_phase(client, "continuous")
    fill = now(client, ask)["fills"][0]
    assert (fill["liquidity"], fill["quantity"]) == ("auction", "0.4000")
    shown = now(client, bid)
    assert (shown["status"], shown["leaves_quantity"]) == ("partially_filled", "0.6000")
    assert shown["fills"][0]["liquidity"] == "auction"
    set_phase(client, "closing_auction")
    assert now(client, at_close)["status"] == "open"
    set_phase(client, "post_close")
    assert now(client, at_close)["reason"] == "auction_over"


def test_day_orders_end_when_the_instrument_is_closed(client):
    day = client.post(time_in_force="day")[1]
    stays = client.post()[1]
    set_phase(client, "closed")
    assert now(client, day)["reason"] == "day_over"
    assert now(client, stays)["status"] == "open"


def test_the_owner_of_an_order_is_told_what_the_venue_did_to_it(venue, client):
    async def follow():
        async with stream(venue) as ws:
            await ws.call(op="subscribe", channel="orders", account=1)
            order = client.post(time_in_force="day")[1]
            set_phase(client, "closed")
            await ws.until(lambda: len(ws.of("orders")) == 3)
            set_phase(client, "continuous")
            await ws.call(op="ping")
            told = [(each["event"], each["reason"]) for each in ws.of("orders")]
            assert told == [("accepted", None), ("rested", None), ("canceled", "day_over")]
            assert ws.of("orders")[2]["order"]["order_id"] == order["order_id"]

    asyncio.run(follow())


def test_the_clock_never_goes_back(client):
    def tick(at):
        return client.request("POST", "/api/v1/admin/tick", {"at": at})

    assert tick("2100-01-01T00:00:00Z") == (200, {"clock": "2100-01-01T00:00:00Z"})
    assert tick(5) == (200, {"clock": "2100-01-01T00:00:00Z"})
    for wrong in ("noon", -1, 1.5, None):
        assert 400 <= tick(wrong)[0] < 500


def test_an_instrument_is_listed_traded_changed_and_delisted(client):
    status, document = client.request("POST", ADMIN, FUTURE)
    assert status == 201, document
    assert (document["symbol"], document["tick"], document["phase"]) == (
        "BTC/ETH",
        "0.01",
        "pre_open",
    )
    assert instrument(client, "BTC/ETH") == document
    assert document["price_steps"][1] == {"from": "20.00", "step": "0.50"}
    assert client.request("POST", ADMIN, FUTURE)[1]["code"] == "bad_instrument"
    set_phase(client, "continuous", "BTC/ETH")
    order = {"symbol": "BTC/ETH", "price": "18.51", "quantity": "2.000"}
    assert client.post(**order)[0] == 201
    assert client.get("/api/v1/book/BTC/ETH")[1]["bids"] == [["18.51", "2.000"]]
    status, problem = client.post(**(order | {"price": "20.25"}))
    assert (status, problem["code"]) == (422, "off_step")
    changes = {"quantity_min": "3.000", "quantity_max": "4.000", "notional_min": "1"}
    status, changed = client.request("PATCH", f"{ADMIN}/BTC/ETH", changes)
    assert (status, changed["quantity_min"], changed["quantity_max"]) == (200, "3.000", "4.000")
    assert client.request("PATCH", f"{ADMIN}/BTC/ETH", changes) == (200, changed)
    assert client.post(**order)[1]["code"] == "quantity_below_min"
    assert client.post(**(order | {"quantity": "5.000"}))[1]["code"] == "quantity_above_max"
    resting = client.get("/api/v1/orders?account=1&symbol=BTC/ETH")[1]["orders"][0]
    status, document = client.request("DELETE", f"{ADMIN}/BTC/ETH")
    assert (status, document) == (200, {"symbol": "BTC/ETH", "listed": False})
    assert now(client, resting)["reason"] == "delisted"
    assert instrument(client, "BTC/ETH") is None
    assert client.post(**order)[1]["code"] == "unknown_symbol"
    assert client.get("/api/v1/book/BTC/ETH")[0] == 404
    # The symbol may be listed again, under another number.
    assert client.request("POST", ADMIN, FUTURE | {"lot": "0.01"})[0] == 201
    assert client.request("DELETE", f"{ADMIN}/BTC/ETH")[0] == 200


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"tick": 0.01}, "float"),
        ({"tick": "0"}, "above 0"),
        ({"base": "DOGE"}, "USD, BTC, ETH"),
        ({"base": "ETH"}, "another asset"),
        ({"symbol": "BTC/USD"}, "not listed"),
        ({"symbol": "a b"}, "letters"),
        ({"colour": "red"}, "unknown key"),
        ({"phase": "lunch"}, "closed"),
        ({"shard": 0}, "configuration"),
        ({"qty_max": "0.0001"}, "0.001"),
        ({"fees": [{"maker": "0", "taker": "0.001"}]}, "risk.fee_account"),
        ({"maintenance_margin": "0.2"}, "initial_margin"),
    ],
)
def test_an_instrument_that_cannot_be_listed_says_all_that_is_wrong(venue, client, changes, text):
    decided = venue.decided()
    status, problem = client.request("POST", ADMIN, FUTURE | changes)
    assert (status, problem["code"]) == (422, "bad_instrument")
    assert text in problem["detail"]
    assert problem["problems"]
    assert venue.decided() == decided


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", f"{ADMIN}/DOGE/phase", {"phase": "halt"}, "unknown_symbol"),
        ("POST", f"{ADMIN}/BTC/USD/phase", {"phase": "lunch"}, "wrong_type"),
        ("POST", f"{ADMIN}/BTC/USD/phase", {}, "missing_field"),
        ("PATCH", f"{ADMIN}/BTC/USD", {}, "contradiction"),
        ("PATCH", f"{ADMIN}/BTC/USD", {"tick": "1"}, "unknown_field"),
        ("PATCH", f"{ADMIN}/BTC/USD", {"quantity_min": "101"}, "contradiction"),
        ("PATCH", f"{ADMIN}/BTC/USD", {"collar_bps": -1}, "quantity_out_of_range"),
        ("PATCH", f"{ADMIN}/BTC/USD", {"notional_max": "x"}, "bad_decimal"),
        ("DELETE", f"{ADMIN}/DOGE", None, "unknown_symbol"),
        ("POST", ADMIN, [], "wrong_shape"),
    ],
)
def test_what_the_administrator_got_wrong_is_not_sent(venue, client, method, path, body, code):
    decided = venue.decided()
    status, problem = client.request(method, path, body)
    assert 400 <= status < 500
    assert problem["code"] == code
    assert venue.decided() == decided
