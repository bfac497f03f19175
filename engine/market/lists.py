"""Lists of orders: one cancels the other, or one brings the others in.

The orders of a list come as consecutive commands of one source and are held until the last one.
An assembly for each source remembers what has come; whatever does not continue it breaks it off.
"""

from engine.book import Books
from engine.events import accept_terms, refuse_order
from engine.market.admitting import admit
from engine.market.ending import end_by_id, wait_woken
from engine.market.rows import delist, enlist
from engine.market.state import Assembly, Roster
from engine.messages import (
    CommandFlag,
    CommandKind,
    Decision,
    ListKind,
    RejectReason,
)
from engine.orders import NO_ORDER, OrderFlag, Place, find_order
from engine.stage import Outbox
from ipc.jit import inlined, kernel


@inlined
def orders_of(kind: int) -> int:
    """How many orders a list of this kind has."""
    return 3 if kind == ListKind.BRACKET else 2


@kernel
def continues(assembly: Assembly, decision: Decision) -> bool:
    """Whether a command is the next order of a list."""
    terms = decision.terms
    if decision.kind != CommandKind.NEW or decision.reason != RejectReason.NONE:
        return False
    if decision.flags & CommandFlag.TERMS == 0 or terms.list_kind == ListKind.NONE:
        return False
    return (
        terms.list_index == assembly.count
        and terms.list_kind == assembly.kind
        and decision.account == assembly.account
        and decision.instrument == assembly.instrument
    )


@kernel
def note_break(books: Books, decision: Decision) -> None:
    """If a command breaks off the list of its source, remember to say so behind its own events."""
    work = books.work
    assembly = work.assemblies[decision.source]
    if assembly.count != 0 and not continues(assembly, decision):
        work.breaking = 1


@kernel
def break_off(books: Books, source: int, out: Outbox) -> None:
    """End the held orders of a source's list: CANCELED, the oldest first."""
    work = books.work
    work.breaking = 0
    assembly = work.assemblies[source]
    count = assembly.count
    assembly.count = 0
    work.assemblies_open -= 1
    for index in range(count):
        end_by_id(books, assembly.order_ids[index], RejectReason.LIST_BROKEN.value, out)


@kernel
def join_list(books: Books, decision: Decision, out: Outbox) -> int:
    """Hold an order of a list; when it is the last, the slot of the one that enters first."""
    work, terms = books.work, decision.terms
    assembly = work.assemblies[decision.source]
    if assembly.count == 0 or work.breaking != 0:
        if terms.list_index != 0:
            refuse_order(out, decision, RejectReason.LIST_BROKEN.value)
            return NO_ORDER
        if work.breaking != 0:
            accept_terms(out, decision)
            hold(books, decision)
            begin_anew(books, decision, out)
            return NO_ORDER
        begin(work.assemblies[decision.source], decision)
        work.assemblies_open += 1
    accept_terms(out, decision)
    hold(books, decision)
    assembly.order_ids[assembly.count] = decision.order_id
    assembly.count += 1
    if assembly.count < orders_of(assembly.kind):
        return NO_ORDER
    assembly.count = 0
    work.assemblies_open -= 1
    return begin_list(books, assembly)


@inlined
def begin(assembly: Assembly, decision: Decision) -> None:
    """A source begins a list."""
    assembly.kind = decision.terms.list_kind
    assembly.account, assembly.instrument = decision.account, decision.instrument


@kernel
def begin_anew(books: Books, decision: Decision, out: Outbox) -> None:
    """A list begins before the one before it was complete: that one ends."""
    assembly = books.work.assemblies[decision.source]
    break_off(books, decision.source, out)
    begin(assembly, decision)
    assembly.order_ids[0], assembly.count = decision.order_id, 1
    books.work.assemblies_open += 1


@kernel
def hold(books: Books, decision: Decision) -> None:
    """Take the order in; it waits in its list."""
    slot = admit(books, decision)
    books.details[slot].place = Place.HELD
    enlist(books, slot, Roster.HELD.value)


@kernel
def pair(books: Books, one: int, other: int) -> None:
    """Make two orders an OCO pair, as far as both live."""
    if one == NO_ORDER or other == NO_ORDER:
        return
    orders, details = books.pool.orders, books.details
    details[one].partner, details[other].partner = orders[other].order_id, orders[one].order_id
    orders[one].flags |= OrderFlag.LINKED
    orders[other].flags |= OrderFlag.LINKED


@kernel
def begin_list(books: Books, assembly: Assembly) -> int:
    """Tie the orders of a complete list together; the slot of the one that enters first.

    A held order that was cancelled in the meantime is missing: the others go on without it.
    """
    first = find_order(books.pool, assembly.order_ids[0])
    second = find_order(books.pool, assembly.order_ids[1])
    if first != NO_ORDER:
        delist(books, first)
        books.details[first].place = Place.NOWHERE
    if assembly.kind == ListKind.OCO:
        pair(books, first, second)
        if second != NO_ORDER:
            wait_woken(books, second)
        return first
    third = NO_ORDER
    if assembly.kind == ListKind.BRACKET:
        third = find_order(books.pool, assembly.order_ids[2])
        pair(books, second, third)
    if first != NO_ORDER:
        detail = books.details[first]
        detail.child_1 = assembly.order_ids[1]
        detail.child_2 = assembly.order_ids[2] if third != NO_ORDER else 0
    return first
