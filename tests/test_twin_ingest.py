"""The twin's ingest against hand-made examples: numbering, checks, client order ids."""

from typing import Any

import pytest

from engine.limits import PRICE_TICKS_MAX, QTY_LOTS_MAX
from engine.messages import (
    CommandFlag,
    CommandKind,
    OrderType,
    RejectReason,
    Side,
    TimeInForce,
)
from tools.twin import Command, Ingest, Instrument, Sequenced

NEW, CANCEL, AMEND = CommandKind.NEW, CommandKind.CANCEL, CommandKind.AMEND
POST_ONLY, LEAVES, REQUEUE = CommandFlag.POST_ONLY, CommandFlag.LEAVES, CommandFlag.REQUEUE

LIMIT_GTC = {
    "order_type": OrderType.LIMIT,
    "time_in_force": TimeInForce.GTC,
    "price_ticks": 10,
    "qty_lots": 1,
}


class Door:
    """An ingest with two instruments and a memory of two client order ids."""

    def __init__(self) -> None:
        instruments = [Instrument(), Instrument(price_min_ticks=-5, price_max_ticks=20)]
        self.ingest = Ingest(instruments, client_order_ids_max=2)
        self.sent = 0

    def send(self, kind: int, **fields: Any) -> Sequenced:
        self.sent += 1
        return self.ingest.sequence(Command(self.sent, kind, **fields), time_ns=1_000 + self.sent)

    def reason(self, kind: int, **fields: Any) -> str:
        return RejectReason(self.send(kind, **fields).reason).name


@pytest.fixture
def door() -> Door:
    return Door()


def test_a_command_is_numbered_and_named() -> None:
    ingest = Ingest([Instrument()])
    ingest.sequence(Command(4, CANCEL, source=1, order_id=9))
    sent = Command(
        sequence=17,
        kind=NEW,
        side=Side.SELL,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        flags=POST_ONLY,
        source=2,
        account=5,
        order_id=99,
        price_ticks=-3,
        qty_lots=7,
        client_order_id=b"mine",
    )
    assert ingest.sequence(sent, time_ns=55) == Sequenced(
        sequence=2,
        kind=NEW,
        side=Side.SELL,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        flags=POST_ONLY,
        source=2,
        reason=0,
        account=5,
        instrument=0,
        order_id=1,
        price_ticks=-3,
        qty_lots=7,
        client_order_id=b"mine",
        source_sequence=17,
        time_ns=55,
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "NONE"),
        ({"instrument": 2}, "UNKNOWN_INSTRUMENT"),
        ({"side": 2}, "BAD_SIDE"),
        ({"order_type": 0}, "BAD_ORDER_TYPE"),
        ({"order_type": 4}, "BAD_ORDER_TYPE"),
        ({"time_in_force": 0}, "BAD_TIME_IN_FORCE"),
        ({"time_in_force": 9}, "BAD_TIME_IN_FORCE"),
        ({"flags": POST_ONLY}, "NONE"),
        ({"flags": LEAVES}, "BAD_FLAGS"),
        ({"flags": POST_ONLY | REQUEUE}, "BAD_FLAGS"),
        ({"flags": 8}, "BAD_FLAGS"),
        ({"flags": POST_ONLY, "order_type": OrderType.MARKET}, "BAD_FLAGS"),
        ({"flags": POST_ONLY, "time_in_force": TimeInForce.IOC}, "BAD_FLAGS"),
        ({"flags": POST_ONLY, "time_in_force": TimeInForce.FOK}, "BAD_FLAGS"),
        ({"qty_lots": 0}, "BAD_QUANTITY"),
        ({"qty_lots": -1}, "BAD_QUANTITY"),
        ({"qty_lots": QTY_LOTS_MAX}, "NONE"),
        ({"qty_lots": QTY_LOTS_MAX + 1}, "BAD_QUANTITY"),
        ({"price_ticks": PRICE_TICKS_MAX}, "NONE"),
        ({"price_ticks": PRICE_TICKS_MAX + 1}, "BAD_PRICE"),
        ({"price_ticks": -PRICE_TICKS_MAX - 1}, "BAD_PRICE"),
        ({"price_ticks": 20, "instrument": 1}, "NONE"),
        ({"price_ticks": 21, "instrument": 1}, "BAD_PRICE"),
        ({"price_ticks": -6, "instrument": 1}, "BAD_PRICE"),
        ({"price_ticks": -6, "instrument": 1, "order_type": OrderType.MARKET}, "NONE"),
    ],
)
def test_new_orders_are_checked(door: Door, fields: dict[str, int], reason: str) -> None:
    made = door.send(NEW, **(LIMIT_GTC | fields))
    assert RejectReason(made.reason).name == reason
    assert made.order_id == (1 if reason == "NONE" else 0)


