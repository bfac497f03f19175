"""Trades that do not happen: between orders of one group, and outside of price bands."""

from engine.book import Books, SideBook, key_of
from engine.events import level_flag, trade_event
from engine.limits import CHUNK_TICKS
from engine.market.ending import end_order
from engine.market.resting import shown_total
from engine.market.state import NO_TICKS, Taker, Watch
from engine.messages import PLAIN_BYTES, EventKind, Prevention, RejectReason
from engine.orders import Order, OrderFlag
from engine.reference import band_ticks
from engine.stage import Outbox, copy_words
from ipc.jit import inlined, kernel


@kernel
def remember_cause(books: Books) -> None:
    """Keep the command that is being executed where all of its consequences find it."""
    if books.work.busy == 0:
        copy_words(books.work.cause.address, books.taker.address, PLAIN_BYTES >> 3)


@kernel
def static_ticks(books: Books, instrument: int) -> int:
    """The middle of the static band: price of the last uncross, else as configured, or NO_TICKS."""
    uncross_ticks = books.markets[instrument].uncross_ticks
    if uncross_ticks != NO_TICKS:
        return uncross_ticks
    reference_ticks = books.terms[instrument].reference_ticks
    return reference_ticks if reference_ticks != 0 else NO_TICKS


@kernel
def set_bands(books: Books) -> None:
    """Between which prices the taker may trade, by the state before it came."""
    taker = books.taker
    market, terms = books.markets[taker.instrument], books.terms[taker.instrument]
    low, high = -NO_TICKS, NO_TICKS
    reference = static_ticks(books, taker.instrument)
    if terms.static_band_bps != 0 and reference != NO_TICKS:
        distance = band_ticks(reference, terms.static_band_bps)
        low, high = reference - distance, reference + distance
    if terms.dynamic_band_bps != 0 and market.last_ticks != NO_TICKS:
        distance = band_ticks(market.last_ticks, terms.dynamic_band_bps)
        low = max(low, market.last_ticks - distance)
        high = min(high, market.last_ticks + distance)
    taker.band_low_ticks, taker.band_high_ticks = low, high


@kernel
def stand_off(books: Books, opposite: SideBook, out: Outbox) -> bool:
    """Whether the taker does not trade with the order that is next; does what happens instead."""
    taker = books.taker
    key = opposite.best_key
    chunk = books.chunks[opposite.chunks[opposite.count - 1]]
    slot = chunk.levels[key & (CHUNK_TICKS - 1)].head
    maker = books.pool.orders[slot]
    if taker.prevention > Prevention.NONE and maker.group == taker.group:
        prevent(books, slot, out)
        return True
    if books.markets[taker.instrument].watch & Watch.BANDS == 0:
        return False
    price = key_of(key, maker.side)
    if taker.band_low_ticks <= price <= taker.band_high_ticks:
        return False
    remember_cause(books)
    taker.ends = RejectReason.VOLATILITY.value
    books.work.breach = 1
    return True


@kernel
def prevent(books: Books, slot: int, out: Outbox) -> None:
    """PREVENTED between the taker and a resting order, and what the taker's mode makes of it."""
    taker = books.taker
    remember_cause(books)
    books.work.references_known = 0
    maker, mode = books.pool.orders[slot], taker.prevention
    lost = 0
    if mode == Prevention.DECREMENT:
        lost = min(maker.leaves_lots, taker.leaves_lots)
        take_off(books, slot, lost)
        taker.leaves_lots -= lost
        taker.total_lots -= lost
    prevented_event(books, taker, maker, lost, out)
    ends_maker = mode == Prevention.OLDEST or mode == Prevention.BOTH
    ends_taker = mode == Prevention.NEWEST or mode == Prevention.BOTH
    if ends_maker or maker.leaves_lots == 0:
        end_order(books, slot, RejectReason.SELF_TRADE.value, out)
    if taker.ends == 0 and (ends_taker or taker.leaves_lots == 0):
        taker.ends = RejectReason.SELF_TRADE.value


@inlined
def prevented_event(books: Books, taker: Taker, maker: Order, lost: int, out: Outbox) -> None:
    """PREVENTED."""
    flags = level_flag(maker.side)
    event = trade_event(out, taker, flags)
    event.kind = EventKind.PREVENTED
    event.price_ticks, event.qty_lots = key_of(maker.price_key, maker.side), lost
    event.leaves_lots, event.maker_leaves_lots = taker.leaves_lots, maker.leaves_lots
    event.maker_order_id, event.maker_account = maker.order_id, maker.account
    event.match_id = event.fee_rate = event.maker_fee_rate = 0
    number = maker.price_key & (CHUNK_TICKS - 1)
    event.level_lots = shown_total(books, maker.chunk, number, 1)


@kernel
def take_off(books: Books, slot: int, lots: int) -> None:
    """A resting order loses quantity in its place; an iceberg its hidden part first."""
    order = books.pool.orders[slot]
    chunk = books.chunks[order.chunk]
    number = order.price_key & (CHUNK_TICKS - 1)
    chunk.levels[number].lots -= lots
    order.qty_lots -= lots
    order.leaves_lots -= lots
    if order.flags & OrderFlag.RESERVE:
        detail = books.details[slot]
        unshown = order.leaves_lots + lots - detail.shown_lots
        detail.shown_lots = min(detail.shown_lots, order.leaves_lots)
        chunk.hidden[number] += order.leaves_lots - detail.shown_lots - unshown
