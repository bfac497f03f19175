"""The auction that opens a recorded session: what the book demands, and how the engine is judged.

Recordings are made by hand, in the words of the feed; events come from the naive venue and from
the engine.
"""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.messages import ChangeEvent, EventFlag, EventKind, Side, slot_dtype
from tests.recordings import plan_of, recording, sent
from tests.replays import engine_slots, slots_of
from tools.replay import databento, mbo
from tools.replay.auction import Crossing, cross
from tools.replay.databento import ADD, F_LAST, Message
from tools.replay.queues import Queues, follow

CHANGE = slot_dtype(ChangeEvent)

SNAPSHOT = "A A 1 98 5, A B 2 102 2, A B 3 97 1, A A 4 105 2, A A 5 105 2, A A 6 101 4"
"""Crossed already: asks 1 (5 at 98) and 6 (4 at 101), bid 2 (2 at 102)."""

PRE_OPEN = ("M A 4 105 3", "A B 7 101 4", "M B 2 103 3", "A B 8 99 1", "C B 8 99 1", "A B 9 100 2")
"""Bids then: 2 (3 at 103), 7 (4 at 101), 9 (2 at 100), 3 (1 at 97). Most trades, 7, at 101."""

AUCTION = (
    "T N 0 101 7, F N 2 101 3, F N 1 101 5, F N 7 101 4, F N 6 101 2, "
    "C B 2 103 3, C B 7 101 4, C A 1 98 5, M A 6 101 2"
)

AFTER = "T A 10 100 1, F B 9 100 1, M B 9 100 1"


def book(bids: str, asks: str) -> Queues:
    """A book of orders "price x lots", named by their place from 1, bids first."""
    queues = Queues()
    orders = [(Side.BUY, text) for text in bids.split()] + [
        (Side.SELL, text) for text in asks.split()
    ]
    for number, (side, text) in enumerate(orders, start=1):
        price_ticks, lots = map(int, text.split("x"))
        follow(queues, [Message(number, ADD, side, number, price_ticks, lots, 0)])
    return queues


# --- the crossing of a book ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bids", "asks", "matches", "tie", "surplus"),
    [
        ("", "", [], None, None),
        ("100x5", "", [], None, None),
        ("99x5", "100x5", [], None, None),
        ("100x5", "100x5", [(1, 2, 5)], (100, 100), {100: 0}),
        ("104x5", "100x3", [(1, 2, 3)], (100, 104), {100: 2, 104: 2}),
        ("102x5 101x5", "100x6 101x2", [(1, 3, 5), (2, 3, 1), (2, 4, 2)], (101, 101), {101: 2}),
        ("100x1 101x2 100x3", "99x4", [(2, 4, 2), (1, 4, 1), (3, 4, 1)], (99, 100), {100: 2}),
        ("-3x2", "-9x1 -5x1 -4x7", [(1, 2, 1), (1, 3, 1)], (-5, -3), {-5: 0, -4: -7, -3: -7}),
    ],
)
def test_who_meets_whom(
    bids: str,
    asks: str,
    matches: list[tuple[int, int, int]],
    tie: tuple[int, int] | None,
    surplus: dict[int, int] | None,
) -> None:
    crossing = cross(book(bids, asks))
    assert list(crossing.matches) == matches
    assert crossing.tie_ticks == tie
    for price_ticks, lots in (surplus or {}).items():
        assert crossing.surplus_lots(price_ticks) == lots


def scanned(crossing: Crossing) -> tuple[int, tuple[int, int] | None, int | None]:
    """Volume, tie and least surplus by looking at each price."""
    found = {}
    for price_ticks in range(-1, 32):
        bids, asks = (
            sum(
                lots
                for (side, at), lots in crossing.levels.items()
                if side == wanted and (at >= price_ticks if side == Side.BUY else at <= price_ticks)
            )
            for wanted in Side
        )
        found[price_ticks] = min(bids, asks), abs(bids - asks)
    volume = max(lots for lots, _ in found.values())
    if volume == 0:
        return 0, None, None
    tie = [price_ticks for price_ticks, (lots, _) in found.items() if lots == volume]
    return volume, (tie[0], tie[-1]), min(found[price_ticks][1] for price_ticks in tie)