def test_the_first_fault_is_named(door: Door) -> None:
    faults: list[tuple[dict[str, Any], str]] = [
        ({"kind": 9}, "UNKNOWN_COMMAND"),
        ({"instrument": 2}, "UNKNOWN_INSTRUMENT"),
        ({"side": 2}, "BAD_SIDE"),
        ({"order_type": 9}, "BAD_ORDER_TYPE"),
        ({"time_in_force": 9}, "BAD_TIME_IN_FORCE"),
        ({"flags": 64}, "BAD_FLAGS"),
        ({"qty_lots": 0}, "BAD_QUANTITY"),
        ({"price_ticks": 21}, "BAD_PRICE"),
        ({"client_order_id": b"twice"}, "DUPLICATE_CLIENT_ORDER_ID"),
    ]
    good = {"kind": NEW, "instrument": 1, "account": 3} | LIMIT_GTC
    door.send(**(good | {"client_order_id": b"twice"}))
    for index, (_, reason) in enumerate(faults):
        wrong: dict[str, Any] = {}
        # An order type that is wrong hides the price check of limit orders: named before it.
        for fields, _ in reversed(faults[index:]):
            wrong |= fields
        assert door.reason(**(good | wrong)) == reason


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        (AMEND, {"flags": LEAVES | REQUEUE | POST_ONLY}, "NONE"),
        (AMEND, {"flags": 8}, "BAD_FLAGS"),
        (AMEND, {"qty_lots": 0}, "BAD_QUANTITY"),
        (AMEND, {"qty_lots": QTY_LOTS_MAX + 1}, "BAD_QUANTITY"),
        (AMEND, {"price_ticks": 21}, "BAD_PRICE"),
        (AMEND, {"side": 9, "order_type": 9, "time_in_force": 9}, "NONE"),
        (AMEND, {"order_id": 0}, "UNKNOWN_CLIENT_ORDER_ID"),
        (CANCEL, {"qty_lots": 0, "price_ticks": 21}, "NONE"),
        (CANCEL, {"side": 9, "order_type": 9, "time_in_force": 9}, "NONE"),
        (CANCEL, {"flags": POST_ONLY}, "BAD_FLAGS"),
        (CANCEL, {"instrument": 2}, "UNKNOWN_INSTRUMENT"),
        (CANCEL, {"order_id": 0}, "UNKNOWN_CLIENT_ORDER_ID"),
        (CANCEL, {"order_id": 0, "client_order_id": b"never"}, "UNKNOWN_CLIENT_ORDER_ID"),
        (CANCEL, {"order_id": -1}, "NONE"),
        (0, {}, "UNKNOWN_COMMAND"),
        (255, {"instrument": 9}, "UNKNOWN_COMMAND"),
    ],
)
def test_changes_are_checked(door: Door, kind: int, fields: dict[str, Any], reason: str) -> None:
    sent = {"order_id": 44, "instrument": 1, "price_ticks": 10, "qty_lots": 1} | fields
    made = door.send(kind, **sent)
    assert RejectReason(made.reason).name == reason
    assert made.order_id == (sent["order_id"] if kind in (CANCEL, AMEND) else 0)


def test_order_ids_are_dense_over_what_passes(door: Door) -> None:
    door.send(NEW, **LIMIT_GTC)
    door.send(NEW, **(LIMIT_GTC | {"side": 2}))
    door.send(CANCEL, order_id=1)
    made = door.send(NEW, **LIMIT_GTC)
    assert (made.sequence, made.order_id) == (4, 2)


def test_a_repeated_client_id_names_the_first_order(door: Door) -> None:
    door.send(NEW, account=1, client_order_id=b"x", **LIMIT_GTC)
    again = door.send(NEW, account=1, client_order_id=b"x", **LIMIT_GTC)
    assert (again.reason, again.order_id) == (RejectReason.DUPLICATE_CLIENT_ORDER_ID, 1)
    other = door.send(NEW, account=2, client_order_id=b"x", **LIMIT_GTC)
    assert (other.reason, other.order_id) == (RejectReason.NONE, 2)
    for _ in range(2):
        assert door.reason(NEW, account=1, **LIMIT_GTC) == "NONE", "no id: never a duplicate"


def test_a_refused_order_is_not_remembered(door: Door) -> None:
    refused = LIMIT_GTC | {"client_order_id": b"x", "side": 7}
    assert door.reason(NEW, **refused) == "BAD_SIDE"
    assert door.reason(NEW, **(refused | {"side": 0})) == "NONE"


def test_changes_find_their_order_by_client_id(door: Door) -> None:
    door.send(NEW, account=1, client_order_id=b"x", **LIMIT_GTC)
    door.send(NEW, account=2, client_order_id=b"x", **LIMIT_GTC)
    for kind in (CANCEL, AMEND):
        found = door.send(kind, account=2, client_order_id=b"x", price_ticks=1, qty_lots=1)
        assert (found.reason, found.order_id) == (RejectReason.NONE, 2)
        given = door.send(kind, account=2, client_order_id=b"x", order_id=7, qty_lots=1)
        assert (given.reason, given.order_id) == (RejectReason.NONE, 7)


def test_the_oldest_client_id_is_forgotten(door: Door) -> None:
    for name in (b"a", b"b", b"c"):
        door.send(NEW, client_order_id=name, **LIMIT_GTC)
    assert door.reason(NEW, client_order_id=b"b", **LIMIT_GTC) == "DUPLICATE_CLIENT_ORDER_ID"
    assert door.reason(CANCEL, client_order_id=b"a") == "UNKNOWN_CLIENT_ORDER_ID"
    assert door.send(NEW, client_order_id=b"a", **LIMIT_GTC).order_id == 4
    assert door.reason(CANCEL, client_order_id=b"b") == "UNKNOWN_CLIENT_ORDER_ID"
