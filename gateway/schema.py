"""What clients may send: one struct for each request body, and the decoder that names faults.

Decoding is typed and strict: unknown fields, missing fields and wrong types are refused, each
with the field, what was expected there and what was found. Prices and quantities are text,
because a JSON number is a binary float to most programs and loses digits.
"""

import re
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
import orjson
from msgspec import Meta, Struct

from engine.limits import ACCOUNTS_MAX, CLIENT_ORDER_ID_CHARS_MAX
from gateway.channels import CHANNELS, Channel
from gateway.errors import (
    BadClientOrderId,
    BadEncoding,
    MalformedJson,
    MissingField,
    UnknownField,
    WrongShape,
    WrongType,
)

T = TypeVar("T")

ORDER_ID_MAX: Final = (1 << 63) - 1

FOUND_CHARS_MAX: Final = 60
"""Characters of a wrong value that an error repeats."""

AccountNumber = Annotated[int, Meta(ge=0, le=ACCOUNTS_MAX - 1)]
OrderId = Annotated[int, Meta(ge=1, le=ORDER_ID_MAX)]
RequestId = Annotated[str, Meta(max_length=64)] | int | None
"""A client's own mark for a WebSocket request, which the reply repeats."""


class NewOrder(Struct, forbid_unknown_fields=True, kw_only=True):
    """An order."""

    account: AccountNumber
    symbol: str
    side: Literal["buy", "sell"]
    type: Literal["limit", "market"]
    quantity: str
    price: str | None = None
    time_in_force: Literal["gtc", "ioc", "fok"] | None = None
    post_only: bool = False
    client_order_id: str | None = None


class Amendment(Struct, forbid_unknown_fields=True, kw_only=True):
    """New price and total quantity of an open order; what is left out stays as it is."""

    account: AccountNumber
    price: str | None = None
    quantity: str | None = None


class PlaceOperation(NewOrder, tag_field="op", tag="order", kw_only=True):
    """WebSocket: send an order."""

    id: RequestId = None


class _Named(Struct, forbid_unknown_fields=True, kw_only=True):
    """An operation on one order, named by exactly one of its two ids."""

    account: AccountNumber
    order_id: OrderId | None = None
    client_order_id: str | None = None
    id: RequestId = None


class CancelOperation(_Named, tag_field="op", tag="cancel", kw_only=True):
    """WebSocket: cancel an order."""


class AmendOperation(_Named, tag_field="op", tag="amend", kw_only=True):
    """WebSocket: amend an order."""

    price: str | None = None
    quantity: str | None = None


class _Subscription(Struct, forbid_unknown_fields=True, kw_only=True):
    channel: Channel
    account: AccountNumber | None = None
    symbol: str | None = None
    id: RequestId = None


class SubscribeOperation(_Subscription, tag_field="op", tag="subscribe", kw_only=True):
    """WebSocket: begin to receive a channel."""


class UnsubscribeOperation(_Subscription, tag_field="op", tag="unsubscribe", kw_only=True):
    """WebSocket: stop receiving a channel."""


class PingOperation(Struct, forbid_unknown_fields=True, tag_field="op", tag="ping", kw_only=True):
    """WebSocket: ask for a reply."""

    id: RequestId = None


Operation = (
    PlaceOperation
    | CancelOperation
    | AmendOperation
    | SubscribeOperation
    | UnsubscribeOperation
    | PingOperation
)

DECIMAL_FIELDS: Final = ("price", "quantity")

_EXPECTED: Final = {
    "account": f"a whole number from 0 to {ACCOUNTS_MAX - 1}",
    "symbol": 'the symbol of an instrument, such as "BTC/USD"',
    "side": '"buy" or "sell"',
    "type": '"limit" or "market"',
    "quantity": 'a decimal number as text, such as "0.25"',
    "price": 'a decimal number as text, such as "50000.00"',
    "time_in_force": '"gtc", "ioc" or "fok"',
    "post_only": "true or false",
    "client_order_id": f"text of 1 to {CLIENT_ORDER_ID_CHARS_MAX} characters",
    "order_id": "a whole number from 1 on",
    "channel": ", ".join(f'"{name}"' for name in CHANNELS[:-1]) + f' or "{CHANNELS[-1]}"',
    "op": '"order", "cancel", "amend", "subscribe", "unsubscribe" or "ping"',
    "id": "text of at most 64 characters, or a whole number",
}
"""What each field takes, in words."""

_PATH: Final = re.compile(r" - at `\$\.([a-z_]+)`$")
_NAMED: Final = re.compile(r"^Object (contains unknown|missing required) field `(.*)`", re.DOTALL)


class Reader(Generic[T]):
    """Reads bodies of one kind: `Reader(NewOrder).read(body)`."""

    def __init__(self, kind: Any) -> None:
        """`kind`: a struct, or a union of tagged structs."""
        self._decode = msgspec.json.Decoder(kind).decode

    def read(self, body: bytes) -> T:
        """The typed request; one of the BadRequest errors when it is not one."""
        try:
            return self._decode(body)  # type: ignore[no-any-return]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _explain(body, error) from None


def _explain(body: bytes, error: Exception) -> Exception:
    """The error for a client: what is wrong with the body, outermost fault first."""
    try:
        body.decode()
    except UnicodeDecodeError as fault:
        return BadEncoding(f"byte {fault.start} of the body is not UTF-8: {fault.reason}")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        return MalformedJson(str(fault))
    if not isinstance(document, dict):
        return WrongShape(f"expected a JSON object, found {found(document)}")
    text = str(error)
    named = _NAMED.match(text)
    if named is not None:
        verb, field = named.groups()
        if verb == "missing required":
            return MissingField(f"expected {_EXPECTED[field]}, found nothing", field)
        return UnknownField("there is no such field here", field[:FOUND_CHARS_MAX])
    path = _PATH.search(text)
    if path is None:
        return WrongShape(text)
    field = path.group(1)
    value = document.get(field)
    if field in DECIMAL_FIELDS and type(value) in (int, float):
        return WrongType(
            f'send a decimal number as text, such as "0.25", not the JSON number {found(value)}: '
            "binary floats lose digits",
            field,
        )
    return WrongType(f"expected {_EXPECTED[field]}, found {found(value)}", field)


def found(value: object) -> str:
    """A JSON value as an error shows it."""
    shown = orjson.dumps(value).decode()
    return shown if len(shown) <= FOUND_CHARS_MAX else shown[: FOUND_CHARS_MAX - 3] + "..."


def client_order_id_bytes(text: str) -> bytes:
    """The bytes of a client order id. BadClientOrderId when it cannot be kept as it is."""
    if not 1 <= len(text) <= CLIENT_ORDER_ID_CHARS_MAX:
        raise BadClientOrderId(
            f"expected 1 to {CLIENT_ORDER_ID_CHARS_MAX} characters, found {len(text)}",
            "client_order_id",
        )
    # Only printable ASCII goes through every protocol unchanged (FIX, HTTP paths, terminals).
    if not (text.isascii() and text.isprintable()):
        raise BadClientOrderId("expected printable ASCII characters only", "client_order_id")
    return text.encode()


NEW_ORDER: Final[Reader[NewOrder]] = Reader(NewOrder)
AMENDMENT: Final[Reader[Amendment]] = Reader(Amendment)
OPERATION: Final[Reader[Operation]] = Reader(Operation)
