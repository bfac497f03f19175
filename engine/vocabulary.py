"""The words of the engine's language: what a field of a message may say.

Each enumeration is the range of one field of `engine.messages`, which gives all of these names
again: messages are read and written with both. The values are part of the format.
"""

from enum import IntEnum
from typing import Final


class CommandKind(IntEnum):
    """What a client, or whoever runs the venue, asks for."""

    NEW = 1
    CANCEL = 2
    AMEND = 3
    MASS_CANCEL = 4
    "Cancel all orders of an account in an instrument; `side` may be BOTH_SIDES."
    PHASE = 5
    "Bring an instrument into `terms.phase`."
    TICK = 6
    "The venue's clock is now `terms.at_ns`: orders expire, interruptions end."
    INSTRUMENT = 7
    "Set one number of an instrument's terms, list it or delist it (InstrumentCommand)."
    SNAPSHOT = 8
    "Repeat the visible orders of an instrument as events."
    WATERMARK = 9
    """Never a client's: risk tells, between two decisions, how many events of each matching shard
    it has applied, also to have an occasion for a command of its own. The words of
    `client_order_id` are the watermarks, shard by shard."""
    FUNDS = 10
    """Bring units of an asset into an account, take them out, or move them to another account
    (FundsCommand)."""
    RULE = 11
    "Set one number of the risk rules of a scope (RuleCommand)."
    MARK = 12
    "The mark price of an instrument from outside is now `price_ticks`."
    CHECK = 13
    "What would risk say to this new order? Nothing happens."
    BARRIER = 14
    "The supervisor's alone: the venue has been started on its data for the `order_id`-th time."
    SKIP = 15
    """The supervisor's alone: matching died twice of the decision with dseq `order_id`, and refuses
    it from now on, also in every replay."""


class Side(IntEnum):
    """Which side of the book an order belongs to."""

    BUY = 0
    SELL = 1


BOTH_SIDES: Final = 2
"""`side` of a MASS_CANCEL that means both."""


class OrderType(IntEnum):
    """How an order finds its price."""

    LIMIT = 1
    MARKET = 2
    MARKET_TO_LIMIT = 3
    "Trades at the best opposite price only; the rest stays there as a limit order."


class TimeInForce(IntEnum):
    """How long an order lives."""

    GTC = 1
    "Until cancelled."
    IOC = 2
    "What does not trade at once is cancelled."
    FOK = 3
    "All at once or nothing."
    GTD = 4
    "Until `terms.at_ns`."
    DAY = 5
    "Until the instrument is closed."
    AT_OPEN = 6
    "In the opening auction only."
    AT_CLOSE = 7
    "In the closing auction only."
    AUCTION = 8
    "In the next auction of any kind only."


class Trigger(IntEnum):
    """What wakes an order that waits for a price; `terms.trigger_ticks`."""

    NONE = 0
    STOP = 1
    "A trade at the trigger or beyond, against the holder: buys above, sells below."
    TOUCH = 2
    "A trade at the trigger or beyond, in favour: buys below, sells above (take profit)."
    TRAIL_TICKS = 3
    "A stop that follows the best price since entry at a distance of `trigger_ticks` ticks."
    TRAIL_BPS = 4
    "The same at a distance of `trigger_ticks` ten-thousandths of that price."


class Peg(IntEnum):
    """Which price a pegged order follows, plus `terms.offset_ticks`."""

    NONE = 0
    PRIMARY = 1
    "The best price of its own side."
    MID = 2
    "Half-way between both."
    OPPOSITE = 3
    "The best price of the other side."


class Prevention(IntEnum):
    """What happens instead of a trade between two orders of one account group."""

    DEFAULT = 0
    "In a command: as the account is configured."
    NONE = 1
    "They trade."
    NEWEST = 2
    "The incoming order is cancelled."
    OLDEST = 3
    "The resting order is cancelled."
    BOTH = 4
    DECREMENT = 5
    "Both lose the smaller quantity."


class Instruction(IntEnum):
    """Bits of `terms.instructions`."""

    HIDDEN = 1
    "No part of the order is shown."
    SLIDE = 2
    "With POST_ONLY: step back to the nearest price that does not trade, instead of a refusal."
    ALL_OR_NONE = 4
    "Trade the whole quantity at once or wait, out of the book, until that is possible."


class ListKind(IntEnum):
    """How the orders of a list depend on each other."""

    NONE = 0
    OCO = 1
    "Two orders: when one trades, wakes or ends, the other is cancelled."
    OTO = 2
    "The second enters when the first is filled completely."
    BRACKET = 3
    "The second and third enter, as OCO, when the first is filled completely."


