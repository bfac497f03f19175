"""What the gateway knows of the venue, derived from the event ring alone.

`VenueView.apply` takes every event in order and keeps the orders and the lists of instruments and
accounts.
Nothing here is rendered or sent. What is public of an instrument is kept by `gateway.marketdata`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from engine.config import Config
from engine.durability.history import FINISHED_ORDERS_MAX, Beat, Past, PastOrder, rest
from engine.messages import EventFlag, EventKind, ListKind, RejectReason
from gateway.accounts import Accounts
from gateway.fees import fee_at, fee_of
from gateway.listings import Listings
from gateway.order import (
    CANCELED,
    FILLED,
    HELD,
    IN_BOOK,
    LIST_SIZES,
    OPEN,
    REJECTED,
    WAITING,
    Fill,
    Order,
)

LEVEL_FLAGS: Final = int(EventFlag.LEVEL_BID | EventFlag.LEVEL_ASK)

ORDERS_PER_BEAT: Final = 1024
"""Orders taken over between two signs of life: some tens of milliseconds."""

T = TypeVar("T")


class VenueView:
    """Orders, instruments and accounts of the whole venue."""

    def __init__(self, config: Config) -> None:
        """Before the first event."""
        self.listings = Listings(config)
        self.instruments = self.listings.instruments
        self.accounts = Accounts(config)
        self._assets = config.assets
        self.sequences = [0] * config.venue.shards
        "The last event of each matching shard that was applied."
        self._orders: dict[int, Order] = {}
        self._by_client_id: dict[tuple[int, bytes], Order] = {}
        self._open: dict[int, dict[int, Order]] = {}
        self._finished: deque[Order] = deque()
        self._lists: dict[tuple[int, int], list[Order]] = {}
        "Orders of a list that is not complete yet, by the source that sends it and instrument."
        handlers: dict[EventKind, Callable[[Any], None]] = {
            EventKind.ACCEPTED: self._accepted,
            EventKind.REJECTED: self._rejected,
            EventKind.TRADE: self._traded,
            EventKind.RESTED: self._rested,
            EventKind.CANCELED: self._canceled,
            EventKind.REPLACED: self._replaced,
            EventKind.TRIGGERED: self._triggered,
            EventKind.LEVEL: self._left_level,
            EventKind.PREVENTED: self._prevented,
            EventKind.PHASED: self.listings.phased,
            EventKind.CLOCK: self.listings.clocked,
            EventKind.INSTRUMENT: self.listings.changed,
            EventKind.RULED: self.accounts.ruled,
        }
        self._handlers = {int(kind): handlers.get(kind, self._ignored) for kind in EventKind}

    # --- questions -----------------------------------------------------------------------------

    def order(self, order_id: int) -> Order | None:
        """An order by its engine id, while it is open or remembered."""
        return self._orders.get(order_id)

    def order_of(self, account: int, client_order_id: bytes) -> Order | None:
        """An order by its account's own name for it, while it is open or remembered."""
        return self._by_client_id.get((account, client_order_id))

    def open_orders(self, account: int) -> dict[int, Order]:
        """Open orders of an account by order id, oldest first."""
        return self._open.get(account, {})

    @property
    def open_count(self) -> int:
        """Open orders of all accounts."""
        return len(self._orders) - len(self._finished)

    # --- events --------------------------------------------------------------------------------

    def apply(self, event: Any, shard: int = 0) -> None:
        """Take over one decoded event of a matching shard."""
        before = self.sequences[shard]
        assert event.sequence == before + 1, f"event {event.sequence} after {before}"
        self.sequences[shard] = event.sequence
        self._handlers[event.kind](event)

    def _accepted(self, event: Any) -> None:
        order = Order(event)
        self._remember(order)
        self._open.setdefault(order.account, {})[order.order_id] = order
        if order.place == HELD:
            self._join_list(order, event)

    def _rejected(self, event: Any) -> None:
        # A duplicate carries the id of the first order, a malformed order has none.
        if event.order_id == 0 or event.reason == RejectReason.DUPLICATE_CLIENT_ORDER_ID:
            return
        order = Order(event)
        order.reason = event.reason
        self._remember(order)
        self._finish(order, REJECTED)

    def _traded(self, event: Any) -> None:
        for order_id, leaves in (
            (event.order_id, event.leaves_lots),
            (event.maker_order_id, event.maker_leaves_lots),
        ):
            order = self._orders[order_id]
            order.fill(self._fill_of(event, order))
            order.leaves_lots = leaves
            order.place = IN_BOOK
            order.touch(event)
            if leaves == 0:
                self._end(order, FILLED)
                self._release_followers(order)

    def _fill_of(self, event: Any, order: Order) -> Fill:
        """What a TRADE is for one of its two orders."""
        maker = order.order_id == event.maker_order_id
        kind = self.accounts.kind_of(order.account)
        fee = fee_of(event, maker, order.side, kind, self.instruments[order.instrument])
        return Fill(
            match_id=event.match_id,
            price_ticks=event.price_ticks,
            lots=event.qty_lots,
            maker=maker,
            auction=event.flags & EventFlag.AUCTION != 0,
            fee_units=fee.units,
            fee_asset=self._assets[fee.asset],
        )

    def _rested(self, event: Any) -> None:
        order = self._orders[event.order_id]
        assert order.leaves_lots == event.leaves_lots, "the view lost a fill"
        order.rest(event.price_ticks)
        order.touch(event)

    def _canceled(self, event: Any) -> None:
        order = self._orders[event.order_id]
        assert order.leaves_lots == event.leaves_lots, "the view lost a fill"
        order.reason = event.reason
        order.touch(event)
        self._end(order, CANCELED)

    def _replaced(self, event: Any) -> None:
        order = self._orders[event.order_id]
        in_place = event.flags & LEVEL_FLAGS and event.price_ticks == event.previous_price_ticks
        if not in_place:  # else it is the price at which it rests, which need not be its limit
            order.price_ticks = event.price_ticks
        order.qty_lots = event.qty_lots
        order.leaves_lots = event.leaves_lots
        order.display_lots = event.display_lots
        if event.trigger_ticks:
            order.trigger_ticks = event.trigger_ticks
        order.touch(event)
        assert order.leaves_lots + order.cum_lots == order.qty_lots, "the view lost a fill"

    def _triggered(self, event: Any) -> None:
        order = self._orders[event.order_id]
        order.triggered = True
        order.price_ticks = event.price_ticks
        order.touch(event)

    def _left_level(self, event: Any) -> None:
        if event.order_id:  # a peg; it rests anew at once, or waits for its reference
            order = self._orders[event.order_id]
            order.place = WAITING
            order.touch(event)

    def _prevented(self, event: Any) -> None:
        for order_id, leaves in (
            (event.order_id, event.leaves_lots),
            (event.maker_order_id, event.maker_leaves_lots),
        ):
            order = self._orders[order_id]
            order.leaves_lots = leaves
            order.qty_lots -= event.qty_lots
            order.touch(event)

    def _ignored(self, event: Any) -> None:
        """It changes nothing here: a refused change, a repetition, what an auction would do."""

    # --- lists ---------------------------------------------------------------------------------

    def _join_list(self, order: Order, event: Any) -> None:
        """An order of a list; with the last one the list begins."""
        key = event.source, event.instrument
        held = self._lists.setdefault(key, [])
        if event.list_index == 0:
            held.clear()  # what was there has been cancelled
        held.append(order)
        if event.list_index + 1 < LIST_SIZES[event.list_kind]:
            return
        order_ids = tuple(each.order_id for each in held)
        for each in held:
            each.list_order_ids = order_ids
        entering = held if event.list_kind == ListKind.OCO else held[:1]
        for each in entering:
            each.place = WAITING
        del self._lists[key]

    def _release_followers(self, order: Order) -> None:
        """The first order of a list is filled: those that were held for it enter."""
        for order_id in order.list_order_ids[1:] if order.leads_list else ():
            follower = self._orders.get(order_id)
            if follower is not None and follower.place == HELD:
                follower.place = WAITING

    # --- a late start --------------------------------------------------------------------------

    def take_over(self, pasts: Sequence[Past], beat: Beat = rest) -> None:
        """Begin, instead of with the first event, after those of which `pasts` tells, by shard."""
        assert not any(self.sequences), "take_over: events have been applied"
        self.sequences = [past.sequence for past in pasts]
        self.listings.take_over(pasts)
        self.accounts.take_over(pasts)
        found = (each for past in pasts for each in past.orders())
        kept = {each.order.order_id: each for each in _beating(found, beat)}
        ended = [order_id for past in pasts for order_id in past.ended]
        ended.sort(key=lambda order_id: kept[order_id].order.ended_dseq)
        for order_id in ended[:-FINISHED_ORDERS_MAX]:
            del kept[order_id]  # of several shards these may be more than are remembered
        for order_id in _beating(sorted(kept), beat):
            order = self._restored(kept[order_id])
            self._remember(order)
            if order.state == OPEN:
                self._open.setdefault(order.account, {})[order_id] = order
        self._finished.extend(self._orders[order_id] for order_id in ended[-FINISHED_ORDERS_MAX:])
        for past in pasts:
            for key, order_ids in past.lists.items():
                held = [self._orders.get(order_id) for order_id in order_ids]
                if all(each is not None and each.state == OPEN for each in held):
                    self._lists[key] = [each for each in held if each is not None]

    def _restored(self, past: PastOrder) -> Order:
        """An order with the fills that are kept of it."""
        order = Order.restored(past)
        kind = self.accounts.kind_of(order.account)
        instrument = self.instruments.get(order.instrument)
        for kept in past.fills:
            assert instrument is not None, "an order has traded in no instrument"
            fee = fee_at(kept.fee_rate, kept.price_ticks, kept.lots, order.side, kind, instrument)
            order.remember(
                Fill(
                    match_id=kept.match_id,
                    price_ticks=kept.price_ticks,
                    lots=kept.lots,
                    maker=kept.maker != 0,
                    auction=kept.auction != 0,
                    fee_units=fee.units,
                    fee_asset=self._assets[fee.asset],
                )
            )
        return order

    # --- the table of orders -------------------------------------------------------------------

    def _remember(self, order: Order) -> None:
        self._orders[order.order_id] = order
        if order.client_order_id:
            self._by_client_id[order.account, order.client_order_id] = order

    def _end(self, order: Order, state: int) -> None:
        """An open order ends."""
        mine = self._open[order.account]
        del mine[order.order_id]
        if not mine:
            del self._open[order.account]
        self._finish(order, state)

    def _finish(self, order: Order, state: int) -> None:
        """Keep an ended order, and drop the oldest one when there are too many."""
        order.state = state
        order.leaves_lots = 0
        self._finished.append(order)
        if len(self._finished) <= FINISHED_ORDERS_MAX:
            return
        oldest = self._finished.popleft()
        del self._orders[oldest.order_id]
        key = (oldest.account, oldest.client_order_id)
        if self._by_client_id.get(key) is oldest:  # the id may have been used again since
            del self._by_client_id[key]


def _beating(items: Iterable[T], beat: Beat) -> Iterator[T]:
    """The items, with a sign of life now and then."""
    for count, item in enumerate(items):
        if count % ORDERS_PER_BEAT == 0:
            beat()
        yield item
