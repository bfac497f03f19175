"""Who is told of which event on the channel `orders`; events made by hand."""

import json

import pytest

from engine.config import load
from engine.messages import (
    EVENT_CODECS,
    EventKind,
    OrderType,
    RejectReason,
    Scope,
    TimeInForce,
)
from engine.rules import RuleNumber
from gateway.channels import ORDERS
from gateway.feed import Feed, Subscriber
from gateway.marketdata import MarketData
from gateway.view import VenueView

pytestmark = pytest.mark.interpreted

ORDER = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "qty_lots": 10}


class Desk:
    """A feed over a view, with a subscriber for each account."""

    def __init__(self, *accounts):
        config = load(overrides={"venue.durability": "memory"})
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


def test_what_risk_does_to_an_account_is_told_to_it_alone():
    desk = Desk(1, 2)
    ruled = {"order_type": Scope.ACCOUNT, "account": 1, "instrument": 0}
    for number, value in (
        (RuleNumber.MARGIN_STATE, 1),
        (RuleNumber.MARGIN_STATE, 2),
        (RuleNumber.LOSS_STATE, 1),
        (RuleNumber.MARGIN_STATE, 0),
        (RuleNumber.OPEN_ORDERS_MAX, 5),
    ):
        desk.tell(EventKind.RULED, order_id=number, qty_lots=value, **ruled)
    told = [json.loads(each) for each in desk.subscribers[1].backlog]
    assert [(each["event"], each["asset"], each["state"]) for each in told] == [
        ("margin_state", "USD", "called"),
        ("margin_state", "USD", "liquidating"),
        ("loss_state", "USD", "stopped"),
        ("margin_state", "USD", "good"),
    ]
    assert desk.heard(2) == []
    accounts = desk.view.accounts
    assert accounts.in_state(RuleNumber.MARGIN_STATE, "liquidating") == []
    assert accounts.in_state(RuleNumber.LOSS_STATE, "stopped") == [(1, 0)]


def test_a_check_of_another_source_is_no_news():
    desk = Desk(1)
    order = ORDER | {"account": 1}
    desk.tell(EventKind.CHECKED, **order)
    desk.tell(EventKind.REJECTED, reason=RejectReason.PRICE_COLLAR, **order)
    assert desk.heard(1) == []
    desk.tell(EventKind.REJECTED, reason=RejectReason.PRICE_COLLAR, order_id=3, **order)
    desk.tell(EventKind.REJECTED, reason=RejectReason.BAD_FLAGS, **order)
    assert desk.heard(1) == [("rejected", 3), ("rejected", None)]


def test_an_account_is_known_once_it_is_open():
    desk = Desk()
    accounts = desk.view.accounts
    ruled = {"order_type": Scope.ACCOUNT, "account": 9}
    desk.tell(EventKind.RULED, order_id=RuleNumber.KIND, qty_lots=1, **ruled)
    desk.tell(EventKind.RULED, order_id=RuleNumber.OPEN, qty_lots=0, **ruled)
    assert 9 not in accounts
    assert accounts.kind_of(9) == 1
    desk.tell(EventKind.RULED, order_id=RuleNumber.OPEN, qty_lots=1, **ruled)
    desk.tell(EventKind.RULED, order_id=RuleNumber.OPEN, qty_lots=1, **ruled)
    assert accounts[9] == (9, None, 1)
    desk.tell(
        EventKind.RULED, order_type=Scope.GROUP, account=8, order_id=RuleNumber.OPEN, qty_lots=1
    )
    assert 8 not in accounts
