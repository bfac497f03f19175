"""The compiled ingest against its twin: thousands of commands, most of them slightly wrong."""

import random
from collections import Counter
from typing import Any

import pytest

from engine.config import Config
from engine.limits import (
    ACCOUNTS_MAX,
    BALANCE_MAX,
    INSTRUMENTS_MAX,
    PRICE_TICKS_MAX,
    QTY_LOTS_MAX,
)
from engine.messages import (
    CommandFlag,
    CommandKind,
    Funds,
    Instruction,
    Listing,
    OrderType,
    RejectReason,
    Scope,
    TimeInForce,
    Trigger,
)
from engine.reference import TERM_COUNT, TERM_NUMBERS, term
from ipc.jit import INTERPRETED
from tests.ingest_door import IngestDoor
from tools import twin
from tools.twin.market import Market, rich
from tools.twin.messages import TERMS_FIELDS

NEW, CANCEL, AMEND, MASS_CANCEL, PHASE, TICK, INSTRUMENT, SNAPSHOT = tuple(CommandKind)[:8]
WATERMARK, FUNDS, RULE, MARK, CHECK, BARRIER, SKIP = tuple(CommandKind)[8:]
TERMS = CommandFlag.TERMS
INT64 = (-(1 << 63), (1 << 63) - 1)

MARKET = Market(
    instruments=(
        twin.Instrument(
            price_min_ticks=-200,
            price_max_ticks=400,
            qty_min_lots=3,
            price_steps=((0, 2), (100, 5), (200, 10)),
        ),
        twin.Instrument(base_asset_index=2),
        twin.Instrument(price_min_ticks=1, price_max_ticks=1 << 40, base_asset_index=3),
    ),
    ladders=((), (), ()),
    balances=rich(2, 3),
)

