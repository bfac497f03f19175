"""The naive risk stage for cash accounts: checks, reserves, settles.

Reads sequenced commands and the events of matching, in any interleaving; writes one decision per
command. All money is in whole units of an asset; a buyer reserves quote units rounded up, trades
settle rounded down, so that a reservation always covers its trades. What a reservation is for is
the worst price of an order, wherever the order is and at whatever price it rests.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.limits import ORDERS_MAX, SHARDS_MAX
from engine.messages import (
    CommandFlag,
    CommandKind,
    EventKind,
    Listing,
    OrderType,
    Prevention,
    RejectReason,
    Side,
    Trigger,
)
from tests.twin.instrument import BLANK, Instrument
from tests.twin.messages import Decision, Event, Sequenced, TradeEvent
from tests.twin.terms import Terms

INT64_MAX = (1 << 63) - 1
BPS = 10_000

OF_THE_VENUE = (
    CommandKind.PHASE,
    CommandKind.TICK,
    CommandKind.INSTRUMENT,
    CommandKind.SNAPSHOT,
    CommandKind.FUNDS,
    CommandKind.RULE,
    CommandKind.MARK,
    CommandKind.CHECK,
)
"""Commands that are not an account's."""


@dataclass
class Balance:
    """What an account owns of one asset."""

    available: int = 0
    reserved: int = 0


