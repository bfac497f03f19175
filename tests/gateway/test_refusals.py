"""Every kind of bad request: a 4xx that names the field and says why, and an untouched engine."""

import socket

import pytest

from engine.messages import RejectReason
from gateway.errors import GatewayError
from gateway.refusals import EngineRefusal
from tests.gateway.running import dropped, limit_order, running

pytestmark = pytest.mark.system

ORDERS = "/api/v1/orders"


def body(**changes):
    return dropped(limit_order() | changes)


def refused(venue, client, method, path, sent=None, headers=None):
    """The problem document of a request that must not reach the engine."""
    decided = venue.decided()
    status, problem = client.request(method, path, sent, headers)
    assert 400 <= status < 500
    assert problem["status"] == status
    assert 100 < problem["number"] < 200
    assert problem["type"].endswith(problem["code"])
    assert problem["title"]
    assert problem["detail"]
    assert client.headers["Content-Type"].startswith("application/problem+json")
    assert client.post(quantity="0.0001")[0] == 201, "the gateway goes on"
    assert venue.decided() == decided + 1, "the engine saw only the good order"
    return problem


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b"{", 400, "malformed_json"),
        (b'{"account":1,}', 400, "malformed_json"),
        (b'{"account":NaN}', 400, "malformed_json"),
        (b'{"symbol":"\\ud800"}', 400, "malformed_json"),
        (b"[" * 5000, 400, "malformed_json"),
        (b"\xff\xfe{}", 400, "bad_encoding"),
        (b'{"symbol":"\xc3("}', 400, "bad_encoding"),
        (b"null", 400, "wrong_shape"),
        (b"[]", 400, "wrong_shape"),
        (b'"order"', 400, "wrong_shape"),
        (b" " * 20_000, 413, "body_too_large"),
    ],
)
def test_bodies_that_are_no_order(venue, client, sent, status, code):
    problem = refused(venue, client, "POST", ORDERS, sent)
    assert (problem["status"], problem["code"]) == (status, code)


ABOVE_EVERY_LIMIT = "900719925474.0993"
"""2**53 + 1 lots of 0.0001."""

