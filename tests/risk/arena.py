"""The whole engine under attack: stepped as slowly as wished, followed by its naive twin.

`Arena` writes commands into a client's order ring and runs ingest, risk and matching in any
interleaving, so that fills arrive late. After every step of risk it checks conservation by the
engine's own memory (`Ledger`). Every recorded decision, also on the commands that risk sent by
itself, is derived again by the twin from the commands and from `ev_wm`, and the events from the
decisions.
"""

from collections import deque
from random import Random
from typing import Any, Final

from engine.ingest import step_ingest
from engine.matching import step_matching
from engine.messages import (
    BOTH_SIDES,
    COMMAND_CODEC,
    MESSAGE_BYTES,
    CommandFlag,
    CommandKind,
    OrderType,
    RejectReason,
    TimeInForce,
    decode_event,
)
from engine.risk.stage import step_risk
from engine.risk.warden import has_business
from engine.topology import DRIVER, RISK, order_ring
from ipc import memory
from ipc.ring import Ring, claim, consume, publish, ready
from tests.engines import DECISION_CODEC, Engine, heard
from tests.risk.comparison import compare
from tests.risk.ledger import Ledger
from tools.twin import Audit, Command, Decision, Event, plain
from tools.twin.market import Market

STEPS_MAX: Final = 20_000
"""Steps in which everything comes to rest."""

FEW: Final = 8
"""Messages that a slow stage takes at a time."""


class Tape:
    """What a ring was given since it was last looked at."""

    def __init__(self, ring: Ring) -> None:
        """From the first message on."""
        self._ring, self._seen = ring, 0

    def read(self) -> list[bytes]:
        """The new messages."""
        ring, last = self._ring, self._ring.producer.position
        assert last - self._seen <= ring.slot_count, "messages are overwritten"
        region = memory.find(ring.address, Ring.size)
        start = region.offset(ring.address, Ring.size) + Ring.size
        found = []
        for number in range(self._seen, last):
            at = start + number % ring.slot_count * MESSAGE_BYTES
            found.append(bytes(region.view[at : at + MESSAGE_BYTES]))
        self._seen = last
        return found


