"""All that the engine's risk stage and its twin remember, compared after any step."""

from typing import Any, Protocol

from engine.limits import ASSETS_MAX
from engine.messages import Scope
from engine.risk.purses import find_position
from engine.venue import VenueMemory
from tests.risk.storm_market import QUOTE
from tools.twin.risk import Risk, check_sums
from tools.twin.risk.state import Figures


class Beside(Protocol):
    """An engine's memory, and its twin's."""

    memory: VenueMemory
    twin: Risk


def compare(floor: Beside) -> None:
    """All that engine and twin remember is the same, and adds up."""
    check_sums(floor.twin)
    engine, twin = floor.memory.risk, floor.twin.state
    assert engine.positions.count == len(twin.positions)
    for number, position in enumerate(twin.positions, 1):
        made = engine.positions.table[number]
        place = (position.account, position.instrument)
        assert (made.account, made.instrument) == place
        assert find_position(engine, *place).address == made.address
        holding = position.holding
        for name in holding._fields:
            assert getattr(made, name) == getattr(holding, name), (place, name)
        found = [made.worth, made.counted_cost, made.buys, made.sells, made.gross]
        found += [made.initial, made.maintenance, made.counted_units]
        assert Figures(*found) == position.figures, (place, found, position)
    for (scope, entity), purse in purses(floor):
        sums = floor.twin.sums((scope, entity), QUOTE)
        for name in Figures._fields:
            assert getattr(purse, name) == getattr(sums, name), (scope, entity, name)
    for asset in range(5):
        assert engine.deposited[asset] == twin.deposited[asset]


def purses(floor: Beside) -> list[tuple[tuple[Scope, int], Any]]:
    """Where the engine keeps the sums of each scope in the quote asset."""
    engine = floor.memory.risk
    found: list[tuple[tuple[Scope, int], Any]] = [((Scope.VENUE, 0), engine.venue_purses[QUOTE])]
    for number in range(4):
        found.append(((Scope.SYMBOL, number), engine.symbol_purses[number]))
    for number in range(12):
        at = number * ASSETS_MAX + QUOTE
        found.append(((Scope.ACCOUNT, number), engine.purses[at]))
        found.append(((Scope.GROUP, number), engine.group_purses[at]))
    return found
