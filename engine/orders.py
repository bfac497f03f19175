"""The order pool and the map from order ids to its slots. Owned by the matching stage.

Orders are 64-byte lines that are reused last-in first-out, so the working set stays in cache.
Engine order ids are dense, so the map is a plain table indexed by the low bits of the id; two
live orders collide only when their ids are ORDER_MAP_SLOTS apart, and then they are chained.
The functions serve any pool with these fields and links: risk keeps its reservations in one.
"""

from typing import Any, Final, Protocol

from engine.limits import ORDER_MAP_SLOTS, ORDERS_MAX
from ipc.jit import inlined
from ipc.record import CACHE_LINE_BYTES, Array, Record, i64, length, u8, u32

NO_ORDER: Final = 0
"""Slot 0 is never used, so 0 ends every chain."""


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
    side: u8
    post_only: u8


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
    orders: Array[Order] = length(ORDERS_MAX)


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
    """Take a slot for `order_id` and enter it in the map; check `has_room` first."""
    assert pool.live < pool.limit, "take_slot: the pool is full"
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
