"""Files of the materialised event log: what a matching shard told, kept for who comes later.

    D/events/<shard>/<first eseq>.events      blocks: header, CRC32C, up to 1024 events

They are derived: whatever is missing or damaged is made again from the journal, so nothing is
synced and the oldest file is given up when there are too many. The shadow writes them, and only
what is durable; `engine.durability.eventlog` reads them.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import google_crc32c
import numpy as np

from engine.durability.errors import DataDirInUse, EventsRotten
from engine.durability.file_storage import FOLDER_MODE
from engine.durability.format import ENGINE_VERSION
from engine.durability.packing import pack, unpack
from engine.messages import MESSAGE_BYTES, Event, slot_dtype
from ipc.record import CACHE_LINE_BYTES, Codec, Record, i64, u32

MAGIC: Final = int.from_bytes(b"okimi\x00ev", "little")

BLOCK_EVENTS_MAX: Final = 1024
"""Events of a block: 192 KiB at most, so that a read of few events does not fetch many."""

EVENT_FILE_BYTES: Final = 64 << 20
"""A file that has reached this is ended; the next block begins a new one."""

EVENT_FILES_MAX: Final = 16
"""Files kept for a shard, the newest ones: 1 GiB, some eight million events."""

SUFFIX: Final = ".events"
NAME_DIGITS: Final = 20
"""Digits of any int64, so that names sort like numbers."""

assert BLOCK_EVENTS_MAX * MESSAGE_BYTES < EVENT_FILE_BYTES


class EventBlock(Record, align=CACHE_LINE_BYTES):
    """What a block begins with; its events follow, each of 128 bytes, or 192 with TERMS."""

    magic: i64
    first_eseq: i64
    last_dseq: i64
    "The decision that caused the last of the events."
    engine_version: u32
    shard: u32
    count: u32
    payload_bytes: u32
    crc: u32
    "CRC32C of this header, with 0 in this place, and the events."


_CODEC: Final = Codec(EventBlock)
_CRC_AT: Final = EventBlock.fields["crc"].offset
SLOTS: Final = slot_dtype(Event)
"""An event of any kind, with room for its terms."""

assert EventBlock.size == CACHE_LINE_BYTES


class Run(NamedTuple):
    """Events that follow each other, packed."""

    first_eseq: int
    end_eseq: int
    "The event that follows."
    last_dseq: int
    payload: bytes

    def slots(self) -> Any:
        """The events as an array of slots."""
        return unpack(self.payload, self.end_eseq - self.first_eseq, SLOTS)


def folder_of(events: Path, shard: int) -> Path:
    """Where a shard's files lie in the folder of the event log."""
    return events / str(shard)


def _crc(header: bytes, payload: bytes) -> int:
    """The checksum of a block, whatever its header has in the place of the checksum."""
    blank = header[:_CRC_AT] + bytes(4) + header[_CRC_AT + 4 :]
    found: int = google_crc32c.extend(google_crc32c.value(blank), payload)
    return found


def _encode(shard: int, slots: Any) -> bytes:
    """A block of events."""
    payload = pack(slots)
    fields = {
        "magic": MAGIC,
        "first_eseq": int(slots["sequence"][0]),
        "last_dseq": int(slots["dseq"][-1]),
        "engine_version": ENGINE_VERSION,
        "shard": shard,
        "count": len(slots),
        "payload_bytes": len(payload),
    }
    crc = _crc(_CODEC.encode(**fields), payload)
    return _CODEC.encode(**fields, crc=crc) + payload


class EventFiles:
    """The files of one shard, for reading; a writer may append meanwhile."""

    def __init__(self, events: Path, shard: int) -> None:
        """`events`: the folder of the event log. Nothing need be there."""
        self.folder = folder_of(events, shard)
        self.shard = shard

    def firsts(self) -> list[int]:
        """First eseq of each file, ascending."""
        if not self.folder.is_dir():
            return []
        names = [path.stem for path in self.folder.iterdir() if path.suffix == SUFFIX]
        return sorted(int(name) for name in names if name.isdecimal())

    def path(self, first_eseq: int) -> Path:
        """The file that begins with an event."""
        return self.folder / f"{first_eseq:0{NAME_DIGITS}}{SUFFIX}"

    def runs(self, from_eseq: int) -> Iterator[Run]:
        """Blocks from the one that holds `from_eseq` to the end; none if it is not kept.

        A last block that is not whole is one that is being written, or was when the machine
        stopped: it does not count. Raises EventsRotten for any other damage.
        """
        firsts = self.firsts()
        begin = sum(first <= from_eseq for first in firsts) - 1
        if begin < 0:
            return
        expected = firsts[begin]
        for place in range(begin, len(firsts)):
            if firsts[place] != expected:
                if not self.path(firsts[place - 1]).exists():
                    return  # given up meanwhile
                raise EventsRotten(
                    f"{self.path(firsts[place - 1])} ends before event {expected}, and the next "
                    f"file begins with {firsts[place]}; make all again: okimi events --rebuild"
                )
            for run in self._blocks(firsts[place], expected, from_eseq):
                expected = run.end_eseq
                if expected > from_eseq:
                    yield run

    def _blocks(self, first: int, expected: int, from_eseq: int) -> Iterator[Run]:
        """The blocks of a file; of those before `from_eseq` the header only."""
        try:
            file = self.path(first).open("rb")
        except FileNotFoundError:  # given up just now
            return
        with file:
            while True:
                header = file.read(EventBlock.size)
                if len(header) < EventBlock.size:
                    return
                block = _CODEC.values._make(_CODEC.struct.unpack(header))
                if block.magic != MAGIC or block.first_eseq != expected:
                    return
                if block.engine_version != ENGINE_VERSION:
                    raise EventsRotten(
                        f"{self.path(first)} is of version {block.engine_version} of the engine, "
                        f"this is {ENGINE_VERSION}; make it again: okimi events --rebuild"
                    )
                expected += block.count
                if expected <= from_eseq:
                    file.seek(block.payload_bytes, os.SEEK_CUR)
                    yield Run(block.first_eseq, expected, block.last_dseq, b"")
                    continue
                payload = file.read(block.payload_bytes)
                if len(payload) < block.payload_bytes or _crc(header, payload) != block.crc:
                    return
                yield Run(block.first_eseq, expected, block.last_dseq, payload)

    def end(self) -> tuple[int, int]:
        """The eseq that comes next, and the decision of the last event; (0, 0) without files."""
        firsts = self.firsts()
        end = (0, 0)
        if firsts:
            end = (firsts[-1], 0)
            for run in self.runs(firsts[-1]):
                end = (run.end_eseq, run.last_dseq)
        return end


