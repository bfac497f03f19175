"""The trading day of an instrument: which phase it enters at which time of day.

Read once from the configuration. Ingest executes the schedule by its clock, as PHASE commands in
the one sequence, so that a replay meets them at the same place. Times are UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, NamedTuple

from engine.messages import Phase
from engine.schema import Problems, choice, read, text, words

PHASES: Final = {phase.name.lower(): phase for phase in Phase}
"""Phases by their names in the configuration."""

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

TIME_OF_DAY: Final = text(
    "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]", 'a time of day in UTC such as "08:00:00"'
)
PHASE_NAME: Final = choice(*PHASES)


@dataclass(frozen=True, slots=True)
class ScheduleTable:
    """One entry of an instrument's `schedule`, as written."""

    at: Annotated[str, TIME_OF_DAY]
    phase: Annotated[str, PHASE_NAME]
    days: Annotated[Sequence[str], words(*DAYS)] = DAYS


class ScheduledPhase(NamedTuple):
    """A phase that an instrument enters at a time of day."""

    second: int
    "Second of the day, UTC."
    phase: int
    weekdays: int
    "Bit 0 for Monday up to bit 6 for Sunday."


def make_schedule(
    written: Sequence[Any], path: str, problems: Problems
) -> tuple[ScheduledPhase, ...]:
    """The entries of one instrument by time of day; what is wrong goes to `problems`."""
    made = []
    first: dict[tuple[int, int], int] = {}
    for index, table in enumerate(written):
        place = f"{path}[{index}]"
        entry = read(ScheduleTable, table, place, problems)
        if entry is None:
            continue
        hours, minutes, seconds = map(int, entry.at.split(":"))
        second = hours * 3600 + minutes * 60 + seconds
        weekdays = sum(1 << DAYS.index(day) for day in set(entry.days))
        for day in range(len(DAYS)):
            if weekdays >> day & 1 and first.setdefault((second, day), index) != index:
                other = f"{path}[{first[second, day]}]"
                problems.say(f"{place}.at", f"{other} is at {entry.at} on {DAYS[day]}, too")
                break
        made.append(ScheduledPhase(second, PHASES[entry.phase], weekdays))
    return tuple(sorted(made))
