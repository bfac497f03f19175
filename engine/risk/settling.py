"""What the events of matching do to reservations, positions and purses.

Every end of an order releases what it still held; a trade moves base to the buyer and quote to the
seller, or, for a margin account, changes the position and pays only what that realises; a prevented
trade takes quantity from two orders and moves nothing. All other events are of no concern here: an
order may rest at a better price than its reservation's, which is the worst that it may ever have,
and be woken, woken again or shown without costing more.

Reservations are rounded up, payments and fees toward zero, so that what is reserved always covers
what is paid, and buyer and seller book the same amount.
"""

from typing import Final

from engine.instruments import FeeAsset
from engine.messages import (
    AccountKind,
    ChangeEvent,
    Event,
    EventFlag,
    EventKind,
    RejectReason,
    Side,
    TradeEvent,
)
from engine.orders import NO_ORDER, find_order, return_slot
from engine.reference import band_ticks
from engine.risk.amounts import fee_units, payment_units, portion, portion_up
from engine.risk.purses import (
    find_position,
    group_purse_of,
    open_position,
    purse_of,
    strictest,
)
from engine.risk.reservations import count_bound, count_order
from engine.risk.state import NO_POSITION, Position, Purse, RiskState
from engine.risk.valuation import refresh_mark, value_position
from engine.rules import RuleNumber
from ipc.jit import inlined, kernel

MATCHING_REASONS: Final = 400
"""Reasons from here on are matching's own: the command had passed risk."""

EARLIER: Final = -1
"""Instead of the beginning of a day: not of today."""


# --- money -------------------------------------------------------------------------------------


@inlined
def realise(purse: Purse, day: int, units: int, fee: int) -> None:
    """Count a realised profit, less the fee that it cost; `day` may be EARLIER."""
    purse.realised += units
    purse.fees += fee
    if day == EARLIER:
        return
    if purse.day != day:
        purse.day, purse.day_realised = day, 0
    purse.day_realised += units


@inlined
def closed_profit(position: Position, lots: int, paid: int) -> int:
    """Take up to |net| lots out of the position for `paid`; the profit, and a smaller cost."""
    net, cost = position.net, position.cost
    released = portion(abs(cost), lots, abs(net))
    if cost < 0:
        released = -released
    position.cost -= released
    if net > 0:
        position.net -= lots
        return paid - released
    position.net += lots
    return -released - paid


@inlined
def part_of_payment(paid: int, lots: int, whole: int) -> int:
    """Paid * lots / whole, rounded down."""
    if paid >= 0:
        return portion(paid, lots, whole)
    return -portion_up(-paid, lots, whole)


@inlined
def trade_position(position: Position, side: int, lots: int, paid: int) -> int:
    """A purchase or sale of `lots` for `paid`; returns the realised profit, without fees."""
    net, profit, opening, price = position.net, 0, lots, paid
    against = net < 0 if side == Side.BUY else net > 0
    if against:
        closing = min(lots, abs(net))
        part = paid
        if closing < lots:
            part = part_of_payment(paid, closing, lots)
        profit = closed_profit(position, closing, part)
        opening, price = lots - closing, paid - part
    if opening > 0:
        if side == Side.BUY:
            position.net += opening
            position.cost += price
        else:
            position.net -= opening
            position.cost -= price
    return profit


@inlined
def pay_fee(state: RiskState, account: int, asset: int, fee: int) -> None:
    """Move a fee (or, below 0, a rebate) between an account and the fee account."""
    purse_of(state, account, asset).total -= fee
    purse_of(state, state.fee_account, asset).total += fee


@kernel
def settle(
    state: RiskState, trade: TradeEvent, account: int, side: int, rate: int, paid: int
) -> None:
    """One side of a trade: position, realised profit, assets, fee."""
    terms, lots = state.terms[trade.instrument], trade.qty_lots
    position = open_position(state, account, trade.instrument)
    profit = trade_position(position, side, lots, paid)
    purse = purse_of(state, account, terms.quote_asset)
    margin = state.owners[account].kind == AccountKind.MARGIN
    fee = 0
    if margin:
        purse.total += profit
    else:
        delivered = lots * terms.base_units_per_lot
        base = purse_of(state, account, terms.base_asset)
        if side == Side.BUY:
            purse.total -= paid
            base.total += delivered
            if rate != 0 and terms.fee_asset == FeeAsset.RECEIVED:
                pay_fee(state, account, terms.base_asset, fee_units(delivered, rate))
                rate = 0
        else:
            purse.total += paid
            base.total -= delivered
    if rate != 0:
        fee = fee_units(paid, rate)
        pay_fee(state, account, terms.quote_asset, fee)
    position.realised += profit - fee
    position.fees += fee
    day = state.day if trade.time_ns >= state.day else EARLIER
    realise(purse, day, profit - fee, fee)
    realise(group_purse_of(state, account, terms.quote_asset), day, profit - fee, fee)
    realise(state.symbol_purses[trade.instrument], day, profit - fee, fee)
    realise(state.venue_purses[terms.quote_asset], day, profit - fee, fee)


