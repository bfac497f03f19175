"""Streams of commands for tests, drawn by Hypothesis, which shrinks what fails.

A stream is written at a desk: a naive venue that is fed while the next command is chosen, so
that cancels and amendments mostly hit orders that live, and some hit orders that are dead,
foreign or not yet born. A stream carries the naive venue's events: what any other venue must
answer to the same commands. `bulk_streams` writes long ones by seed.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from engine.limits import CHUNK_TICKS, ORDERS_MAX, PRICE_TICKS_MAX, QTY_LOTS_MAX
from engine.messages import Command as EngineCommand
from engine.messages import CommandFlag, CommandKind, OrderType, TimeInForce
from ipc.record import numpy_dtype
from tests.twin import Command, Event, Instrument
from tests.twin.market import QUOTE, Market, rich
from tests.twin.matching import Order

STRANGER = 4_000
"""An account that no market has."""

INT64 = (-(1 << 63), (1 << 63) - 1)

GTC, IOC, FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK


class Stream:
    """Commands for one market, and what the naive venue made of them."""

    def __init__(self, market: Market, commands: list[Command], events: list[Event]) -> None:
        self.market = market
        self.commands = commands
        self.events = events

    def __repr__(self) -> str:
        """Short: Hypothesis prints the steps that wrote the stream."""
        return f"<{len(self.commands)} commands, {len(self.events)} events>"


def as_array(commands: list[Command]) -> Any:
    """The commands as a structured array of the engine's layout."""
    columns = np.zeros(len(commands), dtype=numpy_dtype(EngineCommand))
    for name in Command._fields:
        columns[name] = [getattr(command, name) for command in commands]
    return columns


class Desk:
    """Where a stream is written: knows what rests now, what was ever sent, and who owns it."""

    def __init__(self, market: Market) -> None:
        """An empty market."""
        self.market = market
        self.venue = market.venue()
        self.commands: list[Command] = []
        self.events: list[Event] = []
        self.names: list[tuple[int, int, bytes]] = []
        "Account, instrument and client order id of orders that had one."
        self._sent: Counter[int] = Counter()

    def send(self, kind: int, **fields: Any) -> None:
        """Write the next command of its source and see what the naive venue answers."""
        source = fields.get("source", 0)
        self._sent[source] += 1
        command = Command(self._sent[source], kind, **fields)
        self.commands.append(command)
        self.events += self.venue.submit(command)

    def new(self, account: int, instrument: int, **fields: Any) -> None:
        """Send a limit order, good till cancelled unless `fields` say otherwise."""
        if fields.get("client_order_id"):
            self.names.append((account, instrument, fields["client_order_id"]))
        kinds = {"order_type": OrderType.LIMIT, "time_in_force": GTC}
        self.send(CommandKind.NEW, account=account, instrument=instrument, **(kinds | fields))

    def cancel(self, order: Order) -> None:
        """Cancel as the owner."""
        self._change(CommandKind.CANCEL, order)

    def amend(self, order: Order, price_ticks: int, qty_lots: int, flags: int) -> None:
        """Amend as the owner."""
        fields = {"price_ticks": price_ticks, "qty_lots": qty_lots, "flags": flags}
        self._change(CommandKind.AMEND, order, **fields)

    def _change(self, kind: int, order: Order, **fields: Any) -> None:
        names = {"account": order.account, "instrument": order.instrument}
        self.send(kind, order_id=order.order_id, **names, **fields)

    @property
    def resting(self) -> dict[int, Order]:
        """Live orders by id."""
        return self.venue.exchange.orders

    def stream(self) -> Stream:
        """What was written."""
        return Stream(self.market, self.commands, self.events)


# --- drawn by Hypothesis ---------------------------------------------------------------------

ANCHORS = (1, 100, 0, -3, CHUNK_TICKS - 3, -CHUNK_TICKS, 1 << 40, -(1 << 44))
STRIDES = (1, 1, 2, CHUNK_TICKS - 1, CHUNK_TICKS, CHUNK_TICKS * 17, 1 << 30)
EDGE = PRICE_TICKS_MAX
RUNGS = 6

LOTS_MAX = 7
"""The usual largest quantity."""

PRICE_NEAR = 1 << 45
"""Prices within this are worth so little that no limit of risk is near."""


LADDERS = st.builds(
    lambda anchor, stride: tuple(anchor + stride * rung for rung in range(RUNGS)),
    st.sampled_from(ANCHORS),
    st.sampled_from(STRIDES),
)
"""A few prices: close or far apart, around zero, at the borders of chunks."""

EXTREMES = st.sampled_from(
    (
        tuple(-EDGE + rung for rung in range(RUNGS)),
        tuple(EDGE - RUNGS + 1 + rung for rung in range(RUNGS)),
        (-EDGE, -EDGE + 1, -1, 0, EDGE - 1, EDGE),
    )
)
"""Prices at the ends of the range."""


