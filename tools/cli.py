"""The command line of okimi. Names, options and --json fields are an interface: see docs/cli.md.

Progress and messages go to standard error; results to standard output; with --json the last line
of standard output is one JSON object. The exit code is 0 only when what was asked for holds.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from engine.config import DEFAULT_PATH, Config, ConfigError, load
from engine.limits import ACCOUNTS_MAX
from engine.topology import TopologyError
from ipc.errors import IpcError
from tools.journal.commands import journal
from tools.journal.event_commands import events
from tools.simulation.command import simulate
from tools.snapshots import snapshot
from tools.terminal import emit, json_option, layout_option, name_option, stderr, stdout
from tools.torture.command import torture


def configured(path: Path | None, overrides: dict[str, Any]) -> Config:
    """The configuration of a command: the file, or the shipped one, with options on top."""
    given = {key: value for key, value in overrides.items() if value is not None}
    return load(path or DEFAULT_PATH, given)


class Okimi(click.Group):
    """The group of commands; errors that a user can mend are one line, not a traceback."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command."""
        from engine.durability.errors import DurabilityError
        from tools.account import AccountNotFound
        from tools.bench.errors import BenchFailed
        from tools.journal.errors import JournalToolError
        from tools.promoting import PromoteRefused
        from tools.replay.errors import ReplayError
        from tools.run import VenueDied
        from tools.status import VenueNotFound
        from tools.supervisor import StartFailed, StartInterrupted

        expected = (ConfigError, TopologyError, IpcError, DurabilityError, VenueDied)
        started = (StartFailed, StartInterrupted, PromoteRefused)
        asked = (ReplayError, JournalToolError, VenueNotFound, AccountNotFound, BenchFailed)
        try:
            return super().invoke(context)
        except (*expected, *started, *asked) as error:
            stderr.print(f"okimi: {error}", style="red", highlight=False, soft_wrap=True)
            sys.exit(1)


@click.group(cls=Okimi, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="okimi")
def main() -> None:
    """Run, watch, replay and measure a trading venue.

    \b
    okimi demo                       replay real market data, verify, then serve
    okimi up                         start a venue from okimi.toml
    okimi status                     what is running, how fast, how full
    """


def _print_lines(lines: Any) -> None:
    for line in lines:
        stdout.print(line, highlight=False, soft_wrap=True)


@main.command()
@click.option("--exit", "leave", is_flag=True, help="End after the result instead of serving.")
@click.option("--http", help="Where to serve afterwards. [127.0.0.1:8080]")
@name_option
@layout_option
@json_option
def demo(
    leave: bool, http: str | None, name: str | None, layout: str | None, as_json: bool
) -> None:
    """Replay a real exchange's order books and check every one against its own checksum.

    \b
    okimi demo                       and then serve HTTP until Ctrl-C
    okimi demo --exit --json         for scripts: exit code 0 when all checksums are right
    """
    from tools.demo import run_demo

    sys.exit(run_demo(leave=leave, http=http, name=name, layout=layout, as_json=as_json))


@main.command()
@click.option("--config", "path", type=click.Path(path_type=Path), help="[the shipped okimi.toml]")
@click.option("--http", help="HOST:PORT to serve on.")
@click.option("--data-dir", help="Folder of journal and snapshots. [in ~/.local/state/okimi]")
@click.option("--durability", type=click.Choice(["durable", "memory"]), help="What survives.")
@click.option("--standby", is_flag=True, help="Follow the venue; serve when it has ended.")
@name_option
@layout_option
def up(standby: bool, path: Path | None, **options: str | None) -> None:
    """Start a venue and serve until Ctrl-C or `okimi down`.

    A durable venue goes on where the one before it on the same data ended, however that was.

    \b
    okimi up
    okimi up --durability memory
    okimi up --standby
    okimi up --data-dir /var/lib/okimi
    okimi up --name second --http 127.0.0.1:8081
    okimi up --config my.toml --layout spread
    """
    from tools.up import run_standby, run_up

    config = configured(path, _overrides(**options))
    if standby and config.venue.durability != "durable":
        raise click.UsageError('--standby needs venue.durability = "durable"')
    sys.exit(run_standby(config) if standby else run_up(config))


