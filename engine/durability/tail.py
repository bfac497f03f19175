"""Where a journal stops: is it the end, a torn tail, or damage to what was acknowledged?

A write that was cut off leaves a torn tail, which nobody was told of: it may go. Anything that
proves the bad frame to have been durable makes it rot, and rot is refused, never repaired:

- a copy of its header, or of a later one, in the side file: written after its sync;
- a later frame, here or in a later segment: written after its sync;
- a decision that somebody knows to have been acknowledged (`acknowledged`).

So only the last frame of a journal can be taken for torn when it was not, and only if it was
damaged after its sync and before its header's copy reached the disk (docs/journal.md).
"""

from typing import Any, Final, NamedTuple, NoReturn

import google_crc32c
import numpy as np

from engine.durability.errors import JournalForeign, JournalGap, JournalRotten, JournalVersion
from engine.durability.format import (
    FORMAT,
    FRAME_ALIGN,
    FRAME_BYTES_MAX,
    HEADER_BYTES,
    MAGIC,
    MAGIC_BYTES,
    Position,
    frame_bytes,
    is_possible,
    read_header,
)
from engine.durability.storage import Storage

SCAN_BYTES: Final = 1 << 20
"""Read at a time when the rest of a segment is searched for later frames."""

REMEDY: Final = (
    "Nothing was changed. Restore the segment and its side file from the archive, a backup or "
    "the standby and start again; docs/journal.md says what else can be done"
)

assert SCAN_BYTES % FRAME_ALIGN == 0, "a header that is looked for lies in one piece"


class Tail(NamedTuple):
    """How a sound journal ends."""

    position: Position
    "Where the next frame goes."
    torn_bytes: int
    "From there to the last byte of a write that was cut off; 0: nothing is there."
    headers: bytes
    "Of all frames in that segment: what its side file should hold."
    last_frame: tuple[int, int, int] | None = None
    "Segment, offset and bytes of the last frame."


def judge(storage: Storage, position: Position, headers: bytes, acknowledged: int) -> Tail:
    """The tail at `position`, where no whole frame continues the journal.

    headers: of the frames before it in the segment. acknowledged: as for `JournalReader`.
    JournalRotten, JournalGap, JournalForeign and JournalVersion when this is not a journal's end.
    """
    names = storage.segments()
    later = min((n for n in (*names, *storage.archived()) if n > position.next_dseq), default=0)
    block, header = b"", None
    if position.segment in names:
        block = _read(storage, position.segment, position.offset, FRAME_BYTES_MAX)
        header = read_header(block[:HEADER_BYTES])
        if header is not None and header.first_dseq >= position.segment:
            _refuse_misplaced(header, position)
            _refuse_impossible(header, block, position)
        copies = storage.read_headers(position.segment)
        _refuse_proven(_copied(copies, position), "its header's copy in the side file", position)
        _refuse_proven(_later_header(storage, position), "a later frame of the segment", position)
    written = len(block.rstrip(b"\0"))
    _refuse_missing(position, later, acknowledged, written > 0)
    if position.segment not in names:  # nothing, or an archived segment: the next one is new
        return Tail(position._replace(segment=0, offset=0, frames=0), 0, b"")
    # The very first write of the file may have been cut within the magic.
    first = block[:MAGIC_BYTES].rstrip(b"\0")
    if position.frames == 0 and not MAGIC.to_bytes(MAGIC_BYTES, "little").startswith(first):
        raise JournalForeign(
            f"{_file(position)}: does not begin with a frame of okimi. Move the file out of the "
            "journal's folder if it is not part of it. If it is, its first frame is damaged. "
            + REMEDY
        )
    is_stale = header is not None and header.first_dseq < position.segment
    return Tail(position, 0 if is_stale else written, headers)


