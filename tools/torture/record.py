"""What clients were told, kept by themselves: one line of JSON for each fact, in the order told.

Written by the process of the clients, which is never killed; read by the auditor while it grows.
A fact is written after its answer has arrived and before the client does anything else.
"""

import time
from pathlib import Path

import msgspec


class Acknowledged(msgspec.Struct, tag="order", frozen=True):
    """An order was answered with the order that the venue has."""

    at_ns: int
    account: int
    client_order_id: str
    order_id: int
    symbol: str
    side: str
    quantity: int
    filled: int
    "At least so much of it has traded."
    status: str
    tries: int
    "How often it was sent before it was answered; it may have been known by then."


class Canceled(msgspec.Struct, tag="cancel", frozen=True):
    """A cancel was answered: the order has ended, and has traded so much."""

    at_ns: int
    order_id: int
    filled: int


class Refused(msgspec.Struct, tag="refused", frozen=True):
    """An order was refused for good."""

    at_ns: int
    account: int
    client_order_id: str
    code: str


class Filled(msgspec.Struct, tag="fill", frozen=True):
    """One side of a trade, as a WebSocket told it."""

    at_ns: int
    order_id: int
    match_id: int
    sequence: int
    quantity: int
    price_ticks: int


class Wrong(msgspec.Struct, tag="wrong", frozen=True):
    """An answer that contradicts an earlier one; `what` is a name of `tools.torture.tally`."""

    at_ns: int
    what: str
    text: str


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """A request got no answer, or one that says to try again."""

    at_ns: int
    why: str


Fact = Acknowledged | Canceled | Refused | Filled | Wrong | Failed


def now_ns() -> int:
    """The clock of all facts: the same in every process."""
    return time.monotonic_ns()


class RecordWriter:
    """Appends facts; one that `note` has returned from is in the file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._encoder = msgspec.json.Encoder()

    def note(self, fact: Fact) -> None:
        """Write a fact down."""
        self._file.write(self._encoder.encode(fact) + b"\n")

    def close(self) -> None:
        """No more facts come."""
        self._file.close()


class RecordReader:
    """Gives facts that are new since the last call."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._file = path.open("rb")
        self._decoder = msgspec.json.Decoder(Fact)
        self._rest = b""

    def poll(self) -> list[Fact]:
        """All whole lines that have not been given yet."""
        lines = (self._rest + self._file.read()).split(b"\n")
        self._rest = lines.pop()
        return [self._decoder.decode(line) for line in lines]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
