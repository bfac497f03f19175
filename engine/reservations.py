"""What live orders can still cost. Owned by the risk stage.

A reservation knows the order as risk last heard of it, and a bound: the highest price and the
largest open quantity that the order can have while amendments are on their way. What it holds
back is always the cost of that bound, so a fill at the old price cannot eat into what the new
price needs. The bound falls back to the order itself when the last amendment is answered.
"""

from engine.balances import Balances, balance_of, cost_units
from engine.limits import ORDER_MAP_SLOTS, ORDERS_MAX
from engine.messages import Side
from engine.reference import InstrumentTerms
from ipc.jit import inlined
from ipc.record import CACHE_LINE_BYTES, Array, Record, i64, length, u8, u16, u32


class Reservation(Record, align=CACHE_LINE_BYTES):
    """One live order as risk knows it."""

    order_id: i64
    price_ticks: i64
    leaves_lots: i64
    qty_lots: i64
    "Total quantity: leaves plus filled."
    bound_price_ticks: i64
    bound_leaves_lots: i64
    chained: u32
    account: u32
    amendments: u32
    "Amendments that matching has not answered yet."
    instrument: u16
    side: u8


class Reservations(Record, align=CACHE_LINE_BYTES):
    """The pool of reservations; used through engine.orders."""

    limit: i64
    live: i64
    used: i64
    free: i64
    map: Array[u32] = length(ORDER_MAP_SLOTS)
    orders: Array[Reservation] = length(ORDERS_MAX)


@inlined
def reserved_asset(terms: InstrumentTerms, side: int) -> int:
    """The asset that an order of this side spends."""
    return terms.quote_asset if side == Side.BUY else terms.base_asset


@inlined
def units_for(terms: InstrumentTerms, side: int, price_ticks: int, qty_lots: int) -> int:
    """Units of the reserved asset that an order of this side, price and quantity can cost."""
    if side == Side.BUY:
        return cost_units(terms, price_ticks, qty_lots)
    return qty_lots * terms.base_units_per_lot


@inlined
def bound_units(terms: InstrumentTerms, reservation: Reservation) -> int:
    """What the reservation holds back."""
    return units_for(
        terms,
        reservation.side,
        reservation.bound_price_ticks,
        reservation.bound_leaves_lots,
    )


@inlined
def hold(balances: Balances, terms: InstrumentTerms, reservation: Reservation) -> None:
    """Move what the bound costs from available to reserved."""
    asset = reserved_asset(terms, reservation.side)
    balance = balance_of(balances, reservation.account, asset)
    units = bound_units(terms, reservation)
    balance.available -= units
    balance.reserved += units


@inlined
def unhold(balances: Balances, terms: InstrumentTerms, reservation: Reservation) -> None:
    """Move what the bound costs back to available."""
    asset = reserved_asset(terms, reservation.side)
    balance = balance_of(balances, reservation.account, asset)
    units = bound_units(terms, reservation)
    balance.available += units
    balance.reserved -= units
