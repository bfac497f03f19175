"""kill -9 of either side of a ring, at random moments, and what the next one finds."""

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from ipc.intrinsics import multiply_wrapping, pause, yield_cpu
from ipc.jit import INTERPRETED, inlined, kernel
from ipc.record import LINE_PAIR_BYTES, Record, i64, shared
from ipc.ring import (
    BY_INDEX,
    BY_SLOT,
    Cursor,
    Numbered,
    Ring,
    claim,
    consume,
    create_ring,
    publish,
    ready,
    resume,
    ring_bytes,
    slot,
)

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(INTERPRETED, reason="the traffic of processes needs compiled code"),
]

MODES = pytest.mark.parametrize("mode", [BY_INDEX, BY_SLOT], ids=["by index", "by slot"])
KILLS, KILLS_MAX = 12, 500
SLOTS, SLOT_BYTES, BATCH = 256, 64, 24


class Source(Record, align=LINE_PAIR_BYTES):
    """Written by whichever producer lives."""

    rounds: shared
    "Batches published: moves while a producer is at work."
    stop: shared


class Ledger(Record, align=LINE_PAIR_BYTES):
    """The consumer's state, which survives it: effects first, then the ring's cursor."""

    applied: shared
    "Sequence of the last message that took effect."
    lost: i64
    "Sequences that were never applied."
    replayed: i64
    "Messages seen again after a kill, skipped by sequence."
    torn: i64
    "Messages made of the words of several producers or sequences."
    life: i64
    "The youngest producer whose message was applied."
    revived: i64
    "Messages of a producer that came after one of its successor's."
    rounds: shared
    stop: shared


@inlined
def word_of(sequence: int, life: int, word: int) -> int:
    return multiply_wrapping(sequence * 64 + life, 0x2545F4914F6CDD1D) + word


@inlined
def relax(idle: int) -> int:
    if idle < 200:
        pause()
    else:
        yield_cpu()
    return idle + 1


@kernel
def produce(ring: Ring, source: Source, life: int) -> None:
    """Take over as producer number `life` and publish until told to stop."""
    resume(ring)
    idle = 0
    while source.stop == 0:
        position = ring.producer.position
        count = claim(ring, 1 + (position & 0xFFFF) % BATCH)
        for index in range(count):
            address = slot(ring, position + index)
            Numbered(address + 8).sequence = life
            for word in range(2, SLOT_BYTES >> 3):
                value = word_of(position + index + 1, life, word)
                Numbered(address + word * 8).sequence = value
        publish(ring, count)
        source.rounds = source.rounds + 1
        idle = relax(idle) if count == 0 else 0


@inlined
def apply(ledger: Ledger, address: int) -> None:
    """The effect of one message: idempotent, committed by the store of `applied`."""
    sequence = Numbered(address).sequence
    life = Numbered(address + 8).sequence
    for word in range(2, SLOT_BYTES >> 3):
        ledger.torn += Numbered(address + word * 8).sequence != word_of(sequence, life, word)
    if sequence <= ledger.applied:
        ledger.replayed += 1
        return
    ledger.lost += sequence - ledger.applied - 1
    ledger.revived += life < ledger.life
    ledger.life = life
    pause()  # widens the window in which a kill hits
    ledger.applied = sequence


@kernel
def consume_messages(ring: Ring, cursor: Cursor, ledger: Ledger, effect_first: int) -> None:
    """Apply messages until told to stop and nothing is left."""
    idle = 0
    while True:
        stopping = ledger.stop
        position = cursor.position
        count = ready(ring, cursor, BATCH)
        if effect_first == 0:
            consume(cursor, count)
        for index in range(count):
            apply(ledger, slot(ring, position + index))
        if effect_first != 0:
            consume(cursor, count)
        ledger.rounds = ledger.rounds + 1
        if count == 0 and stopping != 0:
            return
        idle = relax(idle) if count == 0 else 0


