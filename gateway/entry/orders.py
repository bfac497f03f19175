"""Order entry: new orders, lists of orders, amendments, cancels.

HTTP and WebSocket share it. What can be seen to be wrong with the gateway's own knowledge is
refused here and never reaches the engine; limits and balances are for the engine to judge. Each
method either raises a GatewayError, and nothing was sent, or hands the function `answer` exactly
one reply.
"""

from functools import partial
from typing import Any, Final

from engine.config import Config
from engine.instruments import Instrument
from engine.messages import (
    BOTH_SIDES,
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    ListKind,
    Side,
    Trigger,
)
from gateway.bridge import Bridge
from gateway.documents import check_document
from gateway.entry.amounts import lots_of, ticks_of
from gateway.entry.names import Located, Names, Target, client_order_id_bytes
from gateway.entry.pending import Answer, PendingCommands, Reply, Request
from gateway.entry.replies import REFUSALS, Replies
from gateway.entry.sessions import OwedCancels, Session
from gateway.entry.terms import Values, display_lots_of, order_values
from gateway.errors import BadValue, Contradiction
from gateway.order import LIST_SIZES, Order
from gateway.schema import Changes, NewList, NewOrder, OrderTerms
from gateway.view import VenueView

_SIDES: Final = {side.name.lower(): int(side) for side in Side}
_LISTS: Final = {kind.name.lower(): kind for kind in ListKind}

LAST: Final = int(EventFlag.LAST)

TELLING: Final = REFUSALS | {EventKind.DONE}
"""What a reply is made from although it need not be the last event: what a broken list causes
comes after it."""

_ASK_FOR_IT: Final = "ask for the order to see"
_TRIGGER_FIELDS: Final = {"stop_price": Trigger.STOP, "touch_price": Trigger.TOUCH}