FIELD_FAULTS = [
    ({"account": None}, 400, "missing_field", "account"),
    ({"symbol": None}, 400, "missing_field", "symbol"),
    ({"side": None}, 400, "missing_field", "side"),
    ({"type": None}, 400, "missing_field", "type"),
    ({"quantity": None}, 400, "missing_field", "quantity"),
    ({"colour": "red"}, 400, "unknown_field", "colour"),
    ({"account": "1"}, 400, "wrong_type", "account"),
    ({"account": 1.0}, 400, "wrong_type", "account"),
    ({"account": True}, 400, "wrong_type", "account"),
    ({"account": -1}, 400, "wrong_type", "account"),
    ({"account": 4096}, 400, "wrong_type", "account"),
    ({"account": 10**40}, 400, "wrong_type", "account"),
    ({"account": 77}, 422, "unknown_account", "account"),
    ({"symbol": 3}, 400, "wrong_type", "symbol"),
    ({"symbol": "DOGE/USD"}, 422, "unknown_symbol", "symbol"),
    ({"symbol": ""}, 422, "unknown_symbol", "symbol"),
    ({"side": "BUY"}, 400, "wrong_type", "side"),
    ({"type": "stop"}, 400, "wrong_type", "type"),
    ({"time_in_force": "week"}, 400, "wrong_type", "time_in_force"),
    ({"post_only": "yes"}, 400, "wrong_type", "post_only"),
    ({"price": 45000}, 400, "wrong_type", "price"),
    ({"price": 45000.5}, 400, "wrong_type", "price"),
    ({"quantity": 1}, 400, "wrong_type", "quantity"),
    ({"price": None}, 422, "contradiction", "price"),
    ({"price": "45000.001"}, 422, "off_tick", "price"),
    ({"price": "0.00"}, 422, "price_out_of_range", "price"),
    ({"price": "-1.00"}, 422, "price_out_of_range", "price"),
    ({"price": "10995116277.77"}, 422, "price_out_of_range", "price"),
    ({"price": "9" * 30}, 422, "price_out_of_range", "price"),
    ({"price": "9" * 5000}, 422, "price_out_of_range", "price"),
    ({"price": ""}, 422, "bad_decimal", "price"),
    ({"price": "1e3"}, 422, "bad_decimal", "price"),
    ({"price": "NaN"}, 422, "bad_decimal", "price"),
    ({"price": " 1"}, 422, "bad_decimal", "price"),
    ({"price": "1."}, 422, "bad_decimal", "price"),
    ({"price": ".5"}, 422, "bad_decimal", "price"),
    ({"price": "+1"}, 422, "bad_decimal", "price"),
    ({"price": "٣"}, 422, "bad_decimal", "price"),
    ({"price": "1\x00"}, 422, "bad_decimal", "price"),
    ({"quantity": "0.0000"}, 422, "quantity_out_of_range", "quantity"),
    ({"quantity": "-1"}, 422, "quantity_out_of_range", "quantity"),
    ({"quantity": "0.00005"}, 422, "off_lot", "quantity"),
    ({"quantity": ABOVE_EVERY_LIMIT}, 422, "quantity_out_of_range", "quantity"),
    ({"quantity": "1" + "0" * 38}, 422, "quantity_out_of_range", "quantity"),
    ({"quantity": "0." + "0" * 50 + "1"}, 422, "off_lot", "quantity"),
    ({"type": "market"}, 422, "contradiction", "price"),
    ({"type": "market", "price": None, "time_in_force": "gtc"}, 422, "contradiction", None),
    ({"type": "market", "price": None, "post_only": True}, 422, "contradiction", "post_only"),
    ({"time_in_force": "ioc", "post_only": True}, 422, "contradiction", "post_only"),
    ({"client_order_id": ""}, 422, "bad_client_order_id", "client_order_id"),
    ({"client_order_id": "x" * 37}, 422, "bad_client_order_id", "client_order_id"),
    ({"client_order_id": "a\tb"}, 422, "bad_client_order_id", "client_order_id"),
    ({"client_order_id": "a\x00b"}, 422, "bad_client_order_id", "client_order_id"),
    ({"client_order_id": "naïve"}, 422, "bad_client_order_id", "client_order_id"),
    ({"client_order_id": 5}, 400, "wrong_type", "client_order_id"),
]


@pytest.mark.parametrize(("changes", "status", "code", "field"), FIELD_FAULTS)
def test_fields_that_cannot_be_taken(venue, client, changes, status, code, field):
    problem = refused(venue, client, "POST", ORDERS, body(**changes))
    assert (problem["status"], problem["code"]) == (status, code)
    if field is not None:
        assert problem["field"] == field


def test_a_number_for_a_price_is_told_to_be_text(venue, client):
    problem = refused(venue, client, "POST", ORDERS, body(price=45000.01))
    assert "lose" in problem["detail"]
    assert "45000.01" in problem["detail"]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"quantity": "100.0001"}, "quantity_above_max", "quantity"),
        ({"quantity": "99.9999", "price": "59999.00"}, "notional_above_max", "quantity"),
        ({"price": "70000.00"}, "price_collar", "price"),
        ({"quantity": "99.0000", "price": "50000.00"}, "insufficient_balance", "quantity"),
    ],
)
def test_what_the_engine_refuses(venue, client, changes, code, field):
    decided = venue.decided()
    status, problem = client.request("POST", ORDERS, body(**changes))
    assert (status, problem["code"], problem["field"]) == (422, code, field)
    assert problem["number"] == RejectReason[code.upper()]
    assert venue.decided() == decided + 1


