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

ONCE = (
    "test_twin",
    "test_house_style",
    "test_config",
    "test_rules",
    "test_layouts",
    "test_bench_",
    "test_adversaries",
    "test_liquidations",
    "test_demands",
)
"""How the names of files begin whose tests run in one mode: those that run no compiled code, and
those that take long while others run the same code with bounds checks."""

ONCE_FOLDERS = ("gateway", "tools")
"""Folders with tests of Python around the engine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need not run again with bounds checks."""
    for item in items:
        if item.path.name.startswith(ONCE) or item.path.parent.name in ONCE_FOLDERS:
            item.add_marker("once")
