"""What goes together in an order, row by row of the table in docs/matching.md; engine and twin."""

from collections.abc import Iterator
from typing import Any

import pytest

from engine.config import Config
from engine.limits import PRICE_TICKS_MAX, QTY_LOTS_MAX, TRAIL_BPS_MAX
from engine.messages import (
    CommandFlag,
    CommandKind,
    Instruction,
    Listing,
    ListKind,
    OrderType,
    Peg,
    Phase,
    RejectReason,
    TimeInForce,
    Trigger,
)
from engine.reference import TERM_NUMBERS
from tests.ingest_door import IngestDoor
from tools import twin
from tools.twin.market import Market, rich

LIMIT, MARKET, MARKET_TO_LIMIT = OrderType
GTC, IOC, FOK, GTD, DAY, AT_OPEN, AT_CLOSE, AUCTION = TimeInForce
HIDDEN, SLIDE, ALL_OR_NONE = Instruction
TERMS, POST_ONLY, LEAVES = CommandFlag.TERMS, CommandFlag.POST_ONLY, CommandFlag.LEAVES

STOP = {"trigger": Trigger.STOP, "trigger_ticks": 50}
TRAIL = {"trigger": Trigger.TRAIL_TICKS, "trigger_ticks": 5}
BPS = {"trigger": Trigger.TRAIL_BPS, "trigger_ticks": 5}
PEG = {"peg": Peg.PRIMARY}
WHOLE = {"instructions": ALL_OR_NONE}
UNSEEN = {"instructions": HIDDEN}
ICEBERG = {"display_lots": 10}
MINIMUM = {"minimum_lots": 10}
MAKER = {"flags": TERMS | POST_ONLY}
SPACED = {"instrument": 1}
"An instrument with a tick table and a least quantity of 100 lots."

BASE: dict[str, Any] = {"flags": TERMS, "order_type": LIMIT, "time_in_force": GTC} | {
    "price_ticks": 100,
    "qty_lots": 1000,
    "account": 1,
}

