"""What is in a snapshot file: its header page, its sections, and what they say.

A header of one page, then one section for each block: a table of page runs, then those pages. Only
pages that are not zero are stored. The header's CRC32C covers the header, each section's covers
that section, and the sections follow each other without a gap to the end of the file: every bit is
covered. `docs/snapshots.md` has every byte.
"""

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import google_crc32c

from engine.durability.blocks import PAGE_BYTES
from engine.durability.errors import SnapshotMismatch, SnapshotRotten
from engine.durability.format import ENGINE_VERSION
from engine.limits import SHARDS_MAX
from ipc import memory
from ipc.record import Array, Record, Text, i64, length

MAGIC: Final = int.from_bytes(b"okimi\x00sn", "little")
FORMAT: Final = 1

SECTIONS_MAX: Final = 16
"""Blocks of one snapshot: reference, ingest, risk, history and a matching block of each shard leave
room for as many again, and the header stays one page."""

NAME_BYTES: Final = 24
VENUE_BYTES: Final = 32
"""A venue's name has at most 32 characters."""

SUFFIX: Final = ".snapshot"
NAME_DIGITS: Final = 20
"""Digits of a dseq in a file's name: the names of all snapshots sort by it."""


class SnapshotSection(Record):
    """One block."""

    name: Text = length(NAME_BYTES)
    "Of the block: `reference`, `ingest`, `risk`, `matching.0` and so on."
    fingerprint: i64
    "Of the record's declaration."
    block_bytes: i64
    "Size of the block in memory."
    offset: i64
    "Where the section begins in the file; a multiple of 4096."
    stored_bytes: i64
    "Bytes of the section in the file; a multiple of 4096."
    run_count: i64
    page_count: i64
    "Pages of all runs together."
    crc: i64
    "CRC32C of the section's bytes in the file."


class SnapshotHeader(Record):
    """The first page of the file; what is left of the page is zero."""

    magic: i64
    "The bytes `okimi`, 0, `sn`."
    format: i64
    "1."
    crc: i64
    "CRC32C of the first 4096 bytes of the file, computed while this field is 0."
    file_bytes: i64
    "Size of the whole file."
    engine_version: i64
    "Version of the rules by which the engine executes decisions."
    created_unix_ns: i64
    term: i64
    "Term of the last decision."
    dseq: i64
    "The last decision that is in the state; 0: none, it is as the configuration made it."
    eseqs: Array[i64] = length(SHARDS_MAX)
    "The last event of each matching shard."
    shards: i64
    "Matching shards of the venue."
    event_slots: i64
    "Slots of each event ring: the size of matching's steps follows from it."
    venue: Text = length(VENUE_BYTES)
    "Name of the venue."
    section_count: i64
    sections: Array[SnapshotSection] = length(SECTIONS_MAX)
    "The first `section_count` count."


class PageRun(Record):
    """Neighbouring pages that are stored, counted from the beginning of the block."""

    first_page: i64
    pages: i64


assert SnapshotHeader.size <= PAGE_BYTES, "the header is one page"

_WORD: Final = 8
_CRC_AT: Final = SnapshotHeader.fields["crc"].offset
_NUMBERS: Final = tuple(name for name in SnapshotSection.fields if name != "name")


@dataclass(frozen=True, slots=True)
class Moment:
    """What a state is the state of: which venue, after which decision."""

    venue: str
    shards: int
    event_slots: int
    term: int
    dseq: int
    eseqs: tuple[int, ...]
    "The last event of each matching shard."
    created_unix_ns: int


@dataclass(frozen=True, slots=True)
class Section:
    """What a snapshot says of one of its blocks."""

    name: str
    fingerprint: int
    block_bytes: int
    offset: int
    stored_bytes: int
    run_count: int
    page_count: int
    crc: int

    @property
    def table_bytes(self) -> int:
        """Size of the table of runs, whole pages."""
        return rounded_up(self.run_count * PageRun.size)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot file's own words about itself."""

    path: Path
    moment: Moment
    engine_version: int
    file_bytes: int
    sections: tuple[Section, ...]

    def section(self, name: str) -> Section | None:
        """The section of that name, if there is one."""
        return next((each for each in self.sections if each.name == name), None)


