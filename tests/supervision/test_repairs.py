"""What is made of the end of a process, and of the children of a supervisor."""

import os
import signal
import time

import pytest

from engine.membership import EXIT_FENCED, EXIT_STORAGE
from engine.topology import ProcessPlan
from ipc.counters import AT_RISK, DEAD, RUNNING, ProcessEntry
from tests.system.commandline import gone, wait_until
from tools.supervision.children import Child, Children
from tools.supervision.policy import Cause, Record
from tools.supervision.repairs import cause_of, death_of

PLAN = ProcessPlan("risk", ("risk",), cpu=0, strategy=0)


def child(hung: bool = False, doomed: str = "") -> Child:
    return Child(1, PLAN, -1, 0, doomed, hung)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (1, Cause.CRASHED),
        (EXIT_STORAGE, Cause.CRASHED),
        (-signal.SIGSEGV, Cause.CRASHED),
        (-signal.SIGABRT, Cause.CRASHED),
        (-signal.SIGKILL, Cause.KILLED),
        (-signal.SIGTERM, Cause.KILLED),
        (0, Cause.KILLED),
        (EXIT_FENCED, Cause.KILLED),
    ],
)
def test_who_ends_by_itself_and_who_is_killed(code: int, cause: Cause) -> None:
    assert cause_of(child(), code) is cause


def test_who_was_killed_for_hanging_has_done_it_itself() -> None:
    assert cause_of(child(hung=True), -signal.SIGKILL) is Cause.HUNG
    assert cause_of(child(doomed="it was stopped"), -signal.SIGKILL) is Cause.KILLED


def test_a_death_tells_what_the_process_has_said() -> None:
    entry = ProcessEntry.allocate()
    entry.last_error.set("of before")
    entry.state = RUNNING
    killed = death_of(child(), -signal.SIGKILL, entry)
    assert (killed.text, killed.record) == ("killed by SIGKILL", None)
    stopped = death_of(child(doomed="no heartbeat"), -signal.SIGKILL, entry)
    assert stopped.text == "no heartbeat"
    entry.last_error.set("AssertionError: ...")
    entry.state, entry.at_stage, entry.at = DEAD, AT_RISK, 77
    crashed = death_of(child(), 1, entry)
    assert (crashed.text, crashed.record) == ("AssertionError: ...", Record(AT_RISK, 77))


def test_ends_are_noticed_with_their_codes() -> None:
    children = Children()
    first = children.fork(PLAN, lambda: 7)
    ended = children.reap(wait_seconds=60)
    assert [(each.pid, code) for each, code in ended] == [(first.pid, 7)]
    assert children.living == {}

    def fail() -> int:
        raise ValueError("it cannot")

    children.fork(PLAN, fail)
    assert [code for _, code in children.reap(60)] == [1]


def test_who_does_not_end_when_asked_is_killed() -> None:
    children = Children()

    def refuse() -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(1)

    def agree() -> int:
        while True:
            time.sleep(1)

    stubborn, kind = children.fork(PLAN, refuse), children.fork(PLAN, agree)
    time.sleep(0.2)
    ended = dict((each.pid, code) for each, code in children.end([stubborn, kind], 0.5))
    assert ended == {stubborn.pid: -signal.SIGKILL, kind.pid: -signal.SIGTERM}


def test_children_end_with_their_supervisor() -> None:
    read_end, write_end = os.pipe()

    def wait() -> int:
        while True:
            time.sleep(1)

    supervisor = os.fork()
    if supervisor == 0:
        made = Children().fork(PLAN, wait)
        time.sleep(0.2)
        os.write(write_end, str(made.pid).encode())
        os._exit(0)
    pid = int(os.read(read_end, 20))
    os.waitpid(supervisor, 0)
    assert wait_until(lambda: gone(pid))
    os.close(read_end)
    os.close(write_end)
