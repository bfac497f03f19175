"""The risk stage alone, beside its naive twin, between a ring of commands and one of events.

`Floor` feeds both the same sequenced commands and the same events, in any interleaving, compares
each decision field by field, and after everything the balances; the sum of each asset must stay
what it was. Whoever uses it plays matching: tests write the events, so that they can say things
that a real book says only in rare moments.
"""

from typing import Any

from engine.config import Config
from engine.limits import ASSETS_MAX
from engine.messages import (
    EVENT_CODECS,
    MESSAGE_BYTES,
    AccountKind,
    CommandFlag,
    CommandKind,
    RejectReason,
    Terms,
)
from engine.messages import Decision as EngineDecision
from engine.messages import SequencedCommand as EngineSequenced
from engine.process import build_loop
from engine.reference import TERM_NUMBERS
from engine.risk.stage import step_risk
from engine.topology import DRIVER, INGEST, RISK, order_ring, plan
from engine.venue import VenueMemory, create_private
from ipc import memory
from ipc.record import Codec
from ipc.ring import Ring, claim, consume, publish, ready
from tools.twin import Balance, Decision, Instrument, Sequenced
from tools.twin.market import Market

SEQUENCED = Codec(EngineSequenced)
DECISION = Codec(EngineDecision)

ALICE, BOB, CAROL = 1, 2, 3
QUOTE, BASE = 0, 1

INSTRUMENT = Instrument(
    price_min_ticks=-100,
    price_max_ticks=2_000,
    qty_max_lots=500,
    notional_max_units=2_000,
    notional_divisor=10,
    base_units_per_lot=10,
)
"""One lot at one tick is worth a tenth of a unit, and is ten units of its asset."""

FUNDS = {
    ALICE: {QUOTE: 10_000, BASE: 20_000},
    BOB: {QUOTE: 10_000, BASE: 20_000},
    CAROL: {QUOTE: 500, BASE: 0},
}


