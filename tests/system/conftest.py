"""Real venues in real processes, started by the command line and always ended."""

import pytest

from tests.durability.tracing import tracer as tracer
from tests.system.commandline import RunningVenue


@pytest.fixture
def venues():
    """Starts venues; ends them all, and no segment of theirs is left."""
    made = []

    def start(*arguments, name=None):
        made.append(RunningVenue(*arguments, name=name))
        return made[-1]

    yield start
    for venue in made:
        venue.end()
    left = [name for venue in made for name in venue.segments()]
    assert left == []
