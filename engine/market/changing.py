"""Amendments of orders that are not plain, or rest where trading is not plain."""

from engine.amending import leaves_wanted
from engine.book import Books, crosses
from engine.events import change_event, level_flag, refuse_change
from engine.limits import CHUNK_TICKS, ICEBERG_PEAKS_MAX, LEVEL_LOTS_MAX
from engine.market.admitting import clear_detail
from engine.market.ending import book_price, disarm, end_order, in_book
from engine.market.entering import (
    collects,
    enter_again,
    place_peg,
    rest_special,
    slid_ticks,
)
from engine.market.prevention import take_off
from engine.market.resting import leave_level, shown_total
from engine.market.state import NO_TICKS
from engine.market.triggers import arm, trails
from engine.messages import (
    ChangeEvent,
    CommandFlag,
    Decision,
    EventKind,
    Instruction,
    Peg,
    Phase,
    RejectReason,
)
from engine.orders import OrderFlag, Place
from engine.stage import Outbox
from ipc.jit import inlined, kernel


@kernel
def forbids(books: Books, decision: Decision, index: int, leaves: int) -> int:
    """Why an order may not be amended so, or NONE."""
    order, detail = books.pool.orders[index], books.details[index]
    special = order.flags & OrderFlag.SPECIAL
    display = 0
    if special != 0:
        display = detail.display_lots
    if decision.flags & CommandFlag.TERMS:
        terms = decision.terms
        if special != 0 and detail.fired == 0 and trails(books, index):
            return RejectReason.NOT_AMENDABLE.value
        if terms.trigger_ticks != 0:
            waits = special != 0 and detail.place == Place.TRIGGERS
            if not waits:
                return RejectReason.NOT_AMENDABLE.value
        display = terms.display_lots
        if order.flags & OrderFlag.UNSEEN and display != 0:
            return RejectReason.NOT_AMENDABLE.value
    if display != 0 and display * ICEBERG_PEAKS_MAX < leaves:
        return RejectReason.NOT_AMENDABLE.value
    return RejectReason.NONE.value


@kernel
def special_amend(books: Books, decision: Decision, index: int, out: Outbox) -> None:
    """An amendment of any order in any place."""
    order = books.pool.orders[index]
    phase = books.markets[order.instrument].phase
    if phase != Phase.CONTINUOUS and not collects(phase):
        refuse_change(out, decision, RejectReason.PHASE_FORBIDS.value)
        return
    leaves = leaves_wanted(books, decision, index)
    if leaves <= 0:
        end_order(books, index, RejectReason.REDUCED_TO_FILLED.value, out)
        return
    reason = forbids(books, decision, index, leaves)
    if reason == RejectReason.NONE and not in_book(books, index):
        change_outside(books, decision, index, leaves, out)
        return
    if reason == RejectReason.NONE and would_trade(books, decision, index, phase):
        reason = RejectReason.WOULD_TRADE.value
    if reason != RejectReason.NONE:
        refuse_change(out, decision, reason)
        return
    change_in_book(books, decision, index, leaves, out)


@kernel
def would_trade(books: Books, decision: Decision, index: int, phase: int) -> bool:
    """Whether an order that is post-only, or becomes it, would trade at its new price."""
    order = books.pool.orders[index]
    if order.flags & OrderFlag.POST_ONLY == 0 and decision.flags & CommandFlag.POST_ONLY == 0:
        return False
    if phase != Phase.CONTINUOUS or order.flags & OrderFlag.PEGGED:
        return False
    if not crosses(books, order.instrument, order.side, decision.price_ticks):
        return False
    slides = order.flags & OrderFlag.SPECIAL and (
        books.details[index].instructions & Instruction.SLIDE
    )
    return not slides or slid_ticks(books, order.instrument, order.side) == NO_TICKS


@inlined
def replaced(books: Books, decision: Decision, index: int, flags: int, out: Outbox) -> ChangeEvent:
    """REPLACED: the order has the amendment's fees from now on.

    The caller sets previous price and level.
    """
    order = books.pool.orders[index]
    order.maker_rate = decision.maker_rate
    books.details[index].taker_rate = decision.taker_rate
    event = change_event(out, decision, EventKind.REPLACED, flags)
    event.side, event.price_ticks = order.side, decision.price_ticks
    event.qty_lots, event.leaves_lots = order.qty_lots, order.leaves_lots
    if order.flags & OrderFlag.SPECIAL:
        event.display_lots = books.details[index].display_lots
    return event


