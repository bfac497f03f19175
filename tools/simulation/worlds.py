"""The venue that a simulation runs in: all stages and rings of one kind of market, used again.

A process builds a world once for each market and number of shards, which takes tens of
milliseconds, and clears it for every seed, which takes a fraction of one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from engine.config import Config
from engine.messages import MESSAGE_BYTES
from engine.process import Loop, build_loop, call_ingest, call_matching, call_risk
from engine.topology import INGEST, JOURNAL, RISK, Topology, plan
from engine.venue import VenueMemory, create_private
from ipc import memory
from ipc.clock import MANUAL, Clock
from ipc.counters import CountersFile, DurableMark
from ipc.jit import kernel
from ipc.record import Record
from ipc.ring import BY_INDEX, Ring, create_ring
from tools.simulation.pages import Pages
from tools.twin.market import Market

CLIENTS: Final = ("one", "two", "three")
"""Sources of commands, each with an order ring and a place at the event rings."""

SLOTS_MAX: Final = 1024
"""Slots of the rings between stages and of clients; a seed uses fewer."""

EVENT_SLOTS_MAX: Final = 2048

SECRET: Final = 0x5EED_0F_0A_51_61
"""Of the hash of client order ids: chance must come from the seed alone."""

T = TypeVar("T")

_WORD: Final = 8
_UNIX_NS: Final = Clock.fields["manual_unix_ns"].offset

assert DurableMark.fields["dseq"].offset == 0


@kernel
def step_stage(loop_address: int, stage: int, message_max: int) -> int:
    """One step of ingest (0), risk (1) or a matching shard (2 and so on)."""
    loop = Loop(loop_address)
    if stage == 0:
        return call_ingest(loop.ingest, loop.ingest_ports, message_max)
    if stage == 1:
        return call_risk(loop.risk, loop.risk_ports, message_max)
    shard = loop.shards[stage - 2]
    return call_matching(shard.state, shard.ports, message_max)


class RingView:
    """The positions of a ring as words, read and written without looking up their region."""

    def __init__(self, ring: Ring, name: str, readers: tuple[str, ...]) -> None:
        """Look at a ring whose region is its own."""
        self.ring, self.name, self.readers = ring, name, readers
        self.region = memory.find(ring.address, Ring.size)
        self.words = self.region.view[: Ring.size].cast("q")
        self._all_words = self.region.view[: self.region.size // _WORD * _WORD].cast("q")
        self.mask = 0
        fields, start = Ring.fields, (ring.address - self.region.start) // _WORD
        assert start == 0, "a ring begins its region"
        self.produced = fields["producer"].offset // _WORD
        claims = fields["claims"]
        self.claimed, self.gate = (
            (claims.offset + claims.record.fields[name].offset) // _WORD
            for name in ("position", "gate")
        )
        cursor = fields["readers"]
        self.cursors = tuple(
            (cursor.offset + index * cursor.stride) // _WORD for index in range(len(readers))
        )
        kinds = cursor.record.fields
        self.seen, self.active = (kinds[name].offset // _WORD for name in ("seen", "active"))

    def lay_out(self, slots: int) -> None:
        """Begin an empty ring with so many slots."""
        address = self.region.start
        mapping: Any = self.region.view.obj
        mapping.madvise(4)  # MADV_DONTNEED
        create_ring(address, slots, MESSAGE_BYTES, BY_INDEX, len(self.readers))
        self.mask = slots - 1

    @property
    def position(self) -> int:
        """Slots published, as readers see it."""
        return self.words[self.produced]

    @position.setter
    def position(self, value: int) -> None:
        self.words[self.produced] = value

    def slot(self, position: int) -> memoryview:
        """The bytes of a slot."""
        start = Ring.size + (position & self.mask) * MESSAGE_BYTES
        return self.region.view[start : start + MESSAGE_BYTES]

    def offer(self, raw: bytes) -> int:
        """Write one message as the ring's only writer; returns its sequence, 0 without room."""
        words = self.words
        position = words[self.claimed]
        if position > self.mask + min(words[cursor] for cursor in self.cursors):
            return 0
        words[self.gate] = max(words[self.gate], position + 1)
        self.slot(position)[:] = raw
        self._number(position)
        words[self.claimed] = position + 1
        self.position = position + 1
        return int(position + 1)

    def _number(self, position: int) -> None:
        place = (Ring.size + (position & self.mask) * MESSAGE_BYTES) // _WORD
        self._all_words[place] = position + 1

    def copy(self, first: int, count: int) -> bytes:
        """Neighbouring slots, in order."""
        begin = first & self.mask
        head = min(count, self.mask + 1 - begin)
        start = Ring.size + begin * MESSAGE_BYTES
        made = bytes(self.region.view[start : start + head * MESSAGE_BYTES])
        if head < count:
            rest = (count - head) * MESSAGE_BYTES
            made += bytes(self.region.view[Ring.size : Ring.size + rest])
        return made


