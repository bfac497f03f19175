"""How Hypothesis draws, and which tests run with bounds checks.

The same examples in every run of the suite, others on demand.

Some examples are constants of the modules that are imported, so one file alone has other examples
than the whole suite; a test chosen with `-k` from the suite has the same.
"""

from collections.abc import Iterator

import pytest
from hypothesis import settings

# No deadlines: an example may compile a kernel, and cores are shared.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.register_profile("explore", deadline=None, derandomize=False)
settings.load_profile("suite")  # unless pytest is given --hypothesis-profile

THOROUGH = (
    "test_bounded_work",
    "test_engine_corners",
    "test_matching_properties",
    "test_matching_stage",
    "test_order_terms",
    "test_risk_properties",
    "test_storm",
)
"""How the names of files begin whose tests lead the stages through everything that they do, for
long: compiled, they run with bounds checks. All others run the same code without."""


@pytest.fixture(scope="module")
def lazy_pages() -> Iterator[None]:
    """Passes of the benchmarks get their pages when they touch them.

    What is measured must have them before; short passes that nobody times touch few of many.
    """
    from tools.bench import native, passes, stand

    with pytest.MonkeyPatch.context() as patch:
        for module in (stand, passes, native):
            patch.setattr(module, "populate", lambda region: True)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run with bounds checks."""
    for item in items:
        if item.path.name.startswith(THOROUGH):
            item.add_marker("thorough")
