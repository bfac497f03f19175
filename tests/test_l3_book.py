"""The book by order: each rule by a few events, with what an order shows and its place."""

from typing import Any

import pytest

from engine.marketdata import L3Book, OrderAction, OrderChange
from engine.messages import EventFlag, EventKind, Side
from tests.made_events import at_level, made

BUY, SELL = Side.BUY, Side.SELL
ACCEPTED, RESTED, TRADE = EventKind.ACCEPTED, EventKind.RESTED, EventKind.TRADE
REPLACED, CANCELED, LEVEL = EventKind.REPLACED, EventKind.CANCELED, EventKind.LEVEL
ADD, CHANGE, REQUEUE, REMOVE = OrderAction

P = 100
"""The price of most orders here."""


def shown(book: L3Book, side: Side = SELL, price_ticks: int = P) -> list[tuple[int, int]]:
    """Order ids and what they show, first in the queue first."""
    return [(order.order_id, order.lots) for order in book.queue(side, price_ticks)]


def rested(order_id: int, level_lots: int, leaves_lots: int, side: Side = SELL) -> Any:
    return at_level(
        RESTED, side, level_lots, order_id=order_id, price_ticks=P, leaves_lots=leaves_lots
    )


def trade(maker: int, lots: int, level_lots: int, maker_leaves: int) -> Any:
    """A taker, order 99, buys from a maker at P."""
    return at_level(
        TRADE,
        SELL,
        level_lots,
        order_id=99,
        price_ticks=P,
        qty_lots=lots,
        maker_order_id=maker,
        maker_leaves_lots=maker_leaves,
    )._replace(side=BUY)


def cross(buyer: int, seller: int, lots: int, leaves: tuple[int, int]) -> Any:
    return made(
        TRADE,
        EventFlag.AUCTION,
        order_id=buyer,
        price_ticks=P,
        qty_lots=lots,
        leaves_lots=leaves[0],
        maker_order_id=seller,
        maker_leaves_lots=leaves[1],
    )


def book_of(*events: Any) -> L3Book:
    book = L3Book()
    for event in events:
        book.apply_event(event)
    return book


def three() -> L3Book:
    """Orders 1, 2 and 3 sell 10, 20 and 30 lots; 2 is an iceberg of 50."""
    return book_of(rested(1, 10, 10), rested(2, 30, 50), rested(3, 60, 30))


def test_orders_queue_at_their_price() -> None:
    book = three()
    assert shown(book) == [(1, 10), (2, 20), (3, 30)]
    assert (book.lots(SELL, P), book.lots(BUY, P), len(book)) == (60, 0, 3)


def test_orders_come_by_price_and_then_time() -> None:
    book = L3Book()
    prices = {1: (BUY, 9), 2: (BUY, 11), 3: (SELL, 15), 4: (SELL, 13), 5: (BUY, 11)}
    for order_id, (side, price) in prices.items():
        level = book.lots(side, price) + 1
        book.apply_event(at_level(ACCEPTED, side, level, order_id=order_id, price_ticks=price))
    assert [order.order_id for order in book.orders(BUY)] == [2, 5, 1]
    assert [order.order_id for order in book.orders(SELL)] == [4, 3]


def test_a_fill_takes_from_the_maker() -> None:
    book = three()
    assert book.apply_event(trade(1, 4, 56, 6)) == (OrderChange(CHANGE, 1, SELL, P, 6),)
    assert book.apply_event(trade(1, 6, 50, 0)) == (OrderChange(REMOVE, 1, SELL, P, 0),)
    assert shown(book) == [(2, 20), (3, 30)]
    assert book.order(1) is None


