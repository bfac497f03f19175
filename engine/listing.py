"""INSTRUMENT commands: listing, delisting, and changes of one term at a time.

Ingest is the only gate: what it lets pass fits together with the other terms of the instrument, so
that risk and matching apply it without a look. A change that leads through a state that does not
fit is refused; the sender chooses an order that works (for a tick table: step_count 0 first, last
the new one).
"""

from engine.instruments import COLLAR_PRICE_TICKS_MAX
from engine.limits import PRICE_STEPS_MAX
from engine.messages import Command, Listing, Phase, RejectReason
from engine.reference import (
    MONEY_TERM_COUNT,
    TERM_COUNT,
    InstrumentTerms,
    ReferenceData,
    apply_instrument,
    set_term,
    term,
)
from ipc.jit import inlined, kernel


@inlined
def is_phase(value: int) -> bool:
    """Whether there is such a phase."""
    return Phase.CLOSED <= value <= Phase.POST_CLOSE


@kernel
def check_instrument(reference: ReferenceData, terms: InstrumentTerms, command: Command) -> int:
    """INSTRUMENT: why it is refused, or NONE after it has been applied to `terms`."""
    number, value = command.order_id, command.qty_lots
    if command.flags != 0:
        return RejectReason.BAD_FLAGS.value
    if number == Listing.LIST:
        if terms.listed != 0 or command.client_order_id[0] == 0 or not can_be_traded(terms):
            return RejectReason.BAD_TERM.value
        if not is_phase(value):
            return RejectReason.BAD_PHASE.value
    elif number == Listing.DELIST:
        if terms.listed == 0:
            return RejectReason.BAD_TERM.value
    elif number < 0 or number >= TERM_COUNT or not may_become(reference, terms, number, value):
        return RejectReason.BAD_TERM.value
    apply_instrument(terms, number, value)
    return RejectReason.NONE.value


@inlined
def can_be_traded(terms: InstrumentTerms) -> bool:
    """Whether two assets are given, and a notional that can be computed."""
    one_is_one = terms.notional_multiplier == 1 or terms.notional_divisor == 1
    return terms.base_asset != terms.quote_asset and one_is_one


@kernel
def may_become(reference: ReferenceData, terms: InstrumentTerms, number: int, value: int) -> bool:
    """Whether a term may have a value, by itself and with the others."""
    if value < term(reference.least, number) or value > term(reference.most, number):
        return False
    if number < MONEY_TERM_COUNT and terms.was_listed != 0:
        return False
    before = term(terms, number)
    set_term(terms, number, value)
    consistent = good_ranges(terms) and good_steps(terms)
    set_term(terms, number, before)
    return consistent


@kernel
def good_ranges(terms: InstrumentTerms) -> bool:
    """Whether least and most fit together, and prices leave room for bands and margins."""
    if terms.price_min_ticks > terms.price_max_ticks:
        return False
    if terms.qty_min_lots > terms.qty_max_lots:
        return False
    if terms.notional_min_units > terms.notional_max_units:
        return False
    if terms.maintenance_bps > terms.initial_bps:
        return False
    if terms.initial_bps != 0 and terms.price_min_ticks < 1:
        return False
    if terms.collar_bps != 0 or terms.static_band_bps != 0 or terms.dynamic_band_bps != 0:
        widest = max(-terms.price_min_ticks, terms.price_max_ticks)
        return widest <= COLLAR_PRICE_TICKS_MAX
    return True


@kernel
def good_steps(terms: InstrumentTerms) -> bool:
    """Whether the tick table ascends, each range at a multiple of its step and the one before."""
    assert terms.step_count <= PRICE_STEPS_MAX
    for index in range(terms.step_count):
        first, step = terms.step_from[index], terms.step_ticks[index]
        if step < 1 or first % step != 0:
            return False
        if index == 0:
            continue
        if first <= terms.step_from[index - 1] or first % terms.step_ticks[index - 1] != 0:
            return False
    return True
