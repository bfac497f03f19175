"""How orders trade: a new order meets the other side by price and then time, the rest may rest.

The plain path: limit and market orders in continuous trading come from here alone. Whatever else
an order or its instrument has begins in engine.market and trades through the same `sweep`. One
call makes at most FILLS_PER_STEP_MAX fills: a longer sweep stays in the taker, which is kept in
shared memory, and goes on in the next step. The rules stand in docs/matching.md.
"""

from typing import Final

from engine.book import (
    DOWNWARD,
    NO_CHUNK,
    UPWARD,
    Books,
    SideBook,
    can_rest,
    crosses,
    drop_head,
    key_of,
    link,
    side_of,
)
from engine.events import accept, change_event, level_flag, refuse_order, trade_event
from engine.limits import ACTION_EVENTS_MAX, CHUNK_TICKS, FILLS_PER_STEP_MAX
from engine.market.ending import (
    end_by_id,
    end_relatives,
    forget,
    release_children,
    take_parent,
    take_partner,
)
from engine.market.looking import fillable
from engine.market.prevention import remember_cause, set_bands, stand_off
from engine.market.resting import (
    drop_reserve,
    enter_level,
    offered,
    shown_total,
    turn_reserve,
)
from engine.market.state import Roster, Taker, Watch
from engine.messages import (
    PLAIN_BYTES,
    CommandFlag,
    Decision,
    EventFlag,
    EventKind,
    OrderType,
    Prevention,
    RejectReason,
    TimeInForce,
)
from engine.orders import NO_ORDER, OrderFlag, Place, has_room, return_slot, take_slot
from engine.stage import Outbox, copy_words
from ipc.jit import inlined, kernel

DECISION_WORDS: Final = PLAIN_BYTES >> 3


@inlined
def new_order(books: Books, decision: Decision, out: Outbox) -> None:
    """Rest a passive limit order at once; hand everything else on."""
    trades = crosses(books, decision.instrument, decision.side, decision.price_ticks)
    if trades or not may_rest(decision):
        aggress(books, decision, out)
    else:
        rest_plain(books, decision, out)


@inlined
def rest_plain(books: Books, decision: Decision, out: Outbox) -> None:
    """ACCEPTED with its level: a plain order enters the book without trading."""
    side = decision.side
    own = side_of(books, decision.instrument, side)
    key = key_of(decision.price_ticks, side)
    chunk = NO_CHUNK
    if has_room(books.pool):
        chunk = can_rest(books, own, key, decision.qty_lots)
    if chunk == NO_CHUNK:
        refuse_order(out, decision, RejectReason.BOOK_FULL)
        return
    index = take_slot(books.pool, decision.order_id)
    order = books.pool.orders[index]
    order.price_key, order.side = key, side
    order.leaves_lots = order.qty_lots = decision.qty_lots
    order.account, order.instrument = decision.account, decision.instrument
    order.group, order.maker_rate = decision.group, decision.maker_rate
    order.flags = decision.flags & CommandFlag.POST_ONLY
    link(books, own, index, chunk)
    watch = books.markets[decision.instrument].watch
    level_lots = shown_total(books, chunk, key & (CHUNK_TICKS - 1), watch)
    if watch != 0:
        books.markets[decision.instrument].entered = 1
    accept(out, decision, level_flag(side), level_lots)


@inlined
def may_rest(order: Decision) -> bool:
    """Whether what is left of a plain order may enter the book."""
    return order.order_type == OrderType.LIMIT and order.time_in_force == TimeInForce.GTC


@kernel
def aggress(books: Books, decision: Decision, out: Outbox) -> None:
    """A new plain order that trades at once or never rests."""
    lots = decision.qty_lots
    taker = books.taker
    if may_rest(decision):
        if decision.flags & CommandFlag.POST_ONLY:
            refuse_order(out, decision, RejectReason.WOULD_TRADE)
            return
        if not has_room(books.pool):
            refuse_order(out, decision, RejectReason.BOOK_FULL)
            return
    accept(out, decision, 0, 0)
    copy_words(taker.address, decision.address, DECISION_WORDS)
    taker.leaves_lots = taker.total_lots = lots
    taker.limit_key = key_of(decision.price_ticks, 1 - decision.side)
    taker.order_slot = NO_ORDER
    taker.stays = may_rest(decision)
    prepare_taker(books)
    if decision.time_in_force == TimeInForce.FOK and not fillable(books, lots):
        end_unfilled(taker, RejectReason.FOK_UNFILLABLE.value, out)
        return
    sweep(books, out)