def repair(storage: Storage, tail: Tail) -> None:
    """Zero what a write that was cut off has left, so that nobody needs to judge it again."""
    if tail.torn_bytes:
        size = -(-tail.torn_bytes // FRAME_ALIGN) * FRAME_ALIGN
        storage.write(tail.position.segment, tail.position.offset, bytes(size))
        storage.sync(tail.position.segment)


def damaged_copies(copies: bytes, headers: bytes) -> int:
    """Copies that are there and are not those of a segment's frames."""
    blank, damaged = bytes(HEADER_BYTES), 0
    for at in range(0, len(copies), HEADER_BYTES):
        copy = copies[at : at + HEADER_BYTES]
        if copy != blank[: len(copy)] and copy != headers[at : at + HEADER_BYTES]:
            damaged += 1
    return damaged


# --- what proves that a frame was durable ------------------------------------------------------


def _copied(copies: bytes, position: Position) -> int:
    """Last decision of the journal that a header's copy proves; 0: none at the position or later.

    A copy that is damaged itself proves as much by its magic: a bit that has flipped in an unused
    copy, which is all zeros, does not make one.
    """
    proven = 0
    words = np.frombuffer(copies[: len(copies) // HEADER_BYTES * HEADER_BYTES], "<i8")
    magics = words[:: HEADER_BYTES // 8]
    for number in position.frames + np.flatnonzero(magics[position.frames :] == MAGIC):
        raw = copies[number * HEADER_BYTES : (number + 1) * HEADER_BYTES]
        copy = read_header(raw)
        last = position.next_dseq if copy is None else copy.first_dseq + copy.count - 1
        proven = max(proven, last)
    return proven


def _later_header(storage: Storage, position: Position) -> int:
    """Last decision of the frames behind the position that have whole headers; 0: there are none.

    The header is enough: its frame was begun, so the one at the position had been synced. Frames
    that were left in the file by an older segment have older decisions.
    """
    proven, offset = 0, position.offset + FRAME_ALIGN
    block = memoryview(bytearray(SCAN_BYTES))
    words = np.frombuffer(block, "<i8")
    while size := storage.read(position.segment, offset, block):
        for number in np.flatnonzero(words[: size // 8 : FRAME_ALIGN // 8] == MAGIC):
            begin = int(number) * FRAME_ALIGN
            header = read_header(bytes(block[begin : min(begin + HEADER_BYTES, size)]))
            if header is not None and header.first_dseq >= position.next_dseq:
                proven = max(proven, header.first_dseq + header.count - 1)
        offset += size
    return proven


# --- refusals ----------------------------------------------------------------------------------


def _refuse_proven(last: int, proof: str, position: Position) -> None:
    if last:
        raise JournalRotten(
            f"{_file(position)}: frame {position.frames} at offset {position.offset} is damaged "
            f"or missing. It was durable ({proof} proves it): decisions {position.next_dseq} to "
            f"{last} cannot be trusted. {REMEDY}"
        )


def _refuse_missing(position: Position, later: int, acknowledged: int, is_written: bool) -> None:
    """Refuse when decisions from the position on are known to exist."""
    if later:
        last, proof = later - 1, f"the next segment begins with decision {later}"
    elif acknowledged >= position.next_dseq:
        last, proof = acknowledged, f"decision {acknowledged} is known to have been acknowledged"
    else:
        return
    if is_written:
        _refuse_proven(last, proof, position)
    raise JournalGap(
        f"{_file(position)}: decisions {position.next_dseq} to {last} are missing behind offset "
        f"{position.offset} ({proof}). {REMEDY}"
    )


def _refuse_misplaced(header: Any, position: Position) -> None:
    """Refuse a whole header of this segment that does not belong at the position."""
    expected = position.next_dseq
    found = f"{_file(position)}: at offset {position.offset} "
    if header.format != FORMAT:
        raise JournalVersion(
            f"{found}is a frame of format {header.format}, this program reads format {FORMAT}: "
            "use the version of okimi that wrote it"
        )
    if header.first_dseq > expected:
        raise JournalGap(
            f"{found}is decision {header.first_dseq} where {expected} should be. {REMEDY}"
        )
    if header.first_dseq < expected:
        _refuse_chain(found, f"decision {header.first_dseq} comes again")
    if position.crc not in (None, header.previous_crc):
        _refuse_chain(found, f"the frame of decision {expected} does not follow the one before it")
    if header.term < position.term:
        _refuse_chain(found, f"the term falls from {position.term} to {header.term}")


def _refuse_impossible(header: Any, block: bytes, position: Position) -> None:
    """Refuse what no cut off write leaves: a frame that is whole and yet not that of a writer."""
    size = frame_bytes(header.payload_bytes)
    is_whole = google_crc32c.value(block[HEADER_BYTES:size]) == header.payload_crc
    if is_whole or not is_possible(header):
        raise JournalRotten(
            f"{_file(position)}: the frame at offset {position.offset} has the right checksums, "
            f"but what it holds is not one frame of decisions from {position.next_dseq} on: it "
            f"was written by a faulty program. {REMEDY}"
        )


def _refuse_chain(found: str, what: str) -> NoReturn:
    raise JournalRotten(
        f"{found}{what}: two programs have written this journal, or files were mixed. {REMEDY}"
    )


def _file(position: Position) -> str:
    if not position.segment:
        return "the journal's folder"
    return f"segment {position.segment:020d}"


def _read(storage: Storage, segment: int, offset: int, size: int) -> bytes:
    target = memoryview(bytearray(size))
    return bytes(target[: storage.read(segment, offset, target)])
