"""Clients who want to break the risk stage, and the markets they meet in.

A `Mob` sends commands of all kinds into an `Arena`: storms of amendments, fills down to dust,
prices at their bounds, trades with oneself, crashes of the mark. Which act comes how often is a
table of weights, so that a test can prefer one of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from engine.instruments import CollarReference, MarkSource
from engine.limits import PRICE_TICKS_MAX
from engine.messages import (
    BOTH_SIDES,
    CommandFlag,
    CommandKind,
    Funds,
    OrderType,
    Phase,
    Prevention,
    Scope,
    Side,
    TimeInForce,
    Trigger,
)
from engine.reference import TERM_NUMBERS
from engine.rules import RULES_BY_NUMBER, RuleNumber
from tests.risk.arena import Arena
from tests.risk.storm_market import (
    CASH,
    FEES,
    FUTURE,
    INSURANCE,
    MARGIN,
    MARKET,
    MOST,
    QUOTE,
)
from tools.twin import Instrument
from tools.twin.market import Market

BUY, SELL = Side.BUY, Side.SELL
GTC, IOC, FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK


def _telling(instrument: Instrument) -> Instrument:
    """The same, telling its best prices if its collar lies around them."""
    quoted = instrument.collar_reference != CollarReference.LAST
    return instrument._replace(tell_top=int(quoted or instrument.mark_source == MarkSource.MID))


COURT: Final = replace(
    MARKET,
    instruments=tuple(map(_telling, MARKET.instruments)),
    balances={**MARKET.balances, FEES: dict.fromkeys(range(5), 10_000)},
)
"""Cash and margin, quoted fees and fees in what is received, rebates, all kinds of marks."""

FAMILY: Final = replace(
    COURT,
    groups={2: 1, 3: 1, 5: 4, 6: 4},
    preventions={
        1: Prevention.NEWEST,
        2: Prevention.DECREMENT,
        3: Prevention.OLDEST,
        4: Prevention.BOTH,
        5: Prevention.DECREMENT,
    },
)
"""Everybody belongs to one of two groups, which prevent that their members meet."""

DUST: Final = replace(
    COURT,
    instruments=tuple(
        each._replace(
            notional_divisor=1_000,
            maker_rates=(-31_999, 7, 32_767, 0, 0, 0, 0, 0),
            taker_rates=(32_767, 32_767, 999, 0, 0, 0, 0, 0),
        )
        for each in COURT.instruments
    ),
)
"""One lot is worth a tenth of a unit, and the highest rates that there are."""

CROWD: Final = replace(
    COURT,
    instruments=tuple(
        each._replace(base_asset_index=at)
        for at, each in enumerate(
            (
                COURT.instruments[1],
                COURT.instruments[2],
                COURT.instruments[3]._replace(short_selling=1, reference_ticks=100),
                COURT.instruments[3],
            ),
            1,
        )
    ),
    balances={
        **COURT.balances,
        **{number: {QUOTE: 20 + number * 3} for number in (*MARGIN, 9, 10)},
        INSURANCE: {QUOTE: 40},
    },
    kinds=dict.fromkeys((*MARGIN, 9, 10), 1),
    tiers={},
)
"""More margin accounts with little money, and too little insurance."""

EDGES: Final = Market(
    instruments=(
        Instrument(notional_divisor=10**9, reference_ticks=PRICE_TICKS_MAX - 9),
        FUTURE._replace(
            price_max_ticks=PRICE_TICKS_MAX,
            qty_max_lots=10**6,
            notional_divisor=10**3,
            reference_ticks=PRICE_TICKS_MAX - 9,
            base_asset_index=2,
        ),
        FUTURE._replace(mark_source=MarkSource.EXTERNAL, base_asset_index=3, reference_ticks=1),
    ),
    ladders=((1,),) * 3,
    balances={
        **{account: {0: 1 << 57, 1: 1 << 40, 2: 1 << 40, 3: 1 << 40} for account in CASH},
        **{account: {0: 1 << 54} for account in MARGIN},
        FEES: {0: 1 << 57, 1: 1 << 40},
        INSURANCE: {0: 1 << 40},
    },
    kinds=dict.fromkeys(MARGIN, 1),
    fee_account=FEES,
    insurance_account=INSURANCE,
)
"""Prices and values near the ends of what the engine counts with."""

EVEN: Final[Mapping[str, int]] = {
    "order": 40,
    "take": 14,
    "storm": 8,
    "dust": 4,
    "wash": 4,
    "cancel": 6,
    "funds": 4,
    "rule": 2,
    "mark": 4,
    "fees": 1,
    "ask": 3,
    "tick": 3,
    "phase": 1,
    "sweep": 1,
}
"""How often each act is chosen."""


class Mob:
    """Everybody who sends into an arena."""

    def __init__(self, arena: Arena, weights: Mapping[str, int]) -> None:
        """Prices begin at the reference; `weights` replace those of EVEN."""
        self.arena, self.random = arena, arena.random
        self.market = arena.market
        chosen = {**EVEN, **weights}
        self._names, self._weights = list(chosen), list(chosen.values())
        self.centre = [each.reference_ticks or 100 for each in self.market.instruments]
        margin = [account for account in self.market.kinds if account not in MARGIN]
        self.accounts = (*CASH, *CASH, *MARGIN, *MARGIN, *MARGIN, *margin * 4, INSURANCE, FEES, 11)

    def act(self) -> None:
        """One act."""
        name = self.random.choices(self._names, self._weights)[0]
        act: Callable[[], None] = getattr(self, name)
        act()

    # --- choices -----------------------------------------------------------------------------

    def pick(self, *items: Any) -> Any:
        """One of some."""
        return self.random.choice(items)

    def account(self) -> int:
        """Anyone, sometimes nobody."""
        return self.random.choice(self.accounts)

    def instrument(self) -> int:
        """Any."""
        return self.random.randrange(len(self.market.instruments))

    def price(self, instrument: int) -> int:
        """Near the middle, now and then at a bound."""
        terms = self.market.instruments[instrument]
        low, high = terms.price_min_ticks, terms.price_max_ticks
        price = self.centre[instrument] + self.random.randrange(-12, 13)
        if self.random.randrange(20) == 0:
            price = self.pick(low, low + 1, high, high - 1, 0, -5, 5)
        return terms.step_down(max(low, min(high, price)))

    def lots(self) -> int:
        """Mostly few."""
        return int(self.pick(1, 2, self.random.randrange(1, 12), self.random.randrange(1, 90)))

    def live(self) -> tuple[int, Any] | None:
        """An order that lives, as far as the events tell."""
        orders = list(self.arena.ledger.orders.items())
        return self.random.choice(orders) if orders else None

    # --- orders ------------------------------------------------------------------------------

    def order(self) -> None:
        """A NEW of any kind."""
        instrument = self.instrument()
        fields: dict[str, Any] = {"instrument": instrument}
        fields["time_in_force"] = self.pick(GTC, GTC, GTC, GTC, IOC, FOK)
        price = self.price(instrument)
        if self.random.randrange(8) == 0:
            fields |= {"order_type": OrderType.MARKET, "time_in_force": IOC}
            price = 0
        elif self.random.randrange(6) == 0:
            wanted = self.pick(*Prevention)
            fields |= {"flags": CommandFlag.TERMS, "self_trade": wanted, "time_in_force": GTC}
            if self.random.randrange(2):
                fields |= {"trigger": Trigger.STOP, "trigger_ticks": self.price(instrument)}
            else:
                fields["display_lots"] = self.pick(0, 1, 3)
        elif self.random.randrange(8) == 0:
            fields["flags"] = CommandFlag.REDUCE_ONLY
        self.arena.new(self.account(), self.pick(BUY, SELL), price, self.lots(), **fields)

    def take(self) -> None:
        """Somebody takes part of what is best."""
        instrument, side = self.instrument(), self.pick(BUY, SELL)
        best = self.arena.audit.books.best(instrument, 1 - side)
        if best is None:
            return self.order()
        lots = self.pick(1, 1, self.lots())
        self.arena.new(self.account(), side, best, lots, instrument=instrument)
        return None

    def storm(self) -> None:
        """An order is amended many times at once, while others take from it."""
        found = self.live()
        if found is None:
            return self.order()
        order_id, order = found
        names = {"order_id": order_id, "account": order.account, "instrument": order.instrument}
        for _ in range(self.random.randrange(1, 9)):
            done = self.random.randrange(10)
            if done == 0:
                self.arena.send(CommandKind.CANCEL, **names)
            elif done < 3:
                other, lots = self.account(), self.pick(1, order.leaves)
                place = {"instrument": order.instrument}
                self.arena.new(other, 1 - order.side, order.price, max(lots, 1), **place)
            else:
                flags = self.pick(0, 0, CommandFlag.LEAVES, CommandFlag.REQUEUE)
                lots = self.pick(1, order.total, order.total - order.leaves or 1, self.lots())
                price = self.pick(order.price, self.price(order.instrument))
                sizes = {"price_ticks": price, "qty_lots": lots, "flags": flags}
                self.arena.send(CommandKind.AMEND, **sizes, **names)
        return None

    def dust(self) -> None:
        """One order is filled lot by lot."""
        instrument, side = self.instrument(), self.pick(BUY, SELL)
        account, other = self.account(), self.account()
        price, count = self.price(instrument), self.random.randrange(2, 12)
        place = {"instrument": instrument}
        self.arena.new(account, side, price, count + self.random.randrange(3), **place)
        for _ in range(count):
            self.arena.new(other, 1 - side, price, 1, time_in_force=IOC, **place)

    def wash(self) -> None:
        """An account meets itself."""
        instrument, account = self.instrument(), self.account()
        price, side = self.price(instrument), self.pick(BUY, SELL)
        for each in (side, 1 - side):
            self.arena.new(account, each, price, self.lots(), instrument=instrument)

    def cancel(self) -> None:
        """An order is cancelled."""
        found = self.live()
        if found is not None:
            order_id, order = found
            names = {"account": order.account, "instrument": order.instrument}
            self.arena.send(CommandKind.CANCEL, order_id=order_id, **names)

    def sweep(self) -> None:
        """MASS_CANCEL."""
        names = {"account": self.account(), "instrument": self.instrument()}
        self.arena.send(CommandKind.MASS_CANCEL, side=BOTH_SIDES, **names)

    def ask(self) -> None:
        """CHECK."""
        instrument = self.instrument()
        sizes = {"price_ticks": self.price(instrument), "qty_lots": self.lots()}
        kinds = {"order_type": OrderType.LIMIT, "time_in_force": GTC, "side": self.pick(BUY, SELL)}
        names = {"account": self.account(), "instrument": instrument}
        self.arena.send(CommandKind.CHECK, **sizes, **kinds, **names)

    # --- money, prices, rules ----------------------------------------------------------------

    def funds(self) -> None:
        """A deposit, a withdrawal or a transfer; the fee account keeps what rebates may need."""
        side, account = self.pick(*Funds), self.account()
        if account == FEES and side != Funds.DEPOSIT:
            return
        units = self.pick(1, 50, 700, self.market.balances[CASH[0]][QUOTE] // 9)
        other = self.pick(*CASH, *MARGIN, INSURANCE, 11) if side == Funds.TRANSFER else 0
        names = {"account": account, "instrument": self.pick(0, 0, 0, 1, 2), "side": side}
        self.arena.send(CommandKind.FUNDS, price_ticks=other, qty_lots=units, **names)

    def mark(self) -> None:
        """The mark moves, sometimes far, and with it what others ask."""
        instrument = self.instrument()
        terms = self.market.instruments[instrument]
        percent = self.pick(99, 101, 98, 103, 80, 125, 60)
        price = self.centre[instrument] * percent // 100
        if not 20 <= price <= terms.price_max_ticks - 20:
            price = terms.reference_ticks or 100
        self.centre[instrument] = price
        self.arena.send(CommandKind.MARK, instrument=instrument, price_ticks=price)

    def crash(self, percent: int) -> None:
        """All prices move at once: marks, and where two of those who can pay trade."""
        for instrument in range(len(self.market.instruments)):
            price = self.centre[instrument] = self.centre[instrument] * percent // 100
            self.arena.send(CommandKind.MARK, instrument=instrument, price_ticks=price)
            for account, side in zip(CASH, (BUY, SELL), strict=False):
                self.arena.new(account, side, price, 30, instrument=instrument)
        self.arena.tick()

    def rule(self) -> None:
        """A RULE of any kind, most often one that is taken back."""
        number = self.pick(*RuleNumber)
        rule = RULES_BY_NUMBER[number]
        scope = self.pick(*rule.scopes, *rule.scopes, *Scope)
        most = min(MOST.get(number, rule.most), rule.most)
        value = self.pick(0, 0, self.random.randint(min(rule.least, most), most))
        if number in (RuleNumber.KILLED, RuleNumber.REDUCE_ONLY, RuleNumber.RESTRICTED):
            value = self.pick(0, 0, 0, 0, value)
        if scope in (Scope.VENUE, Scope.SYMBOL):
            value = self.pick(0, 0, value)  # it stops everybody
        place = QUOTE if rule.money and scope != Scope.SYMBOL else self.instrument()
        entity = self.account() if scope in (Scope.ACCOUNT, Scope.GROUP) else 0
        names = {"order_type": scope, "account": entity, "instrument": place}
        self.arena.send(CommandKind.RULE, order_id=number, qty_lots=value, **names)

    def fees(self) -> None:
        """A schedule of fees changes."""
        name = self.pick("maker_rates[0]", "taker_rates[0]", "taker_rates[1]")
        number = TERM_NUMBERS.get(name)
        if number is not None:
            value = self.pick(-100, 0, 700, 32_000)
            names = {"instrument": self.instrument(), "order_id": number}
            self.arena.send(CommandKind.INSTRUMENT, qty_lots=value, **names)

    def tick(self) -> None:
        """TICK."""
        self.arena.tick()

    def phase(self) -> None:
        """Trading goes on where it was halted, or is halted."""
        phase = self.pick(Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.HALT)
        names = {"instrument": self.instrument(), "flags": CommandFlag.TERMS}
        self.arena.send(CommandKind.PHASE, phase=phase, **names)

    def resume(self) -> None:
        """Everything is traded again, and nobody is stopped."""
        for instrument in range(len(self.market.instruments)):
            names = {"instrument": instrument, "flags": CommandFlag.TERMS}
            self.arena.send(CommandKind.PHASE, phase=Phase.CONTINUOUS, **names)
