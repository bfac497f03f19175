"""The stages of a simulated venue, as actors that a scheduler lets act one at a time.

A step is one call of the compiled step function. Before it, the actor may be made to see late what
its neighbours have done; after it, part of what it did may be taken back, as if it had been killed
in between: what was published last disappears first.
"""

from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from engine.topology import kind_of
from tools.simulation.worlds import INGEST, RISK, RingView, World, step_stage


class Read(NamedTuple):
    """A ring and the word of the cursor with which it is read."""

    ring: RingView
    cursor: int


Hidden = list[tuple[memoryview, int, int]]
"""Words that show something else than the truth: words, place, what is true."""

CUTS: Final = {"ingest": 2, "risk": 4, "matching": 2}
"""Points in a step of each stage at which it can be killed with something done: each of its
publications and movements of cursors is there or not."""


class Stage:
    """One stage of the engine."""

    def __init__(self, world: World, index: int, name: str) -> None:
        """The stage of a world that `step_stage` calls by this index."""
        self.world, self.index, self.name, self.kind = world, index, name, kind_of(name)
        rings, topology = world.rings, world.topology
        self.reads = [
            Read(rings[plan.name], rings[plan.name].cursors[plan.readers.index(name)])
            for plan in topology.rings
            if name in plan.readers
        ]
        self.writes = [rings[plan.name] for plan in topology.rings if plan.writer == name]
        self._loop = world.loop.address
        self.steps = 0

    def step(self, batch: int) -> int:
        """One step; returns how much was done."""
        self.steps += 1
        return int(step_stage(self._loop, self.index, batch))

    def step_hidden(self, batch: int, random: Random) -> int:
        """One step of a stage that sees late what others have done."""
        hidden = self._hide(random)
        try:
            return self.step(batch)
        finally:
            for words, place, true in hidden:
                words[place] = true

    def _hide(self, random: Random) -> Hidden:
        hidden: Hidden = []
        chance = random.random
        for ring, cursor in self.reads:
            words = ring.words
            least = max(words[cursor], words[cursor + ring.seen])
            true = ring.position
            if least < true:
                hidden.append((words, ring.produced, true))
                ring.position = least + int(chance() * (true - least + 1))
        for ring in self.writes:
            words = ring.words
            least = max(0, words[ring.gate] - ring.mask - 1)
            for cursor in ring.cursors:
                true = words[cursor]
                if least < true:
                    hidden.append((words, cursor, true))
                    words[cursor] = least + int(chance() * (true - least + 1))
        return hidden

    # --- deaths --------------------------------------------------------------------------------

    def step_cut(self, batch: int, cut: int) -> None:
        """Act and be killed: only the first `cut` effects of the step are there afterwards."""
        before = [self._positions(ring) for ring in self.writes]
        cursors = [ring.words[cursor] for ring, cursor in self.reads]
        self.step(batch)
        taken_back: list[Callable[[], None]] = []
        for done, undo in enumerate(self._effects(before, cursors)):
            if done >= cut:
                taken_back.append(undo)
        for undo in reversed(taken_back):
            undo()

    @staticmethod
    def _positions(ring: RingView) -> tuple[int, int]:
        return ring.position, ring.words[ring.claimed]

    def _effects(
        self, before: list[tuple[int, int]], cursors: list[int]
    ) -> list[Callable[[], None]]:
        """How to take back each effect of a step, in the order in which they happen."""
        inputs = [
            self._cursor_back(read, position)
            for read, position in zip(self.reads, cursors, strict=True)
        ]
        outputs = {
            ring.name: self._ring_back(ring, positions)
            for ring, positions in zip(self.writes, before, strict=True)
        }
        if self.kind != RISK:
            (publish,) = outputs.values()
            return [publish, _all(inputs)]
        commands = next(
            undo
            for read, undo in zip(self.reads, inputs, strict=True)
            if read.ring.name == "commands"
        )
        events = [undo for undo in inputs if undo is not commands]
        return [_all(events), outputs["decisions"], outputs["orders.risk"], commands]

    @staticmethod
    def _cursor_back(read: Read, position: int) -> Callable[[], None]:
        def undo() -> None:
            read.ring.words[read.cursor] = position

        return undo

    @staticmethod
    def _ring_back(ring: RingView, positions: tuple[int, int]) -> Callable[[], None]:
        def undo() -> None:
            ring.position, ring.words[ring.claimed] = positions

        return undo

    def scribble(self, random: Random) -> None:
        """What a dead stage leaves is not to be believed: overwrite its state and its ports."""
        pages = self.world.pages[self.block]
        for page in pages.changed().tolist():
            pages.page(page)[:] = random.randrange(256)
        self.world.restart_ports(self.index)

    @property
    def block(self) -> str:
        """Name of its state among the world's parts."""
        if self.kind in (INGEST, RISK):
            return self.kind
        return f"matching.{self.index - 2}"


def _all(undos: list[Callable[[], None]]) -> Callable[[], None]:
    def undo() -> None:
        for each in undos:
            each()

    return undo
