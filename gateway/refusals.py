"""The engine's reasons to refuse, as the gateway's clients read them.

Each has the number and, in lower case, the name of its `RejectReason`. A reason that can only end
an order that was accepted is no refusal and has no text here.
"""

from typing import Any, Final

from engine.limits import ICEBERG_PEAKS_MAX
from engine.messages import RejectReason
from gateway.errors import GatewayError


class EngineRefusal(GatewayError):
    """The engine's own verdict on a command."""

    status, title = 422, "The engine refused the request"

    def __init__(self, reason: int, **members: Any) -> None:
        """`reason`: the RejectReason of the event that answered."""
        found = RejectReason(reason)
        field, detail = _REFUSALS[found]
        super().__init__(detail, field, **members)
        self.number = found.value
        self.code = found.name.lower()
        self.status = _STATUSES.get(found, self.status)


def is_of_risk(reason: int) -> bool:
    """Whether risk has said so: the hundreds of a reason tell the stage."""
    return reason // 100 == 3


_STATUSES: Final[dict[RejectReason, int]] = {
    RejectReason.KILLED: 403,
    RejectReason.RESTRICTED: 403,
    RejectReason.LIQUIDATING: 403,
    RejectReason.RULE_FORBIDDEN: 403,
    RejectReason.UNKNOWN_ORDER: 404,
    RejectReason.UNKNOWN_CLIENT_ORDER_ID: 404,
    RejectReason.DUPLICATE_CLIENT_ORDER_ID: 409,
    RejectReason.DUPLICATE_ORDER: 409,
    RejectReason.NOT_IN_BREACH: 409,
    RejectReason.PHASE_FORBIDS: 409,
    RejectReason.NOT_AMENDABLE: 409,
    RejectReason.ORDER_RATE: 429,
    RejectReason.DAILY_ORDERS: 429,
    RejectReason.CANCEL_RATIO: 429,
}
"""Statuses other than 422."""

_TERMS: Final = "see /api/v1/instruments"
_SKIPPED: Final = (
    None,
    "the engine could not execute this and has skipped it; nothing has changed. Tell whoever runs "
    "the venue",
)

