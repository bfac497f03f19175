"""An order as the twin's exchange keeps it, and the list that it may belong to."""

from dataclasses import dataclass, field
from typing import Any

from engine.messages import (
    CommandFlag,
    Instruction,
    ListKind,
    OrderType,
    Peg,
    Prevention,
    Side,
    TimeInForce,
    Trigger,
)

AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)
AUCTION_ONLY = (TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE, TimeInForce.AUCTION)
TRAILING = (Trigger.TRAIL_TICKS, Trigger.TRAIL_BPS)
LIST_ORDERS = {ListKind.OCO: 2, ListKind.OTO: 2, ListKind.BRACKET: 3}


@dataclass(eq=False)
class OrderList:
    """Orders that follow each other; `begun` when the last one has come."""

    kind: ListKind
    source: int
    orders: list["Order"] = field(default_factory=list)
    begun: bool = False
    broken: bool = False
    paired: bool = True
    "False as soon as one of the pair has ended the other."

    def pair(self) -> list["Order"]:
        """The two of which one ends the other."""
        if self.kind == ListKind.OTO:
            return []
        return self.orders[:2] if self.kind == ListKind.OCO else self.orders[1:]

    def dependents(self) -> list["Order"]:
        """Those that enter when the first is filled."""
        return [] if self.kind == ListKind.OCO else self.orders[1:]


@dataclass(eq=False)
class Order:
    """An order from ACCEPTED to its end. Two orders are equal only if they are the same."""

    order_id: int
    account: int
    instrument: int
    side: Side
    order_type: int
    time_in_force: int
    price_ticks: int
    "The worst price that it may have."
    total_lots: int
    open_lots: int
    post_only: bool
    group: int = 0
    prevention: int = Prevention.NONE
    maker_rate: int = 0
    "Fee of its fills while it rests, in millionths."
    taker_rate: int = 0
    "The same when it comes in."
    trigger: int = Trigger.NONE
    "NONE as soon as it woke."
    trigger_ticks: int = 0
    distance: int = 0
    "Trailing: ticks or ten-thousandths."
    best_ticks: int = 0
    "Trailing: the best price since it came."
    follows: bool = False
    "Trailing: the limit follows the trigger at `offset_ticks`."
    peg: int = Peg.NONE
    offset_ticks: int = 0
    display_lots: int = 0
    minimum_lots: int = 0
    at_ns: int = 0
    hidden: bool = False
    slides: bool = False
    all_or_none: bool = False
    list: OrderList | None = None
    rest_ticks: int | None = None
    "The price at which it rests in the book, None when it does not."
    part_lots: int = 0
    "What it trades at a time while it rests: less than `open_lots` only for an iceberg."
    was_reached: bool = False
    "Its trigger was reached; it is in the queue of the woken."
    alive: bool = True

    @property
    def shown_lots(self) -> int:
        """What everybody sees."""
        return 0 if self.hidden else self.part_lots

    @property
    def is_auction_only(self) -> bool:
        """Whether it belongs to an auction when it rests."""
        return self.order_type == OrderType.MARKET or self.time_in_force in AUCTION_ONLY

    @property
    def may_rest(self) -> bool:
        """Whether what does not trade in CONTINUOUS goes into the book."""
        is_limit = self.order_type in (OrderType.LIMIT, OrderType.MARKET_TO_LIMIT)
        return is_limit and self.time_in_force not in AT_ONCE and not self.all_or_none

    @property
    def may_wait_whole(self) -> bool:
        """Whether an all-or-none order waits until it can be filled."""
        return self.order_type == OrderType.LIMIT and self.time_in_force not in AT_ONCE

    @property
    def wakes_upward(self) -> bool:
        """Whether a price at or above the trigger wakes it."""
        return (self.side == Side.BUY) == (self.trigger != Trigger.TOUCH)

    def is_reached(self, price_ticks: int | None) -> bool:
        """Whether a trade at this price, None for no trade so far, wakes it."""
        if price_ticks is None:
            return False
        if self.wakes_upward:
            return price_ticks >= self.trigger_ticks
        return price_ticks <= self.trigger_ticks

    def next_part(self) -> None:
        """Show the next part of an iceberg, or everything."""
        is_iceberg = self.display_lots > 0 and not self.hidden
        self.part_lots = min(self.display_lots, self.open_lots) if is_iceberg else self.open_lots

    def reduce(self, lots: int) -> None:
        """Lose open quantity without showing more: the hidden part goes first."""
        self.open_lots -= lots
        self.part_lots = min(self.part_lots, self.open_lots)

    def meets_own(self, maker: "Order") -> bool:
        """Whether self-trade prevention keeps this taker from trading with a maker."""
        return self.prevents and self.group == maker.group

    @property
    def prevents(self) -> bool:
        """Whether it has a mode of self-trade prevention."""
        return self.prevention not in (Prevention.DEFAULT, Prevention.NONE)


def order_of(decision: Any) -> Order:
    """The order that a NEW asks for."""
    order = Order(
        decision.order_id,
        decision.account,
        decision.instrument,
        Side(decision.side),
        decision.order_type,
        decision.time_in_force,
        decision.price_ticks,
        decision.qty_lots,
        decision.qty_lots,
        bool(decision.flags & CommandFlag.POST_ONLY),
        decision.group,
        decision.prevention,
        decision.maker_rate,
        decision.taker_rate,
    )
    if not decision.flags & CommandFlag.TERMS:
        return order
    order.trigger = decision.trigger
    order.trigger_ticks = order.distance = decision.trigger_ticks
    order.follows = bool(decision.trail_limit)
    order.peg = decision.peg
    order.offset_ticks = decision.offset_ticks
    order.display_lots = decision.display_lots
    order.minimum_lots = decision.minimum_lots
    order.at_ns = decision.at_ns
    order.hidden = bool(decision.instructions & Instruction.HIDDEN)
    order.slides = bool(decision.instructions & Instruction.SLIDE)
    order.all_or_none = bool(decision.instructions & Instruction.ALL_OR_NONE)
    return order
