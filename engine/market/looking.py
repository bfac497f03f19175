"""Whether the book can fill an order: looking ahead without changing anything.

Bounded by LOOK_MAX: levels, or orders where each one counts. What needs more counts as unfillable.
"""

from engine.book import Books, SideBook, side_of
from engine.limits import LOOK_MAX
from engine.market.scanning import first_level, level_head, level_lots, next_level
from engine.messages import Prevention
from engine.orders import NO_ORDER
from ipc.jit import kernel


@kernel
def fillable(books: Books, lots: int) -> bool:
    """Whether the book can fill `lots` of the taker, more than 0, within its limit."""
    taker = books.taker
    opposite = side_of(books, taker.instrument, 1 - taker.side)
    if taker.prevention > Prevention.NONE:
        return count_orders(books, opposite, lots)
    return count_levels(books, opposite, lots)


@kernel
def count_levels(books: Books, side: SideBook, lots: int) -> bool:
    """Whether levels within the taker's limit hold `lots`."""
    scan = books.work.uncross.scans[0]
    wanted, looked = lots, 0
    first_level(books, side, scan)
    while scan.key <= books.taker.limit_key and looked < LOOK_MAX:
        looked += 1
        wanted -= level_lots(books, scan)
        if wanted <= 0:
            return True
        next_level(books, side, scan)
    return False


@kernel
def count_orders(books: Books, side: SideBook, lots: int) -> bool:
    """Whether the taker can trade `lots` within its limit without meeting its own group.

    With OLDEST own orders are passed over, because they would be cancelled on the way.
    """
    taker, scan = books.taker, books.work.uncross.scans[0]
    wanted, looked = lots, 0
    first_level(books, side, scan)
    while scan.key <= taker.limit_key:
        slot = level_head(books, scan)
        while slot != NO_ORDER:
            order = books.pool.orders[slot]
            if looked == LOOK_MAX:
                return False
            looked += 1
            if order.group != taker.group:
                wanted -= order.leaves_lots
                if wanted <= 0:
                    return True
            elif taker.prevention != Prevention.OLDEST:
                return False
            slot = order.next
        next_level(books, side, scan)
    return False
