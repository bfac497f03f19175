"""What traders want: the fields of their commands, chosen by chance.

Most are plausible in a small market; some are refused by each of the stages that can refuse.
Nothing here knows what becomes of a command.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

from engine.messages import (
    BOTH_SIDES,
    CommandFlag,
    CommandKind,
    Funds,
    Instruction,
    ListKind,
    OrderType,
    Peg,
    Phase,
    Scope,
    TimeInForce,
    Trigger,
)
from engine.reference import TERM_NUMBERS
from engine.rules import RuleNumber
from tools.twin.market import Market

Fields = dict[str, Any]

LIMIT: Final = {
    "kind": int(CommandKind.NEW),
    "order_type": int(OrderType.LIMIT),
    "time_in_force": int(TimeInForce.GTC),
}
TERMS: Final = int(CommandFlag.TERMS)
SECOND_NS: Final = 1_000_000_000

NAMED_PERCENT: Final = 85
"""Orders with a name of the client's own, by which they can be sent again."""

RULES: Final = {
    RuleNumber.QTY_MAX_LOTS: 25,
    RuleNumber.OPEN_ORDERS_MAX: 8,
    RuleNumber.ORDERS_PER_SECOND: 20,
    RuleNumber.ORDERS_PER_DAY: 60,
    RuleNumber.LONG_MAX_LOTS: 40,
    RuleNumber.SHORT_MAX_LOTS: 40,
}
"""Rules that traders meet, and the largest values that they get."""


class Live(NamedTuple):
    """An order that a client believes to live."""

    order_id: int
    account: int
    instrument: int
    side: int
    price_ticks: int
    name: bytes


class Wisher:
    """Makes wishes for the market of a world."""

    def __init__(self, market: Market, random: Random, prefix: bytes) -> None:
        """`prefix`: of the names that this client gives its orders."""
        self.random, self.market, self.prefix = random, market, prefix
        venue = (market.fee_account, market.insurance_account)
        self.accounts = [number for number in market.accounts if number not in venue]
        self.count = len(market.instruments)
        self._margined = [k for k, each in enumerate(market.instruments) if each.initial_bps]
        self.live: dict[int, Live] = {}
        "By order id; whoever hears events keeps it."
        self.now_ns = 0
        "Wall time, for orders that end."
        self._named = 0
        self._acts = [act for act, weight in _ACTS for _ in range(weight)]

    def wish(self) -> list[Fields]:
        """One command, or the few of a list."""
        act = self._acts[int(self.random.random() * len(self._acts))]
        return act(self)

    def below(self, count: int) -> int:
        """A number from 0 to count - 1."""
        return int(self.random.random() * count)

    def name(self) -> bytes:
        """A name that was never used."""
        self._named += 1
        return b"%s%d" % (self.prefix, self._named)

    def order(self, toward: int = 1, **fields: Any) -> Fields:
        """A limit order, behind the middle of the market for `toward` 1, across it for -1."""
        below = self.below
        side = below(2)
        away = toward * below(8) + below(3) - 1
        account, instrument = self.accounts[below(len(self.accounts))], below(self.count)
        if account in self.market.kinds and below(8):  # on margin, which not all can be traded on
            instrument = self._margined[below(len(self._margined))]
        made: Fields = {
            **LIMIT,
            "account": account,
            "instrument": instrument,
            "side": side,
            "price_ticks": 100 + (away if side else -away),
            "qty_lots": 1 + below(20),
        }
        if below(100) < NAMED_PERCENT:
            made["client_order_id"] = self.name()
        return made | fields

    def pick(self) -> Live | None:
        """An order that may live."""
        if not self.live:
            return None
        ids = list(self.live)
        return self.live[ids[self.below(len(ids))]]


def _passive(by: Wisher) -> list[Fields]:
    return [by.order(1)]


def _crossing(by: Wisher) -> list[Fields]:
    return [by.order(-1)]


def _at_once(by: Wisher) -> list[Fields]:
    time = (TimeInForce.IOC, TimeInForce.FOK)[by.below(2)]
    return [by.order(-1, time_in_force=int(time))]


def _market(by: Wisher) -> list[Fields]:
    time = int(TimeInForce.IOC)
    return [by.order(-1, order_type=int(OrderType.MARKET), time_in_force=time, price_ticks=0)]


def _post_only(by: Wisher) -> list[Fields]:
    return [by.order(by.below(2) * 2 - 1, flags=int(CommandFlag.POST_ONLY))]


def _special(by: Wisher) -> list[Fields]:
    """An order with terms."""
    order = by.order((1, -1)[by.below(2)], flags=TERMS)
    way = by.below(8)
    if way == 0:
        order |= {"display_lots": 1 + by.below(4), "qty_lots": 5 + by.below(20)}
    elif way == 1:
        order["instructions"] = int(Instruction.HIDDEN)
    elif way == 2:
        order["instructions"] = int(Instruction.ALL_OR_NONE)
    elif way == 3:
        order |= {"trigger": int(Trigger.STOP), "trigger_ticks": order["price_ticks"]}
    elif way == 4:
        order |= {"trigger": int(Trigger.TRAIL_TICKS), "trigger_ticks": 1 + by.below(5)}
    elif way == 5:
        order |= {"peg": 1 + by.below(len(Peg) - 1), "offset_ticks": by.below(5) - 2}
    elif way == 6:
        at_ns = by.now_ns + SECOND_NS * by.below(5)
        order |= {"time_in_force": int(TimeInForce.GTD), "at_ns": at_ns}
    else:
        order["minimum_lots"] = 1 + by.below(order["qty_lots"])
    return [order]