GOOD: list[dict[str, Any]] = [
    {"kind": NEW},
    {"kind": NEW, "order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC},
    {"kind": NEW, "flags": CommandFlag.POST_ONLY},
    {"kind": NEW, "flags": TERMS, "trigger": Trigger.STOP, "trigger_ticks": 20},
    {"kind": NEW, "flags": TERMS, "trigger": Trigger.TOUCH, "trigger_ticks": 110},
    {"kind": NEW, "flags": TERMS, "trigger": Trigger.TRAIL_TICKS, "trigger_ticks": 3},
    {"kind": NEW, "flags": TERMS, "trigger": Trigger.TRAIL_BPS, "trigger_ticks": 50}
    | {"trail_limit": 1, "offset_ticks": -4},
    {"kind": NEW, "flags": TERMS, "trigger": Trigger.STOP, "trigger_ticks": 30}
    | {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.DAY},
    {"kind": NEW, "flags": TERMS, "peg": 1, "offset_ticks": -2},
    {"kind": NEW, "flags": TERMS, "peg": 2, "instructions": Instruction.HIDDEN},
    {"kind": NEW, "flags": TERMS, "display_lots": 5, "qty_lots": 1000},
    {"kind": NEW, "flags": TERMS, "minimum_lots": 4, "time_in_force": TimeInForce.IOC},
    {"kind": NEW, "flags": TERMS, "instructions": Instruction.ALL_OR_NONE},
    {"kind": NEW, "flags": TERMS | CommandFlag.POST_ONLY, "instructions": Instruction.SLIDE},
    {"kind": NEW, "flags": TERMS, "order_type": OrderType.MARKET_TO_LIMIT},
    {"kind": NEW, "flags": TERMS, "time_in_force": TimeInForce.GTD, "at_ns": 77},
    {"kind": NEW, "flags": TERMS, "time_in_force": TimeInForce.AT_OPEN},
    {"kind": NEW, "flags": TERMS, "time_in_force": TimeInForce.AUCTION}
    | {"order_type": OrderType.MARKET},
    {"kind": NEW, "flags": TERMS, "list_kind": 3, "list_index": 2, "self_trade": 3},
    {"kind": NEW, "flags": CommandFlag.REDUCE_ONLY},
    {"kind": NEW, "flags": CommandFlag.REDUCE_ONLY | CommandFlag.POST_ONLY},
    {"kind": NEW, "flags": CommandFlag.REDUCE_ONLY | TERMS, "peg": 1},
    {"kind": CANCEL, "order_id": 1},
    {"kind": AMEND, "order_id": 1},
    {"kind": AMEND, "order_id": 1, "flags": TERMS, "trigger_ticks": 10, "display_lots": 3},
    {"kind": FUNDS, "side": Funds.DEPOSIT, "price_ticks": 0},
    {"kind": FUNDS, "side": Funds.WITHDRAW, "price_ticks": 0, "instrument": 3},
    {"kind": FUNDS, "side": Funds.TRANSFER, "price_ticks": 2, "qty_lots": BALANCE_MAX},
    {"kind": RULE, "order_type": Scope.VENUE, "order_id": 3},
    {"kind": RULE, "order_type": Scope.SYMBOL, "order_id": -3, "qty_lots": -1},
    {"kind": RULE, "order_type": Scope.ACCOUNT, "instrument": INSTRUMENTS_MAX - 1},
    {"kind": MARK},
    {"kind": CHECK},
    {"kind": CHECK, "flags": TERMS | CommandFlag.REDUCE_ONLY, "display_lots": 5},
    {"kind": MASS_CANCEL, "side": 2},
    {"kind": PHASE, "flags": TERMS, "phase": 4},
    {"kind": TICK, "flags": TERMS, "at_ns": 5},
    {"kind": SNAPSHOT},
    {"kind": INSTRUMENT, "order_id": TERM_NUMBERS["qty_max_lots"], "qty_lots": 1 << 40},
    {"kind": INSTRUMENT, "order_id": Listing.LIST, "client_order_id": b"NEW/ONE", "qty_lots": 4},
    {"kind": INSTRUMENT, "order_id": Listing.DELIST},
]

VALUES: dict[str, list[int]] = {
    "kind": [0, 14, 255, *CommandKind],
    "side": [0, 1, 2, 3, 255],
    "order_type": [0, 1, 2, 3, 4],
    "time_in_force": list(range(10)),
    "flags": [0, 1, 2, 4, 5, 8, 16, 17, 18, 20, 32, 33, 48, 64, 96, 128],
    "instrument": [0, 1, 2, 3, 4, INSTRUMENTS_MAX - 1, INSTRUMENTS_MAX, 1 << 31],
    "account": [0, 1, 2],
    "order_id": [0, 1, -1, -2, -3, TERM_COUNT, *INT64],
    "price_ticks": [0, 1, 2, 11, 100, 102, 105, 200, 205, 401, -2, -3, -201, ACCOUNTS_MAX, *INT64],
    "qty_lots": [0, 1, 2, 3, 4, 256, QTY_LOTS_MAX, QTY_LOTS_MAX + 1, BALANCE_MAX + 1, *INT64],
    "client_order_id": [],
    "trigger_ticks": [0, 1, 2, 101, 105, 400, 401, 10_000, 10_001, PRICE_TICKS_MAX, *INT64],
    "offset_ticks": [0, 1, -1, PRICE_TICKS_MAX, -PRICE_TICKS_MAX - 1, *INT64],
    "display_lots": [0, 1, 3, 4, 5, QTY_LOTS_MAX, *INT64],
    "minimum_lots": [0, 1, 3, 10, 11, *INT64],
    "at_ns": [0, 1, *INT64],
    "trigger": [0, 1, 2, 3, 4, 5, 255],
    "peg": [0, 1, 2, 3, 4],
    "self_trade": [0, 1, 5, 6],
    "instructions": [0, 1, 2, 3, 4, 5, 6, 8, 255],
    "list_kind": [0, 1, 2, 3, 4],
    "list_index": [0, 1, 2, 3, 255],
    "phase": [0, 1, 4, 8, 9],
    "trail_limit": [0, 1, 2],
}
PLAIN = {"order_type": 1, "time_in_force": 1, "price_ticks": 20, "qty_lots": 10, "account": 1}


def made(chance: random.Random, sequence: int) -> twin.Command:
    """A good command of some kind in which up to three fields were changed."""
    fields: dict[str, Any] = PLAIN | chance.choice(GOOD)
    if fields["kind"] == INSTRUMENT:
        fields["instrument"] = chance.choice([2, 3, 3, 4])
        if chance.random() < 0.7:
            fields["order_id"] = chance.randrange(TERM_COUNT)
            fields["qty_lots"] = chance.choice([0, 1, 2, 3, 8, 10, 30, 1 << 46, -5, *INT64])
    elif fields["kind"] in (CANCEL, AMEND) and chance.random() < 0.3:
        fields |= {"order_id": 0, "client_order_id": chance.choice([b"a", b"never"])}
    elif fields["kind"] in (NEW, CHECK, FUNDS):
        fields["client_order_id"] = chance.choice([b"", b"", b"a", b"b", b"%d" % sequence])
    if fields["kind"] == FUNDS:
        fields["instrument"] = chance.choice([0, 1, 2, 3, 4])
    elif fields["kind"] == RULE:
        fields["order_type"] = chance.choice([0, 1, 2, 3, 4, 5])
        fields["instrument"] = chance.choice([0, 2, 9, INSTRUMENTS_MAX])
    for _ in range(chance.choice([0, 1, 1, 2, 3])):
        name = chance.choice(list(VALUES))
        if name != "client_order_id":
            fields[name] = chance.choice(VALUES[name])
    if not fields.get("flags", 0) & TERMS:
        fields = {name: value for name, value in fields.items() if name not in TERMS_FIELDS}
    return twin.Command(**(fields | {"sequence": sequence}))


@pytest.fixture
def door() -> Any:
    opened = IngestDoor(Config.build(**MARKET.tables()))
    yield opened
    opened.release()


@pytest.mark.parametrize("seed", [1, 2])
def test_the_engine_and_the_twin_say_the_same_of_every_command(door: IngestDoor, seed: int) -> None:
    chance = random.Random(seed)
    mine = twin.Ingest(MARKET.instruments, assets=4)
    rounds, batch = (2, 400) if INTERPRETED else (20, 1000)
    reasons: Counter[str] = Counter()
    sequence = 0
    for _ in range(rounds):
        commands = [made(chance, sequence := sequence + 1) for _ in range(batch)]
        expected = [mine.sequence(command) for command in commands]
        for sent, wanted, found in zip(commands, expected, door.run(commands), strict=True):
            assert found == wanted, f"{sent}: {wanted.reason} {found.reason}"
        reasons.update(RejectReason(each.reason).name for each in expected)
    judged = {each.name for each in RejectReason if 200 < each < 300}
    judged.remove("SKIPPED_BY_INGEST")  # The recovery of a venue says that.
    assert reasons.keys() == judged | {"NONE"}, "some reason was never given"
    assert reasons["NONE"] > rounds * batch // 10
    for number in range(6):
        terms = door.venue.ingest.terms[number]
        assert mine.terms(number) == {name: term(terms, at) for name, at in TERM_NUMBERS.items()}


def test_every_good_command_is_good(door: IngestDoor) -> None:
    """Without this the test above could compare nothing but refusals."""
    commands = [
        twin.Command(**(PLAIN | {"instrument": 3 if fields.get("order_id") == -1 else 0} | fields))
        for fields in ({"sequence": at, **each} for at, each in enumerate(GOOD, start=1))
    ]
    listed = TERM_NUMBERS["base_asset"]
    ready = twin.Command(1, INSTRUMENT, instrument=3, order_id=listed, qty_lots=2)
    assert [each.reason for each in door.run([ready, *commands])] == [0] * (len(GOOD) + 1)
