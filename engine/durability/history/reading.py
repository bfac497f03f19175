"""A history as Python sees it: what a late gateway takes over, in plain values.

Reads a `HistoryState` that nobody changes meanwhile, between two commands: a replica's own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from engine.durability.history.state import (
    LISTS_MAX,
    LOW_BITS,
    TRADES_KEPT_MAX,
    DayFigures,
    HistoryState,
    KeptAccount,
    KeptFacts,
    KeptFill,
    KeptInstrument,
    KeptOrder,
    KeptTerms,
    KeptTrade,
    Listed,
    ListUnderWay,
    OrderState,
)
from engine.limits import ACCOUNTS_MAX, ASSETS_MAX, INSTRUMENTS_MAX
from engine.marketdata import DayStatistics, Indicative, Trade
from engine.messages import EventFlag
from engine.reference import TERM_COUNT
from engine.rules import RuleNumber
from ipc import memory
from ipc.record import Codec, Record, text_of

_ORDER, _TERMS, _FILL = Codec(KeptOrder), Codec(KeptTerms), Codec(KeptFill)
_FACTS, _DAY, _TRADE = Codec(KeptFacts), Codec(DayFigures), Codec(KeptTrade)
_ACCOUNT = Codec(KeptAccount)


class PastOrder(NamedTuple):
    """An order that is open, or ended not long ago."""

    order: Any
    "The fields of its KeptOrder."
    terms: Any
    "Those of its KeptTerms; None for an order without terms."
    traded: int
    "Sum of price_ticks * lots of all its fills."
    fills: list[Any]
    "Fields of a KeptFill each, the oldest first."


@dataclass(frozen=True, slots=True)
class PastInstrument:
    """An instrument of which events have told anything."""

    number: int
    listed: Listed
    symbol: str | None
    "Under which it was listed by an event; None when it has only ever been configured."
    list_phase: int
    "The phase in which it was listed."
    phase: int | None
    "None: as it was configured."
    phase_ends_ns: int
    terms: Mapping[int, int]
    "What events have set, by number of the term."
    statistics: DayStatistics
    indicative: Indicative
    trades: list[Trade]
    "The last ones since it was listed, oldest first."


@dataclass(frozen=True, slots=True)
class PastAccount:
    """An account of which an event has told who it is."""

    number: int
    kind: int | None
    "AccountKind; None when no event has said it."
    kind_dseq: int
    "Decision that said so: of several shards the last one counts."
    opened: bool


@dataclass(frozen=True, slots=True)
class Past:
    """What one matching shard has told until now."""

    sequence: int
    "Of the last event."
    clock_ns: int
    ended: list[int]
    "Ids of the ended orders that are remembered, in the order in which they ended."
    instruments: list[PastInstrument]
    accounts: list[PastAccount]
    states: Mapping[tuple[RuleNumber, int, int], int]
    "What events have said of accounts by MARGIN_STATE and LOSS_STATE, by rule, account, asset."
    lists: Mapping[tuple[int, int], list[int]]
    """Ids of the orders of each list that is not complete, by source and instrument. It may have
    been broken off: then its orders have ended."""
    state: HistoryState

    def orders(self) -> Iterator[PastOrder]:
        """All orders that are remembered, in no order."""
        state, orders, terms = self.state, self.state.orders.orders, self.state.terms
        view, unpack, make = _view(state), _ORDER.struct.unpack_from, _ORDER.values._make
        begin, begin_terms = orders.address - state.address, terms.address - state.address
        begin_fills = state.fills.fills.address - state.address
        has_terms = int(EventFlag.TERMS)
        for index in range(1, state.orders.used + 1):
            order = make(unpack(view, begin + index * KeptOrder.size))
            if order.order_id == 0:  # a free slot
                continue
            kept = None
            if order.flags & has_terms:
                kept = _values(_TERMS, view, begin_terms + index * KeptTerms.size)
            traded = (order.traded_high << LOW_BITS) + order.traded_low
            fills = _fills(view, begin_fills, order) if order.fills_kept else []
            yield PastOrder(order, kept, traded, fills)


Beat = Callable[[], None]
"""To be called now and then by who is long at work, so that nobody takes it for dead."""


def rest() -> None:
    """A beat where nobody watches."""


class Recalled(NamedTuple):
    """All that a late gateway begins with."""

    pasts: Sequence[Past]
    "Of each matching shard, in their order."
    books: Mapping[int, Sequence[Any]]
    "The BOOKED events of a snapshot of each instrument, by number; none for an empty book."
    beat: Beat = rest


Recall = Callable[[Sequence[int]], AbstractContextManager[Recalled]]
"""Tells what has passed until an event of each shard, none of them before the one that is given
for it; the memory from which a past is read is there until the context ends."""


def read_past(state: HistoryState) -> Past:
    """Read a history; its orders are read when they are asked for."""
    instruments = (_instrument(state.instruments[number], number) for number in _NUMBERS)
    return Past(
        sequence=state.sequence,
        clock_ns=state.clock_ns,
        ended=list(_ended(state)),
        instruments=[each for each in instruments if each is not None],
        accounts=list(_accounts(state)),
        states=dict(_states(state)),
        lists=dict(_lists(state)),
        state=state,
    )


_NUMBERS: Final = range(INSTRUMENTS_MAX)


def _view(record: Record) -> memoryview:
    """The bytes of a record."""
    region = memory.find(record.address, record.size)
    start = region.offset(record.address, record.size)
    return region.view[start : start + record.size]


def _values(codec: Codec, view: memoryview, start: int = 0) -> Any:
    return codec.values._make(codec.struct.unpack_from(view, start))


def _fills(view: memoryview, start: int, order: Any) -> list[Any]:
    found, slot = [], order.first_fill
    for _ in range(order.fills_kept):
        found.append(_values(_FILL, view, start + slot * KeptFill.size))
        slot = found[-1].next
    return found


def _ended(state: HistoryState) -> Iterator[int]:
    index = state.ended.first
    for _ in range(state.ended.count):
        order = state.orders.orders[index]
        assert order.state != OrderState.OPEN, "an open order is among the ended ones"
        yield order.order_id
        index = order.next_ended


def _lists(state: HistoryState) -> Iterator[tuple[tuple[int, int], list[int]]]:
    """Lists under way, and such as were broken off: of those an order has ended."""
    start = state.lists.address - state.address
    raw = _view(state)[start : start + LISTS_MAX * ListUnderWay.size]
    counts = np.frombuffer(raw, np.int64)[:: ListUnderWay.size // 8]
    for place in np.flatnonzero(counts).tolist():
        held = state.lists[place]
        order_ids = [held.order_ids[index] for index in range(held.count)]
        yield (place // INSTRUMENTS_MAX, place % INSTRUMENTS_MAX), order_ids


def _instrument(kept: KeptInstrument, number: int) -> PastInstrument | None:
    """What is known of an instrument; None when no event has told anything of it."""
    view = _view(kept)
    facts = _values(_FACTS, view, kept.facts.address - kept.address)
    start = kept.terms_set.address - kept.address
    is_set = bytes(view[start : start + TERM_COUNT])
    if not any(is_set) and not any(view[: KeptFacts.size]):
        return None
    first = max(facts.trade_count - TRADES_KEPT_MAX, 0)
    places = (trade % TRADES_KEPT_MAX for trade in range(first, facts.trade_count))
    return PastInstrument(
        number=number,
        listed=Listed(facts.listed),
        symbol=text_of(facts.symbol) if facts.relisted else None,
        list_phase=facts.list_phase,
        phase=facts.phase if facts.phase_known else None,
        phase_ends_ns=facts.phase_ends_ns,
        terms={term: kept.terms[term] for term in range(TERM_COUNT) if is_set[term]},
        statistics=_statistics(_values(_DAY, view, kept.day.address - kept.address)),
        indicative=Indicative(
            facts.indicated_ticks, facts.indicated_lots, facts.surplus_lots, facts.surplus_side
        ),
        trades=[_trade(_values(_TRADE, _view(kept.trades[place]))) for place in places],
    )


def _statistics(day: Any) -> DayStatistics:
    turnover = (day.turnover_high << LOW_BITS) + day.turnover_low
    return DayStatistics.restored(
        **{name: value for name, value in day._asdict().items() if not name.startswith("turnover")},
        turnover=turnover,
    )


def _trade(kept: Any) -> Trade:
    side = None if kept.side < 0 else kept.side
    return Trade(kept.match_id, kept.price_ticks, kept.lots, side, kept.sequence, kept.time_ns)


def _accounts(state: HistoryState) -> Iterator[PastAccount]:
    start = state.accounts.address - state.address
    raw = _view(state)[start : start + ACCOUNTS_MAX * KeptAccount.size]
    for number, kept in enumerate(_ACCOUNT.decode_many(raw)):
        if kept.kind or kept.opened:
            kind = kept.kind - 1 if kept.kind else None
            yield PastAccount(number, kind, kept.kind_dseq, kept.opened != 0)


def _states(state: HistoryState) -> Iterator[tuple[tuple[RuleNumber, int, int], int]]:
    """What is set of the rules by which risk marks accounts, with its value."""
    for rule, values in (
        (RuleNumber.MARGIN_STATE, state.margin_states),
        (RuleNumber.LOSS_STATE, state.loss_states),
    ):
        start = values.address - state.address
        raw = np.frombuffer(_view(state)[start : start + len(values)], np.uint8)
        for place in np.flatnonzero(raw).tolist():
            yield (rule, place // ASSETS_MAX, place % ASSETS_MAX), int(raw[place]) - 1
