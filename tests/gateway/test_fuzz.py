"""Random bytes and random JSON at every entrance: only 4xx, the engine untouched, the gateway up.

What is drawn is never a valid request (or it would be an order), so that any command that
reaches the engine is a failure.
"""

import asyncio
import json

import aiohttp
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.gateway.running import limit_order

pytestmark = pytest.mark.system

relaxed = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(["0", "-1", "1e9", "0.00001", "9" * 25, "NaN", "1.0", "buy", "limit"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELDS = ["account", "symbol", "side", "type", "price", "quantity", "time_in_force", "post_only"]


@st.composite
def broken_orders(draw):
    """A good order with one field spoilt, so that the fault is behind most of the checks."""
    order = limit_order()
    field = draw(st.sampled_from([*FIELDS, "client_order_id", "extra"]))
    spoilt = {
        "account": st.just(77) | values.filter(lambda value: type(value) is not int),
        "symbol": values,
        "side": values.filter(lambda value: value != "buy"),
        "type": values.filter(lambda value: value != "limit") | st.just("market"),
        "price": values.filter(lambda value: value != "1.0"),
        "quantity": values.filter(lambda value: value != "1.0"),
        "time_in_force": values.filter(lambda value: value is not None),
        "post_only": values.filter(lambda value: not isinstance(value, bool)),
        "client_order_id": values.filter(lambda value: not is_good_name(value)),
        "extra": values,
    }[field]
    order[field] = draw(spoilt)
    return order


def is_good_name(value):
    if value is None:
        return True
    return isinstance(value, str) and 1 <= len(value) <= 36 and value.isascii()


documents = st.one_of(values, st.dictionaries(st.sampled_from(FIELDS), values), broken_orders())
bodies = st.binary(max_size=200) | documents.map(lambda each: json.dumps(each).encode())
paths = st.text(max_size=30) | st.sampled_from(["orders", "orders/1", "book/BTC/USD", "ws"])


def is_refusal(venue, client, status, problem):
    assert 400 <= status < 500, (status, problem)
    assert problem["status"] == status
    assert problem["code"]
    assert problem["detail"]
    return True


@relaxed
@given(body=bodies)
@example(body=b'{"account":1e400}')
@example(body=b"\xf4\x90\x80\x80")
@example(body=json.dumps(limit_order() | {"price": "\ud800"}).encode())
def test_post(venue, client, body):
    decided = venue.decided()
    assert is_refusal(venue, client, *client.request("POST", "/api/v1/orders", body))
    assert venue.decided() == decided


ENTRANCES = [
    "order-lists",
    "admin/instruments",
    "admin/instruments/BTC/USD/phase",
    "admin/instruments/DOGE/phase",
    "admin/tick",
]
terms = st.dictionaries(
    st.sampled_from(["stop_price", "trailing", "peg", "post_only", "expires_at", "self_trade"]),
    values,
    min_size=1,
)
lists = st.fixed_dictionaries(
    {"kind": st.sampled_from(["oco", "bracket", "chain"]), "orders": st.lists(values, max_size=4)}
).map(lambda each: {"account": 1, "symbol": "BTC/USD"} | each)


@relaxed
@given(body=bodies | lists.map(lambda each: json.dumps(each).encode()), at=st.data())
def test_other_entrances(venue, client, body, at):
    decided = venue.decided()
    path = at.draw(st.sampled_from(ENTRANCES))
    assert is_refusal(venue, client, *client.request("POST", f"/api/v1/{path}", body))
    status, problem = client.request("PATCH", "/api/v1/admin/instruments/BTC/USD", body)
    assert is_refusal(venue, client, status, problem)
    assert venue.decided() == decided


@relaxed
@given(terms=terms)
@example(terms={"trailing": {"distance": "1.00", "distance_bps": 1}})
@example(terms={"peg": {"to": "mid", "offset": "\ud800"}})
def test_terms_never_break_the_gateway(client, terms):
    """Some of these are orders; none is an error of the gateway."""
    status, _ = client.request("POST", "/api/v1/orders", limit_order() | terms)
    assert status in (201, 400, 409, 422)
    assert client.request("DELETE", "/api/v1/orders?account=1")[0] == 200


@relaxed
@given(body=bodies, path=st.sampled_from(["1", "0", "x", "by-client-id/1/a", "by-client-id/9/%00"]))
def test_patch(venue, client, body, path):
    decided = venue.decided()
    assert is_refusal(venue, client, *client.request("PATCH", f"/api/v1/orders/{path}", body))
    assert venue.decided() == decided


@relaxed
@given(
    method=st.sampled_from(["GET", "DELETE", "PATCH", "PUT", "OPTIONS"]),
    tail=st.binary(max_size=30),
    query=st.binary(max_size=20),
)
def test_paths(venue, client, method, tail, query):
    """Everything that a path and a query can carry, as bytes."""
    quoted = "".join(f"%{byte:02x}" for byte in tail)
    asked = "".join(f"%{byte:02x}" for byte in query)
    decided = venue.decided()
    path = f"/api/v1/orders/{quoted}?account={asked}"
    status, problem = client.request(method, path, b"{}" if method == "PATCH" else None)
    assert is_refusal(venue, client, status, problem)
    assert venue.decided() == decided


@relaxed
@given(messages=st.lists(documents.map(json.dumps) | st.text(max_size=60), min_size=1, max_size=5))
def test_websocket(venue, client, messages):
    decided = venue.decided()

    async def send():
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{venue.url}/api/v1/ws") as ws,
        ):
            for message in messages:
                await ws.send_bytes(b"\xff")
                await ws._writer.send_frame(
                    message.encode(errors="surrogatepass"), aiohttp.WSMsgType.TEXT
                )
                for _ in range(2):
                    answer = json.loads((await ws.receive(10)).data)
                    assert 400 <= answer["status"] < 500
                    assert answer["error"]["code"]

    asyncio.run(send())
    assert venue.decided() == decided


def test_the_gateway_has_survived_all_of_it(venue, client):
    assert client.get("/ready")[0] == 200
    assert client.post()[0] == 201
    page = client.get("/metrics")[1]
    assert 'okimi_gateway_requests_total{status="5' not in page
    assert 'okimi_gateway_operations_total{status="5' not in page