def test_an_iceberg_that_shows_anew_goes_to_the_back() -> None:
    book = three()
    assert book.apply_event(trade(2, 5, 55, 45)) == (OrderChange(CHANGE, 2, SELL, P, 15),)
    assert shown(book) == [(1, 10), (2, 15), (3, 30)]
    assert book.apply_event(trade(2, 15, 60, 30)) == (OrderChange(REQUEUE, 2, SELL, P, 20),)
    assert shown(book) == [(1, 10), (3, 30), (2, 20)]
    book.apply_event(trade(2, 20, 50, 10))  # less is left than it showed
    assert shown(book) == [(1, 10), (3, 30), (2, 10)]
    book.apply_event(trade(2, 10, 40, 0))
    assert shown(book) == [(1, 10), (3, 30)]


def test_an_iceberg_alone_at_its_price_shows_anew_without_a_change_of_the_total() -> None:
    book = book_of(rested(2, 20, 50))
    assert book.apply_event(trade(2, 20, 20, 30)) == (OrderChange(REQUEUE, 2, SELL, P, 20),)


def test_a_hidden_order_never_appears() -> None:
    book = three()
    hidden = [
        rested(7, 60, 500),
        trade(7, 5, 60, 495)._replace(flags=EventFlag.LEVEL_ASK | EventFlag.HIDDEN),
        at_level(REPLACED, SELL, 60, order_id=7, price_ticks=P, previous_price_ticks=P),
        at_level(EventKind.PREVENTED, SELL, 60, maker_order_id=7, price_ticks=P, qty_lots=3),
        at_level(CANCELED, SELL, 60, order_id=7, price_ticks=P, leaves_lots=9),
    ]
    assert [book.apply_event(event) for event in hidden] == [()] * 5
    alone = at_level(ACCEPTED, BUY, 0, order_id=8, price_ticks=P)
    assert book.apply_event(alone) == ()
    assert shown(book) == [(1, 10), (2, 20), (3, 30)]
    assert list(book.orders(BUY)) == []


def test_less_at_the_same_price_keeps_its_place() -> None:
    book = three()
    fields = {"price_ticks": P, "previous_price_ticks": P}
    less = at_level(REPLACED, SELL, 57, order_id=1, leaves_lots=7, **fields)
    assert book.apply_event(less) == (OrderChange(CHANGE, 1, SELL, P, 7),)
    hidden_part = at_level(REPLACED, SELL, 57, order_id=2, leaves_lots=25, **fields)
    assert book.apply_event(hidden_part) == ()
    assert shown(book) == [(1, 7), (2, 20), (3, 30)]


@pytest.mark.parametrize("price_ticks", [P, P + 1])
def test_an_amendment_that_requeues_leaves_and_comes_again(price_ticks: int) -> None:
    book = three()
    away = at_level(REPLACED, SELL, 50, order_id=1, price_ticks=price_ticks, previous_price_ticks=P)
    back = at_level(
        RESTED, SELL, 62 if price_ticks == P else 12, order_id=1, price_ticks=price_ticks
    )
    assert book.apply_event(away) == (OrderChange(REMOVE, 1, SELL, P, 0),)
    assert book.apply_event(back) == (OrderChange(ADD, 1, SELL, price_ticks, 12),)
    assert shown(book)[:2] == [(2, 20), (3, 30)]
    assert shown(book, price_ticks=price_ticks)[-1] == (1, 12)


def test_a_peg_leaves_with_a_level_that_names_it() -> None:
    book = three()
    assert book.apply_event(at_level(LEVEL, SELL, 30, order_id=3, price_ticks=P)) == (
        OrderChange(REMOVE, 3, SELL, P, 0),
    )
    assert shown(book) == [(1, 10), (2, 20)]


def test_prevention_takes_from_the_maker_in_its_place() -> None:
    book = three()
    prevented = at_level(EventKind.PREVENTED, SELL, 52, maker_order_id=1, order_id=99, qty_lots=8)
    assert book.apply_event(prevented._replace(price_ticks=P)) == (
        OrderChange(CHANGE, 1, SELL, P, 2),
    )
    gone = prevented._replace(price_ticks=P, level_lots=50, qty_lots=2)
    book.apply_event(gone)
    ended = at_level(CANCELED, SELL, 50, order_id=1, price_ticks=P, leaves_lots=0)
    assert book.apply_event(ended) == ()
    assert shown(book) == [(2, 20), (3, 30)]