def test_the_crossing_is_what_a_look_at_each_price_finds() -> None:
    for seed in range(500):
        chance = random.Random(seed)
        sides = [
            " ".join(f"{chance.randrange(31)}x{chance.randint(1, 9)}" for _ in range(orders))
            for orders in (chance.randrange(9), chance.randrange(9))
        ]
        crossing = cross(book(*sides))
        least = crossing.least_surplus_lots() if crossing.tie_ticks else None
        assert (crossing.volume, crossing.tie_ticks, least) == scanned(crossing), f"seed {seed}"


# --- a recording with an auction -----------------------------------------------------------------

Answer = Callable[[mbo.MboPlan], Any]


@pytest.fixture(params=["twin", "engine"])
def answer(request: pytest.FixtureRequest) -> Answer:
    """Event slots for a plan: of the naive venue, or of the engine through all its rings."""
    return slots_of if request.param == "twin" else engine_slots


@pytest.mark.interpreted
def test_orders_collect_and_the_engine_holds_the_auction(answer: Answer) -> None:
    plan = plan_of(SNAPSHOT, *PRE_OPEN, AUCTION, AFTER)
    assert sent(plan) == [
        "PHASE PRE_OPEN",
        "NEW 2.1 2 at 102",
        "NEW 3.1 1 at 97",
        "NEW 1.1 5 at 98",
        "NEW 6.1 4 at 101",
        "NEW 4.1 2 at 105",
        "NEW 5.1 2 at 105",
        "AMEND 4.1 3 at 105",
        "NEW 7.1 4 at 101",
        "AMEND 2.1 3 at 103",
        "NEW 8.1 1 at 99",
        "CANCEL 8.1",
        "NEW 9.1 2 at 100",
        "PHASE OPENING_AUCTION",
        "PHASE CONTINUOUS",
        "IOC SELL 1 at 100",
    ]
    result = mbo.verify(plan, answer(plan))
    assert result.auction == {
        "simulated": True,
        "price_ticks": 101,
        "volume": 7,
        "tie_ticks": (101, 101),
        "exchange_price_ticks": 101,
        "exchange_volume": 7,
        "reconciled_orders": 0,
        "reconciled_lots": 0,
        "reconciling_commands": 0,
    }
    assert (result.ok, result.trades_exact) == (True, 1), result.lines
    assert result.lines[2] == "auction: both left the same book"


IMPLIED = (
    # Implied buyers of 3 take what is left of order 6 and one lot of order 5.
    "T N 0 105 10, F N 2 105 3, F N 1 105 5, F N 7 105 4, F N 6 105 4, F N 5 105 1, "
    "C B 2 103 3, C B 7 101 4, C A 1 98 5, C A 6 101 4, M A 5 105 1"
)


@pytest.mark.interpreted
def test_what_implied_orders_took_is_taken_off_the_book_and_counted(answer: Answer) -> None:
    plan = plan_of(SNAPSHOT, *PRE_OPEN, IMPLIED, "T B 10 105 3, F A 5 105 1, F A 4 105 2")
    assert sent(plan)[13:] == [
        "PHASE OPENING_AUCTION",
        "PHASE CONTINUOUS",
        "CANCEL 6.1",
        "AMEND 5.1 1 at 105",
        "IOC BUY 3 at 105",
    ]
    result = mbo.verify(plan, answer(plan))
    assert result.auction is not None
    assert (result.auction["price_ticks"], result.auction["volume"]) == (101, 7)
    assert result.auction["exchange_price_ticks"] == 105
    assert result.auction["exchange_volume"] == 10
    assert result.auction["reconciled_orders"] == 2
    assert result.auction["reconciled_lots"] == 3
    assert result.auction["reconciling_commands"] == 2
    assert (result.ok, result.trades_exact) == (True, 1), result.lines
    assert result.lines[1] == (
        "auction: the exchange traded 10 at 105 ticks, of which implied orders, which are not in "
        "this book, bought 3 and sold 0"
    )
    assert result.lines[2] == (
        "auction: 2 commands took the engine's book to the exchange's before the session: 3 lots "
        "of 6 (from 2 to 0), 5 (from 2 to 1)"
    )


