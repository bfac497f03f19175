"""Ingest with several sources, and with more client order ids than it remembers."""

import numpy as np
import pytest

from engine.config import Config
from engine.ingest import SOURCE_QUOTA, step_ingest
from engine.intake import (
    IngestState,
    bucket_of,
    create_ingest,
    recall,
    remember,
)
from engine.limits import BATCH_MAX, CLIENT_ORDER_IDS_MAX
from engine.messages import (
    MESSAGE_BYTES,
    Command,
    CommandFlag,
    CommandKind,
    OrderType,
    RejectReason,
    SequencedCommand,
    Side,
    TimeInForce,
)
from engine.process import build_loop
from engine.reference import ReferenceData
from engine.topology import order_ring, plan
from engine.venue import create_private
from ipc.jit import kernel
from ipc.record import numpy_dtype
from ipc.ring import claim, consume, publish, ready, slot

CLIENTS = ("one", "two", "three")


@pytest.fixture
def venue():
    config = Config.build(
        assets=[{"name": "A", "decimals": 0}, {"name": "USD", "decimals": 0}],
        instruments=[
            {
                "symbol": "A/USD",
                "base": "A",
                "quote": "USD",
                "tick": "1",
                "lot": "1",
                "qty_max": "1000",
                "notional_max": "1000000",
            }
        ],
        accounts=[{"number": 1, "name": "alice"}, {"number": 2, "name": "bob"}],
        rings={"order_slots": 4096},
    )
    return create_private(config, plan(config, clients=CLIENTS, cores=[0]))


def send(venue, client, count, account=1, name="", flags=0):
    ring = venue.rings[order_ring(client)]
    granted = claim(ring, count)
    for index in range(granted):
        command = Command(slot(ring, ring.producer.position + index))
        command.kind, command.side = CommandKind.NEW, Side.BUY
        command.order_type, command.time_in_force = OrderType.LIMIT, TimeInForce.GTC
        command.account, command.price_ticks, command.qty_lots = account, 10, 1
        command.client_order_id.set(name)
        command.flags = flags
    publish(ring, granted)
    return granted


def sequenced(venue):
    ring = venue.rings["commands"]
    cursor = venue.cursor("commands", "risk")
    count = ready(ring, cursor, 1 << 20)
    raw = b"".join(
        bytes(ring._region.view[start : start + MESSAGE_BYTES])
        for start in (
            slot(ring, cursor.position + index) - ring._region.start for index in range(count)
        )
    )
    consume(cursor, count)
    return np.frombuffer(raw, numpy_dtype(SequencedCommand))


def test_a_flood_from_one_source_does_not_hold_up_the_others(venue):
    loop = build_loop(venue, venue.topology.processes[-1])
    assert send(venue, "one", 4096) == 4096
    send(venue, "two", 3)
    send(venue, "three", 3)
    for _ in range(3):
        step_ingest(venue.ingest, loop.ingest_ports, BATCH_MAX)
    found = sequenced(venue)
    counts = np.bincount(found["source"], minlength=3).tolist()
    assert counts == [SOURCE_QUOTA, 3, 3]


def test_sources_are_merged_into_one_dense_sequence_without_loss(venue):
    loop = build_loop(venue, venue.topology.processes[-1])
    sent = {client: send(venue, client, 100 + 70 * at) for at, client in enumerate(CLIENTS)}
    while step_ingest(venue.ingest, loop.ingest_ports, BATCH_MAX) > 0:
        pass
    found = sequenced(venue)
    assert found["sequence"].tolist() == list(range(1, sum(sent.values()) + 1))
    assert found["order_id"].tolist() == list(range(1, sum(sent.values()) + 1))
    for at, client in enumerate(CLIENTS):
        mine = found["source_sequence"][found["source"] == at]
        assert mine.tolist() == list(range(1, sent[client] + 1)), "in order, none lost"
    assert (np.diff(found["time_ns"]) >= 0).all()


def test_a_client_order_id_is_known_whichever_source_it_comes_by(venue):
    loop = build_loop(venue, venue.topology.processes[-1])
    for client, account in (("one", 1), ("two", 1), ("three", 2)):
        send(venue, client, 1, account, name="the-same")
        step_ingest(venue.ingest, loop.ingest_ports, BATCH_MAX)
    found = sequenced(venue)
    assert found["reason"].tolist() == [0, RejectReason.DUPLICATE_CLIENT_ORDER_ID, 0]
    assert found["order_id"].tolist() == [1, 1, 2], "the duplicate names the first order"


def test_a_full_output_ring_leaves_commands_where_they_are(venue):
    loop = build_loop(venue, venue.topology.processes[-1])
    slots = venue.rings["commands"].slot_count
    taken = sent = 0
    while True:
        sent += send(venue, "one", 256)
        moved = step_ingest(venue.ingest, loop.ingest_ports, BATCH_MAX)
        taken += moved
        if moved == 0:
            break
    assert taken == slots
    assert sent > slots
    assert venue.statistics("ingest").blocked == 1
    assert len(sequenced(venue)) == slots
    while step_ingest(venue.ingest, loop.ingest_ports, BATCH_MAX) > 0:
        pass
    assert len(sequenced(venue)) == sent - slots


def test_only_risk_may_close_a_position_for_the_venue(venue):
    loop = build_loop(venue, venue.topology.processes[-1])
    for source in (*CLIENTS, "risk"):
        send(venue, source, 1, flags=CommandFlag.LIQUIDATION)
        step_ingest(venue.ingest, loop.ingest_ports, BATCH_MAX)
    found = sequenced(venue)
    assert found["source"].tolist() == [0, 1, 2, venue.reference.risk_source]
    assert found["reason"].tolist() == [RejectReason.BAD_FLAGS] * 3 + [0]
    assert found["order_id"].tolist() == [0, 0, 0, 1]


@kernel
def remember_many(state: IngestState, command: Command, first: int, count: int) -> None:
    """Remember ids first..first+count-1, spelled as one word each."""
    for number in range(first, first + count):
        command.client_order_id[0] = number
        remember(state, command, bucket_of(state, command), number)


@kernel
def count_known(state: IngestState, command: Command, first: int, count: int) -> int:
    """How many of these ids are remembered under their own number."""
    known = 0
    for number in range(first, first + count):
        command.client_order_id[0] = number
        if recall(state, command, bucket_of(state, command)) == number:
            known += 1
    return known


def test_the_oldest_client_order_ids_are_forgotten_and_only_they():
    state, command = IngestState.allocate(), Command.allocate()
    create_ingest(state, ReferenceData.allocate(), 12345)
    command.account = 7
    room = CLIENT_ORDER_IDS_MAX - 1
    remember_many(state, command, 1, room)
    assert count_known(state, command, 1, room) == room
    remember_many(state, command, room + 1, 1000)
    assert count_known(state, command, 1, 1000) == 0
    assert count_known(state, command, 1001, room) == room
    command.account = 8
    assert count_known(state, command, 1001, 1000) == 0, "another account's ids"
