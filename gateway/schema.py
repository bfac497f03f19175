"""What clients may send: one struct for each request body and each WebSocket operation.

`gateway.reading` decodes them, strictly: unknown fields, missing fields and wrong types are
refused. Prices and quantities are text, because a JSON number is a binary float to most programs
and loses digits. What the fields mean together is for `gateway.entry` to say.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from engine.limits import (
    ACCOUNTS_MAX,
    CLIENT_ORDER_ID_CHARS_MAX,
    LIST_ORDERS_MAX,
    TRAIL_BPS_MAX,
)
from gateway.channels import CHANNELS, Channel

INT64_MAX: Final = (1 << 63) - 1

ORDER_ID_MAX: Final = INT64_MAX

LIST_ORDERS_MIN: Final = 2

AccountNumber = Annotated[int, Meta(ge=0, le=ACCOUNTS_MAX - 1)]
OrderId = Annotated[int, Meta(ge=1, le=ORDER_ID_MAX)]
Time = str | Annotated[int, Meta(ge=0, le=INT64_MAX)]
"""ISO 8601 in UTC, or nanoseconds since 1970."""
RequestId = Annotated[str, Meta(max_length=64)] | int | None
"""A client's own mark for a WebSocket request, which the reply repeats."""


class Trailing(Struct, forbid_unknown_fields=True, kw_only=True):
    """A trigger that follows the price: at one of the two distances."""

    distance: str | None = None
    distance_bps: Annotated[int, Meta(ge=1, le=TRAIL_BPS_MAX)] | None = None
    limit_offset: str | None = None


class PegTo(Struct, forbid_unknown_fields=True, kw_only=True):
    """The best price that a pegged order follows."""

    to: Literal["primary", "mid", "opposite"]
    offset: str | None = None


class OrderTerms(Struct, forbid_unknown_fields=True, kw_only=True):
    """What an order says, whoever sends it for whichever instrument."""

    side: Literal["buy", "sell"]
    type: Literal["limit", "market", "market_to_limit"]
    quantity: str
    price: str | None = None
    time_in_force: (
        Literal["gtc", "ioc", "fok", "gtd", "day", "at_open", "at_close", "auction"] | None
    ) = None
    expires_at: Time | None = None
    post_only: bool | Literal["slide"] = False
    reduce_only: bool = False
    stop_price: str | None = None
    touch_price: str | None = None
    trailing: Trailing | None = None
    display_quantity: str | None = None
    hidden: bool = False
    all_or_none: bool = False
    minimum_quantity: str | None = None
    peg: PegTo | None = None
    self_trade: Literal["none", "newest", "oldest", "both", "decrement"] | None = None
    client_order_id: str | None = None


class NewOrder(OrderTerms, kw_only=True):
    """An order."""

    account: AccountNumber
    symbol: str


class NewList(Struct, forbid_unknown_fields=True, kw_only=True):
    """Orders of one account in one instrument that depend on each other."""

    account: AccountNumber
    symbol: str
    kind: Literal["oco", "oto", "bracket"]
    orders: Annotated[
        list[OrderTerms], Meta(min_length=LIST_ORDERS_MIN, max_length=LIST_ORDERS_MAX)
    ]


class Changes(Struct, forbid_unknown_fields=True, kw_only=True):
    """New values of an open order; what is left out stays as it is."""

    price: str | None = None
    quantity: str | None = None
    stop_price: str | None = None
    touch_price: str | None = None
    display_quantity: str | None = None


class Amendment(Changes, kw_only=True):
    """The body that amends the order of the path."""

    account: AccountNumber


class PlaceOperation(NewOrder, tag_field="op", tag="order", kw_only=True):
    """WebSocket: send an order."""

    id: RequestId = None


class ListOperation(NewList, tag_field="op", tag="list", kw_only=True):
    """WebSocket: send a list of orders."""

    id: RequestId = None


class CancelOperation(
    Struct, forbid_unknown_fields=True, tag_field="op", tag="cancel", kw_only=True
):
    """WebSocket: cancel an order, named by exactly one of its two ids."""

    account: AccountNumber
    order_id: OrderId | None = None
    client_order_id: str | None = None
    id: RequestId = None


class AmendOperation(Changes, tag_field="op", tag="amend", kw_only=True):
    """WebSocket: amend an order, named by exactly one of its two ids."""

    account: AccountNumber
    order_id: OrderId | None = None
    client_order_id: str | None = None
    id: RequestId = None


class CancelAllOperation(
    Struct, forbid_unknown_fields=True, tag_field="op", tag="cancel_all", kw_only=True
):
    """WebSocket: cancel the open orders of an account, all or those of a symbol or side."""

    account: AccountNumber
    symbol: str | None = None
    side: Literal["buy", "sell"] | None = None
    id: RequestId = None


