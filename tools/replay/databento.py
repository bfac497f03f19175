"""Databento Binary Encoding: market-by-order messages of one instrument, as Python values.

Decoding needs the package `databento-dbn`, an optional dependency (`pip install okimi[replay]`).
Prices become ticks: the tick is the greatest common divisor of all prices in the file.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from engine.messages import Side
from tools.replay.errors import FileFormatError, MissingDecoderError, UnsupportedFileError

ADD, CANCEL, MODIFY, TRADE, FILL = "A", "C", "M", "T", "F"

F_LAST: Final = 128
"""Flag of the last message of an event, that is of everything one incoming order did."""

F_SNAPSHOT: Final = 32
"""Flag of orders that rested when the recording began."""

PRICE_DECIMALS: Final = 9
"""Prices are whole billionths."""

ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"

SIDES: Final = {"B": Side.BUY, "A": Side.SELL, "N": None}


class Message(NamedTuple):
    """One message of the feed."""

    number: int
    "Position in the file, from 1."
    action: str
    side: Side | None
    "Of the order; in a trade, of the aggressor; None in an auction."
    order_id: int
    price_ticks: int
    lots: int
    flags: int


@dataclass(frozen=True)
class Recording:
    """All messages of a file."""

    symbol: str
    tick: str
    messages: list[Message]

    def events(self) -> Iterator[list[Message]]:
        """Messages by event; the snapshot, which nothing ends, is one of its own."""
        event: list[Message] = []
        for message in self.messages:
            if event and (event[-1].flags ^ message.flags) & F_SNAPSHOT:
                yield event
                event = []
            event.append(message)
            if message.flags & F_LAST:
                yield event
                event = []
        if event:
            yield event


def read(path: Path) -> Recording:
    """Decode a file, zstd-compressed or not.

    MissingDecoderError without databento-dbn, FileFormatError when the file is of another format,
    UnsupportedFileError when it does not hold market-by-order messages of one instrument.
    """
    metadata, *records = _decode(path)
    if str(metadata.schema) != "mbo":
        raise UnsupportedFileError(f"{path}: schema {metadata.schema}; expected mbo messages")
    instruments = {record.instrument_id for record in records}
    if len(instruments) != 1:
        raise UnsupportedFileError(f"{path}: {len(instruments)} instruments; expected one")
    tick = math.gcd(*(record.price for record in records))
    messages = [
        Message(
            number,
            str(record.action),
            SIDES[str(record.side)],
            record.order_id,
            record.price // tick,
            record.size,
            int(record.flags),
        )
        for number, record in enumerate(records, start=1)
    ]
    unknown = {message.action for message in messages} - {ADD, CANCEL, MODIFY, TRADE, FILL}
    if unknown:
        raise UnsupportedFileError(f"{path}: actions {sorted(unknown)} cannot be replayed")
    step = Decimal(tick).scaleb(-PRICE_DECIMALS).normalize()
    symbols = metadata.symbols or [str(instruments.pop())]
    return Recording(symbols[0], f"{step:f}", messages)


def fills_of(event: list[Message], position: int) -> list[Message]:
    """The fills that follow the trade at `position`."""
    following = itertools.islice(event, position + 1, None)
    return [*itertools.takewhile(lambda message: message.action == FILL, following)]


def hidden_orders(events: Iterable[list[Message]]) -> frozenset[int]:
    """Orders that gave more than they showed.

    Such an order is filled beyond its size, or the message that confirms its fill leaves it, at
    the same price, more than its size minus the fill.
    """
    shown: dict[int, tuple[int, int]] = {}
    hidden = set()
    for event in events:
        filled: Counter[int] = Counter()
        for message in event:
            order_id = message.order_id
            price_ticks, lots = shown.get(order_id, (None, 0))
            if message.action == FILL:
                filled[order_id] += message.lots
                if order_id in shown and filled[order_id] > lots:
                    hidden.add(order_id)
            elif message.action == CANCEL:
                shown.pop(order_id, None)
            elif message.action in (ADD, MODIFY):
                replenished = message.lots > lots - filled[order_id]
                if filled[order_id] and price_ticks == message.price_ticks and replenished:
                    hidden.add(order_id)
                shown[order_id] = message.price_ticks, message.lots
    return frozenset(hidden)


def _decode(path: Path) -> list[Any]:
    """Metadata and records of a file."""
    try:
        import databento_dbn
    except ImportError:
        raise MissingDecoderError(
            f"{path}: reading this format needs the package databento-dbn; "
            "install it with: pip install 'okimi[replay]'"
        ) from None
    raw = path.read_bytes()
    packed = raw.startswith(ZSTD_MAGIC)
    compression = databento_dbn.Compression.ZSTD if packed else databento_dbn.Compression.NONE
    try:
        decoder = databento_dbn.DBNDecoder(compression=compression)
        decoder.write(raw)
        decoded: list[Any] = decoder.decode()
    except (databento_dbn.DBNError, RuntimeError) as error:
        raise FileFormatError(f"{path}: not Databento Binary Encoding: {error}") from None
    if len(decoded) < 2 or decoder.buffer():
        raise FileFormatError(f"{path}: ends within a record: the file is cut off")
    return decoded
