"""Acts beyond plain orders: orders with terms, lists, phases, the clock, mass cancels, snapshots.

They register with those of `acts`. Most are plausible; `wild` and `any_phase` are not.
"""

from typing import Any

from engine.messages import (
    BOTH_SIDES,
    CommandFlag,
    CommandKind,
    Instruction,
    Listing,
    ListKind,
    OrderType,
    Peg,
    Phase,
    Side,
    TimeInForce,
    Trigger,
)
from engine.reference import TERM_NUMBERS
from tests.acts import ACTS, FOK, GTC, IOC, TIMES, Trader, act

SECOND_NS = 1_000_000_000

DAY, GTD = TimeInForce.DAY, TimeInForce.GTD
TERMS = int(CommandFlag.TERMS)

FAR_TICKS = 1_000
"""A limit so far away never matters."""


def _toward(side: int) -> int:
    """The sign of prices that are worse for a side."""
    return 1 if side == Side.BUY else -1


# --- orders --------------------------------------------------------------------------------------


@act
def iceberg(trader: Trader) -> None:
    """Large, with a small part shown; now and then too small a part."""
    display = 1 + trader.below(8)
    lots = display * (1 + trader.below(12)) + trader.below(display)
    if trader.chance(3):
        lots = display * 256 + trader.below(2)
    trader.place(trader.choice((1, 1, -1)), qty_lots=lots, display_lots=display)


@act
def hidden(trader: Trader) -> None:
    trader.place(trader.choice((1, 1, -1)), instructions=int(Instruction.HIDDEN))


@act
def slide(trader: Trader) -> None:
    flags = int(CommandFlag.POST_ONLY)
    trader.place(trader.choice((-1, -1, 1)), flags=flags, instructions=int(Instruction.SLIDE))


@act
def minimum(trader: Trader) -> None:
    lots = trader.lots()
    least = 1 + trader.below(lots)
    times = (GTC, IOC)
    time_in_force = trader.choice(times)
    trader.place(-1, qty_lots=lots, minimum_lots=least, time_in_force=time_in_force)


@act
def all_or_none(trader: Trader) -> None:
    lots = trader.lots() + trader.below(40)
    toward = trader.choice((-1, -1, 1))
    trader.place(toward, qty_lots=lots, instructions=int(Instruction.ALL_OR_NONE))


@act
def market_to_limit(trader: Trader) -> None:
    trader.place(-1, order_type=OrderType.MARKET_TO_LIMIT)


@act
def prevented(trader: Trader) -> None:
    """An order that says what happens when it meets its own kind."""
    trader.place(-1, self_trade=1 + trader.below(5))


def _time(trader: Trader) -> dict[str, Any]:
    """A time in force; most are GTC."""
    chosen = trader.choice((GTC, GTC, GTC, DAY, GTD, IOC, FOK))
    if chosen == GTD:
        return {"time_in_force": chosen, "at_ns": _later(trader)}
    return {"time_in_force": chosen}


def _later(trader: Trader) -> int:
    """A time to end: some while from now, sometimes past."""
    return trader.desk.clock_ns + SECOND_NS * trader.choice((5, 1, 2, 30, 0))


def _waiting(trader: Trader, trigger: Trigger, **fields: Any) -> dict[str, Any]:
    """A stop (trigger across the middle) or touch order (trigger behind it)."""
    order = trader.order(1, **fields)
    toward = -1 if trigger == Trigger.STOP else 1
    if trader.chance(10):
        toward = -toward
    price = trader.price(order["instrument"], order["side"], toward)
    order |= {"trigger": int(trigger), "trigger_ticks": price}
    if trader.below(2):
        order["order_type"] = OrderType.MARKET
        order["time_in_force"] = trader.choice(TIMES)
    else:
        order |= _time(trader)
        order["price_ticks"] = price + trader.choice((0, 2, -2, 5)) * _toward(order["side"])
    return order


@act
def stop(trader: Trader) -> None:
    trader.desk.new(**trader.extras(_waiting(trader, Trigger.STOP)))


@act
def touch(trader: Trader) -> None:
    trader.desk.new(**trader.extras(_waiting(trader, Trigger.TOUCH)))


@act
def trailing(trader: Trader) -> None:
    order = trader.order(-1)
    worse = _toward(order["side"])
    if trader.below(3):
        order |= {"trigger": int(Trigger.TRAIL_TICKS), "trigger_ticks": 1 + trader.below(12)}
    else:
        order |= {"trigger": int(Trigger.TRAIL_BPS), "trigger_ticks": 1 + trader.below(30)}
    if trader.below(2):
        order["order_type"] = OrderType.MARKET
    elif trader.below(2):
        offset = trader.choice((0, 1, -1, 3)) * worse
        order |= {"trail_limit": 1, "offset_ticks": offset}
        order["price_ticks"] += 20 * worse
    trader.desk.new(**trader.extras(order))


