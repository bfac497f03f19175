"""Whatever is sent, one step does a bounded amount of work, and what is full says so.

The matching stage stands alone between small rings, with a reader that is slow, so that commands
are cut into many steps at places that nobody chose. The events must be those of the naive
exchange, which knows neither steps nor slices.
"""

from random import Random
from typing import Any

import pytest

from engine.limits import (
    ACTIONS_PER_STEP_MAX,
    CHUNK_TICKS,
    FILLS_PER_STEP_MAX,
    ICEBERG_PEAKS_MAX,
    LOOK_MAX,
)
from engine.matching import EVENTS_CLAIMED_MAX
from engine.messages import (
    BOTH_SIDES,
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    Instruction,
    ListKind,
    OrderType,
    Peg,
    Phase,
    Prevention,
    RejectReason,
    Side,
    TimeInForce,
    Trigger,
)
from ipc.jit import INTERPRETED
from tests.book_state import check_books
from tests.bulk_streams import PRESETS, bulk
from tests.desk import PLAIN_TIMES, PLAIN_TYPES, TERM_FIELDS
from tests.lone_stage import Stage, decisions_of, run
from tools.twin import Decision, Event, Exchange, Instrument

pytestmark = pytest.mark.timeout(600)

BUY, SELL = Side.BUY, Side.SELL
MANY = 300 if INTERPRETED else 2_000
MARKET = (Instrument(price_min_ticks=1, price_max_ticks=1 << 40),)
PEAK_SLOTS = 1 << 12
"""An event ring in which a step may claim all that it ever wants."""


