"""The history of a shard: what it keeps, exactly, and what gives way when room is short."""

from collections.abc import Iterator
from typing import Any

import pytest

from engine.durability.history import (
    FILLS_PER_ORDER_MAX,
    TRADES_KEPT_MAX,
    HistoryState,
    OrderState,
    Past,
    create_history,
    note_event,
    read_past,
)
from engine.limits import PRICE_TICKS_MAX, QTY_LOTS_MAX
from engine.messages import (
    EVENT_CODECS,
    MESSAGE_BYTES,
    TERMS_CODEC,
    Event,
    EventFlag,
    EventKind,
    ListKind,
    OrderType,
    RejectReason,
    TimeInForce,
)
from ipc import memory
from tests.bulk_streams import EVERYTHING, bulk
from tests.durability.late import config_for, followed

pytestmark = pytest.mark.interpreted

PRICE = 100


class Teller:
    """Tells a history events made by hand, in a dense sequence."""

    def __init__(self, **limits: int) -> None:
        self.state = HistoryState.allocate()
        create_history(self.state, **limits)
        self.slot = memory.allocate(MESSAGE_BYTES, "event")
        self.dseq = self.match_id = 0
        self.leaves: dict[int, int] = {}

    def tell(self, kind: EventKind, **fields: Any) -> None:
        codec = TERMS_CODEC if fields.get("flags", 0) & EventFlag.TERMS else EVENT_CODECS[kind]
        self.dseq += 1
        given = {"kind": kind, "sequence": self.state.sequence + 1, "dseq": self.dseq} | fields
        self.slot.view[:] = codec.encode(**given).ljust(MESSAGE_BYTES, b"\0")
        note_event(self.state, Event(self.slot.start))

    def accept(self, *order_ids: int, **fields: Any) -> None:
        plain = {
            "order_type": OrderType.LIMIT,
            "time_in_force": TimeInForce.GTC,
            "price_ticks": PRICE,
            "qty_lots": 1_000,
            "account": 1,
        }
        for order_id in order_ids:
            self.tell(EventKind.ACCEPTED, order_id=order_id, **(plain | fields))
            self.leaves[order_id] = fields.get("qty_lots", 1_000)

    def cancel(self, *order_ids: int) -> None:
        for order_id in order_ids:
            leaves = self.leaves[order_id]
            reason = RejectReason.CANCELED_BY_CLIENT
            self.tell(EventKind.CANCELED, order_id=order_id, leaves_lots=leaves, reason=reason)

    def trade(self, taker: int, maker: int, lots: int = 1, price: int = PRICE) -> None:
        self.match_id += 1
        self.leaves[taker] -= lots
        self.leaves[maker] -= lots
        self.tell(
            EventKind.TRADE,
            order_id=taker,
            leaves_lots=self.leaves[taker],
            maker_order_id=maker,
            maker_leaves_lots=self.leaves[maker],
            match_id=self.match_id,
            price_ticks=price,
            qty_lots=lots,
        )

    def past(self) -> Past:
        return read_past(self.state)

    def order(self, order_id: int) -> Any:
        return next(each for each in self.past().orders() if each.order.order_id == order_id)

    def kept(self) -> list[int]:
        return sorted(each.order.order_id for each in self.past().orders())


@pytest.fixture
def tell() -> Iterator[Any]:
    made: list[Teller] = []

    def make(**limits: int) -> Teller:
        made.append(Teller(**limits))
        return made[-1]

    yield make
    for each in made:
        memory.forget(memory.find(each.state.address, 1))
        memory.forget(each.slot)


def test_ended_orders_go_the_oldest_first(tell: Any) -> None:
    teller = tell(ended_limit=3)
    teller.accept(1, 2, 3, 4, 5, 6)
    teller.cancel(5, 2, 3)
    teller.tell(EventKind.REJECTED, order_id=7, reason=RejectReason.KILLED)
    assert teller.kept() == [1, 2, 3, 4, 6, 7]
    assert teller.past().ended == [2, 3, 7]
    assert teller.order(7).order.state == OrderState.REJECTED
    teller.cancel(1)
    assert teller.past().ended == [3, 7, 1]
    assert teller.state.ended.dropped == 0
    teller.accept(8)
    assert teller.state.orders.used == 7, "room of forgotten orders is used again"


def test_what_was_refused_without_an_order_is_not_kept(tell: Any) -> None:
    teller = tell()
    teller.accept(1)
    reason = RejectReason.DUPLICATE_CLIENT_ORDER_ID
    teller.tell(EventKind.REJECTED, order_id=1, reason=reason)
    teller.tell(EventKind.REJECTED, order_id=0, reason=RejectReason.BAD_PRICE)
    assert (teller.kept(), teller.past().ended) == ([1], [])


