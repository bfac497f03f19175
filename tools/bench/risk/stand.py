"""A test stand for the risk stage: its state, a ring of commands that wait, rings of its output.

A block of new orders is written, then decided while the clock runs; the events that end these
orders are written, then applied while a second clock runs. The step is the one that processes
call, by its address. `copy_block` does what moving the messages takes and nothing else.
"""

from typing import Any, Final

from engine.config import Config
from engine.limits import BATCH_MAX
from engine.messages import (
    MESSAGE_BYTES,
    ChangeEvent,
    CommandKind,
    Decision,
    EventFlag,
    EventKind,
    OrderType,
    SequencedCommand,
    TimeInForce,
    TradeEvent,
)
from engine.process import call_risk
from engine.reference import ReferenceData
from engine.reference_writer import write_reference
from engine.risk.setup import create_risk, deposit
from engine.risk.stage import RiskPorts, link_risk
from engine.risk.state import RiskState
from engine.stage import copy_message, count_batch, deliver, next_slot, open_outbox
from ipc import memory
from ipc.clock import Clock, calibrate, ticks
from ipc.counters import StageStatistics
from ipc.distant import link
from ipc.intrinsics import read_monotonic
from ipc.jit import inlined, kernel
from ipc.record import Record, Ref, i64, u16, u32
from ipc.ring import BY_INDEX, Ring, claim, consume, create_ring, publish, ready, ring_bytes, slot

SLOTS: Final = 1 << 14
"""Slots of each ring, as in a venue."""

STEP_NS: Final = 1_000
"""Between the times of two commands: a million a second."""

STAY: Final = 0
CANCEL: Final = 1
FILL: Final = 2
"""What becomes of a block of orders: nothing, they are cancelled, they trade with each other."""

BEGAN_NS: Final = 1_700_000_000_000_000_000


class Intent(Record):
    """What an order is to be; its id and its time come when it is sent."""

    price_ticks: i64
    qty_lots: i64
    account: u32
    instrument: u16
    side: u16


class RiskStand(Record):
    """References to the parts, and where the stream is."""

    state: Ref[RiskState]
    ports: RiskPorts
    intents: i64
    "Address of the prepared orders."
    intent_count: i64
    "How many: whole blocks."
    at: i64
    "The next one."
    block: i64
    "Orders written at a time."
    sequence: i64
    "Commands written; also the last order id."
    events: i64
    "Events written."
    decide_ns: i64
    apply_ns: i64
    "On the clock since it was last set to 0."

    @classmethod
    def make(cls, config: Config, block: int) -> Any:
        """A stand with the accounts, rules and instruments of a configuration."""
        assert block <= SLOTS, "a block fits the rings"
        stand = cls.allocate()
        reference = ReferenceData.allocate()
        write_reference(reference, config)
        reference.risk_source = 1
        stand.state = RiskState.allocate()
        create_risk(stand.state, reference)
        deposit(stand.state, config)
        memory.forget(memory.find(reference.address, 1))
        commands, events, decisions, orders = (_make_ring() for _ in range(4))
        ports = stand.ports
        ports.commands.ring, ports.commands.cursor = commands, commands.readers[0]
        inbox = ports.events.sources[0]
        inbox.ring, inbox.cursor = events, events.readers[0]
        ports.events.count = 1
        ports.decisions.ring, ports.orders.ring = decisions, orders
        clock: Clock = Clock.allocate()
        calibrate(clock, base_ns=2_000_000)
        ports.telemetry.clock = clock
        ports.telemetry.statistics = StageStatistics.allocate()
        stand.block = block
        link_risk()
        link(call_risk, RiskState, RiskPorts, int)
        return stand

    def use(self, intents: Any) -> None:
        """Send these orders next, from the first on and round again."""
        assert intents.dtype.itemsize == Intent.size
        assert len(intents) % self.block == 0, "whole blocks"
        if self.intents:
            memory.forget(memory.find(self.intents, 1))
        region = memory.allocate(intents.nbytes, "bench.intents")
        region.view[:] = intents.tobytes()
        self.intents, self.intent_count, self.at = region.start, len(intents), 0

    def release(self) -> None:
        """Give the memory of the parts back."""
        ports = self.ports
        rings = (ports.commands.ring, ports.events.sources[0].ring, ports.decisions.ring)
        parts = (self.state, *rings, ports.orders.ring, ports.telemetry.statistics)
        for part in parts:
            memory.forget(memory.find(part.address, 1))
        if self.intents:
            memory.forget(memory.find(self.intents, 1))


def _make_ring() -> Ring:
    region = memory.allocate(ring_bytes(SLOTS, MESSAGE_BYTES), "bench.ring")
    return create_ring(region.start, SLOTS, MESSAGE_BYTES, BY_INDEX, 1)


@inlined
def intent_at(stand: RiskStand, index: int) -> Intent:
    """A prepared order of the block at hand."""
    return Intent(stand.intents + (stand.at + index) * Intent.size)


