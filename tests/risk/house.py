"""A naive venue with accounts of all kinds, for examples of the rules of risk.

After everything that happens all sums are checked. `act` does what risk has to do by itself, one
command after the other, as a stage that sends would.
"""

from typing import Any

from engine.messages import (
    BOTH_SIDES,
    CommandFlag,
    CommandKind,
    Funds,
    OrderType,
    Phase,
    RejectReason,
    Scope,
    Side,
    TimeInForce,
)
from engine.rules import RuleNumber
from tools.twin import Audit, Balance, Command, Event, Instrument, Venue
from tools.twin.risk import Demand, Holding, Position, Setting, check_sums

QUOTE, BASE = 0, 1
ALICE, BOB, MARGE, MIKE, FEES, INSURANCE = 1, 2, 3, 4, 5, 6
"""Alice and Bob pay with what they have, Marge and Mike trade on margin."""
STRANGER = 9
BUY, SELL = Side.BUY, Side.SELL
MARKET = OrderType.MARKET
RISK = 1
"""The source of risk's own commands."""
DAY_NS = 86_400 * 10**9

PLAIN = Instrument(
    price_min_ticks=1,
    price_max_ticks=100_000,
    qty_max_lots=1_000,
    notional_divisor=10,
    base_units_per_lot=4,
    reference_ticks=100,
    initial_bps=1_000,
    maintenance_bps=500,
    short_selling=1,
)
"""One lot at one tick is worth a tenth of a unit, and is four units of its asset."""

KINDS = {MARGE: 1, MIKE: 1}
FUNDS = {
    ALICE: {QUOTE: 10_000, BASE: 8_000},
    BOB: {QUOTE: 10_000, BASE: 8_000},
    MARGE: {QUOTE: 100},
    MIKE: {QUOTE: 100},
    FEES: {QUOTE: 1_000, BASE: 1_000},
    INSURANCE: {QUOTE: 50},
}

ORDER = ("halt", "margin_state", "loss_state", "mass_cancel", "liquidation", "cover")
"""What risk does first when several things are due."""


