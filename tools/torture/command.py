"""`okimi torture` as a command."""

import sys

import click

from tools.terminal import emit, json_option, layout_option, stderr, stdout


@click.command()
@click.option("--minutes", type=click.FloatRange(0.05), default=1.0, show_default=True)
@click.option("--kills", type=click.IntRange(1), help="End after so many deaths, too.")
@click.option("--seed", type=click.IntRange(0), help="Order of the kills. [random]")
@layout_option
@json_option
def torture(
    minutes: float, kills: int | None, seed: int | None, layout: str | None, as_json: bool
) -> None:
    """Kill processes of a durable venue under load, again and again; it must lose nothing.

    Clients trade over HTTP and keep their own record of what they were told. Random processes, the
    supervisor too, are killed or stopped. The record is compared with the journal, done again from
    its first decision, and with what the venue says. Exit code 0 when nothing was lost or changed.

    \b
    okimi torture --minutes 1
    okimi torture --minutes 30 --layout spread --json
    """
    from tools.torture.report import render
    from tools.torture.rounds import run

    result = run(stderr, minutes, kills, layout, seed)
    if not as_json:
        stdout.print(render(result))
    emit(result, as_json)
    sys.exit(0 if result["ok"] else 1)