@st.composite
def ample_markets(draw: st.DrawFn) -> Market:
    """Markets in which risk has no reason to refuse anything, however far it lags behind."""
    books = draw(st.lists(LADDERS, min_size=1, max_size=5))
    instruments = tuple(
        Instrument(
            price_min_ticks=-PRICE_NEAR,
            price_max_ticks=PRICE_NEAR,
            notional_divisor=10**18,
            base_asset_index=index + 1,
        )
        for index in range(len(books))
    )
    return Market(instruments, tuple(books), rich(3, len(books)))


@st.composite
def extreme_markets(draw: st.DrawFn) -> Market:
    """The same with prices and quantities of every size.

    Their values are near the ends of int64. How near an amendment may come depends on the fills
    that risk has heard of, so these are for venues in which risk does not lag.
    """
    books = draw(st.lists(st.one_of(EXTREMES, LADDERS), min_size=1, max_size=3))
    instruments = tuple(
        Instrument(notional_divisor=10**18, base_asset_index=index + 1)
        for index in range(len(books))
    )
    return Market(instruments, tuple(books), rich(3, len(books)), lots_max=QTY_LOTS_MAX)


@st.composite
def tight_markets(draw: st.DrawFn) -> Market:
    """Markets with collars, limits and little money: what happens is mostly risk's."""
    count = draw(st.integers(1, 3))
    rungs = tuple(range(95, 95 + 2 * RUNGS, 2))
    power = st.sampled_from((1, 10, 1000))
    instruments, books = [], []
    for index in range(count):
        multiplier, divisor = draw(st.sampled_from(((1, 1), (10, 1), (1, 10), (1, 1000))))
        floor = draw(st.sampled_from((1, 90, -200)))
        shift = draw(st.sampled_from((0, 0, -100))) if floor < 0 else 0
        instruments.append(
            Instrument(
                price_min_ticks=floor,
                price_max_ticks=draw(st.sampled_from((107, 10_000))),
                qty_max_lots=draw(st.sampled_from((8, 1_000))),
                notional_max_units=draw(st.sampled_from((500, 10_000, 1 << 40))),
                notional_multiplier=multiplier,
                notional_divisor=divisor,
                collar_bps=draw(st.sampled_from((0, 300, 1_000))),
                reference_ticks=draw(st.sampled_from((0, 101))),
                base_asset_index=index + 1,
                quote_asset_index=QUOTE,
                base_units_per_lot=draw(power),
            )
        )
        books.append(tuple(rung + shift for rung in rungs))
    funds = st.sampled_from((1 << 40, 30_000, 5_000, 700, 0))
    balances = {
        number: {asset: draw(funds) for asset in range(count + 1)} for number in range(1, 4)
    }
    orders_max = draw(st.sampled_from((ORDERS_MAX - 1, 4)))
    return Market(tuple(instruments), tuple(books), balances, orders_max)


class Gene(NamedTuple):
    """One step of a drawn stream, in small numbers that shrink well."""

    act: str
    account: int
    instrument: int
    side: int
    rung: int
    lots: int
    flags: int
    pick: int


ACTS: dict[str, Callable[["Desk", Gene], None]] = {}


def act(write: Callable[["Desk", Gene], None]) -> Callable[["Desk", Gene], None]:
    """Register a way to write one command; its name is drawn."""
    ACTS[write.__name__] = write
    return write


def _price(desk: Desk, gene: Gene, instrument: int) -> int:
    ladder = desk.market.ladders[instrument]
    return ladder[gene.rung % len(ladder)]


def _place(desk: Desk, gene: Gene, **fields: Any) -> None:
    accounts = desk.market.accounts
    instrument = gene.instrument % len(desk.market.instruments)
    price = _price(desk, gene, instrument)
    order = {"side": gene.side, "price_ticks": price, "qty_lots": gene.lots}
    desk.new(accounts[gene.account % len(accounts)], instrument, **(order | fields))


def _on_target(desk: Desk, gene: Gene, change: Callable[[Order], None]) -> None:
    """Change one of the orders that rest; when there is none, place one."""
    orders = list(desk.resting.values())
    if orders:
        change(orders[gene.pick % len(orders)])
    else:
        _place(desk, gene)


@act
def limit(desk: Desk, gene: Gene) -> None:
    _place(desk, gene)


@act
def named(desk: Desk, gene: Gene) -> None:
    _place(desk, gene, client_order_id=b"order %d" % (gene.pick % 8))


@act
def post_only(desk: Desk, gene: Gene) -> None:
    _place(desk, gene, flags=CommandFlag.POST_ONLY)


@act
def immediate(desk: Desk, gene: Gene) -> None:
    _place(desk, gene, time_in_force=FOK if gene.flags & 1 else IOC)


@act
def market_order(desk: Desk, gene: Gene) -> None:
    _place(desk, gene, order_type=OrderType.MARKET, time_in_force=1 + gene.flags % 3)


@act
def large(desk: Desk, gene: Gene) -> None:
    """An order that sweeps the book, or a level that grows very high."""
    _place(desk, gene, qty_lots=desk.market.lots_max if gene.flags & 1 else 20)


