"""What an order says, as the fields of its command.

Fields that cannot go together are refused here, with the field at fault; what depends on the
book, the phase or the account is for the engine. docs/matching.md, section 4, has the rules.
"""

from typing import Any, Final

from engine.instruments import Instrument
from engine.limits import ICEBERG_PEAKS_MAX, PRICE_TICKS_MAX
from engine.messages import (
    CommandFlag,
    Instruction,
    OrderType,
    Peg,
    Prevention,
    Side,
    TimeInForce,
    Trigger,
)
from gateway.entry.amounts import lots_of, offset_of, ticks_of, time_ns_of
from gateway.errors import Contradiction, QuantityOutOfRange
from gateway.schema import OrderTerms, Trailing

Values = dict[str, Any]
"""Fields of a command by name."""

_SIDES: Final = {side.name.lower(): side for side in Side}
_TYPES: Final = {kind.name.lower(): kind for kind in OrderType}
_TIMES: Final = {kind.name.lower(): kind for kind in TimeInForce}
_PEGS: Final = {kind.name.lower(): kind for kind in Peg}
_PREVENTIONS: Final = {kind.name.lower(): kind for kind in Prevention}

RESTING_TIMES: Final = (TimeInForce.GTC, TimeInForce.GTD, TimeInForce.DAY)
"""With these an order may stay in the book beyond an auction."""

_AUCTION_TIMES: Final = (TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE, TimeInForce.AUCTION)
_TRIGGERS: Final = ("stop_price", "touch_price", "trailing")

_HIDDEN: Final = int(Instruction.HIDDEN)
_SLIDE: Final = int(Instruction.SLIDE)
_ALL_OR_NONE: Final = int(Instruction.ALL_OR_NONE)

_PLAIN_TYPES: Final = (OrderType.LIMIT, OrderType.MARKET)
_PLAIN_TIMES: Final = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)


def order_values(order: OrderTerms, instrument: Instrument) -> Values:
    """The fields of a NEW that the order's own terms decide. A BadValue says what is wrong."""
    order_type = _TYPES[order.type]
    time_in_force = _time_in_force(order, order_type)
    values: Values = {
        "side": _SIDES[order.side],
        "order_type": order_type,
        "time_in_force": time_in_force,
        "flags": _flags(order),
        "instrument": instrument.index,
        "price_ticks": _price_of(order, order_type, instrument),
        "qty_lots": lots_of(order.quantity, instrument),
    }
    if order.post_only:
        _check_post_only(order, order_type, time_in_force)
    terms = _trigger(order, instrument)
    terms |= _showing(order, values, instrument)
    terms |= _conditions(order, values, instrument)
    terms |= _peg(order, values, instrument)
    if order.expires_at is not None:
        terms["at_ns"] = time_ns_of(order.expires_at, "expires_at")
    if order.self_trade is not None:
        terms["self_trade"] = _PREVENTIONS[order.self_trade]
    instructions = _instructions(order)
    if instructions:
        terms["instructions"] = instructions
    if terms or order_type not in _PLAIN_TYPES or time_in_force not in _PLAIN_TIMES:
        values["flags"] |= CommandFlag.TERMS
    return values | terms


def _flags(order: OrderTerms) -> int:
    """What needs no terms."""
    made = int(CommandFlag.POST_ONLY) if order.post_only else 0
    return made | CommandFlag.REDUCE_ONLY if order.reduce_only else made


def _instructions(order: OrderTerms) -> int:
    made = _HIDDEN if order.hidden else 0
    if order.post_only == "slide":
        made |= _SLIDE
    return made | _ALL_OR_NONE if order.all_or_none else made


def _time_in_force(order: OrderTerms, order_type: OrderType) -> TimeInForce:
    """How long an order lives; a market order does not rest, so it is ioc unless it says else."""
    is_market = order_type == OrderType.MARKET
    time_in_force = _TIMES[order.time_in_force or ("ioc" if is_market else "gtc")]
    waits = _triggers_of(order)
    if is_market and time_in_force in RESTING_TIMES and not waits:
        raise Contradiction(
            'a market order cannot wait in the book: expected "ioc", "fok" or an auction, found '
            f'"{order.time_in_force}"',
            "time_in_force",
        )
    if order_type == OrderType.MARKET_TO_LIMIT and time_in_force not in RESTING_TIMES:
        raise Contradiction(
            'the rest of a market_to_limit order stays: expected "gtc", "gtd" or "day", found '
            f'"{order.time_in_force}"',
            "time_in_force",
        )
    if waits and time_in_force in _AUCTION_TIMES:
        raise Contradiction("an order for an auction waits for nothing else", "time_in_force")
    if (time_in_force == TimeInForce.GTD) != (order.expires_at is not None):
        raise Contradiction('expires_at belongs to "time_in_force": "gtd"', "expires_at")
    return time_in_force


def _triggers_of(order: OrderTerms) -> list[str]:
    """The fields that say what wakes the order."""
    if order.stop_price is None and order.touch_price is None and order.trailing is None:
        return []
    return [field for field in _TRIGGERS if getattr(order, field) is not None]


def _price_of(order: OrderTerms, order_type: OrderType, instrument: Instrument) -> int:
    """The limit price in ticks; 0 for an order whose price risk finds."""
    if order_type == OrderType.LIMIT:
        if order.price is None:
            raise Contradiction("a limit order needs a price", "price")
        return ticks_of(order.price, instrument)
    if order.price is not None:
        raise Contradiction(f"a {order.type} order has no price", "price")
    return 0


