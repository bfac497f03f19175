"""What whoever runs the venue tells risk: funds that come and go, rules, mark prices.

These are commands in the same sequence as orders, and their events are the audit trail.
"""

from functools import partial
from typing import Any, Final

from engine.config import Config
from engine.instruments import Asset
from engine.messages import CommandKind, RejectReason
from engine.messages import Funds as FundsSide
from engine.rules import RuleSetting, make_rule
from engine.schema import Problems
from gateway.documents import Document
from gateway.entry.amounts import ticks_of, units_of
from gateway.entry.names import name_bytes
from gateway.entry.orders import OrderEntry
from gateway.entry.pending import Answer, Reply, Request
from gateway.entry.replies import REFUSALS, concluded
from gateway.errors import BadRuleTable, Contradiction, UnknownAsset
from gateway.reading import found
from gateway.refusals import EngineRefusal
from gateway.schema import Funds, Mark
from gateway.view import VenueView

_OPERATIONS: Final = {each.name.lower(): each for each in FundsSide}

_ASK_AGAIN: Final = (
    "ask for the account to see, or send it again with the same reference, which cannot book it "
    "twice"
)

_BOOKING_REFUSALS: Final = {
    RejectReason.DUPLICATE_CLIENT_ORDER_ID: (
        "reference",
        "the account has used this reference, or client order id, before; nothing was booked again",
    ),
    RejectReason.INSUFFICIENT_BALANCE: ("amount", "the account has less than that to give"),
}
"""Reasons that mean something else to a booking than to an order."""


class Governing:
    """Commands that change accounts, rules and marks."""

    def __init__(self, config: Config, view: VenueView, entry: OrderEntry) -> None:
        """Over the same pending commands as order entry."""
        self._assets = {asset.name: asset for asset in config.assets}
        self._view = view
        self._entry = entry

    # --- funds ---------------------------------------------------------------------------------

    def book(self, wish: Funds, answer: Answer) -> None:
        """Deposit, withdraw or transfer."""
        self._entry.check_account(wish.account)
        if (wish.operation == "transfer") != (wish.to_account is not None):
            raise Contradiction('to_account belongs to "operation": "transfer"', "to_account")
        if wish.to_account is not None:
            self._entry.check_account(wish.to_account, "to_account")
            if wish.to_account == wish.account:
                raise Contradiction("a transfer is between two accounts", "to_account")
        asset = self._asset(wish.asset)
        reference = b"" if wish.reference is None else name_bytes(wish.reference, "reference")
        command = {
            "kind": CommandKind.FUNDS,
            "account": wish.account,
            "instrument": asset.index,
            "side": _OPERATIONS[wish.operation],
            "price_ticks": wish.to_account or 0,
            "qty_lots": units_of(wish.amount, asset, "amount", least=1),
            "client_order_id": reference,
        }
        question = "ask for the account to see" if wish.reference is None else _ASK_AGAIN
        conclude = partial(self._booked, wish, asset)
        self._entry.pending.send([command], Request(answer, conclude, question))

    def _booked(self, wish: Funds, asset: Asset, events: list[Any]) -> Reply:
        event = events[0]
        if event.kind in REFUSALS:
            return Reply.of(_booking_refusal(event))
        document = {
            "booking_id": event.order_id,
            "account": wish.account,
            "asset": asset.name,
            "operation": wish.operation,
            "amount": asset.to_text(event.qty_lots),
            "to_account": wish.to_account,
            "reference": wish.reference,
        }
        return Reply(201, document)

    def _asset(self, name: str) -> Asset:
        asset = self._assets.get(name)
        if asset is None:
            expected = ", ".join(self._assets)
            raise UnknownAsset(f"expected one of {expected}, found {found(name)}", "asset")
        return asset

    # --- rules ---------------------------------------------------------------------------------

    def set_rule(self, table: dict[str, Any], answer: Answer) -> None:
        """Set one rule; `table` is one of [[rules]] of the configuration."""
        problems = Problems()
        listed = {each.symbol: each for each in self._view.listings}
        setting = make_rule(table, "rule", listed, self._assets, problems)
        if setting is None:
            raise BadRuleTable("; ".join(problems.found), problems=problems.found)
        conclude = partial(concluded, document=lambda: dict(table))
        question = "send it again: a rule that is set twice is as it is set once"
        self._entry.pending.send([_rule_command(setting)], Request(answer, conclude, question))

    # --- marks ---------------------------------------------------------------------------------

    def mark(self, wish: Mark, answer: Answer) -> None:
        """Give the price from outside by which positions in an instrument are valued."""
        instrument = self._entry.instrument(wish.symbol)
        ticks = ticks_of(wish.price, instrument)
        command = {
            "kind": CommandKind.MARK,
            "instrument": instrument.index,
            "price_ticks": ticks,
        }

        def document() -> Document:
            return {"symbol": instrument.symbol, "price": instrument.ticks_to_price(ticks)}

        conclude = partial(concluded, document=document)
        self._entry.pending.send([command], Request(answer, conclude, "send it again"))


def _rule_command(setting: RuleSetting) -> dict[str, Any]:
    return {
        "kind": CommandKind.RULE,
        "order_type": setting.scope,
        "account": setting.entity,
        "instrument": setting.instrument,
        "order_id": setting.number,
        "qty_lots": setting.value,
    }


def _booking_refusal(event: Any) -> EngineRefusal:
    """Why a booking was refused; a duplicate names the first one."""
    error = EngineRefusal(event.reason)
    if event.reason in _BOOKING_REFUSALS:
        error.field, error.detail = _BOOKING_REFUSALS[event.reason]
    elif error.field == "quantity":
        error.field = "amount"
    if event.reason == RejectReason.DUPLICATE_CLIENT_ORDER_ID:
        error.members["booking_id"] = event.order_id
    return error
