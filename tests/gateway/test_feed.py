"""Who is told of which event on the channel `orders`; events made by hand."""

import json

import pytest

from engine.config import load
from engine.messages import EVENT_CODECS, EventKind, OrderType, TimeInForce
from gateway.channels import ORDERS
from gateway.feed import Feed, Subscriber
from gateway.marketdata import MarketData
from gateway.view import VenueView

pytestmark = pytest.mark.interpreted

ORDER = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "qty_lots": 10}


class Desk:
    """A feed over a view, with a subscriber for each account."""

    def __init__(self, *accounts):
        config = load()
        self.view = VenueView(config)
        self.feed = Feed(config, self.view, MarketData(config))
        self.subscribers = {account: Subscriber(10, self.fail) for account in accounts}
        for account, subscriber in self.subscribers.items():
            self.feed.subscribe(subscriber, (ORDERS, account))
        self.sequence = 0

    def fail(self):
        raise AssertionError("nobody is slow here")

    def tell(self, kind, **fields):
        codec = EVENT_CODECS[kind]
        self.sequence += 1
        given = {"kind": kind, "sequence": self.sequence} | fields
        event = codec.values(**(codec.blank | given))
        self.view.apply(event)
        self.feed.publish(event)

    def heard(self, account):
        """What an account was told since the last time."""
        backlog = self.subscribers[account].backlog
        told = [(each["event"], each["order_id"]) for each in map(json.loads, backlog)]
        backlog.clear()
        return told


def test_what_is_of_no_order_is_told_to_no_account():
    """Such events carry account 0, which may be somebody's number."""
    desk = Desk(0)
    desk.tell(EventKind.ACCEPTED, account=0, order_id=1, **ORDER)
    assert desk.heard(0) == [("accepted", 1)]
    desk.tell(EventKind.CLOCK, at_ns=5)
    desk.tell(EventKind.PHASED, phase=1)
    desk.tell(EventKind.INDICATIVE)
    desk.tell(EventKind.BOOKED, order_id=1)
    desk.tell(EventKind.DONE)
    assert desk.heard(0) == []


def test_both_owners_hear_of_a_trade_and_of_one_that_was_prevented():
    desk = Desk(1, 2)
    for account in (1, 2):
        desk.tell(EventKind.ACCEPTED, account=account, order_id=account, side=account - 1, **ORDER)
        assert desk.heard(account) == [("accepted", account)]
    two = {"account": 2, "order_id": 2, "maker_account": 1, "maker_order_id": 1}
    desk.tell(EventKind.PREVENTED, leaves_lots=10, maker_leaves_lots=10, **two)
    desk.tell(EventKind.TRADE, leaves_lots=0, maker_leaves_lots=0, qty_lots=10, **two)
    for account in (1, 2):
        assert desk.heard(account) == [("prevented", account), ("fill", account)]
