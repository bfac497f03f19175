"""After every command the memory of matching is in order, and holds what its events say.

Streams of all kinds are sent one command at a time; `book_state` walks the books in between. The
same memory, damaged by hand, is found to be.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.book import Books
from engine.market.state import Watch
from engine.messages import EventKind
from engine.orders import IN_ROSTER, IN_SEASON, OrderFlag, Place
from ipc.jit import INTERPRETED
from tests.book_state import StateError, check_books
from tests.bulk_streams import EVERYTHING, PRESETS, bulk
from tests.desk import as_array
from tests.engines import Engine, engine_for

pytestmark = pytest.mark.timeout(600)

INSTRUMENTS = 2
SPARES = 2
"""Instruments that a stream may list beyond those of its market."""


class Ledger:
    """Orders that live by what events say: accepted, and not ended."""

    def __init__(self) -> None:
        self.leaves: dict[int, int] = {}
        self.ended: set[int] = set()

    def read(self, event: Any) -> None:
        kind = event.kind
        if kind == EventKind.ACCEPTED:
            assert event.order_id not in self.leaves.keys() | self.ended, "accepted once"
            self.leaves[event.order_id] = event.qty_lots
        elif kind in (EventKind.TRADE, EventKind.PREVENTED):
            lost = event.qty_lots
            for order_id, leaves in (
                (event.order_id, event.leaves_lots),
                (event.maker_order_id, event.maker_leaves_lots),
            ):
                assert self.leaves[order_id] - lost == leaves, "quantity is conserved"
                self.leaves[order_id] = leaves
                if leaves == 0 and kind == EventKind.TRADE:
                    self._end(order_id)
        elif kind == EventKind.REPLACED:
            self.leaves[event.order_id] = event.leaves_lots
        elif kind == EventKind.CANCELED:
            assert self.leaves[event.order_id] == event.leaves_lots, "what ends was open"
            self._end(event.order_id)

    def _end(self, order_id: int) -> None:
        del self.leaves[order_id]
        self.ended.add(order_id)


def books_of(engine: Engine) -> Books:
    (matching,) = engine.venue.venue.matching
    books: Books = matching.books
    return books


def play(engine: Engine, commands: list[Any], every: int, ledger: Ledger) -> None:
    """Send `every` commands at a time and look at the books behind each."""
    array, books = as_array(commands), books_of(engine)
    for start in range(0, len(array), every):
        for event in engine.venue.execute(array[start : start + every]):
            ledger.read(event)
        live = check_books(books, INSTRUMENTS + SPARES)
        found = {order_id: order.leaves_lots for order_id, order in live.items()}
        assert found == ledger.leaves, f"orders after command {start + every}"


@pytest.mark.parametrize("name", PRESETS)
def test_books_are_in_order_after_every_command(name: str) -> None:
    habits = PRESETS[name]
    stream = bulk(50, 150, habits, INSTRUMENTS)
    ledger = Ledger()
    with engine_for(stream.market) as engine:
        play(engine, stream.commands, 1, ledger)
    assert len(ledger.leaves) + len(ledger.ended) == sum(
        event.kind == EventKind.ACCEPTED for event in stream.events
    )


@pytest.mark.parametrize("name", PRESETS)
def test_books_are_in_order_in_long_streams(name: str) -> None:
    stream = bulk(51, 400 if INTERPRETED else 1_500, PRESETS[name], INSTRUMENTS)
    with engine_for(stream.market) as engine:
        play(engine, stream.commands, 61, Ledger())


# --- damage is found ----------------------------------------------------------------------------

Damage = tuple[Any, str, int]
"""A record, one of its fields, and by how much it is changed."""


def slot_at(books: Books, place: Place) -> int:
    """A live special order that is there."""
    for slot in range(1, books.pool.used + 1):
        order = books.pool.orders[slot]
        special = order.order_id != 0 and order.flags & OrderFlag.SPECIAL
        if special and books.details[slot].place == place:
            return slot
    raise LookupError(f"no order is at {place.name}")


def plain_slot(books: Books) -> int:
    return next(
        slot
        for slot in range(1, books.pool.used + 1)
        if books.pool.orders[slot].order_id and not books.pool.orders[slot].flags
    )


def level_with(books: Books, slot: int) -> Any:
    order = books.pool.orders[slot]
    return books.chunks[order.chunk].levels[order.price_key & 63]


def in_season(books: Books) -> Any:
    return next(
        books.details[slot]
        for slot in range(1, books.pool.used + 1)
        if books.pool.orders[slot].order_id
        and books.pool.orders[slot].flags & OrderFlag.SPECIAL
        and books.details[slot].season
    )


DAMAGES: dict[str, tuple[Callable[[Books], Damage], str]] = {
    "live": (lambda books: (books.pool, "live", 1), "pool.live"),
    "order id": (lambda books: (order(books), "order_id", 1 << 19), "place in the map"),
    "leaves": (lambda books: (order(books), "leaves_lots", 1), "sum|open quantity"),
    "account's chunk": (lambda books: (order(books), "chunk", 1), "chunk of an order"),
    "key": (lambda books: (order(books), "price_key", 64), "key of an order"),
    "flags": (lambda books: (order(books), "flags", 8), "flags of a plain order"),
    "link back": (lambda books: (order(books), "previous", 1), "links back"),
    "level lots": (lambda books: (level_with(books, plain_slot(books)), "lots", 1), "is the sum"),
    "tail": (lambda books: (level_with(books, plain_slot(books)), "tail", 1), "tail of a level"),
    "bitmap": (lambda books: (chunk(books), "bitmap", -chunk(books).bitmap), "in use has orders"),
    "chunk": (lambda books: (chunk(books), "key", 1), "key of a chunk"),
    "best": (lambda books: (books.sides[0], "best_key", 1), "best_key"),
    "chunks": (lambda books: (books, "chunks_live", -1), "chunks_live"),
    "free chunks": (lambda books: (books, "chunks_used", 1), "no chunk is lost"),
    "place": (lambda books: (detail(books, Place.TRIGGERS), "place", -1), "place and level"),
    "roster": (lambda books: (detail(books, Place.ALL_OR_NONE), "roster", 1), "detail.roster"),
    "row": (lambda books: (books.markets[0].rosters[0], "count", 1), "count of a row"),
    "row's tail": (lambda books: (books.markets[0].rosters[0], "tail", 1), "tail of a row"),
    "row's link back": (
        lambda books: (detail(books, Place.ALL_OR_NONE).links[IN_ROSTER], "previous", 1),
        "links back",
    ),
    "season's link back": (
        lambda books: (in_season(books).links[IN_SEASON], "previous", 1),
        "links back",
    ),
    "season": (lambda books: (in_season(books), "season", 1), "detail.season"),
    "heap place": (
        lambda books: (books.details[books.calendar.heap[1]], "heap_place", 1),
        "heap_place",
    ),
    "heap order": (
        lambda books: (books.details[books.calendar.heap[1]], "at_ns", 1 << 60),
        "order of the heap",
    ),
    "due": (lambda books: (books.calendar, "clock_ns", 1 << 60), "what is due"),
    "calendar": (lambda books: (books.calendar, "count", -1), "GTD orders"),
    "trigger": (
        lambda books: (detail(books, Place.TRIGGERS), "trigger_ticks", 1),
        "waits at its trigger",
    ),
    "reserve": (lambda books: (books.markets[0], "reserve_orders", 1), "reserve_orders"),
    "waiting": (lambda books: (books.markets[0], "trigger_orders", 1), "trigger_orders"),
    "watch": (lambda books: (books.markets[0], "watch", 1 + Watch.BANDS), "watch"),
    "busy": (lambda books: (books.work, "busy", 1), "at rest"),
    "taker": (lambda books: (books.taker, "active", 1), "at rest"),
    "lists": (lambda books: (books.work, "assemblies_open", 1), "assemblies_open"),
}


def order(books: Books) -> Any:
    return books.pool.orders[plain_slot(books)]


def chunk(books: Books) -> Any:
    return books.chunks[order(books).chunk]


def detail(books: Books, place: Place) -> Any:
    return books.details[slot_at(books, place)]


def complaint(books: Books) -> str:
    try:
        check_books(books, INSTRUMENTS + SPARES)
    except StateError as error:
        return str(error)
    return "nothing was noticed"


def test_damage_is_found() -> None:
    habits = replace(EVERYTHING, acts={**EVERYTHING.acts, "timed": 8.0})
    stream = bulk(52, 700, habits, INSTRUMENTS)
    with engine_for(stream.market) as engine:
        engine.run(stream.commands)
        books = books_of(engine)
        check_books(books, INSTRUMENTS + SPARES)
        for name, (damage, rule) in DAMAGES.items():
            record, field, change = damage(books)
            before = getattr(record, field)
            setattr(record, field, before + change)
            assert re.search(rule, complaint(books)), name
            setattr(record, field, before)
            check_books(books, INSTRUMENTS + SPARES)
