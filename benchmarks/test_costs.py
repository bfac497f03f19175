"""What single operations cost, each beside a reference of the same run: `pytest benchmarks`.

A call from Python into compiled code costs more than most of these, so each round does BATCH
operations in one call; `extra_info["operations"]` says how many. Nothing is asserted about time.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.messages import CommandKind, Decision, Message, OrderType, SequencedCommand, TimeInForce
from engine.process import Loop, build_loop
from engine.risk.stage import step_risk
from engine.stage import copy_words
from engine.topology import DRIVER, plan, usable_cores
from engine.venue import VenueMemory, create_private
from ipc import memory
from ipc.histogram import Histogram, record
from ipc.jit import INTERPRETED, kernel
from ipc.record import CACHE_LINE_BYTES, Array, Record, i64, length, numpy_dtype
from ipc.ring import (
    BY_INDEX,
    BY_SLOT,
    Ring,
    claim,
    consume,
    create_ring,
    publish,
    ready,
    ring_bytes,
    slot,
)
from tools.bench.engine import make_config
from tools.bench.stand import Stand, pump
from tools.bench.undisturbed import undisturbed

pytestmark = pytest.mark.skipif(INTERPRETED, reason="measures compiled code")

BATCH = 16_384
SLOTS = 4_096
AT_ONCE = 256
LINE_BYTES = 64


def measure(
    benchmark: Any, group: str, work: Callable[[], object], operations: int = BATCH
) -> None:
    """Rounds of `work`, compiled and warm, on a core of its own where that is permitted."""
    benchmark.group = group
    benchmark.extra_info["operations"] = operations
    with undisturbed(usable_cores()[-1]):
        benchmark.pedantic(work, rounds=40, iterations=1, warmup_rounds=3)


# --- records -----------------------------------------------------------------------------------


class Account(Record, align=CACHE_LINE_BYTES):
    """Three fields to change."""

    balance: i64
    reserved: i64
    changes: i64


class Accounts(Record):
    """A table that fits the first cache."""

    table: Array[Account] = length(256)


@kernel
def change_accounts(accounts: Accounts, count: int) -> None:
    """Read, change and write three fields of one record after the other."""
    for index in range(count):
        account = accounts.table[index & 255]
        account.balance -= index
        account.reserved += index
        account.changes += 1


def test_three_fields_of_a_record(benchmark: Any) -> None:
    accounts: Accounts = Accounts.allocate()
    measure(benchmark, "record", lambda: change_accounts(accounts, BATCH))


def test_three_fields_by_numpy(benchmark: Any) -> None:
    """The reference: the same with a structured array of NumPy, interpreted."""
    table, count = np.zeros(256, numpy_dtype(Account)), 256

    def change() -> None:
        for index in range(count):
            account = table[index]
            account["balance"] -= index
            account["reserved"] += index
            account["changes"] += 1

    measure(benchmark, "record", change, count)


# --- rings and histograms ----------------------------------------------------------------------


@kernel
def pass_through(ring: Ring, count: int, at_once: int) -> None:
    """Publish 64-byte messages and read them, in one process."""
    cursor = ring.readers[0]
    for _ in range(count // at_once):
        claim(ring, at_once)
        first = ring.producer.position
        for index in range(at_once):
            Message(slot(ring, first + index)).stamp_ticks = index
        publish(ring, at_once)
        consume(cursor, ready(ring, cursor, at_once))


@pytest.mark.parametrize("at_once", [1, AT_ONCE], ids=["one_by_one", f"{AT_ONCE}_at_once"])
@pytest.mark.parametrize("mode", [BY_INDEX, BY_SLOT], ids=["by_index", "by_slot"])
def test_publish_and_read(benchmark: Any, mode: int, at_once: int) -> None:
    region = memory.allocate(ring_bytes(SLOTS, LINE_BYTES), "bench.ring")
    ring = create_ring(region.start, SLOTS, LINE_BYTES, mode, 1)
    measure(benchmark, "ring", lambda: pass_through(ring, BATCH, at_once))


@kernel
def record_many(histogram: Histogram, count: int) -> None:
    """Latencies of a microsecond and more, all different."""
    for index in range(count):
        record(histogram, 1_000 + (index & 4095) * 7)


def test_record_a_latency(benchmark: Any) -> None:
    histogram: Histogram = Histogram.allocate()
    measure(benchmark, "histogram", lambda: record_many(histogram, BATCH))


# --- risk and matching -------------------------------------------------------------------------


@kernel
def check_orders(loop: Loop, template: SequencedCommand, count: int) -> int:
    """New orders through the risk stage alone: check, reserve, decide."""
    inbox, out = loop.risk_ports.commands, loop.risk_ports.decisions
    decided = 0
    for _ in range(count // AT_ONCE):
        claim(inbox.ring, AT_ONCE)
        first = inbox.ring.producer.position
        for index in range(AT_ONCE):
            template.order_id = first + index + 1
            copy_words(slot(inbox.ring, first + index), template.address, 16)
        publish(inbox.ring, AT_ONCE)
        decided += step_risk(loop.risk, loop.risk_ports, AT_ONCE)
        cursor = out.ring.readers[0]
        consume(cursor, ready(out.ring, cursor, AT_ONCE))
    return decided


def test_risk_decides_an_order(benchmark: Any) -> None:
    """With its way through two rings; the orders are never filled, so reservations grow."""
    config = make_config("costs", "compact")
    topology = plan(config, clients=(DRIVER,), cores=[0])
    venue: VenueMemory = create_private(config, topology)
    loop = build_loop(venue, next(each for each in topology.processes if each.name != DRIVER))
    template: SequencedCommand = SequencedCommand.allocate()
    template.kind, template.account, template.order_type = CommandKind.NEW, 1, OrderType.LIMIT
    template.time_in_force, template.price_ticks, template.qty_lots = TimeInForce.GTC, 10_000, 1
    assert check_orders(loop, template, BATCH) == BATCH
    assert loop.risk.accepted == BATCH
    measure(benchmark, "stages", lambda: check_orders(loop, template, BATCH))


def test_match_an_order(benchmark: Any) -> None:
    """An order rests, another one takes it: two decisions in, three events out."""
    decisions = np.zeros(BATCH, numpy_dtype(Decision))
    decisions["kind"], decisions["order_type"] = CommandKind.NEW, OrderType.LIMIT
    decisions["order_id"], decisions["qty_lots"] = np.arange(1, BATCH + 1), 5
    decisions["price_ticks"] = 10_000
    decisions["side"] = np.arange(BATCH) & 1
    decisions["time_in_force"] = np.where(decisions["side"] == 0, TimeInForce.GTC, TimeInForce.IOC)
    region = memory.allocate(decisions.nbytes, "bench.decisions")
    region.view[:] = decisions.tobytes()
    stand: Stand = Stand.make()
    assert pump(stand, region.start, BATCH) == BATCH // 2 * 3
    assert stand.state.books.match_id == BATCH // 2
    measure(benchmark, "stages", lambda: pump(stand, region.start, BATCH), BATCH // 2)
