"""Long streams of commands by seed: the same arguments give the same stream on every machine.

Written at the same desk as the drawn ones (`streams`): what is sent next depends on what the
naive venue did before, so that books neither run empty nor grow without end, and cancels and
amendments hit orders that live. 15,000 to 25,000 commands a second, nearly all of it the
twin's time.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from engine.limits import CHUNK_TICKS
from engine.messages import CommandFlag, CommandKind, OrderType, Side, TimeInForce
from tests.streams import INT64, STRANGER, Desk, Stream
from tests.twin import Instrument
from tests.twin.market import Market, rich
from tests.twin.matching import Order

TIMES = GTC, IOC, FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK


@dataclass(frozen=True)
class Habits:
    """What the traders of a bulk stream do: relative weights, and how deep books become."""

    passive: float = 36
    crossing: float = 14
    immediate: float = 6
    market: float = 2
    post_only: float = 6
    sweep: float = 0.5
    cancel: float = 16
    amend: float = 10
    resize: float = 6
    wrong: float = 3
    depth: int = 60
    "Orders that rest in each book, about; above, cancels become more frequent."
    spread_ticks: int = 12
    "Passive orders come about so many ticks around the middle."


CALM = Habits()
STORM = Habits(passive=20, crossing=6, cancel=8, amend=40, resize=20)
DEEP = Habits(passive=60, crossing=4, sweep=0.03, cancel=6, depth=1_500, spread_ticks=100)
WIDE = Habits(spread_ticks=CHUNK_TICKS * 40, depth=120)


@dataclass
class _Bulk:
    """The state of a bulk generator."""

    desk: Desk
    habits: Habits
    random: Random
    middles: list[int]
    live: list[int] = field(default_factory=list)
    "Ids of orders that rest, and of some that no longer do."

    def pick(self) -> Order | None:
        """A live order at random; forgets dead ones that it meets."""
        live, resting = self.live, self.desk.resting
        while live:
            place = self.random.randrange(len(live))
            order = resting.get(live[place])
            if order is not None:
                return order
            live[place] = live[-1]
            live.pop()
        return None

    def place(self, toward: int, **fields: Any) -> None:
        """A new order; `toward` 1 is behind the middle, -1 is across it."""
        random, desk = self.random, self.desk
        instrument = min(random.randrange(len(self.middles)), random.randrange(len(self.middles)))
        side = random.getrandbits(1)
        away = int(random.expovariate(1.0 / self.habits.spread_ticks)) + 1
        price = self.middles[instrument] + (away if side == Side.SELL else -away) * toward
        lots = random.randrange(1, 20)
        if random.random() < 0.05:
            fields["client_order_id"] = b"c%d" % random.randrange(1 << 6)
        order = {"side": side, "price_ticks": price, "qty_lots": lots}
        account = random.choice(desk.market.accounts)
        before = len(desk.resting)
        desk.new(account, instrument, **(order | fields))
        if len(desk.resting) > before:
            self.live.append(next(reversed(desk.resting)))

    def wrong(self) -> None:
        """A command that must be refused, mostly."""
        random, desk = self.random, self.desk
        order = self.pick()
        kind = random.choice((CommandKind.CANCEL, CommandKind.AMEND, CommandKind.NEW, 9))
        fields: dict[str, Any] = {
            "side": random.randrange(3),
            "order_type": random.randrange(4),
            "time_in_force": random.randrange(5),
            "flags": random.choice((0, 0, 0, 1, 2, 4, 8)),
            "account": random.choice((*desk.market.accounts, STRANGER)),
            "instrument": random.randrange(len(self.middles) + 1),
            "order_id": order.order_id if order and random.random() < 0.3 else random.randrange(99),
            "price_ticks": random.choice((self.middles[0], *INT64)),
            "qty_lots": random.choice((0, 1, 5, -1, *INT64)),
        }
        desk.send(kind, **fields)

    def step(self, act: str) -> None:
        """One command."""
        if self.random.random() < 0.01:
            index = self.random.randrange(len(self.middles))
            self.middles[index] += self.random.choice((-3, -1, 1, 3))
        order = self.pick() if act in ("cancel", "amend", "resize") else None
        if act == "wrong":
            self.wrong()
        elif order is not None:
            self.change(act, order)
        else:
            self.arrive(act)

    def arrive(self, act: str) -> None:
        """A new order; a passive one when there is nothing to change."""
        random = self.random
        if act == "crossing":
            self.place(-1)
        elif act == "immediate":
            self.place(-1, time_in_force=random.choice((IOC, FOK)))
        elif act == "market":
            self.place(-1, order_type=OrderType.MARKET, time_in_force=random.choice(TIMES))
        elif act == "post_only":
            self.place(1, flags=CommandFlag.POST_ONLY)
        elif act == "sweep":
            self.place(-20, time_in_force=IOC, qty_lots=random.randrange(1 << 14))
        else:
            self.place(1)

    def change(self, act: str, order: Order) -> None:
        """Cancel, amend or resize a live order."""
        random, desk = self.random, self.desk
        if act == "cancel":
            desk.cancel(order)
        elif act == "amend":
            price = order.price_ticks + random.choice((-7, -2, -1, 0, 1, 2, 7))
            flags = random.choice((0, 0, 2, 2, 4, 6, 1))
            desk.amend(order, price, random.randrange(1, 25), flags)
        else:
            lots = random.choice((order.total_lots - 1, order.total_lots, order.total_lots + 3))
            desk.amend(order, order.price_ticks, max(1, lots), 0)


def bulk(
    seed: int,
    count: int,
    habits: Habits = CALM,
    instruments: int = 1,
    middle_ticks: int = 10_000,
) -> Stream:
    """`count` commands, the same for the same arguments; nobody runs out of money."""
    terms = tuple(
        Instrument(notional_divisor=1_000_000, base_asset_index=index + 1)
        for index in range(instruments)
    )
    market = Market(terms, ((middle_ticks,),) * instruments, rich(6, instruments))
    maker = _Bulk(Desk(market), habits, Random(seed), [middle_ticks] * instruments)
    acts = [name for name in vars(habits) if name not in ("depth", "spread_ticks")]
    weights = [getattr(habits, name) for name in acts]
    crowd = habits.depth * instruments
    choices: list[str] = []
    while len(maker.desk.commands) < count:
        if not choices:
            choices = maker.random.choices(acts, weights, k=1024)
        act = choices.pop()
        if act == "passive" and len(maker.desk.resting) > crowd:
            act = "cancel"
        maker.step(act)
    return maker.desk.stream()
