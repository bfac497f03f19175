"""`okimi bench book`: matching alone, in process and through rings, beside other engines.

In process: decisions are copied into a ring, matched, and every event is read, by one process.
Through rings: one process feeds decisions and reads events, another one matches, each on its own
core. Passes of ours and of the peers alternate; the first round of each is not counted.
"""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from engine.topology import usable_cores
from ipc import memory
from ipc.record import LINE_PAIR_BYTES, Record
from ipc.segment import populate
from ipc.wait import Word
from tools.bench import peers
from tools.bench.errors import BenchFailed
from tools.bench.plain_book import Message
from tools.bench.ring.placement import host_facts
from tools.bench.series import Series
from tools.bench.stand import Stand, feed_and_read, match_until, pump
from tools.bench.tables import book_table
from tools.bench.undisturbed import permitted, take_core, undisturbed
from tools.bench.workloads import SCENARIOS, SYMBOLS100, make_stream, read_stream
from tools.run import progress_bar

RUN_NS_MAX: Final = 20_000_000_000
"""A pass through rings that takes longer is broken off and reported as failed."""

START_SECONDS_MAX: Final = 10.0

PEER_SCENARIO: Final = "normal"
"""What peers are measured on: one book, moderate depth, the mix of the challenge."""

PEER_SECONDS: Final = 0.5
"""A pass of a peer takes the messages that it executes in about this time."""

render: Final = book_table

NOT_INCLUDED: Final = (
    "ingest, risk, journal and gateways: matching only",
    "making the messages: they lie in memory",
    "waiting: both processes spin",
)

Make = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Pass:
    """One stream, once through an empty book."""

    msgs_per_s: float
    events: int
    trades: int
    checksum: int


def streams(data: Path | None, messages_max: int | None) -> list[tuple[str, Make]]:
    """The scenarios by name: the challenge's files in `data`, or generated ones."""
    if data is None:
        return [(each.name, _maker(each, messages_max)) for each in SCENARIOS]
    files = sorted(data.glob("*.cols.xz"))
    if not files:
        raise BenchFailed(f"{data} holds no *.cols.xz files")
    return [(_scenario_of(path), _reader(path, messages_max)) for path in files]


def _scenario_of(path: Path) -> str:
    return path.name.partition(".")[0].rpartition("_")[0]


def _reader(path: Path, messages_max: int | None) -> Make:
    return lambda: read_stream(path)[:messages_max]


def _maker(scenario: Any, messages_max: int | None) -> Make:
    messages = min(scenario.messages, messages_max or scenario.messages)
    return lambda: make_stream(replace(scenario, messages=messages))


# --- one pass ----------------------------------------------------------------------------------


def in_process(decisions: memory.Region, count: int) -> Pass:
    """The first `count` decisions in this process."""
    stand: Stand = Stand.make()
    pump(stand, decisions.start, 0)
    with undisturbed(usable_cores()[-1]):
        began = time.perf_counter()
        events = pump(stand, decisions.start, count)
        seconds = time.perf_counter() - began
    return _finished(stand, count / seconds, events)


class Signals(Record, align=LINE_PAIR_BYTES):
    """What the two processes of a pass tell each other."""

    ready: Word
    stop: Word


def through_rings(decisions: memory.Region, count: int, expected: int, cores: list[int]) -> Pass:
    """All decisions, with matching in a process of its own."""
    stand: Stand = Stand.make()
    signals = Signals(memory.allocate_shared(Signals.size, "bench.signals").start)
    match_until(stand, signals.stop, 0)
    feed_and_read(stand, decisions.start, 0, 0, 0)
    pid = os.fork()
    if pid == 0:
        try:
            _match(stand, signals, cores[-1])
        finally:
            os._exit(0)
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while signals.ready.value == 0:
            if time.monotonic() > deadline:
                raise BenchFailed("the process that matches did not start")
            time.sleep(0.001)
        with undisturbed(cores[0]):
            began = time.perf_counter()
            events = feed_and_read(stand, decisions.start, count, expected, RUN_NS_MAX)
            seconds = time.perf_counter() - began
    finally:
        signals.stop.value = 1
        os.waitpid(pid, 0)
        memory.forget(memory.find(signals.address, 1))
    return _finished(stand, count / seconds, events)


def _match(stand: Stand, signals: Signals, core: int) -> None:
    """The matching process: its memory is in place before it says that it is ready."""
    for part in (stand.state, stand.decisions, stand.events):
        populate(memory.find(part.address, 1))
    take_core(core)
    signals.ready.value = 1
    match_until(stand, signals.stop, RUN_NS_MAX)


def _finished(stand: Stand, msgs_per_s: float, events: int) -> Pass:
    """The pass's result; gives the stand's memory back."""
    done = Pass(msgs_per_s, events, stand.state.books.match_id, stand.checksum)
    statistics_of = stand.ports.telemetry.statistics
    for part in (stand.state, stand.decisions, stand.events, statistics_of):
        memory.forget(memory.find(part.address, 1))
    return done


def must_equal(name: str, found: Pass, expected: Pass) -> None:
    """Raises BenchFailed unless two passes over one stream made the same events."""
    for what in ("events", "trades", "checksum"):
        if getattr(found, what) != getattr(expected, what):
            raise BenchFailed(
                f"{name}: {what} {getattr(found, what)}, but the first pass in process found "
                f"{getattr(expected, what)}: some events are lost or wrong"
            )


