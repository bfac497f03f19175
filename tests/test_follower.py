"""Following an event ring: whole commands, days, phases, gaps and the way back to the books."""

from typing import Any

import pytest

from engine.marketdata import DayStatistics, Follower, Indicative, Level, MarketChange
from engine.messages import EventFlag, EventKind, Listing, Phase, Side
from tests.made_events import at_level, made, numbered

BUY, SELL = Side.BUY, Side.SELL
LAST, AUCTION = EventFlag.LAST, EventFlag.AUCTION
ACCEPTED, RESTED, TRADE = EventKind.ACCEPTED, EventKind.RESTED, EventKind.TRADE
BOOKED, DONE, PHASED = EventKind.BOOKED, EventKind.DONE, EventKind.PHASED


def follower(**settings: int) -> Follower:
    return Follower({0: Phase.CONTINUOUS, 1: Phase.CLOSED}, **settings)


def take(reader: Follower, *events: Any) -> list[MarketChange]:
    """Number the events after the last one taken; the changes that they made."""
    first = reader.sequence + 1
    return [change for event in numbered(list(events), first) for change in reader.take(event)]


def new(order_id: int, side: Side, price: int, level_lots: int, **fields: Any) -> Any:
    return at_level(
        ACCEPTED, side, level_lots, LAST, order_id=order_id, price_ticks=price, **fields
    )


def trade(price: int, lots: int, flags: int = 0, **fields: Any) -> Any:
    return made(TRADE, flags, price_ticks=price, qty_lots=lots, **fields)


def phased(phase: Phase, previous: Phase, flags: int = LAST, **fields: Any) -> Any:
    return made(PHASED, flags, phase=phase, previous_phase=previous, **fields)


def booked(order_id: int, side: Side, price: int, lots: int, level_lots: int) -> Any:
    fields = {"order_id": order_id, "price_ticks": price, "leaves_lots": lots, "qty_lots": lots}
    return at_level(BOOKED, side, level_lots, EventFlag.SNAPSHOT, **fields)


def done(count: int) -> Any:
    return made(DONE, EventFlag.SNAPSHOT | LAST, qty_lots=count)


# --- commands ----------------------------------------------------------------------------------


def test_a_command_is_applied_with_its_last_event() -> None:
    reader = follower()
    take(reader, new(1, SELL, 100, 5), new(2, SELL, 101, 5))
    market = reader.markets[0]
    events = [
        made(ACCEPTED, order_id=3),
        at_level(TRADE, SELL, 0, price_ticks=100, qty_lots=5, maker_order_id=1),
        at_level(TRADE, SELL, 0, price_ticks=101, qty_lots=5, maker_order_id=2),
    ]
    assert take(reader, *events) == []
    assert market.l2.best(SELL, 9) == [(100, 5), (101, 5)]
    assert len(market.l3) == 2
    rest = at_level(RESTED, BUY, 3, LAST, order_id=3, price_ticks=101)
    (change,) = take(reader, rest)
    assert change.levels == [Level(SELL, 100, 0), Level(SELL, 101, 0), Level(BUY, 101, 3)]
    assert (change.l2_previous, change.l3_previous, change.sequence) == (2, 2, 6)
    assert [trade.price_ticks for trade in change.trades] == [100, 101]
    assert market.l2.best(SELL, 9) == []
    assert market.l2.best(BUY, 9) == [(101, 3)]
    assert (market.l2.sequence, market.l3.sequence, market.sequence) == (6, 6, 6)


def test_one_command_may_change_several_instruments() -> None:
    """A TICK at which orders of both expire."""
    reader = follower()
    take(reader, new(1, SELL, 100, 5), new(2, BUY, 7, 5, instrument=1))
    expired = EventKind.CANCELED
    changes = take(
        reader,
        at_level(expired, SELL, 0, order_id=1, price_ticks=100),
        at_level(expired, BUY, 0, order_id=2, price_ticks=7, instrument=1),
        made(EventKind.CLOCK, LAST),
    )
    assert [change.instrument for change in changes] == [0, 1]
    assert [change.levels for change in changes] == [[Level(SELL, 100, 0)], [Level(BUY, 7, 0)]]
    assert all(len(market.l3) == 0 for market in reader.markets.values())


def test_what_is_hidden_changes_nothing_that_is_public() -> None:
    reader = follower()
    take(reader, new(1, SELL, 100, 5))
    assert take(reader, new(2, SELL, 100, 5), new(3, BUY, 90, 0)) == []
    assert reader.markets[0].sequence == 1
    back = [
        at_level(EventKind.REPLACED, SELL, 0, order_id=1, price_ticks=100)._replace(
            previous_price_ticks=100
        ),
        at_level(RESTED, SELL, 5, LAST, order_id=1, price_ticks=100),
    ]
    (change,) = take(reader, *back)
    assert change.levels == [], "the level ends as it began"
    assert len(change.orders) == 2
    assert not change.ticker


