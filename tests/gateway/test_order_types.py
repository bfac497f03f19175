"""Every type of order and every term over HTTP, through the whole engine."""

import asyncio

import pytest

from tests.gateway.streaming import stream

pytestmark = pytest.mark.system

BOOK = "/api/v1/book/BTC/USD"
FAR = "2200-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def empty_book(client):
    yield
    for account in (1, 2, 3):
        assert client.request("DELETE", f"/api/v1/orders?account={account}")[0] == 200
    assert client.get(BOOK)[1]["bids"] == client.get(BOOK)[1]["asks"] == []


def placed(client, **fields):
    status, order = client.post(**fields)
    assert status == 201, order
    return order


def buy(client, price, quantity="1.0000", **fields):
    return placed(client, account=1, side="buy", price=price, quantity=quantity, **fields)


def sell(client, price, quantity="1.0000", **fields):
    return placed(client, account=2, side="sell", price=price, quantity=quantity, **fields)


def trade_at(client, price):
    """One trade at a price that nothing else stands in the way of."""
    placed(client, account=3, side="sell", price=price, quantity="0.0001")
    placed(client, account=2, side="buy", price=price, quantity="0.0001", time_in_force="ioc")


def now(client, order):
    return client.get(f"/api/v1/orders/{order['order_id']}")[1]


def test_a_stop_waits_for_its_price_and_then_trades(client):
    trade_at(client, "45000.00")
    stop = buy(client, "46000.00", "0.5000", stop_price="45100.00")
    assert (stop["status"], stop["stop_price"], stop["triggered"]) == (
        "waiting",
        "45100.00",
        False,
    )
    assert client.get(BOOK)[1]["bids"] == []
    market = buy(client, None, "0.2000", type="market", stop_price="45100.00")
    assert (market["status"], market["price"]) == ("waiting", None)
    sell(client, "45500.00", "0.6000")
    trade_at(client, "45100.00")
    woken = now(client, stop)
    assert (woken["status"], woken["triggered"]) == ("filled", True)
    assert woken["fills"][0]["price"] == "45500.00"
    ended = now(client, market)
    assert (ended["status"], ended["reason"], ended["filled_quantity"]) == (
        "canceled",
        "ioc_remainder",
        "0.1000",
    )


def test_a_waiting_stop_is_amended(client):
    trade_at(client, "45000.00")
    stop = buy(client, "46000.00", stop_price="45100.00")
    status, amended = client.amend(stop["order_id"], stop_price="45200.00")
    assert (status, amended["stop_price"], amended["price"]) == (200, "45200.00", "46000.00")
    trade_at(client, "45100.00")
    assert now(client, stop)["status"] == "waiting"
    trade_at(client, "45200.00")
    assert (now(client, stop)["status"], now(client, stop)["triggered"]) == ("open", True)
    status, problem = client.amend(stop["order_id"], stop_price="45300.00")
    assert (status, problem["code"], problem["field"]) == (422, "contradiction", "stop_price")


def test_a_trailing_stop_follows_the_price(client):
    trade_at(client, "45000.00")
    trailing = {"distance": "100.00", "limit_offset": "-10.00"}
    stop = sell(client, "40000.00", trailing=trailing)
    assert (stop["status"], stop["trailing"]) == ("waiting", trailing)
    trade_at(client, "45500.00")
    trade_at(client, "45401.00")
    assert now(client, stop)["status"] == "waiting"
    trade_at(client, "45400.00")
    woken = now(client, stop)
    assert (woken["status"], woken["price"]) == ("open", "45390.00")


def test_an_iceberg_shows_its_tip(client):
    order = buy(client, "45000.00", display_quantity="0.1000")
    assert client.get(BOOK)[1]["bids"] == [["45000.00", "0.1000"]]
    sell(client, "45000.00", "0.2500")
    assert client.get(BOOK)[1]["bids"] == [["45000.00", "0.0500"]]
    shown = now(client, order)
    assert (shown["leaves_quantity"], shown["display_quantity"]) == ("0.7500", "0.1000")
    status, amended = client.amend(order["order_id"], display_quantity="0.3000")
    assert (status, amended["display_quantity"]) == (200, "0.3000")
    assert client.get(BOOK)[1]["bids"] == [["45000.00", "0.3000"]]
    status, problem = client.amend(order["order_id"], display_quantity="0.0001")
    assert (status, problem["field"]) == (422, "display_quantity")


