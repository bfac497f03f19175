"""Going through the levels of one side of a book, from the best to the worst."""

from engine.book import CHUNK_BITS, Books, SideBook
from engine.market.state import NO_TICKS, Scan
from ipc.intrinsics import shift_left, trailing_zeros
from ipc.jit import inlined, kernel


@kernel
def next_level(books: Books, side: SideBook, scan: Scan) -> None:
    """Move to the next level; `scan.key` is NO_TICKS when there is none."""
    while scan.bits == 0:
        if scan.at <= 0:
            scan.key = NO_TICKS
            return
        scan.at -= 1
        scan.chunk = side.chunks[scan.at]
        scan.bits = books.chunks[scan.chunk].bitmap
    scan.number = trailing_zeros(scan.bits)
    scan.bits &= ~shift_left(1, scan.number)
    scan.key = (books.chunks[scan.chunk].key << CHUNK_BITS) | scan.number


@inlined
def first_level(books: Books, side: SideBook, scan: Scan) -> None:
    """Begin at the best level."""
    scan.at, scan.bits = side.count, 0
    next_level(books, side, scan)


@inlined
def level_lots(books: Books, scan: Scan) -> int:
    """Everything that can trade at the level."""
    return books.chunks[scan.chunk].levels[scan.number].lots


@inlined
def level_head(books: Books, scan: Scan) -> int:
    """The first order of the level."""
    return books.chunks[scan.chunk].levels[scan.number].head
