"""A standby takes the place of a venue, and nothing that was told is lost."""

import json
import os
import signal
import urllib.request

import pytest

from tests.system.commandline import gone, last_json, run_okimi, wait_until
from tools.sample import take

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


def call(http, path, document=None):
    """The document that a venue answers with."""
    body = None if document is None else json.dumps(document).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"http://{http}/api/v1{path}", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def buy(http, name):
    return call(
        http,
        "/orders",
        {
            "account": 1,
            "symbol": "BTC/USD",
            "side": "buy",
            "type": "limit",
            "price": "49000.00",
            "quantity": "0.001",
            "client_order_id": name,
        },
    )


def line(venue, begins):
    """The rest of the next line that a venue prints."""
    found = venue.process.stdout.readline()
    assert found.startswith(begins), found + venue.process.stderr.read()
    return found.removeprefix(begins).strip()


def processes(name):
    """Those of a venue, its supervisor first."""
    found = take(name)
    return [found.supervisor_pid, *(each.pid for each in found.processes)]


def test_a_venue_goes_on_in_its_standby_and_in_that_ones(venues, tmp_path):
    options = ("--durability", "durable", "--data-dir", str(tmp_path / "data"))
    first = venues(*options)
    first.wait_ready()
    told = [buy(first.http, f"first-{index}") for index in range(5)]
    standby = venues(*options, "--standby", name=first.name)
    assert int(line(standby, "standby dseq=")) >= 0

    refused = run_okimi("promote", "--name", first.name, *options[2:], "--json")
    assert refused.returncode == 1
    assert "is ready and serves" in refused.stderr

    told.append(buy(first.http, "last"))
    pids = processes(first.name)
    os.kill(first.process.pid, signal.SIGKILL)
    standby.http = line(standby, "ready http=")
    assert all(map(gone, pids))
    for order in told:
        assert call(standby.http, f"/orders/{order['order_id']}") == order
    told.append(buy(standby.http, "second"))
    assert told[-1]["order_id"] == told[-2]["order_id"] + 1

    third = venues(*options, "--standby", name=first.name)
    line(third, "standby dseq=")
    pids = processes(first.name)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    promoted = run_okimi("promote", "--name", first.name, *options[2:], "--json")
    assert promoted.returncode == 0, promoted.stderr
    done = last_json(promoted)
    third.http = line(third, "ready http=")
    assert done["http"] == third.http
    assert done["standby"] == third.process.pid
    assert set(done["killed"]) <= set(pids)
    assert all(map(gone, pids))
    for order in told:
        assert call(third.http, f"/orders/{order['order_id']}") == order
    assert wait_until(lambda: take(first.name).ready)
