"""Clients that trade over HTTP and keep their own record of what they were told."""

import http.client
import json
import random
import threading
import time
import uuid
from contextlib import contextmanager

RETRY_SECONDS = 0.02
PATIENCE_SECONDS = 60.0
"""How long a client tries to place one order; reached only when a venue does not come back."""

OFTEN = 0.005
"""Pause between two orders of one client: what is tested is not how fast it is."""


class Trader(threading.Thread):
    """Places orders of an account around one price, one after the other, until it is told to end.

    An order that has no answer is sent again with the same client order id, until it has one.
    """

    def __init__(self, address, account, side, seed):
        super().__init__(daemon=True)
        self.address, self.account, self.side = address, account, side
        self.random = random.Random(seed)
        self.told = {}
        "The order as it was told first, by client order id."
        self.retries = 0
        self.ended = threading.Event()
        self.failure = None
        self._connection = None

    def run(self):
        try:
            while not self.ended.is_set():
                self.place()
                time.sleep(OFTEN)
        except Exception as error:
            self.failure = error

    def end(self):
        self.ended.set()
        self.join(PATIENCE_SECONDS)
        assert not self.is_alive()
        if self.failure is not None:
            raise self.failure

    def place(self):
        """Place one order; returns when it is known to be in the books, or traded."""
        name = uuid.uuid4().hex
        order = self._order(name)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = self.try_once(order)
            if found is not None:
                break
            assert time.monotonic() < deadline, f"no answer for {name}"
            self.retries += 1
            time.sleep(RETRY_SECONDS)
        assert found["client_order_id"] == name
        self.told[name] = found

    def _order(self, name):
        return {
            "account": self.account,
            "symbol": "BTC/USD",
            "side": self.side,
            "type": "limit",
            "price": f"{45_000 + self.random.randrange(-20, 21)}.00",
            "quantity": f"0.000{self.random.randrange(1, 10)}",
            "client_order_id": name,
        }

    def try_once(self, order):
        """The order as it was accepted, now or before; None when there was no answer."""
        try:
            status, answer = self.request("POST", "/api/v1/orders", order)
        except (OSError, http.client.HTTPException):
            return None
        if status == 201:
            return answer
        if status == 409:
            assert answer["code"] == "duplicate_client_order_id", answer
            return answer["order"]
        assert status in (503, 504), (status, answer)
        return None

    def request(self, method, path, body=None):
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            data = None if body is None else json.dumps(body)
            self._connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read())
        except BaseException:
            self.hang_up()
            raise

    def move(self, address):
        """Go on with a venue that has been started again."""
        self.hang_up()
        self.address = address

    def hang_up(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def check(self):
        """What was told is still so; returns how much of all orders has traded, in lots."""
        traded = 0
        for name, first in self.told.items():
            status, found = self.request("GET", f"/api/v1/orders/{first['order_id']}")
            assert status == 200, (first, found)
            for field in ("client_order_id", "account", "side", "price", "quantity", "created_us"):
                assert found[field] == first[field], (first, found)
            assert lots(found) >= lots(first), "a fill that was told is gone"
            assert found["client_order_id"] == name
            traded += lots(found)
        return traded

    def check_retry(self):
        """The newest order, sent again, is the same order and nothing new."""
        first = list(self.told.values())[-1]
        again = {key: first[key] for key in ("account", "symbol", "side", "type", "price")}
        again |= {"quantity": first["quantity"], "client_order_id": first["client_order_id"]}
        status, answer = self.request("POST", "/api/v1/orders", again)
        assert status == 409, answer
        assert answer["order"]["order_id"] == first["order_id"]


def lots(order):
    """What has traded of an order, in its smallest unit."""
    return round(float(order["filled_quantity"]) * 10_000)


@contextmanager
def crowd(address):
    """Traders of both sides, at work; their connections are closed at the end."""
    made = [Trader(address, account, side, account) for account, side in ((1, "buy"), (2, "sell"))]
    try:
        for trader in made:
            trader.start()
        yield made
    finally:
        for trader in made:
            trader.ended.set()
        for trader in made:
            trader.join(PATIENCE_SECONDS)
            trader.hang_up()