def _overrides(
    http: str | None,
    data_dir: str | None,
    name: str | None,
    layout: str | None,
    durability: str | None = "durable",
) -> dict[str, str | None]:
    """What options say instead of the configuration."""
    return {
        "venue.name": name,
        "venue.layout": layout,
        "venue.durability": durability,
        "durability.data_dir": data_dir,
        "gateway.http": http,
    }


@main.command()
@click.option("--config", "path", type=click.Path(path_type=Path), help="[the shipped okimi.toml]")
@click.option("--http", help="HOST:PORT to serve on, if there is no standby.")
@click.option("--data-dir", help="Folder of journal and snapshots. [in ~/.local/state/okimi]")
@click.option("--force", is_flag=True, help="Also when the venue serves.")
@name_option
@layout_option
@json_option
def promote(force: bool, as_json: bool, path: Path | None, **options: str | None) -> None:
    """End what is left of a durable venue that hangs or is stopped, and have its place taken.

    Its supervisor is killed, and with it all its processes; nothing else happens before the last of
    them is gone. Then its standby serves (`okimi up --standby`), or, if there is none, this process
    does as `okimi up` would.

    \b
    okimi promote
    okimi promote --name second --force
    """
    from engine.durability.committing import data_dir_of
    from tools.promoting import run_promote
    from tools.up import run_up

    config = configured(path, _overrides(**options))
    done = run_promote(data_dir_of(config), config.venue.name, force=force)
    if not as_json:
        killed = ", ".join(map(str, done["killed"])) or "nothing"
        stderr.print(f"killed {killed} in {done['fence_seconds']} s", highlight=False)
    if done["http"] is not None:
        print(f"ready http={done['http']}", flush=True)
        emit(done, as_json)
        return
    emit(done, as_json)
    sys.exit(run_up(config))


@main.command()
@click.option("--name", help="Name of the venue.", default="okimi", show_default=True)
@json_option
def down(name: str, as_json: bool) -> None:
    """End a venue: every process, every segment."""
    from tools.up import run_down

    stopped = run_down(name)
    if not as_json:
        stdout.print(f"venue {name} has ended" if stopped else f"no venue {name} was running")
    emit({"stopped": stopped, "name": name}, as_json)


@main.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@json_option
def clean(dry_run: bool, as_json: bool) -> None:
    """Remove segments whose owner is dead; never those of a running venue."""
    from tools import clean as cleaning

    removed = cleaning.clean(dry_run=dry_run)
    if not as_json:
        verb = "would remove" if dry_run else "removed"
        _print_lines([f"{verb} {segment}" for segment in removed] or ["nothing stale"])
    emit({"removed": removed}, as_json)


@main.command()
@click.option("--name", help="Name of the venue.", default="okimi", show_default=True)
@json_option
def status(name: str, as_json: bool) -> None:
    """Show what runs, how busy it is and how full its rings are. Exit code 0 when ready."""
    from tools import status as watching

    found = watching.collect(name)
    if not as_json:
        stdout.print(watching.render(found))
    emit(found, as_json)
    sys.exit(0 if found["ready"] else 1)


@main.command()
@click.argument("number", type=click.IntRange(0, ACCOUNTS_MAX - 1))
@click.option("--name", help="Name of the venue.", default="okimi", show_default=True)
@json_option
def account(number: int, name: str, as_json: bool) -> None:
    """Show what an account has and which limits it has, without asking the gateway.

    \b
    okimi account 1
    okimi account 1 --json
    """
    from tools import account as looking

    found = looking.collect(name, number)
    if not as_json:
        stdout.print(looking.render(found))
    emit(found, as_json)


@main.command()
@click.option("--name", help="Name of the venue.", default="okimi", show_default=True)
@click.option("--interval", type=click.FloatRange(0.25, 60), default=1.0, show_default=True)
def top(name: str, interval: float) -> None:
    """Watch a running venue. q quits."""
    from tools import top as board

    board.watch(name, interval, stdout)


@main.command()
@click.option("--name", help="Name of a venue to look at, too.", default=None)
@json_option
def doctor(name: str | None, as_json: bool) -> None:
    """Examine this machine: cores, isolation, limits, shared memory, clock."""
    from dataclasses import asdict

    from tools import doctor as examining

    checks = examining.examine(name)
    failed = sum(check.severity == "fail" for check in checks)
    if not as_json:
        stdout.print(examining.render(checks))
    emit({"checks": [asdict(check) for check in checks], "failed": failed}, as_json)
    sys.exit(1 if failed else 0)


