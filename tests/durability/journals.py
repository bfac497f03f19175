"""Journals for tests: decisions that say which they are, written by the real writer."""

from engine.durability.errors import JournalError
from engine.durability.format import FrameBuffer, Position
from engine.durability.reader import JournalReader
from engine.durability.tail import Tail
from engine.durability.writer import JournalWriter
from engine.messages import (
    COMMAND_CODEC,
    MESSAGE_BYTES,
    PLAIN_BYTES,
    CommandFlag,
    CommandKind,
    OrderType,
)
from tests.durability.memory_storage import MemoryStorage


def decision(dseq: int, has_terms: bool = False) -> bytes:
    """A decision as it is in a payload."""
    raw = COMMAND_CODEC.encode(
        sequence=dseq,
        kind=CommandKind.NEW,
        order_type=OrderType.LIMIT,
        flags=CommandFlag.TERMS if has_terms else 0,
        order_id=dseq * 3,
        price_ticks=10_000 + dseq % 97,
        qty_lots=1 + dseq % 11,
        client_order_id=f"order-{dseq}".encode(),
        ev_wm=dseq * 2,
        **({"at_ns": dseq, "display_lots": 5} if has_terms else {}),
    )
    return raw[: MESSAGE_BYTES if has_terms else PLAIN_BYTES]


def decisions(first: int, count: int, terms_every: int = 7) -> bytes:
    """The payload with `count` decisions from `first` on; every so-many-th one has terms."""
    return b"".join(decision(dseq, dseq % terms_every == 0) for dseq in range(first, first + count))


class Pen:
    """Writes frames of made decisions into a storage."""

    def __init__(self, storage: MemoryStorage, position: Position | None = None) -> None:
        self.storage = storage
        self.writer = JournalWriter(storage, position or Position(), term=1)
        self._frame = FrameBuffer()

    def frame(self, count: int = 1) -> int:
        """Append a frame of `count` decisions; returns the last durable one."""
        return self.append(decisions(self.writer.position.next_dseq, count))

    def append(self, payload: bytes) -> int:
        self._frame.payload[: len(payload)] = payload
        return self.writer.append(self._frame, len(payload))


def journal(counts: list[int], segment_bytes: int | None = None, is_idle: bool = True) -> Pen:
    """A journal with one frame for each of `counts` decisions."""
    storage = MemoryStorage(segment_bytes) if segment_bytes else MemoryStorage()
    pen = Pen(storage)
    for count in counts:
        pen.frame(count)
    if is_idle:
        pen.writer.idle()
    return pen


def read_all(storage: MemoryStorage, first_dseq: int = 0) -> tuple[JournalReader, bytes]:
    """All payloads from the frame of `first_dseq` on, and the reader at the end."""
    reader = JournalReader(storage)
    return reader, b"".join(bytes(frame.payload) for frame in reader.frames(first_dseq))


def tail_of(storage: MemoryStorage, acknowledged: int = 0, segments: int = 1) -> Tail:
    """How the last segments end."""
    first = ([0] * segments + storage.segments())[-segments]
    return tail_by(JournalReader(storage, acknowledged), first)


def tail_by(reader: JournalReader, first_dseq: int = 0) -> Tail:
    """The same with a reader that looks again and again, which is faster."""
    for _ in reader.frames(first_dseq):
        pass
    assert reader.tail is not None
    return reader.tail


def refusal(reader: JournalReader, first_dseq: int = 0) -> str:
    """Why the journal is refused; empty when it is not."""
    try:
        tail_by(reader, first_dseq)
    except JournalError as error:
        return f"{type(error).__name__}: {error}"
    return ""
