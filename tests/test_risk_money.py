"""Conservation of money in the risk stage, at random.

A made-up matching stage trades, prevents, amends and ends orders as they come, while risk lags
behind it. What is reserved must be what the live orders can cost by the rules alone, whenever
risk has heard of everything.
"""

from collections import deque
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from engine.messages import (
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    OrderType,
    RejectReason,
    Side,
)
from tests.risk_floor import ALICE, BASE, BOB, CAROL, FUNDS, INSTRUMENT, QUOTE, Floor
from tools.twin.market import Market

pytestmark = pytest.mark.interpreted

BUY, SELL = Side.BUY, Side.SELL
TERMS = CommandFlag.TERMS
MARKET, LIMIT = OrderType.MARKET, OrderType.LIMIT


@pytest.fixture
def floor() -> Iterator[Floor]:
    """With steps of five ticks."""
    made = Floor(Market((INSTRUMENT._replace(price_steps=((-100, 5),)),), ((100,),), FUNDS))
    yield made
    made.release()


class Pit:
    """Plays matching: answers decisions late, and does to live orders whatever could happen."""

    def __init__(self, floor: Floor, random: Random) -> None:
        self.floor, self.random = floor, random
        self.waiting: deque[Any] = deque()
        self.live: dict[int, dict[str, int]] = {}

    def send(self) -> None:
        """One random command."""
        pick = self.random.choice
        account, price = pick((ALICE, BOB, CAROL)), self.random.randrange(-20, 40) * 5
        lots, flags = self.random.randrange(1, 60), pick((0, TERMS))
        known = range(max(self.floor.order_id - 12, 0), self.floor.order_id + 3)
        fields: dict[str, Any] = {"account": account, "price_ticks": price, "qty_lots": lots}
        choice = self.random.randrange(12)
        if choice < 7:
            kind = pick((LIMIT, LIMIT, MARKET, OrderType.MARKET_TO_LIMIT))
            terms = {"trigger": self.random.randrange(5), "trigger_ticks": price + 5}
            terms["self_trade"] = self.random.randrange(6)
            side = pick((BUY, SELL))
            made = self.floor.new(account, side, price, lots, order_type=kind, flags=flags, **terms)
        elif choice < 10:
            flags |= pick((0, CommandFlag.LEAVES))
            fields |= {"order_id": pick(known), "flags": flags, "trigger_ticks": price}
            made = self.floor.decide(CommandKind.AMEND, **fields)
        elif choice == 10:
            made = self.floor.decide(CommandKind.CANCEL, account=account, order_id=pick(known))
        else:
            name = pick(("collar_bps", "notional_min_units", "reference_ticks"))
            self.floor.set_term(name, self.random.randrange(300) * 10)
            return
        if not made.reason:
            self.waiting.append(made)

    def answer(self) -> None:
        """Answer the oldest decision."""
        decision = self.waiting.popleft()
        names = {"order_id": decision.order_id, "account": decision.account}
        order = self.live.get(decision.order_id)
        if decision.kind == CommandKind.NEW:
            if self.random.randrange(8) == 0:
                reason = self.random.choice((RejectReason.WOULD_TRADE, RejectReason.EXPIRED))
                self.floor.apply(EventKind.REJECTED, reason=reason, **names)
                return
            total = decision.qty_lots
            self.live[decision.order_id] = names | {
                "side": decision.side,
                "price": decision.price_ticks,
                "total": total,
                "leaves": total,
            }
            self.floor.apply(EventKind.ACCEPTED, qty_lots=total, **names)
        elif order is None or order["account"] != decision.account:
            kind = EventKind.CANCEL_REJECTED
            if decision.kind == CommandKind.AMEND:
                kind = EventKind.REPLACE_REJECTED
            self.floor.apply(kind, reason=RejectReason.UNKNOWN_ORDER, **names)
        elif decision.kind == CommandKind.CANCEL:
            self.end(order, RejectReason.CANCELED_BY_CLIENT)
        else:
            self.amend(order, decision)

    def amend(self, order: dict[str, int], decision: Any) -> None:
        """Refuse an amendment, carry it out, or end the order."""
        filled = order["total"] - order["leaves"]
        leaves = decision.qty_lots - filled
        if decision.flags & CommandFlag.LEAVES:
            leaves = decision.qty_lots
        names = {"order_id": order["order_id"], "account": order["account"]}
        if self.random.randrange(4) == 0:
            reason = self.random.choice((RejectReason.PHASE_FORBIDS, RejectReason.NOT_AMENDABLE))
            self.floor.apply(EventKind.REPLACE_REJECTED, reason=reason, **names)
        elif leaves <= 0:
            self.end(order, RejectReason.REDUCED_TO_FILLED)
        else:
            order |= {"price": decision.price_ticks, "total": filled + leaves, "leaves": leaves}
            self.live[order["order_id"]] = order
            sizes = {"qty_lots": filled + leaves, "leaves_lots": leaves}
            price = decision.price_ticks
            self.floor.apply(EventKind.REPLACED, price_ticks=price, **sizes, **names)

    def end(self, order: dict[str, int], reason: RejectReason) -> None:
        """CANCELED."""
        del self.live[order["order_id"]]
        names = {"order_id": order["order_id"], "account": order["account"]}
        self.floor.apply(EventKind.CANCELED, reason=reason, leaves_lots=order["leaves"], **names)

    def meet(self) -> None:
        """Two orders whose prices cross trade, or do not."""
        buyers = [order for order in self.live.values() if order["side"] == BUY]
        sellers = [order for order in self.live.values() if order["side"] == SELL]
        pairs = [(b, s) for b in buyers for s in sellers if b["price"] >= s["price"]]
        if not pairs:
            return
        buyer, seller = self.random.choice(pairs)
        price = self.random.randint(seller["price"], buyer["price"])
        lots = self.random.randint(1, min(buyer["leaves"], seller["leaves"]))
        taker, maker, flags = buyer, seller, self.random.choice((0, EventFlag.AUCTION))
        if not flags and self.random.randrange(2):
            taker, maker = seller, buyer
        kind = EventKind.TRADE
        if self.random.randrange(3) == 0:
            kind, lots = EventKind.PREVENTED, self.random.choice((0, lots))
        for order in (buyer, seller):
            order["leaves"] -= lots
            if kind == EventKind.PREVENTED:
                order["total"] -= lots
        ends = [(each["order_id"], each["account"], each["leaves"]) for each in (taker, maker)]
        told = {"side": taker["side"], "price_ticks": price, "qty_lots": lots, "flags": flags}
        self.floor.trade(ends[0], ends[1], kind=kind, **told)
        for order in (maker, taker):
            if order["leaves"] == 0 and kind == EventKind.TRADE:
                del self.live[order["order_id"]]
            elif order["leaves"] == 0:
                self.end(order, RejectReason.SELF_TRADE)

    def reserved(self, account: int, asset: int) -> int:
        """What the live orders of an account can cost, from the rules alone."""
        total = 0
        for order in self.live.values():
            if order["account"] != account:
                continue
            price = order["price"] if order["side"] == BUY else -order["price"]
            if asset == QUOTE:
                # A sale at a price below zero costs money, too.
                total += max(-(-price * order["leaves"] // 10), 0)
            elif order["side"] == SELL:
                total += order["leaves"] * 10
        return total


@pytest.mark.parametrize("seed", range(4))
def test_no_money_comes_or_goes(floor: Floor, seed: int) -> None:
    random = Random(seed)
    pit = Pit(floor, random)
    done = 0
    for _ in range(500):
        step = random.randrange(10)
        if step < 5:
            pit.send()
        elif step < 8 and pit.waiting:
            pit.answer()
        else:
            pit.meet()
        if random.randrange(20) == 0:
            while pit.waiting:
                pit.answer()
            for account in FUNDS:
                for asset in (QUOTE, BASE):
                    reserved = floor.balance(account, asset).reserved
                    assert reserved == pit.reserved(account, asset)
            done += len(pit.live)
    assert done > 20, "the balances were compared with live orders"
    while pit.waiting:
        pit.answer()
    for order in list(pit.live.values()):
        pit.end(order, RejectReason.MASS_CANCELED)
    owned = [floor.balance(account, asset) for account in FUNDS for asset in (QUOTE, BASE)]
    assert [balance.reserved for balance in owned] == [0] * len(owned)
