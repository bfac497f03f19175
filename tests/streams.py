"""Streams of commands for tests, drawn by Hypothesis, which shrinks what fails.

A step is the name of an act and a few bytes, from which the act takes its choices: smaller bytes
mean a simpler command. Cancels and amendments mostly hit orders that live, and some
hit orders that are dead, foreign or not yet born. A stream carries the naive venue's events: what
any other venue must answer to the same commands. `bulk_streams` writes long ones by seed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

from engine.limits import CHUNK_TICKS, ORDERS_MAX, PRICE_TICKS_MAX, QTY_LOTS_MAX
from engine.messages import CommandKind, Instruction, Prevention
from tests.acts import ACTS, INT64, Trader
from tests.acts_of_risk import OF_RISK
from tests.acts_with_terms import SECOND_NS, go_on
from tests.desk import TERM_BYTES, TERM_FIELDS, Desk, Stream
from tools.twin import Instrument
from tools.twin.market import QUOTE, Market, rich

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
                notional_min_units=draw(st.sampled_from((0, 0, 0, 150))),
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
    return Market(
        tuple(instruments),
        tuple(books),
        balances,
        orders_max,
        groups={1: 1, 2: draw(st.sampled_from((2, 1)))},
        preventions={1: draw(st.sampled_from(tuple(Prevention)[1:]))},
    )


def _valid_prices(instrument: Instrument, stride: int) -> tuple[int, ...]:
    """A few prices on the tick table, at the border of two of its ranges."""
    prices = [instrument.step_down(96)]
    while len(prices) < RUNGS:
        prices.append(instrument.step_up(prices[-1] + stride))
    return tuple(prices)


@st.composite
def featured_markets(draw: st.DrawFn) -> Market:
    """Ample markets with tick tables, price bands and account groups."""
    instruments, books = [], []
    for index in range(draw(st.integers(1, 3))):
        stride = draw(st.sampled_from((1, 1, 2, 10)))
        bands = draw(st.sampled_from(((0, 0), (0, 0), (0, 300), (600, 0), (600, 300))))
        steps = draw(st.sampled_from(((), (), ((-1_000, 2),), ((-1_000, 1), (100, 5), (110, 10)))))
        instruments.append(
            Instrument(
                price_min_ticks=-1_000,
                price_max_ticks=10_000,
                notional_divisor=10**18,
                base_asset_index=index + 1,
                reference_ticks=draw(st.sampled_from((0, 0, 102))),
                price_steps=steps,
                static_band_bps=bands[0],
                dynamic_band_bps=bands[1],
                volatility_halt_ns=draw(st.sampled_from((0, SECOND_NS))),
                volatility_auction_ns=draw(st.sampled_from((0, 2 * SECOND_NS))),
            )
        )
        books.append(_valid_prices(instruments[-1], stride))
    modes = st.sampled_from((Prevention.NONE, *tuple(Prevention)[1:]))
    return Market(
        tuple(instruments),
        tuple(books),
        rich(3, len(books)),
        groups={1: 1, 2: draw(st.sampled_from((2, 1))), 3: 3},
        preventions={number: draw(modes) for number in (1, 2, 3)},
    )


class Gene(NamedTuple):
    """One step of a drawn stream, in small numbers that shrink well."""

    act: str
    choices: bytes


class Drawn(Trader):
    """Takes its choices from the bytes of a gene; when these are used up, the simplest one."""

    def __init__(self, desk: Desk, choices: bytes, plain: bool) -> None:
        """`plain`: orders get no terms beyond those of their acts."""
        super().__init__(desk)
        self._choices = iter(choices)
        self._plain = plain

    def below(self, count: int) -> int:
        if count < 2:
            return 0
        number = next(self._choices, 0)
        if count > 256:
            number = number << 8 | next(self._choices, 0)
        return number % count

    def price(self, instrument: int, side: int, toward: int) -> int:
        """One of the few prices of the market, whichever side."""
        return self.choice(self.desk.market.ladders[instrument % len(self.desk.market.ladders)])

    def lots(self) -> int:
        return 1 + self.below(LOTS_MAX)

    def extras(self, order: dict[str, Any]) -> dict[str, Any]:
        """Sometimes one more property."""
        extra = self.below(24)
        more: dict[int, dict[str, Any]] = {
            16: {"client_order_id": b"c%d" % self.below(8)},
            17: {"self_trade": 1 + self.below(5)},
            18: {"display_lots": 1 + self.below(3)},
            19: {"instructions": int(Instruction.HIDDEN)},
            20: {"minimum_lots": 1 + self.below(3)},
            21: {"instructions": int(Instruction.ALL_OR_NONE)},
            22: {"flags": 1, "instructions": self.choice((0, int(Instruction.SLIDE)))},
            23: {"time_in_force": 1 + self.below(8), "at_ns": self.desk.clock_ns + SECOND_NS},
        }
        if extra not in more or (self._plain and extra > 16):
            return order
        return order | more[extra]


PLAIN: tuple[str, ...] = (
    *("passive", "crossing") * 3,
    *("amend", "resize", "cancel") * 2,
    *("named", "immediate", "market", "post_only", "large", "change_by_name", "change_any"),
)
"""Acts that every venue understands; those that stand here more often are drawn more often."""

ALL: tuple[str, ...] = (
    *PLAIN * 3,
    *(name for name in ACTS if name not in (*PLAIN, "sweep", "wrong", *OF_RISK)),
)


def steps_of(acts: Sequence[str]) -> st.SearchStrategy[Gene]:
    """One step."""
    return st.builds(Gene, act=st.sampled_from(acts), choices=st.binary(min_size=20, max_size=20))


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
    fields: dict[str, st.SearchStrategy[Any]] = {
        "kind": st.one_of(st.integers(1, 8), byte),
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
    terms = {name: byte if name in TERM_BYTES else _int64() for name in TERM_FIELDS}
    return st.fixed_dictionaries(fields, optional=terms).map(_within_limits)


def compose(market: Market, steps: list[Gene | dict[str, Any]], plain: bool) -> Stream:
    """Write out what was drawn; `plain`: see Drawn."""
    desk = Desk(market)
    for step in steps:
        if isinstance(step, Gene):
            trader = Drawn(desk, step.choices, plain)
            ACTS[step.act](trader)
            if desk.halted and trader.chance(15):
                go_on(trader, desk.halted[0])
            if desk.delisted and trader.chance(30):
                ACTS["relist"](trader)
        else:
            desk.send(**step)
    return desk.stream()


def streams(
    markets: st.SearchStrategy[Market], max_size: int = 60, acts: Sequence[str] = PLAIN
) -> st.SearchStrategy[Stream]:
    """Orderly streams with a hostile command here and there."""
    steps = st.one_of([*(steps_of(acts) for _ in range(11)), garbage()])
    # Lists are short unless told their length: most of what happens needs a few orders before.
    lengths = st.integers(1, max_size)
    written = lengths.flatmap(lambda n: st.lists(steps, min_size=n, max_size=n))
    return st.builds(compose, markets, written, st.just(acts is PLAIN))
