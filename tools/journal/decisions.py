"""A decision of the journal as one JSON object, and as one line for people.

The object has the raw numbers and, where they mean a price, a quantity or an amount, the decimal
text beside them. What a command of some kind does not use is left out.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final

from engine.limits import SHARDS_MAX
from engine.messages import (
    BOTH_SIDES,
    CommandFlag,
    CommandKind,
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
from engine.rules import RULES_BY_NUMBER
from gateway.documents import time_text
from tools.journal.names import TERM_NAMES, Names, text

Document = dict[str, Any]

ORDER_KINDS: Final = frozenset((CommandKind.NEW, CommandKind.AMEND, CommandKind.CHECK))
"""Commands that say a price and a quantity."""

WORD_BYTES: Final = 8


def word(kind: type[IntEnum], value: int) -> str:
    """A value of an enumeration in small letters; its number where it has no name."""
    return kind(value).name.lower() if value in kind._value2member_map_ else f"{value}"


def flags_of(kind: type[IntEnum], bits: int) -> list[str]:
    """The names of the bits that are set, and the number of those that have none."""
    found = [each.name.lower() for each in kind if bits & each]
    rest = bits & ~sum(int(each) for each in kind)
    return found + ([f"{rest:#x}"] if rest else [])


def put_price(made: Document, names: Names, instrument: int, key: str, ticks: int) -> None:
    """A price as decimal text, if its tick is known, and in ticks."""
    shown = names.price(instrument, ticks)
    if shown is not None:
        made[key] = shown
    made[f"{key}_ticks"] = ticks


def put_quantity(made: Document, names: Names, instrument: int, key: str, lots: int) -> None:
    """A quantity as decimal text, if its lot is known, and in lots."""
    shown = names.quantity(instrument, lots)
    if shown is not None:
        made[key] = shown
    made[f"{key}_lots"] = lots


def side_word(side: int) -> str:
    """BUY, SELL, or both, as a mass cancel may say."""
    return "both" if side == BOTH_SIDES else word(Side, side)


# --- what is in a decision ---------------------------------------------------------------------


def describe(decision: Any, names: Names) -> Document:
    """The decision under names that docs/messages.md explains; `decision` as a codec gives it."""
    made: Document = {
        "dseq": decision.sequence,
        "kind": word(CommandKind, decision.kind),
        "time_ns": decision.time_ns,
        "source": decision.source,
        "source_sequence": decision.source_sequence,
    }
    _PARTS.get(decision.kind, _put_order)(made, decision, names)
    made["reason"] = word(RejectReason, decision.reason) if decision.reason else None
    made["ev_wm"] = decision.ev_wm
    made["stamp_ticks"] = decision.stamp_ticks
    return made


def _put_order(made: Document, decision: Any, names: Names) -> None:
    """NEW, CANCEL, AMEND, MASS_CANCEL, CHECK, and kinds that nobody knows."""
    instrument, kind = decision.instrument, decision.kind
    made |= {"account": decision.account, "instrument": instrument}
    made["symbol"] = names.symbol(instrument)
    made["side"] = side_word(decision.side)
    if kind != CommandKind.MASS_CANCEL:
        made["order_id"] = decision.order_id
        made["client_order_id"] = text(decision.client_order_id) or None
    if kind not in ORDER_KINDS:
        return
    if kind != CommandKind.AMEND:
        made["type"] = word(OrderType, decision.order_type)
        made["time_in_force"] = word(TimeInForce, decision.time_in_force)
    put_price(made, names, instrument, "price", decision.price_ticks)
    put_quantity(made, names, instrument, "qty", decision.qty_lots)
    made["flags"] = flags_of(CommandFlag, decision.flags & ~CommandFlag.TERMS)
    if decision.flags & CommandFlag.TERMS:
        made["terms"] = terms_of(decision, names)
    if kind == CommandKind.NEW:
        made["group"] = decision.group
        made["prevention"] = word(Prevention, decision.prevention)
        made["maker_rate"], made["taker_rate"] = decision.maker_rate, decision.taker_rate


def terms_of(message: Any, names: Names) -> Document:
    """What an order says beyond a plain one, in a decision or an event; only what is not zero."""
    made: Document = {}
    instrument = message.instrument
    if message.trigger == Trigger.TRAIL_BPS:
        made["trigger_bps"] = message.trigger_ticks
    elif message.trigger_ticks:
        put_price(made, names, instrument, "trigger_price", message.trigger_ticks)
    if message.offset_ticks:
        put_price(made, names, instrument, "offset", message.offset_ticks)
    for name, lots in (("display", message.display_lots), ("minimum", message.minimum_lots)):
        if lots:
            put_quantity(made, names, instrument, name, lots)
    words = {
        "trigger": word(Trigger, message.trigger),
        "at_ns": message.at_ns,
        "peg": word(Peg, message.peg),
        "self_trade": word(Prevention, message.self_trade),
        "instructions": flags_of(Instruction, message.instructions),
        "list_kind": word(ListKind, message.list_kind),
        "list_index": message.list_index,
        "trail_limit": message.trail_limit,
    }
    return made | {name: shown for name, shown in words.items() if getattr(message, name)}


def _put_phase(made: Document, decision: Any, names: Names) -> None:
    made |= {"instrument": decision.instrument, "symbol": names.symbol(decision.instrument)}
    made["phase"] = word(Phase, decision.phase)


def _put_tick(made: Document, decision: Any, names: Names) -> None:
    made["at_ns"] = decision.at_ns


def put_term(made: Document, message: Any, symbol: bytes, names: Names) -> None:
    """INSTRUMENT, the command and its event; `symbol` is the one that a LIST gives."""
    number = message.order_id
    made |= {"instrument": message.instrument, "symbol": names.symbol(message.instrument)}
    made["term"] = TERM_NAMES.get(number) or word(Listing, number)
    made["value"] = message.qty_lots
    if number == Listing.LIST:
        made["symbol"] = text(symbol)


def _put_instrument(made: Document, decision: Any, names: Names) -> None:
    put_term(made, decision, decision.client_order_id, names)
    if decision.order_id == Listing.LIST:
        made["phase"] = word(Phase, decision.qty_lots)


def _put_snapshot(made: Document, decision: Any, names: Names) -> None:
    made |= {"instrument": decision.instrument, "symbol": names.symbol(decision.instrument)}


def _put_watermark(made: Document, decision: Any, names: Names) -> None:
    """How many events of each shard risk had applied."""
    raw = decision.client_order_id
    made["watermarks"] = [
        int.from_bytes(raw[at : at + WORD_BYTES], "little")
        for at in range(0, SHARDS_MAX * WORD_BYTES, WORD_BYTES)
    ]


def put_funds(made: Document, message: Any, names: Names) -> None:
    """FUNDS, the command and its event."""
    made["account"] = message.account
    made["funds"] = word(Funds, message.side)
    if message.side == Funds.TRANSFER:
        made["to_account"] = message.price_ticks
    made["asset"] = names.asset(message.instrument)
    amount = names.amount(message.instrument, message.qty_lots)
    if amount is not None:
        made["amount"] = amount
    made["units"] = message.qty_lots
    made["order_id"] = message.order_id


def _put_funds(made: Document, decision: Any, names: Names) -> None:
    put_funds(made, decision, names)
    made["client_order_id"] = text(decision.client_order_id) or None


def _put_rule(made: Document, decision: Any, names: Names) -> None:
    rule = RULES_BY_NUMBER.get(decision.order_id)
    made["scope"] = word(Scope, decision.order_type)
    made["rule"] = rule.name if rule is not None else f"{decision.order_id}"
    if decision.order_type == Scope.ACCOUNT:
        made["account"] = decision.account
    elif decision.order_type == Scope.GROUP:
        made["group"] = decision.account
    if rule is not None and rule.money:
        made["asset"] = names.asset(decision.instrument)
    elif decision.order_type == Scope.SYMBOL or decision.instrument:
        made |= {"instrument": decision.instrument, "symbol": names.symbol(decision.instrument)}
    made["value"] = decision.qty_lots


def _put_mark(made: Document, decision: Any, names: Names) -> None:
    made |= {"instrument": decision.instrument, "symbol": names.symbol(decision.instrument)}
    put_price(made, names, decision.instrument, "price", decision.price_ticks)


def _put_barrier(made: Document, decision: Any, names: Names) -> None:
    made["term"] = decision.order_id


def _put_skip(made: Document, decision: Any, names: Names) -> None:
    made["skipped_dseq"] = decision.order_id


_PARTS: Final[dict[int, Callable[[Document, Any, Names], None]]] = {
    CommandKind.PHASE: _put_phase,
    CommandKind.TICK: _put_tick,
    CommandKind.INSTRUMENT: _put_instrument,
    CommandKind.SNAPSHOT: _put_snapshot,
    CommandKind.WATERMARK: _put_watermark,
    CommandKind.FUNDS: _put_funds,
    CommandKind.RULE: _put_rule,
    CommandKind.MARK: _put_mark,
    CommandKind.BARRIER: _put_barrier,
    CommandKind.SKIP: _put_skip,
}


# --- for people --------------------------------------------------------------------------------

_HEAD: Final = (
    "dseq",
    "eseq",
    "kind",
    "time_ns",
    "source",
    "source_sequence",
    "ev_wm",
    "stamp_ticks",
)
_SHOWN_ELSEWHERE: Final = frozenset((*_HEAD, "reason", "instrument", "flags", "terms"))


def line(made: Document, number: str = "dseq") -> str:
    """What `describe` gave, or `describe_event`, in one line; `number` names its sequence."""
    told = [f"{made[number]:>10}", time_text(made["time_ns"]), f"{made['kind']:<14}"]
    told += _pairs({key: value for key, value in made.items() if key not in _SHOWN_ELSEWHERE})
    told += made.get("flags", [])
    told += _pairs(made.get("terms", {}))
    if made.get("reason"):
        told.append(f"reason={made['reason']}")
    return " ".join(told)


def _pairs(values: Document) -> list[str]:
    """`key=value` for all that says something; of a decimal and its raw number only the decimal."""
    shown = []
    for key, value in values.items():
        name, _, unit = key.rpartition("_")
        if value is None or (unit in ("ticks", "lots") and name in values) or value == []:
            continue
        if key == "units" and "amount" in values:
            continue
        shown.append(f"{key}={','.join(map(str, value)) if isinstance(value, list) else value}")
    return shown
