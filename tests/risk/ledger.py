"""What must be true of the money in the engine's memory: the formulas of docs/risk.md once more.

`Ledger` hears every decision and event, follows from them what each live order can still cost,
and compares that, and all sums, with what the risk stage remembers. Nothing here is the twin's.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from engine.limits import ASSETS_MAX
from engine.messages import (
    AccountKind,
    CommandFlag,
    CommandKind,
    EventKind,
    Funds,
    Phase,
    RejectReason,
    Scope,
    Side,
)
from engine.orders import NO_ORDER, find_order
from engine.risk.state import MarginState, RiskState
from engine.rules import RuleNumber
from tools.twin import Audit, Decision, Instrument
from tools.twin.market import Market

MILLION: Final = 1_000_000
BPS: Final = 10_000
WORTH_MAX: Final = 1 << 53
MATCHING: Final = RejectReason.UNKNOWN_ORDER
"""Reasons below are those of ingest and risk: the order never lived."""


def ceiling(amount: int, whole: int) -> int:
    """Amount / whole, rounded up."""
    return -(-amount // whole)


@dataclass
class Order:
    """A live order, from its decision to its end."""

    account: int
    instrument: int
    side: int
    price: int
    leaves: int
    total: int
    rate: int
    "The higher of its fee rates, 0 or more."
    asked: dict[tuple[int, int], Decision] = field(default_factory=dict)
    "Amendments on their way, by source and sequence."

    def leaves_after(self, wanted: Decision) -> int:
        """What would be open if an amendment were carried out now."""
        if wanted.flags & CommandFlag.LEAVES:
            return wanted.qty_lots
        return wanted.qty_lots - (self.total - self.leaves)


class Ledger:
    """What everybody should have."""

    def __init__(self, market: Market, risk: RiskState) -> None:
        """What the configuration gave them."""
        self.market, self.risk = market, risk
        self.accounts, self.kinds = market.accounts, dict(market.kinds)
        self.assets = range(len(market.instruments) + 1)
        self.deposited: Counter[int] = Counter()
        for owned in market.balances.values():
            self.deposited.update(owned)
        self.orders: dict[int, Order] = {}
        self.trades: list[Any] = []
        self.forced: dict[tuple[int, int], Decision] = {}
        "The last liquidation order of an account in an instrument."
        self.leverage: dict[tuple[int, int], int] = {}
        self.last: dict[int, int] = {}
        self.external: dict[int, int] = {}
        self.tops: dict[int, tuple[int, int] | None] = {}
        self.phases: dict[int, int] = {}
        self._events: list[Any] = []
        self._applied = 0

    # --- what is heard -----------------------------------------------------------------------

    def decided(self, decision: Decision) -> None:
        """A decision of risk's; what it had seen by then comes first."""
        self._catch_up(decision.ev_wm)
        kind = decision.kind
        if kind == CommandKind.NEW and decision.flags & CommandFlag.LIQUIDATION:
            self.forced[decision.account, decision.instrument] = decision
        if decision.reason:
            return
        if kind == CommandKind.NEW:
            rate = max(decision.maker_rate, decision.taker_rate, 0)
            place = (decision.account, decision.instrument, decision.side)
            lots = decision.qty_lots
            self.orders[decision.order_id] = Order(*place, decision.price_ticks, lots, lots, rate)
        elif kind == CommandKind.AMEND:
            self._asked(decision)
        elif kind == CommandKind.FUNDS:
            sign = {Funds.DEPOSIT: 1, Funds.WITHDRAW: -1}.get(Funds(decision.side), 0)
            self.deposited[decision.instrument] += sign * decision.qty_lots
        elif kind == CommandKind.MARK:
            self.external[decision.instrument] = decision.price_ticks
        elif kind == CommandKind.RULE:
            self._ruled(decision)

    def _ruled(self, decision: Decision) -> None:
        """Some rules say what an account is, or what margin it needs."""
        number, account = decision.order_id, decision.account
        if number == RuleNumber.LEVERAGE_MAX:
            scope = decision.order_type
            place = decision.instrument if scope == Scope.SYMBOL else account
            self.leverage[scope, 0 if scope == Scope.VENUE else place] = decision.qty_lots
        elif number == RuleNumber.KIND:
            self.kinds[account] = decision.qty_lots
        elif number == RuleNumber.OPEN and decision.qty_lots and account not in self.accounts:
            self.accounts.append(account)

    def _asked(self, decision: Decision) -> None:
        """An amendment is on its way to an order that is known."""
        order = self.orders.get(decision.order_id)
        named = (decision.account, decision.instrument)
        if order is None or (order.account, order.instrument) != named:
            return
        order.asked[decision.source, decision.source_sequence] = decision

    def happened(self, event: Any) -> None:
        """An event, of which risk need not have heard yet."""
        self._events.append(event)

    def _catch_up(self, watermark: int) -> None:
        while self._applied < watermark:
            self._apply(self._events[self._applied])
            self._applied += 1

    def _apply(self, event: Any) -> None:
        kind = event.kind
        if kind in (EventKind.TRADE, EventKind.PREVENTED):
            self._met(event)
        elif kind == EventKind.TOP:
            there = event.qty_lots and event.leaves_lots
            prices = (event.price_ticks, event.previous_price_ticks)
            self.tops[event.instrument] = prices if there else None
        elif kind == EventKind.PHASED:
            self.phases[event.instrument] = event.phase
        elif event.order_id not in self.orders or 0 < event.reason < MATCHING:
            return
        elif kind in (EventKind.CANCELED, EventKind.REJECTED):
            del self.orders[event.order_id]
        elif kind in (EventKind.REPLACED, EventKind.REPLACE_REJECTED):
            order = self.orders[event.order_id]
            order.asked.pop((event.source, event.source_sequence), None)
            if kind == EventKind.REPLACED:
                order.price, order.total = event.price_ticks, event.qty_lots
                order.leaves = event.leaves_lots

    def _met(self, event: Any) -> None:
        for order_id in (event.order_id, event.maker_order_id):
            order = self.orders[order_id]
            order.leaves -= event.qty_lots
            if event.kind == EventKind.PREVENTED:
                order.total -= event.qty_lots
            elif order.leaves == 0:
                del self.orders[order_id]
        if event.kind == EventKind.TRADE:
            self.trades.append(event)
            self.last[event.instrument] = event.price_ticks

    # --- what must be true at any moment -----------------------------------------------------

    def check(self) -> None:
        """After any step of risk: conservation, nets, reservations, nothing below its limit."""
        self._catch_up(self.risk.ev_wm)
        for asset in self.assets:
            owned = sum(self.purse(account, asset).total for account in self.accounts)
            assert self.risk.deposited[asset] == self.deposited[asset], f"asset {asset}"
            found = owned + self._in_positions(asset)
            assert found == self.deposited[asset], f"asset {asset}: {found} of all deposits"
        nets: Counter[int] = Counter()
        for position in self._positions():
            nets[position.instrument] += position.net
            assert position.net or not position.cost, "a closed position has a cost"
        assert not any(nets.values()), f"nets {nets}"
        self._check_reserved()

    def _check_reserved(self) -> None:
        """Purses reserve what the open orders can still cost, and never more than there is."""
        reserved: Counter[tuple[int, int]] = Counter()
        opened: Counter[tuple[int, int, int]] = Counter()
        pool = self.risk.reservations
        assert pool.live == len(self.orders)
        for order_id, order in self.orders.items():
            index = find_order(pool, order_id)
            assert index != NO_ORDER, f"order {order_id} has no reservation"
            made = pool.orders[index]
            assert made.leaves_lots == order.leaves, f"order {order_id}"
            price, lots = made.bound_price_ticks, made.bound_leaves_lots
            wanted = [(order.leaves_after(each), each.price_ticks) for each in order.asked.values()]
            ends = [(order.leaves, order.price), *(each for each in wanted if each[0] > 0)]
            most = max(each[0] for each in ends)
            prices = [each[1] for each in ends]
            worst = max(prices) if order.side == Side.BUY else min(prices)
            if order.asked:
                assert lots >= most, f"order {order_id}: {lots} lots for {most}"
                assert price >= worst if order.side == Side.BUY else price <= worst
            else:
                assert (price, lots) == (worst, most), f"order {order_id}"
            opened[order.account, order.instrument, order.side] += lots
            for asset, units in self._needed(order, price, lots).items():
                reserved[order.account, asset] += units
        for account in self.accounts:
            for asset in self.assets:
                purse = self.purse(account, asset)
                assert purse.reserved == reserved[account, asset], (account, asset)
                if not self.is_margin(account):
                    assert 0 <= purse.reserved <= purse.total, (account, asset, purse.total)
        for position in self._positions():
            place = (position.account, position.instrument)
            assert position.open_buy == opened[(*place, Side.BUY)], place
            assert position.open_sell == opened[(*place, Side.SELL)], place

    def _needed(self, order: Order, price: int, lots: int) -> Mapping[int, int]:
        """Units by asset that an order can take."""
        if self.is_margin(order.account):
            return {}
        terms = self.market.instruments[order.instrument]
        base, quote = terms.base_asset_index, terms.quote_asset_index
        bought = order.side == Side.BUY
        signed = price if bought else -price
        cost = ceiling(max(0, signed * lots * terms.notional_multiplier), terms.notional_divisor)
        fee = ceiling(cost * order.rate, MILLION)
        if bought:
            return {quote: cost if terms.fee_asset else cost + fee}
        return {base: lots * terms.base_units_per_lot, quote: cost + fee}

    def _in_positions(self, asset: int) -> int:
        """Units that margin accounts have as positions."""
        units = 0
        for position in self._positions():
            if self.is_margin(position.account):
                terms = self.market.instruments[position.instrument]
                if terms.quote_asset_index == asset:
                    units -= position.cost
                if terms.base_asset_index == asset:
                    units += position.net * terms.base_units_per_lot
        return units

    # --- what must be true when nothing moves ------------------------------------------------

    def check_quiet(self, lives: Mapping[int, Any]) -> None:
        """Live orders are those that the events left, and nobody waits for an answer."""
        self.check()
        live = {order_id: life for order_id, life in lives.items() if not life.ended}
        assert live.keys() == self.orders.keys()
        for order_id, life in live.items():
            order = self.orders[order_id]
            assert not order.asked, f"an amendment of order {order_id} has no answer"
            found = (life.account, life.instrument, life.side, life.open_lots)
            assert found == (order.account, order.instrument, order.side, order.leaves)

    def check_marked(self) -> None:
        """Just after a TICK every figure is the one at the present marks."""
        sums: dict[tuple[int, int], Counter[str]] = {}
        for position in self._positions():
            terms = self.market.instruments[position.instrument]
            figures = self._figures(position, terms)
            for name, units in figures.items():
                assert getattr(position, name) == units, (name, position.account)
            place = (position.account, terms.quote_asset_index)
            sums.setdefault(place, Counter()).update(figures)
            sums[place]["cost"] += position.cost
        for place, wanted in sums.items():
            for name, units in wanted.items():
                assert getattr(self.purse(*place), name) == units, (place, name)

    def _figures(self, position: Any, terms: Instrument) -> dict[str, int]:
        def value(lots: int) -> int:
            units = abs(mark) * lots * terms.notional_multiplier // terms.notional_divisor
            return min(WORTH_MAX, units) * (1 if mark > 0 else -1)

        def need(lots: int, more: int) -> int:
            return ceiling(value(abs(lots)) * rate, BPS) + max(0, more)

        mark = self.mark(position.instrument)
        net = position.net
        long, short = net + position.open_buy, net - position.open_sell
        figures = {"worth": value(net) if net >= 0 else -value(-net)}
        figures["gross"] = abs(value(max(abs(long), abs(short))))
        figures["initial"] = figures["maintenance"] = 0
        if self.is_margin(position.account):
            rate = self._initial_rate(position.account, position.instrument)
            buys, sells = value(position.open_buy), value(position.open_sell)
            upward = need(long, position.buy_units - buys)
            downward = need(short, sells - position.sell_units)
            figures["initial"] = max(upward, downward)
            figures["maintenance"] = ceiling(value(abs(net)) * terms.maintenance_bps, BPS)
        return figures

    def _initial_rate(self, account: int, instrument: int) -> int:
        group = self.risk.owners[account].group
        scopes = ((Scope.ACCOUNT, account), (Scope.GROUP, group))
        scopes += ((Scope.SYMBOL, instrument), (Scope.VENUE, 0))  # type: ignore[assignment]
        found = [self.leverage.get(scope, 0) for scope in scopes]
        rate = self.market.instruments[instrument].initial_bps
        return max([rate, *(ceiling(BPS, each) for each in found if each)])

    def mark(self, instrument: int) -> int:
        """The mark price of an instrument."""
        terms = self.market.instruments[instrument]
        mark = self.last.get(instrument, 0)
        top = self.tops.get(instrument)
        if terms.mark_source == 1 and top:
            mark = (top[0] + top[1]) // 2 or mark
        elif terms.mark_source == 2:
            mark = self.external.get(instrument, 0) or mark
        return mark or terms.reference_ticks

    def check_liquidations(self, audit: Audit) -> None:
        """Nobody is below maintenance unless nobody would trade with him; who is near is called."""
        margin = [account for account in self.accounts if self.is_margin(account)]
        for account in margin:
            for asset in self.assets:
                purse = self.purse(account, asset)
                equity = purse.total + purse.worth - purse.cost
                if purse.margin_state == MarginState.LIQUIDATING:
                    held = self._held(account, asset)
                    assert held, f"account {account} has nothing and is still liquidated"
                    for position in held:
                        assert position.open_buy == position.open_sell == 0, account
                        self._check_alone(audit, account, position)
                    continue
                assert equity >= purse.maintenance or purse.maintenance == 0, account
                called = equity < purse.maintenance + purse.maintenance // 4
                assert purse.margin_state == called, account

    def _held(self, account: int, asset: int) -> list[Any]:
        return [
            position
            for position in self._positions()
            if position.account == account
            and position.net != 0
            and self.market.instruments[position.instrument].quote_asset_index == asset
        ]

    def _check_alone(self, audit: Audit, account: int, position: Any) -> None:
        """Nobody would take the last liquidation order of a position at its price."""
        instrument = position.instrument
        forced = self.forced.get((account, instrument))
        assert forced is not None, f"account {account} was never closed in {instrument}"
        assert not forced.reason, f"account {account}: {RejectReason(forced.reason).name}"
        if self.phases.get(instrument, Phase.CONTINUOUS) != Phase.CONTINUOUS:
            return
        opposite = Side.SELL if position.net < 0 else Side.BUY
        best = audit.books.best(instrument, opposite)
        if best is None:
            return
        head = audit.books.queue(instrument, opposite, best)[0]
        owner = self.risk.owners[audit.lives[head].account]
        if owner.group == self.risk.owners[account].group:
            return
        limit = forced.price_ticks
        willing = best >= limit if opposite == Side.BUY else best <= limit
        assert not willing, f"account {account} could close {instrument} at {best}"

    # --- at the end --------------------------------------------------------------------------

    def check_empty(self) -> None:
        """No order lives, so nothing is held back anywhere."""
        risk = self.risk
        assert not self.orders
        assert risk.reservations.live == risk.venue.open_orders == 0
        for position in self._positions():
            found = (position.open_buy, position.open_sell, position.buy_units, position.sell_units)
            assert found == (0, 0, 0, 0), position.account
            assert position.reducing_buy == position.reducing_sell == 0
        for account in self.accounts:
            assert risk.accounts[account].open_orders == 0
            for asset in self.assets:
                assert self.purse(account, asset).reserved == 0
                assert self.purse(account, asset).open_units == 0

    # --- the engine's memory -----------------------------------------------------------------

    def purse(self, account: int, asset: int) -> Any:
        """One asset of an account."""
        return self.risk.purses[account * ASSETS_MAX + asset]

    def is_margin(self, account: int) -> bool:
        """Whether an account trades on margin."""
        return self.kinds.get(account, 0) == AccountKind.MARGIN

    def _positions(self) -> list[Any]:
        positions = self.risk.positions
        return [positions.table[number] for number in range(1, positions.count + 1)]
