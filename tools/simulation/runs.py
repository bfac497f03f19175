"""One seed: a venue lives, suffers, and comes to rest.

Everything is decided by chance that follows from the seed: the same seed gives the same run, step
for step, on the same commit.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random
from typing import Final

from engine.durability.errors import JournalPoisoned, StorageFailed, StorageFull
from engine.topology import CONTROL, order_ring
from tools.simulation import options as faults
from tools.simulation.actors import CUTS, Stage
from tools.simulation.disks import Interrupted, SimulatedDisk
from tools.simulation.journaling import Journal
from tools.simulation.judging import Violation, expect
from tools.simulation.options import Options
from tools.simulation.recovering import Successor, begin_again, tell_barrier, try_with_damage
from tools.simulation.shadowing import Shadow
from tools.simulation.traders import Trader
from tools.simulation.worlds import CLIENTS, World

BEGAN_NS: Final = 1_800_000_000_000_000_000
"""Wall time at which every run begins."""

HOUR_NS: Final = 3_600_000_000_000

SAFETY_STEPS_MAX: Final = 60
LIVENESS_ROUNDS_MAX: Final = 60
"""Steps a command, at most, in the phase with faults; rounds a command in which all is answered
without them. A message needs one round a hop, and a ring with few slots one a message."""

STALL_STEPS_MAX: Final = 300
FULL_STEPS_MAX: Final = 400

ROUND: Final = 64
"""Actors that are chosen at a time."""

_KILLED: Final = {
    faults.KILL_INGEST: "ingest",
    faults.KILL_RISK: "risk",
    faults.KILL_MATCHING: "matching",
}


class Stuck(Violation):
    """Without faults everything must come to an end, and it did not."""


class Run:
    """The life of a venue under one seed."""

    def __init__(self, world: World, seed: int, options: Options) -> None:
        """A venue in which nothing has happened."""
        self.world, self.seed, self.options = world, seed, options
        self.random = Random(f"{seed} schedule")
        self.faults: Counter[str] = Counter()
        self.steps = 0
        world.restore()
        self._lay_out_rings()
        world.now_ns = BEGAN_NS
        self.disk = SimulatedDisk(Random(f"{seed} disk"))
        self.disk.recycles = options.recycles
        self.stages = [Stage(world, index, name) for index, name in enumerate(world.stages)]
        self.journal: Journal = world.kept(Journal)
        self.journal.kill()
        mark = world.venue.counters.durable
        mark.dseq, mark.term = 0, 1
        self.journal.start(self.disk)
        self.shadow: Shadow = world.kept(Shadow)
        self.shadow.begin(self.disk)
        self.traders = [Trader(world, name, Random(f"{seed} {name}")) for name in CLIENTS]
        for trader in self.traders:
            trader.budget = options.commands // len(self.traders)
        self._control = world.rings[order_ring(CONTROL)]
        self._successors: dict[int, Successor] = {}
        "Of dead stages, by their number."
        self._asleep: dict[int, int] = {}
        "Step at which a stage that stands still goes on."
        self._has_room = 0
        "Step at which a full disk has room again."

    def _lay_out_rings(self) -> None:
        options = self.options
        for name, ring in self.world.rings.items():
            if name.startswith("orders."):
                ring.lay_out(options.order_slots)
            elif name.startswith("events"):
                ring.lay_out(options.event_slots)
            else:
                ring.lay_out(options.slots)

    # --- what may act --------------------------------------------------------------------------

    def _actors(self) -> list[Callable[[], object]]:
        made: list[Callable[[], object]] = [partial(self._step, stage) for stage in self.stages]
        made += [partial(self._trade, trader) for trader in self.traders]
        return [*made, self._commit, self._follow]

    def _step(self, stage: Stage) -> None:
        options = self.options
        if self._successors and stage.index in self._successors:
            self._rebuild(stage.index)
        elif self._asleep and self._asleep.get(stage.index, 0) > self.steps:
            pass
        elif options.hides and self.random.random() < options.hides:
            stage.step_hidden(options.batch, self.random)
            self.faults[faults.HIDDEN] += 1
        else:
            stage.step(options.batch)

    def _rebuild(self, stage: int) -> bool:
        successor = self._successors[stage]
        if not successor.step():
            return False
        for each in successor.stages:
            del self._successors[each]
        return True

    def _trade(self, trader: Trader) -> None:
        options, world = self.options, self.world
        if options.clock_ns:
            trader.wisher.now_ns = world.now_ns + int(self.random.random() * options.clock_ns)
            world.now_ns = trader.wisher.now_ns
        trader.hear(options.hear)
        if not self.journal.is_full and not self._opening:
            trader.send(options.repeats)

    @property
    def _opening(self) -> bool:
        """Whether the supervisor's command of a new term is still on its way: nobody may send."""
        control = self._control
        return bool(control.words[control.cursors[0]] != control.position)

    def _commit(self) -> None:
        if self.disk.is_full and self.steps >= self._has_room:
            self.disk.is_full = False
        try:
            self.journal.turn()
        except (StorageFailed, JournalPoisoned):
            self._restart(crash=self.random.random() < 0.5)
        except Interrupted:
            if faults.CRASH in self.options.kinds and self.random.random() < 0.3:
                self._restart(crash=True)
            else:
                self.journal.kill()
                self._start_journal()

    def _follow(self) -> None:
        self.shadow.turn(self.random, self.options.snapshots)

    # --- faults --------------------------------------------------------------------------------

    def _next_fault(self) -> int:
        if not self.options.kinds:
            return 1 << 62
        return self.steps + 1 + int(self.random.expovariate(1 / self.options.fault_steps))

    def _fail(self, kind: str) -> None:
        random = self.random
        self.faults[kind] += 1
        if kind == faults.CLOCK_JUMP:
            self.world.now_ns += random.choice((-HOUR_NS, HOUR_NS))
        elif kind == faults.CRASH:
            self._restart(crash=True)
        elif kind == faults.SYNC_ERROR:
            self.disk.fails_sync = 1
        elif kind == faults.WRITE_ERROR:
            self.disk.fails_write = 1
        elif kind == faults.DISK_FULL:
            self.disk.is_full = True
            self._has_room = self.steps + random.randrange(FULL_STEPS_MAX)
        elif kind == faults.KILL_JOURNAL:
            self.disk.dies_in = 1 + random.randrange(4)
        elif kind == faults.KILL_SHADOW:
            self.shadow.restart()
        elif kind == faults.KILL_CLIENT:
            trader = random.choice(self.traders)
            trader.retry()
            trader.rejoin()
        elif kind == faults.STALL:
            stage = random.choice(self.stages)
            self._asleep[stage.index] = self.steps + random.randrange(STALL_STEPS_MAX)
        else:
            self._kill(kind)

    def _kill(self, kind: str) -> None:
        """Kill stages in the middle of a step of one of them; their successors begin."""
        random = self.random
        dying = self.stages
        if kind != faults.KILL_ENGINE and self.options.is_spread:
            dying = [random.choice([s for s in self.stages if s.kind == _KILLED[kind]])]
        acting = random.choice(dying)
        if acting.index not in self._successors:
            acting.step_cut(self.options.batch, random.randrange(CUTS[acting.kind] + 1))
        for stage in dying:
            stage.scribble(random)
            self._asleep.pop(stage.index, None)
        groups = [[stage.index] for stage in dying]
        if not self.options.is_spread:
            groups = [[stage.index for stage in dying]]
        for group in groups:
            successor = Successor(self.world, group, self.disk, self.shadow.snapshots)
            self._successors |= dict.fromkeys(group, successor)

    def _start_journal(self) -> None:
        """A journal process that fails while it starts is started again."""
        while self.journal.committer is None:
            try:
                self.journal.start(self.disk)
            except (StorageFailed, Interrupted):
                continue
            except StorageFull:  # somebody makes room
                self.disk.is_full = False

    def _restart(self, crash: bool) -> None:
        """The whole venue ends, with or without its machine, and is started again.

        That may take several attempts: the machine can crash while the journal is repaired.
        """
        world, random, disk = self.world, self.random, self.disk
        term, now_ns = self.journal.mark.term, world.now_ns
        told = max(trader.last_dseq for trader in self.traders)
        disk.is_full = False
        while True:
            self.journal.kill()
            if crash:
                self.faults[faults.TORN] += disk.crash() > 0
            if random.random() < self.options.flips:
                self.faults[faults.BIT_FLIP] += try_with_damage(disk, random)
            world.restore()
            self._lay_out_rings()
            self._successors.clear()
            self._asleep.clear()
            world.now_ns = now_ns
            term += 1
            dseq = begin_again(world, disk, self.shadow.snapshots, term)
            expect(told <= dseq, f"decision {told} was told, the journal ends with {dseq}")
            if random.random() >= self.options.crashes_again:
                break
            disk.dies_in = 1 + random.randrange(6)
            with suppress(StorageFailed, Interrupted):
                self.journal.start(disk)
            crash = True
            self.faults[faults.CRASH_AGAIN] += 1
        self._start_journal()
        self.shadow.restart()
        tell_barrier(world, term)
        for trader in self.traders:
            trader.retry()
            trader.join()

    # --- phases --------------------------------------------------------------------------------

    def safety(self) -> None:
        """Chance decides who acts, and what fails."""
        actors = self._actors()
        weights = self.options.weights[: len(actors)]
        most = self.options.commands * SAFETY_STEPS_MAX
        choices, random = self.random.choices, self.random
        next_fault = self._next_fault()
        while self.steps < most and any(trader.budget > 0 for trader in self.traders):
            for actor in choices(actors, weights, k=ROUND):
                actor()
                self.steps += 1
                if self.steps >= next_fault:
                    self._fail(random.choice(self.options.kinds))
                    next_fault = self._next_fault()

    def liveness(self) -> None:
        """Nothing fails any more: all is answered within a bound, and comes to rest."""
        options, disk = self.options, self.disk
        disk.is_full = False
        disk.fails_sync = disk.fails_write = disk.dies_in = 0
        self._asleep.clear()
        for _ in range(LIVENESS_ROUNDS_MAX * (options.commands + 50)):
            progress = sum(trader.hear(options.hear) for trader in self.traders)
            if not self._opening:
                progress += sum(trader.send(0.0) for trader in self.traders)
            for stage in self.stages:
                if stage.index in self._successors:
                    progress += self._rebuild(stage.index)
                else:
                    progress += stage.step(options.batch)
            progress += self.journal.turn()
            if not progress and not self._successors:
                break
        waiting = {trader.number: len(trader.asks) for trader in self.traders if trader.asks}
        if progress or waiting or any(trader.queue for trader in self.traders):
            raise Stuck(f"unanswered commands by source: {waiting}; still moving: {progress > 0}")
        awaited = self.world.venue.risk.warden.awaited
        expect(not awaited, f"command {awaited} of risk's own has no answer")
        self.shadow.turn(self.random, 0.0)
