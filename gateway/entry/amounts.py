"""Decimal text and times of requests as the whole numbers of commands, with errors that say why.

Each function takes the name of the field that the text stood in, for the error.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from engine.instruments import Asset, Instrument
from engine.limits import BALANCE_MAX, PRICE_TICKS_MAX, QTY_LOTS_MAX
from engine.scale import Scale
from gateway.errors import (
    BadDecimal,
    BadTime,
    BadValue,
    OffLot,
    OffTick,
    PriceOutOfRange,
    QuantityOutOfRange,
)
from gateway.reading import found
from gateway.schema import INT64_MAX

NS_PER_S: Final = 1_000_000_000

_DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_ISO: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(?:Z|\+00:00)"
)


def ticks_of(price: str, instrument: Instrument, field: str = "price") -> int:
    """A price in ticks. BadDecimal, OffTick or PriceOutOfRange."""
    bounds = instrument.price_min_ticks, instrument.price_max_ticks
    return _ticks_within(bounds, price, instrument, field)


def offset_of(price: str, instrument: Instrument, field: str, least: int) -> int:
    """A difference of prices in ticks, at least `least`. BadDecimal, OffTick, PriceOutOfRange."""
    return _ticks_within((least, PRICE_TICKS_MAX), price, instrument, field)


def _ticks_within(bounds: tuple[int, int], price: str, instrument: Instrument, field: str) -> int:
    least, most = bounds
    ticks = _steps_of(price, instrument.prices, field, OffTick, PriceOutOfRange)
    if not least <= ticks <= most:
        to_text = instrument.ticks_to_price
        raise PriceOutOfRange(
            f"expected {to_text(least)} to {to_text(most)}, found {found(price)}", field
        )
    return ticks


def lots_of(quantity: str, instrument: Instrument, field: str = "quantity") -> int:
    """A quantity in lots. BadDecimal, OffLot or QuantityOutOfRange."""
    lots = _steps_of(quantity, instrument.quantities, field, OffLot, QuantityOutOfRange)
    if not 1 <= lots <= QTY_LOTS_MAX:
        to_text = instrument.lots_to_qty
        raise QuantityOutOfRange(
            f"expected {to_text(1)} to {to_text(instrument.qty_max_lots)}, found {found(quantity)}",
            field,
        )
    return lots


def units_of(text: str, asset: Asset, field: str, least: int = 0) -> int:
    """An amount in units of an asset, at least `least`. BadDecimal or QuantityOutOfRange."""
    try:
        units = asset.to_units(text)
    except ValueError as error:
        raise BadDecimal(str(error), field) from None
    if not least <= units <= BALANCE_MAX:
        raise QuantityOutOfRange(
            f"expected an amount from {asset.to_text(least)} on, found {found(text)}", field
        )
    return units


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


def time_ns_of(time: str | int, field: str) -> int:
    """A time in nanoseconds since 1970, from such a number or from text. BadTime."""
    if isinstance(time, int):
        return time
    match = _ISO.fullmatch(time)
    try:
        if match is None:
            raise ValueError("it has another form")
        second = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    except ValueError as error:
        raise BadTime(
            f'expected a time in UTC such as "2026-01-31T16:00:00Z", found {found(time)}: {error}',
            field,
        ) from None
    made = int(second.timestamp()) * NS_PER_S + int((match[2] or "").ljust(9, "0"))
    if not 0 <= made <= INT64_MAX:
        raise BadTime(f"expected a time from 1970 to 2262, found {found(time)}", field)
    return made