@main.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(["kraken", "mbo", "meb", "journal"]), required=True
)
@click.option("--verify", is_flag=True, help="Check the events against the file's own oracle.")
@click.option("--rate", type=click.FloatRange(0), default=0.0, help="Commands/s; 0: full speed.")
@click.option("--until", type=click.IntRange(0), help="journal: the last decision. [all]")
@click.option("--symbol", "symbols", multiple=True, help="journal: show only these books.")
@click.option("--account", "accounts", type=int, multiple=True, help="journal: only these.")
@click.option("--depth", type=click.IntRange(0), default=10, help="journal: levels of a side.")
@layout_option
@json_option
def replay(
    file: Path, form: str, verify: bool, layout: str | None, as_json: bool, **more: Any
) -> None:
    """Send a recording through a venue of its own and check what comes out.

    With --format journal FILE is the data folder of a venue: shows books and balances as they were
    after the decision --until. --verify: derived from the very beginning, snapshots compared.

    \b
    okimi replay capture.ws --format kraken --verify
    okimi replay session.mbo.dbn.zst --format mbo --verify --json
    okimi replay ~/.local/state/okimi/okimi --format journal --until 250000 --symbol BTC-USD
    """
    from tools.replaying import run_replay

    rate = more.pop("rate")
    if form == "journal":
        from tools.journal.past import Question, show_past

        sys.exit(show_past(file, Question(verify=verify, **more), as_json))
    if not file.is_file():
        raise click.UsageError(f"{file} is no file; only --format journal reads a folder")
    sys.exit(run_replay(file, form, verify=verify, rate=rate, layout=layout, as_json=as_json))


main.add_command(journal)
main.add_command(events)
main.add_command(simulate)
main.add_command(snapshot)
main.add_command(torture)


@main.group()
def bench() -> None:
    """Measure on this machine, beside a peer or a reference in the same run."""


def _bench(run: Callable[[], tuple[dict[str, Any], Any]], as_json: bool) -> None:
    result, shown = run()
    if not as_json:
        stdout.print(shown)
    emit(result, as_json)


@bench.command("ring")
@json_option
def bench_ring(as_json: bool) -> None:
    """Throughput and round trips of rings between two processes, and of what PyPI offers."""
    from tools.bench import ring
    from tools.run import progress_bar

    with progress_bar(stderr) as progress:
        task = progress.add_task("rings", total=1.0)
        result = ring.run(
            lambda text, share: progress.update(task, description=text, completed=share)
        )
    _bench(lambda: (result, ring.render(result)), as_json)


@bench.command("book")
@click.option("--repeats", type=click.IntRange(1, 50), default=5, show_default=True)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with the challenge's files (*.cols.xz). [generated workloads]",
)
@click.option("--messages", type=click.IntRange(1000), help="At most so many a scenario. [all]")
@json_option
def bench_book(repeats: int, data: Path | None, messages: int | None, as_json: bool) -> None:
    """Matching alone: messages per second in process and through rings, worst scenario first."""
    from tools.bench import book

    result = book.run(stderr, repeats, data, messages)
    _bench(lambda: (result, book.render(result)), as_json)


@bench.command("risk")
@click.option("--repeats", type=click.IntRange(1, 50), default=7, show_default=True)
@json_option
def bench_risk(repeats: int, as_json: bool) -> None:
    """What risk costs an order, alone and in the whole engine, with all checks on and none."""
    from tools.bench import risk

    result = risk.run(stderr, repeats)
    _bench(lambda: (result, risk.render(result)), as_json)


@bench.command("engine")
@click.option("--repeats", type=click.IntRange(1, 50), default=3, show_default=True)
@layout_option
@json_option
def bench_engine(repeats: int, layout: str | None, as_json: bool) -> None:
    """Ingest, risk and matching through real processes: throughput, and latency by rate."""
    from tools.bench import engine

    result = engine.run(stderr, repeats, layout)
    _bench(lambda: (result, engine.render(result)), as_json)


@bench.command("durability")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="On the disk to be measured. [where temporary files are]",
)
@layout_option
@json_option
def bench_durability(folder: Path | None, layout: str | None, as_json: bool) -> None:
    """What it costs to lose nothing: durable answers by rate, replay, starts, snapshots, pauses."""
    from tools.bench import durability

    result = durability.run(stderr, layout, folder)
    _bench(lambda: (result, durability.render(result)), as_json)


if __name__ == "__main__":
    main()
