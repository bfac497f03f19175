"""Order books of any price range: chunks of 64 price levels, sorted by price. Owned by matching.

Each side of a book keeps its chunks in an array sorted from worst to best, so that work near the
touch happens at the array's end. A chunk is one bitmap and 64 levels; the best price is the
lowest set bit of the last chunk. Bid prices are mirrored (`key_of`), so the best key is the
smallest on both sides and no code asks which side it serves. Chunks are made when a price in
their range gets its first order and given back with their last.
"""

from typing import Final

from engine.limits import (
    CHUNK_TICKS,
    CHUNKS_MAX,
    CHUNKS_PER_SIDE_MAX,
    INSTRUMENTS_MAX,
    LEVEL_LOTS_MAX,
    ORDERS_MAX,
)
from engine.market.state import Calendar, Market, Taker, Work
from engine.orders import NO_ORDER, Detail, Order, OrderPool
from engine.reference import InstrumentTerms
from ipc.intrinsics import shift_left, trailing_zeros
from ipc.jit import inlined, kernel
from ipc.record import CACHE_LINE_BYTES, Array, Record, i64, length, u32

CHUNK_BITS: Final = 6
assert CHUNK_TICKS == 1 << CHUNK_BITS

NO_KEY: Final = 1 << 62
"""The best key of an empty side: worse than every price."""

NO_CHUNK: Final = 0

SIDES_PER_INSTRUMENT: Final = 4
"""Bids, asks, and the orders that wait for a price: those that wake UPWARD and DOWNWARD."""

UPWARD: Final = 2
"""Orders that wake when a trade is at their trigger or above: kept like asks."""

DOWNWARD: Final = 3
"""Orders that wake when a trade is at their trigger or below: kept like bids."""

HOT_CHUNKS: Final = 64
"""Chunks of a side that are found without a search: 4096 ticks around the touch."""


class Level(Record):
    """One price: its orders in time order and their open quantity."""

    lots: i64
    head: u32
    tail: u32


class Chunk(Record, align=CACHE_LINE_BYTES):
    """64 neighbouring prices of one side."""

    key: i64
    "Price key >> CHUNK_BITS of its levels."
    bitmap: i64
    "Bit n is set when level n has orders."
    next_free: i64
    levels: Array[Level] = length(CHUNK_TICKS)
    hidden: Array[i64] = length(CHUNK_TICKS)
    "Of each level's lots, those that are not shown."


class SideBook(Record, align=CACHE_LINE_BYTES):
    """One side of one book."""

    best_key: i64
    "Key of the best price, NO_KEY when the side is empty."
    count: i64
    "Chunks in use."
    hot: Array[u32] = length(HOT_CHUNKS)
    "Chunk indices by the low bits of their key; NO_CHUNK or certain to be alive."
    keys: Array[i64] = length(CHUNKS_PER_SIDE_MAX)
    "Keys of the chunks in use, descending: the best is last."
    chunks: Array[u32] = length(CHUNKS_PER_SIDE_MAX)
    "Their indices in the pool."


class Books(Record, align=CACHE_LINE_BYTES):
    """All books of one matching stage and their pools."""

    match_id: i64
    "Number of the last trade in any of the books."
    chunks_limit: i64
    "Chunks that may be in use at once, at most CHUNKS_MAX - 1."
    chunks_live: i64
    chunks_used: i64
    chunk_free: i64
    pool: OrderPool
    taker: Taker
    work: Work
    calendar: Calendar
    markets: Array[Market] = length(INSTRUMENTS_MAX)
    terms: Array[InstrumentTerms] = length(INSTRUMENTS_MAX)
    chunks: Array[Chunk] = length(CHUNKS_MAX)
    sides: Array[SideBook] = length(SIDES_PER_INSTRUMENT * INSTRUMENTS_MAX)
    "Side `instrument * SIDES_PER_INSTRUMENT + side`."
    details: Array[Detail] = length(ORDERS_MAX + 1)


@inlined
def key_of(price_ticks: int, side: int) -> int:
    """Price as a key: itself for SELL (1), mirrored (~price) for BUY (0). Its own inverse."""
    return price_ticks ^ (side - 1)


@inlined
def side_of(books: Books, instrument: int, side: int) -> SideBook:
    """One side of one book, or UPWARD or DOWNWARD."""
    return books.sides[instrument * SIDES_PER_INSTRUMENT + side]


@inlined
def crosses(books: Books, instrument: int, side: int, price_ticks: int) -> bool:
    """Whether an order of side `side` would trade at the price."""
    return side_of(books, instrument, 1 - side).best_key <= key_of(price_ticks, 1 - side)


@inlined
def level_of(books: Books, order: Order) -> Level:
    """The level an order rests in."""
    return books.chunks[order.chunk].levels[order.price_key & (CHUNK_TICKS - 1)]


@kernel
def chunk_place(side: SideBook, key: int) -> int:
    """First position in `side.keys` whose key is not larger than `key`."""
    low, high = 0, side.count
    while low < high:
        middle = (low + high) >> 1
        if side.keys[middle] > key:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def find_or_add_chunk(books: Books, side: SideBook, key: int) -> int:
    """The chunk with `key`, made if need be; NO_CHUNK when a limit forbids it. Rare."""
    place = chunk_place(side, key)
    if place < side.count and side.keys[place] == key:
        index = side.chunks[place]
    else:
        full = side.count == CHUNKS_PER_SIDE_MAX or books.chunks_live >= books.chunks_limit
        if full:
            return NO_CHUNK
        index = books.chunk_free
        if index != NO_CHUNK:
            books.chunk_free = books.chunks[index].next_free
        else:
            books.chunks_used += 1
            index = books.chunks_used
        books.chunks_live += 1
        books.chunks[index].key = key
        assert books.chunks[index].bitmap == 0, "a free chunk has orders"
        at = side.count
        while at > place:
            side.keys[at] = side.keys[at - 1]
            side.chunks[at] = side.chunks[at - 1]
            at -= 1
        side.keys[place] = key
        side.chunks[place] = index
        side.count += 1
    side.hot[key & (HOT_CHUNKS - 1)] = index
    return index


