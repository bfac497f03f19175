"""The JSON forms of what clients get: orders, fills, instruments; see also market_documents.

Prices and quantities are decimal text, exact, always with the decimals of their instrument's
tick and lot. Times are whole microseconds since 1970, which a JSON number holds exactly.
"""

from datetime import UTC, datetime
from typing import Any, Final

from engine.config import Config
from engine.instruments import Instrument
from engine.messages import (
    EventFlag,
    Instruction,
    ListKind,
    OrderType,
    Peg,
    Phase,
    Prevention,
    RejectReason,
    Side,
    TimeInForce,
    Trigger,
)
from engine.scale import Scale
from gateway.listings import PhaseState
from gateway.order import CANCELED, FILLED, HELD, IN_BOOK, OPEN, REJECTED, WAITING, Fill, Order

Document = dict[str, Any]

AVERAGE_DECIMALS: Final = 6
"""Decimals of an average price beyond those of the tick; the last one is rounded half up."""

SIDES: Final = {int(side): side.name.lower() for side in Side}
ORDER_TYPES: Final = {int(kind): kind.name.lower() for kind in OrderType}
TIMES_IN_FORCE: Final = {int(kind): kind.name.lower() for kind in TimeInForce}
REASONS: Final = {int(reason): reason.name.lower() for reason in RejectReason}
PHASES: Final = {int(phase): phase.name.lower() for phase in Phase}
PEGS: Final = {int(peg): peg.name.lower() for peg in Peg}
PREVENTIONS: Final = {int(each): each.name.lower() for each in Prevention}
LIST_KINDS: Final = {int(kind): kind.name.lower() for kind in ListKind}
_ENDED: Final = {FILLED: "filled", CANCELED: "canceled", REJECTED: "rejected"}
_OUTSIDE: Final = {WAITING: "waiting", HELD: "held"}

NS_PER_US: Final = 1000
NS_PER_S: Final = 1_000_000_000


def status_of(order: Order) -> str:
    """The status of an order in one word."""
    if order.state != OPEN:
        return _ENDED[order.state]
    if order.place != IN_BOOK:
        return _OUTSIDE[order.place]
    return "partially_filled" if order.cum_lots else "open"