@inlined
def prepare_taker(books: Books) -> None:
    """Set what every taker begins with; identity, quantities and limit are set already."""
    taker = books.taker
    taker.ends = taker.linked = taker.traded = 0
    if books.markets[taker.instrument].watch & Watch.BANDS:
        set_bands(books)


@kernel
def end_unfilled(taker: Taker, reason: int, out: Outbox) -> None:
    """CANCELED for what is left of an order that is not in the book."""
    event = change_event(out, taker, EventKind.CANCELED, 0)
    event.side, event.order_type = taker.side, taker.order_type
    event.time_in_force, event.reason = taker.time_in_force, reason
    event.price_ticks, event.qty_lots = taker.price_ticks, taker.total_lots
    event.leaves_lots = taker.leaves_lots


@kernel
def sweep(books: Books, out: Outbox) -> None:
    """Let the taker trade, at most FILLS_PER_STEP_MAX fills; then rest or end what is left."""
    taker = books.taker
    opposite = side_of(books, taker.instrument, 1 - taker.side)
    watch = books.markets[taker.instrument].watch
    careful = watch & Watch.BANDS
    if taker.prevention > Prevention.NONE:
        careful = 1
    fills = 0
    while taker.leaves_lots > 0 and opposite.best_key <= taker.limit_key and taker.ends == 0:
        if fills == FILLS_PER_STEP_MAX or out.claimed - out.pending < ACTION_EVENTS_MAX:
            taker.active = 1
            return
        fills += 1
        if careful != 0 and stand_off(books, opposite, out):
            continue
        fill_best(books, taker, opposite, watch, out)
        if watch & Watch.TRIGGERS and meets_trigger(books, taker):
            taker.active = 1
            return
    end_sweep(books, out)


@inlined
def fill_best(books: Books, taker: Taker, opposite: SideBook, watch: int, out: Outbox) -> None:
    """One trade between the taker and the first order of the best level."""
    key = opposite.best_key
    number = key & (CHUNK_TICKS - 1)
    chunk_index = opposite.chunks[opposite.count - 1]
    level = books.chunks[chunk_index].levels[number]
    maker_slot = level.head
    maker = books.pool.orders[maker_slot]
    assert maker.price_key == key, "fill_best: the order is at another level"
    special = maker.flags & OrderFlag.SPECIAL
    flags = level_flag(maker.side)
    lots = min(maker.leaves_lots, taker.leaves_lots)
    if special != 0:
        lots = min(lots, offered(books, maker_slot))
    maker.leaves_lots -= lots
    taker.leaves_lots -= lots
    level.lots -= lots
    if maker.flags & OrderFlag.RESERVE:
        turn_reserve(books, maker_slot, lots)
        if maker.flags & OrderFlag.UNSEEN:
            flags |= EventFlag.HIDDEN
    books.match_id += 1
    price = key_of(key, maker.side)
    taker.traded, taker.traded_ticks = 1, price
    event = trade_event(out, taker, flags)
    event.price_ticks, event.qty_lots = price, lots
    event.level_lots = shown_total(books, chunk_index, number, watch)
    event.leaves_lots = taker.leaves_lots
    event.maker_order_id, event.maker_leaves_lots = maker.order_id, maker.leaves_lots
    event.maker_account, event.match_id = maker.account, books.match_id
    event.fee_rate, event.maker_fee_rate = taker.taker_rate, maker.maker_rate
    if maker.leaves_lots == 0:
        drop_head(books, opposite, maker_slot)
        if special == 0:
            return_slot(books.pool, maker_slot)
    if special | taker.linked != 0:
        tell_lists(books, maker_slot, special, out)


