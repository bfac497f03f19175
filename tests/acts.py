"""What traders do: each act writes one command at a desk, or the few that belong together.

An act asks its trader for every choice in small whole numbers, so that the same acts serve
streams drawn by Hypothesis (`streams`), where 0 is the simplest choice, and long ones by seed
(`bulk_streams`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from engine.messages import CommandFlag, CommandKind, OrderType, Side, TimeInForce
from tests.desk import Desk, Live

Choice = TypeVar("Choice")

STRANGER = 4_000
"""An account that no market has."""

INT64 = (-(1 << 63), (1 << 63) - 1)

GTC, IOC, FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK
TIMES = (GTC, IOC, FOK)


class Trader(ABC):
    """Who acts at a desk: makes the choices of acts."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @abstractmethod
    def below(self, count: int) -> int:
        """A number from 0 to count - 1."""

    @abstractmethod
    def price(self, instrument: int, side: int, toward: int) -> int:
        """A price: behind the middle of the market for `toward` 1, across it for -1."""

    @abstractmethod
    def lots(self) -> int:
        """A quantity."""

    @abstractmethod
    def extras(self, order: dict[str, Any]) -> dict[str, Any]:
        """What an order may have beside what its act says."""

    def choice(self, items: Sequence[Choice]) -> Choice:
        """One of some items."""
        return items[self.below(len(items))]

    def chance(self, percent: int) -> bool:
        """True so often; the highest numbers mean true."""
        return self.below(100) >= 100 - percent

    def account(self) -> int:
        """Who trades."""
        return self.choice(self.desk.market.accounts)

    def instrument(self) -> int:
        """What is traded: the first instruments more often."""
        count = len(self.desk.market.instruments)
        return min(self.below(count), self.below(count)) if count > 1 else 0

    def pick(self) -> Live | None:
        """A live order; forgets dead ones that it meets."""
        ids, live = self.desk.ids, self.desk.resting
        while ids:
            place = self.below(len(ids))
            order = live.get(ids[place])
            if order is not None:
                return order
            ids[place] = ids[-1]
            ids.pop()
        return None

    def order(self, toward: int = 1, **fields: Any) -> dict[str, Any]:
        """The fields of a new order."""
        made = {"account": self.account(), "instrument": self.instrument()}
        made["side"] = self.below(2)
        made |= {"qty_lots": self.lots()} | fields
        if "price_ticks" not in made:
            made["price_ticks"] = self.price(made["instrument"], made["side"], toward)
        return made

    def place(self, toward: int = 1, **fields: Any) -> None:
        """Send a new order."""
        self.desk.new(**self.extras(self.order(toward, **fields)))


Act = Callable[[Trader], None]

ACTS: dict[str, Act] = {}


def act(write: Act) -> Act:
    """Register a way to write a command under its name."""
    ACTS[write.__name__] = write
    return write


@act
def passive(trader: Trader) -> None:
    trader.place(1)


@act
def crossing(trader: Trader) -> None:
    trader.place(-1)


@act
def named(trader: Trader) -> None:
    trader.place(1, client_order_id=b"c%d" % trader.below(64))


@act
def immediate(trader: Trader) -> None:
    trader.place(-1, time_in_force=trader.choice((IOC, FOK)))


@act
def market(trader: Trader) -> None:
    trader.place(-1, order_type=OrderType.MARKET, time_in_force=trader.choice(TIMES))


@act
def post_only(trader: Trader) -> None:
    trader.place(-1 if trader.chance(30) else 1, flags=int(CommandFlag.POST_ONLY))


@act
def sweep(trader: Trader) -> None:
    """An order that goes through many levels."""
    trader.place(-20, time_in_force=IOC, qty_lots=1 + trader.below(1 << 14))


@act
def large(trader: Trader) -> None:
    """An order that sweeps the book, or a level that grows very high."""
    trader.place(-1, qty_lots=trader.desk.market.lots_max if trader.below(2) else 20)


@act
def cancel(trader: Trader) -> None:
    order = trader.pick()
    if order is None:
        trader.place()
    else:
        trader.desk.cancel(order)


@act
def amend(trader: Trader) -> None:
    order = trader.pick()
    if order is None:
        trader.place()
        return
    price = trader.price(order.instrument, order.side, 1)
    if trader.below(2):
        price = order.price_ticks + trader.choice((0, 1, -1, 2, -2, 7, -7))
    flags = trader.choice((0, 0, 2, 2, 4, 6, 1))
    trader.desk.amend(order, price, trader.lots(), flags)


@act
def resize(trader: Trader) -> None:
    """Amend the quantity only, around what is open."""
    order = trader.pick()
    if order is None:
        trader.place()
        return
    lots = order.total_lots + trader.choice((-1, 0, 3, -2, -4))
    flags = trader.choice((0, 0, int(CommandFlag.LEAVES)))
    trader.desk.amend(order, order.price_ticks, max(1, lots), flags)


@act
def change_by_name(trader: Trader) -> None:
    desk = trader.desk
    if not desk.names:
        named(trader)
        return
    account, instrument, name = trader.choice(desk.names[-40:])
    _change(trader, account, instrument, client_order_id=name)


@act
def change_any(trader: Trader) -> None:
    """An order id that may be dead, another's, of another instrument, or only come to be later."""
    accounts = [*trader.desk.market.accounts, STRANGER]
    _change(trader, trader.choice(accounts), trader.instrument(), order_id=trader.below(41) - 1)


def _change(trader: Trader, account: int, instrument: int, **names: Any) -> None:
    """A cancel or an amendment of whatever order the names stand for."""
    fields: dict[str, Any] = {"account": account, "instrument": instrument} | names
    kind = trader.choice((CommandKind.CANCEL, CommandKind.AMEND))
    if kind == CommandKind.AMEND:
        fields["price_ticks"] = trader.price(instrument, trader.below(2), 1)
        fields["qty_lots"] = trader.lots()
    trader.desk.send(kind, **fields)


@act
def wrong(trader: Trader) -> None:
    """A command that must be refused, mostly."""
    desk = trader.desk
    order = trader.pick()
    kinds = (CommandKind.CANCEL, CommandKind.AMEND, CommandKind.NEW, 99)
    instrument = trader.below(len(desk.market.instruments) + 1)
    middle = trader.price(0, Side.BUY, 1)
    fields: dict[str, Any] = {
        "side": trader.below(3),
        "order_type": trader.below(5),
        "time_in_force": trader.below(10),
        "flags": trader.choice((0, 0, 0, 1, 2, 4, 8)),
        "account": trader.choice((*desk.market.accounts, STRANGER)),
        "instrument": instrument,
        "order_id": order.order_id if order and trader.chance(30) else trader.below(99),
        "price_ticks": trader.choice((middle, *INT64)),
        "qty_lots": trader.choice((0, 1, 5, -1, *INT64)),
    }
    desk.send(trader.choice(kinds), **fields)
