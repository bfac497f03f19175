"""What goes on between a command and its last event: one action after the other.

A command that is not plain does its first part and leaves the rest here as state: a taker, a shift
into another phase, a program of steps. `run` does actions, in the order in which they have
precedence, until nothing is left or the step's share is used up; then the next step goes on.
"""

from engine.book import Books
from engine.events import finish
from engine.limits import ACTION_EVENTS_MAX, ACTIONS_PER_STEP_MAX
from engine.market.entering import enter, place_peg, set_taker, wake
from engine.market.lists import break_off, second_of_pair
from engine.market.looking import fillable
from engine.market.pegs import park, pass_pegs
from engine.market.phases import advance_shift, begin_shift
from engine.market.programs import advance_program, walks
from engine.market.rows import delist, remove
from engine.market.state import Program, Roster
from engine.market.tops import tell_next_top
from engine.market.triggers import compare_point
from engine.messages import Phase
from engine.orders import IN_ROSTER, NO_ORDER, Place
from engine.stage import Outbox
from engine.trading import sweep
from ipc.jit import inlined, kernel


@kernel
def run(books: Books, out: Outbox) -> None:
    """Work on the command until it is finished or this step's share is used up."""
    work, taker = books.work, books.taker
    actions = 0
    while out.claimed - out.pending >= ACTION_EVENTS_MAX and actions < ACTIONS_PER_STEP_MAX:
        actions += 1
        if work.point_active != 0:
            compare_point(books)
        elif taker.active != 0:
            sweep(books, out)
        elif work.shift != 0:
            advance_shift(books, out)
        elif work.breach != 0:
            interrupt(books)
        elif work.second_id != 0:
            enter_second(books, out)
        elif walks(work):
            advance_program(books, out)
        elif not react(books, out) and conclude(books, out):
            return


@kernel
def conclude(books: Books, out: Outbox) -> bool:
    """One action when nothing reacts any more; true when that was LAST.

    The program goes on; then a list ends that the command did not continue; then the best prices
    are told.
    """
    work = books.work
    if work.program != Program.NONE:
        advance_program(books, out)
    elif work.breaking != 0:
        break_off(books, out)
    elif not tell_next_top(books, out):
        work.busy = 0
        finish(out)
        return True
    return False


@kernel
def enter_second(books: Books, out: Outbox) -> None:
    """The second order of an OCO pair enters, unless the first has ended it."""
    slot = second_of_pair(books)
    if slot != NO_ORDER:
        enter(books, slot, 0, out)


@inlined
def interrupt(books: Books) -> None:
    """A price has left its band: halt, or begin the auction if the halt is of no length."""
    instrument = books.work.instrument
    target = Phase.HALT.value
    if books.terms[instrument].volatility_halt_ns == 0:
        target = Phase.VOLATILITY_AUCTION.value
    begin_shift(books, instrument, target)


@kernel
def react(books: Books, out: Outbox) -> bool:
    """One consequence of what has happened: a woken order, a peg, an all-or-none order."""
    work = books.work
    work.own_id = 0
    slot = work.woken.head
    if slot != NO_ORDER:
        remove(books, work.woken, slot, IN_ROSTER)
        work.instrument = books.pool.orders[slot].instrument
        wake(books, slot, out)
        return True
    if work.whole_passing != 0 and pass_whole(books, work.instrument):
        return True
    if books.markets[work.instrument].watch == 0:
        return False
    slot = pass_pegs(books, work.instrument)
    if slot != NO_ORDER:
        if books.details[slot].place == Place.BOOK:
            park(books, slot, out)
        place_peg(books, slot, 0)
        return True
    return begin_whole_pass(books, work.instrument)


@kernel
def begin_whole_pass(books: Books, instrument: int) -> bool:
    """If something has entered the book, try the all-or-none orders; false when nothing has."""
    market, work = books.markets[instrument], books.work
    if market.phase != Phase.CONTINUOUS or market.entered == 0:
        return False
    market.entered = 0
    work.whole_passing = 1
    work.whole_slot = market.rosters[Roster.ALL_OR_NONE.value].head
    return True


@kernel
def pass_whole(books: Books, instrument: int) -> bool:
    """Let the next all-or-none order of the pass that the book can fill trade; false at its end."""
    market, work = books.markets[instrument], books.work
    while work.whole_slot != NO_ORDER and market.phase == Phase.CONTINUOUS:
        slot = work.whole_slot
        work.whole_slot = books.details[slot].links[IN_ROSTER].next
        set_taker(books, slot, books.details[slot].limit_ticks, 0)
        if fillable(books, books.taker.leaves_lots):
            delist(books, slot)
            books.details[slot].place = Place.NOWHERE
            books.taker.stays, books.taker.active = 0, 1
            return True
    work.whole_passing = work.whole_slot = 0
    return False
