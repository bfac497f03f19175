"""The twin's exchange against hand-made examples: cancels, amendments, refusals."""

import pytest

from engine.messages import (
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    OrderType,
    RejectReason,
    Side,
    TimeInForce,
)
from tests.decision_bench import Bench, brief, reasons
from tools import twin

BUY, SELL = Side.BUY, Side.SELL
NEW, CANCEL, AMEND = CommandKind.NEW, CommandKind.CANCEL, CommandKind.AMEND
GTC, LIMIT = TimeInForce.GTC, OrderType.LIMIT
LAST, BID, ASK = EventFlag.LAST, EventFlag.LEVEL_BID, EventFlag.LEVEL_ASK
INT64_MAX = (1 << 63) - 1
ALICE, BOB = 1, 2


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- matching: cancel ------------------------------------------------------------------------


def test_cancel_takes_back_what_is_open(bench: Bench) -> None:
    bench.new(ALICE, SELL, 10, 4)
    bench.new(BOB, SELL, 10, 4)
    bench.new(BOB, BUY, 10, 1)
    assert bench.cancel(ALICE, 1, price_ticks=77, qty_lots=88, side=BUY) == [
        twin.ChangeEvent(
            sequence=5,
            kind=EventKind.CANCELED,
            side=SELL,
            order_type=LIMIT,
            time_in_force=GTC,
            flags=LAST | ASK,
            source=3,
            reason=RejectReason.CANCELED_BY_CLIENT,
            account=ALICE,
            instrument=0,
            order_id=1,
            price_ticks=10,
            qty_lots=4,
            level_lots=4,
            dseq=4,
            source_sequence=104,
            time_ns=4,
            leaves_lots=3,
            previous_price_ticks=0,
        )
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"order_id": 2}, {"account": BOB}, {"instrument": 1}, {"order_id": -1}, {"order_id": 0}],
)
@pytest.mark.parametrize("kind", [CANCEL, AMEND])
def test_only_the_owner_reaches_an_order(bench: Bench, kind: int, wrong: dict[str, int]) -> None:
    bench.new(ALICE, SELL, 10, 4)
    sent = {"order_id": 1, "account": ALICE, "instrument": 0, "side": 9, "order_type": 8}
    sent |= {"time_in_force": 7, "price_ticks": 66, "qty_lots": 5} | wrong
    (event,) = bench.send(kind, **sent)
    name = "CANCEL_REJECTED" if kind == CANCEL else "REPLACE_REJECTED"
    assert EventKind(event.kind).name == name
    assert reasons([event]) == ["UNKNOWN_ORDER"]
    assert {field: getattr(event, field) for field in sent} == sent
    assert (event.flags, event.level_lots) == (LAST, 0)
    assert (event.leaves_lots, event.previous_price_ticks) == (0, 0)  # type: ignore[union-attr]
    assert bench.exchange.orders[1].open_lots == 4


def test_dead_orders_stay_dead(bench: Bench) -> None:
    bench.new(ALICE, SELL, 10, 4)
    bench.new(BOB, BUY, 10, 4)
    bench.new(ALICE, SELL, 10, 4)
    bench.cancel(ALICE, 3)
    for order_id, account in ((1, ALICE), (2, BOB), (3, ALICE)):
        assert reasons(bench.cancel(account, order_id)) == ["UNKNOWN_ORDER"]
        assert reasons(bench.amend(account, order_id, 10, 1)) == ["UNKNOWN_ORDER"]


# --- matching: amend -------------------------------------------------------------------------


def test_less_quantity_keeps_the_place(bench: Bench) -> None:
    bench.new(ALICE, BUY, 10, 5)
    bench.new(BOB, BUY, 10, 5)
    assert bench.amend(ALICE, 1, 10, 3, side=SELL) == [
        twin.ChangeEvent(
            sequence=3,
            kind=EventKind.REPLACED,
            side=BUY,
            order_type=LIMIT,
            time_in_force=GTC,
            flags=LAST | BID,
            source=3,
            reason=0,
            account=ALICE,
            instrument=0,
            order_id=1,
            price_ticks=10,
            qty_lots=3,
            level_lots=8,
            dseq=3,
            source_sequence=103,
            time_ns=3,
            leaves_lots=3,
            previous_price_ticks=10,
        )
    ]
    trade = bench.new(BOB, SELL, 10, 4)[1]
    assert brief(trade) == ("TRADE", 3, 10, 3, 1, 1, 0, BID, 5)


def test_equal_quantity_keeps_the_place_unless_requeued(bench: Bench) -> None:
    bench.new(ALICE, BUY, 10, 5)
    bench.new(BOB, BUY, 10, 5)
    (kept,) = bench.amend(ALICE, 1, 10, 5)
    assert brief(kept) == ("REPLACED", 1, 10, 5, 5, LAST | BID, 10)
    events = bench.amend(ALICE, 1, 10, 5, CommandFlag.REQUEUE)
    assert [brief(event) for event in events] == [
        ("REPLACED", 1, 10, 5, 5, BID, 5),
        ("RESTED", 1, 10, 5, 5, LAST | BID, 10),
    ]
    assert events[0].previous_price_ticks == 10  # type: ignore[union-attr]
    assert bench.new(BOB, SELL, 10, 1)[1].maker_order_id == 2  # type: ignore[union-attr]


def test_more_quantity_goes_to_the_back(bench: Bench) -> None:
    bench.new(ALICE, BUY, 10, 5)
    bench.new(BOB, BUY, 10, 5)
    events = bench.amend(ALICE, 1, 10, 6)
    assert [brief(event) for event in events] == [
        ("REPLACED", 1, 10, 6, 6, BID, 5),
        ("RESTED", 1, 10, 6, 6, LAST | BID, 11),
    ]
    assert bench.new(BOB, SELL, 10, 1)[1].maker_order_id == 2  # type: ignore[union-attr]


