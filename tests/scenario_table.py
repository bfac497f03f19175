"""Reads scenario tables (`tests/scenarios/*.md`) and plays them through a venue.

A table is Markdown: a first heading names the feature, each second heading is a rule, and the
indented lines below it show the rule: commands, and after `->` all events that answer them. Other
lines are for the reader. `scenario_commands` and `scenario_events` know the words.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engine.messages import CommandFlag, CommandKind, EventFlag, EventKind, OrderType
from tests.desk import TERM_FIELDS
from tests.scenario_commands import (
    ACCOUNTS,
    INSTRUMENTS,
    PEOPLE,
    PHASES,
    PREVENTIONS,
    TableError,
    Words,
    parse_command,
)
from tests.scenario_events import VERBS, Speaker
from tools.twin import Command, Event, Instrument
from tools.twin.market import Market, rich

FOLDER: Final = Path(__file__).parent / "scenarios"

INDENT: Final = "    "

REFUSALS: Final = {
    EventKind.REJECTED,
    EventKind.CANCEL_REJECTED,
    EventKind.REPLACE_REJECTED,
    EventKind.ADMIN_REJECTED,
}

NOT_AS_SENT: Final = {
    EventKind.BOOKED,
    EventKind.REPLACED,
    EventKind.INSTRUMENT,
    EventKind.RULED,
}
"""Events that have another account or price than their order, or no order's number."""

SHOWN_FLAGS: Final = (
    (CommandFlag.POST_ONLY, EventFlag.POST_ONLY),
    (CommandFlag.REDUCE_ONLY, EventFlag.REDUCE_ONLY),
)

DEFAULTS: Final = {"price_min_ticks": 1, "price_max_ticks": 1_000}
"""Terms of instruments, unless a table says otherwise."""


@dataclass
class Step:
    """One command and what answers it."""

    where: str
    command: str
    given: bool
    "Part of the book that the rule is shown with: anything but a refusal may answer."
    events: list[str] = field(default_factory=list)


