"""Asking for memory before it is needed: matching's look at the decisions that wait behind one.

With many orders in many books, each cancel would wait for four lines of memory, one after the
other: id map, order, price level, neighbours in the queue. While decisions wait in the ring, each
line is asked for some decisions earlier than its use, so that the waits overlap. Nothing here
changes state: what is fetched in vain is only not used.
"""

from typing import Final

from engine.book import CHUNK_BITS, HOT_CHUNKS, Books, Chunk, key_of, side_of
from engine.limits import CHUNK_TICKS, ORDER_MAP_SLOTS
from engine.messages import CommandKind, Decision, RejectReason
from engine.orders import Order, OrderPool
from ipc.intrinsics import prefetch
from ipc.jit import inlined
from ipc.ring import Ring, slot

FAR: Final = 16
"""Decisions between asking for an entry of the id map and its use; found by measurement."""

MIDDLE: Final = 10
"""The same for what the map leads to: a cancelled order, the price level of a new one."""

NEAR: Final = 5
"""The same for what these lead to: neighbours in the queue, the level of a cancelled order."""

DISTANCE: Final = FAR
"""Decisions that must wait behind one for `look_ahead`."""

LIVE_ORDERS_MIN: Final = 1 << 14
"""Orders (1 MiB of them) from which on they outgrow a core's own cache. Below, looking ahead costs
10 % and gains nothing; above, it gains a factor of 1.4 (40,000 orders) to 2.3 (300,000)."""

MAP_ENTRY_BYTES: Final = OrderPool.fields["map"].stride

assert FAR > MIDDLE > NEAR > 0


@inlined
def hot_chunk(books: Books, decision: Decision, key: int) -> Chunk:
    """The chunk that a new order will probably rest in; some other one if it must be searched."""
    side = side_of(books, decision.instrument, decision.side)
    return books.chunks[side.hot[(key >> CHUNK_BITS) & (HOT_CHUNKS - 1)]]


@inlined
def named_order(books: Books, decision: Decision) -> Order:
    """The order that a cancel or amendment probably names: the first of the map's chain."""
    return books.pool.orders[books.pool.map[decision.order_id & (ORDER_MAP_SLOTS - 1)]]


@inlined
def look_ahead(books: Books, ring: Ring, position: int) -> None:
    """Ask for what the decisions at FAR, MIDDLE and NEAR behind `position` will use first.

    Refused decisions are left out: their instrument may be any number.
    """
    decision = Decision(slot(ring, position + FAR))
    entry = decision.order_id & (ORDER_MAP_SLOTS - 1)
    prefetch(books.pool.map.address + entry * MAP_ENTRY_BYTES)
    decision = Decision(slot(ring, position + MIDDLE))
    if decision.kind != CommandKind.NEW:
        prefetch(named_order(books, decision).address)
    elif decision.reason == RejectReason.NONE:
        key = key_of(decision.price_ticks, decision.side)
        chunk = hot_chunk(books, decision, key)
        prefetch(chunk.address)
        prefetch(chunk.levels[key & (CHUNK_TICKS - 1)].address)
    decision = Decision(slot(ring, position + NEAR))
    if decision.kind != CommandKind.NEW:
        order = named_order(books, decision)
        chunk = books.chunks[order.chunk]
        prefetch(chunk.address)
        prefetch(chunk.levels[order.price_key & (CHUNK_TICKS - 1)].address)
        prefetch(books.pool.orders[order.next].address)
        prefetch(books.pool.orders[order.previous].address)
    elif decision.reason == RejectReason.NONE:
        key = key_of(decision.price_ticks, decision.side)
        level = hot_chunk(books, decision, key).levels[key & (CHUNK_TICKS - 1)]
        prefetch(books.pool.orders[level.tail].address)
