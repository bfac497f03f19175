"""`okimi replay --format journal`: books and balances as they were after a decision."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from engine.intake import IngestState
from gateway.documents import time_text
from tools.figures import NONE
from tools.journal.books import account_documents, book_documents
from tools.journal.decisions import Document
from tools.journal.exporting import learn_all
from tools.journal.opening import OpenJournal
from tools.journal.rebuilding import Rebuilt, Way, rebuild
from tools.status import plain_table
from tools.terminal import emit, stderr, stdout

DEPTH: Final = 10
"""Levels of each side that are shown unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which past state is wanted, and what of it."""

    until: int | None = None
    verify: bool = False
    "Derive all from the beginning, and compare the snapshots on the way."
    symbols: tuple[str, ...] = ()
    accounts: tuple[int, ...] = ()
    depth: int = DEPTH


def show_past(folder: Path, question: Question, as_json: bool) -> int:
    """Show a past state; exit code 0 when it could be derived, and all that was checked held."""
    way = Way(question.until, from_scratch=question.verify, check_snapshots=question.verify)
    with closing(OpenJournal(folder)) as opened:
        pursuit, found = rebuild(opened, way, stderr)
        report = found.report() | {"commands_per_s": round(found.rate, 1)}
        if pursuit is None:
            stderr.print(found.problem, style="red", highlight=False, soft_wrap=True, markup=False)
            emit(report, as_json)
            return 1
        names = opened.names()
        if names.assets:
            learn_all(opened, names, stderr)
        # Risk applies the last events, too: balances are those after the decision's trades.
        pursuit.replica.hear_all()
        blocks = pursuit.replica.blocks
        time_ns = IngestState(blocks["ingest"].address).time_ns
        report |= {
            "time_ns": time_ns,
            "books": book_documents(blocks, names, question.symbols, question.depth),
            "accounts": account_documents(blocks, names, question.accounts),
        }
        pursuit.free()
    if not as_json:
        stdout.print(render(report, found))
    emit(report, as_json)
    return 0


# --- for people --------------------------------------------------------------------------------


def render(report: dict[str, Any], found: Rebuilt) -> RenderableType:
    """The state for a terminal."""
    head = Text.assemble(
        ("after decision ", "dim"),
        (str(found.dseq), "bold"),
        f"  {time_text(report['time_ns'])}  term {found.term}",
    )
    rate = f"{found.records} decisions from {found.from_dseq} on, {found.rate:,.0f} a second"
    hashes = f"hash {report['state_hash']}"
    parts: list[RenderableType] = [head, Text(hashes, "dim"), Text(rate, "dim")]
    if found.snapshots_checked:
        parts.append(Text(f"{len(found.snapshots_checked)} snapshots are what was derived", "dim"))
    for book in report["books"]:
        parts += [Text(), *_book(book)]
    for account in report["accounts"]:
        parts += [Text(), *_account(account)]
    return Group(*parts)


def _book(book: Document) -> Iterator[RenderableType]:
    """The best levels of both sides beside each other."""
    last = "" if book["last"] is None else f"  last {book['last']}"
    yield Text.assemble((book["symbol"], "bold"), f"  {book['phase']}{last}")
    table = plain_table("quantity", "bid", "ask", "quantity", left=0)
    bids, asks = book["bids"], book["asks"]
    for row in range(max(len(bids), len(asks))):
        bid = _cells(bids[row], "quantity", "price") if row < len(bids) else ["", ""]
        ask = _cells(asks[row], "price", "quantity") if row < len(asks) else ["", ""]
        table.add_row(*bid, *ask)
    yield table
    left = [
        f"{book[f'{side}_levels'] - len(book[side])} more {side}"
        for side in ("bids", "asks")
        if book[f"{side}_levels"] > len(book[side])
    ]
    if left:
        yield Text(", ".join(left), "dim")


def _cells(level: Document, *names: str) -> list[str]:
    """Decimals of a level, or raw numbers where the steps are not known."""
    raw = {"price": "price_ticks", "quantity": "lots"}
    return [str(level[raw[name]]) if level[name] is None else level[name] for name in names]


def _account(account: Document) -> Iterator[RenderableType]:
    """Balances and positions."""
    yield Text.assemble(
        ("account ", "dim"), (str(account["account"]), "bold"), f"  {account['kind']}"
    )
    yield _documents(account["balances"], ("asset", "total", "reserved", "available"))
    if account["positions"]:
        columns = ("symbol", "quantity", "average_cost", "mark", "realised")
        yield _documents(account["positions"], columns)


def _documents(documents: list[Document], columns: tuple[str, ...]) -> Table:
    table = plain_table(*columns, left=1)
    for document in documents:
        values = (document.get(name) for name in columns)
        table.add_row(*(NONE if value is None else str(value) for value in values))
    return table
