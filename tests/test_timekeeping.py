"""Ticks and schedules: what ingest puts into the sequence by itself, on a clock that tests move."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.config import Config
from engine.limits import INTERNAL_SOURCE
from engine.messages import (
    CommandFlag,
    CommandKind,
    EventKind,
    Listing,
    Phase,
    RejectReason,
    decode_events,
)
from engine.process import run_stages
from engine.topology import DRIVER
from ipc.ring import consume, ready
from tests.ingest_door import IngestDoor
from tools import twin
from tools.twin.ingest import Scheduled

NEW, TICK, PHASE, INSTRUMENT = (
    CommandKind.NEW,
    CommandKind.TICK,
    CommandKind.PHASE,
    CommandKind.INSTRUMENT,
)
CLOSED, PRE_OPEN, CONTINUOUS = Phase.CLOSED, Phase.PRE_OPEN, Phase.CONTINUOUS
SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WORKDAYS = DAYS[:5]

OFFICE_HOURS = [
    {"at": "08:00:00", "phase": "pre_open", "days": list(WORKDAYS)},
    {"at": "08:30:00", "phase": "continuous", "days": list(WORKDAYS)},
    {"at": "17:00:00", "phase": "closed", "days": list(WORKDAYS)},
]
ROUND_THE_CLOCK = [{"at": "00:00:00", "phase": "closed"}, {"at": "00:00:05", "phase": "continuous"}]


def unix_ns(text: str) -> int:
    """Nanoseconds of a moment such as 2026-11-20T08:00:00 (a Friday)."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_NS


@contextmanager
def door_at(
    start: str, *schedules: list[dict[str, Any]], tick_ms: int = 1000
) -> Iterator[IngestDoor]:
    """An ingest with one instrument for each schedule, and one more without."""
    instruments = [
        {
            "symbol": f"S{index}",
            "base": "B",
            "quote": "Q",
            "tick": "1",
            "lot": "1",
            "qty_max": "10",
            "notional_max": "1000",
            "schedule": schedule,
        }
        for index, schedule in enumerate([*schedules, []])
    ]
    config = Config.build(
        assets=[{"name": "B", "decimals": 0}, {"name": "Q", "decimals": 0}],
        instruments=instruments,
        accounts=[{"number": 1, "name": "a", "balances": {"Q": "1000"}}],
        venue={"tick_ms": tick_ms},
    )
    door = IngestDoor(config, unix_ns(start))
    try:
        yield door
    finally:
        door.release()


def passed(door: IngestDoor, moment: str | int) -> list[tuple[Any, ...]]:
    """What ingest says when the clock shows a moment: (PHASE, instrument, phase) or (TICK, ns)."""
    door.set_time(moment if isinstance(moment, int) else unix_ns(moment))
    while door.step():
        pass
    return [brief(record) for record in door.taken()]


def brief(record: twin.Sequenced) -> tuple[Any, ...]:
    if record.kind == TICK:
        return (TICK, record.at_ns)
    return (CommandKind(record.kind), record.instrument, record.phase)


def tick(moment: str) -> tuple[Any, ...]:
    return (TICK, unix_ns(moment))


def order(sequence: int) -> twin.Command:
    return twin.Command(
        sequence, NEW, order_type=1, time_in_force=1, account=1, price_ticks=5, qty_lots=1
    )


def test_a_tick_comes_at_once_and_with_each_whole_second() -> None:
    with door_at("2026-11-20T10:00:00") as door:
        begin = unix_ns("2026-11-20T10:00:00")
        assert passed(door, begin + 300_000_000) == [(TICK, begin)]
        assert passed(door, begin + SECOND_NS - 1) == []
        assert passed(door, begin + SECOND_NS) == [(TICK, begin + SECOND_NS)]
        assert passed(door, begin + SECOND_NS) == []


