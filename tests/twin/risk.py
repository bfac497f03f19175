"""The naive risk stage for cash accounts: checks, reserves, settles.

Reads sequenced commands and the events of matching, in any interleaving; writes one decision per
command. All money is in whole units of an asset; a buyer reserves quote units rounded up, trades
settle rounded down, so that a reservation always covers its trades.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.messages import CommandFlag, CommandKind, EventKind, OrderType, RejectReason, Side
from tests.twin.instrument import Instrument
from tests.twin.messages import ChangeEvent, Decision, Event, Sequenced, TradeEvent

INT64_MAX = (1 << 63) - 1
BPS = 10_000


@dataclass
class Balance:
    """What an account owns of one asset."""

    available: int = 0
    reserved: int = 0


@dataclass
class Hold:
    """A live order as risk knows it, and the units that are reserved for it."""

    account: int
    instrument: int
    side: int
    price_ticks: int
    total_lots: int
    open_lots: int
    reserved_units: int


class Risk:
    """Balances, reservations and reference prices."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        balances: Mapping[int, Mapping[int, int]],
    ) -> None:
        """Configured accounts: `balances[account][asset]` in units; an account may be empty."""
        self.instruments = instruments
        self.balances = {
            account: {asset: Balance(units) for asset, units in assets.items()}
            for account, assets in balances.items()
        }
        self.holds: dict[int, Hold] = {}
        self.references = [instrument.reference_ticks for instrument in instruments]
        self._events = 0

    # --- decisions ---------------------------------------------------------------------------

    def decide(self, command: Sequenced) -> Decision:
        """Pass, price or refuse one command."""
        reason, price_ticks = command.reason, command.price_ticks
        if not reason and command.kind == CommandKind.NEW:
            if command.order_type == OrderType.MARKET and command.account in self.balances:
                price_ticks = self._protective_price(command)
            command = command._replace(price_ticks=price_ticks)
            reason = next(self._faults_of_new(command), RejectReason.NONE)
            if not reason:
                self._hold(command)
        elif not reason and command.kind == CommandKind.AMEND:
            reason = next(self._faults_of_amend(command), RejectReason.NONE)
            if not reason:
                self._grow(command)
        fields = command._asdict() | {"reason": reason, "ev_wm": self._events}
        return Decision(**fields)

    def _faults_of_new(self, command: Sequenced) -> Iterator[RejectReason]:
        if command.account not in self.balances:
            yield RejectReason.UNKNOWN_ACCOUNT
        yield from self._faults_of_size(command)
        if command.order_type == OrderType.LIMIT:
            yield from self._faults_of_price(command)
        elif command.price_ticks < self.instruments[command.instrument].price_min_ticks:
            yield RejectReason.INSUFFICIENT_BALANCE
        index, side = command.instrument, command.side
        units = self._needed(index, side, command.price_ticks, command.qty_lots)
        if self._balance(command.account, index, side).available < units:
            yield RejectReason.INSUFFICIENT_BALANCE

    def _faults_of_amend(self, command: Sequenced) -> Iterator[RejectReason]:
        hold = self._own_hold(command)
        if hold is None:
            return
        yield from self._faults_of_size(command)
        yield from self._faults_of_price(command)
        more = self._amended_units(hold, command) - hold.reserved_units
        if self._balance(hold.account, hold.instrument, hold.side).available < more:
            yield RejectReason.INSUFFICIENT_BALANCE

    def _faults_of_size(self, command: Sequenced) -> Iterator[RejectReason]:
        instrument = self.instruments[command.instrument]
        if command.qty_lots > instrument.qty_max_lots:
            yield RejectReason.QUANTITY_ABOVE_MAX
        product = abs(command.price_ticks * command.qty_lots * instrument.notional_multiplier)
        if product > INT64_MAX:
            yield RejectReason.NOTIONAL_OVERFLOW
        if -(-product // instrument.notional_divisor) > instrument.notional_max_units:
            yield RejectReason.NOTIONAL_ABOVE_MAX

    def _faults_of_price(self, command: Sequenced) -> Iterator[RejectReason]:
        collar_bps = self.instruments[command.instrument].collar_bps
        reference = self.references[command.instrument]
        distance = abs(command.price_ticks - reference)
        if collar_bps and reference and distance * BPS > collar_bps * reference:
            yield RejectReason.PRICE_COLLAR

    def _protective_price(self, command: Sequenced) -> int:
        """The worst price at which a market order may trade; below the range: cannot pay."""
        instrument = self.instruments[command.instrument]
        lowest, highest = instrument.price_min_ticks, instrument.price_max_ticks
        reference = self.references[command.instrument]
        price = highest if command.side == Side.BUY else lowest
        if reference and instrument.collar_bps:
            slack = reference * instrument.collar_bps // BPS
            price = reference + slack if command.side == Side.BUY else reference - slack
        price = max(lowest, min(highest, price))
        if command.side == Side.SELL:
            return price
        available = self._balance(command.account, command.instrument, Side.BUY).available
        lots_price = command.qty_lots * instrument.notional_multiplier
        return min(price, available * instrument.notional_divisor // lots_price)

    # --- reservations ------------------------------------------------------------------------

    def _needed(self, index: int, side: int, price_ticks: int, open_lots: int) -> int:
        """Units to reserve: quote for a buyer, rounded up; base for a seller."""
        instrument = self.instruments[index]
        if side == Side.SELL:
            return open_lots * instrument.base_units_per_lot
        product = price_ticks * open_lots * instrument.notional_multiplier
        return max(0, -(-product // instrument.notional_divisor))

    def _worth(self, hold: Hold) -> int:
        """Units that an order needs for what is open."""
        return self._needed(hold.instrument, hold.side, hold.price_ticks, hold.open_lots)

    def _balance(self, account: int, index: int, side: int) -> Balance:
        """Where an order of this side takes its money from."""
        instrument = self.instruments[index]
        asset = instrument.quote_asset_index if side == Side.BUY else instrument.base_asset_index
        return self.balances[account].setdefault(asset, Balance())

    def _own_hold(self, command: Sequenced) -> Hold | None:
        hold = self.holds.get(command.order_id)
        return hold if hold is not None and hold.account == command.account else None

    def _hold(self, command: Sequenced) -> None:
        hold = Hold(
            command.account,
            command.instrument,
            command.side,
            command.price_ticks,
            command.qty_lots,
            command.qty_lots,
            0,
        )
        self.holds[command.order_id] = hold
        self._reserve(hold, self._worth(hold))

    def _amended_units(self, hold: Hold, command: Sequenced) -> int:
        """What the order needs if the amendment succeeds."""
        filled = hold.total_lots - hold.open_lots
        wants_leaves = command.flags & CommandFlag.LEAVES
        open_lots = command.qty_lots if wants_leaves else max(0, command.qty_lots - filled)
        return self._needed(hold.instrument, hold.side, command.price_ticks, open_lots)

    def _grow(self, command: Sequenced) -> None:
        hold = self._own_hold(command)
        if hold is not None:
            self._reserve(hold, max(hold.reserved_units, self._amended_units(hold, command)))

    def _reserve(self, hold: Hold, units: int) -> None:
        """Move units between available and reserved until the order holds `units`."""
        balance = self._balance(hold.account, hold.instrument, hold.side)
        balance.available -= units - hold.reserved_units
        balance.reserved += units - hold.reserved_units
        hold.reserved_units = units

    # --- events ------------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Take over what matching did."""
        assert event.sequence == self._events + 1, "risk misses an event"
        self._events += 1
        if isinstance(event, TradeEvent):
            self._settle(event)
        elif event.reason in (RejectReason.WOULD_TRADE, RejectReason.BOOK_FULL) and (
            event.kind == EventKind.REJECTED
        ):
            # A REJECTED of ingest may name another order: the one whose client id it repeats.
            self._drop(event.order_id)
        elif event.kind == EventKind.CANCELED:
            self._drop(event.order_id)
        elif isinstance(event, ChangeEvent) and event.order_id in self.holds:
            hold = self.holds[event.order_id]
            if event.kind == EventKind.REPLACED:
                hold.price_ticks = event.price_ticks
                hold.total_lots, hold.open_lots = event.qty_lots, event.leaves_lots
            if event.kind in (EventKind.REPLACED, EventKind.REPLACE_REJECTED):
                self._shrink(hold)

    def _settle(self, trade: TradeEvent) -> None:
        instrument = self.instruments[trade.instrument]
        self.references[trade.instrument] = trade.price_ticks
        product = trade.price_ticks * trade.qty_lots * instrument.notional_multiplier
        quote_units = product // instrument.notional_divisor
        base_units = trade.qty_lots * instrument.base_units_per_lot
        for order_id in (trade.order_id, trade.maker_order_id):
            hold = self.holds[order_id]
            gives, takes = (
                (quote_units, base_units) if hold.side == Side.BUY else (base_units, quote_units)
            )
            self._balance(hold.account, hold.instrument, hold.side).available -= gives
            self._balance(hold.account, hold.instrument, 1 - hold.side).available += takes
            hold.open_lots -= trade.qty_lots
            self._shrink(hold)
            if hold.open_lots == 0:
                del self.holds[order_id]

    def _shrink(self, hold: Hold) -> None:
        """Give back what the open quantity does not need any more."""
        self._reserve(hold, self._worth(hold))

    def _drop(self, order_id: int) -> None:
        hold = self.holds.pop(order_id)
        self._reserve(hold, 0)
