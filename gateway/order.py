"""One order as the events so far leave it, and its fills.

`VenueView` makes orders from ACCEPTED and REJECTED events and changes them by all others;
documents and order entry read them.
"""

from collections import deque
from typing import Any, Final, NamedTuple

from engine.instruments import Asset
from engine.messages import EventFlag, Instruction, ListKind, OrderType, Peg, Trigger

FILLS_PER_ORDER_MAX: Final = 256
"""Fills that an order shows, newest last; all of them went out on the `orders` channel."""

OPEN: Final = 0
FILLED: Final = 1
CANCELED: Final = 2
REJECTED: Final = 3

IN_BOOK: Final = 0
WAITING: Final = 1
"""Out of the book: for its trigger, for an auction, for its reference, for all of its quantity."""
HELD: Final = 2
"""Out of the book, until the list or the list's first order is complete."""

LIST_SIZES: Final = {int(ListKind.OCO): 2, int(ListKind.OTO): 2, int(ListKind.BRACKET): 3}
"""Orders of a list of each kind."""


class Fill(NamedTuple):
    """One fill of one order."""

    match_id: int
    price_ticks: int
    lots: int
    maker: bool
    auction: bool
    fee_units: int
    "Below 0: a rebate."
    fee_asset: Asset


class Order:
    """One order."""

    __slots__ = (
        "account",
        "client_order_id",
        "created_ns",
        "cum_lots",
        "display_lots",
        "fill_count",
        "fills",
        "has_price",
        "instrument",
        "leaves_lots",
        "list_orders",
        "order_id",
        "order_type",
        "place",
        "post_only",
        "price_ticks",
        "qty_lots",
        "reason",
        "reduce_only",
        "resting_ticks",
        "sequence",
        "side",
        "state",
        "terms",
        "time_in_force",
        "traded",
        "trigger_ticks",
        "triggered",
        "updated_ns",
    )

    def __init__(self, event: Any) -> None:
        """From its ACCEPTED or REJECTED event."""
        self.order_id: int = event.order_id
        self.client_order_id: bytes = event.client_order_id.rstrip(b"\0")
        self.account: int = event.account
        self.instrument: int = event.instrument
        self.side: int = event.side
        self.order_type: int = event.order_type
        self.time_in_force: int = event.time_in_force
        self.post_only: bool = event.flags & EventFlag.POST_ONLY != 0
        self.reduce_only: bool = event.flags & EventFlag.REDUCE_ONLY != 0
        self.price_ticks: int = event.price_ticks
        "Its limit: the worst price that it may ever have."
        self.has_price = event.order_type == OrderType.LIMIT
        self.qty_lots: int = event.qty_lots
        self.leaves_lots: int = event.qty_lots
        self.cum_lots = 0
        self.traded = 0
        "Sum of price_ticks * lots of all fills."
        self.fill_count = 0
        self.fills: deque[Fill] | None = None
        self.state = OPEN
        self.reason = 0
        "Why it ended, a RejectReason; 0 for none."
        self.created_ns: int = event.time_ns
        self.updated_ns: int = event.time_ns
        self.sequence: int = event.sequence
        "Of the last event that touched it."
        self.terms: Any = None
        "The TermsEvent that told its terms; None for a plain order."
        self.place = IN_BOOK
        self.resting_ticks: int = event.price_ticks
        "Price at which it was in the book last."
        self.trigger_ticks = 0
        self.triggered = False
        self.display_lots = 0
        self.list_orders: tuple[Order, ...] = ()
        "The orders of its list, itself among them; empty until the list is complete."
        if event.flags & EventFlag.TERMS:
            self.terms = event
            self.place = HELD if event.list_kind else WAITING
            self.trigger_ticks, self.display_lots = event.trigger_ticks, event.display_lots

    def fill(self, fill: Fill) -> None:
        """Take over one trade."""
        self.cum_lots += fill.lots
        self.traded += fill.price_ticks * fill.lots
        self.fill_count += 1
        if self.fills is None:
            self.fills = deque(maxlen=FILLS_PER_ORDER_MAX)
        self.fills.append(fill)

    def rest(self, price_ticks: int) -> None:
        """It stands in the book, at this price."""
        self.place, self.resting_ticks = IN_BOOK, price_ticks
        if self.order_type == OrderType.MARKET_TO_LIMIT:
            self.price_ticks, self.has_price = price_ticks, True  # found just now

    @property
    def working_ticks(self) -> int:
        """The price by which an amendment keeps its place: a peg's limit, else where it rests."""
        pegged = self.terms is not None and self.terms.peg != Peg.NONE
        return self.resting_ticks if self.place == IN_BOOK and not pegged else self.price_ticks

    def touch(self, event: Any) -> None:
        """Note the event that changed the order last."""
        self.updated_ns = event.time_ns
        self.sequence = event.sequence

    @property
    def waits_for(self) -> int:
        """The Trigger that it waits for; NONE when it waits for none, or has woken."""
        if self.terms is None or self.triggered or self.place == IN_BOOK:
            return Trigger.NONE
        return int(self.terms.trigger)

    @property
    def leads_list(self) -> bool:
        """Whether it is the first order of a list whose others enter when it is filled."""
        return bool(self.list_orders) and (
            self.list_orders[0] is self and self.terms.list_kind != ListKind.OCO
        )

    def has(self, instruction: Instruction) -> bool:
        """Whether it was sent with an instruction."""
        return self.terms is not None and self.terms.instructions & instruction != 0
