"""Phases of an instrument and the way from one to the other.

A shift is the way into another phase, one action a step: pegs leave the book, the uncross, orders
that end with the phase, PHASED, orders that waited for it. Whoever wants a phase calls
`begin_shift`; nothing else of the command goes on until `advance_shift` has come to its end.
"""

from typing import Final

from engine.book import Books
from engine.events import begin, change_event
from engine.market.auction import begin_uncross, find_price, uncross_once
from engine.market.ending import end_order
from engine.market.entering import is_auction, rest_special
from engine.market.pegs import park
from engine.market.rows import delist, refresh_watch
from engine.market.state import NO_TICKS, Roster, Season
from engine.messages import (
    EventKind,
    Phase,
    PhaseEvent,
    RejectReason,
    TimeInForce,
)
from engine.orders import IN_ROSTER, IN_SEASON, NO_ORDER, Place
from engine.stage import Outbox
from ipc.jit import kernel

PARK_PEGS: Final = 1
FIND_PRICE: Final = 2
UNCROSS: Final = 3
END_ORDERS: Final = 4
SAY_PHASE: Final = 5
RELEASE: Final = 6
SETTLE: Final = 7


@kernel
def begin_shift(books: Books, instrument: int, phase: int) -> None:
    """Bring an instrument into a phase, beginning with the next action."""
    work = books.work
    work.instrument, work.shift = instrument, phase
    work.shift_step, work.uncrossed = PARK_PEGS, 0
    if phase == books.markets[instrument].phase:
        work.shift_step = SAY_PHASE


@kernel
def advance_shift(books: Books, out: Outbox) -> None:
    """One action on the way into the phase wanted."""
    if books.work.shift_step < SAY_PHASE:
        leave_phase(books, out)
    else:
        enter_phase(books, out)


@kernel
def leave_phase(books: Books, out: Outbox) -> None:
    """One action before PHASED: a peg parks, the uncross goes on, an order ends."""
    work = books.work
    instrument, target, step = work.instrument, work.shift, work.shift_step
    if step == PARK_PEGS:
        if not park_one(books, instrument, out):
            work.shift_step = FIND_PRICE
    elif step == FIND_PRICE:
        work.shift_step = END_ORDERS
        work.season_slot = books.markets[instrument].seasons[Season.AUCTION.value].head
        trades = target == Phase.CONTINUOUS or target == Phase.POST_CLOSE
        if trades and find_price(books, instrument):
            begin_uncross(work.uncross)
            work.uncrossed, work.shift_step = 1, UNCROSS
    elif step == UNCROSS:
        if not uncross_once(books, instrument, out):
            settle_uncross(books, instrument)
            work.shift_step = FIND_PRICE
    elif not end_next(books, instrument, target, out):
        work.shift_step = SAY_PHASE


@kernel
def enter_phase(books: Books, out: Outbox) -> None:
    """PHASED itself, or one action after it: an order that waited enters, what the phase begins."""
    work = books.work
    instrument, target, step = work.instrument, work.shift, work.shift_step
    if step == SAY_PHASE:
        stays = books.markets[instrument].phase == target
        say_phase(books, instrument, target, out)
        work.shift_step = RELEASE
        if stays:
            work.shift = work.breach = 0
    elif step == RELEASE:
        if not (is_auction(target) and release_next(books, instrument, target, out)):
            work.shift_step = SETTLE
    else:
        settle_shift(books, instrument, target, out)
        work.shift = 0


@kernel
def park_one(books: Books, instrument: int, out: Outbox) -> bool:
    """Take the first pegged order that rests out of the book; false when there is none."""
    market = books.markets[instrument]
    if market.phase != Phase.CONTINUOUS:
        return False
    slot = market.rosters[Roster.PEGS.value].head
    while slot != NO_ORDER:
        if books.details[slot].place == Place.BOOK:
            park(books, slot, out)
            return True
        slot = books.details[slot].links[IN_ROSTER].next
    return False


