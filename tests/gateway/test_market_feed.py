"""What the market data channels say, and that they never say what is not public."""

import json

import pytest

from engine.config import load
from engine.messages import EventFlag, EventKind, Listing, Phase, Side
from gateway.channels import CHANNELS, ORDERS
from gateway.feed import Feed, Subscriber
from gateway.marketdata import MarketData
from gateway.view import VenueView
from tests.gateway.streaming import FollowedOrders
from tests.made_events import at_level, made

pytestmark = pytest.mark.interpreted

BTC_USD = 0
PRICE = 45_000_00
BUY, SELL = Side.BUY, Side.SELL
LAST, AUCTION = EventFlag.LAST, EventFlag.AUCTION
ACCEPTED, RESTED, TRADE = EventKind.ACCEPTED, EventKind.RESTED, EventKind.TRADE

SECRET_LOTS = 77_777
"""Quantity of hidden orders and hidden parts: may not be found in any message."""
SECRET_ACCOUNT = 3_141
SECRET_NAME = b"my own name"

PUBLIC = {
    "trades": {"symbol", "trades"},
    "book": {"type", "symbol", "sequence", "prev_sequence", "bids", "asks"},
    "book_orders": {"type", "symbol", "sequence", "prev_sequence", "bids", "asks", "changes"},
    "ticker": {"symbol", "sequence", "phase", "bid", "ask", "last"},
    "statistics": {
        *("symbol", "sequence", "complete", "open", "high", "low", "last", "volume", "turnover"),
        *("trades", "auction_price", "auction_volume"),
    },
    "auction": {
        *("symbol", "sequence", "phase", "phase_ends_us", "price", "volume"),
        *("surplus", "surplus_side"),
    },
}
TRADE_KEYS = {"match_id", "price", "quantity", "side", "sequence", "time_us"}
CHANGE_KEYS = {"action", "order_id", "side", "price", "quantity"}


class Public:
    """Somebody who follows all public channels of one instrument."""

    def __init__(self):
        self.config = load(overrides={"venue.durability": "memory", "venue.layout": "compact"})
        self.data = MarketData(self.config)
        self.feed = Feed(self.config, VenueView(self.config), self.data)
        self.subscriber = Subscriber(1_000, lambda: pytest.fail("overflow"))
        self.raw = []
        self.sequence = 0

    def follow(self, *channels):
        for channel in channels:
            self.feed.subscribe(self.subscriber, (channel, BTC_USD))
        return self.heard()

    def heard(self):
        """The messages since last time."""
        raw = list(self.subscriber.backlog)
        self.subscriber.backlog.clear()
        self.raw += raw
        return [json.loads(message) for message in raw]

    def say(self, *events):
        for event in events:
            self.sequence += 1
            secret = {"account": SECRET_ACCOUNT, "sequence": self.sequence}
            if "client_order_id" in event._fields:
                secret["client_order_id"] = SECRET_NAME
            for change in self.data.take(event._replace(**secret)):
                self.feed.publish_market(change)
        return self.heard()


@pytest.fixture
def public():
    return Public()


def order(order_id, side, price_ticks, level_lots, **fields):
    fields = {"order_id": order_id, "price_ticks": price_ticks} | fields
    return at_level(ACCEPTED, side, level_lots, LAST, **fields)


def iceberg(order_id, side, level_lots, price_ticks=PRICE):
    """An iceberg rests: what it shows is the change of the level."""
    fields = {"order_id": order_id, "price_ticks": price_ticks}
    return (
        made(ACCEPTED, qty_lots=SECRET_LOTS, side=side, **fields),
        at_level(RESTED, side, level_lots, LAST, leaves_lots=SECRET_LOTS, **fields),
    )


def fill(maker, lots, level_lots, flags=0):
    fields = {"order_id": 99, "maker_order_id": maker, "maker_leaves_lots": SECRET_LOTS}
    event = at_level(TRADE, SELL, level_lots, LAST | flags, price_ticks=PRICE, qty_lots=lots)
    return event._replace(side=BUY, match_id=5, time_ns=3_000, **fields)


