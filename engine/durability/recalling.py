"""What has passed, for a gateway that starts late: from a replica of its own.

The gateway joins the event rings and then asks, so that between what it is told and what it reads
nothing is missing. Matching may have to wait for it from then on, so the replica has followed the
journal before, as far as decisions were durable, and the rest is short. What it has kept of orders,
trades and figures is read from its histories, and books are what matching answers to a SNAPSHOT of
each instrument: in the replica, which is then good for nothing more. The venue hears nothing of
that.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from engine.durability.datadir import attach
from engine.durability.history import Beat, HistoryState, Recall, Recalled, read_past, rest
from engine.durability.noting import Notes
from engine.durability.pursuit import Pursuit
from engine.durability.recovery import WAIT_SECONDS, storage_of
from engine.durability.replica import HISTORY, Replica
from engine.limits import INSTRUMENTS_MAX
from engine.messages import COMMAND_CODEC, PLAIN_BYTES, CommandKind, EventKind, decode_events
from engine.venue import VenueMemory

BOOKED: Final = int(EventKind.BOOKED)


class Stopped(Exception):
    """The venue stops before what has passed could be told."""


def recall_from(venue: VenueMemory, process: str, data_dir: Path) -> Recall:
    """What `gateway.service.Service` asks in a durable venue; `process` is the one that asks.

    To be asked once. This and the answer raise the errors of snapshots and of the journal,
    Diverged, and Stopped.
    """
    storage = storage_of(venue, data_dir)
    pursuit = Pursuit(attach(data_dir), storage, venue.counters.durable.dseq)
    _follow(venue, pursuit, 0, Notes(venue.entry(process)))

    @contextmanager
    def recall(positions: Sequence[int]) -> Iterator[Recalled]:
        try:
            with recall_with(venue, process, pursuit)(positions) as made:
                yield made
        finally:
            pursuit.free()
            storage.close()

    return recall


def recall_with(venue: VenueMemory, process: str, pursuit: Pursuit) -> Recall:
    """The same out of a state that is there, which can follow no more afterwards."""

    @contextmanager
    def recall(positions: Sequence[int]) -> Iterator[Recalled]:
        # Events that have passed by now are of decisions that have been made by now.
        need = venue.rings["decisions"].producer.position
        notes = Notes(venue.entry(process))
        _follow(venue, pursuit, need, notes)
        made = recalled(pursuit.replica, notes.beat)
        told = [past.sequence for past in made.pasts]
        assert all(map(int.__ge__, told, positions)), f"{told} does not reach {positions}"
        yield made

    return recall


def _follow(venue: VenueMemory, pursuit: Pursuit, need: int, notes: Notes) -> None:
    """Follow to what is durable, at least to decision `need`."""
    while True:
        for dseq in pursuit.follow(venue.counters.durable.dseq):
            notes.beat(dseq)
        notes.beat()
        if pursuit.dseq >= need:
            return
        if venue.counters.stop.value:
            raise Stopped(f"decision {need} was not durable yet")
        time.sleep(WAIT_SECONDS)


def recalled(replica: Replica, beat: Beat = rest) -> Recalled:
    """What a replica knows, between two commands; it can follow no more afterwards.

    Its memory must be there as long as the pasts are read. `beat` is called all the time.
    """
    replica.hear_all()
    pasts = [read_past(history) for history in _histories(replica)]
    assert [past.sequence for past in pasts] == replica.sequences, "a history has missed events"
    return Recalled(pasts, _books(replica, beat), beat)


def warm_up() -> None:
    """Compile what tells a gateway what has passed, on a replica of nothing."""
    replica = Replica(1)
    replica.create_histories()
    replica.begin(0, [0])
    recalled(replica)
    replica.free()


def _histories(replica: Replica) -> list[HistoryState]:
    blocks = (replica.blocks[f"{HISTORY}.{shard}"] for shard in range(replica.shards))
    return [HistoryState(block.address) for block in blocks]


def _books(replica: Replica, beat: Beat) -> dict[int, list[Any]]:
    """The BOOKED events of all instruments that have visible orders."""
    terms = replica.follower.ingest.terms
    commands = [
        COMMAND_CODEC.encode(kind=CommandKind.SNAPSHOT, instrument=number)[:PLAIN_BYTES]
        for number in range(INSTRUMENTS_MAX)
        if terms[number].listed
    ]
    books: dict[int, list[Any]] = {}

    def take(shard: int, raw: memoryview) -> None:
        beat()
        for event in decode_events(raw):
            if event.kind == BOOKED:
                books.setdefault(event.instrument, []).append(event)

    replica.ask(b"".join(commands), take)
    return books