def test_the_ticker_changes_with_the_best_prices_and_with_trades() -> None:
    reader = follower()
    for event, is_news in (
        (new(1, SELL, 100, 5), True),
        (new(2, SELL, 101, 5), False),
        (new(3, SELL, 100, 6), True),
        (new(4, BUY, 90, 6), True),
        (trade(100, 1, AUCTION | LAST), True),
    ):
        (change,) = take(reader, event)
        assert change.ticker == is_news
    assert reader.markets[0].last is not None
    assert reader.markets[0].last.side is None, "an uncross has no aggressor"


def test_phases_and_indicative_prices_are_kept() -> None:
    reader = follower()
    market = reader.markets[1]
    assert market.phase == Phase.CLOSED
    take(reader, phased(Phase.VOLATILITY_AUCTION, Phase.CLOSED, instrument=1, at_ns=77))
    assert (market.phase, market.phase_ends_ns) == (Phase.VOLATILITY_AUCTION, 77)
    indicative = made(EventKind.INDICATIVE, LAST, instrument=1, price_ticks=5, qty_lots=6)
    (change,) = take(reader, indicative._replace(leaves_lots=7, side=SELL))
    assert change.indicated
    assert market.indicative == Indicative(5, 6, 7, SELL)
    (change,) = take(reader, phased(Phase.CONTINUOUS, Phase.VOLATILITY_AUCTION, instrument=1))
    assert change.phased
    assert market.indicative.lots == 0
    assert reader.markets[0].phase == Phase.CONTINUOUS


# --- days --------------------------------------------------------------------------------------


def figures(day: DayStatistics) -> tuple[int, ...]:
    return (day.open_ticks, day.high_ticks, day.low_ticks, day.last_ticks, day.lots, day.trades)


def test_statistics_are_those_of_the_trades_since_the_day_began() -> None:
    reader = follower()
    market = reader.markets[0]
    assert figures(market.statistics) == (0, 0, 0, 0, 0, 0)
    take(reader, *(trade(price, 2, LAST) for price in (-10, -12, -3, -5)))
    assert figures(market.statistics) == (-10, -3, -12, -5, 8, 4)
    assert market.statistics.turnover == -60
    take(reader, phased(Phase.CLOSED, Phase.CONTINUOUS), phased(Phase.CLOSED, Phase.CLOSED))
    assert market.statistics.trades == 4
    take(reader, phased(Phase.PRE_OPEN, Phase.CLOSED))
    assert figures(market.statistics) == (0, 0, 0, 0, 0, 0)
    take(reader, trade(4, 1, LAST), phased(Phase.PRE_OPEN, Phase.PRE_OPEN))
    assert figures(market.statistics) == (4, 4, 4, 4, 1, 1)


def test_what_an_uncross_into_the_new_day_traded_belongs_to_it() -> None:
    reader = follower()
    take(reader, trade(9, 9, LAST), phased(Phase.CLOSED, Phase.CONTINUOUS))
    take(
        reader,
        trade(5, 2, AUCTION, dseq=8),
        trade(5, 3, AUCTION, dseq=8),
        phased(Phase.CONTINUOUS, Phase.CLOSED, 0, dseq=8),
        trade(6, 1, LAST, dseq=8),
    )
    day = reader.markets[0].statistics
    assert figures(day) == (5, 6, 5, 6, 6, 3)
    assert (day.auction_price_ticks, day.auction_lots) == (5, 5)


def test_the_figures_of_an_auction_are_those_of_the_last_one() -> None:
    reader = follower()
    take(reader, trade(5, 2, AUCTION, dseq=8), trade(5, 3, AUCTION | LAST, dseq=8))
    take(reader, trade(7, 1, LAST, dseq=9), trade(6, 4, AUCTION | LAST, dseq=10))
    day = reader.markets[0].statistics
    assert (day.auction_price_ticks, day.auction_lots, day.lots) == (6, 4, 10)


# --- gaps and snapshots ------------------------------------------------------------------------


def test_who_saw_every_event_needs_no_snapshot() -> None:
    reader = follower()
    take(reader, new(1, SELL, 100, 5))
    assert reader.is_complete
    assert reader.snapshots_wanted() == []
    assert reader.gaps == 0
    assert reader.markets[0].statistics.complete