class House:
    """The venue, and who trades in it."""

    def __init__(self, *instruments: Instrument, **accounts: Any) -> None:
        """Instruments of which each has an asset of its own, paid in the asset QUOTE."""
        terms = [
            each._replace(base_asset_index=index + 1)
            for index, each in enumerate(instruments or (PLAIN,))
        ]
        named = {"balances": FUNDS, "kinds": KINDS, "fee_account": FEES}
        named |= {"insurance_account": INSURANCE, "assets": len(terms) + 1}
        self.venue = Venue(terms, **(named | accounts))
        self.risk = self.venue.risk
        self.audit = Audit()
        self.now_ns = 0
        self.sent = 0
        self.order_id = 0
        "Of the last order that was accepted."

    # --- commands ----------------------------------------------------------------------------

    def send(self, kind: int, **fields: Any) -> list[Event]:
        """A command's events."""
        self.sent += 1
        events = self.venue.submit(Command(self.sent, kind, **fields), self.now_ns)
        self.audit.apply(events)
        check_sums(self.risk)
        return events

    def told(self, kind: int, **fields: Any) -> str:
        """Name of the reason for which a command was refused."""
        return RejectReason(self.send(kind, **fields)[0].reason).name

    def new(self, account: int, side: int, price: int, lots: int, **fields: Any) -> str:
        """A limit order that stays, unless the fields say something else."""
        sent = {"account": account, "side": side, "price_ticks": price, "qty_lots": lots}
        kinds = {"kind": CommandKind.NEW, "order_type": OrderType.LIMIT}
        kinds["time_in_force"] = TimeInForce.GTC
        events = self.send(**(kinds | sent | fields))
        if not events[0].reason:
            self.order_id = events[0].order_id
        return RejectReason(events[0].reason).name

    def check(self, account: int, side: int, price: int, lots: int, **fields: Any) -> str:
        """What an order would be answered."""
        return self.new(account, side, price, lots, kind=CommandKind.CHECK, **fields)

    def amend(self, account: int, order_id: int, price: int, lots: int, **fields: Any) -> str:
        """Change an order."""
        sent = {"order_id": order_id, "price_ticks": price, "qty_lots": lots}
        return self.told(CommandKind.AMEND, account=account, **sent, **fields)

    def cancel(self, account: int, order_id: int) -> str:
        """End an order."""
        events = self.send(CommandKind.CANCEL, account=account, order_id=order_id)
        ended = events[0].reason == RejectReason.CANCELED_BY_CLIENT
        return "NONE" if ended else RejectReason(events[0].reason).name

    def trade(self, buyer: int, seller: int, price: int, lots: int, **fields: Any) -> None:
        """The buyer takes what the seller offers."""
        assert self.new(seller, SELL, price, lots, **fields) == "NONE"
        assert self.new(buyer, BUY, price, lots, **fields) == "NONE"

    def rule(
        self, number: int, value: int, scope: int = Scope.VENUE, entity: int = 0, **fields: Any
    ) -> str:
        """Set a rule; for scope SYMBOL `entity` is the instrument."""
        place = "instrument" if scope == Scope.SYMBOL else "account"
        named = {place: entity, "order_type": scope, "order_id": number, "qty_lots": value}
        return self.told(CommandKind.RULE, **(named | fields))

    def deposit(self, account: int, asset: int, units: int) -> str:
        """From outside."""
        return self.funds(Funds.DEPOSIT, account, asset, units)

    def withdraw(self, account: int, asset: int, units: int) -> str:
        """To the outside."""
        return self.funds(Funds.WITHDRAW, account, asset, units)

    def funds(self, side: int, account: int, asset: int, units: int, **fields: Any) -> str:
        """FUNDS of any side."""
        sent = {"side": side, "account": account, "instrument": asset, "qty_lots": units}
        return self.told(CommandKind.FUNDS, **sent, **fields)

    def transfer(self, source: int, target: int, asset: int, units: int) -> str:
        """From one account to another."""
        return self.funds(Funds.TRANSFER, source, asset, units, price_ticks=target)

    def mark(self, price: int, instrument: int = 0) -> str:
        """A mark price from outside."""
        return self.told(CommandKind.MARK, instrument=instrument, price_ticks=price)

    def tick(self) -> None:
        """All positions are valued."""
        flags = CommandFlag.TERMS
        assert self.told(CommandKind.TICK, flags=flags, at_ns=self.now_ns) == "NONE"

    # --- what there is -----------------------------------------------------------------------

    def purse(self, account: int, asset: int = QUOTE) -> Balance:
        """What an account has of an asset."""
        return self.risk.balances[account].get(asset, Balance())

    def total(self, account: int, asset: int = QUOTE) -> int:
        """All that it has of it."""
        return self.purse(account, asset).total

    def position(self, account: int, instrument: int = 0) -> Position:
        """An account's position."""
        return self.risk.state.position_of[account, instrument]

    def holding(self, account: int, instrument: int = 0) -> tuple[int, int]:
        """Net and cost."""
        found: Holding = self.position(account, instrument).holding
        return found.net, found.cost

    # --- what risk does by itself ------------------------------------------------------------

    def due(self) -> list[Demand]:
        """What is due, what comes first first."""
        found = self.risk.demands()
        return sorted(found, key=lambda each: (ORDER.index(each.what), -each.value, each))

    def act(self) -> list[str]:
        """Do all that is due, until nothing is; what was done."""
        done = []
        while self.due():
            demand = self.due()[0]
            assert self._send_for(demand) == "NONE", demand
            done.append(f"{demand.what} {demand.account}/{demand.place} {demand.value}")
            assert len(done) < 100, done
        return done

    def _send_for(self, demand: Demand) -> str:
        account, place, value = demand.account, demand.place, demand.value
        by_risk: dict[str, Any] = {"account": account, "instrument": place, "source": RISK}
        if demand.what in ("margin_state", "loss_state"):
            number = RuleNumber[demand.what.upper()]
            named = {"order_type": Scope.ACCOUNT, "order_id": number, "qty_lots": value}
            return self.told(CommandKind.RULE, **named, **by_risk)
        if demand.what == "mass_cancel":
            events = self.send(CommandKind.MASS_CANCEL, side=BOTH_SIDES, **by_risk)
            return RejectReason(events[-1].reason).name
        if demand.what == "liquidation":
            closes = {"order_type": MARKET, "time_in_force": TimeInForce.IOC}
            closes |= {"flags": CommandFlag.LIQUIDATION, "side": BUY if value > 0 else SELL}
            return self.told(CommandKind.NEW, qty_lots=abs(value), **closes, **by_risk)
        if demand.what == "cover":
            moved = {"side": Funds.TRANSFER, "price_ticks": account, "qty_lots": value}
            from_insurance = {"account": self.risk.state.insurance_account}
            return self.told(CommandKind.FUNDS, **(by_risk | moved | from_insurance))
        assert demand.what == "halt"
        stops = {"phase": Phase.HALT, "flags": CommandFlag.TERMS}
        return self.told(CommandKind.PHASE, instrument=place, source=RISK, **stops)


def initial(*settings: tuple[int, int, int, int, int]) -> tuple[Setting, ...]:
    """Rules of the configuration: scope, entity, instrument, number, value."""
    return tuple(Setting(*each) for each in settings)
