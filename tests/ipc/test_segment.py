"""Segments: who owns them, who may attach, what is reclaimed, what is refused."""

import os
import secrets
import signal
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ipc import memory, segment
from ipc.errors import (
    MemoryFault,
    SegmentError,
    SegmentForeign,
    SegmentInUse,
    SegmentMismatch,
    SegmentMissing,
    SegmentSpace,
)
from ipc.segment import FORMAT, MAGIC, SegmentHeader, attach, create, inspect, names, unlink

pytestmark = pytest.mark.interpreted

SIZE = 8192
PRINT = 12345


@pytest.fixture
def name() -> Iterator[str]:
    """A name that nobody else uses; gone after the test."""
    unique = f"{segment.PREFIX}test-{os.getpid()}-{secrets.token_hex(4)}"
    yield unique
    unlink(unique)


@pytest.fixture
def make(name: str) -> Iterator[Callable[..., segment.Segment]]:
    """`create` and `attach` with the usual values; what they return is closed after the test."""
    opened = []

    def open_(how: Callable[..., segment.Segment], **changes: Any) -> segment.Segment:
        arguments = {"name": name, "size": SIZE, "fingerprint": PRINT, **changes}
        opened.append(how(**arguments))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


def abandon(children: Any, work: Callable[[], object]) -> None:
    """Run `work` in a process that is dead and buried afterwards."""
    assert children.join(children.start(work)) == 0


# --- making and attaching --------------------------------------------------------------------


def test_a_new_segment_is_zeroed_and_says_whose_it_is(make: Any, name: str) -> None:
    made = make(create)
    region = memory.find(made.address, SIZE)
    assert made.size == SIZE
    assert bytes(region.view[SegmentHeader.size :]) == bytes(SIZE)
    header = made.header
    assert (header.magic, header.format, header.epoch) == (MAGIC, FORMAT, 1)
    assert header.owner_pid == os.getpid()
    assert made.address % 128 == 0
    assert inspect(name)[0]
    assert name in names()
    assert os.stat(f"/dev/shm/{name}").st_mode & 0o777 == 0o600


@pytest.mark.system
def test_what_one_process_writes_another_one_reads(make: Any, name: str, children: Any) -> None:
    made = make(create)

    def write() -> None:
        other = attach(name, SIZE, PRINT)
        memory.write_word(other.address + 64, 4711)
        other.close()

    abandon(children, write)
    assert memory.read_word(made.address + 64) == 4711


def test_two_mappings_in_one_process_are_the_same_memory(make: Any) -> None:
    made, attached = make(create), make(attach)
    assert made.address != attached.address
    memory.write_word(made.address, -1)
    assert memory.read_word(attached.address) == -1


def test_a_closed_segment_cannot_be_reached_but_lives_on(make: Any, name: str) -> None:
    made = make(create)
    second = attach(name, SIZE, PRINT)
    address = second.address
    second.close()
    with pytest.raises(MemoryFault):
        memory.read_word(address)
    assert memory.read_word(made.address) == 0


def test_an_unlinked_segment_stays_usable_for_those_who_have_it(make: Any, name: str) -> None:
    made = make(create)
    assert unlink(name)
    assert not unlink(name)
    memory.write_word(made.address, 5)
    assert memory.read_word(made.address) == 5
    with pytest.raises(SegmentMissing, match=name):
        make(attach)
    assert name not in names()


def test_pages_can_be_had_in_advance(make: Any, name: str) -> None:
    made = make(create, size=1 << 20)
    blocks = os.stat(f"/dev/shm/{name}").st_blocks
    made.prefault()
    assert os.stat(f"/dev/shm/{name}").st_blocks * 512 >= 1 << 20 > blocks * 512
    assert made.prefer_huge_pages() in (True, False)
    assert bytes(memory.find(made.address, 1 << 20).view[-4096:]) == bytes(4096)


# --- refusals --------------------------------------------------------------------------------


def test_names_carry_the_prefix() -> None:
    with pytest.raises(ValueError, match=r"begin with 'okimi\.'"):
        create("other.name", SIZE, PRINT)


def test_a_name_with_a_living_owner_is_refused(make: Any, name: str) -> None:
    made = make(create)
    memory.write_word(made.address, 9)
    with pytest.raises(SegmentInUse, match=f"{name}.*pid {os.getpid()}, alive"):
        make(create)
    assert memory.read_word(make(attach).address) == 9


def test_attaching_to_nothing_is_refused(make: Any, name: str) -> None:
    with pytest.raises(SegmentMissing, match=name):
        make(attach)
    with pytest.raises(SegmentMissing, match=name):
        inspect(name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": SIZE + 8}, f"holds {SIZE} bytes, expected {SIZE + 8}"),
        ({"fingerprint": PRINT + 1}, "another record layout"),
    ],
)
def test_another_layout_is_refused(make: Any, changes: dict[str, int], message: str) -> None:
    make(create)
    with pytest.raises(SegmentMismatch, match=message):
        make(attach, **changes)
    assert make(attach, size=None, fingerprint=None).size == SIZE


