"""Bugs that are planted into the simulated venue, one at a time: each is found within few seeds."""

from collections.abc import Callable
from typing import Any

import pytest

from engine.durability import committing, reader, recovery
from engine.durability.collecting import await_decisions, release
from engine.durability.committing import Committer
from engine.durability.errors import StorageFailed
from engine.durability.replica import Replica
from ipc.ring import consume
from tools.simulation import seeds
from tools.simulation.actors import Stage
from tools.simulation.disks import SimulatedDisk
from tools.simulation.traders import Trader

SEEDS_MAX = 80
"""Seeds, at most, until a bug is found. Without a bug all of them pass (test_seeds)."""

Planter = Callable[[pytest.MonkeyPatch], None]


def acknowledge_before_durable(patch: pytest.MonkeyPatch) -> None:
    """What is packed may be told at once; it is written in the next turn."""

    def turn(self: Committer, turn_ns: int) -> bool:
        if not self.size:
            self.size = await_decisions(self.committing, turn_ns)
            if self.size:
                release(self.committing, 0)
            return bool(self.size)
        self.writer.append(self.frame, self.size)
        self.size = 0
        return True

    patch.setattr(Committer, "turn", turn)


def tell_what_is_not_durable(patch: pytest.MonkeyPatch) -> None:
    """A gateway that takes no notice of the durable mark."""
    hear = Trader._take

    def take(self: Trader, ring: Any, shard: int, span: tuple[int, int], durable: int) -> int:
        return hear(self, ring, shard, span, 1 << 62)

    patch.setattr(Trader, "_take", take)


def forget_client_order_ids(patch: pytest.MonkeyPatch) -> None:
    """Ingest knows no name again: what is sent twice is executed twice."""
    step = Stage.step

    def forgetful(self: Stage, batch: int) -> int:
        done = step(self, batch)
        if self.kind == "ingest":
            ingest = self.world.venue.ingest
            region = self.world.pages["ingest"]
            start = type(ingest).fields["buckets"]
            region.bytes[start.offset : start.offset + start.size] = 0
        return done

    patch.setattr(Stage, "step", forgetful)


def consume_before_the_effect(patch: pytest.MonkeyPatch) -> None:
    """The journal gives slots back before what was in them is durable."""
    append = committing.JournalWriter.append

    def turn(self: Committer, turn_ns: int) -> bool:
        if not self.size:
            self.size = await_decisions(self.committing, turn_ns)
            consume(self.committing.decisions.cursor, self.committing.taken if self.size else 0)
        if not self.size:
            return False
        durable = append(self.writer, self.frame, self.size)
        self.committing.mark.dseq = durable
        self.size = 0
        return True

    patch.setattr(Committer, "turn", turn)


def skip_the_payload_checksum(patch: pytest.MonkeyPatch) -> None:
    """The reader believes the bytes of a frame whose header is right."""

    class Anything(int):
        def __ne__(self, other: object) -> bool:
            return False

        __hash__ = None  # type: ignore[assignment]

    class Checksum:
        @staticmethod
        def value(raw: Any) -> int:
            return Anything()

    patch.setattr(reader, "google_crc32c", Checksum)


def sync_again_after_an_error(patch: pytest.MonkeyPatch) -> None:
    """A sync that failed is repeated, and then it succeeds: what it lost stays lost."""
    sync = SimulatedDisk.sync

    def again(self: SimulatedDisk, first_dseq: int) -> None:
        try:
            sync(self, first_dseq)
        except StorageFailed:
            sync(self, first_dseq)

    patch.setattr(SimulatedDisk, "sync", again)


def forget_pending_events(patch: pytest.MonkeyPatch) -> None:
    """A snapshot without the events that risk had not applied."""
    patch.setattr(Replica, "keep_pending", lambda self: None)


def send_nothing_again(patch: pytest.MonkeyPatch) -> None:
    """The command that risk had sent by itself, and that died with its ring, is not repeated."""
    patch.setattr(recovery, "send_again", lambda venue: None)


def take_any_snapshot(patch: pytest.MonkeyPatch) -> None:
    """Dead matching is made anew from a snapshot that is ahead of what it had published."""
    from tools.simulation import recovering

    newest = recovering.newest
    patch.setattr(
        recovering, "newest", lambda known, at_most=1 << 62, told=None: newest(known, at_most)
    )


@pytest.mark.parametrize(
    "plant",
    [
        acknowledge_before_durable,
        tell_what_is_not_durable,
        forget_client_order_ids,
        consume_before_the_effect,
        skip_the_payload_checksum,
        sync_again_after_an_error,
        forget_pending_events,
        send_nothing_again,
        take_any_snapshot,
    ],
)
def test_a_planted_bug_is_found(plant: Planter, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    for seed in range(1, 1 + SEEDS_MAX):
        problem = seeds.run_seed(seed, twin=False).problem
        if problem:
            print(f"seed {seed}: {problem}")
            return
    pytest.fail(f"{plant.__name__}: not found in {SEEDS_MAX} seeds")
