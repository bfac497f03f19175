"""Observers of a ring, rule by rule, in one process."""

from typing import Any

import pytest

from ipc import memory
from ipc.ring import BY_INDEX, BY_SLOT, Observer, Ring, observe, resume
from tests.ipc.steps import SLOTS, claim_slots, make_ring, send, write

pytestmark = pytest.mark.interpreted

MODES = pytest.mark.parametrize("mode", [BY_INDEX, BY_SLOT], ids=["by index", "by slot"])


def watch(ring: Ring, observer: Observer, wanted: int) -> list[int]:
    """Sequences of what the observer copied, contents checked."""
    target = memory.allocate(max(wanted, 1) * ring.slot_bytes, "copies")
    count = observe(ring, observer, target.start, wanted)
    found = []
    for index in range(count):
        start = target.start + index * ring.slot_bytes
        words = [memory.read_word(start + offset) for offset in range(0, ring.slot_bytes, 8)]
        assert set(words[1:]) == {1000 + words[0] - 1}, "torn or of another slot"
        found.append(words[0])
    memory.forget(target)
    return found


@MODES
def test_an_observer_never_holds_the_producer_back(mode: int) -> None:
    ring, observer = make_ring(mode, readers=0, slot_bytes=128), Observer.allocate()
    assert watch(ring, observer, 4) == []
    send(ring, 3)
    assert watch(ring, observer, 2) == [1, 2]
    send(ring, 3)
    assert watch(ring, observer, 100) == [3, 4, 5, 6]
    assert (observer.laps, observer.lost) == (0, 0)


@MODES
def test_a_lap_is_counted_and_the_observer_goes_on_half_a_ring_behind(mode: int) -> None:
    ring, observer = make_ring(mode, readers=0), Observer.allocate()
    send(ring, SLOTS)
    assert watch(ring, observer, 1) == [1]  # position 1: a whole ring is still there
    send(ring, 1)
    assert watch(ring, observer, 1) == [2]
    send(ring, 2)  # position 2 of 11: overwritten
    assert watch(ring, observer, 1) == [11 - SLOTS // 2 + 1]
    assert (observer.laps, observer.lost) == (1, 11 - SLOTS // 2 - 2)
    for _ in range(100):
        send(ring, SLOTS)
    assert watch(ring, observer, SLOTS) == list(range(808, 812))
    assert (observer.laps, observer.lost) == (2, 811 - 3 - 4)


@MODES
def test_slots_that_may_be_half_written_are_not_observed(mode: int) -> None:
    ring, observer = make_ring(mode, readers=0), Observer.allocate()
    send(ring, SLOTS)
    observer.position = 2
    assert claim_slots(ring, 4) == 4
    write(ring, 0, 4, 77)  # positions 0..3 are overwritten, and not published yet
    assert watch(ring, observer, SLOTS) == [5, 6, 7, 8]
    assert (observer.laps, observer.lost) == (1, 2)


@MODES
@pytest.mark.parametrize("seen", [0, 2, 3])
def test_a_smaller_claim_does_not_bring_overwritten_slots_back(mode: int, seen: int) -> None:
    ring, observer = make_ring(mode, readers=0), Observer.allocate()
    send(ring, SLOTS)
    assert claim_slots(ring, 4) == 4
    write(ring, 0, 4, 77)
    assert resume(ring) == SLOTS  # the producer died here; the next one claims less
    assert claim_slots(ring, 1) == 1
    observer.position = seen
    assert watch(ring, observer, SLOTS) == [5, 6, 7, 8]


@MODES
def test_an_observer_may_lag_by_fifteen_sixteenths_of_a_ring(mode: int) -> None:
    slots = 64
    ring, observer = make_ring(mode, readers=0, slots=slots), Observer.allocate()
    sent = 0
    for _ in range(300):
        sent += send(ring, 1)
        oldest = ring.claims.intent - slots
        assert sent <= ring.claims.intent <= sent + slots // 16
        if oldest < 0:
            continue
        observer.laps = observer.lost = 0
        observer.position = oldest
        assert watch(ring, observer, 1) == [oldest + 1]
        assert observer.laps == 0
        if oldest > 0:
            observer.position = oldest - 1
            watch(ring, observer, 1)
            assert observer.laps == 1


@MODES
def test_intent_never_promises_more_than_the_gate(mode: int) -> None:
    ring = make_ring(mode, readers=1, slots=64)
    for _ in range(64):
        send(ring, 1)
        assert ring.claims.intent <= ring.claims.gate
    assert claim_slots(ring, 1) == 0
    assert ring.claims.intent == 64


def pass_a_claim(mode: int, claimed: int) -> None:
    ring, observer = make_ring(mode, readers=0), Observer.allocate()
    send(ring, SLOTS)
    send(ring, 1)
    assert claim_slots(ring, claimed) == claimed
    observer.position = 1
    found = watch(ring, observer, SLOTS)
    assert len(found) == min(SLOTS - claimed, SLOTS // 2)
    assert found == list(range(SLOTS + 2 - len(found), SLOTS + 2))
    assert observer.position == SLOTS + 1
    assert observer.lost + len(found) == SLOTS
    assert observer.laps == 1


@MODES
def test_an_observer_gets_past_a_claim_of_any_size(mode: int, children: Any) -> None:
    def pass_all() -> None:
        for claimed in range(1, SLOTS + 1):
            pass_a_claim(mode, claimed)

    pass_a_claim(mode, 1)
    # In a child, because an observer that goes back instead never returns.
    assert children.join(children.start(pass_all)) == 0