class Arena:
    """An engine, its twin, and the judge of its events."""

    def __init__(self, market: Market, seed: int = 0) -> None:
        """Nothing sent yet."""
        self.market, self.random = market, Random(seed)
        self.engine = Engine(market)
        self.memory, self.loop = self.engine.venue.venue, self.engine.venue.loop
        self.risk = self.memory.risk
        self.ledger = Ledger(market, self.risk)
        self.venue = market.venue()
        self.twin = self.venue.risk
        self.audit = Audit()
        self.sources: tuple[deque[Command], ...] = (deque(), deque())
        "Commands on their way to ingest: the client's, and risk's."
        self.sent = 0
        self.ticks = 0
        self.events: list[Event] = []
        self.decisions: list[Decision] = []
        self._numbers: dict[int, int] = {}
        "Of decisions by dseq, without WATERMARKs, which have no events."
        self._untaken: deque[Event] = deque()
        "Events that have not been compared."
        self._derived: deque[Event] = deque()
        "Events that the twin has and the engine has not yet."
        rings = self.memory.rings
        self._orders: Ring = rings[order_ring(DRIVER)]
        self._tapes = [Tape(rings[name]) for name in (order_ring(RISK), "decisions")]

    # --- commands ----------------------------------------------------------------------------

    def send(self, kind: int, **fields: Any) -> None:
        """Put a client's command into its ring."""
        self.sent += 1
        self.sources[0].append(Command(self.sent, kind, **fields))
        assert claim(self._orders, 1) == 1
        raw = COMMAND_CODEC.encode(sequence=self.sent, kind=kind, **fields)
        at = Ring.size + self._orders.producer.position % self._orders.slot_count * MESSAGE_BYTES
        region = memory.find(self._orders.address, Ring.size)
        at += region.offset(self._orders.address, Ring.size)
        region.view[at : at + len(raw)] = raw
        publish(self._orders, 1)

    def new(self, account: int, side: int, price: int, lots: int, **fields: Any) -> None:
        """A limit order that stays, unless the fields say something else."""
        sent = {"account": account, "side": side, "price_ticks": price, "qty_lots": lots}
        kinds = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}
        self.send(CommandKind.NEW, **(kinds | sent | fields))

    def tick(self) -> None:
        """A second later."""
        self.ticks += 1
        self.send(CommandKind.TICK, flags=CommandFlag.TERMS, at_ns=self.ticks * 10**9)

    # --- steps -------------------------------------------------------------------------------

    def step(self) -> int:
        """One stage takes a few messages, or nothing; how much it did."""
        stage, most = self.random.randrange(3), self.random.randint(1, FEW)
        if stage == 0:
            done = step_ingest(self.loop.ingest, self.loop.ingest_ports, most)
        elif stage == 1:
            done = step_risk(self.loop.risk, self.loop.risk_ports, most)
        else:
            shard = self.loop.shards[0]
            done = step_matching(shard.state, shard.ports, most)
        self.follow()
        if stage == 1 and done > 0:
            self.ledger.check()
        return done

    def round(self) -> int:
        """Each stage takes all that there is, as in a process that hosts all of them."""
        shard = self.loop.shards[0]
        done = step_ingest(self.loop.ingest, self.loop.ingest_ports, 64)
        done += step_risk(self.loop.risk, self.loop.risk_ports, 256)
        self.follow()
        self.ledger.check()
        done += step_matching(shard.state, shard.ports, 256)
        self.follow()
        return done

    def settle(self) -> None:
        """Run until nothing moves and risk has nothing more to do; then all must add up."""
        for _ in range(STEPS_MAX):
            if self.round() == 0:
                break
        else:
            raise AssertionError("the engine does not come to rest")
        assert self.risk.warden.awaited == 0, "risk waits for an answer that does not come"
        assert not has_business(self.risk), "risk rests with something to do"
        assert not self._derived, "the twin has events that the engine has not"
        for queue in self.sources:
            assert not queue, "a command was not taken"
        for event in self.events[self.twin.applied :]:
            self.twin.apply(event)
        self.ledger.check_quiet(self.audit.lives)
        compare(self)

    # --- what was recorded -------------------------------------------------------------------

    def follow(self) -> None:
        """Derive what was decided and what happened, and compare."""
        for raw in self._tapes[0].read():
            values = COMMAND_CODEC.values._make(COMMAND_CODEC.struct.unpack(raw))
            self.sources[1].append(
                _command(values)._replace(source=self.memory.topology.risk_source)
            )
        made = [_decision(raw) for raw in self._tapes[1].read()]
        self._take_events()
        for decision in made:
            self._derive(decision)
        self._compare_events()

    def _derive(self, decision: Decision) -> None:
        """The decision follows from its command and from what risk had seen."""
        risk = self.twin
        if decision.kind == CommandKind.WATERMARK and decision.reason == RejectReason.NONE:
            return  # an occasion for risk; with one shard ev_wm says the same
        for event in self.events[risk.applied : decision.ev_wm]:
            risk.apply(event)
        assert risk.applied == decision.ev_wm, "a decision from events that nobody has seen"
        command = self.sources[decision.source].popleft()
        assert command.sequence == decision.source_sequence
        sequenced = self.venue.ingest.sequence(command, decision.time_ns)
        # Decisions are numbered with the WATERMARKs between them.
        wanted = heard(risk.decide(sequenced._replace(sequence=decision.sequence)))
        assert decision == wanted, differences(decision, wanted)
        self.decisions.append(decision)
        self._numbers[decision.sequence] = len(self.decisions)
        self.ledger.decided(decision)
        self._derived.extend(self.venue.exchange.decide(decision))

    def _take_events(self) -> None:
        ring, cursor = self.memory.rings["events"], self.memory.cursor("events", DRIVER)
        count = ready(ring, cursor, ring.slot_count)
        region = memory.find(ring.address, Ring.size)
        start = region.offset(ring.address, Ring.size) + Ring.size
        for number in range(cursor.position, cursor.position + count):
            at = start + number % ring.slot_count * MESSAGE_BYTES
            event = plain(decode_event(bytes(region.view[at : at + MESSAGE_BYTES])))
            self.events.append(event)
            self._untaken.append(event)
        consume(cursor, count)

    def _compare_events(self) -> None:
        while self._untaken:
            event = self._untaken.popleft()
            wanted = self._derived.popleft()
            assert event == wanted, f"{event} for {wanted}"
            self.audit.apply([event._replace(dseq=self._numbers[event.dseq])])
            self.ledger.happened(event)

    # --- the end -----------------------------------------------------------------------------

    def calm(self) -> None:
        """Tick until no liquidation finds anybody any more."""
        still = 0
        for _ in range(STEPS_MAX):
            before = len(self.ledger.trades)
            self.tick()
            self.settle()
            still = still + 1 if len(self.ledger.trades) == before else 0
            if still > self.risk.positions.count:
                break
        self.ledger.check_marked()
        self.ledger.check_liquidations(self.audit)

    def end(self) -> None:
        """Cancel everything: every order ends, and nothing is held back."""
        for account in self.ledger.accounts:
            for instrument in range(len(self.market.instruments)):
                place = {"account": account, "instrument": instrument, "side": BOTH_SIDES}
                self.send(CommandKind.MASS_CANCEL, **place)
        self.settle()
        self.audit.check_finished()
        assert all(life.ended for life in self.audit.lives.values()), "an order lives on"
        self.ledger.check_empty()

    def release(self) -> None:
        """Give the memory back."""
        self.engine.release()

    # --- what happened -----------------------------------------------------------------------

    def reasons(self) -> dict[str, int]:
        """How often decisions had which reason."""
        found: dict[str, int] = {}
        for decision in self.decisions:
            name = RejectReason(decision.reason).name
            found[name] = found.get(name, 0) + 1
        return found

    def by_risk(self) -> list[Decision]:
        """Decisions on commands that risk sent by itself."""
        source = self.memory.topology.risk_source
        return [decision for decision in self.decisions if decision.source == source]


def differences(found: Any, wanted: Any) -> str:
    """The fields in which two messages differ."""
    names = [name for name in found._fields if getattr(found, name) != getattr(wanted, name)]
    parts = [f"{name}: {getattr(found, name)} for {getattr(wanted, name)}" for name in names]
    return f"{', '.join(parts)} in {found}"


def _command(values: Any) -> Command:
    fields = values._asdict()
    del fields["stamp_ticks"]
    name = fields["client_order_id"].rstrip(b"\0")
    return Command(**(fields | {"client_order_id": name}))


def _decision(raw: bytes) -> Decision:
    values = DECISION_CODEC.values._make(DECISION_CODEC.struct.unpack(raw))
    return heard(Decision(**_command(values)._asdict()))
