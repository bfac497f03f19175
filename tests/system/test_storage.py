"""The disk of a venue that serves fails: the venue stops, and what was told is true afterwards."""

import pytest

from tests.system.commandline import wait_until
from tests.system.trading import crowd

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


def test_a_sync_that_fails_stops_the_venue_and_costs_nothing_that_was_told(
    venues, tracer, tmp_path
):
    options = ("--durability", "durable", "--data-dir", str(tmp_path / "data"))
    venue = venues(*options).wait_ready()
    with crowd(venue.http) as traders:
        assert wait_until(lambda: len(traders[0].told) > 20)
        tracer.inject(venue.pids()["journal"], "fdatasync:error=EIO:when=1")
        assert venue.process.wait(60) == 1
        told = venue.process.stderr.read()
        assert "Input/output error" in told
        assert "okimi journal verify" in told, "what the operator does next"
        assert venue.segments() == []
        before = [len(trader.told) for trader in traders]
        again = venues(*options, name=venue.name).wait_ready()
        for trader in traders:  # they send again what had no answer
            trader.address = again.http
        assert wait_until(
            lambda: all(len(t.told) > n for t, n in zip(traders, before, strict=True))
        )
        for trader in traders:
            trader.end()
        bought, sold = (trader.check() for trader in traders)
        assert bought == sold > 0
