"""Other matching engines for Python, driven over the same messages as ours.

Each peer is called once a message, as its interface has it; making its order objects is part of
the call. What can be seen of a peer, its trades or what rests in its book at the end, must be as
many as ours. Peers do less than ours: no acknowledgements are kept, and there is no ring to or
from them.
"""

import importlib
import importlib.metadata
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from engine.messages import CommandKind, Side, TimeInForce
from engine.topology import usable_cores
from tools.bench.plain_book import Message, PlainBook
from tools.bench.undisturbed import undisturbed

CHUNK: Final = 2000
"""Messages between two looks at the clock while finding out how fast a peer is."""

SYMBOL: Final = "X"


class Player(Protocol):
    """An engine with an empty book."""

    def play(self, messages: list[Message]) -> None:
        """Execute messages in order."""

    def trade_count(self) -> int | None:
        """Trades so far, one for each resting order that was hit; None when they are not shown."""

    def resting_count(self) -> int | None:
        """Orders in the book now; None when they are not shown."""


@dataclass(frozen=True, slots=True)
class Peer:
    """An engine to compare with."""

    name: str
    about: str
    "What it is, with its version."
    make: Callable[[], Player]


@dataclass(frozen=True, slots=True)
class Performance:
    """One pass of a peer, and what it shows of what it did."""

    msgs_per_s: float
    trades: int | None
    resting: int | None


class _Plain(PlainBook):
    def trade_count(self) -> int:
        return len(self.trades)

    def resting_count(self) -> int:
        return len(self.orders)


class _LightMatchingEngine:
    """Pure Python from PyPI. It numbers orders itself and forgets to forget filled ones."""

    def __init__(self, module: Any) -> None:
        self.engine = module.LightMatchingEngine()
        self.sides = {Side.BUY: module.Side.BUY, Side.SELL: module.Side.SELL}
        self.own_ids: dict[int, int] = {}
        self.trades = 0

    def play(self, messages: list[Message]) -> None:
        for kind, side, rests, order_id, price, lots in messages:
            if kind == CommandKind.NEW:
                self.new(order_id, side, price, lots, rests)
            elif self.cancel(order_id) and kind == CommandKind.AMEND:
                self.new(order_id, side, price, lots, True)

    def new(self, order_id: int, side: int, price: int, lots: int, rests: bool) -> None:
        order, trades = self.engine.add_order(SYMBOL, price, lots, self.sides[Side(side)])
        # It reports a trade of the taker for each level besides those of the makers.
        self.trades += sum(trade.order_id != order.order_id for trade in trades)
        if rests:
            self.own_ids[order_id] = order.order_id
        elif order.leaves_qty:
            self.engine.cancel_order(order.order_id, SYMBOL)

    def cancel(self, order_id: int) -> bool:
        own_id = self.own_ids.pop(order_id, None)
        if own_id is None:
            return False
        try:
            return self.engine.cancel_order(own_id, SYMBOL) is not None
        except AssertionError:  # its way to say that a filled order's level is gone
            return False

    def trade_count(self) -> int:
        return self.trades

    def resting_count(self) -> None:
        return None  # only a total of quantities could be had


class _Liquibook:
    """C++ behind a SWIG interface, which reports to a listener; without one, fills are not seen."""

    def __init__(self, module: Any) -> None:
        self.listener = _listener(module)
        self.book = module.DepthOrderBook()
        self.book.set_symbol(SYMBOL)
        self.book.set_order_listener(self.listener)
        self.order, self.at_once = module.SimpleOrder, module.oc_immediate_or_cancel
        self.orders: dict[int, Any] = {}

    def play(self, messages: list[Message]) -> None:
        for kind, side, rests, order_id, price, lots in messages:
            if kind == CommandKind.NEW:
                self.new(order_id, side, price, lots, rests)
            elif self.cancel(order_id) and kind == CommandKind.AMEND:
                self.new(order_id, side, price, lots, True)

    def new(self, order_id: int, side: int, price: int, lots: int, rests: bool) -> None:
        if rests:
            order = self.orders[order_id] = self.order(side == Side.BUY, price, lots)
            self.book.add(order)
        else:
            self.book.add(self.order(side == Side.BUY, price, lots, 0, self.at_once), self.at_once)

    def cancel(self, order_id: int) -> bool:
        order = self.orders.pop(order_id, None)
        if order is None:
            return False
        before = self.listener.cancels
        self.book.cancel(order)
        return bool(self.listener.cancels > before)

    def trade_count(self) -> int:
        return int(self.listener.fills)

    def resting_count(self) -> None:
        return None  # its containers are not open to Python


