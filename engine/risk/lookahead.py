"""Asking for memory before it is needed: risk's look at the commands that wait behind one.

With many accounts in many instruments an order touches lines that have left the cache: the
account's counters and rules, its purse, its position, its group. While commands wait in the ring,
these are asked for some commands earlier than their use. Nothing here changes state.
"""

from typing import Final

from engine.limits import ACCOUNTS_MAX, INSTRUMENTS_MAX, ORDER_MAP_SLOTS
from engine.messages import Decision, EventKind, Side, TradeEvent
from engine.risk.purses import group_of, group_purse_of, position_index, purse_of
from engine.risk.state import Positions, Purse, Reservations, RiskState, Scope
from ipc.intrinsics import prefetch
from ipc.jit import inlined
from ipc.record import CACHE_LINE_BYTES
from ipc.ring import Ring, slot

FAR: Final = 12
"""Commands between asking for an account's lines and their use."""

NEAR: Final = 6
"""The same for what is found through those: position and group."""

EVENTS_FAR: Final = 8
"""Events between asking for an entry of the order map and its use."""

EVENTS_NEAR: Final = 4
"""The same for the reservation that it leads to."""

POSITIONS_MIN: Final = 1 << 11
"""Positions (400 KiB) from which on looking ahead pays."""

ORDERS_MIN: Final = 1 << 14
"""Live orders (1 MiB of reservations) from which on it pays for events."""

INDEX_BYTES: Final = Positions.fields["index"].stride
MAP_BYTES: Final = Reservations.fields["map"].stride

assert FAR > NEAR > 0
assert EVENTS_FAR > EVENTS_NEAR > 0


@inlined
def ask_for_scope(scope: Scope) -> None:
    """The counters and rules of an account or a group."""
    prefetch(scope.address)
    prefetch(scope.address + CACHE_LINE_BYTES)
    prefetch(scope.address + 2 * CACHE_LINE_BYTES)


@inlined
def ask_for_purse(purse: Purse) -> None:
    """All of a purse."""
    prefetch(purse.address)
    prefetch(purse.address + CACHE_LINE_BYTES)
    prefetch(purse.address + 2 * CACHE_LINE_BYTES)


@inlined
def ask_for_position(state: RiskState, account: int, instrument: int) -> None:
    """All of a position, whose index has been asked for, and the purse of the account's group."""
    found = state.positions.table[position_index(state, account, instrument)]
    prefetch(found.address)
    prefetch(found.address + CACHE_LINE_BYTES)
    prefetch(found.address + 2 * CACHE_LINE_BYTES)
    ask_for_purse(group_purse_of(state, account, state.terms[instrument].quote_asset))


@inlined
def look_ahead(state: RiskState, ring: Ring, position: int) -> None:
    """Ask for what the commands at FAR and NEAR behind `position` will use first."""
    command = Decision(slot(ring, position + FAR))
    account, instrument = command.account, command.instrument
    if account < ACCOUNTS_MAX and instrument < INSTRUMENTS_MAX:
        at = account * INSTRUMENTS_MAX + instrument
        prefetch(state.positions.index.address + at * INDEX_BYTES)
        ask_for_scope(state.accounts[account])
        terms = state.terms[instrument]
        ask_for_purse(purse_of(state, account, terms.quote_asset))
        if command.side == Side.SELL:
            prefetch(purse_of(state, account, terms.base_asset).address)
        entry = command.order_id & (ORDER_MAP_SLOTS - 1)
        prefetch(state.reservations.map.address + entry * MAP_BYTES)
    command = Decision(slot(ring, position + NEAR))
    account, instrument = command.account, command.instrument
    if account < ACCOUNTS_MAX and instrument < INSTRUMENTS_MAX:
        ask_for_position(state, account, instrument)
        ask_for_scope(group_of(state, account))


@inlined
def account_of(event: TradeEvent) -> int:
    """Whose order an event is about that was not used lately: of a trade the maker's."""
    two_sided = event.kind == EventKind.TRADE or event.kind == EventKind.PREVENTED
    return event.maker_account if two_sided else event.account


@inlined
def order_of(event: TradeEvent) -> int:
    """The id of that order."""
    two_sided = event.kind == EventKind.TRADE or event.kind == EventKind.PREVENTED
    return event.maker_order_id if two_sided else event.order_id


@inlined
def look_at_events(state: RiskState, ring: Ring, position: int) -> None:
    """The same for the orders of the events behind `position`."""
    event = TradeEvent(slot(ring, position + EVENTS_FAR))
    account, instrument = account_of(event), event.instrument
    if account < ACCOUNTS_MAX and instrument < INSTRUMENTS_MAX:
        entry = order_of(event) & (ORDER_MAP_SLOTS - 1)
        prefetch(state.reservations.map.address + entry * MAP_BYTES)
        at = account * INSTRUMENTS_MAX + instrument
        prefetch(state.positions.index.address + at * INDEX_BYTES)
        terms = state.terms[instrument]
        ask_for_purse(purse_of(state, account, terms.quote_asset))
        prefetch(purse_of(state, account, terms.base_asset).address)
        prefetch(state.accounts[account].address)
    event = TradeEvent(slot(ring, position + EVENTS_NEAR))
    account, instrument = account_of(event), event.instrument
    if account < ACCOUNTS_MAX and instrument < INSTRUMENTS_MAX:
        index = state.reservations.map[order_of(event) & (ORDER_MAP_SLOTS - 1)]
        prefetch(state.reservations.orders[index].address)
        ask_for_position(state, account, instrument)
