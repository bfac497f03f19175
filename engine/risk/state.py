"""What risk remembers. Owned by the risk stage; gateways and tools read it (engine.risk.views).

Four kinds of owners have rules and counters: accounts, groups, instruments, the venue (`Scope`).
What counts in money is kept for each of them and each asset (`Purse`); an account's purse also has
its balance. A position is what an account has traded in one instrument, with the figures of its
last valuation, which are part of the sums of four purses. All in units of the asset, lots, ticks
and nanoseconds; docs/risk.md gives the formulas.
"""

from enum import IntEnum
from typing import Final

from engine.limits import (
    ACCOUNTS_MAX,
    ASSETS_MAX,
    INSTRUMENTS_MAX,
    ORDER_MAP_SLOTS,
    ORDERS_MAX,
    POSITIONS_MAX,
    SHARDS_MAX,
)
from engine.messages import Command
from engine.reference import InstrumentTerms
from engine.rules import RuleNumber
from ipc.record import (
    CACHE_LINE_BYTES,
    LINE_PAIR_BYTES,
    Array,
    Record,
    i16,
    i64,
    length,
    u8,
    u16,
    u32,
)

NO_POSITION: Final = 0
"""Position 0 is never used: an account without a position has its zeros."""

ENTITY_RULES: Final = 24
"""Rules of an entity have numbers below this."""

MONEY_RULES: Final = 8
"""Money rules that a purse keeps; those after them are states of an account's purse."""

RULE_NUMBERS: Final = max(RuleNumber) + 1

LIST_WORDS: Final = INSTRUMENTS_MAX >> 6

ALARMS_MAX: Final = 1 << 13
"""Purses that wait for risk to act on them; one that finds no room is raised again when it is
valued again."""

REASONS_MAX: Final = 512
"""Reject reasons that are counted."""


class Scope(Record, align=CACHE_LINE_BYTES):
    """Rules and counters of an account, a group, an instrument or the venue."""

    open_orders: i64
    full_ns: i64
    "When the bucket of the order rate is full again, on the clock of the sequence."
    interval_ns: i64
    "Time in which the bucket gains one order; 0: no rate is set."
    day: i64
    "Beginning of the day that the next two count, Unix ns."
    day_orders: i64
    day_cancels: i64
    rules: Array[i64] = length(ENTITY_RULES)
    "By number (RuleNumber); 0: off."
    restricted: Array[i64] = length(LIST_WORDS)
    "One bit for each instrument that may not be traded."


class Account(Record):
    """Who an account is."""

    known: u8
    kind: u8
    "AccountKind."
    tier: u8
    prevention: u8
    group: u16
    first_position: u32
    "Of the chain of its positions; NO_POSITION: none."


class Purse(Record, align=CACHE_LINE_BYTES):
    """One asset of an account, a group, an instrument or the venue."""

    total: i64
    "What the account owns, reserved or not; accounts only."
    reserved: i64
    "Of that, what live orders can still cost; accounts only."
    open_units: i64
    gross: i64
    buys: i64
    sells: i64
    worth: i64
    cost: i64
    initial: i64
    maintenance: i64
    realised: i64
    "Since the beginning, less fees."
    fees: i64
    "Paid since the beginning, less rebates."
    day: i64
    "Beginning of the day that `day_realised` counts."
    day_realised: i64
    margin_state: u8
    loss_state: u8
    alarmed: u8
    "1 while it waits for risk to act."
    loss_day: i64
    "Day of the result that set loss_state."
    rules: Array[i64] = length(MONEY_RULES)
    "By number - FIRST_MONEY_RULE; 0: off."


class Position(Record, align=CACHE_LINE_BYTES):
    """What one account has in one instrument, traded and ordered."""

    net: i64
    cost: i64
    open_buy: i64
    open_sell: i64
    buy_units: i64
    sell_units: i64
    mark: i64
    "Ticks at which it was last valued."
    account: u16
    instrument: u16
    next: u32
    "Next position of the account."

    worth: i64
    "From here on: what is counted in the sums of its purses."
    buys: i64
    sells: i64
    gross: i64
    initial: i64
    maintenance: i64
    counted_cost: i64
    counted_units: i64

    realised: i64
    fees: i64
    reducing_buy: i64
    "Live reduce-only orders."
    reducing_sell: i64
    last_ticks: i64
    "Limit of the last accepted order, 0 without one."
    last_lots: i64
    last_ns: i64
    last_side: u8
    last_type: u8
    cancel_due: u8
    "1: risk is to cancel its orders."
    tried: u8
    "1: a liquidation order found nobody to trade with since the last TICK."


class Quote(Record, align=CACHE_LINE_BYTES):
    """Prices of one instrument, in ticks."""

    last: i64
    "0: none."
    bid: i64
    ask: i64
    has_bid: u8
    has_ask: u8
    halt_due: u8
    "1: risk is to halt it."
    external: i64
    "Of the last MARK, 0: none."
    mark: i64
    "0: none."
    day: i64
    "Beginning of the day of `first`."
    first: i64
    "Price of the day's first trade."
    halted: i64
    "dseq of the last PHASE that halted it; trades of before are no reason for another."


