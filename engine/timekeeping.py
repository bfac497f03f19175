"""How ingest tells the time: ticks, and before them the phases that the schedules say.

Ticks lie at whole multiples of their distance in Unix time. Several that were missed are one, at
the last of them; phases that were missed come all, in order. Phases of the time before the venue
began are not repeated: each instrument with a schedule is brought into the phase of that moment.
Records made here have source INTERNAL_SOURCE and source sequence 0. What finds no room in the ring
goes on in the next step.
"""

from typing import Final

from engine.intake import IngestState
from engine.limits import INSTRUMENTS_MAX, INTERNAL_SOURCE
from engine.messages import MESSAGE_BYTES, CommandFlag, CommandKind, SequencedCommand
from engine.reference import ReferenceData, ScheduleEntry
from engine.stage import Outbox, Word, next_slot
from ipc.jit import inlined, kernel

NS_PER_S: Final = 1_000_000_000
SECONDS_PER_DAY: Final = 86_400
DAY_NS: Final = SECONDS_PER_DAY * NS_PER_S
DAYS_PER_WEEK: Final = 7

FIRST_WEEKDAY: Final = 3
"""1 January 1970 was a Thursday; Monday is 0."""

NO_PHASE: Final = 0

ENTRIES_PER_STEP_MAX: Final = 1 << 16
"""Entries of the schedule that one step looks at: after a year of sleep the rest can wait."""


@inlined
def holds_on(entry: ScheduleEntry, day: int) -> bool:
    """Whether an entry counts on a day, in days since 1970."""
    weekday = (day + FIRST_WEEKDAY) % DAYS_PER_WEEK
    return entry.weekdays >> weekday & 1 != 0


@inlined
def time_of(entry: ScheduleEntry, day: int) -> int:
    """When an entry is due on a day, in Unix nanoseconds."""
    return day * DAY_NS + entry.second * NS_PER_S


@kernel
def add_record(state: IngestState, out: Outbox, kind: int) -> SequencedCommand:
    """An empty record of this kind at the end of the sequence."""
    address = next_slot(out)
    for offset in range(0, MESSAGE_BYTES, 8):
        Word(address + offset).value = 0
    made = SequencedCommand(address)
    made.kind, made.flags, made.source = kind, CommandFlag.TERMS, INTERNAL_SOURCE
    made.time_ns = state.time_ns
    return made


@kernel
def add_phase(state: IngestState, out: Outbox, instrument: int, phase: int) -> None:
    """A PHASE, unless the instrument is not listed any more."""
    if state.terms[instrument].listed == 0:
        return
    made = add_record(state, out, CommandKind.PHASE.value)
    made.instrument = instrument
    made.terms.phase = phase


@kernel
def phase_at(reference: ReferenceData, instrument: int, now_ns: int) -> int:
    """The phase that the schedule says for a moment, or NO_PHASE if it says nothing."""
    today = now_ns // DAY_NS
    latest_ns, phase = -1, NO_PHASE
    for index in range(reference.schedule_count):
        entry = reference.schedule[index]
        if entry.instrument != instrument:
            continue
        for day in range(today - DAYS_PER_WEEK, today + 1):
            at_ns = time_of(entry, day)
            if holds_on(entry, day) and latest_ns < at_ns <= now_ns:
                latest_ns, phase = at_ns, entry.phase
    return phase


@kernel
def open_instruments(state: IngestState, reference: ReferenceData, out: Outbox) -> bool:
    """Bring all instruments into the phase of the first tick; false when room runs out."""
    keeper = state.timekeeper
    while keeper.opened < INSTRUMENTS_MAX:
        if out.pending == out.claimed:
            return False
        phase = phase_at(reference, keeper.opened, keeper.telling_ns)
        if phase != NO_PHASE:
            add_phase(state, out, keeper.opened, phase)
        keeper.opened += 1
    return True


@kernel
def begin_schedule(state: IngestState, reference: ReferenceData) -> None:
    """Make the first entry after the first tick the next one."""
    keeper = state.timekeeper
    keeper.day, keeper.entry = keeper.telling_ns // DAY_NS, 0
    while keeper.entry < reference.schedule_count:
        if time_of(reference.schedule[keeper.entry], keeper.day) > keeper.telling_ns:
            break
        keeper.entry += 1


@kernel
def follow_schedule(state: IngestState, reference: ReferenceData, out: Outbox) -> bool:
    """Send all phases up to the tick; false when room runs out."""
    keeper = state.timekeeper
    for _ in range(ENTRIES_PER_STEP_MAX):
        if keeper.entry == reference.schedule_count:
            keeper.day, keeper.entry = keeper.day + 1, 0
        entry = reference.schedule[keeper.entry]
        if time_of(entry, keeper.day) > keeper.telling_ns:
            return True
        if out.pending == out.claimed:
            return False
        if holds_on(entry, keeper.day):
            add_phase(state, out, entry.instrument, entry.phase)
        keeper.entry += 1
    return False


@kernel
def keep_time(state: IngestState, reference: ReferenceData, out: Outbox) -> None:
    """Fill slots with the phases that are due and, when all are out, the tick."""
    keeper = state.timekeeper
    assert state.time_ns >= keeper.next_tick_ns, "keep_time: no tick is due"
    if keeper.telling_ns == 0:
        keeper.telling_ns = state.time_ns - state.time_ns % keeper.tick_ns
    if reference.schedule_count > 0:
        if keeper.opened < INSTRUMENTS_MAX:
            if not open_instruments(state, reference, out):
                return
            begin_schedule(state, reference)
        if not follow_schedule(state, reference, out):
            return
    if out.pending == out.claimed:
        return
    made = add_record(state, out, CommandKind.TICK.value)
    made.terms.at_ns = keeper.telling_ns
    keeper.next_tick_ns = keeper.telling_ns + keeper.tick_ns
    keeper.telling_ns = 0
