"""Rings between real processes: order, no loss, no tear, observers that are lapped."""

from collections.abc import Callable
from typing import Any

import pytest

from ipc.intrinsics import multiply_wrapping, pause, yield_cpu
from ipc.jit import INTERPRETED, inlined, kernel
from ipc.record import LINE_PAIR_BYTES, Array, Record, i64, length, shared
from ipc.ring import (
    BY_INDEX,
    BY_SLOT,
    Cursor,
    Numbered,
    Observer,
    Ring,
    RingGroup,
    claim,
    consume,
    create_ring,
    join,
    leave,
    next_source,
    observe,
    publish,
    ready,
    ring_bytes,
    slot,
)

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(INTERPRETED, reason="the traffic of processes needs compiled code"),
]

MODES = pytest.mark.parametrize("mode", [BY_INDEX, BY_SLOT], ids=["by index", "by slot"])
SOURCES = 3


class Verdict(Record, align=LINE_PAIR_BYTES):
    """What a receiver found; written by it alone."""

    received: shared
    torn: i64
    "Messages whose words do not belong together."
    misplaced: i64
    "Messages with another sequence than the next one."
    checksum: i64
    gaps: i64
    "Jumps in the sequence that an observer saw."
    skipped: i64
    "Messages left out by these jumps."
    by_source: Array[i64] = length(SOURCES)


@inlined
def word_of(sequence: int, word: int) -> int:
    """What the payload of message `sequence` holds at `word`."""
    return multiply_wrapping(sequence + word, 0x9E3779B97F4A7C1) ^ word


@inlined
def relax(idle: int) -> int:
    """Spin for a while, then let others run: there may be more processes than cores."""
    if idle < 200:
        pause()
    else:
        yield_cpu()
    return idle + 1


@kernel
def send_many(ring: Ring, total: int, batch: int) -> None:
    """Publish messages until `total` have been, `batch` at a time."""
    idle = 0
    while ring.producer.position < total:
        position = ring.producer.position
        count = claim(ring, min(batch, total - position))
        for index in range(count):
            address = slot(ring, position + index)
            for word in range(1, ring.slot_bytes >> 3):
                value = word_of(position + index + 1, word)
                Numbered(address + word * 8).sequence = value
        publish(ring, count)
        idle = relax(idle) if count == 0 else 0


@inlined
def inspect(verdict: Verdict, address: int, words: int, expected: int) -> None:
    """Check the message at `address` and count it."""
    sequence = Numbered(address).sequence
    verdict.misplaced += sequence != expected
    for word in range(1, words):
        value = Numbered(address + word * 8).sequence
        verdict.checksum = verdict.checksum ^ value
        if value != word_of(sequence, word):
            verdict.torn += 1


@kernel
def receive_many(ring: Ring, cursor: Cursor, verdict: Verdict, total: int, batch: int) -> None:
    """Read and check `total` messages, at most `batch` at a time."""
    idle = 0
    words = ring.slot_bytes >> 3
    while verdict.received < total:
        position = cursor.position
        count = ready(ring, cursor, batch)
        for index in range(count):
            inspect(verdict, slot(ring, position + index), words, position + index + 1)
        consume(cursor, count)
        verdict.received = verdict.received + count
        idle = relax(idle) if count == 0 else 0


@kernel
def checksum_of(total: int, words: int) -> int:
    checksum = 0
    for sequence in range(1, total + 1):
        for word in range(1, words):
            checksum ^= word_of(sequence, word)
    return checksum


Fresh = Callable[..., tuple[Ring, list[Verdict]]]


@pytest.fixture
def fresh(shared_block: Callable[[int], int]) -> Fresh:
    """A function that makes a ring in shared memory, and a verdict for each reader."""

    def make(mode: int, slots: int, slot_bytes: int, readers: int) -> tuple[Ring, list[Verdict]]:
        ring = create_ring(
            shared_block(ring_bytes(slots, slot_bytes)), slots, slot_bytes, mode, readers
        )
        count = max(readers, 1)
        start = shared_block(count * Verdict.size)
        return ring, [Verdict(start + index * Verdict.size) for index in range(count)]

    return make