@kernel
def settle_uncross(books: Books, instrument: int) -> None:
    """The price of the uncross is the last trade price and the reference from now on."""
    market = books.markets[instrument]
    market.last_ticks = market.uncross_ticks = books.work.uncross.price_ticks


@kernel
def end_next(books: Books, instrument: int, target: int, out: Outbox) -> bool:
    """End the next order that does not live on in the phase; false when there is none."""
    market = books.markets[instrument]
    if target == Phase.CLOSED:
        slot = market.seasons[Season.DAY.value].head
        if slot != NO_ORDER:
            end_order(books, slot, RejectReason.DAY_OVER.value, out)
            return True
    elif target != Phase.CONTINUOUS and target != Phase.POST_CLOSE:
        return False
    work = books.work
    if work.season_slot == NO_ORDER:
        return False
    slot = work.season_slot
    work.season_slot = books.details[slot].links[IN_SEASON].next
    place = books.details[slot].place
    waits = place == Place.WAITING and target != Phase.CONTINUOUS
    if waits or place == Place.BOOK:
        end_order(books, slot, RejectReason.AUCTION_OVER.value, out)
    return True


@kernel
def say_phase(books: Books, instrument: int, target: int, out: Outbox) -> None:
    """PHASED, and the phase itself."""
    market, terms, work = books.markets[instrument], books.terms[instrument], books.work
    event = PhaseEvent(begin(out, work.cause, EventKind.PHASED, 0))
    event.account = event.order_id = event.price_ticks = event.qty_lots = 0
    event.side = event.order_type = event.time_in_force = 0
    event.instrument = instrument
    event.phase, event.previous_phase = target, market.phase
    market.until_ns = 0
    if work.breach != 0:
        span = terms.volatility_halt_ns
        if target == Phase.VOLATILITY_AUCTION:
            span = terms.volatility_auction_ns
        if target != Phase.CONTINUOUS:
            market.until_ns = books.calendar.clock_ns + span
    event.at_ns = market.until_ns
    market.phase = target
    refresh_watch(books, instrument)


@kernel
def release_next(books: Books, instrument: int, target: int, out: Outbox) -> bool:
    """Let the next order that waited for this auction enter; false when there is none."""
    market = books.markets[instrument]
    slot = market.rosters[Roster.WAITING.value].head
    while slot != NO_ORDER:
        detail = books.details[slot]
        for_this = detail.time_in_force == TimeInForce.AUCTION
        if for_this or target == Phase.CLOSING_AUCTION:
            delist(books, slot)
            detail.place = Place.NOWHERE
            rest_special(books, slot, detail.limit_ticks, out)
            return True
        slot = detail.links[IN_ROSTER].next
    return False


@kernel
def settle_shift(books: Books, instrument: int, target: int, out: Outbox) -> None:
    """In the phase: what it sets going."""
    market, work = books.markets[instrument], books.work
    work.breach = 0
    if is_auction(target):
        market.indicative_ticks = NO_TICKS
        indicate(books, instrument, out)
    elif target == Phase.CONTINUOUS:
        market.entered = market.pegs_stale = 1
        if work.uncrossed != 0:
            work.point_active, work.point_ticks = 1, market.uncross_ticks
            work.point_moved = 0


@kernel
def indicate(books: Books, instrument: int, out: Outbox) -> None:
    """INDICATIVE, if what an uncross would do is not what was published last."""
    market, found = books.markets[instrument], books.work.uncross
    find_price(books, instrument)
    if (
        market.indicative_ticks == found.price_ticks
        and market.indicative_lots == found.volume_lots
        and market.indicative_surplus == found.surplus_lots
        and market.indicative_side == found.surplus_side
    ):
        return
    market.indicative_ticks, market.indicative_lots = found.price_ticks, found.volume_lots
    market.indicative_surplus, market.indicative_side = found.surplus_lots, found.surplus_side
    event = change_event(out, books.work.cause, EventKind.INDICATIVE, 0)
    event.account = event.order_id = 0
    event.instrument, event.side = instrument, found.surplus_side
    event.price_ticks, event.qty_lots = found.price_ticks, found.volume_lots
    event.leaves_lots = found.surplus_lots
