"""`okimi events`: what a venue has told, from any event on."""

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from tools.terminal import emit, folder_argument, json_option, stderr, stdout

if TYPE_CHECKING:  # this compiles: only who reads events waits for that
    from engine.durability.eventlog import EventLog
    from tools.journal.opening import OpenJournal


@click.command()
@folder_argument
@click.option("--from", "first", type=click.IntRange(1), default=1, help="First event sequence.")
@click.option("--to", "last", type=click.IntRange(1), help="Last event sequence.")
@click.option("--shard", type=click.IntRange(0), default=0, help="Whose events.")
@click.option("--kind", "kinds", multiple=True, help="trade, canceled, ...; several are allowed.")
@click.option(
    "--follow",
    is_flag=True,
    help="Go on as events become durable; until Ctrl-C, or the venue ends.",
)
@click.option("--rebuild", is_flag=True, help="Only make the event files of all shards again.")
@json_option
def events(folder: Path, rebuild: bool, as_json: bool, **wanted: Any) -> None:
    """Show events of a venue, one a line; with --json an object a line, then their count.

    They come from the folder's event files, or are derived again from a snapshot and the journal.

    \b
    okimi events DIR --from 1000 --to 2000 --kind trade
    okimi events DIR --from 1 --follow --json
    """
    from engine.durability.eventlog import EventLog
    from tools.journal.opening import OpenJournal

    with (
        closing(OpenJournal(folder)) as opened,
        closing(EventLog(folder, opened.durable_now)) as log,
    ):
        if wanted["shard"] >= log.shards:
            raise click.UsageError(f"--shard: the venue has {log.shards}, counted from 0")
        result = _rebuild(log) if rebuild else _show(opened, log, as_json, **wanted)
    emit(result, as_json)
    sys.exit(0)


def _rebuild(log: "EventLog") -> dict[str, Any]:
    with stderr.status("deriving all events") as status:
        counts = log.rebuild(lambda dseq: status.update(f"deriving all events: decision {dseq}"))
    stdout.print(f"{sum(counts)} events", highlight=False)
    return {"events": sum(counts), "shards": counts}


def _show(
    opened: "OpenJournal", log: "EventLog", as_json: bool, follow: bool, **wanted: Any
) -> dict[str, Any]:
    from engine.durability.datadir import is_locked
    from tools.journal.decisions import line
    from tools.journal.errors import JournalToolError
    from tools.journal.events import describe_event, event_kinds_named
    from tools.journal.exporting import learn_all

    kinds, shard, first = event_kinds_named(wanted["kinds"]), wanted["shard"], wanted["first"]
    if follow and opened.durable is None:
        raise JournalToolError("no venue runs on that folder: there is nothing to follow")
    names, shown, has_learned = opened.names(), 0, False
    if opened.names_error:
        stderr.print(f"numbers are shown without names: {opened.names_error}", soft_wrap=True)
    if follow:
        found = log.follow(shard, first, lambda: is_locked(opened.path))
    else:
        found = log.read(shard, first, wanted["last"])
    try:
        for event in found:
            if kinds and event.kind not in kinds:
                continue
            if not has_learned and names.steps(event.instrument) is None and names.assets:
                learn_all(opened, names, stderr)  # it was listed on the way
                has_learned = True
            document = describe_event(event, names)
            click.echo(orjson.dumps(document) if as_json else line(document, "eseq"))
            shown += 1
    except KeyboardInterrupt:
        pass  # the way to end --follow
    return {"events": shown}
