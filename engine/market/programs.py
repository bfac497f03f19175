"""Commands of several steps: TICK, MASS_CANCEL, SNAPSHOT and the delisting of an instrument.

What a step sets going is finished before the next one, except that the orders of a mass cancel
all end before anything else reacts to their absence.
"""

from typing import Final

from engine.book import Books
from engine.events import begin, change_event
from engine.limits import INSTRUMENTS_MAX
from engine.market.calendar import first_due
from engine.market.ending import end_order, in_book
from engine.market.entering import is_auction
from engine.market.phases import begin_shift, indicate
from engine.market.state import Program, Work
from engine.market.tops import tell_next_top
from engine.market.walking import begin_walk, book_order, note_doomed, take_step
from engine.messages import (
    BOTH_SIDES,
    Decision,
    EventFlag,
    EventKind,
    InstrumentEvent,
    Phase,
    PhaseEvent,
    RejectReason,
)
from engine.orders import NO_ORDER
from engine.reference import apply_instrument
from engine.stage import Outbox
from ipc.jit import inlined, kernel

LOOK: Final = 0
"""First step of a walk; for a TICK the ends of interruptions."""

END: Final = 1
"""End the orders found; for a TICK those that have expired."""

SETTLE: Final = 2
"""What the ends cause; for a TICK the indicative prices."""

SAY: Final = 3
"""The last event."""


@inlined
def walks(work: Work) -> bool:
    """Whether nothing may react yet because orders are being looked for or ended."""
    return work.program >= Program.MASS_CANCEL and work.program_step < SETTLE


@kernel
def begin_program(books: Books, program: int) -> None:
    """Begin with the next action."""
    work = books.work
    work.program, work.program_step = program, LOOK
    work.program_instrument = 0
    work.counted = work.doomed_head = work.doomed_tail = 0
    if program != Program.TICK:
        work.program_instrument = work.cause.instrument
        begin_walk(books, work.cause.instrument)


@kernel
def advance_program(books: Books, out: Outbox) -> None:
    """One step."""
    work = books.work
    if work.program == Program.TICK:
        advance_tick(books, out)
    elif work.program_step == LOOK:
        look_at_next(books, out)
    elif work.program_step == END:
        end_doomed(books, out)
    elif work.program_step == SETTLE:
        work.program_step = SAY
    else:
        say_done(books, out)


# --- walks ------------------------------------------------------------------------------------


@kernel
def look_at_next(books: Books, out: Outbox) -> None:
    """Note an order that will be ended, or say that it is in the book."""
    work = books.work
    slot = take_step(books, work.program_instrument)
    if slot == NO_ORDER:
        work.program_step = END
        return
    order, cause = books.pool.orders[slot], work.cause
    if work.program == Program.SNAPSHOT:
        if in_book(books, slot) and book_order(books, slot, out):
            work.counted += 1
    elif work.program == Program.DELIST or (
        order.account == cause.account and (cause.side == BOTH_SIDES or order.side == cause.side)
    ):
        note_doomed(books, slot)
        work.counted += 1


@kernel
def end_doomed(books: Books, out: Outbox) -> None:
    """End the next of the orders found, unless a list partner has taken it along."""
    work = books.work
    slot = work.doomed_head
    if slot == NO_ORDER:
        work.program_step = SETTLE
        return
    work.doomed_head = books.details[slot].doomed_next
    if books.pool.orders[slot].order_id == 0:
        return
    reason = RejectReason.MASS_CANCELED.value
    if work.program == Program.DELIST:
        reason = RejectReason.DELISTED.value
    end_order(books, slot, reason, out)


@kernel
def say_done(books: Books, out: Outbox) -> None:
    """DONE, or INSTRUMENT for a delisting, which takes effect now."""
    work = books.work
    program, work.program = work.program, Program.NONE
    if program == Program.DELIST:
        cause, instrument = work.cause, work.program_instrument
        apply_instrument(books.terms[instrument], cause.order_id, cause.qty_lots)
        say_instrument(books, work.cause, out)
        return
    flags = EventFlag.SNAPSHOT.value if program == Program.SNAPSHOT else 0
    event = change_event(out, work.cause, EventKind.DONE, flags)
    event.account = event.order_id = event.price_ticks = event.side = 0
    event.qty_lots = work.counted


# --- the clock --------------------------------------------------------------------------------


@kernel
def advance_tick(books: Books, out: Outbox) -> None:
    """One step of a TICK."""
    work = books.work
    if work.program_step == LOOK:
        if not end_interruption(books):
            work.program_step = END
    elif work.program_step == END:
        slot = first_due(books)
        if slot == NO_ORDER:
            work.program_step, work.program_instrument = SETTLE, 0
        else:
            work.instrument = books.pool.orders[slot].instrument
            end_order(books, slot, RejectReason.EXPIRED.value, out)
    elif work.program_step == SETTLE:
        if not indicate_next(books, out):
            work.program_step = SAY
    elif not tell_next_top(books, out):
        work.program = Program.NONE
        event = PhaseEvent(begin(out, work.cause, EventKind.CLOCK, 0))
        event.account = event.order_id = event.instrument = event.side = 0
        event.order_type = event.time_in_force = event.price_ticks = event.qty_lots = 0
        event.phase = event.previous_phase = 0
        event.at_ns = books.calendar.clock_ns


@kernel
def end_interruption(books: Books) -> bool:
    """Begin the next phase of the next instrument whose interruption is over; false for none."""
    work = books.work
    while work.program_instrument < INSTRUMENTS_MAX:
        instrument = work.program_instrument
        work.program_instrument += 1
        market = books.markets[instrument]
        if market.until_ns != 0 and market.until_ns <= books.calendar.clock_ns:
            target = Phase.CONTINUOUS.value
            if market.phase == Phase.HALT:
                target = Phase.VOLATILITY_AUCTION.value
            work.breach = 1
            begin_shift(books, instrument, target)
            return True
    return False


@kernel
def indicate_next(books: Books, out: Outbox) -> bool:
    """INDICATIVE of the next instrument in an auction, if it is another; false at the end."""
    work = books.work
    while work.program_instrument < INSTRUMENTS_MAX:
        instrument = work.program_instrument
        work.program_instrument += 1
        if is_auction(books.markets[instrument].phase):
            indicate(books, instrument, out)
            return True
    return False


# --- instruments ------------------------------------------------------------------------------


@kernel
def say_instrument(books: Books, command: Decision, out: Outbox) -> None:
    """INSTRUMENT, as commanded."""
    event = InstrumentEvent(begin(out, command, EventKind.INSTRUMENT, 0))
    event.account = event.price_ticks = 0
    event.side = event.order_type = event.time_in_force = 0
    event.qty_lots = command.qty_lots
    for word in range(len(event.symbol)):
        event.symbol[word] = command.client_order_id[word]
