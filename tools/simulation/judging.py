"""What must be true of a whole history, whatever happened on the way.

`judge` compares what clients were told with what the journal says when it is derived again, and
looks through the decisions for commands that are missing, doubled or answered twice. The naive
twin, which takes longer, is asked in `second_opinion`.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from engine.durability.format import FIRST_DSEQ
from engine.limits import ASSETS_MAX, INTERNAL_SOURCE
from engine.messages import (
    EVENT_CODECS,
    MESSAGE_BYTES,
    PLAIN_BYTES,
    TERMS_CODEC,
    CommandFlag,
    CommandKind,
    Decision,
    EventFlag,
    EventKind,
    Message,
    RejectReason,
    TradeEvent,
    slot_dtype,
)
from ipc.record import Codec
from tools.simulation.derivations import History
from tools.simulation.traders import REPEATABLE, Told, Trader
from tools.simulation.worlds import World

DUPLICATE: Final = int(RejectReason.DUPLICATE_CLIENT_ORDER_ID)
FIRST_OF_RISK: Final = int(RejectReason.UNKNOWN_ACCOUNT)
"""Reasons below are ingest's: such a command has got no id."""

_KIND: Final = Message.fields["kind"].offset
_FLAGS: Final = Message.fields["flags"].offset
_STAMP: Final = Message.fields["stamp_ticks"].offset


def _used_bytes(codec: Codec) -> Any:
    """Which bytes of a slot a record has fields in; in the others lie those of older ones."""
    size = codec.struct.size
    blank = codec.struct.unpack(bytes(size))
    made = np.zeros(MESSAGE_BYTES, np.uint8)
    for place in range(size):
        probe = bytes(place) + b"\1" + bytes(size - place - 1)
        made[place] = codec.struct.unpack(probe) != blank
    made[_STAMP : _STAMP + 8] = 0
    return made


_USED: Final = np.zeros((256, MESSAGE_BYTES), np.uint8)
"""What counts of an event of each kind, by kind."""
for _event_kind, _event_codec in EVENT_CODECS.items():
    _USED[_event_kind] = _used_bytes(_event_codec)
_USED_TERMS: Final = _used_bytes(TERMS_CODEC)

_DECISIONS: Final = slot_dtype(Decision)
_TRADES: Final = slot_dtype(TradeEvent)


class Violation(AssertionError):
    """Something happened that must never happen; the message says what."""


def expect(holds: object, what: str) -> None:
    """Violation unless it holds."""
    if not holds:
        raise Violation(what)


# --- decoding ----------------------------------------------------------------------------------


def decisions_of(history: History) -> Any:
    """All decisions of a journal as an array of slots, terms zeroed where there are none."""
    made = bytearray()
    for payload in history.payloads:
        place = 0
        while place < len(payload):
            size = MESSAGE_BYTES if payload[place + _FLAGS] & CommandFlag.TERMS else PLAIN_BYTES
            made += payload[place : place + size].ljust(MESSAGE_BYTES, b"\0")
            place += size
    return np.frombuffer(made, _DECISIONS)


def comparable(raw: bytes | bytearray) -> Any:
    """Event slots without what is allowed to differ: stamps, and lines that nobody writes."""
    slots = np.frombuffer(raw, np.uint8).reshape(-1, MESSAGE_BYTES).copy()
    counts = _USED[slots[:, _KIND]]
    counts[slots[:, _FLAGS] & EventFlag.TERMS != 0] = _USED_TERMS
    return slots * counts


# --- what clients were told --------------------------------------------------------------------


def check_told(trader: Trader, events: Sequence[Any]) -> None:
    """Every byte that a client was told is in the history, at the same place."""
    for told in trader.told:
        if not told.raw:
            continue
        expect(
            told.end <= len(events[told.shard]),
            f"source {trader.number} was told event {told.end} of shard {told.shard}, and the "
            f"history has {len(events[told.shard])}: something acknowledged is lost",
        )
        found = comparable(told.raw)
        wanted = events[told.shard][told.first : told.end]
        if not np.array_equal(found, wanted):
            _tell_difference(trader, told, found, wanted)


def _tell_difference(trader: Trader, told: Told, found: Any, wanted: Any) -> None:
    row, byte = (int(each[0]) for each in np.nonzero(found != wanted))
    raise Violation(
        f"source {trader.number} was told another event {told.first + row + 1} of shard "
        f"{told.shard} than the history has (byte {byte}): an answer has changed"
    )