class Reservation(Record, align=CACHE_LINE_BYTES):
    """One live order as risk knows it."""

    order_id: i64
    price_ticks: i64
    leaves_lots: i64
    qty_lots: i64
    "Total quantity: leaves plus filled."
    bound_price_ticks: i64
    "Worst price it can have while amendments are on their way."
    bound_leaves_lots: i64
    chained: u32
    account: u16
    amendments: u16
    "Amendments that matching has not answered yet."
    instrument: u16
    maker_rate: i16
    taker_rate: i16
    side: u8
    reduce_only: u8


class Reservations(Record, align=CACHE_LINE_BYTES):
    """The pool of reservations; used through engine.orders."""

    limit: i64
    live: i64
    used: i64
    free: i64
    map: Array[u32] = length(ORDER_MAP_SLOTS)
    orders: Array[Reservation] = length(ORDERS_MAX)


class Positions(Record, align=CACHE_LINE_BYTES):
    """All positions, densely, in the order in which they came to be."""

    count: i64
    cursor: i64
    "The last one that the round has valued."
    index: Array[u32] = length(ACCOUNTS_MAX * INSTRUMENTS_MAX)
    "account * INSTRUMENTS_MAX + instrument; NO_POSITION: none."
    table: Array[Position] = length(POSITIONS_MAX)


class Bound(Record):
    """What a RULE may say."""

    scopes: i64
    "Bit 1 << Scope for each scope that has the rule; 0: there is no such rule."
    least: i64
    most: i64


class Warden(Record, align=CACHE_LINE_BYTES):
    """What risk has to do by itself."""

    awaited: i64
    "Sequence of the command in risk's own order ring that has no answer yet; 0: none."
    sent: i64
    "Commands sent so far."
    cancels_due: i64
    "Positions with `cancel_due`."
    halts_due: i64
    "Instruments with `halt_due`."
    cancel_cursor: i64
    halt_cursor: i64
    forced_position: i64
    "The position that the awaited order is to close; NO_POSITION: none."
    forced_net: i64
    "Its net when the order was sent."
    head: i64
    "Alarms taken."
    tail: i64
    "Alarms raised."
    fruitless: i64
    "Alarms looked at since something last happened."
    command: Command
    "The one that was sent last."
    alarms: Array[u32] = length(ALARMS_MAX)
    "account * ASSETS_MAX + asset."


class Figures(Record, align=CACHE_LINE_BYTES):
    """A position as it is or would be, and its valuation."""

    net: i64
    open_buy: i64
    open_sell: i64
    buy_units: i64
    sell_units: i64
    worth: i64
    buys: i64
    sells: i64
    gross: i64
    initial: i64
    maintenance: i64


class RiskState(Record, align=LINE_PAIR_BYTES):
    """Everything risk remembers."""

    ev_wm: i64
    "Sequence of the last event of matching shard 0 that was applied."
    watermarks: Array[i64] = length(SHARDS_MAX)
    "The same of each shard."
    untold: i64
    "1 when another watermark than that of shard 0 has moved since a decision told of it."
    accepted: i64
    "Commands passed on."
    refused: i64
    "Commands refused, by ingest or here."
    dseq: i64
    "Sequence of the decision that is being made."
    on: i64
    "Bit 1 << number for each rule of an entity that has ever been set anywhere."
    money_on: i64
    "Bit 1 << (number - FIRST_MONEY_RULE) likewise."
    margin: i64
    "1 once there is a margin account."
    day: i64
    "Beginning of the day of the last command, Unix ns."
    next_day: i64
    day_start_ns: i64
    fee_account: i64
    insurance_account: i64
    "-1: none."
    source: i64
    "Number of risk's own order ring among the sources."
    deposited: Array[i64] = length(ASSETS_MAX)
    "Deposits less withdrawals."
    reasons: Array[i64] = length(REASONS_MAX)
    "Refusals by reason."
    scratch: Figures
    "Of the position that is being valued."
    wanted: Figures
    "Of the position with the order that is being checked."
    valued: i64
    "1 when `wanted` has its valuation."
    warden: Warden
    venue: Scope
    symbols: Array[Scope] = length(INSTRUMENTS_MAX)
    groups: Array[Scope] = length(ACCOUNTS_MAX)
    accounts: Array[Scope] = length(ACCOUNTS_MAX)
    venue_purses: Array[Purse] = length(ASSETS_MAX)
    symbol_purses: Array[Purse] = length(INSTRUMENTS_MAX)
    group_purses: Array[Purse] = length(ACCOUNTS_MAX * ASSETS_MAX)
    purses: Array[Purse] = length(ACCOUNTS_MAX * ASSETS_MAX)
    "account * ASSETS_MAX + asset."
    owners: Array[Account] = length(ACCOUNTS_MAX)
    bounds: Array[Bound] = length(RULE_NUMBERS)
    quotes: Array[Quote] = length(INSTRUMENTS_MAX)
    terms: Array[InstrumentTerms] = length(INSTRUMENTS_MAX)
    "As the INSTRUMENT commands decided so far have left them."
    positions: Positions
    reservations: Reservations


class MarginState(IntEnum):
    """`margin_state` of a purse."""

    GOOD = 0
    CALLED = 1
    LIQUIDATING = 2
