"""The JSON forms of what clients get: orders, fills, instruments; see also market_documents.

Prices and quantities are decimal text, exact, always with the decimals of their instrument's
tick and lot. Times are whole microseconds since 1970, which a JSON number holds exactly.
"""

from typing import Any, Final

from engine.config import Config
from engine.instruments import Instrument
from engine.messages import OrderType, RejectReason, Side, TimeInForce
from gateway.view import CANCELED, FILLED, OPEN, REJECTED, Fill, Order

Document = dict[str, Any]

AVERAGE_DECIMALS: Final = 6
"""Decimals of an average price beyond those of the tick; the last one is rounded half up."""

SIDES: Final = {int(side): side.name.lower() for side in Side}
ORDER_TYPES: Final = {int(kind): kind.name.lower() for kind in OrderType}
TIMES_IN_FORCE: Final = {int(kind): kind.name.lower() for kind in TimeInForce}
REASONS: Final = {int(reason): reason.name.lower() for reason in RejectReason}
_ENDED: Final = {FILLED: "filled", CANCELED: "canceled", REJECTED: "rejected"}

NS_PER_US: Final = 1000


def status_of(order: Order) -> str:
    """The status of an order in one word."""
    if order.state != OPEN:
        return _ENDED[order.state]
    return "partially_filled" if order.cum_lots else "open"


def order_document(order: Order, instrument: Instrument, fills: bool = True) -> Document:
    """An order, with its newest fills unless they go out one by one."""
    price, quantity = instrument.ticks_to_price, instrument.lots_to_qty
    is_limit = order.order_type == OrderType.LIMIT
    made: Document = {
        "order_id": order.order_id,
        "client_order_id": client_id_text(order.client_order_id),
        "account": order.account,
        "symbol": instrument.symbol,
        "side": SIDES[order.side],
        "type": ORDER_TYPES[order.order_type],
        "time_in_force": TIMES_IN_FORCE[order.time_in_force],
        "post_only": order.post_only,
        "price": price(order.price_ticks) if is_limit else None,
        "quantity": quantity(order.qty_lots),
        "filled_quantity": quantity(order.cum_lots),
        "leaves_quantity": quantity(order.leaves_lots),
        "average_price": average_price(order, instrument),
        "status": status_of(order),
        "reason": REASONS[order.reason] if order.reason else None,
        "fill_count": order.fill_count,
        "created_us": order.created_ns // NS_PER_US,
        "updated_us": order.updated_ns // NS_PER_US,
        "sequence": order.sequence,
    }
    if fills:
        made["fills"] = [fill_document(fill, instrument) for fill in order.fills or ()]
    return made


def client_id_text(raw: bytes) -> str | None:
    """A client order id as text; other sources than this gateway may use any bytes."""
    return raw.decode(errors="backslashreplace") if raw else None


def average_price(order: Order, instrument: Instrument) -> str | None:
    """Average price of all fills, without zeros beyond the tick's decimals; None without fills."""
    if order.cum_lots == 0:
        return None
    scale = instrument.prices
    scaled = order.traded * scale.mantissa * 10**AVERAGE_DECIMALS
    rounded = (2 * scaled + order.cum_lots) // (2 * order.cum_lots)
    sign, digits = "-" if rounded < 0 else "", str(abs(rounded))
    decimals = scale.decimals + AVERAGE_DECIMALS
    digits = digits.rjust(decimals + 1, "0")
    whole, fraction = digits[:-decimals], digits[-decimals:]
    fraction = fraction[: scale.decimals] + fraction[scale.decimals :].rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def fill_document(fill: Fill, instrument: Instrument) -> Document:
    """One fill of an order."""
    return {
        "match_id": fill.match_id,
        "price": instrument.ticks_to_price(fill.price_ticks),
        "quantity": instrument.lots_to_qty(fill.lots),
        "liquidity": "maker" if fill.maker else "taker",
    }


def instrument_document(instrument: Instrument, config: Config) -> Document:
    """The terms of an instrument."""
    base = config.assets[instrument.base_asset_index]
    quote = config.assets[instrument.quote_asset_index]
    price, quantity = instrument.ticks_to_price, instrument.lots_to_qty
    reference = instrument.reference_ticks
    return {
        "symbol": instrument.symbol,
        "base": base.name,
        "quote": quote.name,
        "tick": f"{instrument.tick:f}",
        "lot": f"{instrument.lot:f}",
        "quantity_max": quantity(instrument.qty_max_lots),
        "notional_max": quote.to_text(instrument.notional_max_units),
        "price_min": price(instrument.price_min_ticks),
        "price_max": price(instrument.price_max_ticks),
        "collar_bps": instrument.collar_bps or None,
        "reference_price": price(reference) if reference else None,
    }
