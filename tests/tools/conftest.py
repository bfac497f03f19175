"""Fixtures for tests of the read-only tools: real venues and real processes that do not outlive
their test, whatever happens in it.
"""

import ctypes
import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from engine.config import Config, load
from engine.topology import GATEWAY, plan
from engine.venue import VenueMemory, create, segment_name
from ipc import segment
from ipc.counters import RUNNING, enlist
from tests.desk import as_array
from tests.durability.folders import Recorder
from tests.tools.small_journal import COMMANDS, CONFIG

PATIENCE_S = 120.0
"""How long a test waits for another process; reached only when something hangs."""


class Children:
    """Forked processes of one test."""

    def __init__(self) -> None:
        self._running: set[int] = set()

    def start(self, work: Callable[[], object]) -> int:
        """Fork a process that runs `work`, tells so, and then sleeps; returns when it told."""
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # die with the test
                work()
                os.write(tell, b"!")
                while True:
                    time.sleep(3600)
            finally:
                os._exit(1)
        self._running.add(pid)
        os.close(tell)
        with os.fdopen(told, "rb") as pipe:
            assert pipe.read(1) == b"!", "the child failed"
        return pid

    def adopt(self, pid: int) -> int:
        """Let go of a child that was forked elsewhere in the end, too."""
        self._running.add(pid)
        return pid

    def kill(self, pid: int) -> None:
        """kill -9, and collect it."""
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self._running.discard(pid)

    def join(self, pid: int) -> int:
        """Exit code of a child that ends by itself."""
        _, status = os.waitpid(pid, 0)
        self._running.discard(pid)
        return os.waitstatus_to_exitcode(status)

    def stop_all(self) -> None:
        for pid in list(self._running):
            self.kill(pid)


@pytest.fixture
def children() -> Iterator[Children]:
    family = Children()
    try:
        yield family
    finally:
        family.stop_all()


@pytest.fixture
def name() -> Iterator[str]:
    """A venue name of this test alone; nothing of that name stays."""
    chosen = f"test-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        yield chosen
    finally:
        for part in segment.names(segment_name(chosen, "")):
            (segment.SHARED_MEMORY / part).unlink(missing_ok=True)


@pytest.fixture
def config(name: str) -> Config:
    return load(overrides={"venue.durability": "memory", "venue.name": name, "venue.tick_ms": 0})


@pytest.fixture
def venue(config: Config) -> Iterator[VenueMemory]:
    """The shared memory of a venue with a gateway, whose processes have not started."""
    made = create(config, plan(config, (GATEWAY,), cores=[0]))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def start(venue: VenueMemory) -> Callable[[], None]:
    """A function by which this process takes all places of the venue, and beats once for each."""

    def take_all_places() -> None:
        for each in venue.topology.processes:
            entry = venue.entry(each.name)
            enlist(entry)
            entry.state = RUNNING
            entry.heartbeat.word.value = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        venue.counters.ready = 1

    return take_all_places


@pytest.fixture
def shown() -> Callable[[RenderableType], str]:
    """A function that gives the text of what would be printed."""

    def show(renderable: RenderableType) -> str:
        console = Console(file=StringIO(), width=160, height=100, color_system=None)
        console.print(renderable)
        text = console.file
        assert isinstance(text, StringIO)
        return text.getvalue()

    return show


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a venue that has executed COMMANDS: five frames of two decisions."""
    path = tmp_path_factory.mktemp("journal") / "venue"
    recorder = Recorder(path, Config.build(**CONFIG), frame_decisions=2)
    recorder.run(as_array(COMMANDS))
    recorder.close()
    assert recorder.last == len(COMMANDS)
    return path


@pytest.fixture
def folder(recorded: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(recorded, tmp_path / "copy"))
