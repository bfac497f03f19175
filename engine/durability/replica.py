"""A replica: a whole engine that follows the decisions of a journal and comes to the same state.

It does everything again (`following`), so following is also checking: risk must come to the same
decisions, ingest to the same ids and times, and whoever has the live events or checkpoints can
compare those. The states lie in blocks, in private memory or in that of a venue which is about to
begin; two engines that have followed the same decisions have equal blocks, byte for byte.
"""

from collections.abc import Callable, Mapping
from typing import Final

from engine.durability.blocks import Block
from engine.durability.errors import Diverged
from engine.durability.follower import (
    ANOTHER_DECISION,
    ANOTHER_ID,
    ANOTHER_TIME,
    FINE,
    SKIPS_MAX,
    UNHEARD_EVENTS,
    Follower,
)
from engine.durability.following import answer, bytes_until, call_note, copy_out, finish_up, follow
from engine.durability.format import PAYLOAD_BYTES_MAX
from engine.durability.history.state import HistoryState, create_history
from engine.durability.republishing import copy_behind, put_back
from engine.intake import IngestState
from engine.limits import EVENT_RING_SLOTS
from engine.market.commands import link_special
from engine.matching import MatchingState
from engine.messages import MESSAGE_BYTES
from engine.process import link_stages
from engine.reference import ReferenceData
from engine.risk.state import RiskState
from engine.topology import INGEST, MATCHING, RISK
from engine.venue import REFERENCE
from ipc import memory
from ipc.clock import MANUAL, Clock
from ipc.counters import StageStatistics, read_checkpoint, write_checkpoint
from ipc.distant import link
from ipc.record import Array, Record, i64, length
from ipc.ring import BY_INDEX, Inbox, Ring, begin_at, create_ring, ring_bytes

HISTORY: Final = "history"
PENDING: Final = "pending"

PENDING_MAX: Final = 1 << 18
"""Events that matching has made and risk has not applied: at most those in a venue's event ring,
which must not be larger in a durable venue."""

RECORD_SLOTS: Final = 1 << 12
SMALL_SLOTS: Final = 1 << 10
"""Slots of rings that never hold more than a batch."""

EVENTS_OUT_MAX: Final = 1 << 12
"""Events that are handed out at a time."""

RISK_READS, HISTORY_READS, SINK_READS = range(3)
"""Readers of the event rings."""

FAULTS: Final = {
    ANOTHER_DECISION: "risk comes to another decision",
    ANOTHER_ID: "ingest would give another order id",
    ANOTHER_TIME: "ingest would tell another time or phase",
    UNHEARD_EVENTS: "risk had seen events that matching does not make",
}

Sink = Callable[[int, memoryview], None]
"""Gets a shard and whole event slots, MESSAGE_BYTES each, in order; the view is used again."""


