"""Rings against a model: random producers, readers, observers and deaths; a list knows better."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ipc import memory
from ipc.jit import kernel
from ipc.ring import (
    BY_INDEX,
    BY_SLOT,
    READERS_MAX,
    Numbered,
    Observer,
    Ring,
    create_ring,
    join,
    leave,
    observe,
    ready,
    resume,
    ring_bytes,
    slot,
)
from tests.ipc.steps import claim_slots, consume_slots, place, publish_slots, show_slots

pytestmark = pytest.mark.interpreted

GARBAGE = -7_777_777


@kernel
def fill(ring: Ring, first: int, count: int, value: int) -> None:
    """Write payload into `count` slots, `first` slots behind the producer's position on."""
    position = ring.producer.position + first
    for index in range(count):
        for word in range(1, ring.slot_bytes >> 3):
            Numbered(slot(ring, position + index) + word * 8).sequence = value + index


@kernel
def copy_ready(ring: Ring, index: int, wanted: int, target: int) -> int:
    """Copy what reader `index` can read, word by word; consumes nothing."""
    cursor = ring.readers[index]
    count = ready(ring, cursor, wanted)
    words = ring.slot_bytes >> 3
    for step in range(count):
        for word in range(words):
            value = Numbered(slot(ring, cursor.position + step) + word * 8).sequence
            Numbered(target + (step * words + word) * 8).sequence = value
    return count


class RingMachine(RuleBasedStateMachine):
    """The model: `sent[n]` is the value published at position `start + n`."""

    def __init__(self) -> None:
        super().__init__()
        self.regions: list[memory.Region] = []
        self.sent: list[int] = []
        self.granted = 0
        self.readers: dict[int, int] = {}  # active readers: what they have consumed
        self.observers: list[Any] = []
        self.watched: list[int] = []

    @initialize(
        mode=st.sampled_from([BY_INDEX, BY_SLOT]),
        bits=st.integers(1, 4),
        slot_bytes=st.sampled_from([64, 128]),
        readers=st.integers(0, 3),
        start=st.sampled_from([0, 2**31 - 20, 2**32 - 20, 2**40 - 3]),
    )
    def make(self, mode: int, bits: int, slot_bytes: int, readers: int, start: int) -> None:
        self.slots, self.start, self.intent = 1 << bits, start, start
        region = memory.allocate(ring_bytes(self.slots, slot_bytes), "ring")
        self.copies = memory.allocate(self.slots * slot_bytes * 4, "copies")
        self.regions += [region, self.copies]
        self.ring = create_ring(region.start, self.slots, slot_bytes, mode, readers)
        place(self.ring, start)
        self.readers = dict.fromkeys(range(readers), start)
        for _ in range(2):
            observer = Observer.allocate()
            observer.position = start
            self.observers.append(observer)
            self.watched.append(0)

    def teardown(self) -> None:
        for region in self.regions:
            memory.forget(region)

    @property
    def published(self) -> int:
        return self.start + len(self.sent)

    def check(self, count: int, first: int) -> None:
        """Compare `count` copied slots with what was sent from position `first` on."""
        words = self.ring.slot_bytes >> 3
        for step in range(count):
            begin = self.copies.start + step * words * 8
            slot_words = [memory.read_word(begin + word * 8) for word in range(words)]
            position = first + step
            value = self.sent[position - self.start]
            assert slot_words == [position + 1] + [value] * (words - 1)

    # --- the producer ------------------------------------------------------------------------

    @rule(wanted=st.integers(0, 20))
    def claim(self, wanted: int) -> None:
        slowest = min(self.readers.values(), default=self.published)
        free = slowest + self.slots - self.published
        self.granted = claim_slots(self.ring, wanted)
        assert self.granted == min(wanted, free)
        self.intent = max(self.intent, self.published + self.granted)
        fill(self.ring, 0, self.granted, GARBAGE)

    @rule(share=st.integers(0, 16), value=st.integers(0, 2**40))
    def publish(self, share: int, value: int) -> None:
        count = self.granted * share // 16
        fill(self.ring, 0, count, value)
        publish_slots(self.ring, count)
        self.sent += range(value, value + count)
        self.granted -= count

    @rule(share=st.integers(0, 16), value=st.integers(0, 2**40))
    def die_while_publishing(self, share: int, value: int) -> None:
        count = self.granted * share // 16
        fill(self.ring, 0, count, value)
        show_slots(self.ring, count)
        if self.ring.mode == BY_SLOT:
            self.sent += range(value, value + count)
        self.granted = 0
        assert resume(self.ring) == self.published

    # --- readers -----------------------------------------------------------------------------

    @precondition(lambda self: self.readers)
    @rule(data=st.data(), wanted=st.integers(0, 20), consumed=st.integers(0, 16))
    def read(self, data: st.DataObject, wanted: int, consumed: int) -> None:
        index = data.draw(st.sampled_from(sorted(self.readers)))
        position = self.readers[index]
        count = copy_ready(self.ring, index, wanted, self.copies.start)
        assert count == min(wanted, self.published - position)
        self.check(count, position)
        taken = count * consumed // 16
        consume_slots(self.ring, index, taken)
        self.readers[index] += taken

    @rule(index=st.integers(0, READERS_MAX - 1))
    def join(self, index: int) -> None:
        self.readers[index] = self.published
        assert join(self.ring, index) == self.published

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        index = data.draw(st.sampled_from(sorted(self.readers)))
        del self.readers[index]
        leave(self.ring, index)

    # --- observers ---------------------------------------------------------------------------

    @rule(which=st.integers(0, 1), wanted=st.integers(0, 12))
    def observe(self, which: int, wanted: int) -> None:
        observer = self.observers[which]
        before, laps, lost = observer.position, observer.laps, observer.lost
        oldest = self.intent - self.slots
        count = observe(self.ring, observer, self.copies.start, wanted)
        self.check(count, observer.position - count)
        self.watched[which] += count
        assert observer.position - before == count + (observer.lost - lost)
        lapped = wanted > 0 and before < min(oldest, self.published)
        assert observer.laps - laps == int(lapped)
        if not lapped:
            assert count == min(wanted, self.published - before)
            assert observer.lost == lost
        else:
            assert observer.position - count >= oldest

    @invariant()
    def nothing_is_unaccounted_for(self) -> None:
        for observer, watched in zip(self.observers, self.watched, strict=True):
            assert observer.position - self.start == watched + observer.lost
        if self.observers:
            assert self.ring.producer.position == self.published
            assert self.ring.claims.intent == self.intent <= self.published + self.slots


TestRingModel = RingMachine.TestCase
TestRingModel.settings = settings(max_examples=80, stateful_step_count=40)
