"""The engine's messages as plain named tuples, without the publication stamp.

Field names and order are those of `engine.messages` (test_twin checks it), so that a decoded
engine message becomes comparable by `plain`. Texts are bytes without their zero padding.
"""

from typing import Any, NamedTuple

from engine.messages import EventKind


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


class Sequenced(NamedTuple):
    """Ingest to risk."""

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
    client_order_id: bytes
    source_sequence: int
    time_ns: int
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


class Decision(NamedTuple):
    """Risk to matching."""

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


class OrderEvent(NamedTuple):
    """ACCEPTED and REJECTED."""

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


class TradeEvent(NamedTuple):
    """TRADE."""

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


class ChangeEvent(NamedTuple):
    """RESTED, CANCELED, REPLACED, CANCEL_REJECTED, REPLACE_REJECTED."""

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


Event = OrderEvent | TradeEvent | ChangeEvent

EVENT_TYPES: dict[int, type[Any]] = {
    EventKind.ACCEPTED: OrderEvent,
    EventKind.REJECTED: OrderEvent,
    EventKind.TRADE: TradeEvent,
    EventKind.RESTED: ChangeEvent,
    EventKind.CANCELED: ChangeEvent,
    EventKind.REPLACED: ChangeEvent,
    EventKind.CANCEL_REJECTED: ChangeEvent,
    EventKind.REPLACE_REJECTED: ChangeEvent,
}


def plain(event: Any) -> Event:
    """The twin's form of an event that the engine's codec decoded.

    TypeError when the engine's event has other fields than the twin's, so that a field added
    to one of them cannot go unnoticed.
    """
    fields = event._asdict()
    del fields["stamp_ticks"]
    if "client_order_id" in fields:
        fields["client_order_id"] = fields["client_order_id"].rstrip(b"\0")
    made: Event = EVENT_TYPES[event.kind](**fields)
    return made
