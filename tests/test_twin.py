"""The twin's exchange against hand-made examples: messages, new orders, capacity."""

from typing import Any

import pytest

from engine.limits import (
    CHUNK_TICKS,
    CHUNKS_PER_SIDE_MAX,
    LEVEL_LOTS_MAX,
    PRICE_TICKS_MAX,
    QTY_LOTS_MAX,
)
from engine.messages import (
    COMMAND_CODEC,
    EVENT_CODECS,
    TERMS_CODEC,
    ChangeEvent,
    CheckpointEvent,
    CommandFlag,
    EventFlag,
    EventKind,
    InstrumentEvent,
    OrderEvent,
    OrderType,
    PhaseEvent,
    SequencedCommand,
    Side,
    TermsEvent,
    TimeInForce,
    TradeEvent,
    decode_event,
)
from engine.messages import Command as EngineCommand
from engine.messages import Decision as EngineDecision
from ipc.record import flat_fields
from tests.decision_bench import Bench, brief, reasons
from tools import twin
from tools.twin.messages import EVENT_TYPES

BUY, SELL = Side.BUY, Side.SELL
GTC, IOC, FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK
LIMIT, MARKET = OrderType.LIMIT, OrderType.MARKET
LAST, BID, ASK = EventFlag.LAST, EventFlag.LEVEL_BID, EventFlag.LEVEL_ASK
ALICE, BOB = 1, 2


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- messages --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mine", "declared"),
    [
        (twin.Command, EngineCommand),
        (twin.Sequenced, SequencedCommand),
        (twin.Decision, EngineDecision),
        (twin.OrderEvent, OrderEvent),
        (twin.TradeEvent, TradeEvent),
        (twin.ChangeEvent, ChangeEvent),
        (twin.TermsEvent, TermsEvent),
        (twin.PhaseEvent, PhaseEvent),
        (twin.InstrumentEvent, InstrumentEvent),
        (twin.CheckpointEvent, CheckpointEvent),
    ],
)
def test_messages_have_the_fields_of_the_engine(mine: Any, declared: Any) -> None:
    names = [name for name, _, _ in flat_fields(declared) if name != "stamp_ticks"]
    assert list(mine._fields) == names


def test_plain_makes_engine_events_comparable() -> None:
    for kind, codec in EVENT_CODECS.items():
        size = codec.struct.size
        (decoded,) = codec.decode_many(bytes(8) + bytes([kind]) + bytes(size - 9))
        event = twin.plain(decoded._replace(stamp_ticks=77))
        assert type(event) is EVENT_TYPES.get(kind, twin.ChangeEvent)
        assert event.kind == kind
    raw = TERMS_CODEC.encode(kind=EventKind.ACCEPTED, flags=EventFlag.TERMS, peg=2)
    event = twin.plain(decode_event(raw))
    assert isinstance(event, twin.TermsEvent)
    assert event.peg == 2
    (command,) = COMMAND_CODEC.decode_many(bytes(COMMAND_CODEC.struct.size))
    with pytest.raises((TypeError, ValueError)):
        twin.plain(command)


# --- matching: new orders --------------------------------------------------------------------


def test_a_passive_order_rests_at_once(bench: Bench) -> None:
    assert bench.new(ALICE, BUY, -5, 10, client_order_id=b"a-1", instrument=1) == [
        twin.OrderEvent(
            sequence=1,
            kind=EventKind.ACCEPTED,
            side=BUY,
            order_type=LIMIT,
            time_in_force=GTC,
            flags=LAST | BID,
            source=3,
            reason=0,
            account=ALICE,
            instrument=1,
            order_id=1,
            price_ticks=-5,
            qty_lots=10,
            level_lots=10,
            dseq=1,
            source_sequence=101,
            time_ns=1,
            client_order_id=b"a-1",
        )
    ]
    (second,) = bench.new(BOB, BUY, -5, 7, instrument=1)
    assert (second.sequence, second.level_lots) == (2, 17)


def test_a_taker_meets_price_then_time(bench: Bench) -> None:
    bench.new(ALICE, SELL, 101, 5)
    bench.new(ALICE, SELL, 100, 5)
    bench.new(BOB, SELL, 100, 5)
    events = bench.new(BOB, BUY, 101, 20)
    assert [brief(event) for event in events] == [
        ("ACCEPTED", 4, 101, 20, 0, 0),
        ("TRADE", 4, 100, 5, 15, 2, 0, ASK, 5),
        ("TRADE", 4, 100, 5, 10, 3, 0, ASK, 0),
        ("TRADE", 4, 101, 5, 5, 1, 0, ASK, 0),
        ("RESTED", 4, 101, 20, 5, LAST | BID, 5),
    ]
    assert [event.sequence for event in events] == [4, 5, 6, 7, 8]
    assert {event.dseq for event in events} == {4}


