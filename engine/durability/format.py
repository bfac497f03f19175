"""The journal's format: frames of decisions, each with a header, one after the other in segments.

    frame    header 64 bytes, payload, zeros up to a multiple of 4 KiB
    payload  decisions as they were in their ring: 128 bytes, or 192 with the flag TERMS

Written by `writer`, read by `reader`; docs/journal.md has every byte. Frames are padded to 4 KiB
so that a write which is cut off can never touch a sector with data that was acknowledged.
"""

import weakref
from typing import Any, Final, NamedTuple

import google_crc32c
import numpy as np

from engine.messages import MESSAGE_BYTES, PLAIN_BYTES, CommandFlag, Message
from engine.stage import copy_message
from ipc import memory
from ipc.jit import inlined, kernel
from ipc.record import CACHE_LINE_BYTES, Codec, Record, i64, u32

FORMAT: Final = 1
"""Of frames and headers. Another number means that older programs must not read on."""

ENGINE_VERSION: Final = 1
"""Of everything that turns decisions into state and events. Whoever changes what an engine does
with the same decisions raises it: then older journals are not replayed by mistake."""

MAGIC: Final = int.from_bytes(b"okimi\x00jn", "little")
"""First word of every header. No text and no price of a decision has this value."""
MAGIC_BYTES: Final = 8

FRAME_ALIGN: Final = 4096
"""Frames begin and end here: the page size, and no device has larger sectors."""

PAYLOAD_BYTES_MAX: Final = 256 * 1024
"""Larger writes take longer without more throughput: 256 KiB sync in 190 us, 1 MiB in 920 us."""

FIRST_DSEQ: Final = 1
"""Decisions are counted from here: the first frame of all has this one, and follows CRC 0."""


class FrameHeader(Record, align=CACHE_LINE_BYTES):
    """Begins a frame. A copy of it goes into the segment's side file once the frame is durable."""

    magic: i64
    "`okimi`, 0, `jn`."
    format: u32
    "Of frames. Magic, format, and crc over the bytes before it, stay as they are in any format."
    engine_version: u32
    "Version of the engine that made the decisions, and whose replay gives the same state."
    term: i64
    "How often the venue had been started; never goes back."
    first_dseq: i64
    "Sequence of the first decision; the others follow without a gap."
    durable: i64
    "Last decision that was durable when this frame was written."
    count: u32
    "Decisions in the payload, at least one."
    payload_bytes: u32
    "Of the decisions, without the padding."
    payload_crc: u32
    "CRC32C of all bytes of the frame after the header, padding included."
    previous_crc: u32
    "`crc` of the frame before, also across segments and terms; 0 in the first frame of all."
    unused: u32
    "0."
    crc: u32
    "CRC32C of the header's bytes before this field; covers the payload by way of payload_crc."


HEADER_BYTES: Final = FrameHeader.size
CRC_AT: Final = FrameHeader.fields["crc"].offset
"""The header's checksum covers the bytes before it."""

