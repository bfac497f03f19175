"""Checks a whole journal, the archive included, and says what is in it; changes nothing."""

from collections.abc import Callable
from typing import NamedTuple

from engine.durability.format import HEADER_BYTES
from engine.durability.reader import Frame, JournalReader
from engine.durability.storage import Storage


class Verified(NamedTuple):
    """A sound journal."""

    segments: int
    frames: int
    records: int
    "Decisions."
    bytes: int
    "Of all frames on disk."
    first_dseq: int
    "0 when there is no frame."
    last_dseq: int
    first_term: int
    last_term: int
    engine_versions: tuple[int, ...]
    torn_tail_bytes: int
    "Of a write that was cut off, or left in a segment that was used again; the next start ends it."
    damaged_copies: int
    "Header copies that are not those of their frames. No loss; the next start renews the last."


def verify(
    storage: Storage, acknowledged: int = 0, progress: Callable[[Frame], None] | None = None
) -> Verified:
    """Read and check everything. `progress` is called with each frame.

    acknowledged, errors: as for `JournalReader`.
    """
    reader = JournalReader(storage, acknowledged, any_engine=True)
    headers: dict[int, bytearray] = {}
    frames = records = size = first_dseq = first_term = 0
    versions: set[int] = set()
    for frame in reader.frames():
        if not frames:
            first_dseq, first_term = frame.first_dseq, frame.term
        frames += 1
        records += frame.last_dseq - frame.first_dseq + 1
        size += frame.bytes
        versions.add(frame.engine_version)
        headers.setdefault(frame.segment, bytearray()).extend(reader.headers[-HEADER_BYTES:])
        if progress is not None:
            progress(frame)
    assert reader.tail is not None, "frames: ended without a tail"
    return Verified(
        segments=len(headers),
        frames=frames,
        records=records,
        bytes=size,
        first_dseq=first_dseq,
        last_dseq=reader.position.next_dseq - 1 if frames else 0,
        first_term=first_term,
        last_term=reader.position.term,
        engine_versions=tuple(sorted(versions)),
        torn_tail_bytes=reader.tail.torn_bytes,
        damaged_copies=sum(
            damaged_copies(storage.read_headers(name), bytes(headers.get(name, b"")))
            for name in storage.segments()
        ),
    )


def damaged_copies(copies: bytes, headers: bytes) -> int:
    """Copies that are there and are not those of a segment's frames."""
    blank, damaged = bytes(HEADER_BYTES), 0
    for at in range(0, len(copies), HEADER_BYTES):
        copy = copies[at : at + HEADER_BYTES]
        if copy != blank[: len(copy)] and copy != headers[at : at + HEADER_BYTES]:
            damaged += 1
    return damaged
