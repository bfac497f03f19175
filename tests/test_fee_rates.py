"""The fees that risk writes into decisions, on their way through matching into trades.

Risk gives each decision the rates of its moment; here they are thrown in at random, so that every
place that keeps one is seen to keep the right one.
"""

from random import Random

import pytest

from engine.messages import EventFlag, EventKind
from tests.bulk_streams import EVERYTHING, bulk
from tests.lone_stage import Stage, decisions_of, run
from tools.twin import Decision, Exchange, TradeEvent

RATES = (0, 1, -1, 250, -100, 32_767, -32_767)


def with_rates(decisions: list[Decision], seed: int) -> list[Decision]:
    chance = Random(seed)
    return [
        each._replace(maker_rate=chance.choice(RATES), taker_rate=chance.choice(RATES))
        for each in decisions
    ]


@pytest.mark.parametrize("seed", [90, 91])
def test_the_stage_and_its_twin_charge_the_same(seed: int) -> None:
    stream = bulk(seed, 3_000, EVERYTHING, 2)
    decisions = with_rates(decisions_of(stream.market, stream.commands), seed)
    exchange = Exchange(stream.market.instruments)
    expected = [event for decision in decisions for event in exchange.decide(decision)]
    stage = Stage(1 << 10, instruments=stream.market.instruments)
    try:
        events = run(stage, decisions, Random(seed))
    finally:
        stage.release()
    assert len(events) == len(expected)
    for mine, theirs in zip(events, expected, strict=True):
        assert mine == theirs
    trades = [event for event in events if isinstance(event, TradeEvent)]
    for auction in (0, EventFlag.AUCTION):
        made = [each for each in trades if each.flags & EventFlag.AUCTION == auction]
        for rates in zip(*((each.fee_rate, each.maker_fee_rate) for each in made), strict=True):
            assert min(rates) < 0 < max(rates)
    free = [each for each in trades if each.kind == EventKind.PREVENTED]
    assert free
    assert {(each.fee_rate, each.maker_fee_rate) for each in free} == {(0, 0)}
