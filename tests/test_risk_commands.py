"""Commands around accounts and risk on their way through matching, and the best prices it tells.

What risk makes of them is another matter: here the naive risk stage decides, and matching must say
of each of its decisions what the naive exchange says.
"""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from engine.limits import INSTRUMENTS_MAX, LOOK_MAX
from engine.messages import CommandFlag, CommandKind, EventFlag, EventKind, Instruction, Side
from engine.reference import TERM_NUMBERS
from ipc.jit import INTERPRETED
from tests.acts_of_risk import OF_RISK
from tests.bulk_streams import EVERYTHING, bulk
from tests.decision_bench import Bench
from tests.lone_stage import Stage, decisions_of, run
from tools.twin import Audit, ChangeEvent, Decision, Event, Exchange, Instrument

FUNDED = (EventKind.FUNDED, EventKind.RULED, EventKind.MARKED)
HABITS = replace(EVERYTHING, acts={**EVERYTHING.acts, **dict.fromkeys(OF_RISK, 2.0)})


def agreed(
    decisions: list[Decision], instruments: tuple[Instrument, ...], seed: int
) -> list[Event]:
    """The events of stage and exchange, which are the same."""
    exchange = Exchange(instruments)
    expected = [event for decision in decisions for event in exchange.decide(decision)]
    stage = Stage(1 << 12, instruments=instruments)
    try:
        events = run(stage, decisions, Random(seed))
    finally:
        stage.release()
    for mine, theirs in zip(events, expected, strict=False):
        assert mine == theirs
    assert len(events) == len(expected)
    return events


@pytest.mark.parametrize("seed", [80, 81])
def test_the_stage_says_of_all_decisions_what_its_twin_says(seed: int) -> None:
    stream = bulk(seed, 2_000 if INTERPRETED else 8_000, HABITS, 3)
    decisions = decisions_of(stream.market, stream.commands)
    events = agreed(decisions, stream.market.instruments, seed)
    audit = Audit()
    audit.apply(events)
    audit.check_finished()
    kinds = Counter(EventKind(event.kind) for event in events)
    assert all(kinds[kind] > 3 for kind in (*FUNDED, EventKind.CHECKED, EventKind.ADMIN_REJECTED))
    asked = {each.dseq for each in events if each.kind == EventKind.CHECKED}
    refused = [
        event
        for event in events
        if event.kind == EventKind.REJECTED and event.flags & EventFlag.REDUCE_ONLY
    ]
    assert asked
    assert refused
    by_number = {decision.sequence: decision for decision in decisions}
    for event in events:
        if event.kind in FUNDED:
            assert isinstance(event, ChangeEvent)
            cause = by_number[event.dseq]
            for name in ("account", "instrument", "order_id", "side", "order_type", "qty_lots"):
                assert getattr(event, name) == getattr(cause, name)
            assert event.price_ticks == cause.price_ticks
            assert event.flags == EventFlag.LAST


@pytest.mark.parametrize("kind", [CommandKind.FUNDS, CommandKind.RULE, CommandKind.MARK])
@pytest.mark.parametrize("instrument", [0, 3, INSTRUMENTS_MAX, (1 << 32) - 1])
def test_what_is_refused_is_repeated_whatever_it_names(kind: int, instrument: int) -> None:
    fields = {"account": 7, "instrument": instrument, "order_id": -5, "side": 2, "order_type": 4}
    fields |= {"price_ticks": -(1 << 63), "qty_lots": (1 << 63) - 1, "reason": 217}
    (event,) = agreed([Decision(1, kind, **fields)], (Instrument(),), 1)
    assert event.kind == EventKind.ADMIN_REJECTED
    assert {name: getattr(event, name) for name in fields} == fields


@pytest.mark.parametrize("levels", [1, LOOK_MAX - 1, LOOK_MAX])
def test_the_best_price_is_looked_for_among_so_many_levels(levels: int) -> None:
    """Hidden orders stand before it."""
    script: list[Decision] = []
    order = {"order_type": 1, "time_in_force": 1, "side": int(Side.BUY), "qty_lots": 1}
    hidden = {"flags": int(CommandFlag.TERMS), "instructions": int(Instruction.HIDDEN)}
    for price in range(levels):
        fields = order | hidden | {"price_ticks": 10 + price}
        script.append(Decision(price + 1, CommandKind.NEW, order_id=price + 1, **fields))
    fields = {"order_id": TERM_NUMBERS["tell_top"], "qty_lots": 1}
    script.append(Decision(levels + 1, CommandKind.INSTRUMENT, **fields))
    fields = order | {"price_ticks": 9, "order_id": levels + 1}
    script.append(Decision(levels + 2, CommandKind.NEW, **fields))
    events = agreed(script, (Instrument(),), 1)
    told = [event.price_ticks for event in events if event.kind == EventKind.TOP]
    assert told == ([9] if levels < LOOK_MAX else [])


def test_the_audit_finds_a_top_that_is_missing_or_wrong() -> None:
    number = TERM_NUMBERS["tell_top"]
    bench = Bench()
    bench.send(CommandKind.INSTRUMENT, order_id=number, qty_lots=1)
    events = bench.new(1, Side.BUY, 10, 5)
    assert [event.kind for event in events] == [EventKind.ACCEPTED, EventKind.TOP]
    for change in ({"price_ticks": 9}, {"qty_lots": 0}, {"leaves_lots": 1}):
        audit = Audit()
        other = Bench()
        audit.apply(other.send(CommandKind.INSTRUMENT, order_id=number, qty_lots=1))
        accepted, top = other.new(1, Side.BUY, 10, 5)
        with pytest.raises(AssertionError, match="was not told"):
            audit.apply([accepted, top._replace(**change)])
