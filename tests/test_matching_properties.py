"""The engine and its naive twin, given the same commands, answer with the same events.

Nobody runs out of money here, so that all that happens is ingest's and matching's doing and does
not depend on how far risk lags behind.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipc.jit import INTERPRETED
from tests.bulk_streams import CALM, DEEP, EVERYTHING, PRESETS, STORM, WIDE, Habits, bulk
from tests.compare import first_difference
from tests.desk import Stream
from tests.engines import engine_for
from tests.streams import ALL, ample_markets, extreme_markets, featured_markets, streams
from tools.twin import Audit, Venue

pytestmark = pytest.mark.timeout(600)
"""A failing example is made smaller for up to five minutes before it is shown."""

PATIENT = settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@PATIENT
@given(streams(ample_markets()))
def test_the_engine_agrees_with_its_twin(stream: Stream) -> None:
    with engine_for(stream.market) as engine:
        assert engine.run(stream.commands) == stream.events


@PATIENT
@given(streams(featured_markets(), acts=ALL))
def test_they_agree_on_all_that_can_be_sent(stream: Stream) -> None:
    with engine_for(stream.market) as engine:
        assert engine.run(stream.commands) == stream.events


@PATIENT
@given(streams(extreme_markets(), acts=ALL))
def test_they_agree_at_the_ends_of_the_range(stream: Stream) -> None:
    with engine_for(stream.market) as engine:
        assert engine.run_one_by_one(stream.commands) == stream.events


@PATIENT
@given(streams(st.one_of(featured_markets(), extreme_markets()), max_size=120, acts=ALL))
def test_the_twin_contradicts_itself_never(stream: Stream) -> None:
    audit = Audit()
    audit.apply(stream.events)
    audit.check_finished()


BULKS = [
    pytest.param(1, CALM, 1, 10_000, id="calm"),
    pytest.param(2, CALM, 7, 10_000, id="seven-books"),
    pytest.param(3, STORM, 2, 0, id="amend-storm-around-zero"),
    pytest.param(4, DEEP, 1, -1_000_000, id="deep-negative"),
    pytest.param(5, WIDE, 2, 1 << 40, id="wide"),
    *(
        pytest.param(10 + number, PRESETS[name], 1 + number % 3, 10_000, id=name)
        for number, name in enumerate(PRESETS)
        if name not in ("calm", "storm", "deep", "wide")
    ),
    pytest.param(30, EVERYTHING, 3, -5_000, id="everything-negative"),
]
"""`python -m tests.compare` goes on from here to as many commands as there is time for."""

FOUND = [
    pytest.param(7009, PRESETS["prevention"], 2, id="peg-prevented-on-its-way-in"),
    pytest.param(120056, PRESETS["lists"], 1, id="post-only-given-to-all-or-none"),
]
"""Streams that once showed a fault, as long as they were then."""


@pytest.mark.parametrize(("seed", "habits", "instruments", "middle"), BULKS)
def test_long_streams_agree(seed: int, habits: Habits, instruments: int, middle: int) -> None:
    agree(seed, 1_000 if INTERPRETED else 3_000, habits, instruments, middle)


@pytest.mark.parametrize(("seed", "habits", "instruments"), FOUND)
def test_what_long_streams_have_found(seed: int, habits: Habits, instruments: int) -> None:
    agree(seed, 12_000, habits, instruments, 10_000)


def agree(seed: int, count: int, habits: Habits, instruments: int, middle: int) -> None:
    stream = bulk(seed, count, habits, instruments, middle)
    with engine_for(stream.market) as engine:
        events = engine.run(stream.commands)
    difference = first_difference(events, stream.events)
    assert not difference, f"bulk({seed}, {count}, ...): {difference}"
    audit = Audit()
    audit.apply(events)
    audit.check_finished()


def test_a_run_cut_in_pieces_gives_the_same_events() -> None:
    stream = bulk(6, 300 if INTERPRETED else 3_000, CALM, 2)
    with engine_for(stream.market) as engine:
        events = []
        for start in range(0, len(stream.commands), 97):
            events += engine.run(stream.commands[start : start + 97])
    assert events == stream.events


def test_the_twin_is_deterministic() -> None:
    stream = bulk(7, 2_000, STORM, 3)
    again: Venue = stream.market.venue()
    assert again.run(stream.commands) == stream.events
    assert bulk(7, 2_000, STORM, 3).commands == stream.commands
