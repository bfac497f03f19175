"""Recovery: the state of a venue, or of the stages of one process, made anew from its folder.

A machine that starts has nothing but files. A replica over the venue's own memory begins with the
newest whole snapshot, follows the journal to its end, and then the rings go on where they were:
sequences of commands, decisions and events have no gap, and each source continues its own numbers.

A process that died has left rings, and states that may be half changed. Its successor makes them
anew in private memory, as far as the rings say that its predecessor had come, publishes what that
one had not, and puts the states in place. The others wait at their rings meanwhile. What it needs
of the journal must be durable first, so this goes step by step (`Rebuild.step`): the simulator
takes the same steps between those of others.
"""

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from engine.durability.blocks import Block, copy
from engine.durability.datadir import DataDir, attach
from engine.durability.errors import Diverged
from engine.durability.file_storage import FileStorage
from engine.durability.follower import FINE
from engine.durability.following import learn_commands, relay_to
from engine.durability.format import FIRST_DSEQ
from engine.durability.noting import Notes
from engine.durability.pursuit import choose_start, find_skip, moment_of
from engine.durability.reader import JournalReader, joined
from engine.durability.replica import Replica
from engine.durability.republishing import copy_behind, count_same, publish_events
from engine.durability.snapshot import Progress
from engine.durability.snapshot_folder import store
from engine.durability.snapshot_format import Moment
from engine.messages import MESSAGE_BYTES
from engine.stage import copy_words
from engine.topology import INGEST, JOURNAL, MATCHING, RISK, ProcessPlan, order_ring
from engine.venue import REFERENCE, VenueMemory
from ipc.ring import Ring, begin_at, claim, publish, resume, slot

WAIT_SECONDS: Final = 0.0005
"""Between two looks for what the journal has still to write: it takes a tenth of that, or long."""


def blocks_of(venue: VenueMemory) -> dict[str, Block]:
    """The states of a venue, by the names that they have in a replica."""
    found = {
        REFERENCE: Block.of(venue.reference),
        INGEST: Block.of(venue.ingest),
        RISK: Block.of(venue.risk),
    }
    for shard, state in enumerate(venue.matching):
        found[f"{MATCHING}.{shard}"] = Block.of(state)
    return found


# --- the machine -------------------------------------------------------------------------------


def write_genesis(venue: VenueMemory, folder: DataDir, progress: Progress | None = None) -> None:
    """The snapshot of moment 0: a venue as its configuration has just made it."""
    replica = replica_of(venue, blocks_of(venue))
    replica.create_histories()
    replica.begin(0, [0] * replica.shards)
    store(folder.snapshots, replica.blocks, moment_of(folder.identity, replica), progress=progress)
    replica.free()


def replica_of(
    venue: VenueMemory, blocks: dict[str, Block] | None = None, history: bool = True
) -> Replica:
    """A replica that fits a venue."""
    config = venue.config
    return Replica(config.venue.shards, config.rings.event_slots, blocks, history)


def continue_venue(venue: VenueMemory, replica: Replica, term: int) -> None:
    """Let the empty rings of a venue go on where a replica over its states has come to.

    Nobody may use the venue yet. What risk had sent and ingest had not sequenced is sent again.
    """
    replica.hear_all()
    risk, ingest = venue.risk, venue.ingest
    begin_at(venue.rings["commands"], ingest.sequence)
    begin_at(venue.rings["decisions"], replica.dseq)
    for name, sequence in zip(venue.topology.event_rings, replica.sequences, strict=True):
        begin_at(venue.rings[name], sequence)
    for source, name in enumerate(venue.topology.order_rings):
        begin_at(venue.rings[name], ingest.taken[source])
    send_again(venue)
    assert risk.source == venue.topology.risk_source, "the sources have other numbers now"
    venue.counters.durable.dseq = replica.dseq
    venue.counters.durable.term = term


def send_again(venue: VenueMemory) -> None:
    """Publish risk's last own command unless its order ring has it."""
    ring, warden = venue.rings[order_ring(RISK)], venue.risk.warden
    missing = warden.sent - ring.producer.position
    assert 0 <= missing <= 1, f"risk has sent {warden.sent}, its ring says otherwise"
    if missing == 1:
        granted = claim(ring, 1)
        assert granted == 1, "send_again: at most one command of risk's own is under way"
        target = slot(ring, ring.producer.position)
        copy_words(target, warden.command.address, MESSAGE_BYTES >> 3)
        publish(ring, 1)


