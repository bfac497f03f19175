"""Corners that random streams do not reach: written by hand, judged by the twin."""

from typing import Any

import pytest

from engine.limits import (
    CHUNK_TICKS,
    CHUNKS_PER_SIDE_MAX,
    FILLS_PER_STEP_MAX,
    LEVEL_LOTS_MAX,
    ORDERS_MAX,
    QTY_LOTS_MAX,
)
from engine.messages import (
    CommandFlag,
    CommandKind,
    EventKind,
    OrderType,
    RejectReason,
    Side,
    TimeInForce,
)
from ipc.jit import INTERPRETED
from tests.desk import Desk
from tests.engines import engine_for
from tools.twin import Instrument
from tools.twin.market import Market, rich

ALICE, BOB = 1, 2
BUY, SELL = Side.BUY, Side.SELL


def desk_for(*instruments: Instrument, orders_max: int = ORDERS_MAX - 1) -> Desk:
    terms = instruments or (Instrument(notional_divisor=10**18),)
    return Desk(Market(terms, ((0,),) * len(terms), rich(2, len(terms)), orders_max))


def place(desk: Desk, account: int, side: int, price: int, lots: int, **fields: Any) -> None:
    desk.new(account, 0, side=side, price_ticks=price, qty_lots=lots, **fields)


def agree(desk: Desk, one_by_one: bool = False) -> None:
    """The engine answers as the naive venue did at the desk."""
    stream = desk.stream()
    with engine_for(stream.market) as engine:
        run = engine.run_one_by_one if one_by_one else engine.run
        events = run(stream.commands)
    for mine, theirs in zip(events, stream.events, strict=False):
        assert mine == theirs
    assert len(events) == len(stream.events)


def kinds(desk: Desk, kind: EventKind) -> int:
    return sum(event.kind == kind for event in desk.events)


def reasons(desk: Desk) -> set[str]:
    return {RejectReason(event.reason).name for event in desk.events}


@pytest.mark.parametrize("sweeper", ["new", "amended", "fok", "market"])
@pytest.mark.parametrize("extra", [-1, 0, 1, FILLS_PER_STEP_MAX, FILLS_PER_STEP_MAX + 1])
def test_a_sweep_of_many_slices(sweeper: str, extra: int) -> None:
    """More fills than one step makes: the sweep goes on, and nothing comes between."""
    desk = desk_for(Instrument(notional_divisor=10**18, price_max_ticks=1 << 40))
    makers = FILLS_PER_STEP_MAX + extra
    for number in range(makers):
        place(desk, ALICE, SELL, 100 + number % 5, 1 + number % 3)
    lots = sum(1 + number % 3 for number in range(makers))
    if sweeper == "amended":
        place(desk, BOB, BUY, 1, 1)
        order = desk.resting[makers + 1]
        desk.amend(order, 104, lots + 5, 0)
    elif sweeper == "fok":
        place(desk, BOB, BUY, 104, lots, time_in_force=TimeInForce.FOK)
    elif sweeper == "market":
        place(desk, BOB, BUY, 0, lots + 5, order_type=OrderType.MARKET)
    else:
        place(desk, BOB, BUY, 104, lots)
    place(desk, ALICE, SELL, 104, 1)
    place(desk, BOB, BUY, 104, 1)
    assert kinds(desk, EventKind.TRADE) >= makers
    agree(desk)


def test_a_level_that_is_as_high_as_it_may_be() -> None:
    desk = desk_for(Instrument())
    for _ in range(LEVEL_LOTS_MAX // QTY_LOTS_MAX):
        place(desk, ALICE, BUY, 0, QTY_LOTS_MAX)
    last = len(desk.commands)
    place(desk, ALICE, BUY, 0, 1)
    place(desk, ALICE, BUY, -1, 5)
    desk.amend(desk.resting[last + 2], 0, 5, 0)
    place(desk, BOB, SELL, 0, 1)
    place(desk, ALICE, BUY, 0, 1)
    place(desk, BOB, SELL, 0, QTY_LOTS_MAX, time_in_force=TimeInForce.FOK)
    assert "BOOK_FULL" in reasons(desk)
    agree(desk)


def test_as_many_price_chunks_as_one_side_has() -> None:
    desk = desk_for()
    for number in range(CHUNKS_PER_SIDE_MAX):
        # Outward from the middle, so that half of the chunks are inserted before all others;
        # moving them takes interpreted code too long.
        outward = number // 2 if number % 2 else -1 - number // 2
        where = number - CHUNKS_PER_SIDE_MAX if INTERPRETED else outward
        place(desk, ALICE, BUY, where * CHUNK_TICKS * 3, 1)
    best = max(desk.venue.exchange.books[0].levels[BUY])
    place(desk, ALICE, BUY, best + 7, 1)
    place(desk, ALICE, BUY, best + CHUNK_TICKS, 1)
    assert "BOOK_FULL" in reasons(desk)
    first = desk.resting[1]
    desk.amend(first, best + CHUNK_TICKS * 4, 1, 0)
    place(desk, BOB, SELL, best - CHUNK_TICKS, 1 << 12, time_in_force=TimeInForce.IOC)
    place(desk, ALICE, BUY, best + CHUNK_TICKS, 1)
    agree(desk)


def test_a_full_venue_refuses_and_recovers() -> None:
    desk = desk_for(orders_max=3)
    for price in (10, 11, 12):
        place(desk, ALICE, SELL, price, 2)
    place(desk, BOB, BUY, 1, 1)
    place(desk, BOB, BUY, 10, 1, time_in_force=TimeInForce.IOC)
    desk.amend(desk.resting[2], 10, 3, 0)
    desk.cancel(desk.resting[1])
    place(desk, BOB, BUY, 10, 9)
    place(desk, BOB, BUY, 9, 1)
    assert "TOO_MANY_ORDERS" in reasons(desk)
    agree(desk, one_by_one=True)


def test_a_change_sent_before_its_order() -> None:
    """Order ids are dense, so the next one can be guessed; nothing comes of it."""
    for kind in (CommandKind.AMEND, CommandKind.CANCEL):
        desk = desk_for()
        guess = {"account": ALICE, "order_id": 1, "price_ticks": 7, "qty_lots": 4}
        desk.send(kind, **guess)
        place(desk, ALICE, BUY, 5, 5)
        if kind == CommandKind.AMEND:
            desk.send(kind, **guess)
            desk.send(kind, **(guess | {"flags": CommandFlag.LEAVES}))
        place(desk, BOB, SELL, 5, 2)
        agree(desk)


def test_a_repeated_client_id_leaves_the_first_order_alone() -> None:
    desk = desk_for(Instrument(notional_divisor=1))
    place(desk, ALICE, BUY, 5, 5, client_order_id=b"mine")
    place(desk, ALICE, BUY, 5, 5, client_order_id=b"mine")
    place(desk, BOB, SELL, 5, 2)
    place(desk, ALICE, SELL, 9, 5, client_order_id=b"mine")
    desk.cancel(desk.resting[1])
    assert "DUPLICATE_CLIENT_ORDER_ID" in reasons(desk)
    agree(desk)