@pytest.mark.interpreted
def test_what_only_our_uncross_filled_comes_back_to_its_place(answer: Answer) -> None:
    # An implied seller displaced one lot of order 6, before which order 11 must not come.
    displaced = (
        "T N 0 101 7, F N 2 101 3, F N 1 101 5, F N 7 101 4, F N 6 101 1, "
        "C B 2 103 3, C B 7 101 4, C A 1 98 5, M A 6 101 3"
    )
    plan = plan_of(
        SNAPSHOT, *PRE_OPEN, "A A 11 101 1", displaced, "T B 10 101 4, F A 6 101 3, F A 11 101 1"
    )
    assert sent(plan)[16:] == [
        "CANCEL 6.1",
        "CANCEL 11.1",
        "NEW 6.2 3 at 101",
        "NEW 11.2 1 at 101",
        "IOC BUY 4 at 101",
    ]
    result = mbo.verify(plan, answer(plan))
    assert result.auction is not None
    assert (result.auction["reconciled_orders"], result.auction["reconciled_lots"]) == (1, 1)
    assert result.auction["reconciling_commands"] == 4
    assert (result.ok, result.trades_exact) == (True, 1), result.lines


@pytest.mark.interpreted
def test_another_book_without_implied_orders_is_a_fault(answer: Answer) -> None:
    # Order 5 is gone after the auction: nobody traded with it.
    plan = plan_of(SNAPSHOT, *PRE_OPEN, f"{AUCTION}, C A 5 105 2", AFTER)
    result = mbo.verify(plan, answer(plan))
    assert not result.ok
    assert result.lines[-1] == (
        "auction: SELL orders of the exchange differ by 2 lots from those that our uncross leaves; "
        "implied orders explain no more than 0"
    )


@pytest.mark.interpreted
def test_an_auction_without_a_match_opens_the_session(answer: Answer) -> None:
    plan = plan_of(
        "A A 1 102 5, A B 2 101 5", "T N 0 101 1", "T B 9 102 5, F A 1 102 5, C A 1 102 5"
    )
    result = mbo.verify(plan, answer(plan))
    assert result.auction is not None
    assert (result.auction["price_ticks"], result.auction["volume"]) == (None, 0)
    assert result.auction["tie_ticks"] is None
    assert (result.ok, result.trades_exact) == (True, 1), result.lines


def test_an_order_that_moves_in_the_auction_leaves_its_place_before_it_enters() -> None:
    plan = plan_of(SNAPSHOT, *PRE_OPEN, f"{AUCTION}, M A 4 101 3", AFTER)
    assert sent(plan)[15:] == ["CANCEL 4.1", "NEW 4.2 3 at 101", "IOC SELL 1 at 100"]


def test_a_snapshot_ends_where_its_orders_end() -> None:
    made = recording("A A 1 102 5, A B 2 101 5", "A B 3 100 5, A B 4 99 1", "C B 3 100 5")
    messages = [message._replace(flags=message.flags & ~F_LAST) for message in made.messages[:2]]
    cut = databento.Recording("TEST", "1", messages + made.messages[2:])
    assert [len(event) for event in cut.events()] == [2, 2, 1]


def test_the_last_of_several_auctions_counts() -> None:
    plan = plan_of(
        "A A 1 100 5, A B 2 100 5",
        "T N 0 100 5, F N 1 100 5, F N 2 100 5, C A 1 100 5, C B 2 100 5",
        "A A 3 102 4",
        "T B 8 102 1, F A 3 102 1, M A 3 102 3",
        "A B 4 103 1",
        "T N 0 102 1, F N 3 102 1, F N 4 102 1, M A 3 102 2, C B 4 103 1",
        "T B 9 102 2, F A 3 102 2, C A 3 102 2",
    )
    assert sent(plan) == [
        "PHASE PRE_OPEN",
        "NEW 3.1 3 at 102",
        "NEW 4.1 1 at 103",
        "PHASE OPENING_AUCTION",
        "PHASE CONTINUOUS",
        "IOC BUY 2 at 102",
    ]


# --- an engine that does otherwise ---------------------------------------------------------------


@pytest.fixture(scope="module")
def held() -> tuple[mbo.MboPlan, Any]:
    plan = plan_of(SNAPSHOT, *PRE_OPEN, AUCTION, AFTER)
    return plan, slots_of(plan)


