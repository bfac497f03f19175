"""`okimi demo`: the bundled recording of an exchange through a whole venue, then serve it."""

from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from engine.topology import DRIVER, GATEWAY
from tools.data import KRAKEN
from tools.replay import kraken
from tools.replaying import Replay, replay_config
from tools.run import facts_of, running_venue, send_plan
from tools.supervisor import StopRequest
from tools.up import report

stdout = Console()
stderr = Console(stderr=True)


def run_demo(
    *, leave: bool, http: str | None, name: str | None, layout: str | None, as_json: bool
) -> int:
    """Replay, verify, print, and serve unless `leave`; exit code 0 when all checksums held."""
    with stderr.status("reading the recording"):
        plan = kraken.read(KRAKEN)
    address = http or ("127.0.0.1:0" if leave else "127.0.0.1:8080")
    config = replay_config(plan, name or "demo", layout, gateway={"http": address})
    stop_asked = StopRequest()
    with running_venue(config, (GATEWAY, DRIVER), stderr, stop_asked) as supervisor:
        outcome = send_plan(supervisor, plan, stderr)
        facts = facts_of(supervisor, outcome)
        with stderr.status("checking every book against the exchange's checksum"):
            result = kraken.verify(plan, outcome.events)
        replay = Replay(plan, outcome, facts, result)
        show(replay)
        if as_json:
            print(orjson.dumps(replay.report()).decode(), flush=True)
        if not leave:
            http_bound = supervisor.venue.counters.http.get()
            stdout.print(f"serving http://{http_bound} until Ctrl-C", highlight=False)
            supervisor.serve(stop_asked, report)
    return 0 if result.ok else 1


def show(replay: Replay) -> None:
    """Print what happened for people."""
    facts, result = replay.facts, replay.result
    assert isinstance(result, kraken.KrakenResult)
    processes = Table("process", "pid", "core", "stages", title=f"layout {facts.layout}")
    for process in facts.processes:
        row: list[Any] = [process["name"], process["pid"], process["cpu"]]
        processes.add_row(*map(str, row), " + ".join(process["stages"]))
    stdout.print(processes)
    stages = Table("hop", "messages", "p50 us", "p99 us", "p99.9 us", "max us")
    for name, numbers in facts.stages.items():
        times = [f"{numbers[key] / 1000:.1f}" for key in ("p50", "p99", "p999", "max")]
        stages.add_row(name, f"{numbers['count']:,}", *times)
    stdout.print(stages)
    for line in result.lines:
        stdout.print(line, highlight=False, soft_wrap=True)
    rate = replay.outcome.commands / replay.outcome.seconds
    stdout.print(
        f"{replay.outcome.commands:,} commands, {replay.outcome.event_count:,} events, "
        f"{result.trades:,} trades in {replay.outcome.seconds * 1000:.1f} ms "
        f"({rate:,.0f} commands/s)",
        highlight=False,
    )
    wrong = result.updates - result.checksums_ok
    stdout.print(
        f"{result.updates:,} books checked against the exchange's CRC32: "
        f"{result.checksums_ok:,} right, {wrong:,} wrong",
        style="green" if wrong == 0 else "red",
        highlight=False,
    )