class Phase(IntEnum):
    """What an instrument may do just now."""

    CLOSED = 1
    "Cancels only. Day orders have ended."
    PRE_OPEN = 2
    "Orders collect, nothing trades."
    OPENING_AUCTION = 3
    "The same, with an indicative price. Ends with an uncross."
    CONTINUOUS = 4
    HALT = 5
    "Cancels only."
    VOLATILITY_AUCTION = 6
    "An auction after a price left its band."
    CLOSING_AUCTION = 7
    POST_CLOSE = 8
    "Cancels only."


class CommandFlag(IntEnum):
    """Modifiers of a command."""

    POST_ONLY = 1
    "NEW: reject instead of trading on arrival."
    LEAVES = 2
    "AMEND: qty_lots is the open quantity wanted, not the total including fills."
    REQUEUE = 4
    "AMEND: go to the back of the queue whatever changes (cancel and reinsert)."
    TERMS = 16
    "`terms` counts; the same bit as in events."
    REDUCE_ONLY = 32
    "NEW, CHECK: refuse what would not reduce the position; the same bit as in events."
    LIQUIDATION = 64
    "NEW: closes a position for the venue; only risk itself may say so."


class Funds(IntEnum):
    """`side` of a FUNDS command: where the units go."""

    DEPOSIT = 0
    "Into the account, from outside."
    WITHDRAW = 1
    "Out of the account."
    TRANSFER = 2
    "Out of the account into that of `price_ticks`."


class EventKind(IntEnum):
    """What happened."""

    ACCEPTED = 1
    "An order was taken (OrderEvent). With a level side it rests at once, else more follows."
    REJECTED = 2
    "An order was refused (OrderEvent), `reason` says why."
    TRADE = 3
    "Two orders traded (TradeEvent)."
    RESTED = 4
    "An order, or what is left of it, entered the book (ChangeEvent)."
    CANCELED = 5
    "An order ended with quantity open (ChangeEvent), `reason` says why."
    REPLACED = 6
    "An order was amended (ChangeEvent)."
    CANCEL_REJECTED = 7
    "A cancel found no such order (ChangeEvent)."
    REPLACE_REJECTED = 8
    "An amendment was refused (ChangeEvent)."
    TRIGGERED = 9
    "A waiting order woke (ChangeEvent); `price_ticks` is its limit from now on."
    LEVEL = 10
    """The total of a level changed for a reason that has no event with that level (ChangeEvent).
    `order_id` is the peg that left it, or 0 after an uncross (flag AUCTION)."""
    PREVENTED = 11
    "Two orders of one group met and did not trade (TradeEvent)."
    PHASED = 12
    "An instrument changed its phase (PhaseEvent)."
    INDICATIVE = 13
    "What an auction would do now (ChangeEvent): price, `qty_lots` volume, `leaves_lots` surplus."
    CLOCK = 14
    "The venue's clock moved (PhaseEvent, `at_ns`)."
    INSTRUMENT = 15
    "An instrument's terms changed (InstrumentEvent)."
    BOOKED = 16
    """One visible order of a snapshot (ChangeEvent): `leaves_lots` is what it shows, `qty_lots`
    the most that it shows at a time."""
    DONE = 17
    "A MASS_CANCEL or SNAPSHOT (flag SNAPSHOT) is complete (ChangeEvent); `qty_lots` orders."
    CHECKPOINT = 18
    "Hash of all events so far (CheckpointEvent); belongs to no command."
    ADMIN_REJECTED = 19
    "A command of another kind than NEW, CANCEL, AMEND and CHECK was refused (ChangeEvent)."
    FUNDED = 20
    "Units of an asset came, went or moved, as the FUNDS command says (ChangeEvent)."
    RULED = 21
    "A number of the risk rules was set, as the RULE command says (ChangeEvent)."
    MARKED = 22
    "An instrument's mark price from outside was set (ChangeEvent)."
    CHECKED = 23
    "Risk would pass this order now (OrderEvent); nothing has happened."
    TOP = 24
    """The best prices shown of an instrument that tells them have changed (ChangeEvent):
    `price_ticks` bid, `qty_lots` 1 if there is one; `previous_price_ticks` ask, `leaves_lots` 1."""
    BARRIER = 25
    "The venue has been started on its data, as the BARRIER command says (ChangeEvent)."
    SKIPPED = 26
    "A decision is skipped, as the SKIP command says (ChangeEvent)."


