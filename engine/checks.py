"""What ingest checks: whether a command is well formed, apart from what the book or money says.

Called by ingest for each command, with the terms of its instrument as they are at that place of
the sequence. Plain orders take a short way; whatever carries terms goes out of line. Each check
returns the first reason to refuse, or NONE; docs/matching.md says in which order they come, and
shows what goes together.
"""

from typing import Final

from engine.limits import ACCOUNTS_MAX, BALANCE_MAX, QTY_LOTS_MAX
from engine.listing import is_phase
from engine.messages import (
    BOTH_SIDES,
    Command,
    CommandFlag,
    CommandKind,
    Funds,
    OrderType,
    RejectReason,
    TimeInForce,
)
from engine.order_terms import check_display, check_head, check_terms, has_trigger_price
from engine.reference import InstrumentTerms, ReferenceData, step_at
from ipc.jit import inlined, kernel

AMEND_FLAGS: Final = int(
    CommandFlag.POST_ONLY | CommandFlag.LEAVES | CommandFlag.REQUEUE | CommandFlag.TERMS
)

PURPOSES: Final = int(CommandFlag.REDUCE_ONLY)
"""Flags that say what a new order is for, and go with any form."""

PURPOSES_OF_RISK: Final = int(CommandFlag.REDUCE_ONLY | CommandFlag.LIQUIDATION)


# --- quantities and prices ---------------------------------------------------------------------


@inlined
def check_quantity(command: Command, least_lots: int) -> int:
    """The quantity of an order or an amendment."""
    if command.qty_lots < 1 or command.qty_lots > QTY_LOTS_MAX:
        return RejectReason.BAD_QUANTITY.value
    if command.qty_lots < least_lots:
        return RejectReason.QUANTITY_BELOW_MIN.value
    return RejectReason.NONE.value


@inlined
def least_lots(command: Command, terms: InstrumentTerms) -> int:
    """The least quantity of a new order; what is left of a position may be less."""
    return 1 if command.flags & CommandFlag.LIQUIDATION else terms.qty_min_lots


@inlined
def check_price(price_ticks: int, terms: InstrumentTerms) -> int:
    """A limit price."""
    if price_ticks < terms.price_min_ticks or price_ticks > terms.price_max_ticks:
        return RejectReason.BAD_PRICE.value
    if terms.step_count != 0 and off_step(price_ticks, terms):
        return RejectReason.OFF_STEP.value
    return RejectReason.NONE.value


@kernel
def off_step(price_ticks: int, terms: InstrumentTerms) -> bool:
    """Whether a price lies between two steps of the tick table."""
    return price_ticks % step_at(terms, price_ticks) != 0


# --- new orders --------------------------------------------------------------------------------


@inlined
def purposes_of(reference: ReferenceData, source: int) -> int:
    """Those of PURPOSES that the commands of a source may have."""
    if source == reference.risk_source:
        return PURPOSES_OF_RISK
    return PURPOSES


@inlined
def check_new(command: Command, terms: InstrumentTerms, purposes: int) -> int:
    """Why a new order is malformed, or NONE; `purposes` as `purposes_of` says."""
    limit_type = command.order_type == OrderType.LIMIT
    plain = limit_type or command.order_type == OrderType.MARKET
    if command.time_in_force < TimeInForce.GTC or command.time_in_force > TimeInForce.FOK:
        plain = False
    if not plain or command.flags & CommandFlag.TERMS:
        return check_order_with_terms(command, terms, purposes)
    if command.side > 1:
        return RejectReason.BAD_SIDE.value
    form = command.flags & ~purposes
    if form != 0:
        rests = limit_type and command.time_in_force == TimeInForce.GTC
        if form != CommandFlag.POST_ONLY or not rests:
            return RejectReason.BAD_FLAGS.value
    reason = check_quantity(command, least_lots(command, terms))
    if reason == RejectReason.NONE and limit_type:
        reason = check_price(command.price_ticks, terms)
    return reason


