"""Every limit of the engine, why it has its value, and how the limits depend on each other."""

from typing import Final

INSTRUMENTS_MAX: Final = 512
"""Books of one venue. A book costs 100 KiB of address space, and memory only where it is used."""

ACCOUNTS_MAX: Final = 4096
"""Account numbers are 0..ACCOUNTS_MAX-1: a direct index, no hash in the risk check."""

ASSETS_MAX: Final = 64
"""Assets that balances are kept in; ACCOUNTS_MAX * ASSETS_MAX balances of 16 bytes are 4 MiB."""

SOURCES_MAX: Final = 15
"""Order rings that ingest merges: those of the clients, and risk's."""

INTERNAL_SOURCE: Final = SOURCES_MAX
"""`source` of what ingest puts into the sequence by itself: ticks, phases of the schedule."""

SHARDS_MAX: Final = 4
"""Matching shards: a book belongs to one of them."""

PRICE_STEPS_MAX: Final = 8
"""Ranges of an instrument's tick table: looked through for each price, highest range first."""

TIERS_MAX: Final = 8
"""Fee tiers of accounts: each instrument has a pair of rates for every tier."""

RULES_MAX: Final = 1 << 16
"""Rules that the configuration may set: sixteen for each account. Commands set others later."""

SCHEDULE_MAX: Final = 4096
"""Phases of all instruments together in a day: eight for each, looked through once a tick."""

ORDERS_MAX: Final = 1 << 20
"""Resting orders in one venue. 64 bytes each, touched as they are used."""

POSITIONS_MAX: Final = 1 << 17
"""Accounts times the instruments in which they ever had an order. 192 bytes each, as used."""

ORDER_MAP_SLOTS: Final = 1 << 20
"""Entries of the order id map; ids are dense, so collisions need ids this far apart."""

CLIENT_ORDER_IDS_MAX: Final = 1 << 20
"""Client order ids that are remembered, newest first; older ones may be used again."""

CLIENT_ORDER_ID_CHARS_MAX: Final = 36
"""A UUID with hyphens; FIX engines and exchanges use no more."""

CLIENT_ORDER_ID_BYTES: Final = 40
"""The field in records: whole words."""

SYMBOL_BYTES: Final = 40
"""An instrument's symbol in records; 32 characters are used."""

ICEBERG_PEAKS_MAX: Final = 256
"""How often an iceberg may show itself anew: bounds the fills that one order can cost others."""

PEGS_MAX: Final = 256
"""Pegged orders of one instrument: all are looked at when the best price moves."""

TRAILING_MAX: Final = 256
"""Trailing orders of one instrument: all are looked at when a trade makes a new extreme."""

ALL_OR_NONE_MAX: Final = 64
"""Waiting all-or-none orders of one instrument: all are tried when something enters the book."""

LIST_ORDERS_MAX: Final = 3
"""Orders of a list: a bracket has an entry, a target and a stop."""

LOOK_MAX: Final = 4096
"""Levels (with self-trade prevention: orders) that are looked at to see whether an order can be
filled whole; one that would need more counts as unfillable."""

TRAIL_BPS_MAX: Final = 10_000
"""Widest trailing distance in ten-thousandths: all of the price."""

ACTION_EVENTS_MAX: Final = 16
"""Event slots that one fill, or one other action of matching, may need."""

ACTIONS_PER_STEP_MAX: Final = 512
"""Actions beside fills (waking, repricing, walking) of one step; the rest goes on in the next."""

CHECKPOINT_INTERVAL: Final = 1 << 16
"""Decisions between two publications of the state hash."""

CHUNK_TICKS: Final = 64
"""Price levels of one chunk: one bitmap word."""

CHUNKS_MAX: Final = 1 << 15
"""Price chunks of all books together, 2 KiB each."""

CHUNKS_PER_SIDE_MAX: Final = 4096
"""Chunks of one side of one book: bounds the cost of inserting a far-away price (32 KiB moved)."""

FILLS_PER_STEP_MAX: Final = 256
"""Fills of one slice of a sweep: bounds the work of one step; the sweep goes on in the next."""

EVENTS_PER_SLICE_MAX: Final = FILLS_PER_STEP_MAX + ACTION_EVENTS_MAX
"""Event slots that one slice of plain fills may need, with an acceptance and a remainder."""

BATCH_MAX: Final = 256
"""Messages that a stage takes from its ring in one step."""

RING_SLOTS: Final = 1 << 14
"""Slots of the rings of the engine: bursts of a gateway that polls once in a few milliseconds."""

EVENT_RING_SLOTS: Final = 1 << 16
"""Events outnumber commands, and the gateway reads them from Python."""

PRICE_TICKS_MAX: Final = 1 << 60
"""Prices are -PRICE_TICKS_MAX..PRICE_TICKS_MAX: key arithmetic cannot overflow int64."""

QTY_LOTS_MAX: Final = 1 << 53
"""Largest order quantity: exact in JSON numbers."""

LEVEL_LOTS_MAX: Final = 1 << 62
"""Largest total of one price level; an order that would exceed it cannot rest."""

BALANCE_MAX: Final = 1 << 62
"""Largest balance in units of its asset; sums of two do not overflow."""

assert INTERNAL_SOURCE < 1 << 8, "a source is one byte"
assert CLIENT_ORDER_ID_CHARS_MAX <= CLIENT_ORDER_ID_BYTES
assert CLIENT_ORDER_ID_BYTES % 8 == 0
assert SHARDS_MAX * 8 <= CLIENT_ORDER_ID_BYTES, "a watermark of each shard fits a WATERMARK"
assert EVENTS_PER_SLICE_MAX * 4 <= EVENT_RING_SLOTS, "a slice fits the event ring several times"
assert BATCH_MAX * 4 <= RING_SLOTS, "a batch fits every ring several times"
assert ORDERS_MAX & (ORDERS_MAX - 1) == 0
assert ORDER_MAP_SLOTS & (ORDER_MAP_SLOTS - 1) == 0
assert LEVEL_LOTS_MAX + QTY_LOTS_MAX < 1 << 63
assert PRICE_TICKS_MAX // CHUNK_TICKS < 1 << 62
