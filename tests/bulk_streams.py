"""Long streams of commands by seed: the same arguments give the same stream on every machine.

Written at the same desk and by the same acts as the drawn ones (`streams`): what is sent next
depends on what the naive venue did before, so that books neither run empty nor grow without end,
and cancels and amendments hit orders that live. Nearly all of the time is the twin's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from engine.limits import CHUNK_TICKS
from engine.messages import Instruction, Phase, Prevention, Side
from tests.acts import ACTS, IOC, Trader
from tests.acts_of_risk import OF_RISK
from tests.acts_with_terms import DAY, SECOND_NS, go_on
from tests.desk import Desk, Stream
from tools.twin import Instrument
from tools.twin.market import Market, rich

PLAIN_ACTS: dict[str, float] = {
    "passive": 36,
    "crossing": 14,
    "immediate": 6,
    "market": 2,
    "post_only": 6,
    "sweep": 0.5,
    "cancel": 16,
    "amend": 10,
    "resize": 6,
    "wrong": 3,
}

SOME_OF_ALL: dict[str, float] = (
    {name: 1.0 for name in ACTS if name not in (*OF_RISK, "tell_top")} | PLAIN_ACTS | {"large": 0.3}
)

TAKING = frozenset(("crossing", "immediate", "market", "sweep", "large", "mass_cancel", "minimum"))
"""Acts that empty a book."""

CHANGING = frozenset(
    ("cancel", "amend", "resize", "amend_terms", "change_by_name", "change_any", "wrong")
) | {"phase", "any_phase", "tick", "mass_cancel", "snapshot", "set_term", "delist", "relist"}
"""Acts that place no order, or none that stays."""


@dataclass(frozen=True)
class Habits:
    """What the traders of a bulk stream do, and in which kind of market."""

    acts: Mapping[str, float] = field(default_factory=lambda: PLAIN_ACTS)
    "Relative weights of acts by name."
    depth: int = 60
    "Orders that live in each instrument, about; above, cancels become more frequent."
    spread_ticks: int = 12
    "Passive orders come about so many ticks around the middle."
    drift: float = 0.01
    "How often, of all commands, the middle of an instrument moves."
    extras: float = 0.0
    "How often an order gets a term beside those of its act."
    groups: bool = False
    "Whether accounts share groups and prevent trades among themselves."
    bands: bool = False
    "Whether some instruments have price bands."
    price_steps: bool = False
    "Whether some instruments have tick tables."


def acts(**weights: float) -> dict[str, float]:
    """The plain acts, and some of others."""
    return {**PLAIN_ACTS, **weights}


CALM = Habits()
STORM = Habits(acts(passive=20, crossing=6, cancel=8, amend=40, resize=20))
DEEP = Habits(acts(passive=60, crossing=4, sweep=0.03, cancel=6), depth=1_500, spread_ticks=100)
WIDE = Habits(depth=120, spread_ticks=CHUNK_TICKS * 40)

STOPS = Habits(
    acts(stop=30, touch=8, trailing=12, amend_terms=8, tick=0.5, snapshot=0.1),
    depth=160,
    drift=0.05,
    extras=0.03,
)
PEGS = Habits(
    acts(peg=25, hidden=6, iceberg=4, slide=4, amend_terms=4, all_or_none=4),
    depth=80,
    spread_ticks=6,
    drift=0.03,
    extras=0.05,
    price_steps=True,
)
ICEBERGS = Habits(
    acts(iceberg=30, hidden=8, all_or_none=10, minimum=8, market_to_limit=4, amend_terms=10),
    depth=80,
    spread_ticks=5,
    extras=0.1,
)
AUCTIONS = Habits(
    acts(at_auction=12, iceberg=6, hidden=3, peg=3, stop=6, timed=6, phase=0.6, tick=3)
    | {"any_phase": 0.1, "mass_cancel": 0.2, "snapshot": 0.2},
    depth=80,
    extras=0.05,
    bands=True,
    price_steps=True,
)
LISTS = Habits(
    acts(oco=14, oto=10, bracket=10, broken_list=3, tick=0.5, amend_terms=3, mass_cancel=0.3),
    depth=120,
    drift=0.04,
    extras=0.03,
)
PREVENTION = Habits(
    acts(prevented=14, iceberg=6, all_or_none=4, minimum=4, peg=3, stop=6, oco=3),
    spread_ticks=6,
    extras=0.05,
    groups=True,
)
EVERYTHING = Habits(
    {**SOME_OF_ALL, "phase": 0.3, "any_phase": 0.05, "mass_cancel": 0.2, "broken_list": 0.4}
    | {"set_term": 0.2, "delist": 0.02, "relist": 0.05, "snapshot": 0.3},
    depth=150,
    drift=0.03,
    extras=0.1,
    groups=True,
    bands=True,
    price_steps=True,
)
CROWDED = Habits(
    acts(passive=10, peg=60, trailing=30, all_or_none=60, crossing=1, immediate=1, sweep=0)
    | {"market": 0.2, "amend": 4, "cancel": 4, "tick": 0.2, "phase": 0.01, "snapshot": 0.02},
    depth=700,
    spread_ticks=40,
    drift=0.0,
)
"""More pegs, trailing and all-or-none orders than may wait."""

TOPS = replace(EVERYTHING, acts={**EVERYTHING.acts, "tell_top": 0.8})
"""Instruments tell their best prices."""

PRESETS: Mapping[str, Habits] = {
    "calm": CALM,
    "storm": STORM,
    "deep": DEEP,
    "wide": WIDE,
    "stops": STOPS,
    "pegs": PEGS,
    "icebergs": ICEBERGS,
    "auctions": AUCTIONS,
    "lists": LISTS,
    "prevention": PREVENTION,
    "crowded": CROWDED,
    "everything": EVERYTHING,
    "tops": TOPS,
}


class Seeded(Trader):
    """Takes its choices from a generator of pseudo-random numbers."""

    def __init__(self, desk: Desk, habits: Habits, random: Random, middles: list[int]) -> None:
        super().__init__(desk)
        self.habits = habits
        self.random = random
        self.middles = middles

    def below(self, count: int) -> int:
        return int(self.random.random() * count)

    def price(self, instrument: int, side: int, toward: int) -> int:
        """Around the middle of an instrument, nearly always on its tick table."""
        instrument %= len(self.middles)
        away = int(self.random.expovariate(1.0 / self.habits.spread_ticks)) + 1
        price = self.middles[instrument] + (away if side == Side.SELL else -away) * toward
        step = 1
        for first, each in self.desk.market.instruments[instrument].price_steps:
            if price >= first:
                step = each
        return price if self.random.random() < 0.02 else price - price % step

    def lots(self) -> int:
        return 1 + self.below(19)

    def extras(self, order: dict[str, Any]) -> dict[str, Any]:
        """Sometimes a name, or one more term."""
        if self.random.random() < 0.05:
            order["client_order_id"] = b"c%d" % self.below(64)
        if self.random.random() >= self.habits.extras:
            return order
        lots = order["qty_lots"]
        more: tuple[dict[str, Any], ...] = (
            {"self_trade": 1 + self.below(5)},
            {"display_lots": 1 + self.below(lots)},
            {"instructions": int(Instruction.HIDDEN)},
            {"minimum_lots": 1 + self.below(lots)},
            {"instructions": int(Instruction.ALL_OR_NONE)},
            {"time_in_force": DAY},
            {"time_in_force": IOC},
            {"flags": 1},
        )
        return order | self.choice(more)

    def step(self, act: str) -> None:
        """The next command, or the few that belong together."""
        random = self.random
        if random.random() < self.habits.drift:
            self.middles[self.below(len(self.middles))] += self.choice((-3, -1, 1, 3))
        crowd = self.habits.depth * len(self.middles)
        live = len(self.desk.resting)
        if live > crowd and act not in TAKING and act not in CHANGING and random.random() < 0.8:
            act = "cancel"
        elif live < crowd // 4 and act in TAKING:
            act = "passive"
        if not self._resume():
            ACTS[act](self)

    def _resume(self) -> bool:
        """Now and then bring an instrument that does not trade nearer to doing so."""
        desk = self.desk
        if desk.delisted and self.random.random() < 0.02:
            ACTS["relist"](self)
            return True
        for instrument in desk.halted:
            collects = desk.phase_of(instrument) in (
                Phase.PRE_OPEN,
                Phase.OPENING_AUCTION,
                Phase.CLOSING_AUCTION,
                Phase.VOLATILITY_AUCTION,
            )
            if self.random.random() >= (0.04 if collects else 0.25):
                continue
            ends_ns = desk.interrupted.get(instrument, 0)
            if ends_ns:
                desk.tick(ends_ns + self.choice((0, 0, 1, -1)))
            else:
                go_on(self, instrument)
            return True
        return False


def market_for(habits: Habits, instruments: int, middle_ticks: int) -> Market:
    """A market in which nobody runs out of money; instruments differ in what they have."""
    made = []
    for index in range(instruments):
        terms: dict[str, Any] = {"notional_divisor": 1_000_000, "base_asset_index": index + 1}
        if habits.acts.keys() - PLAIN_ACTS.keys():
            # What is priced at the market rests, in an auction, at the end of this range.
            terms["price_min_ticks"] = middle_ticks - 20_000
            terms["price_max_ticks"] = middle_ticks + 20_000
        if habits.bands and index % 3 != 2:
            terms["dynamic_band_bps"] = 25
            terms["static_band_bps"] = (120, 0)[index % 2]
            terms["reference_ticks"] = middle_ticks
            terms["volatility_halt_ns"] = (0, 2 * SECOND_NS)[index % 2]
            terms["volatility_auction_ns"] = 3 * SECOND_NS
        if habits.price_steps and index % 2:
            # 1 below the middle, 2 at once above, 5 somewhat further up.
            first = middle_ticks - middle_ticks % 10
            terms["price_steps"] = ((first - 20_000, 1), (first, 2), (first + 10, 5))
        made.append(Instrument(**terms))
    groups = {number: number for number in range(1, 7)}
    preventions = dict.fromkeys(groups, int(Prevention.NONE))
    if habits.groups:
        groups |= {2: 1, 6: 5}
        preventions |= {1: 2, 3: 3, 4: 4, 5: 5, 6: 3}
    return Market(
        tuple(made),
        ((middle_ticks,),) * instruments,
        rich(6, instruments),
        groups=groups,
        preventions=preventions,
    )


def bulk(
    seed: int,
    count: int,
    habits: Habits = CALM,
    instruments: int = 1,
    middle_ticks: int = 10_000,
) -> Stream:
    """`count` commands or a few more, the same for the same arguments."""
    market = market_for(habits, instruments, middle_ticks)
    trader = Seeded(Desk(market), habits, Random(seed), [middle_ticks] * instruments)
    names, weights = list(habits.acts), list(habits.acts.values())
    choices: list[str] = []
    while len(trader.desk.commands) < count:
        if not choices:
            choices = trader.random.choices(names, weights, k=1024)
        trader.step(choices.pop())
    return trader.desk.stream()
