"""The life of orders over HTTP, through the real engine."""

import uuid

import pytest

pytestmark = pytest.mark.system

MICROSECOND_2020 = 1_577_836_800_000_000


@pytest.fixture(autouse=True)
def empty_book(client):
    """Each test leaves the book as it found it: empty."""
    yield
    for account in (1, 2, 3):
        for order in client.get(f"/api/v1/orders?account={account}")[1]["orders"]:
            assert client.cancel(order["order_id"], account)[0] == 200


def test_an_order_rests_and_shows_everywhere(client):
    status, order = client.post(client_order_id="first/order 1")
    assert status == 201
    assert order["status"] == "open"
    assert order["client_order_id"] == "first/order 1"
    assert (order["price"], order["quantity"]) == ("45000.00", "1.0000")
    assert (order["filled_quantity"], order["leaves_quantity"]) == ("0.0000", "1.0000")
    assert (order["time_in_force"], order["post_only"]) == ("gtc", False)
    assert order["average_price"] is None
    assert order["fills"] == []
    assert order["created_us"] > MICROSECOND_2020
    number = order["order_id"]
    assert client.get(f"/api/v1/orders/{number}") == (200, order)
    by_name = client.get("/api/v1/orders/by-client-id/1/first%2Forder%201")
    assert by_name == (200, order)
    assert client.get("/api/v1/orders/by-client-id/2/first%2Forder%201")[0] == 404
    assert client.get("/api/v1/orders?account=1") == (200, {"orders": [order], "more": False})
    assert client.get("/api/v1/orders?account=1&symbol=ETH/USD")[1]["orders"] == []
    book = client.get("/api/v1/book/BTC/USD")[1]
    assert book["bids"] == [["45000.00", "1.0000"]]
    assert book["asks"] == []
    assert client.get("/api/v1/book/BTC%2FUSD?depth=1")[1] == book


def test_an_order_fills_in_parts_at_the_makers_price(client):
    maker = client.post(price="45000.00", quantity="1.0000")[1]
    better = client.post(price="45000.01", quantity="0.5000")[1]
    status, taker = client.post(
        account=2, side="sell", price="44000.00", quantity="0.7500", time_in_force="ioc"
    )
    assert status == 201
    assert taker["status"] == "filled"
    assert taker["leaves_quantity"] == "0.0000"
    assert [(fill["price"], fill["quantity"]) for fill in taker["fills"]] == [
        ("45000.01", "0.5000"),
        ("45000.00", "0.2500"),
    ]
    assert {fill["liquidity"] for fill in taker["fills"]} == {"taker"}
    assert taker["average_price"] == "45000.00666667"
    shown = client.get(f"/api/v1/orders/{maker['order_id']}")[1]
    assert shown["status"] == "partially_filled"
    assert (shown["filled_quantity"], shown["leaves_quantity"]) == ("0.2500", "0.7500")
    assert shown["fills"][0]["match_id"] == taker["fills"][1]["match_id"]
    assert shown["fills"][0]["liquidity"] == "maker"
    assert client.get(f"/api/v1/orders/{better['order_id']}")[1]["status"] == "filled"
    trades = client.get("/api/v1/trades/BTC/USD?limit=2")[1]["trades"]
    assert [trade["price"] for trade in trades] == ["45000.00", "45000.01"]
    assert {trade["side"] for trade in trades} == {"sell"}
    status, canceled = client.cancel(maker["order_id"])
    assert (status, canceled["status"]) == (200, "canceled")
    assert canceled["filled_quantity"] == "0.2500"
    assert canceled["reason"] == "canceled_by_client"


def test_what_does_not_trade_of_an_immediate_order_is_canceled(client):
    client.post(quantity="0.4000")
    ioc = client.post(account=2, side="sell", quantity="1.0000", time_in_force="ioc")
    assert ioc[0] == 201
    assert (ioc[1]["status"], ioc[1]["reason"]) == ("canceled", "ioc_remainder")
    assert ioc[1]["filled_quantity"] == "0.4000"
    fok = client.post(account=2, side="sell", quantity="1.0000", time_in_force="fok")
    assert (fok[1]["status"], fok[1]["reason"]) == ("canceled", "fok_unfillable")
    market = client.post(account=2, side="sell", type="market", price=None)
    assert (market[1]["status"], market[1]["price"]) == ("canceled", None)


def test_a_market_order_takes_what_is_there(client):
    client.post(quantity="0.4000")
    status, order = client.post(account=2, side="sell", type="market", price=None, quantity="0.1")
    assert (status, order["status"], order["average_price"]) == (201, "filled", "45000.00")
    assert order["time_in_force"] == "ioc"


def test_a_post_only_order_rests_or_is_refused(client):
    assert client.post(post_only=True)[1]["post_only"] is True
    status, problem = client.post(account=2, side="sell", post_only=True)
    assert (status, problem["code"], problem["field"]) == (422, "would_trade", "price")
    refused = client.get(f"/api/v1/orders/{problem['order_id']}")[1]
    assert (refused["status"], refused["reason"]) == ("rejected", "would_trade")


