"""An event as one JSON object, under the names of docs/messages.md with decimals beside them.

`tools.journal.decisions.line` shows it to people.
"""

from typing import Any, Final

from engine.messages import (
    EventFlag,
    EventKind,
    OrderType,
    Phase,
    RejectReason,
    Scope,
    Side,
    TimeInForce,
)
from engine.rules import RULES_BY_NUMBER
from tools.journal.decisions import (
    Document,
    flags_of,
    put_funds,
    put_price,
    put_quantity,
    put_term,
    terms_of,
    word,
)
from tools.journal.errors import JournalToolError
from tools.journal.names import Names, text

_ANSWERS: Final = frozenset((EventKind.ACCEPTED, EventKind.REJECTED, EventKind.CHECKED))
_MEETINGS: Final = frozenset((EventKind.TRADE, EventKind.PREVENTED))
_CLOCKED: Final = frozenset((EventKind.PHASED, EventKind.CLOCK))


def event_kinds_named(words: tuple[str, ...]) -> frozenset[int]:
    """Kinds of events by their names. JournalToolError for one that there is none of."""
    by_name = {kind.name.lower(): int(kind) for kind in EventKind}
    for each in words:
        if each.lower() not in by_name:
            raise JournalToolError(
                f"there is no kind of event {each!r}; there are {', '.join(by_name)}"
            )
    return frozenset(by_name[each.lower()] for each in words)


def describe_event(event: Any, names: Names) -> Document:
    """The event; `event` as engine.messages.decode_event gives it."""
    made: Document = {
        "eseq": event.sequence,
        "kind": word(EventKind, event.kind),
        "dseq": event.dseq,
        "time_ns": event.time_ns,
        "source": event.source,
        "source_sequence": event.source_sequence,
    }
    if event.kind in _CLOCKED:
        _put_phase(made, event, names)
    elif event.kind == EventKind.CHECKPOINT:
        made["state_hash"] = f"{event.state_hash & (1 << 64) - 1:016x}"
    elif event.kind == EventKind.INSTRUMENT:
        put_term(made, event, event.symbol, names)
    elif event.kind == EventKind.FUNDED:
        put_funds(made, event, names)
    elif event.kind == EventKind.RULED:
        _put_rule(made, event, names)
    elif event.kind == EventKind.TOP:
        _put_top(made, event, names)
    elif event.kind == EventKind.BARRIER:
        made["term"] = event.order_id
    elif event.kind == EventKind.SKIPPED:
        made["skipped_dseq"] = event.order_id
    else:
        _put_order(made, event, names)
    made["reason"] = word(RejectReason, event.reason) if event.reason else None
    made["flags"] = event_flags(event)
    return made


def event_flags(event: Any) -> list[str]:
    """Names of the flags that are set; one bit means two things, by kind of event."""
    bits = event.flags & ~EventFlag.TERMS
    found = flags_of(EventFlag, bits)
    # An enumeration has one name for a value: AUCTION, as it was declared first.
    if event.kind in _ANSWERS:
        found = ["reduce_only" if each == "auction" else each for each in found]
    return found


def _put_order(made: Document, event: Any, names: Names) -> None:
    """Events about orders, levels, auctions and marks."""
    instrument = event.instrument
    made |= {"account": event.account, "instrument": instrument}
    made["symbol"] = names.symbol(instrument)
    made["side"] = word(Side, event.side)
    made["order_id"] = event.order_id
    if event.kind in _ANSWERS:
        made["client_order_id"] = text(event.client_order_id) or None
        made["type"] = word(OrderType, event.order_type)
        made["time_in_force"] = word(TimeInForce, event.time_in_force)
    put_price(made, names, instrument, "price", event.price_ticks)
    put_quantity(made, names, instrument, "qty", event.qty_lots)
    if event.flags & (EventFlag.LEVEL_BID | EventFlag.LEVEL_ASK):
        put_quantity(made, names, instrument, "level", event.level_lots)
    if event.kind in _MEETINGS:
        _put_meeting(made, event, names)
    elif event.kind not in _ANSWERS:
        put_quantity(made, names, instrument, "leaves", event.leaves_lots)
        if event.previous_price_ticks:
            put_price(made, names, instrument, "previous_price", event.previous_price_ticks)
        if event.kind == EventKind.REPLACED and event.trigger_ticks:
            put_price(made, names, instrument, "trigger_price", event.trigger_ticks)
        if event.kind == EventKind.REPLACED and event.display_lots:
            put_quantity(made, names, instrument, "display", event.display_lots)
    elif event.flags & EventFlag.TERMS:
        made["terms"] = terms_of(event, names)


def _put_meeting(made: Document, event: Any, names: Names) -> None:
    """TRADE and PREVENTED: what there is about the maker."""
    put_quantity(made, names, event.instrument, "leaves", event.leaves_lots)
    made |= {"maker_order_id": event.maker_order_id, "maker_account": event.maker_account}
    put_quantity(made, names, event.instrument, "maker_leaves", event.maker_leaves_lots)
    if event.kind == EventKind.TRADE:
        made |= {"match_id": event.match_id, "fee_rate": event.fee_rate}
        made["maker_fee_rate"] = event.maker_fee_rate


def _put_phase(made: Document, event: Any, names: Names) -> None:
    if event.kind == EventKind.PHASED:
        made |= {"instrument": event.instrument, "symbol": names.symbol(event.instrument)}
        made["phase"] = word(Phase, event.phase)
        made["previous_phase"] = word(Phase, event.previous_phase)
    if event.at_ns:
        made["at_ns"] = event.at_ns


def _put_rule(made: Document, event: Any, names: Names) -> None:
    rule = RULES_BY_NUMBER.get(event.order_id)
    made["scope"] = word(Scope, event.order_type)
    made["rule"] = rule.name if rule is not None else f"{event.order_id}"
    made |= {"account": event.account, "instrument": event.instrument, "value": event.qty_lots}


def _put_top(made: Document, event: Any, names: Names) -> None:
    """The best prices; a side without any is left out."""
    instrument = event.instrument
    made |= {"instrument": instrument, "symbol": names.symbol(instrument)}
    if event.qty_lots:
        put_price(made, names, instrument, "bid", event.price_ticks)
    if event.leaves_lots:
        put_price(made, names, instrument, "ask", event.previous_price_ticks)
