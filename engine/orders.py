"""The order pool and the map from order ids to its slots. Owned by the matching stage.

Orders are 64-byte lines that are reused last-in first-out, so the working set stays in cache.
Engine order ids are dense, so the map is a plain table indexed by the low bits of the id; two
live orders collide only when their ids are ORDER_MAP_SLOTS apart, and then they are chained.
The functions serve any pool with these fields and links: risk keeps its reservations in one.
"""

from enum import IntEnum
from typing import Any, Final, Protocol

from engine.limits import ORDER_MAP_SLOTS, ORDERS_MAX
from ipc.jit import inlined
from ipc.record import CACHE_LINE_BYTES, LINE_PAIR_BYTES, Array, Record, i16, i64, length, u8, u32

NO_ORDER: Final = 0
"""Slot 0 is never used, so 0 ends every chain."""


class OrderFlag(IntEnum):
    """Bits of an order's `flags`."""

    POST_ONLY = 1
    SPECIAL = 2
    "Its `Detail` counts: fills and its end need more than the plain path does."
    RESERVE = 4
    "In the book, part of it is not shown (iceberg) or none of it (hidden)."
    LINKED = 8
    "Another order ends when this one trades."
    PEGGED = 16
    UNSEEN = 32
    "Nothing of it is shown."
    PARENT = 64
    "Others enter when it is filled."


class Order(Record, align=CACHE_LINE_BYTES):
    """A live order: linked into its price level and into its chain of the id map."""

    order_id: i64
    price_key: i64
    "Price in ticks, mirrored for bids (`book.key_of`), so that smaller is always better."
    leaves_lots: i64
    qty_lots: i64
    "Total quantity: leaves plus filled."
    next: u32
    "Next in time at the level."
    previous: u32
    chunk: u32
    "The price chunk that holds its level."
    chained: u32
    "Next in the id map's chain, or next free slot."
    account: u32
    instrument: u32
    group: u32
    "Account group, for self-trade prevention."
    side: u8
    flags: u8
    "OrderFlag bits."
    maker_rate: i16
    "Fee of its fills while it rests, in millionths of the value."


class Place(IntEnum):
    """Where an order with a detail is."""

    NOWHERE = 0
    BOOK = 1
    TRIGGERS = 2
    PEGS_OUT = 3
    ALL_OR_NONE = 4
    WAITING = 5
    "For an auction."
    HELD = 6
    "In a list."
    WOKEN = 7


IN_ROSTER: Final = 0
"""Index of `Detail.links`: in the roster, or in the queue of the woken."""

IN_SEASON: Final = 1
"""Index of `Detail.links`: among those that end together."""


class Link(Record):
    """Place of an order in a list: the slots of its neighbours."""

    next: u32
    previous: u32


class Detail(Record, align=LINE_PAIR_BYTES):
    """What a special order has beside its line in the pool, at the same index."""

    limit_ticks: i64
    "The worst price it may ever have."
    trigger_ticks: i64
    extreme_ticks: i64
    "Trailing: the best price since it came."
    distance: i64
    "Trailing: ticks or ten-thousandths."
    offset_ticks: i64
    display_lots: i64
    shown_lots: i64
    "In the book: what is shown now."
    minimum_lots: i64
    at_ns: i64
    partner: i64
    "Order id of the other one of an OCO pair."
    child_1: i64
    "Order ids that enter when this one is filled."
    child_2: i64
    links: Array[Link] = length(2)
    "By IN_ROSTER and IN_SEASON."
    heap_place: u32
    "Place in the calendar, 0: none."
    doomed_next: u32
    trigger: u8
    peg: u8
    prevention: u8
    instructions: u8
    order_type: u8
    time_in_force: u8
    place: u8
    trail_limit: u8
    fired: u8
    "1 after its trigger was reached."
    assembly: u8
    "1 + source of the list that holds it and is not complete, 0: none."
    roster: u8
    "1 + Roster that it is in, 0: none."
    season: u8
    "1 + Season that it is in, 0: none."
    taker_rate: i16
    "Fee of its fills when it comes in."


class OrderPool(Record, align=CACHE_LINE_BYTES):
    """All live orders of one matching stage."""

    limit: i64
    "Orders that may live at once, at most ORDERS_MAX - 1."
    live: i64
    used: i64
    "Slots that were ever used: those above have never been touched."
    free: i64
    "First of the chain of returned slots."
    map: Array[u32] = length(ORDER_MAP_SLOTS)
    orders: Array[Order] = length(ORDERS_MAX + 1)


class Pool(Protocol):
    """What the functions below need of a pool; its orders have `order_id` and `chained`."""

    limit: int
    live: int
    used: int
    free: int
    map: Array[int]
    orders: Array[Any]


@inlined
def find_order(pool: Pool, order_id: int) -> int:
    """Slot of the live order `order_id`, or NO_ORDER."""
    index = pool.map[order_id & (ORDER_MAP_SLOTS - 1)]
    while index != NO_ORDER and pool.orders[index].order_id != order_id:
        index = pool.orders[index].chained
    return index


@inlined
def has_room(pool: Pool) -> bool:
    """Whether one more order may live."""
    return pool.live < pool.limit


@inlined
def take_slot(pool: Pool, order_id: int) -> int:
    """Take a slot for `order_id` and enter it in the map.

    Check `has_room` first; one order more may pass through that will not stay.
    """
    assert pool.live <= pool.limit, "take_slot: the pool is full"
    index = pool.free
    if index != NO_ORDER:
        pool.free = pool.orders[index].chained
    else:
        pool.used += 1
        index = pool.used
    pool.live += 1
    order = pool.orders[index]
    order.order_id = order_id
    place = order_id & (ORDER_MAP_SLOTS - 1)
    order.chained = pool.map[place]
    pool.map[place] = index
    return index


@inlined
def return_slot(pool: Pool, index: int) -> None:
    """Give a slot back; the order is unknown from now on."""
    order = pool.orders[index]
    place = order.order_id & (ORDER_MAP_SLOTS - 1)
    walk = pool.map[place]
    if walk == index:
        pool.map[place] = order.chained
    else:
        while pool.orders[walk].chained != index:
            walk = pool.orders[walk].chained
            assert walk != NO_ORDER, "return_slot: the order is not in the map"
        pool.orders[walk].chained = order.chained
    order.order_id = 0
    order.chained = pool.free
    pool.free = index
    pool.live -= 1
