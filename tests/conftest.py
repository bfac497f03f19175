"""How Hypothesis draws, and which tests run once.

The same examples in every run of the suite, others on demand.

Some examples are constants of the modules that are imported, so one file alone has other examples
than the whole suite; a test chosen with `-k` from the suite has the same.
"""

import pytest
from hypothesis import settings

# No deadlines: an example may compile a kernel, and cores are shared.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.register_profile("explore", deadline=None, derandomize=False)
settings.load_profile("suite")  # unless pytest is given --hypothesis-profile

CHECKED = (
    "test_bounded_work",
    "test_engine_corners",
    "test_marketdata",
    "test_matching_properties",
    "test_matching_stage",
    "test_order_terms",
    "test_replica",
    "test_risk_properties",
    "test_shards",
    "test_storm",
)
"""How the names of files begin whose tests lead the stages through everything that they do: they
run with bounds checks, too. The others run the same code on less, or no compiled code."""

CHECKED_FOLDERS = ("ipc",)
"""Folders whose tests do so, all of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run again with bounds checks."""
    for item in items:
        if item.get_closest_marker("system") or item.get_closest_marker("once"):
            continue
        if item.path.name.startswith(CHECKED) or item.path.parent.name in CHECKED_FOLDERS:
            item.add_marker("checked")
