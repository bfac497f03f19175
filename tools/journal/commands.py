"""The commands of `okimi journal`."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import orjson

from engine.limits import ACCOUNTS_MAX
from tools.terminal import emit, json_option, stderr, stdout

folder_argument = click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path)
)


@click.group()
def journal() -> None:
    r"""Look into the journal of a venue: what was decided, and whether it is whole.

    \b
    okimi journal verify ~/.local/state/okimi/okimi
    okimi journal dump DIR --symbol BTC-USD --account 7 --from 1000 --to 2000
    """


@journal.command()
@folder_argument
@click.option("--from", "first", type=click.IntRange(0), default=0, help="First decision.")
@click.option("--to", "last", type=click.IntRange(0), help="Last decision.")
@click.option(
    "--kind", "kinds", multiple=True, help="new, cancel, funds, ...; several are allowed."
)
@click.option("--account", "accounts", type=click.IntRange(0, ACCOUNTS_MAX - 1), multiple=True)
@click.option("--symbol", "symbols", multiple=True, help="BTC-USD, or #0 by number.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@json_option
def dump(folder: Path, limit: int | None, as_json: bool, **filters: Any) -> None:
    r"""Show decisions, one a line; with --json an object a line, and a last one with their count.

    \b
    okimi journal dump DIR --kind new --kind cancel --account 7
    okimi journal dump DIR --from 5000 --limit 20 --json
    """
    from tools.journal.decisions import line
    from tools.journal.dumping import documents
    from tools.journal.opening import OpenJournal
    from tools.journal.records import Filter, kinds_named

    kinds, accounts = kinds_named(filters.pop("kinds")), frozenset(filters.pop("accounts"))
    wanted = Filter(kinds=kinds, accounts=accounts, **filters)
    shown = 0
    with closing(OpenJournal(folder)) as opened:
        names = opened.names()
        if opened.names_error:
            stderr.print(f"numbers are shown without names: {opened.names_error}", soft_wrap=True)
        for document in documents(opened, names, wanted):
            click.echo(orjson.dumps(document) if as_json else line(document))
            shown += 1
            if shown == limit:
                break
    emit({"records": shown}, as_json)


@journal.command()
@folder_argument
@json_option
def verify(folder: Path, as_json: bool) -> None:
    """Check every frame, their chain, and how the journal ends. Exit code 0 when it is whole.

    A torn tail, of a write that was cut off, is no damage: nobody was told of what is in it.
    """
    from tools.figures import size
    from tools.journal.opening import OpenJournal
    from tools.journal.verifying import verify as look

    with closing(OpenJournal(folder)) as opened:
        found = look(opened, stderr)
    if not as_json:
        for name, value in found.report().items():
            if name != "problem":
                shown = size(value) if name.endswith("bytes") else value
                stdout.print(f"{name:<20} {shown}", highlight=False)
        if found.problem:
            stdout.print(found.problem, style="red", highlight=False, soft_wrap=True)
    emit(found.report(), as_json)
    sys.exit(0 if found.ok else 1)


@journal.command()
@click.argument("left", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("right", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--commands", is_flag=True, help="Leave out what depends on clocks and timing.")
@json_option
def diff(left: Path, right: Path, commands: bool, as_json: bool) -> None:
    """Find the first decision in which two journals differ. Exit code 0 when none does.

    Copies of one journal are equal in every byte; two runs of the same commands differ in times
    and watermarks, which --commands leaves out.
    """
    from tools.journal.decisions import line
    from tools.journal.differing import Compare
    from tools.journal.differing import diff as compare
    from tools.journal.opening import OpenJournal

    how = Compare.COMMANDS if commands else Compare.EVERYTHING
    with closing(OpenJournal(left)) as one, closing(OpenJournal(right)) as other:
        found = compare(one, other, how, stderr)
    if not as_json:
        stdout.print(f"{found.compared} decisions are equal", highlight=False)
        for folder, document in ((left, found.left), (right, found.right)):
            if not found.equal:
                shown = line(document) if document else "has ended"
                stdout.print(f"{folder}: {shown}", highlight=False, soft_wrap=True, markup=False)
        for name, (here, there) in (found.fields or {}).items():
            stdout.print(f"  {name}: {here!r} {there!r}", highlight=False, markup=False)
    emit(found.report(), as_json)
    sys.exit(0 if found.equal else 1)


@journal.command()
@folder_argument
@click.option("--dry-run", is_flag=True, help="Only say what would be cut (the default).")
@click.option("--yes", is_flag=True, help="Cut. The venue must not run.")
@click.option("--lose-acknowledged", is_flag=True, help="Cut even what clients were told is true.")
@json_option
def truncate(
    folder: Path, dry_run: bool, yes: bool, lose_acknowledged: bool, as_json: bool
) -> None:
    r"""Say what would be lost if the journal were cut where it is no longer whole, or cut it.

    \b
    okimi journal truncate DIR --dry-run
    okimi journal truncate DIR --yes                        a torn tail: nobody knows of it
    okimi journal truncate DIR --yes --lose-acknowledged    damage: a last resort

    Exit code 0 when nothing need be cut, or when it was.
    """
    from tools.journal.opening import OpenJournal
    from tools.journal.truncating import cut_off, plan_cut, words

    if yes and dry_run:
        raise click.UsageError("--dry-run and --yes exclude each other")
    if yes:
        found = cut_off(folder, lose_acknowledged, stderr)
    else:
        with closing(OpenJournal(folder)) as opened:
            found = plan_cut(opened, stderr)
    if not as_json:
        for text in words(found):
            stdout.print(text, highlight=False, soft_wrap=True, markup=False)
    emit(found.report(), as_json)
    sys.exit(0 if found.done or not found.needed else 1)