def test_an_order_keeps_its_last_fills_and_counts_all(tell: Any) -> None:
    teller = tell()
    teller.accept(1, 2)
    count = FILLS_PER_ORDER_MAX + 3
    for number in range(count):
        teller.trade(1, 2, 1, PRICE + number)
    first, second = teller.order(1), teller.order(2)
    assert first.order.fill_count == second.order.fill_count == count
    assert first.traded == sum(PRICE + number for number in range(count))
    assert [fill.price_ticks for fill in first.fills] == [PRICE + n for n in range(3, count)]
    assert [fill.maker for fill in (*first.fills[:1], *second.fills[:1])] == [0, 1]
    assert teller.state.fills.used == 2 * FILLS_PER_ORDER_MAX
    assert teller.state.fills.dropped == 0


def test_ended_orders_give_way_to_fills_of_open_ones(tell: Any) -> None:
    teller = tell(fills_limit=4)
    teller.accept(1, 2, 3, 4, 5)
    teller.trade(1, 2)
    teller.cancel(5, 1)
    teller.trade(3, 4)
    assert teller.kept() == [1, 2, 3, 4, 5]
    teller.trade(3, 4)
    assert teller.kept() == [2, 3, 4], "the oldest ended ones go until there is room"
    assert teller.state.ended.dropped == 2
    assert teller.state.fills.dropped == 1
    assert [len(teller.order(each).fills) for each in (2, 3, 4)] == [1, 2, 1]
    assert teller.order(4).order.fill_count == 2, "what is dropped is counted"


def test_sums_are_exact_at_the_ends_of_the_range(tell: Any) -> None:
    teller = tell()
    teller.accept(1, 2, qty_lots=QTY_LOTS_MAX)
    lots = QTY_LOTS_MAX // 4
    prices = (-PRICE_TICKS_MAX, PRICE_TICKS_MAX, -PRICE_TICKS_MAX + 1, -1)
    for count, price in enumerate(prices, 1):
        teller.trade(1, 2, lots, price)
        expected = sum(prices[:count]) * lots
        assert teller.order(1).traded == expected
        assert teller.past().instruments[0].statistics.turnover == expected


def test_the_last_trades_are_kept(tell: Any) -> None:
    teller = tell(fills_limit=2)
    teller.accept(1, 2, qty_lots=10**6)
    for _ in range(TRADES_KEPT_MAX + 5):
        teller.trade(1, 2)
    kept = [each.match_id for each in teller.past().instruments[0].trades]
    assert kept == list(range(6, TRADES_KEPT_MAX + 6))


def test_a_list_is_tied_together_when_it_is_complete(tell: Any) -> None:
    teller = tell()
    terms = {"flags": EventFlag.TERMS, "list_kind": ListKind.OTO, "source": 3, "instrument": 2}
    teller.accept(4, list_index=0, **terms)
    assert teller.past().lists == {(3, 2): [4]}
    teller.accept(6, list_index=1, **terms)
    assert teller.past().lists == {}
    for order_id in (4, 6):
        kept = teller.order(order_id).terms
        assert (kept.first_id, kept.second_id, kept.third_id) == (4, 6, 0)


def test_a_missing_event_is_a_bug(tell: Any) -> None:
    teller = tell()
    with pytest.raises(AssertionError, match="missing"):
        teller.tell(EventKind.CLOCK, sequence=2)
    with pytest.raises(AssertionError, match="never accepted"):
        teller.tell(EventKind.TRIGGERED, order_id=9)


def test_the_same_events_give_the_same_bytes() -> None:
    """However they are cut into batches, and with pools that run full."""
    written = bulk(8, 600, EVERYTHING, instruments=3)
    limits = {"ended_limit": 40, "fills_limit": 30}
    with followed(config_for(written.market, 1), **limits) as one:
        whole = one.run(written.commands)[0]
        state = one.histories[0]
        assert state.ended.dropped > 0
        with followed(config_for(written.market, 1), **limits) as other:
            for at in range(0, len(written.commands), 50):
                other.run(written.commands[at : at + 50])
            used = whole[-1].sequence
            assert (state.sequence, other.histories[0].sequence) == (used, used)
            assert bytes_of(state) == bytes_of(other.histories[0])


def bytes_of(state: HistoryState) -> bytes:
    """All of a history that was ever touched, with the times that no two runs share left out."""
    for index in range(1, state.orders.used + 1):
        order = state.orders.orders[index]
        order.time_ns = order.updated_ns = 0
    for number in range(3):
        instrument = state.instruments[number]
        for place in range(min(instrument.facts.trade_count, TRADES_KEPT_MAX)):
            instrument.trades[place].time_ns = 0
    region = memory.find(state.address, HistoryState.size)
    parts = (
        (state.address, 1 << 12),
        (state.orders.orders.address, 1 << 18),
        (state.terms.address, 1 << 18),
        (state.fills.address, 1 << 16),
        (state.instruments.address, 1 << 18),
    )
    starts = [(region.offset(address, size), size) for address, size in parts]
    return b"".join(bytes(region.view[start : start + size]) for start, size in starts)
