"""Streams of decisions for measuring matching alone, as arrays of Decision.

Generated from a seed in a closed loop with a real book, so that the depth stays where it is meant
to be (an open loop drifts to another book). The files of the public matching engine challenge
can take the place of the generated scenarios.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.book import key_of
from engine.messages import (
    MESSAGE_BYTES,
    CommandFlag,
    CommandKind,
    Decision,
    OrderType,
    TimeInForce,
)
from engine.orders import NO_ORDER, find_order
from engine.stage import copy_message
from ipc import memory
from ipc.intrinsics import shift_left, shift_right
from ipc.jit import inlined, kernel
from ipc.record import Array, Record, Ref, i64, length, numpy_dtype
from ipc.ring import claim, publish, slot
from tools.bench.stand import Stand, settle
from tools.replay import meb

DECISION: Final = numpy_dtype(Decision)

SYMBOLS_MAX: Final = 128
LIVE_MAX: Final = 1 << 20
"""Orders that the generator keeps track of."""

START_TICKS: Final = 1 << 20
TRIES_MAX: Final = 4
"""Guesses at a live order before a cancel goes to a dead one."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a generated stream is like. Shares are in 1/1024 of all messages."""

    name: str
    symbols: int = 1
    depth: int = 5000
    "Resting orders per symbol that the stream keeps up."
    reach_ticks: int = 64
    "Passive orders lie up to this far from the middle, nearer ones more often."
    aggressive: int = 100
    walk: int = 16
    "How often, in 1/1024, the middle moves by a tick."
    swing_ticks: int = 0
    "Amplitude of a triangle that the middle follows over the whole stream, four times."
    amends: int = 0
    "How many of the changes to live orders, in 1/1024, amend; the others cancel."
    messages: int = 1_000_000


SCENARIOS: Final = (
    Scenario("static", depth=40_000, aggressive=2, walk=0, reach_ticks=256),
    Scenario("normal"),
    Scenario("swing", swing_ticks=400, depth=2500),
    Scenario("wide", reach_ticks=4096, depth=5000, walk=64),
    Scenario("crash", swing_ticks=4000, depth=1000, aggressive=250),
)
MIXED: Final = Scenario("mixed", amends=340)
"""All kinds of commands on one book, for what each of them costs."""

SYMBOLS100: Final = Scenario("symbols100", symbols=100, depth=3000, messages=2_000_000)


class Flow(Record):
    """The generator's state."""

    random: i64
    messages: i64
    symbols: i64
    depth: i64
    reach_ticks: i64
    aggressive: i64
    walk: i64
    swing_ticks: i64
    amends: i64
    made: i64
    next_order_id: i64
    live_count: i64
    target: i64
    "Address of the decisions."
    stand: Ref[Stand]
    middles: Array[i64] = length(SYMBOLS_MAX)
    live: Array[i64] = length(LIVE_MAX)
    "Order ids that may be live."
    live_symbols: Array[i64] = length(LIVE_MAX)


@inlined
def draw(flow: Flow, bound: int) -> int:
    """A number in 0..bound-1 (xorshift64)."""
    value = flow.random
    value ^= shift_left(value, 13)
    value ^= shift_right(value, 7)
    value ^= shift_left(value, 17)
    flow.random = value
    return shift_right(value, 1) % bound


@inlined
def make_new(flow: Flow, decision: Decision, symbol: int) -> None:
    """A new order: passive, or with the chance `aggressive` one that crosses and does not rest."""
    side = draw(flow, 2)
    towards = 1 - 2 * side
    decision.kind, decision.side, decision.order_type = CommandKind.NEW, side, OrderType.LIMIT
    decision.order_id = flow.next_order_id
    flow.next_order_id += 1
    decision.qty_lots = 1 + draw(flow, 100)
    middle = flow.middles[symbol]
    if draw(flow, 1024) < flow.aggressive:
        decision.time_in_force = TimeInForce.IOC
        decision.price_ticks = middle + towards * (2 + draw(flow, 8))
        return
    decision.time_in_force = TimeInForce.GTC
    distance = 1 + min(draw(flow, flow.reach_ticks), draw(flow, flow.reach_ticks))
    decision.price_ticks = middle - towards * distance
    if flow.live_count < LIVE_MAX:
        flow.live[flow.live_count] = decision.order_id
        flow.live_symbols[flow.live_count] = symbol
        flow.live_count += 1


