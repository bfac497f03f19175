"""What the levels, chunks and the pool of matching must be like between two commands.

The lower half of `book_state`: it also says in which level each order was found.
"""

from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.book import NO_KEY, SIDES_PER_INSTRUMENT, Books, Chunk, Level
from engine.limits import CHUNK_TICKS, ORDER_MAP_SLOTS
from engine.messages import Side
from engine.orders import NO_ORDER, Detail, Link, Order, OrderFlag
from ipc import memory
from ipc.record import Codec, Record, numpy_dtype

ORDERS = Codec(Order)
DETAILS = np.dtype(
    {
        "names": [name for name in Detail.fields if name != "links"],
        "formats": [each.scalar.code for each in Detail.fields.values() if each.name != "links"],
        "offsets": [each.offset for each in Detail.fields.values() if each.name != "links"],
        "itemsize": Detail.size,
    }
)
LINKS = np.dtype(
    {
        "names": ["links"],
        "formats": [(numpy_dtype(Link), Detail.fields["links"].count)],
        "offsets": [Detail.fields["links"].offset],
        "itemsize": Detail.size,
    }
)
DetailValues: Any = namedtuple("DetailValues", DETAILS.names)
CHUNKS = np.dtype(
    {
        "names": ["key", "bitmap", "levels", "hidden"],
        "formats": ["<i8", "<u8", (numpy_dtype(Level), CHUNK_TICKS), ("<i8", CHUNK_TICKS)],
        "offsets": [Chunk.fields[name].offset for name in ("key", "bitmap", "levels", "hidden")],
        "itemsize": Chunk.size,
    }
)


class StateError(AssertionError):
    """A structure of the books contradicts another one."""


def expect(holds: Any, rule: str, *about: Any) -> None:
    """StateError unless `holds`."""
    if not holds:
        raise StateError(f"{rule}: {about}" if about else rule)


def raw(first: Record, count: int) -> bytes:
    """A copy of `count` records that lie behind each other in an array."""
    size = first.size * count
    region = memory.find(first.address, size)
    start = region.offset(first.address, size)
    return bytes(region.view[start : start + size])


@dataclass
class Snapshot:
    """The pool and the chunks, copied, and where each order was found."""

    orders: list[Any]
    details: list[Any]
    "Without their links."
    following: list[list[int]]
    "The next slot in each of the lists that an order may be in."
    preceding: list[list[int]]
    chunks: Any
    level_of: dict[int, tuple[int, int]] = field(default_factory=dict)
    "Slot -> instrument and side of orders in levels."
    roster_of: dict[int, tuple[int, int]] = field(default_factory=dict)
    "Slot -> instrument and roster."
    season_of: dict[int, tuple[int, int]] = field(default_factory=dict)
    chunk_owners: dict[int, int] = field(default_factory=dict)
    "Chunk -> side that it belongs to."


def copied(books: Books) -> Snapshot:
    """The pool and the chunks as they are now."""
    used = books.pool.used
    details = raw(books.details[0], used + 1)
    links = np.frombuffer(details, LINKS)["links"]
    return Snapshot(
        ORDERS.decode_many(raw(books.pool.orders[0], used + 1)),
        [DetailValues(*values) for values in np.frombuffer(details, DETAILS).tolist()],
        links["next"].tolist(),
        links["previous"].tolist(),
        np.frombuffer(raw(books.chunks[0], books.chunks_used + 1), CHUNKS),
    )


def check_pool(books: Books, state: Snapshot) -> list[int]:
    """Slots of the live orders: neither free nor missing in the map."""
    pool, orders = books.pool, state.orders
    free = list(chain(pool.free, len(orders), lambda slot: orders[slot].chained))
    expect(all(orders[slot].order_id == 0 for slot in free), "free slots have no id")
    live = sorted(set(range(1, len(orders))) - set(free))
    expect(len(free) + len(live) == pool.used, "a slot is free or taken")
    expect(pool.live == len(live), "pool.live", pool.live, len(live))
    expect(pool.live <= pool.limit, "pool.limit", pool.live)
    heads = np.frombuffer(raw_map(books), "<u4")
    mapped = []
    for place in np.flatnonzero(heads).tolist():
        for slot in chain(int(heads[place]), len(orders), lambda slot: orders[slot].chained):
            expect(orders[slot].order_id % ORDER_MAP_SLOTS == place, "place in the map", slot)
            mapped.append(slot)
    expect(sorted(mapped) == live, "the map has the live orders", len(mapped), len(live))
    ids = [orders[slot].order_id for slot in live]
    expect(len(set(ids)) == len(ids), "an id has one order")
    return live


