"""What a late gateway needs of all that has happened, kept within named limits.

One state for each matching shard, so that it depends on that shard's events alone: the same
events give the same bytes, whatever other shards do meanwhile. Written by `note_event`, a section
of snapshots; read by `engine.durability.history.reading`. Memory is touched as it is used.

Orders are kept as their events leave them and not as those events: an order that is amended or
repriced a million times, or fills in a million trades, takes no more room than any other.
"""

from enum import IntEnum
from typing import Final

from engine.limits import (
    ACCOUNTS_MAX,
    ASSETS_MAX,
    INSTRUMENTS_MAX,
    LIST_ORDERS_MAX,
    ORDER_MAP_SLOTS,
    ORDERS_MAX,
    SOURCES_MAX,
    SYMBOL_BYTES,
)
from engine.messages import Terms
from engine.reference import TERM_COUNT
from ipc.record import (
    CACHE_LINE_BYTES,
    LINE_PAIR_BYTES,
    Array,
    Record,
    Text,
    i16,
    i64,
    length,
    u8,
    u16,
    u32,
)

FINISHED_ORDERS_MAX: Final = 1 << 15
"""Ended orders that are remembered, newest last; about 1 KiB each in a gateway, with fills."""

FILLS_PER_ORDER_MAX: Final = 256
"""Fills that an order shows, newest last; all of them went out on the `orders` channel."""

TRADES_KEPT_MAX: Final = 1000
"""Last trades of an instrument."""

FILLS_KEPT_MAX: Final = 1 << 21
"""Fills of all orders that are kept: two for each order that can be; 64 MiB, as they are used."""

ORDERS_KEPT_MAX: Final = ORDERS_MAX + FINISHED_ORDERS_MAX
"""All orders that can live, and the ended ones."""

LISTS_MAX: Final = (SOURCES_MAX + 1) * INSTRUMENTS_MAX
"""Lists that are not complete: each source sends one at a time to an instrument."""

ASSET_STATES_MAX: Final = ACCOUNTS_MAX * ASSETS_MAX

TERM_WORDS: Final = Terms.size >> 3

LOW_BITS: Final = 62
"""Sums of products, which have up to 113 bits, are kept in two words: the low one has so many."""

NO_FILL: Final = 0
"""Fill 0 is never used, so 0 ends every chain."""

assert FILLS_PER_ORDER_MAX < 1 << 16, "fills of an order are counted in two bytes"
assert FILLS_KEPT_MAX >= 2 * ORDERS_MAX
assert LIST_ORDERS_MAX == 3, "KeptTerms has a word for each order of a list"


class OrderState(IntEnum):
    """Whether an order has ended, and how."""

    OPEN = 0
    FILLED = 1
    CANCELED = 2
    REJECTED = 3


class OrderPlace(IntEnum):
    """Where an open order is."""

    IN_BOOK = 0
    WAITING = 1
    "Out of the book: for its trigger, an auction, its reference, or all of its quantity."
    HELD = 2
    "Out of the book, until the list or the list's first order is complete."


class KeptOrder(Record, align=CACHE_LINE_BYTES):
    """One order: as it was sent, and as its events have left it."""

    order_id: i64
    client_order_id: Text = length(40)
    account: u32
    instrument: u32
    side: u8
    order_type: u8
    time_in_force: u8
    flags: u8
    "EventFlag bits of its ACCEPTED or REJECTED: post-only, reduce-only, terms."
    state: u8
    "OrderState."
    place: u8
    "OrderPlace."
    triggered: u8
    "1 after its trigger was reached."
    has_price: u8
    "1 when its limit is known: from the beginning, or found on entering the book."
    price_ticks: i64
    "Its limit: the worst price that it may ever have."
    qty_lots: i64
    leaves_lots: i64
    cum_lots: i64
    traded_low: i64
    "Sum of price_ticks * lots of all fills: its lowest LOW_BITS, and the rest of it."
    traded_high: i64
    fill_count: i64
    "Of all its fills, also those that are not kept."
    resting_ticks: i64
    "Price at which it was in the book last."
    time_ns: i64
    "When it was sequenced."
    updated_ns: i64
    sequence: i64
    "Of the last event that touched it."
    ended_dseq: i64
    "Decision that ended it, 0: it is open."
    reason: u16
    "Why it ended, a RejectReason."
    fills_kept: u16
    first_fill: u32
    "The oldest one that is kept."
    last_fill: u32
    chained: u32
    "Next in the id map's chain, or next free slot."
    next_ended: u32
    "The order that ended next after it."
    display_now_lots: i64
    "Most that it shows at a time; a plain order may get one by an amendment."


class KeptTerms(Record, align=LINE_PAIR_BYTES):
    """What an order with terms has beside its `KeptOrder`, at the same index."""

    terms: Terms
    "As they were sent."
    trigger_now_ticks: i64
    first_id: i64
    "Ids of the orders of its list, 0 while that is not complete."
    second_id: i64
    third_id: i64


class KeptFill(Record):
    """One fill of one order."""

    match_id: i64
    price_ticks: i64
    lots: i64
    next: u32
    "The next fill of the order, or the next free one."
    fee_rate: i16
    maker: u8
    auction: u8


