"""The bridge between rings and event loop, with the stages stepped by hand in this process."""

import asyncio

import pytest

from engine.messages import (
    Command,
    CommandFlag,
    CommandKind,
    EventKind,
    RejectReason,
)
from engine.topology import GATEWAY
from gateway.bridge import (
    CANCEL_RESERVE,
    COMMANDS_PER_FLUSH_MAX,
    EVENTS_PER_TURN_MAX,
    LateStart,
)
from gateway.errors import EngineBusy
from ipc.ring import leave, slot
from tests.gateway.rig import SLOTS, Rig, new

pytestmark = pytest.mark.interpreted


@pytest.fixture
def rig():
    made = Rig()
    yield made
    made.close()


def test_commands_go_out_in_one_batch_and_their_events_come_back(rig):
    async def work():
        bridge = rig.connect()
        rig.start()
        await asyncio.sleep(0)
        assert rig.bell.armed == 1, "nothing to do: the bell is armed before the loop sleeps"
        orders = rig.venue.rings["orders.gateway"]
        numbers = [new(bridge, client_order_id=b"n%d" % index) for index in range(5)]
        assert numbers == [1, 2, 3, 4, 5]
        assert orders.producer.position == 0, "they leave at the end of the turn"
        await asyncio.sleep(0)
        assert orders.producer.position == 5
        rig.step()
        await rig.applied_count(5)
        assert [event.source_sequence for event in rig.applied] == numbers
        assert {event.kind for event in rig.applied} == {EventKind.ACCEPTED}
        assert rig.applied[2].client_order_id.rstrip(b"\0") == b"n2"
        assert {event.source for event in rig.applied} == {bridge.source}
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert rig.cursor.position == 5
        assert rig.bell.armed == 1

    asyncio.run(work())


def test_events_are_consumed_after_their_effect_and_in_bounded_turns(rig):
    positions = []

    def apply(event):
        assert rig.cursor.position < event.sequence, "given back before it was applied"
        positions.append(rig.cursor.position)
        rig.applied.append(event)

    async def work():
        bridge = rig.connect(apply)
        rig.start()
        count = EVENTS_PER_TURN_MAX + 100
        for _ in range(count):
            new(bridge)
        await asyncio.sleep(0)
        rig.step()
        await rig.applied_count(count)

    asyncio.run(work())
    assert not rig.failures
    assert positions == [0] * EVENTS_PER_TURN_MAX + [EVENTS_PER_TURN_MAX] * 100


def test_many_commands_do_not_wait_for_the_end_of_the_turn(rig):
    async def work():
        bridge = rig.connect()
        rig.start()
        for _ in range(COMMANDS_PER_FLUSH_MAX + 1):
            new(bridge)
        assert rig.venue.rings["orders.gateway"].producer.position == COMMANDS_PER_FLUSH_MAX

    asyncio.run(work())


def test_a_full_ring_keeps_room_for_cancels_until_the_engine_has_read(rig):
    async def work():
        bridge = rig.connect()
        rig.start()
        orders = SLOTS - SLOTS // CANCEL_RESERVE
        for _ in range(orders):
            new(bridge)
        with pytest.raises(EngineBusy):
            new(bridge)
        for _ in range(SLOTS // CANCEL_RESERVE):
            bridge.submit(kind=CommandKind.CANCEL, account=1, order_id=1)
        with pytest.raises(EngineBusy):
            bridge.submit(kind=CommandKind.CANCEL, account=1, order_id=1)
        assert bridge.sequence == SLOTS, "what was refused has no number"
        await asyncio.sleep(0)
        rig.step()
        await rig.applied_count(SLOTS)
        assert rig.applied[orders].kind == EventKind.CANCELED
        assert rig.applied[-1].reason == RejectReason.UNKNOWN_ORDER
        assert new(bridge) == SLOTS + 1

    asyncio.run(work())


def test_a_failure_of_the_view_is_reported_once_and_gives_the_seat_up(rig):
    def apply(event):
        raise AssertionError("a bug")

    async def work():
        bridge = rig.connect(apply)
        rig.start()
        new(bridge)
        await asyncio.sleep(0)
        rig.step()
        await rig.applied_count(1)
        await asyncio.sleep(0)

    asyncio.run(work())
    assert [str(error) for error in rig.failures] == ["a bug"]
    assert rig.cursor.active == 0


def test_a_seat_that_was_given_up_is_taken_again_only_when_nothing_was_missed(rig):
    ring = rig.venue.rings["events"]
    leave(ring, ring_index(rig))
    rig.connect()
    assert rig.cursor.active == 1

    async def trade():
        rig.start()
        new(rig.bridge)
        await asyncio.sleep(0)
        rig.step()
        await rig.applied_count(1)
        rig.bridge.close()

    asyncio.run(trade())
    assert rig.cursor.active == 0
    with pytest.raises(LateStart, match="1 events have passed"):
        rig.connect()


def ring_index(rig):
    return rig.venue.topology.ring("events").readers.index(GATEWAY)


def test_commands_that_belong_together_are_sent_all_or_not_at_all(rig):
    async def work():
        bridge = rig.connect()
        rig.start()
        orders = SLOTS - SLOTS // CANCEL_RESERVE
        pair = [{"kind": CommandKind.NEW, "account": 1, "qty_lots": lots} for lots in (1, 2)]
        for _ in range(orders - 1):
            new(bridge)
        with pytest.raises(EngineBusy):
            bridge.submit_all(pair)
        assert bridge.sequence == orders - 1
        await asyncio.sleep(0)
        rig.step()
        assert bridge.submit_all(pair) == orders
        assert bridge.sequence == orders + 1

    asyncio.run(work())


def test_the_terms_of_a_command_reach_the_ring(rig):
    async def work():
        bridge = rig.connect()
        rig.start()
        new(bridge, flags=CommandFlag.TERMS, trigger_ticks=7, trail_limit=1)
        new(bridge, display_lots=9)
        await asyncio.sleep(0)
        ring = rig.venue.rings["orders.gateway"]
        first, second = (Command(slot(ring, position)) for position in range(2))
        assert (first.terms.trigger_ticks, first.terms.trail_limit) == (7, 1)
        assert second.terms.display_lots == 0, "without the flag nobody reads terms"

    asyncio.run(work())


def test_the_events_of_all_shards_arrive_and_say_whose_they_are():
    rig = Rig(shards=2)
    found = []

    def apply(event):
        found.append((rig.bridge.shard, event.instrument, event.sequence))
        rig.applied.append(event)

    async def work():
        bridge = rig.connect(apply)
        rig.start()
        for lots in range(1, 400):
            new(bridge, instrument=lots % 2)
        await asyncio.sleep(0)
        rig.step()
        await rig.applied_count(399)

    asyncio.run(work())
    rings = [rig.venue.rings[name] for name in ("events.0", "events.1")]
    cursors = [rig.venue.cursor(name, GATEWAY) for name in ("events.0", "events.1")]
    for shard, ring in enumerate(rings):
        mine = [event for event in found if event[0] == shard]
        assert mine == [
            (shard, shard, sequence) for sequence in range(1, ring.producer.position + 1)
        ]
    assert sum(cursor.position for cursor in cursors) >= 399 - EVENTS_PER_TURN_MAX
    assert rig.failures == []
    rig.close()
    assert [cursor.active for cursor in cursors] == [0, 0]