def test_a_hidden_order_trades_unseen(client):
    order = buy(client, "45000.00", hidden=True)
    assert (order["status"], order["hidden"]) == ("open", True)
    assert client.get(BOOK)[1]["bids"] == []
    assert sell(client, "45000.00", "0.1000")["status"] == "filled"


def test_a_sliding_order_steps_back_and_keeps_its_place_when_it_is_amended(client):
    sell(client, "45000.00")
    order = buy(client, "45100.00", post_only="slide")
    assert (order["price"], order["resting_price"]) == ("45100.00", "44999.99")
    assert order["post_only"] == "slide"
    behind = placed(client, account=3, price="44999.99", quantity="0.5000")
    status, amended = client.amend(order["order_id"], quantity="0.5000")
    assert (status, amended["status"], amended["resting_price"]) == (200, "open", "44999.99")
    assert client.get(BOOK)[1]["bids"] == [["44999.99", "1.0000"]]
    sell(client, "44999.99", "0.2000")
    assert now(client, order)["filled_quantity"] == "0.2000"
    assert now(client, behind)["filled_quantity"] == "0.0000"


def test_a_market_to_limit_order_stays_at_the_price_it_found(client):
    sell(client, "45000.00", "0.4000")
    order = buy(client, None, type="market_to_limit")
    assert (order["status"], order["price"], order["filled_quantity"]) == (
        "partially_filled",
        "45000.00",
        "0.4000",
    )
    assert client.get(BOOK)[1]["bids"] == [["45000.00", "0.6000"]]


def test_all_or_none_waits_until_it_can_trade_as_a_whole(client):
    sell(client, "45000.00", "0.4000")
    order = buy(client, "45000.00", all_or_none=True)
    assert order["status"] == "waiting"
    sell(client, "45000.00", "0.6000")
    assert now(client, order)["status"] == "filled"


def test_a_minimum_quantity_trades_at_once_or_ends(client):
    sell(client, "45000.00", "0.4000")
    order = buy(client, "45000.00", minimum_quantity="0.5000")
    assert (order["status"], order["reason"]) == ("canceled", "minimum_unfillable")
    order = buy(client, "45000.00", minimum_quantity="0.4000")
    assert (order["status"], order["minimum_quantity"]) == ("partially_filled", "0.4000")


def test_a_peg_follows_its_reference(client):
    peg = buy(client, "45500.00", peg={"to": "primary", "offset": "-1.00"})
    assert peg["status"] == "waiting", "there is nothing to follow yet"
    bid = placed(client, account=3, price="45000.00", quantity="0.1000")
    shown = now(client, peg)
    assert (shown["status"], shown["resting_price"]) == ("open", "44999.00")
    placed(client, account=3, price="45100.00", quantity="0.1000")
    assert now(client, peg)["resting_price"] == "45099.00"
    client.cancel(bid["order_id"], 3)
    client.request("DELETE", "/api/v1/orders?account=3")
    assert now(client, peg)["status"] == "waiting"


def test_self_trade_is_prevented_as_the_incoming_order_says(client):
    resting = buy(client, "45000.00")
    order = placed(client, side="sell", quantity="0.4000", self_trade="decrement")
    assert (order["status"], order["reason"]) == ("canceled", "self_trade")
    shown = now(client, resting)
    assert (shown["quantity"], shown["filled_quantity"]) == ("0.6000", "0.0000")
    order = placed(client, side="sell", quantity="0.4000", self_trade="oldest")
    assert (order["status"], now(client, resting)["reason"]) == ("open", "self_trade")


