"""Acts around accounts and risk: money in and out, rules, marks, questions, best prices told.

They register with those of `acts`, but stand in no stream unless it asks for them by name: what
they change decides what risk lets pass later.
"""

from typing import Any, Final

from engine.limits import ACCOUNTS_MAX
from engine.messages import CommandFlag, CommandKind, Funds, OrderType, Scope, TimeInForce
from engine.reference import TERM_NUMBERS
from tests.acts import STRANGER, Trader, act

OF_RISK: Final = ("funds", "rule", "mark", "check", "reduce_only")
"""All acts of this file but `tell_top`, which is matching's alone."""


@act
def funds(trader: Trader) -> None:
    """A little money in, out or to somebody else; now and then one that is told twice."""
    side = trader.below(3)
    assets = len(trader.desk.market.instruments) + 1
    fields: dict[str, Any] = {"side": side, "qty_lots": 1 + trader.below(99)}
    if side == Funds.TRANSFER:
        fields["price_ticks"] = trader.choice((*trader.desk.market.accounts, STRANGER))
    if trader.below(2):
        fields["client_order_id"] = b"f%d" % trader.below(16)
    if trader.chance(5):
        fields["price_ticks"] = trader.choice((-1, ACCOUNTS_MAX))
    asset = trader.below(assets + 1) if trader.chance(10) else trader.below(assets)
    trader.desk.send(CommandKind.FUNDS, account=trader.account(), instrument=asset, **fields)


@act
def rule(trader: Trader) -> None:
    """A rule that is off, which most are anyway, or one that there is not."""
    scope = trader.choice((*Scope, *Scope, 0, 5))
    fields = {"order_type": int(scope), "order_id": trader.below(48) - 1}
    if scope in (Scope.GROUP, Scope.ACCOUNT):
        fields["account"] = trader.account()
    if scope == Scope.SYMBOL:
        fields["instrument"] = trader.instrument()
    if trader.chance(5):
        fields["qty_lots"] = -1
    trader.desk.send(CommandKind.RULE, **fields)


@act
def mark(trader: Trader) -> None:
    instrument = trader.instrument()
    price = trader.price(instrument, trader.below(2), 1)
    trader.desk.send(CommandKind.MARK, instrument=instrument, price_ticks=price)


@act
def check(trader: Trader) -> None:
    """A question about an order, which nobody sends."""
    fields = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}
    fields |= trader.order(trader.choice((1, -1)))
    if trader.below(2):
        fields["flags"] = trader.choice((1, 16, 32, 48))
    if trader.chance(20):
        fields["client_order_id"] = b"c%d" % trader.below(64)
    trader.desk.send(CommandKind.CHECK, **fields)


@act
def reduce_only(trader: Trader) -> None:
    trader.place(trader.choice((-1, 1)), flags=int(CommandFlag.REDUCE_ONLY))


@act
def tell_top(trader: Trader) -> None:
    """Let an instrument tell its best prices, tell them again, or stop."""
    number = TERM_NUMBERS["tell_top"]
    fields = {"order_id": number, "qty_lots": trader.choice((1, 1, 1, 0))}
    trader.desk.send(CommandKind.INSTRUMENT, instrument=trader.instrument(), **fields)
