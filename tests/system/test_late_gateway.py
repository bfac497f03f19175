"""A gateway that is killed, and a machine: the next one shows clients what the one before did."""

import os
import signal

import pytest

from tests.gateway.running import Client
from tests.system.test_repair import durable, entry, replace  # noqa: F401

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

PAGES = (
    "instruments",
    "accounts",
    "accounts/1",
    "accounts/7",
    "orders?account=1",
    "orders?account=2",
    "book/BTC%2FUSD",
    "book/BTC%2FUSD?level=3",
    "book/ETH%2FUSD?level=3",
    "book/SOL%2FUSD",
    "ticker/BTC%2FUSD",
    "trades/BTC%2FUSD",
    "statistics/BTC%2FUSD",
    "auction/ETH%2FUSD",
)
SOL = {
    "symbol": "SOL/USD",
    "base": "BTC",
    "quote": "USD",
    "tick": "0.25",
    "lot": "0.001",
    "qty_max": "1000",
    "notional_max": "1000000",
}


def limit(side, price, quantity="1", account=1, **fields):
    order = {"account": account, "symbol": "BTC/USD", "side": side, "type": "limit"}
    return order | {"price": price, "quantity": quantity} | fields


def trade(client):
    """Orders of many kinds and fates; returns the ids of all."""
    ids = []

    def post(path, body, status=201):
        found, document = client.request("POST", f"/api/v1/{path}", body)
        assert found == status, document
        return document

    def order(*arguments, **fields):
        ids.append(post("orders", limit(*arguments, **fields))["order_id"])
        return ids[-1]

    order("buy", "44000", "3", display_quantity="1", client_order_id="iceberg")
    order("sell", "44000", "2", account=2, client_order_id="seller")
    canceled = order("buy", "43000")
    assert client.cancel(canceled)[0] == 200
    stop = order("buy", "46500", "2", stop_price="46000")
    assert client.amend(stop, stop_price="46100")[0] == 200
    order("sell", "45000", account=2, hidden=True)
    legs = [
        {k: v for k, v in limit("sell", p).items() if k not in ("account", "symbol")}
        for p in ("47000", "48000")
    ]
    made = post("order-lists", {"account": 2, "symbol": "BTC/USD", "kind": "oto", "orders": legs})
    ids.extend(each["order_id"] for each in made["orders"])
    refused = post("orders", limit("buy", "1", client_order_id="far"), status=422)
    ids.append(refused["order_id"])
    post("admin/instruments", SOL)
    order("buy", "20.25", symbol="SOL/USD")
    for rule, value in (("kind", 0), ("open", True)):
        table = {"scope": "account", "account": 7, "rule": rule, "value": value}
        post("admin/rules", table, status=200)
    post("admin/instruments/ETH%2FUSD/phase", {"phase": "pre_open"}, status=200)
    return ids


def seen(address, ids):
    """All that clients see, but for the sequence numbers of market data."""
    client = Client(address)
    pages = {}
    for page in (*PAGES, *(f"orders/{number}" for number in ids)):
        status, document = client.get(f"/api/v1/{page}")
        assert status == 200, (page, document)
        if page.partition("/")[0] not in ("orders", "trades") and isinstance(document, dict):
            document.pop("sequence", None)
        pages[page] = document
    for name in ("iceberg", "far"):
        order = limit("buy", "44000", client_order_id=name)
        pages[name] = client.request("POST", "/api/v1/orders", order)
        assert pages[name][0] == 409
    client.close()
    return pages


def test_the_next_gateway_shows_the_same(durable):  # noqa: F811
    venue = durable("--layout", "compact").wait_ready()
    client = Client(venue.http)
    ids = trade(client)
    client.close()
    before = seen(venue.http, ids)
    replace(venue, "gateway")
    assert entry(venue, "gateway").epoch == 2
    after = seen(venue.http, ids)
    for page, document in before.items():
        assert after[page] == document, page
    venue.process.kill()
    venue.process.wait()
    again = durable("--layout", "compact", name=venue.name).wait_ready()
    after = seen(again.http, ids)
    for page, document in before.items():
        assert after[page] == document, page
    os.kill(again.process.pid, signal.SIGTERM)
    assert again.process.wait(60) == 0