def test_every_channel_but_trades_begins_with_what_is(public):
    public.say(order(1, SELL, PRICE, 10_000), order(2, BUY, PRICE - 5, 20_000))
    assert [message["channel"] for message in public.follow(*CHANNELS[1:])] == [
        *("book", "book_orders", "ticker", "statistics", "auction")
    ]
    book, by_order, ticker, statistics, auction = map(json.loads, public.raw)
    assert book["asks"] == [["45000.00", "1.0000"]]
    assert by_order["bids"] == [[2, "44999.95", "2.0000"]]
    assert (ticker["bid"], ticker["ask"]) == (["44999.95", "2.0000"], ["45000.00", "1.0000"])
    assert (ticker["last"], ticker["phase"]) == (None, "continuous")
    assert (statistics["trades"], statistics["open"], statistics["complete"]) == (0, None, True)
    assert (auction["price"], auction["volume"]) == (None, None)


def test_a_trade_is_told_on_the_channels_that_it_changes(public):
    public.say(order(1, SELL, PRICE, 10_000))
    public.follow(*CHANNELS[1:])
    trades, book, by_order, ticker, statistics = public.say(fill(1, 4_000, 6_000))
    assert trades["trades"] == [
        {
            "match_id": 5,
            "price": "45000.00",
            "quantity": "0.4000",
            "side": "buy",
            "sequence": 2,
            "time_us": 3,
        }
    ]
    assert (book["asks"], book["bids"]) == ([["45000.00", "0.6000"]], [])
    assert (book["prev_sequence"], book["sequence"]) == (1, 2)
    assert by_order["changes"] == [
        {
            "action": "change",
            "order_id": 1,
            "side": "sell",
            "price": "45000.00",
            "quantity": "0.6000",
        }
    ]
    assert ticker["last"] == trades["trades"][0]
    assert (statistics["volume"], statistics["turnover"]) == ("0.4000", "18000.000000")
    assert [statistics[name] for name in ("open", "high", "low", "last")] == ["45000.00"] * 4


def test_a_book_by_order_is_followed_through_icebergs(public):
    followed = FollowedOrders()
    (snapshot,) = public.follow("book_orders")
    followed.take(snapshot)
    for event in (
        *iceberg(1, SELL, 10),
        order(2, SELL, PRICE, 15),
        *iceberg(3, SELL, 22),
        fill(1, 10, 22),
        fill(2, 5, 17),
        order(4, BUY, PRICE - 1, 3),
    ):
        for message in public.say(event):
            followed.take(message)
    assert followed.document() == {
        "bids": [[4, "44999.99", "0.0003"]],
        "asks": [[3, "45000.00", "0.0007"], [1, "45000.00", "0.0010"]],
    }


def test_phases_and_auctions_are_told(public):
    public.follow("auction", "ticker", "statistics")
    phased = made(EventKind.PHASED, LAST, phase=Phase.VOLATILITY_AUCTION, at_ns=5_000_000)
    ticker, _, auction = public.say(phased._replace(previous_phase=Phase.HALT))
    assert ticker["phase"] == auction["phase"] == "volatility_auction"
    assert (auction["phase_ends_us"], auction["price"]) == (5_000, None)
    fields = {"price_ticks": PRICE, "qty_lots": 40, "leaves_lots": 7}
    (auction,) = public.say(made(EventKind.INDICATIVE, LAST, side=SELL, **fields))
    shown = [auction[name] for name in ("price", "volume", "surplus", "surplus_side")]
    assert shown == ["45000.00", "0.0040", "0.0007", "sell"]
    public.follow("trades")
    uncross = made(TRADE, AUCTION | LAST, price_ticks=PRICE, qty_lots=40, side=BUY)
    trades, ticker, statistics = public.say(uncross)
    assert trades["trades"][0]["side"] is None, "an uncross has no aggressor"
    assert ticker["last"]["side"] is None
    assert (statistics["auction_price"], statistics["auction_volume"]) == ("45000.00", "0.0040")


