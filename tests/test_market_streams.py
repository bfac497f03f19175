"""Markets followed from events alone equal the naive exchange's, over all rules, late and lapped.

The streams have every order type, phase and list. A reader that misses events is never wrong
about a book that it says it knows, and knows all of them again once snapshots have come.
"""

from random import Random
from typing import Any

import pytest

from engine.marketdata import Follower, L3Book, Market
from engine.messages import CommandKind, EventFlag, EventKind, Phase, Side
from tests.bulk_streams import AUCTIONS, EVERYTHING, ICEBERGS, PEGS, Habits, Seeded, market_for
from tests.desk import Desk
from tools.twin import Event
from tools.twin.book import Book

COMMANDS = 1_500
MIDDLE_TICKS = 10_000
AUCTION_PHASES = (Phase.OPENING_AUCTION, Phase.CLOSING_AUCTION, Phase.VOLATILITY_AUCTION)

Orders = list[tuple[int, int, int]]
"""Order id, price and what is shown, in price-time order."""


class Flow:
    """A desk at which a seeded trader writes commands, and the naive exchange behind it."""

    def __init__(self, seed: int, habits: Habits) -> None:
        market = market_for(habits, 3, MIDDLE_TICKS)
        self.desk = Desk(market)
        self.trader = Seeded(self.desk, habits, Random(seed), [MIDDLE_TICKS] * 3)
        self.acts, self.weights = list(habits.acts), list(habits.acts.values())
        self.phases = {number: each.phase for number, each in enumerate(market.instruments)}

    @property
    def books(self) -> list[Book]:
        """The exchange's own."""
        books: list[Book] = self.desk.venue.exchange.books
        return books

    def step(self) -> list[Event]:
        """The events of one act: of a command, or of a few that belong together."""
        before = len(self.desk.events)
        (act,) = self.trader.random.choices(self.acts, self.weights)
        self.trader.step(act)
        return self.desk.events[before:]

    def snapshot(self, instrument: int) -> list[Event]:
        """The events of a SNAPSHOT."""
        return self.desk.send(CommandKind.SNAPSHOT, instrument=instrument, source=1)

    def run(self, commands: int) -> list[Event]:
        """The events until so many commands have been sent."""
        before = len(self.desk.events)
        while len(self.desk.commands) < commands:
            self.step()
        return self.desk.events[before:]


def true_orders(book: Book, side: Side) -> Orders:
    shown = [order for order in book.resting(side) if order.shown_lots]
    return [(order.order_id, order.rest_ticks or 0, order.shown_lots) for order in shown]


def true_levels(book: Book, side: Side) -> list[tuple[int, int]]:
    levels = [(price, book.lots(side, price)) for price in book.prices(side)]
    return [(price, lots) for price, lots in levels if lots]


def followed_orders(book: L3Book, side: Side) -> Orders:
    return [(order.order_id, order.price_ticks, order.lots) for order in book.orders(side)]


def check_books(market: Market, book: Book) -> None:
    for side in Side:
        assert market.l2.best(side, 1_000) == true_levels(book, side)
        assert followed_orders(market.l3, side) == true_orders(book, side)
        for order in book.resting(side):
            if order.open_lots > order.shown_lots > 0:  # an iceberg: what it will show next
                followed = market.l3.order(order.order_id)
                assert followed is not None
                assert followed.display_lots == order.display_lots


def check_state(market: Market, book: Book) -> None:
    assert market.phase == book.phase
    assert market.phase_ends_ns == (book.interruption_end_ns or 0)
    assert (market.last and market.last.price_ticks) == book.last_ticks
    if book.phase in AUCTION_PHASES:
        assert tuple(market.indicative) == book.indicative


STREAMS = [
    pytest.param(1, EVERYTHING, id="everything"),
    pytest.param(2, EVERYTHING, id="everything again"),
    pytest.param(3, AUCTIONS, id="auctions"),
    pytest.param(4, ICEBERGS, id="icebergs"),
    pytest.param(5, PEGS, id="pegs"),
]


@pytest.mark.parametrize(("seed", "habits"), STREAMS)
def test_a_reader_of_all_events_knows_everything_after_every_command(
    seed: int, habits: Habits
) -> None:
    flow = Flow(seed, habits)
    reader = Follower(flow.phases)
    while len(flow.desk.commands) < COMMANDS:
        for event in flow.step():
            reader.take(event)
        for number, market in reader.markets.items():
            check_books(market, flow.books[number])
            check_state(market, flow.books[number])
    assert reader.is_complete
    assert reader.gaps == 0


def test_the_streams_have_what_books_depend_on() -> None:
    flow = Flow(1, EVERYTHING)
    events = flow.run(COMMANDS)
    kinds = {EventKind(event.kind) for event in events}
    assert {EventKind.LEVEL, EventKind.PREVENTED, EventKind.BOOKED, EventKind.TRIGGERED} <= kinds
    assert any(event.flags & EventFlag.AUCTION for event in events)
    assert any(event.flags & EventFlag.HIDDEN for event in events)


class LossyReader:
    """Misses spans of events, at random, and asks for the snapshots that it needs."""

    def __init__(self, flow: Flow, random: Random, passed: int, loss: float) -> None:
        self.flow = flow
        self.random = random
        self.loss = loss
        "How likely an event is the first one of a gap."
        self.missing = 0
        "Events of the running gap that are still to be missed."
        self.waiting: set[int] = set()
        "Instruments to send a SNAPSHOT for."
        self.follower = Follower(flow.phases, passed)
        self.found_back = 0
        self.waiting.update(self.follower.snapshots_wanted())

    def hear(self, events: list[Any]) -> None:
        """What gets through of one or more commands."""
        for event in events:
            if self.missing == 0 and self.random.random() < self.loss:
                self.missing = self.random.choice((1, 2, 5, 40))
            if self.missing:
                self.missing -= 1
                continue
            self.found_back += sum(change.loaded for change in self.follower.take(event))
        self.waiting.update(self.follower.snapshots_wanted())
        if events[-1].sequence == self.follower.sequence:
            self.check()

    def ask(self) -> None:
        """Send the SNAPSHOTs that are wanted, as one more source of commands."""
        for number in sorted(self.waiting):
            if self.random.random() < 0.7:
                self.waiting.remove(number)
                self.hear(self.flow.snapshot(number))

    def check(self) -> None:
        for number, market in self.follower.markets.items():
            if market.known:
                check_books(market, self.flow.books[number])


@pytest.mark.parametrize(("seed", "habits"), STREAMS)
def test_a_reader_that_misses_events_finds_back_to_the_true_books(
    seed: int, habits: Habits
) -> None:
    random = Random(seed)
    flow = Flow(seed, habits)
    passed = flow.run(random.randrange(1, 500))[-1].sequence
    reader = LossyReader(flow, random, passed, loss=0.008)
    while len(flow.desk.commands) < COMMANDS:
        reader.hear(flow.step())
        if random.random() < 0.3:
            reader.ask()
    assert reader.follower.gaps > 5
    assert reader.found_back > 5
    reader.loss, reader.missing = 0.0, 0
    reader.hear(flow.step())  # what the last gap hid is noticed with the next event
    while reader.waiting:
        reader.ask()
    assert reader.follower.is_complete
    reader.check()