def test_a_notional_that_overflows_is_refused():
    largest = str(2**53)
    instrument = {"symbol": "A/B", "base": "A", "quote": "B", "tick": "1", "lot": "1"}
    tables = {
        "assets": [{"name": "A", "decimals": 0}, {"name": "B", "decimals": 0}],
        "instruments": [instrument | {"qty_max": largest, "notional_max": str(2**62)}],
        "accounts": [{"number": 1, "name": "rich", "balances": {"B": str(2**62)}}],
    }
    with running(tables) as venue:
        client = venue.client()
        order = body(symbol="A/B", price=str(2**40), quantity=largest)
        status, problem = client.request("POST", ORDERS, order)
        assert (status, problem["code"], problem["field"]) == (422, "notional_overflow", "quantity")
        assert client.get("/api/v1/book/A/B")[1]["bids"] == []
        assert client.request("POST", ORDERS, order | {"quantity": "1"})[0] == 201
        client.close()


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "field"),
    [
        ("GET", "/api/v1/orders/999999", 404, "unknown_order", "order_id"),
        ("GET", "/api/v1/orders/0", 400, "bad_parameter", "order_id"),
        ("GET", "/api/v1/orders/one", 400, "bad_parameter", "order_id"),
        ("GET", "/api/v1/orders/99999999999999999999", 400, "bad_parameter", "order_id"),
        ("GET", "/api/v1/orders/9223372036854775808", 400, "bad_parameter", "order_id"),
        ("GET", "/api/v1/orders/%D9%A3", 400, "bad_parameter", "order_id"),
        ("GET", "/api/v1/orders/by-client-id/1/unheard-of", 404, "unknown_order", None),
        ("GET", "/api/v1/orders/by-client-id/x/name", 400, "bad_parameter", "account"),
        ("GET", "/api/v1/orders/by-client-id/1/" + "x" * 37, 422, "bad_client_order_id", None),
        ("GET", "/api/v1/orders/by-client-id/1/%00", 422, "bad_client_order_id", None),
        ("GET", "/api/v1/orders/by-client-id/1/%ff", 404, "unknown_order", None),
        ("DELETE", "/api/v1/orders/999999?account=1", 404, "unknown_order", "order_id"),
        ("DELETE", "/api/v1/orders/999999", 400, "bad_parameter", "account"),
        ("DELETE", "/api/v1/orders/1?account=5000", 400, "bad_parameter", "account"),
        ("DELETE", "/api/v1/orders/1?account=77", 422, "unknown_account", "account"),
        ("GET", "/api/v1/orders", 400, "bad_parameter", "account"),
        ("GET", "/api/v1/orders?account=77", 404, "unknown_account", "account"),
        ("GET", "/api/v1/orders?account=1&symbol=X", 404, "unknown_symbol", "symbol"),
        ("GET", "/api/v1/orders?account=1&limit=0", 400, "bad_parameter", "limit"),
        ("GET", "/api/v1/orders?account=1&color=2", 400, "bad_parameter", "color"),
        ("GET", "/api/v1/book/DOGE", 404, "unknown_symbol", "symbol"),
        ("GET", "/api/v1/book/%ff%fe", 404, "unknown_symbol", "symbol"),
        ("GET", "/api/v1/book/BTC/USD?depth=x", 400, "bad_parameter", "depth"),
        ("GET", "/api/v1/book/BTC/USD?depth=1001", 400, "bad_parameter", "depth"),
        ("GET", "/api/v1/trades/BTC/USD?limit=-1", 400, "bad_parameter", "limit"),
        ("GET", "/api/v1/ws", 426, "upgrade_required", None),
        ("GET", "/nothing/here", 404, "unknown_route", None),
        ("GET", "/%2e%2e/%00", 404, "unknown_route", None),
    ],
)
def test_paths_and_queries(venue, client, method, path, status, code, field):
    problem = refused(venue, client, method, path)
    assert (problem["status"], problem["code"]) == (status, code)
    if field is not None:
        assert problem["field"] == field


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", ORDERS, "DELETE, GET, POST"),
        ("POST", "/api/v1/orders/1", "DELETE, GET, PATCH"),
        ("DELETE", "/ready", "GET"),
        ("OPTIONS", "/api/v1/instruments", "GET"),
    ],
)
def test_methods_that_a_path_does_not_have(venue, client, method, path, allowed):
    decided = venue.decided()
    status, problem = client.request(method, path)
    assert (status, problem["code"]) == (405, "method_not_allowed")
    assert client.headers["Allow"] == allowed
    assert venue.decided() == decided


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": ""},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_bodies_that_are_declared_to_be_no_json(venue, client, headers):
    problem = refused(venue, client, "POST", ORDERS, body(), headers)
    assert (problem["status"], problem["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("sent", "code", "field"),
    [
        ({"account": 1}, "contradiction", None),
        ({"price": "1.00"}, "missing_field", "account"),
        ({"account": 1, "price": "1.001"}, "off_tick", "price"),
        ({"account": 1, "quantity": "0"}, "quantity_out_of_range", "quantity"),
        ({"account": 1, "quantity": 2}, "wrong_type", "quantity"),
        ({"account": 1, "side": "sell"}, "unknown_field", "side"),
        ({"account": 2, "price": "45000.00"}, "unknown_order", "order_id"),
    ],
)
def test_amendments(venue, client, sent, code, field):
    order = client.post()[1]["order_id"]
    problem = refused(venue, client, "PATCH", f"{ORDERS}/{order}", sent)
    assert problem["code"] == code
    assert problem.get("field") == field
    assert client.get(f"{ORDERS}/{order}")[1]["quantity"] == "1.0000"
    client.cancel(order)


def test_somebody_elses_order_cannot_be_canceled(venue, client):
    order = client.post()[1]["order_id"]
    problem = refused(venue, client, "DELETE", f"{ORDERS}/{order}?account=2")
    assert problem["code"] == "unknown_order"
    assert client.cancel(order)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:8080"},
        {"Host": "[::1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_pages_of_other_sites_cannot_trade(venue, client, headers):
    problem = refused(venue, client, "POST", ORDERS, body(), headers)
    assert (problem["status"], problem["code"]) == (403, "forbidden")


def test_a_page_of_the_gateway_itself_can_trade(venue, client):
    headers = {"Origin": f"http://{venue.address}"}
    assert client.request("POST", ORDERS, body(quantity="0.0001"), headers)[0] == 201


def test_a_body_that_does_not_say_its_length_is_bounded(venue, client):
    """Sent in chunks; the connection may be closed after the answer."""
    decided = venue.decided()
    host, _, port = venue.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(
            b"POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
        for _ in range(5):
            raw.sendall(chunk)
        assert raw.recv(4096).startswith(b"HTTP/1.1 413 ")
    assert venue.decided() == decided


@pytest.mark.parametrize(
    "raw_request",
    [
        b"nonsense\r\n\r\n",
        b"BREW /api/v1/orders HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_bad_request(venue, client, raw_request):
    host, _, port = venue.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(raw_request)
        assert raw.recv(4096).startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert client.get("/health")[0] == 200


@pytest.mark.parametrize("sent", [b"5\r\nabc", b"zz\r\n", b"1;" + b"x" * 20_000])
def test_a_body_that_breaks_off_does_no_harm(venue, client, sent):
    decided = venue.decided()
    host, _, port = venue.address.rpartition(":")
    for _ in range(3):
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            raw.sendall(
                b"POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            raw.sendall(sent)
    assert client.post(quantity="0.0001")[0] == 201
    assert venue.decided() == decided + 1
    assert 'okimi_gateway_requests_total{status="500"}' not in client.get("/metrics")[1]


def leaves(kind):
    for each in kind.__subclasses__():
        yield from leaves(each) or ()
        if each.number:
            yield each


def test_numbers_and_codes_of_the_gateways_errors_are_unique():
    found = {}
    for error in leaves(GatewayError):
        assert 100 < error.number < 200
        assert 400 <= error.status < 600
        named = found.setdefault(error.number, error.code)
        assert named == error.code
    assert len(set(found.values())) == len(found)


ENDINGS = {
    "NONE",
    "IOC_REMAINDER",
    "FOK_UNFILLABLE",
    "CANCELED_BY_CLIENT",
    "REDUCED_TO_FILLED",
    "SELF_TRADE",
    "MINIMUM_UNFILLABLE",
    "LIST_DONE",
    "TOO_MANY_WAITING",
    "AUCTION_OVER",
    "DAY_OVER",
    "MASS_CANCELED",
    "DELISTED",
    "VOLATILITY",
}
"""Reasons for which an order ends that was accepted; they refuse nothing."""


def test_every_reason_to_refuse_has_a_text():
    for reason in RejectReason:
        if reason.name not in ENDINGS:
            problem = EngineRefusal(reason).document()
            assert problem["code"] == reason.name.lower()
            assert problem["number"] == reason
            assert 400 <= problem["status"] < 500