def _check_post_only(order: OrderTerms, order_type: OrderType, time_in_force: TimeInForce) -> None:
    if order_type != OrderType.LIMIT or time_in_force not in RESTING_TIMES:
        raise Contradiction(
            "only a limit order that is gtc, gtd or day can be post-only", "post_only"
        )
    if order.all_or_none or order.minimum_quantity is not None:
        field = "all_or_none" if order.all_or_none else "minimum_quantity"
        raise Contradiction("a post-only order never trades when it comes", field)


def _trigger(order: OrderTerms, instrument: Instrument) -> Values:
    """What wakes the order; nothing for one that does not wait for a price."""
    given = _triggers_of(order)
    if given and order.type == "market_to_limit":
        raise Contradiction("a market_to_limit order waits for no price", given[0])
    if len(given) > 1:
        raise Contradiction(f"expected one trigger, found {' and '.join(given)}", given[1])
    if order.stop_price is not None:
        ticks = ticks_of(order.stop_price, instrument, "stop_price")
        return {"trigger": Trigger.STOP, "trigger_ticks": ticks}
    if order.touch_price is not None:
        ticks = ticks_of(order.touch_price, instrument, "touch_price")
        return {"trigger": Trigger.TOUCH, "trigger_ticks": ticks}
    if order.trailing is not None:
        return _trailing(order.trailing, order.type == "limit", instrument)
    return {}


def _trailing(trailing: Trailing, has_limit: bool, instrument: Instrument) -> Values:
    if (trailing.distance is None) == (trailing.distance_bps is None):
        raise Contradiction("expected distance or distance_bps, not both or neither", "trailing")
    values: Values
    if trailing.distance is not None:
        ticks = offset_of(trailing.distance, instrument, "trailing.distance", least=1)
        values = {"trigger": Trigger.TRAIL_TICKS, "trigger_ticks": ticks}
    else:
        values = {"trigger": Trigger.TRAIL_BPS, "trigger_ticks": trailing.distance_bps}
    if trailing.limit_offset is not None:
        field = "trailing.limit_offset"
        if not has_limit:
            raise Contradiction("only a limit order has a limit that follows the trigger", field)
        values["trail_limit"] = 1
        values["offset_ticks"] = offset_of(
            trailing.limit_offset, instrument, field, -PRICE_TICKS_MAX
        )
    return values


def _showing(order: OrderTerms, values: Values, instrument: Instrument) -> Values:
    """How much of the order others see."""
    field = "hidden" if order.hidden else "display_quantity"
    if not order.hidden and order.display_quantity is None:
        return {}
    if order.hidden and order.display_quantity is not None:
        raise Contradiction("a hidden order displays nothing", "display_quantity")
    rests = values["time_in_force"] not in (TimeInForce.IOC, TimeInForce.FOK)
    if values["order_type"] == OrderType.MARKET or not rests or order.all_or_none:
        raise Contradiction("the order never stands in the book, where it could be seen", field)
    if order.display_quantity is None:
        return {}
    return {"display_lots": display_lots_of(order.display_quantity, values["qty_lots"], instrument)}


def display_lots_of(text: str, qty_lots: int, instrument: Instrument) -> int:
    """What an iceberg of `qty_lots` shows at a time, in lots; QuantityOutOfRange, OffLot."""
    field = "display_quantity"
    lots = lots_of(text, instrument, field)
    least = -(-qty_lots // ICEBERG_PEAKS_MAX)
    if not least <= lots <= qty_lots:
        to_text = instrument.lots_to_qty
        raise QuantityOutOfRange(
            f"expected {to_text(least)} (one part in {ICEBERG_PEAKS_MAX} of the quantity) to "
            f"{to_text(qty_lots)}, found {to_text(lots)}",
            field,
        )
    return lots


def _conditions(order: OrderTerms, values: Values, instrument: Instrument) -> Values:
    """How much must trade at once."""
    auction = values["time_in_force"] in _AUCTION_TIMES
    if order.all_or_none and (values["order_type"] != OrderType.LIMIT or auction):
        raise Contradiction("only a limit order can wait until all of it trades", "all_or_none")
    if order.minimum_quantity is None:
        return {}
    field = "minimum_quantity"
    if order.all_or_none or values["time_in_force"] == TimeInForce.FOK:
        raise Contradiction("the order trades its whole quantity at once", field)
    if values["order_type"] == OrderType.MARKET_TO_LIMIT or auction:
        raise Contradiction("neither a market_to_limit order nor one for an auction has it", field)
    lots = lots_of(order.minimum_quantity, instrument, field)
    if lots > values["qty_lots"]:
        to_text = instrument.lots_to_qty
        raise QuantityOutOfRange(
            f"expected at most the quantity {to_text(values['qty_lots'])}, found {to_text(lots)}",
            field,
        )
    return {"minimum_lots": lots}


def _peg(order: OrderTerms, values: Values, instrument: Instrument) -> Values:
    """Which price the order follows."""
    if order.peg is None:
        return {}
    resting = values["time_in_force"] in RESTING_TIMES
    if values["order_type"] != OrderType.LIMIT or not resting:
        raise Contradiction("only a limit order that is gtc, gtd or day can be pegged", "peg")
    triggers = _triggers_of(order)
    if triggers:
        raise Contradiction("a pegged order waits for no price", triggers[0])
    for field in ("post_only", "all_or_none", "minimum_quantity"):
        if getattr(order, field):
            raise Contradiction("a pegged order makes by itself, and never takes", field)
    offset = 0
    if order.peg.offset is not None:
        offset = offset_of(order.peg.offset, instrument, "peg.offset", -PRICE_TICKS_MAX)
    return {"peg": _PEGS[order.peg.to], "offset_ticks": offset}
