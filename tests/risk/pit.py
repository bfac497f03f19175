"""The engine's risk stage beside its naive twin, for examples of each limit by hand.

`Pit` sends commands and plays the plainest matching there is: an accepted order rests until a test
lets it trade or end, an amendment is carried out at once. Before each NEW it asks the same as a
CHECK: the answer must be the same, and nothing that orders are checked against may have changed.
"""

from typing import Any, NamedTuple

from engine.limits import ASSETS_MAX
from engine.messages import (
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    Funds,
    OrderType,
    RejectReason,
    Scope,
    Side,
    TimeInForce,
)
from engine.risk.purses import find_position
from engine.rules import RuleNumber
from tests.risk.comparison import compare
from tests.risk_floor import Floor, reason_of
from tools.twin import Balance, Instrument
from tools.twin.market import Market

QUOTE, BASE, OTHER_BASE = 0, 1, 2
ALICE, BOB, CAROL, MARGE, MIKE, MOLLY, FEES, INSURANCE = range(1, 9)
"""The first three pay with what they have, the next three trade on margin."""
STRANGER = 11
FRIENDS, PARTNERS = 21, 22
"""Groups: Alice and Bob, Marge and Mike; the others are groups of their own."""
BUY, SELL = Side.BUY, Side.SELL
SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
MARKET: dict[str, Any] = {
    "order_type": OrderType.MARKET,
    "time_in_force": TimeInForce.IOC,
}
REDUCING = {"flags": CommandFlag.REDUCE_ONLY}

PLAIN = Instrument(
    price_min_ticks=1,
    price_max_ticks=1_000,
    qty_max_lots=1_000,
    notional_divisor=10,
    base_units_per_lot=10,
    reference_ticks=100,
    initial_bps=1_000,
    maintenance_bps=500,
    short_selling=1,
)
"""One lot at one tick is worth a tenth of a unit, and is ten units of its asset."""

BALANCES = {
    **{account: {QUOTE: 10_000, BASE: 20_000, OTHER_BASE: 20_000} for account in (1, 2, 3)},
    **{account: {QUOTE: 100} for account in (4, 5, 6)},
    FEES: {QUOTE: 1_000, BASE: 1_000},
    INSURANCE: {QUOTE: 50},
}


class Reach(NamedTuple):
    """A scope, and who is within it: what Alice does in instrument 0 always is."""

    scope: Scope
    entity: int
    inside: tuple[int, int]
    "Another account or instrument that counts in the scope's sums."
    outside: tuple[int, int] | None
    "One that does not; None: there is none."


REACHES = {
    "account": Reach(Scope.ACCOUNT, ALICE, (ALICE, 1), (BOB, 0)),
    "group": Reach(Scope.GROUP, FRIENDS, (BOB, 1), (CAROL, 0)),
    "symbol": Reach(Scope.SYMBOL, 0, (CAROL, 0), (ALICE, 1)),
    "venue": Reach(Scope.VENUE, 0, (CAROL, 1), None),
}

COUNTED = ("open_orders", "full_ns", "day_orders", "day_cancels")
"""What a scope counts."""

REMEMBERED = ("net", "cost", "open_buy", "open_sell", "reducing_buy", "reducing_sell")
REMEMBERED += ("last_side", "last_type", "last_ticks", "last_lots", "last_ns")
"""What a position keeps whatever its mark."""


