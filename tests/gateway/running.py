"""A venue with a gateway in forked processes, and a client that speaks plain HTTP to it."""

import http.client
import json
import os
import signal
import time
import uuid
from contextlib import contextmanager

from engine.config import Config, load
from engine.topology import GATEWAY
from engine.warmup import warmups
from gateway.health import examine
from tools.supervisor import Supervisor

PATIENCE_S = 30.0
"""How long a test waits for what must happen; reached only when something is broken."""

OVERRIDES = {"gateway.http": "127.0.0.1:0", "venue.layout": "compact", "venue.tick_ms": 0}
"""Without a clock of its own the venue does what the test sends, and nothing else."""


class Client:
    """One keep-alive connection; methods return (status, decoded body)."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
        self.headers = {}

    def request(self, method, path, body=None, headers=None):
        """The body is JSON unless it is bytes."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if body is not None else {}
        self.connection.request(method, path, body, sent | (headers or {}))
        answer = self.connection.getresponse()
        raw = answer.read()
        self.headers = dict(answer.headers)
        if "json" in answer.headers.get("Content-Type", ""):
            return answer.status, json.loads(raw)
        return answer.status, raw.decode()

    def get(self, path):
        return self.request("GET", path)

    def post(self, **order):
        """POST an order; account 1 buys one BTC at 40000 unless told otherwise."""
        fields = limit_order() | order
        return self.request("POST", "/api/v1/orders", dropped(fields))

    def cancel(self, order_id, account=1):
        return self.request("DELETE", f"/api/v1/orders/{order_id}?account={account}")

    def amend(self, order_id, **fields):
        return self.request("PATCH", f"/api/v1/orders/{order_id}", {"account": 1} | fields)

    def close(self):
        self.connection.close()


def limit_order():
    return {
        "account": 1,
        "symbol": "BTC/USD",
        "side": "buy",
        "type": "limit",
        "price": "45000.00",
        "quantity": "1.0000",
    }


def dropped(fields):
    """Without the fields that are None."""
    return {name: value for name, value in fields.items() if value is not None}


class Venue:
    """A running venue as a test sees it."""

    def __init__(self, supervisor):
        self.supervisor = supervisor
        self.memory = supervisor.venue
        self.address = supervisor.venue.counters.http.get()
        self.url = f"http://{self.address}"

    def client(self):
        return Client(self.address)

    def pid(self, process):
        return self.memory.entry(process).pid

    def decided(self):
        """Commands that have gone all the way through the engine."""
        return self.memory.matching[0].decided


@contextmanager
def running(tables=None, clients=(GATEWAY,), **overrides):
    """A venue that is gone afterwards, whatever happens.

    `tables` replace the shipped configuration; `overrides` are single keys: gateway__http="...".
    """
    settings = (
        OVERRIDES
        | {"venue.durability": "memory"}
        | {key.replace("__", "."): value for key, value in overrides.items()}
    )
    settings.setdefault("venue.name", f"test-{uuid.uuid4().hex[:12]}")
    if tables is None:
        config = load(overrides=settings)
    else:
        sections = {}
        for path, value in settings.items():
            section, _, key = path.partition(".")
            sections.setdefault(section, {})[key] = value
        config = Config.build(**sections, **tables)
    for _, compile_one in warmups(config):
        compile_one()
    supervisor = Supervisor(config, clients)
    try:
        supervisor.start()
        yield Venue(supervisor)
    finally:
        for pid in supervisor.children.living:  # a stopped process could not end
            os.kill(pid, signal.SIGCONT)
        supervisor.stop()
        os.close(supervisor.venue.entry("gateway").bell.descriptor)
        supervisor.venue.close()


def eventually(condition):
    """Wait until `condition` holds; its last value."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    return condition()


def ready(venue):
    return examine(venue.memory).ready
