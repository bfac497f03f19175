"""The bridge between rings and event loop, with the stages stepped by hand in this process."""

import asyncio
import os

import pytest

from engine.config import load
from engine.messages import (
    Command,
    CommandFlag,
    CommandKind,
    EventKind,
    OrderType,
    RejectReason,
    TimeInForce,
)
from engine.process import build_loop, run_stages
from engine.topology import GATEWAY, plan
from engine.venue import create_private
from gateway.bridge import (
    CANCEL_RESERVE,
    COMMANDS_PER_FLUSH_MAX,
    EVENTS_PER_TURN_MAX,
    Bridge,
    LateStart,
)
from gateway.errors import DiskFull, EngineBusy, Stopping
from ipc.counters import FAILED, FULL
from ipc.ring import leave, slot
from ipc.wait import wake

pytestmark = pytest.mark.interpreted

SLOTS = 1024


class Rig:
    """A venue in private memory, a bridge, and what the bridge has applied."""

    def __init__(self, **venue):
        overrides = {
            "venue.durability": "memory",
            "venue.layout": "compact",
            "venue.tick_ms": 0,
            "rings.order_slots": SLOTS,
        }
        overrides |= {f"venue.{key}": value for key, value in venue.items()}
        config = load(overrides=overrides)
        topology = plan(config, clients=(GATEWAY,), cores=[0])
        self.venue = create_private(config, topology)
        self.bell = self.venue.entry(GATEWAY).bell
        self.bell.descriptor = os.eventfd(0, os.EFD_NONBLOCK)
        self.stages = build_loop(self.venue, topology.processes[1])
        self.cursor = self.venue.cursor(topology.event_rings[0], GATEWAY)
        self.applied = []
        self.failures = []
        self.bridge = None

    def connect(self, apply=None, late=False):
        self.bridge = Bridge(self.venue, apply or self.applied.append, late)
        return self.bridge

    def start(self):
        self.bridge.start(asyncio.get_running_loop(), self.failures.append)

    def step(self):
        """Let the engine do all it can, and wake the gateway as the engine's loop would."""
        while run_stages(self.stages) > 0:
            pass
        if self.bell.armed:
            wake(self.bell)

    async def applied_count(self, count):
        async with asyncio.timeout(30):
            while len(self.applied) < count and not self.failures:
                await asyncio.sleep(0)

    def close(self):
        if self.bridge is not None:
            self.bridge.close()
        os.close(self.bell.descriptor)


@pytest.fixture
def rig():
    made = Rig()
    yield made
    made.close()


def new(bridge, **fields):
    order = {
        "kind": CommandKind.NEW,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "account": 1,
        "price_ticks": 45_000_00,
        "qty_lots": 1,
    }
    return bridge.submit(**(order | fields))


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