def test_who_comes_late_knows_a_book_after_its_snapshot() -> None:
    reader = follower(sequence=50)
    assert not reader.is_complete
    assert reader.snapshots_wanted() == [0, 1]
    assert reader.snapshots_wanted() == [], "each is named once"
    ignored = [
        new(9, SELL, 100, 5),
        at_level(EventKind.CANCELED, BUY, 3, LAST, order_id=3, price_ticks=90),
    ]
    assert take(reader, *ignored) == []
    market = reader.markets[0]
    (change,) = take(reader, booked(4, BUY, 90, 3, 3), booked(9, SELL, 100, 5, 5), done(2))
    assert change.loaded
    assert (change.levels, change.orders) == ([], [])
    assert market.known
    assert not reader.is_complete, "the other instrument is not known yet"
    assert market.l2.best(BUY, 9) == [(90, 3)]
    assert [order.order_id for order in market.l3.orders(SELL)] == [9]
    assert market.l2.sequence == market.l3.sequence == reader.sequence
    (change,) = take(reader, new(5, BUY, 90, 4))
    assert change.levels == [Level(BUY, 90, 4)]
    assert change.l2_previous == 55
    take(reader, done(0)._replace(instrument=1))
    assert reader.is_complete
    assert reader.markets[1].l2.level_count(BUY) == 0
    assert not market.statistics.complete, "trades have passed before"
    assert market.phase == 0, "no event has told the phase"


def test_a_gap_loses_all_books_until_new_snapshots() -> None:
    reader = follower()
    take(reader, new(1, SELL, 100, 5), at_level(TRADE, SELL, 4, price_ticks=100, qty_lots=1))
    late = numbered([new(2, SELL, 100, 9)], reader.sequence + 3)
    assert not reader.take(late[0])
    assert (reader.gaps, reader.is_complete) == (1, False)
    assert reader.snapshots_wanted() == [0, 1]
    take(reader, phased(Phase.CONTINUOUS, Phase.CONTINUOUS))
    assert reader.markets[0].phase == Phase.CONTINUOUS, "what is said is known"
    take(reader, booked(2, SELL, 100, 9, 9), done(1))
    assert reader.markets[0].known
    assert reader.markets[0].l2.best(SELL, 9) == [(100, 9)]


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_snapshot_with_a_gap_is_none(missing: int) -> None:
    reader = follower(sequence=50)
    reader.snapshots_wanted()
    events = [booked(4, BUY, 90, 3, 3), booked(5, BUY, 90, 3, 6), booked(6, BUY, 80, 1, 1), done(3)]
    for event in numbered(events, 51):
        if event.sequence != 50 + missing:
            assert not reader.take(event)
    assert not reader.markets[0].known
    assert reader.snapshots_wanted() == [0, 1]
    take(reader, *events)
    assert reader.markets[0].known


def test_a_mass_cancel_is_no_snapshot() -> None:
    reader = follower(sequence=50)
    take(reader, made(DONE, LAST))
    assert not reader.markets[0].known


def test_a_snapshot_changes_nothing_for_who_knows_the_book() -> None:
    reader = follower()
    take(reader, new(1, SELL, 100, 5))
    assert take(reader, booked(1, SELL, 100, 5, 5), done(1)) == []
    assert [order.lots for order in reader.markets[0].l3.orders(SELL)] == [5]


def test_an_event_is_never_taken_twice() -> None:
    reader = follower()
    take(reader, new(1, SELL, 100, 5))
    with pytest.raises(AssertionError, match="event 1 after 1"):
        reader.take(numbered([new(1, SELL, 100, 5)])[0])


# --- listing -----------------------------------------------------------------------------------


def listing(what: Listing, instrument: int, phase: int = 0) -> Any:
    fields = {"order_id": int(what), "instrument": instrument, "qty_lots": phase}
    return made(EventKind.INSTRUMENT, LAST, **fields)


def test_a_listed_instrument_is_known_from_its_first_event() -> None:
    reader = follower()
    take(reader, listing(Listing.LIST, 7, Phase.PRE_OPEN))
    assert reader.markets[7].known
    assert reader.markets[7].phase == Phase.PRE_OPEN
    take(reader, new(1, SELL, 100, 5, instrument=7))
    take(
        reader,
        at_level(EventKind.CANCELED, SELL, 0, order_id=1, price_ticks=100, instrument=7),
        listing(Listing.DELIST, 7),
    )
    assert 7 not in reader.markets


def test_terms_before_the_listing_make_no_market() -> None:
    reader = follower()
    term = made(EventKind.INSTRUMENT, LAST, instrument=7, order_id=3, qty_lots=9)
    assert take(reader, term, listing(Listing.DELIST, 8)) == []
    assert sorted(reader.markets) == [0, 1]
    (change,) = take(reader, listing(Listing.LIST, 7, Phase.CONTINUOUS))
    assert change.loaded, "whoever followed an older one of that number begins anew"
    assert change.market.l2.sequence == change.sequence == 3
    assert take(reader, term._replace(instrument=0)) == [], "a term is no news of the market"


def test_an_instrument_that_was_listed_meanwhile_is_asked_for() -> None:
    reader = follower(sequence=50)
    reader.snapshots_wanted()
    take(reader, new(1, SELL, 100, 5, instrument=7), made(EventKind.REJECTED, LAST, instrument=8))
    assert reader.snapshots_wanted() == [7]
    take(reader, listing(Listing.DELIST, 7), new(1, SELL, 1, 5, instrument=9))
    assert reader.snapshots_wanted() == [9]