class EventFilesWriter:
    """Appends to the files of one shard. One writer at a time: whoever follows the journal."""

    def __init__(self, events: Path, shard: int, durable_dseq: int) -> None:
        """Go on behind what is there, but for blocks that are damaged or beyond `durable_dseq`.

        `durable_dseq`: the last decision of the journal; what followed from a later one that was
        lost in a crash must not stay. Raises DataDirInUse when another process writes them.
        """
        self._files = EventFiles(events, shard)
        self._files.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._lock = _lock(self._files.folder)
        self.next_eseq = 0
        "The event that is to be appended next; 0: any."
        self._file: Any = None
        try:
            self._resume(durable_dseq)
        except BaseException:
            self.close()
            raise

    def _resume(self, durable_dseq: int) -> None:
        """Keep the good blocks from the beginning on, cut off what is behind them."""
        expected, files = 0, self._files
        for first in files.firsts():
            path, good_bytes = files.path(first), 0
            if expected in (0, first):
                for run in files._blocks(first, first, first):
                    if run.last_dseq > durable_dseq:
                        break
                    expected = run.end_eseq
                    good_bytes += EventBlock.size + len(run.payload)
            if good_bytes == 0:
                path.unlink()
                continue
            if good_bytes < path.stat().st_size:
                os.truncate(path, good_bytes)
            self.next_eseq = expected
        newest = files.firsts()
        if newest:
            self._file = files.path(newest[-1]).open("ab", buffering=0)

    def append(self, raw: bytes | memoryview) -> None:
        """Keep events: whole slots, in sequence. Those that are kept already are passed over.

        A gap begins the log anew behind it: what came before can be had from the journal.
        """
        slots = np.frombuffer(raw, SLOTS)
        if len(slots) == 0:
            return
        first, last = int(slots["sequence"][0]), int(slots["sequence"][-1])
        assert last - first + 1 == len(slots), "append: events are not in sequence"
        if self.next_eseq and first > self.next_eseq:
            self.clear()
        slots = slots[max(self.next_eseq - first, 0) :]
        for start in range(0, len(slots), BLOCK_EVENTS_MAX):
            self._write(slots[start : start + BLOCK_EVENTS_MAX])

    def _write(self, slots: Any) -> None:
        first = int(slots["sequence"][0])
        block = _encode(self._files.shard, slots)
        if self._file is None or self._file.tell() + len(block) > EVENT_FILE_BYTES:
            self._begin(first)
        written = self._file.write(block)
        if written != len(block):  # no room: a reader passes over a block that is not whole
            self._file.truncate(self._file.tell() - written)
            raise OSError(f"{self._file.name}: {written} of {len(block)} bytes were written")
        self.next_eseq = first + len(slots)

    def _begin(self, first_eseq: int) -> None:
        """A new file; the oldest ones go."""
        self._end_file()
        self._file = self._files.path(first_eseq).open("ab", buffering=0)
        for old in self._files.firsts()[:-EVENT_FILES_MAX]:
            self._files.path(old).unlink()

    def clear(self) -> None:
        """Give up all files."""
        self._end_file()
        for first in self._files.firsts():
            self._files.path(first).unlink()
        self.next_eseq = 0

    def close(self) -> None:
        """Let go of the files; others may write them now."""
        self._end_file()
        os.close(self._lock)

    def _end_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _lock(folder: Path) -> int:
    """A descriptor that holds the lock of a shard's files."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DataDirInUse(
            f"another process writes the events in {folder}, probably the venue's shadow: they "
            "are made again when the venue has ended"
        ) from None
    return descriptor
