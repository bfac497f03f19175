"""The commands of `okimi journal`."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import orjson

from engine.limits import ACCOUNTS_MAX
from tools.terminal import emit, folder_argument, json_option, stderr, stdout


@click.group()
def journal() -> None:
    """Look into the journal of a venue: what was decided, and whether it is whole.

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
    """Show decisions, one a line; with --json an object a line, and a last one with their count.

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


def _show(report: dict[str, Any]) -> None:
    """The fields of a result, one a line; what is wrong comes last."""
    from tools.figures import size

    problem = report.pop("problem", None)
    for name, value in report.items():
        shown = size(value) if name.endswith("bytes") else value
        stdout.print(f"{name:<20} {shown}", highlight=False, markup=False)
    if problem:
        stdout.print(problem, style="red", highlight=False, soft_wrap=True, markup=False)


@journal.command()
@folder_argument
@click.option("--deep", is_flag=True, help="Derive everything again, and compare the snapshots.")
@json_option
def verify(folder: Path, deep: bool, as_json: bool) -> None:
    """Check every frame, their chain, and how the journal ends. Exit code 0 when it is whole.

    A torn tail, of a write that was cut off, is no damage: nobody was told of what is in it. With
    --deep risk must come to the same decisions again, and each snapshot on the way must be what is
    derived, byte for byte.
    """
    from tools.journal.opening import OpenJournal
    from tools.journal.verifying import verify as look

    with closing(OpenJournal(folder)) as opened:
        found = look(opened, stderr)
        report = found.report()
        if deep and found.ok:
            report |= {"deep": (derived := _replayed(opened, None, True))}
            report["ok"], report["problem"] = derived["ok"], derived["problem"]
    if not as_json:
        _show(dict(report))
    emit(report, as_json)
    sys.exit(0 if report["ok"] else 1)


def _replayed(opened: Any, until: int | None, check: bool) -> dict[str, Any]:
    """Follow a journal from as early as it reaches."""
    from tools.journal.rebuilding import Way, rebuild

    pursuit, found = rebuild(opened, Way(until, from_scratch=True, check_snapshots=check), stderr)
    if pursuit is not None:
        pursuit.free()
    return found.report()


until_option = click.option("--until", type=click.IntRange(0), help="Last decision. [all]")


@journal.command("replay")
@folder_argument
@until_option
@json_option
def replay_command(folder: Path, until: int | None, as_json: bool) -> None:
    """Do everything again from the beginning, and say how fast, and what state it comes to.

    Exit code 0 when risk came to the same decisions, byte for byte.
    """
    from tools.journal.opening import OpenJournal

    with closing(OpenJournal(folder)) as opened:
        report = _replayed(opened, until, check=False)
    if not as_json:
        _show(dict(report))
    emit(report, as_json)
    sys.exit(0 if report["ok"] else 1)


@journal.command("hash")
@folder_argument
@until_option
@click.option("--blocks", is_flag=True, help="A hash of each block of state, too.")
@json_option
def hash_command(folder: Path, until: int | None, blocks: bool, as_json: bool) -> None:
    """Tell the hash of the state, by way of the nearest snapshot.

    It is the hash over all events of matching, which `okimi status` shows of a running venue.
    """
    from tools.journal.opening import OpenJournal
    from tools.journal.rebuilding import Way, digests, rebuild

    with closing(OpenJournal(folder)) as opened:
        pursuit, found = rebuild(opened, Way(until), stderr)
        report = found.report()
        if pursuit is not None:
            if blocks:
                report["blocks"] = digests(pursuit)
            pursuit.free()
    if not as_json:
        _show(dict(report))
    emit(report, as_json)
    sys.exit(0 if found.ok else 1)


@journal.command("export")
@folder_argument
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--what",
    type=click.Choice(["decisions", "events", "trades"]),
    default="decisions",
    show_default=True,
)
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), help="[by the file name]")
@click.option("--from", "first", type=click.IntRange(1), default=1, help="First dseq or eseq.")
@click.option("--to", "last", type=click.IntRange(1), help="Last dseq or eseq.")
@click.option("--shard", type=click.IntRange(0), default=0, help="Of events and trades.")
@json_option
def export_command(
    folder: Path, target: Path, form: str | None, as_json: bool, **wanted: Any
) -> None:
    """Write decisions, events or trades to a file, with decimals beside the raw integers.

    \b
    okimi journal export DIR decisions.parquet
    okimi journal export DIR trades.csv --what trades
    """
    from tools.journal.exporting import Order, export
    from tools.journal.opening import OpenJournal

    form = form or target.suffix.removeprefix(".")
    if form not in ("csv", "parquet"):
        raise click.UsageError(f"--format is needed: {target.name} ends neither .csv nor .parquet")
    with closing(OpenJournal(folder)) as opened:
        found = export(opened, Order(target=target, form=form, **wanted), stderr)
    if not as_json:
        stdout.print(f"{found.rows} {wanted['what']} in {target}", highlight=False, soft_wrap=True)
    emit({"rows": found.rows, "bytes": found.bytes, "file": str(target)}, as_json)


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
    """Say what would be lost if the journal were cut where it is no longer whole, or cut it.

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