class Pit:
    """Who trades, and the two that decide."""

    def __init__(self, *instruments: Instrument, **market: Any) -> None:
        """Two plain instruments unless others are given; each has an asset of its own."""
        terms = instruments or (PLAIN, PLAIN)
        named: dict[str, Any] = {
            "instruments": tuple(
                each._replace(base_asset_index=index) for index, each in enumerate(terms, 1)
            ),
            "ladders": ((100,),) * len(terms),
            "balances": BALANCES,
            "groups": {ALICE: FRIENDS, BOB: FRIENDS, MARGE: PARTNERS, MIKE: PARTNERS},
            "kinds": dict.fromkeys((MARGE, MIKE, MOLLY), 1),
            "fee_account": FEES,
            "insurance_account": INSURANCE,
        }
        if len(terms) == 1:
            named["balances"] = {
                account: {asset: units for asset, units in owned.items() if asset != OTHER_BASE}
                for account, owned in BALANCES.items()
            }
        self.floor = Floor(Market(**(named | market)))
        self.risk = self.floor.twin
        self.now_ns = 5 * DAY_NS
        self.order_id = 0
        "Of the last order that was accepted."
        self.live: dict[int, dict[str, int]] = {}

    def close(self) -> None:
        """Compare all that both remember, and give the memory back."""
        try:
            compare(self.floor)
        finally:
            self.floor.release()

    # --- commands ----------------------------------------------------------------------------

    def told(self, kind: int, **fields: Any) -> str:
        """Name of the reason for which a command was refused, or NONE."""
        return reason_of(self.floor.decide(kind, **({"time_ns": self.now_ns} | fields)))

    def new(self, account: int, side: int, price: int, lots: int, **fields: Any) -> str:
        """A limit order that stays, unless the fields say something else."""
        order = {"account": account, "side": side, "price_ticks": price, "qty_lots": lots}
        order |= {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC} | fields
        before = self._counts(account, order.get("instrument", 0))
        asked = self.told(CommandKind.CHECK, **order)
        assert self._counts(account, order.get("instrument", 0)) == before, "a CHECK counts"
        self.floor.order_id += 1
        number = self.floor.order_id
        told = self.told(CommandKind.NEW, order_id=number, **order)
        assert told == asked, "what a CHECK said"
        if told == "NONE":
            self.order_id = number
            decision = self.floor.last_decision
            self.live[number] = decision._asdict() | {"total": lots, "leaves": lots}
        return told

    def amend(self, order_id: int, price: int, lots: int, **fields: Any) -> str:
        """Change an order; matching does what risk lets pass."""
        told = self.ask(order_id, price, lots, **fields)
        if told == "NONE":
            order = self.live[order_id]
            filled = order["total"] - order["leaves"]
            order |= {"total": lots, "leaves": lots - filled, "price_ticks": price}
            sizes = {"qty_lots": lots, "leaves_lots": lots - filled}
            self.apply(EventKind.REPLACED, **self._names(order_id), price_ticks=price, **sizes)
        return told

    def ask(self, order_id: int, price: int, lots: int, **fields: Any) -> str:
        """An amendment that matching has not answered yet."""
        order = self.live.get(order_id, {"account": ALICE, "instrument": 0})
        names = {"order_id": order_id, "account": order["account"]}
        sizes = {"instrument": order["instrument"], "price_ticks": price, "qty_lots": lots}
        return self.told(CommandKind.AMEND, **(names | sizes | fields))

    def cancel(self, order_id: int) -> None:
        """A CANCEL, and the end of the order."""
        assert self.told(CommandKind.CANCEL, **self._names(order_id)) == "NONE"
        self.end(order_id)

    def rule(
        self, number: int, value: int, scope: int = Scope.VENUE, entity: int = 0, **fields: Any
    ) -> str:
        """Set a rule; for scope SYMBOL `entity` is the instrument."""
        place = "instrument" if scope == Scope.SYMBOL else "account"
        named = {place: entity, "order_type": scope, "order_id": int(number), "qty_lots": value}
        return self.told(CommandKind.RULE, **(named | fields))

    def funds(self, side: int, account: int, asset: int, units: int, **fields: Any) -> str:
        """FUNDS of any side."""
        sent = {"side": side, "account": account, "instrument": asset, "qty_lots": units}
        return self.told(CommandKind.FUNDS, **sent, **fields)

    def deposit(self, account: int, units: int, asset: int = QUOTE) -> str:
        """From outside."""
        return self.funds(Funds.DEPOSIT, account, asset, units)

    def withdraw(self, account: int, units: int, asset: int = QUOTE) -> str:
        """To the outside."""
        return self.funds(Funds.WITHDRAW, account, asset, units)

    def transfer(self, source: int, target: int, units: int, asset: int = QUOTE) -> str:
        """From one account to another."""
        return self.funds(Funds.TRANSFER, source, asset, units, price_ticks=target)

    def mark(self, price: int, instrument: int = 0) -> None:
        """A mark price from outside, and a TICK: all positions are valued at it."""
        told = self.told(CommandKind.MARK, instrument=instrument, price_ticks=price)
        assert told == "NONE"
        self.tick()

    def tick(self) -> None:
        """All positions are valued."""
        assert self.told(CommandKind.TICK, flags=CommandFlag.TERMS, at_ns=self.now_ns) == "NONE"

    # --- matching ----------------------------------------------------------------------------

    def apply(self, kind: int, **fields: Any) -> None:
        """An event of the last command that was decided."""
        named = {"dseq": self.floor.dseq, "time_ns": self.now_ns}
        self.floor.apply(kind, **(named | fields))

    def end(self, order_id: int) -> None:
        """CANCELED."""
        names = self._names(order_id)
        leaves = self.live.pop(order_id)["leaves"]
        reason = RejectReason.CANCELED_BY_CLIENT
        self.apply(EventKind.CANCELED, **names, leaves_lots=leaves, reason=reason)

    def meet(self, taker_id: int, maker_id: int, price: int, lots: int, **fields: Any) -> None:
        """Two orders trade; `flags` may say that it is an auction."""
        taker, maker = self.live[taker_id], self.live[maker_id]
        auction = fields.get("flags", 0) & EventFlag.AUCTION
        rates = {"fee_rate": taker["maker_rate" if auction else "taker_rate"]}
        rates["maker_fee_rate"] = maker["maker_rate"]
        sides = []
        for number in (taker_id, maker_id):
            order = self.live[number]
            order["leaves"] -= lots
            sides.append((number, order["account"], order["leaves"]))
            if order["leaves"] == 0:
                del self.live[number]
        told: dict[str, Any] = {"dseq": self.floor.dseq}
        told |= {"time_ns": self.now_ns, "instrument": taker["instrument"]}
        told |= {"side": taker["side"], "price_ticks": price, "qty_lots": lots}
        self.floor.trade(sides[0], sides[1], **(told | rates | fields))

    def trade(self, buyer: int, seller: int, price: int, lots: int, instrument: int = 0) -> None:
        """The buyer takes what the seller offers."""
        assert self.new(seller, SELL, price, lots, instrument=instrument) == "NONE"
        maker_id = self.order_id
        assert self.new(buyer, BUY, price, lots, instrument=instrument) == "NONE"
        self.meet(self.order_id, maker_id, price, lots)

    def top(self, bid: int, ask: int, instrument: int = 0) -> None:
        """Best prices of the book, 0 for none."""
        prices = {"price_ticks": bid, "previous_price_ticks": ask}
        there = {"qty_lots": int(bid != 0), "leaves_lots": int(ask != 0)}
        self.apply(EventKind.TOP, instrument=instrument, **prices, **there)

    # --- what risk sends ---------------------------------------------------------------------

    def sent(self) -> list[dict[str, Any]]:
        """Commands that risk has written since the last call; it looks once more before."""
        self.apply(EventKind.CLOCK)
        return self.floor.sent_by_risk()

    def obey(self) -> list[str]:
        """Decide and answer what risk sends, until it sends nothing; what it was."""
        done = []
        while waiting := self.sent():
            (fields,) = waiting
            done.append(self._described(fields))
            kind = fields.pop("kind")
            if kind == CommandKind.NEW:
                self.floor.order_id += 1
                fields["order_id"] = self.floor.order_id
            assert self.told(kind, **fields) == "NONE", done
            self._answer(kind, fields)
            assert len(done) < 50, done
        return done

    def _answer(self, kind: int, fields: dict[str, Any]) -> None:
        """Matching's last event of a command of risk's own; nobody trades with its orders."""
        place = {name: fields[name] for name in ("account", "instrument")}
        named = {name: fields[name] for name in ("source", "source_sequence")}
        last = {"flags": EventFlag.LAST}
        if kind == CommandKind.NEW:
            ended = {"order_id": fields["order_id"], "leaves_lots": fields["qty_lots"]}
            ended["reason"] = RejectReason.IOC_REMAINDER
            self.apply(EventKind.CANCELED, **place, **named, **ended, **last)
            return
        if kind == CommandKind.MASS_CANCEL:
            for number, order in list(self.live.items()):
                if all(order[name] == value for name, value in place.items()):
                    self.end(number)
        self.apply(EventKind.DONE, **place, **named, **last)

    def _described(self, fields: dict[str, Any]) -> str:
        kind, account, lots = CommandKind(fields["kind"]), fields["account"], fields["qty_lots"]
        if kind == CommandKind.RULE:
            return f"{RuleNumber(fields['order_id']).name} of {account} is {lots}"
        if kind == CommandKind.NEW:
            return f"{Side(fields['side']).name} {lots} for {account}"
        if kind == CommandKind.FUNDS:
            return f"{lots} from {account} to {fields['price_ticks']}"
        if kind == CommandKind.MASS_CANCEL:
            return f"MASS_CANCEL of {account} in {fields['instrument']}"
        return f"{kind.name} of {fields['instrument']}"

    # --- what there is -----------------------------------------------------------------------

    def purse(self, account: int, asset: int = QUOTE) -> Balance:
        """What an account has of an asset."""
        return self.floor.balance(account, asset)

    def total(self, account: int, asset: int = QUOTE) -> int:
        """All that it has of it."""
        return self.purse(account, asset).total

    def held(self, account: int, instrument: int = 0) -> tuple[int, int]:
        """Net lots and cost of a position."""
        position = find_position(self.floor.memory.risk, account, instrument)
        return position.net, position.cost

    def _names(self, order_id: int) -> dict[str, int]:
        order = self.live[order_id]
        names = {name: order[name] for name in ("account", "instrument")}
        return names | {"order_id": order_id}

    def _counts(self, account: int, instrument: int) -> list[int]:
        """What a CHECK must leave alone."""
        risk = self.floor.memory.risk
        group = risk.owners[account].group
        scopes = (risk.accounts[account], risk.groups[group], risk.symbols[instrument], risk.venue)
        found = [getattr(scope, name) for scope in scopes for name in COUNTED]
        position = find_position(risk, account, instrument)
        found += [getattr(position, name) for name in REMEMBERED]
        found += [risk.reservations.live, risk.positions.count]
        found += [risk.purses[account * ASSETS_MAX + asset].reserved for asset in range(3)]
        return found
