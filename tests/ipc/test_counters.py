"""The counters file: identities that survive pid reuse, entries that do not disturb each other."""

import os
import signal
from typing import Any

import pytest

from ipc.counters import (
    PROCESSES_MAX,
    STAGES_MAX,
    STARTING,
    STATE_NAMES,
    Checkpoint,
    CountersFile,
    ProcessEntry,
    StageStatistics,
    enlist,
    is_alive,
    process_start_time,
    read_checkpoint,
    write_checkpoint,
)
from ipc.jit import kernel
from ipc.wait import NO_DESCRIPTOR

pytestmark = pytest.mark.interpreted


def test_a_process_is_told_by_pid_and_start_time() -> None:
    start = process_start_time(os.getpid())
    assert start > 0
    assert is_alive(os.getpid(), start)
    assert not is_alive(os.getpid(), start + 1)
    assert not is_alive(os.getpid(), 0)
    assert not is_alive(0, 0)
    assert not is_alive(-1, start)


@kernel
def tell(statistics: StageStatistics, sequence: int, state_hash: int) -> None:
    write_checkpoint(statistics, sequence, state_hash)


def test_a_checkpoint_is_read_as_it_was_written() -> None:
    statistics: StageStatistics = StageStatistics.allocate()
    assert read_checkpoint(statistics) is None
    tell(statistics, 65_536, 17)
    assert read_checkpoint(statistics) == Checkpoint(65_536, 17)
    tell(statistics, 131_073, -2)
    assert read_checkpoint(statistics) == Checkpoint(131_073, 2**64 - 2)


def test_a_checkpoint_that_is_being_written_is_none() -> None:
    class Racing:
        """The sequence at each look, with a writer in between."""

        checkpoint_hash = 5

        def __init__(self, *sequences: int) -> None:
            self.sequences = iter(sequences)

        @property
        def checkpoint_sequence(self) -> int:
            return next(self.sequences)

    for sequences in ((0,), (7, 0), (7, 9)):
        assert read_checkpoint(Racing(*sequences)) is None  # type: ignore[arg-type]
    assert read_checkpoint(Racing(7, 7)) == Checkpoint(7, 5)  # type: ignore[arg-type]


@pytest.mark.system
def test_the_dead_and_the_undead_are_not_alive(children: Any) -> None:
    pid = children.start(lambda: None)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert process_start_time(pid) == 0  # a zombie
    assert children.join(pid) == 0
    assert process_start_time(pid) == 0


@pytest.mark.system
def test_the_start_time_survives_a_strange_process_name(children: Any) -> None:
    read_end, write_end = os.pipe()

    def rename() -> None:
        with open("/proc/self/comm", "w") as file:
            file.write(") R 1 (x")
        os.write(write_end, b"+")
        signal.pause()

    before = process_start_time(os.getpid())
    pid = children.start(rename)
    assert os.read(read_end, 1) == b"+"
    assert process_start_time(pid) >= before
    assert is_alive(pid, process_start_time(pid))
    children.kill(pid)
    os.close(read_end)
    os.close(write_end)


def test_enlisting_counts_the_lives_of_an_entry() -> None:
    entry = ProcessEntry.allocate()
    for epoch in (1, 2, 3):
        enlist(entry)
        assert entry.epoch == epoch
        assert entry.state == STARTING
        assert is_alive(entry.pid, entry.start_time)
    assert STATE_NAMES[STARTING] == "starting"


def test_writers_do_not_share_lines() -> None:
    counters = CountersFile.allocate()
    processes = [counters.processes[index] for index in range(PROCESSES_MAX)]
    stages = [counters.stages[index] for index in range(STAGES_MAX)]
    places = [entry.bell.address for entry in processes]
    places += [entry.heartbeat.address for entry in processes]
    places += [stage.address for stage in stages]
    places += [stage.latency.address for stage in stages]
    assert len({place // 128 for place in places}) == len(places)
    assert all(place % 128 == 0 for place in places)
    assert counters.stop.value == counters.ready == 0


def test_a_new_entry_has_a_bell_that_wakes_by_futex() -> None:
    counters = CountersFile.allocate()
    assert counters.processes[3].bell.descriptor == NO_DESCRIPTOR


def test_names_fit_and_entries_are_apart() -> None:
    counters = CountersFile.allocate()
    counters.processes[0].name.set("a" * 24)
    counters.stages[0].name.set("matching")
    counters.stages[0].latency.total = 5
    assert counters.processes[0].name.get() == "a" * 24
    assert counters.processes[0].stages.get() == ""
    assert counters.stages[1].name.get() == ""
    assert StageStatistics.size == counters.stages[1].address - counters.stages[0].address
