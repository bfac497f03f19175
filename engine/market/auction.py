"""Call auctions: the price of most volume, and the uncross at that price.

The search walks the crossing levels of both sides once, best against best, to find the volume and
the range of prices that allow it, and then steps outward from the price of least surplus. It is
linear in the levels that cross. The uncross is one trade a step, so it can be interrupted.
"""

from engine.book import Books, SideBook, drop_head, key_of, side_of
from engine.events import change_event, trade_event
from engine.limits import CHUNK_TICKS
from engine.market.ending import (
    end_by_id,
    forget,
    release_children,
    take_parent,
    take_partner,
)
from engine.market.prevention import static_ticks
from engine.market.resting import drop_reserve, offered, shown_total, turn_reserve
from engine.market.scanning import first_level, level_lots, next_level
from engine.market.state import NO_TICKS, Scan, Uncross
from engine.messages import (
    EventFlag,
    EventKind,
    OrderType,
    RejectReason,
    Side,
    TimeInForce,
)
from engine.orders import OrderFlag, return_slot
from engine.reference import InstrumentTerms, step_down, step_up
from engine.stage import Outbox
from ipc.jit import inlined, kernel


@inlined
def level_price(scan: Scan, side: int) -> int:
    """Price of a level; beyond every price of its side where there is none."""
    if scan.key == NO_TICKS:
        return NO_TICKS if side == 1 else -NO_TICKS
    return key_of(scan.key, side)


@kernel
def take_level(books: Books, instrument: int, side: int) -> int:
    """Let the next level of a side take part in the search; returns its lots."""
    uncross = books.work.uncross
    scan = uncross.scans[side]
    lots = level_lots(books, scan)
    uncross.margins[side] = key_of(scan.key, side)
    uncross.sums[side] += lots
    next_level(books, side_of(books, instrument, side), scan)
    return lots


@kernel
def find_volume(books: Books, instrument: int) -> int:
    """The most that bids and asks can trade at one price.

    Matches the sides against each other, best levels first. Leaves the margins and sums, and the
    scans at the levels behind the margins.
    """
    uncross = books.work.uncross
    for side in range(2):
        first_level(books, side_of(books, instrument, side), uncross.scans[side])
        uncross.sums[side] = 0
        uncross.margins[side] = -NO_TICKS if side == 1 else NO_TICKS
    volume = bid_left = ask_left = 0
    while True:
        bid, ask = uncross.margins[0], uncross.margins[1]
        if bid_left == 0:
            bid = level_price(uncross.scans[0], 0)
        if ask_left == 0:
            ask = level_price(uncross.scans[1], 1)
        if bid < ask:
            return volume
        if bid_left == 0:
            bid_left = take_level(books, instrument, 0)
        if ask_left == 0:
            ask_left = take_level(books, instrument, 1)
        lots = min(bid_left, ask_left)
        volume += lots
        bid_left -= lots
        ask_left -= lots


@kernel
def lowest_in(terms: InstrumentTerms, low: int, high: int, stepped: int) -> int:
    """The lowest price of a range that counts, NO_TICKS when none does."""
    price = step_up(terms, low) if stepped != 0 else low
    return price if price <= high else NO_TICKS


@kernel
def highest_in(terms: InstrumentTerms, high: int, stepped: int) -> int:
    """The highest price of a range that counts; the range has one."""
    return step_down(terms, high) if stepped != 0 else high


@kernel
def search_outward(books: Books, instrument: int, side: int, stepped: int) -> int:
    """Surplus of the nearest range beyond the margin of the other side that has a valid price.

    For bids (0) that is downward from the margin of the bids: each level passed adds to what the
    side has more than the other. The range becomes number `side`; -1 when there is none.
    """
    uncross, terms = books.work.uncross, books.terms[instrument]
    scan = uncross.scans[side]
    total, volume = uncross.sums[side], uncross.volume_lots
    end = uncross.margins[1 - side]
    while True:
        edge = level_price(scan, side)
        if edge < end if side == 0 else edge > end:
            return -1
        total += level_lots(books, scan)
        next_level(books, side_of(books, instrument, side), scan)
        behind = level_price(scan, side)
        low, high = max(end, behind + 1), edge
        if side == 1:
            low, high = edge, min(end, behind - 1)
        if lowest_in(terms, low, high, stepped) != NO_TICKS:
            uncross.low_ticks[side], uncross.high_ticks[side] = low, high
            return total - volume


