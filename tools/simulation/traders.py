"""The clients of a simulated venue, with their own record of what they were told.

A trader is a source of commands and all its customers. It lives outside of the venue: a crash of
the machine takes its connection, not its memory. It believes events only as far as the durable
mark, keeps every byte of them, and sends again what had no answer, by the same name.
"""

from collections import deque
from dataclasses import dataclass, field
from random import Random
from struct import Struct
from typing import Any, Final

from engine.messages import (
    COMMAND_CODEC,
    MESSAGE_BYTES,
    Command,
    CommandKind,
    Event,
    EventFlag,
    EventKind,
    TradeEvent,
)
from tools.simulation.wishes import Fields, Live, Wisher
from tools.simulation.worlds import RingView, World

_HEAD: Final = Struct("<q6BHqIIqqqqqqq")
"""The fields that all events have; those of trades behind them."""
_TRADE: Final = Struct("<qqq")

assert _HEAD.size == Event.fields["time_ns"].offset + 8
assert TradeEvent.fields["leaves_lots"].offset == _HEAD.size
assert TradeEvent.fields["maker_leaves_lots"].offset == _HEAD.size + 16

REPEATABLE: Final = (int(CommandKind.NEW), int(CommandKind.FUNDS))
"""Commands whose name makes them the same command when they are sent again."""

_ENDED: Final = (int(EventKind.CANCELED),)


@dataclass(slots=True)
class Ask:
    """A command on its way, until it is answered."""

    fields: Fields
    raw: bytes

    @property
    def name(self) -> bytes:
        """The client's own name for it, by which it may be sent again; empty: it may not."""
        if self.fields["kind"] not in REPEATABLE:
            return b""
        return bytes(self.fields.get("client_order_id", b""))


@dataclass(slots=True)
class Told:
    """Events that a client took from one shard, in a row."""

    shard: int
    first: int
    "Position of the first one."
    raw: bytearray = field(default_factory=bytearray)
    "Whole slots."

    @property
    def end(self) -> int:
        """Position behind the last one."""
        return self.first + len(self.raw) // MESSAGE_BYTES


class Trader:
    """One source of commands, and one reader of all event rings."""

    def __init__(self, world: World, name: str, random: Random) -> None:
        """A client that has sent and heard nothing."""
        self.world, self.random = world, random
        self.number = world.venue.source_number(name)
        self.orders: RingView = world.rings[f"orders.{name}"]
        self.events = [world.rings[ring] for ring in world.topology.event_rings]
        self._readers = [ring.readers.index(name) for ring in self.events]
        self.wisher = Wisher(world.market, random, b"%s-" % name.encode())
        self.budget = 0
        "Wishes that it may still have."
        self.queue: deque[Ask] = deque()
        "Wanted, and not in the ring."
        self.asks: dict[int, Ask] = {}
        "In the ring or beyond, by source sequence."
        self.repeated: list[Ask] = []
        "Named commands that may be sent once more although they were answered."
        self.told: list[Told] = []
        self._now: list[Told] = []
        self.last_dseq = 0
        "The last decision of which it has heard."
        self.answers = 0
        self.repeats = 0
        self.join()

    def join(self) -> None:
        """Begin to hear at the readers' places of the event rings."""
        self._now = []
        for shard, ring in enumerate(self.events):
            self._now.append(Told(shard, ring.words[ring.cursors[self._readers[shard]]]))
        self.told += self._now

    def rejoin(self) -> None:
        """The process of this client is another one, which hears what comes from now on."""
        for ring, reader in zip(self.events, self._readers, strict=True):
            cursor = ring.cursors[reader]
            ring.words[cursor] = ring.words[cursor + ring.seen] = ring.position
        self.join()

    # --- sending -------------------------------------------------------------------------------

    def send(self, repeats: float) -> int:
        """Put something into the order ring; returns how many commands.

        `repeats`: how often a command that was sent before is sent again, for no reason.
        """
        if not self.queue:
            if self.repeated and self.random.random() < repeats:
                known = self.repeated[self.wisher.below(len(self.repeated))]
                self.queue.append(known)
                self.repeats += 1
            elif self.budget > 0:
                for fields in self.wisher.wish():
                    self.budget -= 1
                    self.queue.append(Ask(fields, encoded(fields)))
        sent = 0
        while self.queue and self._offer(self.queue[0]):
            self.queue.popleft()
            sent += 1
        return sent

    def _offer(self, ask: Ask) -> bool:
        """Write and publish one command, if the ring has room."""
        sequence = self.orders.offer(ask.raw)
        if not sequence:
            return False
        self.asks[sequence] = ask
        if ask.name:
            self.repeated.append(ask)
        return True

    def retry(self) -> None:
        """The connection is lost: send again what has a name and no answer, forget the rest."""
        waiting = [ask for _, ask in sorted(self.asks.items())] + list(self.queue)
        self.queue = deque(ask for ask in waiting if ask.name)
        self.asks.clear()

    # --- hearing -------------------------------------------------------------------------------

    def hear(self, most: int) -> int:
        """Take what may be told, at most so many events a shard; returns how many."""
        durable = self.world.durable
        heard = 0
        for shard, ring in enumerate(self.events):
            place = ring.cursors[self._readers[shard]]
            first = ring.words[place]
            end = min(ring.position, first + most)
            if end > first:
                heard += self._take(ring, shard, (first, end), durable)
        return heard

    def _take(self, ring: RingView, shard: int, span: tuple[int, int], durable: int) -> int:
        first, end = span
        raw = ring.copy(first, end - first)
        size = 0
        while size < len(raw):
            head = _HEAD.unpack_from(raw, size)
            if head[15] > durable:
                break
            self._learn(head, raw, size)
            size += MESSAGE_BYTES
        now = self._now[shard]
        assert now.end == first, "a client hears events in a row"
        now.raw += raw[:size]
        count = size // MESSAGE_BYTES
        ring.words[ring.cursors[self._readers[shard]]] = first + count
        return count

    def _learn(self, head: tuple[Any, ...], raw: bytes, at: int) -> None:
        """Remember which orders live, and what has its answer."""
        kind, order_id = head[1], head[11]
        live = self.wisher.live
        self.last_dseq = max(self.last_dseq, head[15])
        if kind == EventKind.TRADE:
            leaves, maker, maker_leaves = _TRADE.unpack_from(raw, at + _HEAD.size)
            if leaves == 0:
                live.pop(order_id, None)
            if maker_leaves == 0:
                live.pop(maker, None)
        elif kind in _ENDED:
            live.pop(order_id, None)
        if head[6] != self.number:
            return
        if kind == EventKind.ACCEPTED:
            ask = self.asks.get(head[16])
            if ask is not None:
                name = ask.fields.get("client_order_id", b"")
                live[order_id] = Live(order_id, head[9], head[10], head[2], head[12], name)
        if head[5] & EventFlag.LAST and self.asks.pop(head[16], None) is not None:
            self.answers += 1


def encoded(fields: Fields) -> bytes:
    """A command's slot."""
    return COMMAND_CODEC.encode(**fields).ljust(MESSAGE_BYTES, b"\0")


assert Command.size == MESSAGE_BYTES
