"""What risk knows: accounts, purses, positions, live orders, prices, and the rules in force.

Plain data. The modules beside this one say how commands and events change it.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engine.messages import AccountKind, Prevention, Scope, Side
from tools.twin.instrument import Instrument
from tools.twin.terms import Terms

NS = 1_000_000_000
DAY_NS = 86_400 * NS
BEFORE_ALL_DAYS = -(1 << 63)

Entity = tuple[Scope, int]
"""Whom a rule is for."""


@dataclass
class Balance:
    """What an account owns of one asset: its purse."""

    available: int = 0
    reserved: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.available + self.reserved


@dataclass
class Account:
    """Who trades, and how."""

    number: int
    kind: int = AccountKind.CASH
    tier: int = 0
    group: int = 0
    prevention: int = Prevention.NONE
    is_open: bool = False


@dataclass
class Hold:
    """A live order as risk knows it, and what is reserved for it.

    The bound is the worst price and the largest open quantity that the order can have while
    amendments are under way; without any it is the order's own price and open quantity.
    """

    account: int
    instrument: int
    side: int
    total_lots: int
    price_ticks: int
    open_lots: int
    bound_price_ticks: int
    bound_lots: int
    amendments: int = 0
    maker_rate: int = 0
    taker_rate: int = 0
    fee_in_base: bool = False
    "The buyer's fee is taken from what is delivered."
    reduce_only: bool = False
    liquidation: bool = False
    units: int = 0
    "What it counts in its position's open units."
    reserved: dict[int, int] = field(default_factory=dict)
    "By asset."


class Holding(NamedTuple):
    """What a position is made of."""

    net: int = 0
    cost: int = 0
    open_buy: int = 0
    open_sell: int = 0
    buy_units: int = 0
    sell_units: int = 0

    def with_order(self, side: int, lots: int, units: int) -> "Holding":
        """The same with more in live orders of a side."""
        if side == Side.BUY:
            return self._replace(open_buy=self.open_buy + lots, buy_units=self.buy_units + units)
        return self._replace(open_sell=self.open_sell + lots, sell_units=self.sell_units + units)

    def reduced_by(self, side: int, lots: int) -> bool:
        """Whether so many more lots of a side can only make the net smaller."""
        if side == Side.SELL:
            return self.net > 0 and lots <= self.net - self.open_sell
        return self.net < 0 and lots <= -self.net - self.open_buy


class Figures(NamedTuple):
    """What a position came to when it was last valued; and sums of such."""

    worth: int = 0
    cost: int = 0
    buys: int = 0
    sells: int = 0
    gross: int = 0
    initial: int = 0
    maintenance: int = 0
    open_units: int = 0


@dataclass
class Position:
    """An account in an instrument."""

    account: int
    instrument: int
    asset: int
    "In which it is quoted."
    holding: Holding = field(default_factory=Holding)
    figures: Figures = field(default_factory=Figures)
    orders: int = 0
    "Live ones."
    reduce_only: list[int] = field(default_factory=lambda: [0, 0])
    "Live orders that may only reduce, by side."
    realised: int = 0
    realised_day: int = BEFORE_ALL_DAYS
    last_order: tuple[Any, ...] | None = None
    "What the last accepted order was, then its time."
    cancel_due: bool = False
    "Risk has to cancel its orders."
    tried: bool = False
    "A liquidation order found nobody to trade with since the last TICK."


@dataclass
class Counters:
    """Commands of an entity."""

    orders: int = 0
    cancels: int = 0
    full_ns: int = 0
    "Until when its bucket of orders is used up."


class State:
    """All that risk knows."""

    def __init__(self, instruments: list[Instrument]) -> None:
        self.instruments = instruments
        self.terms = [Terms(instrument) for instrument in instruments]
        self.accounts: dict[int, Account] = {}
        self.balances: dict[int, dict[int, Balance]] = {}
        "Purses of the open accounts."
        self.deposited: dict[int, int] = defaultdict(int)
        "Deposits less withdrawals, by asset."
        self.holds: dict[int, Hold] = {}
        self.positions: list[Position] = []
        "In the order in which they came to be."
        self.position_of: dict[tuple[int, int], Position] = {}
        self.members: dict[Entity, list[Position]] = defaultdict(list)
        self.turn = 0
        "Which position the round values next."
        self.last_prices: dict[int, int] = {}
        self.marks: dict[int, int] = {}
        "Prices that MARK commands gave."
        self.tops: dict[int, tuple[int | None, int | None]] = {}
        "Best bid and ask of instruments that tell them."
        self.first_trades: dict[int, tuple[int, int]] = {}
        "Day and price of the first trade of the last day with one."
        self.halts_due: set[int] = set()
        self.halted_at: dict[int, int] = {}
        "Sequence of the last PHASE that halted an instrument."
        self.rules: dict[int, dict[tuple[Entity, int], int]] = defaultdict(dict)
        "By number, entity, and for money rules asset."
        self.restricted: set[tuple[Scope, int, int]] = set()
        self.loss_days: dict[tuple[int, int], int] = {}
        "On which day an account's loss state in an asset was set."
        self.counters: dict[Entity, Counters] = defaultdict(Counters)
        self.today = BEFORE_ALL_DAYS
        self.day_start_ns = 0
        self.fee_account = self.insurance_account = self.risk_source = -1
        "Numbers; -1 for none."
        self.assets = self.orders_max = self.positions_max = 0

    def account(self, number: int) -> Account:
        """An account, open or not; by itself it is a group of its own."""
        if number not in self.accounts:
            self.accounts[number] = Account(number, group=number)
        return self.accounts[number]

    def purse(self, account: int, asset: int) -> Balance:
        """What an account has of an asset."""
        return self.balances[account].setdefault(asset, Balance())

    def is_margin(self, account: int) -> bool:
        """Whether it pays with the profit and loss of its positions."""
        return self.account(account).kind == AccountKind.MARGIN

    def position(self, account: int, instrument: int) -> Position:
        """A position, which may come to be here."""
        key = (account, instrument)
        if key not in self.position_of:
            asset = self.instruments[instrument].quote_asset_index
            made = self.position_of[key] = Position(account, instrument, asset)
            self.positions.append(made)
            for entity in self.entities(account, instrument):
                self.members[entity].append(made)
        return self.position_of[key]

    def entities(self, account: int, instrument: int) -> tuple[Entity, ...]:
        """All whose rules an order must keep."""
        return (
            (Scope.ACCOUNT, account),
            (Scope.GROUP, self.account(account).group),
            (Scope.SYMBOL, instrument),
            (Scope.VENUE, 0),
        )

    def in_asset(self, entity: Entity, asset: int) -> list[Position]:
        """The positions of an entity that are quoted in an asset."""
        return [each for each in self.members[entity] if each.asset == asset]

    def day_of(self, time_ns: int) -> int:
        """Number of the day that a time belongs to."""
        return (time_ns - self.day_start_ns) // DAY_NS

    def begin(self, time_ns: int) -> None:
        """A command of this time is decided: is it a new day?"""
        day = self.day_of(time_ns)
        if day > self.today:
            self.today = day
            for counters in self.counters.values():
                counters.orders = counters.cancels = 0