def test_a_trade_names_both_sides(bench: Bench) -> None:
    bench.new(ALICE, BUY, 50, 8)
    events = bench.new(BOB, SELL, 40, 3, time_in_force=IOC, source=5)
    assert events[1] == twin.TradeEvent(
        sequence=3,
        kind=EventKind.TRADE,
        side=SELL,
        order_type=LIMIT,
        time_in_force=IOC,
        flags=LAST | BID,
        source=5,
        reason=0,
        account=BOB,
        instrument=0,
        order_id=2,
        price_ticks=50,
        qty_lots=3,
        level_lots=5,
        dseq=2,
        source_sequence=102,
        time_ns=2,
        leaves_lots=0,
        maker_order_id=1,
        maker_leaves_lots=5,
        match_id=1,
        maker_account=ALICE,
        fee_rate=0,
        maker_fee_rate=0,
    )


def test_match_ids_are_dense_over_all_books(bench: Bench) -> None:
    for instrument in (0, 1, 0):
        bench.new(ALICE, SELL, 10, 1, instrument=instrument)
    ids = [bench.new(BOB, BUY, 10, 1, instrument=i)[1].match_id for i in (1, 0, 0)]  # type: ignore[union-attr]
    assert ids == [1, 2, 3]


def test_books_do_not_see_each_other(bench: Bench) -> None:
    bench.new(ALICE, SELL, 10, 1, instrument=0)
    (event,) = bench.new(BOB, BUY, 10, 1, instrument=1)
    assert brief(event) == ("ACCEPTED", 2, 10, 1, LAST | BID, 1)


@pytest.mark.parametrize("order_type", [LIMIT, MARKET])
def test_ioc_takes_what_is_there(bench: Bench, order_type: OrderType) -> None:
    bench.new(ALICE, SELL, 10, 4)
    bench.new(ALICE, SELL, 12, 4)
    events = bench.new(BOB, BUY, 11, 6, order_type=order_type, time_in_force=IOC)
    assert [brief(event) for event in events] == [
        ("ACCEPTED", 3, 11, 6, 0, 0),
        ("TRADE", 3, 10, 4, 2, 1, 0, ASK, 0),
        ("CANCELED", 3, 11, 6, 2, LAST, 0),
    ]
    assert reasons(events) == ["NONE", "NONE", "IOC_REMAINDER"]
    assert [(event.order_type, event.time_in_force) for event in events] == [(order_type, IOC)] * 3


def test_ioc_that_meets_nobody(bench: Bench) -> None:
    events = bench.new(BOB, SELL, 11, 6, time_in_force=IOC)
    assert [brief(event) for event in events] == [
        ("ACCEPTED", 1, 11, 6, 0, 0),
        ("CANCELED", 1, 11, 6, 6, LAST, 0),
    ]


def test_a_market_order_never_rests(bench: Bench) -> None:
    events = bench.new(BOB, BUY, 11, 6, order_type=MARKET, time_in_force=GTC)
    assert [brief(event) for event in events] == [
        ("ACCEPTED", 1, 11, 6, 0, 0),
        ("CANCELED", 1, 11, 6, 6, LAST, 0),
    ]
    assert reasons(events) == ["NONE", "IOC_REMAINDER"]
    assert [event.time_in_force for event in events] == [GTC, GTC]


def test_fok_is_all_or_nothing(bench: Bench) -> None:
    bench.new(ALICE, BUY, 10, 4)
    bench.new(ALICE, BUY, 9, 4)
    refused = bench.new(BOB, SELL, 9, 9, time_in_force=FOK)
    assert [brief(event) for event in refused] == [
        ("ACCEPTED", 3, 9, 9, 0, 0),
        ("CANCELED", 3, 9, 9, 9, LAST, 0),
    ]
    assert reasons(refused) == ["NONE", "FOK_UNFILLABLE"]
    beyond_limit = bench.new(BOB, SELL, 10, 5, time_in_force=FOK)
    assert reasons(beyond_limit) == ["NONE", "FOK_UNFILLABLE"]
    filled = bench.new(BOB, SELL, 9, 8, time_in_force=FOK)
    assert [brief(event) for event in filled] == [
        ("ACCEPTED", 5, 9, 8, 0, 0),
        ("TRADE", 5, 10, 4, 4, 1, 0, BID, 0),
        ("TRADE", 5, 9, 4, 0, 2, 0, LAST | BID, 0),
    ]


