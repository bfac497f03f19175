"""What is done about deaths, in all their kinds and orders."""

import pytest

from engine.membership import EXIT_HOPELESS, EXIT_STORAGE
from tools.supervision.policy import (
    NS_PER_SECOND,
    SKIPS_MAX,
    Cause,
    Death,
    DeathPolicy,
    Record,
    Restart,
    Skip,
    Stop,
)

BAD = Record(stage=1, number=77)


def death(
    at_s: float = 0.0,
    name: str = "risk",
    cause: Cause = Cause.CRASHED,
    exit_code: int = 1,
    record: Record | None = None,
) -> Death:
    return Death(name, int(at_s * NS_PER_SECOND), cause, exit_code, "it fell", record)


@pytest.fixture
def policy() -> DeathPolicy:
    return DeathPolicy(deaths_max=3, deaths_seconds=30)


def test_a_death_is_followed_by_a_successor(policy: DeathPolicy) -> None:
    assert policy.judge(death()) == Restart()


def test_three_deaths_in_thirty_seconds_stop_the_venue(policy: DeathPolicy) -> None:
    assert policy.judge(death(0, "ingest")) == Restart()
    assert policy.judge(death(10, "journal")) == Restart()
    verdict = policy.judge(death(29.9, "gateway"))
    assert isinstance(verdict, Stop)
    for name in ("ingest", "journal", "gateway", "3 deaths within 30 s"):
        assert name in verdict.why


def test_deaths_that_lie_further_apart_do_not(policy: DeathPolicy) -> None:
    assert all(policy.judge(death(at_s)) == Restart() for at_s in range(0, 3_000, 15))


@pytest.mark.parametrize("code", [EXIT_STORAGE, EXIT_HOPELESS])
def test_where_no_successor_could_do_better_the_venue_stops(policy: DeathPolicy, code: int) -> None:
    verdict = policy.judge(death(name="journal", exit_code=code, record=BAD))
    assert isinstance(verdict, Stop)
    assert "journal: it fell" in verdict.why
    assert "okimi journal verify" in verdict.why, "it says what to do next"


def test_two_deaths_at_a_record_skip_it(policy: DeathPolicy) -> None:
    assert policy.judge(death(0)) == Restart()  # the live one, which could not say where
    assert policy.judge(death(1, record=BAD)) == Restart()
    assert policy.judge(death(2, record=BAD)) == Skip(BAD)
    assert policy.judge(death(3)) == Restart(), "the deaths of the record count no more"
    assert policy.judge(death(4)) == Restart()
    assert isinstance(policy.judge(death(5)), Stop)


def test_a_skipped_record_excuses_no_death_of_others_and_none_from_outside(
    policy: DeathPolicy,
) -> None:
    policy.deaths_max = 5
    policy.judge(death(0, cause=Cause.KILLED))
    policy.judge(death(0, "matching"))
    policy.judge(death(1, record=BAD))
    assert policy.judge(death(2, record=BAD)) == Skip(BAD)
    assert [(each.name, each.cause) for each in policy.deaths] == [
        ("risk", Cause.KILLED),
        ("matching", Cause.CRASHED),
    ]


def test_the_record_is_remembered_however_long_ago(policy: DeathPolicy) -> None:
    assert policy.judge(death(0, record=BAD)) == Restart()
    assert policy.judge(death(10_000, record=BAD)) == Skip(BAD)


def test_different_records_are_two_accidents(policy: DeathPolicy) -> None:
    assert policy.judge(death(0, record=BAD)) == Restart()
    assert policy.judge(death(1, record=Record(1, 78))) == Restart()
    assert isinstance(policy.judge(death(2, record=Record(2, 77))), Stop)


def test_who_is_killed_from_outside_says_nothing_about_the_record(policy: DeathPolicy) -> None:
    for at_s in range(0, 300, 15):
        killed = death(at_s, cause=Cause.KILLED, exit_code=-9, record=BAD)
        assert policy.judge(killed) == Restart()


def test_one_that_hangs_at_a_record_does(policy: DeathPolicy) -> None:
    hung = death(cause=Cause.HUNG, exit_code=-9, record=BAD)
    assert policy.judge(hung) == Restart()
    assert policy.judge(hung) == Skip(BAD)


def test_a_record_that_kills_although_it_is_skipped_stops_the_venue(policy: DeathPolicy) -> None:
    policy.judge(death(record=BAD))
    assert policy.judge(death(record=BAD)) == Skip(BAD)
    policy.judge(death(100, record=BAD))
    verdict = policy.judge(death(200, record=BAD))
    assert isinstance(verdict, Stop)
    assert "skipped already" in verdict.why


def test_an_engine_that_cannot_execute_anything_stops(policy: DeathPolicy) -> None:
    for number in range(SKIPS_MAX):
        record = Record(1, number)
        assert policy.judge(death(number * 100, record=record)) == Restart()
        assert policy.judge(death(number * 100 + 1, record=record)) == Skip(record)
    assert policy.judge(death(9_000, record=BAD)) == Restart()
    assert isinstance(policy.judge(death(9_001, record=BAD)), Stop)