def path_of(folder: Path, dseq: int) -> Path:
    """Where the snapshot of a moment lies."""
    return folder / f"{dseq:0{NAME_DIGITS}d}{SUFFIX}"


def rounded_up(size: int) -> int:
    """Bytes of whole pages."""
    return -(-size // PAGE_BYTES) * PAGE_BYTES


def rotten(path: Path, what: str) -> SnapshotRotten:
    """The error for a damaged file."""
    return SnapshotRotten(
        f"the snapshot {path} is damaged: {what}. A start uses the one before it; move this one "
        "away"
    )


def encode_header(moment: Moment, sections: Sequence[Section], file_bytes: int) -> bytes:
    """The first page of a file."""
    assert len(moment.eseqs) == moment.shards, "encode_header: an event number for each shard"
    with _page() as page:
        header = SnapshotHeader(page.start)
        header.magic, header.format, header.engine_version = MAGIC, FORMAT, ENGINE_VERSION
        header.file_bytes, header.created_unix_ns = file_bytes, moment.created_unix_ns
        header.term, header.dseq = moment.term, moment.dseq
        for shard, eseq in enumerate(moment.eseqs):
            header.eseqs[shard] = eseq
        header.shards, header.event_slots = moment.shards, moment.event_slots
        header.venue.set(moment.venue)
        header.section_count = len(sections)
        for index, section in enumerate(sections):
            entry = header.sections[index]
            entry.name.set(section.name)
            for name in _NUMBERS:
                setattr(entry, name, getattr(section, name))
        header.crc = _crc_of(bytes(page.view))
        return bytes(page.view)


def decode_header(path: Path, raw: bytes) -> Snapshot:
    """What the first page of a file says. Raises SnapshotRotten, SnapshotMismatch."""
    if len(raw) < PAGE_BYTES:
        raise rotten(path, f"it has {len(raw)} bytes, a header alone has {PAGE_BYTES}")
    if not raw.startswith(MAGIC.to_bytes(_WORD, "little")):
        raise rotten(path, "it does not begin as a snapshot does")
    if _crc_of(raw) != int.from_bytes(raw[_CRC_AT : _CRC_AT + _WORD], "little"):
        raise rotten(path, "the checksum of its header is wrong")
    with _page(raw) as page:
        header = SnapshotHeader(page.start)
        if header.format != FORMAT:
            raise SnapshotMismatch(
                f"{path} has format {header.format}, this version of okimi reads {FORMAT}: use "
                "the version that wrote it"
            )
        return _facts(path, header)


def _crc_of(page: bytes) -> int:
    """CRC32C of a header page, as if the field for it were zero."""
    crc: int = google_crc32c.value(page[:_CRC_AT] + bytes(_WORD) + page[_CRC_AT + _WORD :])
    return crc


def _facts(path: Path, header: SnapshotHeader) -> Snapshot:
    sections = []
    for index in range(header.section_count):
        entry = header.sections[index]
        numbers = {name: getattr(entry, name) for name in _NUMBERS}
        sections.append(Section(name=entry.name.get(), **numbers))
    moment = Moment(
        venue=header.venue.get(),
        shards=header.shards,
        event_slots=header.event_slots,
        term=header.term,
        dseq=header.dseq,
        eseqs=tuple(header.eseqs[shard] for shard in range(header.shards)),
        created_unix_ns=header.created_unix_ns,
    )
    return Snapshot(path, moment, header.engine_version, header.file_bytes, tuple(sections))


@contextmanager
def _page(content: bytes = b"") -> Iterator[memory.Region]:
    """A page of memory that records may refer to."""
    mapping = mmap.mmap(-1, PAGE_BYTES)
    region = memory.register(mapping, "snapshot header")
    try:
        region.view[: len(content)] = content
        yield region
    finally:
        memory.forget(region)
        mapping.close()