@act
def peg(trader: Trader) -> None:
    """Follows a reference; its own price is mostly too far away to matter."""
    order = trader.order(trader.choice((-1, -1, 1)))
    kind = trader.choice((Peg.PRIMARY, Peg.MID, Peg.OPPOSITE))
    order |= {"peg": int(kind), "offset_ticks": trader.choice((0, -1, 1, -2, 2, 5, -5))}
    trader.desk.new(**trader.extras(order))


@act
def timed(trader: Trader) -> None:
    """GTD or DAY."""
    if trader.below(2):
        trader.place(1, time_in_force=DAY)
    else:
        trader.place(1, time_in_force=GTD, at_ns=_later(trader))


@act
def at_auction(trader: Trader) -> None:
    times = (TimeInForce.AUCTION, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE)
    fields: dict[str, Any] = {"time_in_force": trader.choice(times)}
    if trader.chance(30):
        fields["order_type"] = OrderType.MARKET
    trader.place(-1, **fields)


@act
def amend_terms(trader: Trader) -> None:
    """A new trigger, a new display, or both where only one can be."""
    order = trader.pick()
    if order is None:
        iceberg(trader)
        return
    trigger, display = order.trigger_ticks, order.display_lots
    change = trader.below(4)
    if change != 1 and trigger:
        trigger += trader.choice((0, 1, -1, 4, -4))
    if change and display:
        display = 1 + trader.below(10)
    if trader.chance(5):
        trigger, display = trader.below(3), trader.below(3)
    price = order.price_ticks + trader.choice((0, 0, 0, 1, -1))
    lots = max(1, order.total_lots + trader.choice((0, 0, 5, -1)))
    flags = TERMS | trader.choice((0, 0, 2, 4))
    terms = {"trigger_ticks": trigger, "display_lots": display}
    trader.desk.amend(order, price, lots, flags, **terms)


@act
def wild(trader: Trader) -> None:
    """Terms thrown together: most such orders are refused."""
    terms = {
        "time_in_force": trader.choice((GTC, *TimeInForce)),
        "order_type": trader.choice((OrderType.LIMIT, *OrderType)),
        "flags": TERMS | trader.choice((0, 0, 0, 1)),
    }
    if trader.below(2):
        terms |= {"trigger": trader.below(5), "trigger_ticks": trader.price(0, 0, 1)}
    if trader.below(2):
        terms |= {"display_lots": trader.below(5), "minimum_lots": trader.below(3)}
    if trader.below(2):
        terms |= {"peg": trader.below(4), "offset_ticks": trader.below(5) - 2}
    if trader.below(2):
        terms |= {"self_trade": trader.below(7), "instructions": trader.below(16)}
    if trader.chance(10):
        terms |= {"at_ns": trader.choice((0, 1, -1)), "trail_limit": trader.below(3)}
    if trader.chance(5):
        terms |= {"list_kind": trader.below(5), "list_index": trader.below(4)}
    trader.place(trader.choice((1, -1)), **terms)


# --- lists -----------------------------------------------------------------------------------


def _pair(trader: Trader, base: dict[str, Any]) -> list[dict[str, Any]]:
    """Two ways out of a position: better and worse than now."""
    instrument, side = base["instrument"], base["side"]
    target = base | {"price_ticks": trader.price(instrument, side, 1)}
    if trader.chance(15):
        target = base | {"price_ticks": trader.price(instrument, side, -1)}
    if trader.chance(15):
        target = _waiting(trader, Trigger.TOUCH, **base)
    trigger = trader.choice((Trigger.STOP, Trigger.STOP, Trigger.STOP, Trigger.TOUCH))
    return [target, _waiting(trader, trigger, **base)]


def _list(trader: Trader, kind: ListKind) -> list[dict[str, Any]]:
    """The orders of a list."""
    lots = trader.lots()
    base = trader.order(1, qty_lots=lots)
    del base["price_ticks"]
    if kind == ListKind.OCO:
        orders = _pair(trader, base)
    else:
        toward = trader.choice((-1, 1))
        entry = base | {"price_ticks": trader.price(base["instrument"], base["side"], toward)}
        if trader.chance(15):
            entry = _waiting(trader, Trigger.STOP, **base)
        exits = _pair(trader, base | {"side": 1 - base["side"]})
        orders = [entry, *exits] if kind == ListKind.BRACKET else [entry, trader.choice(exits)]
    links = ({"list_kind": int(kind), "list_index": index} for index in range(3))
    return [trader.extras(order | link) for order, link in zip(orders, links, strict=False)]


def _send_list(trader: Trader, kind: ListKind) -> None:
    for order in _list(trader, kind):
        trader.desk.new(**order)


@act
def oco(trader: Trader) -> None:
    _send_list(trader, ListKind.OCO)


