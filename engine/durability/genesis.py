"""How a venue began, and whether a configuration still says the same.

The snapshot of moment 0 is what the configuration of the first start made. Whatever has happened
since is in the journal: instruments, accounts and rules change by commands. A configuration that
says something else than the first one would be obeyed by nobody, so it is refused.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

from engine.durability import snapshot
from engine.durability.blocks import Block, differences
from engine.durability.errors import DataDirChanged
from engine.durability.snapshot_folder import examine
from engine.reference import InstrumentTerms, ReferenceData
from engine.topology import RISK
from engine.venue import REFERENCE
from ipc.field import Field

SHOWN_MAX: Final = 8
"""Differences that a message names."""

_PARTS: Final[Mapping[str, str]] = {
    "instrument_count": "instruments",
    "instruments": "instruments",
    "asset_count": "assets",
    "shard_count": "shards",
    "tick_ns": "venue.tick_ms",
    "schedule_count": "schedules",
    "schedule": "schedules",
    "rule_count": "rules",
    "rules": "rules",
    "fee_account": "risk.fee_account",
    "insurance_account": "risk.insurance_account",
    "day_start_ns": "risk.day_start",
    "risk_source": "clients of the engine",
    "control_source": "clients of the engine",
    "least": "limits of terms",
    "most": "limits of terms",
    "accounts": "accounts",
    "directory": "names and steps of assets and instruments",
}
"""What a person calls a part of the reference data."""

assert set(_PARTS) == set(ReferenceData.fields), "every part of the reference data has a name"


def check_unchanged(snapshots: Path, blocks: Mapping[str, Block]) -> None:
    """Compare what a configuration has just made with what the venue began with.

    `blocks`: "reference" and "risk" of a venue that has executed nothing. Raises DataDirChanged,
    which names what differs, and the errors of reading a snapshot.
    """
    begun = {name: Block.allocate(blocks[name].record, f"genesis {name}") for name in blocks}
    try:
        snapshot.load(examine(snapshots, 0).path, begun)
        found = list(islice(_compare(begun, blocks), SHOWN_MAX + 1))
    finally:
        for block in begun.values():
            block.free()
    if found:
        more = ["and more"] if len(found) > SHOWN_MAX else []
        raise DataDirChanged(
            "the configuration is not the one that this venue began with. It differs in: "
            + "; ".join(found[:SHOWN_MAX] + more)
            + f". Set these back and change them by commands while the venue runs, or begin "
            f"anew with another --data-dir (this venue's is {snapshots.parent})"
        )


def _compare(begun: Mapping[str, Block], now: Mapping[str, Block]) -> Iterator[str]:
    """What differs, in words."""
    told = False
    for words in _reference_changes(begun[REFERENCE], now[REFERENCE]):
        told = True
        yield words
    # Balances are nowhere but in risk's memory; with equal reference data all else there is equal.
    if not told and any(True for _ in differences(begun[RISK], now[RISK])):
        yield "balances of accounts"


def _reference_changes(begun: Block, now: Block) -> Iterator[str]:
    old: Any = ReferenceData(begun.address)
    new: Any = ReferenceData(now.address)
    yield from _names(old, new)
    for field in ReferenceData.fields.values():
        rows = _changed_rows(begun, now, field)
        part = _PARTS[field.name]
        if field.name == "instruments":
            for index in rows:
                yield from _terms(old, new, index)
        elif field.name == "accounts":
            yield from (f"{part}: number {index}" for index in rows)
        elif rows and field.scalar is not None:
            yield f"{part} was {getattr(old, field.name)}, is {getattr(new, field.name)}"
        elif rows and field.name != "directory":
            yield part


def _changed_rows(begun: Block, now: Block, field: Field) -> list[int]:
    """The elements of a field that differ; [0] for a single one."""
    span = slice(field.offset, field.offset + field.size)
    shape = (max(field.count, 1), -1)
    unequal = begun.view()[span].reshape(shape) != now.view()[span].reshape(shape)
    rows: list[int] = unequal.any(axis=1).nonzero()[0].tolist()
    return rows


def _names(old: Any, new: Any) -> Iterator[str]:
    """Assets and instruments that are called otherwise, or written in other steps."""
    for index in range(max(old.asset_count, new.asset_count)):
        before, after = old.directory.assets[index], new.directory.assets[index]
        was = (before.name.get() or "none", before.decimals)
        if was != (is_now := (after.name.get() or "none", after.decimals)):
            yield (
                f"assets: number {index} was {was[0]} with {was[1]} decimals, is {is_now[0]} "
                f"with {is_now[1]}"
            )
    for index in range(max(old.instrument_count, new.instrument_count)):
        before, after = old.directory.instruments[index], new.directory.instruments[index]
        for name in ("symbol", "tick", "lot"):
            was_text, now_text = getattr(before, name).get(), getattr(after, name).get()
            if was_text != now_text:
                yield (
                    f"instruments: {name} of number {index} was {was_text or 'none'}, is "
                    f"{now_text or 'none'}"
                )


def _terms(old: Any, new: Any, index: int) -> Iterator[str]:
    """The terms of an instrument that differ."""
    symbol = old.directory.instruments[index].symbol.get()
    if symbol != new.directory.instruments[index].symbol.get():
        return  # another instrument: that has been said
    before, after = old.instruments[index], new.instruments[index]
    for name, term in InstrumentTerms.fields.items():
        was, is_now = getattr(before, name), getattr(after, name)
        if term.count and list(was) != list(is_now):
            yield f"instruments: {name} of {symbol or index}"
        elif not term.count and was != is_now:
            yield f"instruments: {name} of {symbol or index} was {was}, is {is_now}"