class EventFlag(IntEnum):
    """Bits of an event's `flags`."""

    LAST = 1
    "The last event of its command."
    LEVEL_BID = 2
    "`level_lots` is the new shown total of bids at the level price."
    LEVEL_ASK = 4
    "`level_lots` is the new shown total of asks at the level price."
    POST_ONLY = 8
    "The order was sent post-only."
    TERMS = 16
    "`terms` counts (TermsEvent)."
    AUCTION = 32
    "TRADE, LEVEL: part of an uncross. A trade has no level, order_id the buyer, maker the seller."
    REDUCE_ONLY = 32
    "ACCEPTED, REJECTED, CHECKED: the order was sent reduce-only."
    SNAPSHOT = 64
    "Nothing happened: a snapshot repeats what is."
    HIDDEN = 128
    "TRADE: the maker's order was not visible. BOOKED: no level."


class RejectReason(IntEnum):
    """Why something was refused or ended; the hundreds tell which stage said so."""

    NONE = 0
    # 1xx: gateways (never in records)
    # 2xx: ingest
    UNKNOWN_COMMAND = 201
    UNKNOWN_INSTRUMENT = 202
    BAD_SIDE = 203
    BAD_ORDER_TYPE = 204
    BAD_TIME_IN_FORCE = 205
    BAD_QUANTITY = 206
    BAD_PRICE = 207
    BAD_FLAGS = 208
    DUPLICATE_CLIENT_ORDER_ID = 209
    UNKNOWN_CLIENT_ORDER_ID = 210
    BAD_TERMS = 211
    BAD_DISPLAY = 212
    BAD_PHASE = 213
    BAD_TERM = 214
    OFF_STEP = 215
    QUANTITY_BELOW_MIN = 216
    UNKNOWN_ASSET = 217
    BAD_SCOPE = 218
    SKIPPED_BY_INGEST = 219
    # 3xx: risk
    UNKNOWN_ACCOUNT = 301
    QUANTITY_ABOVE_MAX = 302
    NOTIONAL_ABOVE_MAX = 303
    PRICE_COLLAR = 304
    INSUFFICIENT_BALANCE = 305
    NOTIONAL_OVERFLOW = 306
    TOO_MANY_ORDERS = 307
    NOTIONAL_BELOW_MIN = 308
    KILLED = 309
    RESTRICTED = 310
    LIQUIDATING = 311
    ORDER_RATE = 312
    DAILY_ORDERS = 313
    CANCEL_RATIO = 314
    DUPLICATE_ORDER = 315
    TOO_MANY_POSITIONS = 316
    OPEN_ORDERS = 317
    OPEN_NOTIONAL = 318
    REDUCE_ONLY = 319
    POSITION_LONG = 320
    POSITION_SHORT = 321
    NOT_MARGINABLE = 322
    SHORT_SELLING = 323
    NO_MARK_PRICE = 324
    EXPOSURE_OVERFLOW = 325
    GROSS_EXPOSURE = 326
    NET_EXPOSURE = 327
    CONCENTRATION = 328
    DAILY_LOSS = 329
    INITIAL_MARGIN = 330
    BALANCE_OVERFLOW = 331
    BAD_RULE = 332
    RULE_FORBIDDEN = 333
    NOT_IN_BREACH = 334
    SKIPPED_BY_RISK = 335
    # 4xx: matching
    UNKNOWN_ORDER = 401
    WOULD_TRADE = 402
    IOC_REMAINDER = 403
    FOK_UNFILLABLE = 404
    BOOK_FULL = 405
    CANCELED_BY_CLIENT = 406
    REDUCED_TO_FILLED = 407
    PHASE_FORBIDS = 408
    NO_OPPOSITE = 409
    EXPIRED = 410
    SELF_TRADE = 411
    MINIMUM_UNFILLABLE = 412
    LIST_DONE = 413
    LIST_BROKEN = 414
    TOO_MANY_WAITING = 415
    AUCTION_OVER = 416
    DAY_OVER = 417
    MASS_CANCELED = 418
    DELISTED = 419
    VOLATILITY = 420
    NOT_AMENDABLE = 421
    SKIPPED_BY_MATCHING = 422


class Scope(IntEnum):
    """Whom a rule is set for; `order_type` of a RULE command."""

    VENUE = 1
    SYMBOL = 2
    "One instrument."
    GROUP = 3
    ACCOUNT = 4


class AccountKind(IntEnum):
    """How an account pays for what it trades."""

    CASH = 0
    "With what it has: assets change hands."
    MARGIN = 1
    "With the profit or loss of its positions."


class Listing(IntEnum):
    """`order_id` of an INSTRUMENT command that sets no term."""

    LIST = -1
    "The instrument is listed from now on, in the phase of `qty_lots`."
    DELIST = -2
    "All its orders are cancelled and its number is unknown from now on."