@kernel
def check_order_with_terms(command: Command, terms: InstrumentTerms, purposes: int) -> int:
    """Why a new order that is more than a plain one is malformed, or NONE."""
    reason = check_head(command, purposes)
    if reason == RejectReason.NONE:
        reason = check_terms(command, terms)
    if reason == RejectReason.NONE:
        reason = check_quantity(command, least_lots(command, terms))
    if reason == RejectReason.NONE:
        reason = check_display(command)
    if reason == RejectReason.NONE and command.order_type == OrderType.LIMIT:
        reason = check_price(command.price_ticks, terms)
    if reason == RejectReason.NONE and has_trigger_price(command):
        # That it lies within the range has been checked with the terms.
        reason = check_price(command.terms.trigger_ticks, terms)
    return reason


# --- cancels and amendments --------------------------------------------------------------------


@kernel
def check_change(command: Command, terms: InstrumentTerms) -> int:
    """Why a cancel or an amendment is malformed, or NONE."""
    if command.kind == CommandKind.CANCEL:
        if command.flags != 0:
            return RejectReason.BAD_FLAGS.value
        return RejectReason.NONE.value
    if command.flags & ~AMEND_FLAGS != 0:
        return RejectReason.BAD_FLAGS.value
    # What is left of an order may be less than an order must be.
    least = 1 if command.flags & CommandFlag.LEAVES else terms.qty_min_lots
    reason = check_quantity(command, least)
    if reason == RejectReason.NONE:
        reason = check_price(command.price_ticks, terms)
    if reason == RejectReason.NONE and command.flags & CommandFlag.TERMS:
        reason = check_new_terms(command, terms)
    return reason


@kernel
def check_new_terms(command: Command, terms: InstrumentTerms) -> int:
    """Trigger and display of an amendment; 0 leaves the trigger as it is."""
    trigger, display = command.terms.trigger_ticks, command.terms.display_lots
    if trigger != 0 and not terms.price_min_ticks <= trigger <= terms.price_max_ticks:
        return RejectReason.BAD_TERMS.value
    if display < 0 or display > command.qty_lots:
        return RejectReason.BAD_DISPLAY.value
    if trigger != 0 and terms.step_count != 0 and off_step(trigger, terms):
        return RejectReason.OFF_STEP.value
    return RejectReason.NONE.value


# --- other commands ----------------------------------------------------------------------------


@kernel
def check_operation(command: Command) -> int:
    """MASS_CANCEL, PHASE, TICK and SNAPSHOT, whose instrument is known."""
    kind = command.kind
    timed = kind == CommandKind.PHASE or kind == CommandKind.TICK
    if kind == CommandKind.MASS_CANCEL and command.side > BOTH_SIDES:
        return RejectReason.BAD_SIDE.value
    if not timed:
        return RejectReason.NONE.value if command.flags == 0 else RejectReason.BAD_FLAGS.value
    if command.flags & ~CommandFlag.TERMS != 0:
        return RejectReason.BAD_FLAGS.value
    if command.flags == 0:
        return RejectReason.BAD_TERMS.value
    if kind == CommandKind.PHASE and not is_phase(command.terms.phase):
        return RejectReason.BAD_PHASE.value
    if kind == CommandKind.TICK and command.terms.at_ns < 0:
        return RejectReason.BAD_TERMS.value
    return RejectReason.NONE.value


# --- accounts and risk -------------------------------------------------------------------------


@kernel
def check_funds(command: Command, asset_count: int) -> int:
    """FUNDS. Whether account and balance allow it is risk's to say."""
    if command.instrument >= asset_count:
        return RejectReason.UNKNOWN_ASSET.value
    if command.qty_lots < 1 or command.qty_lots > BALANCE_MAX:
        return RejectReason.BAD_QUANTITY.value
    if command.side > Funds.TRANSFER:
        return RejectReason.BAD_SIDE.value
    if command.flags != 0:
        return RejectReason.BAD_FLAGS.value
    receiver = command.price_ticks
    if command.side != Funds.TRANSFER:
        return RejectReason.NONE.value if receiver == 0 else RejectReason.BAD_PRICE.value
    if receiver < 0 or receiver >= ACCOUNTS_MAX or receiver == command.account:
        return RejectReason.BAD_PRICE.value
    return RejectReason.NONE.value


@kernel
def check_mark(command: Command, terms: InstrumentTerms) -> int:
    """MARK, whose instrument is listed: any price in range, as an index knows no tick table."""
    if command.flags != 0:
        return RejectReason.BAD_FLAGS.value
    if command.price_ticks < terms.price_min_ticks or command.price_ticks > terms.price_max_ticks:
        return RejectReason.BAD_PRICE.value
    return RejectReason.NONE.value