class OrderEntry:
    """From what clients want to commands, and back."""

    def __init__(self, config: Config, view: VenueView, bridge: Bridge) -> None:
        """`view` gets every event before `settle` does."""
        self._view = view
        self._replies = Replies(view)
        self.pending = PendingCommands(bridge, config.gateway.request_timeout_ms / 1000)
        self._owed = OwedCancels(self.pending)
        self._names = Names(view, self._replies)
        self._checks: set[int] = set()
        "Source sequences of the checks on their way."
        self.instrument = self._names.instrument
        self.check_account = self._names.check_account

    # --- new orders ----------------------------------------------------------------------------

    def place(self, order: NewOrder, answer: Answer, session: Session | None = None) -> None:
        """Send a new order; over a WebSocket, `session` is the connection's."""
        self.check_account(order.account)
        instrument = self.instrument(order.symbol)
        command = self._command_of(order, order.account, instrument)
        key = order.account, command["client_order_id"]
        question = (
            "ask for it by account and client_order_id, or send it again with the same "
            "client_order_id, which cannot place it twice"
        )
        members = {"account": order.account, "client_order_id": key[1].decode()}
        conclude = partial(self._placed, [key], session)
        self.pending.send((command,), Request(answer, conclude, question, **members))
        self._names.in_flight.setdefault(key, instrument.index)

    def check(self, order: NewOrder, answer: Answer) -> None:
        """Ask what risk would say to an order now; nothing happens."""
        self.check_account(order.account)
        instrument = self.instrument(order.symbol)
        command = self._command_of(order, order.account, instrument)
        command["kind"] = CommandKind.CHECK
        conclude = partial(self._checked, command["client_order_id"], instrument)
        sequence = self.pending.send((command,), Request(answer, conclude, "ask again"))
        self._checks.add(sequence)

    def place_list(self, wish: NewList, answer: Answer, session: Session | None = None) -> None:
        """Send the orders of a list, one right after the other; they have one reply."""
        self.check_account(wish.account)
        instrument = self.instrument(wish.symbol)
        kind = _LISTS[wish.kind]
        if len(wish.orders) != LIST_SIZES[kind]:
            raise Contradiction(
                f"expected {LIST_SIZES[kind]} orders in a list of kind {wish.kind}, found "
                f"{len(wish.orders)}",
                "orders",
            )
        commands = []
        for index, order in enumerate(wish.orders):
            try:
                command = self._command_of(order, wish.account, instrument)
            except BadValue as error:
                error.field = f"orders[{index}].{error.field}" if error.field else "orders"
                raise
            command["flags"] |= CommandFlag.TERMS
            commands.append(command | {"list_kind": kind, "list_index": index})
        keys = [(wish.account, command["client_order_id"]) for command in commands]
        if len(set(keys)) < len(keys):
            raise Contradiction("each order needs a client_order_id of its own", "orders")
        conclude = partial(self._list_placed, wish.kind, keys, session)
        names = [name.decode() for _, name in keys]
        question = "ask for its orders by account and client_order_id to see"
        request = Request(answer, conclude, question, account=wish.account, client_order_ids=names)
        self.pending.send(commands, request)
        for key in keys:
            self._names.in_flight.setdefault(key, instrument.index)

    def _command_of(self, order: OrderTerms, account: int, instrument: Instrument) -> Values:
        values = order_values(order, instrument)
        values["kind"] = CommandKind.NEW
        values["account"] = account
        values["client_order_id"] = client_order_id_bytes(order.client_order_id)
        return values

    def _placed(
        self, keys: list[tuple[int, bytes]], session: Session | None, events: list[Any]
    ) -> Reply:
        self._arrived(keys, session, events)
        event = events[0]
        if event.kind in REFUSALS:
            return Reply.of(self._replies.refusal(event))
        order = self._view.order_of(*keys[0])
        assert order is not None, "an accepted order that is not known"
        return Reply(201, self._replies.document(order))

    def _checked(self, client_id: bytes, instrument: Instrument, events: list[Any]) -> Reply:
        event = events[0]
        self._checks.discard(event.source_sequence)
        if event.kind in REFUSALS:
            return Reply.of(self._replies.refusal(event, (event.account, client_id)))
        return Reply(200, check_document(event, instrument))

    def _list_placed(
        self,
        kind: str,
        keys: list[tuple[int, bytes]],
        session: Session | None,
        events: list[Any],
    ) -> Reply:
        self._arrived(keys, session, events)
        orders = [self._view.order_of(*key) for key in keys]
        documents = [None if order is None else self._replies.document(order) for order in orders]
        for index, event in enumerate(events):
            if event.kind in REFUSALS:
                error = self._replies.refusal(event)
                error.field = f"orders[{index}].{error.field}" if error.field else "orders"
                error.members["orders"] = documents
                return Reply.of(error)
        return Reply(201, {"kind": kind, "orders": documents})

    def _arrived(
        self, keys: list[tuple[int, bytes]], session: Session | None, events: list[Any]
    ) -> None:
        """New orders have been answered by the engine, whether anybody waits or not."""
        for key, event in zip(keys, events, strict=True):
            self._names.in_flight.pop(key, None)
            if session is None or event.kind in REFUSALS:
                continue
            order = self._view.order_of(*key)
            assert order is not None, "an accepted order that is not known"
            session.note(order)
            if session.over:
                self._owed.owe([order])

    def end_session(self, session: Session) -> None:
        """The connection has ended: cancel what it left open, if it asked for that."""
        if session.cancel_on_disconnect:
            session.over = True
            self._owed.owe(session.open_orders())

    # --- changes -------------------------------------------------------------------------------

    def cancel(self, target: Target, answer: Answer) -> None:
        """Send a cancel."""
        located = self._names.locate(target)
        command = {
            "kind": CommandKind.CANCEL,
            "account": target.account,
            "instrument": located.instrument,
        }
        conclude = partial(self._changed, target, located)
        self.pending.send((command | located.names,), Request(answer, conclude, _ASK_FOR_IT))

    def amend(self, target: Target, changes: Changes, answer: Answer) -> None:
        """Send an amendment; what is None stays as the view knows it.

        `quantity` is the total of the order, what has been filled included.
        """
        if all(getattr(changes, field) is None for field in Changes.__struct_fields__):
            raise Contradiction(
                f"expected at least one of {', '.join(Changes.__struct_fields__)}, found none"
            )
        located = self._names.locate(target)
        instrument = self._view.instruments[located.instrument]
        values = _amended_values(changes, located.order, instrument)
        terms = _amended_terms(changes, located.order, values["qty_lots"], instrument)
        command = {
            "kind": CommandKind.AMEND,
            "account": target.account,
            "instrument": located.instrument,
            "flags": CommandFlag.TERMS if terms else 0,
        }
        conclude = partial(self._changed, target, located)
        request = Request(answer, conclude, _ASK_FOR_IT)
        self.pending.send((command | located.names | values | terms,), request)

    def _changed(self, target: Target, located: Located, events: list[Any]) -> Reply:
        event = events[0]
        if event.kind in REFUSALS:
            return Reply.of(self._replies.refusal(event))
        order = located.order
        if order is None:
            order = self._view.order_of(target.account, located.names["client_order_id"])
        assert order is not None, "a changed order that is not known"
        return Reply(200, self._replies.document(order))

    def cancel_all(
        self, account: int, symbol: str | None, side: str | None, answer: Answer
    ) -> None:
        """Cancel the account's open orders, in all instruments or one, of both sides or one."""
        self.check_account(account)
        if symbol is None:
            numbers = {order.instrument for order in self._view.open_orders(account).values()}
            numbers |= {
                number for (owner, _), number in self._names.in_flight.items() if owner == account
            }
        else:
            numbers = {self.instrument(symbol).index}
        if not numbers:
            answer(Reply(200, {"account": account, "canceled": 0}))
            return
        commands = [
            {
                "kind": CommandKind.MASS_CANCEL,
                "account": account,
                "instrument": number,
                "side": BOTH_SIDES if side is None else _SIDES[side],
            }
            for number in sorted(numbers)
        ]
        conclude = partial(self._all_canceled, account)
        question = "ask for the open orders to see"
        self.pending.send(commands, Request(answer, conclude, question, account=account))

    def _all_canceled(self, account: int, events: list[Any]) -> Reply:
        for event in events:
            if event.kind in REFUSALS:
                return Reply.of(self._replies.refusal(event))
        return Reply(200, {"account": account, "canceled": sum(each.qty_lots for each in events)})

    def is_check(self, event: Any) -> bool:
        """Whether an event of a command of this gateway answers a check: of no order at all."""
        return event.source_sequence in self._checks

    # --- answers -------------------------------------------------------------------------------

    def settle(self, event: Any) -> None:
        """An event of a command of this gateway, after everybody else has seen it."""
        if event.flags & LAST:
            self.pending.settle(event)
        elif event.kind in TELLING:
            self.pending.note(event)

    def abandon(self) -> None:
        """The venue stops: answer all who wait."""
        self._owed.abandon()
        self.pending.abandon()