FRAME_BYTES_MAX: Final = -(-(HEADER_BYTES + PAYLOAD_BYTES_MAX) // FRAME_ALIGN) * FRAME_ALIGN
"""The largest frame."""

HEADER: Final = Codec(FrameHeader)
PAYLOAD_DTYPE: Final = np.dtype("u1")

assert HEADER_BYTES == CACHE_LINE_BYTES, "a header must not cross a sector"
assert CRC_AT == HEADER_BYTES - 4, "the checksum must cover all other fields"
assert PAYLOAD_BYTES_MAX % PLAIN_BYTES == 0, "a full frame of plain decisions has no gap"
assert PAYLOAD_BYTES_MAX >= MESSAGE_BYTES, "the largest decision fits into a frame"


class Position(NamedTuple):
    """A place between two frames, and what the next frame must say to continue there."""

    next_dseq: int = FIRST_DSEQ
    segment: int = 0
    "Name (first dseq) of the segment; 0: there is none yet."
    offset: int = 0
    "Where the next frame begins in the segment."
    frames: int = 0
    "Frames before it in this segment, and so the number of its header's copy."
    crc: int | None = 0
    "`crc` of the frame before; None: not known, what comes is taken at its word."
    term: int = 0
    "Of the frame before."


# --- records of a payload ----------------------------------------------------------------------


@inlined
def record_bytes(address: int) -> int:
    """Bytes of the decision at this address in a payload; the next one follows directly."""
    if Message(address).flags & CommandFlag.TERMS:
        return MESSAGE_BYTES
    return PLAIN_BYTES


@inlined
def pack(target: int, source: int) -> int:
    """Copy a decision from its ring slot into a payload; returns how many bytes it takes there.

    The caller has room for MESSAGE_BYTES at the target.
    """
    copy_message(target, source)
    return record_bytes(target)


@kernel
def count_records(address: int, size: int, first_dseq: int) -> int:
    """Decisions in a payload of `size` bytes, or -1 unless they are whole and dense."""
    end, dseq = address + size, first_dseq
    while address + PLAIN_BYTES <= end:
        if Message(address).sequence != dseq:
            return -1
        address += record_bytes(address)
        dseq += 1
    return dseq - first_dseq if address == end else -1


# --- frames ------------------------------------------------------------------------------------


def frame_bytes(payload_bytes: int) -> int:
    """Bytes of a frame on disk."""
    return -(-(HEADER_BYTES + payload_bytes) // FRAME_ALIGN) * FRAME_ALIGN


class FrameBuffer:
    """Memory in which a frame is put together: the payload by its user, the rest by `seal`."""

    def __init__(self) -> None:
        """Allocate room for the largest frame."""
        self._region = memory.allocate(FRAME_BYTES_MAX, "frame buffer")
        mapping: Any = self._region.view.obj
        self._bytes = np.frombuffer(mapping, PAYLOAD_DTYPE)
        weakref.finalize(self, memory.forget, self._region).atexit = False
        self.payload_address = self._region.start + HEADER_BYTES
        "Where the payload goes: decisions one after the other, at most PAYLOAD_BYTES_MAX."
        self.payload = self._region.view[HEADER_BYTES : HEADER_BYTES + PAYLOAD_BYTES_MAX]
        "The same as a buffer."

    def seal(self, payload_bytes: int, position: Position, term: int) -> memoryview:
        """Complete the frame around its payload to continue at `position`; returns its bytes.

        AssertionError when the payload is not what comes next: decisions from position.next_dseq.
        """
        assert 0 < payload_bytes <= PAYLOAD_BYTES_MAX, f"{payload_bytes} bytes are no payload"
        assert position.crc is not None, "a journal is continued after a frame that is known"
        assert term >= position.term, f"term {term} after term {position.term}"
        count = count_records(self.payload_address, payload_bytes, position.next_dseq)
        assert count > 0, f"the payload does not hold whole decisions from {position.next_dseq} on"
        size = frame_bytes(payload_bytes)
        self._bytes[HEADER_BYTES + payload_bytes : size] = 0
        header = HEADER.encode(
            magic=MAGIC,
            format=FORMAT,
            engine_version=ENGINE_VERSION,
            term=term,
            first_dseq=position.next_dseq,
            durable=position.next_dseq - 1,
            count=count,
            payload_bytes=payload_bytes,
            payload_crc=google_crc32c.value(self._bytes[HEADER_BYTES:size]),
            previous_crc=position.crc,
        )
        self._region.view[:HEADER_BYTES] = sealed_header(header)
        return self._region.view[:size]


def after(position: Position, header: Any) -> Position:
    """The place behind a frame that begins at `position` and has this header."""
    return Position(
        header.first_dseq + header.count,
        position.segment,
        position.offset + frame_bytes(header.payload_bytes),
        position.frames + 1,
        header.crc,
        header.term,
    )


def sealed_header(header: bytes) -> bytes:
    """A header with its checksum in place."""
    crc: int = google_crc32c.value(header[:CRC_AT])
    return header[:CRC_AT] + crc.to_bytes(4, "little")


def read_header(raw: bytes) -> Any:
    """The fields of a header by name, or None when these 64 bytes are no whole header."""
    if len(raw) < HEADER_BYTES:
        return None
    header = HEADER.values._make(HEADER.struct.unpack(raw))
    if header.magic != MAGIC or header.crc != google_crc32c.value(raw[:CRC_AT]):
        return None
    return header


def is_possible(header: Any) -> bool:
    """Whether a whole header of this format says what a writer would say."""
    return bool(
        0 < header.payload_bytes <= PAYLOAD_BYTES_MAX
        and 0 < header.count <= header.payload_bytes // PLAIN_BYTES
        and header.first_dseq >= FIRST_DSEQ
        and header.durable < header.first_dseq
        and header.term > 0
        and header.unused == 0
    )
