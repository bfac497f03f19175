"""What each kind of event does to the gateway's view, with events made by hand.

The engine's own events go through the view in test_view.py and in the tests over HTTP; here the
order of events is the one that docs/matching.md states, one rule at a time.
"""

from decimal import Decimal

import pytest

from engine.config import load
from engine.messages import (
    EVENT_CODECS,
    TERMS_CODEC,
    EventFlag,
    EventKind,
    Instruction,
    Listing,
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
from engine.reference import TERM_NUMBERS
from gateway.documents import instrument_document, order_document
from gateway.view import VenueView

pytestmark = pytest.mark.interpreted

BTC_USD = 0
TICKS = 45_000_00
PLAIN = {
    "account": 1,
    "order_type": OrderType.LIMIT,
    "time_in_force": TimeInForce.GTC,
    "price_ticks": TICKS,
    "qty_lots": 100,
}


@pytest.fixture(scope="module")
def config():
    return load(overrides={"venue.durability": "memory"})


class Teller:
    """Tells a view events, in a dense sequence."""

    def __init__(self, config):
        self.view = VenueView(config)

    def tell(self, kind, **fields):
        codec = TERMS_CODEC if fields.get("flags", 0) & EventFlag.TERMS else EVENT_CODECS[kind]
        given = {"kind": kind, "sequence": self.view.sequences[0] + 1} | fields
        self.view.apply(codec.values(**(codec.blank | given)))

    def accept(self, order_id, **fields):
        """An order with terms, unless it has none."""
        plain = set(fields) <= {"side", "price_ticks", "qty_lots", "account"}
        flags = 0 if plain else EventFlag.TERMS
        self.tell(EventKind.ACCEPTED, order_id=order_id, **(PLAIN | {"flags": flags} | fields))

    def trade(self, order_id, leaves, maker_order_id, maker_leaves, lots, flags=0):
        self.tell(
            EventKind.TRADE,
            order_id=order_id,
            leaves_lots=leaves,
            maker_order_id=maker_order_id,
            maker_leaves_lots=maker_leaves,
            qty_lots=lots,
            price_ticks=TICKS,
            flags=flags,
            match_id=1,
        )

    def rest(self, order_id, leaves=100, price_ticks=TICKS):
        self.tell(EventKind.RESTED, order_id=order_id, leaves_lots=leaves, price_ticks=price_ticks)

    def cancel(self, order_id, reason, leaves=100):
        self.tell(EventKind.CANCELED, order_id=order_id, leaves_lots=leaves, reason=reason)

    def shown(self, order_id):
        return order_document(self.view.order(order_id), self.view.instruments[BTC_USD])

    def status(self, *order_ids):
        return [self.shown(order_id)["status"] for order_id in order_ids]


@pytest.fixture
def teller(config):
    return Teller(config)


@pytest.mark.parametrize(
    ("terms", "shown"),
    [
        (
            {"time_in_force": TimeInForce.GTD, "at_ns": 1_500_000_000},
            {"time_in_force": "gtd", "expires_at": "1970-01-01T00:00:01.5Z"},
        ),
        (
            {"trigger": Trigger.TOUCH, "trigger_ticks": 44_000_00},
            {"touch_price": "44000.00", "triggered": False},
        ),
        (
            {
                "trigger": Trigger.TRAIL_TICKS,
                "trigger_ticks": 500,
                "trail_limit": 1,
                "offset_ticks": -10,
            },
            {"trailing": {"distance": "5.00", "limit_offset": "-0.10"}},
        ),
        (
            {"trigger": Trigger.TRAIL_BPS, "trigger_ticks": 50},
            {"trailing": {"distance_bps": 50}},
        ),
        ({"display_lots": 10}, {"display_quantity": "0.0010"}),
        ({"minimum_lots": 50}, {"minimum_quantity": "0.0050"}),
        (
            {"instructions": Instruction.HIDDEN, "self_trade": Prevention.OLDEST},
            {"hidden": True, "self_trade": "oldest"},
        ),
        ({"instructions": Instruction.ALL_OR_NONE}, {"all_or_none": True}),
        (
            {"peg": Peg.MID, "offset_ticks": -100},
            {"peg": {"to": "mid", "offset": "-1.00"}},
        ),
        (
            {"instructions": Instruction.SLIDE, "flags": EventFlag.TERMS | EventFlag.POST_ONLY},
            {"post_only": "slide"},
        ),
    ],
)
def test_an_order_shows_its_terms_under_the_names_they_were_sent_by(teller, terms, shown):
    teller.accept(1, **terms)
    document = teller.shown(1)
    assert {name: document[name] for name in shown} == shown
    teller.accept(2)
    assert (
        not document.keys()
        - teller.shown(2).keys()
        - shown.keys()
        - {
            "triggered",
            "resting_price",
        }
    ), "what an order does not say it does not show"


def test_an_order_waits_wakes_and_rests(teller):
    teller.accept(1, trigger=Trigger.STOP, trigger_ticks=46_000_00, price_ticks=47_000_00)
    assert teller.status(1) == ["waiting"]
    assert teller.shown(1)["resting_price"] is None
    assert list(teller.view.open_orders(1)) == [1]
    teller.tell(EventKind.TRIGGERED, order_id=1, price_ticks=46_500_00)
    assert teller.shown(1)["triggered"] is True
    assert teller.shown(1)["price"] == "46500.00"
    teller.accept(2, side=Side.SELL, account=2)
    teller.trade(1, 60, 2, 60, 40)
    teller.rest(1, 60, 46_500_00)
    assert teller.status(1) == ["partially_filled"]
    assert teller.shown(1)["resting_price"] == "46500.00"


def test_a_peg_leaves_and_comes_back(teller):
    teller.accept(1, peg=Peg.PRIMARY)
    teller.rest(1, price_ticks=TICKS - 5)
    assert teller.status(1) == ["open"]
    assert teller.shown(1)["resting_price"] == "44999.95"
    teller.tell(EventKind.LEVEL, order_id=1, flags=EventFlag.LEVEL_BID)
    assert teller.status(1) == ["waiting"]
    teller.rest(1, price_ticks=TICKS - 4)
    assert teller.shown(1)["resting_price"] == "44999.96"
    assert teller.shown(1)["price"] == "45000.00"
    teller.tell(EventKind.LEVEL, flags=EventFlag.LEVEL_BID | EventFlag.AUCTION)
    assert teller.status(1) == ["open"]


def test_a_market_to_limit_order_has_a_price_once_it_rests(teller):
    teller.accept(1, order_type=OrderType.MARKET_TO_LIMIT, price_ticks=50_000_00)
    assert teller.shown(1)["price"] is None
    teller.rest(1)
    assert teller.shown(1)["price"] == "45000.00"


def test_a_fill_of_an_auction_has_no_taker(teller):
    teller.accept(1)
    teller.accept(2, side=Side.SELL, account=2)
    teller.trade(1, 50, 2, 50, 50, EventFlag.AUCTION)
    for number in (1, 2):
        assert [fill["liquidity"] for fill in teller.shown(number)["fills"]] == ["auction"]
    teller.trade(1, 0, 2, 0, 50)
    assert [teller.shown(number)["fills"][1]["liquidity"] for number in (1, 2)] == [
        "taker",
        "maker",
    ]


def test_a_prevented_trade_takes_lots_off_both_only_when_it_decrements(teller):
    teller.accept(1)
    teller.accept(2, side=Side.SELL, qty_lots=30)
    fields = {"order_id": 2, "maker_order_id": 1, "price_ticks": TICKS}
    teller.tell(EventKind.PREVENTED, leaves_lots=30, maker_leaves_lots=100, **fields)
    assert teller.shown(1)["quantity"] == "0.0100"
    teller.tell(EventKind.PREVENTED, leaves_lots=0, maker_leaves_lots=70, qty_lots=30, **fields)
    teller.cancel(2, RejectReason.SELF_TRADE, leaves=0)
    assert (teller.shown(1)["quantity"], teller.shown(1)["leaves_quantity"]) == (
        "0.0070",
        "0.0070",
    )
    shown = teller.shown(2)
    assert (shown["status"], shown["reason"]) == ("canceled", "self_trade")
    assert teller.shown(1)["fills"] == []


def bracket(teller):
    for index, side in enumerate((Side.BUY, Side.SELL, Side.SELL)):
        trigger = {"trigger": Trigger.STOP, "trigger_ticks": 1} if index == 2 else {}
        teller.accept(1 + index, list_kind=ListKind.BRACKET, list_index=index, side=side, **trigger)


def test_the_orders_of_a_bracket_are_held_until_the_first_is_filled(teller):
    bracket(teller)
    assert teller.status(1, 2, 3) == ["waiting", "held", "held"]
    assert teller.shown(3)["list"] == {"kind": "bracket", "index": 2, "order_ids": [1, 2, 3]}
    teller.rest(1)
    assert teller.status(1, 2, 3) == ["open", "held", "held"]
    teller.accept(4, side=Side.SELL, account=2)
    teller.trade(4, 50, 1, 50, 50)
    assert teller.status(1, 2, 3) == ["partially_filled", "held", "held"]
    teller.trade(4, 0, 1, 0, 50)
    assert teller.status(1, 2, 3) == ["filled", "waiting", "waiting"]
    teller.rest(2)
    assert teller.status(2, 3) == ["open", "waiting"]
    teller.accept(5, account=2)
    teller.trade(5, 0, 2, 0, 100)
    teller.cancel(3, RejectReason.LIST_DONE)
    assert teller.shown(3)["reason"] == "list_done"
    assert teller.view.open_orders(1) == {}


def test_a_list_that_was_broken_off_does_not_mix_with_the_next_one(teller):
    teller.accept(1, list_kind=ListKind.OCO, list_index=0)
    assert teller.status(1) == ["held"]
    assert teller.shown(1)["list"]["order_ids"] == []
    teller.cancel(1, RejectReason.LIST_BROKEN)
    for index in range(2):
        teller.accept(2 + index, list_kind=ListKind.OCO, list_index=index)
    assert teller.shown(2)["list"]["order_ids"] == [2, 3]
    assert teller.status(2, 3) == ["waiting", "waiting"]


def test_lists_of_two_sources_grow_side_by_side(teller):
    for index in range(2):
        for source in range(2):
            order_id = 1 + index * 2 + source
            teller.accept(order_id, list_kind=ListKind.OTO, list_index=index, source=source)
    assert teller.shown(1)["list"]["order_ids"] == [1, 3]
    assert teller.shown(2)["list"]["order_ids"] == [2, 4]


def test_an_amendment_in_place_tells_where_the_order_rests_and_not_its_limit(teller):
    teller.accept(1, instructions=Instruction.SLIDE)
    teller.rest(1, price_ticks=TICKS - 3)
    place = {"price_ticks": TICKS - 3, "previous_price_ticks": TICKS - 3}
    teller.tell(
        EventKind.REPLACED,
        order_id=1,
        qty_lots=50,
        leaves_lots=50,
        flags=EventFlag.LEVEL_BID,
        **place,
    )
    assert (teller.shown(1)["price"], teller.shown(1)["quantity"]) == ("45000.00", "0.0050")
    assert teller.view.order(1).working_ticks == TICKS - 3
    moved = {"price_ticks": TICKS - 9, "previous_price_ticks": TICKS - 3}
    teller.tell(
        EventKind.REPLACED,
        order_id=1,
        qty_lots=50,
        leaves_lots=50,
        flags=EventFlag.LEVEL_BID,
        **moved,
    )
    assert teller.shown(1)["price"] == "44999.91"


@pytest.mark.parametrize(
    "kind",
    [
        EventKind.INDICATIVE,
        EventKind.BOOKED,
        EventKind.DONE,
        EventKind.ADMIN_REJECTED,
        EventKind.CHECKPOINT,
        EventKind.CANCEL_REJECTED,
    ],
)
def test_other_events_change_no_order(teller, kind):
    teller.accept(1)
    before = teller.shown(1)
    teller.tell(kind, **({} if kind == EventKind.CHECKPOINT else {"order_id": 1, "qty_lots": 7}))
    assert teller.shown(1) == before


# --- instruments -------------------------------------------------------------------------------


def listed(teller, config):
    listings = teller.view.listings
    return {
        each.symbol: instrument_document(each, listings.phases[each.index], config)
        for each in listings
    }


def test_a_phase_is_shown_until_the_next(teller, config):
    until = 1_700_000_000_000_000_000
    teller.tell(EventKind.PHASED, instrument=1, phase=Phase.HALT, at_ns=until)
    shown = listed(teller, config)["ETH/USD"]
    assert (shown["phase"], shown["phase_ends_us"]) == ("halt", until // 1000)
    assert listed(teller, config)["BTC/USD"]["phase"] == "continuous"
    teller.tell(EventKind.PHASED, instrument=1, phase=Phase.CLOSED)
    assert listed(teller, config)["ETH/USD"]["phase_ends_us"] is None
    teller.tell(EventKind.CLOCK, at_ns=5)
    assert teller.view.listings.clock_ns == 5


def test_a_changed_term_is_shown_and_counts_for_requests(teller, config):
    number = TERM_NUMBERS["qty_max_lots"]
    teller.tell(EventKind.INSTRUMENT, instrument=0, order_id=number, qty_lots=5)
    assert listed(teller, config)["BTC/USD"]["quantity_max"] == "0.0005"
    assert teller.view.listings.instrument("BTC/USD").qty_max_lots == 5
    assert teller.view.instruments[0].qty_max_lots == 5
    for name, value in (("step_from[0]", 0), ("step_ticks[0]", 25), ("step_count", 1)):
        teller.tell(EventKind.INSTRUMENT, instrument=0, order_id=TERM_NUMBERS[name], qty_lots=value)
    assert listed(teller, config)["BTC/USD"]["price_steps"] == [{"from": "0.00", "step": "0.25"}]
    for name, value in (("maker_rates[0]", -5), ("maker_rates[7]", 9), ("initial_bps", 500)):
        teller.tell(EventKind.INSTRUMENT, instrument=0, order_id=TERM_NUMBERS[name], qty_lots=value)
    changed = teller.view.listings.instrument("BTC/USD")
    assert changed.maker_rates == (-5, 0, 0, 0, 0, 0, 0, 9)
    assert (changed.taker_rates, changed.initial_bps) == ((0,) * 8, 500)


def test_an_instrument_of_another_source_is_known_from_its_terms(teller, config):
    """ETH priced in BTC: a lot of 10**6 of 10**8 units, worth 10 of 10**8 at one tick."""
    terms = {
        "base_asset": 2,
        "quote_asset": 1,
        "base_units_per_lot": 1_000_000,
        "notional_multiplier": 10,
        "notional_divisor": 1,
        "qty_max_lots": 1000,
        "taker_rates[1]": 400,
    }
    for name, value in terms.items():
        teller.tell(EventKind.INSTRUMENT, instrument=9, order_id=TERM_NUMBERS[name], qty_lots=value)
    assert 9 not in teller.view.instruments
    teller.tell(
        EventKind.INSTRUMENT,
        instrument=9,
        order_id=Listing.LIST,
        qty_lots=Phase.PRE_OPEN,
        symbol=b"NEW/BTC",
    )
    shown = listed(teller, config)["NEW/BTC"]
    assert (shown["base"], shown["quote"]) == ("ETH", "BTC")
    assert (Decimal(shown["lot"]), Decimal(shown["tick"])) == (Decimal("0.01"), Decimal("0.00001"))
    assert (shown["phase"], shown["quantity_max"]) == ("pre_open", "10.00")
    assert teller.view.listings.instrument("NEW/BTC").taker_rates == (0, 400, 0, 0, 0, 0, 0, 0)
    assert teller.view.listings.next_number() == 10


def test_a_delisted_instrument_is_not_found_but_its_orders_are_shown(teller, config):
    teller.accept(1)
    teller.cancel(1, RejectReason.DELISTED)
    teller.tell(EventKind.INSTRUMENT, instrument=0, order_id=Listing.DELIST)
    assert "BTC/USD" not in listed(teller, config)
    with pytest.raises(KeyError):
        teller.view.listings.instrument("BTC/USD")
    shown = teller.shown(1)
    assert (shown["symbol"], shown["reason"]) == ("BTC/USD", "delisted")
    assert teller.view.listings.next_number() == 3