@kernel
def write_block(stand: RiskStand) -> None:
    """Publish the next block of new orders."""
    ring, block = stand.ports.commands.ring, stand.block
    claimed = claim(ring, block)
    assert claimed == block, "write_block: commands still wait"
    first = ring.producer.position
    now = ticks(stand.ports.telemetry.clock)
    for index in range(block):
        intent = intent_at(stand, index)
        command = SequencedCommand(slot(ring, first + index))
        command.kind, command.side = CommandKind.NEW, intent.side
        command.order_type, command.time_in_force = OrderType.LIMIT, TimeInForce.GTC
        command.flags = command.source = command.reason = 0
        command.stamp_ticks = now
        command.account, command.instrument = intent.account, intent.instrument
        command.price_ticks, command.qty_lots = intent.price_ticks, intent.qty_lots
        stand.sequence += 1
        command.order_id = command.source_sequence = stand.sequence
        command.time_ns = BEGAN_NS + stand.sequence * STEP_NS
    publish(ring, block)


@inlined
def cancel_one(stand: RiskStand, address: int, index: int) -> None:
    """The event that an order of the block has ended."""
    intent, event = intent_at(stand, index), ChangeEvent(address)
    event.kind, event.side, event.flags = EventKind.CANCELED, intent.side, EventFlag.LAST
    event.source = event.reason = 0
    event.account, event.instrument = intent.account, intent.instrument
    event.order_id = stand.sequence - stand.block + 1 + index
    event.price_ticks, event.qty_lots = intent.price_ticks, intent.qty_lots
    event.leaves_lots = intent.qty_lots


@inlined
def fill_pair(stand: RiskStand, address: int, index: int) -> None:
    """The event that an order of the first half has been taken by its other side."""
    half = stand.block >> 1
    maker, taker, event = (
        intent_at(stand, index),
        intent_at(stand, half + index),
        TradeEvent(address),
    )
    event.kind, event.side, event.flags = EventKind.TRADE, taker.side, EventFlag.LAST
    event.source = event.reason = 0
    event.account, event.instrument = taker.account, taker.instrument
    event.maker_order_id = stand.sequence - stand.block + 1 + index
    event.order_id = event.maker_order_id + half
    event.price_ticks, event.qty_lots = maker.price_ticks, maker.qty_lots
    event.maker_account, event.leaves_lots, event.maker_leaves_lots = maker.account, 0, 0
    event.fee_rate = stand.state.terms[maker.instrument].taker_rates[0]
    event.maker_fee_rate = stand.state.terms[maker.instrument].maker_rates[0]
    event.time_ns = BEGAN_NS + stand.sequence * STEP_NS


@kernel
def write_ends(stand: RiskStand, ends: int) -> None:
    """Publish what ends the orders of the block: a cancel each, or a trade for two of them."""
    ring = stand.ports.events.sources[0].ring
    count = stand.block if ends == CANCEL else stand.block >> 1
    claimed = claim(ring, count)
    assert claimed == count, "write_ends: events still wait"
    first = ring.producer.position
    for index in range(count):
        address = slot(ring, first + index)
        if ends == CANCEL:
            cancel_one(stand, address, index)
        else:
            fill_pair(stand, address, index)
    publish(ring, count)


@kernel
def drain(stand: RiskStand) -> None:
    """Let the stage work until nothing waits; nobody reads its decisions."""
    out = stand.ports.decisions
    while call_risk(stand.state, stand.ports, BATCH_MAX) > 0:
        cursor = out.ring.readers[0]
        consume(cursor, ready(out.ring, cursor, SLOTS))


@kernel
def play_blocks(stand: RiskStand, blocks: int, ends: int) -> None:
    """Blocks of orders, each decided and then ended; adds to both clocks."""
    for _ in range(blocks):
        write_block(stand)
        began = read_monotonic()
        drain(stand)
        stand.decide_ns += read_monotonic() - began
        if ends != STAY:
            write_ends(stand, ends)
            began = read_monotonic()
            drain(stand)
            stand.apply_ns += read_monotonic() - began
        stand.at += stand.block
        if stand.at == stand.intent_count:
            stand.at = 0


# --- the reference -----------------------------------------------------------------------------


@kernel
def copy_batch(stand: RiskStand, message_max: int) -> int:
    """What the stage does with a batch of commands but for deciding them."""
    ports = stand.ports
    inbox = ports.commands
    waiting = ready(inbox.ring, inbox.cursor, message_max)
    if waiting == 0:
        return 0
    room = open_outbox(ports.decisions, waiting)
    first = inbox.cursor.position
    for index in range(room):
        decision = Decision(next_slot(ports.decisions))
        copy_message(decision.address, slot(inbox.ring, first + index))
        decision.ev_wm = stand.state.ev_wm
        decision.group = decision.prevention = decision.maker_rate = decision.taker_rate = 0
    now = deliver(ports.decisions, ports.telemetry)
    count_batch(inbox, room, now, ports.telemetry)
    consume(inbox.cursor, room)
    return room


@kernel
def copy_blocks(stand: RiskStand, blocks: int) -> None:
    """Blocks of orders, each only moved; adds to the first clock."""
    out = stand.ports.decisions
    for _ in range(blocks):
        write_block(stand)
        began = read_monotonic()
        while copy_batch(stand, BATCH_MAX) > 0:
            cursor = out.ring.readers[0]
            consume(cursor, ready(out.ring, cursor, SLOTS))
        stand.decide_ns += read_monotonic() - began
        stand.at += stand.block
        if stand.at == stand.intent_count:
            stand.at = 0