class Script:
    """Decisions for one instrument, written by hand."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.orders = 0

    def send(self, kind: int, **fields: Any) -> None:
        number = len(self.decisions) + 1
        marks = {"sequence": number, "source_sequence": number, "time_ns": number}
        self.decisions.append(Decision(kind=kind, **(marks | {"account": 1, "group": 1} | fields)))

    def new(self, side: int, price: int, lots: int = 1, **fields: Any) -> int:
        """A limit order, good till cancelled unless `fields` say otherwise; its id."""
        self.orders += 1
        order = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC} | fields
        plain = order["order_type"] in PLAIN_TYPES and order["time_in_force"] in PLAIN_TIMES
        if not plain or any(name in fields for name in TERM_FIELDS):
            order["flags"] = order.get("flags", 0) | CommandFlag.TERMS
        sent = {"order_id": self.orders, "side": side, "price_ticks": price, "qty_lots": lots}
        self.send(CommandKind.NEW, **sent, **order)
        return self.orders

    def cancel(self, order_id: int) -> None:
        self.send(CommandKind.CANCEL, order_id=order_id)

    def phase(self, phase: Phase) -> None:
        self.send(CommandKind.PHASE, phase=phase, flags=int(CommandFlag.TERMS))


def agree(
    decisions: list[Decision],
    instruments: tuple[Instrument, ...] = MARKET,
    seed: int = 1,
    **limits: int,
) -> list[Event]:
    """The stage's events, which are the exchange's, in rings of two sizes.

    In the large one no step writes more than it may.
    """
    most = {"orders_max": 1 << 16, "chunks_max": 1 << 14} | limits
    exchange = Exchange(instruments, **most)
    expected = [event for decision in decisions for event in exchange.decide(decision)]
    for slots in ({}, {"event_slots": PEAK_SLOTS}):
        stage = Stage(most["chunks_max"], most["orders_max"], instruments, **slots)
        try:
            events = run(stage, decisions, Random(seed))
            check_books(stage.state.books, len(instruments) + 2)
            most_events = stage.most_events
        finally:
            stage.release()
        for mine, theirs in zip(events, expected, strict=False):
            assert mine == theirs
        assert len(events) == len(expected)
        assert most_events <= EVENTS_CLAIMED_MAX
    check_last(expected)
    return expected


def check_last(events: list[Event]) -> None:
    """LAST stands on the last event of each command and nowhere else."""
    for event, after in zip(events, [*events[1:], None], strict=True):
        is_last = after is None or after.dseq != event.dseq
        assert bool(event.flags & EventFlag.LAST) == is_last


def of(events: list[Event], kind: EventKind) -> list[Any]:
    return [event for event in events if event.kind == kind]


def reasons(events: list[Event], kind: EventKind) -> set[str]:
    return {RejectReason(event.reason).name for event in of(events, kind)}


# --- one command that makes much work -----------------------------------------------------------


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_sweep_may_end_wherever_a_slice_does(extra: int) -> None:
    """Slices end after FILLS_PER_STEP_MAX fills, or where the ring of events is full."""
    script = Script()
    for makers in range(FILLS_PER_STEP_MAX - 2, FILLS_PER_STEP_MAX + 3):
        for number in range(makers):
            script.new(SELL, 100 + number % 3)
        tif = TimeInForce.GTC if makers % 2 else TimeInForce.IOC
        script.new(BUY, 102, makers + extra, time_in_force=tif)
        script.send(CommandKind.MASS_CANCEL, side=BOTH_SIDES)
    events = agree(script.decisions)
    assert len(of(events, EventKind.TRADE)) >= 5 * (FILLS_PER_STEP_MAX - 3)


def test_a_sweep_longer_than_the_ring_of_events() -> None:
    script = Script()
    makers = 4 * FILLS_PER_STEP_MAX + 7
    for number in range(makers):
        script.new(SELL, 100 + number % 7)
    script.new(BUY, 106, makers)
    script.new(BUY, 106, 3)
    events = agree(script.decisions)
    assert len(of(events, EventKind.TRADE)) == makers


def test_each_stop_wakes_the_next() -> None:
    script = Script()
    top = 10 * MANY
    for number in range(MANY + 1):
        script.new(BUY, top - number)
    for number in range(MANY):
        script.new(SELL, 1, trigger=Trigger.STOP, trigger_ticks=top - number)
    script.new(SELL, top)
    events = agree(script.decisions)
    triggered = of(events, EventKind.TRIGGERED)
    assert [event.order_id for event in triggered] == [MANY + 2 + n for n in range(MANY)]
    assert len(of(events, EventKind.TRADE)) == MANY + 1
    assert len({event.dseq for event in triggered}) == 1


def test_ten_thousand_stops_wake_at_once() -> None:
    """In the order of their triggers, then of their arrival."""
    script, count = Script(), 1_000 if INTERPRETED else 10_000
    for number in range(count):
        terms = {"trigger": Trigger.STOP, "trigger_ticks": 100 + number % 2}
        script.new(SELL, 50, time_in_force=TimeInForce.IOC, **terms)
    script.new(BUY, 90)
    script.new(SELL, 90)
    stage = Stage(1 << 10, 1 << 16, MARKET)
    try:
        events = run(stage, script.decisions, Random(2))
        check_books(stage.state.books, 1)
        steps = stage.steps
    finally:
        stage.release()
    check_last(events)
    woken = [*range(2, count + 1, 2), *range(1, count + 1, 2)]
    answer = [event for event in events if event.dseq == count + 2]
    kinds = [(event.kind, event.order_id) for event in answer[2:]]
    assert kinds == [
        (kind, order) for order in woken for kind in (EventKind.TRIGGERED, EventKind.CANCELED)
    ]
    assert steps > 2 * count // ACTIONS_PER_STEP_MAX


@pytest.mark.parametrize("kind", [CommandKind.MASS_CANCEL, CommandKind.SNAPSHOT])
def test_a_walk_over_many_orders(kind: CommandKind) -> None:
    script = Script()
    for number in range(MANY):
        script.new(number % 2, 100 + number % 2 * 50 - number % 37)
        if number % 5 == 0:
            script.new(BUY, 60, trigger=Trigger.TOUCH, trigger_ticks=20 + number % 3)
    script.send(kind, side=BOTH_SIDES)
    events = agree(script.decisions)
    (done,) = of(events, EventKind.DONE)
    assert done.qty_lots == MANY + (MANY // 5 if kind == CommandKind.MASS_CANCEL else 0)


def test_an_uncross_of_many_orders() -> None:
    script = Script()
    script.phase(Phase.OPENING_AUCTION)
    for number in range(MANY):
        script.new(BUY, 150 - number % 20, 1 + number % 3)
        script.new(SELL, 100 + number % 20, 1 + number % 2)
    script.phase(Phase.CONTINUOUS)
    events = agree(script.decisions)
    assert len(of(events, EventKind.TRADE)) > MANY


def test_an_iceberg_shows_itself_so_often_and_no_more() -> None:
    """Two of them and a plain order at one price, all swept by one taker."""
    script = Script()
    for _ in range(2):
        script.new(SELL, 100, 2 * ICEBERG_PEAKS_MAX, display_lots=2)
    script.new(SELL, 100, 9)
    script.new(BUY, 100, 4 * ICEBERG_PEAKS_MAX + 9)
    events = agree(script.decisions)
    assert len(of(events, EventKind.TRADE)) == 2 * ICEBERG_PEAKS_MAX + 1


@pytest.mark.parametrize("prevention", [Prevention.NONE, Prevention.NEWEST])
def test_how_far_a_look_goes(prevention: Prevention) -> None:
    """LOOK_MAX levels, or orders where each one counts; what needs more is unfillable."""
    script = Script()
    for number in range(LOOK_MAX + 1):
        price = 100 if prevention != Prevention.NONE else 100 + number
        script.new(SELL, price, group=2, account=2)
    for lots in (LOOK_MAX + 1, LOOK_MAX):
        script.new(
            BUY,
            100 + LOOK_MAX,
            lots,
            time_in_force=TimeInForce.FOK,
            prevention=prevention,
        )
    events = agree(script.decisions)
    assert reasons(events, EventKind.CANCELED) == {"FOK_UNFILLABLE"}
    assert len(of(events, EventKind.TRADE)) == LOOK_MAX


# --- full pools ---------------------------------------------------------------------------------

STAYING: dict[str, dict[str, Any]] = {
    "plain": {},
    "iceberg": {"lots": 5, "display_lots": 2},
    "hidden": {"instructions": Instruction.HIDDEN},
    "day": {"time_in_force": TimeInForce.DAY},
    "dated": {"time_in_force": TimeInForce.GTD, "at_ns": 1},
    "for the close": {"time_in_force": TimeInForce.AT_CLOSE},
    "for an auction": {"time_in_force": TimeInForce.AUCTION},
    "stop": {"trigger": Trigger.STOP, "trigger_ticks": 200},
    "touch": {"trigger": Trigger.TOUCH, "trigger_ticks": 20},
    "trailing": {"trigger": Trigger.TRAIL_TICKS, "trigger_ticks": 20},
    "market stop": {
        "trigger": Trigger.STOP,
        "trigger_ticks": 200,
        "order_type": OrderType.MARKET,
        "time_in_force": TimeInForce.IOC,
    },
    "peg": {"peg": Peg.PRIMARY},
    "all or none": {"lots": 9, "instructions": Instruction.ALL_OR_NONE},
    "minimum": {"lots": 9, "minimum_lots": 1},
    "sliding": {"flags": CommandFlag.POST_ONLY, "instructions": Instruction.SLIDE},
    "list": {"list_kind": ListKind.OCO},
}

PASSING: dict[str, dict[str, Any]] = {
    "at once": {"time_in_force": TimeInForce.IOC, "display_lots": 0},
    "plain at once": {"time_in_force": TimeInForce.IOC},
    "whole": {"time_in_force": TimeInForce.FOK, "minimum_lots": 0},
    "market": {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC},
    "market to limit": {"order_type": OrderType.MARKET_TO_LIMIT, "lots": 9},
    "all or none at once": {
        "time_in_force": TimeInForce.IOC,
        "instructions": Instruction.ALL_OR_NONE,
    },
}


def full_pool() -> Script:
    """Three orders, a last price, and no room for a fourth order."""
    script = Script()
    script.new(SELL, 100)
    script.new(BUY, 100)
    script.new(BUY, 90, 2)
    script.new(SELL, 110, 2)
    script.new(SELL, 111, 2)
    return script


@pytest.mark.parametrize("name", STAYING)
def test_what_may_stay_is_refused_when_the_pool_is_full(name: str) -> None:
    script = full_pool()
    script.new(BUY, 112, **STAYING[name])
    script.cancel(3)
    script.new(BUY, 90, **STAYING[name])
    events = agree(script.decisions, orders_max=3)
    assert reasons(events, EventKind.REJECTED) == {"BOOK_FULL"}
    assert len(of(events, EventKind.REJECTED)) == 1


@pytest.mark.parametrize("name", PASSING)
def test_what_may_not_stay_trades_when_the_pool_is_full(name: str) -> None:
    script = full_pool()
    script.new(BUY, 112, **PASSING[name])
    events = agree(script.decisions, orders_max=3)
    assert not of(events, EventKind.REJECTED)
    assert len(of(events, EventKind.TRADE)) > 1


def test_a_band_does_not_bring_one_order_too_many() -> None:
    """A market-to-limit order that a band stops before its first trade has freed no place."""
    banded = (MARKET[0]._replace(static_band_bps=500, reference_ticks=100),)
    script = Script()
    for _ in range(3):
        script.new(SELL, 110)
    for _ in range(2):
        script.new(BUY, 120, order_type=OrderType.MARKET_TO_LIMIT)
        script.phase(Phase.CONTINUOUS)
    events = agree(script.decisions, banded, orders_max=3)
    assert reasons(events, EventKind.CANCELED) == {"BOOK_FULL"}


def test_price_chunks_run_out_and_come_back() -> None:
    script = Script()
    far = 20 * CHUNK_TICKS
    orders = [script.new(BUY, far), script.new(SELL, 2 * far)]
    script.new(BUY, far - CHUNK_TICKS)
    script.new(BUY, far + 1, display_lots=1)
    script.new(BUY, far - CHUNK_TICKS, display_lots=1)
    script.new(BUY, far, trigger=Trigger.STOP, trigger_ticks=3 * far)
    for order in orders:
        script.cancel(order)
    script.new(BUY, far - CHUNK_TICKS)
    script.new(BUY, far, trigger=Trigger.STOP, trigger_ticks=3 * far)
    script.new(BUY, far - CHUNK_TICKS, display_lots=1)
    events = agree(script.decisions, chunks_max=2)
    assert reasons(events, EventKind.REJECTED) == {"BOOK_FULL"}
    full = [event for event in of(events, EventKind.CANCELED) if event.reason == 405]
    assert [event.order_id for event in full] == [5, 6, 8]


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("limits", [{"orders_max": 25}, {"chunks_max": 4}], ids=str)
def test_full_pools_say_so(name: str, limits: dict[str, int]) -> None:
    stream = bulk(60, 400 if INTERPRETED else 1_000, PRESETS[name], 2)
    decisions = decisions_of(stream.market, stream.commands)
    events = agree(decisions, stream.market.instruments, **limits)
    assert RejectReason.BOOK_FULL in {event.reason for event in events}
