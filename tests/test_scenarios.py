"""The scenario tables, played through the naive twin and through the engine."""

from collections.abc import Callable, Iterator

import pytest

from tests.engines import engine_for
from tests.scenario_commands import TableError
from tests.scenario_table import FOLDER, Player, Scenario, Submit, parse, read_all
from tools.twin.market import Market

pytestmark = [pytest.mark.interpreted, pytest.mark.timeout(600)]

SCENARIOS = read_all()


@pytest.fixture(params=["twin", "engine"])
def venue(request: pytest.FixtureRequest) -> Iterator[Callable[[Market], Submit]]:
    """Makes the venue of a scenario, one command at a time."""
    if request.param == "twin":
        yield lambda market: market.venue().submit
        return
    opened = []

    def open_engine(market: Market) -> Submit:
        context = engine_for(market)
        engine = context.__enter__()
        opened.append(context)
        return lambda command: engine.run_one_by_one([command])

    yield open_engine
    for context in opened:
        context.__exit__(None, None, None)


@pytest.mark.parametrize(
    "scenario", [pytest.param(each, id=f"{each.file}: {each.title}") for each in SCENARIOS]
)
def test_a_rule_holds(scenario: Scenario, venue: Callable[[Market], Submit]) -> None:
    for step, found in Player(venue(scenario.market())).play(scenario):
        if not step.given:
            assert found == step.events, f"{step.where}: {step.command}"


def test_every_table_has_a_heading_and_scenarios() -> None:
    tables = {path.stem for path in FOLDER.glob("*.md")} - {"README"}
    assert tables == {scenario.file for scenario in SCENARIOS}
    for path in FOLDER.glob("*.md"):
        assert path.read_text(encoding="utf-8").startswith("# "), path.name


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("    A: ann buy 1 @ 5", "expected a heading"),
        ("## rule\n    A: ann buys 1 @ 5\n    -> accepted A", "x.md:2: .*'buys' is not a side"),
        ("## rule\n    A: ann buy one @ 5\n    -> accepted A", "'one' is not a quantity"),
        ("## rule\n    A: ann buy 1 @ 5 iceberq 2\n    -> accepted A", "'iceberq' is not a prop"),
        ("## rule\n    A: zoe buy 1 @ 5\n    -> accepted A", "'zoe' is not a person"),
        ("## rule\n    do something\n    -> accepted A", "is not a command"),
        ("## rule\n    A: ann buy 1 @ 5\n    -> acepted A", "x.md:3: .*expected one of accepted"),
        ("## rule\n    -> accepted A", "expected a command before"),
        ("## rule\n    A: ann buy 1 @ 5", "every command is answered"),
        ("## rule\n    given A: ann buy 1 @ 5", "expects no event"),
        ("## rule\n    market tick 5\n    A: ann buy 1 @ 5", "'tick' is no term"),
        ("## rule\n    clock 5\n    -> clock 5s", "'5' is not a time like 5s"),
        ("## rule\n    snapshot\n    -> snapshot done 0\n## rule", "title already: rule"),
    ],
)
def test_a_table_with_a_mistake_is_refused(source: str, expected: str) -> None:
    with pytest.raises(TableError, match=expected):
        parse(source, "x")