_REFUSALS: Final[dict[RejectReason, tuple[str | None, str]]] = {
    RejectReason.UNKNOWN_COMMAND: (None, "this kind of command does not exist"),
    RejectReason.UNKNOWN_INSTRUMENT: ("symbol", "there is no such instrument"),
    RejectReason.BAD_SIDE: ("side", "expected buy or sell"),
    RejectReason.BAD_ORDER_TYPE: ("type", "this type does not go with the order's other terms"),
    RejectReason.BAD_TIME_IN_FORCE: (
        "time_in_force",
        "this time in force does not go with the order's other terms",
    ),
    RejectReason.BAD_QUANTITY: ("quantity", "the quantity is out of range"),
    RejectReason.BAD_PRICE: ("price", "the price is out of the instrument's range"),
    RejectReason.BAD_FLAGS: ("post_only", "this order cannot be post-only"),
    RejectReason.DUPLICATE_CLIENT_ORDER_ID: (
        "client_order_id",
        "the account has used this id for the order that is shown; nothing was sent again",
    ),
    RejectReason.UNKNOWN_CLIENT_ORDER_ID: ("client_order_id", "the account has no such order"),
    RejectReason.BAD_TERMS: (None, "the terms of the order exclude each other"),
    RejectReason.BAD_DISPLAY: (
        "display_quantity",
        f"expected at least one part in {ICEBERG_PEAKS_MAX} of the quantity, and not more than it",
    ),
    RejectReason.BAD_PHASE: ("phase", "there is no such phase"),
    RejectReason.BAD_TERM: (None, "an instrument has no such term, or not this value of it"),
    RejectReason.OFF_STEP: ("price", f"not on a step of the instrument's tick table, {_TERMS}"),
    RejectReason.QUANTITY_BELOW_MIN: (
        "quantity",
        f"below quantity_min of the instrument, {_TERMS}",
    ),
    RejectReason.UNKNOWN_ASSET: ("asset", "there is no such asset"),
    RejectReason.BAD_SCOPE: ("scope", "there is no such scope of rules"),
    RejectReason.UNKNOWN_ACCOUNT: ("account", "there is no such account"),
    RejectReason.QUANTITY_ABOVE_MAX: (
        "quantity",
        f"above quantity_max of the instrument, {_TERMS}",
    ),
    RejectReason.NOTIONAL_ABOVE_MAX: (
        "quantity",
        f"price times quantity is above notional_max of the instrument, {_TERMS}",
    ),
    RejectReason.PRICE_COLLAR: (
        "price",
        f"further from the last trade than collar_bps of the instrument, {_TERMS}",
    ),
    RejectReason.INSUFFICIENT_BALANCE: (
        "quantity",
        "the available balance of the account does not cover the order",
    ),
    RejectReason.NOTIONAL_OVERFLOW: (
        "quantity",
        "price times quantity is larger than any amount the venue can hold",
    ),
    RejectReason.TOO_MANY_ORDERS: (None, "the venue holds as many open orders as it can"),
    RejectReason.NOTIONAL_BELOW_MIN: (
        "quantity",
        f"price times quantity is below notional_min of the instrument, {_TERMS}",
    ),
    RejectReason.KILLED: (
        None,
        "trading is stopped for the account, its group, the instrument or the venue",
    ),
    RejectReason.RESTRICTED: (
        "symbol",
        "the instrument is on a list of those that the account must not trade",
    ),
    RejectReason.LIQUIDATING: (
        "account",
        "the account is being liquidated in the asset that the instrument is paid in",
    ),
    RejectReason.ORDER_RATE: (
        None,
        "more orders at once than orders_per_second and orders_burst allow",
    ),
    RejectReason.DAILY_ORDERS: (
        None,
        "as many orders and amendments today as orders_per_day allows",
    ),
    RejectReason.CANCEL_RATIO: (
        None,
        "more cancels for each order of today than cancel_ratio_max allows",
    ),
    RejectReason.DUPLICATE_ORDER: (
        None,
        "the account's last order in the instrument was the same, less than duplicate_ns ago",
    ),
    RejectReason.TOO_MANY_POSITIONS: (None, "the venue holds as many positions as it can"),
    RejectReason.OPEN_ORDERS: (None, "as many open orders as open_orders_max allows"),
    RejectReason.OPEN_NOTIONAL: (
        "quantity",
        "open orders would be worth more than open_notional_max_units allows",
    ),
    RejectReason.REDUCE_ONLY: ("quantity", "the order would not reduce the position, and must"),
    RejectReason.POSITION_LONG: (
        "quantity",
        "the position could become longer than long_max_lots allows",
    ),
    RejectReason.POSITION_SHORT: (
        "quantity",
        "the position could become shorter than short_max_lots allows",
    ),
    RejectReason.NOT_MARGINABLE: ("symbol", "the instrument cannot be traded on margin"),
    RejectReason.SHORT_SELLING: ("quantity", "the instrument cannot be sold short"),
    RejectReason.NO_MARK_PRICE: (
        "symbol",
        "the instrument has no price yet by which risk could value a position",
    ),
    RejectReason.EXPOSURE_OVERFLOW: (
        "quantity",
        "positions would be worth more than any amount the venue can hold",
    ),
    RejectReason.GROSS_EXPOSURE: (
        "quantity",
        "positions and open orders would be worth more than gross_max_units allows",
    ),
    RejectReason.NET_EXPOSURE: (
        "quantity",
        "positions would be worth more, on balance, than net_max_units allows",
    ),
    RejectReason.CONCENTRATION: (
        "quantity",
        "the position would be a larger part of the equity than concentration_bps allows",
    ),
    RejectReason.DAILY_LOSS: (
        None,
        "today's loss is beyond daily_loss_max_units: only what reduces a position may trade",
    ),
    RejectReason.INITIAL_MARGIN: (
        "quantity",
        "the free margin of the account does not cover the order",
    ),
    RejectReason.BALANCE_OVERFLOW: (
        "amount",
        "the deposits of the asset would be larger than any amount the venue can hold",
    ),
    RejectReason.BAD_RULE: (
        "rule",
        "there is no such rule, not at this scope, or not with this value",
    ),
    RejectReason.RULE_FORBIDDEN: (
        "rule",
        "this cannot be set from outside, or not any more: the account is open",
    ),
    RejectReason.NOT_IN_BREACH: (None, "the account is not in the state that the rule is about"),
    RejectReason.UNKNOWN_ORDER: ("order_id", "the account has no such open order"),
    RejectReason.WOULD_TRADE: ("price", "a post-only order must not trade on arrival"),
    RejectReason.BOOK_FULL: ("price", "the book has no room at this price"),
    RejectReason.PHASE_FORBIDS: (
        None,
        f"not in the phase that the instrument is in, {_TERMS}",
    ),
    RejectReason.NO_OPPOSITE: (None, "there is no price yet that the order could follow"),
    RejectReason.EXPIRED: ("expires_at", "the time is not after the venue's clock"),
    RejectReason.LIST_BROKEN: (None, "the orders of the list do not follow each other"),
    RejectReason.NOT_AMENDABLE: (None, "this cannot be changed of this order as it is now"),
    RejectReason.SKIPPED_BY_INGEST: _SKIPPED,
    RejectReason.SKIPPED_BY_RISK: _SKIPPED,
    RejectReason.SKIPPED_BY_MATCHING: _SKIPPED,
}
