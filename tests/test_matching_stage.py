"""The matching stage alone, fed with decisions: what a whole venue cannot show in short runs.

Order ids that collide in the id map, a small pool of price chunks, a reader of events that is
slow, batches of every size. The events must be the twin's, whatever the circumstances.
"""

from random import Random

import pytest

from engine.limits import CHECKPOINT_INTERVAL
from engine.messages import EventKind, RejectReason
from ipc.counters import Checkpoint, read_checkpoint
from tests.bulk_streams import CALM, DEEP, WIDE, Habits, bulk
from tests.lone_stage import Stage, decisions_of, renamed, run
from tools.twin import Decision, Event, Exchange


@pytest.mark.parametrize(
    ("seed", "habits", "chunks_max"),
    [(1, CALM, 8_000), (2, DEEP, 8_000), (3, WIDE, 40), (4, WIDE, 5)],
)
def test_the_stage_agrees_with_its_twin(seed: int, habits: Habits, chunks_max: int) -> None:
    stream = bulk(seed, 4_000, habits, 2)
    decisions = [renamed(each) for each in decisions_of(stream.market, stream.commands)]
    exchange = Exchange(stream.market.instruments, chunks_max=chunks_max)
    expected = [event for decision in decisions for event in exchange.decide(decision)]
    full = sum(event.reason == RejectReason.BOOK_FULL for event in expected)
    assert (full > 0) == (chunks_max < 100), "the pool of chunks is exhausted, or it is not"
    stage = Stage(chunks_max)
    try:
        events = run(stage, decisions, Random(seed))
        blocked = stage.ports.telemetry.statistics.blocked
    finally:
        stage.release()
    for mine, theirs in zip(events, expected, strict=False):
        assert mine == theirs
    assert len(events) == len(expected)
    assert blocked > 0, "the event ring was never full"


BEFORE = 30
"""Commands up to the checkpoint of `to_checkpoint`."""


def to_checkpoint(decisions: list[Decision], seed: int) -> tuple[list[Event], Checkpoint | None]:
    """The events of a stage that begins BEFORE commands ahead of a checkpoint; what it tells."""
    stage = Stage(8_000)
    stage.state.commands = CHECKPOINT_INTERVAL - BEFORE
    try:
        events = run(stage, decisions, Random(seed))
        told = read_checkpoint(stage.ports.telemetry.statistics)
    finally:
        stage.release()
    return events, told


def test_a_checkpoint_is_an_event_and_told_to_tools() -> None:
    stream = bulk(5, 60, DEEP, 2)
    decisions = decisions_of(stream.market, stream.commands)
    events, told = to_checkpoint(decisions[: BEFORE - 1], seed=1)
    assert told is None
    before = len(events)
    events, told = to_checkpoint(decisions, seed=1)
    (place,) = (at for at, event in enumerate(events) if event.kind == EventKind.CHECKPOINT)
    event = events[place]
    dseqs = [each.dseq for each in events]
    assert set(dseqs[before:place]) == {decisions[BEFORE - 1].sequence}, "it follows its command"
    assert dseqs[place + 1] == decisions[BEFORE].sequence, "and comes before the next one"
    assert [each.sequence for each in events] == list(range(1, len(events) + 1))
    assert told == Checkpoint(event.dseq, event.state_hash % 2**64)
    assert told.sequence == decisions[BEFORE - 1].sequence
    assert to_checkpoint(decisions, seed=2)[1] == told, "batches have no say"
    assert to_checkpoint(decisions[:BEFORE], seed=1)[1] == told, "later commands have none"
    changed = [decisions[0]._replace(price_ticks=decisions[0].price_ticks + 1), *decisions[1:]]
    other = to_checkpoint(changed, seed=1)[1]
    assert other is not None
    assert other.sequence == told.sequence
    assert other.hash != told.hash
