"""The calendar: which orders expire next. A binary heap of slots, by time and then order id."""

from engine.book import Books
from engine.orders import NO_ORDER
from ipc.jit import inlined, kernel


@inlined
def _before(books: Books, left: int, right: int) -> bool:
    """Whether the order in slot `left` expires before the one in slot `right`."""
    left_ns, right_ns = books.details[left].at_ns, books.details[right].at_ns
    if left_ns != right_ns:
        return left_ns < right_ns
    return books.pool.orders[left].order_id < books.pool.orders[right].order_id


@inlined
def _put(books: Books, place: int, slot: int) -> None:
    books.calendar.heap[place] = slot
    books.details[slot].heap_place = place


@kernel
def _settle(books: Books, start: int, slot: int) -> None:
    """Put `slot` at `start` or wherever the order of the heap wants it: up first, else down."""
    heap, count, place = books.calendar.heap, books.calendar.count, start
    while place > 1 and _before(books, slot, heap[place >> 1]):
        _put(books, place, heap[place >> 1])
        place >>= 1
    while place << 1 <= count:
        below = place << 1
        if below < count and _before(books, heap[below + 1], heap[below]):
            below += 1
        if not _before(books, heap[below], slot):
            break
        _put(books, place, heap[below])
        place = below
    _put(books, place, slot)


@kernel
def schedule(books: Books, slot: int) -> None:
    """Enter an order that expires at its `at_ns`."""
    books.calendar.count += 1
    _settle(books, books.calendar.count, slot)


@kernel
def unschedule(books: Books, slot: int) -> None:
    """Take an order out, if it is in the calendar."""
    place = books.details[slot].heap_place
    if place == 0:
        return
    calendar = books.calendar
    last = calendar.heap[calendar.count]
    calendar.count -= 1
    books.details[slot].heap_place = 0
    if last != slot:
        _settle(books, place, last)


@kernel
def first_due(books: Books) -> int:
    """Slot of the first order that has expired by the venue's clock, or NO_ORDER."""
    if books.calendar.count == 0:
        return NO_ORDER
    slot = books.calendar.heap[1]
    if books.details[slot].at_ns > books.calendar.clock_ns:
        return NO_ORDER
    return slot
