"""Reference data in shared memory: what the stages must know of instruments and accounts.

Written once by the supervisor before the stages start (engine.reference_writer), read-only
afterwards. The terms here are
those of the beginning: INSTRUMENT commands change them in sequence, so each stage copies what it
needs into its own state (`copy_terms`) and applies them to its copy (`apply_instrument`).
A term is named by its number, its place among the words of the record: `TERM_NUMBERS`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from engine.directory import Directory
from engine.instruments import (
    BPS,
    COLLAR_BPS_MAX,
    FEE_RATE_MAX,
    PRICE_MAX_TICKS_DEFAULT,
    SECONDS_MAX,
    CollarReference,
    FeeAsset,
    MarkSource,
)
from engine.limits import (
    ACCOUNTS_MAX,
    ASSETS_MAX,
    BALANCE_MAX,
    INSTRUMENTS_MAX,
    PRICE_STEPS_MAX,
    PRICE_TICKS_MAX,
    QTY_LOTS_MAX,
    RULES_MAX,
    SCHEDULE_MAX,
    TIERS_MAX,
)
from engine.messages import Listing, Phase
from engine.stage import Word
from ipc import memory
from ipc.jit import inlined, kernel
from ipc.record import LINE_PAIR_BYTES, Array, Record, i64, length, u8, u32

WORD_BYTES: Final = 8

DISTANCE_MAX: Final = 2 * PRICE_TICKS_MAX
"""No two prices are farther apart."""

WHOLE_MAX: Final = DISTANCE_MAX // COLLAR_BPS_MAX
"""Ten-thousandths of a price up to here may be multiplied by any collar or band."""

assert DISTANCE_MAX + PRICE_TICKS_MAX + COLLAR_BPS_MAX < 1 << 63


class InstrumentTerms(Record, align=LINE_PAIR_BYTES):
    """The numbers of one instrument; see engine.instruments for their meaning. Words only.

    The first ones say what money means; they are fixed once the instrument has been listed.
    """

    base_asset: i64
    quote_asset: i64
    base_units_per_lot: i64
    notional_multiplier: i64
    notional_divisor: i64
    "price * qty * multiplier / divisor = quote units; one of the two is 1."
    fee_asset: i64
    "FeeAsset: 0 quote, 1 received."
    price_min_ticks: i64
    price_max_ticks: i64
    qty_min_lots: i64
    qty_max_lots: i64
    notional_min_units: i64
    notional_max_units: i64
    "In units of the quote asset."
    collar_bps: i64
    "Largest distance of a price from the reference in 1/10000, 0: any."
    static_band_bps: i64
    "Largest distance of a trade from the reference in 1/10000, 0: any."
    dynamic_band_bps: i64
    "Largest distance of a trade from the last one in 1/10000, 0: any."
    reference_ticks: i64
    "Reference before the first trade, 0: none."
    volatility_halt_ns: i64
    "How long trading halts when a price leaves its band."
    volatility_auction_ns: i64
    "How long the auction after that lasts."
    initial_bps: i64
    "Initial margin in 1/10000 of a position's value, 0: no trading on margin."
    maintenance_bps: i64
    "Maintenance margin, at most the initial one."
    short_selling: i64
    "1 if margin accounts may sell more than they have."
    mark_source: i64
    "MarkSource: positions are valued at 0 the last trade, 1 the middle, 2 MARK commands."
    collar_reference: i64
    "CollarReference: prices are compared with 0 the last trade, 1 the best price, 2 the middle."
    tell_top: i64
    "1 if matching tells the best prices (TOP)."
    step_count: i64
    "Ranges of the tick table; 0: every tick is a valid price."
    step_from: Array[i64] = length(PRICE_STEPS_MAX)
    "Lowest price of each range, ascending; the first one also holds for all prices below."
    step_ticks: Array[i64] = length(PRICE_STEPS_MAX)
    "Valid prices of the range are multiples of this."
    maker_rates: Array[i64] = length(TIERS_MAX)
    "Fee of a resting order in millionths of the value, by the tier of its account."
    taker_rates: Array[i64] = length(TIERS_MAX)
    "Fee of an incoming order, the same."
    phase: i64
    "The Phase that the instrument begins with."
    listed: i64
    "1 while the instrument may be traded."
    was_listed: i64
    "1 once it has been listed: balances and reservations are counted by its first terms."
    shard: i64
    "Which matching shard has its book."


class AccountTerms(Record):
    """What an account begins with; RULE commands open others and change tiers."""

    known: u8
    "1 for every account that may trade."
    prevention: u8
    "Prevention of its orders that do not say: never DEFAULT."
    kind: u8
    "AccountKind: CASH or MARGIN."
    tier: u8
    "Fee tier, 0..TIERS_MAX-1."
    group: u32
    "Orders of accounts with one group number do not trade with each other, if one prevents it."


class ScheduleEntry(Record):
    """One phase that an instrument enters at a time of day."""

    second: i64
    "Second of the day, UTC."
    instrument: i64
    phase: i64
    weekdays: i64
    "Bit 0 for Monday up to bit 6 for Sunday."


class RuleEntry(Record):
    """One rule that the configuration sets, as a RULE command would."""

    scope: i64
    entity: i64
    "Number of the account or group; 0 for others."
    instrument: i64
    "The instrument of scope SYMBOL and of `restricted`; the asset of another money rule; else 0."
    number: i64
    "See engine.rules."
    value: i64


class ReferenceData(Record, align=LINE_PAIR_BYTES):
    """The whole segment."""

    instrument_count: i64
    "Instruments of the configuration; others are listed later."
    asset_count: i64
    shard_count: i64
    tick_ns: i64
    "How often ingest moves the venue's clock, 0: it does not, and there is no schedule."
    schedule_count: i64
    rule_count: i64
    fee_account: i64
    "Account that fees go to, -1: none, and there are no fees."
    insurance_account: i64
    "Account that pays the debts of liquidated accounts, -1: none."
    day_start_ns: i64
    "When the day of the risk rules begins, after midnight UTC."
    risk_source: i64
    "The source by whose number the commands of risk itself are known."
    control_source: i64
    "The source by whose number those of the supervisor are known; -1: there is none."
    instruments: Array[InstrumentTerms] = length(INSTRUMENTS_MAX)
    least: InstrumentTerms
    "Smallest value of each term."
    most: InstrumentTerms
    "Largest value of each term; below the smallest where no command may set it."
    accounts: Array[AccountTerms] = length(ACCOUNTS_MAX)
    schedule: Array[ScheduleEntry] = length(SCHEDULE_MAX)
    "By time of day, then instrument."
    rules: Array[RuleEntry] = length(RULES_MAX)
    "The first `rule_count` count, in this order."
    directory: Directory
    "Names and steps, for who shows numbers to people."


def _numbers() -> Iterator[tuple[str, int]]:
    for field in InstrumentTerms.fields.values():
        first = field.offset // WORD_BYTES
        if field.count:
            yield from ((f"{field.name}[{at}]", first + at) for at in range(field.count))
        else:
            yield field.name, first


TERM_NUMBERS: Final[Mapping[str, int]] = dict(_numbers())
"""Number of each term by its name; `step_from[0]` and so on for the ranges of the tick table,
`maker_rates[0]` and so on for tiers."""

TERM_COUNT: Final = len(TERM_NUMBERS)

MONEY_TERM_COUNT: Final = TERM_NUMBERS["price_min_ticks"]
"""Terms before this number cannot change once the instrument has been listed."""

_BAND: Final = (0, COLLAR_BPS_MAX)
_PRICE: Final = (-PRICE_TICKS_MAX, PRICE_TICKS_MAX)
_DURATION_NS: Final = (0, SECONDS_MAX * 1_000_000_000)
_NOT_BY_COMMAND: Final = (0, -1)

TERM_BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "base_asset": (0, ASSETS_MAX - 1),
    "quote_asset": (0, ASSETS_MAX - 1),
    "base_units_per_lot": (1, BALANCE_MAX),
    "notional_multiplier": (1, BALANCE_MAX),
    "notional_divisor": (1, BALANCE_MAX),
    "price_min_ticks": _PRICE,
    "price_max_ticks": _PRICE,
    "qty_min_lots": (1, QTY_LOTS_MAX),
    "qty_max_lots": (1, QTY_LOTS_MAX),
    "notional_min_units": (0, BALANCE_MAX),
    "notional_max_units": (1, BALANCE_MAX),
    "collar_bps": _BAND,
    "static_band_bps": _BAND,
    "dynamic_band_bps": _BAND,
    "reference_ticks": _PRICE,
    "volatility_halt_ns": _DURATION_NS,
    "volatility_auction_ns": _DURATION_NS,
    "fee_asset": (min(FeeAsset), max(FeeAsset)),
    "initial_bps": (0, BPS),
    "maintenance_bps": (0, BPS),
    "short_selling": (0, 1),
    "mark_source": (min(MarkSource), max(MarkSource)),
    "collar_reference": (min(CollarReference), max(CollarReference)),
    "tell_top": (0, 1),
    "step_count": (0, PRICE_STEPS_MAX),
    "step_from": _PRICE,
    "step_ticks": (0, PRICE_TICKS_MAX),
    "maker_rates": (-FEE_RATE_MAX, FEE_RATE_MAX),
    "taker_rates": (-FEE_RATE_MAX, FEE_RATE_MAX),
    "phase": (min(Phase), max(Phase)),
    "listed": _NOT_BY_COMMAND,
    "was_listed": _NOT_BY_COMMAND,
    "shard": _NOT_BY_COMMAND,
}
"""Smallest and largest value of each term: with these no product of the engine overflows unseen."""

UNLISTED_TERMS: Final[Mapping[str, int]] = {
    "base_units_per_lot": 1,
    "notional_multiplier": 1,
    "notional_divisor": 1,
    "price_min_ticks": 1,
    "price_max_ticks": PRICE_MAX_TICKS_DEFAULT,
    "qty_min_lots": 1,
    "qty_max_lots": QTY_LOTS_MAX,
    "notional_max_units": BALANCE_MAX,
    "phase": Phase.CONTINUOUS,
}
"""What an instrument begins with that is listed later, 0 for the rest; commands set terms first."""

assert InstrumentTerms.end == TERM_COUNT * WORD_BYTES, "terms are words without gaps"
assert set(TERM_BOUNDS) == set(InstrumentTerms.fields)


@inlined
def term(terms: InstrumentTerms, number: int) -> int:
    """The value of a term by its number, 0..TERM_COUNT-1."""
    assert 0 <= number < TERM_COUNT, "term: no such number"
    return Word(terms.address + number * WORD_BYTES).value


@inlined
def set_term(terms: InstrumentTerms, number: int, value: int) -> None:
    """Set a term by its number, 0..TERM_COUNT-1."""
    assert 0 <= number < TERM_COUNT, "set_term: no such number"
    Word(terms.address + number * WORD_BYTES).value = value


@kernel
def apply_instrument(terms: InstrumentTerms, number: int, value: int) -> None:
    """What an accepted INSTRUMENT command does: `order_id` is the number, `qty_lots` the value."""
    if number == Listing.LIST:
        terms.listed = terms.was_listed = 1
        terms.phase = value
    elif number == Listing.DELIST:
        terms.listed = 0
    else:
        set_term(terms, number, value)


@inlined
def step_at(terms: InstrumentTerms, price_ticks: int) -> int:
    """The price step of the range that a price lies in, in ticks; 1 without a tick table."""
    if terms.step_count == 0:
        return 1
    index = terms.step_count - 1
    while index > 0 and terms.step_from[index] > price_ticks:
        index -= 1
    return terms.step_ticks[index]


@inlined
def step_down(terms: InstrumentTerms, price_ticks: int) -> int:
    """The highest valid price that is not above `price_ticks`."""
    return price_ticks - price_ticks % step_at(terms, price_ticks)


@inlined
def step_up(terms: InstrumentTerms, price_ticks: int) -> int:
    """The lowest valid price that is not below `price_ticks`.

    Never beyond the range: the next one begins at a multiple of both steps.
    """
    return price_ticks + -price_ticks % step_at(terms, price_ticks)


@inlined
def band_ticks(reference_ticks: int, bps: int) -> int:
    """floor(|reference| * bps / 10000), or about DISTANCE_MAX if that is less; bps is above 0."""
    size = abs(reference_ticks)
    whole = size // BPS
    if whole > WHOLE_MAX and whole > DISTANCE_MAX // bps:
        return DISTANCE_MAX
    return whole * bps + size % BPS * bps // BPS


def copy_terms(target: Any, reference: ReferenceData) -> None:
    """Copy the terms of all instruments into a stage's own array of INSTRUMENTS_MAX terms."""
    source = reference.instruments
    size = len(source) * InstrumentTerms.size
    assert len(target) == len(source), "copy_terms: another number of instruments"
    read, write = memory.find(source.address, size), memory.find(target.address, size)
    start, end = read.offset(source.address, size), write.offset(target.address, size)
    write.view[end : end + size] = read.view[start : start + size]