def test_ticks_that_were_missed_are_one() -> None:
    with door_at("2026-11-20T10:00:00", tick_ms=250) as door:
        begin = unix_ns("2026-11-20T10:00:00")
        passed(door, begin)
        late = begin + 7 * SECOND_NS + 260_000_000
        assert passed(door, late) == [(TICK, begin + 7_250_000_000)]


def test_a_clock_that_goes_back_tells_nothing() -> None:
    with door_at("2026-11-20T10:00:00") as door:
        passed(door, "2026-11-20T10:00:00")
        assert passed(door, "2026-11-20T09:00:00") == []
        assert passed(door, "2026-11-20T10:00:00") == []
        assert passed(door, "2026-11-20T10:00:01") == [tick("2026-11-20T10:00:01")]


def test_without_a_distance_there_are_no_ticks() -> None:
    with door_at("2026-11-20T10:00:00", tick_ms=0) as door:
        assert passed(door, "2026-11-20T10:00:00") == []
        assert passed(door, "2027-01-01T00:00:00") == []


def test_a_record_of_ingest_names_its_source_and_its_place() -> None:
    with door_at("2026-11-20T10:00:00", ROUND_THE_CLOCK) as door:
        door.send([order(1), order(2)])
        door.set_time(unix_ns("2026-11-20T10:00:00") + 5)
        while door.step():
            pass
        phase, tick_record, *orders = door.taken()
    now_ns = unix_ns("2026-11-20T10:00:00") + 5
    common: dict[str, Any] = dict.fromkeys(twin.Sequenced._fields, 0) | {
        "flags": CommandFlag.TERMS,
        "source": INTERNAL_SOURCE,
        "client_order_id": b"",
        "time_ns": now_ns,
    }
    assert phase == twin.Sequenced(
        **(common | {"sequence": 1, "kind": PHASE, "phase": CONTINUOUS, "instrument": 0})
    )
    assert tick_record == twin.Sequenced(
        **(common | {"sequence": 2, "kind": TICK, "at_ns": now_ns - 5})
    )
    assert [(each.sequence, each.source, each.source_sequence) for each in orders] == [
        (3, 0, 1),
        (4, 0, 2),
    ]


def test_the_tick_comes_before_commands_that_arrived_after_it_was_due() -> None:
    with door_at("2026-11-20T10:00:00") as door:
        passed(door, "2026-11-20T10:00:00")
        door.send([order(1)])
        kinds = [kind for kind, *_ in passed(door, "2026-11-20T10:00:01")]
        assert kinds == [TICK, NEW]
        door.send([order(2)])
        assert [kind for kind, *_ in passed(door, "2026-11-20T10:00:01")] == [NEW]


@pytest.mark.parametrize(
    ("start", "phase"),
    [
        ("2026-11-20T07:59:59", CLOSED),  # Friday: since Thursday evening
        ("2026-11-20T08:00:00", PRE_OPEN),
        ("2026-11-20T12:00:00", CONTINUOUS),
        ("2026-11-22T12:00:00", CLOSED),  # Sunday: since Friday evening
        ("2026-11-23T07:00:00", CLOSED),
    ],
)
def test_at_the_start_an_instrument_enters_the_phase_of_the_moment(
    start: str, phase: Phase
) -> None:
    with door_at(start, OFFICE_HOURS) as door:
        assert passed(door, start) == [(PHASE, 0, phase), tick(start)]


def test_an_entry_of_one_day_counts_for_the_whole_week() -> None:
    weekly = [{"at": "12:00:00", "phase": "halt", "days": ["fri"]}]
    for start in ("2026-11-20T12:00:00", "2026-11-27T11:59:59"):
        with door_at(start, weekly) as door:
            assert passed(door, start)[0] == (PHASE, 0, Phase.HALT), start


