"""`okimi clean` takes what dead owners left, and nothing else."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from engine.venue import segment_name
from ipc import segment
from tools.clean import ALIVE, FOREIGN, UNFINISHED, UNFINISHED_AGE_MIN_S, clean, kept, stale, survey


def make_dead(name: str, children: Any, *parts: str) -> list[str]:
    """Segments whose owner was killed."""
    names = [segment_name(name, part) for part in parts]
    owner = children.start(lambda: [segment.create(each, 4096, 7) for each in names])
    children.kill(owner)
    return names


def raw_segment(name: str, part: str, content: bytes) -> Path:
    path = segment.SHARED_MEMORY / segment_name(name, part)
    path.write_bytes(content)
    return path


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_segments_of_a_killed_owner_are_removed(name: str, children: Any) -> None:
    dead = make_dead(name, children, "counters", "ring.events")
    assert [found for found, _ in stale(name)] == dead
    assert all("dead" in reason for _, reason in stale(name))
    assert clean(venue=name) == dead
    assert segment.names(segment_name(name, "")) == []
    assert clean(venue=name) == []


def test_a_dry_run_removes_nothing(name: str, children: Any) -> None:
    dead = make_dead(name, children, "counters")
    assert clean(dry_run=True, venue=name) == dead
    assert segment.names(segment_name(name, "")) == dead


def test_segments_of_a_living_owner_stay(name: str, children: Any) -> None:
    part = segment_name(name, "counters")
    owner = children.start(lambda: segment.create(part, 4096, 7))
    assert clean(venue=name) == []
    assert [found.state for found in survey(name)] == [ALIVE]
    [(kept_name, reason)] = kept(name)
    assert kept_name == part
    assert f"pid {owner}" in reason
    assert segment.names(part) == [part]


def test_only_the_named_venue_is_cleaned(name: str, children: Any) -> None:
    dead = make_dead(name, children, "counters")
    assert stale(name + "0") == []
    assert clean(venue=name[:-1]) == []
    assert segment.names(segment_name(name, "")) == dead


def test_files_of_other_programs_stay(name: str) -> None:
    path = raw_segment(name, "notes", b"not okimi" * 100)
    age(path, 3600)
    assert clean(venue=name) == []
    [found] = survey(name)
    assert found.state == FOREIGN
    assert "not made by okimi" in found.reason
    assert path.exists()


def test_what_is_no_file_stays(name: str) -> None:
    path = segment.SHARED_MEMORY / segment_name(name, "link")
    path.symlink_to("/dev/null")
    assert clean(venue=name) == []
    assert [found.state for found in survey(name)] == [FOREIGN]
    assert path.is_symlink()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
def test_segments_of_other_users_stay(name: str, children: Any) -> None:
    [dead] = make_dead(name, children, "counters")
    os.chown(segment.SHARED_MEMORY / dead, 4321, -1)
    assert clean(venue=name) == []
    [found] = survey(name)
    assert found.state == FOREIGN
    assert "4321" in found.reason


@pytest.mark.parametrize("content", [b"", bytes(8192)])
def test_an_unfinished_segment_is_left_to_its_maker_for_a_while(name: str, content: bytes) -> None:
    path = raw_segment(name, "counters", content)
    assert clean(venue=name) == []
    assert [found.state for found in survey(name)] == [UNFINISHED]
    age(path, UNFINISHED_AGE_MIN_S + 1)
    assert clean(venue=name) == [path.name]
    assert not path.exists()