def order_document(order: Order, instrument: Instrument, fills: bool = True) -> Document:
    """An order, with its newest fills unless they go out one by one."""
    price, quantity = instrument.ticks_to_price, instrument.lots_to_qty
    made: Document = {
        "order_id": order.order_id,
        "client_order_id": client_id_text(order.client_order_id),
        "account": order.account,
        "symbol": instrument.symbol,
        "side": SIDES[order.side],
        "type": ORDER_TYPES[order.order_type],
        "time_in_force": TIMES_IN_FORCE[order.time_in_force],
        "post_only": order.post_only,
        "reduce_only": order.reduce_only,
        "price": price(order.price_ticks) if order.has_price else None,
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
    if order.terms is not None:
        made |= terms_document(order, instrument)
    if fills:
        made["fills"] = [fill_document(fill, instrument) for fill in order.fills or ()]
    return made


def terms_document(order: Order, instrument: Instrument) -> Document:
    """What an order says beyond a plain one, under the names by which it was sent."""
    terms, price, quantity = order.terms, instrument.ticks_to_price, instrument.lots_to_qty
    made: Document = {
        "resting_price": price(order.resting_ticks) if _rests(order) else None,
    }
    for name, instruction, value in _INSTRUCTIONS:
        if order.has(instruction):
            made[name] = value
    if order.time_in_force == TimeInForce.GTD:
        made["expires_at"] = time_text(terms.at_ns)
    if terms.trigger != Trigger.NONE:
        made |= _trigger_document(order, instrument)
        made["triggered"] = order.triggered
    if order.display_lots:
        made["display_quantity"] = quantity(order.display_lots)
    if terms.minimum_lots:
        made["minimum_quantity"] = quantity(terms.minimum_lots)
    if terms.peg != Peg.NONE:
        made["peg"] = {"to": PEGS[terms.peg], "offset": price(terms.offset_ticks)}
    if terms.self_trade != Prevention.DEFAULT:
        made["self_trade"] = PREVENTIONS[terms.self_trade]
    if terms.list_kind != ListKind.NONE:
        made["list"] = {
            "kind": LIST_KINDS[terms.list_kind],
            "index": terms.list_index,
            "order_ids": list(order.list_order_ids),
        }
    return made


_INSTRUCTIONS: Final = (
    ("post_only", Instruction.SLIDE, "slide"),
    ("hidden", Instruction.HIDDEN, True),
    ("all_or_none", Instruction.ALL_OR_NONE, True),
)


def _rests(order: Order) -> bool:
    return order.state == OPEN and order.place == IN_BOOK


def _trigger_document(order: Order, instrument: Instrument) -> Document:
    terms, price = order.terms, instrument.ticks_to_price
    if terms.trigger == Trigger.STOP:
        return {"stop_price": price(order.trigger_ticks)}
    if terms.trigger == Trigger.TOUCH:
        return {"touch_price": price(order.trigger_ticks)}
    trailing: Document = (
        {"distance": price(terms.trigger_ticks)}
        if terms.trigger == Trigger.TRAIL_TICKS
        else {"distance_bps": terms.trigger_ticks}
    )
    if terms.trail_limit:
        trailing["limit_offset"] = price(terms.offset_ticks)
    return {"trailing": trailing}


def time_text(time_ns: int) -> str:
    """A time as ISO 8601 in UTC, to the nanosecond, without zeros at its end."""
    seconds, rest = divmod(time_ns, NS_PER_S)
    shown = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{shown}.{rest:09}".rstrip("0").rstrip(".") + "Z"


def client_id_text(raw: bytes) -> str | None:
    """A client order id as text; other sources than this gateway may use any bytes."""
    return raw.decode(errors="backslashreplace") if raw else None


def average_price(order: Order, instrument: Instrument) -> str | None:
    """Average price of all fills, without zeros beyond the tick's decimals; None without fills."""
    if order.cum_lots == 0:
        return None
    return average_text(order.traded, order.cum_lots, instrument.prices)


def average_text(total: int, count: int, scale: Scale) -> str:
    """The quotient of two counts in steps of a scale, without zeros beyond its decimals."""
    scaled = total * scale.mantissa * 10**AVERAGE_DECIMALS
    rounded = (2 * scaled + count) // (2 * count)
    sign, digits = "-" if rounded < 0 else "", str(abs(rounded))
    decimals = scale.decimals + AVERAGE_DECIMALS
    digits = digits.rjust(decimals + 1, "0")
    whole, fraction = digits[:-decimals], digits[-decimals:]
    fraction = fraction[: scale.decimals] + fraction[scale.decimals :].rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def check_document(event: Any, instrument: Instrument) -> Document:
    """What risk would do with an order that was only asked about."""
    return {
        "accepted": True,
        "account": event.account,
        "symbol": instrument.symbol,
        "side": SIDES[event.side],
        "type": ORDER_TYPES[event.order_type],
        "quantity": instrument.lots_to_qty(event.qty_lots),
        "worst_price": instrument.ticks_to_price(event.price_ticks),
        "reduce_only": event.flags & EventFlag.REDUCE_ONLY != 0,
    }


def fill_document(fill: Fill, instrument: Instrument) -> Document:
    """One fill of an order; a fee below 0 is a rebate."""
    return {
        "match_id": fill.match_id,
        "price": instrument.ticks_to_price(fill.price_ticks),
        "quantity": instrument.lots_to_qty(fill.lots),
        "liquidity": "auction" if fill.auction else "maker" if fill.maker else "taker",
        "fee": fill.fee_asset.to_text(fill.fee_units),
        "fee_asset": fill.fee_asset.name,
    }


def instrument_document(instrument: Instrument, phase: PhaseState, config: Config) -> Document:
    """The terms of an instrument, and its phase."""
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
        "quantity_min": quantity(instrument.qty_min_lots),
        "quantity_max": quantity(instrument.qty_max_lots),
        "notional_min": quote.to_text(instrument.notional_min_units),
        "notional_max": quote.to_text(instrument.notional_max_units),
        "price_min": price(instrument.price_min_ticks),
        "price_max": price(instrument.price_max_ticks),
        "price_steps": [
            {"from": price(first), "step": price(step)} for first, step in instrument.price_steps
        ],
        "collar_bps": instrument.collar_bps or None,
        "static_band_bps": instrument.static_band_bps or None,
        "dynamic_band_bps": instrument.dynamic_band_bps or None,
        "reference_price": price(reference) if reference else None,
        "phase": PHASES[phase.phase],
        "phase_ends_us": phase.until_ns // NS_PER_US if phase.until_ns else None,
    }