@kernel
def nearest_in(terms: InstrumentTerms, low: int, high: int, wanted: int, stepped: int) -> int:
    """The price of a range that is nearest to the one wanted, the lower of two."""
    lowest = lowest_in(terms, low, high, stepped)
    highest = highest_in(terms, high, stepped)
    if wanted <= lowest:
        return lowest
    if wanted >= highest:
        return highest
    if stepped == 0:
        return wanted
    below, above = step_down(terms, wanted), step_up(terms, wanted)
    return above if above - wanted < wanted - below else below


@kernel
def choose_range(books: Books, instrument: int, stepped: int) -> int:
    """Find the prices of least surplus among those of most volume.

    They are one range (number 0 or 1 of the uncross) or two. Returns bits 1 and 2 for the ranges
    that count, 0 for none. Sets surplus and side.
    """
    uncross, terms = books.work.uncross, books.terms[instrument]
    bid, ask = uncross.margins[0], uncross.margins[1]
    low = max(ask, level_price(uncross.scans[0], 0) + 1)
    high = min(bid, level_price(uncross.scans[1], 1) - 1)
    if low <= high and lowest_in(terms, low, high, stepped) != NO_TICKS:
        uncross.low_ticks[0], uncross.high_ticks[0] = low, high
        bids, asks = uncross.sums[0], uncross.sums[1]
        uncross.surplus_lots = max(bids, asks) - uncross.volume_lots
        uncross.surplus_side = 1 if asks > bids else 0
        return 1
    more_bids = search_outward(books, instrument, 0, stepped)
    more_asks = search_outward(books, instrument, 1, stepped)
    if more_bids < 0 and more_asks < 0:
        return 0
    if more_asks < 0 or (more_bids >= 0 and more_bids < more_asks):
        uncross.surplus_lots, uncross.surplus_side = more_bids, 0
        return 1
    uncross.surplus_lots, uncross.surplus_side = more_asks, 1
    return 3 if more_bids == more_asks else 2


@kernel
def find_price(books: Books, instrument: int) -> bool:
    """Work out what an uncross would do now; false when the book does not cross."""
    uncross = books.work.uncross
    uncross.price_ticks = uncross.surplus_lots = uncross.surplus_side = 0
    uncross.volume_lots = find_volume(books, instrument)
    if uncross.volume_lots == 0:
        return False
    stepped = 1
    ranges = choose_range(books, instrument, stepped)
    if ranges == 0:
        stepped = 0
        find_volume(books, instrument)
        ranges = choose_range(books, instrument, stepped)
    settle_price(books, instrument, ranges, stepped)
    return True


@kernel
def settle_price(books: Books, instrument: int, ranges: int, stepped: int) -> None:
    """Of the equally good prices, take the one nearest to the reference."""
    uncross, terms = books.work.uncross, books.terms[instrument]
    first = 0 if ranges & 1 else 1
    last = 1 if ranges & 2 else 0
    wanted = reference_of(books, instrument)
    if wanted == NO_TICKS:
        low, high = uncross.low_ticks[first], uncross.high_ticks[first]
        lowest = lowest_in(terms, low, high, stepped)
        wanted = (lowest + highest_in(terms, uncross.high_ticks[last], stepped)) >> 1
    low, high = uncross.low_ticks[first], uncross.high_ticks[first]
    price = nearest_in(terms, low, high, wanted, stepped)
    if first != last:
        low, high = uncross.low_ticks[last], uncross.high_ticks[last]
        other = nearest_in(terms, low, high, wanted, stepped)
        if abs(other - wanted) < abs(price - wanted):
            price = other
            uncross.surplus_side = 1
        else:
            uncross.surplus_side = 0
    uncross.price_ticks = price


@inlined
def reference_of(books: Books, instrument: int) -> int:
    """The price that an auction stays near to: the last trade's, else the instrument's."""
    market = books.markets[instrument]
    if market.last_ticks != NO_TICKS:
        return market.last_ticks
    return static_ticks(books, instrument)


# --- the uncross ------------------------------------------------------------------------------


@inlined
def begin_uncross(uncross: Uncross) -> None:
    """Start to trade what the search has found."""
    uncross.keys[0] = uncross.keys[1] = NO_TICKS


@kernel
def say_level(books: Books, instrument: int, side: int, out: Outbox) -> None:
    """LEVEL with what the level that has traded shows now."""
    uncross = books.work.uncross
    key = uncross.keys[side]
    own = side_of(books, instrument, side)
    flags = EventFlag.AUCTION | (EventFlag.LEVEL_BID.value << side)
    event = change_event(out, books.work.cause, EventKind.LEVEL, flags)
    event.account = event.order_id = event.qty_lots = 0
    event.instrument, event.side = instrument, side
    event.price_ticks = key_of(key, side)
    event.level_lots = 0
    if own.best_key == key:
        chunk = own.chunks[own.count - 1]
        event.level_lots = shown_total(books, chunk, key & (CHUNK_TICKS - 1), 1)


