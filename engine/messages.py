"""The public language of the engine: what goes in, what is decided, what comes out.

    source --Command--> ingest --SequencedCommand--> risk --Decision--> matching --Event--> all

A message is three cache lines and begins with its sequence in its ring. The third line holds the
`Terms` of orders that are more than plain; where the flags lack TERMS nobody writes or reads it.
A gateway writes commands and reads events; nothing else of the engine is visible to it. Prices
are in ticks and quantities in lots of the instrument, times in nanoseconds.

Every command is answered by at least one event. The last event of a command carries `LAST`:
a reader that applies events up to there sees the book between two commands.
"""

from typing import Any, Final

from engine.limits import CLIENT_ORDER_ID_BYTES, SYMBOL_BYTES
from engine.vocabulary import (
    BOTH_SIDES,
    AccountKind,
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    Funds,
    Instruction,
    Listing,
    ListKind,
    OrderType,
    Peg,
    Phase,
    Prevention,
    RejectReason,
    Scope,
    Side,
    TimeInForce,
    Trigger,
)
from ipc.record import (
    CACHE_LINE_BYTES,
    Codec,
    Record,
    Text,
    i16,
    i64,
    length,
    numpy_dtype,
    u8,
    u16,
    u32,
)

__all__ = [
    "BOTH_SIDES",
    "COMMAND_CODEC",
    "EVENT_CODECS",
    "MESSAGE_BYTES",
    "PLAIN_BYTES",
    "TERMS_CODEC",
    "AccountKind",
    "ChangeEvent",
    "CheckpointEvent",
    "Command",
    "CommandFlag",
    "CommandKind",
    "Decision",
    "Event",
    "EventFlag",
    "EventKind",
    "Funds",
    "FundsCommand",
    "Instruction",
    "InstrumentCommand",
    "InstrumentEvent",
    "ListKind",
    "Listing",
    "Message",
    "OrderEvent",
    "OrderType",
    "Peg",
    "Phase",
    "PhaseEvent",
    "Prevention",
    "RejectReason",
    "RuleCommand",
    "Scope",
    "SequencedCommand",
    "Side",
    "Terms",
    "TermsEvent",
    "TimeInForce",
    "TradeEvent",
    "Trigger",
    "decode_event",
    "decode_events",
    "slot_dtype",
]

PLAIN_BYTES: Final = 2 * CACHE_LINE_BYTES
"""What is used of a message without TERMS."""

MESSAGE_BYTES: Final = 3 * CACHE_LINE_BYTES


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
    "Limit; of pegged, trailing and stop orders the worst price they may ever have."
    qty_lots: i64


class Terms(Record, align=CACHE_LINE_BYTES):
    """What an order says beyond a plain one. AMEND uses trigger_ticks and display_lots."""

    trigger_ticks: i64
    "Price that wakes the order; trailing: distance in ticks or ten-thousandths."
    offset_ticks: i64
    "Added to the peg's reference, or to the trigger for a trailing limit order's price."
    display_lots: i64
    "Most that is shown at a time (iceberg); 0: everything."
    minimum_lots: i64
    "Least that must trade on arrival; 0: any."
    at_ns: i64
    "GTD: end of its life. TICK: the time. PHASE: 0. Unix time."
    trigger: u8
    peg: u8
    self_trade: u8
    "The Prevention that the sender wants."
    instructions: u8
    "Instruction bits."
    list_kind: u8
    list_index: u8
    "Place in the list, from 0."
    phase: u8
    "PHASE: the phase wanted."
    trail_limit: u8
    "1: a trailing order's price follows its trigger at offset_ticks; 0: price_ticks stands."


