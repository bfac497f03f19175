"""How matching writes its events: one function for each shape, every field set.

Slots are reused, so a field that is not written would show an older event. `cause` is the
decision, or the taker that was copied from it: both carry the same fields.
"""

from typing import Final

from engine.messages import (
    PLAIN_BYTES,
    ChangeEvent,
    CommandFlag,
    CommandKind,
    Decision,
    Event,
    EventFlag,
    EventKind,
    Message,
    OrderEvent,
    OrderType,
    RejectReason,
    Terms,
    TimeInForce,
    TradeEvent,
)
from engine.stage import Outbox, copy_words, next_slot
from ipc.jit import inlined, kernel
from ipc.ring import slot

TERMS_WORDS: Final = Terms.size >> 3


@inlined
def level_flag(side: int) -> int:
    """The flag that says on which side the level lies: LEVEL_BID for BUY (0), else LEVEL_ASK."""
    return EventFlag.LEVEL_BID.value << side


@inlined
def begin(out: Outbox, cause: Decision, kind: int, flags: int) -> int:
    """Take a slot and write what all events have; returns its address."""
    address = next_slot(out)
    event = Event(address)
    event.kind, event.flags, event.source = kind, flags, cause.source
    event.reason = RejectReason.NONE
    event.account, event.instrument = cause.account, cause.instrument
    event.order_id = cause.order_id
    event.level_lots = 0
    event.dseq = cause.sequence
    event.source_sequence = cause.source_sequence
    event.time_ns = cause.time_ns
    return address


@inlined
def _order_event(out: Outbox, decision: Decision, kind: int, flags: int) -> OrderEvent:
    if decision.flags & CommandFlag.POST_ONLY:
        flags |= EventFlag.POST_ONLY
    flags |= decision.flags & CommandFlag.REDUCE_ONLY  # the same bit in both
    event = OrderEvent(begin(out, decision, kind, flags))
    event.side, event.order_type = decision.side, decision.order_type
    event.time_in_force = decision.time_in_force
    event.price_ticks, event.qty_lots = decision.price_ticks, decision.qty_lots
    for word in range(len(event.client_order_id)):
        event.client_order_id[word] = decision.client_order_id[word]
    return event


@inlined
def accept(out: Outbox, decision: Decision, flags: int, level_lots: int) -> None:
    """ACCEPTED; with a level flag when the order rests at once."""
    event = _order_event(out, decision, EventKind.ACCEPTED, flags)
    event.level_lots = level_lots


@kernel
def accept_terms(out: Outbox, decision: Decision) -> None:
    """ACCEPTED of an order with terms."""
    event = _order_event(out, decision, EventKind.ACCEPTED, EventFlag.TERMS)
    copy_words(event.address + PLAIN_BYTES, decision.terms.address, TERMS_WORDS)


@kernel
def refuse_order(out: Outbox, decision: Decision, reason: int) -> None:
    """REJECTED."""
    answer_order(out, decision, EventKind.REJECTED.value, reason)


@kernel
def answer_order(out: Outbox, decision: Decision, kind: int, reason: int) -> None:
    """REJECTED or CHECKED: the order as it was sent, with the terms that it has."""
    event = _order_event(out, decision, kind, 0)
    event.reason = reason
    if decision.flags & CommandFlag.TERMS:
        event.flags |= EventFlag.TERMS
        copy_words(event.address + PLAIN_BYTES, decision.terms.address, TERMS_WORDS)


@inlined
def finish(out: Outbox) -> None:
    """The command is complete: its last event, which is not published yet, says so."""
    assert out.pending > 0, "finish: the command has no event to mark"
    last = slot(out.ring, out.ring.producer.position + out.pending - 1)
    Message(last).flags |= EventFlag.LAST


@inlined
def change_event(out: Outbox, cause: Decision, kind: int, flags: int) -> ChangeEvent:
    """A change of a limit order; the caller sets side, price, quantities and level."""
    event = ChangeEvent(begin(out, cause, kind, flags))
    event.order_type, event.time_in_force = OrderType.LIMIT, TimeInForce.GTC
    event.leaves_lots = event.previous_price_ticks = 0
    event.trigger_ticks = event.display_lots = 0
    return event


@kernel
def refuse_change(out: Outbox, decision: Decision, reason: int) -> None:
    """CANCEL_REJECTED, REPLACE_REJECTED or ADMIN_REJECTED."""
    kind = EventKind.ADMIN_REJECTED.value
    if decision.kind == CommandKind.CANCEL:
        kind = EventKind.CANCEL_REJECTED.value
    elif decision.kind == CommandKind.AMEND:
        kind = EventKind.REPLACE_REJECTED.value
    repeat_command(out, decision, kind, reason)


@kernel
def repeat_command(out: Outbox, decision: Decision, kind: int, reason: int) -> None:
    """An event that says what the command said."""
    event = change_event(out, decision, kind, 0)
    event.reason = reason
    event.side, event.order_type = decision.side, decision.order_type
    event.time_in_force = decision.time_in_force
    event.price_ticks, event.qty_lots = decision.price_ticks, decision.qty_lots


@kernel
def refuse(out: Outbox, decision: Decision, reason: int) -> None:
    """The rejection that fits the command's kind."""
    kind = decision.kind
    changes = CommandKind.CANCEL <= kind <= CommandKind.SNAPSHOT
    if changes or (kind >= CommandKind.FUNDS and kind != CommandKind.CHECK):
        refuse_change(out, decision, reason)
    else:
        refuse_order(out, decision, reason)


@inlined
def trade_event(out: Outbox, taker: Decision, flags: int) -> TradeEvent:
    """TRADE of the taker; the caller sets price, quantities, maker and level."""
    event = TradeEvent(begin(out, taker, EventKind.TRADE, flags))
    event.side, event.order_type = taker.side, taker.order_type
    event.time_in_force = taker.time_in_force
    return event