@kernel
def tell_lists(books: Books, slot: int, special: int, out: Outbox) -> None:
    """After a trade: end a special maker that is filled, then what the lists of both want.

    The taker's list comes first. `slot` is the maker's; a plain one that is filled is gone.
    """
    remember_cause(books)
    taker = books.taker
    books.work.references_known = 0
    partner = parent = 0
    if special != 0:
        maker = books.pool.orders[slot]
        if maker.flags & OrderFlag.LINKED:
            partner = take_partner(books, slot)
        parent = take_parent(books, slot)
        if maker.leaves_lots == 0:
            if maker.flags & OrderFlag.RESERVE:
                drop_reserve(books, slot)
            forget(books, slot)
    if taker.linked & OrderFlag.LINKED:
        mine = take_partner(books, taker.order_slot)
        end_by_id(books, mine, RejectReason.LIST_DONE.value, out)
    if taker.linked & OrderFlag.PARENT and taker.leaves_lots == 0:
        release_children(books, taker.order_slot)
    taker.linked &= ~OrderFlag.LINKED.value
    if partner != taker.order_id:
        end_by_id(books, partner, RejectReason.LIST_DONE.value, out)
    release_children(books, parent)


@inlined
def meets_trigger(books: Books, taker: Taker) -> bool:
    """Whether the price just traded is news to orders that wait for one."""
    work, instrument, price = books.work, taker.instrument, taker.traded_ticks
    market = books.markets[instrument]
    moved = market.last_ticks != price
    market.last_ticks = price
    work.instrument, work.point_ticks, work.point_moved = instrument, price, 0
    reached = (
        side_of(books, instrument, UPWARD).best_key <= price
        or side_of(books, instrument, DOWNWARD).best_key <= key_of(price, 0)
        or (moved and market.rosters[Roster.TRAILING.value].count != 0)
    )
    work.point_active = reached
    return reached


@kernel
def end_sweep(books: Books, out: Outbox) -> None:
    """The taker has nobody left to trade with or nothing left: rest it or end it."""
    taker = books.taker
    taker.active = 0
    if taker.traded != 0:
        books.markets[taker.instrument].last_ticks = taker.traded_ticks
    slot = taker.order_slot
    if taker.leaves_lots == 0 and taker.ends == 0:
        if slot != NO_ORDER:
            if books.pool.orders[slot].flags & OrderFlag.SPECIAL:
                forget(books, slot)
            else:
                return_slot(books.pool, slot)
        return
    reason = taker.ends
    if taker.stays != 0 and (reason == 0 or reason == RejectReason.VOLATILITY):
        settle_rest(books, out)
    else:
        drop_taker(books, reason if reason != 0 else RejectReason.IOC_REMAINDER.value, out)


@kernel
def settle_rest(books: Books, out: Outbox) -> None:
    """Put what is left of the taker into the book.

    One that was let through a full pool, because it would not stay, may only if it freed a place.
    """
    taker = books.taker
    slot = taker.order_slot
    if slot == NO_ORDER:
        slot = taker.order_slot = take_slot(books.pool, taker.order_id)
        order = books.pool.orders[slot]
        order.account, order.instrument = taker.account, taker.instrument
        order.side, order.group, order.flags = taker.side, taker.group, 0
        order.maker_rate = taker.maker_rate
    order = books.pool.orders[slot]
    order.leaves_lots, order.qty_lots = taker.leaves_lots, taker.total_lots
    crowded = books.pool.live > books.pool.limit
    if crowded or not enter_level(books, slot, taker.price_ticks):
        drop_taker(books, RejectReason.BOOK_FULL.value, out)
        return
    market = books.markets[taker.instrument]
    market.entered = 1
    if books.work.own_id == taker.order_id:
        books.work.own_id = 0
    if order.flags & OrderFlag.SPECIAL:
        books.details[slot].place = Place.BOOK
    number = order.price_key & (CHUNK_TICKS - 1)
    event = change_event(out, taker, EventKind.RESTED, level_flag(taker.side))
    event.side, event.price_ticks = taker.side, taker.price_ticks
    event.qty_lots, event.leaves_lots = taker.total_lots, taker.leaves_lots
    event.level_lots = shown_total(books, order.chunk, number, market.watch)


@kernel
def drop_taker(books: Books, reason: int, out: Outbox) -> None:
    """CANCELED for what is left of the taker; its list partner and held orders end with it."""
    taker = books.taker
    slot = taker.order_slot
    if slot != NO_ORDER and books.pool.orders[slot].flags & OrderFlag.SPECIAL:
        taker.price_ticks = books.details[slot].limit_ticks  # a peg's is not where it tried to be
    end_unfilled(taker, reason, out)
    if slot == NO_ORDER:
        return
    if books.pool.orders[slot].flags & OrderFlag.SPECIAL == 0:
        return_slot(books.pool, slot)
        return
    forget(books, slot)
    end_relatives(books, slot, out)