class EventSlot(Record, align=64):
    """A message as words."""

    words: Array[i64] = length(MESSAGE_BYTES // 8)


class PendingEvents(Record, align=64):
    """Events of a shard that risk has not applied, in order."""

    count: i64
    slots: Array[EventSlot] = length(PENDING_MAX)


def block_records(shards: int, history: bool = True) -> dict[str, type[Record]]:
    """The blocks of a venue's state with so many matching shards, with their histories or not."""
    found: dict[str, type[Record]] = {REFERENCE: ReferenceData, INGEST: IngestState}
    found[RISK] = RiskState
    kinds: dict[str, type[Record]] = {MATCHING: MatchingState, PENDING: PendingEvents}
    if history:
        kinds[HISTORY] = HistoryState
    for name, record in kinds.items():
        found |= {f"{name}.{shard}": record for shard in range(shards)}
    return found


class Replica:
    """One engine over its blocks; `begin` or a loaded snapshot says where it stands."""

    def __init__(
        self,
        shards: int,
        event_slots: int = EVENT_RING_SLOTS,
        blocks: Mapping[str, Block] | None = None,
        history: bool = True,
        audits: bool = True,
    ) -> None:
        """Lay out private rings, and private zeroed blocks for those that are not given.

        `event_slots`: of the largest event ring that the venue ever had. `history`: keep what a
        late gateway needs, as whoever takes snapshots must. `audits`: do ingest and risk again,
        too; without them books and events are made several times as fast, and the other blocks
        stay as they were.
        """
        assert event_slots <= PENDING_MAX, "a durable venue has no larger event rings"
        link_stages()
        link_special()  # nobody need have made a book in this process
        link(call_note, HistoryState, Inbox)
        self.history, self.audits = history, audits
        self.shards = shards
        self.blocks: dict[str, Block] = {}
        self._own: list[memory.Region] = []
        given = blocks or {}
        for name, record in block_records(shards, history).items():
            block = given.get(name)
            if block is None:
                region = memory.allocate(record.size, f"replica.{name}")
                self._own.append(region)
                block = Block(record, region.start)
            self.blocks[name] = block
        self._connect(event_slots)
        self.term = 0
        self._sink: Sink | None = None

    # --- wiring --------------------------------------------------------------------------------

    def _ring(self, name: str, slots: int, readers: int) -> Ring:
        region = memory.allocate(ring_bytes(slots, MESSAGE_BYTES), f"replica.{name}")
        self._own.append(region)
        return create_ring(region.start, slots, MESSAGE_BYTES, BY_INDEX, readers)

    def _connect(self, event_slots: int) -> None:
        follower: Follower = Follower.allocate()
        self.follower = follower
        "The compiled part's memory."
        follower.reference = ReferenceData(self.blocks[REFERENCE].address)
        follower.ingest = IngestState(self.blocks[INGEST].address)
        follower.risk = RiskState(self.blocks[RISK].address)
        follower.shard_count = self.shards
        follower.history_count = self.shards if self.history else 0
        follower.journaled = self._ring("decisions", RECORD_SLOTS, 1 + self.shards)
        follower.audits = int(self.audits)
        follower.audited = follower.journaled.readers[0]
        follower.audited.active = int(self.audits)
        follower.commands = self._ring("commands", SMALL_SLOTS, 1)
        follower.redone = self._ring("redone", SMALL_SLOTS, 0)
        follower.keeper.ring = self._ring("keeper", SMALL_SLOTS, 0)
        clock: Clock = Clock.allocate()
        clock.source, clock.multiplier = MANUAL, 1 << 32
        risk = follower.risk_ports
        risk.commands.ring, risk.commands.cursor = follower.commands, follower.commands.readers[0]
        risk.decisions.ring = follower.redone
        risk.orders.ring = self._ring("orders", SMALL_SLOTS, 0)
        risk.telemetry.clock, risk.telemetry.statistics = clock, StageStatistics.allocate()
        risk.events.count = follower.taps.count = self.shards
        risk.following = 1
        self._events: list[Ring] = []
        self.statistics: list[StageStatistics] = []
        "Of each matching shard: its last checkpoint is there."
        self._connect_shards(event_slots, clock)
        self._payload = memory.allocate(PAYLOAD_BYTES_MAX, "replica.payload")
        self._out = memory.allocate(EVENTS_OUT_MAX * MESSAGE_BYTES, "replica.out")
        self._own += [self._payload, self._out]

    def _connect_shards(self, event_slots: int, clock: Clock) -> None:
        follower, risk = self.follower, self.follower.risk_ports
        for shard in range(self.shards):
            relay = self._ring(f"relay.{shard}", SMALL_SLOTS, 1)
            events = self._ring(f"events.{shard}", 2 * event_slots, 3)
            events.readers[SINK_READS].active = 0
            events.readers[RISK_READS].active = int(self.audits)
            events.readers[HISTORY_READS].active = int(self.history)
            if self.history:
                kept = HistoryState(self.blocks[f"{HISTORY}.{shard}"].address)
                follower.histories[shard] = kept
                follower.recorders.sources[shard].ring = events
                follower.recorders.sources[shard].cursor = events.readers[HISTORY_READS]
            self._events.append(events)
            follower.relays[shard] = relay
            risk.events.sources[shard].ring = relay
            risk.events.sources[shard].cursor = relay.readers[0]
            follower.taps.sources[shard].ring = events
            follower.taps.sources[shard].cursor = events.readers[RISK_READS]
            follower.matching[shard] = MatchingState(self.blocks[f"{MATCHING}.{shard}"].address)
            ports = follower.matching_ports[shard]
            ports.decisions.ring = follower.journaled
            ports.decisions.cursor = follower.journaled.readers[1 + shard]
            ports.events.ring = events
            ports.telemetry.clock, statistics = clock, StageStatistics.allocate()
            ports.telemetry.statistics = statistics
            self.statistics.append(statistics)

    def create_histories(self) -> None:
        """Set up zeroed histories: of a venue that has not begun."""
        for shard in range(self.follower.history_count):
            create_history(self.follower.histories[shard])

    def begin(self, dseq: int, sequences: list[int], term: int = 0) -> None:
        """Stand behind decision `dseq` and the events `sequences`, as the blocks do."""
        follower = self.follower
        self.term = term
        follower.fault = FINE
        follower.skip_count = follower.until = follower.risk_ports.cue = 0
        outboxes = [follower.risk_ports.decisions, follower.risk_ports.orders]
        outboxes += [follower.matching_ports[shard].events for shard in range(self.shards)]
        for outbox in outboxes:
            outbox.claimed = outbox.pending = outbox.held = 0
        for statistics in self.statistics:
            write_checkpoint(statistics, 0, 0)
        begin_at(follower.commands, 0)
        begin_at(follower.journaled, dseq)
        begin_at(follower.redone, dseq)
        for shard, sequence in enumerate(sequences):
            applied = follower.risk.watermarks[shard]
            begin_at(follower.relays[shard], applied)
            events = self._events[shard]
            begin_at(events, applied)
            self._put_back(shard, events, sequence - applied)
            for index in (HISTORY_READS, SINK_READS):
                events.readers[index].position = events.readers[index].seen = sequence

    def _put_back(self, shard: int, events: Ring, count: int) -> None:
        """Fill an event ring with what risk has not applied yet."""
        pending = PendingEvents(self.blocks[f"{PENDING}.{shard}"].address)
        assert pending.count == count, f"{pending.count} pending events, expected {count}"
        events.claims.gate = events.claims.position + count
        put_back(events, pending.slots[0].address, count)

    def keep_pending(self) -> None:
        """Bring the blocks up to date for a snapshot: what risk has not applied goes there."""
        for shard, events in enumerate(self._events):
            pending = PendingEvents(self.blocks[f"{PENDING}.{shard}"].address)
            cursor = events.readers[RISK_READS]
            count = events.producer.position - cursor.position
            copy_behind(events, cursor.position, pending.slots[0].address, count)
            target = memory.find(pending.address, 1)
            first = pending.slots[0].address - target.start
            end = first + pending.count * MESSAGE_BYTES
            stale = target.view[first + count * MESSAGE_BYTES : end]
            stale[:] = bytes(len(stale))
            pending.count = count

    # --- following -----------------------------------------------------------------------------

    def apply(self, payload: memoryview | bytes, until: int = 0) -> None:
        """Do again what the records of a payload say: those behind `dseq`, without a gap.

        `until`: leave out the decisions behind this one. Raises Diverged, and then the replica is
        good for nothing before it begins anew.
        """
        follower, size = self.follower, len(payload)
        if until and self.dseq >= until:
            return
        self._payload.view[:size] = payload
        taken = bytes_until(self._payload.start, size, self.dseq)
        follower.until = until
        while True:
            moved = follow(follower, self._payload.start + taken, size - taken)
            taken += moved
            if follower.fault != FINE:
                raise Diverged(follower.fault_dseq, FAULTS[follower.fault])
            drained = self._drain()
            fed = follower.journaled.producer.position
            if moved == 0 and drained == 0:
                if self.dseq == fed:  # matching may have begun more than it could finish
                    return
                raise Diverged(self.dseq + 1, FAULTS[UNHEARD_EVENTS])
            if taken == size and self.is_idle:
                return

    @property
    def is_idle(self) -> bool:
        """Whether all records that were given have been done again."""
        follower = self.follower
        ring = follower.journaled
        first = 0 if self.audits else 1
        positions = [ring.readers[index].position for index in range(first, 1 + self.shards)]
        return all(position == ring.producer.position for position in positions)

    def send_events_to(self, sink: Sink | None) -> None:
        """Hand every event from now on to `sink`, during `apply`."""
        self._sink = sink
        for events in self._events:
            reader = events.readers[SINK_READS]
            reader.position = reader.seen = events.producer.position
            reader.active = 0 if sink is None else 1

    def _drain(self) -> int:
        """Hand events out; returns how many."""
        if self._sink is None:
            return 0
        drained = 0
        for shard, events in enumerate(self._events):
            cursor = events.readers[SINK_READS]
            while count := copy_out(events, cursor, self._out.start, EVENTS_OUT_MAX):
                self._sink(shard, self._out.view[: count * MESSAGE_BYTES])
                drained += count
        return drained

    @property
    def out_address(self) -> int:
        """Where the events lie that a sink gets."""
        return self._out.start

    def lend(self, events: bytes | bytearray) -> int:
        """Put events where kernels can read them, as many as fit; returns how many."""
        count = min(len(events) // MESSAGE_BYTES, EVENTS_OUT_MAX)
        self._out.view[: count * MESSAGE_BYTES] = events[: count * MESSAGE_BYTES]
        return count

    def skip(self, dseqs: list[int]) -> None:
        """Let matching refuse these decisions; to be said before they come."""
        assert len(dseqs) <= SKIPS_MAX, f"{len(dseqs)} decisions to skip, at most {SKIPS_MAX}"
        for index, dseq in enumerate(dseqs):
            self.follower.skips[index] = dseq
        self.follower.skip_count = len(dseqs)

    def hear_all(self) -> None:
        """Let risk apply all events, also those that no record has told of yet.

        With that matching can finish what it has begun. Whoever follows on must not do this: the
        next record may say that risk had heard of less.
        """
        finish_up(self.follower)
        while self._drain():
            finish_up(self.follower)

    def ask(self, payload: bytes, sink: Sink) -> None:
        """Hand out what matching answers to records that nobody has decided.

        Neither risk nor a history hears of it: the replica can follow no more.
        """
        assert self.is_idle, "ask: a decision is under way"
        self.send_events_to(sink)
        for events in self._events:
            events.readers[RISK_READS].active = events.readers[HISTORY_READS].active = 0
        self.follower.until = 0
        self._payload.view[: len(payload)] = payload
        taken, progress = 0, 1
        while progress > 0:
            progress = answer(self.follower, self._payload.start + taken, len(payload) - taken)
            taken += progress
            progress += self._drain()
        assert taken == len(payload), "ask: the ring of decisions takes no more"
        assert self.is_idle, "ask: matching does not go on"

    # --- facts ---------------------------------------------------------------------------------

    @property
    def dseq(self) -> int:
        """The last decision that was done again."""
        if self.audits:
            return self.follower.audited.position
        ring = self.follower.journaled
        return min(ring.readers[1 + shard].position for shard in range(self.shards))

    @property
    def sequences(self) -> list[int]:
        """The last event of each shard."""
        return [events.producer.position for events in self._events]

    @property
    def state_hashes(self) -> list[int]:
        """Of each matching shard: the hash over all its events so far, without sign."""
        matching = self.follower.matching
        return [matching[shard].state_hash % (1 << 64) for shard in range(self.shards)]

    def checkpoint(self, shard: int = 0) -> tuple[int, int] | None:
        """The decision and the hash of a shard's last CHECKPOINT since `begin`; None: none."""
        found = read_checkpoint(self.statistics[shard])
        return None if found is None else (found.sequence, found.hash)

    def free(self) -> None:
        """Give the private memory back; nothing of the replica may be used any more."""
        del self.follower
        for region in self._own:
            memory.forget(region)
        self._own = []
