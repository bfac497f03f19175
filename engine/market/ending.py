"""How orders end, and what their end does to others: list partners and held orders.

Every order that is not plain ends here, whatever the reason: it leaves the place where it is, its
rosters and the calendar, says so in one CANCELED (if it was not filled), and its slot is returned.
"""

from engine.book import DOWNWARD, UPWARD, Books, key_of, side_of, unlink
from engine.events import change_event, level_flag
from engine.market.calendar import unschedule
from engine.market.resting import leave_level
from engine.market.rows import append, delist, leave_season, refresh_watch, remove
from engine.messages import ChangeEvent, EventKind, RejectReason, Side, Trigger
from engine.orders import IN_ROSTER, NO_ORDER, OrderFlag, Place, find_order, return_slot
from engine.stage import Outbox
from ipc.jit import inlined, kernel


@inlined
def in_book(books: Books, slot: int) -> bool:
    """Whether a live order rests in the book."""
    if books.pool.orders[slot].flags & OrderFlag.SPECIAL == 0:
        return True
    return books.details[slot].place == Place.BOOK


@inlined
def book_price(books: Books, slot: int) -> int:
    """The price in ticks at which an order rests."""
    order = books.pool.orders[slot]
    return key_of(order.price_key, order.side)


@kernel
def order_event(books: Books, slot: int, kind: int, flags: int, out: Outbox) -> ChangeEvent:
    """An event about an order of the pool: identity and quantities; the caller sets the rest.

    The command's own order, while it has not entered the book, is reported as it was sent.
    """
    order, cause = books.pool.orders[slot], books.work.cause
    event = change_event(out, cause, kind, flags)
    if books.work.own_id == order.order_id:
        event.order_type, event.time_in_force = cause.order_type, cause.time_in_force
    event.account, event.instrument = order.account, order.instrument
    event.order_id, event.side = order.order_id, order.side
    event.qty_lots, event.leaves_lots = order.qty_lots, order.leaves_lots
    return event


@inlined
def wakes_upward(side: int, trigger: int) -> bool:
    """Whether an order with a trigger wakes at trade prices from its own upward, not downward."""
    return (side == Side.BUY) != (trigger == Trigger.TOUCH)


@kernel
def trigger_side(books: Books, slot: int) -> int:
    """UPWARD or DOWNWARD: where an order with a trigger waits."""
    upward = wakes_upward(books.pool.orders[slot].side, books.details[slot].trigger)
    return UPWARD if upward else DOWNWARD


@kernel
def disarm(books: Books, slot: int) -> None:
    """Take an order that waits for a price out of the triggers."""
    instrument = books.pool.orders[slot].instrument
    unlink(books, side_of(books, instrument, trigger_side(books, slot)), slot)
    market = books.markets[instrument]
    market.trigger_orders -= 1
    if market.trigger_orders == 0:
        refresh_watch(books, instrument)


@kernel
def forget(books: Books, slot: int) -> None:
    """Take a special order, which is in no level, out of everything else and return its slot."""
    detail = books.details[slot]
    if detail.place == Place.WOKEN:
        remove(books, books.work.woken, slot, IN_ROSTER)
    else:
        delist(books, slot)
    leave_season(books, slot)
    unschedule(books, slot)
    detail.place = Place.NOWHERE
    return_slot(books.pool, slot)


@kernel
def end_one(books: Books, slot: int, reason: int, out: Outbox) -> None:
    """End an order with CANCELED, without regard to others."""
    order = books.pool.orders[slot]
    special = order.flags & OrderFlag.SPECIAL
    if in_book(books, slot):
        event = order_event(books, slot, EventKind.CANCELED, level_flag(order.side), out)
        event.reason, event.price_ticks = reason, book_price(books, slot)
        event.level_lots = leave_level(books, slot)
    else:
        event = order_event(books, slot, EventKind.CANCELED, 0, out)
        event.reason, event.price_ticks = reason, books.details[slot].limit_ticks
        if books.details[slot].place == Place.TRIGGERS:
            disarm(books, slot)
    if special != 0:
        forget(books, slot)
    else:
        return_slot(books.pool, slot)


