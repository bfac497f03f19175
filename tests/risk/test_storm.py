"""The risk stage and its naive twin through random histories of everything."""

import pytest

from ipc.jit import INTERPRETED
from tests.risk.comparison import compare
from tests.risk.storm import Storm

pytestmark = pytest.mark.interpreted

STEPS, SEEDS = (600, 3) if INTERPRETED else (2_000, 6)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize(("rules", "drift"), [(7, 0), (1, 40)], ids=["rules", "moving prices"])
def test_the_stage_agrees_with_its_twin(seed: int, rules: int, drift: int) -> None:
    """Decisions, balances, positions, their valuations and all sums, after every 20th step."""
    storm = Storm(seed, rules=rules, drift=drift)
    try:
        for step in range(STEPS):
            storm.step()
            if step % 20 == 0:
                compare(storm.floor)
        storm.drain()
        compare(storm.floor)
    finally:
        storm.floor.release()
