"""A short torture of a real venue, and that the auditor finds what clients may not be told."""

import time

import msgspec
import pytest

from tools.torture.audit import VIOLATIONS, Auditor
from tools.torture.patient import SUPERVISOR
from tools.torture.record import Acknowledged, Canceled, Filled, RecordReader, Refused, Wrong
from tools.torture.rounds import Torture

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

SEED = 11
STOPPED = "matching"


@pytest.fixture(scope="module", params=["compact", "spread"])
def torture(request, tmp_path_factory):
    """A run in which each process was killed once, the machine too, and one was stopped."""
    run = Torture(tmp_path_factory.mktemp("torture"), request.param, SEED)
    try:
        run.begin()
        names = [*run.pids]
        for name in names:
            run.round(lambda name=name: run.killer.kill(name))
        host = STOPPED if STOPPED in names else "engine"
        run.round(lambda: run.killer.stop(host))
        run.audit()
        run.round(run.killer.kill_machine)
        run.round(lambda: run.killer.kill(*names[:2]))
        time.sleep(0.5)
        run.finish()
        yield run
    finally:
        run.end()


def test_nothing_is_lost_when_each_process_is_killed(torture):
    result = torture.report()
    assert result["problems"] == []
    assert {name: result[name] for name in VIOLATIONS} == dict.fromkeys(VIOLATIONS, 0)
    assert result["kills"].keys() == {*torture.pids, SUPERVISOR}
    assert result["kills_total"] >= len(torture.pids) + 3
    assert result["acknowledged"] > 20
    assert result["fills_told"] > 10
    assert result["decisions"] > result["acknowledged"]
    assert all(row["pause_ms_max"] > 0 for row in result["pauses"].values())


def facts_of(torture):
    reader = RecordReader(torture.patient.folder / "record.jsonl")
    try:
        return reader.poll()
    finally:
        reader.close()


def first(facts, kind, **wanted):
    return next(
        fact
        for fact in facts
        if isinstance(fact, kind)
        and all(getattr(fact, name) == value for name, value in wanted.items())
    )


def lies(facts):
    """A fact that is not true of each kind, and what it is to be called."""
    order = first(facts, Acknowledged)
    fill = first(facts, Filled)
    rested = first(facts, Acknowledged, status="open")
    change = msgspec.structs.replace
    yield "lost_acknowledged", change(order, client_order_id="never", order_id=1 << 40)
    yield "lost_acknowledged", change(order, filled=order.quantity + 1)
    yield "lost_acknowledged", Canceled(0, rested.order_id, 1_000_000)
    yield "answers_changed", change(order, order_id=order.order_id + 1)
    yield "answers_changed", Refused(0, order.account, order.client_order_id, "killed")
    yield "duplicate_fills", change(fill, sequence=fill.sequence + 1)
    yield "fills_not_true", change(fill, quantity=fill.quantity + 1, match_id=1 << 40)
    yield "fills_taken_back", Wrong(0, "fills_taken_back", "a client saw it")


def test_the_auditor_finds_every_lie(torture):
    facts = facts_of(torture)
    for expected, lie in lies(facts):
        auditor = Auditor(torture.patient.data)
        auditor.take([*facts, lie])
        auditor.judge_ended()
        auditor.truth.free()
        assert auditor.found[expected] > 0, lie
        assert auditor.problems
