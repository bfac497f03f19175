"""Layouts of messages and shared memory as documentation: `python -m tools.layouts` prints them.

docs/messages.md and docs/memory-map.md are this module's output; a test compares them.
"""

import sys
from typing import Final

from engine.directory import AssetEntry, InstrumentEntry
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


PAGES: Final = {"messages": messages_page, "memory": memory_page}

if __name__ == "__main__":
    sys.stdout.write(PAGES[sys.argv[1]]())
