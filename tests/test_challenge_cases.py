"""The 34 hand-made cases of the matching engine challenge, through the twin and the engine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.marketdata import L2Book, level_changes
from engine.messages import Side
from tests.replays import engine_slots, lines_of, slots_of, workload
from tools.replay import meb
from tools.replay.plan import EVENT


def edge_cases() -> dict[str, Any]:
    path = Path(__file__).parent / "data" / "challenge" / "edge_cases.json"
    cases: dict[str, Any] = json.loads(path.read_text())["cases"]
    assert len(cases) == 34
    return cases


@pytest.fixture(params=["twin", "engine"])
def answer(request: pytest.FixtureRequest) -> Callable[[meb.MebPlan], Any]:
    """Event slots for a plan: of the naive venue, or of the engine through all its rings."""
    return slots_of if request.param == "twin" else engine_slots


def test_all_edge_cases_of_the_challenge_report_what_is_expected(
    answer: Callable[[meb.MebPlan], Any],
) -> None:
    cases = edge_cases()
    assert len(cases) == 34
    for name, case in cases.items():
        if isinstance(case["messages"], str):
            continue  # the one below
        plan = meb.make_plan(workload(*case["messages"]))
        slots = answer(plan)
        assert lines_of(plan, slots) == [line for line in case["reports"] if line], name
        assert best_after_each(plan, slots) == case["best_bid_ask_after_each"], name


def best_after_each(plan: meb.MebPlan, slots: Any) -> list[list[int | None]]:
    """Best bid and ask after every message, from the events."""
    changes = level_changes(slots)
    causes = slots.view(EVENT)[changes.rows, 0]["source_sequence"].tolist()
    levels = list(zip(changes.sides, changes.prices_ticks, changes.lots, strict=True))
    book, found = L2Book(), []
    for command in range(1, len(plan.commands) + 1):
        while causes and causes[0] == command:
            causes.pop(0)
            book.apply(*levels.pop(0))
        found.append([next((p for p, _ in book.best(side, 1)), None) for side in Side])
    return found


def test_the_deepest_sweep_of_the_challenge() -> None:
    case = edge_cases()["deep_recursive_sweep_5000"]
    assert "for i in 1..5000: [0,1,0,1,i,100]; then [0,0,1,5000,5001,100]" in case["messages"]
    rows = [(0, 1, 0, 1, order_id, 100) for order_id in range(1, 5001)]
    plan = meb.make_plan(workload(*rows, (0, 0, 1, 5000, 5001, 100)), case["reports"])
    result = meb.verify(plan, engine_slots(plan))
    assert (result.ok, result.reports) == (True, 10_001)