def test_phases_come_when_they_are_due_before_the_tick() -> None:
    with door_at("2026-11-20T07:59:58", OFFICE_HOURS, ROUND_THE_CLOCK) as door:
        assert passed(door, "2026-11-20T07:59:58") == [
            (PHASE, 0, CLOSED),
            (PHASE, 1, CONTINUOUS),
            tick("2026-11-20T07:59:58"),
        ]
        assert passed(door, "2026-11-20T07:59:59") == [tick("2026-11-20T07:59:59")]
        assert passed(door, "2026-11-20T08:00:00") == [
            (PHASE, 0, PRE_OPEN),
            tick("2026-11-20T08:00:00"),
        ]
        assert passed(door, "2026-11-20T08:00:01") == [tick("2026-11-20T08:00:01")]


def test_phases_that_were_missed_come_all_in_order() -> None:
    with door_at("2026-11-19T16:59:59", OFFICE_HOURS, ROUND_THE_CLOCK) as door:
        passed(door, "2026-11-19T16:59:59")
        assert passed(door, "2026-11-20T08:10:00") == [
            (PHASE, 0, CLOSED),
            (PHASE, 1, CLOSED),
            (PHASE, 1, CONTINUOUS),
            (PHASE, 0, PRE_OPEN),
            tick("2026-11-20T08:10:00"),
        ]


def test_a_weekend_has_no_office_hours() -> None:
    with door_at("2026-11-20T17:00:00", OFFICE_HOURS) as door:
        passed(door, "2026-11-20T17:00:00")
        assert passed(door, "2026-11-23T07:59:59") == [tick("2026-11-23T07:59:59")]


def test_a_delisted_instrument_has_no_schedule_until_it_is_listed_again() -> None:
    with door_at("2026-11-20T07:00:00", OFFICE_HOURS) as door:
        passed(door, "2026-11-20T07:00:00")
        door.run([twin.Command(1, INSTRUMENT, order_id=Listing.DELIST)])
        assert passed(door, "2026-11-20T08:00:00") == [tick("2026-11-20T08:00:00")]
        again = twin.Command(
            2, INSTRUMENT, order_id=Listing.LIST, qty_lots=CLOSED, client_order_id=b"S0"
        )
        assert door.run([again])[0].reason == RejectReason.NONE
        assert passed(door, "2026-11-20T08:30:00") == [
            (PHASE, 0, CONTINUOUS),
            tick("2026-11-20T08:30:00"),
        ]


def test_what_finds_no_room_goes_on_in_the_next_step() -> None:
    begin = "2026-11-20T07:00:00"
    with door_at(begin, *[ROUND_THE_CLOCK] * 5) as door:
        done = [door.step(message_max=2) for _ in range(4)]
        assert [brief(record) for record in door.taken()] == [
            *((PHASE, instrument, CONTINUOUS) for instrument in range(5)),
            tick(begin),
        ]
        assert all(count > 0 for count in done[:3])
        assert done[3] == 0
        door.set_time(unix_ns("2026-11-21T00:00:07"))
        while door.step(message_max=3):
            pass
        assert [brief(record) for record in door.taken()] == [
            *((PHASE, instrument, CLOSED) for instrument in range(5)),
            *((PHASE, instrument, CONTINUOUS) for instrument in range(5)),
            tick("2026-11-21T00:00:07"),
        ]


def test_a_ring_that_is_full_holds_the_time_back_and_loses_nothing() -> None:
    begin = unix_ns("2026-11-20T07:00:00")
    with door_at("2026-11-20T07:00:00", ROUND_THE_CLOCK) as door:
        slots = door.out.slot_count
        sent = 0
        while sent < slots:
            door.send([order(sent + index + 1) for index in range(1024)])
            sent += 1024
            while door.step():
                pass
        assert door.step() == 0, "the ring is full"
        door.set_time(begin + 2 * SECOND_NS)
        assert door.step() == 0
        records = door.taken()
        assert len(records) == slots
        assert [brief(each) for each in records[:2]] == [(PHASE, 0, CONTINUOUS), (TICK, begin)]
        while door.step():
            pass
        rest = door.taken()
        assert brief(rest[0]) == (TICK, begin + 2 * SECOND_NS)
        assert len(rest) == 1 + sent - (slots - 2)