def recover_machine(
    venue: VenueMemory, data_dir: Path, skips: Collection[int] = frozenset(), careful: bool = False
) -> None:
    """Bring a venue that has just been laid out to where its folder says that it was.

    `skips`: decisions that matching refuses, beside those of which the journal says so;
    `careful`: one may have killed whoever tried before. Writes the genesis snapshot at the very
    first start. Its last decision and the new term are in `venue.counters.durable` afterwards.
    Raises the errors of snapshots and of the journal, and Diverged.
    """
    folder = attach(data_dir)
    entry = venue.entry(venue.topology.host_of(JOURNAL))
    notes = Notes(entry, FIRST_DSEQ if careful else None)
    if not any(folder.snapshots.glob("*.snapshot")):
        write_genesis(venue, folder, notes.beat)
    replica = replica_of(venue, blocks_of(venue), history=False)
    storage = storage_of(venue, data_dir)
    start = choose_start(folder, storage, None, None, notes.beat)
    found = start.load_into(replica, skips, notes.beat)
    reader = JournalReader(storage, acknowledged=found.dseq)
    for payload in joined(reader.frames(found.dseq + 1)):
        notes.apply(replica, payload)
    replica.term = max(replica.term, reader.position.term)
    notes.beat()
    continue_venue(venue, replica, replica.term + 1)
    venue.counters.durable.snapshot_dseq = found.dseq
    replica.free()
    storage.close()


def storage_of(venue: VenueMemory, data_dir: Path) -> FileStorage:
    """The journal's files, to read."""
    return FileStorage(data_dir, venue.config.durability.segment_mb << 20)


# --- one process -------------------------------------------------------------------------------


def decision_needed(venue: VenueMemory, stages: Collection[str], least: int = 0) -> int:
    """The decision to which dead stages had come, which a replica must follow to.

    `least`: a decision that must not be left to matching itself, because it kills it.
    """
    end = venue.rings["decisions"].producer.position
    shards = [name for name in venue.topology.shards if name in stages]
    if len(shards) < len(stages):
        return end
    return min(max(least, *(venue.cursor("decisions", name).position for name in shards)), end)


def may_begin_with(venue: VenueMemory, stages: Collection[str], moment: Moment) -> bool:
    """Whether a snapshot has no event that a dead shard among the stages had still to publish.

    Whoever takes snapshots follows the journal, and can be ahead of matching. Its events up to the
    snapshot would be made by nobody.
    """
    topology = venue.topology
    return all(
        moment.eseqs[shard] <= venue.rings[topology.event_rings[shard]].producer.position
        for shard, name in enumerate(topology.shards)
        if name in stages
    )


class Rebuild:
    """The states of the stages of a dead process, made anew."""

    put: Callable[[Block, Block], None] = staticmethod(copy)
    "How a state is put in its place; memory of another kind has another way."

    apply: Callable[[Replica, memoryview | bytes, int], None] = staticmethod(Replica.apply)
    "How decisions are done again; a process notes meanwhile that it lives."

    def __init__(
        self,
        venue: VenueMemory,
        stages: Collection[str],
        replica: Replica,
        reader: JournalReader,
        need: int,
    ) -> None:
        """`replica`: where a snapshot not behind `need` leaves it, with memory of its own.

        `need`: what `decision_needed` said.
        """
        self.venue, self.replica = venue, replica
        topology = venue.topology
        self._ingest, self._risk = INGEST in stages, RISK in stages
        self._shards = [k for k, name in enumerate(topology.shards) if name in stages]
        self._events = [venue.rings[name] for name in topology.event_rings]
        for ring in self._rings_written():
            resume(ring)
        self._end, self._need = venue.rings["decisions"].producer.position, need
        self._reader = reader
        self._payload = b""
        reader.seek(replica.dseq + 1)
        self._catching_up = True
        self._published = [ring.producer.position for ring in self._events]
        self._late: list[bytearray] = [bytearray() for _ in self._events]
        "Events of hosted shards that were not published."
        if self._shards:
            replica.send_events_to(self._take)

    def _rings_written(self) -> list[Ring]:
        rings = self.venue.rings
        found = [self._events[shard] for shard in self._shards]
        if self._ingest:
            found.append(rings["commands"])
        if self._risk:
            found += [rings["decisions"], rings[order_ring(RISK)]]
        return found

    def _take(self, shard: int, raw: memoryview) -> None:
        """Events that are made again: the same as those that are there, or late ones."""
        if shard not in self._shards:
            return
        first = int.from_bytes(raw[:8], "little")
        count = len(raw) // MESSAGE_BYTES
        known = min(max(self._published[shard] - first + 1, 0), count)
        same = count_same(self._events[shard], self.replica.out_address, known)
        if same < known:
            raise Diverged(self.replica.dseq, f"matching makes another event {first + same}")
        self._late[shard] += raw[known * MESSAGE_BYTES :]

    def step(self) -> bool:
        """Go on as far as possible; true when the states are in place.

        False: the journal has first to make something durable, or a reader has to make room.
        Raises as `recover_machine`.
        """
        if self._catching_up and not self._catch_up():
            return False
        if not all([self._publish_late(shard) for shard in self._shards]):
            return False
        self._put_in_place()
        return True

    def _catch_up(self) -> bool:
        replica = self.replica
        while True:
            if not self._follow():
                return False
            if not self._is_short():
                break
            # It had published, and not yet said that it had taken the decision.
            assert self._need < self._end, "events of decisions that nobody made"
            self._need += 1
        if self._shards and not self._risk:
            replica.hear_all()  # risk's private state here is only a means
        self._hear()
        self._catching_up = False
        return True

    def _follow(self) -> bool:
        """Make all again up to the decision that is needed; false when it is not durable yet."""
        replica = self.replica
        while replica.dseq < self._need:
            if self.venue.counters.durable.dseq < self._need:
                return False
            self.apply(replica, self._payload, self._need)  # what was left of the last frames
            for payload in joined(self._reader.poll(self._need)):
                self._payload = payload
                self.apply(replica, payload, self._need)
        return True

    def _is_short(self) -> bool:
        """Whether a hosted shard had published more than has been made again."""
        made = self.replica.sequences
        return any(made[shard] < self._published[shard] for shard in self._shards)

    def _hear(self) -> None:
        """Let risk come to where it was: it goes on with the events that its rings still hold."""
        if not self._risk:
            return
        if self._shards:
            self.replica.hear_all()
            return
        for shard, name in enumerate(self.venue.topology.event_rings):
            mark = self.venue.cursor(name, RISK).position
            heard = relay_to(self.replica.follower, shard, mark)
            assert heard == 1, "risk had taken events that matching has not made"

    def _publish_late(self, shard: int) -> bool:
        """Publish what is late as far as there is room; true when all is out."""
        late, ring, topology = self._late[shard], self._events[shard], self.venue.topology
        clock = self.venue.counters.clock
        while late:
            if self._risk:  # it has heard all of them already
                cursor = self.venue.cursor(topology.event_rings[shard], RISK)
                cursor.position = ring.producer.position
            count = publish_events(ring, self.replica.out_address, self.replica.lend(late), clock)
            if count == 0:
                return False
            del late[: count * MESSAGE_BYTES]
        return True

    def _put_in_place(self) -> None:
        venue, replica, topology = self.venue, self.replica, self.venue.topology
        sequenced = replica.follower.ingest.sequence
        if self._ingest:
            ring = venue.rings["commands"]
            fault = learn_commands(replica.follower, ring, sequenced, ring.producer.position)
            if fault != FINE:
                raise Diverged(replica.dseq + 1, "ingest would sequence otherwise")
        hosted = [INGEST] * self._ingest + [RISK] * self._risk
        hosted += [f"{MATCHING}.{shard}" for shard in self._shards]
        live = blocks_of(venue)
        for name in hosted:
            self.put(replica.blocks[name], live[name])
        for shard in self._shards:
            cursor = venue.cursor("decisions", topology.shards[shard])
            cursor.position = cursor.seen = replica.dseq
        if self._risk:
            venue.cursor("commands", RISK).position = sequenced
            for shard, name in enumerate(topology.event_rings):
                venue.cursor(name, RISK).position = venue.risk.watermarks[shard]
            send_again(venue)
        if self._ingest:
            for source, name in enumerate(topology.order_rings):
                venue.cursor(name, INGEST).position = venue.ingest.taken[source]


