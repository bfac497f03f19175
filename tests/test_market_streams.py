"""Markets followed from events alone equal the naive exchange's, over all rules, late and lapped.

The streams have every order type, phase and list. A reader that misses events is never wrong
about a book that it says it knows, and knows all of them again once snapshots have come.
"""

from random import Random
from typing import Any

import pytest

from engine.marketdata import Follower, L3Book, Market
from engine.messages import CommandKind, EventKind, Phase, Side
from tests.twin.book import Book
from tests.twin.play import INSTRUMENTS, Play

COMMANDS = 3_000
AUCTIONS = (Phase.OPENING_AUCTION, Phase.CLOSING_AUCTION, Phase.VOLATILITY_AUCTION)
PHASES = {number: each.phase for number, each in enumerate(INSTRUMENTS)}

Orders = list[tuple[int, int, int]]
"""Order id, price and what is shown, in price-time order."""


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
    if book.phase in AUCTIONS:
        assert tuple(market.indicative) == book.indicative


@pytest.mark.parametrize("seed", range(4))
def test_a_reader_of_all_events_knows_everything_after_every_command(seed: int) -> None:
    print(f"seed {seed}")
    play, reader = Play(seed), Follower(PHASES)
    seen: set[int] = set()
    while len(play.decisions) < COMMANDS:
        for event in play.step():
            seen.add(event.kind)
            reader.take(event)
        for number, market in reader.markets.items():
            check_books(market, play.exchange.books[number])
            check_state(market, play.exchange.books[number])
    assert {"TRADE", "LEVEL", "PREVENTED", "BOOKED", "INDICATIVE", "TRIGGERED"} <= names(seen)
    assert reader.is_complete
    assert reader.gaps == 0


def names(kinds: set[int]) -> set[str]:
    return {EventKind(kind).name for kind in kinds}


class LossyReader:
    """Misses spans of events, at random, and asks for the snapshots that it needs."""

    def __init__(self, play: Play, random: Random, passed: int, loss: float) -> None:
        self.play = play
        self.random = random
        self.loss = loss
        "How likely an event is the first one of a gap."
        self.missing = 0
        "Events of the running gap that are still to be missed."
        self.waiting: set[int] = set()
        "Instruments to send a SNAPSHOT for."
        self.follower = Follower(PHASES, passed)
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
                self.hear(self.play.send(CommandKind.SNAPSHOT, instrument=number, source=3))

    def check(self) -> None:
        for number, market in self.follower.markets.items():
            if market.known:
                check_books(market, self.play.exchange.books[number])


@pytest.mark.parametrize("seed", range(10, 16))
def test_a_reader_that_misses_events_finds_back_to_the_true_books(seed: int) -> None:
    print(f"seed {seed}")
    random = Random(seed)
    play = Play(seed)
    passed = play.run(random.randrange(1, 500))[-1].sequence
    reader = LossyReader(play, random, passed, loss=0.003)
    while len(play.decisions) < COMMANDS:
        reader.hear(play.step())
        if random.random() < 0.3:
            reader.ask()
    assert reader.follower.gaps > 10
    assert reader.found_back > 10
    reader.loss, reader.missing = 0.0, 0
    for _ in range(3):  # what the last gap hid is noticed with the next event
        reader.hear(play.step())
    while reader.waiting:
        reader.ask()
    assert reader.follower.is_complete
    reader.check()