def events_at(door: IngestDoor, moment: str) -> list[Any]:
    """The events of the whole engine when the clock shows a moment."""
    door.set_time(unix_ns(moment))
    while run_stages(door.loop):
        pass
    ring, cursor = door.venue.rings["events"], door.venue.cursor("events", DRIVER)
    count = ready(ring, cursor, ring.slot_count)
    raw = b"".join(bytes(door.slot(ring, cursor.position + index)) for index in range(count))
    consume(cursor, count)
    return decode_events(memoryview(raw))


@pytest.mark.timeout(600)  # the first to ask for the engine compiles it
def test_the_schedule_reaches_the_books() -> None:
    with door_at("2026-11-20T07:00:00", OFFICE_HOURS) as door:
        opening = events_at(door, "2026-11-20T07:00:00")
        assert [EventKind(each.kind).name for each in opening] == ["PHASED", "CLOCK"]
        assert (opening[0].phase, opening[0].previous_phase) == (CLOSED, CONTINUOUS)
        assert opening[1].at_ns == unix_ns("2026-11-20T07:00:00")
        door.send([order(1)])
        (refused,) = events_at(door, "2026-11-20T07:00:00")
        assert (refused.kind, refused.reason) == (EventKind.REJECTED, RejectReason.PHASE_FORBIDS)
        phased, clock = events_at(door, "2026-11-20T08:30:00")[-2:]
        assert (phased.phase, phased.previous_phase) == (CONTINUOUS, PRE_OPEN)
        assert (clock.source, clock.source_sequence) == (INTERNAL_SOURCE, 0)
        door.send([order(2)])
        (accepted,) = events_at(door, "2026-11-20T08:30:00")
        assert (accepted.kind, accepted.reason) == (EventKind.ACCEPTED, RejectReason.NONE)


def random_schedule(chance: random.Random) -> list[dict[str, Any]]:
    times = chance.sample(range(86_400), 6)
    return [
        {
            "at": f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}",
            "phase": chance.choice(list(Phase)).name.lower(),
            "days": sorted(chance.sample(DAYS, chance.randint(1, 7))),
        }
        for second in times
    ]


def as_scheduled(schedule: list[dict[str, Any]], instrument: int) -> list[Scheduled]:
    made = []
    for entry in schedule:
        hours, minutes, seconds = map(int, entry["at"].split(":"))
        days = frozenset(DAYS.index(day) for day in entry["days"])
        phase = Phase[entry["phase"].upper()]
        made.append(Scheduled(hours * 3600 + minutes * 60 + seconds, instrument, phase, days))
    return made


@pytest.mark.parametrize("seed", range(5))
def test_the_engine_and_the_twin_tell_the_same_time(seed: int) -> None:
    chance = random.Random(seed)
    schedules = [random_schedule(chance) for _ in range(3)]
    entries = [each for at, one in enumerate(schedules) for each in as_scheduled(one, at)]
    now_ns = unix_ns("2026-11-16T00:00:00") + chance.randrange(7 * DAY_NS)
    mine = twin.Ingest([twin.Instrument()] * 4, tick_ns=500_000_000, schedule=entries)
    told = 0
    with door_at("2026-11-16T00:00:00", *schedules, tick_ms=500) as door:
        for _ in range(60):
            expected = mine.tell_time(now_ns)
            door.set_time(now_ns)
            while door.step(message_max=chance.randint(1, 5)):
                pass
            assert door.taken() == expected
            told += sum(each.kind == PHASE for each in expected)
            steps = (1, 400_000_000, SECOND_NS, 3600 * SECOND_NS, 30 * 3600 * SECOND_NS)
            now_ns += chance.randrange(chance.choice(steps))
    assert told > 20, "the schedules had nothing to say"
