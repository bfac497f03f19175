"""The naive ingest: numbers commands, names orders, refuses what makes no sense.

Reads commands of all sources in the order they are given; writes one sequenced command each.
"""

from collections.abc import Iterator, Sequence

from engine.limits import CLIENT_ORDER_IDS_MAX, QTY_LOTS_MAX
from engine.messages import CommandFlag, CommandKind, OrderType, RejectReason, Side, TimeInForce
from tests.twin.instrument import Instrument
from tests.twin.messages import Command, Sequenced

CHANGES = (CommandKind.CANCEL, CommandKind.AMEND)
AMEND_FLAGS = CommandFlag.LEAVES | CommandFlag.REQUEUE | CommandFlag.POST_ONLY


class Ingest:
    """Sequence numbers, order ids and the memory of client order ids."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        client_order_ids_max: int = CLIENT_ORDER_IDS_MAX - 1,
    ) -> None:
        """Nothing sequenced yet; remembers the newest `client_order_ids_max` client ids."""
        self._instruments = instruments
        self._remembered_max = client_order_ids_max
        self._remembered: dict[tuple[int, bytes], int] = {}
        self._commands = 0
        self._orders = 0

    def sequence(self, command: Command, time_ns: int = 0) -> Sequenced:
        """Number, check and identify one command."""
        self._commands += 1
        reason = next(self._faults(command), RejectReason.NONE)
        name = (command.account, command.client_order_id)
        known_id = self._remembered.get(name, 0) if command.client_order_id else 0
        order_id = command.order_id if command.kind in CHANGES else 0
        if command.kind == CommandKind.NEW:
            if not reason and known_id:
                reason, order_id = RejectReason.DUPLICATE_CLIENT_ORDER_ID, known_id
            elif not reason:
                self._orders += 1
                order_id = self._orders
                self._remember(name, order_id)
        elif not reason and order_id == 0:
            reason = RejectReason.NONE if known_id else RejectReason.UNKNOWN_CLIENT_ORDER_ID
            order_id = known_id
        fields = command._asdict() | {
            "sequence": self._commands,
            "reason": reason,
            "order_id": order_id,
            "source_sequence": command.sequence,
            "time_ns": time_ns,
        }
        return Sequenced(**fields)

    def _faults(self, command: Command) -> Iterator[RejectReason]:
        """All that is wrong with a command, what counts first."""
        if command.kind not in (CommandKind.NEW, *CHANGES):
            yield RejectReason.UNKNOWN_COMMAND
        if command.instrument >= len(self._instruments):
            yield RejectReason.UNKNOWN_INSTRUMENT
        if command.kind == CommandKind.NEW:
            yield from self._faults_of_new(command)
        elif command.kind == CommandKind.AMEND:
            if command.flags & ~AMEND_FLAGS:
                yield RejectReason.BAD_FLAGS
            yield from self._faults_of_size(command)
            yield from self._faults_of_price(command)
        elif command.flags:
            yield RejectReason.BAD_FLAGS

    def _faults_of_new(self, command: Command) -> Iterator[RejectReason]:
        if command.side not in (Side.BUY, Side.SELL):
            yield RejectReason.BAD_SIDE
        if command.order_type not in (OrderType.LIMIT, OrderType.MARKET):
            yield RejectReason.BAD_ORDER_TYPE
        if command.time_in_force not in (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK):
            yield RejectReason.BAD_TIME_IN_FORCE
        may_rest = (
            command.order_type == OrderType.LIMIT and command.time_in_force == TimeInForce.GTC
        )
        if command.flags not in (0, CommandFlag.POST_ONLY) or (command.flags and not may_rest):
            yield RejectReason.BAD_FLAGS
        yield from self._faults_of_size(command)
        if command.order_type == OrderType.LIMIT:
            yield from self._faults_of_price(command)

    def _faults_of_size(self, command: Command) -> Iterator[RejectReason]:
        if not 1 <= command.qty_lots <= QTY_LOTS_MAX:
            yield RejectReason.BAD_QUANTITY

    def _faults_of_price(self, command: Command) -> Iterator[RejectReason]:
        instrument = self._instruments[command.instrument]
        if not instrument.price_min_ticks <= command.price_ticks <= instrument.price_max_ticks:
            yield RejectReason.BAD_PRICE

    def _remember(self, name: tuple[int, bytes], order_id: int) -> None:
        if not name[1]:
            return
        self._remembered[name] = order_id
        if len(self._remembered) > self._remembered_max:
            del self._remembered[next(iter(self._remembered))]
