"""What goes together in an order with terms: its form, judged without book, money or clock.

Called by ingest for each new order that is more than a plain one. The table "What goes together"
of docs/matching.md says the same in words.
"""

from typing import Final

from engine.limits import (
    ICEBERG_PEAKS_MAX,
    LIST_ORDERS_MAX,
    PRICE_TICKS_MAX,
    QTY_LOTS_MAX,
    TRAIL_BPS_MAX,
)
from engine.messages import (
    Command,
    CommandFlag,
    Instruction,
    ListKind,
    OrderType,
    Peg,
    Prevention,
    RejectReason,
    TimeInForce,
    Trigger,
)
from engine.reference import InstrumentTerms
from ipc.jit import inlined, kernel

FORM_FLAGS: Final = int(CommandFlag.POST_ONLY | CommandFlag.TERMS)
"""What a new order's flags say of its form; those of its purpose go with any form."""

INSTRUCTIONS: Final = int(Instruction.HIDDEN | Instruction.SLIDE | Instruction.ALL_OR_NONE)

assert QTY_LOTS_MAX * ICEBERG_PEAKS_MAX < 1 << 63


@inlined
def has_trigger_price(command: Command) -> bool:
    """Whether `trigger_ticks` is a price, and not a distance."""
    trigger = command.terms.trigger
    return trigger == Trigger.STOP or trigger == Trigger.TOUCH


@inlined
def trails(command: Command) -> bool:
    """Whether `trigger_ticks` is a distance."""
    return command.terms.trigger >= Trigger.TRAIL_TICKS


@inlined
def rests_in_continuous(command: Command) -> bool:
    """Whether the time in force lets an order stay in the book outside of auctions."""
    tif = command.time_in_force
    return tif == TimeInForce.GTC or tif == TimeInForce.GTD or tif == TimeInForce.DAY


@kernel
def check_head(command: Command, purposes: int) -> int:
    """Side, type, time in force and flags, as far as they can be judged without the terms.

    `purposes`: flags beside those of the form that the sender may use.
    """
    order_type, tif = command.order_type, command.time_in_force
    has_terms = command.flags & CommandFlag.TERMS != 0
    if command.side > 1:
        return RejectReason.BAD_SIDE.value
    if order_type < OrderType.LIMIT or order_type > OrderType.MARKET_TO_LIMIT:
        return RejectReason.BAD_ORDER_TYPE.value
    if tif < TimeInForce.GTC or tif > TimeInForce.AUCTION:
        return RejectReason.BAD_TIME_IN_FORCE.value
    if order_type == OrderType.MARKET_TO_LIMIT and not rests_in_continuous(command):
        return RejectReason.BAD_TIME_IN_FORCE.value
    waits = has_terms and command.terms.trigger != Trigger.NONE
    ends_later = tif == TimeInForce.GTD or tif == TimeInForce.DAY
    if order_type == OrderType.MARKET and ends_later and not waits:
        return RejectReason.BAD_TIME_IN_FORCE.value
    if command.flags & ~(FORM_FLAGS | purposes) != 0:
        return RejectReason.BAD_FLAGS.value
    rests = order_type == OrderType.LIMIT and rests_in_continuous(command)
    if command.flags & CommandFlag.POST_ONLY and not rests:
        return RejectReason.BAD_FLAGS.value
    return RejectReason.NONE.value if has_terms else RejectReason.BAD_TERMS.value


@kernel
def check_terms(command: Command, instrument: InstrumentTerms) -> int:
    """All terms but the display, each by itself and together."""
    terms = command.terms
    good = (
        terms.trigger <= Trigger.TRAIL_BPS
        and terms.peg <= Peg.OPPOSITE
        and terms.self_trade <= Prevention.DECREMENT
        and terms.instructions & ~INSTRUCTIONS == 0
        and good_list(command)
        and good_numbers(command)
        and good_trigger(command, instrument)
        and fits_together(command)
    )
    return RejectReason.NONE.value if good else RejectReason.BAD_TERMS.value


@kernel
def good_numbers(command: Command) -> bool:
    """Whether numbers are in their range, and 0 where nothing uses them."""
    terms = command.terms
    if terms.at_ns < 0 or (terms.at_ns != 0) != (command.time_in_force == TimeInForce.GTD):
        return False
    if terms.minimum_lots < 0 or terms.minimum_lots > max(command.qty_lots, 0):
        return False
    if terms.trail_limit > 1:
        return False
    if terms.peg == Peg.NONE and terms.trail_limit == 0:
        return terms.offset_ticks == 0
    return -PRICE_TICKS_MAX <= terms.offset_ticks <= PRICE_TICKS_MAX


