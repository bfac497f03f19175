"""Order entry: from a client's wish to a command, and from the command's last event to a reply.

HTTP and WebSocket share it. What can be seen to be wrong with the gateway's own knowledge is
refused here and never reaches the engine; limits and balances are for the engine to judge. The
caller of `place`, `cancel` and `amend` hands in a function, which gets exactly one reply.
"""

import asyncio
import re
import time
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, NamedTuple

from engine.config import Config
from engine.instruments import Instrument
from engine.limits import QTY_LOTS_MAX
from engine.messages import (
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    OrderType,
    RejectReason,
    Side,
    TimeInForce,
)
from engine.scale import INT64_MAX, Scale
from gateway.bridge import Bridge
from gateway.documents import order_document
from gateway.errors import (
    BadDecimal,
    BadValue,
    Contradiction,
    EngineRefusal,
    EngineTimeout,
    GatewayError,
    OffLot,
    OffTick,
    OrderNotOpen,
    PriceOutOfRange,
    QuantityOutOfRange,
    Stopping,
    UnknownAccount,
    UnknownOrder,
    UnknownSymbol,
)
from gateway.schema import NewOrder, client_order_id_bytes, found
from gateway.view import OPEN, Order, VenueView


class Reply(NamedTuple):
    """What a request is answered with."""

    status: int
    document: dict[str, Any]
    headers: dict[str, str] | None = None

    @classmethod
    def of(cls, error: GatewayError) -> "Reply":
        """The reply that carries an error."""
        return cls(error.status, error.document(), error.headers() or None)


Answer = Callable[[Reply], None]


class Target(NamedTuple):
    """Which order a cancel or an amendment means."""

    account: int
    order_id: int | None = None
    client_order_id: str | None = None


class _Pending:
    """A command that the engine has not answered."""

    __slots__ = ("account", "answer", "client_order_id", "deadline", "instrument", "kind")

    def __init__(self, kind: CommandKind, account: int, answer: Answer, deadline: float) -> None:
        self.kind = kind
        self.account = account
        self.answer: Answer | None = answer
        self.deadline = deadline
        self.client_order_id = b""
        self.instrument = 0


_DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")

_SIDES: Final = {side.name.lower(): side for side in Side}
_TYPES: Final = {kind.name.lower(): kind for kind in OrderType}
_TIMES: Final = {kind.name.lower(): kind for kind in TimeInForce}

_REFUSED: Final = (EventKind.REJECTED, EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED)
_NOT_FOUND: Final = (RejectReason.UNKNOWN_ORDER, RejectReason.UNKNOWN_CLIENT_ORDER_ID)