# --- prices ------------------------------------------------------------------------------------


@inlined
def note_price(state: RiskState, trade: TradeEvent) -> None:
    """The trade's price is the last one, and perhaps the mark and a reason to halt."""
    quote = state.quotes[trade.instrument]
    quote.last = trade.price_ticks
    refresh_mark(state, trade.instrument)
    if trade.time_ns >= state.day and quote.day != state.day:
        quote.day, quote.first = state.day, trade.price_ticks
    if state.on >> RuleNumber.BREAKER_BPS & 1:
        check_breaker(state, trade)


@kernel
def check_breaker(state: RiskState, trade: TradeEvent) -> None:
    """Ask for a halt when the price is too far from the day's first one."""
    quote = state.quotes[trade.instrument]
    rule = RuleNumber.BREAKER_BPS.value
    limit = strictest(state.symbols[trade.instrument].rules[rule], state.venue.rules[rule])
    if limit == 0 or quote.day != state.day or trade.time_ns < state.day:
        return
    distance = abs(trade.price_ticks - quote.first)
    if trade.dseq <= quote.halted:
        return
    if distance > band_ticks(quote.first, limit) and quote.halt_due == 0:
        quote.halt_due = 1
        state.warden.halts_due += 1


@kernel
def note_top(state: RiskState, event: ChangeEvent) -> None:
    """TOP: the best prices of the book from now on."""
    quote = state.quotes[event.instrument]
    quote.bid, quote.has_bid = event.price_ticks, event.qty_lots
    quote.ask, quote.has_ask = event.previous_price_ticks, event.leaves_lots
    refresh_mark(state, event.instrument)


# --- orders ------------------------------------------------------------------------------------


@inlined
def end_reservation(state: RiskState, index: int) -> None:
    """The order at this slot lives no more; what it held has been given back."""
    reservation = state.reservations.orders[index]
    count_order(state, reservation.account, reservation.instrument, -1)
    return_slot(state.reservations, index)


@kernel
def end_order(state: RiskState, order_id: int) -> None:
    """A live order has ended: give back what it still held."""
    index = find_order(state.reservations, order_id)
    assert index != NO_ORDER, "end_order: the end of an order without reservation"
    reservation = state.reservations.orders[index]
    position = find_position(state, reservation.account, reservation.instrument)
    count_bound(state, state.terms[reservation.instrument], position, reservation, -1)
    end_reservation(state, index)
    value_position(state, position)


@kernel
def shrink_reservation(state: RiskState, order_id: int, lots: int, leaves: int) -> None:
    """One side of a trade: the reservation shrinks by `lots`; the order ends with no leaves."""
    index = find_order(state.reservations, order_id)
    assert index != NO_ORDER, "shrink_reservation: a fill for an order without reservation"
    reservation = state.reservations.orders[index]
    terms = state.terms[reservation.instrument]
    position = find_position(state, reservation.account, reservation.instrument)
    count_bound(state, terms, position, reservation, -1)
    if leaves == 0:
        end_reservation(state, index)
        return
    reservation.leaves_lots = leaves
    reservation.bound_leaves_lots -= lots
    count_bound(state, terms, position, reservation, 1)


@kernel
def apply_trade(state: RiskState, trade: TradeEvent) -> None:
    """Shrink both reservations, settle both sides, take the price, value both positions."""
    terms, lots = state.terms[trade.instrument], trade.qty_lots
    shrink_reservation(state, trade.order_id, lots, trade.leaves_lots)
    shrink_reservation(state, trade.maker_order_id, lots, trade.maker_leaves_lots)
    paid = payment_units(terms, trade.price_ticks, lots)
    side = trade.side
    settle(state, trade, trade.account, side, trade.fee_rate, paid)
    settle(state, trade, trade.maker_account, 1 - side, trade.maker_fee_rate, paid)
    note_price(state, trade)
    value_position(state, find_position(state, trade.account, trade.instrument))
    value_position(state, find_position(state, trade.maker_account, trade.instrument))


