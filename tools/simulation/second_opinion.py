"""The naive twin's view of a history: each decision and each event again, in plain Python.

The twin has one exchange for all instruments. Where the venue had several shards, its events are
dealt out to them, and numbers that count within a shard are counted anew.
"""

from collections.abc import Sequence
from typing import Any, Final

from engine.limits import INSTRUMENTS_MAX, SHARDS_MAX
from engine.messages import (
    CommandFlag,
    CommandKind,
    Decision,
    EventFlag,
    EventKind,
    OrderType,
    RejectReason,
    decode_events,
)
from ipc.record import Codec
from tools import twin
from tools.simulation.derivations import History
from tools.simulation.judging import expect
from tools.simulation.worlds import World
from tools.twin.messages import TERMS_FIELDS
from tools.twin.risk import check_sums

_DECISION: Final = Codec(Decision)
_NO_TERMS: Final = dict.fromkeys(TERMS_FIELDS, 0)
_LAST: Final = int(EventFlag.LAST)
_COMPARED: Final = ("reason", "price_ticks", "group", "prevention", "maker_rate", "taker_rate")
_FIRST_OF_RISK: Final = RejectReason.UNKNOWN_ACCOUNT
_FIRST_OF_MATCHING: Final = RejectReason.UNKNOWN_ORDER

assert SHARDS_MAX * 8 <= 40, "a WATERMARK has a word for each shard"


def ask_twin(world: World, decisions: Any, history: History) -> None:
    """Violation when the twin decides or executes otherwise. `decisions`: an array of slots."""
    heard = [_heard(values) for values in _DECISION.decode_many(decisions.tobytes())]
    events = [
        [twin.plain(event) for event in decode_events(memoryview(raw))] for raw in history.events
    ]
    _check_exchange(world, heard, events)
    _check_risk(world, heard, events)


def _heard(values: Any) -> twin.Decision:
    """A decision as matching reads it."""
    fields = values._asdict()
    del fields["stamp_ticks"]
    if not _is_watermark(values):
        fields["client_order_id"] = fields["client_order_id"].rstrip(b"\0")
    if not fields["flags"] & CommandFlag.TERMS:
        fields |= _NO_TERMS
    return twin.Decision(**fields)


def _is_watermark(decision: twin.Decision) -> bool:
    return decision.kind == CommandKind.WATERMARK and decision.reason == RejectReason.NONE


# --- matching ----------------------------------------------------------------------------------


def _check_exchange(
    world: World, decisions: Sequence[twin.Decision], events: Sequence[Sequence[Any]]
) -> None:
    exchange = twin.Exchange(world.market.instruments, world.market.orders_max)
    shards = world.shards
    dealt: list[list[Any]] = [[] for _ in range(shards)]
    matches = [0] * shards
    for decision in decisions:
        if _is_watermark(decision):
            continue
        for event in exchange.decide(decision):
            everywhere = event.kind == EventKind.CLOCK
            owners = range(shards) if everywhere else (_owner(world, event.instrument),)
            for shard in owners:
                dealt[shard].append(_renumbered(event, len(dealt[shard]) + 1, matches, shard))
    for shard, wanted in enumerate(dealt):
        found = events[shard] if shards == 1 else [_without_last(each) for each in events[shard]]
        if shards > 1:
            wanted = [_without_last(each) for each in wanted]
        for mine, theirs in zip(found, wanted, strict=False):
            expect(mine == theirs, f"shard {shard}: the engine says {mine}, the twin {theirs}")
        expect(
            len(found) == len(wanted),
            f"shard {shard} has {len(found)} events, the twin {len(wanted)}",
        )


def _owner(world: World, instrument: int) -> int:
    """The shard that executes what names an instrument, or any other number."""
    if instrument >= INSTRUMENTS_MAX:
        return 0
    return int(world.venue.reference.instruments[instrument].shard)


def _renumbered(event: Any, sequence: int, matches: list[int], shard: int) -> Any:
    if event.kind == EventKind.TRADE:
        matches[shard] += 1
        return event._replace(sequence=sequence, match_id=matches[shard])
    return event._replace(sequence=sequence)


def _without_last(event: Any) -> Any:
    """Where a command's events end differs when two shards have some of them."""
    return event._replace(flags=event.flags & ~_LAST)


# --- risk --------------------------------------------------------------------------------------


def _check_risk(
    world: World, decisions: Sequence[twin.Decision], events: Sequence[Sequence[Any]]
) -> None:
    venue = world.market.venue(risk_source=world.topology.risk_source)
    risk = venue.risk
    for decision in decisions:
        if _is_watermark(decision):
            words = decision.client_order_id.ljust(SHARDS_MAX * 8, b"\0")
            for shard in range(world.shards):
                mark = int.from_bytes(words[shard * 8 : shard * 8 + 8], "little")
                _advance(risk, events, shard, mark)
            continue
        _advance(risk, events, 0, decision.ev_wm)
        again = risk.decide(_before_risk(decision))
        for name in _COMPARED:
            mine, theirs = getattr(decision, name), getattr(again, name)
            if name == "reason" and decision.reason >= _FIRST_OF_MATCHING:
                continue  # skipped by matching: risk had passed it
            expect(
                mine == theirs,
                f"decision {decision.sequence}: {name} is {mine}, the twin says {theirs}",
            )
    check_sums(risk)


def _advance(risk: Any, events: Sequence[Sequence[Any]], shard: int, mark: int) -> None:
    for event in events[shard][risk.watermarks[shard] : mark]:
        risk.apply(event, shard)
    expect(risk.watermarks[shard] == mark, f"risk had seen event {mark} of shard {shard}")


def _before_risk(decision: twin.Decision) -> twin.Sequenced:
    """The command as ingest passed it on; what risk wrote into it is gone."""
    fields = decision._asdict()
    if decision.reason >= _FIRST_OF_RISK:
        fields["reason"] = RejectReason.NONE
    if decision.order_type == OrderType.MARKET:  # traders send 0, risk writes the worst price
        fields["price_ticks"] = 0
    return twin.Sequenced(**fields)