@dataclass(frozen=True, slots=True)
class Kind:
    """Which world: what a process keeps them by."""

    market: str
    shards: int


class World:
    """A venue in private memory, its stages, and its contents when nothing had happened."""

    def __init__(self, market: Market, shards: int) -> None:
        """Build the venue of a market."""
        tables = market.tables()
        for number, instrument in enumerate(tables["instruments"]):
            instrument["shard"] = number % shards
        self.market, self.shards = market, shards
        self.config = Config.build(
            **tables,
            venue={
                "name": "simulation",
                "durability": "durable",
                "layout": "compact",
                "shards": shards,
                "tick_ms": 1_000,
            },
            rings={
                "order_slots": SLOTS_MAX,
                "sequenced_slots": SLOTS_MAX,
                "decision_slots": SLOTS_MAX,
                "event_slots": EVENT_SLOTS_MAX,
            },
        )
        self.topology: Topology = plan(self.config, CLIENTS, [0])
        self.venue: VenueMemory = create_private(self.config, self.topology)
        self.venue.ingest.secret = SECRET << 1 | 1
        counters = self.venue.counters
        counters.clock.source = MANUAL
        region = memory.find(counters.address, CountersFile.size)
        self._counters = region.view[: CountersFile.size].cast("q")
        self._now_place = (counters.clock.address - counters.address + _UNIX_NS) // _WORD
        self._durable_place = (counters.durable.address - counters.address) // _WORD
        self.loop: Loop = build_loop(self.venue, self._engine())
        self._loop_bytes = memory.find(self.loop.address, Loop.size)
        self.rings = {
            name: RingView(ring, name, self.topology.ring(name).readers)
            for name, ring in self.venue.rings.items()
        }
        self._frozen: list[Pages] = []
        self.pages = {name: self.freeze(_region(part)) for name, part in self.parts().items()}
        "State of ingest, risk and each shard, and the counters."
        self._kept: dict[Any, Any] = {}
        self._ports = bytes(self._loop_view())

    def _engine(self) -> Any:
        return next(each for each in self.topology.processes if INGEST in each.stages)

    def states(self) -> dict[str, Record]:
        """The state of each stage."""
        venue = self.venue
        matching = {f"matching.{number}": each for number, each in enumerate(venue.matching)}
        return {"ingest": venue.ingest, "risk": venue.risk, **matching}

    def parts(self) -> dict[str, Record]:
        """The records that are restored for every seed."""
        return self.states() | {"counters": self.venue.counters}

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages that `step_stage` knows by their place here."""
        return tuple(name for name in self.topology.stages if name != JOURNAL)

    def _loop_view(self) -> memoryview:
        region = self._loop_bytes
        start = region.offset(self.loop.address, Loop.size)
        return region.view[start : start + Loop.size]

    @property
    def now_ns(self) -> int:
        """Wall time."""
        return self._counters[self._now_place]

    @now_ns.setter
    def now_ns(self, value: int) -> None:
        self._counters[self._now_place] = value

    @property
    def durable(self) -> int:
        """The last durable decision: of what comes later nobody may be told."""
        return self._counters[self._durable_place]

    def freeze(self, region: memory.Region, like: Pages | None = None) -> Pages:
        """A region that can go back to what is in it now, or in `like`, until `close`."""
        self._frozen.append(Pages(region, like))
        return self._frozen[-1]

    def kept(self, make: Callable[["World"], T]) -> T:
        """What `make` makes of this world, made once."""
        if make not in self._kept:
            self._kept[make] = make(self)
        made: T = self._kept[make]
        return made

    def restore(self) -> None:
        """Back to when nothing had happened; rings are laid out by whoever uses them."""
        for part in self.pages.values():
            part.restore()
        self._loop_view()[:] = self._ports

    def close(self) -> None:
        """Let go of memory and files, and of those of what was made of this world."""
        for each in self._frozen:
            each.close()
        self._frozen.clear()
        self._kept.clear()

    def restart_ports(self, stage: int) -> None:
        """What a process keeps for itself about its rings is new when it starts."""
        name = ("ingest_ports", "risk_ports")[stage] if stage < 2 else "shards"
        field = Loop.fields[name]
        start = field.offset + (stage - 2) * field.stride if stage >= 2 else field.offset
        end = start + (field.stride if stage >= 2 else field.size)
        self._loop_view()[start:end] = self._ports[start:end]


def _region(part: Record) -> memory.Region:
    region = memory.find(part.address, 1)
    assert region.start == part.address, "a state block begins its region"
    return region


__all__ = ["CLIENTS", "INGEST", "RISK", "Kind", "RingView", "World", "step_stage"]
