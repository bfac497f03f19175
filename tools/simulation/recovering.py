"""How a simulated venue comes back: the whole of it, or the stages of one process.

The work is done by `engine.durability.recovery`, as it is in a venue of processes; only files are
replaced: snapshots are kept in memory, and the journal lies on the simulated disk.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from random import Random

from engine.durability.blocks import Block
from engine.durability.errors import JournalError
from engine.durability.reader import JournalReader
from engine.durability.recovery import Rebuild, continue_venue, decision_needed
from engine.messages import COMMAND_CODEC, MESSAGE_BYTES, CommandKind
from engine.topology import CONTROL, order_ring
from tools.simulation.derivations import Derivation, Snapshot
from tools.simulation.disks import SimulatedDisk
from tools.simulation.judging import expect
from tools.simulation.pages import Pages, assign
from tools.simulation.worlds import World


class Spares:
    """Derivations that take the place of what has died, one for each process."""

    def __init__(self, world: World) -> None:
        """There are none yet."""
        self._world = world
        self._made: dict[int, Derivation] = {}

    def of(self, process: int) -> Derivation:
        """That of a process."""
        if process not in self._made:
            self._made[process] = Derivation(self._world)
        return self._made[process]


def newest(
    snapshots: Sequence[Snapshot],
    at_most: int = 1 << 62,
    published: Mapping[int, int] | None = None,
) -> Snapshot | None:
    """The newest snapshot of a decision up to `at_most`; None: the beginning.

    `published`: for shards, the last event that such a snapshot may have behind it.
    """
    bounds = (published or {}).items()
    fitting = [
        each
        for each in snapshots
        if each.dseq <= at_most and all(each.sequences[shard] <= end for shard, end in bounds)
    ]
    return max(fitting, key=lambda each: each.dseq, default=None)


# --- the whole venue ---------------------------------------------------------------------------


def begin_again(world: World, disk: SimulatedDisk, snapshots: Sequence[Snapshot], term: int) -> int:
    """Bring a venue back from its newest snapshot and its journal; returns the last decision.

    Its rings must have been laid out anew. Raises what reading and following raise.
    """
    spare = world.kept(Spares).of(0)
    spare.restart(newest(snapshots))
    spare.follow(disk)
    spare.replica.hear_all()
    for name in world.states():
        assign(world.pages[name], spare.pages[name])
    continue_venue(world.venue, spare.replica, term)
    return spare.replica.dseq


def tell_barrier(world: World, term: int) -> None:
    """The supervisor's first command of a term."""
    ring = world.rings[order_ring(CONTROL)]
    raw = COMMAND_CODEC.encode(kind=int(CommandKind.BARRIER), order_id=term)
    sent = ring.offer(raw.ljust(MESSAGE_BYTES, b"\0"))
    assert sent, "a ring that was laid out anew has room"


def try_with_damage(disk: SimulatedDisk, random: Random) -> bool:
    """Flip one bit of what was acknowledged and see that the journal is refused; flip it back.

    Returns whether there was anything to damage.
    """
    frames = [
        (frame.segment, frame.offset, frame.bytes)
        for frame in JournalReader(disk).frames()
        if frame.segment in disk.segment_files
    ]
    if len(frames) < 2:
        return False
    # The last frame may be taken for torn while only itself proves that it was durable.
    segment, offset, size = frames[random.randrange(len(frames) - 1)]
    file = disk.segment_files[segment]
    place, bit = offset + random.randrange(size), 1 << random.randrange(8)
    file.shown[place] ^= bit
    refused = False
    try:
        for _ in JournalReader(disk).frames():
            pass
    except JournalError:
        refused = True
    finally:
        file.shown[place] ^= bit
    expect(refused, f"bit {bit} of byte {place} in segment {segment} is damaged, and is believed")
    return True


# --- one process -------------------------------------------------------------------------------


class Successor:
    """A process that makes the states of its stages anew, a step at a time."""

    def __init__(
        self, world: World, stages: Sequence[int], disk: SimulatedDisk, snapshots: list[Snapshot]
    ) -> None:
        """`stages`: by their numbers in the world."""
        self.stages = tuple(stages)
        names = [world.stages[stage] for stage in stages]
        need = decision_needed(world.venue, names)
        spare = world.kept(Spares).of(1 + stages[0])
        shards = {stage - 2: world.topology.event_rings[stage - 2] for stage in stages if stage > 1}
        published = {shard: world.rings[name].position for shard, name in shards.items()}
        spare.restart(newest(snapshots, need, published))
        self._rebuild = Rebuild(world.venue, names, spare.replica, JournalReader(disk), need)
        self._rebuild.put = partial(_put, _by_address(world) | _by_address(spare))

    def step(self) -> bool:
        """Go on as far as possible; true when the stages may act again."""
        return self._rebuild.step()


def _put(pages: Mapping[int, Pages], source: Block, target: Block) -> None:
    assign(pages[target.address], pages[source.address])


def _by_address(owner: World | Derivation) -> dict[int, Pages]:
    return {pages.region.start: pages for pages in owner.pages.values()}
