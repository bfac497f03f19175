"""What an order says, as the fields of its command: every term, and what does not go together."""

import msgspec
import pytest

from engine.config import load
from engine.messages import (
    CommandFlag,
    Instruction,
    OrderType,
    Peg,
    Prevention,
    TimeInForce,
    Trigger,
)
from gateway.documents import time_text
from gateway.entry.amounts import time_ns_of
from gateway.entry.terms import order_values
from gateway.errors import BadTime, BadValue
from gateway.schema import OrderTerms

pytestmark = pytest.mark.interpreted

TICKS = 45_000_00
PLAIN = {"side": "buy", "type": "limit", "quantity": "1.0000", "price": "45000.00"}
MARKET = {"type": "market", "price": None}
NOON_NS = 1_800_000_000_000_000_000


@pytest.fixture(scope="module")
def instrument():
    return load().instruments[0]


def values(instrument, **changes):
    fields = {name: value for name, value in (PLAIN | changes).items() if value is not None}
    return order_values(msgspec.convert(fields, OrderTerms), instrument)


def test_a_plain_order_carries_no_terms(instrument):
    assert values(instrument) == {
        "side": 0,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "flags": 0,
        "instrument": 0,
        "price_ticks": TICKS,
        "qty_lots": 10_000,
    }
    assert values(instrument, post_only=True)["flags"] == CommandFlag.POST_ONLY
    market = values(instrument, **MARKET)
    assert (market["time_in_force"], market["flags"]) == (TimeInForce.IOC, 0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"time_in_force": "day"}, {"time_in_force": TimeInForce.DAY}),
        ({"time_in_force": "at_open"}, {"time_in_force": TimeInForce.AT_OPEN}),
        (
            {"time_in_force": "gtd", "expires_at": "2027-01-15T08:00:00Z"},
            {"time_in_force": TimeInForce.GTD, "at_ns": NOON_NS},
        ),
        ({"time_in_force": "gtd", "expires_at": 5}, {"at_ns": 5}),
        (
            {"type": "market_to_limit", "price": None},
            {"order_type": OrderType.MARKET_TO_LIMIT, "time_in_force": TimeInForce.GTC},
        ),
        (
            {"stop_price": "46000.00"},
            {"trigger": Trigger.STOP, "trigger_ticks": 46_000_00, "price_ticks": TICKS},
        ),
        (
            MARKET | {"touch_price": "44000.00", "time_in_force": "day"},
            {"trigger": Trigger.TOUCH, "trigger_ticks": 44_000_00, "price_ticks": 0},
        ),
        (
            {"trailing": {"distance": "25.00", "limit_offset": "-0.50"}},
            {
                "trigger": Trigger.TRAIL_TICKS,
                "trigger_ticks": 2500,
                "trail_limit": 1,
                "offset_ticks": -50,
            },
        ),
        (
            MARKET | {"trailing": {"distance_bps": 100}},
            {"trigger": Trigger.TRAIL_BPS, "trigger_ticks": 100},
        ),
        ({"display_quantity": "0.0100"}, {"display_lots": 100}),
        ({"hidden": True}, {"instructions": Instruction.HIDDEN}),
        (
            {"post_only": "slide"},
            {
                "instructions": Instruction.SLIDE,
                "flags": CommandFlag.POST_ONLY | CommandFlag.TERMS,
            },
        ),
        (
            {"all_or_none": True, "self_trade": "both"},
            {"instructions": Instruction.ALL_OR_NONE, "self_trade": Prevention.BOTH},
        ),
        ({"minimum_quantity": "0.5000", "time_in_force": "ioc"}, {"minimum_lots": 5000}),
        ({"peg": {"to": "mid"}}, {"peg": Peg.MID, "offset_ticks": 0}),
        (
            {"peg": {"to": "primary", "offset": "-1.00"}},
            {"peg": Peg.PRIMARY, "offset_ticks": -100},
        ),
        ({"self_trade": "none"}, {"self_trade": Prevention.NONE}),
    ],
)
def test_terms_become_fields_of_the_command(instrument, changes, expected):
    made = values(instrument, **changes)
    assert made["flags"] & CommandFlag.TERMS
    assert {name: made.get(name, 0) for name in expected} == expected


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        (MARKET | {"time_in_force": "gtc"}, "contradiction", "time_in_force"),
        (MARKET | {"time_in_force": "day"}, "contradiction", "time_in_force"),
        ({"type": "market_to_limit"}, "contradiction", "price"),
        (
            {"type": "market_to_limit", "price": None, "time_in_force": "ioc"},
            "contradiction",
            "time_in_force",
        ),
        ({"expires_at": 5}, "contradiction", "expires_at"),
        ({"time_in_force": "gtd"}, "contradiction", "expires_at"),
        ({"time_in_force": "gtd", "expires_at": "tomorrow"}, "bad_time", "expires_at"),
        ({"stop_price": "1.00", "touch_price": "2.00"}, "contradiction", "touch_price"),
        ({"stop_price": "1.005"}, "off_tick", "stop_price"),
        ({"stop_price": "0.00"}, "price_out_of_range", "stop_price"),
        ({"stop_price": "1.00", "time_in_force": "at_open"}, "contradiction", "time_in_force"),
        (
            {"type": "market_to_limit", "price": None, "stop_price": "1.00"},
            "contradiction",
            "stop_price",
        ),
        ({"trailing": {}}, "contradiction", "trailing"),
        ({"trailing": {"distance": "1.00", "distance_bps": 5}}, "contradiction", "trailing"),
        ({"trailing": {"distance": "0.00"}}, "price_out_of_range", "trailing.distance"),
        ({"trailing": {"distance": "x"}}, "bad_decimal", "trailing.distance"),
        (
            MARKET | {"trailing": {"distance": "1.00", "limit_offset": "0.00"}},
            "contradiction",
            "trailing.limit_offset",
        ),
        ({"display_quantity": "1.0001"}, "quantity_out_of_range", "display_quantity"),
        ({"display_quantity": "0.0039"}, "quantity_out_of_range", "display_quantity"),
        ({"display_quantity": "0.5000", "hidden": True}, "contradiction", "display_quantity"),
        ({"display_quantity": "0.5000", "time_in_force": "ioc"}, "contradiction", None),
        ({"hidden": True, "time_in_force": "fok"}, "contradiction", "hidden"),
        ({"hidden": True, "all_or_none": True}, "contradiction", "hidden"),
        (MARKET | {"post_only": True}, "contradiction", "post_only"),
        ({"post_only": True, "time_in_force": "at_close"}, "contradiction", "post_only"),
        ({"post_only": True, "all_or_none": True}, "contradiction", "all_or_none"),
        ({"post_only": True, "minimum_quantity": "1"}, "contradiction", "minimum_quantity"),
        (MARKET | {"all_or_none": True}, "contradiction", "all_or_none"),
        ({"all_or_none": True, "time_in_force": "auction"}, "contradiction", "all_or_none"),
        ({"minimum_quantity": "2.0000"}, "quantity_out_of_range", "minimum_quantity"),
        ({"minimum_quantity": "1", "time_in_force": "fok"}, "contradiction", "minimum_quantity"),
        ({"minimum_quantity": "1", "all_or_none": True}, "contradiction", "minimum_quantity"),
        (MARKET | {"peg": {"to": "mid"}}, "contradiction", "peg"),
        ({"peg": {"to": "mid"}, "time_in_force": "ioc"}, "contradiction", "peg"),
        ({"peg": {"to": "mid"}, "post_only": True}, "contradiction", "post_only"),
        ({"peg": {"to": "mid"}, "stop_price": "1.00"}, "contradiction", "stop_price"),
        ({"peg": {"to": "mid", "offset": "0.001"}}, "off_tick", "peg.offset"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_field(instrument, changes, code, field):
    with pytest.raises(BadValue) as refused:
        values(instrument, **changes)
    assert refused.value.code == code
    if field is not None:
        assert refused.value.field == field


def test_the_smallest_display_is_one_part_in_256(instrument):
    assert values(instrument, display_quantity="0.0040")["display_lots"] == 40
    assert values(instrument, display_quantity="1.0000")["display_lots"] == 10_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2027-01-15T08:00:00Z", NOON_NS),
        ("2027-01-15T08:00:00.5Z", NOON_NS + 500_000_000),
        ("2027-01-15T08:00:00.000000001Z", NOON_NS + 1),
        ("2262-04-11T23:47:16.854775807Z", (1 << 63) - 1),
    ],
)
def test_times_are_exact_to_the_nanosecond_and_back(text, expected):
    assert time_ns_of(text, "at") == expected
    assert time_text(expected) == text
    assert time_ns_of(expected, "at") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2027-01-15",
        "2027-01-15T08:00:00",
        "2027-01-15T08:00:00+01:00",
        "2027-13-15T08:00:00Z",
        "2027-01-15T25:00:00Z",
        "2027-01-15T08:00:00.0000000001Z",
        "1969-12-31T23:59:59Z",
        "2262-04-11T23:47:16.854775808Z",
        "٢٠٢٧-01-15T08:00:00Z",
    ],
)
def test_other_times_are_refused(text):
    with pytest.raises(BadTime):
        time_ns_of(text, "at")
