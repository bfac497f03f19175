"""What the memory of matching must be like between two commands: every structure, both ways.

`check_books` walks all of it from Python, whatever mode the engine runs in: sides, chunks, levels,
the pool and its map, rosters, seasons, the calendar, lists and the work under way. It trusts no
counter and no link that it has not counted or followed from the other end.
"""

from typing import Any

from engine.book import DOWNWARD, NO_KEY, SIDES_PER_INSTRUMENT, UPWARD, Books
from engine.limits import ALL_OR_NONE_MAX, PEGS_MAX, TRAILING_MAX
from engine.market.state import Roster, Season, Watch
from engine.messages import Phase, Side, TimeInForce, Trigger
from engine.orders import IN_ROSTER, IN_SEASON, NO_ORDER, OrderFlag, Place
from tests.book_levels import (
    Snapshot,
    StateError,
    chain,
    check_chunks,
    check_pool,
    check_side,
    copied,
    expect,
)

__all__ = ["StateError", "check_books"]

ROSTERS_MAX: dict[Any, int] = {
    Roster.PEGS: PEGS_MAX,
    Roster.ALL_OR_NONE: ALL_OR_NONE_MAX,
    Roster.TRAILING: TRAILING_MAX,
}
ROSTER_OF = {
    Place.PEGS_OUT: Roster.PEGS,
    Place.ALL_OR_NONE: Roster.ALL_OR_NONE,
    Place.WAITING: Roster.WAITING,
    Place.HELD: Roster.HELD,
}


def check_books(books: Books, instruments: int) -> dict[int, Any]:
    """StateError when something is wrong; else the live orders by id, as in the pool.

    Args:
        books: Of one matching stage, between two commands.
        instruments: How many instruments, from 0, may have been used.
    """
    state = copied(books)
    check_rest(books)
    live = check_pool(books, state)
    for side in range(instruments * SIDES_PER_INSTRUMENT):
        check_side(books, state, side)
    check_chunks(books, state)
    for instrument in range(instruments):
        check_rows(books, state, instrument)
    for slot in live:
        check_order(state, slot)
        if state.orders[slot].flags & OrderFlag.SPECIAL:
            check_detail(books, state, slot)
    for instrument in range(instruments):
        check_market(books, state, instrument)
    check_calendar(books, state, live)
    check_lists(books, state, live)
    return {state.orders[slot].order_id: state.orders[slot] for slot in live}


def check_rest(books: Books) -> None:
    """Nothing is under way."""
    work = books.work
    names = "busy point_active shift program breach breaking second_id peg_passing peg_slot"
    for name in f"{names} whole_passing whole_slot doomed_head".split():
        expect(getattr(work, name) == 0, "at rest", name, getattr(work, name))
    expect(books.taker.active == 0, "at rest", "taker.active")
    woken = work.woken
    expect((woken.head, woken.tail, woken.count) == (0, 0, 0), "at rest", "woken", woken.count)


# --- orders -----------------------------------------------------------------------------------


def check_order(state: Snapshot, slot: int) -> None:
    """What holds for every live order."""
    order = state.orders[slot]
    expect(0 < order.leaves_lots <= order.qty_lots, "open quantity", order)
    if not order.flags & OrderFlag.SPECIAL:
        expect(order.flags & ~OrderFlag.POST_ONLY == 0, "flags of a plain order", order.flags)
        found = state.level_of.get(slot)
        expect(found == (order.instrument, order.side), "a plain order is in the book", order)
        expect(slot not in state.roster_of, "a plain order is in no roster", order)
        expect(slot not in state.season_of, "a plain order is in no season", order)


def check_detail(books: Books, state: Snapshot, slot: int) -> None:
    """A special order is where its detail says, and nowhere else."""
    order, detail = state.orders[slot], state.details[slot]
    place, instrument = detail.place, order.instrument
    level, roster = state.level_of.get(slot), state.roster_of.get(slot)
    expect(place not in (Place.NOWHERE, Place.WOKEN), "orders are somewhere", order, detail)
    wanted: Any = None
    if place == Place.BOOK:
        wanted = (instrument, order.side)
    elif place == Place.TRIGGERS:
        expect(detail.trigger != Trigger.NONE and detail.fired == 0, "waits for a price", detail)
        upward = (order.side == Side.BUY) != (detail.trigger == Trigger.TOUCH)
        wanted = (instrument, UPWARD if upward else DOWNWARD)
        key = detail.trigger_ticks if upward else ~detail.trigger_ticks
        expect(order.price_key == key, "waits at its trigger", order, detail)
    expect(level == wanted, "place and level agree", Place(place).name, level, wanted)
    wanted = ROSTER_OF.get(place)
    if place == Place.BOOK and order.flags & OrderFlag.PEGGED:
        wanted = peg_roster(books, instrument)
    if place == Place.TRIGGERS and detail.trigger >= Trigger.TRAIL_TICKS:
        wanted = Roster.TRAILING
    found = roster[1] if roster else None
    expect(found == wanted, "place and roster agree", Place(place).name, found, wanted)
    expect(detail.roster == (0 if found is None else found + 1), "detail.roster", detail)
    season = state.season_of.get(slot)
    expect(detail.season == (season[1] + 1 if season else 0), "detail.season", detail)
    if detail.time_in_force == TimeInForce.DAY:
        expect(season == (instrument, Season.DAY), "DAY orders are in their season", detail)
    if detail.time_in_force >= TimeInForce.AT_OPEN:
        expect(season == (instrument, Season.AUCTION), "orders of an auction are", detail)
    check_shown(state, slot)


def peg_roster(books: Books, instrument: int) -> Roster:
    """Pegs rest in trading only, and stay in their roster."""
    phase = books.markets[instrument].phase
    expect(phase == Phase.CONTINUOUS, "pegs rest in CONTINUOUS only", phase)
    return Roster.PEGS