def rebuild_stages(
    venue: VenueMemory,
    plan: ProcessPlan,
    data_dir: Path,
    skips: Collection[int] = frozenset(),
    careful: bool = False,
) -> None:
    """Make the states of a process's stages anew, in that process, before it begins to work.

    Waits for the journal where it must. Arguments and errors as those of `recover_machine`.
    """
    folder = attach(data_dir)
    # What matching has executed once, it can execute again.
    executed = [venue.cursor("decisions", name).position for name in venue.topology.shards]
    notes = Notes(venue.entry(plan.name), min(executed) + 1 if careful else None)
    replica = replica_of(venue, history=False)
    need = decision_needed(venue, plan.stages, max(skips, default=0))
    storage = storage_of(venue, data_dir)
    durable, latest = venue.counters.durable.dseq, need
    while True:
        start = choose_start(folder, storage, durable, latest, notes.beat)
        moment = start.found.snapshot.moment
        if may_begin_with(venue, plan.stages, moment):
            break
        latest = moment.dseq - 1
    start.load_into(replica, skips, notes.beat)
    rebuild = Rebuild(venue, plan.stages, replica, JournalReader(storage), need)
    rebuild.apply = notes.apply
    while not rebuild.step():
        notes.beat()
        if venue.counters.stop.value:
            break
        time.sleep(WAIT_SECONDS)
    notes.beat()
    replica.free()
    storage.close()


def warm_up() -> None:
    """Compile what recovery runs, on a replica of nothing."""
    replica = Replica(1)
    replica.create_histories()
    replica.begin(0, [0])
    replica.send_events_to(lambda shard, raw: None)
    replica.apply(b"")
    replica.hear_all()
    follower, events = replica.follower, replica.follower.taps.sources[0].ring
    relay_to(follower, 0, 0)
    find_skip(replica.out_address, 0)
    learn_commands(follower, follower.commands, 0, 0)
    count_same(events, replica.out_address, 0)
    copy_behind(events, 0, replica.out_address, 0)
    publish_events(events, replica.out_address, 0, follower.risk_ports.telemetry.clock)
    replica.free()
