"""Random histories of everything that risk hears, for the stage alone beside its naive twin.

`Storm` sends commands of all kinds, plays matching (it answers late and in bursts, and trades
whatever crosses), and ingest for the commands that risk sends by itself. `Floor` compares each
decision, `comparison` all that both remember.
"""

from collections import deque
from random import Random
from typing import Any

from engine.messages import (
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    Funds,
    Listing,
    OrderType,
    RejectReason,
    Scope,
    Side,
    Trigger,
)
from engine.rules import RULES_BY_NUMBER, RuleNumber
from tests.risk.storm_market import (
    ALICE,
    CASH,
    DAY_NS,
    FEES,
    INSURANCE,
    MARGIN,
    MARKET,
    MOST,
    QUOTE,
    SECOND_NS,
    TERMS,
)
from tests.risk_floor import Floor
from tools.twin.market import Market

BUY, SELL = Side.BUY, Side.SELL
LAST = EventFlag.LAST


class Storm:
    """A history in the making."""

    def __init__(self, seed: int, market: Market = MARKET, rules: int = 7, drift: int = 0) -> None:
        """Nothing has happened yet; `rules` is how often rules change, `drift` moves prices."""
        self.random = Random(seed)
        self.rules, self.drift = rules, drift
        self.floor = Floor(market)
        self.risk = self.floor.twin
        self.now_ns = 5 * DAY_NS
        self.dseq = 0
        self.waiting: deque[Any] = deque()
        self.live: dict[int, dict[str, int]] = {}
        self.mine: deque[dict[str, Any]] = deque()
        self.centre = [100, 100, 100, 100]
        self.reasons: dict[str, int] = {}
        self.actions: dict[str, int] = {}

    # --- commands ----------------------------------------------------------------------------

    def decide(self, kind: int, **fields: Any) -> Any:
        """One command, now, with the answer on its way if it was accepted or is risk's own."""
        if self.random.randrange(30) == 0:
            self.now_ns += self.random.choice((SECOND_NS, 3_600 * SECOND_NS, 7 * 3_600 * SECOND_NS))
        self.now_ns += self.random.randrange(SECOND_NS // 10)
        made = self.floor.decide(kind, time_ns=self.now_ns, **fields)
        self.dseq = self.floor.dseq
        self.mine.extend(self.floor.sent_by_risk())
        name = RejectReason(made.reason).name
        self.reasons[name] = self.reasons.get(name, 0) + 1
        own = fields.get("source", 0) == self.floor.risk_source
        if not made.reason or own:
            self.waiting.append((made, self.dseq))
        return made

    def send(self) -> None:
        """One random command of a client or of whoever runs the venue."""
        acts = (self.order, self.amend, self.cancel, self.funds, self.rule, self.mark, self.tick)
        act = self.random.choices(acts, (60, 14, 8, 4, self.rules, 4, 2))[0]
        act()

    def account(self) -> int:
        """Anyone, sometimes nobody."""
        return self.random.choice((*CASH, *CASH, *MARGIN, *MARGIN, *MARGIN, INSURANCE, FEES, 11))

    def order(self) -> None:
        """A NEW or a CHECK."""
        pick, number = self.random.choice, self.random.randrange(4)
        price = max(self.centre[number] + self.random.randrange(-30, 31), 5)
        if number == 0:
            price = (price - pick((0, 0, 0, 130))) // 5 * 5
            price = max(price, -50)
        account = self.account()
        if account in MARGIN and self.random.randrange(5):
            number = pick((1, 1, 2))
            price = max(self.centre[number] + self.random.randrange(-30, 31), 5)
        kind = pick((CommandKind.NEW,) * 6 + (CommandKind.CHECK,))
        flags = pick((0, 0, 0, CommandFlag.TERMS, CommandFlag.REDUCE_ONLY))
        fields = {
            "account": account,
            "instrument": number,
            "side": pick((BUY, SELL)),
            "order_type": pick((OrderType.LIMIT,) * 4 + (OrderType.MARKET,)),
            "time_in_force": 1,
            "price_ticks": price,
            "qty_lots": pick((1, self.random.randrange(1, 30), self.random.randrange(1, 160))),
            "flags": flags,
        }
        if fields["order_type"] == OrderType.MARKET:
            fields["price_ticks"] = 0
        if flags & CommandFlag.TERMS:
            trigger = pick((Trigger.NONE, Trigger.STOP))
            fields |= {"trigger": trigger, "trigger_ticks": max(price, 5)}
        if kind == CommandKind.NEW:
            self.floor.order_id += 1
            fields["order_id"] = self.floor.order_id
        self.decide(kind, **fields)

    def amend(self) -> None:
        """An AMEND, most often of an order that lives."""
        known = list(self.live) or [1]
        order = self.live.get(self.random.choice(known), {})
        number = order.get("instrument", 0)
        price = max(self.centre[number] + self.random.randrange(-40, 41), 1)
        if number == 0:
            price = (price - self.random.choice((0, 0, 120))) // 5 * 5
            price = max(price, -50)
        guessed = self.random.randrange(1, self.floor.order_id + 3)
        names = {"order_id": order.get("order_id", guessed), "account": order.get("account", ALICE)}
        sizes = {"price_ticks": price, "qty_lots": self.random.randrange(1, 120)}
        flags = self.random.choice((0, CommandFlag.LEAVES))
        self.decide(CommandKind.AMEND, instrument=number, flags=flags, **names, **sizes)

    def cancel(self) -> None:
        """A CANCEL."""
        known = [*self.live, self.floor.order_id + 1]
        order = self.live.get(self.random.choice(known), {})
        fields = {name: order.get(name, 1) for name in ("account", "instrument", "order_id")}
        self.decide(CommandKind.CANCEL, **fields)

    def funds(self) -> None:
        """A deposit, a withdrawal or a transfer."""
        pick = self.random.choice
        side, account = pick(list(Funds)), self.account()
        other = pick((*CASH, *MARGIN, 11)) if side == Funds.TRANSFER else 0
        units = pick((1, 50, 700, 5_000))
        asset = pick((0, 0, 0, 1, 2))
        sizes = {"price_ticks": other, "qty_lots": units}
        self.decide(CommandKind.FUNDS, account=account, instrument=asset, side=side, **sizes)

    def rule(self) -> None:
        """A RULE of any kind, more often one that is taken back."""
        pick, number = self.random.choice, self.random.choice(list(RuleNumber))
        rule = RULES_BY_NUMBER[number]
        scope = pick((*rule.scopes, *rule.scopes, *Scope))
        most = MOST.get(number, rule.most)
        value = pick((0, 0, self.random.randint(min(rule.least, most), most)))
        if number in (RuleNumber.KILLED, RuleNumber.REDUCE_ONLY, RuleNumber.RESTRICTED):
            value = pick((0,) * 9 + (value,))
        place = self.random.randrange(4) if scope == Scope.SYMBOL or not rule.money else QUOTE
        entity = self.account() if scope in (Scope.ACCOUNT, Scope.GROUP) else 0
        fields = {"order_type": scope, "account": entity, "instrument": place}
        self.decide(CommandKind.RULE, order_id=int(number), qty_lots=value, **fields)

    def mark(self) -> None:
        """A MARK, or a term that changes the mark."""
        number = self.random.randrange(4)
        if self.random.randrange(3) == 0:
            name, values, place = self.random.choice(TERMS)
            self.floor.set_term(name, self.random.choice(values), instrument=place)
            self.dseq = self.floor.dseq
            self.mine.extend(self.floor.sent_by_risk())
            return
        price = max(self.centre[number] + self.random.randrange(-50, 51), 1)
        self.decide(CommandKind.MARK, instrument=number, price_ticks=price)

    def tick(self) -> None:
        """A TICK; now and then an instrument is listed anew."""
        if self.random.randrange(20) == 0 and not self.live and not self.waiting:
            for listing in (Listing.DELIST, Listing.LIST):
                self.decide(CommandKind.INSTRUMENT, order_id=int(listing), qty_lots=4)
            return
        self.decide(CommandKind.TICK, flags=CommandFlag.TERMS, at_ns=self.now_ns)

    def top(self) -> None:
        """TOP: best prices of an instrument, or none."""
        bid = max(self.centre[2] + self.random.randrange(-9, 4), 1)
        ask = bid + self.random.randrange(1, 9)
        has_bid, has_ask = self.random.randrange(4) > 0, self.random.randrange(4) > 0
        prices = {"price_ticks": bid * has_bid, "previous_price_ticks": ask * has_ask}
        number = self.random.choice((2, 3))
        there = {"qty_lots": int(has_bid), "leaves_lots": int(has_ask), "instrument": number}
        self.floor.apply(EventKind.TOP, **prices, **there)
        self.mine.extend(self.floor.sent_by_risk())

    def send_for_risk(self) -> None:
        """Ingest takes the next command that risk has sent."""
        fields = self.mine.popleft()
        kind = fields.pop("kind")
        name = f"{CommandKind(kind).name} {fields['order_id']} {fields['qty_lots']}"
        if kind != CommandKind.RULE:
            name = CommandKind(kind).name
        self.actions[name] = self.actions.get(name, 0) + 1
        if kind == CommandKind.NEW:
            self.floor.order_id += 1
            fields["order_id"] = self.floor.order_id
        self.decide(kind, **fields)

    # --- matching ----------------------------------------------------------------------------

    def apply(self, decision: Any, dseq: int, kind: int, **fields: Any) -> None:
        """An event of a decision."""
        named = {"dseq": dseq, "time_ns": decision.time_ns, "source": decision.source}
        named["source_sequence"] = decision.source_sequence
        place = {"account": decision.account, "instrument": decision.instrument}
        self.floor.apply(kind, **(named | place | fields))
        self.mine.extend(self.floor.sent_by_risk())

    def answer(self) -> None:
        """Answer the oldest decision."""
        decision, dseq = self.waiting.popleft()
        kind, order_id = decision.kind, decision.order_id
        if decision.reason:
            refused = EventKind.REJECTED if kind == CommandKind.NEW else EventKind.ADMIN_REJECTED
            self.apply(decision, dseq, refused, reason=decision.reason, flags=LAST)
        elif kind == CommandKind.NEW:
            self.accept(decision, dseq)
        elif kind in (CommandKind.AMEND, CommandKind.CANCEL):
            order = self.live.get(order_id)
            if order is None or order["account"] != decision.account:
                told = EventKind.CANCEL_REJECTED
                if kind == CommandKind.AMEND:
                    told = EventKind.REPLACE_REJECTED
                reason = RejectReason.UNKNOWN_ORDER
                self.apply(decision, dseq, told, reason=reason, order_id=order_id, flags=LAST)
            elif kind == CommandKind.CANCEL:
                self.end(decision, dseq, order, RejectReason.CANCELED_BY_CLIENT)
            else:
                self.replace(decision, dseq, order)
        elif kind == CommandKind.MASS_CANCEL:
            place = (decision.account, decision.instrument)
            for order in list(self.live.values()):
                if (order["account"], order["instrument"]) == place:
                    self.end(decision, dseq, order, RejectReason.MASS_CANCELED, flags=0)
            self.apply(decision, dseq, EventKind.DONE, flags=LAST)
        else:
            told = {CommandKind.FUNDS: EventKind.FUNDED, CommandKind.RULE: EventKind.RULED}
            self.apply(decision, dseq, told.get(kind, EventKind.CLOCK), flags=LAST)

    def accept(self, decision: Any, dseq: int) -> None:
        """An order begins to live, or is refused; an IOC trades what it can."""
        names = {"order_id": decision.order_id}
        if self.random.randrange(12) == 0:
            reason = RejectReason.PHASE_FORBIDS
            self.apply(decision, dseq, EventKind.REJECTED, reason=reason, flags=LAST, **names)
            return
        order = {
            "order_id": decision.order_id,
            "account": decision.account,
            "instrument": decision.instrument,
            "side": decision.side,
            "price": decision.price_ticks,
            "total": decision.qty_lots,
            "leaves": decision.qty_lots,
            "maker_rate": decision.maker_rate,
            "taker_rate": decision.taker_rate,
        }
        self.live[decision.order_id] = order
        forced = decision.flags & CommandFlag.LIQUIDATION
        self.apply(decision, dseq, EventKind.ACCEPTED, flags=0 if forced else LAST, **names)
        if forced:
            while order["leaves"] and self.meet(decision, dseq, order):
                pass
            if order["leaves"]:
                self.end(decision, dseq, order, RejectReason.IOC_REMAINDER)

    def replace(self, decision: Any, dseq: int, order: dict[str, int]) -> None:
        """Refuse an amendment, carry it out, or end the order."""
        filled = order["total"] - order["leaves"]
        leaves = decision.qty_lots - filled
        if decision.flags & CommandFlag.LEAVES:
            leaves = decision.qty_lots
        names = {"order_id": order["order_id"], "flags": LAST}
        if self.random.randrange(4) == 0:
            reason = RejectReason.NOT_AMENDABLE
            self.apply(decision, dseq, EventKind.REPLACE_REJECTED, reason=reason, **names)
        elif leaves <= 0:
            self.end(decision, dseq, order, RejectReason.REDUCED_TO_FILLED)
        else:
            order |= {"price": decision.price_ticks, "total": filled + leaves, "leaves": leaves}
            sizes = {"qty_lots": filled + leaves, "leaves_lots": leaves}
            price = decision.price_ticks
            self.apply(decision, dseq, EventKind.REPLACED, price_ticks=price, **sizes, **names)

    def end(
        self,
        decision: Any,
        dseq: int,
        order: dict[str, int],
        reason: RejectReason,
        flags: int = LAST,
    ) -> None:
        """CANCELED."""
        del self.live[order["order_id"]]
        names = {name: order[name] for name in ("order_id", "account", "instrument")}
        told = {"reason": reason, "leaves_lots": order["leaves"], "flags": flags}
        self.apply(decision, dseq, EventKind.CANCELED, **told, **names)

    def meet(self, decision: Any, dseq: int, taker: dict[str, int] | None = None) -> bool:
        """Two orders whose prices cross trade, or do not; whether there were any."""
        live = list(self.live.values())
        buyers = [each for each in live if each["side"] == BUY and taker in (None, each)]
        sellers = [each for each in live if each["side"] == SELL and taker in (None, each)]
        if taker is not None and taker["side"] == BUY:
            sellers = [each for each in live if each["side"] == SELL]
        elif taker is not None:
            buyers = [each for each in live if each["side"] == BUY]
        pairs = [
            (buyer, seller)
            for buyer in buyers
            for seller in sellers
            if buyer["instrument"] == seller["instrument"] and buyer["price"] >= seller["price"]
        ]
        if not pairs:
            return False
        buyer, seller = self.random.choice(pairs)
        self.trade(decision, dseq, buyer, seller, taker)
        return True

    def trade(
        self,
        decision: Any,
        dseq: int,
        buyer: dict[str, int],
        seller: dict[str, int],
        taker: dict[str, int] | None,
    ) -> None:
        """TRADE or PREVENTED."""
        low, high = seller["price"], buyer["price"]
        centre = self.centre[buyer["instrument"]]
        centre += self.random.randrange(self.drift + 1) * self.random.choice((-1, 1))
        price = min(max(self.random.randint(centre - 15, centre + 15), low), high)
        lots = self.random.randint(1, min(buyer["leaves"], seller["leaves"]))
        incoming = taker or self.random.choice((buyer, seller))
        maker = seller if incoming is buyer else buyer
        kind, rate = EventKind.TRADE, incoming["taker_rate"]
        flags = self.random.choice((0, 0, EventFlag.AUCTION))
        if flags:
            incoming, maker, rate = buyer, seller, buyer["maker_rate"]
        if taker is None and self.random.randrange(5) == 0:
            kind, lots = EventKind.PREVENTED, self.random.choice((0, lots))
        for order in (buyer, seller):
            order["leaves"] -= lots
            if kind == EventKind.PREVENTED:
                order["total"] -= lots
        named = {"dseq": dseq, "time_ns": decision.time_ns, "instrument": buyer["instrument"]}
        if taker is not None:  # a liquidation order: risk waits for its last event
            flags |= LAST * (taker["leaves"] == 0)
            named |= {"source": decision.source, "source_sequence": decision.source_sequence}
        if kind == EventKind.TRADE:
            named |= {"fee_rate": rate, "maker_fee_rate": maker["maker_rate"]}
        told = {"side": incoming["side"], "price_ticks": price, "qty_lots": lots, "flags": flags}
        ends = [(each["order_id"], each["account"], each["leaves"]) for each in (incoming, maker)]
        self.floor.trade(ends[0], ends[1], kind=kind, **told, **named)
        self.mine.extend(self.floor.sent_by_risk())
        self.centre[buyer["instrument"]] = max(price, 20)
        for order in (maker, incoming):
            if order["leaves"] == 0 and kind == EventKind.TRADE:
                del self.live[order["order_id"]]
            elif order["leaves"] == 0:
                self.end(decision, dseq, order, RejectReason.SELF_TRADE, flags=0)

    # --- steps -------------------------------------------------------------------------------

    def step(self) -> None:
        """One thing happens."""
        choice = self.random.randrange(20)
        if choice < 8:
            self.send()
        elif choice < 14 and self.waiting:
            self.answer()
        elif choice < 16 and self.mine:
            self.send_for_risk()
        elif choice == 19:
            self.top()
        elif self.floor.last_decision is not None:
            self.meet(self.floor.last_decision, self.dseq)

    def drain(self) -> None:
        """Answer and send all that waits."""
        while self.waiting or self.mine:
            while self.waiting:
                self.answer()
            if self.mine:
                self.send_for_risk()
