"""The tables of an export: which columns decisions, events and trades have.

Raw integers have the names of docs/messages.md; beside each price and quantity stands its decimal
value. Fields that a kind of message does not use have no value in its rows.
"""

from typing import Any, Final

import numpy as np

from engine.messages import (
    ChangeEvent,
    CheckpointEvent,
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    InstrumentEvent,
    OrderEvent,
    OrderType,
    PhaseEvent,
    Prevention,
    RejectReason,
    Side,
    TermsEvent,
    TimeInForce,
    TradeEvent,
    Trigger,
    slot_dtype,
)
from tools.journal.columns import (
    Column,
    Kind,
    Rows,
    assets,
    decimals,
    enumerated,
    flagged,
    number,
    steps,
    symbols,
    texts,
    time,
)
from tools.journal.decisions import ORDER_KINDS
from tools.journal.names import Names
from tools.journal.records import OF_ACCOUNT, OF_NO_INSTRUMENT, is_in

_ABOUT_ORDERS: Final = tuple(kind for kind in OF_ACCOUNT if kind != CommandKind.FUNDS)
_TERM_NUMBERS: Final = (
    "offset_ticks",
    "at_ns",
    "peg",
    "self_trade",
    "instructions",
    "list_kind",
    "list_index",
    "trail_limit",
)


def decisions_table(rows: Rows, names: Names) -> list[Column]:
    """One row for each decision."""
    orders = is_in(rows, _ABOUT_ORDERS)
    priced = is_in(rows, (*ORDER_KINDS, CommandKind.MARK))
    sized = is_in(rows, ORDER_KINDS)
    entered = is_in(rows, (CommandKind.NEW, CommandKind.CHECK))
    new = rows["kind"] == CommandKind.NEW
    funds = rows["kind"] == CommandKind.FUNDS
    terms = sized & (rows["flags"] & CommandFlag.TERMS != 0)
    units = rows["qty_lots"].astype(np.int64)
    return [
        number(rows, "sequence")._replace(name="dseq"),
        time(rows, "time_ns"),
        enumerated(rows, "kind", "kind", CommandKind),
        number(rows, "account", orders | funds | (rows["kind"] == CommandKind.RULE)),
        number(rows, "instrument"),
        symbols(rows, names, ~is_in(rows, OF_NO_INSTRUMENT)),
        enumerated(rows, "side", "side", Side, orders),
        enumerated(rows, "order_type", "type", OrderType, entered),
        enumerated(rows, "time_in_force", "time_in_force", TimeInForce, entered),
        number(rows, "order_id"),
        texts(rows, "client_order_id", rows["kind"] != CommandKind.WATERMARK),
        *steps(rows, names, "price_ticks", priced),
        *_raw_where(steps(rows, names, "qty_lots", sized)),
        assets(rows, names, funds),
        decimals("amount", rows["instrument"], units, names.amount, funds),
        flagged(rows, "flags", CommandFlag),
        enumerated(rows, "reason", "reason", RejectReason, rows["reason"] != 0),
        number(rows, "source"),
        number(rows, "source_sequence"),
        number(rows, "ev_wm"),
        number(rows, "group", new),
        enumerated(rows, "prevention", "prevention", Prevention, new),
        number(rows, "maker_rate", new),
        number(rows, "taker_rate", new),
        enumerated(rows, "trigger", "trigger", Trigger, terms),
        *steps(rows, names, "trigger_ticks", terms & (rows["trigger"] != Trigger.TRAIL_BPS)),
        *steps(rows, names, "display_lots", terms),
        *steps(rows, names, "minimum_lots", terms),
        *(number(rows, name, terms) for name in _TERM_NUMBERS),
        number(rows, "phase", rows["kind"] == CommandKind.PHASE),
        number(rows, "stamp_ticks"),
    ]


def _raw_where(pair: list[Column]) -> list[Column]:
    """The raw number in all rows: of commands that are not about orders it means something else."""
    shown, raw = pair
    return [shown, raw._replace(valid=None)]


# --- events ------------------------------------------------------------------------------------

_ANSWERS: Final = (EventKind.ACCEPTED, EventKind.REJECTED, EventKind.CHECKED)
_MEETINGS: Final = (EventKind.TRADE, EventKind.PREVENTED)
_CLOCKED: Final = (EventKind.PHASED, EventKind.CLOCK)
_ELSE: Final = (EventKind.INSTRUMENT, EventKind.CHECKPOINT)
_NO_STEPS: Final = (
    *_CLOCKED,
    *_ELSE,
    EventKind.FUNDED,
    EventKind.RULED,
    EventKind.DONE,
    EventKind.BARRIER,
    EventKind.SKIPPED,
)
"""Events whose price and quantity are none."""


def _as(rows: Rows, kind: Any) -> Rows:
    """The same slots as another kind of event."""
    return rows.view(slot_dtype(kind))


