"""The folder of a venue: what is where in it, whose it is, and who uses it.

    venue.json    identity: format, name, shape, the version that made it
    lock          held by every process of the venue that runs
    standby       held by a process that waits to take the venue's place
    journal/      segments and their side files
    snapshots/    one file for each moment; that of moment 0 is how the venue began
    archive/      compressed segments that the journal no longer needs
    events/       event logs made from the journal; may be deleted

Only its owner may look inside: it has every order and balance.
"""

import fcntl
import json
import os
import shutil
import time
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from engine.durability.errors import DataDirForeign, DataDirInUse
from engine.durability.format import ENGINE_VERSION
from engine.durability.snapshot import sync_folder
from ipc.counters import is_alive, process_start_time

FORMAT: Final = 1
IDENTITY: Final = "venue.json"
_UNFINISHED: Final = IDENTITY + ".unfinished"
LOCK: Final = "lock"
STANDBY: Final = "standby"
LOOKS: Final = 3
LOOK_SECONDS: Final = 0.01
"""So often, and with such a pause, a lock is tried before it counts as held."""
FOLDERS: Final = ("journal", "snapshots", "archive", "events")
_PRIVATE: Final = 0o700


@dataclass(frozen=True, slots=True)
class Identity:
    """What a folder is the folder of; the shape is fixed, as replay must take the same steps."""

    name: str
    shards: int
    event_slots: int
    engine_version: int = ENGINE_VERSION
    format: int = FORMAT
    created: str = ""
    "UTC, ISO 8601."


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes on the file system of the folder, and in its parts."""

    free: int
    "That this user may still write."
    total: int
    used: dict[str, int]
    "By part of the folder; what is preallocated counts."


def default_place(venue: str) -> Path:
    """Where a venue's folder is unless the configuration says: the user's state folder."""
    base = os.environ.get("XDG_STATE_HOME", "")
    # The convention says that a relative path is to be ignored.
    state = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return state / "okimi" / venue


@dataclass(frozen=True, slots=True)
class DataDir:
    """A folder that has an identity."""

    path: Path
    identity: Identity

    @property
    def journal(self) -> Path:
        """The journal's segments."""
        return self.path / "journal"

    @property
    def snapshots(self) -> Path:
        """The snapshots."""
        return self.path / "snapshots"

    @property
    def archive(self) -> Path:
        """Compressed segments."""
        return self.path / "archive"

    @property
    def events(self) -> Path:
        """Event logs."""
        return self.path / "events"

    def space(self) -> Space:
        """How much room there is, and who takes how much."""
        room = shutil.disk_usage(self.path)
        facts = os.statvfs(self.path)
        used = {part: _bytes_in(self.path / part) for part in FOLDERS}
        return Space(facts.f_bavail * facts.f_frsize, room.total, used)

    def lock(self) -> "Lock":
        """Take the folder for this process. Raises DataDirInUse, which says who has it."""
        return Lock(self.path)