class Stage:
    """A ring in shared memory, both ends' state, and processes that come and go."""

    def __init__(self, mode: int, block: Callable[[int], int], children: Any) -> None:
        shape = ring_bytes(SLOTS, SLOT_BYTES)
        self.ring = create_ring(block(shape), SLOTS, SLOT_BYTES, mode, readers=1)
        self.source, self.ledger = Source(block(Source.size)), Ledger(block(Ledger.size))
        self.children, self.lives = children, 0
        seed = random.SystemRandom().randrange(2**32)
        print(f"seed {seed}")  # shown when the test fails
        self.random = random.Random(seed)
        self.source.stop = self.ledger.stop = 1  # compile before forking
        produce(self.ring, self.source, 0)
        consume_messages(self.ring, self.ring.readers[0], self.ledger, 1)
        self.source.stop = self.ledger.stop = 0

    def start_producer(self) -> int:
        self.lives += 1
        life = self.lives
        return self.children.start(lambda: produce(self.ring, self.source, life))

    def start_consumer(self, effect_first: bool) -> int:
        return self.children.start(
            lambda: consume_messages(
                self.ring, self.ring.readers[0], self.ledger, int(effect_first)
            )
        )

    def kill_soon(self, pid: int, progress: Callable[[], int]) -> None:
        """Let the child get to work, then kill it at some moment of its work."""
        rounds = progress()
        while progress() == rounds:
            self.children.check(pid)
            time.sleep(0.0002)
        time.sleep(self.random.random() * 0.003)
        self.children.kill(pid)

    def finish(self, producer: int, consumer: int) -> None:
        """Let the producer end first, so that the consumer sees all it published."""
        self.source.stop = 1
        assert self.children.join(producer) == 0
        self.ledger.stop = 1
        assert self.children.join(consumer) == 0


@pytest.fixture
def stage_of(shared_block: Callable[[int], int], children: Any) -> Callable[[int], Stage]:
    return lambda mode: Stage(mode, shared_block, children)


@MODES
def test_producers_are_killed(stage_of: Callable[[int], Stage], mode: int) -> None:
    stage = stage_of(mode)
    consumer = stage.start_consumer(effect_first=True)
    for _ in range(KILLS):
        stage.kill_soon(stage.start_producer(), lambda: stage.source.rounds)
    last = stage.start_producer()
    reached = stage.ring.producer.position
    while stage.ledger.applied < reached + SLOTS:
        stage.children.check(consumer)
        time.sleep(0.001)
    stage.finish(last, consumer)
    ledger = stage.ledger
    assert (ledger.torn, ledger.lost, ledger.revived, ledger.replayed) == (0, 0, 0, 0)
    assert ledger.applied == stage.ring.producer.position > KILLS
    assert ledger.life == stage.lives


@MODES
def test_consumers_are_killed(stage_of: Callable[[int], Stage], mode: int) -> None:
    stage = stage_of(mode)
    producer = stage.start_producer()
    ledger, kills = stage.ledger, 0
    # Until some of them have hit between an effect and its cursor.
    while kills < KILLS or (ledger.replayed == 0 and kills < KILLS_MAX):
        stage.kill_soon(stage.start_consumer(effect_first=True), lambda: ledger.rounds)
        kills += 1
    stage.finish(producer, stage.start_consumer(effect_first=True))
    assert (ledger.torn, ledger.lost) == (0, 0)
    assert ledger.applied == stage.ring.producer.position == stage.ring.readers[0].position
    assert 0 < ledger.replayed <= kills * BATCH


def test_consuming_before_the_effect_would_lose_messages(
    stage_of: Callable[[int], Stage],
) -> None:
    # The control: the same kills with the two steps exchanged. It shows that the kills hit.
    stage = stage_of(BY_INDEX)
    producer = stage.start_producer()
    for _ in range(KILLS):
        stage.kill_soon(stage.start_consumer(effect_first=False), lambda: stage.ledger.rounds)
    stage.finish(producer, stage.start_consumer(effect_first=False))
    assert stage.ledger.lost > 0


@MODES
def test_both_sides_are_killed(stage_of: Callable[[int], Stage], mode: int) -> None:
    stage = stage_of(mode)
    producer, consumer = stage.start_producer(), stage.start_consumer(effect_first=True)
    for _ in range(KILLS):
        if stage.random.random() < 0.5:
            stage.kill_soon(producer, lambda: stage.source.rounds)
            producer = stage.start_producer()
        else:
            stage.kill_soon(consumer, lambda: stage.ledger.rounds)
            consumer = stage.start_consumer(effect_first=True)
    stage.finish(producer, consumer)
    ledger = stage.ledger
    assert (ledger.torn, ledger.lost, ledger.revived) == (0, 0, 0)
    assert ledger.applied == stage.ring.producer.position
