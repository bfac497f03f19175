"""A gateway that starts late knows what one knows that has seen every event."""

from dataclasses import replace
from random import Random

import pytest

from tests.bulk_streams import EVERYTHING, LISTS, TOPS, Habits, bulk
from tests.durability.late import Gateway, compare, config_for, followed

pytestmark = pytest.mark.timeout(600)
"""The first one may have to compile the engine."""

ALL = replace(EVERYTHING, acts={**TOPS.acts, "funds": 1.0, "rule": 2.0, "mark": 1.0, "check": 2.0})
"""All that can be sent."""

UNBROKEN = replace(ALL, acts={**ALL.acts, "broken_list": 0.0})
"""Of several shards, two end the command that breaks a list off; a driver counts commands."""


@pytest.mark.parametrize(
    ("shards", "habits", "seed"), [(1, ALL, 1), (1, LISTS, 2), (1, ALL, 3), (3, UNBROKEN, 4)]
)
def test_it_knows_the_same(shards: int, habits: Habits, seed: int) -> None:
    written = bulk(seed, 3_000, habits, instruments=4)
    random = Random(seed)
    with followed(config_for(written.market, shards)) as venue:
        early = Gateway(venue.config)
        late = None
        orders_max = len(written.commands)
        start, begins = 0, random.randrange(500, 2_000)
        while start < len(written.commands):
            end = start + random.randrange(1, 400)
            batches = venue.run(written.commands[start:end])
            early.take(batches)
            if late is not None:
                late.take(batches)
            elif end >= begins:
                books, batches = venue.snapshots()
                early.take(batches)
                late = venue.late_gateway(books)
                compare(early, late, orders_max)
            start = end
        assert late is not None
        compare(early, late, orders_max)
        books, batches = venue.snapshots()
        early.take(batches)
        compare(early, venue.late_gateway(books), orders_max)