class OrderEntry:
    """Commands on their way, by source sequence."""

    def __init__(self, config: Config, view: VenueView, bridge: Bridge) -> None:
        """`view` gets every event before `settle` does."""
        self._config = config
        self._view = view
        self._bridge = bridge
        self._timeout_s = config.gateway.request_timeout_ms / 1000
        self._pending: dict[int, _Pending] = {}
        self._in_flight: dict[tuple[int, bytes], int] = {}
        "Instrument of each new order that is not answered, by account and client order id."
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pending_count(self) -> int:
        """Commands that the engine has not answered."""
        return len(self._pending)

    # --- requests ------------------------------------------------------------------------------

    def place(self, order: NewOrder, answer: Answer) -> None:
        """Send a new order; a GatewayError says why not."""
        self._check_account(order.account)
        instrument = self.instrument(order.symbol)
        time_in_force = _time_in_force(order)
        price_ticks = _price_of(order, instrument)
        qty_lots = lots_of(order.quantity, instrument)
        client_id = uuid.uuid4().hex if order.client_order_id is None else order.client_order_id
        raw_id = client_order_id_bytes(client_id)
        pending = self._submit(
            CommandKind.NEW,
            order.account,
            answer,
            side=_SIDES[order.side],
            order_type=_TYPES[order.type],
            time_in_force=time_in_force,
            flags=CommandFlag.POST_ONLY if order.post_only else 0,
            instrument=instrument.index,
            price_ticks=price_ticks,
            qty_lots=qty_lots,
            client_order_id=raw_id,
        )
        pending.client_order_id, pending.instrument = raw_id, instrument.index
        self._in_flight.setdefault((order.account, raw_id), instrument.index)

    def cancel(self, target: Target, answer: Answer) -> None:
        """Send a cancel; a GatewayError says why not."""
        _, instrument, names = self._locate(target)
        self._submit(CommandKind.CANCEL, target.account, answer, instrument=instrument, **names)

    def amend(
        self, target: Target, price: str | None, quantity: str | None, answer: Answer
    ) -> None:
        """Send an amendment; what is None stays as the view knows it. A GatewayError says why not.

        `quantity` is the total of the order, what has been filled included.
        """
        if price is None and quantity is None:
            raise Contradiction("expected price, quantity or both, found neither")
        order, index, names = self._locate(target)
        instrument = self._view.instruments[index]
        if order is None and (price is None or quantity is None):
            raise Contradiction(
                "the order is not acknowledged yet: send both price and quantity, or wait",
                "quantity" if quantity is None else "price",
            )
        if price is not None:
            price_ticks = ticks_of(price, instrument)
        else:
            assert order is not None
            price_ticks = order.price_ticks
        if quantity is not None:
            qty_lots = lots_of(quantity, instrument)
        else:
            assert order is not None
            qty_lots = order.qty_lots
        self._submit(
            CommandKind.AMEND,
            target.account,
            answer,
            instrument=index,
            price_ticks=price_ticks,
            qty_lots=qty_lots,
            **names,
        )

    def instrument(self, symbol: str) -> Instrument:
        """The instrument of a request; UnknownSymbol when there is none."""
        try:
            return self._config.instrument(symbol)
        except KeyError:
            raise UnknownSymbol(
                f"expected a symbol of /api/v1/instruments, found {found(symbol)}", "symbol"
            ) from None

    def _check_account(self, number: int) -> None:
        try:
            self._config.account(number)
        except KeyError:
            raise UnknownAccount(
                f"expected an account of /api/v1/accounts, found {number}", "account"
            ) from None

    def _locate(self, target: Target) -> tuple[Order | None, int, dict[str, Any]]:
        """The order, its instrument's number, and how the command names it.

        The order is None while its own command is on the way.
        """
        if (target.order_id is None) == (target.client_order_id is None):
            raise Contradiction("expected order_id or client_order_id, not both or neither")
        self._check_account(target.account)
        if target.order_id is not None:
            field = "order_id"
            order = self._view.order(target.order_id)
        else:
            assert target.client_order_id is not None
            field = "client_order_id"
            raw_id = client_order_id_bytes(target.client_order_id)
            order = self._view.order_of(target.account, raw_id)
            instrument = self._in_flight.get((target.account, raw_id))
            if order is None and instrument is not None:
                return None, instrument, {"client_order_id": raw_id}
        if order is None or order.account != target.account:
            raise UnknownOrder(f"account {target.account} has no such order", field)
        if order.state != OPEN:
            raise self._not_open(order, field)
        return order, order.instrument, {"order_id": order.order_id}

    def _not_open(self, order: Order, field: str) -> OrderNotOpen:
        document = order_document(order, self._view.instruments[order.instrument])
        return OrderNotOpen(f"the order is {document['status']}", field, order=document)

    def _submit(self, kind: CommandKind, account: int, answer: Answer, **values: Any) -> _Pending:
        sequence = self._bridge.submit(kind=kind, account=account, **values)
        pending = _Pending(kind, account, answer, time.monotonic() + self._timeout_s)
        self._pending[sequence] = pending
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._timeout_s, self._expire)
        return pending

    # --- answers -------------------------------------------------------------------------------

    def settle(self, event: Any) -> None:
        """Answer the command of this gateway whose last event this is."""
        assert event.flags & EventFlag.LAST, "only the last event of a command settles it"
        pending = self._pending.pop(event.source_sequence)
        if pending.kind == CommandKind.NEW:
            self._in_flight.pop((pending.account, pending.client_order_id), None)
        if pending.answer is not None:
            pending.answer(self._reply(pending, event))

    def _reply(self, pending: _Pending, event: Any) -> Reply:
        order = self._view.order(event.order_id) if event.order_id else None
        if event.kind in _REFUSED:
            return Reply.of(self._refusal(event, order))
        assert order is not None, "an accepted command without its order"
        document = order_document(order, self._view.instruments[order.instrument])
        return Reply(201 if pending.kind == CommandKind.NEW else 200, document)

    def _refusal(self, event: Any, order: Order | None) -> GatewayError:
        if event.reason == RejectReason.DUPLICATE_CLIENT_ORDER_ID:
            document: dict[str, Any] = {"order_id": event.order_id, "order": None}
            if order is not None:
                instrument = self._view.instruments[order.instrument]
                document["order"] = order_document(order, instrument)
            return EngineRefusal(event.reason, **document)
        ended = order is not None and order.account == event.account and order.state != OPEN
        if event.reason in _NOT_FOUND and ended:
            assert order is not None
            return self._not_open(order, "order_id")
        if event.kind == EventKind.REJECTED and event.order_id:
            return EngineRefusal(event.reason, order_id=event.order_id)
        return EngineRefusal(event.reason)

    def _expire(self) -> None:
        """Answer those that have waited too long; the engine's answer, when it comes, is dropped.

        One timer serves all commands: they time out in the order in which they were sent.
        """
        self._timer = None
        now = time.monotonic()
        for pending in self._pending.values():
            if pending.answer is None:
                continue
            if pending.deadline > now:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(pending.deadline - now, self._expire)
                return
            answer, pending.answer = pending.answer, None
            answer(Reply.of(_timeout_of(pending)))

    def abandon(self) -> None:
        """The venue stops: answer all who wait."""
        if self._timer is not None:
            self._timer.cancel()
        for pending in self._pending.values():
            if pending.answer is not None:
                answer, pending.answer = pending.answer, None
                answer(
                    Reply.of(
                        Stopping("the venue stops; the request may or may not have been executed")
                    )
                )


