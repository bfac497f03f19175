"""`okimi journal export`: decisions, events or trades as CSV or Parquet, batch by batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console

from engine.durability.eventlog import EventLog
from tools.journal import records
from tools.journal.columns import Column
from tools.journal.names import Names
from tools.journal.opening import OpenJournal
from tools.journal.progress import Meter
from tools.journal.sinks import SINKS
from tools.journal.tables import decisions_table, events_table, trades_table
from tools.run import progress_bar

BATCH_ROWS: Final = 1 << 16
"""Rows of a batch, and of a row group in Parquet: some 100 MiB while they are made."""

DECISIONS, EVENTS, TRADES = "decisions", "events", "trades"

TABLES: Final[dict[str, Callable[[Any, Names], list[Column]]]] = {
    DECISIONS: decisions_table,
    EVENTS: events_table,
    TRADES: trades_table,
}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be exported, where to."""

    what: str
    "A key of TABLES."
    target: Path
    form: str
    "A key of SINKS."
    shard: int = 0
    "Of events and trades."
    first: int = 1
    last: int | None = None
    "The first and last decision, or event, wanted."


@dataclass(slots=True)
class Exported:
    """What was written."""

    rows: int = 0
    bytes: int = 0


def export(journal: OpenJournal, order: Order, console: Console) -> Exported:
    """Write the file, which has its name once it is whole.

    JournalToolError without pyarrow; the errors of the journal and of events.
    """
    names, found = journal.names(), Exported()
    if order.what != DECISIONS:
        learn_all(journal, names, console)
    pieces = _decisions if order.what == DECISIONS else _events
    table = TABLES[order.what]
    unfinished = order.target.with_name(order.target.name + ".unfinished")
    with SINKS[order.form](unfinished) as sink:
        for rows in _batches(pieces(journal, order, names, console)):
            columns = table(rows, names)
            found.rows += len(columns[0].values)
            sink.write(columns)
    unfinished.replace(order.target)
    found.bytes = order.target.stat().st_size
    return found


def learn_all(journal: OpenJournal, names: Names, console: Console) -> None:
    """Learn the names of instruments that were listed on the way: reads the whole journal."""
    with Meter(journal, console, "reading names") as meter:
        for frame in meter.over(journal.frames()):
            records.learn(records.slots_of(frame), names)


def _decisions(journal: OpenJournal, order: Order, names: Names, console: Console) -> Iterator[Any]:
    with Meter(journal, console, "exporting decisions") as meter:
        for frame in meter.over(journal.frames()):
            if order.last is not None and frame.first_dseq > order.last:
                return
            rows = records.slots_of(frame)
            records.learn(rows, names)
            begin = max(order.first - frame.first_dseq, 0)
            end = len(rows) if order.last is None else order.last + 1 - frame.first_dseq
            if begin < min(end, len(rows)):
                yield rows[begin:end]


def _events(journal: OpenJournal, order: Order, names: Names, console: Console) -> Iterator[Any]:
    log = EventLog(journal.path, lambda: journal.durable)
    try:
        with progress_bar(console) as progress:
            task = progress.add_task(f"exporting {order.what}", total=None)
            for slots in log.slots(order.shard, order.first, order.last):
                yield slots
                progress.advance(task, len(slots))
    finally:
        log.close()


def _batches(pieces: Iterator[Any]) -> Iterator[Any]:
    """Pieces put together to about BATCH_ROWS; one of no rows if there is nothing at all."""
    waiting: list[Any] = []
    count, began = 0, False
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if count >= BATCH_ROWS:
            yield _joined(waiting)
            waiting, count, began = [], 0, True
    if waiting:
        yield _joined(waiting)
    elif not began:
        yield np.zeros(0, records.SLOTS)


def _joined(pieces: list[Any]) -> Any:
    """One array; bytes that are no field of this kind of message are kept, as of events."""
    raw = np.concatenate([piece.view(np.uint8) for piece in pieces])
    return raw.view(pieces[0].dtype)
