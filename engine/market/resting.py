"""Entering and leaving the book, with what orders do not show.

`Level.lots` counts everything that can trade; `Chunk.hidden` what of it is not shown. Only these
functions and fills touch both, so the total that events publish is always their difference.
"""

from engine.book import (
    NO_CHUNK,
    Books,
    can_rest,
    key_of,
    link,
    side_of,
    unlink,
)
from engine.limits import CHUNK_TICKS
from engine.market.rows import refresh_watch
from engine.orders import OrderFlag
from ipc.jit import inlined, kernel


@inlined
def shown_total(books: Books, chunk_index: int, number: int, watch: int) -> int:
    """What a level shows; `watch` 0 saves the look at the chunk."""
    chunk = books.chunks[chunk_index]
    lots = chunk.levels[number].lots
    if watch != 0:
        lots -= chunk.hidden[number]
    return lots


@kernel
def enter_level(books: Books, slot: int, price_ticks: int) -> bool:
    """Put an order at the back of its price; false when the book has no room there."""
    order = books.pool.orders[slot]
    own = side_of(books, order.instrument, order.side)
    key = key_of(price_ticks, order.side)
    chunk_index = can_rest(books, own, key, order.leaves_lots)
    if chunk_index == NO_CHUNK:
        return False
    order.price_key = key
    link(books, own, slot, chunk_index)
    if order.flags & OrderFlag.RESERVE:
        detail, market = books.details[slot], books.markets[order.instrument]
        detail.shown_lots = 0
        if order.flags & OrderFlag.UNSEEN == 0:
            detail.shown_lots = min(detail.display_lots, order.leaves_lots)
        chunk = books.chunks[chunk_index]
        chunk.hidden[key & (CHUNK_TICKS - 1)] += order.leaves_lots - detail.shown_lots
        market.reserve_orders += 1
        if market.reserve_orders == 1:
            refresh_watch(books, order.instrument)
    return True


@kernel
def leave_level(books: Books, slot: int) -> int:
    """Take an order out of its price; returns what the level shows without it."""
    order = books.pool.orders[slot]
    chunk_index, number = order.chunk, order.price_key & (CHUNK_TICKS - 1)
    market = books.markets[order.instrument]
    watch = market.watch
    if order.flags & OrderFlag.RESERVE:
        chunk = books.chunks[chunk_index]
        chunk.hidden[number] -= order.leaves_lots - books.details[slot].shown_lots
        drop_reserve(books, slot)
    unlink(books, side_of(books, order.instrument, order.side), slot)
    return shown_total(books, chunk_index, number, watch)


@kernel
def drop_reserve(books: Books, slot: int) -> None:
    """An order that does not show all of itself leaves the book: one less to look out for."""
    instrument = books.pool.orders[slot].instrument
    market = books.markets[instrument]
    market.reserve_orders -= 1
    if market.reserve_orders == 0:
        refresh_watch(books, instrument)


@kernel
def turn_reserve(books: Books, slot: int, lots: int) -> None:
    """A maker that does not show all of itself has traded `lots`: account for it, show anew.

    Its leaves and its level's total are reduced already. An iceberg whose shown part is used up
    shows the next one from the back of its level.
    """
    order, detail = books.pool.orders[slot], books.details[slot]
    chunk = books.chunks[order.chunk]
    number = order.price_key & (CHUNK_TICKS - 1)
    level = chunk.levels[number]
    if order.flags & OrderFlag.UNSEEN:
        chunk.hidden[number] -= lots
        return
    detail.shown_lots -= lots
    if detail.shown_lots > 0 or order.leaves_lots == 0:
        return
    detail.shown_lots = min(detail.display_lots, order.leaves_lots)
    chunk.hidden[number] -= detail.shown_lots
    if level.tail == slot:
        return
    after = order.next
    level.head = after
    books.pool.orders[after].previous = 0
    order.previous, order.next = level.tail, 0
    books.pool.orders[level.tail].next = slot
    level.tail = slot
    assert chunk.hidden[number] >= 0, "turn_reserve: more is shown than there is"


@inlined
def offered(books: Books, slot: int) -> int:
    """What a resting order trades at a time: all of it, or the part that an iceberg shows."""
    order = books.pool.orders[slot]
    if order.flags & (OrderFlag.RESERVE | OrderFlag.UNSEEN) == OrderFlag.RESERVE.value:
        return books.details[slot].shown_lots
    return order.leaves_lots
