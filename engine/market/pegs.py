"""Pegged orders: their price follows the best prices of the book that are not pegged themselves."""

from engine.book import Books, key_of, side_of
from engine.events import level_flag
from engine.limits import LOOK_MAX
from engine.market.ending import book_price, order_event
from engine.market.resting import leave_level
from engine.market.scanning import first_level, level_head, next_level
from engine.market.state import NO_TICKS, Roster, Watch
from engine.messages import EventKind, Peg, Phase
from engine.orders import IN_ROSTER, NO_ORDER, OrderFlag, Place
from engine.reference import step_down, step_up
from engine.stage import Outbox
from ipc.jit import kernel


@kernel
def reference_ticks(books: Books, instrument: int, side: int) -> int:
    """The best price that an order shows which is not pegged; NO_TICKS for none.

    Looks at no more than LOOK_MAX orders.
    """
    own = side_of(books, instrument, side)
    scan = books.work.uncross.scans[side]
    looked = 0
    first_level(books, own, scan)
    while scan.key != NO_TICKS:
        slot = level_head(books, scan)
        while slot != NO_ORDER:
            order = books.pool.orders[slot]
            if order.flags & (OrderFlag.PEGGED | OrderFlag.UNSEEN) == 0:
                return key_of(scan.key, side)
            looked += 1
            if looked == LOOK_MAX:
                return NO_TICKS
            slot = order.next
        next_level(books, own, scan)
    return NO_TICKS


@kernel
def find_references(books: Books, instrument: int) -> None:
    """Set the references. A pass over the pegs begins with them: its pegs do not change them.

    Whatever else may, between two pegs, takes `references_known` back.
    """
    work = books.work
    if work.references_known == 0:
        work.bid_ticks = reference_ticks(books, instrument, 0)
        work.ask_ticks = reference_ticks(books, instrument, 1)
        work.references_known = work.peg_passing


@kernel
def pegged_ticks(books: Books, slot: int) -> int:
    """The price at which a pegged order belongs now; NO_TICKS when it waits out of the book."""
    order, detail = books.pool.orders[slot], books.details[slot]
    terms = books.terms[order.instrument]
    find_references(books, order.instrument)
    bid, ask = books.work.bid_ticks, books.work.ask_ticks
    buys = order.side == 0
    own, other = bid, ask
    if not buys:
        own, other = ask, bid
    price = own
    if detail.peg == Peg.OPPOSITE:
        price = other
    elif detail.peg == Peg.MID and own != NO_TICKS:
        price = other
        if other != NO_TICKS:
            price = (bid + ask) >> 1 if buys else -(-(bid + ask) >> 1)
    if price == NO_TICKS:
        return NO_TICKS
    price += detail.offset_ticks
    if buys:
        price = min(price, detail.limit_ticks)
        if ask != NO_TICKS:
            price = min(price, step_down(terms, ask - 1))
    else:
        price = max(price, detail.limit_ticks)
        if bid != NO_TICKS:
            price = max(price, step_up(terms, bid + 1))
    price = step_down(terms, price) if buys else step_up(terms, price)
    if price < terms.price_min_ticks or price > terms.price_max_ticks:
        return NO_TICKS
    return price


@kernel
def park(books: Books, slot: int, out: Outbox) -> None:
    """A pegged order leaves the book to wait: LEVEL."""
    order = books.pool.orders[slot]
    event = order_event(books, slot, EventKind.LEVEL, level_flag(order.side), out)
    event.price_ticks = book_price(books, slot)
    event.qty_lots = event.leaves_lots = 0
    event.level_lots = leave_level(books, slot)
    books.details[slot].place = Place.PEGS_OUT


@kernel
def pass_pegs(books: Books, instrument: int) -> int:
    """The next pegged order that must be repriced, NO_ORDER when there is nothing to do."""
    market, work = books.markets[instrument], books.work
    if market.watch & Watch.PEGS == 0 or market.phase != Phase.CONTINUOUS:
        work.peg_passing = work.peg_slot = work.references_known = 0
        return NO_ORDER
    while True:
        if work.peg_passing == 0:
            find_references(books, instrument)
            bid, ask = work.bid_ticks, work.ask_ticks
            same = bid == market.seen_bid_ticks and ask == market.seen_ask_ticks
            if same and market.pegs_stale == 0:
                return NO_ORDER
            market.seen_bid_ticks, market.seen_ask_ticks = bid, ask
            market.pegs_stale = 0
            work.peg_passing = work.references_known = 1
            work.peg_slot = market.rosters[Roster.PEGS.value].head
        while work.peg_slot != NO_ORDER:
            slot = work.peg_slot
            work.peg_slot = books.details[slot].links[IN_ROSTER].next
            if is_misplaced(books, slot):
                return slot
        work.peg_passing = work.references_known = 0


@kernel
def is_misplaced(books: Books, slot: int) -> bool:
    """Whether a pegged order belongs elsewhere than where it is."""
    price = pegged_ticks(books, slot)
    if books.details[slot].place != Place.BOOK:
        return price != NO_TICKS
    return price != book_price(books, slot)