def test_another_header_format_is_refused(make: Any) -> None:
    make(create).header.format = FORMAT + 1
    with pytest.raises(SegmentMismatch, match="format 2, not 1"):
        make(attach)


def test_something_that_was_not_made_by_this_program_is_left_alone(make: Any, name: str) -> None:
    path = f"/dev/shm/{name}"
    with open(path, "wb") as file:
        file.write(struct.pack("<q", 0x1234) + bytes(SIZE))
    for attempt in (create, attach):
        with pytest.raises(SegmentForeign, match="not made by okimi"):
            make(attempt)
    with pytest.raises(SegmentForeign):
        inspect(name)
    with open(path, "rb") as file:
        assert file.read(8) == struct.pack("<q", 0x1234)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_segment_of_another_user_is_refused(make: Any, name: str) -> None:
    make(create)
    os.chown(f"/dev/shm/{name}", 12345, -1)
    for attempt in (create, attach):
        with pytest.raises(SegmentForeign, match="belongs to user 12345"):
            make(attempt)


def test_more_than_there_is_room_for_is_refused(make: Any, name: str) -> None:
    with pytest.raises(SegmentSpace, match="make it larger"):
        make(create, size=1 << 50)
    assert name not in names()


def test_refusals_leave_no_mapping_behind(make: Any) -> None:
    make(create)
    with open("/proc/self/maps") as maps:
        before = maps.read().count(segment.PREFIX)
    for _ in range(20):
        with pytest.raises(SegmentError):
            make(attach, fingerprint=PRINT + 1)
        with pytest.raises(SegmentInUse):
            make(create)
    with open("/proc/self/maps") as maps:
        assert maps.read().count(segment.PREFIX) == before


# --- owners that died ------------------------------------------------------------------------


@pytest.mark.system
def test_a_segment_whose_owner_is_dead_is_reclaimed(make: Any, name: str, children: Any) -> None:
    def leave_behind() -> None:
        memory.write_word(create(name, SIZE, PRINT).address, 99)

    abandon(children, leave_behind)
    alive, description = inspect(name)
    assert not alive
    assert "dead" in description
    assert memory.read_word(make(attach).address) == 99  # a survivor may still look
    made = make(create, size=SIZE * 2)
    assert memory.read_word(made.address) == 0
    assert made.header.owner_pid == os.getpid()


@pytest.mark.system
def test_a_zombie_owns_nothing(make: Any, name: str, children: Any) -> None:
    pid = children.start(lambda: create(name, SIZE, PRINT))
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # dead, not yet buried
    assert not inspect(name)[0]
    make(create)
    assert children.join(pid) == 0


def test_a_pid_that_was_given_to_another_process_is_not_the_owner(make: Any, name: str) -> None:
    made = make(create)
    made.header.owner_start = made.header.owner_start + 1
    assert not inspect(name)[0]


def test_an_owner_before_the_last_boot_is_dead(make: Any, name: str) -> None:
    made = make(create)
    made.header.boot = made.header.boot ^ 1
    assert not inspect(name)[0]


@pytest.mark.parametrize("content", [b"", bytes(16), bytes(SegmentHeader.size + SIZE)])
def test_a_segment_that_was_never_finished_is_reclaimed(
    make: Any, name: str, content: bytes
) -> None:
    with open(f"/dev/shm/{name}", "wb") as file:
        file.write(content)
    assert inspect(name) == (False, "unfinished")
    with pytest.raises((SegmentMismatch, SegmentForeign)):
        make(attach)
    assert make(create).size == SIZE


@pytest.mark.system
def test_of_many_that_reclaim_at_once_exactly_one_wins(name: str, children: Any) -> None:
    for _ in range(15):
        abandon(children, lambda: create(name, SIZE, PRINT))
        gate_read, gate_write = os.pipe()
        claims_read, claims_write = os.pipe()

        def race(gate: int = gate_read, ours: int = gate_write, claims: int = claims_write) -> None:
            os.close(ours)
            os.read(gate, 1)  # until everybody is there
            try:
                create(name, SIZE, PRINT)
                os.write(claims, b"+")
            except SegmentInUse:
                os.write(claims, b"-")
            time.sleep(1000)  # an owner that lives

        racers = [children.start(race) for _ in range(4)]
        os.close(gate_read)
        os.close(gate_write)
        outcome = b""
        while len(outcome) < len(racers):
            outcome += os.read(claims_read, 16)
        for racer in racers:
            children.kill(racer)
        os.close(claims_read)
        os.close(claims_write)
        assert outcome.count(b"+") == 1, outcome
        unlink(name)


@pytest.mark.system
def test_a_killed_owner_leaves_no_doubt(make: Any, name: str, children: Any) -> None:
    read_end, write_end = os.pipe()

    def hold() -> None:
        create(name, SIZE, PRINT)
        os.write(write_end, b"+")
        signal.pause()

    pid = children.start(hold)
    assert os.read(read_end, 1) == b"+"
    os.close(read_end)
    os.close(write_end)
    with pytest.raises(SegmentInUse, match=f"pid {pid}"):
        make(create)
    children.kill(pid)
    make(create)