@kernel
def shrink_order(state: RiskState, order_id: int, lots: int, leaves: int) -> None:
    """One side of a prevented trade: the order is smaller by `lots`, and nothing was paid.

    One without leaves keeps an empty reservation until the CANCELED that follows. An amendment
    on its way still asks for the quantity that it asked for, so the bound waits for its answer.
    """
    index = find_order(state.reservations, order_id)
    assert index != NO_ORDER, "shrink_order: an order without reservation"
    reservation = state.reservations.orders[index]
    terms = state.terms[reservation.instrument]
    position = find_position(state, reservation.account, reservation.instrument)
    count_bound(state, terms, position, reservation, -1)
    reservation.qty_lots -= lots
    reservation.leaves_lots = leaves
    if reservation.amendments == 0:
        reservation.bound_leaves_lots = leaves
    count_bound(state, terms, position, reservation, 1)
    value_position(state, position)


@kernel
def apply_prevention(state: RiskState, prevented: TradeEvent) -> None:
    """Both orders shrink to their leaves in the event; nothing changes hands."""
    lots = prevented.qty_lots
    shrink_order(state, prevented.order_id, lots, prevented.leaves_lots)
    shrink_order(state, prevented.maker_order_id, lots, prevented.maker_leaves_lots)


@kernel
def apply_amendment(state: RiskState, event: ChangeEvent) -> None:
    """REPLACED or REPLACE_REJECTED: one amendment is answered.

    UNKNOWN_ORDER answers an amendment that was not counted: risk did not know the order either,
    or it has ended since. An order of that id may have come later, by a client who guessed it.
    """
    if event.reason == RejectReason.UNKNOWN_ORDER:
        return
    index = find_order(state.reservations, event.order_id)
    if index == NO_ORDER:
        return
    reservation = state.reservations.orders[index]
    if reservation.account != event.account or reservation.instrument != event.instrument:
        return
    terms = state.terms[reservation.instrument]
    position = find_position(state, reservation.account, reservation.instrument)
    count_bound(state, terms, position, reservation, -1)
    if event.kind == EventKind.REPLACED:
        reservation.price_ticks = event.price_ticks
        reservation.qty_lots, reservation.leaves_lots = event.qty_lots, event.leaves_lots
    assert reservation.amendments > 0, "apply_amendment: an answer that nobody asked for"
    reservation.amendments -= 1
    if reservation.amendments == 0:
        reservation.bound_price_ticks = reservation.price_ticks
        reservation.bound_leaves_lots = reservation.leaves_lots
    count_bound(state, terms, position, reservation, 1)
    value_position(state, position)


# --- events ------------------------------------------------------------------------------------


@kernel
def hear_answer(state: RiskState, event: Event) -> None:
    """The command that risk has sent by itself is answered."""
    warden = state.warden
    if event.source_sequence != warden.awaited:
        return
    warden.awaited = 0
    if warden.forced_position != NO_POSITION:
        position = state.positions.table[warden.forced_position]
        position.tried = 1 if position.net == warden.forced_net else 0
        warden.forced_position = NO_POSITION


@inlined
def apply_event(state: RiskState, event: Event) -> None:
    """Fold one event into reservations, positions and purses."""
    kind = event.kind
    if event.reason == RejectReason.NONE or event.reason >= MATCHING_REASONS:
        if kind == EventKind.TRADE:
            apply_trade(state, TradeEvent(event.address))
        elif kind == EventKind.CANCELED or kind == EventKind.REJECTED:
            end_order(state, event.order_id)
        elif kind == EventKind.REPLACED or kind == EventKind.REPLACE_REJECTED:
            apply_amendment(state, ChangeEvent(event.address))
        elif kind == EventKind.PREVENTED:
            apply_prevention(state, TradeEvent(event.address))
        elif kind == EventKind.TOP:
            note_top(state, ChangeEvent(event.address))
    if event.source == state.source and event.flags & EventFlag.LAST:
        hear_answer(state, event)
