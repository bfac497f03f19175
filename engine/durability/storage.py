"""Where a journal lies: the few operations on its files that the writer and the reader need.

A journal is a row of segments, each named by its first dseq, with a side file of header copies for
each. Real files implement this (`file_storage`), and so does the simulated disk. Whoever
implements it raises StorageFull and StorageFailed (`errors`), never OSError.
"""

from typing import BinaryIO, Protocol


class Storage(Protocol):
    """The files of one journal."""

    @property
    def segment_bytes(self) -> int:
        """Room of a segment that is created from now on; a multiple of 4 KiB."""

    def segments(self) -> list[int]:
        """First dseqs of all segments, ascending. JournalForeign: a file that is no segment."""

    def create(self, first_dseq: int) -> None:
        """Make a segment and its side file, and sync the folder.

        The segment is preallocated. It holds zeros, or what is left of an older segment, whose
        dseqs are all below `first_dseq`. The side file holds zeros only, one header (64 bytes)
        for each 4 KiB of the segment. StorageFull: neither of them exists.
        """

    def write(self, first_dseq: int, offset: int, data: bytes | memoryview) -> None:
        """Write all of `data`; short writes are continued. StorageFull: some of it may be there."""

    def sync(self, first_dseq: int) -> None:
        """Return when all that was written to the segment will survive a loss of power.

        StorageFailed: no later sync can be believed, the caller has to stop for good.
        """

    def read(self, first_dseq: int, offset: int, target: memoryview) -> int:
        """Fill `target` from the segment; returns how many bytes, fewer only at its end.

        StorageGone: the segment was removed, before or meanwhile; the archive may have it.
        """

    def size(self, first_dseq: int) -> int:
        """Bytes of the segment's file."""

    def write_headers(self, first_dseq: int, offset: int, data: bytes | memoryview) -> None:
        """Like `write`, in the segment's side file, which is made when it is missing."""

    def sync_headers(self, first_dseq: int) -> None:
        """Like `sync`, for the segment's side file."""

    def read_headers(self, first_dseq: int) -> bytes:
        """All of the segment's side file; empty when there is none."""

    def remove(self, first_dseq: int) -> None:
        """Give up a segment and its side file; its file may serve for a later segment."""

    def archived(self) -> list[int]:
        """First dseqs of the segments in the archive, ascending."""

    def open_archived(self, first_dseq: int) -> BinaryIO:
        """An archived segment from its beginning, as it is stored: compressed by zstd."""
