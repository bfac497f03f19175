"""`okimi journal verify`: is every decision there, undamaged and in its place?

Each frame's checksum, the chain of frames, dense decisions and the end are checked by the reader
that recovery uses; copies of headers that are not those of their frames are counted. A torn tail
is no damage: nobody was told of what is in it.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from engine.durability.errors import DurabilityError
from engine.durability.format import HEADER_BYTES
from engine.durability.tail import damaged_copies
from tools.journal.opening import OpenJournal
from tools.journal.progress import metered


@dataclass(slots=True)
class Verified:
    """What was found."""

    frames: int = 0
    records: int = 0
    first_seq: int = 0
    last_seq: int = 0
    bytes: int = 0
    "Of frames on disk, padding included."
    segments: int = 0
    archived: int = 0
    terms: list[int] = field(default_factory=list)
    engine_versions: list[int] = field(default_factory=list)
    torn_tail_bytes: int = 0
    damaged_copies: int = 0
    "Copies in side files that are not those of their frames: no loss while the frames are whole."
    running: bool = False
    "Whether the venue runs: then what is not durable yet was not looked at."
    seconds: float = 0.0
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem is None

    def report(self) -> dict[str, Any]:
        """The fields for --json."""
        made = {name: getattr(self, name) for name in self.__slots__}
        return made | {"seconds": round(self.seconds, 6), "ok": self.ok}


def verify(journal: OpenJournal, console: Console) -> Verified:
    """Read all of a journal and check it; what is wrong is in `problem`."""
    found = Verified(running=journal.durable is not None)
    headers: dict[int, bytearray] = {}
    began = time.perf_counter()
    try:
        found.segments = len(journal.storage.segments())
        found.archived = len(set(journal.storage.archived()) - set(journal.storage.segments()))
        with metered(journal, console, "verifying") as frames:
            for frame in frames:
                found.first_seq = found.first_seq or frame.first_dseq
                found.frames += 1
                found.records += frame.last_dseq - frame.first_dseq + 1
                found.last_seq = frame.last_dseq
                found.bytes += frame.bytes
                kept = headers.setdefault(frame.segment, bytearray())
                kept += journal.reader.headers[-HEADER_BYTES:]
                if frame.term not in found.terms:
                    found.terms.append(frame.term)
                if frame.engine_version not in found.engine_versions:
                    found.engine_versions.append(frame.engine_version)
        tail = journal.reader.tail
        found.torn_tail_bytes = tail.torn_bytes if tail is not None else 0
        if not found.running:
            found.damaged_copies = sum(
                damaged_copies(journal.storage.read_headers(name), bytes(headers.get(name, b"")))
                for name in journal.storage.segments()
            )
    except DurabilityError as error:
        found.problem = str(error)
    found.seconds = time.perf_counter() - began
    return found
