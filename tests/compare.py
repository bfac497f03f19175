"""Compare the engine with its naive twin on as many random commands as there is time for.

    python -m tests.compare --commands 10000000 --seed 1

All presets of `bulk_streams` take turns, in slices that each begin with an empty venue; a slice is
a function of its seed. A difference is shown with the few commands that lead to it. Progress goes
to stderr; the last line on stdout says how many commands were compared. Exit status 1: there is a
difference.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.bulk_streams import PRESETS, bulk
from tests.desk import Stream
from tests.engines import engine_for
from tests.reduction import as_text, is_filler, reduce
from tools.twin import Command, Event
from tools.twin.market import Market


class Slice(NamedTuple):
    """What one process compares at a time; the arguments of `bulk`."""

    seed: int
    preset: str
    length: int
    "Commands."

    @property
    def instruments(self) -> int:
        """Books of the slice's market."""
        return 1 + self.seed % 4


class Outcome(NamedTuple):
    """What came of a slice."""

    slice: Slice
    commands: int
    events: int
    difference: str
    "Empty: none."


def compare(part: Slice) -> Outcome:
    """Run one slice through both."""
    stream = bulk(part.seed, part.length, PRESETS[part.preset], part.instruments)
    difference = disagreement(stream.market, stream.commands, stream.events)
    if difference:
        difference += "\n" + shown(stream)
    return Outcome(part, len(stream.commands), len(stream.events), difference)


def disagreement(market: Market, commands: list[Command], expected: Sequence[Event]) -> str:
    """What the engine does otherwise than the twin, in words; empty: nothing."""
    with engine_for(market) as engine:
        try:
            found = engine.run(commands)
        except Exception as error:
            return f"the engine failed: {type(error).__name__}: {error}"
    return first_difference(found, expected)


def shown(stream: Stream) -> str:
    """The few commands that lead to a difference, one a line, and what it then is."""

    def difference(commands: list[Command]) -> str:
        try:
            expected = stream.market.venue().run(commands)
        except AssertionError:
            return ""  # the twin cannot follow: another question
        return disagreement(stream.market, commands, expected)

    few = reduce(stream, lambda commands: bool(difference(commands)))
    texts = [as_text(command) for command in few if not is_filler(command)]
    fillers = len(few) - len(texts)
    head = f"shortened to {len(texts)} commands and {fillers} that only use up order ids:"
    return "\n".join([head, *texts, difference(few)])


def first_difference(found: Sequence[Event], expected: Sequence[Event]) -> str:
    """Where two lists of events part, in words; empty when they are equal."""
    for mine, theirs in zip(found, expected, strict=False):
        if mine != theirs:
            differs = [name for name in mine._fields if getattr(mine, name) != _get(theirs, name)]
            return (
                f"command {theirs.dseq} ({', '.join(differs)})\n"
                f"  engine {as_text(mine)}\n  twin   {as_text(theirs)}"
            )
    if len(found) != len(expected):
        return f"the engine has {len(found)} events, the twin {len(expected)}"
    return ""


def _get(event: Event, name: str) -> object:
    return getattr(event, name, None)


def slices(commands: int, seed: int, presets: Sequence[str], size: int) -> Iterator[Slice]:
    """Slices with `commands` in all, presets in turn, seeds from `seed` on."""
    for number in range(-(-commands // size)):
        count = min(size, commands - number * size)
        yield Slice(seed + number, presets[number % len(presets)], count)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when all slices agree."""
    parser = argparse.ArgumentParser(prog="python -m tests.compare", description=__doc__)
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--preset", choices=PRESETS, action="append", help="default: all")
    parser.add_argument("--slice", type=int, default=20_000, help="commands of one venue")
    parser.add_argument("--keep-going", action="store_true", help="show a difference of each slice")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    given = parser.parse_args(arguments)
    parts = slices(given.commands, given.seed, given.preset or list(PRESETS), given.slice)
    commands = events = found = 0
    print("compiling the engine, if it is not yet", file=sys.stderr)
    compare(Slice(given.seed, "calm", 10))  # here, so that not every process does
    began = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        for done in pool.imap_unordered(compare, parts):
            if done.difference:
                found += 1
                print(
                    f"bulk({done.slice.seed}, {done.slice.length}, "
                    f"PRESETS[{done.slice.preset!r}], {done.slice.instruments}): "
                    f"{done.difference}\n",
                    flush=True,
                )
                if not given.keep_going:
                    return 1
                continue
            commands, events = commands + done.commands, events + done.events
            rate = commands / (time.monotonic() - began)
            print(
                f"\r{commands:,} of {given.commands:,} commands, {events:,} events, {rate:,.0f}/s",
                end="",
                file=sys.stderr,
                flush=True,
            )
    print(file=sys.stderr)
    print(f"{commands:,} commands and {events:,} events compared: {found or 'no'} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