def _list(by: Wisher) -> list[Fields]:
    """Two orders of which one ends the other; now and then one of them is missing."""
    first = by.order(1, flags=TERMS, list_kind=int(ListKind.OCO), list_index=0)
    second = first | {"list_index": 1, "trigger": int(Trigger.STOP)}
    second["trigger_ticks"] = 100 + (5 if first["side"] == 0 else -5)
    if "client_order_id" in first:
        second["client_order_id"] = by.name()
    return [first] if by.below(8) == 0 else [first, second]


def _cancel(by: Wisher) -> list[Fields]:
    return [_change(by, int(CommandKind.CANCEL))]


def _amend(by: Wisher) -> list[Fields]:
    made = _change(by, int(CommandKind.AMEND))
    if made["kind"] == CommandKind.AMEND:
        price = made.pop("price", 100) + by.below(5) - 2
        made |= {"price_ticks": price, "qty_lots": 1 + by.below(25)}
        made["flags"] = (0, 0, int(CommandFlag.LEAVES), int(CommandFlag.REQUEUE))[by.below(4)]
    return [made]


def _change(by: Wisher, kind: int) -> Fields:
    """A change of a live order by its id or its name, or of an order that nobody knows."""
    order = by.pick()
    if order is None:
        return by.order(1)
    made = {"kind": kind, "account": order.account, "instrument": order.instrument}
    if kind == CommandKind.AMEND:
        made["price"] = order.price_ticks
    way = by.below(10)
    if way == 0:
        return made | {"order_id": by.below(50)}
    if way < 4 and order.name:
        return made | {"client_order_id": order.name}
    return made | {"order_id": order.order_id}


def _mass_cancel(by: Wisher) -> list[Fields]:
    account = by.accounts[by.below(len(by.accounts))]
    kind, instrument = int(CommandKind.MASS_CANCEL), by.below(by.count)
    return [{"kind": kind, "account": account, "instrument": instrument, "side": BOTH_SIDES}]


def _check(by: Wisher) -> list[Fields]:
    order = by.order(-1, kind=int(CommandKind.CHECK))
    order.pop("client_order_id", None)
    return [order]


def _phase(by: Wisher) -> list[Fields]:
    """Most often back into continuous trading, or nothing would trade for long."""
    phase = Phase.CONTINUOUS if by.below(3) else tuple(Phase)[by.below(len(Phase))]
    instrument = by.below(by.count)
    return [
        {"kind": int(CommandKind.PHASE), "instrument": instrument, "flags": TERMS, "phase": phase}
    ]


def _mark(by: Wisher) -> list[Fields]:
    kind, instrument = int(CommandKind.MARK), by.below(by.count)
    return [{"kind": kind, "instrument": instrument, "price_ticks": 60 + by.below(80)}]


def _funds(by: Wisher) -> list[Fields]:
    """Money in, out or across, always with a reference: it must not be booked twice."""
    account, other = (by.accounts[by.below(len(by.accounts))] for _ in range(2))
    side = by.below(len(Funds))
    made = {"kind": int(CommandKind.FUNDS), "account": account, "side": side}
    made |= {"instrument": by.below(by.count + 1), "qty_lots": 1 + by.below(500)}
    if side == Funds.TRANSFER:
        made["price_ticks"] = other
    return [made | {"client_order_id": by.name()}]


def _rule(by: Wisher) -> list[Fields]:
    number = tuple(RULES)[by.below(len(RULES))]
    value = by.below(RULES[number] + 1) if by.below(2) else 0
    made = {"kind": int(CommandKind.RULE), "order_type": int(Scope.ACCOUNT), "order_id": number}
    return [made | {"account": by.accounts[by.below(len(by.accounts))], "qty_lots": value}]


def _term(by: Wisher) -> list[Fields]:
    name, values = (
        ("dynamic_band_bps", (0, 300)),
        ("volatility_auction_ns", (0, SECOND_NS)),
        ("qty_max_lots", (200, 15)),
    )[by.below(3)]
    made = {"kind": int(CommandKind.INSTRUMENT), "instrument": by.below(by.count)}
    return [made | {"order_id": TERM_NUMBERS[name], "qty_lots": values[by.below(2)]}]


def _snapshot(by: Wisher) -> list[Fields]:
    return [{"kind": int(CommandKind.SNAPSHOT), "instrument": by.below(by.count)}]


def _wrong(by: Wisher) -> list[Fields]:
    order = by.order(1)
    way = by.below(5)
    if way == 0:
        order["qty_lots"] = -order["qty_lots"]
    elif way == 1:
        order["account"] = 4_000
    elif way == 2:
        order["instrument"] = by.count + by.below(9)
    elif way == 3:
        order["kind"] = 9 + by.below(9) // 8 * 5
    else:
        order["time_in_force"] = 77
    return [order]


Act = Callable[[Wisher], list[Fields]]

_ACTS: Final[tuple[tuple[Act, int], ...]] = (
    (_passive, 32),
    (_crossing, 20),
    (_at_once, 5),
    (_market, 5),
    (_post_only, 3),
    (_special, 9),
    (_list, 2),
    (_cancel, 12),
    (_amend, 9),
    (_mass_cancel, 1),
    (_check, 1),
    (_phase, 2),
    (_mark, 4),
    (_funds, 2),
    (_rule, 1),
    (_term, 1),
    (_snapshot, 1),
    (_wrong, 2),
)
"""How often each is chosen."""
