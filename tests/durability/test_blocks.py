"""State blocks: which pages are in use, clearing and copying, in private and in shared memory."""

import mmap
import os

import numpy as np
import pytest

from engine.durability import blocks
from engine.durability.blocks import PAGE_BYTES, Block, Run
from ipc import memory, segment
from ipc.record import Array, Record, i64, length

PAGES = 3000


class State(Record):
    """3000 pages and a half."""

    words: Array[i64] = length(PAGES * PAGE_BYTES // 8 + PAGE_BYTES // 16)


HEADER_BYTES = 128
"""What lies before a block in its segment."""


def private():
    return Block.allocate(State, "private state")


def shared():
    size = HEADER_BYTES + State.size + PAGE_BYTES
    region = memory.allocate_shared(size, "shared state")
    region.view[:] = bytes([255]) * size
    block = Block(State, region.start + HEADER_BYTES)
    blocks.clear(block)
    return block


def named():
    """In a segment, as the states of a venue."""
    segment.unlink(NAME)
    made = segment.create(NAME, State.size, 1)
    segments.append(made)
    return Block(State, made.address)


segments = []
NAME = f"okimi.blocks-{os.getpid()}"


@pytest.fixture(autouse=True)
def _no_segment_is_left():
    yield
    segment.unlink(NAME)
    segments.clear()


def around(block):
    """The bytes of a shared block's memory that are not the block's."""
    region = block.region()
    start = region.offset(block.address, block.size)
    return bytes(region.view[:start]) + bytes(region.view[start + block.size :])


def fill(block, *places):
    view = block.view()
    for place in places:
        view[place] = 1


PLACES = [0, PAGE_BYTES - 1, 5 * PAGE_BYTES + 8, 6 * PAGE_BYTES, 2999 * PAGE_BYTES, State.size - 1]
RUNS = [Run(0, 1), Run(5, 2), Run(2999, 2)]


@pytest.mark.parametrize("make", [private, shared, named])
def test_pages_in_use_are_those_that_are_not_zero(make):
    block = make()
    assert blocks.runs_in_use(block) == []
    fill(block, *PLACES)
    assert blocks.runs_in_use(block) == RUNS
    block.view()[:] = 0  # touched, and zero again
    assert blocks.runs_in_use(block) == []
    block.view()[:] = 1
    assert blocks.runs_in_use(block) == [Run(0, PAGES + 1)]


def test_any_random_state_is_found_page_by_page():
    drawn = np.random.default_rng(5)
    block = private()
    pages = block.view()[: PAGES * PAGE_BYTES].reshape(PAGES, PAGE_BYTES)
    for _ in range(5):
        blocks.clear(block)
        for page in drawn.choice(PAGES, 700, replace=False):
            pages[page, drawn.integers(PAGE_BYTES)] = drawn.integers(2)  # 0: only touched
        found = np.zeros(PAGES + 1, bool)
        for run in blocks.runs_in_use(block):
            found[run.first : run.first + run.count] = True
        assert (found[:PAGES] == pages.any(axis=1)).all()


def test_all_is_looked_at_where_the_page_map_is_hidden(monkeypatch, tmp_path):
    monkeypatch.setattr(blocks, "_PAGEMAP", str(tmp_path / "none"))
    block = private()
    fill(block, *PLACES)
    assert blocks.runs_in_use(block) == RUNS


@pytest.mark.parametrize("make", [private, shared, named])
def test_clearing_touches_nothing_else(make):
    block = make()
    outside = around(block)
    block.view()[:] = 7
    blocks.clear(block)
    assert not block.view().any()
    assert around(block) == outside


def test_looking_at_a_segment_puts_no_page_in_place():
    block, file = named(), segment.SHARED_MEMORY / NAME
    fill(block, *PLACES)
    assert blocks.runs_in_use(block) == RUNS
    blocks.copy(block, private())
    # A page of the block lies in two of the segment: their neighbours may have come.
    assert file.stat().st_blocks * 512 <= 3 * len(PLACES) * PAGE_BYTES
    segment.unlink(NAME)  # then its holes cannot be seen any more
    assert blocks.runs_in_use(block) == RUNS


def test_clearing_gives_memory_back():
    block = private()
    block.view()[:] = 7
    assert blocks._touched(block).all()
    blocks.clear(block)
    assert not blocks._touched(block)[:PAGES].any(), "the last page may be shared with others"


@pytest.mark.parametrize("source", [private, shared, named])
@pytest.mark.parametrize("target", [private, shared, named])
def test_a_copy_is_equal_whatever_was_there(source, target):
    drawn = np.random.default_rng(7)
    one, other = source(), target()
    outside = around(other)
    for _ in range(4):
        blocks.clear(one)
        fill(one, *drawn.choice(State.size, 300))
        fill(other, *drawn.choice(State.size, 300))
        assert any(True for _ in blocks.differences(one, other))
        blocks.copy(one, other)
        assert (one.view() == other.view()).all()
        assert not any(True for _ in blocks.differences(one, other))
        assert around(other) == outside


@pytest.mark.parametrize("make", [private, shared, named])
def test_locked_memory_that_stays_in_place_is_zeroed(make, monkeypatch):
    class Locked(mmap.mmap):
        def madvise(self, *_):
            raise OSError("locked")

    monkeypatch.setattr(blocks.mmap, "mmap", Locked)
    monkeypatch.setattr(blocks.memory.mmap, "mmap", Locked)
    block, source = make(), private()
    outside = around(block)
    block.view()[:] = 7
    fill(source, *PLACES)
    blocks.copy(source, block)
    assert (block.view() == source.view()).all()
    blocks.clear(block)
    assert not block.view().any()
    assert around(block) == outside


def test_differences_name_the_first_byte_of_each_page():
    one, other = private(), private()
    fill(one, *PLACES)
    assert list(blocks.differences(one, other)) == [
        0,
        5 * PAGE_BYTES + 8,
        6 * PAGE_BYTES,
        2999 * PAGE_BYTES,
        State.size - 1,
    ]


def test_a_digest_is_of_the_content_alone():
    one, other = private(), shared()
    assert blocks.digest(one) == blocks.digest(other)
    fill(one, *PLACES)
    other.view()[100 * PAGE_BYTES :] = 7  # in use for a while
    blocks.copy(one, other)
    assert blocks.digest(one) == blocks.digest(other)
    fill(other, 77)
    assert blocks.digest(one) != blocks.digest(other)
    blocks.clear(other)
    fill(other, *(place + PAGE_BYTES for place in PLACES[:3]))
    blocks.clear(one)
    fill(one, *PLACES[:3])
    assert blocks.digest(one) != blocks.digest(other), "where a page lies counts"


def test_memory_given_back_cannot_be_used():
    block = private()
    block.free()
    with pytest.raises(memory.MemoryFault):
        block.view()