def _bytes_in(folder: Path) -> int:
    """Bytes on disk of all files of a folder; one that vanishes meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


# --- identity --------------------------------------------------------------------------------


def is_fresh(path: Path) -> bool:
    """Whether no venue has begun here: no folder, an empty one, or what a cut short start left."""
    if not path.exists():
        return True
    if not path.is_dir():
        return False
    started = {LOCK, *FOLDERS, _UNFINISHED}
    return {child.name for child in path.iterdir()} <= started and not any(
        (path / "journal").glob("*")
    )


def begin(path: Path, identity: Identity) -> DataDir:
    """Make the folder of a new venue, which has an identity only after `settle`.

    Raises DataDirForeign when something else is there.
    """
    if not is_fresh(path):
        raise DataDirForeign(
            f"{path} holds other files and no {IDENTITY}, so it is of no venue: give an empty or "
            "new folder as --data-dir"
        )
    path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    path.chmod(_PRIVATE)
    for part in FOLDERS:
        (path / part).mkdir(mode=_PRIVATE, exist_ok=True)
    folder = DataDir(path, identity)
    for left in folder.snapshots.iterdir():
        left.unlink()
    return folder


def settle(folder: DataDir) -> DataDir:
    """Write the identity of a folder that was just begun: from now on it is the venue's.

    Comes after the snapshot of the beginning: a folder with an identity has one.
    """
    identity = {**asdict(folder.identity), "created": datetime.now(UTC).isoformat()}
    unfinished = folder.path / _UNFINISHED
    with open(unfinished, "w", encoding="utf-8") as file:
        json.dump(identity, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.rename(unfinished, folder.path / IDENTITY)
    sync_folder(folder.path)
    sync_folder(folder.path.parent)
    return attach(folder.path)


def attach(path: Path) -> DataDir:
    """The folder of an existing venue. Raises DataDirForeign when it is none."""
    try:
        written = json.loads((path / IDENTITY).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataDirForeign(f"{path} is no data folder of okimi: it has no {IDENTITY}") from None
    except (OSError, ValueError) as error:
        raise DataDirForeign(f"{path / IDENTITY} cannot be read: {error}") from None
    kinds = {field.name: field.type for field in fields(Identity)}
    if not isinstance(written, dict) or not all(
        isinstance(written.get(name), int if kind is int else str) for name, kind in kinds.items()
    ):
        raise DataDirForeign(f"{path / IDENTITY} does not have the keys {', '.join(kinds)}")
    if written["format"] != FORMAT:
        raise DataDirForeign(
            f"{path} has format {written['format']}, this version of okimi reads {FORMAT}: use "
            "the version that made it"
        )
    return DataDir(path, Identity(**{name: written[name] for name in kinds}))


def check_identity(folder: DataDir, wanted: Identity) -> None:
    """Refuse a folder of another venue, or of this one in another shape. Raises DataDirForeign."""
    has = folder.identity
    if has.name != wanted.name:
        raise DataDirForeign(
            f"{folder.path} belongs to venue {has.name!r}, not to {wanted.name!r}: give that "
            "--name, or another --data-dir"
        )
    for name, key in (("shards", "venue.shards"), ("event_slots", "rings.event_slots")):
        begun, now = getattr(has, name), getattr(wanted, name)
        if begun != now:
            raise DataDirForeign(
                f"{folder.path} was begun with {key} = {begun}, the configuration says {now}: "
                f"set it back, or begin anew with another --data-dir"
            )
    if has.engine_version != wanted.engine_version:
        raise DataDirForeign(
            f"{folder.path} was begun by engine version {has.engine_version}, this is "
            f"{wanted.engine_version}, which executes decisions otherwise: use that version"
        )


# --- lock ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Holder:
    """Who took the lock last."""

    pid: int
    start: int
    "Start time of that process, which tells a reused pid."

    @property
    def alive(self) -> bool:
        """Whether that process still runs."""
        return is_alive(self.pid, self.start)


class Lock:
    """Holds a folder until it is released, or every process that inherited it has ended.

    Processes that are forked afterwards hold it, too: nobody else can take the folder while one
    of them may still write.
    """

    def __init__(self, path: Path, name: str = LOCK) -> None:
        """Take the lock of a folder, which is made if it is not there. Raises DataDirInUse.

        `name`: LOCK for whoever serves and writes, STANDBY for whoever waits to take its place.
        """
        path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        self._descriptor = os.open(path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _take(self._descriptor):
            os.close(self._descriptor)
            remedy = {
                LOCK: "end that venue with `okimi down`, or give another --data-dir",
                STANDBY: "one is enough, end that one first",
            }
            raise DataDirInUse(
                f"{path / name} is held {describe_holder(path, name)}: {remedy[name]}"
            )
        mine = {"pid": os.getpid(), "start": process_start_time(os.getpid())}
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(mine).encode(), 0)

    def release(self) -> None:
        """Give the folder back, as far as this process is concerned."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *reason: object) -> None:
        self.release()


def _take(descriptor: int) -> bool:
    """Take a lock, if nobody has it; who only looks (`is_locked`) has it for microseconds."""
    for _ in range(LOOKS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOOK_SECONDS)
        else:
            return True
    return False


def is_locked(path: Path, name: str = LOCK) -> bool:
    """Whether somebody holds a lock of a folder."""
    try:
        descriptor = os.open(path / name, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def holder(path: Path, name: str = LOCK) -> Holder | None:
    """Who took a lock last, whether or not it is still held; None when nobody can be named."""
    try:
        written = json.loads((path / name).read_bytes())
        return Holder(int(written["pid"]), int(written["start"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def describe_holder(path: Path, name: str = LOCK) -> str:
    """Who holds a lock, for messages."""
    last = holder(path, name)
    if last is None:
        return "by another process"
    if last.alive:
        return f"by process {last.pid}"
    return f"by processes that process {last.pid} started, which has ended"
