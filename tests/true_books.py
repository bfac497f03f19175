"""The engine's own books, read from its memory: what books made from events must equal."""

from collections.abc import Iterator

from engine.book import CHUNK_BITS, SideBook, key_of, side_of
from engine.limits import CHUNK_TICKS
from engine.matching import MatchingState
from engine.orders import NO_ORDER, OrderFlag

Shown = tuple[int, int, int]
"""Order id, price in ticks, lots that are shown."""


def shown_orders(state: MatchingState, instrument: int, side: int) -> list[Shown]:
    """Every order of one side that shows something, in price-time order."""
    books = state.books
    found = []
    for level_key, head in _levels(state, side_of(books, instrument, side)):
        slot = head
        while slot != NO_ORDER:
            order = books.pool.orders[slot]
            assert order.price_key == level_key, "an order stands at another level"
            lots = order.leaves_lots
            if order.flags & OrderFlag.RESERVE:
                lots = books.details[slot].shown_lots
            if lots:
                found.append((order.order_id, key_of(level_key, side), lots))
            slot = order.next
    return found


def _levels(state: MatchingState, side: SideBook) -> Iterator[tuple[int, int]]:
    """Key and first order of each level, best first."""
    for at in range(side.count - 1, -1, -1):
        chunk = state.books.chunks[side.chunks[at]]
        bitmap = chunk.bitmap & ((1 << CHUNK_TICKS) - 1)
        for number in range(CHUNK_TICKS):
            if bitmap >> number & 1:
                yield chunk.key << CHUNK_BITS | number, chunk.levels[number].head
