"""`okimi snapshot`: which snapshots a data folder has, whether they are whole, and taking one."""

import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import Progress
from rich.table import Table

from tools.terminal import emit, folder_argument, json_option, stderr, stdout

if TYPE_CHECKING:  # these compile: only who takes a snapshot waits for that
    from engine.durability.datadir import DataDir
    from engine.durability.file_storage import FileStorage
    from engine.durability.snapshot_job import Taken


@click.group()
def snapshot() -> None:
    """List, check and take snapshots of a venue: its state, from which a start goes on.

    \b
    okimi snapshot list ~/.local/state/okimi/okimi
    okimi snapshot take DIR
    """


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known about one snapshot."""

    dseq: int
    problem: str
    "Why it cannot be used; empty when nothing is known to be wrong."
    term: int | None = None
    eseqs: tuple[int, ...] = ()
    created: str = ""
    bytes: int = 0
    pages: int = 0
    "In use, of 4 KiB, when it was taken."

    def report(self) -> dict[str, Any]:
        """The fields for --json."""
        return {
            "dseq": self.dseq,
            "term": self.term,
            "eseqs": list(self.eseqs),
            "created": self.created,
            "bytes": self.bytes,
            "pages": self.pages,
            "ok": not self.problem,
            "problem": self.problem,
        }


def look(folder: Path, dseq: int, progress: Any = None, *, whole: bool = False) -> Entry:
    """One snapshot of a folder of snapshots: its header, or with `whole` every byte of it."""
    from engine.durability.errors import SnapshotError
    from engine.durability.snapshot import read_header
    from engine.durability.snapshot_folder import examine
    from engine.durability.snapshot_format import path_of

    try:
        path = path_of(folder, dseq)
        found = examine(folder, dseq, progress) if whole else read_header(path)
    except SnapshotError as error:
        return Entry(dseq, str(error))
    moment = found.moment
    created = datetime.fromtimestamp(moment.created_unix_ns / 1e9, UTC)
    return Entry(
        dseq,
        "",
        moment.term,
        moment.eseqs,
        created.isoformat(timespec="seconds"),
        found.file_bytes,
        sum(section.page_count for section in found.sections),
    )


def render(entries: list[Entry]) -> Table:
    """The entries for people."""
    from tools.figures import size

    table = Table("decision", "term", "events", "taken", "size", "state", box=None)
    for entry in entries:
        table.add_row(
            str(entry.dseq),
            "-" if entry.term is None else str(entry.term),
            " ".join(map(str, entry.eseqs)) or "-",
            entry.created or "-",
            size(entry.bytes),
            entry.problem or "ok",
        )
    return table


@snapshot.command("list")
@folder_argument
@json_option
def list_command(folder: Path, as_json: bool) -> None:
    """List the snapshots of a data folder, by what their headers say."""
    from engine.durability import datadir
    from engine.durability.snapshot_folder import dseqs

    held = datadir.attach(folder).snapshots
    entries = [look(held, dseq) for dseq in dseqs(held)]
    if not as_json:
        stdout.print(render(entries) if entries else "there are no snapshots")
    emit({"snapshots": [entry.report() for entry in entries]}, as_json)


@snapshot.command()
@folder_argument
@json_option
def verify(folder: Path, as_json: bool) -> None:
    """Read every byte of all snapshots. Exit code 0 when there is one and all are whole."""
    from engine.durability import datadir
    from engine.durability.snapshot_folder import dseqs
    from tools.run import progress_bar

    held = datadir.attach(folder).snapshots
    entries = []
    with progress_bar(stderr) as bar:
        for dseq in dseqs(held):
            task = bar.add_task(f"reading {dseq}")
            entries.append(look(held, dseq, _updating(bar, task), whole=True))
            bar.remove_task(task)
    ok = bool(entries) and not any(entry.problem for entry in entries)
    newest = max((entry.dseq for entry in entries if not entry.problem), default=None)
    if not as_json:
        stdout.print(render(entries) if entries else "there are no snapshots")
    found = [entry.report() for entry in entries]
    emit({"snapshots": found, "newest_whole": newest, "ok": ok}, as_json)
    sys.exit(0 if ok else 1)


@snapshot.command()
@folder_argument
@click.option("--keep", type=click.IntRange(2), default=3, show_default=True, help="Newest kept.")
@json_option
def take(folder: Path, keep: int, as_json: bool) -> None:
    """Take a snapshot of a venue that is stopped, or that runs, which it does not notice.

    The newest snapshot is loaded, and all decisions since are done again and checked. While the
    venue runs, up to the last one that is durable.
    """
    from engine.durability import datadir
    from tools.figures import size

    held = datadir.attach(folder)
    taken = _take(held, keep)
    facts = taken.snapshot
    report = {
        "dseq": facts.moment.dseq,
        "from_dseq": taken.begun,
        "commands": facts.moment.dseq - taken.begun,
        "bytes": facts.file_bytes,
        "follow_seconds": round(taken.follow_seconds, 3),
        "store_seconds": round(taken.store_seconds, 3),
        "path": str(facts.path),
    }
    for words in taken.passed_over:
        stderr.print(words, style="yellow", highlight=False, soft_wrap=True)
    if not as_json:
        stdout.print(
            f"{facts.path} has the state after decision {facts.moment.dseq}, made from that after "
            f"{taken.begun}: {size(facts.file_bytes)}, {taken.follow_seconds:.2f} s to follow, "
            f"{taken.store_seconds:.2f} s to store",
            highlight=False,
            soft_wrap=True,
        )
    emit(report, as_json)


def _take(held: "DataDir", keep: int) -> "Taken":
    """Take a snapshot, with bars on the terminal."""
    from engine.durability.snapshot_job import take_snapshot
    from tools.run import progress_bar

    with ExitStack() as until_done:
        storage, durable = _journal_of(held, until_done)
        bar = until_done.enter_context(progress_bar(stderr))
        following = bar.add_task("following the journal", total=None)
        storing = bar.add_task("storing", total=None)
        meters = _updating(bar, following), _updating(bar, storing)
        return take_snapshot(held, storage, durable, keep, meters)


def _journal_of(held: "DataDir", until_done: ExitStack) -> "tuple[FileStorage, int | None]":
    """The journal's files, and how far they may be read: None when nobody writes them.

    Of a venue that is stopped the lock is held, so that it does not start meanwhile, and what a
    process may have written before it was killed is made durable before it is believed.
    """
    from engine.durability.errors import DataDirInUse
    from engine.durability.file_storage import FileStorage
    from tools.journal.opening import NO_SEGMENTS, OpenJournal

    try:
        until_done.enter_context(held.lock())
    except DataDirInUse:
        opened = until_done.enter_context(closing(OpenJournal(held.path)))
        if opened.durable is None:  # it has just ended
            return _journal_of(held, until_done)
        return opened.storage, opened.durable
    storage = until_done.enter_context(closing(FileStorage(held.path, NO_SEGMENTS)))
    for segment in storage.segments()[-1:]:
        storage.sync(segment)
    return storage, None


def _updating(bar: Progress, task: Any) -> Callable[[int, int], None]:
    """What moves a bar; a total of 0 is not known."""
    return lambda done, total: bar.update(task, completed=done, total=total or None)