GOOD: list[dict[str, Any]] = [
    {},
    *({"order_type": MARKET, "time_in_force": tif} for tif in (GTC, IOC, FOK)),
    *({"order_type": MARKET, "time_in_force": tif} for tif in (AT_OPEN, AT_CLOSE, AUCTION)),
    *(STOP | {"order_type": MARKET, "time_in_force": tif} for tif in (GTC, IOC, FOK, DAY)),
    STOP | {"order_type": MARKET, "time_in_force": GTD, "at_ns": 1},
    *(MAKER | {"order_type": LIMIT, "time_in_force": tif} for tif in (GTC, DAY)),
    *({"order_type": MARKET_TO_LIMIT, "time_in_force": tif} for tif in (GTC, DAY)),
    {"order_type": MARKET_TO_LIMIT} | ICEBERG,
    {"order_type": MARKET_TO_LIMIT} | UNSEEN,
    MAKER | {"instructions": SLIDE | HIDDEN},
    MAKER | STOP,
    MAKER | ICEBERG,
    STOP | PEG | {"peg": 0},
    STOP | WHOLE,
    STOP | MINIMUM,
    STOP | ICEBERG,
    STOP | UNSEEN | {"time_in_force": DAY},
    {"trigger": Trigger.TOUCH, "trigger_ticks": -200},
    TRAIL | {"trigger_ticks": PRICE_TICKS_MAX},
    BPS | {"trigger_ticks": TRAIL_BPS_MAX},
    BPS | {"trail_limit": 1, "offset_ticks": PRICE_TICKS_MAX},
    PEG | {"offset_ticks": -PRICE_TICKS_MAX, "time_in_force": DAY},
    PEG | UNSEEN,
    PEG | ICEBERG,
    *(WHOLE | {"time_in_force": tif} for tif in (GTC, IOC, FOK, DAY)),
    MINIMUM | {"minimum_lots": 1000},
    MINIMUM | UNSEEN,
    MINIMUM | ICEBERG,
    MINIMUM | {"order_type": MARKET, "time_in_force": IOC},
    ICEBERG | {"time_in_force": AUCTION},
    UNSEEN | {"time_in_force": AT_OPEN},
    ICEBERG | {"display_lots": 1000},
    ICEBERG | {"qty_lots": 2560},
    ICEBERG | {"qty_lots": QTY_LOTS_MAX, "display_lots": QTY_LOTS_MAX // 256},
    {"list_kind": ListKind.OCO, "list_index": 1},
    {"list_kind": ListKind.BRACKET, "list_index": 2, "order_type": MARKET},
    {"self_trade": 5},
    SPACED | {"qty_lots": 100, "price_ticks": 105},
    SPACED | STOP | {"trigger_ticks": 35},
    SPACED | TRAIL | {"trigger_ticks": 1},
    SPACED | {"price_ticks": 101, "order_type": MARKET},
]

WRONG: dict[RejectReason, list[dict[str, Any]]] = {
    RejectReason.BAD_ORDER_TYPE: [{"order_type": 0}, {"order_type": 4}],
    RejectReason.BAD_TIME_IN_FORCE: [
        {"time_in_force": 0},
        {"time_in_force": 9},
        {"order_type": MARKET, "time_in_force": DAY},
        {"order_type": MARKET, "time_in_force": GTD, "at_ns": 1},
        {"order_type": MARKET, "time_in_force": DAY, "flags": 0},
        *(
            {"order_type": MARKET_TO_LIMIT, "time_in_force": tif}
            for tif in (IOC, FOK, AT_OPEN, AT_CLOSE, AUCTION)
        ),
    ],
    RejectReason.BAD_FLAGS: [
        {"flags": TERMS | LEAVES},
        MAKER | {"order_type": MARKET},
        MAKER | {"order_type": MARKET_TO_LIMIT},
        *(MAKER | {"time_in_force": tif} for tif in (IOC, FOK, AT_OPEN, AT_CLOSE, AUCTION)),
    ],
    RejectReason.BAD_TERMS: [
        {"flags": 0, "order_type": MARKET_TO_LIMIT},
        *({"flags": 0, "time_in_force": tif} for tif in (GTD, DAY, AT_OPEN, AT_CLOSE, AUCTION)),
        {"flags": POST_ONLY, "time_in_force": DAY},
        {"trigger": 5},
        {"peg": 4},
        {"self_trade": 6},
        {"instructions": 8},
        {"list_kind": 4},
        {"list_index": 1},
        {"list_kind": ListKind.OCO, "list_index": 2},
        {"list_kind": ListKind.OTO, "list_index": 2},
        {"list_kind": ListKind.BRACKET, "list_index": 3},
        {"at_ns": 1},
        {"time_in_force": GTD},
        {"time_in_force": GTD, "at_ns": -1},
        {"instructions": SLIDE},
        STOP | {"order_type": MARKET_TO_LIMIT},
        *(STOP | {"time_in_force": tif} for tif in (AT_OPEN, AT_CLOSE, AUCTION)),
        STOP | PEG,
        {"trigger_ticks": 1},
        STOP | {"trigger_ticks": -201},
        STOP | {"trigger_ticks": 401},
        TRAIL | {"trigger_ticks": 0},
        TRAIL | {"trigger_ticks": PRICE_TICKS_MAX + 1},
        BPS | {"trigger_ticks": 0},
        BPS | {"trigger_ticks": TRAIL_BPS_MAX + 1},
        {"trail_limit": 1},
        STOP | {"trail_limit": 1},
        TRAIL | {"trail_limit": 2},
        TRAIL | {"trail_limit": 1, "order_type": MARKET},
        {"offset_ticks": 1},
        TRAIL | {"offset_ticks": 1},
        PEG | {"offset_ticks": PRICE_TICKS_MAX + 1},
        PEG | {"offset_ticks": -(1 << 63)},
        PEG | {"order_type": MARKET},
        PEG | {"order_type": MARKET_TO_LIMIT},
        *(PEG | {"time_in_force": tif} for tif in (IOC, FOK, AT_OPEN, AT_CLOSE, AUCTION)),
        PEG | MAKER,
        PEG | WHOLE,
        PEG | MINIMUM,
        WHOLE | {"order_type": MARKET},
        WHOLE | {"order_type": MARKET_TO_LIMIT},
        *(WHOLE | {"time_in_force": tif} for tif in (AT_OPEN, AT_CLOSE, AUCTION)),
        WHOLE | MAKER,
        WHOLE | MINIMUM,
        WHOLE | ICEBERG,
        {"instructions": ALL_OR_NONE | HIDDEN},
        MINIMUM | {"minimum_lots": -1},
        MINIMUM | {"minimum_lots": 1001},
        MINIMUM | {"order_type": MARKET_TO_LIMIT},
        *(MINIMUM | {"time_in_force": tif} for tif in (FOK, AT_OPEN, AT_CLOSE, AUCTION)),
        MINIMUM | MAKER,
        *(UNSEEN | {"time_in_force": tif} for tif in (IOC, FOK)),
        UNSEEN | {"order_type": MARKET},
    ],
    RejectReason.BAD_QUANTITY: [{"qty_lots": 0}, {"qty_lots": QTY_LOTS_MAX + 1} | ICEBERG],
    RejectReason.QUANTITY_BELOW_MIN: [SPACED | {"qty_lots": 99}, SPACED | {"qty_lots": 1}],
    RejectReason.BAD_DISPLAY: [
        {"display_lots": -1},
        {"display_lots": 1001},
        ICEBERG | {"qty_lots": 2561},
        ICEBERG | {"qty_lots": QTY_LOTS_MAX},
        {"display_lots": 1 << 62},
        ICEBERG | UNSEEN,
        *(ICEBERG | {"time_in_force": tif} for tif in (IOC, FOK)),
        ICEBERG | {"order_type": MARKET},
    ],
    RejectReason.BAD_PRICE: [
        {"price_ticks": 401},
        {"price_ticks": -201},
        PEG | {"price_ticks": 401},
    ],
    RejectReason.OFF_STEP: [
        SPACED | {"price_ticks": 101},
        SPACED | STOP | {"trigger_ticks": 51},
        SPACED | STOP | {"trigger_ticks": -1},
    ],
}

CHANGES: list[tuple[dict[str, Any], str]] = [
    ({}, "NONE"),
    ({"display_lots": 1000, "trigger_ticks": 400}, "NONE"),
    ({"flags": 0}, "NONE"),
    ({"trigger_ticks": 401}, "BAD_TERMS"),
    ({"trigger_ticks": -201}, "BAD_TERMS"),
    ({"display_lots": 1001}, "BAD_DISPLAY"),
    ({"display_lots": -1}, "BAD_DISPLAY"),
    ({"flags": TERMS | 8}, "BAD_FLAGS"),
    (SPACED | {"price_ticks": 101}, "OFF_STEP"),
    (SPACED | {"trigger_ticks": 51}, "OFF_STEP"),
    (SPACED | {"flags": 0, "price_ticks": 101}, "OFF_STEP"),
    (SPACED | {"qty_lots": 99}, "QUANTITY_BELOW_MIN"),
    (SPACED | {"qty_lots": 99, "flags": TERMS | LEAVES}, "NONE"),
    (SPACED | {"qty_lots": 0, "flags": TERMS | LEAVES}, "BAD_QUANTITY"),
]

MARKETPLACE = Market(
    instruments=(
        twin.Instrument(price_min_ticks=-200, price_max_ticks=400),
        twin.Instrument(
            price_min_ticks=-200,
            price_max_ticks=400,
            qty_min_lots=100,
            price_steps=((0, 5), (200, 10)),
            base_asset_index=2,
        ),
    ),
    ladders=((), ()),
    balances=rich(1, 2),
)


class Both:
    """The engine's ingest and the twin's."""

    def __init__(self) -> None:
        self.door = IngestDoor(Config.build(**MARKETPLACE.tables()))
        self.mine = twin.Ingest(MARKETPLACE.instruments, assets=3)

    def reason(self, **fields: Any) -> str:
        """What both say of a command."""
        command = twin.Command(1, **fields)
        (found,) = self.door.run([command])
        assert found.reason == self.mine.sequence(command).reason
        return RejectReason(found.reason).name

    def set(self, name: str, value: int, instrument: int = 2) -> str:
        """The answer to an INSTRUMENT command."""
        return self.reason(
            kind=CommandKind.INSTRUMENT,
            instrument=instrument,
            order_id=TERM_NUMBERS[name],
            qty_lots=value,
        )

    def list(self, phase: int = Phase.CONTINUOUS, symbol: bytes = b"X", **fields: Any) -> str:
        """The answer to LIST of instrument 2."""
        return self.reason(
            kind=CommandKind.INSTRUMENT,
            order_id=Listing.LIST,
            qty_lots=phase,
            client_order_id=symbol,
            **({"instrument": 2} | fields),
        )


@pytest.fixture(scope="module")
def shared() -> Iterator[Both]:
    both = Both()
    yield both
    both.door.release()


@pytest.fixture
def both() -> Iterator[Both]:
    made = Both()
    yield made
    made.door.release()


@pytest.mark.parametrize("fields", GOOD)
def test_what_goes_together_passes(shared: Both, fields: dict[str, Any]) -> None:
    assert shared.reason(**({"kind": CommandKind.NEW} | BASE | fields)) == "NONE"


@pytest.mark.parametrize(
    ("reason", "fields"), [(reason, fields) for reason in WRONG for fields in WRONG[reason]]
)
def test_what_does_not_is_refused(
    shared: Both, reason: RejectReason, fields: dict[str, Any]
) -> None:
    assert shared.reason(**({"kind": CommandKind.NEW} | BASE | fields)) == reason.name


@pytest.mark.parametrize(("fields", "reason"), CHANGES)
def test_amendments_are_checked(shared: Both, fields: dict[str, Any], reason: str) -> None:
    asked = {"kind": CommandKind.AMEND, "order_id": 1} | BASE
    assert shared.reason(**(asked | fields)) == reason


# --- instruments -------------------------------------------------------------------------------


def test_a_new_instrument_gets_its_terms_and_then_its_listing(both: Both) -> None:
    order = {"kind": CommandKind.NEW, "instrument": 2} | BASE | {"flags": 0}
    assert both.list() == "BAD_TERM", "one asset for both sides"
    assert both.set("base_asset", 1) == "NONE"
    assert both.reason(**order) == "UNKNOWN_INSTRUMENT"
    assert both.list(symbol=b"") == "BAD_TERM"
    assert both.list(phase=9) == "BAD_PHASE"
    assert both.list(flags=1) == "BAD_FLAGS"
    assert both.list() == "NONE"
    assert both.list() == "BAD_TERM", "it is listed already"
    assert both.reason(**order) == "NONE"
    delist = {"kind": CommandKind.INSTRUMENT, "instrument": 2, "order_id": Listing.DELIST}
    assert both.reason(**delist) == "NONE"
    assert both.reason(**delist) == "BAD_TERM"
    assert both.reason(**order) == "UNKNOWN_INSTRUMENT"
    assert both.list() == "NONE"


def test_the_notional_is_a_product_or_a_part(both: Both) -> None:
    assert both.set("base_asset", 1) == "NONE"
    assert both.set("notional_multiplier", 2) == "NONE"
    assert both.set("notional_divisor", 2) == "NONE"
    assert both.list() == "BAD_TERM"
    assert both.set("notional_multiplier", 1) == "NONE"
    assert both.list() == "NONE"


def test_what_money_means_is_fixed_with_the_first_listing(both: Both) -> None:
    assert both.set("base_asset", 1) == "NONE"
    assert both.list() == "NONE"
    delist = {"kind": CommandKind.INSTRUMENT, "instrument": 2, "order_id": Listing.DELIST}
    for _ in range(2):
        for name in ("base_asset", "notional_multiplier", "notional_divisor", "base_units_per_lot"):
            assert both.set(name, 1) == "BAD_TERM", name
        assert both.set("qty_max_lots", 7) == "NONE"
        both.reason(**delist)


def test_terms_have_bounds(both: Both) -> None:
    for name, value in (
        ("base_asset", 3),
        ("quote_asset", -1),
        ("qty_min_lots", 0),
        ("qty_max_lots", QTY_LOTS_MAX + 1),
        ("price_max_ticks", PRICE_TICKS_MAX + 1),
        ("collar_bps", 100_001),
        ("volatility_halt_ns", 86_400 * 10**9 + 1),
        ("step_count", 9),
        ("phase", 0),
        ("listed", 1),
        ("was_listed", 0),
        ("shard", 0),
    ):
        assert both.set(name, value) == "BAD_TERM", name
    number = {"kind": CommandKind.INSTRUMENT, "instrument": 2}
    for wrong in (-3, len(TERM_NUMBERS), 1 << 62, -(1 << 63)):
        assert both.reason(**number, order_id=wrong, qty_lots=1) == "BAD_TERM", wrong


def test_terms_fit_together(both: Both) -> None:
    assert both.set("price_max_ticks", -201, 0) == "BAD_TERM"
    assert both.set("price_min_ticks", 401, 0) == "BAD_TERM"
    assert both.set("qty_max_lots", 99, 1) == "BAD_TERM"
    assert both.set("qty_max_lots", 100, 1) == "NONE"
    assert both.set("notional_max_units", 50, 1) == "NONE"
    assert both.set("notional_min_units", 51, 1) == "BAD_TERM"
    assert both.set("notional_min_units", 50, 1) == "NONE"
    for band in ("collar_bps", "static_band_bps", "dynamic_band_bps"):
        assert both.set("price_max_ticks", 1 << 46, 0) == "NONE"
        assert both.set(band, 1, 0) == "BAD_TERM", band
        assert both.set("price_max_ticks", 1 << 45, 0) == "NONE"
        assert both.set(band, 1, 0) == "NONE", band
        assert both.set("price_max_ticks", 1 << 46, 0) == "BAD_TERM", band
        assert both.set("price_min_ticks", -(1 << 46), 0) == "BAD_TERM", band
        assert both.set(band, 0, 0) == "NONE"


def test_a_tick_table_is_changed_while_it_is_off(both: Both) -> None:
    order = {"kind": CommandKind.NEW} | BASE | {"flags": 0}
    assert both.set("step_count", 1, 0) == "BAD_TERM", "its first step is 0"
    for name, value in (("step_ticks[0]", 4), ("step_from[1]", 100), ("step_ticks[1]", 10)):
        assert both.set(name, value, 0) == "NONE"
    assert both.set("step_count", 1, 0) == "NONE"
    assert both.reason(**(order | {"price_ticks": 102})) == "OFF_STEP"
    assert both.set("step_count", 2, 0) == "NONE"
    assert both.reason(**(order | {"price_ticks": 104})) == "OFF_STEP"
    assert both.set("step_from[1]", 110, 0) == "BAD_TERM", "no multiple of the step before"
    assert both.set("step_from[1]", 104, 0) == "BAD_TERM", "no multiple of its own step"
    assert both.set("step_from[1]", 0, 0) == "BAD_TERM", "where the first one begins"
    assert both.set("step_from[1]", -20, 0) == "BAD_TERM", "before the first one"
    assert both.set("step_ticks[1]", 0, 0) == "BAD_TERM"
    assert both.set("step_from[1]", 120, 0) == "NONE"
    assert both.reason(**(order | {"price_ticks": 104})) == "NONE"