class KeptOrders(Record, align=CACHE_LINE_BYTES):
    """All orders that are kept; works with the functions of `engine.orders`."""

    limit: i64
    live: i64
    "Orders that are kept, ended ones among them."
    used: i64
    free: i64
    map: Array[u32] = length(ORDER_MAP_SLOTS)
    orders: Array[KeptOrder] = length(ORDERS_KEPT_MAX + 1)


class KeptFills(Record, align=CACHE_LINE_BYTES):
    """All fills that are kept."""

    limit: i64
    "Fills that may be kept, at most FILLS_KEPT_MAX."
    used: i64
    free: i64
    "First of the chain of returned fills."
    dropped: i64
    "Fills of open orders that were dropped because the pool was full: more than an order shows."
    fills: Array[KeptFill] = length(FILLS_KEPT_MAX + 1)


class Ended(Record):
    """The queue of ended orders, the oldest first."""

    limit: i64
    "Ended orders that are kept, at most FINISHED_ORDERS_MAX."
    count: i64
    first: i64
    last: i64
    dropped: i64
    "Ended orders that were dropped before their time because a pool was full."


class ListUnderWay(Record):
    """A list of which orders are still to come."""

    count: i64
    order_ids: Array[i64] = length(LIST_ORDERS_MAX)


class DayFigures(Record):
    """The figures of `engine.marketdata.DayStatistics`."""

    open_ticks: i64
    high_ticks: i64
    low_ticks: i64
    last_ticks: i64
    lots: i64
    turnover_low: i64
    "Sum of price_ticks * lots: its lowest LOW_BITS, and the rest of it."
    turnover_high: i64
    trades: i64
    auction_price_ticks: i64
    auction_lots: i64
    auction_dseq: i64


class KeptTrade(Record):
    """One trade as everybody sees it."""

    match_id: i64
    price_ticks: i64
    lots: i64
    side: i64
    "Of the aggressor, -1 in an uncross."
    sequence: i64
    time_ns: i64


class Listed(IntEnum):
    """What events have said of an instrument's listing."""

    AS_CONFIGURED = 0
    LISTED = 1
    DELISTED = 2


class KeptFacts(Record):
    """One instrument but for its trades and terms."""

    listed: i64
    "Listed."
    relisted: i64
    "1 once a LIST was heard: `symbol` and `list_phase` are of the last one."
    symbol: Text = length(SYMBOL_BYTES)
    list_phase: i64
    phase_known: i64
    "1 once an event has told the phase."
    phase: i64
    phase_ends_ns: i64
    indicated_ticks: i64
    "What an auction would do now: price, volume, what one side has more, and which."
    indicated_lots: i64
    surplus_lots: i64
    surplus_side: i64
    command_dseq: i64
    "The decision of which `command_day` counts the trades."
    trade_count: i64
    "Trades since it was listed, also those that are not kept."


class KeptInstrument(Record, align=LINE_PAIR_BYTES):
    """One instrument: what is public of it, and the terms that events have set."""

    facts: KeptFacts
    day: DayFigures
    command_day: DayFigures
    "Of the trades of one command alone: an uncross may turn out to begin a day."
    terms: Array[i64] = length(TERM_COUNT)
    terms_set: Array[u8] = length(TERM_COUNT)
    "1 for each term that an event has set."
    trades: Array[KeptTrade] = length(TRADES_KEPT_MAX)
    "Trade number n at n % TRADES_KEPT_MAX."


class KeptAccount(Record):
    """What RULED events have said of an account."""

    kind: u8
    "1 + its AccountKind; 0 when no event has said it."
    opened: u8
    "1 when an event has opened it."
    kind_dseq: i64
    "Decision that set the kind: what shard hears of it depends on the sender."


class HistoryState(Record, align=LINE_PAIR_BYTES):
    """The history of one shard."""

    sequence: i64
    "The last event that is counted in."
    clock_ns: i64
    ended: Ended
    orders: KeptOrders
    terms: Array[KeptTerms] = length(ORDERS_KEPT_MAX + 1)
    fills: KeptFills
    lists: Array[ListUnderWay] = length(LISTS_MAX)
    instruments: Array[KeptInstrument] = length(INSTRUMENTS_MAX)
    accounts: Array[KeptAccount] = length(ACCOUNTS_MAX)
    margin_states: Array[u8] = length(ASSET_STATES_MAX)
    "1 + MARGIN_STATE of each account and asset; 0 when no event has said it."
    loss_states: Array[u8] = length(ASSET_STATES_MAX)


def create_history(
    history: HistoryState,
    *,
    ended_limit: int = FINISHED_ORDERS_MAX,
    fills_limit: int = FILLS_KEPT_MAX,
) -> None:
    """Begin, over zeroed memory, before the first event; the limits can be lowered for tests."""
    assert 1 <= ended_limit <= FINISHED_ORDERS_MAX
    assert 1 <= fills_limit <= FILLS_KEPT_MAX
    history.orders.limit = ORDERS_MAX + ended_limit
    history.ended.limit = ended_limit
    history.fills.limit = fills_limit