def raw_map(books: Books) -> bytes:
    """A copy of the id map; it lies before the orders."""
    pool = books.pool
    start = pool.address + type(pool).fields["map"].offset
    size = 4 * ORDER_MAP_SLOTS
    region = memory.find(start, size)
    offset = region.offset(start, size)
    return bytes(region.view[offset : offset + size])


def chain(first: int, most: int, after: Callable[[int], int]) -> Iterator[int]:
    """The slots of a chain; StateError when it has no end."""
    slot, count = first, 0
    while slot != NO_ORDER:
        expect(count < most, "a chain ends", first)
        yield slot
        slot, count = after(slot), count + 1


# --- levels -----------------------------------------------------------------------------------


def check_side(books: Books, state: Snapshot, number: int) -> None:
    """One side of one book, or of the orders that wait for a price."""
    side = books.sides[number]
    keys = [side.keys[place] for place in range(side.count)]
    expect(keys == sorted(set(keys), reverse=True), "chunks by descending key", number, keys)
    best = NO_KEY
    for place, key in enumerate(keys):
        index = side.chunks[place]
        expect(0 < index <= books.chunks_used, "a chunk of the pool", index)
        expect(index not in state.chunk_owners, "a chunk has one side", index)
        state.chunk_owners[index] = number
        chunk = state.chunks[index]
        expect(int(chunk["key"]) == key, "key of a chunk", key)
        bitmap = int(chunk["bitmap"])
        expect(bitmap != 0, "a chunk in use has orders", number, key)
        for level in range(CHUNK_TICKS):
            if bitmap >> level & 1:
                check_level(state, number, index, level)
                best = min(best, key * CHUNK_TICKS + level)
    expect(side.best_key == best, "best_key", number, side.best_key, best)
    for place in range(len(side.hot)):
        index = side.hot[place]
        if index:
            expect(state.chunk_owners.get(index) == number, "a hot chunk is alive", index)
            expect(int(state.chunks[index]["key"]) % len(side.hot) == place, "hot place", index)


def check_level(state: Snapshot, number: int, index: int, level: int) -> None:
    """Order, links and totals of one level."""
    instrument, side = divmod(number, SIDES_PER_INSTRUMENT)
    chunk, orders = state.chunks[index], state.orders
    lots, head, tail = chunk["levels"][level].tolist()
    total = hidden = 0
    before = NO_ORDER
    expect(head != NO_ORDER, "a level with its bit set has orders", number, level)
    for slot in chain(head, len(orders), lambda slot: orders[slot].next):
        order = orders[slot]
        expect(slot not in state.level_of, "an order is in one level", slot)
        expect(order.previous == before, "links back", slot, order.previous, before)
        expect(order.chunk == index, "chunk of an order", slot)
        key = int(chunk["key"]) * CHUNK_TICKS + level
        expect(order.price_key == key, "key of an order", order.price_key, key)
        expect(order.instrument == instrument, "instrument of an order", slot)
        state.level_of[slot] = (instrument, side)
        total += order.leaves_lots
        if side in (Side.BUY, Side.SELL) and order.flags & OrderFlag.RESERVE:
            hidden += order.leaves_lots - state.details[slot].shown_lots
        before = slot
    expect(tail == before, "tail of a level", number, tail, before)
    expect(lots == total, "level.lots is the sum", number, lots, total)
    expect(int(chunk["hidden"][level]) == hidden, "chunk.hidden is the sum", number, hidden)


def check_chunks(books: Books, state: Snapshot) -> None:
    """Chunks are in use or free; levels without orders are blank."""
    free = []
    for index in chain(books.chunk_free, len(state.chunks), lambda at: books.chunks[at].next_free):
        free.append(index)
        expect(int(state.chunks[index]["bitmap"]) == 0, "a free chunk has no orders", index)
    owned = set(state.chunk_owners)
    expect(not owned & set(free), "a chunk is in use or free")
    expect(len(owned) + len(free) == books.chunks_used, "no chunk is lost", len(owned), len(free))
    expect(books.chunks_live == len(owned), "chunks_live", books.chunks_live, len(owned))
    bits = (state.chunks["bitmap"][:, None] >> np.arange(CHUNK_TICKS, dtype="<u8")) & 1
    blank = bits == 0
    for name in ("lots", "head"):
        expect(not state.chunks["levels"][name][blank].any(), "levels without orders are blank")
    expect(not state.chunks["hidden"][blank].any(), "levels without orders hide nothing")
