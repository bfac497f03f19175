"""Going through all orders of an instrument: for mass cancels, delistings and snapshots.

The walk changes nothing: a mass cancel first notes the orders it finds, in the order of the walk,
and then ends them one by one. So both can be interrupted after any order.
"""

from typing import Final

from engine.book import SIDES_PER_INSTRUMENT, Books, side_of
from engine.limits import CHUNK_TICKS
from engine.market.ending import book_price, order_event
from engine.market.resting import shown_total
from engine.market.scanning import first_level, level_head, next_level
from engine.market.state import NO_TICKS, Roster, Walk
from engine.messages import EventFlag, EventKind
from engine.orders import IN_ROSTER, NO_ORDER, OrderFlag, Place
from engine.stage import Outbox
from ipc.jit import inlined, kernel

ROSTERS_WALKED: Final = 4
"""Pegs, all-or-none, waiting, held: `Roster` begins with them. Trailing orders are triggers."""

AREAS: Final = SIDES_PER_INSTRUMENT + ROSTERS_WALKED

assert [Roster.PEGS, Roster.ALL_OR_NONE, Roster.WAITING, Roster.HELD] == [0, 1, 2, 3]


@kernel
def begin_walk(books: Books, instrument: int) -> None:
    """Stand before the first order."""
    walk = books.work.walk
    walk.area = -1
    walk.slot = NO_ORDER
    walk.scan.key = NO_TICKS
    next_area(books, instrument, walk)


@kernel
def next_area(books: Books, instrument: int, walk: Walk) -> None:
    """Stand before the first order of the next side or roster that has one."""
    while walk.slot == NO_ORDER and walk.area < AREAS - 1:
        walk.area += 1
        if walk.area < SIDES_PER_INSTRUMENT:
            first_level(books, side_of(books, instrument, walk.area), walk.scan)
            if walk.scan.key != NO_TICKS:
                walk.slot = level_head(books, walk.scan)
        else:
            roster = walk.area - SIDES_PER_INSTRUMENT
            walk.slot = books.markets[instrument].rosters[roster].head


@kernel
def take_step(books: Books, instrument: int) -> int:
    """The next order of the walk, NO_ORDER at its end. Pegs in the book come once, there."""
    walk = books.work.walk
    while walk.slot != NO_ORDER:
        slot, in_roster = walk.slot, walk.area >= SIDES_PER_INSTRUMENT
        step_on(books, instrument, walk)
        if not in_roster or books.details[slot].place != Place.BOOK:
            return slot
    return NO_ORDER


@inlined
def step_on(books: Books, instrument: int, walk: Walk) -> None:
    """Stand before the order behind."""
    slot = walk.slot
    if walk.area < SIDES_PER_INSTRUMENT:
        walk.slot = books.pool.orders[slot].next
        if walk.slot == NO_ORDER:
            next_level(books, side_of(books, instrument, walk.area), walk.scan)
            if walk.scan.key != NO_TICKS:
                walk.slot = level_head(books, walk.scan)
    else:
        walk.slot = books.details[slot].links[IN_ROSTER].next
    if walk.slot == NO_ORDER:
        next_area(books, instrument, walk)


@kernel
def note_doomed(books: Books, slot: int) -> None:
    """Remember an order that will be ended."""
    work = books.work
    books.details[slot].doomed_next = NO_ORDER
    if work.doomed_tail == NO_ORDER:
        work.doomed_head = slot
    else:
        books.details[work.doomed_tail].doomed_next = slot
    work.doomed_tail = slot


@kernel
def book_order(books: Books, slot: int, out: Outbox) -> bool:
    """BOOKED, if the order shows anything."""
    order = books.pool.orders[slot]
    shown = most = order.leaves_lots
    if order.flags & OrderFlag.UNSEEN:
        return False
    if order.flags & OrderFlag.RESERVE:
        shown, most = books.details[slot].shown_lots, books.details[slot].display_lots
    flags = EventFlag.SNAPSHOT | (EventFlag.LEVEL_BID.value << order.side)
    event = order_event(books, slot, EventKind.BOOKED, flags, out)
    event.account = 0
    event.price_ticks = book_price(books, slot)
    event.leaves_lots, event.qty_lots = shown, most
    event.level_lots = shown_total(books, order.chunk, order.price_key & (CHUNK_TICKS - 1), 1)
    return True
