"""A gateway that asks the folder of its venue what has passed."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.durability.file_storage import FileStorage
from engine.durability.pursuit import Pursuit
from engine.durability.recalling import Stopped, recall_from
from engine.topology import DRIVER
from ipc.counters import EVERYTHING
from ipc.jit import INTERPRETED
from tests.bulk_streams import bulk
from tests.durability.folders import SEGMENT_BYTES, Recorder
from tests.durability.late import Followed, Gateway, compare, config_for, followed
from tests.durability.test_late_gateway import UNBROKEN

pytestmark = pytest.mark.timeout(600)

COUNT = 300 if INTERPRETED else 2_500


@pytest.fixture
def recorders(tmp_path: Path) -> Iterator[Any]:
    """A function that makes a venue with a data folder."""
    made: list[Recorder] = []

    def make(market: Any, shards: int) -> Recorder:
        made.append(Recorder(tmp_path / "data", config_for(market, shards)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def late(venue: Followed) -> Gateway:
    """A gateway that starts now, and asks the folder."""
    assert venue.recorder is not None
    parts = venue.engine.venue
    parts.counters.durable.dseq = venue.recorder.last
    recall = recall_from(parts, DRIVER, venue.recorder.folder.path)
    made = Gateway(venue.config)
    with recall([ring.producer.position for ring in venue.rings]) as recalled:
        made.take_over(recalled)
    parts.counters.durable.dseq = EVERYTHING  # the driver waits for nothing
    return made


def take_snapshot(venue: Followed) -> None:
    """As the shadow does."""
    assert venue.recorder is not None
    storage = FileStorage(venue.recorder.folder.path, SEGMENT_BYTES)
    pursuit = Pursuit(venue.recorder.folder, storage, None)
    for _ in pursuit.follow(None):
        pass
    pursuit.store()
    pursuit.free()
    storage.close()


@pytest.mark.parametrize("shards", [1, 3])
def test_what_the_folder_tells_is_what_all_events_have_told(recorders: Any, shards: int) -> None:
    """From the beginning, and from a snapshot, in which the history lies."""
    written = bulk(shards, COUNT, UNBROKEN, instruments=4)
    count = len(written.commands)
    recorder = recorders(written.market, shards)
    random = Random(shards)
    marks = sorted(random.sample(range(1, count), 3))
    with followed(recorder.venue.venue.config, recorder) as venue:
        gateways = [Gateway(venue.config)]
        for start, end in zip([0, *marks], [*marks, count], strict=True):
            batches = venue.run(written.commands[start:end])
            for gateway in gateways:
                gateway.take(batches)
            gateways.append(late(venue))
            for gateway in gateways[1:]:
                compare(gateways[0], gateway, count)
            if end == marks[1]:
                take_snapshot(venue)
        assert recorder.venue.venue.risk.reservations.live > 0


def test_it_waits_until_all_that_has_passed_is_durable(recorders: Any) -> None:
    written = bulk(5, 100, UNBROKEN, instruments=1)
    recorder = recorders(written.market, 1)
    with followed(recorder.venue.venue.config, recorder) as venue:
        venue.run(written.commands)
        counters = venue.engine.venue.counters
        counters.durable.dseq = recorder.last - 1
        counters.stop.value = 1
        recall = recall_from(venue.engine.venue, DRIVER, recorder.folder.path)
        with pytest.raises(Stopped, match=f"decision {recorder.last} "), recall([0]):
            pass
