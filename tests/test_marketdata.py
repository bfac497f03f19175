"""The book by price, kept from events alone."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.marketdata import L2Book, Level, level_changes, level_of
from engine.messages import (
    EVENT_CODECS,
    MESSAGE_BYTES,
    TERMS_CODEC,
    EventFlag,
    EventKind,
    Side,
)
from tests.desk import Stream
from tests.streams import ample_markets, streams
from tools.twin import ChangeEvent, Event

BUY, SELL = Side.BUY, Side.SELL


def replaced(**fields: int) -> ChangeEvent:
    return ChangeEvent(**(dict.fromkeys(ChangeEvent._fields, 0) | {"kind": 6} | fields))


def test_levels_come_best_first_and_no_deeper_than_asked() -> None:
    book = L2Book()
    for price in (10, 12, -3, 11):
        book.apply(BUY, price, price + 100)
        book.apply(SELL, price + 20, price + 200)
    assert book.best(BUY, 2) == [(12, 112), (11, 111)]
    assert book.best(SELL, 2) == [(17, 197), (30, 210)]
    assert book.best(BUY, 9) == [(12, 112), (11, 111), (10, 110), (-3, 97)]
    assert book.best(SELL, 0) == []


def test_a_level_is_changed_and_removed() -> None:
    book = L2Book()
    book.apply(SELL, 5, 1)
    book.apply(SELL, 5, 7)
    assert (book.lots(SELL, 5), book.lots(BUY, 5), book.level_count(SELL)) == (7, 0, 1)
    book.apply(SELL, 5, 0)
    book.apply(SELL, 5, 0)
    assert (book.best(SELL, 1), book.level_count(SELL)) == ([], 0)


@given(
    st.lists(
        st.tuples(st.sampled_from(Side), st.integers(-20, 20), st.integers(0, 3)), max_size=80
    ),
    st.integers(0, 12),
)
def test_any_changes_leave_what_a_dict_would_hold(
    changes: list[tuple[Side, int, int]], depth: int
) -> None:
    book, levels = L2Book(), {}
    for side, price, lots in changes:
        book.apply(side, price, lots)
        levels[side, price] = lots
    for side in Side:
        there = [(price, lots) for (at, price), lots in levels.items() if at == side and lots]
        there.sort(reverse=side == BUY)
        assert book.best(side, depth) == there[:depth]
        assert book.level_count(side) == len(there)


def test_the_level_of_a_replacement_is_where_the_order_was() -> None:
    event = replaced(flags=EventFlag.LEVEL_ASK, price_ticks=9, previous_price_ticks=8, level_lots=3)
    assert level_of(event) == Level(SELL, 8, 3)
    moved = event._replace(kind=EventKind.RESTED, flags=EventFlag.LEVEL_BID | EventFlag.LAST)
    assert level_of(moved) == Level(BUY, 9, 3)
    assert level_of(moved._replace(flags=EventFlag.LAST)) is None


def test_an_event_is_taken_once_and_in_order() -> None:
    book = L2Book()
    assert book.apply_event(replaced(sequence=3)) is None
    assert book.sequence == 3
    with pytest.raises(AssertionError, match="3 after 3"):
        book.apply_event(replaced(sequence=3))


def raw(events: list[Event]) -> np.ndarray:
    slots = []
    for event in events:
        codec = EVENT_CODECS[EventKind(event.kind)]
        if event.flags & EventFlag.TERMS:
            codec = TERMS_CODEC
        slots.append(codec.encode(**event._asdict()).ljust(MESSAGE_BYTES, b"\0"))
    return np.frombuffer(b"".join(slots), np.uint8).reshape(-1, MESSAGE_BYTES)


@settings(max_examples=60)
@given(streams(ample_markets(), max_size=40))
def test_events_alone_tell_the_books_after_every_command(stream: Stream) -> None:
    venue = stream.market.venue()
    one_by_one, in_bulk = defaultdict[int, L2Book](L2Book), defaultdict[int, L2Book](L2Book)
    for command in stream.commands:
        events = venue.submit(command)
        for event in events:
            one_by_one[event.instrument].apply_event(event)
        changes = level_changes(raw(events))
        for instrument, *level in zip(*changes[1:], strict=True):
            in_bulk[instrument].apply(*level)
        for books in (one_by_one, in_bulk):
            for instrument, twin in enumerate(venue.exchange.books):
                book = books[instrument]
                for side in Side:
                    levels = [(price, twin.lots(side, price)) for price in twin.prices(side)]
                    shown = [(price, lots) for price, lots in levels if lots]
                    assert book.best(side, 1000) == shown
