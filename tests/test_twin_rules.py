"""The twin's exchange against hand-made examples of the rules beyond plain orders.

The tables in tests/scenarios show the rules one by one; here is what a table does not show: the
numbers of single events, orders that meet in rare ways, and long audited runs of everything.
"""

from typing import Any

import pytest

from engine.limits import ALL_OR_NONE_MAX, PEGS_MAX, TRAILING_MAX
from engine.messages import (
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    Instruction,
    Listing,
    ListKind,
    OrderType,
    Peg,
    Phase,
    Prevention,
    RejectReason,
    Side,
    TimeInForce,
    Trigger,
)
from tests.bulk_streams import PRESETS, bulk
from tests.decision_bench import Bench, brief, reasons
from tools import twin
from tools.twin.instrument import Instrument

BUY, SELL = Side.BUY, Side.SELL
TERMS = CommandFlag.TERMS
LAST, BID, ASK = EventFlag.LAST, EventFlag.LEVEL_BID, EventFlag.LEVEL_ASK
ALICE, BOB, CAROL = 1, 2, 3


@pytest.fixture
def bench() -> Bench:
    return Bench()


def kinds(events: list[twin.Event]) -> list[str]:
    """Kinds, with the reason of those that have one."""
    named = [(EventKind(event.kind).name, RejectReason(event.reason).name) for event in events]
    return [kind if reason == "NONE" else f"{kind} {reason}" for kind, reason in named]


def phase(bench: Bench, wanted: Phase) -> list[twin.Event]:
    return bench.send(CommandKind.PHASE, flags=TERMS, phase=wanted)


def tick(bench: Bench, at_ns: int) -> list[twin.Event]:
    return bench.send(CommandKind.TICK, flags=TERMS, at_ns=at_ns)


def trade(bench: Bench, price: int) -> list[twin.Event]:
    """Make a price the last one."""
    bench.new(CAROL, SELL, price, 1)
    return bench.new(CAROL, BUY, price, 1)


# --- single events ---------------------------------------------------------------------------


def test_terms_come_back_with_the_answer(bench: Bench) -> None:
    accepted, rested = bench.new(ALICE, BUY, 10, 9, flags=TERMS, display_lots=4, self_trade=2)
    assert isinstance(accepted, twin.TermsEvent)
    assert (accepted.flags, accepted.display_lots, accepted.self_trade) == (TERMS, 4, 2)
    assert brief(rested) == ("RESTED", 1, 10, 9, 9, LAST | BID, 4)
    (refused,) = bench.new(ALICE, BUY, 10, 9, flags=TERMS, trigger=Trigger.TRAIL_TICKS, peg=7)
    assert isinstance(refused, twin.TermsEvent)
    assert (refused.flags, refused.peg) == (TERMS | LAST, 7)
    assert reasons([refused]) == ["NO_OPPOSITE"]


def test_a_woken_order_is_a_limit_order_in_events(bench: Bench) -> None:
    stop = {"flags": TERMS, "trigger": Trigger.STOP, "trigger_ticks": 10}
    bench.new(ALICE, BUY, 12, 2, order_type=OrderType.MARKET, **stop)
    bench.new(BOB, SELL, 11, 1)
    woken = trade(bench, 10)[2:]
    assert kinds(woken) == ["TRIGGERED", "TRADE", "CANCELED IOC_REMAINDER"]
    limit = (OrderType.LIMIT, TimeInForce.GTC)
    assert {(event.order_type, event.time_in_force) for event in woken} == {limit}
    assert {(event.order_id, event.account, event.side) for event in woken} == {(1, ALICE, BUY)}


def test_a_clock_event_is_of_no_instrument(bench: Bench) -> None:
    (clock,) = tick(bench, 77)
    assert isinstance(clock, twin.PhaseEvent)
    assert (clock.at_ns, clock.instrument, clock.account, clock.order_id) == (77, 0, 0, 0)
    assert tick(bench, 50)[0].at_ns == 77, "a clock never goes back"  # type: ignore[union-attr]