def rows_of(plan: mbo.MboPlan, slots: Any, kind: EventKind) -> Any:
    """Where the events of one kind are that answer a command of the auction."""
    assert plan.auction is not None
    events = slots.view(mbo.TRADE)[:, 0]
    answers = events["source_sequence"] - 1
    auction = (answers == plan.auction.opening) | (answers == plan.auction.uncross)
    return np.flatnonzero(auction & (events["kind"] == kind))


@pytest.mark.parametrize(
    ("kind", "field", "bits", "fault"),
    [
        (EventKind.TRADE, "maker_order_id", 1, "expected Match("),
        (EventKind.TRADE, "order_id", 1, "expected Match("),
        (EventKind.TRADE, "qty_lots", 1, "expected Match("),
        (EventKind.TRADE, "price_ticks", 1, "2 prices; expected one"),
        (EventKind.TRADE, "flags", int(EventFlag.AUCTION), "is not marked as one"),
        (EventKind.INDICATIVE, "price_ticks", 1, "indicative (price, volume, surplus, side)"),
        (EventKind.INDICATIVE, "qty_lots", 1, "indicative (price, volume, surplus, side)"),
        (EventKind.INDICATIVE, "leaves_lots", 1, "indicative (price, volume, surplus, side)"),
        (EventKind.INDICATIVE, "side", 1, "indicative (price, volume, surplus, side)"),
        (EventKind.INDICATIVE, "kind", 1, "0 indicative prices when it begins; expected one"),
        (EventKind.LEVEL, "level_lots", 1, "differ from the exchange's when continuous trading"),
    ],
)
def test_whatever_the_engine_does_otherwise_is_found(
    held: tuple[mbo.MboPlan, Any], kind: EventKind, field: str, bits: int, fault: str
) -> None:
    plan, slots = held
    slots = slots.copy()
    layout = CHANGE if kind in (EventKind.INDICATIVE, EventKind.LEVEL) else mbo.TRADE
    rows = rows_of(plan, slots, kind)
    assert len(rows)
    slots.view(layout)[field][rows[0], 0] ^= bits
    result = mbo.verify(plan, slots)
    assert not result.ok
    assert fault in "\n".join(result.lines)


@pytest.mark.parametrize(
    ("price_ticks", "fault"),
    [(100, "uncrossed at 100 ticks; expected 101 to 101"), (102, "uncrossed at 102 ticks")],
)
def test_a_price_that_trades_less_is_found(
    held: tuple[mbo.MboPlan, Any], price_ticks: int, fault: str
) -> None:
    plan, slots = held
    slots = slots.copy()
    for row in rows_of(plan, slots, EventKind.TRADE):
        slots.view(mbo.TRADE)["price_ticks"][row, 0] = price_ticks
    result = mbo.verify(plan, slots)
    assert not result.ok
    assert fault in "\n".join(result.lines)


def test_a_price_with_more_surplus_than_need_be_is_found() -> None:
    # 2 trade at 100 to 102: at 102 nobody is left over.
    plan = plan_of(
        "A B 1 102 2, A B 2 101 1, A A 3 100 2",
        "T N 0 102 2, F N 1 102 2, F N 3 102 2, C B 1 102 2, C A 3 100 2",
        "T A 9 101 1, F B 2 101 1, C B 2 101 1",
    )
    slots = slots_of(plan)
    assert mbo.verify(plan, slots).ok
    for row in rows_of(plan, slots, EventKind.TRADE):
        slots.view(mbo.TRADE)["price_ticks"][row, 0] = 101
    found = "\n".join(mbo.verify(plan, slots).lines)
    assert "auction: 101 ticks leave 1 lots over; expected 0" in found


def test_an_uncross_that_stops_early_is_found(held: tuple[mbo.MboPlan, Any]) -> None:
    plan, slots = held
    slots = slots.copy()
    rows = rows_of(plan, slots, EventKind.TRADE)
    slots.view(mbo.TRADE)["kind"][rows[-1], 0] = EventKind.CLOCK
    result = mbo.verify(plan, slots)
    assert not result.ok
    assert "auction: 2 trades; expected 3" in "\n".join(result.lines)