@pytest.fixture(autouse=True)
def _warm(fresh: Fresh) -> None:
    """Compile before forking: a child would do it once more, on the clock of all others."""
    ring, (verdict,) = fresh(BY_INDEX, 2, 64, 1)
    send_many(ring, 1, 1)
    receive_many(ring, ring.readers[0], verdict, 1, 1)
    assert verdict.checksum == checksum_of(1, 8)


def assert_clean(verdict: Verdict, total: int, words: int) -> None:
    assert (verdict.torn, verdict.misplaced) == (0, 0)
    assert verdict.received == total
    assert verdict.checksum == checksum_of(total, words)


@MODES
@pytest.mark.parametrize(
    ("slots", "slot_bytes", "write_batch", "read_batch"),
    [(4096, 64, 1, 1), (4096, 64, 32, 32), (64, 128, 7, 64), (16, 192, 16, 1), (2, 64, 1, 2)],
)
def test_everything_arrives_in_order_and_whole(
    children: Any, fresh: Fresh, mode: int, slots: int, slot_bytes: int, write_batch: int,
    read_batch: int,
) -> None:  # fmt: skip
    total = 400_000 if slots > 16 else 60_000
    ring, (verdict,) = fresh(mode, slots, slot_bytes, 1)
    workers = [
        children.start(lambda: receive_many(ring, ring.readers[0], verdict, total, read_batch)),
        children.start(lambda: send_many(ring, total, write_batch)),
    ]
    assert [children.join(worker) for worker in workers] == [0, 0]
    assert_clean(verdict, total, slot_bytes // 8)
    assert ring.producer.position == ring.readers[0].position == total


@MODES
def test_every_gating_reader_sees_everything(children: Any, fresh: Fresh, mode: int) -> None:
    total = 100_000
    ring, verdicts = fresh(mode, 256, 128, 3)

    def reader(index: int) -> Callable[[], None]:
        return lambda: receive_many(
            ring, ring.readers[index], verdicts[index], total, 1 + 16 * index
        )

    workers = [children.start(reader(index)) for index in range(3)]
    workers.append(children.start(lambda: send_many(ring, total, 24)))
    assert [children.join(worker) for worker in workers] == [0] * 4
    for verdict in verdicts:
        assert_clean(verdict, total, 16)


@kernel
def receive_group(group: RingGroup, verdict: Verdict, total: int, batch: int) -> None:
    """Read `total` messages from all rings of a group, each ring in its own order."""
    idle = 0
    while verdict.received < total:
        index = next_source(group)
        if index < 0:
            idle = relax(idle)
            continue
        idle = 0
        source = group.sources[index]
        position = source.cursor.position
        count = ready(source.ring, source.cursor, batch)
        for step in range(count):
            address = slot(source.ring, position + step)
            inspect(verdict, address, source.ring.slot_bytes >> 3, position + step + 1)
        consume(source.cursor, count)
        verdict.by_source[index] += count
        verdict.received = verdict.received + count


def test_several_producers_reach_one_consumer(children: Any, fresh: Fresh) -> None:
    each = 60_000
    group = RingGroup.allocate()
    group.count = SOURCES
    rings = []
    for index in range(SOURCES):
        ring, (verdict,) = fresh(index % 2, 128, 64, 1)
        group.sources[index].ring, group.sources[index].cursor = ring, ring.readers[0]
        rings.append(ring)
    receive_group(group, verdict, 0, 1)
    workers = [
        children.start(lambda ring=ring, batch=batch: send_many(ring, each, batch))
        for ring, batch in zip(rings, (1, 8, 50), strict=True)
    ]
    workers.append(children.start(lambda: receive_group(group, verdict, SOURCES * each, 16)))
    assert [children.join(worker) for worker in workers] == [0] * (SOURCES + 1)
    assert [verdict.by_source[index] for index in range(SOURCES)] == [each] * SOURCES
    assert (verdict.torn, verdict.misplaced) == (0, 0)
    assert verdict.checksum == checksum_of(each, 8)  # three equal ones; two cancel out


@kernel
def join_often(ring: Ring, verdict: Verdict, times: int, wanted: int) -> None:
    """Join while the producer runs, read some messages, leave, again and again."""
    cursor = ring.readers[5]
    for _ in range(times):
        expected = join(ring, 5)
        left = wanted
        idle = 0
        while left > 0:
            count = ready(ring, cursor, left)
            for index in range(count):
                address = slot(ring, cursor.position + index)
                inspect(verdict, address, ring.slot_bytes >> 3, expected + index + 1)
            consume(cursor, count)
            expected += count
            left -= count
            idle = relax(idle) if count == 0 else 0
        leave(ring, 5)
    verdict.received = times * wanted


@MODES
@pytest.mark.parametrize("slots", [2, 16])
def test_readers_join_while_the_producer_runs(
    children: Any, fresh: Fresh, mode: int, slots: int
) -> None:
    ring, (verdict,) = fresh(mode, slots, 64, 0)
    join_often(ring, verdict, 1, 0)
    producer = children.start(lambda: send_many(ring, 1 << 60, 3))
    reader = children.start(lambda: join_often(ring, verdict, 20_000, 5))
    assert children.join(reader) == 0
    children.kill(producer)
    assert (verdict.torn, verdict.misplaced) == (0, 0)
    assert verdict.received == 100_000


# --- observers -------------------------------------------------------------------------------


@kernel
def watch_many(ring: Ring, observer: Observer, verdict: Verdict, target: int) -> None:
    """Copy and check until enough was seen and enough was missed; slow on purpose."""
    words = ring.slot_bytes >> 3
    last = observer.position
    while verdict.received < 20_000 or observer.laps < 200:
        count = observe(ring, observer, target, 4)
        for index in range(count):
            address = target + index * ring.slot_bytes
            sequence = Numbered(address).sequence
            inspect(verdict, address, words, sequence)
            verdict.misplaced += sequence <= last
            if sequence != last + 1:
                verdict.gaps += 1
                verdict.skipped += sequence - last - 1
            last = sequence
        verdict.received = verdict.received + count
        if verdict.received & 63 < 4:
            yield_cpu()


@MODES
@pytest.mark.parametrize("batch", [1, 16])
def test_a_lapped_observer_counts_exactly_and_sees_nothing_torn(
    children: Any, fresh: Fresh, shared_block: Callable[[int], int], mode: int, batch: int
) -> None:
    ring, (verdict,) = fresh(mode, 64, 128, 0)
    start = shared_block(Observer.size + 4 * ring.slot_bytes)
    observer, target = Observer(start + 4 * ring.slot_bytes), start
    observer.laps = 200
    verdict.received = 20_000
    watch_many(ring, observer, verdict, target)  # compiles, and returns at once
    observer.laps = verdict.received = 0
    producer = children.start(lambda: send_many(ring, 1 << 60, batch))
    watcher = children.start(lambda: watch_many(ring, observer, verdict, target))
    assert children.join(watcher) == 0
    children.kill(producer)
    assert (verdict.torn, verdict.misplaced) == (0, 0)
    assert verdict.received >= 20_000
    # Every slot up to the observer's position was either seen or counted as lost.
    assert verdict.received + observer.lost == observer.position
    # A jump in the sequence is a lap; laps right after one another make one jump.
    assert 0 < verdict.gaps <= observer.laps
    unseen_tail = observer.position - verdict.received - verdict.skipped
    assert observer.lost == verdict.skipped + unseen_tail
    assert unseen_tail == 0 or observer.laps > verdict.gaps
