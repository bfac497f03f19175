"""What has happened, by the journal alone: every decision done again from the very first.

A replica follows the journal of the venue while that runs, and its events fill the tables here. No
process of the venue takes part: what a client was told must be found here, or it was not true.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.durability.datadir import attach
from engine.durability.file_storage import FileStorage
from engine.durability.pursuit import Pursuit
from engine.messages import MESSAGE_BYTES, EventKind, Side, decode_event
from tools.torture.errors import TortureFailed

FROM_GENESIS = 0
"""The snapshot to begin with."""


@dataclass(slots=True)
class TrueOrder:
    """An order that was accepted."""

    account: int
    client_order_id: str
    instrument: int
    side: int
    lots: int
    filled: int = 0
    open: bool = True


@dataclass(slots=True)
class Match:
    """A trade: both orders, how many lots, at which price."""

    taker: int
    maker: int
    lots: int
    price_ticks: int


class Truth:
    """Tables that follow from the journal as far as it was followed."""

    def __init__(self, data: Path) -> None:
        """Stand before the first decision of a data folder."""
        self.orders: dict[int, TrueOrder] = {}
        self.names: dict[tuple[int, str], int] = {}
        "Order ids by account and client order id."
        self.matches: dict[int, Match] = {}
        self.duplicates: list[str] = []
        "Trades that were made twice: a number that had been given, or lots that were not there."
        self.owned: dict[tuple[int, int], int] = {}
        "Lots bought less lots sold, by account and instrument."
        self.paid: dict[int, int] = {}
        "Ticks times lots received less paid, by account."
        self._folder = attach(data)
        self._storage = FileStorage(data, 0)
        self._pursuit: Pursuit | None = None
        self._handlers = {
            int(EventKind.ACCEPTED): self._accepted,
            int(EventKind.TRADE): self._traded,
            int(EventKind.CANCELED): self._canceled,
            int(EventKind.REPLACED): self._replaced,
        }

    def follow(self, durable: int | None, until: int | None = None) -> None:
        """Do again what is new up to decision `durable`; None: nobody writes, go to the end.

        Raises Diverged, and the errors of the journal: all of them say that it must not be so.
        """
        if self._pursuit is None:
            pursuit = self._pursuit = Pursuit(self._folder, self._storage, durable, FROM_GENESIS)
            pursuit.replica.send_events_to(self._take)
        replica = self._pursuit.replica
        for _ in self._pursuit.follow(durable, until):
            if self._pursuit.replica is not replica:
                raise TortureFailed("a decision was skipped: kills from outside are no reason")

    @property
    def dseq(self) -> int:
        """The last decision that was done again."""
        return 0 if self._pursuit is None else self._pursuit.dseq

    @property
    def state_hash(self) -> int:
        """The hash over all events up to there."""
        assert self._pursuit is not None
        (found,) = self._pursuit.replica.state_hashes
        return found

    def free(self) -> None:
        """Give memory and files back."""
        if self._pursuit is not None:
            self._pursuit.free()
        self._storage.close()

    def open_orders(self, account: int) -> dict[int, TrueOrder]:
        """What rests for an account."""
        return {
            order_id: order
            for order_id, order in self.orders.items()
            if order.open and order.account == account
        }

    # --- events ----------------------------------------------------------------------------------

    def _take(self, shard: int, raw: memoryview) -> None:
        assert shard == 0, "the venue of a torture has one matching shard"
        for start in range(0, len(raw), MESSAGE_BYTES):
            event = decode_event(raw, start)
            handler = self._handlers.get(event.kind)
            if handler is not None:
                handler(event)

    def _accepted(self, event: Any) -> None:
        order_id, name = event.order_id, event.client_order_id.rstrip(b"\0").decode()
        key = (event.account, name)
        if name and key in self.names:
            self.duplicates.append(f"order {name} of account {key[0]} was accepted twice")
        self.names[key] = order_id
        self.orders[order_id] = TrueOrder(
            event.account, name, event.instrument, event.side, event.qty_lots
        )

    def _traded(self, event: Any) -> None:
        match = Match(event.order_id, event.maker_order_id, event.qty_lots, event.price_ticks)
        if event.match_id in self.matches:
            self.duplicates.append(f"match {event.match_id} was made twice")
        self.matches[event.match_id] = match
        sign = 1 if event.side == Side.BUY else -1
        for order_id, direction, leaves in (
            (match.taker, sign, event.leaves_lots),
            (match.maker, -sign, event.maker_leaves_lots),
        ):
            order = self.orders[order_id]
            order.filled += match.lots
            if order.filled + leaves != order.lots:
                self.duplicates.append(
                    f"match {event.match_id}: order {order_id} of {order.lots} has filled "
                    f"{order.filled} and leaves {leaves}"
                )
            order.open = leaves > 0
            key = (order.account, order.instrument)
            self.owned[key] = self.owned.get(key, 0) + direction * match.lots
            worth = direction * match.lots * match.price_ticks
            self.paid[order.account] = self.paid.get(order.account, 0) - worth

    def _canceled(self, event: Any) -> None:
        self.orders[event.order_id].open = False

    def _replaced(self, event: Any) -> None:
        order = self.orders[event.order_id]
        order.lots = order.filled + event.leaves_lots