class Command(Message, align=CACHE_LINE_BYTES):
    """Source to ingest. CANCEL and AMEND name their order by order_id or client_order_id.

    The fields after client_order_id are written on the way, by ingest and risk.
    """

    client_order_id: Text = length(CLIENT_ORDER_ID_BYTES)
    "The client's own name for its order, at most 36 characters; empty for none."
    source_sequence: i64
    "Ingest: `sequence` of the command in its source's ring."
    time_ns: i64
    "Ingest: wall time of sequencing; never goes back."
    ev_wm: i64
    "Risk: event watermark, the last event that it had applied when it decided."
    group: u16
    "Risk: number of the account's group; orders of one group do not trade if one prevents it."
    prevention: u8
    "Risk: Prevention of this order, never DEFAULT."
    maker_rate: i16
    "Risk: fee as resting order in millionths of the value; negative: a rebate."
    taker_rate: i16
    "Risk: fee as incoming order, in the same."
    terms: Terms
    "Counts when flags have TERMS."


class SequencedCommand(Command, align=CACHE_LINE_BYTES):
    """Ingest to risk: in the one order that counts, stamped, identified."""


class Decision(SequencedCommand, align=CACHE_LINE_BYTES):
    """Risk to matching: one for each command, accepted (reason NONE) or not."""


class InstrumentCommand(Command, align=CACHE_LINE_BYTES):
    """INSTRUMENT: `order_id` is the number of a term or a Listing, `qty_lots` its value.

    `client_order_id` is the symbol of a LIST.
    """


class FundsCommand(Command, align=CACHE_LINE_BYTES):
    """FUNDS: `side` is a Funds, `instrument` the asset's index, `qty_lots` the units.

    `account` is whose they are, `price_ticks` the receiving account of a TRANSFER. By
    `client_order_id`, the sender's reference, one that is sent twice is booked once: ingest gives
    it an id and remembers it as it does for a new order.
    """


class RuleCommand(Command, align=CACHE_LINE_BYTES):
    """RULE: `order_type` is the Scope, `order_id` the number of the rule, `qty_lots` its value.

    `account` is the number of the group or account, 0 for other scopes; `instrument` the symbol,
    the asset of a limit of money, or 0.
    """


class Event(Message, align=CACHE_LINE_BYTES):
    """What all events have in common."""

    level_lots: i64
    "Shown total at the level that changed, when flags say that one did."
    dseq: i64
    "Sequence of the decision that caused this."
    source_sequence: i64
    "The source's sequence of the command that caused this."
    time_ns: i64
    "Wall time at which that command was sequenced."


class OrderEvent(Event, align=CACHE_LINE_BYTES):
    """ACCEPTED, REJECTED and CHECKED: the order as it was sent."""

    client_order_id: Text = length(CLIENT_ORDER_ID_BYTES)


class TermsEvent(OrderEvent, align=CACHE_LINE_BYTES):
    """ACCEPTED, REJECTED and CHECKED with the flag TERMS."""

    terms: Terms


class TradeEvent(Event, align=CACHE_LINE_BYTES):
    """TRADE: qty_lots changed hands at price_ticks, the maker's price.

    order_id, account and side are the taker's; the level that changed is the maker's.
    PREVENTED: the same two orders, and the lots that both lost (0 unless DECREMENT).
    """

    leaves_lots: i64
    "What is left of the taker."
    maker_order_id: i64
    maker_leaves_lots: i64
    "What is left of the maker; 0 when this trade completed it."
    match_id: i64
    "Dense number of the trade, from 1; 0 in PREVENTED."
    maker_account: u32
    fee_rate: i16
    "Of order_id's side in millionths of the value, negative: a rebate; 0 in PREVENTED."
    maker_fee_rate: i16
    "The same of the maker's side. In an uncross both are what a resting order pays."


class ChangeEvent(Event, align=CACHE_LINE_BYTES):
    """RESTED, CANCELED, REPLACED and most others.

    The level price is price_ticks, except in REPLACED, where it is previous_price_ticks.
    """

    leaves_lots: i64
    "Open quantity from now on. CANCELED: the quantity that was taken back."
    previous_price_ticks: i64
    "REPLACED: the price before; equal to price_ticks when the order kept its priority."
    trigger_ticks: i64
    "REPLACED: the trigger from now on of a stop or touch order that waits for it; else 0."
    display_lots: i64
    "REPLACED: the most that is shown at a time from now on; 0: everything."