def check_shown(state: Snapshot, slot: int) -> None:
    """What a special order shows."""
    order, detail = state.orders[slot], state.details[slot]
    if detail.place != Place.BOOK or not order.flags & OrderFlag.RESERVE:
        return
    if order.flags & OrderFlag.UNSEEN:
        expect(detail.shown_lots == 0, "a hidden order shows nothing", detail)
    else:
        most = min(detail.display_lots, order.leaves_lots)
        expect(0 < detail.shown_lots <= most, "an iceberg shows its part", order, detail)


# --- rows, heap, lists ------------------------------------------------------------------------


def check_rows(books: Books, state: Snapshot, instrument: int) -> None:
    """Rosters and seasons of an instrument, both ways."""
    market, following = books.markets[instrument], state.following
    kinds = (
        (market.rosters, Roster, state.roster_of, IN_ROSTER),
        (market.seasons, Season, state.season_of, IN_SEASON),
    )
    for rows, names, found, kind in kinds:
        for name in names:
            row, before, count = rows[name.value], NO_ORDER, 0
            for slot in chain(row.head, len(following), lambda at, kind=kind: following[at][kind]):
                expect(slot not in found, "an order is in one row", name, slot)
                expect(state.orders[slot].order_id != 0, "orders in rows live", name, slot)
                expect(state.orders[slot].instrument == instrument, "row of another", name, slot)
                expect(state.preceding[slot][kind] == before, "links back", name, slot)
                found[slot] = (instrument, name)
                before, count = slot, count + 1
            expect(row.tail == before, "tail of a row", name, row.tail, before)
            expect(row.count == count, "count of a row", name, row.count, count)
            if names is Roster:
                expect(count <= ROSTERS_MAX.get(name, count), "not more may wait", name, count)


def check_market(books: Books, state: Snapshot, instrument: int) -> None:
    """Counters and watch bits, and no crossed book in trading."""
    market, terms = books.markets[instrument], books.terms[instrument]
    where = [
        (slot, side) for slot, (number, side) in state.level_of.items() if number == instrument
    ]
    reserve = sum(
        side < UPWARD and bool(state.orders[slot].flags & OrderFlag.RESERVE) for slot, side in where
    )
    waiting = sum(side >= UPWARD for _, side in where)
    expect(market.reserve_orders == reserve, "reserve_orders", market.reserve_orders, reserve)
    expect(market.trigger_orders == waiting, "trigger_orders", market.trigger_orders, waiting)
    pegs, whole = (market.rosters[each.value].count for each in (Roster.PEGS, Roster.ALL_OR_NONE))
    reasons = {
        Watch.PHASE: market.phase != Phase.CONTINUOUS,
        Watch.RESERVE: reserve,
        Watch.TRIGGERS: waiting,
        Watch.PEGS: pegs,
        Watch.ALL_OR_NONE: whole,
        Watch.BANDS: terms.static_band_bps or terms.dynamic_band_bps,
        Watch.TOP: terms.tell_top,
    }
    watch = sum(bit for bit, holds in reasons.items() if holds)
    expect(market.watch == watch, "watch", market.watch, watch)
    if market.phase == Phase.CONTINUOUS:
        bids, asks = (books.sides[instrument * SIDES_PER_INSTRUMENT + side] for side in Side)
        if NO_KEY not in (bids.best_key, asks.best_key):
            expect(~bids.best_key < asks.best_key, "not crossed", ~bids.best_key, asks.best_key)


def check_calendar(books: Books, state: Snapshot, live: list[int]) -> None:
    """The heap has each GTD order once, at the place that the order knows, earliest first."""
    calendar = books.calendar
    heap = [calendar.heap[place] for place in range(calendar.count + 1)]
    dated = {
        slot
        for slot in live
        if state.orders[slot].flags & OrderFlag.SPECIAL
        and state.details[slot].time_in_force == TimeInForce.GTD
    }
    expect(set(heap[1:]) == dated and len(dated) == calendar.count, "GTD orders", heap, dated)
    when = [(state.details[slot].at_ns, state.orders[slot].order_id) for slot in heap]
    for place in range(1, calendar.count + 1):
        expect(state.details[heap[place]].heap_place == place, "heap_place", place)
        expect(place == 1 or when[place >> 1] < when[place], "order of the heap", place)
        expect(when[place][0] > calendar.clock_ns, "what is due has ended", when[place])


def check_lists(books: Books, state: Snapshot, live: list[int]) -> None:
    """Pairs name each other; incomplete lists and the orders that they hold know each other."""
    by_id = {state.orders[slot].order_id: slot for slot in live}
    held: dict[int, int] = {}
    assemblies = books.work.assemblies
    open_ones = [source for source in range(len(assemblies)) if assemblies[source].count]
    expect(books.work.assemblies_open == len(open_ones), "assemblies_open", open_ones)
    for source in open_ones:
        for index in range(assemblies[source].count):
            held[assemblies[source].order_ids[index]] = source + 1
    for order_id, slot in by_id.items():
        order, detail = state.orders[slot], state.details[slot]
        if not order.flags & OrderFlag.SPECIAL:
            continue
        expect(detail.assembly == held.pop(order_id, 0), "assembly of an order", order, detail)
        expect(not detail.assembly or detail.place == Place.HELD, "is held", order, detail)
        linked = bool(order.flags & OrderFlag.LINKED)
        expect(linked == (detail.partner != 0), "LINKED", order, detail)
        if linked:
            expect(detail.partner in by_id, "a partner lives", order, detail)
            other = state.details[by_id[detail.partner]]
            expect(other.partner == order_id, "partners name each other", order, detail)
    expect(not held, "orders of incomplete lists live", held)
