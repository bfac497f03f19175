"""The engine's risk stage and its naive twin: the same verdicts, and the same money at the end."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.desk import Stream
from tests.engines import Engine, engine_for, heard
from tests.streams import ALL, streams, tight_markets
from tools.twin import Audit, Risk
from tools.twin.market import Market

pytestmark = pytest.mark.timeout(600)
"""A failing example is made smaller for up to five minutes before it is shown."""

PATIENT = settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def assert_same_money(engine: Engine, market: Market, risk: Risk) -> None:
    for account, owned in risk.balances.items():
        for asset, balance in owned.items():
            assert engine.balance(account, asset) == balance, (account, asset)
    for asset in range(len(market.instruments) + 1):
        total = sum(owned.get(asset, 0) for owned in market.balances.values())
        balances = [engine.balance(account, asset) for account in market.accounts]
        assert sum(b.available + b.reserved for b in balances) == total, f"asset {asset}"


@PATIENT
@given(streams(tight_markets()))
def test_risk_agrees_with_its_twin(stream: Stream) -> None:
    with engine_for(stream.market) as engine:
        assert engine.run_one_by_one(stream.commands) == stream.events
        venue = stream.market.venue()
        venue.run(stream.commands)
        assert_same_money(engine, stream.market, venue.risk)


@PATIENT
@given(streams(tight_markets(), acts=ALL))
def test_they_agree_on_all_that_can_be_sent(stream: Stream) -> None:
    with engine_for(stream.market) as engine:
        assert engine.run_one_by_one(stream.commands) == stream.events
        venue = stream.market.venue()
        venue.run(stream.commands)
        assert_same_money(engine, stream.market, venue.risk)


@PATIENT
@given(streams(tight_markets(), acts=ALL))
def test_decisions_follow_from_what_risk_had_seen(stream: Stream) -> None:
    """Risk lags behind matching here; every decision says how far, and can be derived again."""
    with engine_for(stream.market) as engine:
        events = engine.run(stream.commands)
        decisions = engine.decisions()
    venue = stream.market.venue()
    for command, decision in zip(stream.commands, decisions, strict=True):
        for event in events[venue.risk.applied : decision.ev_wm]:
            venue.risk.apply(event)
        assert heard(venue.risk.decide(venue.ingest.sequence(command))) == decision
    for event in events[venue.risk.applied :]:
        venue.risk.apply(event)
    assert [event for each in decisions for event in venue.exchange.decide(each)] == events
    audit = Audit()
    audit.apply(events)
    audit.check_finished()