class PhaseEvent(Event, align=CACHE_LINE_BYTES):
    """PHASED and CLOCK."""

    phase: i64
    "PHASED: the Phase from now on."
    previous_phase: i64
    at_ns: i64
    "CLOCK: the time. PHASED: when a volatility phase ends, 0 for all others."


class InstrumentEvent(Event, align=CACHE_LINE_BYTES):
    """INSTRUMENT: order_id is the number of the term or Listing, qty_lots its value."""

    symbol: Text = length(SYMBOL_BYTES)
    "LIST: the name of the instrument."


class CheckpointEvent(Event, align=CACHE_LINE_BYTES):
    """CHECKPOINT: dseq decisions have been executed by this shard."""

    state_hash: i64


assert int(CommandFlag.TERMS) == int(EventFlag.TERMS)
assert int(CommandFlag.REDUCE_ONLY) == int(EventFlag.REDUCE_ONLY)
assert Command.fields["terms"].offset == PLAIN_BYTES
assert TermsEvent.fields["terms"].offset == PLAIN_BYTES
for _message in (Command, SequencedCommand, Decision, TermsEvent):
    assert _message.size == MESSAGE_BYTES, f"{_message.__name__} is {_message.size} bytes"
for _event in (OrderEvent, TradeEvent, ChangeEvent, PhaseEvent, InstrumentEvent, CheckpointEvent):
    assert _event.size == PLAIN_BYTES, f"{_event.__name__} is {_event.size} bytes"

COMMAND_CODEC: Final = Codec(Command)
TERMS_CODEC: Final = Codec(TermsEvent)
_ORDER, _TRADE, _CHANGE, _PHASE = map(Codec, (OrderEvent, TradeEvent, ChangeEvent, PhaseEvent))
EVENT_CODECS: Final[dict[int, Codec]] = {
    EventKind.ACCEPTED: _ORDER,
    EventKind.REJECTED: _ORDER,
    EventKind.TRADE: _TRADE,
    EventKind.RESTED: _CHANGE,
    EventKind.CANCELED: _CHANGE,
    EventKind.REPLACED: _CHANGE,
    EventKind.CANCEL_REJECTED: _CHANGE,
    EventKind.REPLACE_REJECTED: _CHANGE,
    EventKind.TRIGGERED: _CHANGE,
    EventKind.LEVEL: _CHANGE,
    EventKind.PREVENTED: _TRADE,
    EventKind.PHASED: _PHASE,
    EventKind.INDICATIVE: _CHANGE,
    EventKind.CLOCK: _PHASE,
    EventKind.INSTRUMENT: Codec(InstrumentEvent),
    EventKind.BOOKED: _CHANGE,
    EventKind.DONE: _CHANGE,
    EventKind.CHECKPOINT: Codec(CheckpointEvent),
    EventKind.ADMIN_REJECTED: _CHANGE,
    EventKind.FUNDED: _CHANGE,
    EventKind.RULED: _CHANGE,
    EventKind.MARKED: _CHANGE,
    EventKind.CHECKED: _ORDER,
    EventKind.TOP: _CHANGE,
    EventKind.BARRIER: _CHANGE,
    EventKind.SKIPPED: _CHANGE,
}
"""How the first PLAIN_BYTES of an event are read; one with TERMS is read by TERMS_CODEC."""

_KIND: Final = Message.fields["kind"].offset
_FLAGS: Final = Message.fields["flags"].offset


def slot_dtype(kind: type[Message]) -> Any:
    """NumPy type of ring slots that hold messages of one kind."""
    return numpy_dtype(kind, MESSAGE_BYTES)


def decode_event(raw: bytes | memoryview, start: int = 0) -> Any:
    """The event in the slot at `start` as the named tuple of its kind."""
    if raw[start + _FLAGS] & EventFlag.TERMS:
        codec = TERMS_CODEC
    else:
        codec = EVENT_CODECS[raw[start + _KIND]]
    return codec.values._make(codec.struct.unpack_from(raw, start))


def decode_events(raw: memoryview) -> list[Any]:
    """All events in `raw`, a buffer of whole slots."""
    return [decode_event(raw, start) for start in range(0, len(raw), MESSAGE_BYTES)]