@dataclass
class Scenario:
    """One rule, shown."""

    file: str
    title: str
    terms: list[dict[str, Any]]
    "For each instrument, in the names of tools.twin.Instrument."
    groups: dict[int, int] = field(default_factory=dict)
    preventions: dict[int, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def market(self) -> Market:
        """Its instruments and people; nobody runs out of money."""
        instruments = tuple(
            Instrument(base_asset_index=index + 1, **(DEFAULTS | terms))
            for index, terms in enumerate(self.terms)
        )
        return Market(
            instruments,
            ((100,),) * len(instruments),
            rich(len(PEOPLE), len(instruments)),
            groups=self.groups,
            preventions=self.preventions,
        )


# --- reading -----------------------------------------------------------------------------------


def read_all() -> list[Scenario]:
    """The scenarios of all tables. TableError names file and line of what is wrong."""
    return [scenario for path in sorted(FOLDER.glob("*.md")) for scenario in read_file(path)]


def read_file(path: Path) -> list[Scenario]:
    """The scenarios of one table; the README has none."""
    return [] if path.name == "README.md" else parse(path.read_text(encoding="utf-8"), path.stem)


def parse(source: str, file: str) -> list[Scenario]:
    """The scenarios of a table's text."""
    scenarios: list[Scenario] = []
    for number, line in enumerate(source.splitlines(), start=1):
        where = f"{file}.md:{number}"
        if line.startswith("## "):
            title = line.removeprefix("## ").strip()
            if any(title == other.title for other in scenarios):
                raise TableError(f"{where}: there is a scenario of this title already: {title}")
            scenarios.append(Scenario(file, title, [{}]))
        elif line.startswith(INDENT) and line.strip():
            if not scenarios:
                raise TableError(f"{where}: expected a heading (## the rule) before the first line")
            try:
                _read_line(scenarios[-1], line.strip(), where)
            except TableError as error:
                raise TableError(f"{where}: {error}") from None
    for scenario in scenarios:
        if all(step.given for step in scenario.steps):
            raise TableError(f"{file}.md: {scenario.title!r} expects no event")
        _check_steps(scenario)
    return scenarios


def _check_steps(scenario: Scenario) -> None:
    for step in scenario.steps:
        if not step.given and not step.events:
            raise TableError(f"{step.where}: every command is answered: expected '-> an event'")


def _read_line(scenario: Scenario, line: str, where: str) -> None:
    words = Words(line)
    if words.skip("->"):
        event = " ".join(words.left)
        if not scenario.steps or scenario.steps[-1].given:
            raise TableError(f"{line!r}: expected a command before its events")
        if words.take("an event").rstrip(",") not in VERBS:
            raise TableError(f"{line!r}: expected one of {', '.join(sorted(VERBS))}")
        scenario.steps[-1].events.append(event)
    elif words.skip("market"):
        _read_term(scenario, words)
    elif words.skip("group"):
        members = []
        while words.left:
            members.append(words.one_of(ACCOUNTS, "a person"))
        scenario.groups |= dict.fromkeys(members, members[0])
    elif words.skip("prevention"):
        person = words.one_of(ACCOUNTS, "a person")
        scenario.preventions[person] = int(words.one_of(PREVENTIONS, "a way to prevent"))
    else:
        count = words.number("how often") if words.skip("repeat") else 0
        given = words.skip("given") or count > 0
        command = " ".join(words.left)
        parse_command(command)
        for number in range(1, count + 1):
            scenario.steps.append(Step(where, command.replace(":", f"{number}:", 1), given))
        if not count:
            scenario.steps.append(Step(where, command, given))


def _read_term(scenario: Scenario, words: Words) -> None:
    """`market [T] term value`: another instrument, or another term."""
    index = INSTRUMENTS[words.left.pop(0)] if words.left and words.left[0] in INSTRUMENTS else 0
    scenario.terms += [{} for _ in range(index + 1 - len(scenario.terms))]
    while words.left:
        name = words.take("a term")
        if name not in Instrument._fields:
            raise TableError(f"{name!r} is no term; there are {', '.join(Instrument._fields)}")
        scenario.terms[index][name] = _term(name, words)


def _term(name: str, words: Words) -> Any:
    if name == "phase":
        return int(words.one_of(PHASES, "a phase"))
    if name.endswith("_ns"):
        return words.seconds()
    if name == "price_steps":
        ranges = words.take("ranges like 1:1,100:5").split(",")
        return tuple((int(first), int(step)) for first, _, step in map(_partition, ranges))
    return words.number("a number")


def _partition(text: str) -> tuple[str, str, str]:
    return text.partition(":")


# --- playing -----------------------------------------------------------------------------------

Submit = Callable[[Command], list[Event]]
"""A venue: the events of one command."""


class Player:
    """Plays one scenario: knows which id each named order got."""

    def __init__(self, submit: Submit) -> None:
        self._submit = submit
        self._speaker = Speaker()
        self._orders: dict[str, tuple[int, Command]] = {}
        self._sent = 0

    def play(self, scenario: Scenario) -> Iterator[tuple[Step, list[str]]]:
        """What answered each step, in words."""
        for step in scenario.steps:
            command = self._command(step)
            events = self._submit(command)
            self._check(step, command, events)
            yield step, [self._speaker.say(event) for event in events]

    def _command(self, step: Step) -> Command:
        line = parse_command(step.command)
        self._sent += 1
        fields = dict(line.fields)
        if line.target:
            if line.target not in self._orders:
                raise TableError(f"{step.where}: no order is called {line.target}")
            order_id, order = self._orders[line.target]
            named = {"account": order.account, "instrument": order.instrument}
            fields = {"order_id": order_id} | named | fields
            if line.kind == CommandKind.AMEND and fields.get("flags", 0) & CommandFlag.TERMS:
                # What an amendment with terms does not mention stays as it was sent.
                kept = {"trigger_ticks": order.trigger_ticks, "display_lots": order.display_lots}
                fields = kept | fields
        command = Command(self._sent, int(line.kind), **_plain(fields))
        if line.name:
            if line.name in self._orders:
                raise TableError(f"{step.where}: there is an order {line.name} already")
            self._orders[line.name] = (0, command)
        return command

    def _check(self, step: Step, command: Command, events: list[Event]) -> None:
        """What an event says beside its line: whose it is, what came before, what ends it."""
        assert events, f"{step.where}: no answer"
        for event in events:
            last = bool(event.flags & EventFlag.LAST)
            assert last == (event is events[-1]), f"{step.where}: LAST in {event}"
            assert event.dseq == events[0].dseq, f"{step.where}: another cause in {event}"
            assert event.source_sequence == command.sequence, f"{step.where}: cause of {event}"
            if event.kind in (EventKind.ACCEPTED, EventKind.REJECTED, EventKind.CHECKED):
                self._meet(step, command, event)
        for event in events:
            name = self._speaker.names.get(event.order_id) if event.order_id else None
            if name is not None and event.kind not in NOT_AS_SENT:
                order = self._orders[name][1]
                found = (event.account, event.instrument, event.side)
                kind = f"{step.where}: {name} in {event}"
                if event.kind not in REFUSALS:
                    assert found == (order.account, order.instrument, order.side), kind
        if step.given:
            refused = [event for event in events if event.kind in REFUSALS]
            assert not refused, f"{step.where}: refused: {refused}"

    def _meet(self, step: Step, command: Command, event: Any) -> None:
        """ACCEPTED, REJECTED and CHECKED repeat the order as it was sent."""
        names = (key for key, (_, sent) in self._orders.items() if sent is command)
        name = next(names, "check")
        if event.order_id:
            self._orders[name] = (event.order_id, command)
            self._speaker.names.setdefault(event.order_id, name)
        else:
            self._speaker.names[0] = name  # refused before it got an id
        priced = command.order_type == OrderType.LIMIT
        for key in ("account", "instrument", "side", "order_type", "time_in_force", "qty_lots"):
            assert getattr(event, key) == getattr(command, key), f"{step.where}: {key} of {event}"
        for sent, said in SHOWN_FLAGS:
            same = bool(command.flags & sent) == bool(event.flags & said)
            assert same, f"{step.where}: flags of {event}"
        assert event.client_order_id == command.client_order_id, f"{step.where}: name of {event}"
        assert not priced or event.price_ticks == command.price_ticks, f"{step.where}: {event}"
        if command.flags & CommandFlag.TERMS:
            assert event.flags & EventFlag.TERMS, f"{step.where}: no terms in {event}"
            for key in TERM_FIELDS:
                assert getattr(event, key) == getattr(command, key), f"{step.where}: {key}"


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value if isinstance(value, bytes) else int(value) for key, value in fields.items()}