@dataclass
class Hold:
    """A live order as risk knows it, and what is reserved for it.

    The bound is the highest price and the largest open quantity that the order can have while
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


class Risk:
    """Balances, reservations and reference prices."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        balances: Mapping[int, Mapping[int, int]],
        orders_max: int = ORDERS_MAX - 1,
        groups: Mapping[int, int] | None = None,
        preventions: Mapping[int, int] | None = None,
    ) -> None:
        """Configured accounts: `balances[account][asset]` in units; an account may be empty.

        Without an entry in `groups` an account is a group of its own, by its number; without one
        in `preventions` it trades with its group.
        """
        self.instruments = list(instruments)
        self._terms = [Terms(instrument) for instrument in instruments]
        self.groups = dict(groups or {})
        self.preventions = dict(preventions or {})
        self.balances = {
            account: {asset: Balance(units) for asset, units in assets.items()}
            for account, assets in balances.items()
        }
        self.holds: dict[int, Hold] = {}
        self.last_prices: dict[int, int] = {}
        self.watermarks = [0] * SHARDS_MAX
        self._orders_max = orders_max

    # --- decisions ---------------------------------------------------------------------------

    def decide(self, command: Sequenced) -> Decision:
        """Pass, price or refuse one command."""
        reason = command.reason
        added = {"ev_wm": self.applied, "group": 0, "prevention": 0}
        added |= {"maker_rate": 0, "taker_rate": 0}
        if not reason and command.kind == CommandKind.INSTRUMENT:
            self._change_terms(command)
        elif not reason and command.kind not in OF_THE_VENUE:
            if command.account not in self.balances:
                reason = RejectReason.UNKNOWN_ACCOUNT
            elif command.kind == CommandKind.NEW:
                added |= self._prevention(command)
                reason, command = self._decide_new(command)
            elif command.kind == CommandKind.AMEND:
                added |= self._prevention(command)
                reason = self._decide_amend(command)
        return Decision(**(command._asdict() | added | {"reason": reason}))

    def _change_terms(self, command: Sequenced) -> None:
        """Commands from here on are checked by other numbers."""
        index = command.instrument
        if command.order_id == Listing.LIST:
            self.last_prices.pop(index, None)
        elif command.order_id >= 0:
            while index >= len(self._terms):
                self._terms.append(Terms(BLANK))
                self.instruments.append(BLANK)
            self._terms[index].change(command.order_id, command.qty_lots)
            self.instruments[index] = self._terms[index].instrument

    def _prevention(self, command: Sequenced) -> dict[str, int]:
        """Whom an order must not trade with, and what happens instead."""
        account = command.account
        wanted = self.preventions.get(account, Prevention.NONE)
        if command.flags & CommandFlag.TERMS and command.self_trade != Prevention.DEFAULT:
            wanted = Prevention(command.self_trade)
        return {"group": self.groups.get(account, account), "prevention": wanted}

    def _decide_new(self, command: Sequenced) -> tuple[int, Sequenced]:
        """The reason to refuse a new order, if any, and the order, which may have got a price."""
        if command.order_type != OrderType.LIMIT:
            priced = command._replace(price_ticks=self._protective_price(command))
            reason = next(self._faults_of_market(priced), RejectReason.NONE)
        else:
            priced = command
            reason = next(self._faults_of_limit(command), RejectReason.NONE)
        if reason:
            return reason, command
        if len(self.holds) >= self._orders_max:
            return RejectReason.TOO_MANY_ORDERS, priced
        account, index, side = command.account, command.instrument, command.side
        price, lots = priced.price_ticks, command.qty_lots
        needed = self._needed(index, side, price, lots)
        if self._balance(account, index, side).available < needed:
            return RejectReason.INSUFFICIENT_BALANCE, priced
        hold = Hold(account, index, side, lots, price, lots, price, lots)
        self.holds[command.order_id] = hold
        self._reserve(hold)
        return RejectReason.NONE, priced

    def _decide_amend(self, command: Sequenced) -> int:
        """The reason to refuse an amendment, if any; an order that is not known passes."""
        reason = next(self._faults_of_limit(command), RejectReason.NONE)
        hold = self.holds.get(command.order_id)
        if reason or hold is None or not _is_owner(hold, command):
            return reason
        filled = hold.total_lots - hold.open_lots
        open_lots = command.qty_lots - filled
        bound_lots = max(hold.bound_lots, open_lots)
        if command.flags & CommandFlag.LEAVES:
            # Whatever fills before the amendment arrives is not taken off what it asks for.
            open_lots = command.qty_lots
            bound_lots = hold.bound_lots + command.qty_lots
        if open_lots <= 0:
            # It ends the order, and needs nothing; but it may be refused.
            hold.amendments += 1
            return RejectReason.NONE
        bound_price = max(hold.bound_price_ticks, command.price_ticks)
        if self._overflows(hold.instrument, bound_price, bound_lots):
            return RejectReason.NOTIONAL_OVERFLOW
        more = self._needed(hold.instrument, hold.side, bound_price, bound_lots)
        more -= self._held(hold)
        if self._balance(hold.account, hold.instrument, hold.side).available < more:
            return RejectReason.INSUFFICIENT_BALANCE
        self._release(hold)
        hold.bound_price_ticks, hold.bound_lots = bound_price, bound_lots
        hold.amendments += 1
        self._reserve(hold)
        return RejectReason.NONE

    def _faults_of_limit(self, command: Sequenced) -> Iterator[RejectReason]:
        """All that is wrong with a price and quantity, what counts first."""
        index, price_ticks, lots = command.instrument, command.price_ticks, command.qty_lots
        instrument = self.instruments[index]
        if lots > instrument.qty_max_lots:
            yield RejectReason.QUANTITY_ABOVE_MAX
        if self._overflows(index, price_ticks, lots):
            yield RejectReason.NOTIONAL_OVERFLOW
        if self._needed(index, Side.BUY, abs(price_ticks), lots) > instrument.notional_max_units:
            yield RejectReason.NOTIONAL_ABOVE_MAX
        if self._value(instrument, abs(price_ticks), lots) < instrument.notional_min_units:
            yield RejectReason.NOTIONAL_BELOW_MIN
        reference = self._collar_reference(command)
        distance = abs(price_ticks - reference)
        collared = instrument.collar_bps and reference
        if collared and distance * BPS > instrument.collar_bps * abs(reference):
            yield RejectReason.PRICE_COLLAR

    def _faults_of_market(self, command: Sequenced) -> Iterator[RejectReason]:
        """The same for an order with a protective price, which a buyer can always pay."""
        instrument = self.instruments[command.instrument]
        if command.qty_lots > instrument.qty_max_lots:
            yield RejectReason.QUANTITY_ABOVE_MAX
        units = max(instrument.notional_multiplier, instrument.base_units_per_lot)
        if command.qty_lots * units > INT64_MAX:
            yield RejectReason.NOTIONAL_OVERFLOW
        reference = abs(self._collar_reference(command))
        least = instrument.notional_min_units
        # A value beyond int64 is not looked at: the engine has no number for it.
        known = reference and not self._overflows(command.instrument, reference, command.qty_lots)
        if known and self._value(instrument, reference, command.qty_lots) < least:
            yield RejectReason.NOTIONAL_BELOW_MIN
        lowest = instrument.price_min_ticks
        buys = command.side == Side.BUY
        if buys and lowest > 0 and self._overflows(command.instrument, lowest, command.qty_lots):
            yield RejectReason.NOTIONAL_OVERFLOW
        if command.price_ticks < lowest:
            available = self._balance(command.account, command.instrument, Side.BUY).available
            scarce = available <= instrument.notional_max_units
            yield RejectReason.INSUFFICIENT_BALANCE if scarce else RejectReason.NOTIONAL_ABOVE_MAX
        if buys and self._overflows(command.instrument, command.price_ticks, command.qty_lots):
            yield RejectReason.NOTIONAL_OVERFLOW

    def _collar_reference(self, command: Sequenced) -> int:
        """The price that the collar is around, 0 for none: the trigger of an order that waits."""
        waits = command.trigger in (Trigger.STOP, Trigger.TOUCH)
        if command.flags & CommandFlag.TERMS and waits:
            return command.trigger_ticks
        last = self.last_prices.get(command.instrument, 0)
        return last or self.instruments[command.instrument].reference_ticks

    def _protective_price(self, command: Sequenced) -> int:
        """The worst price at which a market order may trade; below the range: cannot pay."""
        instrument = self.instruments[command.instrument]
        lowest, highest = instrument.price_min_ticks, instrument.price_max_ticks
        reference = self._collar_reference(command)
        price = highest if command.side == Side.BUY else lowest
        if reference and instrument.collar_bps:
            band = abs(reference) * instrument.collar_bps // BPS
            price = reference + band if command.side == Side.BUY else reference - band
            price = max(lowest, min(highest, price))
        if command.side == Side.SELL:
            valid = instrument.step_up(price)
            return valid if valid <= highest else instrument.step_down(highest)
        available = self._balance(command.account, command.instrument, Side.BUY).available
        budget = min(available, instrument.notional_max_units)
        unit = command.qty_lots * instrument.notional_multiplier
        price = min(price, (INT64_MAX - instrument.notional_divisor) // unit)
        if abs(budget * instrument.notional_divisor) > INT64_MAX:
            # The engine rounds down once more here rather than to leave int64.
            price = min(price, budget // unit * instrument.notional_divisor)
        else:
            price = min(price, budget * instrument.notional_divisor // unit)
        return instrument.step_down(price)

    # --- money -------------------------------------------------------------------------------

    def _overflows(self, index: int, price_ticks: int, lots: int) -> bool:
        """Whether a value in units, or a quantity in base units, does not fit an int64."""
        instrument = self.instruments[index]
        product = abs(price_ticks) * lots * instrument.notional_multiplier
        too_much = product + instrument.notional_divisor > INT64_MAX
        return too_much or lots * instrument.base_units_per_lot > INT64_MAX

    def _needed(self, index: int, side: int, price_ticks: int, lots: int) -> int:
        """Units to reserve: quote for a buyer, rounded up; base for a seller."""
        instrument = self.instruments[index]
        if side == Side.SELL:
            return lots * instrument.base_units_per_lot
        product = price_ticks * lots * instrument.notional_multiplier
        return max(0, -(-product // instrument.notional_divisor))

    def _value(self, instrument: Instrument, price_ticks: int, lots: int) -> int:
        """Units of the quote asset, rounded down."""
        product = price_ticks * lots * instrument.notional_multiplier
        return product // instrument.notional_divisor

    def _held(self, hold: Hold) -> int:
        return self._needed(hold.instrument, hold.side, hold.bound_price_ticks, hold.bound_lots)

    def _balance(self, account: int, index: int, side: int) -> Balance:
        """Where an order of this side takes its money from."""
        instrument = self.instruments[index]
        asset = instrument.quote_asset_index if side == Side.BUY else instrument.base_asset_index
        return self.balances[account].setdefault(asset, Balance())

    def _reserve(self, hold: Hold) -> None:
        balance = self._balance(hold.account, hold.instrument, hold.side)
        balance.available -= self._held(hold)
        balance.reserved += self._held(hold)

    def _release(self, hold: Hold) -> None:
        balance = self._balance(hold.account, hold.instrument, hold.side)
        balance.available += self._held(hold)
        balance.reserved -= self._held(hold)

    # --- events ------------------------------------------------------------------------------

    @property
    def applied(self) -> int:
        """Events applied of the first matching shard."""
        return self.watermarks[0]

    def apply(self, event: Event, shard: int = 0) -> None:
        """Take over what a matching shard did."""
        self.watermarks[shard] += 1
        assert event.sequence == self.watermarks[shard], "risk misses an event"
        if 0 < event.reason < RejectReason.UNKNOWN_ORDER:
            # Refused before matching. It may name another order: whose client id it repeats.
            return
        if event.kind == EventKind.TRADE:
            self._settle(event)  # type: ignore[arg-type]
        elif event.kind == EventKind.PREVENTED:
            self._prevented(event)  # type: ignore[arg-type]
        elif event.kind in (EventKind.REJECTED, EventKind.CANCELED):
            self._release(self.holds.pop(event.order_id))
        elif event.kind in (EventKind.REPLACED, EventKind.REPLACE_REJECTED):
            self._answer(event)

    def _settle(self, trade: TradeEvent) -> None:
        instrument = self.instruments[trade.instrument]
        self.last_prices[trade.instrument] = trade.price_ticks
        quote_units = self._value(instrument, trade.price_ticks, trade.qty_lots)
        base_units = trade.qty_lots * instrument.base_units_per_lot
        for order_id in (trade.order_id, trade.maker_order_id):
            hold = self.holds[order_id]
            bought = hold.side == Side.BUY
            gives, takes = (quote_units, base_units) if bought else (base_units, quote_units)
            self._release(hold)
            self._balance(hold.account, hold.instrument, hold.side).available -= gives
            self._balance(hold.account, hold.instrument, 1 - hold.side).available += takes
            hold.open_lots -= trade.qty_lots
            hold.bound_lots -= trade.qty_lots
            if hold.open_lots == 0:
                del self.holds[order_id]
            else:
                self._reserve(hold)

    def _prevented(self, event: TradeEvent) -> None:
        """Two orders lost quantity to each other; one that has none left is ended later.

        While an amendment is under way its bound stays: it asks for what it asks for.
        """
        for order_id in (event.order_id, event.maker_order_id):
            hold = self.holds[order_id]
            self._release(hold)
            hold.total_lots -= event.qty_lots
            hold.open_lots -= event.qty_lots
            if hold.amendments == 0:
                hold.bound_lots = hold.open_lots
            self._reserve(hold)

    def _answer(self, event: Event) -> None:
        """An amendment that risk had let pass was carried out or refused."""
        hold = self.holds.get(event.order_id)
        if hold is None or not _is_owner(hold, event):
            return
        if event.reason == RejectReason.UNKNOWN_ORDER:
            # Sent before the order existed, by guessing its id: nothing was reserved for it.
            return
        self._release(hold)
        if event.kind == EventKind.REPLACED:
            assert not isinstance(event, TradeEvent)
            hold.price_ticks, hold.total_lots = event.price_ticks, event.qty_lots
            hold.open_lots = event.leaves_lots  # type: ignore[union-attr]
        hold.amendments -= 1
        if hold.amendments == 0:
            hold.bound_price_ticks, hold.bound_lots = hold.price_ticks, hold.open_lots
        self._reserve(hold)


def _is_owner(hold: Hold, message: Sequenced | Event) -> bool:
    return (hold.account, hold.instrument) == (message.account, message.instrument)
