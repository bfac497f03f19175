"""The public language of the engine: what goes in, what is decided, what comes out.

    source --Command--> ingest --SequencedCommand--> risk --Decision--> matching --Event--> all

Every message is 128 bytes (two cache lines) and begins with its sequence in its ring. A gateway
writes commands and reads events; nothing else of the engine is visible to it. Prices are in
ticks and quantities in lots of the instrument, times in nanoseconds.

Every command is answered by at least one event. The last event of a command carries `LAST`:
a reader that applies events up to there sees the book between two commands.
"""

from enum import IntEnum
from typing import Final

from engine.limits import CLIENT_ORDER_ID_BYTES
from ipc.record import CACHE_LINE_BYTES, Codec, Record, Text, i64, length, u8, u16, u32

MESSAGE_BYTES: Final = 2 * CACHE_LINE_BYTES


class CommandKind(IntEnum):
    """What a client asks for."""

    NEW = 1
    CANCEL = 2
    AMEND = 3


class Side(IntEnum):
    """Which side of the book an order belongs to."""

    BUY = 0
    SELL = 1


class OrderType(IntEnum):
    """How an order finds its price."""

    LIMIT = 1
    MARKET = 2


class TimeInForce(IntEnum):
    """How long an order lives: until cancelled, at once or not at all (in part or whole)."""

    GTC = 1
    IOC = 2
    FOK = 3


class CommandFlag(IntEnum):
    """Modifiers of a command."""

    POST_ONLY = 1
    "NEW: reject instead of trading on arrival."
    LEAVES = 2
    "AMEND: qty_lots is the open quantity wanted, not the total including fills."
    REQUEUE = 4
    "AMEND: go to the back of the queue whatever changes (cancel and reinsert)."


class EventKind(IntEnum):
    """What happened."""

    ACCEPTED = 1
    "An order was taken (OrderEvent). With a level side it rests at once, else trades follow."
    REJECTED = 2
    "An order was refused (OrderEvent), `reason` says why."
    TRADE = 3
    "Two orders traded (TradeEvent)."
    RESTED = 4
    "What is left of an order entered the book after trades or an amendment (ChangeEvent)."
    CANCELED = 5
    "An order ended with quantity open (ChangeEvent), `reason` says why."
    REPLACED = 6
    "An order was amended (ChangeEvent)."
    CANCEL_REJECTED = 7
    "A cancel found no such order (ChangeEvent)."
    REPLACE_REJECTED = 8
    "An amendment was refused (ChangeEvent)."


class EventFlag(IntEnum):
    """Bits of an event's `flags`."""

    LAST = 1
    "The last event of its command."
    LEVEL_BID = 2
    "`level_lots` is the new total of bids at the level price."
    LEVEL_ASK = 4
    "`level_lots` is the new total of asks at the level price."
    POST_ONLY = 8
    "The order was sent post-only."


class RejectReason(IntEnum):
    """Why something was refused or ended; the hundreds tell which stage said so."""

    NONE = 0
    # 1xx: gateways (never in records)
    # 2xx: ingest
    UNKNOWN_COMMAND = 201
    UNKNOWN_INSTRUMENT = 202
    BAD_SIDE = 203
    BAD_ORDER_TYPE = 204
    BAD_TIME_IN_FORCE = 205
    BAD_QUANTITY = 206
    BAD_PRICE = 207
    BAD_FLAGS = 208
    DUPLICATE_CLIENT_ORDER_ID = 209
    UNKNOWN_CLIENT_ORDER_ID = 210
    # 3xx: risk
    UNKNOWN_ACCOUNT = 301
    QUANTITY_ABOVE_MAX = 302
    NOTIONAL_ABOVE_MAX = 303
    PRICE_COLLAR = 304
    INSUFFICIENT_BALANCE = 305
    NOTIONAL_OVERFLOW = 306
    TOO_MANY_ORDERS = 307
    # 4xx: matching
    UNKNOWN_ORDER = 401
    WOULD_TRADE = 402
    IOC_REMAINDER = 403
    FOK_UNFILLABLE = 404
    BOOK_FULL = 405
    CANCELED_BY_CLIENT = 406
    REDUCED_TO_FILLED = 407


