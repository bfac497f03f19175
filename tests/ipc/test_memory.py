"""Registered memory: only known bytes can be reached from Python."""

import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc import memory
from ipc.errors import MemoryFault

pytestmark = pytest.mark.interpreted


def test_words_are_read_as_written_and_nothing_else_changes() -> None:
    region = memory.allocate(64, "block")
    memory.write_word(region.start + 8, -2)
    assert memory.read_word(region.start + 8) == -2
    assert bytes(region.view[:24]) == bytes(8) + b"\xfe" + b"\xff" * 7 + bytes(8)
    memory.forget(region)


@pytest.mark.parametrize("offset", [-8, -1, 57, 64, 1 << 40])
def test_a_word_that_is_not_wholly_inside_is_a_fault(offset: int) -> None:
    region = memory.allocate(64, "block")
    with pytest.raises(MemoryFault):
        memory.read_word(region.start + offset)
    with pytest.raises(MemoryFault):
        memory.write_word(region.start + offset, 1)
    memory.forget(region)


def test_forgotten_memory_is_a_fault_and_can_be_unmapped() -> None:
    mapping = mmap.mmap(-1, 4096)
    region = memory.register(mapping, "mapping")
    start = region.start
    with pytest.raises(BufferError):
        mapping.close()
    memory.forget(region)
    with pytest.raises(MemoryFault):
        memory.read_word(start)
    mapping.close()


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.randoms())
def test_each_address_belongs_to_its_own_block(sizes: list[int], random: object) -> None:
    regions = [memory.allocate(size * 8, f"block {n}") for n, size in enumerate(sizes)]
    random.shuffle(regions)  # type: ignore[attr-defined]
    dropped, kept = regions[: len(regions) // 2], regions[len(regions) // 2 :]
    addresses = [region.start for region in dropped]
    for region in dropped:
        memory.forget(region)
    for region in kept:
        assert memory.find(region.start, 1) is region
        assert memory.find(region.start + region.size - 8, 8) is region
        with pytest.raises(MemoryFault, match=region.name):
            memory.find(region.start + region.size - 7, 8)
    for address in addresses:
        with pytest.raises(MemoryFault):
            memory.find(address, 1)
    for region in kept:
        memory.forget(region)