def test_post_only_never_takes(bench: Bench) -> None:
    bench.new(ALICE, SELL, 10, 4)
    (refused,) = bench.new(BOB, BUY, 10, 4, flags=CommandFlag.POST_ONLY, client_order_id=b"p")
    assert brief(refused) == ("REJECTED", 2, 10, 4, LAST | EventFlag.POST_ONLY, 0)
    assert reasons([refused]) == ["WOULD_TRADE"]
    assert refused.client_order_id == b"p"  # type: ignore[union-attr]
    (rests,) = bench.new(BOB, BUY, 9, 4, flags=CommandFlag.POST_ONLY)
    assert brief(rests) == ("ACCEPTED", 3, 9, 4, LAST | BID | EventFlag.POST_ONLY, 4)


def test_extreme_prices(bench: Bench) -> None:
    bench.new(ALICE, SELL, PRICE_TICKS_MAX, 1)
    bench.new(ALICE, BUY, -PRICE_TICKS_MAX, 1)
    low = bench.new(BOB, SELL, -PRICE_TICKS_MAX, 1)
    assert brief(low[1]) == ("TRADE", 3, -PRICE_TICKS_MAX, 1, 0, 2, 0, LAST | BID, 0)
    high = bench.new(BOB, BUY, PRICE_TICKS_MAX, 1)
    assert brief(high[1]) == ("TRADE", 4, PRICE_TICKS_MAX, 1, 0, 1, 0, LAST | ASK, 0)


# --- matching: capacity ----------------------------------------------------------------------


def test_a_full_book_refuses_what_might_rest() -> None:
    bench = Bench(orders_max=1)
    bench.new(ALICE, SELL, 10, 4)
    for price in (9, 10):
        assert reasons(bench.new(BOB, BUY, price, 1, instrument=price - 9)) == ["BOOK_FULL"]
    assert reasons(bench.new(BOB, BUY, 10, 1, time_in_force=IOC)) == ["NONE", "NONE"]
    assert reasons(bench.new(BOB, BUY, 10, 1, flags=CommandFlag.POST_ONLY)) == ["WOULD_TRADE"]
    bench.cancel(ALICE, 1)
    assert reasons(bench.new(BOB, BUY, 9, 1)) == ["NONE"]


def test_a_level_holds_so_much() -> None:
    bench = Bench()
    count = LEVEL_LOTS_MAX // QTY_LOTS_MAX
    for _ in range(count):
        (event,) = bench.new(ALICE, BUY, 10, QTY_LOTS_MAX)
    assert event.level_lots == count * QTY_LOTS_MAX
    assert reasons(bench.new(ALICE, BUY, 10, LEVEL_LOTS_MAX % QTY_LOTS_MAX + 1)) == ["BOOK_FULL"]
    assert reasons(bench.new(ALICE, BUY, 11, 1)) == ["NONE"]
    events = bench.amend(ALICE, bench.orders, 10, LEVEL_LOTS_MAX % QTY_LOTS_MAX + 1)
    assert [EventKind(event.kind).name for event in events] == ["REPLACED", "CANCELED"]
    assert reasons(events) == ["NONE", "BOOK_FULL"]


def test_far_apart_prices_use_up_chunks() -> None:
    bench = Bench(chunks_max=2)
    bench.new(ALICE, BUY, -1, 1)
    bench.new(ALICE, BUY, 0, 1)
    assert reasons(bench.new(BOB, BUY, -CHUNK_TICKS - 1, 1, instrument=1)) == ["BOOK_FULL"]
    assert reasons(bench.new(BOB, BUY, CHUNK_TICKS - 1, 1)) == ["NONE"]
    assert reasons(bench.new(BOB, SELL, CHUNK_TICKS, 1)) == ["BOOK_FULL"]
    events = bench.new(BOB, SELL, CHUNK_TICKS - 1, 3)
    assert reasons(events) == ["NONE", "NONE", "BOOK_FULL"]
    assert brief(events[-1]) == ("CANCELED", 6, CHUNK_TICKS - 1, 3, 2, LAST, 0)
    bench = Bench()
    for chunk in range(CHUNKS_PER_SIDE_MAX):
        bench.exchange.books[0].levels[BUY][chunk * CHUNK_TICKS] = []
    assert reasons(bench.new(ALICE, BUY, -1, 1)) == ["BOOK_FULL"]
    assert reasons(bench.new(ALICE, BUY, 1, 1)) == ["NONE"]