def test_a_gtd_order_ends_with_the_clock(client):
    order = buy(client, "45000.00", time_in_force="gtd", expires_at=FAR)
    assert (order["status"], order["expires_at"]) == ("open", FAR)
    status, document = client.request("POST", "/api/v1/admin/tick", {"at": FAR})
    assert (status, document) == (200, {"clock": FAR})
    assert now(client, order)["reason"] == "expired"
    status, problem = client.post(time_in_force="gtd", expires_at=FAR)
    assert (status, problem["code"], problem["field"]) == (422, "expired", "expires_at")


# --- lists -------------------------------------------------------------------------------------


def send_list(client, kind, *orders):
    body = {"account": 1, "symbol": "BTC/USD", "kind": kind, "orders": list(orders)}
    return client.request("POST", "/api/v1/order-lists", body)


def leg(side, price, **fields):
    return {"side": side, "type": "limit", "price": price, "quantity": "0.5000"} | fields


def test_one_order_of_a_pair_cancels_the_other(client):
    trade_at(client, "45000.00")
    pair = [leg("sell", "46000.00"), leg("sell", "43000.00", stop_price="44000.00")]
    status, document = send_list(client, "oco", *pair)
    assert (status, document["kind"]) == (201, "oco")
    target, stop = document["orders"]
    assert (target["status"], stop["status"]) == ("open", "waiting")
    assert target["list"]["order_ids"] == [target["order_id"], stop["order_id"]]
    placed(client, account=2, price="46000.00", quantity="0.1000")
    assert now(client, target)["status"] == "partially_filled"
    ended = now(client, stop)
    assert (ended["status"], ended["reason"]) == ("canceled", "list_done")


def test_the_exits_of_a_bracket_enter_when_it_is_filled(client):
    trade_at(client, "45000.00")
    status, document = send_list(
        client,
        "bracket",
        leg("buy", "44900.00"),
        leg("sell", "46000.00"),
        leg("sell", "43000.00", stop_price="44000.00"),
    )
    assert status == 201
    assert [order["status"] for order in document["orders"]] == ["open", "held", "held"]
    entry, target, stop = document["orders"]
    sell(client, "44900.00", "0.2000")
    assert now(client, target)["status"] == "held"
    sell(client, "44900.00", "0.3000")
    assert now(client, entry)["status"] == "filled"
    assert (now(client, target)["status"], now(client, stop)["status"]) == ("open", "waiting")
    client.cancel(target["order_id"])
    assert now(client, stop)["reason"] == "list_done"


def test_a_list_with_an_order_that_is_refused_ends_as_a_whole(client):
    good, bad = leg("buy", "44000.00"), leg("buy", "44000.00", quantity="99.0000")
    status, problem = send_list(client, "oco", good, bad)
    assert (status, problem["code"]) == (422, "insufficient_balance")
    assert problem["field"] == "orders[1].quantity"
    first, second = problem["orders"]
    assert (first["status"], first["reason"]) == ("canceled", "list_broken")
    assert second["status"] == "rejected"


@pytest.mark.parametrize(
    ("kind", "orders", "code", "field"),
    [
        ("pair", [], "wrong_type", "kind"),
        ("oco", [leg("buy", "1.00")], "wrong_type", "orders"),
        ("oco", [leg("buy", "44000.00")] * 3, "contradiction", "orders"),
        ("bracket", [leg("buy", "44000.00")] * 2, "contradiction", "orders"),
        ("oco", [leg("buy", "44000.00"), leg("buy", "1.005")], "off_tick", "orders[1].price"),
        ("oco", [leg("buy", "44000.00"), {"side": "buy"}], "missing_field", "orders[1].type"),
        (
            "oco",
            [leg("buy", "44000.00", client_order_id="twin")] * 2,
            "contradiction",
            "orders",
        ),
        (
            "oco",
            [leg("buy", "44000.00"), leg("buy", "44000.00", peg={"to": "up"})],
            "wrong_type",
            "orders[1].peg.to",
        ),
    ],
)
def test_lists_that_cannot_be_taken_are_not_sent(venue, client, kind, orders, code, field):
    decided = venue.decided()
    status, problem = send_list(client, kind, *orders)
    assert 400 <= status < 500
    assert (problem["code"], problem["field"]) == (code, field)
    assert venue.decided() == decided