def test_less_quantity_keeps_the_place_in_the_queue_and_more_loses_it(client):
    first = client.post(quantity="1.0000")[1]["order_id"]
    second = client.post(quantity="1.0000")[1]["order_id"]
    status, amended = client.amend(first, quantity="0.5")
    assert (status, amended["quantity"], amended["price"]) == (200, "0.5000", "45000.00")
    client.post(account=2, side="sell", quantity="0.2000")
    assert client.get(f"/api/v1/orders/{first}")[1]["filled_quantity"] == "0.2000"
    # The quantity of an amendment is the total, fills included.
    assert client.amend(first, quantity="0.6000")[1]["leaves_quantity"] == "0.4000"
    client.post(account=2, side="sell", quantity="0.1000")
    assert client.get(f"/api/v1/orders/{first}")[1]["filled_quantity"] == "0.2000"
    assert client.get(f"/api/v1/orders/{second}")[1]["filled_quantity"] == "0.1000"
    status, moved = client.amend(second, price="44000.00")
    assert (moved["price"], moved["quantity"]) == ("44000.00", "1.0000")
    assert client.get("/api/v1/book/BTC/USD")[1]["bids"] == [
        ["45000.00", "0.4000"],
        ["44000.00", "0.9000"],
    ]
    status, ended = client.amend(first, quantity="0.2000")
    assert (status, ended["status"], ended["reason"]) == (200, "canceled", "reduced_to_filled")


def test_an_amendment_may_trade(client):
    client.post(account=2, side="sell", price="45500.00", quantity="0.3000")
    order = client.post(quantity="0.5000")[1]
    status, amended = client.amend(order["order_id"], price="45500.00")
    assert (status, amended["status"]) == (200, "partially_filled")
    assert amended["fills"][0]["price"] == "45500.00"


def test_orders_are_found_canceled_and_amended_by_the_clients_name(client):
    name = uuid.uuid4().hex
    path = f"/api/v1/orders/by-client-id/1/{name}"
    order = client.post(client_order_id=name)[1]
    status, amended = client.request("PATCH", path, {"account": 1, "price": "45000.01"})
    assert (status, amended["price"]) == (200, "45000.01")
    status, canceled = client.request("DELETE", path)
    assert (status, canceled["order_id"]) == (200, order["order_id"])
    assert client.request("DELETE", path)[1]["code"] == "order_not_open"


def test_an_order_without_a_name_gets_one(client):
    first, second = client.post()[1], client.post()[1]
    assert len(first["client_order_id"]) == 32
    assert first["client_order_id"] != second["client_order_id"]


def test_a_repeated_order_is_not_executed_twice(client):
    name = uuid.uuid4().hex
    first = client.post(client_order_id=name)[1]
    client.post(account=2, side="sell", quantity="0.2500")
    status, problem = client.post(client_order_id=name)
    assert (status, problem["code"]) == (409, "duplicate_client_order_id")
    assert problem["field"] == "client_order_id"
    assert problem["order_id"] == first["order_id"]
    assert problem["order"]["filled_quantity"] == "0.2500"
    assert len(client.get("/api/v1/orders?account=1")[1]["orders"]) == 1
    # The name is the account's own: another one may use it, too.
    assert client.post(account=2, client_order_id=name)[0] == 201


def test_the_name_of_a_refused_order_is_used_up(client):
    name = uuid.uuid4().hex
    status, problem = client.post(client_order_id=name, quantity="99.0000", price="50000.00")
    assert (status, problem["code"]) == (422, "insufficient_balance")
    status, problem = client.post(client_order_id=name)
    assert (status, problem["order"]["status"]) == (409, "rejected")
    assert problem["order"]["reason"] == "insufficient_balance"


def test_open_orders_come_in_pages(client):
    numbers = [client.post(quantity="0.0100")[1]["order_id"] for _ in range(5)]
    first = client.get("/api/v1/orders?account=1&limit=3")[1]
    assert [order["order_id"] for order in first["orders"]] == numbers[:3]
    assert first["more"] is True
    rest = client.get(f"/api/v1/orders?account=1&limit=3&after={numbers[2]}")[1]
    assert [order["order_id"] for order in rest["orders"]] == numbers[3:]
    assert rest["more"] is False


def test_reference_data(client):
    instruments = client.get("/api/v1/instruments")[1]["instruments"]
    assert instruments[0] == {
        "symbol": "BTC/USD",
        "base": "BTC",
        "quote": "USD",
        "tick": "0.01",
        "lot": "0.0001",
        "quantity_min": "0.0001",
        "quantity_max": "100.0000",
        "notional_min": "0.000000",
        "notional_max": "5000000.000000",
        "price_min": "0.01",
        "price_max": "10995116277.76",
        "price_steps": [],
        "collar_bps": 2000,
        "static_band_bps": None,
        "dynamic_band_bps": None,
        "reference_price": "50000.00",
        "phase": "continuous",
        "phase_ends_us": None,
    }
    accounts = client.get("/api/v1/accounts")[1]["accounts"]
    assert {"account": 1, "name": "alice", "kind": "cash"} in accounts
    index = client.get("/")[1]
    assert "loopback" in index["authentication"]
    assert index["durability"] == "memory"
    assert "POST /api/v1/orders" in index["endpoints"]
    assert client.get("/health") == (200, {"status": "up"})
    status, ready = client.get("/ready")
    assert (status, ready["ready"]) == (200, True)
    assert {process["name"] for process in ready["processes"]} == {"engine", "gateway"}


def test_metrics_count_what_happened(client):
    def value(name):
        lines = client.get("/metrics")[1].splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[-1])

    taken = value('okimi_stage_taken_total{stage="matching"}')
    created = value('okimi_gateway_requests_total{status="201"}')
    assert client.post()[0] == 201
    assert value('okimi_stage_taken_total{stage="matching"}') == taken + 1
    assert value('okimi_gateway_requests_total{status="201"}') == created + 1
    assert value("okimi_gateway_open_orders") == 1
    assert value("okimi_gateway_pending_commands") == 0
    assert value('okimi_ring_capacity{ring="events"}') == 65536
    assert client.headers["Content-Type"].startswith("text/plain")