@act
def oto(trader: Trader) -> None:
    _send_list(trader, ListKind.OTO)


@act
def bracket(trader: Trader) -> None:
    _send_list(trader, ListKind.BRACKET)


@act
def broken_list(trader: Trader) -> None:
    """A list that is not sent as it should be."""
    kinds = (ListKind.OCO, ListKind.OTO, ListKind.BRACKET)
    orders = _list(trader, trader.choice(kinds))
    way = trader.below(5)
    if way == 0:
        orders.pop()
    elif way == 1:
        orders.pop(0)
    elif way == 2:
        orders[-1]["account"] = trader.account()
    elif way == 3:
        orders[-1]["list_kind"] = int(trader.choice(kinds))
    for order in orders[:-1]:
        trader.desk.new(**order)
    if way == 4:
        ACTS[trader.choice(("passive", "cancel", "snapshot", "tick", "amend", "crossing"))](trader)
    if orders:
        trader.desk.new(**orders[-1])


# --- the venue's own -----------------------------------------------------------------------------

NEXT_PHASES = {
    Phase.CLOSED: (Phase.PRE_OPEN,),
    Phase.PRE_OPEN: (Phase.OPENING_AUCTION,),
    Phase.OPENING_AUCTION: (Phase.CONTINUOUS,),
    Phase.CONTINUOUS: (Phase.CLOSING_AUCTION, Phase.VOLATILITY_AUCTION, Phase.HALT),
    Phase.HALT: (Phase.VOLATILITY_AUCTION, Phase.CONTINUOUS),
    Phase.VOLATILITY_AUCTION: (Phase.CONTINUOUS,),
    Phase.CLOSING_AUCTION: (Phase.POST_CLOSE, Phase.POST_CLOSE, Phase.CONTINUOUS),
    Phase.POST_CLOSE: (Phase.CLOSED,),
}
"""What usually follows a phase."""


def go_on(trader: Trader, instrument: int) -> None:
    """Bring an instrument into a phase that usually follows the one it is in."""
    following = NEXT_PHASES[Phase(trader.desk.phase_of(instrument))]
    trader.desk.phase(instrument, int(trader.choice(following)))


@act
def phase(trader: Trader) -> None:
    go_on(trader, trader.instrument())


@act
def any_phase(trader: Trader) -> None:
    """A phase that need not follow the present one, or be one at all."""
    trader.desk.phase(trader.instrument(), trader.choice((*Phase, 0, 9)))


@act
def tick(trader: Trader) -> None:
    """A second later, mostly; also much later, the same time again, or earlier."""
    steps = (SECOND_NS, SECOND_NS, SECOND_NS, 0, 1, -SECOND_NS, 7 * SECOND_NS)
    trader.desk.tick(max(0, trader.desk.clock_ns + trader.choice(steps)))


@act
def mass_cancel(trader: Trader) -> None:
    side = trader.choice((BOTH_SIDES, Side.BUY, Side.SELL))
    names = {"account": trader.account(), "instrument": trader.instrument()}
    trader.desk.send(CommandKind.MASS_CANCEL, side=int(side), **names)


@act
def snapshot(trader: Trader) -> None:
    trader.desk.send(CommandKind.SNAPSHOT, instrument=trader.instrument())


@act
def set_term(trader: Trader) -> None:
    """Another value for one term of an instrument; nothing that moves a collar or money."""
    instrument = trader.instrument()
    near = trader.price(instrument, trader.below(2), 1)
    values = {
        "qty_min_lots": (1, 1, 2, 30),
        "qty_max_lots": (1_000_000, 1_000_000, 15),
        "dynamic_band_bps": (0, 25, 100),
        "static_band_bps": (0, 120, 400),
        "volatility_halt_ns": (0, SECOND_NS),
        "volatility_auction_ns": (0, SECOND_NS),
        "reference_ticks": (near,),
        "step_count": (0, 9),
    }
    name = trader.choice(tuple(values))
    _instrument(trader, instrument, TERM_NUMBERS[name], trader.choice(values[name]))


@act
def delist(trader: Trader) -> None:
    _instrument(trader, trader.instrument(), Listing.DELIST, 0)


@act
def relist(trader: Trader) -> None:
    """List an instrument again that was delisted; one that was not is refused."""
    gone = sorted(trader.desk.delisted)
    instrument = trader.choice(gone) if gone else trader.instrument()
    phase = trader.choice((Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.PRE_OPEN))
    _instrument(trader, instrument, Listing.LIST, int(phase), client_order_id=b"S%d" % instrument)


def _instrument(trader: Trader, instrument: int, number: int, value: int, **more: Any) -> None:
    fields = {"instrument": instrument, "order_id": int(number), "qty_lots": value}
    trader.desk.send(CommandKind.INSTRUMENT, **fields, **more)
