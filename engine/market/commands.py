"""The way in for every command that is not plain: its first part, then the work it leaves."""

from typing import Final

from engine.amending import find_owned
from engine.book import Books
from engine.events import answer_order, refuse, refuse_change, repeat_command
from engine.limits import INSTRUMENTS_MAX
from engine.market.arriving import special_new
from engine.market.changing import special_amend
from engine.market.ending import end_order
from engine.market.lists import break_off, set_aside
from engine.market.phases import begin_shift
from engine.market.programs import begin_program, say_instrument
from engine.market.rows import refresh_watch
from engine.market.state import NO_TICKS, Program
from engine.market.tops import begin_tops, forget_top
from engine.market.working import run
from engine.messages import (
    PLAIN_BYTES,
    CommandKind,
    Decision,
    EventKind,
    Listing,
    RejectReason,
)
from engine.orders import NO_ORDER
from engine.reference import TERM_NUMBERS, apply_instrument
from engine.stage import Outbox, copy_words
from ipc.distant import distant, link
from ipc.jit import kernel

TELL_TOP: Final = TERM_NUMBERS["tell_top"]
"""`order_id` of an INSTRUMENT command after which the best prices are told anew."""


@kernel
def open_market(books: Books, instrument: int) -> None:
    """Set an instrument to what its terms say it begins with."""
    market, terms = books.markets[instrument], books.terms[instrument]
    market.phase = terms.phase
    market.last_ticks = NO_TICKS
    market.uncross_ticks = NO_TICKS
    market.seen_bid_ticks = market.seen_ask_ticks = NO_TICKS
    market.until_ns = market.indicative_ticks = 0
    forget_top(market)
    refresh_watch(books, instrument)


@kernel
def skip_foreign(books: Books, shard: int, decision: Decision, out: Outbox) -> bool:
    """Whether another shard executes the decision. A list that it breaks off ends here even so."""
    if decision.reason == RejectReason.NONE and decision.kind == CommandKind.TICK:
        return False
    owner = 0
    if decision.instrument < INSTRUMENTS_MAX:
        owner = books.terms[decision.instrument].shard
    if owner == shard:
        return False
    work = books.work
    if work.assemblies_open != 0:
        set_aside(books, decision)
        if work.breaking != 0:
            copy_words(work.cause.address, decision.address, PLAIN_BYTES >> 3)
            break_off(books, out)
    return True


@distant
def work_on(books: Books, decision: Decision, out: Outbox) -> int:
    """Go on with the command that is under way, else begin with this one; always 0."""
    if books.work.busy == 0:
        begin_special(books, decision, out)
    run(books, out)
    return 0


def link_special() -> None:
    """Make `work_on` ready to be called in this process."""
    link(work_on, Books, Decision, Outbox)


@kernel
def begin_special(books: Books, decision: Decision, out: Outbox) -> None:
    """The first part of any accepted or refused decision."""
    work = books.work
    copy_words(work.cause.address, decision.address, PLAIN_BYTES >> 3)
    work.busy = 1
    work.breach = work.breaking = work.program = work.shift = 0
    work.instrument = 0
    if decision.instrument < INSTRUMENTS_MAX:
        work.instrument = decision.instrument
    begin_tops(books)
    work.own_id = work.second_id = 0
    if work.assemblies_open != 0:
        set_aside(books, decision)
    if decision.reason != RejectReason.NONE:
        refuse(out, decision, decision.reason)
    elif decision.kind <= CommandKind.AMEND:
        execute_order(books, decision, out)
    else:
        execute_admin(books, decision, out)


@kernel
def execute_order(books: Books, decision: Decision, out: Outbox) -> None:
    """NEW, CANCEL or AMEND."""
    if decision.kind == CommandKind.NEW:
        special_new(books, decision, out)
        return
    slot = find_owned(books, decision)
    if slot == NO_ORDER:
        refuse_change(out, decision, RejectReason.UNKNOWN_ORDER.value)
    elif decision.kind == CommandKind.CANCEL:
        end_order(books, slot, RejectReason.CANCELED_BY_CLIENT.value, out)
    else:
        special_amend(books, decision, slot, out)


@kernel
def execute_admin(books: Books, decision: Decision, out: Outbox) -> None:
    """What comes from whoever runs the venue, and mass cancels."""
    kind, instrument = decision.kind, decision.instrument
    if kind == CommandKind.PHASE:
        begin_shift(books, instrument, decision.terms.phase)
    elif kind == CommandKind.TICK:
        calendar = books.calendar
        calendar.clock_ns = max(calendar.clock_ns, decision.terms.at_ns)
        begin_program(books, Program.TICK.value)
    elif kind == CommandKind.MASS_CANCEL:
        begin_program(books, Program.MASS_CANCEL.value)
    elif kind == CommandKind.SNAPSHOT:
        begin_program(books, Program.SNAPSHOT.value)
    elif kind > CommandKind.WATERMARK:
        pass_on(decision, out)
    else:
        assert kind == CommandKind.INSTRUMENT, "execute: an accepted decision of unknown kind"
        if decision.order_id == Listing.DELIST:
            begin_program(books, Program.DELIST.value)
            return
        apply_instrument(books.terms[instrument], decision.order_id, decision.qty_lots)
        if decision.order_id == Listing.LIST:
            open_market(books, instrument)
        elif decision.order_id == TELL_TOP:
            forget_top(books.markets[instrument])
        refresh_watch(books, instrument)
        say_instrument(books, decision, out)


@kernel
def pass_on(decision: Decision, out: Outbox) -> None:
    """What is between a client and risk: matching says only that it has come to pass."""
    kind, none = decision.kind, RejectReason.NONE.value
    if kind == CommandKind.FUNDS:
        repeat_command(out, decision, EventKind.FUNDED.value, none)
    elif kind == CommandKind.RULE:
        repeat_command(out, decision, EventKind.RULED.value, none)
    elif kind == CommandKind.MARK:
        repeat_command(out, decision, EventKind.MARKED.value, none)
    elif kind == CommandKind.BARRIER:
        repeat_command(out, decision, EventKind.BARRIER.value, none)
    elif kind == CommandKind.SKIP:
        repeat_command(out, decision, EventKind.SKIPPED.value, none)
    else:
        assert kind == CommandKind.CHECK, "pass_on: an accepted decision of unknown kind"
        answer_order(out, decision, EventKind.CHECKED.value, none)
