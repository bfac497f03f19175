"""A judge of event streams that knows no matching rules beyond what the events themselves claim.

It rebuilds the books from events alone, as a reader of level 3 market data would, and raises
AuditError when the stream contradicts itself: numbers not dense, a trade that jumps the queue, a
level total that is not the sum of its orders, quantity made or lost, a book left crossed, an
order that ends twice.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from engine.messages import EventFlag, EventKind, OrderType, Side, TimeInForce

LEVEL_FLAGS = EventFlag.LEVEL_BID | EventFlag.LEVEL_ASK


class AuditError(AssertionError):
    """The events contradict each other; the message names the event and the rule."""


@dataclass
class Life:
    """One order from ACCEPTED to its end, as the events tell it."""

    account: int
    instrument: int
    side: int
    price_ticks: int
    total_lots: int
    open_lots: int
    resting: bool = False
    ended: bool = False


class Audit:
    """Feed it every event of a venue, in order."""

    def __init__(self) -> None:
        """Empty books."""
        self.lives: dict[int, Life] = {}
        self.queues: dict[tuple[int, int], dict[int, list[int]]] = {}
        self.kinds: Counter[EventKind] = Counter()
        self._events = 0
        self._trades = 0
        self._dseq = 0
        self._command_done = True
        self._event: Any = None

    def apply(self, events: list[Any]) -> None:
        """Check the next events."""
        for event in events:
            self._event = event
            self._check_numbers(event)
            kind = EventKind(event.kind)
            self.kinds[kind] += 1
            if kind == EventKind.ACCEPTED:
                self._accepted(event)
            elif kind == EventKind.TRADE:
                self._traded(event)
            elif kind == EventKind.RESTED:
                self._rested(event)
            elif kind == EventKind.CANCELED:
                self._canceled(event)
            elif kind == EventKind.REPLACED:
                self._replaced(event)
            else:
                self._expect(event.reason != 0, "a rejection has a reason")
                self._expect(event.flags & LEVEL_FLAGS == 0, "a rejection changes no level")
            if event.flags & EventFlag.LAST:
                self._check_quiet(event)

    def check_finished(self) -> None:
        """Nothing may be missing at the end of a run."""
        self._expect(self._command_done, "the last command has no event with LAST")

    # --- events ------------------------------------------------------------------------------

    def _accepted(self, event: Any) -> None:
        self._expect(event.order_id not in self.lives, "an order id is used once")
        self._expect(event.order_id > 0 and event.qty_lots > 0, "an order has an id and a quantity")
        life = Life(
            event.account,
            event.instrument,
            event.side,
            event.price_ticks,
            event.qty_lots,
            event.qty_lots,
        )
        self.lives[event.order_id] = life
        if event.flags & LEVEL_FLAGS:
            self._enter(event, life)

    def _traded(self, event: Any) -> None:
        taker, maker = self._live(event.order_id), self._live(event.maker_order_id)
        self._trades += 1
        self._expect(event.match_id == self._trades, "match ids are dense")
        self._expect(event.qty_lots > 0, "a trade has a quantity")
        self._expect(not taker.resting and maker.resting, "takers arrive, makers rest")
        self._expect(taker.side == event.side != maker.side, "a trade has two sides")
        self._expect(taker.instrument == event.instrument == maker.instrument, "one instrument")
        self._expect(taker.account == event.account, "the event's account is the taker's")
        self._expect(maker.account == event.maker_account, "maker_account is the maker's")
        self._expect(event.price_ticks == maker.price_ticks, "trades are at the maker's price")
        best = self._best(event.instrument, maker.side)
        self._expect(event.price_ticks == best, f"price priority: {best} is better")
        head = self._queue(event.instrument, maker.side, best)[0]
        self._expect(event.maker_order_id == head, f"time priority: order {head} came first")
        worse = event.price_ticks - taker.price_ticks
        self._expect((worse if taker.side == Side.BUY else -worse) <= 0, "the taker's limit holds")
        for life, leaves in ((taker, event.leaves_lots), (maker, event.maker_leaves_lots)):
            life.open_lots -= event.qty_lots
            self._expect(leaves == life.open_lots >= 0, "quantity is conserved")
        if maker.open_lots == 0:
            self._leave(event.maker_order_id, maker)
            maker.ended = True
        taker.ended = taker.open_lots == 0
        self._check_level(event, maker.side, event.price_ticks)

    def _rested(self, event: Any) -> None:
        life = self._live(event.order_id)
        self._check_identity(event, life)
        self._expect(event.qty_lots == life.total_lots, "qty_lots is the order's total")
        self._expect(event.leaves_lots == life.open_lots > 0, "quantity is conserved")
        self._expect(event.price_ticks == life.price_ticks, "an order rests at its price")
        self._enter(event, life)

    def _canceled(self, event: Any) -> None:
        life = self._live(event.order_id)
        self._check_identity(event, life)
        self._expect(event.reason != 0, "an end has a reason")
        self._expect(event.qty_lots == life.total_lots, "qty_lots is the order's total")
        self._expect(event.leaves_lots == life.open_lots > 0, "quantity is conserved")
        self._expect(event.price_ticks == life.price_ticks, "price_ticks is the order's")
        if life.resting:
            self._leave(event.order_id, life)
            self._check_level(event, life.side, life.price_ticks)
        else:
            self._expect(event.flags & LEVEL_FLAGS == 0, "an order that never rested has no level")
        life.ended = True

    def _replaced(self, event: Any) -> None:
        life = self._live(event.order_id)
        self._check_identity(event, life)
        self._expect(life.resting, "only a resting order is amended")
        self._expect(event.previous_price_ticks == life.price_ticks, "previous price")
        filled = life.total_lots - life.open_lots
        self._expect(event.qty_lots - event.leaves_lots == filled, "what was filled stays filled")
        self._expect(event.leaves_lots > 0, "an amended order has open quantity")
        if not event.flags & EventFlag.LAST:
            self._leave(event.order_id, life)
        else:
            self._expect(event.price_ticks == life.price_ticks, "kept priority, kept price")
            self._expect(event.leaves_lots <= life.open_lots, "more quantity loses priority")
        life.total_lots, life.open_lots = event.qty_lots, event.leaves_lots
        life.price_ticks = event.price_ticks
        self._check_level(event, life.side, event.previous_price_ticks)

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

    def _check_level(self, event: Any, side: int, price_ticks: int) -> None:
        wanted = EventFlag.LEVEL_BID if side == Side.BUY else EventFlag.LEVEL_ASK
        self._expect(event.flags & LEVEL_FLAGS == wanted, "the level flag names the side")
        queue = self.queues.get((event.instrument, side), {}).get(price_ticks, [])
        lots = sum(self.lives[order_id].open_lots for order_id in queue)
        self._expect(event.level_lots == lots, f"the level's orders have {lots} lots")

    def _check_quiet(self, event: Any) -> None:
        """Between two commands."""
        bid, ask = (self._best(event.instrument, side) for side in Side)
        self._expect(bid is None or ask is None or bid < ask, f"crossed: {bid} >= {ask}")
        life = self.lives.get(event.order_id)
        if life is not None:
            self._expect(life.resting != life.ended, "an order rests or has ended")

    # --- books -------------------------------------------------------------------------------

    def _live(self, order_id: int) -> Life:
        self._expect(order_id in self.lives, f"order {order_id} was never accepted")
        self._expect(not self.lives[order_id].ended, f"order {order_id} has ended before")
        return self.lives[order_id]

    def _queue(self, instrument: int, side: int, price_ticks: int | None) -> list[int]:
        assert price_ticks is not None
        return self.queues.setdefault((instrument, side), {}).setdefault(price_ticks, [])

    def _best(self, instrument: int, side: int) -> int | None:
        prices = self.queues.get((instrument, side), {})
        if not prices:
            return None
        return max(prices) if side == Side.BUY else min(prices)

    def _enter(self, event: Any, life: Life) -> None:
        may_rest = (OrderType.LIMIT, TimeInForce.GTC)
        self._expect((event.order_type, event.time_in_force) == may_rest, "only LIMIT GTC rests")
        self._expect(not life.resting, "an order rests once at a time")
        self._queue(life.instrument, life.side, life.price_ticks).append(event.order_id)
        life.resting = True
        self._check_level(event, life.side, life.price_ticks)

    def _leave(self, order_id: int, life: Life) -> None:
        queue = self._queue(life.instrument, life.side, life.price_ticks)
        queue.remove(order_id)
        if not queue:
            del self.queues[life.instrument, life.side][life.price_ticks]
        life.resting = False

    def _expect(self, holds: bool, rule: str) -> None:
        if not holds:
            raise AuditError(f"{rule}; violated by {self._event}")