def _timeout_of(pending: _Pending) -> EngineTimeout:
    text = "the engine has not answered yet; the request may still be executed"
    if pending.kind != CommandKind.NEW:
        return EngineTimeout(f"{text}: ask for the order to see")
    client_id = pending.client_order_id.decode()
    return EngineTimeout(
        f"{text}: ask for it by account and client_order_id, or send it again with the same "
        "client_order_id, which cannot place it twice",
        account=pending.account,
        client_order_id=client_id,
    )


def _time_in_force(order: NewOrder) -> TimeInForce:
    """How long an order lives; a market order never rests, so it is ioc unless it says fok."""
    is_market = order.type == "market"
    if is_market and order.time_in_force == "gtc":
        raise Contradiction(
            'a market order cannot wait in the book: expected "ioc" or "fok", found "gtc"',
            "time_in_force",
        )
    time_in_force = _TIMES[order.time_in_force or ("ioc" if is_market else "gtc")]
    if order.post_only and (is_market or time_in_force != TimeInForce.GTC):
        raise Contradiction("only a limit order that is gtc can be post-only", "post_only")
    return time_in_force


def _price_of(order: NewOrder, instrument: Instrument) -> int:
    """The limit price in ticks; 0 for a market order."""
    if order.type == "limit":
        if order.price is None:
            raise Contradiction("a limit order needs a price", "price")
        return ticks_of(order.price, instrument)
    if order.price is not None:
        raise Contradiction("a market order has no price", "price")
    return 0


def ticks_of(price: str, instrument: Instrument) -> int:
    """A price in ticks. BadDecimal, OffTick or PriceOutOfRange."""
    least, most = instrument.price_min_ticks, instrument.price_max_ticks
    ticks = _steps_of(price, instrument.prices, "price", OffTick, PriceOutOfRange)
    if not least <= ticks <= most:
        to_text = instrument.ticks_to_price
        raise PriceOutOfRange(
            f"expected {to_text(least)} to {to_text(most)}, found {found(price)}", "price"
        )
    return ticks


def lots_of(quantity: str, instrument: Instrument) -> int:
    """A quantity in lots. BadDecimal, OffLot or QuantityOutOfRange."""
    lots = _steps_of(quantity, instrument.quantities, "quantity", OffLot, QuantityOutOfRange)
    if not 1 <= lots <= QTY_LOTS_MAX:
        to_text = instrument.lots_to_qty
        raise QuantityOutOfRange(
            f"expected {to_text(1)} to {to_text(instrument.qty_max_lots)}, found {found(quantity)}",
            "quantity",
        )
    return lots


def _steps_of(
    text: str, scale: Scale, field: str, broken: type[BadValue], too_large: type[BadValue]
) -> int:
    """Whole steps of a decimal text, or the error that says why there are none."""
    try:
        return scale.count(text)
    except ValueError as error:
        detail = str(error)
    if not _DECIMAL.fullmatch(text):
        raise BadDecimal(detail, field)
    if Decimal(text).copy_abs() > INT64_MAX * scale.step:
        raise too_large(detail, field)
    raise broken(detail, field)
