"""When a silent process is taken to hang, and when it is only unlucky."""

import os
import signal
import time

import pytest

from tools.supervision.stalls import NS_PER_MS, PATIENCE, Pulse, StallWatch, raw_ns, take_pulse

STALL_MS = 2_000
LOOK_MS = 50


class Machine:
    """A watch, a clock, and one process."""

    def __init__(self) -> None:
        self.watch = StallWatch(STALL_MS * NS_PER_MS)
        self.now_ms = 1_000_000
        self.beat_ms = self.now_ms
        self.cpu_ms = 0
        self.state = "S"

    def look(self, after_ms: int = LOOK_MS, worked_ms: int = 0) -> bool:
        """Whether the process is found to hang at the next look."""
        self.now_ms += after_ms
        self.cpu_ms += worked_ms
        pulse = Pulse("risk", 7, self.beat_ms * NS_PER_MS, self.cpu_ms * NS_PER_MS, self.state)
        return bool(self.watch.look(self.now_ms * NS_PER_MS, [pulse]))

    def silent_for(self, worked_ms: int = 0, most_ms: int = 60_000) -> int:
        """After how many ms of silence it is found to hang; -1 when it is not within `most_ms`."""
        while self.now_ms - self.beat_ms < most_ms:
            if self.look(worked_ms=worked_ms):
                return self.now_ms - self.beat_ms
        return -1


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a_process_that_beats_is_left_alone(machine: Machine) -> None:
    for _ in range(1_000):
        machine.beat_ms = machine.now_ms
        assert not machine.look()


def test_a_stopped_process_hangs_once_the_suspicion_has_held(machine: Machine) -> None:
    machine.state = "T"
    silent = machine.silent_for()
    assert STALL_MS * 5 // 4 <= silent <= STALL_MS * 5 // 4 + 2 * LOOK_MS


def test_a_sleeper_that_does_not_wake_hangs(machine: Machine) -> None:
    assert 0 < machine.silent_for() < STALL_MS * 3 // 2


def test_one_that_turns_in_circles_hangs(machine: Machine) -> None:
    machine.state = "R"
    assert 0 < machine.silent_for(worked_ms=LOOK_MS) < STALL_MS * 2


@pytest.mark.parametrize("state", ["R", "S"])
def test_one_that_works_with_a_tenth_of_a_core_is_left_to_it(machine: Machine, state: str) -> None:
    """Its work takes long because others are busy; it may sleep in between."""
    machine.state = state
    assert machine.silent_for(worked_ms=LOOK_MS // 10, most_ms=STALL_MS * PATIENCE) == -1


@pytest.mark.parametrize("state", ["R", "D"])
def test_one_that_is_held_up_gets_more_time_but_not_for_ever(machine: Machine, state: str) -> None:
    machine.state = state
    silent = machine.silent_for()
    assert silent >= STALL_MS * PATIENCE
    assert silent <= STALL_MS * PATIENCE + 2 * LOOK_MS


def test_a_single_beat_ends_the_suspicion(machine: Machine) -> None:
    for _ in range(STALL_MS // LOOK_MS + 2):
        assert not machine.look()
    machine.beat_ms = machine.now_ms
    assert machine.silent_for() >= STALL_MS


def test_a_supervisor_that_was_held_up_itself_accuses_nobody_at_once(machine: Machine) -> None:
    """The machine stood still for a minute: when it goes on, all hearts are old."""
    machine.look()
    assert not machine.look(after_ms=60_000)
    assert not machine.look()
    machine.beat_ms = machine.now_ms
    assert not machine.look()


def test_a_machine_that_stands_still_again_and_again_accuses_nobody(machine: Machine) -> None:
    assert not any(machine.look(after_ms=400) for _ in range(1_000))


def test_a_successor_is_not_blamed_for_its_predecessor(machine: Machine) -> None:
    machine.silent_for()
    pulse = Pulse("risk", 8, machine.beat_ms * NS_PER_MS, 0, "S")
    assert not machine.watch.look((machine.now_ms + LOOK_MS) * NS_PER_MS, [pulse])


def test_a_real_process_stopped_and_continued() -> None:
    pid = os.fork()
    if pid == 0:
        while True:
            time.sleep(1)
    try:
        deadline = time.monotonic() + 30
        os.kill(pid, signal.SIGSTOP)
        while take_pulse("child", pid, raw_ns()).state != "T" and time.monotonic() < deadline:
            time.sleep(0.001)
        assert take_pulse("child", pid, 5).state == "T"
        os.kill(pid, signal.SIGCONT)
        while take_pulse("child", pid, raw_ns()).state == "T" and time.monotonic() < deadline:
            time.sleep(0.001)
        found = take_pulse("child", pid, 5)
        assert found.state in "RS"
        assert (found.name, found.pid, found.beat_ns) == ("child", pid, 5)
        assert found.cpu_ns > 0
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert take_pulse("child", pid, 5).state == "Z"
