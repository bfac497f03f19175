"""Lists of order slots: rosters (where an order waits) and seasons (with whom it ends)."""

from engine.book import Books
from engine.market.state import Roster, Row, Watch
from engine.messages import Phase
from engine.orders import IN_ROSTER, IN_SEASON, NO_ORDER, Link
from ipc.jit import inlined, kernel


@inlined
def link_of(books: Books, slot: int, chain: int) -> Link:
    """The neighbours of an order; `chain` is IN_ROSTER or IN_SEASON."""
    return books.details[slot].links[chain]


@inlined
def append(books: Books, row: Row, slot: int, chain: int) -> None:
    """Put an order at the end of a list."""
    link = link_of(books, slot, chain)
    link.next, link.previous = NO_ORDER, row.tail
    if row.tail == NO_ORDER:
        row.head = slot
    else:
        link_of(books, row.tail, chain).next = slot
    row.tail = slot
    row.count += 1


@inlined
def remove(books: Books, row: Row, slot: int, chain: int) -> None:
    """Take an order out of the list."""
    link = link_of(books, slot, chain)
    if link.previous == NO_ORDER:
        assert row.head == slot, "remove: the order is in another list"
        row.head = link.next
    else:
        link_of(books, link.previous, chain).next = link.next
    if link.next == NO_ORDER:
        row.tail = link.previous
    else:
        link_of(books, link.next, chain).previous = link.previous
    row.count -= 1


@kernel
def enlist(books: Books, slot: int, roster: int) -> None:
    """Enter an order in a roster of its instrument."""
    order, detail = books.pool.orders[slot], books.details[slot]
    market = books.markets[order.instrument]
    assert detail.roster == 0, "enlist: the order is in a roster"
    append(books, market.rosters[roster], slot, IN_ROSTER)
    detail.roster = 1 + roster
    refresh_watch(books, order.instrument)


@kernel
def delist(books: Books, slot: int) -> None:
    """Take an order out of the roster it is in, if any; a pass that comes to it goes on behind."""
    order, detail = books.pool.orders[slot], books.details[slot]
    if detail.roster == 0:
        return
    work = books.work
    after = detail.links[IN_ROSTER].next
    if work.peg_slot == slot:
        work.peg_slot = after
    if work.whole_slot == slot:
        work.whole_slot = after
    row = books.markets[order.instrument].rosters[detail.roster - 1]
    remove(books, row, slot, IN_ROSTER)
    detail.roster = 0
    refresh_watch(books, order.instrument)


@kernel
def join_season(books: Books, slot: int, season: int) -> None:
    """Enter an order among those that end together; an order is in one season at most."""
    order, detail = books.pool.orders[slot], books.details[slot]
    if detail.season != 0:
        assert detail.season == 1 + season, "join_season: the order is in another season"
        return
    append(books, books.markets[order.instrument].seasons[season], slot, IN_SEASON)
    detail.season = 1 + season


@kernel
def leave_season(books: Books, slot: int) -> None:
    """Take an order out of its season, if it is in one."""
    order, detail = books.pool.orders[slot], books.details[slot]
    if detail.season == 0:
        return
    if books.work.season_slot == slot:
        books.work.season_slot = detail.links[IN_SEASON].next
    row = books.markets[order.instrument].seasons[detail.season - 1]
    remove(books, row, slot, IN_SEASON)
    detail.season = 0


@kernel
def refresh_watch(books: Books, instrument: int) -> None:
    """Work out anew why the plain path is not enough for an instrument."""
    market, terms = books.markets[instrument], books.terms[instrument]
    watch = 0
    if market.phase != Phase.CONTINUOUS:
        watch |= Watch.PHASE
    if market.reserve_orders != 0:
        watch |= Watch.RESERVE
    if market.trigger_orders != 0:
        watch |= Watch.TRIGGERS
    if market.rosters[Roster.PEGS.value].count != 0:
        watch |= Watch.PEGS
    if market.rosters[Roster.ALL_OR_NONE.value].count != 0:
        watch |= Watch.ALL_OR_NONE
    if terms.static_band_bps != 0 or terms.dynamic_band_bps != 0:
        watch |= Watch.BANDS
    if terms.tell_top != 0:
        watch |= Watch.TOP
    market.watch = watch
