"""The whole engine against those who want to break its risk: nothing comes or goes, all is derived.

Every command is followed by its twin (`Arena`), and after every step of risk the money is counted.
At the end, after TICKs that give every liquidation another chance, nobody is below maintenance
unless nobody would trade with him, and every order ends.
"""

from collections.abc import Mapping

import pytest

from engine.messages import CommandKind
from engine.rules import RuleNumber
from ipc.jit import INTERPRETED
from tests.risk.adversaries import COURT, CROWD, DUST, EDGES, FAMILY, Mob
from tests.risk.arena import Arena
from tools.twin.market import Market

pytestmark = pytest.mark.timeout(300)

ACTS = 200 if INTERPRETED else 300

CRASHES = {"mark": 16, "order": 50, "take": 20, "phase": 0, "rule": 0}
ATTACKS: Mapping[str, tuple[Market, Mapping[str, int]]] = {
    "everything": (COURT, {}),
    "amendments": (COURT, {"storm": 40, "cancel": 12}),
    "dust": (DUST, {"dust": 24, "fees": 3}),
    "bounds": (EDGES, {"funds": 8}),
    "self-trades": (FAMILY, {"wash": 30, "storm": 12}),
    "crashes": (CROWD, CRASHES),
    "rules": (COURT, {"rule": 16, "phase": 4, "tick": 6}),
}


def one_by_one(arena: Arena, mob: Mob) -> None:
    """Risk hears of everything before the next act."""
    for _ in range(ACTS):
        mob.act()
        arena.settle()


def in_bursts(arena: Arena, mob: Mob) -> None:
    """Up to forty acts at once: risk decides before it hears."""
    acts = 0
    while acts < ACTS:
        for _ in range(arena.random.randrange(1, 40)):
            mob.act()
            acts += 1
        arena.settle()


def with_late_fills(arena: Arena, mob: Mob, acts: int = ACTS) -> None:
    """Stages take a few messages in any order, and seldom everything."""
    for _ in range(acts):
        mob.act()
        for _ in range(arena.random.randrange(6)):
            arena.step()
        if arena.random.randrange(80) == 0:
            arena.settle()


@pytest.mark.parametrize("pace", [one_by_one, in_bursts, with_late_fills], ids=lambda f: f.__name__)
@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_comes_or_goes(attack: str, pace: object) -> None:
    market, weights = ATTACKS[attack]
    arena = Arena(market, seed=len(attack))
    try:
        mob = Mob(arena, weights)
        assert callable(pace)
        pace(arena, mob)
        arena.settle()
        mob.resume()
        arena.calm()
        arena.end()
        assert len(arena.ledger.trades) > 10, "they traded"
    finally:
        arena.release()


@pytest.mark.parametrize("seed", range(4))
def test_what_risk_does_by_itself_is_derived_like_all_else(seed: int) -> None:
    """Crashes among late fills: risk cancels, closes, and says in which state everybody is."""
    arena = Arena(CROWD, seed)
    try:
        mob = Mob(arena, CRASHES)
        for percent in (100, 50, 300, 40):
            mob.crash(percent)
            with_late_fills(arena, mob, ACTS // 4)
        arena.settle()
        arena.calm()
        sent = arena.by_risk()
        done = {each.kind for each in sent if not each.reason}
        assert CommandKind.NEW in done
        states = [each for each in sent if each.kind == CommandKind.RULE]
        assert any(each.order_id == RuleNumber.MARGIN_STATE for each in states)
        arena.end()
    finally:
        arena.release()