@kernel
def set_quantity(books: Books, index: int, leaves: int) -> None:
    """Give an order a new open quantity; its level is not touched."""
    order = books.pool.orders[index]
    order.qty_lots += leaves - order.leaves_lots
    order.leaves_lots = leaves


@kernel
def change_outside(books: Books, decision: Decision, index: int, leaves: int, out: Outbox) -> None:
    """An order that waits out of the book is changed where it is: REPLACED without a level."""
    order, detail = books.pool.orders[index], books.details[index]
    waits_for_price = detail.place == Place.TRIGGERS
    moves = False
    if waits_for_price:
        level = books.chunks[order.chunk].levels[order.price_key & (CHUNK_TICKS - 1)]
        if level.lots - order.leaves_lots > LEVEL_LOTS_MAX - leaves:
            refuse_change(out, decision, RejectReason.BOOK_FULL.value)
            return
        level.lots += leaves - order.leaves_lots
    if decision.flags & CommandFlag.TERMS:
        detail.display_lots = decision.terms.display_lots
        show_as_told(books, index)
        if decision.terms.trigger_ticks != 0:
            moves = detail.trigger_ticks != decision.terms.trigger_ticks
    set_quantity(books, index, leaves)
    event = replaced(books, decision, index, 0, out)
    event.previous_price_ticks = detail.limit_ticks
    if waits_for_price and not trails(books, index):
        event.trigger_ticks = decision.terms.trigger_ticks if moves else detail.trigger_ticks
    detail.limit_ticks = decision.price_ticks
    if decision.flags & CommandFlag.POST_ONLY:
        order.flags |= OrderFlag.POST_ONLY
    if not moves:
        return
    if waits_for_price:
        disarm(books, index)
    detail.trigger_ticks = decision.terms.trigger_ticks
    if waits_for_price and not arm(books, index):
        detail.place = Place.NOWHERE
        end_order(books, index, RejectReason.BOOK_FULL.value, out)


@kernel
def show_as_told(books: Books, index: int) -> None:
    """An order, out of the book, is an iceberg from now on or is not, as its display says."""
    order = books.pool.orders[index]
    if order.flags & OrderFlag.UNSEEN:
        return
    order.flags &= ~OrderFlag.RESERVE.value
    if books.details[index].display_lots > 0:
        order.flags |= OrderFlag.RESERVE


@kernel
def change_in_book(books: Books, decision: Decision, index: int, leaves: int, out: Outbox) -> None:
    """REPLACED in place when only quantity becomes less; else out of the level and in again."""
    order, detail = books.pool.orders[index], books.details[index]
    special = order.flags & OrderFlag.SPECIAL
    pegged = order.flags & OrderFlag.PEGGED
    now_ticks = detail.limit_ticks if pegged != 0 else book_price(books, index)
    moves = decision.price_ticks != now_ticks or leaves > order.leaves_lots
    if decision.flags & CommandFlag.REQUEUE:
        moves = True
    display = detail.display_lots if special != 0 else 0
    if decision.flags & CommandFlag.TERMS and decision.terms.display_lots != display:
        moves, display = True, decision.terms.display_lots
    if decision.flags & CommandFlag.POST_ONLY:
        order.flags |= OrderFlag.POST_ONLY
    price = book_price(books, index)
    if not moves:
        take_off(books, index, order.leaves_lots - leaves)
        event = replaced(books, decision, index, level_flag(order.side), out)
        event.previous_price_ticks = price
        number = order.price_key & (CHUNK_TICKS - 1)
        event.level_lots = shown_total(books, order.chunk, number, 1)
        return
    level_lots = leave_level(books, index)
    set_quantity(books, index, leaves)
    if special == 0:
        clear_detail(books, index)
        detail.prevention = decision.prevention  # its account's: it said nothing itself
        order.flags |= OrderFlag.SPECIAL
    detail.limit_ticks, detail.display_lots = decision.price_ticks, display
    detail.place = Place.NOWHERE
    show_as_told(books, index)
    event = replaced(books, decision, index, level_flag(order.side), out)
    event.previous_price_ticks, event.level_lots = price, level_lots
    come_in_again(books, index, out)


@kernel
def come_in_again(books: Books, index: int, out: Outbox) -> None:
    """An amended order enters at its new price."""
    order, detail = books.pool.orders[index], books.details[index]
    phase = books.markets[order.instrument].phase
    if phase != Phase.CONTINUOUS:
        rest_special(books, index, detail.limit_ticks, out)
    elif detail.peg != Peg.NONE:
        detail.place = Place.PEGS_OUT
        place_peg(books, index, 0)
    else:
        enter_again(books, index, out)
