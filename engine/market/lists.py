"""Lists of orders: one cancels the other, or one brings the others in.

The orders of a list come as consecutive commands of one source and are held until the last one.
An assembly for each source remembers what has come; whatever does not continue it breaks it off.
"""

from engine.book import Books
from engine.events import accept_terms
from engine.limits import LIST_ORDERS_MAX
from engine.market.admitting import admit
from engine.market.ending import end_by_id
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
def set_aside(books: Books, decision: Decision) -> None:
    """If the command's source has an incomplete list, take it as broken off until it goes on."""
    work = books.work
    assembly = work.assemblies[decision.source]
    work.breaking = 0
    if assembly.count != 0:
        copy_assembly(work.broken, assembly)
        work.breaking = 1
        assembly.count = 0
        work.assemblies_open -= 1


@inlined
def copy_assembly(target: Assembly, source: Assembly) -> None:
    """Copy a list under way."""
    target.count, target.kind = source.count, source.kind
    target.account, target.instrument = source.account, source.instrument
    for index in range(LIST_ORDERS_MAX):
        target.order_ids[index] = source.order_ids[index]


@kernel
def break_off(books: Books, out: Outbox) -> None:
    """End the held orders of the list that did not go on: CANCELED, the oldest first."""
    work = books.work
    work.breaking = 0
    for index in range(work.broken.count):
        end_by_id(books, work.broken.order_ids[index], RejectReason.LIST_BROKEN.value, out)


@kernel
def goes_on(books: Books, decision: Decision) -> bool:
    """Whether an order of a list begins one or is the next of the one under way."""
    if decision.terms.list_index == 0:
        return True
    return books.work.breaking != 0 and continues(books.work.broken, decision)


@kernel
def join_list(books: Books, decision: Decision, out: Outbox) -> int:
    """Hold an order of a list that goes on; when it is the last, the slot of the first to enter."""
    work = books.work
    assembly = work.assemblies[decision.source]
    if decision.terms.list_index == 0:
        assembly.count, assembly.kind = 0, decision.terms.list_kind
        assembly.account, assembly.instrument = decision.account, decision.instrument
    else:
        copy_assembly(assembly, work.broken)
        work.breaking = 0
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


@kernel
def hold(books: Books, decision: Decision) -> None:
    """Take the order in; it waits in its list."""
    slot = admit(books, decision)
    books.details[slot].place = Place.HELD
    books.details[slot].assembly = 1 + decision.source
    enlist(books, slot, Roster.HELD.value)


@kernel
def pair(books: Books, one: int, other: int) -> None:
    """Make two orders an OCO pair."""
    orders, details = books.pool.orders, books.details
    details[one].partner, details[other].partner = orders[other].order_id, orders[one].order_id
    orders[one].flags |= OrderFlag.LINKED
    orders[other].flags |= OrderFlag.LINKED


@kernel
def begin_list(books: Books, assembly: Assembly) -> int:
    """Tie the orders of a complete list together; the slot of the one that enters first."""
    first = find_order(books.pool, assembly.order_ids[0])
    second = find_order(books.pool, assembly.order_ids[1])
    third = NO_ORDER
    if assembly.kind == ListKind.BRACKET:
        third = find_order(books.pool, assembly.order_ids[2])
        books.details[third].assembly = 0
        pair(books, second, third)
    books.details[first].assembly = books.details[second].assembly = 0
    delist(books, first)
    books.details[first].place = Place.NOWHERE
    if assembly.kind == ListKind.OCO:
        pair(books, first, second)
        books.work.second_id = assembly.order_ids[1]
        return first
    books.details[first].child_1 = assembly.order_ids[1]
    if third != NO_ORDER:
        books.details[first].child_2 = assembly.order_ids[2]
    books.pool.orders[first].flags |= OrderFlag.PARENT
    return first


@kernel
def second_of_pair(books: Books) -> int:
    """The second order of an OCO pair, taken out of its list to enter; NO_ORDER if it has ended."""
    slot = find_order(books.pool, books.work.second_id)
    books.work.second_id = 0
    if slot != NO_ORDER:
        delist(books, slot)
        books.details[slot].place = Place.NOWHERE
    return slot
