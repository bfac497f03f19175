"""A durable venue whose decisions are made by a test, and what its journal has to hold."""

import os
import sys
import time
import traceback
import uuid
from pathlib import Path

from engine.config import Config
from engine.durability.collecting import warm_up
from engine.durability.committing import serve_journal
from engine.durability.file_storage import FileStorage
from engine.durability.format import FIRST_DSEQ
from engine.durability.reader import JournalReader
from engine.messages import MESSAGE_BYTES
from engine.stage import copy_message
from engine.topology import DRIVER, JOURNAL, plan
from engine.venue import create, create_private
from ipc import memory
from ipc.counters import begin_life
from ipc.intrinsics import fence
from ipc.jit import kernel
from ipc.ring import Ring, claim, publish, resume, slot
from ipc.wait import Doorbell, ring_bell
from tests.config_tables import TABLES
from tests.durability.journals import decision

SLOTS = 1024
PATIENCE_S = 60.0
"""How long a test waits for what must happen; reached only when something is broken."""


def wait_until(condition):
    """Return as soon as the condition holds."""
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, "what had to happen did not happen"
        time.sleep(0.002)


def durable_config(data_dir, **durability):
    """A small venue that journals into `data_dir`."""
    return Config.build(
        **TABLES,
        venue={
            "name": f"test-{os.getpid()}-{uuid.uuid4().hex[:8]}",
            "durability": "durable",
            "layout": "compact",
        },
        rings={"decision_slots": SLOTS, "order_slots": SLOTS, "sequenced_slots": SLOTS},
        durability={
            "data_dir": str(data_dir),
            "segment_mb": 1,
            "reserve_mb": 0,
            "shadow": "off",
            **durability,
        },
    )


@kernel
def send(ring: Ring, source: int, count: int, bell: Doorbell) -> int:
    """Publish as many of the slots at `source` as there is room for; returns how many."""
    granted = claim(ring, count)
    for index in range(granted):
        target = slot(ring, ring.claims.position + index)
        copy_message(target, source + index * ring.slot_bytes)
    publish(ring, granted)
    fence()
    ring_bell(bell)
    return granted


class Decider:
    """Writes the decision ring of a venue of its own; matching reads everything at once."""

    def __init__(self, data_dir, total, *, shared=False, **durability):
        """`total` decisions can be made; `shared`: processes that are forked see the venue."""
        self.config = durable_config(data_dir, **durability)
        self.topology = plan(self.config, clients=(DRIVER,), cores=[0])
        self.venue = (create if shared else create_private)(self.config, self.topology)
        self.venue.counters.durable.term = 1
        self.mark = self.venue.counters.durable
        self.ring = self.venue.rings["decisions"]
        self.cursor = self.venue.cursor("decisions", JOURNAL)
        self.plan = next(each for each in self.topology.processes if each.name == JOURNAL)
        self.bell = self.venue.entry(JOURNAL).bell
        self.records = [decision(dseq, dseq % 5 == 0) for dseq in range(1, total + 1)]
        self._block = memory.allocate(total * MESSAGE_BYTES, "test decisions")
        for index, record in enumerate(self.records):
            start = index * MESSAGE_BYTES
            self._block.view[start : start + len(record)] = record
        self.venue.rings["decisions"].readers[0].active = 0  # matching

    @property
    def decided(self):
        """The last decision that is in the ring, or was."""
        return self.ring.producer.position

    def decide(self, count):
        """Make at most `count` decisions; returns how many there was room for."""
        count = min(count, len(self.records) - self.decided)
        address = self._block.start + self.decided * MESSAGE_BYTES
        return send(self.ring, address, count, self.bell) if count else 0

    def begin_at(self, dseq):
        """As recovery does: all rings begin behind a decision that the journal has."""
        self.ring.producer.position = self.cursor.position = dseq
        resume(self.ring)

    # --- the journal process ---------------------------------------------------------------

    def start_journal(self, begin=lambda: None):
        """Fork the journal process; returns its pid. Only for a shared venue.

        `begin` is called in it before anything else.
        """
        warm_up()
        sys.stdout.flush()
        sys.stderr.flush()
        self.venue.epoch = begin_life(self.venue.entry(JOURNAL))
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            begin()
            code = serve_journal(self.venue, self.plan)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def decide_until(self, finished, pid, batch=7):
        """Decide, a few at a time, until `finished()` or the process has ended.

        Returns its exit code, below 0 the signal that ended it; None while it lives.
        """
        give_up = time.monotonic() + PATIENCE_S
        while not finished():
            assert time.monotonic() < give_up, "what had to happen did not happen"
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            self.decide(batch)
            time.sleep(0)
        return None

    # --- what it has to hold ---------------------------------------------------------------

    def storage(self):
        """The journal's files as this venue has them."""
        durability = self.config.durability
        return FileStorage(Path(durability.data_dir), durability.segment_mb << 20)

    def journaled(self):
        """The decisions that the journal holds, each as it is there, and the reader at its end."""
        storage = self.storage()
        try:
            reader = JournalReader(storage, self.mark.dseq)
            found = b"".join(bytes(frame.payload) for frame in reader.frames(0))
        finally:
            storage.close()
        return found, reader

    def check(self):
        """What was acknowledged is in the journal, as it was decided, and nothing else is."""
        found, reader = self.journaled()
        count = reader.position.next_dseq - FIRST_DSEQ
        assert found == b"".join(self.records[:count])
        assert self.mark.dseq <= count <= self.decided
        return count

    def end(self):
        """Let go of all memory."""
        self.venue.close()
        memory.forget(self._block)
