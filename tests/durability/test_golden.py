"""The same decisions give the same events, books and balances as when they were recorded.

A test that fails here means that journals written before are not replayed as they were executed.
"""

import json

from engine.durability.format import ENGINE_VERSION
from tests.durability import golden

REMEDY = (
    "The engine does something else with the same decisions than it did when they were journaled: "
    "journals and snapshots of users cannot be replayed by this program. If that is not meant, "
    "undo it. If it is, raise ENGINE_VERSION in engine/durability/format.py, say so in "
    "CHANGELOG.md, and record anew: python -m tests.durability.golden"
)


def test_the_golden_journal_comes_to_what_it_came_to():
    expected = json.loads(golden.FOUND.read_text())
    assert expected["engine_version"] == ENGINE_VERSION, (
        f"the golden journal is of engine version {expected['engine_version']}, this is "
        f"{ENGINE_VERSION}: record it anew by python -m tests.durability.golden"
    )
    with golden.folder() as path:
        assert golden.derived(path) == expected, REMEDY
