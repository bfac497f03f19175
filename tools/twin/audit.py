"""A judge of event streams that knows no matching rules beyond what the events themselves claim.

It rebuilds the books from events alone, as a reader of level 3 market data would, and raises
AuditError when the stream contradicts itself: numbers not dense, a trade that jumps the queue, a
level total that is not the sum of what its orders show, quantity made or lost, a book left
crossed in continuous trading, an order that ends twice.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from engine.messages import (
    EventFlag,
    EventKind,
    Listing,
    OrderType,
    Phase,
    RejectReason,
    Side,
    TimeInForce,
)
from engine.reference import TERM_NUMBERS
from tools.twin.level3 import NO_TOP, Level3, Life, Top, life_of

LEVEL_FLAGS = EventFlag.LEVEL_BID | EventFlag.LEVEL_ASK


class AuditError(AssertionError):
    """The events contradict each other; the message names the event and the rule."""


class Audit:
    """Feed it every event of a venue, in order."""

    def __init__(self, phases: Mapping[int, int] | None = None) -> None:
        """Empty books, in CONTINUOUS where `phases` has no other phase for an instrument."""
        self.books = Level3()
        self.kinds: Counter[EventKind] = Counter()
        self._phases = dict(phases or {})
        self._events = 0
        self._trades = 0
        self._dseq = 0
        self._clock_ns = 0
        self._booked = 0
        self._command_done = True
        self._touched: set[int] = set()
        "Instruments of the command under way."
        self._untold: set[tuple[int, int, int]] = set()
        "Levels that an uncross changed and no LEVEL has told."
        self._tops: dict[int, Top | None] = {}
        "The last one told, of instruments that tell theirs."
        self._event: Any = None
        self._rules: dict[EventKind, Callable[[Any], None]] = {
            EventKind.ACCEPTED: self._accepted,
            EventKind.TRADE: self._traded,
            EventKind.PREVENTED: self._prevented,
            EventKind.RESTED: self._rested,
            EventKind.CANCELED: self._canceled,
            EventKind.REPLACED: self._replaced,
            EventKind.TRIGGERED: self._triggered,
            EventKind.LEVEL: self._level_changed,
            EventKind.PHASED: self._phased,
            EventKind.INDICATIVE: self._indicated,
            EventKind.CLOCK: self._clocked,
            EventKind.INSTRUMENT: self._listed,
            EventKind.BOOKED: self._was_booked,
            EventKind.DONE: self._done,
            EventKind.FUNDED: self._repeated,
            EventKind.RULED: self._repeated,
            EventKind.MARKED: self._repeated,
            EventKind.CHECKED: self._repeated,
            EventKind.TOP: self._told,
        }

    @property
    def lives(self) -> dict[int, Life]:
        """All orders that were ever accepted, by id."""
        return self.books.lives

    def apply(self, events: list[Any]) -> None:
        """Check the next events."""
        for event in events:
            self._event = event
            kind = EventKind(event.kind)
            self.kinds[kind] += 1
            if kind == EventKind.CHECKPOINT:
                continue
            self._check_numbers(event)
            self._touched.add(event.instrument)
            self._rules.get(kind, self._rejected)(event)
            if event.flags & EventFlag.LAST:
                self._check_quiet(event)

    def check_finished(self) -> None:
        """Nothing may be missing at the end of a run."""
        self._expect(self._command_done, "the last command has no event with LAST")

    def _told(self, event: Any) -> None:
        top = event.price_ticks, event.qty_lots, event.previous_price_ticks, event.leaves_lots
        self._expect(self._tops.get(event.instrument) != top, "a TOP tells something new")
        self._tops[event.instrument] = top

    # --- orders ------------------------------------------------------------------------------

    def _rejected(self, event: Any) -> None:
        self._expect(event.reason != 0, "a rejection has a reason")
        self._expect(event.flags & LEVEL_FLAGS == 0, "a rejection changes no level")

    def _repeated(self, event: Any) -> None:
        self._expect(event.reason == 0, "what was done has no reason")
        self._expect(event.flags & LEVEL_FLAGS == 0, "money and rules change no level")

    def _accepted(self, event: Any) -> None:
        self._expect(event.order_id not in self.lives, "an order id is used once")
        self._expect(event.order_id > 0 and event.qty_lots > 0, "an order has an id and a quantity")
        life = self.lives[event.order_id] = life_of(event)
        if event.flags & LEVEL_FLAGS:
            self._expect(not life.has_terms, "an order with terms has no level at once")
            continuous = self._phase(event.instrument) == Phase.CONTINUOUS
            kinds = (OrderType.LIMIT,) if continuous else (OrderType.LIMIT, OrderType.MARKET)
            found = event.order_type in kinds and event.time_in_force == TimeInForce.GTC
            self._expect(found, "only LIMIT GTC rests")
            self.books.enter(event.order_id, event.price_ticks)
            self._check_level(event, life.side, event.price_ticks)

    def _rested(self, event: Any) -> None:
        life = self._live(event.order_id)
        self._check_order(event, life)
        self._detach(event.order_id, life)
        self._expect(not life.resting, "an order rests once at a time")
        self._expect(event.leaves_lots > 0, "what rests has quantity")
        may_rest = (OrderType.LIMIT, TimeInForce.GTC)
        self._expect((event.order_type, event.time_in_force) == may_rest, "only LIMIT GTC rests")
        exact = life.has_terms or event.price_ticks == life.price_ticks
        self._expect(exact, "an order rests at its price")
        self._check_limit(life, event.price_ticks)
        self.books.enter(event.order_id, event.price_ticks)
        if life.amended and not life.hidden:
            own_id, life.part_lots = event.order_id, 0
            life.part_lots = event.level_lots - self.books.shown_lots(
                life.instrument, life.side, event.price_ticks
            )
            found = 0 < life.part_lots <= life.open_lots
            self._expect(found, f"order {own_id} cannot show {life.part_lots} lots")
            life.display_lots = life.part_lots if life.part_lots < life.open_lots else 0
        life.amended = False
        self._check_level(event, life.side, event.price_ticks)

    def _canceled(self, event: Any) -> None:
        life = self._live(event.order_id)
        self._check_order(event, life)
        self._expect(event.reason != 0, "an end has a reason")
        none_left = event.reason in (RejectReason.SELF_TRADE, RejectReason.LIST_DONE)
        self._expect(event.leaves_lots > 0 or none_left, "an order ends with quantity open")
        if event.flags & LEVEL_FLAGS == 0:
            self._detach(event.order_id, life)
            self._check_limit(life, event.price_ticks)
            exact = life.has_terms or event.price_ticks == life.price_ticks
            self._expect(exact, "price_ticks is the order's")
            self._expect(not life.resting, "an order that rests has a level")
        else:
            self._expect(life.resting, "an order that never rested has no level")
            self._expect(event.price_ticks == life.rest_ticks, "price_ticks is the order's")
            self.books.leave(event.order_id)
            self._check_level(event, life.side, event.price_ticks)
        life.ended = True

    def _replaced(self, event: Any) -> None:
        life = self._live(event.order_id)
        self._check_identity(event, life)
        filled = life.total_lots - life.open_lots
        self._expect(event.qty_lots - event.leaves_lots == filled, "what was filled stays filled")
        self._expect(event.leaves_lots > 0, "an amended order has open quantity")
        previous_ticks = life.price_ticks if life.rest_ticks is None else life.rest_ticks
        self._expect(event.previous_price_ticks == previous_ticks, "previous price")
        if life.resting:
            self._replaced_in_book(event, life)
        else:
            self._expect(event.flags & LEVEL_FLAGS == 0, "an order out of the book has no level")
            life.amended = True
        life.price_ticks = event.price_ticks
        life.total_lots, life.open_lots = event.qty_lots, event.leaves_lots

    def _replaced_in_book(self, event: Any, life: Life) -> None:
        """An order in the book kept its place or left it: the level's total tells which."""
        same_price = event.price_ticks in (life.price_ticks, life.rest_ticks)
        may_stay = same_price and event.leaves_lots <= life.open_lots
        part_lots, life.part_lots = life.part_lots, min(life.part_lots, event.leaves_lots)
        kept = self.books.shown_lots(life.instrument, life.side, event.previous_price_ticks)
        stays = may_stay and event.level_lots == kept
        if event.flags & EventFlag.LAST:
            self._expect(same_price, "kept priority, kept price")
            self._expect(event.leaves_lots <= life.open_lots, "more quantity loses priority")
            self._expect(stays, f"the level's orders have {kept} lots")
        if stays:
            life.loose = True
        else:
            life.part_lots = part_lots
            self.books.leave(event.order_id)
            life.amended = True
        self._check_level(event, life.side, event.previous_price_ticks)

    def _triggered(self, event: Any) -> None:
        life = self._live(event.order_id)
        self._check_order(event, life)
        self._expect(life.has_terms and not life.resting, "what wakes has waited")
        self._check_limit(life, event.price_ticks)
        life.price_ticks = event.price_ticks

    # --- two orders --------------------------------------------------------------------------

    def _traded(self, event: Any) -> None:
        self._trades += 1
        self._expect(event.match_id == self._trades, "match ids are dense")
        self._expect(event.qty_lots > 0, "a trade has a quantity")
        taker, maker = self._meet(event)
        self._expect(bool(event.flags & EventFlag.HIDDEN) == maker.hidden, "HIDDEN is the maker's")
        fair = event.qty_lots <= maker.part_lots
        self._expect(fair, "no more trades at a time than an order shows")
        if event.flags & EventFlag.AUCTION:
            self._traded_in_auction(event, taker, maker)
        else:
            taker.open_lots -= event.qty_lots
            self.books.fill(event.maker_order_id, event.qty_lots)
            self._check_level(event, maker.side, event.price_ticks)
        for life, leaves in ((taker, event.leaves_lots), (maker, event.maker_leaves_lots)):
            self._expect(leaves == life.open_lots >= 0, "quantity is conserved")
            life.ended = life.open_lots == 0

    def _traded_in_auction(self, event: Any, buyer: Life, seller: Life) -> None:
        self._expect(event.flags & LEVEL_FLAGS == 0, "an uncross has levels of its own")
        self._expect(event.qty_lots <= buyer.part_lots, "a buyer trades what it shows")
        self._check_limit(seller, event.price_ticks)
        for order_id, life in ((event.order_id, buyer), (event.maker_order_id, seller)):
            assert life.rest_ticks is not None
            self._untold.add((life.instrument, life.side, life.rest_ticks))
            self.books.fill(order_id, event.qty_lots)

    def _prevented(self, event: Any) -> None:
        taker, maker = self._meet(event)
        self._expect(event.match_id == 0, "what did not happen has no number")
        for life, leaves in ((taker, event.leaves_lots), (maker, event.maker_leaves_lots)):
            life.total_lots -= event.qty_lots
            life.open_lots -= event.qty_lots
            life.part_lots = min(life.part_lots, life.open_lots)
            self._expect(leaves == life.open_lots >= 0, "quantity is conserved")
        self._check_level(event, maker.side, event.price_ticks)

    def _meet(self, event: Any) -> tuple[Life, Life]:
        """The orders of a TRADE or PREVENTED, which are the first of their queues."""
        taker, maker = self._live(event.order_id), self._live(event.maker_order_id)
        in_auction = bool(event.flags & EventFlag.AUCTION)
        self._detach(event.order_id, taker)
        self._expect(taker.resting == in_auction and maker.resting, "takers arrive, makers rest")
        self._expect(taker.side == event.side != maker.side, "a trade has two sides")
        self._expect(taker.instrument == event.instrument == maker.instrument, "one instrument")
        self._expect(taker.account == event.account, "the event's account is the taker's")
        self._expect(maker.account == event.maker_account, "maker_account is the maker's")
        fair = in_auction or event.price_ticks == maker.rest_ticks
        self._expect(fair, "trades are at the maker's price")
        self._check_first(event.maker_order_id, maker, event.price_ticks, in_auction)
        if in_auction:
            self._expect(event.side == Side.BUY, "the buyer is named first")
            self._check_first(event.order_id, taker, event.price_ticks, in_auction)
        self._check_limit(taker, event.price_ticks)
        return taker, maker

    def _check_first(self, order_id: int, life: Life, price_ticks: int, in_auction: bool) -> None:
        best = self.books.best(life.instrument, life.side)
        found = life.rest_ticks if in_auction else price_ticks
        self._expect(found == best, f"price priority: {best} is better")
        assert best is not None
        head = self.books.queue(life.instrument, life.side, best)[0]
        self._expect(order_id == head, f"time priority: order {head} came first")

    # --- the venue ---------------------------------------------------------------------------

    def _level_changed(self, event: Any) -> None:
        if event.order_id:
            life = self._live(event.order_id)
            self._check_identity(event, life)
            found = life.pegged and life.rest_ticks == event.price_ticks
            self._expect(found, "a LEVEL of an order is of a peg that leaves")
            self.books.leave(event.order_id)
        else:
            self._expect(bool(event.flags & EventFlag.AUCTION), "a LEVEL of no order is an uncross")
            self._untold.discard((event.instrument, event.side, event.price_ticks))
        self._check_level(event, event.side, event.price_ticks)

    def _phased(self, event: Any) -> None:
        previous = self._phase(event.instrument)
        self._expect(event.previous_phase == previous, "a phase follows the one before")
        self._phases[event.instrument] = Phase(event.phase)

    def _indicated(self, event: Any) -> None:
        bids = self.books.open_lots(event.instrument, Side.BUY, event.price_ticks)
        asks = self.books.open_lots(event.instrument, Side.SELL, event.price_ticks)
        if not self.books.is_crossed(event.instrument):
            bids = asks = 0
        self._expect(event.qty_lots == min(bids, asks), f"{min(bids, asks)} lots are executable")
        self._expect(event.leaves_lots == abs(bids - asks), f"the surplus is {abs(bids - asks)}")
        surplus_side = Side.BUY if bids >= asks else Side.SELL
        self._expect(event.side == surplus_side, "the side is the one with the surplus")

    def _clocked(self, event: Any) -> None:
        self._expect(event.at_ns >= self._clock_ns, "the clock does not go back")
        self._clock_ns = event.at_ns

    def _listed(self, event: Any) -> None:
        if event.order_id == TERM_NUMBERS["tell_top"]:
            self._tops[event.instrument] = NO_TOP if event.qty_lots else None
        if event.order_id == Listing.LIST:
            self._phases[event.instrument] = Phase(event.qty_lots)
        if event.order_id == Listing.DELIST:
            living = [
                order_id
                for order_id, life in self.lives.items()
                if life.instrument == event.instrument and not life.ended
            ]
            self._expect(not living, f"orders {living} outlive their instrument")

    def _was_booked(self, event: Any) -> None:
        life = self._live(event.order_id)
        self._expect(event.price_ticks == life.rest_ticks, "a snapshot has the price")
        self._expect(event.leaves_lots == life.shown_lots > 0, "a snapshot has what is shown")
        self._check_level(event, life.side, event.price_ticks)
        self._booked += 1

    def _done(self, event: Any) -> None:
        if event.flags & EventFlag.SNAPSHOT:
            self._expect(event.qty_lots == self._booked, f"{self._booked} orders were booked")
            self._booked = 0

    # --- rules -------------------------------------------------------------------------------

    def _check_numbers(self, event: Any) -> None:
        self._events += 1
        self._expect(event.sequence == self._events, "eseq is dense")
        self._dseq += self._command_done
        self._expect(event.dseq == self._dseq, "every command has events up to one with LAST")
        self._command_done = bool(event.flags & EventFlag.LAST)

    def _check_identity(self, event: Any, life: Life) -> None:
        found = (event.account, event.instrument, event.side)
        self._expect(found == (life.account, life.instrument, life.side), "the order's own fields")

    def _check_order(self, event: Any, life: Life) -> None:
        self._check_identity(event, life)
        self._expect(event.qty_lots == life.total_lots, "qty_lots is the order's total")
        self._expect(event.leaves_lots == life.open_lots, "quantity is conserved")

    def _check_limit(self, life: Life, price_ticks: int) -> None:
        worse = price_ticks - life.price_ticks
        self._expect((worse if life.side == Side.BUY else -worse) <= 0, "the taker's limit holds")

    def _check_level(self, event: Any, side: int, price_ticks: int) -> None:
        wanted = EventFlag.LEVEL_BID if side == Side.BUY else EventFlag.LEVEL_ASK
        self._expect(event.flags & LEVEL_FLAGS == wanted, "the level flag names the side")
        lots = self.books.shown_lots(event.instrument, side, price_ticks)
        self._expect(event.level_lots == lots, f"the level's orders have {lots} lots")

    def _check_quiet(self, event: Any) -> None:
        """Between two commands."""
        for instrument in self._touched:
            if (told := self._tops.get(instrument)) is not None:
                trades = self._phase(instrument) == Phase.CONTINUOUS
                top = self.books.top(instrument) if trades else NO_TOP
                self._expect(told == top, f"{top} was not told")
            if self._phase(instrument) == Phase.CONTINUOUS:
                bid, ask = (self.books.best(instrument, side) for side in Side)
                self._expect(not self.books.is_crossed(instrument), f"crossed: {bid} >= {ask}")
        self._touched.clear()
        self._expect(not self._untold, f"levels {self._untold} changed and were not told")
        life = self.lives.get(event.order_id)
        if life is not None and not life.has_terms:
            self._expect(life.resting != life.ended, "an order rests or has ended")

    def _phase(self, instrument: int) -> int:
        return self._phases.get(instrument, Phase.CONTINUOUS)

    def _live(self, order_id: int) -> Life:
        self._expect(order_id in self.lives, f"order {order_id} was never accepted")
        self._expect(not self.lives[order_id].ended, f"order {order_id} has ended before")
        return self.lives[order_id]

    def _detach(self, order_id: int, life: Life) -> None:
        """An order that may have kept its place comes again: it had lost it."""
        if life.loose and life.resting and self._is_arriving(order_id):
            self.books.leave(order_id)
            life.amended = True
        life.loose = False

    def _is_arriving(self, order_id: int) -> bool:
        """Whether the event is about an order that is not in the book before it."""
        return self._event.order_id == order_id and not self._event.flags & EventFlag.AUCTION

    def _expect(self, holds: bool, rule: str) -> None:
        if not holds:
            raise AuditError(f"{rule}; violated by {self._event}")
