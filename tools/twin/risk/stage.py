"""The naive risk stage: checks, reserves, settles, values.

Reads sequenced commands and the events of matching, in any interleaving; writes one decision per
command. It sends nothing by itself: `demands` says what it would have to.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from engine.limits import ORDERS_MAX, SHARDS_MAX
from engine.messages import (
    AccountKind,
    CommandFlag,
    CommandKind,
    EventKind,
    Phase,
    Prevention,
    RejectReason,
)
from tools.twin.instrument import Instrument
from tools.twin.messages import Decision, Event, Sequenced, TradeEvent
from tools.twin.risk import administering, checks, pricing, settling, throttling, valuation
from tools.twin.risk.demands import Demand, demands, may_liquidate
from tools.twin.risk.money import overflows
from tools.twin.risk.reserving import (
    RECEIVED,
    affords,
    needs,
    open_units,
    rates,
    release,
    reserve,
    worst_price,
)
from tools.twin.risk.rules import Setting
from tools.twin.risk.settings import PLAIN, Settings
from tools.twin.risk.state import Account, Balance, Entity, Figures, Hold, State

OF_AN_ACCOUNT = (
    CommandKind.NEW,
    CommandKind.CHECK,
    CommandKind.AMEND,
    CommandKind.CANCEL,
    CommandKind.MASS_CANCEL,
)
"""Commands that an account must be open for."""


class Risk:
    """Balances, reservations, positions and prices."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        balances: Mapping[int, Mapping[int, int]],
        orders_max: int = ORDERS_MAX - 1,
        settings: Settings = PLAIN,
    ) -> None:
        """Configured accounts: `balances[account][asset]` in units; an account may be empty."""
        state = self.state = State(list(instruments))
        state.orders_max = orders_max
        state.positions_max, state.assets = settings.positions_max, settings.assets
        state.fee_account = settings.fee_account
        state.insurance_account = settings.insurance_account
        state.day_start_ns, state.risk_source = settings.day_start_ns, settings.risk_source
        for number, owned in balances.items():
            account = Account(number, group=settings.groups.get(number, number), is_open=True)
            account.prevention = settings.preventions.get(number, Prevention.NONE)
            account.kind = settings.kinds.get(number, AccountKind.CASH)
            account.tier = settings.tiers.get(number, 0)
            state.accounts[number] = account
            state.balances[number] = {asset: Balance(units) for asset, units in owned.items()}
            for asset, units in owned.items():
                state.deposited[asset] += units
        for setting in settings.rules:
            assert not administering.set_rule(state, Setting(*setting), by_risk=False), setting
        self.watermarks = [0] * SHARDS_MAX

    @property
    def balances(self) -> dict[int, dict[int, Balance]]:
        """Purses of all open accounts, by account and asset."""
        return self.state.balances

    @property
    def holds(self) -> dict[int, Hold]:
        """Live orders by id."""
        return self.state.holds

    @property
    def applied(self) -> int:
        """Events applied of the first matching shard."""
        return self.watermarks[0]

    def demands(self) -> set[Demand]:
        """What risk would have to send now."""
        return demands(self.state)

    def sums(self, entity: Entity, asset: int) -> Figures:
        """The figures of all positions of a scope's entity that are quoted in an asset."""
        return valuation.sums(self.state, entity, asset)

    # --- decisions ---------------------------------------------------------------------------

    def decide(self, command: Sequenced) -> Decision:
        """Pass, price or refuse one command."""
        state = self.state
        state.begin(command.time_ns)
        reason = command.reason
        added = {"ev_wm": self.applied, "group": 0, "prevention": 0}
        added |= {"maker_rate": 0, "taker_rate": 0}
        kind = command.kind
        if not reason and kind in OF_AN_ACCOUNT and command.account not in state.balances:
            reason = RejectReason.UNKNOWN_ACCOUNT
        elif not reason and kind in (CommandKind.NEW, CommandKind.CHECK):
            added |= self._names(command) | self._rates(command)
            reason, command = self._decide_new(command)
        elif not reason and kind == CommandKind.AMEND:
            added |= self._names(command) | self._rates_of_order(command)
            reason = self._decide_amend(command)
        elif not reason:
            reason = self._decide_other(command)
        valuation.walk(state, valuation.ROUND_MAX if kind == CommandKind.TICK else 1)
        return Decision(**(command._asdict() | added | {"reason": reason}))

    def _names(self, command: Sequenced) -> dict[str, int]:
        """Whom an order must not trade with, and what happens instead."""
        account = self.state.account(command.account)
        wanted = account.prevention
        if command.flags & CommandFlag.TERMS and command.self_trade != Prevention.DEFAULT:
            wanted = Prevention(command.self_trade)
        return {"group": account.group, "prevention": wanted}

    def _rates(self, command: Sequenced) -> dict[str, int]:
        maker_rate, taker_rate = rates(self.state, command.account, command.instrument)
        return {"maker_rate": maker_rate, "taker_rate": taker_rate}

    def _rates_of_order(self, command: Sequenced) -> dict[str, int]:
        """The rates that an order was accepted with, if it is known."""
        hold = self._owned(command)
        if hold is None:
            return {}
        return {"maker_rate": hold.maker_rate, "taker_rate": hold.taker_rate}

    def _owned(self, message: Sequenced | Event) -> Hold | None:
        """The live order that a message names, if it is the account's."""
        hold = self.state.holds.get(message.order_id)
        if hold and (hold.account, hold.instrument) == (message.account, message.instrument):
            return hold
        return None

    def _decide_other(self, command: Sequenced) -> RejectReason:
        """The reason to refuse what is no order and no amendment, if any."""
        kind = command.kind
        if kind == CommandKind.FUNDS:
            return administering.funds(self.state, command)
        if kind == CommandKind.RULE:
            return administering.rule(self.state, command)
        if kind == CommandKind.INSTRUMENT:
            administering.change_terms(self.state, command)
        else:
            self._hear(command)
        return RejectReason.NONE

    def _hear(self, command: Sequenced) -> None:
        """What always passes."""
        state, kind = self.state, command.kind
        if kind == CommandKind.CANCEL:
            throttling.count_cancel(state, command)
        elif kind == CommandKind.MARK:
            state.marks[command.instrument] = command.price_ticks
        elif kind == CommandKind.MASS_CANCEL and command.source == state.risk_source:
            position = state.position_of.get((command.account, command.instrument))
            if position:
                position.cancel_due = False
        elif kind == CommandKind.PHASE and command.phase == Phase.HALT:
            state.halts_due.discard(command.instrument)
            state.halted_at[command.instrument] = command.sequence
        elif kind == CommandKind.TICK:
            for position in state.positions:
                position.tried = False

    # --- new orders --------------------------------------------------------------------------

    def _decide_new(self, command: Sequenced) -> tuple[RejectReason, Sequenced]:
        """The reason to refuse a new order, if any, and the order, which may have got a price."""
        state = self.state
        position = state.position_of.get((command.account, command.instrument))
        self._value(command)
        reason, priced, hold = self._check_new(command)
        if command.kind == CommandKind.CHECK:
            return reason, priced
        if reason:
            if position and hold.liquidation and reason != RejectReason.NOT_IN_BREACH:
                position.tried = True
            return reason, priced
        state.holds[command.order_id] = hold
        throttling.remember(state, command)
        valuation.revalue(state, reserve(state, hold))
        return RejectReason.NONE, priced

    def _value(self, command: Sequenced) -> None:
        """Value the position that a command is about."""
        position = self.state.position_of.get((command.account, command.instrument))
        if position:
            valuation.revalue(self.state, position)

    def _check_new(self, command: Sequenced) -> tuple[RejectReason, Sequenced, Hold]:
        """The first thing that is wrong, the order with its price, and what it would hold."""
        state = self.state
        priced = pricing.priced(state, command)
        hold = self._hold(priced)
        if command.flags & CommandFlag.LIQUIDATION:
            if not may_liquidate(state, command):
                return RejectReason.NOT_IN_BREACH, command, hold
        else:
            early = _first(checks.gates(state, command), throttling.refusals(state, command))
            if early:
                return early, command, hold
            if command.kind == CommandKind.NEW:
                throttling.count_order(state, command)
            if throttling.is_repeated(state, command):
                return RejectReason.DUPLICATE_ORDER, command, hold
        reason = _first(pricing.faults(state, priced))
        if reason:
            return reason, command, hold
        return _first(self._limits(priced, hold)), priced, hold

    def _hold(self, command: Sequenced) -> Hold:
        """What an order would be among the live ones."""
        state = self.state
        account, index, price, lots = (
            command.account,
            command.instrument,
            command.price_ticks,
            command.qty_lots,
        )
        hold = Hold(account, index, command.side, lots, price, lots, price, lots)
        hold.maker_rate, hold.taker_rate = rates(state, account, index)
        margin = state.is_margin(account)
        hold.fee_in_base = state.instruments[index].fee_asset == RECEIVED and not margin
        hold.reduce_only = bool(command.flags & CommandFlag.REDUCE_ONLY)
        hold.liquidation = bool(command.flags & CommandFlag.LIQUIDATION)
        return hold

    def _limits(self, command: Sequenced, hold: Hold) -> Iterator[RejectReason]:
        """All that is wrong with one more order of this price and quantity."""
        state, lots = self.state, command.qty_lots
        units = open_units(state, hold, command.price_ticks, lots)
        change = checks.change_of(state, command, (lots, units), hold.reduce_only)
        yield from checks.room(state, change)
        if hold.liquidation:
            return
        yield from checks.open_orders(state, change)
        yield from checks.notionals(state, change)
        yield from checks.quantities(state, change)
        yield from checks.marginable(state, change)
        yield from checks.short_selling(state, change)
        yield from checks.exposures(state, change)
        if not affords(state, hold, needs(state, hold, command.price_ticks, lots)):
            yield RejectReason.INSUFFICIENT_BALANCE
        yield from checks.margin(state, change)

    # --- amendments --------------------------------------------------------------------------

    def _decide_amend(self, command: Sequenced) -> RejectReason:
        """The reason to refuse an amendment, if any; an order that is not known passes."""
        state = self.state
        self._value(command)
        early = _first(checks.gates(state, command), throttling.refusals(state, command))
        if early:
            return early
        throttling.count_order(state, command)
        reason = _first(pricing.faults_of_amendment(state, command))
        hold = self._owned(command)
        if reason or hold is None:
            return reason
        open_lots = command.qty_lots - (hold.total_lots - hold.open_lots)
        bound_lots = max(hold.bound_lots, open_lots)
        if command.flags & CommandFlag.LEAVES:
            # Whatever fills before the amendment arrives is not taken off what it asks for.
            open_lots = command.qty_lots
            bound_lots = hold.bound_lots + command.qty_lots
        if open_lots <= 0:
            # It ends the order, and needs nothing; but it may be refused.
            hold.amendments += 1
            return RejectReason.NONE
        bound_price = worst_price(hold.side, hold.bound_price_ticks, command.price_ticks)
        reason = _first(self._limits_of_amendment(command, hold, bound_price, bound_lots))
        if reason:
            return reason
        release(state, hold)
        hold.bound_price_ticks, hold.bound_lots = bound_price, bound_lots
        hold.amendments += 1
        valuation.revalue(state, reserve(state, hold))
        return RejectReason.NONE

    def _limits_of_amendment(
        self, command: Sequenced, hold: Hold, price_ticks: int, lots: int
    ) -> Iterator[RejectReason]:
        """All that is wrong with a live order of these bounds."""
        state = self.state
        if overflows(state.instruments[hold.instrument], price_ticks, lots):
            yield RejectReason.NOTIONAL_OVERFLOW
        larger = max(price_ticks, command.price_ticks, key=abs)
        if overflows(state.instruments[hold.instrument], larger, lots):
            yield RejectReason.NOTIONAL_OVERFLOW
        more_lots = lots - hold.bound_lots
        more_units = open_units(state, hold, price_ticks, lots) - hold.units
        most_units = open_units(state, hold, larger, lots) - hold.units
        if more_lots > 0 or most_units > 0 or price_ticks != hold.bound_price_ticks:
            wish = command._replace(side=hold.side)
            largest = checks.change_of(state, wish, (more_lots, most_units), hold.reduce_only)
            yield from checks.notionals(state, largest)
            change = checks.change_of(state, wish, (more_lots, more_units), hold.reduce_only)
            yield from checks.quantities(state, change)
            yield from checks.marginable(state, change)
            yield from checks.short_selling(state, change)
            yield from checks.exposures(state, change)
            if not affords(state, hold, needs(state, hold, price_ticks, lots)):
                yield RejectReason.INSUFFICIENT_BALANCE
            yield from checks.margin(state, change)
        elif not affords(state, hold, needs(state, hold, price_ticks, lots)):
            yield RejectReason.INSUFFICIENT_BALANCE

    # --- events ------------------------------------------------------------------------------

    def apply(self, event: Event, shard: int = 0) -> None:
        """Take over what a matching shard did."""
        self.watermarks[shard] += 1
        assert event.sequence == self.watermarks[shard], "risk misses an event"
        if 0 < event.reason < RejectReason.UNKNOWN_ORDER:
            # Refused before matching. It may name another order: whose client id it repeats.
            return
        if event.kind == EventKind.TRADE:
            settling.settle(self.state, event)  # type: ignore[arg-type]
        elif event.kind == EventKind.PREVENTED:
            settling.prevented(self.state, event)  # type: ignore[arg-type]
        elif event.kind in (EventKind.REJECTED, EventKind.CANCELED):
            self._end(event)
        elif event.kind in (EventKind.REPLACED, EventKind.REPLACE_REJECTED):
            self._answer(event)
        elif event.kind == EventKind.TOP:
            bid = event.price_ticks if event.qty_lots else None
            ask = event.previous_price_ticks if event.leaves_lots else None  # type: ignore[union-attr]
            self.state.tops[event.instrument] = (bid, ask)

    def _end(self, event: Event) -> None:
        """An order ended with quantity open."""
        hold = self.state.holds.pop(event.order_id)
        position = release(self.state, hold)
        position.cancel_due &= position.orders > 0
        position.tried |= hold.liquidation and hold.open_lots == hold.total_lots
        valuation.revalue(self.state, position)

    def _answer(self, event: Event) -> None:
        """An amendment that risk had let pass was carried out or refused."""
        hold = self._owned(event)
        if hold is None:
            return
        if event.reason == RejectReason.UNKNOWN_ORDER:
            # Sent before the order existed, by guessing its id: nothing was reserved for it.
            return
        position = release(self.state, hold)
        if event.kind == EventKind.REPLACED:
            assert not isinstance(event, TradeEvent)
            hold.price_ticks, hold.total_lots = event.price_ticks, event.qty_lots
            hold.open_lots = event.leaves_lots  # type: ignore[union-attr]
        hold.amendments -= 1
        if hold.amendments == 0:
            hold.bound_price_ticks, hold.bound_lots = hold.price_ticks, hold.open_lots
        reserve(self.state, hold)
        valuation.revalue(self.state, position)


def _first(*faults: Iterator[RejectReason]) -> RejectReason:
    """The first of all that is wrong, if anything is."""
    return next(chain(*faults), RejectReason.NONE)