def test_listing_makes_an_empty_book_in_a_phase(bench: Bench) -> None:
    bench.new(ALICE, BUY, 10, 5)
    gone = bench.send(CommandKind.INSTRUMENT, order_id=Listing.DELIST, account=9)
    assert kinds(gone) == ["CANCELED DELISTED", "INSTRUMENT"]
    assert (gone[1].account, gone[1].order_id) == (0, Listing.DELIST)
    (listed,) = bench.send(
        CommandKind.INSTRUMENT,
        instrument=2,
        order_id=Listing.LIST,
        qty_lots=Phase.CLOSED,
        client_order_id=b"NEW",
    )
    assert isinstance(listed, twin.InstrumentEvent)
    assert (listed.symbol, listed.qty_lots) == (b"NEW", Phase.CLOSED)
    assert kinds(bench.new(ALICE, BUY, 10, 5, instrument=2)) == ["REJECTED PHASE_FORBIDS"]


# --- meetings --------------------------------------------------------------------------------


def test_an_iceberg_goes_to_the_back_with_each_part(bench: Bench) -> None:
    bench.new(ALICE, SELL, 10, 5, flags=TERMS, display_lots=2)
    bench.new(BOB, SELL, 10, 3)
    events = bench.new(CAROL, BUY, 10, 7)
    makers = [event.maker_order_id for event in events[1:]]  # type: ignore[union-attr]
    assert makers == [1, 2, 1]
    assert [event.level_lots for event in events[1:]] == [5, 2, 1]
    assert events[3].maker_leaves_lots == 1  # type: ignore[union-attr]


def test_a_pair_that_trades_with_itself(bench: Bench) -> None:
    pair = {"flags": TERMS, "list_kind": ListKind.OCO}
    bench.new(ALICE, BUY, 10, 5, **pair, list_index=0)
    events = bench.new(ALICE, SELL, 10, 3, **pair, list_index=1)
    wanted = ["ACCEPTED", "RESTED", "TRADE", "CANCELED LIST_DONE"]
    assert kinds(events) == wanted
    assert events[3].order_id == 1, "what is left of the resting order"


def test_both_of_a_pair_are_gone_when_prevention_takes_all(bench: Bench) -> None:
    pair = {"flags": TERMS, "list_kind": ListKind.OCO, "prevention": Prevention.DECREMENT}
    bench.new(ALICE, BUY, 10, 5, **pair, list_index=0)
    events = bench.new(ALICE, SELL, 10, 5, **pair, list_index=1)
    wanted = ["ACCEPTED", "RESTED", "PREVENTED", "CANCELED SELF_TRADE", "CANCELED LIST_DONE"]
    assert kinds(events) == wanted
    assert not bench.exchange.orders


def test_pegs_and_all_or_none_orders_settle_together(bench: Bench) -> None:
    bench.new(ALICE, BUY, 10, 1)
    bench.new(ALICE, SELL, 20, 1)
    whole = {"flags": TERMS, "instructions": Instruction.ALL_OR_NONE}
    assert kinds(bench.new(BOB, SELL, 12, 4, **whole)) == ["ACCEPTED"]
    bench.new(BOB, BUY, 15, 3, flags=TERMS, peg=Peg.PRIMARY)
    events = bench.new(CAROL, BUY, 12, 1)
    assert kinds(events) == ["ACCEPTED", "LEVEL", "RESTED", "TRADE", "TRADE"]
    assert [event.order_id for event in events[1:]] == [4, 4, 3, 3]


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({"peg": Peg.PRIMARY}, PEGS_MAX),
        ({"trigger": Trigger.TRAIL_TICKS, "trigger_ticks": 3}, TRAILING_MAX),
        ({"instructions": Instruction.ALL_OR_NONE}, ALL_OR_NONE_MAX),
    ],
)
def test_so_many_wait(bench: Bench, fields: dict[str, Any], most: int) -> None:
    trade(bench, 10)
    for _ in range(most):
        assert kinds(bench.new(ALICE, BUY, 10, 1, flags=TERMS, **fields)) == ["ACCEPTED"]
    events = bench.new(ALICE, BUY, 10, 1, flags=TERMS, **fields)
    assert kinds(events) == ["ACCEPTED", "CANCELED TOO_MANY_WAITING"]
    other = bench.new(ALICE, BUY, 10, 1, flags=TERMS, instrument=1, peg=Peg.PRIMARY)
    assert kinds(other) == ["ACCEPTED"], "each instrument counts its own"