# --- all passes of a stream --------------------------------------------------------------------


@dataclass
class Contest:
    """A peer and ours on the same first messages."""

    peer: peers.Peer
    messages: int
    theirs: Series = field(default_factory=Series)
    ours: Series = field(default_factory=Series)
    agrees: bool = True
    trades: int = 0

    def run(self, decisions: memory.Region, messages: list[Message], counts: bool) -> None:
        """One pass of each."""
        rate, self.trades = peers.measure(self.peer, messages[: self.messages])
        own = in_process(decisions, self.messages)
        self.agrees &= own.trades == self.trades
        if counts:
            self.theirs.rates.append(rate)
            self.ours.rates.append(own.msgs_per_s)

    def report(self) -> dict[str, Any]:
        """What to say of the peer."""
        ratios = [a / b for a, b in zip(self.ours.rates, self.theirs.rates, strict=True)]
        return {
            "about": self.peer.about,
            "messages": self.messages,
            "trades": self.trades,
            "agrees": self.agrees,
            **self.theirs.report("msgs_per_s"),
            **self.ours.report("ours_msgs_per_s"),
            "ours_ratio": round(statistics.median(ratios), 1),
        }


def measure_stream(
    name: str,
    stream: Any,
    repeats: int,
    cores: list[int],
    each_round: Callable[[memory.Region, bool], None] | None = None,
) -> dict[str, Any]:
    """Passes over one stream, in process and (with two cores) through rings.

    `each_round(decisions, counts)` is called once in every round.
    """
    decisions = memory.allocate(stream.nbytes, "bench.decisions")
    decisions.view[:] = stream.tobytes()
    own, ring = Series(), Series()
    first: Pass | None = None
    for number in range(repeats + 1):  # the first one warms up
        done = in_process(decisions, len(stream))
        first = first or done
        must_equal(name, done, first)
        if number:
            own.rates.append(done.msgs_per_s)
        if len(cores) > 1:
            done = through_rings(decisions, len(stream), first.events, cores)
            must_equal(f"{name} through rings", done, first)
            if number:
                ring.rates.append(done.msgs_per_s)
        if each_round is not None:
            each_round(decisions, number > 0)
    memory.forget(decisions)
    assert first is not None
    return {
        **own.report("in_process_msgs_per_s"),
        **ring.report("ring_msgs_per_s"),
        "messages": len(stream),
        "events": first.events,
        "trades": first.trades,
        "checksum": first.checksum,
    }


def measure_with_peers(
    name: str, stream: Any, repeats: int, cores: list[int], peer_seconds: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same with a pass of each peer in every round; returns both results."""
    messages = peers.messages_of(stream)
    found, absent = peers.available()
    contests = [Contest(peer, peers.count_within(peer, messages, peer_seconds)) for peer in found]

    def each_round(decisions: memory.Region, counts: bool) -> None:
        for contest in contests:
            contest.run(decisions, messages, counts)

    ours = measure_stream(name, stream, repeats, cores, each_round)
    reports = {contest.peer.name: contest.report() for contest in contests}
    return ours, {
        "peers": {name: report["msgs_per_s"] for name, report in reports.items()},
        "peer_details": reports,
        "peers_absent": absent,
        "peer_scenario": name,
    }


def run(
    console: Console,
    repeats: int,
    data: Path | None = None,
    messages_max: int | None = None,
    peer_seconds: float = PEER_SECONDS,
) -> dict[str, Any]:
    """Measure everything; the result has the fields of `okimi bench book --json`."""
    cores = usable_cores()
    made = streams(data, messages_max)
    names = [name for name, _ in made]
    peer_scenario = PEER_SCENARIO if PEER_SCENARIO in names else names[0]
    scenarios: dict[str, dict[str, Any]] = {}
    against: dict[str, Any] = {}
    progress = progress_bar(console)
    progress.live.auto_refresh = False  # no thread, because passes fork
    with progress:
        task = progress.add_task("books", total=len(made) + 1)
        for name, make in made:
            progress.update(task, description=f"books: {name}", refresh=True)
            stream = make()
            if name == peer_scenario:
                scenarios[name], against = measure_with_peers(
                    name, stream, repeats, cores, peer_seconds
                )
            else:
                scenarios[name] = measure_stream(name, stream, repeats, cores)
            progress.advance(task)
        progress.update(task, description="books: 100 symbols", refresh=True)
        many = measure_stream("symbols100", _maker(SYMBOLS100, messages_max)(), repeats, cores[:1])
        progress.advance(task)
    ordered = sorted(scenarios, key=lambda name: scenarios[name]["in_process_msgs_per_s"])
    rings = [scenarios[name]["ring_msgs_per_s"] for name in ordered]
    return {
        "scenarios": {name: scenarios[name] for name in ordered},
        "worst_in_process_msgs_per_s": scenarios[ordered[0]]["in_process_msgs_per_s"],
        "worst_ring_msgs_per_s": min(rings) if None not in rings else None,
        "symbols100_cmds_per_s": many["in_process_msgs_per_s"],
        "symbols100": many,
        **against,
        "workload": "generated" if data is None else "challenge files",
        "repeats": repeats,
        "realtime": permitted(cores[-1]),
        "reason": None if len(cores) > 1 else "through rings needs two cores, one can be used",
        "not_included": list(NOT_INCLUDED),
        "host": host_facts(tuple(dict.fromkeys((cores[0], cores[-1])))),
    }