# --- decisions ---------------------------------------------------------------------------------


def check_decisions(decisions: Any) -> None:
    """Numbers are dense, sources lose nothing, and a name stands for one order only."""
    wanted = np.arange(FIRST_DSEQ, FIRST_DSEQ + len(decisions))
    expect(np.array_equal(decisions["sequence"], wanted), "decisions are numbered densely")
    _check_sources(decisions)
    _check_names(decisions)


def _check_sources(decisions: Any) -> None:
    """Each source's commands come once and in order, through all terms."""
    commands = decisions[~_watermarks(decisions)]
    for source in np.unique(commands["source"]).tolist():
        own = commands[commands["source"] == source]
        found, wanted = own["source_sequence"], np.arange(1, len(own) + 1)
        if source == INTERNAL_SOURCE or np.array_equal(found, wanted):
            continue
        place = int(np.flatnonzero(found != wanted)[0])
        raise Violation(
            f"source {source}: its command {int(found[place])} comes where {place + 1} should be "
            f"(decision {int(own['sequence'][place])})"
        )


def _watermarks(decisions: Any) -> Any:
    return (decisions["kind"] == CommandKind.WATERMARK) & (decisions["reason"] == 0)


def _check_names(decisions: Any) -> None:
    """The first command of a name gets an id; every later one is a duplicate with that id."""
    named = decisions["client_order_id"] != b""
    repeatable = np.isin(decisions["kind"], REPEATABLE) & named
    chosen = decisions[repeatable]
    known: dict[tuple[int, bytes], int] = {}
    columns = ("account", "client_order_id", "order_id", "reason", "sequence")
    for account, name, order_id, reason, dseq in zip(
        *(chosen[column].tolist() for column in columns), strict=True
    ):
        first = known.get((account, name))
        if reason == DUPLICATE:
            expect(
                first == order_id,
                f"decision {dseq}: {name!r} of account {account} is answered with order "
                f"{order_id}, it is order {first}",
            )
        elif reason == 0 or reason >= FIRST_OF_RISK:
            expect(
                first is None,
                f"decision {dseq}: {name!r} of account {account} is executed again as order "
                f"{order_id}, it is order {first}",
            )
            known[account, name] = order_id


# --- events ------------------------------------------------------------------------------------


def check_events(events: Sequence[Any]) -> None:
    """Numbers are dense, and each trade has a number of its own."""
    for shard, slots in enumerate(events):
        trades = slots.view(_TRADES).reshape(-1)
        wanted = np.arange(1, len(trades) + 1)
        expect(np.array_equal(trades["sequence"], wanted), f"events of shard {shard} are dense")
        matches = trades["match_id"][trades["kind"] == EventKind.TRADE]
        wanted = np.arange(1, len(matches) + 1)
        expect(np.array_equal(matches, wanted), f"a match of shard {shard} comes twice, or not")


def check_conservation(world: World) -> None:
    """No unit of any asset has come to be or got lost: in the engine's own memory."""
    risk, market = world.venue.risk, world.market
    owned = [0] * (len(market.instruments) + 1)
    for account in market.accounts:
        for asset in range(len(owned)):
            owned[asset] += risk.purses[account * ASSETS_MAX + asset].total
    nets = [0] * len(market.instruments)
    for index in range(1, risk.positions.count + 1):
        position = risk.positions.table[index]
        nets[position.instrument] += position.net
        if risk.owners[position.account].kind:
            instrument = market.instruments[position.instrument]
            owned[0] -= position.cost
            owned[instrument.base_asset_index] += position.net * instrument.base_units_per_lot
    for asset, units in enumerate(owned):
        deposited = risk.deposited[asset]
        expect(units == deposited, f"asset {asset}: {units} units, deposited {deposited}")
    expect(not any(nets), f"nets by instrument: {nets}")


def judge(traders: Sequence[Trader], history: History, world: World) -> Any:
    """All that can be said without the twin; returns the decisions. Violation."""
    decisions = decisions_of(history)
    events = [comparable(raw) for raw in history.events]
    check_decisions(decisions)
    check_events(events)
    for trader in traders:
        check_told(trader, events)
    check_conservation(world)
    return decisions