@kernel
def drop_chunk(books: Books, side: SideBook, index: int) -> None:
    """Give an empty chunk back."""
    chunk = books.chunks[index]
    assert chunk.bitmap == 0, "drop_chunk: it has orders"
    at = chunk_place(side, chunk.key)
    assert side.chunks[at] == index, "drop_chunk: it is not in the side's array"
    side.count -= 1
    while at < side.count:
        side.keys[at] = side.keys[at + 1]
        side.chunks[at] = side.chunks[at + 1]
        at += 1
    if side.hot[chunk.key & (HOT_CHUNKS - 1)] == index:
        side.hot[chunk.key & (HOT_CHUNKS - 1)] = NO_CHUNK
    chunk.next_free = books.chunk_free
    books.chunk_free = index
    books.chunks_live -= 1


@inlined
def chunk_for(books: Books, side: SideBook, price_key: int) -> int:
    """The chunk for a price, made if need be; NO_CHUNK when the book is full."""
    key = price_key >> CHUNK_BITS
    index = side.hot[key & (HOT_CHUNKS - 1)]
    if index != NO_CHUNK and books.chunks[index].key == key:
        return index
    return find_or_add_chunk(books, side, key)


@inlined
def can_rest(books: Books, side: SideBook, price_key: int, qty_lots: int) -> int:
    """The chunk in which `qty_lots` can rest at the price, or NO_CHUNK.

    The chunk may have been made for it, so the order must follow.
    """
    index = chunk_for(books, side, price_key)
    if index != NO_CHUNK:
        level = books.chunks[index].levels[price_key & (CHUNK_TICKS - 1)]
        if level.lots > LEVEL_LOTS_MAX - qty_lots:
            return NO_CHUNK
    return index


@inlined
def link(books: Books, side: SideBook, slot: int, chunk_index: int) -> int:
    """Put order `slot`, whose key and leaves are set, at the back of its level; new total."""
    order = books.pool.orders[slot]
    chunk = books.chunks[chunk_index]
    number = order.price_key & (CHUNK_TICKS - 1)
    level = chunk.levels[number]
    order.chunk = chunk_index
    order.next = NO_ORDER
    if level.head == NO_ORDER:
        order.previous = NO_ORDER
        level.head = slot
        chunk.bitmap |= shift_left(1, number)
        if order.price_key < side.best_key:
            side.best_key = order.price_key
    else:
        order.previous = level.tail
        books.pool.orders[level.tail].next = slot
    level.tail = slot
    level.lots += order.leaves_lots
    return level.lots


@inlined
def unlink(books: Books, side: SideBook, slot: int) -> int:
    """Take order `slot` out of its level; returns the level's total without it."""
    order = books.pool.orders[slot]
    chunk = books.chunks[order.chunk]
    number = order.price_key & (CHUNK_TICKS - 1)
    level = chunk.levels[number]
    before, after = order.previous, order.next
    if before == NO_ORDER:
        level.head = after
    else:
        books.pool.orders[before].next = after
    if after == NO_ORDER:
        level.tail = before
    else:
        books.pool.orders[after].previous = before
    level.lots -= order.leaves_lots
    if level.head == NO_ORDER:
        assert level.lots == 0, "unlink: an empty level has quantity"
        close_level(books, side, order.chunk, number)
    return level.lots


@inlined
def drop_head(books: Books, side: SideBook, slot: int) -> None:
    """Take order `slot`, the first of its level and filled, out of it."""
    order = books.pool.orders[slot]
    number = order.price_key & (CHUNK_TICKS - 1)
    level = books.chunks[order.chunk].levels[number]
    assert level.head == slot, "drop_head: the order is not the first of its level"
    level.head = order.next
    if level.head == NO_ORDER:
        assert level.lots == 0, "drop_head: an empty level has quantity"
        close_level(books, side, order.chunk, number)
    else:
        books.pool.orders[level.head].previous = NO_ORDER


@inlined
def close_level(books: Books, side: SideBook, chunk_index: int, number: int) -> None:
    """Level `number` of a chunk has become empty: clear its bit, find the next best price."""
    chunk = books.chunks[chunk_index]
    chunk.bitmap &= ~shift_left(1, number)
    closed_key = (chunk.key << CHUNK_BITS) | number
    if chunk.bitmap == 0:
        drop_chunk(books, side, chunk_index)
    if closed_key == side.best_key:
        side.best_key = find_best(books, side)


@inlined
def find_best(books: Books, side: SideBook) -> int:
    """Key of the best price, NO_KEY when the side is empty."""
    if side.count == 0:
        return NO_KEY
    best = books.chunks[side.chunks[side.count - 1]]
    return (best.key << CHUNK_BITS) | trailing_zeros(best.bitmap)


def create_books(books: Books, orders_limit: int, chunks_limit: int) -> None:
    """Set up zeroed memory: empty books, pools with the given limits."""
    assert 0 < orders_limit < len(books.pool.orders)
    assert 0 < chunks_limit < CHUNKS_MAX
    books.pool.limit, books.chunks_limit = orders_limit, chunks_limit
    for index in range(SIDES_PER_INSTRUMENT * INSTRUMENTS_MAX):
        books.sides[index].best_key = NO_KEY