@act
def cancel(desk: Desk, gene: Gene) -> None:
    _on_target(desk, gene, desk.cancel)


@act
def amend(desk: Desk, gene: Gene) -> None:
    def change(order: Order) -> None:
        desk.amend(order, _price(desk, gene, order.instrument), gene.lots, gene.flags)

    _on_target(desk, gene, change)


@act
def resize(desk: Desk, gene: Gene) -> None:
    """Amend the quantity only, around what is open."""

    def change(order: Order) -> None:
        lots = max(1, order.total_lots - 3 + gene.lots)
        desk.amend(order, order.price_ticks, lots, gene.flags & CommandFlag.LEAVES)

    _on_target(desk, gene, change)


@act
def change_by_name(desk: Desk, gene: Gene) -> None:
    if not desk.names:
        named(desk, gene)
        return
    account, instrument, name = desk.names[gene.pick % len(desk.names)]
    kind = CommandKind.AMEND if gene.side else CommandKind.CANCEL
    fields: dict[str, Any] = {"account": account, "instrument": instrument, "client_order_id": name}
    if kind == CommandKind.AMEND:
        fields |= {"price_ticks": _price(desk, gene, instrument), "qty_lots": gene.lots}
    desk.send(kind, **fields)


@act
def change_any(desk: Desk, gene: Gene) -> None:
    """An order id that may be dead, another's, of another instrument, or only come to be later."""
    kind = CommandKind.AMEND if gene.side else CommandKind.CANCEL
    accounts = [*desk.market.accounts, STRANGER]
    instrument = gene.instrument % len(desk.market.instruments)
    fields: dict[str, Any] = {
        "account": accounts[gene.account % len(accounts)],
        "instrument": instrument,
        "order_id": gene.pick - 1,
    }
    if kind == CommandKind.AMEND:
        fields |= {"price_ticks": _price(desk, gene, instrument), "qty_lots": gene.lots}
    desk.send(kind, **fields)


def genes() -> st.SearchStrategy[Gene]:
    """One step."""
    return st.builds(
        Gene,
        act=st.sampled_from(["limit"] * 6 + ["named"] + ["amend", "resize"] * 2 + list(ACTS)),
        account=st.integers(0, 3),
        instrument=st.integers(0, 4),
        side=st.integers(0, 1),
        rung=st.integers(0, RUNGS - 1),
        lots=st.integers(1, LOTS_MAX),
        flags=st.integers(0, 7),
        pick=st.integers(0, 40),
    )


def _int64() -> st.SearchStrategy[int]:
    small = st.integers(-2, 12)
    edges = (*INT64, EDGE, EDGE + 1, -EDGE, -EDGE - 1, QTY_LOTS_MAX, QTY_LOTS_MAX + 1)
    return st.one_of(small, small, st.sampled_from(edges), st.integers(*INT64))


def _within_limits(fields: dict[str, Any]) -> dict[str, Any]:
    """Make large amendments small.

    One that breaks a limit is refused for that only until risk hears that its order is dead, so
    the answer would depend on how far risk lags behind.
    """
    if fields["kind"] == CommandKind.AMEND and fields["qty_lots"] <= QTY_LOTS_MAX:
        return fields | {"qty_lots": min(fields["qty_lots"], LOTS_MAX)}
    return fields


def garbage() -> st.SearchStrategy[dict[str, Any]]:
    """The fields of a command that a broken or malicious source might send."""
    byte = st.one_of(st.integers(0, 4), st.integers(0, 255))
    word = st.one_of(st.integers(0, 5), st.integers(0, (1 << 32) - 1))
    return st.fixed_dictionaries(
        {
            "kind": st.one_of(st.integers(1, 3), byte),
            "side": byte,
            "order_type": byte,
            "time_in_force": byte,
            "flags": st.one_of(st.just(0), byte),
            "account": word,
            "instrument": word,
            "order_id": _int64(),
            "price_ticks": _int64(),
            "qty_lots": _int64(),
            "client_order_id": st.binary(max_size=40).map(lambda raw: raw.replace(b"\0", b"0")),
        }
    ).map(_within_limits)


def compose(market: Market, steps: list[Gene | dict[str, Any]]) -> Stream:
    """Write out what was drawn."""
    desk = Desk(market)
    for step in steps:
        if isinstance(step, Gene):
            ACTS[step.act](desk, step)
        else:
            desk.send(**step)
    return desk.stream()


def streams(markets: st.SearchStrategy[Market], max_size: int = 60) -> st.SearchStrategy[Stream]:
    """Orderly streams with a hostile command here and there."""
    steps = st.one_of([*(genes() for _ in range(11)), garbage()])
    # Lists are short unless told their length: most of what happens needs a few orders before.
    lengths = st.integers(1, max_size)
    return st.builds(
        compose, markets, lengths.flatmap(lambda n: st.lists(steps, min_size=n, max_size=n))
    )
