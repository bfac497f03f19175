"""One session of an exchange as commands: from market-by-order messages to orders of accounts.

The messages tell what the book did; the commands make the engine do the same by itself. Resting
orders are entered, amended and cancelled by the account that owns them all; each trade is an
aggressive IOC limit order of the other account, at the trade's price and of its quantity, and
whom it meets is up to the engine. `Queues` follows what the engine must do, so the messages that
merely confirm fills are told from those that change something.

Before an auction orders only collect, even if they cross; then the auction is held by phases, and
whom it fills is up to the engine, too (`tools.replay.uncross`).

Two rules come from how exchanges report:
- In one event, orders that are cancelled without a fill go first. Self-match prevention takes a
  resting order away instead of trading with it, but is reported after the trades.
- A trade may need what the messages do not tell beforehand (hidden quantity, implied orders).
  Where the book says one thing and the exchange did another, the trade keeps its reason, and the
  owners put the book right afterwards, so that later trades meet the exchange's book again.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from engine.messages import CommandFlag, CommandKind, OrderType, Phase, Side, TimeInForce
from tools.replay import databento
from tools.replay.auction import Auction, Difference, cross
from tools.replay.databento import Message
from tools.replay.errors import UnsupportedFileError
from tools.replay.plan import CommandList
from tools.replay.queues import Fill, Queues, Resting, follow, place_of

OWNER: Final = 1
"""Number of the account that owns all resting orders."""

TAKER: Final = 2
"""Number of the account that sends the other side of each trade."""


@dataclass(frozen=True)
class Trade:
    """One trade of the exchange and the command that stands for it."""

    message: Message
    command: int
    "Index among the commands; -1 when nothing was sent."
    fills: tuple[Fill, ...]
    "What the exchange filled, in its order, without the aggressor itself."
    foreseen: tuple[Fill, ...]
    "What price-time priority demands on the book as it was published."
    reason: str
    "Why the two differ; empty when they do not, or when nothing in the messages says why."


class Session:
    """Makes the commands, event by event."""

    def __init__(self, hidden: frozenset[int]) -> None:
        """Begin with an empty book; `hidden` are the orders that show only a part."""
        self.queues = Queues()
        self.commands = CommandList()
        self.trades: list[Trade] = []
        self.orders: dict[int, int] = {}
        "The exchange's order id, by index of the command that entered the order."
        self.withdrawn = 0
        "Orders that were cancelled ahead of the trades of their event."
        self._hidden = hidden
        self._collecting = False
        self._names: dict[int, bytes] = {}
        self._entered: Counter[int] = Counter()

    # --- before the session ------------------------------------------------------------------

    def prepare(self, messages: Iterable[Message]) -> None:
        """Follow messages without commands: a snapshot, and whatever precedes the replay."""
        follow(self.queues, messages)

    def enter_all(self) -> None:
        """Enter every order of the prepared book, first in time first at each price."""
        for at, queue in self.queues.queues():
            for order_id, lots in queue.items():
                self._send_new(order_id, at, lots)

    def collect(self) -> None:
        """Let orders collect without trading, until `uncross`."""
        self._send_phase(Phase.PRE_OPEN)
        self._collecting = True

    def uncross(self, event: list[Message]) -> Auction:
        """Hold the auction that the exchange reports in `event`, and begin continuous trading.

        What the engine trades, it finds by itself. Where implied orders made the exchange leave
        other orders than the engine does, their owner puts the book right.
        """
        crossing, exchange = cross(self.queues), self.queues.copy()
        implied = _implied_lots(event, self.queues)
        follow(exchange, event)
        opening = self._send_phase(Phase.OPENING_AUCTION)
        uncross = self._send_phase(Phase.CONTINUOUS)
        self._collecting = False
        self._take(crossing.fills())
        differences = self._reconcile(exchange)
        trades = [message for message in event if message.action == databento.TRADE]
        return Auction(
            exchange_price_ticks=trades[0].price_ticks,
            exchange_volume=sum(trade.lots for trade in trades),
            implied_lots=implied,
            crossing=crossing,
            differences=differences,
            levels=exchange.levels(),
            opening=opening,
            uncross=uncross,
            session=len(self.commands),
        )

    # --- events of the session ---------------------------------------------------------------

    def apply(self, event: list[Message]) -> None:
        """Make the commands of one event."""
        filled = {message.order_id for message in event if message.action == databento.FILL}
        withdrawn = [
            message.order_id
            for message in event
            if message.action == databento.CANCEL
            and message.order_id in self.queues
            and message.order_id not in filled
        ]
        for order_id in withdrawn:
            self._cancel(order_id)
        if any(message.action == databento.TRADE for message in event):
            self.withdrawn += len(withdrawn)
        for position, message in enumerate(event):
            if message.action == databento.TRADE:
                self._trade(message, databento.fills_of(event, position))
        for message in event:
            if message.order_id in withdrawn:
                continue
            if message.action == databento.CANCEL and message.order_id in self.queues:
                self._cancel(message.order_id)
            elif message.action in (databento.ADD, databento.MODIFY):
                self._set(message)

    def _trade(self, trade: Message, reported: list[Message]) -> None:
        """Send a trade's aggressor, and put the book right if the exchange did otherwise."""
        fills = tuple(
            Fill(fill.order_id, fill.lots) for fill in reported if fill.order_id != trade.order_id
        )
        for fill in reported:
            # The aggressor rested before: its owner sends the traded part as the IOC.
            if fill.order_id == trade.order_id and fill.order_id in self.queues:
                left = self.queues.lots(fill.order_id) - fill.lots
                self._shrink(fill.order_id, max(0, left))
        if trade.side is None or not fills:
            reason = "implied: no order of this book was filled"
            self.trades.append(Trade(trade, -1, fills, (), reason))
            return
        foreseen = tuple(self.queues.meets(trade.side, trade.price_ticks, trade.lots))
        command = self.commands.add(
            kind=CommandKind.NEW,
            account=TAKER,
            side=trade.side,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.IOC,
            price_ticks=trade.price_ticks,
            qty_lots=trade.lots,
        )
        reason = ""
        if foreseen == fills:
            self._take(foreseen)
        else:
            reason = self._why(trade, fills, foreseen)
            wanted = self._after(fills, foreseen)
            self._take(foreseen)
            for at, queue in wanted.items():
                self._repair(at, queue)
        self.trades.append(Trade(trade, command, fills, foreseen, reason))

    def _take(self, fills: Iterable[Fill]) -> None:
        """What the engine does when it fills resting orders."""
        for fill in fills:
            self.queues.shrink(fill.order_id, self.queues.lots(fill.order_id) - fill.lots)

    def _why(self, trade: Message, fills: tuple[Fill, ...], foreseen: tuple[Fill, ...]) -> str:
        """What in the messages explains that the exchange did not do what was foreseen."""
        filled_lots = sum(fill.lots for fill in fills)
        if filled_lots < trade.lots:
            return f"implied in part: orders of this book gave {filled_lots} of {trade.lots}"
        hidden = [fill.order_id for fill in fills if fill.order_id in self._hidden]
        if hidden and _is_head(self._shown(fills), self._shown(foreseen)):
            return f"hidden quantity: {', '.join(map(str, hidden))} held more than was shown"
        if sorted(fills) == sorted(foreseen):
            return "the same fills, named in another order"
        return ""

    def _shown(self, fills: tuple[Fill, ...]) -> list[Fill]:
        """The fills of orders that show all they have."""
        return [fill for fill in fills if fill.order_id not in self._hidden]

    # --- putting the book right --------------------------------------------------------------

    def _after(
        self, fills: Iterable[Fill], foreseen: Iterable[Fill]
    ) -> dict[Resting, dict[int, int]]:
        """The queues that either list of fills touches, as the exchange leaves them."""
        touched = [fill.order_id for fill in (*fills, *foreseen) if fill.order_id in self.queues]
        places = dict.fromkeys(map(self.queues.where, touched))
        wanted = {at: self.queues.queue(at) for at in places}
        for fill in fills:
            if fill.order_id in self.queues:
                queue = wanted[self.queues.where(fill.order_id)]
                queue[fill.order_id] -= fill.lots
                if queue[fill.order_id] <= 0:
                    del queue[fill.order_id]
        return wanted

    def _reconcile(self, wanted: Queues) -> tuple[Difference, ...]:
        """Bring the whole book to `wanted`, which is not crossed; returns what was otherwise."""
        places = {at: wanted.queue(at) for book in (self.queues, wanted) for at, _ in book.queues()}
        differences = []
        for at, queue in places.items():
            found = self.queues.queue(at)
            for order_id in found | queue:
                lots = found.get(order_id, 0), queue.get(order_id, 0)
                if lots[0] != lots[1]:
                    differences.append(Difference(at.side, order_id, *lots))
        # All that must go goes first: what comes meets nothing, and an order may have moved.
        for at, queue in places.items():
            for order_id in self.queues.queue(at):
                if order_id not in queue:
                    self._cancel(order_id)
        for at, queue in places.items():
            self._repair(at, queue)
        return tuple(differences)

    def _repair(self, at: Resting, wanted: dict[int, int]) -> None:
        """Bring one queue to what it must be; who stands behind a gap queues up anew."""
        for order_id in self.queues.queue(at):
            if order_id not in wanted:
                self._cancel(order_id)
        found = [*self.queues.queue(at).items()]
        standing = 0
        for (order_id, lots), (found_id, found_lots) in zip(wanted.items(), found, strict=False):
            if order_id != found_id or lots > found_lots:
                break
            self._shrink(order_id, lots)
            standing += 1
        for order_id, _ in found[standing:]:
            self._cancel(order_id)
        for order_id, lots in [*wanted.items()][standing:]:
            self._enter(order_id, at, lots)

    # --- commands of the owner ---------------------------------------------------------------

    def _set(self, message: Message) -> None:
        """Make an order what a message says; nothing to do when the message only confirms."""
        order_id, at = message.order_id, place_of(message)
        if order_id not in self.queues:
            self._refuse_cross(message)
            self._enter(order_id, at, message.lots)
        elif self.queues.where(order_id) == at and message.lots <= self.queues.lots(order_id):
            self._shrink(order_id, message.lots)
        else:
            self._refuse_cross(message)
            self.queues.remove(order_id)
            self.queues.add(order_id, at, message.lots)
            self._send_amend(order_id)

    def _refuse_cross(self, message: Message) -> None:
        side, price_ticks = place_of(message)
        if not self._collecting and self.queues.meets(side, price_ticks, 1):
            raise UnsupportedFileError(
                f"message {message.number}: order {message.order_id} at {price_ticks} ticks would "
                "trade on arrival, but the exchange reports no trade; is there an auction in the "
                "middle of the file?"
            )

    def _enter(self, order_id: int, at: Resting, lots: int) -> None:
        self.queues.add(order_id, at, lots)
        self._send_new(order_id, at, lots)

    def _shrink(self, order_id: int, lots: int) -> None:
        if lots == 0:
            self._cancel(order_id)
        elif lots < self.queues.lots(order_id):
            self.queues.shrink(order_id, lots)
            self._send_amend(order_id)

    def _cancel(self, order_id: int) -> None:
        self.queues.remove(order_id)
        self.commands.add(
            kind=CommandKind.CANCEL, account=OWNER, client_order_id=self._names.pop(order_id)
        )

    def _send_new(self, order_id: int, at: Resting, lots: int) -> None:
        # An order that comes back is a new order to the engine: its name must be new, too.
        self._entered[order_id] += 1
        name = f"{order_id}.{self._entered[order_id]}".encode()
        self._names[order_id] = name
        command = self.commands.add(
            kind=CommandKind.NEW,
            account=OWNER,
            side=at.side,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            price_ticks=at.price_ticks,
            qty_lots=lots,
            client_order_id=name,
        )
        self.orders[command] = order_id

    def _send_phase(self, phase: Phase) -> int:
        return self.commands.add(kind=CommandKind.PHASE, flags=CommandFlag.TERMS, phase=phase)

    def _send_amend(self, order_id: int) -> None:
        at = self.queues.where(order_id)
        self.commands.add(
            kind=CommandKind.AMEND,
            account=OWNER,
            side=at.side,
            flags=CommandFlag.LEAVES,
            price_ticks=at.price_ticks,
            qty_lots=self.queues.lots(order_id),
            client_order_id=self._names[order_id],
        )


def _implied_lots(event: list[Message], queues: Queues) -> tuple[int, int]:
    """Lots that an auction's buyers and sellers traded without an order of this book."""
    lots = [0, 0]
    for message in event:
        if message.action == databento.TRADE:
            lots = [side + message.lots for side in lots]
    for message in event:
        if message.action == databento.FILL and message.order_id in queues:
            lots[queues.where(message.order_id).side] -= message.lots
    return lots[Side.BUY], lots[Side.SELL]


def _is_head(fills: list[Fill], foreseen: list[Fill]) -> bool:
    """Whether `fills` are the first of `foreseen`; the last of them may be smaller."""
    if not fills:
        return True
    *whole, last = fills
    head = foreseen[: len(fills)]
    if len(head) < len(fills) or head[:-1] != whole:
        return False
    return head[-1].order_id == last.order_id and last.lots <= head[-1].lots