@inlined
def make_cancel(flow: Flow, decision: Decision) -> int:
    """Cancel an order that is live, as far as a few guesses find one; returns its symbol."""
    at = 0
    for _ in range(TRIES_MAX):
        at = draw(flow, flow.live_count)
        if find_order(flow.stand.state.books.pool, flow.live[at]) != NO_ORDER:
            break
        flow.live_count -= 1
        flow.live[at] = flow.live[flow.live_count]
        flow.live_symbols[at] = flow.live_symbols[flow.live_count]
        if flow.live_count == 0:
            break
    decision.kind, decision.order_id = CommandKind.CANCEL, flow.live[at]
    return flow.live_symbols[at]


@inlined
def make_amend(flow: Flow, decision: Decision, symbol: int) -> None:
    """Turn a cancel into an amendment: one half take a lot off, the others move the price."""
    pool = flow.stand.state.books.pool
    order = pool.orders[find_order(pool, decision.order_id)]
    decision.kind, decision.side, decision.flags = CommandKind.AMEND, order.side, CommandFlag.LEAVES
    decision.qty_lots = max(order.leaves_lots - 1, 1)
    decision.price_ticks = key_of(order.price_key, order.side)
    if draw(flow, 2) == 0:
        towards = 1 - 2 * order.side
        decision.price_ticks = flow.middles[symbol] - towards * (1 + draw(flow, flow.reach_ticks))


@inlined
def move_middle(flow: Flow, symbol: int) -> None:
    """Random walk, or a triangle over the stream."""
    if draw(flow, 1024) < flow.walk:
        flow.middles[symbol] += 2 * draw(flow, 2) - 1
    if flow.swing_ticks != 0:
        quarter = flow.messages // 8
        phase = flow.made % (2 * quarter)
        height = phase if phase < quarter else 2 * quarter - phase
        flow.middles[symbol] = START_TICKS - height * flow.swing_ticks // quarter


@kernel
def generate(flow: Flow, count: int) -> None:
    """Make the next `count` decisions and let the stand's book execute them."""
    stand = flow.stand
    for _ in range(count):
        decision = Decision(flow.target + flow.made * MESSAGE_BYTES)
        symbol = draw(flow, flow.symbols)
        move_middle(flow, symbol)
        live = stand.state.books.pool.live
        # Above the depth cancels win, below it new orders do.
        new_share = 490 if live > flow.depth * flow.symbols else 620
        if live < flow.depth * flow.symbols >> 1:
            new_share = 1000
        if flow.live_count == 0 or draw(flow, 1024) < new_share:
            make_new(flow, decision, symbol)
        else:
            symbol = make_cancel(flow, decision)
            if flow.amends != 0 and draw(flow, 1024) < flow.amends:
                make_amend(flow, decision, symbol)
        decision.instrument, decision.account = symbol, 1
        claim(stand.decisions, 1)
        copied = slot(stand.decisions, stand.decisions.producer.position)
        copy_message(copied, decision.address)
        publish(stand.decisions, 1)
        settle(stand)
        flow.made += 1


def make_stream(scenario: Scenario, seed: int = 23) -> Any:
    """The decisions of a generated scenario, as an array of DECISION."""
    stand: Stand = Stand.make()
    flow: Flow = Flow.allocate()
    target = memory.allocate(scenario.messages * MESSAGE_BYTES, "bench.decisions")
    flow.random, flow.next_order_id, flow.target, flow.stand = seed, 1, target.start, stand
    for name in (
        "symbols",
        "depth",
        "reach_ticks",
        "aggressive",
        "walk",
        "swing_ticks",
        "amends",
        "messages",
    ):
        setattr(flow, name, getattr(scenario, name))
    for symbol in range(scenario.symbols):
        flow.middles[symbol] = START_TICKS
    generate(flow, scenario.messages)
    decisions = np.frombuffer(bytearray(target.view), DECISION)
    decisions["sequence"] = np.arange(1, len(decisions) + 1)
    stand.release()
    memory.forget(target)
    return decisions


def read_stream(path: Path) -> Any:
    """The decisions of a workload file of the challenge."""
    commands = meb.read(path).commands
    decisions = np.zeros(len(commands), DECISION)
    for name in commands.dtype.names or ():
        decisions[name] = commands[name]
    decisions["sequence"] = np.arange(1, len(decisions) + 1)
    new = decisions["kind"] == CommandKind.NEW
    decisions["order_id"][new] = np.arange(1, np.count_nonzero(new) + 1)
    return decisions
