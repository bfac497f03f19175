"""Rings, rule by rule, in one process."""

from itertools import pairwise
from typing import Any

import pytest

from ipc import memory
from ipc.jit import kernel
from ipc.ring import (
    BY_INDEX,
    BY_SLOT,
    READERS_MAX,
    Observer,
    Ring,
    RingGroup,
    join,
    leave,
    next_source,
    observe,
    resume,
    ring_bytes,
)
from tests.ipc.steps import (
    SLOTS,
    claim_slots,
    consume_slots,
    make_ring,
    place,
    publish_slots,
    ready_slots,
    receive,
    send,
    show_slots,
    slot_address,
    write,
)

pytestmark = pytest.mark.interpreted

MODES = pytest.mark.parametrize("mode", [BY_INDEX, BY_SLOT], ids=["by index", "by slot"])


@kernel
def turn_group(group: RingGroup) -> int:
    return next_source(group)


# --- shape -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slots", "slot_bytes"), [(0, 64), (1, 64), (3, 64), (-8, 64), (8, 0), (8, 32), (8, 100)]
)
def test_shapes_that_are_not_allowed(slots: int, slot_bytes: int) -> None:
    with pytest.raises(ValueError, match="must be a"):
        ring_bytes(slots, slot_bytes)


def test_readers_and_mode_are_checked() -> None:
    with pytest.raises(ValueError, match="gating readers, not 9"):
        make_ring(BY_INDEX, readers=READERS_MAX + 1)
    with pytest.raises(ValueError, match="mode must be"):
        make_ring(2)


def test_writers_are_a_line_pair_apart() -> None:
    ring = make_ring(BY_INDEX)
    lines = [ring.address, ring.producer.address, ring.claims.address]
    lines += [ring.readers[index].address for index in range(READERS_MAX)]
    lines.append(slot_address(ring, 0))
    assert {after - before for before, after in pairwise(lines)} == {128}


# --- one producer, gating readers ------------------------------------------------------------


@MODES
def test_messages_arrive_in_order_in_batches_of_any_size(mode: int) -> None:
    ring = make_ring(mode)
    sent, received = 0, []
    for round_ in range(200):
        sent += send(ring, 1 + round_ % 7)
        received += receive(ring, wanted=1 + round_ % 5)
    received += receive(ring)
    assert received == list(range(1, sent + 1))
    assert sent > 300


@MODES
def test_a_full_ring_grants_nothing_until_all_readers_have_moved(mode: int) -> None:
    ring = make_ring(mode, readers=3)
    assert send(ring, SLOTS + 5) == SLOTS
    assert claim_slots(ring, 1) == 0
    assert receive(ring, 0) == list(range(1, SLOTS + 1))
    assert receive(ring, 1, wanted=5) == [1, 2, 3, 4, 5]
    assert claim_slots(ring, 1) == 0
    assert receive(ring, 2, wanted=2) == [1, 2]
    assert claim_slots(ring, SLOTS) == 2
    assert ring.producer.position == SLOTS


@MODES
def test_an_empty_ring_has_nothing_ready(mode: int) -> None:
    ring = make_ring(mode)
    assert ready_slots(ring, 0, 10) == 0
    send(ring, 3)
    assert ready_slots(ring, 0, 10) == 3
    assert ready_slots(ring, 0, 2) == 2
    receive(ring)
    assert ready_slots(ring, 0, 10) == 0


@MODES
def test_claimed_slots_are_invisible_until_published(mode: int) -> None:
    ring = make_ring(mode)
    assert claim_slots(ring, 4) == 4
    write(ring, 0, 4, 1000)
    assert ready_slots(ring, 0, 4) == 0
    publish_slots(ring, 2)
    assert receive(ring) == [1, 2]
    publish_slots(ring, 2)
    assert receive(ring) == [3, 4]


@MODES
def test_what_was_not_consumed_is_read_again(mode: int) -> None:
    ring = make_ring(mode)
    send(ring, 5)
    assert ready_slots(ring, 0, 5) == ready_slots(ring, 0, 5) == 5
    consume_slots(ring, 0, 2)
    assert receive(ring) == [3, 4, 5]


@MODES
def test_publishing_what_was_not_claimed_is_a_bug(mode: int) -> None:
    ring = make_ring(mode)
    with pytest.raises(AssertionError, match="not claimed"):
        publish_slots(ring, SLOTS + 1)
    assert ring.producer.position == 0