def _listener(module: Any) -> Any:
    """Liquibook's order listener, which must define all calls; it counts two kinds."""

    class Listener(module.OrderListener):  # type: ignore[misc]
        fills = cancels = 0

        def on_fill(self, maker: Any, taker: Any, lots: int, price: int) -> None:
            self.fills += 1

        def on_cancel(self, order: Any) -> None:
            self.cancels += 1

        def ignore(self, *what: Any) -> None:
            pass

        on_accept = on_reject = on_cancel_reject = ignore
        on_replace = on_replace_reject = on_trigger_stop = ignore

    return Listener()


class _LimitOrderBook:
    """C++ called by ctypes. It knows no IOC and tells no trades."""

    def __init__(self, module: Any) -> None:
        self.book = module.LimitOrderBook()

    def play(self, messages: list[Message]) -> None:
        book = self.book
        for kind, side, rests, order_id, price, lots in messages:
            if kind == CommandKind.NEW:
                book.limit(side == Side.BUY, order_id, lots, price)
                if not rests and book.has(order_id):
                    book.cancel(order_id)
            elif book.has(order_id):  # to cancel an unknown order ends the process
                book.cancel(order_id)
                if kind == CommandKind.AMEND:
                    book.limit(side == Side.BUY, order_id, lots, price)

    def trade_count(self) -> None:
        return None

    def resting_count(self) -> int:
        return int(self.book.count())


_PACKAGES: Final[dict[str, tuple[str, str, Callable[[Any], Player]]]] = {
    "liquibook": ("liquibook", "C++ through SWIG", _Liquibook),
    "lightmatchingengine": (
        "lightmatchingengine.lightmatchingengine",
        "pure Python",
        _LightMatchingEngine,
    ),
    "limit-order-book": (
        "limit_order_book.limit_order_book",
        "C++ through ctypes",
        _LimitOrderBook,
    ),
}
"""Distribution: module, what it is, how it is driven."""


def available() -> tuple[list[Peer], dict[str, str]]:
    """The peers that are here, and for each that is not the reason."""
    peers = [Peer("plain_python", "dicts, deques and bisect, tools/bench/plain_book.py", _Plain)]
    absent = {}
    for name, (module_name, about, player) in _PACKAGES.items():
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            absent[name] = f"not installed ({error}): pip install okimi[peers]"
            continue
        version = importlib.metadata.version(name)
        peers.append(Peer(name, f"{about}, {version}", _maker(player, module)))
    return peers, absent


def _maker(player: Callable[[Any], Player], module: Any) -> Callable[[], Player]:
    return lambda: player(module)


def messages_of(decisions: Any) -> list[Message]:
    """A stream of decisions on one book as what peers are called with."""
    rests = decisions["time_in_force"] == TimeInForce.GTC
    columns = [decisions[name] for name in ("kind", "side")]
    columns += [rests] + [decisions[name] for name in ("order_id", "price_ticks", "qty_lots")]
    return list(zip(*(column.tolist() for column in columns), strict=True))


def count_within(peer: Peer, messages: list[Message], seconds: float) -> int:
    """How many messages, from the first on, the peer executes in about `seconds`."""
    player = peer.make()
    began = time.perf_counter()
    done = 0
    while done < len(messages) and time.perf_counter() - began < seconds:
        player.play(messages[done : done + CHUNK])
        done += CHUNK
    return min(done, len(messages))


def measure(peer: Peer, messages: list[Message]) -> Performance:
    """One pass on an empty book."""
    player = peer.make()
    with undisturbed(usable_cores()[-1]):
        began = time.perf_counter()
        player.play(messages)
        seconds = time.perf_counter() - began
    return Performance(len(messages) / seconds, player.trade_count(), player.resting_count())
