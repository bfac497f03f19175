"""A record that kills whoever executes it: skipped after two deaths, and the venue lives."""

import os
import signal
import time
import uuid

import pytest
from rich.console import Console

from engine.config import load
from ipc import segment
from tests.gateway.running import Client
from tests.system.commandline import wait_until
from tests.system.poison import KILLS_INGEST, KILLS_MATCHING, KILLS_RISK, poison
from tools.run import compile_kernels, supervise
from tools.sample import take
from tools.supervisor import StopRequest

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


KILLING = {"ingest": KILLS_INGEST, "risk": KILLS_RISK, "matching": KILLS_MATCHING}


class Drill:
    """A venue whose stages can be killed by an order; its supervisor is a child of the test."""

    def __init__(self, folder, layout):
        self.name = f"test-{uuid.uuid4().hex[:12]}"
        overrides = {
            "venue.name": self.name,
            "venue.layout": layout,
            "venue.durability": "durable",
            "durability.data_dir": str(folder / "data"),
            "durability.segment_mb": 4,
            "gateway.http": "127.0.0.1:0",
        }
        self.config = load(overrides=overrides)
        self.supervisor = 0

    def start(self):
        self.supervisor = os.fork()
        if self.supervisor == 0:
            code = 9
            try:
                code = self._serve()
            finally:
                os._exit(code)
        assert wait_until(self.is_ready, seconds=300)
        return Client(take(self.name).http)

    def _serve(self):
        compile_kernels(self.config, ("gateway",), Console(stderr=True))
        poison()
        asked = StopRequest()
        asked.install()
        supervisor = supervise(self.config, ("gateway",))
        try:
            supervisor.start(asked)
            supervisor.serve(asked, print)
        finally:
            supervisor.stop()
        return 1 if supervisor.failure else 0

    def is_ready(self):
        try:
            return take(self.name).ready
        except Exception:
            return False

    def crash(self):
        """All processes at once, as when the machine stops."""
        os.kill(self.supervisor, signal.SIGKILL)
        os.waitpid(self.supervisor, 0)
        time.sleep(0.2)  # until its children have been killed for it

    def end(self):
        os.kill(self.supervisor, signal.SIGTERM)
        _, status = os.waitpid(self.supervisor, 0)
        return os.waitstatus_to_exitcode(status)


@pytest.fixture
def drill(tmp_path):
    made = []

    def begin(layout):
        made.append(Drill(tmp_path, layout))
        return made[-1]

    yield begin
    for each in made:
        for name in segment.names(f"okimi.{each.name}."):
            segment.unlink(name)


def order(lots, **fields):
    name = uuid.uuid4().hex
    quantity = f"{lots // 10_000}.{lots % 10_000:04d}"
    return {"quantity": quantity, "price": "45000.00", "client_order_id": name} | fields


def send(client, fields):
    """Until there is an answer: stages die of this order."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        status, answer = client.post(**fields)
        if status not in (503, 504):
            return status, answer
        time.sleep(0.1)
    raise AssertionError(answer)


@pytest.mark.parametrize("layout", ["spread", "compact"])
def test_what_kills_twice_is_skipped_and_the_venue_lives(drill, layout):
    venue = drill(layout)
    client = venue.start()
    assert client.post(**order(10))[0] == 201
    for stage, lots in KILLING.items():
        status, answer = send(client, order(lots))
        assert (status, answer["code"]) == (422, f"skipped_by_{stage}")
        assert wait_until(venue.is_ready, seconds=60)
    # Matching's is the venue's: the instrument is halted, the others trade.
    status, answer = client.post(**order(10))
    assert (status, answer["code"]) == (409, "phase_forbids")
    assert client.post(**order(10, symbol="ETH/USD", price="3000.00"))[0] == 201
    client.close()
    # The journal knows: whoever begins from it skips the record, too.
    venue.crash()
    client = venue.start()
    status, answer = client.post(**order(10))
    assert (status, answer["code"]) == (409, "phase_forbids")
    assert client.post(**order(10, symbol="ETH/USD", price="3000.00"))[0] == 201
    assert all(process.epoch == 1 for process in take(venue.name).processes)
    client.close()
    assert venue.end() == 0
