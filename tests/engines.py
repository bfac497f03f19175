"""The engine as tests drive it: a whole venue in this process, compared with its naive twin."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from engine.config import Config
from engine.inprocess import InProcessVenue
from engine.limits import ASSETS_MAX
from engine.messages import MESSAGE_BYTES, CommandFlag, EventKind
from engine.messages import Decision as EngineDecision
from ipc import memory
from ipc.record import Codec
from ipc.ring import Ring
from tests.desk import TERM_FIELDS, as_array
from tools import twin
from tools.twin.market import Market

DECISION_CODEC = Codec(EngineDecision)


class Engine:
    """A venue of the engine for a market of the twin."""

    def __init__(self, market: Market, **rings: int) -> None:
        """Configure the market as text and check that the engine read the same integers.

        `rings` are keys of that table of the configuration.
        """
        config = Config.build(**market.tables(), rings=rings)
        for made, meant in zip(config.instruments, market.instruments, strict=True):
            assert {name: getattr(made, name) for name in meant._fields} == meant._asdict()
        self.venue = InProcessVenue(config, market.orders_max)
        self._checkpoints = 0

    def run(self, commands: list[twin.Command]) -> list[twin.Event]:
        """Send all commands as fast as the rings take them; their events without times."""
        return self._comparable(self.venue.execute(as_array(commands)))

    def run_one_by_one(self, commands: list[twin.Command]) -> list[twin.Event]:
        """Send each command when the one before has been answered and risk has heard of it."""
        array = as_array(commands)
        return self._comparable(
            event
            for index in range(len(array))
            for event in self.venue.execute(array[index : index + 1])
        )

    def _comparable(self, events: Iterable[Any]) -> list[twin.Event]:
        """Events as the naive venue makes them: at time 0 and without checkpoints."""
        made = []
        for event in events:
            if event.kind == EventKind.CHECKPOINT:
                self._checkpoints += 1
                continue
            number = event.sequence - self._checkpoints
            made.append(twin.plain(event)._replace(time_ns=0, sequence=number))
        return made

    def decisions(self) -> list[twin.Decision]:
        """All decisions so far, from the slots of their ring; there must be no more than slots."""
        ring: Ring = self.venue.venue.rings["decisions"]
        count = ring.producer.position
        assert count <= ring.slot_count, "the first decisions are overwritten"
        region = memory.find(ring.address, Ring.size)
        start = region.offset(ring.address, Ring.size) + Ring.size
        raw = bytes(region.view[start : start + count * MESSAGE_BYTES])
        return [_decision(values) for values in DECISION_CODEC.decode_many(raw)]

    def balance(self, account: int, asset: int) -> twin.Balance:
        """What risk's table says."""
        entry = self.venue.venue.risk.purses[account * ASSETS_MAX + asset]
        return twin.Balance(entry.total - entry.reserved, entry.reserved)

    def release(self) -> None:
        """Give the venue's memory back."""
        parts = self.venue.venue
        stages = (parts.ingest, parts.risk, *parts.matching)
        for part in (*stages, parts.reference, parts.counters):
            memory.forget(memory.find(part.address, 1))
        for ring in parts.rings.values():
            memory.forget(memory.find(ring.address, 1))


@contextmanager
def engine_for(market: Market, **rings: int) -> Iterator[Engine]:
    """A fresh venue, whose memory is released afterwards."""
    engine = Engine(market, **rings)
    try:
        yield engine
    finally:
        engine.release()


def _decision(values: Any) -> twin.Decision:
    fields = values._asdict()
    del fields["stamp_ticks"]
    name = fields["client_order_id"].rstrip(b"\0")
    return heard(twin.Decision(**(fields | {"client_order_id": name, "time_ns": 0})))


def heard(decision: twin.Decision) -> twin.Decision:
    """A decision as others read it: terms without the flag TERMS are not even copied."""
    if decision.flags & CommandFlag.TERMS:
        return decision
    return decision._replace(**dict.fromkeys(TERM_FIELDS, 0))