def events_table(rows: Rows, names: Names) -> list[Column]:
    """One row for each event; `rows` are slots of any kind."""
    changes, trades = _as(rows, ChangeEvent), _as(rows, TradeEvent)
    phases = _as(rows, PhaseEvent)
    answers, meetings, clocked = (is_in(rows, kinds) for kinds in (_ANSWERS, _MEETINGS, _CLOCKED))
    else_, stepped = is_in(rows, _ELSE), ~is_in(rows, _NO_STEPS)
    changed = ~(answers | meetings | clocked | else_)
    leveled = rows["flags"] & (EventFlag.LEVEL_BID | EventFlag.LEVEL_ASK) != 0
    trade = rows["kind"] == EventKind.TRADE
    terms = answers & (rows["flags"] & EventFlag.TERMS != 0)
    return [
        number(rows, "sequence")._replace(name="eseq"),
        number(rows, "dseq"),
        time(rows, "time_ns"),
        enumerated(rows, "kind", "kind", EventKind),
        number(rows, "account"),
        number(rows, "instrument"),
        symbols(rows, names, stepped | (rows["kind"] == EventKind.INSTRUMENT) | clocked),
        enumerated(rows, "side", "side", Side, stepped),
        enumerated(rows, "order_type", "type", OrderType, answers),
        enumerated(rows, "time_in_force", "time_in_force", TimeInForce, answers),
        number(rows, "order_id"),
        texts(_as(rows, OrderEvent), "client_order_id", answers),
        *_raw_where(steps(rows, names, "price_ticks", stepped)),
        *_raw_where(steps(rows, names, "qty_lots", stepped)),
        *steps(changes, names, "leaves_lots", stepped & (changed | meetings)),
        *steps(rows, names, "level_lots", leveled),
        *steps(changes, names, "previous_price_ticks", changed & stepped),
        *_new_terms(changes, names),
        number(trades, "maker_order_id", meetings),
        number(trades, "maker_account", meetings),
        *steps(trades, names, "maker_leaves_lots", meetings),
        number(trades, "match_id", trade),
        number(trades, "fee_rate", trade),
        number(trades, "maker_fee_rate", trade),
        *_terms_columns(_as(rows, TermsEvent), names, terms),
        number(phases, "phase", rows["kind"] == EventKind.PHASED)._replace(name="new_phase"),
        number(phases, "previous_phase", rows["kind"] == EventKind.PHASED),
        time(phases, "at_ns", clocked & (phases["at_ns"] != 0))._replace(name="clock"),
        texts(_as(rows, InstrumentEvent), "symbol", rows["kind"] == EventKind.INSTRUMENT)._replace(
            name="listed_symbol"
        ),
        number(_as(rows, CheckpointEvent), "state_hash", rows["kind"] == EventKind.CHECKPOINT),
        flagged(rows, "flags", EventFlag),
        enumerated(rows, "reason", "reason", RejectReason, rows["reason"] != 0),
        number(rows, "source"),
        number(rows, "source_sequence"),
    ]


def _new_terms(rows: Rows, names: Names) -> list[Column]:
    """Trigger and display that an amended order has from now on, if it has any."""
    replaced = rows["kind"] == EventKind.REPLACED
    made = [
        column
        for field in ("trigger_ticks", "display_lots")
        for column in steps(rows, names, field, replaced & (rows[field] != 0))
    ]
    return [column._replace(name=f"new_{column.name}") for column in made]


def _terms_columns(rows: Rows, names: Names, terms: Any) -> list[Column]:
    return [
        enumerated(rows, "trigger", "trigger", Trigger, terms),
        *steps(rows, names, "trigger_ticks", terms & (rows["trigger"] != Trigger.TRAIL_BPS)),
        *steps(rows, names, "display_lots", terms),
        *steps(rows, names, "minimum_lots", terms),
        *(number(rows, name, terms) for name in _TERM_NUMBERS),
    ]


def trades_table(rows: Rows, names: Names) -> list[Column]:
    """One row for each trade among the events."""
    trades = _as(rows, TradeEvent)[rows["kind"] == EventKind.TRADE]
    every = np.ones(len(trades), np.bool_)
    auction = (trades["flags"] & EventFlag.AUCTION != 0).astype(np.int64)
    return [
        number(trades, "match_id"),
        number(trades, "sequence")._replace(name="eseq"),
        number(trades, "dseq"),
        time(trades, "time_ns"),
        number(trades, "instrument"),
        symbols(trades, names),
        *steps(trades, names, "price_ticks", every),
        *steps(trades, names, "qty_lots", every),
        enumerated(trades, "side", "side", Side),
        number(trades, "order_id")._replace(name="taker_order_id"),
        number(trades, "account")._replace(name="taker_account"),
        number(trades, "maker_order_id"),
        number(trades, "maker_account"),
        number(trades, "fee_rate")._replace(name="taker_fee_rate"),
        number(trades, "maker_fee_rate"),
        Column("auction", Kind.NUMBER, auction),
    ]
