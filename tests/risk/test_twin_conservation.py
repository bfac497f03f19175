"""The twin at random: whatever happens no money comes or goes, and what risk owes is done.

Accounts of both kinds trade two instruments with fees, margins and rules that change on the way.
Risk hears of events late. A sender does what `demands` says, one command after the other, each
when the one before has been answered.
"""

from collections import Counter, deque
from random import Random
from typing import Any

from engine.instruments import FeeAsset, MarkSource
from engine.messages import (
    BOTH_SIDES,
    CommandFlag,
    CommandKind,
    EventFlag,
    Funds,
    OrderType,
    Phase,
    RejectReason,
    Scope,
    Side,
    TimeInForce,
)
from engine.rules import RuleNumber
from tests.risk.house import ORDER, PLAIN, RISK
from tools.twin import Command, Event
from tools.twin.market import Market
from tools.twin.risk import Demand, Setting, check_sums

COMMANDS = 1_500
SECOND_NS = 10**9
FEES, INSURANCE = 7, 8
TRADERS = (1, 2, 3, 4, 5, 6)
MARGINED = {3: 1, 4: 1, 5: 1}

FIRST = PLAIN._replace(
    mark_source=MarkSource.EXTERNAL,
    maker_rates=(-9_000, 5_000, 0, 0, 0, 0, 0, 0),
    taker_rates=(20_000, 30_000, 0, 0, 0, 0, 0, 0),
    collar_bps=6_000,
)
SECOND = FIRST._replace(
    base_asset_index=2,
    mark_source=MarkSource.LAST,
    fee_asset=FeeAsset.RECEIVED,
    short_selling=0,
    initial_bps=2_500,
)
THIRD = FIRST._replace(
    base_asset_index=3,
    price_min_ticks=-100,
    notional_divisor=1,
    mark_source=MarkSource.LAST,
    collar_bps=0,
    reference_ticks=0,
    initial_bps=0,
    maintenance_bps=0,
)
"""For cash accounts, around zero. In whole units: below zero each fill rounds up what a seller
pays, which may come to more than was reserved for all of them."""

RANGES: dict[int, tuple[int, ...]] = {
    RuleNumber.QTY_MAX_LOTS: (0, 30, 60),
    RuleNumber.LONG_MAX_LOTS: (0, 60),
    RuleNumber.OPEN_ORDERS_MAX: (0, 8),
    RuleNumber.ORDERS_PER_SECOND: (0, 0, 0, 9),
    RuleNumber.REDUCE_ONLY: (0, 0, 0, 0, 1),
    RuleNumber.KILLED: (0, 0, 0, 0, 2),
    RuleNumber.BREAKER_BPS: (0, 2_000),
    RuleNumber.LEVERAGE_MAX: (0, 6),
    RuleNumber.TIER: (0, 1, 2),
    RuleNumber.GROSS_MAX_UNITS: (0, 900),
    RuleNumber.NET_MAX_UNITS: (0, 600),
    RuleNumber.DAILY_LOSS_MAX_UNITS: (0, 40),
    RuleNumber.CONCENTRATION_BPS: (0, 9_000),
}

REFUSALS = {
    "KILLED",
    "LIQUIDATING",
    "ORDER_RATE",
    "QUANTITY_ABOVE_MAX",
    "PRICE_COLLAR",
    "OPEN_ORDERS",
    "REDUCE_ONLY",
    "POSITION_LONG",
    "SHORT_SELLING",
    "GROSS_EXPOSURE",
    "NET_EXPOSURE",
    "CONCENTRATION",
    "DAILY_LOSS",
    "INSUFFICIENT_BALANCE",
    "INITIAL_MARGIN",
    "BAD_RULE",
}
"""All of these happen."""