def test_quantity_counts_fills_unless_leaves_is_asked(bench: Bench) -> None:
    bench.new(ALICE, BUY, 10, 10)
    bench.new(BOB, SELL, 10, 4)
    (total,) = bench.amend(ALICE, 1, 10, 9)
    assert brief(total) == ("REPLACED", 1, 10, 9, 5, LAST | BID, 5)
    (leaves,) = bench.amend(ALICE, 1, 10, 2, CommandFlag.LEAVES)
    assert brief(leaves) == ("REPLACED", 1, 10, 6, 2, LAST | BID, 2)
    (ended,) = bench.amend(ALICE, 1, 99, 4)
    assert brief(ended) == ("CANCELED", 1, 10, 6, 2, LAST | BID, 0)
    assert reasons([ended]) == ["REDUCED_TO_FILLED"]


def test_a_new_price_moves_the_order(bench: Bench) -> None:
    bench.new(ALICE, SELL, 10, 5)
    bench.new(BOB, SELL, 10, 6)
    bench.new(BOB, SELL, 12, 7)
    events = bench.amend(ALICE, 1, 12, 2)
    assert [brief(event) for event in events] == [
        ("REPLACED", 1, 12, 2, 2, ASK, 6),
        ("RESTED", 1, 12, 2, 2, LAST | ASK, 9),
    ]
    assert [event.previous_price_ticks for event in events] == [10, 0]  # type: ignore[union-attr]


def test_an_amended_order_may_take(bench: Bench) -> None:
    bench.new(ALICE, BUY, 8, 5)
    bench.new(BOB, SELL, 10, 3)
    bench.new(BOB, SELL, 11, 1)
    events = bench.amend(ALICE, 1, 11, 9, source=6)
    assert [brief(event) for event in events] == [
        ("REPLACED", 1, 11, 9, 9, BID, 0),
        ("TRADE", 1, 10, 3, 6, 2, 0, ASK, 0),
        ("TRADE", 1, 11, 1, 5, 3, 0, ASK, 0),
        ("RESTED", 1, 11, 9, 5, LAST | BID, 5),
    ]
    trade = events[1]
    assert (trade.side, trade.account, trade.source) == (BUY, ALICE, 6)
    assert (trade.order_type, trade.time_in_force) == (LIMIT, GTC)
    bench.new(BOB, SELL, 12, 5)
    last = bench.amend(ALICE, 1, 12, 9)[-1]
    assert brief(last) == ("TRADE", 1, 12, 5, 0, 4, 0, LAST | ASK, 0)
    assert reasons(bench.cancel(ALICE, 1)) == ["UNKNOWN_ORDER"]


def test_post_only_orders_are_not_amended_into_trades(bench: Bench) -> None:
    bench.new(ALICE, BUY, 8, 5, flags=CommandFlag.POST_ONLY)
    bench.new(BOB, SELL, 10, 3)
    (event,) = bench.amend(ALICE, 1, 10, 7, side=SELL)
    assert brief(event) == ("REPLACE_REJECTED", 1, 10, 7, 0, LAST, 0)
    assert reasons([event]) == ["WOULD_TRADE"]
    (unchanged,) = bench.amend(ALICE, 1, 8, 5)
    assert brief(unchanged) == ("REPLACED", 1, 8, 5, 5, LAST | BID, 5)
    assert len(bench.amend(ALICE, 1, 9, 5)) == 2


def test_an_amendment_makes_an_order_post_only(bench: Bench) -> None:
    bench.new(ALICE, BUY, 8, 5)
    bench.new(BOB, SELL, 10, 3)
    assert reasons(bench.amend(ALICE, 1, 10, 5, CommandFlag.POST_ONLY)) == ["WOULD_TRADE"]
    assert reasons(bench.amend(ALICE, 1, 8, 4, CommandFlag.POST_ONLY)) == ["NONE"]
    assert reasons(bench.amend(ALICE, 1, 10, 4)) == ["WOULD_TRADE"]
    (ended,) = bench.amend(ALICE, 1, 10, 0)
    assert reasons([ended]) == ["REDUCED_TO_FILLED"]


# --- matching: refused decisions -------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (NEW, EventKind.REJECTED),
        (CANCEL, EventKind.CANCEL_REJECTED),
        (AMEND, EventKind.REPLACE_REJECTED),
        (77, EventKind.ADMIN_REJECTED),
        (0, EventKind.REJECTED),
    ],
)
def test_refusals_are_passed_on(bench: Bench, kind: int, answer: EventKind) -> None:
    sent = {"side": 200, "order_type": 201, "time_in_force": 202, "account": 4_000_000_000}
    sent |= {"instrument": 3_000_000_000, "order_id": -9, "price_ticks": -INT64_MAX - 1}
    sent |= {"qty_lots": INT64_MAX, "reason": RejectReason.BAD_SIDE, "source": 11}
    (event,) = bench.send(kind, flags=254, client_order_id=b"x", **sent)
    assert event.kind == answer
    assert {field: getattr(event, field) for field in sent} == sent
    shown = EventFlag.TERMS | EventFlag.REDUCE_ONLY if answer == EventKind.REJECTED else 0
    assert (event.flags, event.level_lots, event.dseq) == (LAST | shown, 0, 1)
    if answer == EventKind.REJECTED:
        assert event.client_order_id == b"x"  # type: ignore[union-attr]