@kernel
def note_levels(books: Books, instrument: int, out: Outbox) -> None:
    """LEVEL for the levels that the next trade does not belong to any more."""
    keys = books.work.uncross.keys
    for side in range(2):
        best = side_of(books, instrument, side).best_key
        if keys[side] != best:
            if keys[side] != NO_TICKS:
                say_level(books, instrument, side, out)
            keys[side] = best


@kernel
def uncross_once(books: Books, instrument: int, out: Outbox) -> bool:
    """One trade of the uncross; false, with the last LEVELs, when there is none left."""
    uncross = books.work.uncross
    bids, asks = side_of(books, instrument, 0), side_of(books, instrument, 1)
    price = uncross.price_ticks
    if bids.best_key > key_of(price, 0) or asks.best_key > price:
        for side in range(2):
            if uncross.keys[side] != NO_TICKS:
                say_level(books, instrument, side, out)
        return False
    note_levels(books, instrument, out)
    buyer, seller = head_of(books, bids), head_of(books, asks)
    lots = min(offered(books, buyer), offered(books, seller))
    reduce_head(books, buyer, lots)
    reduce_head(books, seller, lots)
    auction_trade(books, buyer, seller, lots, out)
    bought, sold = books.pool.orders[buyer], books.pool.orders[seller]
    buyer_id = bought.order_id
    buyer_partner = take_partner(books, buyer) if bought.flags & OrderFlag.LINKED else 0
    seller_partner = take_partner(books, seller) if sold.flags & OrderFlag.LINKED else 0
    buyer_parent = take_parent(books, buyer)
    seller_parent = take_parent(books, seller)
    if bought.leaves_lots == 0:
        end_head(books, bids, buyer)
    if sold.leaves_lots == 0:
        end_head(books, asks, seller)
    end_by_id(books, buyer_partner, RejectReason.LIST_DONE.value, out)
    release_children(books, buyer_parent)
    if seller_partner != buyer_id:
        end_by_id(books, seller_partner, RejectReason.LIST_DONE.value, out)
    release_children(books, seller_parent)
    return True


@inlined
def head_of(books: Books, side: SideBook) -> int:
    """The first order of the best level of a side."""
    chunk = books.chunks[side.chunks[side.count - 1]]
    return chunk.levels[side.best_key & (CHUNK_TICKS - 1)].head


@kernel
def reduce_head(books: Books, slot: int, lots: int) -> None:
    """An order at the head of its level has traded `lots`."""
    order = books.pool.orders[slot]
    level = books.chunks[order.chunk].levels[order.price_key & (CHUNK_TICKS - 1)]
    assert level.head == slot, "reduce_head: the order is not the first of its level"
    order.leaves_lots -= lots
    level.lots -= lots
    if order.flags & OrderFlag.RESERVE:
        turn_reserve(books, slot, lots)


@kernel
def end_head(books: Books, side: SideBook, slot: int) -> None:
    """An order at the head of its level is filled completely."""
    order = books.pool.orders[slot]
    drop_head(books, side, slot)
    if order.flags & OrderFlag.RESERVE:
        drop_reserve(books, slot)
    if order.flags & OrderFlag.SPECIAL:
        forget(books, slot)
    else:
        return_slot(books.pool, slot)


@kernel
def auction_trade(books: Books, buyer: int, seller: int, lots: int, out: Outbox) -> None:
    """TRADE of an uncross."""
    bought, sold = books.pool.orders[buyer], books.pool.orders[seller]
    books.match_id += 1
    flags = EventFlag.AUCTION.value
    if sold.flags & OrderFlag.UNSEEN:
        flags |= EventFlag.HIDDEN
    event = trade_event(out, books.work.cause, flags)
    event.order_type, event.time_in_force = OrderType.LIMIT, TimeInForce.GTC
    event.account, event.instrument = bought.account, bought.instrument
    event.order_id, event.side = bought.order_id, Side.BUY
    event.price_ticks, event.qty_lots = books.work.uncross.price_ticks, lots
    event.level_lots, event.leaves_lots = 0, bought.leaves_lots
    event.maker_order_id, event.maker_leaves_lots = sold.order_id, sold.leaves_lots
    event.maker_account, event.match_id = sold.account, books.match_id
    event.fee_rate, event.maker_fee_rate = bought.maker_rate, sold.maker_rate