def test_what_waits_or_never_rests_is_not_in_the_book() -> None:
    book = three()
    for event in (
        made(ACCEPTED, order_id=5, qty_lots=7, price_ticks=P),
        made(EventKind.TRIGGERED, order_id=5, price_ticks=P),
        made(CANCELED, order_id=5, price_ticks=P, leaves_lots=7),
        made(REPLACED, order_id=6, price_ticks=P),
        made(EventKind.REJECTED, order_id=6, price_ticks=P),
        made(EventKind.DONE, order_id=6),
    ):
        assert book.apply_event(event) == ()
    assert shown(book) == [(1, 10), (2, 20), (3, 30)]


def test_an_uncross_moves_icebergs_to_the_back_part_by_part() -> None:
    book = three()
    book.apply_event(rested(8, 40, 100, side=BUY))
    crossed = [cross(8, 1, 10, (90, 0)), cross(8, 2, 20, (70, 30)), cross(8, 3, 10, (60, 20))]
    changes = [book.apply_event(event) for event in crossed]
    assert changes == [
        [OrderChange(CHANGE, 8, BUY, P, 30), OrderChange(REMOVE, 1, SELL, P, 0)],
        [OrderChange(CHANGE, 8, BUY, P, 10), OrderChange(REQUEUE, 2, SELL, P, 20)],
        [OrderChange(REQUEUE, 8, BUY, P, 40), OrderChange(CHANGE, 3, SELL, P, 20)],
    ]
    assert shown(book) == [(3, 20), (2, 20)]
    for side, lots in ((BUY, 40), (SELL, 40)):
        assert book.apply_event(at_level(LEVEL, side, lots, EventFlag.AUCTION, price_ticks=P)) == ()
    with pytest.raises(AssertionError, match="39 lots at 100, its orders have 40"):
        book.apply_event(at_level(LEVEL, SELL, 39, EventFlag.AUCTION, price_ticks=P))


def test_hidden_orders_in_an_uncross_are_passed_over() -> None:
    book = three()
    assert book.apply_event(cross(70, 1, 4, (0, 6))) == [OrderChange(CHANGE, 1, SELL, P, 6)]
    assert book.apply_event(cross(70, 71, 4, (0, 6))) == []


def booked(order_id: int, shows: int, at_most: int, level_lots: int, side: Side = SELL) -> Any:
    return at_level(
        EventKind.BOOKED,
        side,
        level_lots,
        EventFlag.SNAPSHOT,
        order_id=order_id,
        price_ticks=P,
        leaves_lots=shows,
        qty_lots=at_most,
    )


def test_a_snapshot_is_a_book_that_goes_on_as_the_old_one() -> None:
    book, old = L3Book(), three()
    old.apply_event(trade(2, 5, 55, 45))
    for event in (booked(1, 10, 10, 55), booked(2, 15, 20, 55), booked(3, 30, 30, 55)):
        book.load(event)
        assert old.apply_event(event) == (), "who knows the book learns nothing from it"
    crossed = cross(70, 2, 15, (0, 30))
    for each in (book, old):
        each.apply_event(crossed)
        assert shown(each) == [(1, 10), (3, 30), (2, 20)]
    with pytest.raises(AssertionError, match="order 3 is booked twice"):
        book.load(booked(3, 1, 1, 1))


def test_an_event_that_does_not_fit_the_book_is_a_bug() -> None:
    book = three()
    with pytest.raises(AssertionError, match="order 1 rests at 100, not at 101"):
        book.apply_event(at_level(CANCELED, SELL, 3, order_id=1, price_ticks=P + 1))
    with pytest.raises(AssertionError, match="order 9 came with -10 lots"):
        book.apply_event(at_level(CANCELED, SELL, 50, order_id=9, price_ticks=P))
    with pytest.raises(AssertionError, match="order 1 shows less"):
        book.apply_event(trade(1, 11, 49, 0))