@kernel
def end_by_id(books: Books, order_id: int, reason: int, out: Outbox) -> None:
    """End an order if it still lives; if it is the taker, let it stop."""
    if order_id == 0:
        return
    slot, taker = find_order(books.pool, order_id), books.taker
    if slot == NO_ORDER:
        return
    special = books.pool.orders[slot].flags & OrderFlag.SPECIAL
    if special != 0 and books.details[slot].place == Place.NOWHERE and slot == taker.order_slot:
        if taker.leaves_lots > 0:
            taker.ends = reason
        return
    end_one(books, slot, reason, out)


@kernel
def end_order(books: Books, slot: int, reason: int, out: Outbox) -> None:
    """End an order with CANCELED, then its list partner and the orders that it holds."""
    if books.pool.orders[slot].flags & OrderFlag.SPECIAL == 0:
        end_one(books, slot, reason, out)
        return
    end_one(books, slot, reason, out)
    assembly = books.details[slot].assembly
    if assembly != 0:
        end_assembly(books, assembly - 1, out)
    end_relatives(books, slot, out)


@kernel
def end_relatives(books: Books, slot: int, out: Outbox) -> None:
    """After a special order: its list partner ends, then the orders that it holds.

    Its slot is returned, but its detail stays until the slot is taken again.
    """
    detail = books.details[slot]
    end_by_id(books, detail.partner, RejectReason.LIST_DONE.value, out)
    end_by_id(books, detail.child_1, RejectReason.LIST_DONE.value, out)
    end_by_id(books, detail.child_2, RejectReason.LIST_DONE.value, out)


@kernel
def end_assembly(books: Books, source: int, out: Outbox) -> None:
    """One of the held orders of an incomplete list has ended: the others end, the oldest first."""
    work = books.work
    assembly = work.assemblies[source]
    count = assembly.count
    if count != 0:
        assembly.count = 0
        work.assemblies_open -= 1
    elif work.breaking != 0 and source == work.cause.source:
        assembly = work.broken
        count = assembly.count
    for index in range(count):
        end_by_id(books, assembly.order_ids[index], RejectReason.LIST_BROKEN.value, out)


@kernel
def take_partner(books: Books, slot: int) -> int:
    """An order of an OCO pair has traded or woken: the id of the other one, which must end."""
    order, detail = books.pool.orders[slot], books.details[slot]
    order.flags &= ~OrderFlag.LINKED.value
    partner = detail.partner
    detail.partner = 0
    return partner


@kernel
def release_child(books: Books, order_id: int) -> None:
    """An order that was held until another was filled: put it into the queue of the woken."""
    slot = NO_ORDER
    if order_id != 0:
        slot = find_order(books.pool, order_id)
    if slot != NO_ORDER:
        wait_woken(books, slot)


@kernel
def take_parent(books: Books, slot: int) -> int:
    """If an order that others wait for is filled: a mark by which to release them, else 0.

    The slot is returned before they are released, but its detail stays until then.
    """
    order = books.pool.orders[slot]
    if order.leaves_lots == 0 and order.flags & OrderFlag.PARENT:
        return slot
    return 0


@kernel
def release_children(books: Books, slot: int) -> None:
    """Put the orders that were held until the order of `slot` was filled into the queue."""
    if slot != 0:
        detail = books.details[slot]
        release_child(books, detail.child_1)
        release_child(books, detail.child_2)


@kernel
def wait_woken(books: Books, slot: int) -> None:
    """Put an order, which is in no level, at the end of the queue of the woken."""
    delist(books, slot)
    append(books, books.work.woken, slot, IN_ROSTER)
    books.details[slot].place = Place.WOKEN
    books.work.busy = 1
    books.work.instrument = books.pool.orders[slot].instrument
