"""Small blocks of state, for tests of snapshots."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from engine.durability.blocks import PAGE_BYTES, Block
from engine.durability.snapshot_format import Moment
from ipc.record import Array, Record, i64, length


class Purses(Record):
    """Five pages and 16 bytes."""

    total: i64
    held: Array[i64] = length(5 * PAGE_BYTES // 8)
    last: i64


class Orders(Record):
    """One page."""

    leaves: Array[i64] = length(PAGE_BYTES // 8)


MOMENT = Moment(
    venue="small",
    shards=2,
    event_slots=2048,
    term=3,
    dseq=7,
    eseqs=(11, 12),
    created_unix_ns=1_800_000_000_000_000_000,
)


@contextmanager
def zeroed() -> Iterator[dict[str, Block]]:
    """Blocks that are zero."""
    blocks = {
        "risk": Block.allocate(Purses, "small purses"),
        "matching.0": Block.allocate(Orders, "small orders"),
    }
    try:
        yield blocks
    finally:
        for block in blocks.values():
            block.free()


@contextmanager
def filled() -> Iterator[dict[str, Block]]:
    """Blocks of which some pages are in use: risk's second, third and last; matching's only one."""
    with zeroed() as blocks:
        purses = Purses(blocks["risk"].address)
        purses.held[PAGE_BYTES // 8] = -5
        purses.held[2 * PAGE_BYTES // 8 + 77] = 6
        purses.last = 1 << 62
        Orders(blocks["matching.0"].address).leaves[511] = 9
        yield blocks


def contents(blocks: Mapping[str, Block]) -> dict[str, bytes]:
    """All bytes of the blocks."""
    return {name: block.view().tobytes() for name, block in blocks.items()}


def flip(path: Path, bit: int) -> None:
    """Turn one bit of a file around."""
    with open(path, "r+b", buffering=0) as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))
