"""Layouts of messages and shared memory as documentation: `python -m tools.layouts` prints them.

The pages messages, memory-map and snapshots in docs/ are its output, journal and events contain
some of it; a test compares them.
"""

import sys
from typing import Final

from engine.directory import AssetEntry, InstrumentEntry
from engine.durability.eventfiles import EventBlock
from engine.durability.format import FrameHeader
from engine.durability.snapshot_format import PageRun, SnapshotHeader, SnapshotSection
from engine.matching import MatchingState
from engine.messages import (
    ChangeEvent,
    CheckpointEvent,
    Command,
    CommandFlag,
    CommandKind,
    Decision,
    EventFlag,
    EventKind,
    Funds,
    FundsCommand,
    Instruction,
    InstrumentCommand,
    InstrumentEvent,
    Listing,
    ListKind,
    OrderEvent,
    OrderType,
    Peg,
    Phase,
    PhaseEvent,
    Prevention,
    RejectReason,
    RuleCommand,
    Scope,
    SequencedCommand,
    Side,
    Terms,
    TermsEvent,
    TimeInForce,
    TradeEvent,
    Trigger,
)
from engine.reference import AccountTerms, InstrumentTerms, RuleEntry, ScheduleEntry
from ipc.counters import CountersFile, ProcessEntry, StageStatistics
from ipc.record import Record, table
from ipc.ring import Cursor, Producer, Ring
from ipc.segment import SegmentHeader
from ipc.wait import Doorbell

MESSAGES: Final = (
    Command,
    Terms,
    InstrumentCommand,
    FundsCommand,
    RuleCommand,
    SequencedCommand,
    Decision,
    OrderEvent,
    TermsEvent,
    TradeEvent,
    ChangeEvent,
    PhaseEvent,
    InstrumentEvent,
    CheckpointEvent,
)
MEMORY: Final = (
    SegmentHeader,
    Ring,
    Producer,
    Cursor,
    CountersFile,
    ProcessEntry,
    Doorbell,
    StageStatistics,
    InstrumentTerms,
    AccountTerms,
    ScheduleEntry,
    RuleEntry,
    AssetEntry,
    InstrumentEntry,
)
ENUMS: Final = (
    CommandKind,
    Side,
    OrderType,
    TimeInForce,
    Trigger,
    Peg,
    Prevention,
    Instruction,
    ListKind,
    Phase,
    Listing,
    Funds,
    Scope,
    CommandFlag,
    EventKind,
    EventFlag,
    RejectReason,
)

SNAPSHOTS: Final = (SnapshotHeader, SnapshotSection, PageRun)

MESSAGES_HEAD: Final = """# Messages

Made from the declarations in `engine/messages.py` and `engine/vocabulary.py` by
`python -m tools.layouts messages`; do not edit. All integers are little-endian. A message has a
slot of 192 bytes, three cache lines, and begins with its sequence. The third line holds `Terms`; it
counts only with the flag `TERMS`, and without it is what an earlier message left there.
"""

MEMORY_HEAD: Final = """# Shared memory

Made from the declarations by `python -m tools.layouts memory`; do not edit. A venue named NAME is
these segments in the shared memory file system, each beginning with the segment header:

| segment | holds | written by |
|---|---|---|
| `okimi.NAME.counters` | processes, bells, clock, statistics | supervisor; each process its own |
| `okimi.NAME.reference` | instruments, accounts, rules, names | supervisor, before the start |
| `okimi.NAME.ring.orders.CLIENT` | commands of one client | that client; ingest its cursor |
| `okimi.NAME.ring.orders.risk` | commands of risk itself | risk; ingest its cursor |
| `okimi.NAME.ring.commands` | sequenced commands | ingest; risk its cursor |
| `okimi.NAME.ring.decisions` | decisions | risk; each matching shard its cursor |
| `okimi.NAME.ring.events` | events; of several shards `events.0`, `events.1` ... | that matching \
shard; each reader its cursor |
| `okimi.NAME.state.ingest` | sequence, remembered client order ids | ingest |
| `okimi.NAME.state.risk` | balances, reservations | risk |
| `okimi.NAME.state.matching` | books, orders; of several shards `matching.0` ... | that matching \
shard |
"""

SNAPSHOTS_HEAD: Final = """# Snapshots

Made from the declarations in `engine/durability/snapshot_format.py` by
`python -m tools.layouts snapshots`; do not edit. All integers are little-endian.

A snapshot is the state of a venue after one decision, in one file. The folder `snapshots/` has the
newest ones, each named by its decision in 20 digits, and `00000000000000000000.snapshot`, the state
that the configuration of the first start made. The state is a row of blocks, each one record in
memory, that is mostly zero; only pages of 4096 bytes that are not all zero are stored.

| bytes of the file | what |
|---|---|
| 0 to 4095 | `SnapshotHeader`, then zeros |
| from `offset` of a section | its page table: `run_count` times `PageRun`, ascending; then zeros \
up to a multiple of 4096 |
| after that | the pages of the runs, one after the other; what of the last page lies beyond the \
block is zero |

Sections follow each other without a gap, from byte 4096 to the end of the file, in the order of the
header. A section without pages has no bytes. Every bit of the file is covered by a CRC32C
(Castagnoli): those of the header page by the header's, those of a section by that section's.

A file is written as `*.unfinished`, synced, read back from the disk and checked, and only then
renamed; then the folder is synced. One process at a time writes (it locks the folder), and it
deletes what an earlier one left unfinished. When the newest snapshot is damaged the one before it
is used, and a message says so. Files of another format, of another engine version, or with another
layout of a block (`fingerprint`) are refused: whoever changes a record, the format, or what the
engine does with a decision changes one of the three.
"""


def _section(record: type[Record]) -> str:
    text = " ".join((record.__doc__ or "").split())
    return f"## {record.__name__}\n\n{text} {record.size} bytes.\n\n{table(record)}\n"


def messages_page() -> str:
    """docs/messages.md."""
    parts = [MESSAGES_HEAD, *map(_section, MESSAGES)]
    for kind in ENUMS:
        rows = [f"| {member.value} | {name} |" for name, member in kind.__members__.items()]
        text = " ".join((kind.__doc__ or "").split())
        parts.append(f"## {kind.__name__}\n\n{text}\n\n| value | name |\n|---:|---|\n")
        parts[-1] += "\n".join(rows) + "\n"
    return "\n".join(parts)


def memory_page() -> str:
    """docs/memory-map.md."""
    largest = f"\nThe largest is matching's state: {MatchingState.size:,} bytes of address space.\n"
    return "\n".join([MEMORY_HEAD + largest, *map(_section, MEMORY)])


def snapshots_page() -> str:
    """docs/snapshots.md."""
    return "\n".join([SNAPSHOTS_HEAD, *map(_section, SNAPSHOTS)])


def journal_part() -> str:
    """What docs/journal.md has from the declarations; the rest of it is written by hand."""
    return _section(FrameHeader)


def events_part() -> str:
    """What docs/events.md has from the declarations."""
    return _section(EventBlock)


PAGES: Final = {"messages": messages_page, "memory": memory_page, "snapshots": snapshots_page}
PARTS: Final = {"journal": journal_part, "events": events_part}

if __name__ == "__main__":
    sys.stdout.write((PAGES | PARTS)[sys.argv[1]]())