class Message(Record, align=CACHE_LINE_BYTES):
    """What every ring slot of the engine begins with."""

    sequence: i64
    "Position in its ring, from 1, dense: source sequence, command sequence, dseq, eseq."
    kind: u8
    "CommandKind or EventKind."
    side: u8
    "Side of the order; in a trade, of the aggressor."
    order_type: u8
    time_in_force: u8
    flags: u8
    "CommandFlag or EventFlag bits."
    source: u8
    "Which order ring the command came by."
    reason: u16
    "RejectReason."
    stamp_ticks: i64
    "When this message was published, in clock ticks."
    account: u32
    instrument: u32
    order_id: i64
    "Engine order id, dense from 1; 0 in a NEW until ingest assigns it."
    price_ticks: i64
    qty_lots: i64


class Command(Message, align=CACHE_LINE_BYTES):
    """Source to ingest. CANCEL and AMEND name their order by order_id or client_order_id."""

    client_order_id: Text = length(CLIENT_ORDER_ID_BYTES)
    "The client's own name for its order, at most 36 characters; empty for none."


class SequencedCommand(Command, align=CACHE_LINE_BYTES):
    """Ingest to risk: in the one order that counts, stamped, identified."""

    source_sequence: i64
    "`sequence` of the command in its source's ring."
    time_ns: i64
    "Wall time of sequencing; never goes back."


class Decision(SequencedCommand, align=CACHE_LINE_BYTES):
    """Risk to matching: one for each command, accepted (reason NONE) or not."""

    ev_wm: i64
    "Event watermark: the last event that risk had applied when it decided."


class Event(Message, align=CACHE_LINE_BYTES):
    """What all events have in common."""

    level_lots: i64
    "Total at the level that changed, when flags say that one did."
    dseq: i64
    "Sequence of the decision that caused this."
    source_sequence: i64
    "The source's sequence of the command that caused this."
    time_ns: i64
    "Wall time at which that command was sequenced."


class OrderEvent(Event, align=CACHE_LINE_BYTES):
    """ACCEPTED and REJECTED: the order as it was sent."""

    client_order_id: Text = length(CLIENT_ORDER_ID_BYTES)


class TradeEvent(Event, align=CACHE_LINE_BYTES):
    """TRADE: qty_lots changed hands at price_ticks, the maker's price.

    order_id, account and side are the taker's; the level that changed is the maker's.
    """

    leaves_lots: i64
    "What is left of the taker."
    maker_order_id: i64
    maker_leaves_lots: i64
    "What is left of the maker; 0 when this trade completed it."
    match_id: i64
    "Dense number of the trade, from 1."
    maker_account: i64


class ChangeEvent(Event, align=CACHE_LINE_BYTES):
    """RESTED, CANCELED, REPLACED and their rejections.

    The level price is price_ticks, except in REPLACED, where it is previous_price_ticks.
    """

    leaves_lots: i64
    "RESTED, REPLACED: open quantity from now on. CANCELED: the quantity that was taken back."
    previous_price_ticks: i64
    "REPLACED: the price before; equal to price_ticks when the order kept its priority."


for _message in (Command, SequencedCommand, Decision, OrderEvent, TradeEvent, ChangeEvent):
    assert _message.size == MESSAGE_BYTES, f"{_message.__name__} is {_message.size} bytes"

COMMAND_CODEC: Final = Codec(Command)
EVENT_CODECS: Final = {
    EventKind.ACCEPTED: Codec(OrderEvent),
    EventKind.REJECTED: Codec(OrderEvent),
    EventKind.TRADE: Codec(TradeEvent),
    EventKind.RESTED: Codec(ChangeEvent),
    EventKind.CANCELED: Codec(ChangeEvent),
    EventKind.REPLACED: Codec(ChangeEvent),
    EventKind.CANCEL_REJECTED: Codec(ChangeEvent),
    EventKind.REPLACE_REJECTED: Codec(ChangeEvent),
}


def decode_event(raw: bytes | memoryview) -> object:
    """One 128-byte event as the named tuple of its kind."""
    codec = EVENT_CODECS[EventKind(raw[8])]
    return codec.decode_many(raw)[0]


def decode_events(raw: memoryview) -> list[object]:
    """All events in `raw`, a buffer of whole slots."""
    return [
        decode_event(raw[start : start + MESSAGE_BYTES])
        for start in range(0, len(raw), MESSAGE_BYTES)
    ]
