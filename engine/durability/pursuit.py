"""A replica that follows the journal of a data folder: from a snapshot on, as far as is wanted.

For the shadow, for snapshots that are taken without one, and for tools that rebuild a past state.
Only reads the journal; who follows a venue that runs gives the last durable decision each time, and
what lies behind it is not looked at.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from engine.durability.blocks import Block, clear
from engine.durability.datadir import DataDir, Identity
from engine.durability.errors import SnapshotMissing
from engine.durability.format import record_bytes
from engine.durability.reader import Frame, JournalReader
from engine.durability.replica import Replica, Sink
from engine.durability.snapshot import Progress, load
from engine.durability.snapshot_folder import KEPT, Found, newest, store
from engine.durability.snapshot_format import Moment, Snapshot
from engine.durability.storage import Storage
from engine.messages import CommandKind, Decision, RejectReason
from ipc.jit import kernel


@kernel
def find_skip(address: int, size: int) -> int:
    """Offset of the first SKIP in a payload that was accepted, or `size`."""
    walk, end = address, address + size
    while walk < end:
        decision = Decision(walk)
        if decision.kind == CommandKind.SKIP and decision.reason == RejectReason.NONE:
            break
        walk += record_bytes(walk)
    return walk - address


def skips_in(frame: Frame, progress: Progress | None = None) -> list[int]:
    """The decisions that matching has to refuse, as far as a frame tells of them."""
    if progress is not None:
        progress(frame.last_dseq, 0)
    found, offset, size = [], 0, len(frame.payload)
    while (offset := offset + find_skip(frame.address + offset, size - offset)) < size:
        found.append(Decision(frame.address + offset).order_id)
        offset += record_bytes(frame.address + offset)
    return found


@dataclass(frozen=True, slots=True)
class Start:
    """Where following begins."""

    found: Found
    "The snapshot, and what is wrong with newer ones."
    skips: tuple[int, ...]
    "Decisions behind it that matching refuses: they have killed it twice."

    def load_into(
        self,
        replica: Replica,
        skips: Collection[int] = frozenset(),
        progress: Progress | None = None,
    ) -> Moment:
        """Let a replica begin here, told of `skips` besides; returns the moment."""
        for block in replica.blocks.values():
            clear(block)
        moment = load(self.found.snapshot.path, replica.blocks, progress).moment
        replica.begin(moment.dseq, list(moment.eseqs), moment.term)
        replica.skip(sorted({*skips, *self.skips}))
        return moment


def choose_start(
    folder: DataDir,
    storage: Storage,
    durable: int | None,
    at_most: int | None = None,
    progress: Progress | None = None,
) -> Start:
    """The newest snapshot to follow the journal from, and all that must be known before.

    `durable`: as far as the journal is looked through, None: to its end. `at_most`: the snapshot is
    not of a later decision. A SKIP may name a decision that the snapshot has in it, executed: then
    an older one is taken, from before that decision. `progress` is told of bytes of snapshots, and
    of each frame. Errors of `newest` and of the reader.
    """
    while True:
        found = newest(folder.snapshots, at_most, progress)
        begun = found.snapshot.moment.dseq
        skips = [
            dseq
            for frame in _frames(JournalReader(storage, begun), begun, durable)
            for dseq in skips_in(frame, progress)
        ]
        executed = [dseq for dseq in skips if dseq <= begun]
        if not executed:
            return Start(found, tuple(skips))
        at_most = min(executed) - 1


def moment_of(identity: Identity, replica: Replica) -> Moment:
    """Where a replica of a venue stands now, for its snapshot."""
    return Moment(
        venue=identity.name,
        shards=identity.shards,
        event_slots=identity.event_slots,
        term=replica.term,
        dseq=replica.dseq,
        eseqs=tuple(replica.sequences),
        created_unix_ns=time.time_ns(),
    )


def _frames(reader: JournalReader, begun: int, durable: int | None) -> Iterator[Frame]:
    """Frames with decisions behind `begun`."""
    if durable is None:
        frames = reader.frames(begun + 1)
    else:
        reader.seek(begun + 1)
        frames = reader.poll(durable)
    yield from (frame for frame in frames if frame.last_dseq > begun)


class Pursuit:
    """A replica and its place in a journal. `free` it at the end."""

    history: ClassVar[bool] = True
    audits: ClassVar[bool] = True
    "What its replica does beside making books and events; see there."

    def __init__(
        self,
        folder: DataDir,
        storage: Storage,
        durable: int | None,
        at_most: int | None = None,
        blocks: Mapping[str, Block] | None = None,
    ) -> None:
        """Stand at the newest snapshot, of a decision up to `at_most` if that is given.

        `durable`: the last durable decision now; None when nobody writes the journal, which is then
        followed to its end. `blocks`: memory for the states, else private memory. Raises the errors
        of snapshots and of the reader.
        """
        self.folder = folder
        self.on_older: Callable[[], None] = lambda: None
        "Called when it has had to go back to an older snapshot, with another replica."
        self._storage, self._blocks = storage, blocks
        self._sink: Sink | None = None
        self._begin(durable, at_most)

    def _begin(self, durable: int | None, at_most: int | None) -> None:
        self.start = choose_start(self.folder, self._storage, durable, at_most)
        "The snapshot from which it began, and what is skipped behind it."
        identity = self.folder.identity
        self.replica = Replica(
            identity.shards, identity.event_slots, self._blocks, self.history, self.audits
        )
        try:
            moment = self.start.load_into(self.replica)
        except BaseException:
            self.replica.free()
            raise
        self.replica.send_events_to(self._sink)
        self._skips = set(self.start.skips)
        self._reader = JournalReader(self._storage, moment.dseq)
        self._reader.seek(moment.dseq + 1)

    @property
    def dseq(self) -> int:
        """The last decision that was done again."""
        return self.replica.dseq

    @property
    def moment(self) -> Moment:
        """Where the state stands."""
        return moment_of(self.folder.identity, self.replica)

    def send_events_to(self, sink: Sink | None) -> None:
        """Hand every event from now on to `sink`, while following.

        Events that it had may come again, and not all the same, when a later SKIP tells that
        matching has not executed a decision: then following begins anew before that decision.
        """
        self._sink = sink
        self.replica.send_events_to(sink)

    def follow(self, durable: int | None, until: int | None = None) -> Iterator[int]:
        """Do again what is new, as far as the journal is durable, at most up to decision `until`.

        None is for a journal that nobody writes: to its end. Gives the last decision after each
        frame; it may be left at any of them. Raises Diverged and the errors of the reader.
        """
        if until is not None and until <= self.dseq:
            return
        if durable is None:
            frames = self._reader.frames(self.dseq + 1)
        elif self.dseq < durable:
            frames = self._reader.poll(durable)
            until = durable if until is None else min(durable, until)
        else:
            return
        for frame in frames:
            if not self._heed_skips(frame):
                yield from self.follow(durable, until)
                return
            assert frame.first_dseq <= self.dseq + 1, "follow: a frame has been left out"
            self.replica.apply(frame.payload, until or 0)
            self.replica.term = frame.term
            yield self.dseq
            if self.dseq < frame.last_dseq:  # the rest of it comes next time
                self._reader.seek(self.dseq + 1)
            if self.dseq == until:
                return

    def _heed_skips(self, frame: Frame) -> bool:
        """Learn which decisions are to be skipped; false when one of them has been executed.

        Then the replica stands at an older snapshot again, from before that decision.
        """
        new = set(skips_in(frame)) - self._skips
        if any(dseq <= self.dseq for dseq in new):
            self.replica.free()
            self._begin(frame.last_dseq, min(new) - 1)
            self.on_older()
            return False
        if new:
            self._skips |= new
            self.replica.skip(sorted(self._skips))
        return True

    @property
    def is_at_rest(self) -> bool:
        """Whether a snapshot can be taken: matching has finished what the decisions have begun.

        A cascade of very many events waits in matching until risk is known to have heard of them.
        """
        return self.replica.is_idle

    def store(self, kept: int = KEPT, progress: Progress | None = None) -> Snapshot:
        """Take a snapshot of the state as it stands. Errors as those of `snapshot_folder.store`.

        SnapshotMissing when there can be none of this decision (`is_at_rest`).
        """
        if not self.is_at_rest:
            raise SnapshotMissing(
                f"there can be no snapshot of decision {self.dseq}: matching is in the midst of "
                "what it has set going. Try again when the venue has gone on"
            )
        self.replica.keep_pending()
        return store(self.folder.snapshots, self.replica.blocks, self.moment, kept, progress)

    def free(self) -> None:
        """Give the memory back."""
        self.replica.free()


class EventPursuit(Pursuit):
    """One for who wants nothing but events: no snapshot can be taken, and nothing is checked."""

    history = False
    audits = False
