"""A replica follows a journal: `okimi journal replay` and `hash`, `verify --deep`, past states.

Everything is done again by the compiled steps that serve a venue, and risk must come to the same
decisions, byte for byte. On the way snapshots can be compared with what is derived from scratch.
"""

import time
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Console

from engine.durability import snapshot
from engine.durability.blocks import Block, differences, digest
from engine.durability.errors import Diverged, JournalError, SnapshotRotten
from engine.durability.eventlog import earliest_snapshot
from engine.durability.format import HEADER_BYTES, read_header
from engine.durability.pursuit import Pursuit
from engine.durability.snapshot_folder import dseqs, examine
from tools.journal.errors import JournalToolError
from tools.journal.opening import OpenJournal
from tools.run import progress_bar

UPDATE_S: Final = 0.1
"""Between two moves of the bar."""


@dataclass(slots=True)
class Rebuilt:
    """What following has come to."""

    from_dseq: int = 0
    "The decision of the snapshot from which it began; 0: how the venue began."
    dseq: int = 0
    "The last decision that was done again."
    term: int = 0
    records: int = 0
    events: int = 0
    eseqs: list[int] = field(default_factory=list)
    "The last event of each matching shard."
    hashes: list[int] = field(default_factory=list)
    "Of each matching shard, over all its events."
    snapshots_checked: list[int] = field(default_factory=list)
    "Snapshots on the way that are what was derived, byte for byte."
    seconds: float = 0.0
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """Whether all was derived as it was written."""
        return self.problem is None

    @property
    def rate(self) -> float:
        """Decisions per second."""
        return self.records / self.seconds if self.seconds else 0.0

    @property
    def state_hash(self) -> str | dict[str, str]:
        """The hash of the one shard, or of each by its name, as `okimi status` shows them."""
        shown = [f"{each:016x}" for each in self.hashes]
        if len(shown) == 1:
            return shown[0]
        return {f"matching.{shard}": each for shard, each in enumerate(shown)}

    def report(self) -> dict[str, Any]:
        """The fields for --json."""
        return {
            "from_dseq": self.from_dseq,
            "dseq": self.dseq,
            "term": self.term,
            "records": self.records,
            "records_per_s": round(self.rate, 1),
            "events": self.events,
            "event_seqs": self.eseqs,
            "state_hash": self.state_hash,
            "snapshots_checked": self.snapshots_checked,
            "seconds": round(self.seconds, 6),
            "problem": self.problem,
            "ok": self.ok,
        }


@dataclass(frozen=True, slots=True)
class Way:
    """How far to follow, from where."""

    until: int | None = None
    "The last decision wanted; None: all."
    from_scratch: bool = False
    "From how the venue began, or as near to it as the journal reaches; else the nearest snapshot."
    check_snapshots: bool = False
    "Compare snapshots on the way with what is derived."


def rebuild(journal: OpenJournal, way: Way, console: Console) -> tuple[Pursuit | None, Rebuilt]:
    """Follow the journal; the replica at the end, which the caller frees, and what was found.

    Without a replica when following has failed: `problem` says why. JournalToolError when the
    journal does not reach `until`, and the errors of snapshots.
    """
    found, until = Rebuilt(), way.until
    if journal.durable is not None and until is not None and until > journal.durable:
        raise JournalToolError(
            f"decision {until} is not durable yet, {journal.durable} is the last"
        )
    at_most = earliest_snapshot(journal.folder, journal.storage) if way.from_scratch else until
    pursuit = Pursuit(journal.folder, journal.storage, journal.durable, at_most)
    moment = pursuit.moment
    found.from_dseq = moment.dseq
    pursuit.replica.apply(b"")  # compiles, or loads what was compiled
    began = time.perf_counter()
    try:
        _follow(journal, pursuit, way, found, console)
    except (Diverged, JournalError, SnapshotRotten) as error:
        found.problem = str(error)
    found.seconds = time.perf_counter() - began
    replica = pursuit.replica
    found.dseq, found.term, found.eseqs = pursuit.dseq, pursuit.moment.term, replica.sequences
    found.hashes = replica.state_hashes
    found.records = found.dseq - found.from_dseq
    found.events = sum(replica.sequences) - sum(moment.eseqs)
    if found.problem is not None:
        pursuit.free()
        return None, found
    if until is not None and found.dseq < until:
        pursuit.free()
        raise JournalToolError(f"the journal ends with decision {found.dseq}, before {until}")
    return pursuit, found


def _follow(
    journal: OpenJournal, pursuit: Pursuit, way: Way, found: Rebuilt, console: Console
) -> None:
    """To the end, with a halt at each snapshot that is to be compared."""
    halts: list[int | None] = [way.until]
    if way.check_snapshots:
        last = way.until if way.until is not None else last_known(journal)
        stored = [each for each in dseqs(journal.folder.snapshots) if pursuit.dseq < each <= last]
        halts = [*stored, way.until]
    with progress_bar(console) as progress:
        end = way.until or last_known(journal)
        task = progress.add_task("replaying", total=max(end - pursuit.dseq, 1))
        shown = 0.0
        for halt in halts:
            for dseq in pursuit.follow(journal.durable, halt):
                now = time.perf_counter()
                if now - shown > UPDATE_S:
                    progress.update(task, completed=dseq - found.from_dseq)
                    shown = now
            if way.check_snapshots and halt is not None and pursuit.dseq == halt:
                _compare(journal, pursuit, found)


def _compare(journal: OpenJournal, pursuit: Pursuit, found: Rebuilt) -> None:
    """Compare the state with the snapshot of its moment, if there is a whole one."""
    folder, dseq = journal.folder.snapshots, pursuit.dseq
    if dseq not in dseqs(folder) or dseq == found.from_dseq:
        return
    path = examine(folder, dseq).path
    pursuit.replica.keep_pending()
    for name, block in pursuit.replica.blocks.items():
        stored = Block.allocate(block.record, f"snapshot {name}")
        try:
            snapshot.load(path, {name: stored})
            offset = next(differences(block, stored), None)
        finally:
            stored.free()
        if offset is not None:
            raise Diverged(dseq, f"{path} has another {name} than is derived, at byte {offset}")
    found.snapshots_checked.append(dseq)


def last_known(journal: OpenJournal) -> int:
    """About the last decision of the journal, from the copies of headers: for progress bars."""
    if journal.durable is not None:
        return journal.durable
    segments = journal.storage.segments()
    last = max((*segments, *journal.storage.archived()), default=1) - 1
    if segments:
        copies = journal.storage.read_headers(segments[-1])
        begin = max(len(copies.rstrip(b"\0")) - 1, 0) // HEADER_BYTES * HEADER_BYTES
        header = read_header(copies[begin : begin + HEADER_BYTES])
        if header is not None:
            last = max(last, header.first_dseq + header.count - 1)
    return last


def digests(pursuit: Pursuit) -> dict[str, str]:
    """A hash of each state block: equal states have equal ones."""
    pursuit.replica.keep_pending()
    return {name: f"{digest(block):016x}" for name, block in pursuit.replica.blocks.items()}