@MODES
@pytest.mark.parametrize("boundary", [2**31, 2**32, 2**33, 2**53, 2**62])
def test_positions_pass_powers_of_two(mode: int, boundary: int) -> None:
    ring = make_ring(mode, readers=2)
    start = boundary - 13
    place(ring, start)
    observer = Observer.allocate()
    observer.position = start
    target = memory.allocate(64, "copies")
    received: list[int] = []
    for round_ in range(30):
        send(ring, 1 + round_ % 3)
        batch = receive(ring, 0)
        assert receive(ring, 1) == batch
        for sequence in batch:
            assert observe(ring, observer, target.start, 1) == 1
            assert memory.read_word(target.start) == sequence
        received += batch
    assert received == list(range(start + 1, start + 61))
    assert (observer.laps, observer.lost) == (0, 0)


# --- joining, leaving, taking over -----------------------------------------------------------


@MODES
def test_a_reader_joins_at_the_next_message_and_gates_from_there(mode: int) -> None:
    ring = make_ring(mode, readers=0)
    assert [send(ring, SLOTS) for _ in range(5)] == [SLOTS] * 5  # nobody gates
    assert join(ring, 4) == 5 * SLOTS
    assert ready_slots(ring, 4, 1) == 0
    assert send(ring, SLOTS + 1) == SLOTS
    assert claim_slots(ring, 1) == 0
    assert receive(ring, 4)[0] == 5 * SLOTS + 1
    send(ring, 3)
    leave(ring, 4)
    assert [send(ring, SLOTS) for _ in range(5)] == [SLOTS] * 5


@MODES
def test_a_reader_that_stays_behind_the_gate_never_makes_a_grant_negative(mode: int) -> None:
    ring = make_ring(mode, readers=1)
    send(ring, SLOTS)
    receive(ring)
    send(ring, SLOTS)
    receive(ring)
    # What a reader in the middle of `join` can look like to the producer: active, far behind.
    ring.readers[3].position = SLOTS - 1
    ring.readers[3].active = 1
    assert claim_slots(ring, SLOTS + 1) == 0
    assert ring.claims.intent == 2 * SLOTS


@MODES
def test_a_new_producer_goes_on_behind_what_readers_can_see(mode: int) -> None:
    ring = make_ring(mode)
    send(ring, 3)
    assert claim_slots(ring, 4) == 4
    write(ring, 0, 4, 1000)
    show_slots(ring, 2)  # and here it dies
    seen = 2 if mode == BY_SLOT else 0
    assert ready_slots(ring, 0, SLOTS) == 3 + seen
    assert resume(ring) == 3 + seen
    assert resume(ring) == 3 + seen
    send(ring, 2)
    assert receive(ring) == list(range(1, 6 + seen))


@MODES
def test_taking_over_from_a_producer_that_finished_changes_nothing(mode: int) -> None:
    ring = make_ring(mode)
    assert resume(ring) == 0
    for count in (3, SLOTS, SLOTS):
        send(ring, count)
        receive(ring)
        position = ring.producer.position
        assert resume(ring) == position == ring.producer.position


def test_a_full_ring_by_slot_is_resumed_at_its_end() -> None:
    ring = make_ring(BY_SLOT)
    place(ring, 3 * SLOTS)
    assert claim_slots(ring, SLOTS) == SLOTS
    write(ring, 0, SLOTS, 1000)
    show_slots(ring, SLOTS)
    assert resume(ring) == 4 * SLOTS
    assert claim_slots(ring, 1) == 0
    assert len(receive(ring)) == SLOTS


# --- groups ----------------------------------------------------------------------------------


def make_group(mode: int, count: int) -> tuple[Any, list[Ring]]:
    group = RingGroup.allocate()
    rings = [make_ring(mode) for _ in range(count)]
    group.count = count
    for index, ring in enumerate(rings):
        group.sources[index].ring = ring
        group.sources[index].cursor = ring.readers[0]
    return group, rings


@MODES
def test_busy_rings_get_equal_turns(mode: int) -> None:
    group, rings = make_group(mode, 3)
    for ring in rings:
        send(ring, SLOTS)
    turns = [turn_group(group) for _ in range(12)]
    assert turns == [0, 1, 2] * 4


@MODES
def test_empty_rings_are_skipped_and_do_not_lose_their_turn(mode: int) -> None:
    group, rings = make_group(mode, 4)
    assert turn_group(group) == -1
    for index in (1, 3):
        send(rings[index], 3)
    assert [turn_group(group) for _ in range(4)] == [1, 3, 1, 3]
    send(rings[0], 1)
    send(rings[2], 1)
    assert [turn_group(group) for _ in range(4)] == [0, 1, 2, 3]
    for ring in rings:
        receive(ring)
    assert turn_group(group) == -1
    send(rings[2], 1)
    assert turn_group(group) == 2


@MODES
def test_a_flood_on_one_ring_does_not_starve_another(mode: int) -> None:
    group, rings = make_group(mode, 2)
    served = [0, 0]
    for _ in range(200):
        send(rings[0], SLOTS)
        send(rings[1], 1)
        index = turn_group(group)
        served[index] += len(receive(rings[index], wanted=1))
    assert served == [100, 100]
