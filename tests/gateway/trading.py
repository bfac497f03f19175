"""A venue for tests of money over HTTP: fees, margin, limits, an insurance and a fee account."""

from decimal import Decimal

FUNDS = "/api/v1/admin/funds"

ALICE, BOB, FEES, INSURANCE, MAX, MIA = 1, 2, 3, 4, 5, 6
"""Cash accounts, and two on margin."""

TABLES = {
    "assets": [
        {"name": "USD", "decimals": 2},
        {"name": "BTC", "decimals": 8},
        {"name": "ETH", "decimals": 8},
    ],
    "instruments": [
        {
            "symbol": "BTC/USD",
            "base": "BTC",
            "quote": "USD",
            "tick": "0.01",
            "lot": "0.0001",
            "qty_max": "100",
            "notional_max": "10000000",
            "reference_price": "50000.00",
            "fees": [{"maker": "-0.0001", "taker": "0.0005"}, {"maker": "0", "taker": "0.0003"}],
            "initial_margin": "0.1",
            "maintenance_margin": "0.05",
        },
        {
            "symbol": "ETH/USD",
            "base": "ETH",
            "quote": "USD",
            "tick": "0.01",
            "lot": "0.001",
            "qty_max": "1000",
            "notional_max": "10000000",
            "fees": [{"maker": "0.001", "taker": "0.002"}],
            "fee_asset": "received",
            "initial_margin": "0.2",
            "maintenance_margin": "0.1",
            "mark": "external",
        },
    ],
    "accounts": [
        {"number": ALICE, "name": "alice", "balances": {"USD": "1000000", "BTC": "10", "ETH": "9"}},
        {"number": BOB, "name": "bob", "balances": {"USD": "1000000", "BTC": "10", "ETH": "90"}},
        {"number": FEES, "name": "fees", "balances": {"USD": "1000"}},
        {"number": INSURANCE, "name": "insurance", "balances": {"USD": "50000"}},
        {"number": MAX, "name": "max", "balances": {"USD": "10000"}, "kind": "margin"},
        {"number": MIA, "name": "mia", "balances": {"USD": "10000"}, "kind": "margin", "tier": 1},
    ],
}

RISK = {"risk__fee_account": FEES, "risk__insurance_account": INSURANCE}
"""Overrides of the venue, for `running`."""

USUAL = {"symbol": "BTC/USD", "price": "50000.00", "quantity": "0.1000"}


def balance(client, account, asset):
    """One balance of an account, or nothing."""
    shown = client.get(f"/api/v1/accounts/{account}")[1]["balances"]
    return next((each for each in shown if each["asset"] == asset), None)


def position(client, account, symbol="BTC/USD"):
    """One position of an account, or nothing."""
    shown = client.get(f"/api/v1/accounts/{account}")[1]["positions"]
    return next((each for each in shown if each["symbol"] == symbol), None)


def place(client, account, side, **changes):
    """An order that must be accepted."""
    status, document = client.post(account=account, side=side, **(USUAL | changes))
    assert status == 201, document
    return document


def trade(client, buyer, seller, **changes):
    """The buyer rests, the seller takes all of it; both orders as they are then."""
    maker = place(client, buyer, "buy", **changes)
    taker = place(client, seller, "sell", **changes)
    assert taker["status"] == "filled"
    return client.get(f"/api/v1/orders/{maker['order_id']}")[1], taker


def rule(client, **table):
    """Set a rule, which must be possible."""
    status, document = client.request("POST", "/api/v1/admin/rules", table)
    assert (status, document) == (200, table)


def value_all(client):
    """Have every position valued at the marks of now: that takes a round, or one TICK."""
    assert client.request("POST", "/api/v1/admin/tick", {"at": 1})[0] == 200


def book(client, operation, amount, account=ALICE, asset="USD", **fields):
    """Ask for a booking; status and reply."""
    body = {"account": account, "asset": asset, "operation": operation, "amount": amount}
    return client.request("POST", FUNDS, body | fields)


def owned(client, account, asset="USD"):
    """What an account owns; nothing is 0."""
    held = balance(client, account, asset)
    return Decimal(held["total"]) if held else Decimal(0)
