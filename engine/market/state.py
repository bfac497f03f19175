"""The state of markets: what matching remembers of each instrument, and of the work under way.

Owned by matching, part of its one block of memory. `Market.watch` is 0 for an instrument that is
in continuous trading and has nothing but plain orders: then no function of this package is called.
"""

from enum import IntEnum
from typing import Final

from engine.limits import INSTRUMENTS_MAX, LIST_ORDERS_MAX, ORDERS_MAX, SOURCES_MAX
from engine.messages import Decision
from ipc.record import (
    CACHE_LINE_BYTES,
    LINE_PAIR_BYTES,
    Array,
    Record,
    i64,
    length,
    u32,
)

NO_TICKS: Final = 1 << 62
"""Stands for a price that does not exist: beyond every price and every key."""


class Watch(IntEnum):
    """Bits of `Market.watch`: why the plain path is not enough."""

    PHASE = 1
    "Not in continuous trading."
    RESERVE = 2
    "Orders in the book that do not show all of themselves."
    TRIGGERS = 4
    "Orders that wait for a price."
    PEGS = 8
    ALL_OR_NONE = 16
    BANDS = 32
    TOP = 64
    "The best prices are told."


class Roster(IntEnum):
    """Lists of orders of one instrument, each in order of arrival."""

    PEGS = 0
    "In the book or not."
    ALL_OR_NONE = 1
    WAITING = 2
    "For an auction."
    HELD = 3
    "In lists of orders."
    TRAILING = 4


class Season(IntEnum):
    """Lists of orders that end together."""

    DAY = 0
    AUCTION = 1


class Row(Record):
    """Ends of a linked list of order slots."""

    head: u32
    tail: u32
    count: i64


class Market(Record, align=LINE_PAIR_BYTES):
    """One instrument."""

    watch: i64
    "Watch bits; 0: the plain path is enough."
    phase: i64
    last_ticks: i64
    "Price of the last trade, NO_TICKS before the first."
    uncross_ticks: i64
    "Price of the last uncross, NO_TICKS before the first."
    reserve_orders: i64
    "Orders in the book that do not show all of themselves."
    trigger_orders: i64
    "Orders that wait for a price."
    entered: i64
    "1 when something may have entered the book since all-or-none orders were tried."
    seen_bid_ticks: i64
    "References at the beginning of the last pass over the pegs."
    seen_ask_ticks: i64
    pegs_stale: i64
    "1: the pegs must be passed through whatever the references are."
    until_ns: i64
    "End of a volatility interruption's phase, 0 for none."
    indicative_ticks: i64
    indicative_lots: i64
    indicative_surplus: i64
    indicative_side: i64
    told_bid_ticks: i64
    "Best prices of the last TOP, NO_TICKS for none."
    told_ask_ticks: i64
    rosters: Array[Row] = length(len(Roster))
    seasons: Array[Row] = length(len(Season))


class Taker(Decision, align=CACHE_LINE_BYTES):
    """The order that is trading: fields of its cause, its own identity, how far it has come.

    Survives a step only while a sweep is longer than one slice.
    """

    active: i64
    "1 while the sweep is to be continued."
    leaves_lots: i64
    limit_key: i64
    "The worst key of the opposite side that it may trade with."
    order_slot: i64
    "Slot of an order that has one already; NO_ORDER for a new one."
    total_lots: i64
    "Quantity of the whole order, fills before an amendment included."
    stays: i64
    "1 when what is left may enter the book."
    ends: i64
    "RejectReason that ended the sweep before its time, 0 for none."
    linked: i64
    "OrderFlag bits: LINKED until a trade has ended its OCO partner, and PARENT."
    traded: i64
    "1 after the first trade."
    traded_ticks: i64
    "Price of the last trade."
    band_low_ticks: i64
    band_high_ticks: i64


class Program(IntEnum):
    """What a command still has to do, step by step; reactions run between its steps."""

    NONE = 0
    TICK = 1
    MASS_CANCEL = 2
    SNAPSHOT = 3
    DELIST = 4


class Scan(Record):
    """A place in one side of a book: a level, going from the best to the worst."""

    at: i64
    "Position of its chunk in the side's array of chunks; 0 when there is none left."
    bits: i64
    "Levels of that chunk that are still to come."
    key: i64
    "Key of the level, NO_TICKS at the end."
    chunk: i64
    number: i64


class Walk(Record):
    """A walk over all orders of an instrument."""

    area: i64
    "0..3: sides of the book and of the triggers, then rosters."
    scan: Scan
    slot: i64
    "The order to look at next."


class Uncross(Record):
    """The auction that is being executed, and what the search for its price found."""

    price_ticks: i64
    volume_lots: i64
    surplus_lots: i64
    surplus_side: i64
    keys: Array[i64] = length(2)
    "Key of the level of each side that trades; NO_TICKS before the first."
    margins: Array[i64] = length(2)
    "Search: price of the last level of each side that takes part."
    sums: Array[i64] = length(2)
    "Search: bids at or above the one margin, asks at or below the other."
    low_ticks: Array[i64] = length(2)
    "Search: ends of up to two ranges of equally good prices."
    high_ticks: Array[i64] = length(2)
    scans: Array[Scan] = length(2)


class Assembly(Record):
    """A list of orders that has not all its orders yet, of one source."""

    count: i64
    kind: i64
    account: i64
    instrument: i64
    order_ids: Array[i64] = length(LIST_ORDERS_MAX)


class Work(Record, align=LINE_PAIR_BYTES):
    """What is under way between two commands."""

    busy: i64
    "1 while the command is not finished."
    instrument: i64
    "Where reactions look."
    own_id: i64
    "The command's own new order until it enters the book or others react, 0: none."
    second_id: i64
    "The second order of an OCO pair that is about to enter behind the first, 0: none."
    season_slot: i64
    "Next order to look at among those that end with an auction."
    cause: Decision
    "A copy of the command: its place in the ring may be used again."
    point_active: i64
    "1: `point_ticks`, a trade price, is to be compared with the triggers."
    point_ticks: i64
    point_moved: i64
    "1: trailing triggers have followed it."
    woken: Row
    program: i64
    program_instrument: i64
    program_step: i64
    counted: i64
    shift: i64
    "The Phase that `instrument` is being brought into, 0 for none."
    shift_step: i64
    breach: i64
    "1: a price left its band."
    uncrossed: i64
    "1: the shift traded at `uncross.price_ticks`."
    peg_slot: i64
    "Next order of a pass over the pegs."
    peg_passing: i64
    references_known: i64
    "1: `bid_ticks` and `ask_ticks` are what the pegs of this pass follow now."
    bid_ticks: i64
    ask_ticks: i64
    whole_slot: i64
    "Next order of a pass over the all-or-none orders."
    whole_passing: i64
    breaking: i64
    "1: the list in `broken` has been broken off and its orders are to end."
    broken: Assembly
    doomed_head: i64
    doomed_tail: i64
    walk: Walk
    uncross: Uncross
    top_next: i64
    "The next instrument to look at for a TOP when the command is done."
    top_end: i64
    "The one behind the last."
    assemblies_open: i64
    assemblies: Array[Assembly] = length(SOURCES_MAX + 1)


class Calendar(Record, align=CACHE_LINE_BYTES):
    """Orders that expire at a time: a heap of slots, the first to expire at place 1."""

    clock_ns: i64
    "The venue's time: the last TICK's."
    count: i64
    heap: Array[u32] = length(ORDERS_MAX + 2)


assert LIST_ORDERS_MAX == 3
assert INSTRUMENTS_MAX * len(Roster) < 1 << 31
