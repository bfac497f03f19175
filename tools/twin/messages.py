"""The engine's messages as plain named tuples, without the publication stamp.

Field names and order are those of `engine.messages` (test_twin checks it), with the fields of
`terms` in its place as the engine's codec has them, so that a decoded engine message becomes
comparable by `plain`. Texts are bytes without their zero padding.
"""

from typing import Any, NamedTuple

from engine.messages import EventFlag, EventKind

TERMS_FIELDS = (
    "trigger_ticks",
    "offset_ticks",
    "display_lots",
    "minimum_lots",
    "at_ns",
    "trigger",
    "peg",
    "self_trade",
    "instructions",
    "list_kind",
    "list_index",
    "phase",
    "trail_limit",
)
"""What a message says beyond a plain one."""


class Command(NamedTuple):
    """Source to ingest. `sequence` is dense from 1 in its source."""

    sequence: int
    kind: int
    side: int = 0
    order_type: int = 0
    time_in_force: int = 0
    flags: int = 0
    source: int = 0
    reason: int = 0
    account: int = 0
    instrument: int = 0
    order_id: int = 0
    price_ticks: int = 0
    qty_lots: int = 0
    client_order_id: bytes = b""
    source_sequence: int = 0
    time_ns: int = 0
    ev_wm: int = 0
    group: int = 0
    prevention: int = 0
    maker_rate: int = 0
    taker_rate: int = 0
    trigger_ticks: int = 0
    offset_ticks: int = 0
    display_lots: int = 0
    minimum_lots: int = 0
    at_ns: int = 0
    trigger: int = 0
    peg: int = 0
    self_trade: int = 0
    instructions: int = 0
    list_kind: int = 0
    list_index: int = 0
    phase: int = 0
    trail_limit: int = 0


class Sequenced(Command):
    """Ingest to risk."""

    __slots__ = ()


class Decision(Command):
    """Risk to matching."""

    __slots__ = ()


class OrderEvent(NamedTuple):
    """ACCEPTED, REJECTED and CHECKED of a plain order."""

    sequence: int
    kind: int
    side: int
    order_type: int
    time_in_force: int
    flags: int
    source: int
    reason: int
    account: int
    instrument: int
    order_id: int
    price_ticks: int
    qty_lots: int
    level_lots: int
    dseq: int
    source_sequence: int
    time_ns: int
    client_order_id: bytes


class TermsEvent(NamedTuple):
    """ACCEPTED, REJECTED and CHECKED of an order with terms."""

    sequence: int
    kind: int
    side: int
    order_type: int
    time_in_force: int
    flags: int
    source: int
    reason: int
    account: int
    instrument: int
    order_id: int
    price_ticks: int
    qty_lots: int
    level_lots: int
    dseq: int
    source_sequence: int
    time_ns: int
    client_order_id: bytes
    trigger_ticks: int
    offset_ticks: int
    display_lots: int
    minimum_lots: int
    at_ns: int
    trigger: int
    peg: int
    self_trade: int
    instructions: int
    list_kind: int
    list_index: int
    phase: int
    trail_limit: int


class TradeEvent(NamedTuple):
    """TRADE and PREVENTED."""

    sequence: int
    kind: int
    side: int
    order_type: int
    time_in_force: int
    flags: int
    source: int
    reason: int
    account: int
    instrument: int
    order_id: int
    price_ticks: int
    qty_lots: int
    level_lots: int
    dseq: int
    source_sequence: int
    time_ns: int
    leaves_lots: int
    maker_order_id: int
    maker_leaves_lots: int
    match_id: int
    maker_account: int
    fee_rate: int
    maker_fee_rate: int


class ChangeEvent(NamedTuple):
    """RESTED, CANCELED, REPLACED and most others."""

    sequence: int
    kind: int
    side: int
    order_type: int
    time_in_force: int
    flags: int
    source: int
    reason: int
    account: int
    instrument: int
    order_id: int
    price_ticks: int
    qty_lots: int
    level_lots: int
    dseq: int
    source_sequence: int
    time_ns: int
    leaves_lots: int
    previous_price_ticks: int
    trigger_ticks: int = 0
    display_lots: int = 0


class PhaseEvent(NamedTuple):
    """PHASED and CLOCK."""

    sequence: int
    kind: int
    side: int
    order_type: int
    time_in_force: int
    flags: int
    source: int
    reason: int
    account: int
    instrument: int
    order_id: int
    price_ticks: int
    qty_lots: int
    level_lots: int
    dseq: int
    source_sequence: int
    time_ns: int
    phase: int
    previous_phase: int
    at_ns: int


class InstrumentEvent(NamedTuple):
    """INSTRUMENT: a change of the terms of an instrument."""

    sequence: int
    kind: int
    side: int
    order_type: int
    time_in_force: int
    flags: int
    source: int
    reason: int
    account: int
    instrument: int
    order_id: int
    price_ticks: int
    qty_lots: int
    level_lots: int
    dseq: int
    source_sequence: int
    time_ns: int
    symbol: bytes


class CheckpointEvent(NamedTuple):
    """CHECKPOINT, which the twin does not make."""

    sequence: int
    kind: int
    side: int
    order_type: int
    time_in_force: int
    flags: int
    source: int
    reason: int
    account: int
    instrument: int
    order_id: int
    price_ticks: int
    qty_lots: int
    level_lots: int
    dseq: int
    source_sequence: int
    time_ns: int
    state_hash: int


Event = (
    OrderEvent
    | TermsEvent
    | TradeEvent
    | ChangeEvent
    | PhaseEvent
    | InstrumentEvent
    | CheckpointEvent
)

EVENT_TYPES: dict[int, type[Any]] = {
    EventKind.ACCEPTED: OrderEvent,
    EventKind.REJECTED: OrderEvent,
    EventKind.CHECKED: OrderEvent,
    EventKind.TRADE: TradeEvent,
    EventKind.PREVENTED: TradeEvent,
    EventKind.PHASED: PhaseEvent,
    EventKind.CLOCK: PhaseEvent,
    EventKind.INSTRUMENT: InstrumentEvent,
    EventKind.CHECKPOINT: CheckpointEvent,
}
"""All others are ChangeEvents."""


def plain(event: Any) -> Event:
    """The twin's form of an event that the engine's codec decoded.

    TypeError when the engine's event has other fields than the twin's, so that a field added
    to one of them cannot go unnoticed.
    """
    fields = event._asdict()
    del fields["stamp_ticks"]
    for name in ("client_order_id", "symbol"):
        if name in fields:
            fields[name] = fields[name].rstrip(b"\0")
    has_terms = event.flags & EventFlag.TERMS
    kind = EVENT_TYPES.get(EventKind(event.kind), ChangeEvent)
    made: Event = (TermsEvent if has_terms else kind)(**fields)
    return made