def market(random: Random) -> Market:
    goods = {1: 900, 2: 900, 3: 900}
    funds = {number: {0: random.randrange(100, 900), **goods} for number in TRADERS}
    for number in MARGINED:
        funds[number] = {0: random.randrange(30, 200)}
    funds |= {FEES: {0: 100, **goods}, INSURANCE: {0: random.randrange(0, 60)}}
    return Market(
        (FIRST, SECOND, THIRD),
        ((100,), (100,), (0,)),
        funds,
        kinds=MARGINED,
        tiers={6: 1},
        groups={2: 1, 4: 3},
        fee_account=FEES,
        insurance_account=INSURANCE,
        rules=(Setting(Scope.ACCOUNT, 1, 0, RuleNumber.DAILY_LOSS_MAX_UNITS, 60),),
    )


class Crowd:
    """The venue, what it is sent, and how much of what happened risk has heard of."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.venue = market(self.random).venue()
        self.risk = self.venue.risk
        self.unheard: deque[Event] = deque()
        self.now_ns = self.sent = 0
        self.price = 100
        self.asked: Demand | None = None
        "What risk has sent for and has no answer to yet."
        self.answer = 0
        "Sequence of that command."
        self.reasons: Counter[str] = Counter()
        self.done: Counter[str] = Counter()

    def send(self, kind: int, **fields: Any) -> None:
        self.sent += 1
        command = Command(self.sent, kind, **fields)
        decision = self.risk.decide(self.venue.ingest.sequence(command, self.now_ns))
        self.reasons[RejectReason(decision.reason).name] += 1
        self.unheard += self.venue.exchange.decide(decision)
        self.check()

    def hear(self, most: int = 1 << 30) -> None:
        """Risk applies the oldest events that it has not heard of."""
        while self.unheard and most > 0:
            event = self.unheard.popleft()
            self.risk.apply(event)
            self.check()
            if event.dseq == self.answer and event.flags & EventFlag.LAST:
                self.asked = None
            most -= 1

    def check(self) -> None:
        """All sums are right, and what was reserved has paid for everything."""
        check_sums(self.risk)
        for account in set(TRADERS) - set(MARGINED):
            for purse in self.risk.balances[account].values():
                assert purse.available >= 0, (account, purse)

    # --- what others send --------------------------------------------------------------------

    def trade(self) -> None:
        random = self.random
        limit = random.random() < 0.8
        flags = random.choice((0, 0, 0, CommandFlag.REDUCE_ONLY))
        instrument = random.choice((0, 0, 1, 1, 2))
        price = 0 if instrument == 2 else self.price
        self.send(
            random.choice((CommandKind.NEW,) * 9 + (CommandKind.CHECK,)),
            side=random.choice(tuple(Side)),
            order_type=OrderType.LIMIT if limit else OrderType.MARKET,
            time_in_force=TimeInForce.GTC if limit else TimeInForce.IOC,
            flags=flags,
            account=random.choice(TRADERS),
            instrument=instrument,
            price_ticks=price + random.randrange(-8, 9),
            qty_lots=random.choice((1, 3, 10, 40)),
        )

    def change(self) -> None:
        random = self.random
        if not self.risk.holds:
            return
        order_id = random.choice(list(self.risk.holds))
        hold = self.risk.holds[order_id]
        names = {"order_id": order_id, "account": hold.account, "instrument": hold.instrument}
        if random.random() < 0.3:
            self.send(CommandKind.CANCEL, **names)
            return
        flags = random.choice((0, CommandFlag.LEAVES))
        price = hold.price_ticks + random.randrange(-4, 5)
        lots = max(1, hold.total_lots + random.randrange(-9, 10))
        self.send(CommandKind.AMEND, price_ticks=price, qty_lots=lots, flags=flags, **names)

    def administer(self) -> None:
        random = self.random
        choice = random.randrange(8)
        if choice > 4:
            self.price = max(40, min(250, self.price + random.randrange(-15, 16)))
            self.send(CommandKind.MARK, price_ticks=self.price)
        elif choice == 1:
            scope = random.choice((Scope.ACCOUNT, Scope.ACCOUNT, *Scope))
            number = random.choice(list(RANGES))
            entity = random.choice(TRADERS) if scope > Scope.SYMBOL else 0
            value = random.choice(RANGES[number])
            named = {"order_type": scope, "order_id": number, "qty_lots": value}
            self.send(CommandKind.RULE, account=entity, **named)
        elif choice == 2:
            side = random.choice(tuple(Funds))
            target = FEES if side == Funds.TRANSFER else 0
            named = {"side": side, "price_ticks": target, "qty_lots": random.randrange(1, 40)}
            account, asset = random.choice(TRADERS), random.randrange(4)
            self.send(CommandKind.FUNDS, account=account, instrument=asset, **named)
        elif choice in (0, 3):
            self.now_ns += random.choice((1, SECOND_NS, 3_600 * SECOND_NS))
            self.tick()
        else:
            phase = random.choice((Phase.CONTINUOUS,) * 4 + (Phase.PRE_OPEN,))
            named = {"instrument": random.randrange(3), "phase": phase}
            self.send(CommandKind.PHASE, flags=CommandFlag.TERMS, **named)

    def tick(self) -> None:
        self.send(CommandKind.TICK, flags=CommandFlag.TERMS, at_ns=self.now_ns)

    # --- what risk sends ---------------------------------------------------------------------

    def act(self) -> bool:
        """Send one command that is due, if risk has its answer to the one before."""
        due = sorted(self.risk.demands())
        if self.asked or not due:
            return False
        self.asked = self.random.choice(due)
        self.done[self.asked.what] += 1
        self.answer = self.sent + 1
        self.send(**command_of(self.asked))
        return True

    def settle(self) -> None:
        """Let risk hear of everything and do all that is due."""
        for _ in range(300):
            self.hear()
            if not self.act():
                break
        assert not self.risk.demands()


def command_of(demand: Demand) -> dict[str, Any]:
    what, account, place, value = demand
    made: dict[str, Any] = {"account": account, "instrument": place, "source": RISK}
    if what in ("margin_state", "loss_state"):
        made |= {"kind": CommandKind.RULE, "order_type": Scope.ACCOUNT, "qty_lots": value}
        made["order_id"] = RuleNumber[what.upper()]
    elif what == "mass_cancel":
        made |= {"kind": CommandKind.MASS_CANCEL, "side": BOTH_SIDES}
    elif what == "liquidation":
        made |= {"kind": CommandKind.NEW, "flags": CommandFlag.LIQUIDATION}
        made |= {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC}
        made |= {"side": Side.BUY if value > 0 else Side.SELL, "qty_lots": abs(value)}
    elif what == "cover":
        made |= {"kind": CommandKind.FUNDS, "side": Funds.TRANSFER, "account": INSURANCE}
        made |= {"price_ticks": account, "qty_lots": value}
    else:
        made |= {"kind": CommandKind.PHASE, "phase": Phase.HALT, "flags": CommandFlag.TERMS}
    return made


def run(seed: int) -> Crowd:
    """One crowd from its first command to the last thing that risk has to do."""
    crowd = Crowd(seed)
    for _ in range(COMMANDS):
        choice = crowd.random.randrange(20)
        if choice < 11:
            crowd.trade()
        elif choice < 14:
            crowd.change()
        elif choice < 17:
            crowd.administer()
        else:
            crowd.act()
        crowd.hear(crowd.random.choice((0, 1, 2, 5, 20)))
        if crowd.random.random() < 0.02:
            crowd.settle()
    crowd.settle()
    return crowd


def test_no_money_comes_or_goes_and_nothing_due_is_forgotten() -> None:
    reasons: Counter[str] = Counter()
    done: Counter[str] = Counter()
    for seed in range(4):
        crowd = run(seed)
        reasons += crowd.reasons
        done += crowd.done
    assert reasons.keys() >= REFUSALS, REFUSALS - reasons.keys()
    assert set(ORDER) <= done.keys(), "everything was due at some time"
