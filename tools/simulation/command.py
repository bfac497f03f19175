"""`okimi simulate`: run seeds, count what failed, and say how to see it again."""

import sys
from typing import Any

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from tools.terminal import emit, json_option, stderr, stdout

SEEDS_MAX = 10**9
"""More than a processor runs in a year."""

LOGGED_EVERY = 1_000
"""Seeds from one line of progress to the next, where it goes to a file."""


@click.command()
@click.option("--seeds", type=click.IntRange(1, SEEDS_MAX), default=100, show_default=True)
@click.option(
    "--from", "first", type=click.IntRange(0), default=1, show_default=True, help="First seed."
)
@click.option(
    "--commands",
    type=click.IntRange(10, 100_000),
    default=200,
    show_default=True,
    help="Commands of clients in each seed.",
)
@click.option(
    "--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes."
)
@json_option
def simulate(seeds: int, first: int, commands: int, jobs: int, as_json: bool) -> None:
    """Let whole venues suffer every fault in one process, and see that nothing is lost.

    Stages, journal, recovery and rings are the real ones; clock, disk, scheduler and clients follow
    from the seed. Exit code 0 when no seed has violated anything.

    \b
    okimi simulate --seeds 2000 --jobs 2
    okimi simulate --seeds 1 --from 4711          one seed again
    """
    from tools.simulation import seeds as running

    version = running.commit()
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeRemainingColumn(), console=stderr
    ) as progress:
        task = progress.add_task("compiling what is not compiled yet", total=seeds)

        def heard(outcome: running.Outcome, campaign: running.Campaign) -> None:
            text = (
                f"{campaign.seeds:,} of {seeds:,} seeds, {campaign.seeds_per_hour:,.0f} an hour, "
                f"{len(campaign.failures)} failed"
            )
            progress.update(task, advance=1, description=text)
            if not stderr.is_terminal and campaign.seeds % LOGGED_EVERY == 0:
                progress.console.print(text, highlight=False)
            if outcome.problem:
                progress.console.print(
                    f"seed {outcome.seed}, commit {version or 'unknown'}: {outcome.problem}\n"
                    f"again: okimi simulate --seeds 1 --from {outcome.seed} --commands {commands}",
                    style="red",
                    highlight=False,
                    soft_wrap=True,
                    markup=False,
                )
                if seeds == 1:
                    progress.console.print(outcome.detail, highlight=False, markup=False)

        campaign = running.run_campaign(first, seeds, commands, jobs, heard)
    result: dict[str, Any] = {
        "seeds": campaign.seeds,
        "failures": [each.seed for each in campaign.failures],
        "problems": {str(each.seed): each.problem for each in campaign.failures},
        "seeds_per_hour": round(campaign.seeds_per_hour),
        "seeds_per_core_hour": round(campaign.seeds_per_core_hour),
        "faults": dict(sorted(campaign.faults.items())),
        "decisions": campaign.commands,
        "first": first,
        "commands": commands,
        "jobs": jobs,
        "seconds": round(campaign.seconds, 3),
        "commit": version,
    }
    if not as_json:
        stdout.print(render(result))
    emit(result, as_json)
    sys.exit(1 if campaign.failures else 0)


def render(result: dict[str, Any]) -> Table:
    """The result for people."""
    table = Table(title=f"{result['seeds']:,} seeds, {len(result['failures'])} failed")
    table.add_column("fault")
    table.add_column("times", justify="right")
    for kind, count in result["faults"].items():
        table.add_row(kind.replace("_", " "), f"{count:,}")
    table.add_section()
    table.add_row("decisions", f"{result['decisions']:,}")
    table.add_row("seeds an hour", f"{result['seeds_per_hour']:,}")
    table.add_row("seeds an hour of a core", f"{result['seeds_per_core_hour']:,}")
    return table