class SessionOperation(
    Struct, forbid_unknown_fields=True, tag_field="op", tag="session", kw_only=True
):
    """WebSocket: what becomes of the connection's orders when it ends."""

    cancel_on_disconnect: bool
    id: RequestId = None


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
    | ListOperation
    | CancelOperation
    | AmendOperation
    | CancelAllOperation
    | SessionOperation
    | SubscribeOperation
    | UnsubscribeOperation
    | PingOperation
)


class PhaseChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """The phase that an instrument is brought into."""

    phase: Literal[
        "closed",
        "pre_open",
        "opening_auction",
        "continuous",
        "halt",
        "volatility_auction",
        "closing_auction",
        "post_close",
    ]


class Tick(Struct, forbid_unknown_fields=True, kw_only=True):
    """The time that the venue's clock is moved to."""

    at: Time


class Funds(Struct, forbid_unknown_fields=True, kw_only=True):
    """Units of an asset that come into an account, leave it or go to another."""

    account: AccountNumber
    asset: str
    operation: Literal["deposit", "withdraw", "transfer"]
    amount: str
    to_account: AccountNumber | None = None
    reference: str | None = None


class Mark(Struct, forbid_unknown_fields=True, kw_only=True):
    """A price from outside by which positions are valued."""

    symbol: str
    price: str


class InstrumentLimits(Struct, forbid_unknown_fields=True, kw_only=True):
    """Terms of an instrument that change while it trades; what is left out stays."""

    quantity_min: str | None = None
    quantity_max: str | None = None
    notional_min: str | None = None
    notional_max: str | None = None
    collar_bps: int | None = None
    static_band_bps: int | None = None
    dynamic_band_bps: int | None = None


DECIMAL_FIELDS: Final = frozenset(
    {
        "price",
        "quantity",
        "stop_price",
        "touch_price",
        "display_quantity",
        "minimum_quantity",
        "distance",
        "limit_offset",
        "offset",
        "quantity_min",
        "quantity_max",
        "notional_min",
        "notional_max",
        "amount",
    }
)
"""Fields that hold decimal numbers as text."""

_DECIMAL_TEXT: Final = 'a decimal number as text, such as "50000.00"'
_TIME_TEXT: Final = 'a time in UTC such as "2026-01-31T16:00:00Z", or nanoseconds since 1970'
_FLAG_TEXT: Final = "true or false"
_BPS_TEXT: Final = "a whole number of ten-thousandths"

EXPECTED: Final = dict.fromkeys(DECIMAL_FIELDS, _DECIMAL_TEXT) | {
    "account": f"a whole number from 0 to {ACCOUNTS_MAX - 1}",
    "to_account": f"a whole number from 0 to {ACCOUNTS_MAX - 1}",
    "asset": 'the name of an asset, such as "USD"',
    "operation": '"deposit", "withdraw" or "transfer"',
    "reference": f"text of 1 to {CLIENT_ORDER_ID_CHARS_MAX} characters",
    "symbol": 'the symbol of an instrument, such as "BTC/USD"',
    "side": '"buy" or "sell"',
    "type": '"limit", "market" or "market_to_limit"',
    "quantity": 'a decimal number as text, such as "0.25"',
    "time_in_force": '"gtc", "ioc", "fok", "gtd", "day", "at_open", "at_close" or "auction"',
    "expires_at": _TIME_TEXT,
    "at": _TIME_TEXT,
    "post_only": 'true, false or "slide"',
    "reduce_only": _FLAG_TEXT,
    "trailing": 'an object with "distance" or "distance_bps", and "limit_offset" if wanted',
    "distance_bps": f"a whole number of ten-thousandths from 1 to {TRAIL_BPS_MAX}",
    "hidden": _FLAG_TEXT,
    "all_or_none": _FLAG_TEXT,
    "peg": 'an object with "to", and "offset" if wanted',
    "to": '"primary", "mid" or "opposite"',
    "self_trade": '"none", "newest", "oldest", "both" or "decrement"',
    "client_order_id": f"text of 1 to {CLIENT_ORDER_ID_CHARS_MAX} characters",
    "order_id": "a whole number from 1 on",
    "kind": '"oco", "oto" or "bracket"',
    "orders": f"an array of {LIST_ORDERS_MIN} or {LIST_ORDERS_MAX} orders",
    "cancel_on_disconnect": _FLAG_TEXT,
    "phase": "a phase, such as " + '"halt"',
    "collar_bps": _BPS_TEXT,
    "static_band_bps": _BPS_TEXT,
    "dynamic_band_bps": _BPS_TEXT,
    "channel": ", ".join(f'"{name}"' for name in CHANNELS[:-1]) + f' or "{CHANNELS[-1]}"',
    "op": '"order", "list", "cancel", "amend", "cancel_all", "session", "subscribe", '
    '"unsubscribe" or "ping"',
    "id": "text of at most 64 characters, or a whole number",
}
"""What each field takes, in words."""