class Floor:
    """A risk stage without ingest and matching."""

    def __init__(self, market: Market) -> None:
        """Nothing decided yet."""
        self.market = market
        config = Config.build(**market.tables())
        topology = plan(config, clients=(DRIVER,), cores=[0])
        self.memory: VenueMemory = create_private(config, topology, market.orders_max)
        engine = next(each for each in topology.processes if each.name != DRIVER)
        self.loop = build_loop(self.memory, engine)
        self.twin = market.venue().risk
        self.order_id = 0
        self.last_decision: Any = None
        self.dseq = 0
        self.risk_source = topology.risk_source
        self._sent = {"commands": 0, "events": 0}

    def decide(self, kind: int, **fields: Any) -> Any:
        """The decision on one command, which both made alike."""
        self._write("commands", SEQUENCED.encode(kind=kind, **fields))
        self._step()
        self.made = made = self._take_decision()
        self.dseq = made.sequence
        values = fields | {"sequence": made.sequence, "kind": kind, "client_order_id": b""}
        command = Sequenced(**{name: values.get(name, 0) for name in Sequenced._fields})
        wanted = self.last_decision = self.twin.decide(command)
        for name in Decision._fields:
            if name not in Terms.fields or made.flags & CommandFlag.TERMS:
                found = getattr(made, name)
                assert name == "client_order_id" or found == getattr(wanted, name), name
        self.check()
        return wanted

    def _take_decision(self) -> Any:
        """The one decision that risk has made, behind WATERMARKs for what it does by itself."""
        ring, cursor = self.memory.rings["decisions"], self.memory.cursor("decisions", "matching")
        made: list[Any] = []
        while ready(ring, cursor, 1):
            raw = self._slot(ring, cursor.position)
            made.append(DECISION.values._make(DECISION.struct.unpack(raw)))
            consume(cursor, 1)
        assert [each.kind for each in made[:-1]] == [CommandKind.WATERMARK] * (len(made) - 1)
        assert made[-1].kind != CommandKind.WATERMARK, "one command, one decision"
        return made[-1]

    def new(self, account: int, side: int, price: int, lots: int, **fields: Any) -> Any:
        """A new order with the next id; `fields` may say all else."""
        self.order_id += 1
        order = {"account": account, "side": side, "price_ticks": price, "qty_lots": lots}
        kinds = {"kind": 1, "order_type": 1, "time_in_force": 1, "order_id": self.order_id}
        return self.decide(**(kinds | order | fields))

    def set_term(self, name: str, value: int, instrument: int = 0) -> None:
        """An INSTRUMENT command."""
        changed = {"order_id": TERM_NUMBERS[name], "qty_lots": value, "instrument": instrument}
        assert self.decide(CommandKind.INSTRUMENT, **changed).reason == RejectReason.NONE

    def apply(self, kind: int, **fields: Any) -> None:
        """One event of matching; order, account and instrument as it names them."""
        codec = EVENT_CODECS[kind]  # type: ignore[index]
        number = self._write("events", codec.encode(kind=kind, **fields))
        values = codec.values(**(codec.blank | fields | {"kind": kind, "sequence": number}))
        self._step()
        self.twin.apply(values)
        self.check()

    def trade(
        self, taker: tuple[int, int, int], maker: tuple[int, int, int], **fields: Any
    ) -> None:
        """TRADE, unless `kind` says PREVENTED, of (order id, account, leaves) twice."""
        names = ("order_id", "account", "leaves_lots")
        makers = ("maker_order_id", "maker_account", "maker_leaves_lots")
        sides = dict(zip(names, taker, strict=True)) | dict(zip(makers, maker, strict=True))
        self.apply(**({"kind": 3} | sides | fields))

    def check(self) -> None:
        """Both say the same of every balance, and no money came or went."""
        assert self.memory.risk.reservations.live == len(self.twin.holds)
        for asset in range(len(self.market.instruments) + 1):
            total = 0
            for account, owned in self.twin.balances.items():
                balance = self.balance(account, asset)
                wanted = owned.get(asset, Balance())
                assert balance == wanted, (account, asset, balance, wanted)
                total += balance.available + balance.reserved
            assert total + self.on_margin(asset) == self.memory.risk.deposited[asset], asset

    def on_margin(self, asset: int) -> int:
        """Units of an asset that are not in a balance: margin accounts have positions instead."""
        risk, units = self.memory.risk, 0
        for index in range(1, risk.positions.count + 1):
            position = risk.positions.table[index]
            terms = self.market.instruments[position.instrument]
            if risk.owners[position.account].kind == AccountKind.MARGIN:
                if asset == terms.quote_asset_index:
                    units -= position.cost
                if asset == terms.base_asset_index:
                    units += position.net * terms.base_units_per_lot
        return units

    def balance(self, account: int, asset: int) -> Balance:
        """What the engine's table says."""
        entry = self.memory.risk.purses[account * ASSETS_MAX + asset]
        return Balance(entry.total - entry.reserved, entry.reserved)

    def release(self) -> None:
        """Give the memory back."""
        parts = self.memory
        states = (parts.ingest, parts.risk, *parts.matching)
        for part in (*states, parts.reference, parts.counters, *parts.rings.values()):
            memory.forget(memory.find(part.address, 1))

    def sent_by_risk(self) -> list[dict[str, Any]]:
        """Commands that risk has sent by itself since the last call, as ingest would take them."""
        ring, cursor = (
            self.memory.rings[order_ring(RISK)],
            self.memory.cursor(order_ring(RISK), INGEST),
        )
        found = []
        for number in range(ready(ring, cursor, 100)):
            raw = self._slot(ring, cursor.position + number)
            values = SEQUENCED.values._make(SEQUENCED.struct.unpack(raw))._asdict()
            values |= {"source": self.risk_source, "source_sequence": values["sequence"]}
            for name in ("sequence", "stamp_ticks", "client_order_id", "time_ns", "reason"):
                del values[name]
            found.append(values)
        consume(cursor, len(found))
        return found

    def _step(self) -> None:
        assert step_risk(self.loop.risk, self.loop.risk_ports, 1) >= 1

    def _write(self, name: str, raw: bytes) -> int:
        """Publish one message; its sequence."""
        ring = self.memory.rings[name]
        assert claim(ring, 1) == 1
        self._slot(ring, self._sent[name])[: len(raw)] = raw
        publish(ring, 1)
        if name == "events":  # The driver's seat is empty.
            cursor = self.memory.cursor(name, DRIVER)
            consume(cursor, 1)
        self._sent[name] += 1
        return self._sent[name]

    def _slot(self, ring: Ring, position: int) -> memoryview:
        start = Ring.size + position % ring.slot_count * MESSAGE_BYTES
        region = memory.find(ring.address, Ring.size)
        first = region.offset(ring.address, Ring.size)
        return region.view[first + start : first + start + MESSAGE_BYTES]


def reason_of(decision: Any) -> str:
    """Name of a decision's reason."""
    return RejectReason(decision.reason).name