def test_an_uncross_goes_on_until_nothing_crosses(bench: Bench) -> None:
    """A list partner that ends on the way takes volume away for which the price was found."""
    phase(bench, Phase.PRE_OPEN)
    pair = {"flags": TERMS, "list_kind": ListKind.OCO}
    bench.new(ALICE, BUY, 105, 5, **pair, list_index=0)
    bench.new(ALICE, BUY, 101, 5, **pair, list_index=1)
    bench.new(BOB, BUY, 97, 5)
    bench.new(BOB, SELL, 95, 10)
    events = phase(bench, Phase.CONTINUOUS)
    assert "CANCELED LIST_DONE" in kinds(events)
    assert not bench.exchange.books[0].is_crossed()
    prices = [event.price_ticks for event in events if event.kind == EventKind.TRADE]
    assert len(set(prices)) == 2


def test_a_halt_stops_what_was_woken(bench: Bench) -> None:
    banded = Instrument(dynamic_band_bps=500, volatility_halt_ns=10, volatility_auction_ns=5)
    bench = Bench(banded)
    bench.new(BOB, SELL, 100, 1)
    bench.new(BOB, SELL, 101, 1)
    bench.new(BOB, SELL, 120, 5)
    bench.new(BOB, BUY, 100, 1)
    stop = {"flags": TERMS, "trigger": Trigger.STOP, "trigger_ticks": 101}
    bench.new(CAROL, BUY, 130, 1, **stop)
    bench.new(CAROL, BUY, 130, 1, **stop, order_type=OrderType.MARKET)
    events = bench.new(ALICE, BUY, 125, 3)
    assert kinds(events) == [
        *("ACCEPTED", "TRADE", "RESTED", "PHASED"),
        *("TRIGGERED", "RESTED", "TRIGGERED", "CANCELED PHASE_FORBIDS"),
    ]
    assert events[3].at_ns == 10  # type: ignore[union-attr]
    assert kinds(tick(bench, 9)) == ["CLOCK"]
    assert kinds(tick(bench, 12)) == ["PHASED", "INDICATIVE", "CLOCK"]
    assert kinds(tick(bench, 17))[-2:] == ["PHASED", "CLOCK"]
    assert not bench.exchange.books[0].is_crossed()


def test_an_amended_peg_keeps_its_worst_price_in_events(bench: Bench) -> None:
    bench.new(ALICE, BUY, 10, 1)
    bench.new(BOB, BUY, 15, 5, flags=TERMS, peg=Peg.PRIMARY)
    (event,) = bench.amend(BOB, 2, 15, 3)
    assert brief(event) == ("REPLACED", 2, 15, 3, 3, LAST | BID, 4)
    assert event.previous_price_ticks == 10, "where it rests"  # type: ignore[union-attr]


def test_a_refused_order_breaks_its_list(bench: Bench) -> None:
    pair = {"flags": TERMS, "list_kind": ListKind.OCO}
    bench.new(ALICE, BUY, 10, 5, **pair, list_index=0)
    expired = {"time_in_force": TimeInForce.GTD, "at_ns": 0}
    events = bench.new(ALICE, SELL, 10, 5, **pair, list_index=1, **expired)
    assert kinds(events) == ["REJECTED EXPIRED", "CANCELED LIST_BROKEN"]


# --- everything ------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_long_runs_contradict_themselves_nowhere(preset: str) -> None:
    stream = bulk(7, 1_000, PRESETS[preset], 3)
    market = stream.market
    audit = twin.Audit({number: each.phase for number, each in enumerate(market.instruments)})
    audit.apply(stream.events)
    audit.check_finished()
    living = {order_id for order_id, life in audit.lives.items() if not life.ended}
    venue = market.venue()
    venue.run(stream.commands)
    assert living == set(venue.exchange.orders)
    for book in venue.exchange.books:
        assert not book.woken
        assert all(order.alive for order in book.everything())
