"""The gateway's view, fed with the real engine's events in this process."""

import numpy as np
import pytest

from engine.config import load
from engine.inprocess import InProcessVenue
from engine.messages import (
    COMMAND_CODEC,
    Command,
    CommandKind,
    OrderType,
    Side,
    TimeInForce,
)
from gateway import view as view_module
from gateway.documents import average_price, order_document
from gateway.order import CANCELED, FILLED, OPEN
from gateway.view import VenueView
from ipc.record import numpy_dtype

pytestmark = pytest.mark.interpreted

BTC_USD = 0
TICKS = 45_000_00


@pytest.fixture(scope="module")
def config():
    return load(
        overrides={"venue.durability": "memory", "venue.layout": "compact", "venue.tick_ms": 0}
    )


@pytest.fixture
def engine(config):
    return InProcessVenue(config)


@pytest.fixture
def view(config):
    return VenueView(config)


def new(side=Side.BUY, price_ticks=TICKS, qty_lots=100, account=1, name=b""):
    return COMMAND_CODEC.encode(
        kind=CommandKind.NEW,
        side=side,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        account=account,
        instrument=BTC_USD,
        price_ticks=price_ticks,
        qty_lots=qty_lots,
        client_order_id=name,
    )


def cancel(order_id, account=1):
    return COMMAND_CODEC.encode(
        kind=CommandKind.CANCEL, account=account, instrument=BTC_USD, order_id=order_id
    )


def feed(engine, view, *commands):
    """Execute commands and show the view their events; returns these."""
    events = engine.execute(np.frombuffer(b"".join(commands), dtype=numpy_dtype(Command)))
    for event in events:
        view.apply(event)
    return events


def test_ended_orders_are_forgotten_oldest_first(engine, view, monkeypatch):
    monkeypatch.setattr(view_module, "FINISHED_ORDERS_MAX", 3)
    feed(engine, view, new(name=b"stays"))
    for number in range(2, 7):
        feed(engine, view, new(name=b"n%d" % number), cancel(number))
    assert [view.order(number) is None for number in range(2, 7)] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert view.order_of(1, b"n3") is None
    assert view.order_of(1, b"n4").state == CANCELED
    assert view.order(1).state == OPEN
    assert list(view.open_orders(1)) == [1]
    assert view.open_count == 1
    feed(engine, view, cancel(1))
    assert view.order(4) is None
    assert view.open_orders(1) == {}
    assert view.open_count == 0


def test_an_event_out_of_order_is_a_bug(engine, view):
    events = feed(engine, view, new())
    with pytest.raises(AssertionError, match="event 1 after 1"):
        view.apply(events[0])


def test_names_used_again_by_another_order_are_kept_apart(engine, view):
    """Two sources may leave the name out: those orders have none and are not mixed up."""
    feed(engine, view, new(), new(account=2))
    assert view.order_of(1, b"") is None
    assert view.order(2).account == 2


@pytest.mark.parametrize(
    ("fills", "expected"),
    [
        ([(TICKS, 3)], "45000.00"),
        ([(TICKS, 1), (TICKS + 1, 1)], "45000.005"),
        ([(TICKS, 2), (TICKS + 1, 1)], "45000.00333333"),
        ([(TICKS, 1), (TICKS + 1, 2)], "45000.00666667"),
    ],
)
def test_the_average_price_is_exact_or_rounded_at_the_last_decimal(
    config, engine, view, fills, expected
):
    for price_ticks, lots in fills:
        feed(engine, view, new(Side.SELL, price_ticks, lots))
    total = sum(lots for _, lots in fills)
    feed(engine, view, new(Side.BUY, TICKS + 10, total, account=2))
    order = view.order(len(fills) + 1)
    assert order.state == FILLED
    assert average_price(order, config.instruments[BTC_USD]) == expected
    assert order_document(order, config.instruments[BTC_USD])["fill_count"] == len(fills)


def test_names_of_other_sources_may_be_any_bytes(config, engine, view):
    feed(engine, view, new(name=b"\xff\x01name"))
    document = order_document(view.order(1), config.instruments[BTC_USD])
    assert document["client_order_id"] == "\\xff\x01name"