def _amended_values(changes: Changes, order: Order | None, instrument: Instrument) -> Values:
    """Price and quantity of an amendment."""
    if order is None and (changes.price is None or changes.quantity is None):
        raise Contradiction(
            "the order is not acknowledged yet: send both price and quantity, or wait",
            "quantity" if changes.quantity is None else "price",
        )
    values = {}
    if changes.price is not None:
        values["price_ticks"] = ticks_of(changes.price, instrument)
    else:
        assert order is not None
        values["price_ticks"] = order.working_ticks
    if changes.quantity is not None:
        values["qty_lots"] = lots_of(changes.quantity, instrument)
    else:
        assert order is not None
        values["qty_lots"] = order.qty_lots
    return values


def _amended_terms(
    changes: Changes, order: Order | None, qty_lots: int, instrument: Instrument
) -> Values:
    """Trigger and display of an amendment; nothing when it changes neither."""
    given = [field for field in _TRIGGER_FIELDS if getattr(changes, field) is not None]
    if not given and changes.display_quantity is None:
        return {}
    field = given[0] if given else "display_quantity"
    if order is None:
        raise Contradiction("the order is not acknowledged yet: wait", field)
    kind = order.waits_for
    terms = {"trigger": kind, "trigger_ticks": 0, "display_lots": order.display_lots}
    if kind in _TRIGGER_FIELDS.values():
        terms["trigger_ticks"] = order.trigger_ticks
    for field in given:
        if kind != _TRIGGER_FIELDS[field]:
            raise Contradiction("the order does not wait for such a price", field)
        terms["trigger_ticks"] = ticks_of(getattr(changes, field), instrument, field)
    if changes.display_quantity is not None:
        open_lots = max(qty_lots - order.cum_lots, 1)
        terms["display_lots"] = display_lots_of(changes.display_quantity, open_lots, instrument)
    return terms
