"""One order as the events so far leave it, and its fills.

`VenueView` makes orders from ACCEPTED and REJECTED events and changes them by all others;
documents and order entry read them.
"""

from collections import deque
from typing import Any, Final, NamedTuple

from engine.durability.history import (
    FILLS_PER_ORDER_MAX,
    OrderPlace,
    OrderState,
    PastOrder,
)
from engine.instruments import Asset
from engine.messages import EventFlag, Instruction, ListKind, OrderType, Peg, Trigger

# Members of enums as plain numbers: they are looked up for every event of the venue.
OPEN, FILLED, CANCELED, REJECTED = map(int, OrderState)
IN_BOOK, WAITING, HELD = map(int, OrderPlace)

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
        "list_order_ids",
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
        "The TermsEvent that told its terms, or what is kept of it; None for a plain order."
        self.place = IN_BOOK
        self.resting_ticks: int = event.price_ticks
        "Price at which it was in the book last."
        self.trigger_ticks = 0
        self.triggered = False
        self.display_lots = 0
        self.list_order_ids: tuple[int, ...] = ()
        "The orders of its list, itself among them; empty until the list is complete."
        if event.flags & EventFlag.TERMS:
            self.terms = event
            self.place = HELD if event.list_kind else WAITING
            self.trigger_ticks, self.display_lots = event.trigger_ticks, event.display_lots

    @classmethod
    def restored(cls, past: PastOrder) -> "Order":
        """From what is kept of all its events, but for its fills."""
        kept, terms = past.order, past.terms
        order = cls(kept if terms is None else kept._replace(flags=kept.flags & ~EventFlag.TERMS))
        order.leaves_lots, order.cum_lots = kept.leaves_lots, kept.cum_lots
        order.traded, order.fill_count = past.traded, kept.fill_count
        order.state, order.place, order.reason = kept.state, kept.place, kept.reason
        order.has_price, order.triggered = kept.has_price != 0, kept.triggered != 0
        order.updated_ns, order.resting_ticks = kept.updated_ns, kept.resting_ticks
        order.display_lots = kept.display_now_lots
        if terms is not None:
            order.terms = terms
            order.trigger_ticks = terms.trigger_now_ticks
            if terms.first_id:
                ids = (terms.first_id, terms.second_id, terms.third_id)
                order.list_order_ids = ids[: LIST_SIZES[terms.list_kind]]
        return order

    def fill(self, fill: Fill) -> None:
        """Take over one trade."""
        self.cum_lots += fill.lots
        self.traded += fill.price_ticks * fill.lots
        self.fill_count += 1
        self.remember(fill)

    def remember(self, fill: Fill) -> None:
        """Show a fill as the newest one."""
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
        return bool(self.list_order_ids) and (
            self.list_order_ids[0] == self.order_id and self.terms.list_kind != ListKind.OCO
        )

    def has(self, instruction: Instruction) -> bool:
        """Whether it was sent with an instruction."""
        return self.terms is not None and self.terms.instructions & instruction != 0
