"""The audit finds what is wrong with a stream of events: each rule is broken once by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from engine.messages import (
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    Peg,
    Phase,
    Prevention,
    RejectReason,
)
from tests.bulk_streams import CALM, bulk
from tests.decision_bench import Bench
from tools import twin
from tools.twin import Audit, AuditError

BUY, SELL = 0, 1


def sound() -> list[twin.Event]:
    """Two bids at 10, one at 9, a seller of three, an amendment, a cancel, a rejection."""
    bench = Bench()
    events = bench.new(1, BUY, 10, 2) + bench.new(2, BUY, 10, 2) + bench.new(1, BUY, 9, 2)
    events += bench.new(2, SELL, 10, 3)
    events += bench.amend(2, 2, 10, 5)
    events += bench.amend(1, 3, 9, 1)
    events += bench.new(2, SELL, 10, 9)
    events += bench.cancel(2, 5)
    return events + bench.cancel(1, 99)


def kind_at(events: list[Any], kind: EventKind, number: int = 0) -> int:
    return [index for index, event in enumerate(events) if event.kind == kind][number]


def judge(events: list[Any]) -> None:
    audit = Audit()
    audit.apply(events)
    audit.check_finished()


def test_sound_events_pass() -> None:
    judge(sound())
    judge(bulk(1, 500, CALM, 2).events)


def changed(kind: EventKind, number: int = 0, **fields: Any) -> Callable[[list[Any]], list[Any]]:
    """Replace fields of the `number`-th event of a kind."""

    def change(events: list[Any]) -> list[Any]:
        index = kind_at(events, kind, number)
        return [*events[:index], events[index]._replace(**fields), *events[index + 1 :]]

    return change


LAST, BID, ASK = EventFlag.LAST, EventFlag.LEVEL_BID, EventFlag.LEVEL_ASK


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        (lambda events: events[1:], "eseq is dense"),
        (lambda events: [*events[:-1], events[-1]._replace(dseq=99)], "LAST"),
        (changed(EventKind.ACCEPTED, flags=BID), "LAST"),
        (changed(EventKind.CANCEL_REJECTED, flags=0), "no event with LAST"),
        (changed(EventKind.CANCEL_REJECTED, reason=0), "has a reason"),
        (changed(EventKind.CANCEL_REJECTED, flags=LAST | BID), "changes no level"),
        (changed(EventKind.ACCEPTED, 1, order_id=1), "used once"),
        (changed(EventKind.ACCEPTED, qty_lots=0), "an id and a quantity"),
        (changed(EventKind.ACCEPTED, 1, level_lots=5), "have 4 lots"),
        (changed(EventKind.ACCEPTED, flags=LAST | ASK), "names the side"),
        (changed(EventKind.ACCEPTED, time_in_force=2), "only LIMIT GTC rests"),
        (changed(EventKind.TRADE, match_id=2), "match ids are dense"),
        (changed(EventKind.TRADE, qty_lots=0), "a trade has a quantity"),
        (changed(EventKind.TRADE, side=BUY), "two sides"),
        (changed(EventKind.TRADE, instrument=1), "one instrument"),
        (changed(EventKind.TRADE, account=1), "taker's"),
        (changed(EventKind.TRADE, maker_account=2), "maker_account"),
        (changed(EventKind.TRADE, price_ticks=11), "maker's price"),
        (changed(EventKind.TRADE, maker_order_id=3, price_ticks=9), "10 is better"),
        (changed(EventKind.TRADE, maker_order_id=2, maker_account=2), "order 1 came first"),
        (changed(EventKind.TRADE, maker_order_id=4), "makers rest"),
        (changed(EventKind.TRADE, maker_order_id=77), "never accepted"),
        (changed(EventKind.TRADE, 1, maker_order_id=1), "ended before"),
        (changed(EventKind.TRADE, leaves_lots=2), "conserved"),
        (changed(EventKind.TRADE, maker_leaves_lots=1), "conserved"),
        (changed(EventKind.TRADE, level_lots=4), "have 2 lots"),
        (changed(EventKind.REPLACED, previous_price_ticks=9), "previous price"),
        (changed(EventKind.REPLACED, leaves_lots=9), "stays filled"),
        (changed(EventKind.REPLACED, level_lots=3), "lots"),
        (changed(EventKind.REPLACED, 1, leaves_lots=3, qty_lots=3), "loses priority"),
        (changed(EventKind.REPLACED, 1, price_ticks=8), "kept price"),
        (changed(EventKind.REPLACED, account=1), "own fields"),
        (changed(EventKind.RESTED, leaves_lots=3), "conserved"),
        (changed(EventKind.RESTED, qty_lots=6), "order's total"),
        (changed(EventKind.RESTED, price_ticks=9), "rests at its price"),
        (changed(EventKind.CANCELED, leaves_lots=1), "conserved"),
        (changed(EventKind.CANCELED, reason=0), "an end has a reason"),
        (changed(EventKind.CANCELED, qty_lots=1), "order's total"),
        (changed(EventKind.CANCELED, price_ticks=1), "price_ticks is the order's"),
    ],
)
def test_damaged_events_do_not(damage: Callable[[list[Any]], list[Any]], rule: str) -> None:
    with pytest.raises(AuditError, match=rule):
        judge(damage(sound()))


def test_a_crossed_book_is_found() -> None:
    bench = Bench()
    (bid,) = bench.new(1, BUY, 10, 2)
    (ask,) = Bench().new(1, SELL, 11, 2)
    ask = ask._replace(sequence=2, dseq=2, order_id=2, price_ticks=10)
    with pytest.raises(AuditError, match="crossed: 10 >= 10"):
        judge([bid, ask])


def test_an_order_that_is_left_hanging_is_found() -> None:
    (accepted, _) = Bench().new(1, BUY, 10, 2, time_in_force=2)
    with pytest.raises(AuditError, match="rests or has ended"):
        judge([accepted._replace(flags=LAST)])


def test_an_order_that_ends_twice_is_found() -> None:
    bench = Bench()
    events = bench.new(1, BUY, 10, 2) + bench.cancel(1, 1)
    again = events[-1]._replace(sequence=3, dseq=3, reason=RejectReason.CANCELED_BY_CLIENT)
    with pytest.raises(AuditError, match="ended before"):
        judge([*events, again])


def test_a_taker_beyond_its_limit_is_found() -> None:
    bench = Bench()
    events = bench.new(1, BUY, 10, 2) + bench.new(2, SELL, 10, 2)
    with pytest.raises(AuditError, match="limit holds"):
        judge([events[0], events[1]._replace(price_ticks=11), *events[2:]])


def rare() -> list[Any]:
    """An iceberg, a peg, prevention, an auction with its uncross, a snapshot."""
    bench = Bench()
    terms = {"flags": CommandFlag.TERMS}
    events = bench.new(1, SELL, 20, 5, **terms, display_lots=2)
    events += bench.new(2, BUY, 20, 3)
    events += bench.new(2, BUY, 10, 1)
    events += bench.new(2, BUY, 19, 4, **terms, peg=Peg.PRIMARY)
    events += bench.new(1, BUY, 20, 1, prevention=Prevention.DECREMENT)
    events += bench.send(CommandKind.SNAPSHOT)
    for phase in (Phase.PRE_OPEN, Phase.OPENING_AUCTION, Phase.CONTINUOUS):
        events += bench.send(CommandKind.PHASE, **terms, phase=phase)
        events += bench.new(2, BUY, 25, 1)
    return events


def test_rare_events_pass() -> None:
    judge(rare())


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        (changed(EventKind.TRADE, qty_lots=3), "than an order shows"),
        (changed(EventKind.TRADE, 1, level_lots=2), "have 1 lots"),
        (changed(EventKind.PREVENTED, leaves_lots=1), "conserved"),
        (changed(EventKind.PREVENTED, match_id=9), "no number"),
        (changed(EventKind.BOOKED, leaves_lots=9), "what is shown"),
        (changed(EventKind.DONE, qty_lots=9), "orders were booked"),
        (changed(EventKind.LEVEL, price_ticks=11), "a peg that leaves"),
        (changed(EventKind.LEVEL, order_id=0), "is an uncross"),
        (changed(EventKind.LEVEL, 1, level_lots=9), "lots"),
        (changed(EventKind.PHASED, previous_phase=Phase.HALT), "the one before"),
        (changed(EventKind.INDICATIVE, qty_lots=9), "are executable"),
        (changed(EventKind.INDICATIVE, leaves_lots=9), "the surplus is"),
    ],
)
def test_damaged_rare_events_do_not(damage: Callable[[list[Any]], list[Any]], rule: str) -> None:
    with pytest.raises(AuditError, match=rule):
        judge(damage(rare()))


def test_an_untold_level_of_an_uncross_is_found() -> None:
    events = rare()
    index = kind_at(events, EventKind.LEVEL, 1)
    kept = events[:index] + [
        event._replace(sequence=event.sequence - 1) for event in events[index + 1 :]
    ]
    with pytest.raises(AuditError, match="were not told"):
        judge(kept)
