"""The bridge in a durable venue: what may be told, where a late gateway begins, a full disk."""

import asyncio

import pytest

from engine.messages import CommandKind
from engine.process import run_stages
from gateway.errors import DiskFull, Stopping
from ipc.counters import FAILED, FULL
from ipc.wait import wake
from tests.gateway.rig import Rig, new

pytestmark = pytest.mark.interpreted


@pytest.fixture
def rig():
    made = Rig()
    yield made
    made.close()


def test_events_wait_until_their_decisions_are_durable(rig):
    """Of whichever ring; who moves the mark rings the bell."""
    mark = rig.venue.counters.durable
    mark.dseq = 0

    async def work():
        bridge = rig.connect()
        rig.start()
        for _ in range(6):
            new(bridge)
        await asyncio.sleep(0)
        rig.step()
        for durable in (0, 4, 5, 6):
            mark.dseq = durable
            wake(rig.bell)
            await rig.applied_count(durable)
            for _ in range(3):
                await asyncio.sleep(0)
            assert [event.dseq for event in rig.applied] == list(range(1, durable + 1))
            assert rig.bell.armed == 1
        await asyncio.sleep(0)
        assert rig.cursor.position == 6

    asyncio.run(work())
    assert not rig.failures


def test_a_shard_that_may_not_be_told_holds_no_other_up():
    rig = Rig(shards=2)
    mark = rig.venue.counters.durable

    async def work():
        bridge = rig.connect()
        rig.start()
        new(bridge, instrument=0)
        await asyncio.sleep(0)
        rig.step()
        first = rig.venue.rings["decisions"].producer.position
        new(bridge, instrument=1)
        await asyncio.sleep(0)
        mark.dseq = first
        rig.step()
        await rig.applied_count(1)
        for _ in range(3):
            await asyncio.sleep(0)
        assert [event.instrument for event in rig.applied] == [0]
        mark.dseq = rig.venue.rings["decisions"].producer.position
        wake(rig.bell)
        await rig.applied_count(2)

    asyncio.run(work())
    assert not rig.failures
    rig.close()


def test_a_late_gateway_begins_behind_what_it_knows(rig):
    """It knows more than has come yet: what a replica has made before matching published it."""

    async def work():
        first = rig.connect()
        rig.start()
        for _ in range(5):
            new(first)
        await asyncio.sleep(0)
        rig.step()
        first.close()
        rig.applied.clear()
        second = rig.connect(late=True)
        assert second.positions == [5]
        second.begin_behind([7])
        rig.start()
        numbers = [new(second) for _ in range(4)]
        assert numbers == [6, 7, 8, 9], "the ring goes on where the first gateway left it"
        await asyncio.sleep(0)
        rig.step()
        await rig.applied_count(2)
        assert [event.sequence for event in rig.applied] == [8, 9]
        assert all(map(second.is_mine, rig.applied))
        assert not second.is_mine(rig.applied[0]._replace(source_sequence=5)), "of the first one"
        assert not second.is_mine(rig.applied[0]._replace(source=second.source + 1))
        with pytest.raises(AssertionError, match="would be missing"):
            second.begin_behind([4])

    asyncio.run(work())
    assert not rig.failures


@pytest.mark.parametrize("begins", [7, 300])
def test_events_are_passed_over_when_the_gateway_that_died_had_not_read_them(rig, begins):
    """Its cursor still holds matching back at the last event that it gave back."""

    async def work():
        first = rig.connect()
        first.start(asyncio.get_running_loop(), rig.failures.append)
        for _ in range(400):
            new(first)
        first._flush()
        while run_stages(rig.stages) > 0:
            pass
        asyncio.get_running_loop().remove_reader(rig.bell.descriptor)  # it dies
        first._closed = True
        second = rig.connect(late=True)
        assert second.positions == [0]
        second.begin_behind([begins])
        rig.start()
        await rig.applied_count(400 - begins)
        assert rig.applied[0].sequence == begins + 1

    asyncio.run(work())
    assert not rig.failures


def test_a_full_disk_leaves_what_takes_back(rig):
    mark = rig.venue.counters.durable

    async def work():
        bridge = rig.connect()
        rig.start()
        new(bridge)
        mark.state = FULL
        with pytest.raises(DiskFull):
            new(bridge)
        pair = [{"kind": kind, "account": 1} for kind in (CommandKind.CANCEL, CommandKind.NEW)]
        with pytest.raises(DiskFull):
            bridge.submit_all(pair)
        for kind in (CommandKind.CANCEL, CommandKind.MASS_CANCEL, CommandKind.PHASE):
            bridge.submit(kind=kind, account=1)
        assert bridge.sequence == 4, "what was refused has no number"
        mark.state = FAILED
        with pytest.raises(Stopping):
            bridge.submit(kind=CommandKind.CANCEL, account=1)

    asyncio.run(work())