@inlined
def good_list(command: Command) -> bool:
    """Whether the place in a list is one that the list has."""
    kind, index = command.terms.list_kind, command.terms.list_index
    if kind == ListKind.NONE:
        return index == 0
    if kind == ListKind.BRACKET:
        return index < LIST_ORDERS_MAX
    return kind < ListKind.BRACKET and index < 2


@inlined
def good_trigger(command: Command, instrument: InstrumentTerms) -> bool:
    """Whether the trigger is a price of the instrument, or a distance that can be followed."""
    trigger, ticks = command.terms.trigger, command.terms.trigger_ticks
    if trigger == Trigger.NONE:
        return ticks == 0
    if trigger == Trigger.TRAIL_TICKS:
        return 1 <= ticks <= PRICE_TICKS_MAX
    if trigger == Trigger.TRAIL_BPS:
        return 1 <= ticks <= TRAIL_BPS_MAX
    return instrument.price_min_ticks <= ticks <= instrument.price_max_ticks


@kernel
def fits_together(command: Command) -> bool:
    """Whether an order asks for nothing that excludes something else that it asks for."""
    terms = command.terms
    if terms.instructions & Instruction.SLIDE and not command.flags & CommandFlag.POST_ONLY:
        return False
    if terms.instructions & Instruction.HIDDEN and not may_stay(command):
        return False
    if terms.trigger != Trigger.NONE and not fits_trigger(command):
        return False
    if terms.trail_limit != 0 and not (trails(command) and command.order_type == OrderType.LIMIT):
        return False
    if terms.peg != Peg.NONE and not fits_peg(command):
        return False
    if terms.instructions & Instruction.ALL_OR_NONE and not fits_all_or_none(command):
        return False
    return terms.minimum_lots == 0 or fits_minimum(command)


@inlined
def for_auctions(command: Command) -> bool:
    """Whether the order takes part in auctions only."""
    return command.time_in_force >= TimeInForce.AT_OPEN


@inlined
def fits_trigger(command: Command) -> bool:
    """What may wait for a price."""
    return command.order_type != OrderType.MARKET_TO_LIMIT and not for_auctions(command)


@inlined
def fits_peg(command: Command) -> bool:
    """What may follow the best price."""
    if command.order_type != OrderType.LIMIT or not rests_in_continuous(command):
        return False
    # It makes by itself, waits for no trigger, and never trades all of something at once.
    return command.terms.trigger == Trigger.NONE and command.flags & CommandFlag.POST_ONLY == 0


@inlined
def fits_all_or_none(command: Command) -> bool:
    """What may trade only as a whole: an order that shows nothing, makes nothing, follows none."""
    terms = command.terms
    if command.order_type != OrderType.LIMIT or for_auctions(command):
        return False
    if command.flags & CommandFlag.POST_ONLY or terms.instructions & Instruction.HIDDEN:
        return False
    return terms.display_lots == 0 and terms.peg == Peg.NONE


@inlined
def fits_minimum(command: Command) -> bool:
    """What may ask for a least quantity of its first trades."""
    terms = command.terms
    if command.order_type == OrderType.MARKET_TO_LIMIT or for_auctions(command):
        return False
    if command.time_in_force == TimeInForce.FOK or command.flags & CommandFlag.POST_ONLY:
        return False
    return terms.peg == Peg.NONE and terms.instructions & Instruction.ALL_OR_NONE == 0


@inlined
def may_stay(command: Command) -> bool:
    """Whether some part of the order may come to rest in the book with its own limit."""
    never = command.time_in_force == TimeInForce.IOC or command.time_in_force == TimeInForce.FOK
    return command.order_type != OrderType.MARKET and not never


@inlined
def check_display(command: Command) -> int:
    """The shown part of an iceberg whose quantity is good."""
    display = command.terms.display_lots
    if display == 0:
        return RejectReason.NONE.value
    if display < 0 or display > command.qty_lots:
        return RejectReason.BAD_DISPLAY.value
    if display * ICEBERG_PEAKS_MAX < command.qty_lots:
        return RejectReason.BAD_DISPLAY.value
    if command.terms.instructions & Instruction.HIDDEN or not may_stay(command):
        return RejectReason.BAD_DISPLAY.value
    return RejectReason.NONE.value
