"""Orders that wait for a price: stops, touches and trailing stops.

They wait in two more sides of the instrument's book, sorted by trigger: those that wake UPWARD like
asks, those that wake DOWNWARD like bids, so that the next to wake is the best of its side. A trade
price moves them into the queue of the woken one at a time.
"""

from engine.book import (
    DOWNWARD,
    NO_CHUNK,
    UPWARD,
    Books,
    SideBook,
    can_rest,
    key_of,
    link,
    side_of,
    unlink,
)
from engine.limits import CHUNK_TICKS
from engine.market.ending import disarm, trigger_side, wait_woken
from engine.market.rows import append, enlist, refresh_watch, remove
from engine.market.state import NO_TICKS, Roster
from engine.messages import Trigger
from engine.orders import IN_ROSTER, Place
from engine.reference import band_ticks
from ipc.jit import inlined, kernel


@inlined
def trails(books: Books, slot: int) -> bool:
    """Whether the order's trigger follows the price."""
    return books.details[slot].trigger >= Trigger.TRAIL_TICKS


@kernel
def trigger_key(books: Books, slot: int) -> int:
    """The order's trigger as a key of the side where it waits."""
    mirrored = trigger_side(books, slot) == DOWNWARD
    return key_of(books.details[slot].trigger_ticks, 0 if mirrored else 1)


@inlined
def reaches(price_ticks: int, trigger_ticks: int, upward: bool) -> bool:
    """Whether a trade at the price wakes who waits for the trigger; NO_TICKS: nothing traded."""
    if price_ticks == NO_TICKS:
        return False
    return price_ticks >= trigger_ticks if upward else price_ticks <= trigger_ticks


@kernel
def is_reached(books: Books, slot: int, price_ticks: int) -> bool:
    """Whether a trade at the price wakes the order; NO_TICKS: nothing traded."""
    upward = trigger_side(books, slot) == UPWARD
    return reaches(price_ticks, books.details[slot].trigger_ticks, upward)


@kernel
def line_up(books: Books, slot: int) -> bool:
    """Put an order behind those with its trigger; false when there is no room."""
    order = books.pool.orders[slot]
    side = side_of(books, order.instrument, trigger_side(books, slot))
    key = trigger_key(books, slot)
    chunk = can_rest(books, side, key, order.leaves_lots)
    if chunk == NO_CHUNK:
        return False
    order.price_key = key
    link(books, side, slot, chunk)
    return True


@kernel
def arm(books: Books, slot: int) -> bool:
    """Let an order wait for its price; false when there is no room."""
    if not line_up(books, slot):
        return False
    instrument = books.pool.orders[slot].instrument
    books.details[slot].place = Place.TRIGGERS
    market = books.markets[instrument]
    market.trigger_orders += 1
    if market.trigger_orders == 1:
        refresh_watch(books, instrument)
    if trails(books, slot):
        enlist(books, slot, Roster.TRAILING.value)
    return True


@kernel
def trailing_trigger(books: Books, slot: int) -> int:
    """The trigger that belongs to the best price since the order came."""
    detail = books.details[slot]
    distance = detail.distance
    if detail.trigger == Trigger.TRAIL_BPS:
        distance = max(band_ticks(detail.extreme_ticks, distance), 1)
    if books.pool.orders[slot].side == 0:
        return detail.extreme_ticks + distance
    return detail.extreme_ticks - distance


@kernel
def begin_trailing(books: Books, slot: int) -> None:
    """Set the first trigger, from the last trade price, which must be known."""
    detail = books.details[slot]
    detail.extreme_ticks = books.markets[books.pool.orders[slot].instrument].last_ticks
    detail.trigger_ticks = trailing_trigger(books, slot)


@kernel
def follow(books: Books, instrument: int, price_ticks: int) -> None:
    """Move the triggers for which the price is the best since their order came.

    One that finds no room at its new trigger keeps the old one.
    """
    row = books.markets[instrument].rosters[Roster.TRAILING.value]
    slot = row.head
    for _ in range(row.count):
        after_this = books.details[slot].links[IN_ROSTER].next
        order, detail = books.pool.orders[slot], books.details[slot]
        better = price_ticks > detail.extreme_ticks
        if order.side == 0:
            better = price_ticks < detail.extreme_ticks
        if better:
            before, old_extreme = detail.trigger_ticks, detail.extreme_ticks
            detail.extreme_ticks = price_ticks
            after = trailing_trigger(books, slot)
            if after != before:
                side = side_of(books, instrument, trigger_side(books, slot))
                unlink(books, side, slot)
                detail.trigger_ticks = after
                if not line_up(books, slot):
                    detail.trigger_ticks, detail.extreme_ticks = before, old_extreme
                    returned = line_up(books, slot)
                    assert returned, "follow: an order cannot return to its trigger"
                remove(books, row, slot, IN_ROSTER)
                append(books, row, slot, IN_ROSTER)
        slot = after_this


@inlined
def next_to_wake(books: Books, side: SideBook) -> int:
    """The order of a side of triggers that a price reaches first; the side is not empty."""
    chunk = books.chunks[side.chunks[side.count - 1]]
    return chunk.levels[side.best_key & (CHUNK_TICKS - 1)].head


@kernel
def compare_point(books: Books) -> None:
    """One step of comparing a trade price with the triggers: follow it, or wake one order."""
    work = books.work
    price = work.point_ticks
    if work.point_moved == 0:
        follow(books, work.instrument, price)
        work.point_moved = 1
        return
    upward = side_of(books, work.instrument, UPWARD)
    downward = side_of(books, work.instrument, DOWNWARD)
    if upward.best_key <= price:
        fire(books, next_to_wake(books, upward))
    elif downward.best_key <= key_of(price, 0):
        fire(books, next_to_wake(books, downward))
    else:
        work.point_active = 0


@kernel
def fire(books: Books, slot: int) -> None:
    """An order's trigger was reached: it leaves to the queue of the woken."""
    disarm(books, slot)
    books.details[slot].fired = 1
    wait_woken(books, slot)