def test_hidden_orders_make_no_news(public):
    public.follow(*CHANNELS[1:])
    hidden = order(1, SELL, PRICE, 0, qty_lots=SECRET_LOTS)
    assert public.say(hidden) == []
    amended = at_level(EventKind.REPLACED, SELL, 0, LAST, order_id=1, price_ticks=PRICE + 1)
    assert public.say(amended._replace(previous_price_ticks=PRICE)) == []
    told = public.say(fill(1, 10, 0, flags=EventFlag.HIDDEN))
    assert [message["channel"] for message in told] == ["trades", "ticker", "statistics"]
    assert public.say(at_level(EventKind.CANCELED, SELL, 0, LAST, price_ticks=PRICE)) == []


def test_no_message_says_more_than_is_public(public):
    """Everything that happens above, with owners and hidden quantities that could be found."""
    greetings = public.follow(*CHANNELS[1:])
    told = greetings + public.say(
        *iceberg(1, SELL, 10),
        order(2, SELL, PRICE, 15),
        order(3, SELL, PRICE + 1, 0, qty_lots=SECRET_LOTS),
        fill(1, 10, 15),
        fill(3, 1, 15, flags=EventFlag.HIDDEN)._replace(leaves_lots=SECRET_LOTS),
        at_level(EventKind.PREVENTED, SELL, 15, maker_order_id=1, price_ticks=PRICE),
        made(EventKind.INDICATIVE, LAST, price_ticks=PRICE, qty_lots=40),
    )
    assert {message["channel"] for message in told} == set(CHANNELS) - {ORDERS}
    for message in told:
        assert set(message) - {"channel"} <= PUBLIC[message["channel"]]
        if message["channel"] == "trades":
            assert all(set(trade) == TRADE_KEYS for trade in message["trades"])
        for change in message.get("changes", ()):
            assert set(change) == CHANGE_KEYS
    everything = b"".join(public.raw)
    for secret in (b"7.7777", b"%d" % SECRET_ACCOUNT, SECRET_NAME):
        assert secret not in everything


def test_who_leaves_hears_no_more(public):
    public.follow("ticker", "book")
    public.feed.unsubscribe(public.subscriber, ("ticker", BTC_USD))
    told = public.say(order(1, SELL, PRICE, 10))
    assert [message["channel"] for message in told] == ["book"]
    public.feed.remove(public.subscriber)
    assert public.say(order(2, SELL, PRICE, 20)) == []


def test_an_instrument_that_is_delisted_and_listed_anew_begins_with_nothing(public):
    public.say(order(1, SELL, PRICE, 10), fill(1, 4, 6))
    public.follow("book", "book_orders", "ticker")
    delisted = made(EventKind.INSTRUMENT, LAST, order_id=Listing.DELIST)
    gone = at_level(EventKind.CANCELED, SELL, 0, order_id=1, price_ticks=PRICE)
    book, by_order, ticker = public.say(gone, delisted)
    assert book["asks"] == [["45000.00", "0.0000"]]
    assert [change["action"] for change in by_order["changes"]] == ["remove"]
    assert ticker["ask"] is None
    listed = made(EventKind.INSTRUMENT, LAST, order_id=Listing.LIST, qty_lots=Phase.PRE_OPEN)
    book, by_order, ticker = public.say(listed._replace(symbol=b"BTC/USD"))
    assert (book["type"], by_order["type"]) == ("snapshot", "snapshot")
    assert (ticker["last"], ticker["phase"]) == (None, "pre_open")
    assert not public.data.trades(BTC_USD)
    (book, *_) = public.say(order(2, SELL, PRICE, 10))
    assert book["prev_sequence"] == 5