# --- all at once -------------------------------------------------------------------------------


def test_all_orders_of_an_account_are_cancelled_or_those_of_a_symbol_or_side(client):
    def open_orders():
        orders = client.get("/api/v1/orders?account=1")[1]["orders"]
        return [(order["symbol"], order["side"]) for order in orders]

    def cancel_all(query=""):
        return client.request("DELETE", f"/api/v1/orders?account=1{query}")

    for symbol, low, high in (
        ("BTC/USD", "44000.00", "46000.00"),
        ("ETH/USD", "2400.00", "2600.00"),
    ):
        placed(client, symbol=symbol, price=low, quantity="0.1")
        placed(client, symbol=symbol, price=high, quantity="0.1", side="sell")
        stop = high.replace("6", "7")
        placed(client, symbol=symbol, price=stop, quantity="0.1", stop_price=stop)
    foreign = placed(client, account=2, price="43000.00")
    assert cancel_all("&symbol=BTC/USD&side=buy") == (200, {"account": 1, "canceled": 2})
    assert open_orders().count(("BTC/USD", "sell")) == len(open_orders()) - 3 == 1
    assert cancel_all("&side=sell") == (200, {"account": 1, "canceled": 2})
    assert open_orders() == [("ETH/USD", "buy")] * 2
    assert cancel_all() == (200, {"account": 1, "canceled": 2})
    assert cancel_all() == (200, {"account": 1, "canceled": 0})
    assert now(client, foreign)["status"] == "open"
    for query, code in (
        ("&symbol=DOGE", "unknown_symbol"),
        ("&side=both", "bad_parameter"),
        ("&colour=red", "bad_parameter"),
    ):
        assert cancel_all(query)[1]["code"] == code
    assert client.request("DELETE", "/api/v1/orders?account=77")[1]["code"] == "unknown_account"


def test_lists_and_mass_cancels_over_websocket(venue, client):
    async def trade():
        async with stream(venue) as ws:
            legs = [leg("buy", "44000.00"), leg("buy", "43000.00", client_order_id="second")]
            wish = {"account": 1, "symbol": "BTC/USD", "kind": "oco", "orders": legs}
            reply = await ws.call(op="list", **wish)
            assert (reply["op"], reply["status"], reply["result"]["kind"]) == ("list", 201, "oco")
            assert reply["result"]["orders"][1]["client_order_id"] == "second"
            again = await ws.call(op="list", **wish)
            assert (again["status"], again["error"]["code"]) == (409, "duplicate_client_order_id")
            assert again["error"]["field"] == "orders[1].client_order_id"
            ended = await ws.call(op="cancel_all", account=1, side="sell")
            assert ended["result"]["canceled"] == 0
            ended = await ws.call(op="cancel_all", account=1, symbol="BTC/USD")
            assert (ended["op"], ended["result"]["canceled"]) == ("cancel_all", 2)
            assert (await ws.call(op="session"))["error"]["field"] == "cancel_on_disconnect"

    asyncio.run(trade())
    assert client.get("/api/v1/orders?account=1")[1]["orders"] == []


def test_the_orders_of_a_list_can_be_named_before_they_are_acknowledged(venue):
    """Sent in one piece: the gateway reads the cancel before the engine has answered the list."""

    async def hurry():
        async with stream(venue) as ws:
            legs = [leg("buy", "44000.00", client_order_id="hasty-1"), leg("buy", "43000.00")]
            wish = {"account": 1, "symbol": "BTC/USD", "kind": "oto", "orders": legs}
            first = await ws.send(op="list", **wish)
            second = await ws.send(op="cancel", account=1, client_order_id="hasty-1")
            assert (await ws.reply(first))["status"] == 201
            reply = await ws.reply(second)
            assert (reply["status"], reply["result"]["status"]) == (200, "canceled")

    asyncio.run(hurry())
